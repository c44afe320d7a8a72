/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/net_row.h"

/* Node 1's row: links 0 and 1 to nodes 2 and 3, which it also probes on a third network. */
static struct net_row *whole(struct net_row *row)
{
	*row = (struct net_row){.n_peers = 2, .n_probed = 2};
	assert_true(net_addr_parse("10.10.1.1", &row->address[0]));
	assert_true(net_addr_parse("10.10.2.1", &row->address[1]));
	for (uint32_t i = 0; i < 2; i++) {
		row->peers[i].id = i + 2;
		row->peers[i].links = 3;
		row->probed[i].id = i + 2;
		assert_true(net_subnet_parse("10.10.4.0/24", &row->probed[i].subnet));
	}
	return row;
}

static void rows_are_equal_in_all_they_say(void **state)
{
	static struct net_row a, b;

	(void)state;
	assert_true(net_row_equal(whole(&a), whole(&b)));
	b.peers[1].links = 1;
	assert_false(net_row_equal(&a, &b));
	whole(&b)->peers[1].id = 4;
	assert_false(net_row_equal(&a, &b));
	whole(&b)->probed[1].is_lost = true;
	assert_false(net_row_equal(&a, &b));
	assert_true(net_subnet_parse("10.10.5.0/24", &whole(&b)->probed[1].subnet));
	assert_false(net_row_equal(&a, &b));
	assert_true(net_addr_parse("10.10.1.9", &whole(&b)->address[0]));
	assert_false(net_row_equal(&a, &b));
	whole(&b)->n_peers = 1;
	assert_false(net_row_equal(&a, &b));
	whole(&b)->n_probed = 1;
	assert_false(net_row_equal(&a, &b));
}

static void only_a_loss_is_worse(void **state)
{
	static struct net_row before, now;

	(void)state;
	assert_false(net_row_is_worse(whole(&now), whole(&before)));
	now.peers[0].links = 2;
	assert_true(net_row_is_worse(&now, &before));
	assert_false(net_row_is_worse(&before, &now)); /* it comes back */
	before.peers[0].links = 1;
	assert_true(net_row_is_worse(&now, &before)); /* another one, but one was lost */

	whole(&now)->probed[1].is_lost = true;
	assert_true(net_row_is_worse(&now, whole(&before)));
	assert_false(net_row_is_worse(&before, &now));
	before.probed[1].is_lost = true;
	assert_false(net_row_is_worse(&now, &before));
}

static void what_is_new_is_worse_if_its_probes_are_lost(void **state)
{
	static struct net_row before, now;

	(void)state;
	whole(&before)->n_peers = 1;
	before.n_probed = 1;
	whole(&now)->peers[1].links = 1;
	assert_false(net_row_is_worse(&now, &before));
	now.probed[1].is_lost = true;
	assert_true(net_row_is_worse(&now, &before));
	/* One that is not a peer any more is no loss: it is no member. */
	assert_false(net_row_is_worse(&before, whole(&now)));
}

static void nothing_is_said_of_a_peer_that_no_link_reaches(void **state)
{
	static struct net_row row;

	(void)state;
	whole(&row)->peers[0].links = 0;
	net_row_leave_silent_out(&row, true);
	assert_int_equal(row.n_peers, 1);
	assert_int_equal(row.peers[0].id, 3);
	assert_int_equal(row.n_probed, 1);
	assert_int_equal(row.probed[0].id, 3);
}

static void lost_probes_count_until_corosync_has_been_asked_again(void **state)
{
	static struct net_row row;

	(void)state;
	whole(&row)->probed[1].is_lost = true;
	net_row_leave_silent_out(&row, true);
	assert_int_equal(row.n_peers, 2);
	assert_int_equal(row.n_probed, 2);
	net_row_leave_silent_out(&row, false);
	assert_int_equal(row.n_peers, 1);
	assert_int_equal(row.peers[0].id, 2);
	assert_int_equal(row.n_probed, 1);
	assert_int_equal(row.probed[0].id, 2);
}

static void one_answered_probe_is_enough(void **state)
{
	static struct net_row row;

	(void)state;
	whole(&row)->probed[0].is_lost = true;
	row.probed[2] = row.probed[0];
	row.probed[2].is_lost = false;
	assert_true(net_subnet_parse("10.10.5.0/24", &row.probed[2].subnet));
	row.n_probed = 3;
	net_row_leave_silent_out(&row, false);
	assert_int_equal(row.n_peers, 2);
	assert_int_equal(row.n_probed, 3);
	/* A peer that is not probed at all is not silent either. */
	whole(&row)->n_probed = 0;
	net_row_leave_silent_out(&row, false);
	assert_int_equal(row.n_peers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_equal_in_all_they_say),
		cmocka_unit_test(only_a_loss_is_worse),
		cmocka_unit_test(what_is_new_is_worse_if_its_probes_are_lost),
		cmocka_unit_test(nothing_is_said_of_a_peer_that_no_link_reaches),
		cmocka_unit_test(lost_probes_count_until_corosync_has_been_asked_again),
		cmocka_unit_test(one_answered_probe_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
