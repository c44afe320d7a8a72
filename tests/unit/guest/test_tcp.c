/* SPDX-License-Identifier: MIT
 *
 * The guest's TCP against a peer over good and bad wires, in virtual time.
 */
#include "tcp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MANY_BYTES (400 * 1000)

static uint8_t data[MANY_BYTES];

static int set_up(void **state)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	*state = sim_new();
	return 0;
}

static int tear_down(void **state)
{
	sim_free(*state);
	return 0;
}

static bool first_is_done(struct sim *sim)
{
	return sim->peers[0].fin_received && sim->peers[0].fin_acked;
}

static bool all_established(struct sim *sim)
{
	for (size_t i = 0; i < SIM_N_PEERS; i++) {
		if (sim->peers[i].open && !sim->peers[i].established)
			return false;
	}
	return true;
}

static void check_echo(struct sim *sim, const struct sim_peer *peer, size_t size_bytes)
{
	assert_false(peer->reset);
	assert_int_equal(peer->rx_bytes, size_bytes);
	assert_memory_equal(peer->rx, data, size_bytes);
	sim_run(sim, 2 * NS_PER_S, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 0);
	assert_true(net_deadline(&sim->guest) == NEVER_NS);
	assert_int_equal(sim->guest.counters.malformed, 0);
}

static void test_echo(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, data, sizeof(data), true);

	assert_true(sim_run(sim, 10 * NS_PER_S, first_is_done));
	assert_int_equal(sim->guest.tcp.n_retransmits, 0);
	check_echo(sim, peer, sizeof(data));
}

static void test_echo_small(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, data, 1, true);

	assert_true(sim_run(sim, NS_PER_S, first_is_done));
	check_echo(sim, peer, 1);
}

static void test_echo_over_bad_wires(void **state)
{
	static const struct {
		unsigned loss, twice;
		uint64_t jitter_ns;
	} wires[] = {{10, 0, 0}, {50, 0, 0}, {0, 0, NS_PER_MS}, {20, 20, 300 * NS_PER_US},
		{200, 50, NS_PER_MS}};

	tear_down(state);
	for (size_t i = 0; i < N_ELEMENTS(wires); i++) {
		struct sim_peer *peer;
		struct sim *sim;

		set_up(state);
		sim = *state;
		sim->loss_permille = wires[i].loss;
		sim->double_permille = wires[i].twice;
		sim->jitter_ns = wires[i].jitter_ns;
		peer = sim_connect(sim, TCP_PORT_ECHO, data, 100000, true);
		assert_true(sim_run(sim, 600 * NS_PER_S, first_is_done));
		sim->loss_permille = 0;
		check_echo(sim, peer, 100000);
		tear_down(state);
	}
	set_up(state);
}

/* A link that is full most of the time delays, and loses nothing. */
static void test_full_link(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer;

	sim->link_frames = 3;
	peer = sim_connect(sim, TCP_PORT_ECHO, data, 50000, true);
	assert_true(sim_run(sim, 100 * NS_PER_S, first_is_done));
	sim->link_frames = 0;
	check_echo(sim, peer, 50000);
}

static void test_source(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_SOURCE, NULL, 0, false);

	sim->loss_permille = 10;
	sim_run(sim, 2 * NS_PER_S, NULL);
	assert_true(peer->rx_bytes > 100000);
	for (size_t i = 0; i < MIN_OF(peer->rx_bytes, (size_t)SIM_MAX_RX - 1460); i++)
		assert_int_equal(peer->rx[i], i % TCP_PATTERN_PERIOD);
	/* Once the peer has said all, the guest stops, too. */
	sim->loss_permille = 0;
	peer->close_when_sent = true;
	assert_true(sim_run(sim, 10 * NS_PER_S, first_is_done));
	sim_run(sim, NS_PER_S, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 0);
}

static void test_discard(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_DISCARD, data, sizeof(data), true);

	sim->loss_permille = 5;
	assert_true(sim_run(sim, 60 * NS_PER_S, first_is_done));
	assert_int_equal(peer->rx_bytes, 0);
	assert_false(peer->reset);
}

/* What a live migration looks like from here: silence, and the clock jumps. */
static void test_blackout(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, data, sizeof(data), true);
	static const uint64_t blackouts_ns[] = {5 * NS_PER_MS, 3 * NS_PER_S, 30 * NS_PER_S};

	for (size_t i = 0; i < N_ELEMENTS(blackouts_ns); i++) {
		sim_run(sim, 20 * NS_PER_MS, NULL);
		sim->cut = true;
		sim_run(sim, blackouts_ns[i], NULL);
		sim->cut = false;
	}
	assert_true(sim_run(sim, 60 * NS_PER_S, first_is_done));
	check_echo(sim, peer, sizeof(data));
}

static void test_clock_jump(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, data, sizeof(data), true);

	sim_run(sim, 2 * NS_PER_MS, NULL);
	sim->now_ns += 3600 * NS_PER_S;
	assert_true(sim_run(sim, 60 * NS_PER_S, first_is_done));
	check_echo(sim, peer, sizeof(data));
}

static void test_peer_vanishes(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *idle = sim_connect(sim, TCP_PORT_DISCARD, NULL, 0, false);
	struct sim_peer *busy = sim_connect(sim, TCP_PORT_SOURCE, NULL, 0, false);

	assert_true(sim_run(sim, NS_PER_S, all_established));
	sim_run(sim, 100 * NS_PER_MS, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 2);
	/* An idle connection that answers keepalives stays for ever. */
	busy->reset = true;
	sim_run(sim, 300 * NS_PER_S, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 1);
	idle->reset = true;
	sim_run(sim, 120 * NS_PER_S, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 0);
}

static void test_many_connections(void **state)
{
	struct sim *sim = *state;

	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++)
		sim_connect(sim, TCP_PORT_ECHO, data, 20000, false);
	assert_true(sim_run(sim, NS_PER_S, all_established));
	sim_connect(sim, TCP_PORT_ECHO, data, 1000, false);
	assert_false(sim_run(sim, 2 * NS_PER_S, all_established));
	assert_int_equal(tcp_n_open(&sim->guest.tcp), TCP_N_CONNECTIONS);
	assert_true(sim->guest.tcp.n_refused > 0);
	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++) {
		assert_int_equal(sim->peers[i].rx_bytes, 20000);
		assert_memory_equal(sim->peers[i].rx, data, 20000);
	}
	/* One goes, the one that waits comes in. */
	sim->peers[3].close_when_sent = true;
	assert_true(sim_run(sim, 5 * NS_PER_S, all_established));
	sim_run(sim, NS_PER_S, NULL);
	assert_int_equal(sim->peers[TCP_N_CONNECTIONS].rx_bytes, 1000);
}

static void test_closed_port(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, 80, NULL, 0, false);

	sim_run(sim, NS_PER_S, NULL);
	assert_true(peer->reset);
	assert_false(peer->established);
}

/* The peer reads nothing for a long time, then everything. */
static void test_closed_window(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, data, sizeof(data), true);

	sim_run(sim, 2 * NS_PER_MS, NULL);
	peer->window = 0;
	sim_run(sim, 300 * NS_PER_S, NULL);
	assert_false(peer->reset);
	assert_true(peer->rx_bytes < sizeof(data) / 2);
	peer->window = 4000;
	assert_true(sim_run(sim, 600 * NS_PER_S, first_is_done));
	check_echo(sim, peer, sizeof(data));
}

/* --- segments that no honest peer sends --- */

static struct sim_peer *establish(struct sim *sim)
{
	struct sim_peer *peer = sim_connect(sim, TCP_PORT_ECHO, NULL, 0, false);

	assert_true(sim_run(sim, NS_PER_S, all_established));
	sim_run(sim, 10 * NS_PER_MS, NULL);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 1);
	return peer;
}

static void test_resets(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = establish(sim);

	sim_inject(sim, peer, peer->snd_nxt + 1, peer->rcv_nxt, TCP_RST, 0, NULL, 0);
	sim_inject(sim, peer, peer->snd_nxt - 1, peer->rcv_nxt, TCP_RST, 0, NULL, 0);
	sim_inject(sim, peer, peer->snd_nxt + 100000, peer->rcv_nxt, TCP_RST, 0, NULL, 0);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 1);
	sim_inject(sim, peer, peer->snd_nxt, peer->rcv_nxt, TCP_RST, 0, NULL, 0);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 0);
}

static void test_wild_segments(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = establish(sim);
	uint32_t sequence = peer->snd_nxt, acknowledgment = peer->rcv_nxt;

	/* SYN inside, data without ACK, data out of the window, acknowledgments of the future. */
	sim_inject(sim, peer, sequence, acknowledgment, TCP_SYN, 1000, NULL, 0);
	sim_inject(sim, peer, sequence, acknowledgment, 0, 1000, "abc", 3);
	sim_inject(sim, peer, sequence + 70000, acknowledgment, TCP_ACK, 1000, "abc", 3);
	sim_inject(sim, peer, sequence - 70000, acknowledgment, TCP_ACK, 1000, "abc", 3);
	sim_inject(sim, peer, sequence, acknowledgment + 5, TCP_ACK, 1000, "abc", 3);
	sim_inject(sim, peer, sequence + 1, acknowledgment, TCP_ACK | TCP_FIN, 1000, NULL, 0);
	sim_run(sim, 10 * NS_PER_MS, NULL);
	assert_int_equal(peer->rx_bytes, 0);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 1);
}

/* Data, half of which is old. */
static void test_overlap(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = establish(sim);
	uint32_t sequence = peer->snd_nxt;

	sim_inject(sim, peer, sequence, peer->rcv_nxt, TCP_ACK, 1000, "abcd", 4);
	sim_inject(sim, peer, sequence + 2, peer->rcv_nxt, TCP_ACK, 1000, "cdef", 4);
	sim_inject(sim, peer, sequence + 8, peer->rcv_nxt, TCP_ACK, 1000, "xx", 2);
	sim_inject(sim, peer, sequence + 6, peer->rcv_nxt, TCP_ACK, 1000, "gh", 2);
	peer->snd_nxt += 8;
	sim_run(sim, 10 * NS_PER_MS, NULL);
	assert_int_equal(peer->rx_bytes, 8);
	assert_memory_equal(peer->rx, "abcdefgh", 8);
}

static void test_malformed(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = establish(sim);
	uint8_t frame[54] = {0};
	struct ipv4_header *ip = (struct ipv4_header *)(frame + 14);
	struct tcp_header *tcp = (struct tcp_header *)(ip + 1);

	memcpy(frame, sim->guest.mac, 6);
	frame[12] = 8;
	*ip = (struct ipv4_header){.version_ihl = 0x45,
		.length = be16(40),
		.protocol = IPV4_PROTOCOL_TCP,
		.source = be32(SIM_PEER_IP),
		.destination = be32(SIM_GUEST_IP)};
	*tcp = (struct tcp_header){.source = be16(peer->port),
		.destination = be16(TCP_PORT_ECHO),
		.sequence = be32(peer->snd_nxt),
		.flags = TCP_RST};
	for (unsigned offset = 0; offset < 16; offset++) {
		tcp->data_offset = (uint8_t)(offset << 4);
		if (offset != 5)
			net_input(&sim->guest, frame, sizeof(frame),
				NET_IP_CHECKED | NET_TRANSPORT_CHECKED, sim->now_ns);
	}
	assert_int_equal(sim->guest.counters.malformed, 15);
	/* A good one with a bad checksum. */
	tcp->data_offset = 5 << 4;
	net_input(&sim->guest, frame, sizeof(frame), NET_IP_CHECKED, sim->now_ns);
	assert_int_equal(tcp_n_open(&sim->guest.tcp), 1);
}

/* Random segments near the edges of the windows: nothing breaks, and an honest connection still
 * works afterwards. */
static void test_random_segments(void **state)
{
	struct sim *sim = *state;
	struct sim_peer *peer = establish(sim);

	for (int i = 0; i < 20000; i++) {
		uint32_t near = (uint32_t)(random() % 7 - 3) * (random() % 2 ? 1 : 32000);
		uint8_t flags = (uint8_t)(random() & 0x1f);

		if (random() % 50)
			flags &= (uint8_t)~TCP_RST;
		sim_inject(sim, peer, peer->snd_nxt + near,
			peer->rcv_nxt + (uint32_t)(random() % 5 - 2), flags, (uint16_t)random(),
			data, (size_t)random() % 1400);
		sim->now_ns += NS_PER_MS;
	}
	peer->reset = true;
	peer = sim_connect(sim, TCP_PORT_ECHO, data, 1000, true);
	sim_run(sim, 200 * NS_PER_S, NULL);
	assert_int_equal(peer->rx_bytes, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_small, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_over_bad_wires, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_discard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blackout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clock_jump, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_vanishes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_resets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wild_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_overlap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random_segments, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
