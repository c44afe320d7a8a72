/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/netprobe.h"

#define MS 1000000ULL

/* Two nodes and the wire between them. */
struct side {
	struct world *world;
	struct netprobe *probe;
	struct netprobe_path path;
	unsigned n_sent, n_changed;
};

struct world {
	struct side sides[2];
	uint64_t now_ns;
	bool is_cut[2];      /* what side sends is lost */
	bool is_other_whole; /* but not over the other network */
	uint8_t next_nonce;
	uint8_t last[NETPROBE_BYTES];
};

static void on_send(
	const struct netprobe_path *path, const void *bytes, size_t size_bytes, void *data)
{
	struct side *side = data;
	struct world *world = side->world;
	size_t from = (size_t)(side - world->sides);

	assert_int_equal(size_bytes, NETPROBE_BYTES);
	side->n_sent++;
	memcpy(world->last, bytes, sizeof(world->last));
	if (!world->is_cut[from] || (world->is_other_whole && path->local.bytes[3] == 5))
		netprobe_receive(world->sides[1 - from].probe, &path->remote, &path->local, bytes,
			size_bytes, world->now_ns);
}

static void on_random(void *bytes, size_t size_bytes, void *data)
{
	struct side *side = data;

	memset(bytes, ++side->world->next_nonce, size_bytes);
}

static void on_changed(void *data)
{
	((struct side *)data)->n_changed++;
}

static const struct netprobe_ops ops = {
	.send = on_send, .random = on_random, .changed = on_changed};

static void set_up(struct world *world)
{
	static const char *const addresses[] = {"fd00:4::1", "fd00:4::2"};

	*world = (struct world){.now_ns = MS};
	for (size_t i = 0; i < 2; i++) {
		struct side *side = &world->sides[i];

		side->world = world;
		assert_int_equal(netprobe_new((uint32_t)i + 1, &ops, side, &side->probe), 0);
		assert_true(net_addr_parse(addresses[i], &side->path.local));
		assert_true(net_addr_parse(addresses[1 - i], &side->path.remote));
		assert_true(net_subnet_parse("fd00:4::/64", &side->path.subnet));
		side->path.peer = 2 - (uint32_t)i;
		assert_int_equal(netprobe_set_paths(side->probe, &side->path, 1, world->now_ns), 0);
	}
}

static void tear_down(struct world *world)
{
	netprobe_free(world->sides[0].probe);
	netprobe_free(world->sides[1].probe);
}

static void run(struct world *world, uint64_t for_ns)
{
	for (uint64_t i = 0; i < for_ns / NETPROBE_TICK_NS; i++) {
		world->now_ns += NETPROBE_TICK_NS;
		netprobe_tick(world->sides[0].probe, world->now_ns);
		netprobe_tick(world->sides[1].probe, world->now_ns);
	}
}

/* '?' nothing known, '+' reached, '-' lost */
static char state_of(const struct world *world, size_t side)
{
	static struct net_row row;

	netprobe_fill_row(world->sides[side].probe, &row);
	if (row.n_probed == 0)
		return '?';
	assert_int_equal(row.n_probed, 1);
	assert_int_equal(row.probed[0].id, 2 - side);
	return row.probed[0].is_lost ? '-' : '+';
}

static void a_path_is_reached_lost_and_reached_again(void **state)
{
	struct world world;

	(void)state;
	set_up(&world);
	assert_int_equal(state_of(&world, 0), '?');
	run(&world, 500 * MS);
	assert_int_equal(state_of(&world, 0), '+');
	assert_int_equal(state_of(&world, 1), '+');
	run(&world, 60000 * MS);
	assert_int_equal(state_of(&world, 0), '+');
	assert_int_equal(world.sides[0].n_changed, 1);

	world.is_cut[0] = true;
	run(&world, 250 * MS);
	assert_int_equal(state_of(&world, 0), '+'); /* one datagram may be lost */
	run(&world, 500 * MS);
	assert_int_equal(state_of(&world, 0), '-'); /* within 750 ms */
	assert_int_equal(state_of(&world, 1), '-'); /* an answer needs both ways */
	assert_int_equal(world.sides[0].n_changed, 2);

	world.is_cut[0] = false;
	run(&world, 250 * MS);
	assert_int_equal(state_of(&world, 0), '-'); /* one answer is not enough */
	run(&world, 250 * MS);
	assert_int_equal(state_of(&world, 0), '+');
	assert_int_equal(world.sides[0].n_changed, 3);
	tear_down(&world);
}

static void who_never_answers_gets_longer(void **state)
{
	struct world world;

	(void)state;
	set_up(&world);
	world.is_cut[1] = true;
	run(&world, 1750 * MS);
	assert_int_equal(state_of(&world, 0), '?');
	run(&world, 500 * MS);
	assert_int_equal(state_of(&world, 0), '-');
	tear_down(&world);
}

/* A node that was stopped for a while knows nothing of that time. */
static void a_stall_of_our_own_loses_nobody(void **state)
{
	struct world world;

	(void)state;
	set_up(&world);
	run(&world, 1000 * MS);
	world.now_ns += 20000 * MS;
	netprobe_tick(world.sides[0].probe, world.now_ns);
	assert_int_equal(state_of(&world, 0), '+');
	world.is_cut[0] = true;
	for (unsigned i = 0; i < 7; i++) {
		world.now_ns += NETPROBE_TICK_NS;
		netprobe_tick(world.sides[0].probe, world.now_ns);
	}
	assert_int_equal(state_of(&world, 0), '-');
	tear_down(&world);
}

/* What is not an answer to what was asked, of the one who was asked, changes nothing. */
static void strangers_are_not_heard(void **state)
{
	struct side *side;
	struct world world;
	uint8_t answer[NETPROBE_BYTES + 1] = {}, wrong[NETPROBE_BYTES + 1];
	struct net_addr other;

	(void)state;
	set_up(&world);
	side = &world.sides[0];
	world.is_cut[0] = world.is_cut[1] = true;
	world.now_ns += NETPROBE_TICK_NS;
	netprobe_tick(side->probe, world.now_ns);
	/* The answer that node 2 would give. */
	memcpy(answer, world.last, NETPROBE_BYTES);
	answer[4] = 2;
	answer[8] = 2;
	answer[12] = 1;
	for (size_t at = 0; at < NETPROBE_BYTES; at++) {
		memcpy(wrong, answer, sizeof(wrong));
		wrong[at] ^= 0x40;
		netprobe_receive(side->probe, &side->path.local, &side->path.remote, wrong,
			NETPROBE_BYTES, world.now_ns);
		assert_int_equal(state_of(&world, 0), '?');
	}
	for (size_t size = 0; size <= sizeof(answer); size++) {
		if (size != NETPROBE_BYTES)
			netprobe_receive(side->probe, &side->path.local, &side->path.remote, answer,
				size, world.now_ns);
	}
	other = side->path.remote;
	other.bytes[15] = 9;
	netprobe_receive(
		side->probe, &side->path.local, &other, answer, NETPROBE_BYTES, world.now_ns);
	netprobe_receive(
		side->probe, &other, &side->path.remote, answer, NETPROBE_BYTES, world.now_ns);
	assert_int_equal(state_of(&world, 0), '?');
	netprobe_receive(side->probe, &side->path.local, &side->path.remote, answer, NETPROBE_BYTES,
		world.now_ns);
	assert_int_equal(state_of(&world, 0), '+');
	tear_down(&world);
}

static void an_answer_counts_once(void **state)
{
	struct world world;
	uint8_t answer[NETPROBE_BYTES];
	struct side *side;

	(void)state;
	set_up(&world);
	side = &world.sides[0];
	run(&world, 500 * MS);
	world.is_cut[0] = world.is_cut[1] = true;
	run(&world, 1000 * MS);
	assert_int_equal(state_of(&world, 0), '-');
	netprobe_tick(side->probe, world.now_ns);
	netprobe_tick(side->probe, world.now_ns);
	memcpy(answer, world.last, sizeof(answer));
	answer[4] = 2;
	answer[8] = 2;
	answer[12] = 1;
	for (unsigned i = 0; i < 10; i++)
		netprobe_receive(side->probe, &side->path.local, &side->path.remote, answer,
			sizeof(answer), world.now_ns);
	assert_int_equal(state_of(&world, 0), '-');
	tear_down(&world);
}

static void answers_are_bounded(void **state)
{
	struct world world;
	struct side *side;
	uint8_t request[NETPROBE_BYTES];
	unsigned n_before;

	(void)state;
	set_up(&world);
	side = &world.sides[0];
	run(&world, 1000 * MS);
	netprobe_tick(world.sides[1].probe, world.now_ns);
	netprobe_tick(world.sides[1].probe, world.now_ns);
	memcpy(request, world.last, sizeof(request)); /* an answer of node 1's */
	request[4] = 1;
	request[8] = 2;
	request[12] = 1;
	world.is_cut[0] = true;
	n_before = side->n_sent;
	for (unsigned i = 0; i < 1000; i++)
		netprobe_receive(side->probe, &side->path.local, &side->path.remote, request,
			sizeof(request), world.now_ns);
	assert_in_range(side->n_sent - n_before, 1, 8);
	tear_down(&world);
}

static void paths_that_stay_keep_what_is_known(void **state)
{
	struct world world;
	struct side *side;
	struct netprobe_path paths[2];

	(void)state;
	set_up(&world);
	side = &world.sides[0];
	run(&world, 500 * MS);
	paths[0] = paths[1] = side->path;
	paths[1].peer = 7;
	paths[1].remote.bytes[15] = 7;
	assert_int_equal(netprobe_set_paths(side->probe, paths, 2, world.now_ns), 0);
	assert_int_equal(state_of(&world, 0), '+'); /* nothing is known of the other */
	assert_int_equal(netprobe_set_paths(side->probe, NULL, 0, world.now_ns), 0);
	assert_int_equal(state_of(&world, 0), '?');
	tear_down(&world);
}

static struct net_interface interface_of(size_t node, const char *address, unsigned prefix_len)
{
	struct net_interface interface = {.node = node, .prefix_len = prefix_len};

	assert_true(net_addr_parse(address, &interface.address));
	return interface;
}

/* Two networks, fd00:4:: and fd00:5::, each with a link of corosync. */
static void add_links(struct world *world)
{
	static const char *const addresses[] = {"fd00:5::1", "fd00:5::2"};

	for (size_t i = 0; i < 2; i++) {
		struct netprobe_path paths[2] = {world->sides[i].path, world->sides[i].path};

		assert_true(net_addr_parse(addresses[i], &paths[1].local));
		assert_true(net_addr_parse(addresses[1 - i], &paths[1].remote));
		assert_true(net_subnet_parse("fd00:5::/64", &paths[1].subnet));
		paths[0].has_link = paths[1].has_link = true;
		assert_int_equal(
			netprobe_set_paths(world->sides[i].probe, paths, 2, world->now_ns), 0);
	}
}

static unsigned count_lost(const struct world *world, size_t side, size_t *ret_n)
{
	static struct net_row row;
	unsigned n_lost = 0;

	netprobe_fill_row(world->sides[side].probe, &row);
	for (size_t i = 0; i < row.n_probed; i++)
		n_lost += row.probed[i].is_lost;
	*ret_n = row.n_probed;
	return n_lost;
}

static void where_a_link_runs_one_network_can_be_lost(void **state)
{
	struct world world;
	size_t n;

	(void)state;
	set_up(&world);
	add_links(&world);
	run(&world, 500 * MS);
	assert_true(count_lost(&world, 0, &n) == 0 && n == 2);
	world.is_cut[0] = world.is_cut[1] = world.is_other_whole = true;
	run(&world, 1000 * MS);
	assert_true(count_lost(&world, 0, &n) == 1 && n == 2);
	world.is_cut[0] = world.is_cut[1] = false;
	run(&world, 750 * MS);
	assert_true(count_lost(&world, 0, &n) == 0 && n == 2);
	tear_down(&world);
}

/* It is the peer's service that stands still: links know better. */
static void where_a_link_runs_all_networks_are_not_lost(void **state)
{
	struct world world;
	size_t n;

	(void)state;
	set_up(&world);
	add_links(&world);
	run(&world, 500 * MS);
	world.is_cut[1] = true;
	run(&world, 20000 * MS);
	assert_true(count_lost(&world, 0, &n) == 0 && n == 2);
	tear_down(&world);
}

/* A firewall that lets corosync through and not this. */
static void where_a_link_runs_what_was_never_reached_is_not_lost(void **state)
{
	struct world world;
	size_t n;

	(void)state;
	set_up(&world);
	add_links(&world);
	world.is_cut[0] = world.is_cut[1] = world.is_other_whole = true;
	run(&world, 20000 * MS);
	assert_true(count_lost(&world, 0, &n) == 0 && n == 1);
	tear_down(&world);
}

static void paths_are_found(void **state)
{
	static struct net_input in;
	struct netprobe_path paths[16];

	(void)state;
	in = (struct net_input){.n_nodes = 4};
	for (size_t i = 0; i < 4; i++) {
		in.nodes[i].id = (uint32_t)i + 1;
		in.nodes[i].is_member = i != 3;
		in.nodes[i].is_reporting = i != 3;
	}
	assert_true(net_addr_parse("10.1.0.1", &in.nodes[0].link_address[0]));
	assert_true(net_addr_parse("10.1.0.2", &in.nodes[1].link_address[0]));
	in.interfaces[in.n_interfaces++] = interface_of(0, "10.1.0.1", 24);
	in.interfaces[in.n_interfaces++] = interface_of(0, "10.1.0.9", 24); /* a second one */
	in.interfaces[in.n_interfaces++] = interface_of(0, "fd00::1", 64);
	in.interfaces[in.n_interfaces++] = interface_of(0, "10.2.0.1", 24); /* alone there */
	in.interfaces[in.n_interfaces++] = interface_of(1, "10.1.0.2", 24); /* a link is there */
	in.interfaces[in.n_interfaces++] = interface_of(1, "fd00::2", 64);
	in.interfaces[in.n_interfaces++] = interface_of(1, "10.2.0.2", 16); /* another subnet */
	in.interfaces[in.n_interfaces++] = interface_of(2, "10.1.0.3", 24); /* no link of its */
	in.interfaces[in.n_interfaces++] = interface_of(2, "fd00::3", 64);
	in.interfaces[in.n_interfaces - 1].is_down = true;
	in.interfaces[in.n_interfaces++] = interface_of(3, "fd00::4", 64); /* a node that is down */
	assert_int_equal(netprobe_find_paths(&in, 0, paths, ARRAY_LEN(paths)), 3);
	assert_true(paths[0].peer == 2 && paths[0].has_link);
	assert_true(paths[1].peer == 3 && !paths[1].has_link);
	assert_int_equal(paths[1].remote.bytes[3], 3);
	assert_int_equal(paths[1].local.bytes[3], 1);
	assert_true(paths[2].peer == 2 && !paths[2].has_link);
	assert_int_equal(paths[2].remote.family, NET_FAMILY_IPV6);
	assert_int_equal(netprobe_find_paths(&in, 0, paths, 1), 1);
	assert_int_equal(netprobe_find_paths(&in, 3, paths, ARRAY_LEN(paths)), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_reached_lost_and_reached_again),
		cmocka_unit_test(who_never_answers_gets_longer),
		cmocka_unit_test(a_stall_of_our_own_loses_nobody),
		cmocka_unit_test(strangers_are_not_heard),
		cmocka_unit_test(an_answer_counts_once),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(paths_that_stay_keep_what_is_known),
		cmocka_unit_test(where_a_link_runs_one_network_can_be_lost),
		cmocka_unit_test(where_a_link_runs_all_networks_are_not_lost),
		cmocka_unit_test(where_a_link_runs_what_was_never_reached_is_not_lost),
		cmocka_unit_test(paths_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
