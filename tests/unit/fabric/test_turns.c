/* SPDX-License-Identifier: MIT
 *
 * Turns of ports with a simulated clock: switches and the data path are real, what ports send comes
 * from nowhere.
 */
#include "fabric/turns.h"
#include "fabric/datapath.h"
#include "tests/unit/fabric/support.h"

#include <stdio.h>
#include <string.h>

#define T0          (1000 * NS_PER_SEC)
#define TURN_NS     1000
#define MBIT        1000000ULL
#define UPLINK_SIDE 200 /* an address behind the uplink */
#define N_MANY      200

/* A port that has n_left frames to send, and counts what it is sent. */
struct source {
	struct io io;
	uint64_t n_left;
	uint32_t frame_bytes;
	bool is_full; /* loses what it is sent */
	unsigned n_turns;
	uint64_t last_turn_ns, taken_bytes;
	uint8_t frame[ETH_FRAME_MAX_BYTES];
};

static struct fabric fabric;
static struct datapath *dp;
static struct turns turns;
static uint64_t now_ns;
static struct why why;

static uint32_t source_caps(const struct io *io)
{
	(void)io;
	return ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
}

static int source_recv(struct io *io, struct io_batch *batch)
{
	struct source *source = container_of(io, struct source, io);
	uint64_t bytes = 0;

	while (source->n_left > 0 && batch->n_frames < IO_BATCH_FRAMES &&
		(batch->n_frames == 0 || bytes + source->frame_bytes <= batch->max_bytes)) {
		batch->frames[batch->n_frames++] =
			(struct frame){.data = source->frame, .size_bytes = source->frame_bytes};
		bytes += source->frame_bytes;
		source->n_left--;
	}
	if (batch->n_frames > 0) {
		source->n_turns++;
		source->last_turn_ns = now_ns;
		source->taken_bytes += bytes;
	}
	return 0;
}

static int source_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	(void)hdr;
	if (container_of(io, struct source, io)->is_full) {
		io->tx.n_full++;
		return 0;
	}
	io->tx.n_frames++;
	for (unsigned i = 0; i < n_iov; i++)
		io->tx.n_bytes += iov[i].iov_len;
	return 0;
}

static int source_flush(struct io *io)
{
	(void)io;
	return 0;
}

static void source_free(struct io *io)
{
	free(container_of(io, struct source, io));
}

static const struct io_ops source_ops = {
	.kind = "source",
	.caps = source_caps,
	.recv = source_recv,
	.send = source_send,
	.flush = source_flush,
	.free = source_free,
};

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)event, (void)port, (void)data;
}

static int setup(void **state)
{
	(void)state;
	now_ns = T0;
	fabric_init(&fabric);
	turns_init(&turns);
	return datapath_new(on_event, NULL, &dp);
}

static int teardown(void **state)
{
	(void)state;
	fabric_fini(&fabric);
	turns_fini(&turns);
	datapath_free(dp);
	return 0;
}

static struct source *source_of(const struct vport *port)
{
	return container_of(port->io, struct source, io);
}

static struct source *new_source(void)
{
	struct source *source = calloc(1, sizeof(*source));

	assert_non_null(source);
	source->io.ops = &source_ops;
	return source;
}

static struct vswitch *new_switch(enum qos_mode mode, uint64_t link_bps)
{
	struct vswitch *sw;

	assert_int_equal(
		vswitch_new(&fabric, "A", VSWITCH_EXTERNAL, "A", &new_source()->io, &sw, &why), 0);
	qos_link_init(&sw->qos, mode, link_bps, now_ns);
	assert_int_equal(turns_add(&turns, vswitch_uplink(sw)), 0);
	/* It knows one address behind its uplink. */
	fdb_learn(sw->fwd.fdb, 0, (const uint8_t[]){2, 0, 0, 0, 0, UPLINK_SIDE}, 0, now_ns);
	return sw;
}

/* It has frames for `dst`, which it sends from now on. */
static struct vport *new_port(struct vswitch *sw, unsigned number, unsigned dst,
	uint32_t frame_bytes, struct qos_config qos)
{
	char id[VPORT_ID_MAX_LEN + 1];
	struct vport_config config = {.id = id};
	struct source *source = new_source();
	struct vport *port;

	snprintf(id, sizeof(id), "VM%u", number);
	make_mac(config.mac, number);
	vlan_policy_untagged(&config.vlan);
	assert_int_equal(vport_new(&fabric, sw, &config, &source->io, &port, &why), 0);
	qos_port_init(&port->qos, &sw->qos, &qos, now_ns);
	source->frame_bytes = frame_bytes;
	source->n_left = UINT64_MAX;
	make_frame(source->frame, dst, number, -1, 0);
	assert_int_equal(turns_add(&turns, port), 0);
	turns_want(&turns, port);
	return port;
}

/* As the worker does it. */
static void serve(struct vport *port)
{
	uint32_t max_bytes = turns_ask(&turns, port, now_ns);
	struct turn turn;

	if (max_bytes == 0)
		return;
	if (!datapath_turn(dp, port, max_bytes, now_ns, &turn))
		turns_idle(port);
	turns_charge(port, &turn, now_ns);
}

static void pass(void)
{
	struct vport *port, *after;

	turns_begin(&turns, now_ns);
	list_for_each_safe(port, after, &turns.round, in_round)
		serve(port);
}

/* Passes, with sleep in between while there is no work, until it is that late. */
static void run_until(uint64_t until_ns)
{
	while (now_ns < until_ns) {
		uint64_t next_ns = turns_next_ns(&turns);

		if (next_ns == TURNS_WORK_AT_HAND)
			next_ns = now_ns + TURN_NS;
		now_ns = MIN(next_ns, until_ns);
		pass();
	}
}

static void assert_near(uint64_t value, uint64_t wanted, unsigned permille)
{
	assert_in_range(
		value, wanted - wanted * permille / 1000, wanted + wanted * permille / 1000);
}

static void test_places(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct vport *port = new_port(sw, 1, UPLINK_SIDE, 1000, (struct qos_config){0});

	(void)state;
	turns_want(&turns, port);
	assert_int_equal(turns_next_ns(&turns), TURNS_WORK_AT_HAND);
	source_of(port)->n_left = IO_BATCH_FRAMES + 1;
	pass();
	assert_int_equal(source_of(port)->n_left, 1);
	pass();
	assert_int_equal(turns_next_ns(&turns), TURNS_WORK_AT_HAND);
	pass();
	assert_int_equal(turns_next_ns(&turns), TURNS_NEVER);
	pass();
	turns_want(&turns, port);
	assert_int_equal(turns_next_ns(&turns), TURNS_WORK_AT_HAND);
	turns_remove(&turns, port);
	assert_int_equal(turns_next_ns(&turns), TURNS_NEVER);
	vport_free(port);
}

/* 8 Mbit/s are a frame of 1000 bytes a millisecond. */
static void test_shaped_port_has_its_turns_in_time(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct vport *shaped =
		new_port(sw, 1, UPLINK_SIDE, 1000, (struct qos_config){.max_bps = 8 * MBIT});
	struct source *source = source_of(shaped);
	uint64_t seed = 1, last_ns;

	(void)state;
	while (!shaped->parked)
		pass();
	/* What a bucket holds, and the frame that did not fit. */
	assert_in_range(source->taken_bytes, QOS_MIN_BURST_BYTES, QOS_MIN_BURST_BYTES + 1000);
	for (unsigned i = 0; i < 2000; i++) {
		unsigned turns_before = source->n_turns;

		last_ns = now_ns;
		while (source->n_turns == turns_before) {
			uint64_t next_ns = turns_next_ns(&turns);

			if (next_ns != TURNS_WORK_AT_HAND) {
				/* Not a nanosecond before its time, whoever may call. */
				now_ns = next_ns - 1;
				turns_want(&turns, shaped);
				pass();
				assert_int_equal(source->n_turns, turns_before);
				now_ns = next_ns;
			}
			pass();
		}
		assert_in_range(now_ns - last_ns, 0, 2 * NS_PER_MS);
		/* A worker that comes late loses nothing. */
		now_ns += random_below(&seed, 3) == 0 ? random_below(&seed, NS_PER_MS) : 0;
	}
	assert_near((source->taken_bytes - QOS_MIN_BURST_BYTES) * NS_PER_MS / 1000, now_ns - T0, 5);
	assert_int_equal(vswitch_uplink(sw)->io->tx.n_bytes, source->taken_bytes);
}

static void test_unshaped_port_is_not_delayed(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct vport *shaped = new_port(
		sw, 1, UPLINK_SIDE, ETH_FRAME_MAX_BYTES, (struct qos_config){.max_bps = 10 * MBIT});
	struct vport *unshaped = new_port(sw, 2, UPLINK_SIDE, 1000, (struct qos_config){0});
	struct source *source = source_of(unshaped);
	uint64_t seed = 2;

	(void)state;
	source->n_left = 0;
	run_until(T0 + NS_PER_MS);
	for (unsigned i = 0; i < 5000; i++) {
		/* The next turn of the shaped one is far away, or not. */
		run_until(now_ns + random_below(&seed, 2 * NS_PER_MS));
		source->n_left = 1 + random_below(&seed, 10);
		turns_want(&turns, unshaped);
		assert_int_equal(turns_next_ns(&turns), TURNS_WORK_AT_HAND);
		pass();
		assert_int_equal(source->n_left, 0);
		assert_int_equal(source->last_turn_ns, now_ns);
	}
	assert_near(source_of(shaped)->taken_bytes * 8 * NS_PER_SEC / (now_ns - T0), 10 * MBIT, 50);
}

static void test_link_is_shared_by_weight(void **state)
{
	static const uint32_t frame_bytes[] = {1514, ETH_FRAME_MAX_BYTES, 300};
	static const uint32_t weights[] = {1, 2, 7};
	struct vswitch *sw = new_switch(QOS_WEIGHT, 1000 * MBIT);
	struct vport *ports[3], *local;
	uint64_t before_bytes[3], begin_ns, uplink_bytes;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		ports[i] = new_port(sw, i + 1, UPLINK_SIDE, frame_bytes[i],
			(struct qos_config){.weight = weights[i]});
	/* Its frames are for a neighbour: they are not held back, and take nothing of the link. */
	local = new_port(sw, 9, 1, 1514, (struct qos_config){.weight = 50, .max_bps = 400 * MBIT});
	run_until(now_ns + NS_PER_SEC / 2);
	begin_ns = now_ns;
	uplink_bytes = vswitch_uplink(sw)->io->tx.n_bytes;
	source_of(local)->taken_bytes = 0;
	for (unsigned i = 0; i < 3; i++)
		before_bytes[i] = source_of(ports[i])->taken_bytes;
	run_until(now_ns + NS_PER_SEC);
	assert_near(source_of(local)->taken_bytes * 8, 400 * MBIT, 20);
	for (unsigned i = 0; i < 3; i++)
		assert_near((source_of(ports[i])->taken_bytes - before_bytes[i]) * 8,
			weights[i] * 100 * MBIT, 50);
	uplink_bytes = vswitch_uplink(sw)->io->tx.n_bytes - uplink_bytes;
	assert_near(uplink_bytes * 8 * NS_PER_SEC / (now_ns - begin_ns), 1000 * MBIT, 20);
}

/* A link without anything to do sleeps between its rounds. */
static void test_paced_link_sleeps(void **state)
{
	struct vswitch *sw = new_switch(QOS_ABSOLUTE, 100 * MBIT);
	struct vport *port =
		new_port(sw, 1, UPLINK_SIDE, 1514, (struct qos_config){.min_bps = 10 * MBIT});
	unsigned n_passes = 0;

	(void)state;
	run_until(now_ns + NS_PER_SEC);
	source_of(port)->taken_bytes = 0;
	for (uint64_t end_ns = now_ns + NS_PER_SEC; now_ns < end_ns; n_passes++) {
		uint64_t next_ns = turns_next_ns(&turns);

		now_ns = MAX(now_ns + 1, next_ns);
		pass();
	}
	assert_near(source_of(port)->taken_bytes * 8, 100 * MBIT, 20);
	assert_in_range(n_passes, 100, 2000);
}

/* Frames that a full uplink loses count as sent: losing is no way to get more turns. */
static void test_full_uplink_is_charged(void **state)
{
	struct vswitch *sw = new_switch(QOS_WEIGHT, 100 * MBIT);
	struct vport *port = new_port(sw, 1, UPLINK_SIDE, 1514, (struct qos_config){.weight = 1});

	(void)state;
	source_of(vswitch_uplink(sw))->is_full = true;
	run_until(now_ns + NS_PER_SEC);
	assert_near(source_of(port)->taken_bytes * 8, 100 * MBIT, 50);
	assert_int_equal(vswitch_uplink(sw)->io->tx.n_bytes, 0);
	assert_int_equal(vswitch_uplink(sw)->io->tx.n_full, port->rx_frames);
}

static void test_uplink_is_never_held_back(void **state)
{
	struct vswitch *sw = new_switch(QOS_WEIGHT, MBIT);
	struct vport *uplink = vswitch_uplink(sw);
	struct source *source = source_of(uplink);
	struct qos_config config = {.max_bps = MBIT};

	(void)state;
	new_port(sw, 1, UPLINK_SIDE, ETH_FRAME_MAX_BYTES, (struct qos_config){0});
	qos_port_init(&uplink->qos, &sw->qos, &config, now_ns);
	make_frame(source->frame, 1, UPLINK_SIDE, -1, 0);
	source->frame_bytes = 1514;
	source->n_left = 100000;
	turns_want(&turns, uplink);
	for (unsigned i = 0; i < 100000 / IO_BATCH_FRAMES + 1; i++)
		pass();
	assert_int_equal(source->n_left, 0);
}

static void test_another_bandwidth_counts_at_once(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct qos_config config = {.max_bps = MBIT};
	struct vport *port = new_port(sw, 1, UPLINK_SIDE, ETH_FRAME_MAX_BYTES, config);
	uint64_t taken_bytes;

	(void)state;
	while (!port->parked)
		pass();
	taken_bytes = source_of(port)->taken_bytes;
	pass();
	assert_int_equal(source_of(port)->taken_bytes, taken_bytes);
	/* Nothing has changed: it is parked again. */
	turns_unpark_all(&turns);
	assert_int_equal(turns_next_ns(&turns), TURNS_WORK_AT_HAND);
	pass();
	assert_true(port->parked);
	assert_int_equal(source_of(port)->taken_bytes, taken_bytes);
	config.max_bps = 0;
	qos_port_init(&port->qos, &sw->qos, &config, now_ns);
	turns_unpark_all(&turns);
	pass();
	assert_true(source_of(port)->taken_bytes > taken_bytes);
}

static void test_port_is_shut_while_it_waits(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct vport *port = new_port(
		sw, 1, UPLINK_SIDE, ETH_FRAME_MAX_BYTES, (struct qos_config){.max_bps = MBIT});

	(void)state;
	while (!port->parked)
		pass();
	vport_shut(port);
	run_until(now_ns + NS_PER_SEC);
	assert_int_equal(turns_next_ns(&turns), TURNS_NEVER);
	turns_remove(&turns, port);
	vport_free(port);
}

/* Many that wait for different times get their turns in the order of them. */
static void test_many_wait(void **state)
{
	struct vswitch *sw = new_switch(QOS_NONE, 0);
	struct vport *ports[N_MANY];
	uint64_t seed = 3, last_ns = 0;
	unsigned n_left = N_MANY;

	(void)state;
	for (unsigned i = 0; i < N_MANY; i++) {
		struct qos_config config = {
			.max_bps = MBIT + random_below(&seed, 1000) * MBIT / 10};

		/* Number 200 is behind the uplink. */
		ports[i] = new_port(sw, 201 + i, UPLINK_SIDE, ETH_FRAME_MAX_BYTES, config);
	}
	while (!list_empty(&turns.round))
		pass();
	assert_int_equal(turns.n_parked, N_MANY);
	for (unsigned i = 0; i < N_MANY; i += 3, n_left--) {
		turns_remove(&turns, ports[i]);
		assert_int_equal(ports[i]->parked, 0);
		vport_free(ports[i]);
	}
	assert_int_equal(turns.n_parked, n_left);
	while (turns.n_parked > 0) {
		struct vport *first = turns.parked[0];

		for (unsigned i = 0; i < turns.n_parked; i++) {
			assert_int_equal(turns.parked[i]->parked, i + 1);
			assert_true(turns.parked[i]->due_ns >= first->due_ns);
		}
		assert_true(turns_next_ns(&turns) >= last_ns);
		last_ns = turns_next_ns(&turns);
		/* It goes from here, and is not asked again. */
		turns_remove(&turns, first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_shaped_port_has_its_turns_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unshaped_port_is_not_delayed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_is_shared_by_weight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paced_link_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_uplink_is_charged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uplink_is_never_held_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_bandwidth_counts_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_is_shut_while_it_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
