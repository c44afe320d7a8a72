/* SPDX-License-Identifier: MIT
 *
 * The decisions of a team: who carries, who takes over when, which copy of a frame is taken.
 */
#include "fabric/team.h"
#include "tests/unit/fabric/support.h"

#define MS        NS_PER_MS
#define START_NS  (1000 * NS_PER_SEC)
#define OUTSIDER  5000 /* an address that is not on our side */
#define N_ADDRESS 600

static struct team team;
static uint64_t now_ns;

static void init(enum team_mode mode, unsigned n_members, uint32_t up)
{
	now_ns = START_NS;
	team_init(&team, mode, n_members, up, 0x1234567);
}

static int send_from(unsigned src, uint16_t vid)
{
	uint8_t mac[ETH_ADDR_LEN];

	make_address(mac, src);
	return team_send(&team, mac, vid, now_ns);
}

static enum drop receive_marked(
	unsigned member, unsigned dst, unsigned src, uint16_t vid, uint32_t mark)
{
	uint8_t data[128];
	struct team_frame frame = {.data = data, .vid = vid};

	frame.size_bytes = make_frame(data, dst, src, -1, mark);
	return team_receive(&team, member, &frame, now_ns);
}

static enum drop receive(unsigned member, unsigned dst, unsigned src)
{
	static uint32_t mark = 1000;

	return receive_marked(member, dst, src, 0, mark++);
}

static bool link_is(unsigned member, bool up)
{
	return team_set_link(&team, member, up, now_ns);
}

static bool tick_after(uint64_t after_ns)
{
	now_ns += after_ns;
	return team_tick(&team, now_ns);
}

static void expect_carrying(uint32_t members)
{
	for (unsigned i = 0; i < TEAM_MAX_MEMBERS; i++)
		assert_int_equal(team_is_carrying(&team, i), members >> i & 1);
}

/* ---- who carries ---- */

static void test_first_member_carries(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 3, 7);
	for (unsigned i = 0; i < N_ADDRESS; i++)
		assert_int_equal(send_from(i, 0), 0);
	init(TEAM_STANDBY, 3, 6);
	assert_int_equal(send_from(1, 0), 1);
	assert_int_equal(team_due_ns(&team), 0);
}

static void test_standby_takes_over_at_once(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 3, 7);
	assert_true(link_is(0, false));
	assert_int_equal(send_from(1, 0), 1);
	assert_false(link_is(0, false));
	assert_false(link_is(2, false));
	assert_true(link_is(1, false));
	expect_carrying(0);
	assert_int_equal(send_from(1, 0), -ENETDOWN);
	/* Whoever comes first; there is nothing to wait for. */
	assert_true(link_is(2, true));
	assert_int_equal(send_from(1, 0), 2);
}

static void test_preferred_member_has_to_hold(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	assert_true(link_is(0, false));
	now_ns += 300 * MS;
	assert_false(link_is(0, true));
	assert_int_equal(team_due_ns(&team), now_ns + TEAM_HOLD_NS);
	assert_false(tick_after(TEAM_HOLD_NS - 1));
	assert_int_equal(send_from(1, 0), 1);
	assert_true(tick_after(1));
	assert_int_equal(send_from(1, 0), 0);
	assert_int_equal(team_due_ns(&team), 0);
	assert_false(tick_after(10 * NS_PER_SEC));
}

static void test_flapping_member_stays_out(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	assert_true(link_is(0, false));
	for (unsigned i = 0; i < 50; i++) {
		assert_false(link_is(0, true));
		assert_false(tick_after(TEAM_HOLD_NS - 1));
		assert_false(link_is(0, false));
		assert_int_equal(team_due_ns(&team), 0);
		assert_false(tick_after(50 * MS));
		assert_int_equal(send_from(1, 0), 1);
	}
	/* As the last resort it is good enough, and then it has no advantage over the other. */
	assert_false(link_is(0, true));
	assert_true(link_is(1, false));
	expect_carrying(1);
	assert_false(link_is(1, true));
	assert_false(tick_after(2 * TEAM_HOLD_NS));
	expect_carrying(1);
}

static void test_less_preferred_member_changes_nothing(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 3, 1);
	assert_false(link_is(1, true));
	assert_false(link_is(2, true));
	assert_false(tick_after(TEAM_HOLD_NS));
	assert_false(link_is(2, false));
	expect_carrying(1);
	/* A member that holds is passed over for one that has held. */
	assert_false(link_is(2, true));
	assert_false(tick_after(TEAM_HOLD_NS));
	assert_false(link_is(1, false));
	assert_false(link_is(1, true));
	assert_true(link_is(0, false));
	expect_carrying(4);
	assert_true(tick_after(TEAM_HOLD_NS));
	expect_carrying(2);
}

static void test_hash_members_join_after_the_hold(void **state)
{
	(void)state;
	init(TEAM_HASH, 3, 3);
	expect_carrying(3);
	assert_false(link_is(2, true));
	expect_carrying(3);
	assert_true(tick_after(TEAM_HOLD_NS));
	expect_carrying(7);
	assert_true(link_is(0, false));
	expect_carrying(6);
}

static void test_mode_names(void **state)
{
	enum team_mode mode = TEAM_STANDBY;

	(void)state;
	assert_int_equal(team_mode_parse(team_mode_name(TEAM_HASH), &mode), 0);
	assert_int_equal(mode, TEAM_HASH);
	assert_int_equal(team_mode_parse("standby", &mode), 0);
	assert_int_equal(mode, TEAM_STANDBY);
	assert_int_equal(team_mode_parse("lacp", &mode), -EINVAL);
	assert_int_equal(team_mode_parse("", &mode), -EINVAL);
}

/* ---- by which member ---- */

static void test_hash_spreads_addresses(void **state)
{
	unsigned n[TEAM_MAX_MEMBERS];

	(void)state;
	for (unsigned n_members = 2; n_members <= TEAM_MAX_MEMBERS; n_members++) {
		memset(n, 0, sizeof(n));
		init(TEAM_HASH, n_members, UINT32_MAX);
		for (unsigned i = 0; i < N_ADDRESS; i++)
			n[send_from(i, 0)]++;
		for (unsigned i = 0; i < n_members; i++)
			assert_in_range(n[i], N_ADDRESS * 6 / 10 / n_members,
				N_ADDRESS * 14 / 10 / n_members);
	}
}

static void test_address_has_one_member_in_all_vlans(void **state)
{
	(void)state;
	init(TEAM_HASH, 4, 15);
	for (unsigned i = 0; i < N_ADDRESS; i++)
		assert_int_equal(send_from(i, 0), send_from(i, (uint16_t)(1 + i)));
}

static void test_only_addresses_of_a_lost_member_move(void **state)
{
	int before[N_ADDRESS];

	(void)state;
	init(TEAM_HASH, 4, 15);
	for (unsigned i = 0; i < N_ADDRESS; i++)
		before[i] = send_from(i, 0);
	link_is(2, false);
	for (unsigned i = 0; i < N_ADDRESS; i++) {
		if (before[i] == 2)
			assert_int_not_equal(send_from(i, 0), 2);
		else
			assert_int_equal(send_from(i, 0), before[i]);
	}
	link_is(2, true);
	tick_after(TEAM_HOLD_NS);
	for (unsigned i = 0; i < N_ADDRESS; i++)
		assert_int_equal(send_from(i, 0), before[i]);
}

/* ---- reflections ---- */

static void test_reflections_are_dropped(void **state)
{
	(void)state;
	init(TEAM_HASH, 2, 3);
	assert_int_equal(receive(0, BROADCAST, 1), DROP_NONE);
	send_from(1, 0);
	for (unsigned member = 0; member < 2; member++) {
		assert_int_equal(receive(member, BROADCAST, 1), DROP_REFLECTED);
		assert_int_equal(receive(member, OUTSIDER, 1), DROP_REFLECTED);
	}
	/* Another address, and the same one in another VLAN, is somebody else. */
	assert_int_equal(receive(0, BROADCAST, 2), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, 1, 7, 1), DROP_NONE);
	now_ns += TEAM_SENT_NS - 1;
	assert_int_equal(receive(0, BROADCAST, 1), DROP_REFLECTED);
	now_ns += 1;
	assert_int_equal(receive(0, BROADCAST, 1), DROP_NONE);
}

static void test_moved_sender_is_heard(void **state)
{
	uint8_t mac[ETH_ADDR_LEN];
	int to;

	(void)state;
	init(TEAM_HASH, 2, 3);
	send_from(1, 0);
	send_from(1, 7);
	to = send_from(2, 0);
	/* Between two of our own it would not have left. */
	assert_int_equal(receive((unsigned)to, 2, 1), DROP_NONE);
	assert_int_equal(receive(1 - (unsigned)to, 2, 1), DROP_DUPLICATE);
	make_mac(mac, 1);
	team_forget(&team, mac);
	assert_int_equal(receive(0, BROADCAST, 1), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, 1, 7, 1), DROP_NONE);
	assert_int_equal(receive(0, BROADCAST, 2), DROP_REFLECTED);
}

static void test_full_table_loses_the_silent_ones(void **state)
{
	const unsigned n_flood = 50 * TEAM_SENT_SETS * TEAM_SENT_WAYS;

	(void)state;
	init(TEAM_STANDBY, 2, 3);
	for (unsigned i = 0; i < n_flood; i++) {
		now_ns += 10;
		send_from(1000 + i, 0);
		/* One that keeps sending stays. */
		if (i % 100 == 0)
			send_from(1, 0);
	}
	assert_int_equal(receive(0, BROADCAST, 1), DROP_REFLECTED);
	assert_int_equal(receive(0, BROADCAST, 1000 + n_flood - 1), DROP_REFLECTED);
	assert_int_equal(receive(0, BROADCAST, 1000), DROP_NONE);
}

static void test_single_member_has_no_copies(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 1, 1);
	send_from(1, 0);
	assert_int_equal(receive(0, BROADCAST, 1), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
}

/* ---- duplicates ---- */

/* How many of the copies that all members have are taken. */
static unsigned n_taken(unsigned dst, uint32_t mark)
{
	unsigned n = 0;

	for (unsigned member = 0; member < team.n_members; member++)
		n += receive_marked(member, dst, OUTSIDER, 0, mark) == DROP_NONE;
	return n;
}

static void test_one_copy_is_taken(void **state)
{
	(void)state;
	for (unsigned n_members = 1; n_members <= TEAM_MAX_MEMBERS; n_members++) {
		for (uint32_t up = 1; up < 1U << n_members; up++) {
			enum team_mode mode = up & 1 ? TEAM_HASH : TEAM_STANDBY;

			init(mode, n_members, up);
			assert_int_equal(n_taken(BROADCAST, 1), 1);
			for (unsigned dst = 0; dst < 20; dst++)
				assert_int_equal(n_taken(dst, 2), 1);
		}
	}
}

static void test_unicast_is_taken_where_its_destination_sends(void **state)
{
	(void)state;
	init(TEAM_HASH, 3, 7);
	for (unsigned i = 0; i < N_ADDRESS; i++) {
		int member = send_from(i, 0);

		/* Long after it last sent, too. */
		now_ns += 10 * NS_PER_SEC;
		assert_int_equal(receive((unsigned)member, i, OUTSIDER), DROP_NONE);
		assert_int_equal(receive((unsigned)(member + 1) % 3, i, OUTSIDER), DROP_DUPLICATE);
	}
}

static void test_repeated_multicast_is_no_copy(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	link_is(0, false);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
}

/* The old member's frames are still taken, and no frame twice, whichever copy comes first. */
static void test_copies_around_a_change(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	/* 1 is taken before the change, its copy is seen after it; of 2 both are seen after it. */
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	assert_true(link_is(0, false));
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_DUPLICATE);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 2), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 2), DROP_DUPLICATE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 3), DROP_NONE);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 3), DROP_DUPLICATE);
	/* The same content in another VLAN, or much later, is another frame. */
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 5, 3), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 4), DROP_NONE);
	now_ns += TEAM_COPY_NS;
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 4), DROP_NONE);
}

static void test_end_of_grace(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	link_is(0, false);
	now_ns += TEAM_GRACE_NS - 1;
	assert_int_equal(receive(0, 1, OUTSIDER), DROP_NONE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	now_ns += 1;
	/* Taken from the old member just before. */
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_DUPLICATE);
	assert_int_equal(receive(0, BROADCAST, OUTSIDER), DROP_DUPLICATE);
	assert_int_equal(receive(0, 1, OUTSIDER), DROP_DUPLICATE);
	assert_int_equal(receive(1, 1, OUTSIDER), DROP_NONE);
	assert_int_equal(receive(1, BROADCAST, OUTSIDER), DROP_NONE);
}

/* Frames of the same content are as many as one member has of them, before and after a change. */
static void test_same_content_again(void **state)
{
	(void)state;
	init(TEAM_STANDBY, 2, 3);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_DUPLICATE);
	assert_int_equal(receive_marked(0, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	link_is(0, false);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_DUPLICATE);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
	assert_int_equal(receive_marked(1, BROADCAST, OUTSIDER, 0, 1), DROP_NONE);
}

#define N_STREAM 400000

/* The next copies of the stream that this member has read by now. */
static void read_stream(
	unsigned member, unsigned *at, unsigned end, uint64_t *random, uint8_t *taken)
{
	while (*at < end && random_below(random, 8)) {
		taken[*at] += receive_marked(member, BROADCAST, OUTSIDER, 0, *at) == DROP_NONE;
		(*at)++;
	}
}

/* Every 10 us a broadcast, whose copies are read by the two members one now, one then; the
 * preferred one is given up and taken back. Every frame is taken, once. */
static void test_stream_across_changes(void **state)
{
	static uint8_t taken[N_STREAM];
	unsigned at[2] = {0}, n_changes = 0;
	uint64_t random = 99;

	(void)state;
	init(TEAM_STANDBY, 2, 3);
	for (unsigned i = 0; i < N_STREAM; i++) {
		now_ns += 10 * NS_PER_US;
		n_changes += team_tick(&team, now_ns);
		if (i % 200000 == 50000)
			n_changes += link_is(0, false);
		if (i % 200000 == 60000)
			link_is(0, true);
		read_stream(0, &at[0], i, &random, taken);
		read_stream(1, &at[1], i, &random, taken);
	}
	assert_int_equal(n_changes, 4);
	assert_true(MIN(at[0], at[1]) > N_STREAM - 100);
	for (unsigned i = 0; i < MIN(at[0], at[1]); i++)
		assert_int_equal(taken[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_member_carries),
		cmocka_unit_test(test_standby_takes_over_at_once),
		cmocka_unit_test(test_preferred_member_has_to_hold),
		cmocka_unit_test(test_flapping_member_stays_out),
		cmocka_unit_test(test_less_preferred_member_changes_nothing),
		cmocka_unit_test(test_hash_members_join_after_the_hold),
		cmocka_unit_test(test_mode_names),
		cmocka_unit_test(test_hash_spreads_addresses),
		cmocka_unit_test(test_address_has_one_member_in_all_vlans),
		cmocka_unit_test(test_only_addresses_of_a_lost_member_move),
		cmocka_unit_test(test_reflections_are_dropped),
		cmocka_unit_test(test_moved_sender_is_heard),
		cmocka_unit_test(test_full_table_loses_the_silent_ones),
		cmocka_unit_test(test_single_member_has_no_copies),
		cmocka_unit_test(test_one_copy_is_taken),
		cmocka_unit_test(test_unicast_is_taken_where_its_destination_sends),
		cmocka_unit_test(test_repeated_multicast_is_no_copy),
		cmocka_unit_test(test_copies_around_a_change),
		cmocka_unit_test(test_end_of_grace),
		cmocka_unit_test(test_same_content_again),
		cmocka_unit_test(test_stream_across_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
