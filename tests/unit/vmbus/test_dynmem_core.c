/* SPDX-License-Identifier: MIT
 *
 * The protocol of dynamic memory: a guest that does as Linux' does, one that does less, one that
 * lies.
 */
#include "dynmem_rig.h"

static void test_versions(_unused_ void **state)
{
	const uint64_t capabilities[] = {DM_CAPABILITIES, 0, 0};

	dynmem_core_open(&dm_core);
	/* As Linux goes down, to the oldest, which has no info message. */
	dm_say_version(0x00030000, false);
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 0);
	dm_say_version(DYNMEM_VERSION_0_3, true);
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 1);
	dm_say(DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	dm_expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	dm_quiet();
	dynmem_core_close(&dm_core);
	dynmem_core_open(&dm_core);
	dm_say_version(0x00030000, true);
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 0);
	assert_int_equal(dm_core.phase, DYNMEM_REFUSED);
	assert_int_equal(dm_core.n_protocol_errors, 0);
	dm_say_version(DYNMEM_VERSION_2_0, false);
	dm_quiet();
	assert_int_equal(dm_core.n_protocol_errors, 1);
}

static void test_out_of_order(_unused_ void **state)
{
	const uint8_t body[64] = {0};

	dynmem_core_open(&dm_core);
	for (uint16_t type = 0; type < 300; type++) {
		if (type != DYNMEM_VERSION_REQUEST)
			dm_say(type, body, sizeof(body));
	}
	assert_int_equal(dm_core.n_protocol_errors, 299);
	dm_quiet();
	/* It does not wait for the answer. */
	dm_say_version(0x00030000, false);
	dm_say_version(DYNMEM_VERSION_2_0, false);
	assert_int_equal(dm_core.n_protocol_errors, 300);
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 0);
	dm_quiet();
	dm_core.n_protocol_errors = 0;
	dm_up_with(DM_CAPABILITIES);
	/* Responses to nothing; from the host's side; once more. */
	for (uint16_t type = 0; type < 300; type++) {
		if (type != DYNMEM_STATUS)
			dm_say(type, body, sizeof(body));
	}
	assert_int_equal(dm_core.n_protocol_errors, 299);
	assert_int_equal(dm_core.phase, DYNMEM_READY);
	dynmem_core_close(&dm_core);
	dm_say(DYNMEM_STATUS, body, 40);
	assert_int_equal(dm_core.n_protocol_errors, 300);
}

static void test_sizes(_unused_ void **state)
{
	uint8_t bytes[48] = {DYNMEM_STATUS, 0, 48};
	uint8_t large[DYNMEM_MAX_MESSAGE_BYTES + 8] = {DYNMEM_STATUS, 0, 48};
	uint64_t n_errors = 0;

	dm_up_with(DM_CAPABILITIES);
	for (size_t n = 0; n < sizeof(bytes); n++, n_errors++) {
		dm_push(bytes, n);
		assert_int_equal(dm_core.n_protocol_errors, n_errors + 1);
	}
	for (unsigned size = 0; size < 256; size++) {
		bytes[2] = (uint8_t)size;
		dm_push(bytes, sizeof(bytes));
		n_errors += size != 48;
		assert_int_equal(dm_core.n_protocol_errors, n_errors);
	}
	/* Padding is none of the message. */
	dm_push(large, DYNMEM_MAX_MESSAGE_BYTES);
	assert_int_equal(dm_core.n_protocol_errors, n_errors);
	dm_push(large, sizeof(large));
	assert_int_equal(dm_core.n_protocol_errors, n_errors + 1);
}

static void test_balloon_and_back(_unused_ void **state)
{
	uint64_t ranges[4];

	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 512 * MIB), 0);
	assert_int_equal(dm_expect_balloon(), 256 * MIB_PAGES);
	/* In several messages; a report in between changes nothing. */
	for (unsigned i = 0; i < 4; i++) {
		ranges[i] = dynmem_range((i + 1) * 128 * MIB_PAGES, 64 * MIB_PAGES);
		dm_say_ballooned(i < 3, &ranges[i], 1);
		assert_int_equal(dm_core.n_released, 1);
		dm_say_status(100 * MIB, 800 * MIB);
	}
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 768 * MIB);
	assert_int_equal(dm_expect_balloon(), 256 * MIB_PAGES);
	for (unsigned i = 0; i < 4; i++)
		ranges[i] = dynmem_range((i * 128 + 64) * MIB_PAGES, 64 * MIB_PAGES);
	dm_say_ballooned(false, ranges, 4);
	assert_int_equal(dm_core.n_released, 4);
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 512 * MIB);
	assert_int_equal(dm_core.ballooned.n_runs, 1);
	dm_quiet();

	/* Some of it back, then all; nothing is added while there is a balloon. */
	assert_int_equal(dynmem_core_set_target(&dm_core, 600 * MIB), 0);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(load_le32(dm_message + 8), 0);
	assert_int_equal(load_le32(dm_message + 12), 1);
	assert_int_equal(load_le64(dm_message + 16),
		dynmem_range((64 + 512 - 88) * MIB_PAGES, 88 * MIB_PAGES));
	dm_quiet();
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 600 * MIB);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1100 * MIB), 0);
	dm_quiet();
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(dm_core.ballooned.n_pages, 0);
	dm_quiet();
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	dm_expect(DYNMEM_HOT_ADD_REQUEST);
	assert_int_equal(dm_core.n_protocol_errors, 0);
}

/* Give 512 pages, each for itself, in two messages. */
static void give_scattered(uint64_t first)
{
	uint64_t ranges[256];

	assert_int_equal(dm_expect_balloon(), 512);
	for (unsigned part = 0; part < 2; part++) {
		for (unsigned i = 0; i < 256; i++)
			ranges[i] = dynmem_range(first + 2 * (part * 256 + i), 1);
		dm_say_ballooned(part == 0, ranges, 256);
		assert_int_equal(dm_core.n_released, 256);
	}
}

/* More ranges than a dm_message holds. */
static void test_unballoon_in_pieces(_unused_ void **state)
{
	uint64_t n_left;
	unsigned n_messages = 0;

	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1022 * MIB), 0);
	give_scattered(0);
	assert_int_equal(dm_core.ballooned.n_runs, 512);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1020 * MIB), 0);
	give_scattered(1025);
	assert_int_equal(dm_core.ballooned.n_runs, 1024);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1024 * MIB), 0);
	for (n_left = 1024; n_left; n_messages++) {
		uint32_t n_ranges;

		dm_expect(DYNMEM_UNBALLOON_REQUEST);
		n_ranges = load_le32(dm_message + 12);
		assert_true(n_ranges <= n_left);
		n_left -= n_ranges;
		assert_int_equal(load_le32(dm_message + 8), n_left != 0);
	}
	dm_quiet();
	assert_int_equal(n_messages, 3);
	assert_int_equal(dm_core.ballooned.n_pages, 0);
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	assert_int_equal(dm_core.operation, DYNMEM_IDLE);
	assert_int_equal(dm_core.n_protocol_errors, 0);
}

static void refused_balloon(const uint64_t *ranges, uint32_t n_ranges)
{
	uint64_t n_errors = dm_core.n_protocol_errors, n_pages = dm_core.ballooned.n_pages;

	dm_say_ballooned(true, ranges, n_ranges);
	assert_int_equal(dm_core.n_protocol_errors, n_errors + 1);
	assert_int_equal(dm_core.n_released, 0);
	assert_int_equal(dm_core.ballooned.n_pages, n_pages);
}

static void test_hostile_ranges(_unused_ void **state)
{
	const uint64_t good = dynmem_range(512, 512);
	uint64_t bad[2] = {good};
	uint8_t body[24] = {0};

	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 512 * MIB), 0);
	dm_expect_balloon();
	dm_say_ballooned(true, &good, 1);
	assert_int_equal(dm_core.n_released, 1);
	/* Again; partly; none; outside; across the end; where nothing was added. */
	refused_balloon(&good, 1);
	bad[0] = dynmem_range(1023, 2);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(4096, 0);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(DM_RAM_PAGES, 1);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(DM_RAM_PAGES - 1, 2);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(DM_HOT_FIRST, 1);
	refused_balloon(bad, 1);
	bad[0] = UINT64_MAX;
	refused_balloon(bad, 1);
	/* All or none; the same page twice in one. */
	bad[0] = dynmem_range(4096, 1);
	bad[1] = dynmem_range(4096, 1);
	refused_balloon(bad, 2);
	bad[1] = good;
	refused_balloon(bad, 2);
	/* More ranges than there are. */
	store_le32(body + 4, 3 << 1 | 1);
	memcpy(body + 8, bad, sizeof(bad));
	dm_say(DYNMEM_BALLOON_RESPONSE, body, sizeof(body));
	assert_int_equal(dm_core.n_released, 0);
	store_le32(body + 4, UINT32_MAX);
	dm_say(DYNMEM_BALLOON_RESPONSE, body, sizeof(body));
	assert_int_equal(dm_core.n_released, 0);
	assert_int_equal(dm_core.n_protocol_errors, 11);
	/* More than was asked for. */
	bad[0] = dynmem_range(4096, 512 * MIB_PAGES);
	refused_balloon(bad, 1);
	/* The end is believed, and the rest was not given. */
	bad[0] = dynmem_range(DM_RAM_PAGES, 1);
	dm_say_ballooned(false, bad, 1);
	assert_int_equal(dm_core.operation, DYNMEM_IDLE);
	assert_int_equal(dm_core.ballooned.n_pages, 512);
	dm_quiet();
}

static void test_floor(_unused_ void **state)
{
	const uint64_t range = dynmem_range(0, 512);

	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 512 * MIB), 0);
	assert_int_equal(dm_expect_balloon(), 256 * MIB_PAGES);
	dm_say_ballooned(false, &range, 1);
	/* Asked again in a minute; and growing is not held up. */
	dm_quiet();
	assert_int_equal(dynmem_core_deadline_ns(&dm_core, dm_now_ns), dm_now_ns + 60 * NS_PER_SEC);
	dm_now_ns += 60 * NS_PER_SEC;
	assert_int_equal(dm_expect_balloon(), 256 * MIB_PAGES);
	dm_say_ballooned(false, NULL, 0);
	dm_quiet();
	assert_int_equal(dynmem_core_set_target(&dm_core, 1024 * MIB), 0);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
}

static void test_hot_add(_unused_ void **state)
{
	dm_up_with(DM_CAPABILITIES);
	/* Rounded up, unless that is too much. */
	assert_int_equal(dynmem_core_set_target(&dm_core, 1100 * MIB), 0);
	dm_answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(load_le64(dm_message + 8), dynmem_range(DM_HOT_FIRST, 128 * MIB_PAGES));
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1152 * MIB);
	assert_int_equal(dynmem_core_added_bytes(&dm_core), 128 * MIB);
	/* The surplus goes into the balloon, from what was added too. */
	dm_balloon(DM_HOT_FIRST, 52 * MIB_PAGES);
	dm_quiet();
	/* A GiB at a time, to the very maximum. */
	assert_int_equal(dynmem_core_set_target(&dm_core, 4096 * MIB), 0);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	dm_answer_hot_add(1024 * MIB_PAGES, 1);
	dm_answer_hot_add(1024 * MIB_PAGES, 1);
	dm_answer_hot_add(896 * MIB_PAGES, 1);
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 4096 * MIB);
	dm_quiet();
	assert_int_equal(dm_hot_pages, 3072 * MIB_PAGES);
	assert_int_equal(dm_core.n_protocol_errors, 0);
	/* The next kernel has none of it, and is offered what is there. */
	dynmem_core_close(&dm_core);
	assert_int_equal(dynmem_core_added_bytes(&dm_core), 0);
	dynmem_core_open(&dm_core);
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1024 * MIB);
	assert_int_equal(dynmem_core_set_target(&dm_core, 0), 0);
	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1152 * MIB), 0);
	dm_answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(dm_hot_pages, 3072 * MIB_PAGES);
	dm_quiet();
}

static void test_maximum_between_units(_unused_ void **state)
{
	const struct dynmem_limits limits = {.min_bytes = 256 * MIB, .max_bytes = 1280 * MIB - 1};

	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), 0);
	dm_expect(DYNMEM_INFO);
	assert_int_equal(dynmem_core_set_target(&dm_core, limits.max_bytes), 0);
	dm_answer_hot_add(128 * MIB_PAGES, 1);
	dm_quiet();
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1152 * MIB);
}

static void test_hot_add_refused(_unused_ void **state)
{
	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1280 * MIB), 0);
	/* Not now. */
	dm_answer_hot_add(0, 0);
	dm_quiet();
	assert_int_equal(dynmem_core_deadline_ns(&dm_core, dm_now_ns), dm_now_ns + 60 * NS_PER_SEC);
	dm_now_ns += 60 * NS_PER_SEC;
	/* The same memory; part of it, which means no more. */
	dm_answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(load_le64(dm_message + 8), dynmem_range(DM_HOT_FIRST, 256 * MIB_PAGES));
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1152 * MIB);
	dm_quiet();
	assert_int_equal(dynmem_core_deadline_ns(&dm_core, dm_now_ns), DYNMEM_NEVER);
	dm_now_ns += 3600 * NS_PER_SEC;
	dm_quiet();
	/* More than it was offered. */
	dynmem_core_close(&dm_core);
	assert_int_equal(dynmem_core_set_target(&dm_core, 0), 0);
	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1280 * MIB), 0);
	dm_answer_hot_add(256 * MIB_PAGES + 1, 1);
	assert_int_equal(dm_core.n_protocol_errors, 1);
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1024 * MIB);
	dm_quiet();
}

static void test_no_memory_to_add(_unused_ void **state)
{
	dm_up_with(DM_CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1280 * MIB), 0);
	assert_int_equal(dynmem_core_wants_bytes(&dm_core, dm_now_ns), 256 * MIB);
	dynmem_core_made(&dm_core, dm_now_ns, -ENOSPC, 0, 0);
	assert_int_equal(dynmem_core_wants_bytes(&dm_core, dm_now_ns), 0);
	dm_quiet();
	dm_now_ns += 60 * NS_PER_SEC;
	assert_int_equal(dynmem_core_wants_bytes(&dm_core, dm_now_ns), 256 * MIB);
}

/* What the guest cannot do it is not asked for. */
static void test_capabilities(_unused_ void **state)
{
	dm_up_with(DYNMEM_CAP_BALLOON);
	assert_int_equal(dynmem_core_set_target(&dm_core, 2048 * MIB), 0);
	dm_quiet();
	assert_int_equal(dm_hot_pages, 0);
	assert_int_equal(dynmem_core_set_target(&dm_core, 512 * MIB), 0);
	dm_expect_balloon();
	dynmem_core_close(&dm_core);
	assert_int_equal(dynmem_core_set_target(&dm_core, 0), 0);
	dm_up_with(DYNMEM_CAP_HOT_ADD);
	assert_int_equal(dynmem_core_set_target(&dm_core, 512 * MIB), 0);
	dm_quiet();
	dynmem_core_close(&dm_core);
	assert_int_equal(dynmem_core_set_target(&dm_core, 0), 0);
	/* Its units are larger than ours. */
	dm_up_with(DM_CAPABILITIES + (1U << DYNMEM_CAP_ALIGNMENT_SHIFT));
	assert_int_equal(dynmem_core_set_target(&dm_core, 2048 * MIB), 0);
	dm_quiet();
	assert_int_equal(dm_hot_pages, 0);
}

static void test_limits(_unused_ void **state)
{
	struct dynmem_limits limits = dm_config.limits;

	limits.min_bytes = 1025 * MIB;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits.min_bytes = 0;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits = dm_config.limits;
	limits.max_bytes = 1023 * MIB;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits.max_bytes = 4097 * MIB;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits = dm_config.limits;
	limits.buffer_percent = 4;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits.buffer_percent = 201;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), -EINVAL);
	limits.buffer_percent = 200;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), 0);
	assert_int_equal(dynmem_core_set_target(&dm_core, 255 * MIB), -EINVAL);
	assert_int_equal(dynmem_core_set_target(&dm_core, 4097 * MIB), -EINVAL);
	/* Minimum and maximum alike: nothing changes. */
	limits.min_bytes = limits.max_bytes = 1024 * MIB;
	assert_int_equal(dynmem_core_set_limits(&dm_core, &limits), 0);
	dm_up_with(DM_CAPABILITIES);
	dm_say_status(UINT64_MAX, 0);
	dm_quiet();
	dm_now_ns += 100 * NS_PER_SEC;
	dm_say_status(0, 1000 * MIB);
	dm_quiet();
}

/* By its reports alone. */
static void test_pressure(_unused_ void **state)
{
	uint64_t next = 0;

	dm_up_with(DM_CAPABILITIES);
	for (unsigned s = 0; s < 120; s++) {
		dm_say_status(200 * MIB, dynmem_core_assigned_bytes(&dm_core) - 200 * MIB);
		if (!dm_fetch())
			continue;
		assert_int_equal(dm_header.type, DYNMEM_BALLOON_REQUEST);
		next += load_le32(dm_message + 8);
		dm_say_ballooned(false,
			(uint64_t[]){dynmem_range(
				next - load_le32(dm_message + 8), load_le32(dm_message + 8))},
			1);
	}
	assert_true(dynmem_core_assigned_bytes(&dm_core) >= 256 * MIB);
	assert_true(dynmem_core_assigned_bytes(&dm_core) <= 320 * MIB);
	dm_say_status(2000 * MIB, 10 * MIB);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	dm_answer_hot_add(1024 * MIB_PAGES, 1);
	dm_say_status(2000 * MIB, 10 * MIB);
	dm_answer_hot_add(384 * MIB_PAGES, 1);
	assert_true(dynmem_core_assigned_bytes(&dm_core) >= 2400 * MIB);
	assert_int_equal(dm_core.n_protocol_errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_versions, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_out_of_order, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_sizes, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_balloon_and_back, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_unballoon_in_pieces, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_ranges, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_floor, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_hot_add, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_maximum_between_units, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_hot_add_refused, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_no_memory_to_add, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_capabilities, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_limits, dm_setup, dm_teardown),
		cmocka_unit_test_setup_teardown(test_pressure, dm_setup, dm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
