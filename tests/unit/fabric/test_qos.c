/* SPDX-License-Identifier: MIT
 *
 * Bandwidth, with a simulated clock: ports that always have frames of a size to send, served one
 * after another by a worker whose turns take some time.
 */
#include "fabric/qos.h"
#include "fabric/io.h"
#include "tests/unit/fabric/support.h"

#include <string.h>

#define T0          (1000 * NS_PER_SEC)
#define N_SENDERS   8
#define MBIT        1000000ULL
#define GBIT        1000000000ULL
#define SUPER_FRAME ETH_FRAME_MAX_BYTES

struct sender {
	struct qos_port qos;
	uint32_t frame_bytes;
	bool idle;
	bool is_local; /* what it sends does not leave by the link */
	uint64_t parked_until_ns;
	uint64_t taken_bytes;
	uint64_t n_asked, n_turns;
};

static struct qos_link link_qos;
static struct sender senders[N_SENDERS];
static unsigned n_senders;
static uint64_t now_ns;
static uint64_t turn_ns; /* what a turn costs */

static void begin(enum qos_mode mode, uint64_t link_bps)
{
	memset(&link_qos, 0, sizeof(link_qos));
	memset(senders, 0, sizeof(senders));
	n_senders = 0;
	now_ns = T0;
	turn_ns = 1000;
	qos_link_init(&link_qos, mode, link_bps, now_ns);
}

static struct sender *add_sender(uint32_t frame_bytes, struct qos_config config)
{
	struct sender *sender = &senders[n_senders++];

	assert_null(qos_config_error(&config, link_qos.mode));
	sender->frame_bytes = frame_bytes;
	qos_port_init(&sender->qos, &link_qos, &config, now_ns);
	return sender;
}

static bool begin_round(void)
{
	struct qos_port *wanting[N_SENDERS];
	unsigned n = 0;

	for (unsigned i = 0; i < n_senders; i++) {
		if (!senders[i].idle && senders[i].parked_until_ns <= now_ns)
			wanting[n++] = &senders[i].qos;
	}
	return qos_round(&link_qos, wanting, n, now_ns);
}

static uint32_t ask(struct sender *sender)
{
	uint64_t at_ns = 0;
	uint32_t max_bytes = qos_turn(&link_qos, &sender->qos, now_ns, &at_ns);

	sender->n_asked++;
	if (max_bytes == 0 && at_ns <= now_ns && begin_round())
		max_bytes = qos_turn(&link_qos, &sender->qos, now_ns, &at_ns);
	sender->parked_until_ns = max_bytes == 0 ? at_ns : 0;
	return max_bytes;
}

/* As the backends take frames. */
static void take_turn(struct sender *sender, uint32_t max_bytes)
{
	uint64_t bytes = sender->frame_bytes;

	for (unsigned n = 1; n < IO_BATCH_FRAMES; n++) {
		if (bytes + sender->frame_bytes > MIN(max_bytes, IO_ARENA_BYTES))
			break;
		bytes += sender->frame_bytes;
	}
	sender->taken_bytes += bytes;
	sender->n_turns++;
	now_ns += turn_ns;
	qos_charge(&link_qos, &sender->qos, bytes, sender->is_local ? 0 : bytes, now_ns);
}

/* A pass over those that want to send. Nobody may have a turn: to when the first one may. */
static void pass(uint64_t until_ns)
{
	uint64_t next_ns = until_ns, before_ns = now_ns;
	uint32_t max_bytes;

	for (unsigned i = 0; i < n_senders; i++) {
		struct sender *sender = &senders[i];

		if (sender->idle || sender->parked_until_ns > now_ns)
			continue;
		max_bytes = ask(sender);
		if (max_bytes > 0)
			take_turn(sender, max_bytes);
	}
	if (now_ns != before_ns)
		return;
	for (unsigned i = 0; i < n_senders; i++) {
		if (!senders[i].idle)
			next_ns = MIN(next_ns, senders[i].parked_until_ns);
	}
	now_ns = MAX(next_ns, now_ns + 1);
}

static void run_for(uint64_t ns)
{
	uint64_t until_ns = now_ns + ns;

	while (now_ns < until_ns)
		pass(until_ns);
}

/* Run on after the buckets are used up, and count from there. */
static void measure(uint64_t ns)
{
	run_for(NS_PER_SEC);
	for (unsigned i = 0; i < n_senders; i++)
		senders[i].taken_bytes = senders[i].n_asked = senders[i].n_turns = 0;
	run_for(ns);
}

static void assert_near(uint64_t value, uint64_t wanted, unsigned permille)
{
	assert_in_range(
		value, wanted - wanted * permille / 1000, wanted + wanted * permille / 1000);
}

static uint64_t bps_of(const struct sender *sender, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)sender->taken_bytes * 8 * NS_PER_SEC / ns);
}

/* ---- the maximum ---- */

static void check_maximum(uint64_t bps, uint32_t frame_bytes)
{
	/* A frame more or less is not to matter. */
	uint64_t ns = MAX(2 * NS_PER_SEC, 200ULL * frame_bytes * 8 * NS_PER_SEC / bps);
	struct sender *sender;

	begin(QOS_NONE, 0);
	sender = add_sender(frame_bytes, (struct qos_config){.max_bps = bps});
	measure(ns);
	assert_near(bps_of(sender, ns), bps, 20);
	/* It sleeps in between, and its turns are worth it: the last ones may be for what is left.
	 */
	assert_true(sender->n_asked - sender->n_turns <= ns / NS_PER_MS * 5 / 4 + 1);
	assert_true(
		sender->n_turns <=
		ns / NS_PER_MS * 3 + sender->taken_bytes / MIN(IO_BATCH_FRAMES * frame_bytes,
								   IO_ARENA_BYTES - SUPER_FRAME));
}

static void test_maximum_is_exact(void **state)
{
	static const uint64_t rates_bps[] = {
		1 * MBIT, 10 * MBIT, 123456789, 100 * MBIT, 1 * GBIT, 10 * GBIT};
	static const uint32_t sizes_bytes[] = {60, 1514, 9014, SUPER_FRAME};

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rates_bps); r++) {
		for (size_t s = 0; s < ARRAY_LEN(sizes_bytes); s++) {
			/* A worker that takes 1 us for 64 of the smallest can do 30 Gbit/s. */
			check_maximum(rates_bps[r], sizes_bytes[s]);
		}
	}
}

/* At no time more than the rate, the bucket and one frame. */
static void test_maximum_is_never_exceeded(void **state)
{
	struct sender *sender;

	(void)state;
	begin(QOS_NONE, 0);
	sender = add_sender(SUPER_FRAME, (struct qos_config){.max_bps = 100 * MBIT});
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t most_bytes = 100 * MBIT * (now_ns - T0) / (8 * NS_PER_SEC) +
				      100 * MBIT * QOS_BURST_NS / (8 * NS_PER_SEC) + SUPER_FRAME;

		assert_true(sender->taken_bytes <= most_bytes);
		pass(UINT64_MAX);
	}
	assert_true(now_ns > T0 + NS_PER_SEC);
}

static void test_no_limits(void **state)
{
	struct qos_port zero = {0};
	struct sender *sender;
	uint64_t at_ns;

	(void)state;
	begin(QOS_NONE, 0);
	sender = add_sender(1514, (struct qos_config){0});
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns, &at_ns), QOS_NO_LIMIT);
	qos_charge(&link_qos, &sender->qos, UINT64_MAX, UINT64_MAX, now_ns);
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns, &at_ns), QOS_NO_LIMIT);
	assert_false(begin_round());
	memset(&link_qos, 0, sizeof(link_qos));
	assert_int_equal(qos_turn(&link_qos, &zero, now_ns, &at_ns), QOS_NO_LIMIT);
	assert_true(qos_storm(&zero, now_ns));
	/* A rate without a mode, or a mode without a rate, is no minimum. */
	begin(QOS_WEIGHT, 0);
	sender = add_sender(1514, (struct qos_config){.weight = 1});
	run_for(NS_PER_MS);
	assert_int_equal(sender->n_turns, NS_PER_MS / turn_ns);
	begin(QOS_NONE, 10 * MBIT);
	sender = add_sender(1514, (struct qos_config){0});
	run_for(NS_PER_MS);
	assert_int_equal(sender->n_turns, NS_PER_MS / turn_ns);
}

static void test_highest_rate(void **state)
{
	const uint64_t burst_bytes = QOS_MAX_RATE_BPS * QOS_BURST_NS / (8 * NS_PER_SEC);
	struct sender *sender;

	(void)state;
	begin(QOS_NONE, 0);
	sender = add_sender(SUPER_FRAME, (struct qos_config){.max_bps = QOS_MAX_RATE_BPS});
	measure(NS_PER_SEC / 10);
	assert_near(bps_of(sender, NS_PER_SEC / 10), QOS_MAX_RATE_BPS, 20);
	/* Hours of idleness are worth one bucket, and so is a year. */
	for (uint64_t hours = 10; hours < 10000; hours += 8760) {
		now_ns += hours * 3600 * NS_PER_SEC;
		turn_ns = 0;
		sender->taken_bytes = 0;
		for (uint64_t turns = sender->n_turns; ask(sender) > 0; turns++) {
			assert_int_equal(sender->n_turns, turns);
			take_turn(sender, QOS_NO_LIMIT);
		}
		assert_in_range(sender->taken_bytes, burst_bytes - burst_bytes / 50,
			burst_bytes + IO_ARENA_BYTES);
	}
}

static void test_odd_times_and_sums(void **state)
{
	struct sender *sender;
	uint64_t at_ns;

	(void)state;
	begin(QOS_WEIGHT, QOS_MAX_RATE_BPS * 1000);
	assert_int_equal(link_qos.link_bps, QOS_MAX_RATE_BPS);
	sender = add_sender(1514, (struct qos_config){.max_bps = QOS_MIN_RATE_BPS, .weight = 1});
	/* Sums that cannot be are a long wait, not a wrap. */
	for (unsigned i = 0; i < 3; i++)
		qos_charge(&link_qos, &sender->qos, UINT64_MAX, UINT64_MAX, now_ns);
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns, &at_ns), 0);
	assert_in_range(at_ns, now_ns + 10000 * NS_PER_SEC, now_ns + 20000 * NS_PER_SEC);
	assert_false(begin_round());
	now_ns = at_ns;
	assert_true(ask(sender) > 0);
	/* A clock that stands still or goes back gives nothing. */
	take_turn(sender, QOS_NO_LIMIT);
	take_turn(sender, QOS_NO_LIMIT);
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns, &at_ns), 0);
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns - NS_PER_SEC, &at_ns), 0);
	assert_true(at_ns > now_ns);
	assert_int_equal(qos_turn(&link_qos, &sender->qos, now_ns + 1, &at_ns), 0);
	now_ns = UINT64_MAX;
	assert_true(ask(sender) > 0);
	assert_false(qos_round(&link_qos, NULL, 0, now_ns));
}

/* ---- minimums ---- */

static void check_weights(uint64_t link_bps, const uint32_t sizes_bytes[3])
{
	static const uint32_t weights[] = {1, 2, 7};
	const uint64_t ns = 4 * NS_PER_SEC;
	uint64_t sum_bps = 0;

	begin(QOS_WEIGHT, link_bps);
	for (unsigned i = 0; i < 3; i++)
		add_sender(sizes_bytes[i], (struct qos_config){.weight = weights[i]});
	measure(ns);
	for (unsigned i = 0; i < 3; i++) {
		assert_near(bps_of(&senders[i], ns), link_bps * weights[i] / 10, 50);
		sum_bps += bps_of(&senders[i], ns);
	}
	assert_near(sum_bps, link_bps, 20);
}

static void test_weights_share_the_link(void **state)
{
	(void)state;
	check_weights(100 * MBIT, (const uint32_t[]){1514, 1514, 1514});
	check_weights(GBIT, (const uint32_t[]){1514, 1514, 1514});
	check_weights(GBIT, (const uint32_t[]){SUPER_FRAME, SUPER_FRAME, SUPER_FRAME});
	/* Who sends large frames has no advantage. */
	check_weights(GBIT, (const uint32_t[]){SUPER_FRAME, 1514, 200});
	check_weights(GBIT, (const uint32_t[]){200, 9014, SUPER_FRAME});
	check_weights(10 * GBIT, (const uint32_t[]){SUPER_FRAME, 1514, 1514});
	check_weights(10 * GBIT, (const uint32_t[]){1514, 200, SUPER_FRAME});
}

static void test_default_flow_has_weight_1(void **state)
{
	const uint64_t ns = 4 * NS_PER_SEC;

	(void)state;
	begin(QOS_WEIGHT, GBIT);
	add_sender(1514, (struct qos_config){.weight = 9});
	add_sender(1514, (struct qos_config){0});
	add_sender(SUPER_FRAME, (struct qos_config){0});
	measure(ns);
	assert_near(bps_of(&senders[0], ns), 900 * MBIT, 50);
	assert_near(bps_of(&senders[1], ns), 50 * MBIT, 50);
	assert_near(bps_of(&senders[2], ns), 50 * MBIT, 50);
}

static void test_absolute_minimums(void **state)
{
	const uint64_t ns = 4 * NS_PER_SEC;

	(void)state;
	begin(QOS_ABSOLUTE, GBIT);
	add_sender(1514, (struct qos_config){.min_bps = 400 * MBIT});
	add_sender(SUPER_FRAME, (struct qos_config){.min_bps = 200 * MBIT});
	add_sender(1514, (struct qos_config){0});
	add_sender(9014, (struct qos_config){0});
	measure(ns);
	/* 100 for the default flow, and 300 for all alike. */
	assert_near(bps_of(&senders[0], ns), 475 * MBIT, 50);
	assert_near(bps_of(&senders[1], ns), 275 * MBIT, 50);
	assert_near(bps_of(&senders[2], ns), 125 * MBIT, 50);
	assert_near(bps_of(&senders[3], ns), 125 * MBIT, 50);
	/* More is promised than there is: all are cut alike. */
	begin(QOS_ABSOLUTE, GBIT);
	add_sender(1514, (struct qos_config){.min_bps = 900 * MBIT});
	add_sender(1514, (struct qos_config){.min_bps = 600 * MBIT});
	measure(ns);
	assert_near(bps_of(&senders[0], ns), 600 * MBIT, 50);
	assert_near(bps_of(&senders[1], ns), 400 * MBIT, 50);
}

/* A minimum is there for who comes and goes, too. */
static void test_minimum_of_one_who_sends_now_and_then(void **state)
{
	struct sender *bulk, *now_and_then;
	uint64_t at_ns, slowest_ns = 0;

	(void)state;
	begin(QOS_ABSOLUTE, GBIT);
	bulk = add_sender(SUPER_FRAME, (struct qos_config){0});
	now_and_then = add_sender(1514, (struct qos_config){.min_bps = 100 * MBIT});
	now_and_then->idle = true;
	run_for(NS_PER_SEC);
	for (unsigned i = 0; i < 500; i++) {
		uint64_t turns = now_and_then->n_turns;

		now_and_then->idle = false;
		at_ns = now_ns;
		while (now_and_then->n_turns == turns)
			pass(now_ns + NS_PER_MS);
		slowest_ns = MAX(slowest_ns, now_ns - at_ns);
		now_and_then->idle = true;
		run_for(NS_PER_MS * 3);
	}
	assert_true(slowest_ns < 2 * NS_PER_MS);
	assert_true(bulk->taken_bytes > now_and_then->taken_bytes);
}

static void test_idle_ports_cost_nothing(void **state)
{
	const uint64_t ns = 4 * NS_PER_SEC;
	struct sender *big;

	(void)state;
	begin(QOS_WEIGHT, GBIT);
	big = add_sender(1514, (struct qos_config){.weight = 100});
	add_sender(1514, (struct qos_config){.weight = 1});
	add_sender(SUPER_FRAME, (struct qos_config){.weight = 1});
	big->idle = true;
	measure(ns);
	assert_near(bps_of(&senders[1], ns), 500 * MBIT, 50);
	assert_near(bps_of(&senders[2], ns), 500 * MBIT, 50);
	senders[2].idle = true;
	measure(ns);
	assert_near(bps_of(&senders[1], ns), GBIT, 20);
	/* Between rounds it sleeps. */
	assert_true(senders[1].n_asked < ns / NS_PER_MS * 10);
	/* It comes back, and has its share at once. */
	big->idle = senders[2].idle = false;
	measure(ns);
	assert_near(bps_of(big, ns), GBIT * 100 / 102, 50);
}

static void test_what_a_maximum_leaves_goes_to_others(void **state)
{
	const uint64_t ns = 4 * NS_PER_SEC;

	(void)state;
	begin(QOS_WEIGHT, GBIT);
	add_sender(1514, (struct qos_config){.weight = 100, .max_bps = 50 * MBIT});
	add_sender(1514, (struct qos_config){.weight = 1});
	measure(ns);
	assert_near(bps_of(&senders[0], ns), 50 * MBIT, 20);
	assert_near(bps_of(&senders[1], ns), 950 * MBIT, 20);
	assert_true(senders[1].n_asked < ns / NS_PER_MS * 20);
	/* One below its fair share has all it wants. */
	begin(QOS_ABSOLUTE, GBIT);
	add_sender(1514, (struct qos_config){.max_bps = 400 * MBIT, .min_bps = 400 * MBIT});
	add_sender(SUPER_FRAME, (struct qos_config){0});
	add_sender(1514, (struct qos_config){0});
	measure(ns);
	assert_near(bps_of(&senders[0], ns), 400 * MBIT, 30);
	assert_near(bps_of(&senders[1], ns), 300 * MBIT, 50);
	assert_near(bps_of(&senders[2], ns), 300 * MBIT, 50);
}

/* What stays on the node is not held back by the link, and takes nothing of it. */
static void test_local_traffic(void **state)
{
	const uint64_t ns = NS_PER_SEC;
	struct sender *local;

	(void)state;
	begin(QOS_WEIGHT, GBIT);
	local = add_sender(1514, (struct qos_config){.weight = 1});
	add_sender(1514, (struct qos_config){.weight = 1});
	add_sender(1514, (struct qos_config){.weight = 3});
	local->is_local = true;
	measure(ns);
	assert_true(bps_of(local, ns) > 100 * GBIT);
	assert_near(bps_of(&senders[1], ns) + bps_of(&senders[2], ns), GBIT, 20);
	assert_near(bps_of(&senders[2], ns), 750 * MBIT, 50);
}

static void test_many_small_shares(void **state)
{
	const uint64_t ns = 10 * NS_PER_SEC;

	(void)state;
	begin(QOS_WEIGHT, 10 * MBIT);
	for (unsigned i = 0; i < N_SENDERS; i++)
		add_sender(SUPER_FRAME, (struct qos_config){.weight = i == 0 ? 1 : 100});
	measure(ns * 60);
	for (unsigned i = 1; i < N_SENDERS; i++)
		assert_near(bps_of(&senders[i], ns * 60), 10 * MBIT * 100 / 701, 50);
	assert_true(senders[0].taken_bytes > 0);
	assert_true(bps_of(&senders[0], ns * 60) < 10 * MBIT * 3 / 701);
}

/* ---- changes ---- */

static void test_change_in_use(void **state)
{
	const uint64_t ns = 2 * NS_PER_SEC;
	struct qos_config config = {.max_bps = 10 * MBIT, .weight = 1};
	struct sender *a, *b;

	(void)state;
	begin(QOS_WEIGHT, GBIT);
	a = add_sender(1514, config);
	b = add_sender(1514, (struct qos_config){.weight = 3});
	measure(ns);
	assert_near(bps_of(a, ns), 10 * MBIT, 20);
	config.max_bps = 200 * MBIT;
	qos_port_init(&a->qos, &link_qos, &config, now_ns);
	a->parked_until_ns = 0;
	measure(ns);
	assert_near(bps_of(a, ns), 200 * MBIT, 20);
	config.max_bps = 0;
	qos_port_init(&a->qos, &link_qos, &config, now_ns);
	a->parked_until_ns = 0;
	measure(ns);
	assert_near(bps_of(a, ns), 250 * MBIT, 50);
	assert_near(bps_of(b, ns), 750 * MBIT, 50);
	config.weight = 9;
	qos_port_init(&a->qos, &link_qos, &config, now_ns);
	measure(ns);
	assert_near(bps_of(a, ns), 750 * MBIT, 50);
	/* The link becomes another one, and its ports are told. */
	qos_link_init(&link_qos, QOS_WEIGHT, 100 * MBIT, now_ns);
	for (unsigned i = 0; i < 2; i++) {
		config = senders[i].qos.config;
		qos_port_init(&senders[i].qos, &link_qos, &config, now_ns);
		senders[i].parked_until_ns = 0;
	}
	measure(ns);
	assert_near(bps_of(a, ns), 75 * MBIT, 50);
	assert_near(bps_of(b, ns), 25 * MBIT, 50);
}

/* ---- storms ---- */

static unsigned count_storm(struct qos_port *port, unsigned n, uint64_t at_ns)
{
	unsigned n_passed = 0;

	for (unsigned i = 0; i < n; i++)
		n_passed += qos_storm(port, at_ns);
	return n_passed;
}

static void test_storm_limit(void **state)
{
	struct qos_config config = {.storm_fps = 100};
	struct qos_port port = {0};
	struct qos_link none = {0};

	(void)state;
	qos_port_init(&port, &none, &config, T0);
	assert_int_equal(count_storm(&port, 60, T0), 60);
	assert_int_equal(count_storm(&port, 60, T0 + NS_PER_SEC - 1), 40);
	assert_int_equal(count_storm(&port, 1000, T0 + NS_PER_SEC), 100);
	assert_int_equal(count_storm(&port, 1000, T0 + 3600 * NS_PER_SEC), 100);
	/* A new configuration within a second is no second allowance. */
	config.storm_fps = 150;
	qos_port_init(&port, &none, &config, T0 + 3600 * NS_PER_SEC + 1);
	assert_int_equal(count_storm(&port, 1000, T0 + 3600 * NS_PER_SEC + 2), 50);
	config.storm_fps = 0;
	qos_port_init(&port, &none, &config, T0 + 3600 * NS_PER_SEC + 3);
	assert_int_equal(count_storm(&port, 1000, T0 + 3600 * NS_PER_SEC + 4), 1000);
}

/* ---- what can be asked for ---- */

static void test_config_errors(void **state)
{
	static const struct {
		struct qos_config config;
		enum qos_mode mode;
		const char *error;
	} cases[] = {
		{{0}, QOS_NONE, NULL},
		{{.max_bps = QOS_MIN_RATE_BPS}, QOS_NONE, NULL},
		{{.max_bps = QOS_MAX_RATE_BPS}, QOS_NONE, NULL},
		{{.max_bps = QOS_MIN_RATE_BPS - 1}, QOS_NONE, "maximum that"},
		{{.max_bps = QOS_MAX_RATE_BPS + 1}, QOS_NONE, "maximum that"},
		{{.max_bps = UINT64_MAX}, QOS_ABSOLUTE, "maximum that"},
		{{.min_bps = QOS_MIN_RATE_BPS}, QOS_ABSOLUTE, NULL},
		{{.min_bps = 1}, QOS_ABSOLUTE, "minimum that"},
		{{.min_bps = QOS_MAX_RATE_BPS + 1}, QOS_ABSOLUTE, "minimum that"},
		{{.min_bps = 2 * MBIT, .max_bps = 2 * MBIT}, QOS_ABSOLUTE, NULL},
		{{.min_bps = 3 * MBIT, .max_bps = 2 * MBIT}, QOS_ABSOLUTE, "above its maximum"},
		{{.min_bps = 2 * MBIT}, QOS_WEIGHT, "absolute"},
		{{.min_bps = 2 * MBIT}, QOS_NONE, "absolute"},
		{{.weight = 1}, QOS_WEIGHT, NULL},
		{{.weight = QOS_MAX_WEIGHT}, QOS_WEIGHT, NULL},
		{{.weight = QOS_MAX_WEIGHT + 1}, QOS_WEIGHT, "weight above"},
		{{.weight = 1}, QOS_ABSOLUTE, "mode \"weight\""},
		{{.weight = 1}, QOS_NONE, "mode \"weight\""},
		{{.storm_fps = UINT32_MAX}, QOS_NONE, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *error = qos_config_error(&cases[i].config, cases[i].mode);

		if (!cases[i].error)
			assert_null(error);
		else
			assert_non_null(strstr(error ?: "", cases[i].error));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maximum_is_exact),
		cmocka_unit_test(test_maximum_is_never_exceeded),
		cmocka_unit_test(test_no_limits),
		cmocka_unit_test(test_highest_rate),
		cmocka_unit_test(test_odd_times_and_sums),
		cmocka_unit_test(test_weights_share_the_link),
		cmocka_unit_test(test_default_flow_has_weight_1),
		cmocka_unit_test(test_absolute_minimums),
		cmocka_unit_test(test_minimum_of_one_who_sends_now_and_then),
		cmocka_unit_test(test_idle_ports_cost_nothing),
		cmocka_unit_test(test_what_a_maximum_leaves_goes_to_others),
		cmocka_unit_test(test_local_traffic),
		cmocka_unit_test(test_many_small_shares),
		cmocka_unit_test(test_change_in_use),
		cmocka_unit_test(test_storm_limit),
		cmocka_unit_test(test_config_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
