/* SPDX-License-Identifier: MIT */
#include "node/host/order.h"

#include "tests/unit/base/cmocka_all.h"
#include "tests/unit/host/host_rig.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

/* eth0: default route of metric 100; eth1: connected only; eth2: default route of 50; br0: nothing.
 */
static struct host_net *net_new(void)
{
	static struct host_net net;

	memset(&net, 0, sizeof(net));
	for (int i = 0; i < 3; i++) {
		char text[32];

		snprintf(text, sizeof(text), "eth%d", i);
		rig_add_nic(&net, text, HOST_NIC_PHYSICAL);
		snprintf(text, sizeof(text), "10.0.%d.1/24", i);
		rig_add_address(&net, i + 1, text, i == 1 ? 70 : 0);
	}
	rig_add_nic(&net, "br0", HOST_NIC_BRIDGE);
	rig_add_route(&net, 1, "0.0.0.0/0", 100);
	rig_add_route(&net, 3, "0.0.0.0/0", 50);
	rig_add_route(&net, 3, "10.9.0.0/16", 3);
	return &net;
}

static void check_order(const struct host_net *net, const char *wanted)
{
	struct host_order_entry entries[8];
	size_t n = host_order_list(net, AF_INET, entries);
	char text[128] = "";

	for (size_t i = 0; i < n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, entries[i].nic);
		strcat(text, entries[i].ranked ? "" : "-");
	}
	assert_string_equal(text, wanted);
}

/* Plan, do it in the picture, and look at the order that comes of it. */
static size_t move(struct host_net *net, const char *nic, enum host_move where)
{
	_cleanup_free_ struct host_order_step *steps = NULL;
	size_t n = 0;

	assert_int_equal(host_order_plan(net, AF_INET, nic, where, &steps, &n), 0);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < net->n_addresses; k++) {
			struct host_address *a = &net->addresses[k];

			if (steps[i].is_address &&
				memcmp(a->local, steps[i].address.local, 16) == 0)
				a->metric = steps[i].to;
		}
		for (size_t k = 0; k < net->n_routes; k++) {
			struct host_route *route = &net->routes[k];

			if (!steps[i].is_address && route->ifindex == steps[i].route.ifindex &&
				!route->prefix_len && route->metric == steps[i].from)
				route->metric = steps[i].to;
		}
		assert_int_not_equal(steps[i].from, steps[i].to);
	}
	return n;
}

static void metrics_make_the_order(void **state _unused_)
{
	struct host_net *net = net_new();

	check_order(net, "eth2 eth1 eth0 br0-");
	host_net_fini(net);
}

static void moves_do_what_they_say(void **state _unused_)
{
	struct host_net *net = net_new();

	move(net, "eth0", HOST_MOVE_UP);
	check_order(net, "eth2 eth0 eth1 br0-");
	move(net, "eth1", HOST_MOVE_TOP);
	check_order(net, "eth1 eth2 eth0 br0-");
	move(net, "eth1", HOST_MOVE_DOWN);
	check_order(net, "eth2 eth1 eth0 br0-");
	move(net, "eth2", HOST_MOVE_BOTTOM);
	check_order(net, "eth1 eth0 eth2 br0-");
	/* At the end already, and every metric is as it should be: nothing to do. */
	assert_int_equal(move(net, "eth2", HOST_MOVE_DOWN), 0);
	assert_int_equal(move(net, "eth1", HOST_MOVE_UP), 0);
	assert_int_equal(net->routes[2].metric, 3); /* no route of this kind */
	host_net_fini(net);
}

static void what_has_no_rank_cannot_move(void **state _unused_)
{
	struct host_net *net = net_new();
	struct host_order_step *steps = NULL;
	size_t n;

	assert_int_equal(host_order_plan(net, AF_INET, "br0", HOST_MOVE_UP, &steps, &n), -ENOENT);
	assert_int_equal(host_order_plan(net, AF_INET, "eth9", HOST_MOVE_UP, &steps, &n), -ENODEV);
	assert_int_equal(host_order_plan(net, AF_INET6, "eth0", HOST_MOVE_UP, &steps, &n), -ENOENT);
	host_net_fini(net);
}

static void what_is_not_ours_keeps_its_metric(void **state _unused_)
{
	struct host_net *net = net_new();
	_cleanup_free_ struct host_order_step *steps = NULL;
	size_t n;

	net->routes[0].special = true;
	net->routes[1].protocol = RTPROT_RA;
	net->addresses[1].flags |= IFA_F_NOPREFIXROUTE;
	assert_int_equal(host_order_plan(net, AF_INET, "eth0", HOST_MOVE_TOP, &steps, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(steps[i].is_address);
		assert_string_not_equal(steps[i].nic, "eth1");
	}
	assert_int_equal(n, 2);
	host_net_fini(net);
}

static void an_empty_host_has_no_order(void **state _unused_)
{
	struct host_order_step *steps = NULL;
	struct host_net net = {0};
	size_t n;

	assert_int_equal(host_order_list(&net, AF_INET, NULL), 0);
	assert_int_equal(host_order_plan(&net, AF_INET, "eth0", HOST_MOVE_UP, &steps, &n), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_make_the_order),
		cmocka_unit_test(moves_do_what_they_say),
		cmocka_unit_test(what_has_no_rank_cannot_move),
		cmocka_unit_test(what_is_not_ours_keeps_its_metric),
		cmocka_unit_test(an_empty_host_has_no_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
