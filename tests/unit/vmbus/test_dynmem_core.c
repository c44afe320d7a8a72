/* SPDX-License-Identifier: MIT
 *
 * The protocol of dynamic memory: a guest that does as Linux' does, one that does less, one that
 * lies; states in between.
 */
#include "base/clock.h"
#include "vmbus/dynmem_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MIB       (1ULL << 20)
#define MIB_PAGES 256U
#define RAM_PAGES (1024U * MIB_PAGES)
#define HOT_FIRST (4096ULL * MIB_PAGES)

#define CAPABILITIES (DYNMEM_CAP_BALLOON | DYNMEM_CAP_HOT_ADD | 7U << DYNMEM_CAP_ALIGNMENT_SHIFT)

static struct dynmem_core core;
static uint64_t now_ns;
static uint64_t hot_pages; /* that the host made */

static uint8_t message[DYNMEM_MAX_MESSAGE_BYTES];
static struct dynmem_header header;

static bool is_ram(_unused_ void *data, uint64_t first, uint64_t n_pages)
{
	if (first >= HOT_FIRST)
		return first - HOT_FIRST + n_pages <= hot_pages;
	return first + n_pages <= RAM_PAGES;
}

static const struct dynmem_core_config usual = {
	.start_bytes = 1024 * MIB,
	.limits = {.min_bytes = 256 * MIB, .max_bytes = 4096 * MIB},
	.is_ram = is_ram,
};

static int setup(_unused_ void **state)
{
	dynmem_core_init(&core, &usual);
	now_ns = 1000 * NS_PER_SEC;
	hot_pages = 0;
	return 0;
}

static int teardown(_unused_ void **state)
{
	dynmem_core_fini(&core);
	return 0;
}

/* In memory of just its size. */
static void push(const void *bytes, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(exact);
	memcpy(exact, bytes, size_bytes);
	dynmem_core_receive(&core, now_ns, exact, size_bytes);
	free(exact);
}

static void say(uint16_t type, const void *body, size_t body_bytes)
{
	uint8_t bytes[DYNMEM_MAX_MESSAGE_BYTES];
	const struct dynmem_header said = {
		.type = type,
		.size_bytes = (uint16_t)(sizeof(said) + body_bytes),
		.transaction_id = 77,
	};

	memcpy(bytes, &said, sizeof(said));
	if (body_bytes)
		memcpy(bytes + sizeof(said), body, body_bytes);
	push(bytes, said.size_bytes);
}

/* The host makes what it wants to add. */
static void make(void)
{
	uint64_t size_bytes = dynmem_core_wants_bytes(&core, now_ns);

	if (size_bytes == 0)
		return;
	assert_int_equal(size_bytes % DYNMEM_HOT_ADD_BYTES, 0);
	dynmem_core_made(&core, now_ns, 0, HOT_FIRST + hot_pages, size_bytes / 4096);
	hot_pages += size_bytes / 4096;
}

static bool fetch(void)
{
	size_t n;

	make();
	n = dynmem_core_send(&core, now_ns, message);
	if (n == 0)
		return false;
	memcpy(&header, message, sizeof(header));
	assert_true(n <= sizeof(message));
	assert_int_equal(header.size_bytes, n);
	return true;
}

static void expect(uint16_t type)
{
	assert_true(fetch());
	assert_int_equal(header.type, type);
}

static void quiet(void)
{
	assert_false(fetch());
}

static void say_version(uint32_t version, bool is_last)
{
	const uint32_t body[] = {version, is_last};

	say(DYNMEM_VERSION_REQUEST, body, sizeof(body));
}

static void expect_response(uint16_t type, uint64_t accepted)
{
	expect(type);
	assert_int_equal(load_le64(message + 8), accepted);
	assert_int_equal(header.transaction_id, 77);
}

static void up_with(uint64_t capabilities)
{
	const uint64_t body[] = {capabilities, 0, UINT64_MAX};

	dynmem_core_open(&core);
	quiet();
	say_version(DYNMEM_VERSION_2_0, false);
	expect_response(DYNMEM_VERSION_RESPONSE, 1);
	say(DYNMEM_CAPABILITIES, body, sizeof(body));
	expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	expect(DYNMEM_INFO);
	assert_int_equal(load_le64(message + 24), core.limits.max_bytes / 4096);
	quiet();
	assert_int_equal(core.phase, DYNMEM_READY);
	assert_int_equal(core.n_protocol_errors, 0);
}

static void say_status(uint64_t committed_bytes, uint64_t available_bytes)
{
	const uint64_t body[] = {
		available_bytes / 4096, committed_bytes / 4096 + core.ballooned.n_pages, 0, 0, 0};

	now_ns += NS_PER_SEC;
	say(DYNMEM_STATUS, body, sizeof(body));
}

static void say_ballooned(bool more, const uint64_t *ranges, uint32_t n_ranges)
{
	uint8_t body[DYNMEM_MAX_MESSAGE_BYTES - sizeof(header)] = {0};

	store_le32(body + 4, n_ranges << 1 | more);
	if (n_ranges)
		memcpy(body + 8, ranges, n_ranges * sizeof(*ranges));
	say(DYNMEM_BALLOON_RESPONSE, body, 8 + n_ranges * sizeof(*ranges));
}

static uint32_t expect_balloon(void)
{
	expect(DYNMEM_BALLOON_REQUEST);
	assert_int_equal(load_le32(message + 8) % 512, 0);
	quiet();
	return load_le32(message + 8);
}

static void balloon(uint64_t first, uint32_t n_pages)
{
	const uint64_t range = dynmem_range(first, n_pages);

	assert_int_equal(expect_balloon(), n_pages);
	say_ballooned(false, &range, 1);
	assert_int_equal(core.n_released, 1);
	assert_int_equal(core.released[0].first, first);
	assert_int_equal(core.released[0].n_pages, n_pages);
}

static void test_versions(_unused_ void **state)
{
	const uint64_t capabilities[] = {CAPABILITIES, 0, 0};

	dynmem_core_open(&core);
	/* As Linux goes down, to the oldest, which has no info message. */
	say_version(0x00030000, false);
	expect_response(DYNMEM_VERSION_RESPONSE, 0);
	say_version(DYNMEM_VERSION_0_3, true);
	expect_response(DYNMEM_VERSION_RESPONSE, 1);
	say(DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	quiet();
	dynmem_core_close(&core);
	dynmem_core_open(&core);
	say_version(0x00030000, true);
	expect_response(DYNMEM_VERSION_RESPONSE, 0);
	assert_int_equal(core.phase, DYNMEM_REFUSED);
	assert_int_equal(core.n_protocol_errors, 0);
	say_version(DYNMEM_VERSION_2_0, false);
	quiet();
	assert_int_equal(core.n_protocol_errors, 1);
}

static void test_out_of_order(_unused_ void **state)
{
	const uint8_t body[64] = {0};

	dynmem_core_open(&core);
	for (uint16_t type = 0; type < 300; type++) {
		if (type != DYNMEM_VERSION_REQUEST)
			say(type, body, sizeof(body));
	}
	assert_int_equal(core.n_protocol_errors, 299);
	quiet();
	/* It does not wait for the answer. */
	say_version(0x00030000, false);
	say_version(DYNMEM_VERSION_2_0, false);
	assert_int_equal(core.n_protocol_errors, 300);
	expect_response(DYNMEM_VERSION_RESPONSE, 0);
	quiet();
	core.n_protocol_errors = 0;
	up_with(CAPABILITIES);
	/* Responses to nothing; from the host's side; once more. */
	for (uint16_t type = 0; type < 300; type++) {
		if (type != DYNMEM_STATUS)
			say(type, body, sizeof(body));
	}
	assert_int_equal(core.n_protocol_errors, 299);
	assert_int_equal(core.phase, DYNMEM_READY);
	dynmem_core_close(&core);
	say(DYNMEM_STATUS, body, 40);
	assert_int_equal(core.n_protocol_errors, 300);
}

static void test_sizes(_unused_ void **state)
{
	uint8_t bytes[48] = {DYNMEM_STATUS, 0, 48};
	uint8_t large[DYNMEM_MAX_MESSAGE_BYTES + 8] = {DYNMEM_STATUS, 0, 48};
	uint64_t n_errors = 0;

	up_with(CAPABILITIES);
	for (size_t n = 0; n < sizeof(bytes); n++, n_errors++) {
		push(bytes, n);
		assert_int_equal(core.n_protocol_errors, n_errors + 1);
	}
	for (unsigned size = 0; size < 256; size++) {
		bytes[2] = (uint8_t)size;
		push(bytes, sizeof(bytes));
		n_errors += size != 48;
		assert_int_equal(core.n_protocol_errors, n_errors);
	}
	/* Padding is none of the message. */
	push(large, DYNMEM_MAX_MESSAGE_BYTES);
	assert_int_equal(core.n_protocol_errors, n_errors);
	push(large, sizeof(large));
	assert_int_equal(core.n_protocol_errors, n_errors + 1);
}

static void test_balloon_and_back(_unused_ void **state)
{
	uint64_t ranges[4];

	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 512 * MIB), 0);
	assert_int_equal(expect_balloon(), 256 * MIB_PAGES);
	/* In several messages; a report in between changes nothing. */
	for (unsigned i = 0; i < 4; i++) {
		ranges[i] = dynmem_range((i + 1) * 128 * MIB_PAGES, 64 * MIB_PAGES);
		say_ballooned(i < 3, &ranges[i], 1);
		assert_int_equal(core.n_released, 1);
		say_status(100 * MIB, 800 * MIB);
	}
	assert_int_equal(dynmem_core_assigned_bytes(&core), 768 * MIB);
	assert_int_equal(expect_balloon(), 256 * MIB_PAGES);
	for (unsigned i = 0; i < 4; i++)
		ranges[i] = dynmem_range((i * 128 + 64) * MIB_PAGES, 64 * MIB_PAGES);
	say_ballooned(false, ranges, 4);
	assert_int_equal(core.n_released, 4);
	assert_int_equal(dynmem_core_assigned_bytes(&core), 512 * MIB);
	assert_int_equal(core.ballooned.n_runs, 1);
	quiet();

	/* Some of it back, then all; nothing is added while there is a balloon. */
	assert_int_equal(dynmem_core_set_target(&core, 600 * MIB), 0);
	expect(DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(load_le32(message + 8), 0);
	assert_int_equal(load_le32(message + 12), 1);
	assert_int_equal(
		load_le64(message + 16), dynmem_range((64 + 512 - 88) * MIB_PAGES, 88 * MIB_PAGES));
	quiet();
	assert_int_equal(dynmem_core_assigned_bytes(&core), 600 * MIB);
	assert_int_equal(dynmem_core_set_target(&core, 1100 * MIB), 0);
	quiet();
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	expect(DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(core.ballooned.n_pages, 0);
	quiet();
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	expect(DYNMEM_HOT_ADD_REQUEST);
	assert_int_equal(core.n_protocol_errors, 0);
}

/* Give 512 pages, each for itself, in two messages. */
static void give_scattered(uint64_t first)
{
	uint64_t ranges[256];

	assert_int_equal(expect_balloon(), 512);
	for (unsigned part = 0; part < 2; part++) {
		for (unsigned i = 0; i < 256; i++)
			ranges[i] = dynmem_range(first + 2 * (part * 256 + i), 1);
		say_ballooned(part == 0, ranges, 256);
		assert_int_equal(core.n_released, 256);
	}
}

/* More ranges than a message holds. */
static void test_unballoon_in_pieces(_unused_ void **state)
{
	uint64_t n_left;
	unsigned n_messages = 0;

	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 1022 * MIB), 0);
	give_scattered(0);
	assert_int_equal(core.ballooned.n_runs, 512);
	assert_int_equal(dynmem_core_set_target(&core, 1020 * MIB), 0);
	give_scattered(1025);
	assert_int_equal(core.ballooned.n_runs, 1024);
	assert_int_equal(dynmem_core_set_target(&core, 1024 * MIB), 0);
	for (n_left = 1024; n_left; n_messages++) {
		uint32_t n_ranges;

		expect(DYNMEM_UNBALLOON_REQUEST);
		n_ranges = load_le32(message + 12);
		assert_true(n_ranges <= n_left);
		n_left -= n_ranges;
		assert_int_equal(load_le32(message + 8), n_left != 0);
	}
	quiet();
	assert_int_equal(n_messages, 3);
	assert_int_equal(core.ballooned.n_pages, 0);
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	assert_int_equal(core.operation, DYNMEM_IDLE);
	assert_int_equal(core.n_protocol_errors, 0);
}

static void refused_balloon(const uint64_t *ranges, uint32_t n_ranges)
{
	uint64_t n_errors = core.n_protocol_errors, n_pages = core.ballooned.n_pages;

	say_ballooned(true, ranges, n_ranges);
	assert_int_equal(core.n_protocol_errors, n_errors + 1);
	assert_int_equal(core.n_released, 0);
	assert_int_equal(core.ballooned.n_pages, n_pages);
}

static void test_hostile_ranges(_unused_ void **state)
{
	const uint64_t good = dynmem_range(512, 512);
	uint64_t bad[2] = {good};
	uint8_t body[24] = {0};

	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 512 * MIB), 0);
	expect_balloon();
	say_ballooned(true, &good, 1);
	assert_int_equal(core.n_released, 1);
	/* Again; partly; none; outside; across the end; where nothing was added. */
	refused_balloon(&good, 1);
	bad[0] = dynmem_range(1023, 2);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(4096, 0);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(RAM_PAGES, 1);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(RAM_PAGES - 1, 2);
	refused_balloon(bad, 1);
	bad[0] = dynmem_range(HOT_FIRST, 1);
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
	say(DYNMEM_BALLOON_RESPONSE, body, sizeof(body));
	assert_int_equal(core.n_released, 0);
	store_le32(body + 4, UINT32_MAX);
	say(DYNMEM_BALLOON_RESPONSE, body, sizeof(body));
	assert_int_equal(core.n_released, 0);
	assert_int_equal(core.n_protocol_errors, 11);
	/* More than was asked for. */
	bad[0] = dynmem_range(4096, 512 * MIB_PAGES);
	refused_balloon(bad, 1);
	/* The end is believed, and the rest was not given. */
	bad[0] = dynmem_range(RAM_PAGES, 1);
	say_ballooned(false, bad, 1);
	assert_int_equal(core.operation, DYNMEM_IDLE);
	assert_int_equal(core.ballooned.n_pages, 512);
	quiet();
}

static void test_floor(_unused_ void **state)
{
	const uint64_t range = dynmem_range(0, 512);

	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 512 * MIB), 0);
	assert_int_equal(expect_balloon(), 256 * MIB_PAGES);
	say_ballooned(false, &range, 1);
	/* Asked again in a minute; and growing is not held up. */
	quiet();
	assert_int_equal(dynmem_core_deadline_ns(&core, now_ns), now_ns + 60 * NS_PER_SEC);
	now_ns += 60 * NS_PER_SEC;
	assert_int_equal(expect_balloon(), 256 * MIB_PAGES);
	say_ballooned(false, NULL, 0);
	quiet();
	assert_int_equal(dynmem_core_set_target(&core, 1024 * MIB), 0);
	expect(DYNMEM_UNBALLOON_REQUEST);
}

static void answer_hot_add(uint32_t n_pages, uint32_t result)
{
	const uint32_t body[] = {n_pages, result};

	expect(DYNMEM_HOT_ADD_REQUEST);
	quiet();
	say(DYNMEM_HOT_ADD_RESPONSE, body, sizeof(body));
}

static void test_hot_add(_unused_ void **state)
{
	up_with(CAPABILITIES);
	/* Rounded up, unless that is too much. */
	assert_int_equal(dynmem_core_set_target(&core, 1100 * MIB), 0);
	answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(load_le64(message + 8), dynmem_range(HOT_FIRST, 128 * MIB_PAGES));
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1152 * MIB);
	assert_int_equal(dynmem_core_added_bytes(&core), 128 * MIB);
	/* The surplus goes into the balloon, from what was added too. */
	balloon(HOT_FIRST, 52 * MIB_PAGES);
	quiet();
	/* A GiB at a time, to the very maximum. */
	assert_int_equal(dynmem_core_set_target(&core, 4096 * MIB), 0);
	expect(DYNMEM_UNBALLOON_REQUEST);
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	answer_hot_add(1024 * MIB_PAGES, 1);
	answer_hot_add(1024 * MIB_PAGES, 1);
	answer_hot_add(896 * MIB_PAGES, 1);
	assert_int_equal(dynmem_core_assigned_bytes(&core), 4096 * MIB);
	quiet();
	assert_int_equal(hot_pages, 3072 * MIB_PAGES);
	assert_int_equal(core.n_protocol_errors, 0);
	/* The next kernel has none of it, and is offered what is there. */
	dynmem_core_close(&core);
	assert_int_equal(dynmem_core_added_bytes(&core), 0);
	dynmem_core_open(&core);
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1024 * MIB);
	assert_int_equal(dynmem_core_set_target(&core, 0), 0);
	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 1152 * MIB), 0);
	answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(hot_pages, 3072 * MIB_PAGES);
	quiet();
}

static void test_maximum_between_units(_unused_ void **state)
{
	const struct dynmem_limits limits = {.min_bytes = 256 * MIB, .max_bytes = 1280 * MIB - 1};

	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_limits(&core, &limits), 0);
	expect(DYNMEM_INFO);
	assert_int_equal(dynmem_core_set_target(&core, limits.max_bytes), 0);
	answer_hot_add(128 * MIB_PAGES, 1);
	quiet();
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1152 * MIB);
}

static void test_hot_add_refused(_unused_ void **state)
{
	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 1280 * MIB), 0);
	/* Not now. */
	answer_hot_add(0, 0);
	quiet();
	assert_int_equal(dynmem_core_deadline_ns(&core, now_ns), now_ns + 60 * NS_PER_SEC);
	now_ns += 60 * NS_PER_SEC;
	/* The same memory; part of it, which means no more. */
	answer_hot_add(128 * MIB_PAGES, 1);
	assert_int_equal(load_le64(message + 8), dynmem_range(HOT_FIRST, 256 * MIB_PAGES));
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1152 * MIB);
	quiet();
	assert_int_equal(dynmem_core_deadline_ns(&core, now_ns), DYNMEM_NEVER);
	now_ns += 3600 * NS_PER_SEC;
	quiet();
	/* More than it was offered. */
	dynmem_core_close(&core);
	assert_int_equal(dynmem_core_set_target(&core, 0), 0);
	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 1280 * MIB), 0);
	answer_hot_add(256 * MIB_PAGES + 1, 1);
	assert_int_equal(core.n_protocol_errors, 1);
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1024 * MIB);
	quiet();
}

static void test_no_memory_to_add(_unused_ void **state)
{
	up_with(CAPABILITIES);
	assert_int_equal(dynmem_core_set_target(&core, 1280 * MIB), 0);
	assert_int_equal(dynmem_core_wants_bytes(&core, now_ns), 256 * MIB);
	dynmem_core_made(&core, now_ns, -ENOSPC, 0, 0);
	assert_int_equal(dynmem_core_wants_bytes(&core, now_ns), 0);
	quiet();
	now_ns += 60 * NS_PER_SEC;
	assert_int_equal(dynmem_core_wants_bytes(&core, now_ns), 256 * MIB);
}

/* What the guest cannot do it is not asked for. */
static void test_capabilities(_unused_ void **state)
{
	up_with(DYNMEM_CAP_BALLOON);
	assert_int_equal(dynmem_core_set_target(&core, 2048 * MIB), 0);
	quiet();
	assert_int_equal(hot_pages, 0);
	assert_int_equal(dynmem_core_set_target(&core, 512 * MIB), 0);
	expect_balloon();
	dynmem_core_close(&core);
	assert_int_equal(dynmem_core_set_target(&core, 0), 0);
	up_with(DYNMEM_CAP_HOT_ADD);
	assert_int_equal(dynmem_core_set_target(&core, 512 * MIB), 0);
	quiet();
	dynmem_core_close(&core);
	assert_int_equal(dynmem_core_set_target(&core, 0), 0);
	/* Its units are larger than ours. */
	up_with(CAPABILITIES + (1U << DYNMEM_CAP_ALIGNMENT_SHIFT));
	assert_int_equal(dynmem_core_set_target(&core, 2048 * MIB), 0);
	quiet();
	assert_int_equal(hot_pages, 0);
}

static void test_limits(_unused_ void **state)
{
	struct dynmem_limits limits = usual.limits;

	limits.min_bytes = 1025 * MIB;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits.min_bytes = 0;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits = usual.limits;
	limits.max_bytes = 1023 * MIB;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits.max_bytes = 4097 * MIB;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits = usual.limits;
	limits.buffer_percent = 4;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits.buffer_percent = 201;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), -EINVAL);
	limits.buffer_percent = 200;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), 0);
	assert_int_equal(dynmem_core_set_target(&core, 255 * MIB), -EINVAL);
	assert_int_equal(dynmem_core_set_target(&core, 4097 * MIB), -EINVAL);
	/* Minimum and maximum alike: nothing changes. */
	limits.min_bytes = limits.max_bytes = 1024 * MIB;
	assert_int_equal(dynmem_core_set_limits(&core, &limits), 0);
	up_with(CAPABILITIES);
	say_status(UINT64_MAX, 0);
	quiet();
	now_ns += 100 * NS_PER_SEC;
	say_status(0, 1000 * MIB);
	quiet();
}

/* By its reports alone. */
static void test_pressure(_unused_ void **state)
{
	uint64_t next = 0;

	up_with(CAPABILITIES);
	for (unsigned s = 0; s < 120; s++) {
		say_status(200 * MIB, dynmem_core_assigned_bytes(&core) - 200 * MIB);
		if (!fetch())
			continue;
		assert_int_equal(header.type, DYNMEM_BALLOON_REQUEST);
		next += load_le32(message + 8);
		say_ballooned(false,
			(uint64_t[]){dynmem_range(
				next - load_le32(message + 8), load_le32(message + 8))},
			1);
	}
	assert_true(dynmem_core_assigned_bytes(&core) >= 256 * MIB);
	assert_true(dynmem_core_assigned_bytes(&core) <= 320 * MIB);
	say_status(2000 * MIB, 10 * MIB);
	expect(DYNMEM_UNBALLOON_REQUEST);
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	answer_hot_add(1024 * MIB_PAGES, 1);
	say_status(2000 * MIB, 10 * MIB);
	answer_hot_add(384 * MIB_PAGES, 1);
	assert_true(dynmem_core_assigned_bytes(&core) >= 2400 * MIB);
	assert_int_equal(core.n_protocol_errors, 0);
}

static int restore(const uint8_t *bytes, size_t size_bytes, bool open)
{
	struct reader in = reader_make(bytes, size_bytes);
	int r;

	dynmem_core_fini(&core);
	dynmem_core_init(&core, &usual);
	r = dynmem_core_restore_ranges(&core, &in);
	if (r == 0)
		r = dynmem_core_restore(&core, &in, open);
	return r == 0 && !reader_done(&in) ? -EBADMSG : r;
}

/* Every byte wrong in turn; what is accepted all the same holds together. */
static void check_hostile(struct buf *saved)
{
	for (size_t n = 0; n < saved->size_bytes; n++)
		assert_int_equal(restore(saved->data, n, true), -EBADMSG);
	for (size_t i = 0; i < saved->size_bytes; i++) {
		saved->data[i] ^= 0x81;
		if (restore(saved->data, saved->size_bytes, true) == 0) {
			assert_true(core.ballooned.n_pages <= RAM_PAGES + hot_pages);
			assert_true(core.operation == DYNMEM_IDLE || core.phase == DYNMEM_READY);
			(void)dynmem_core_send(&core, now_ns, message);
		}
		saved->data[i] ^= 0x81;
	}
}

static void move(void)
{
	struct buf saved = {0}, again = {0};

	dynmem_core_save(&core, &saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, false), -EBADMSG);
	check_hostile(&saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, true), 0);
	dynmem_core_save(&core, &again);
	assert_int_equal(saved.size_bytes, again.size_bytes);
	assert_memory_equal(saved.data, again.data, saved.size_bytes);
	buf_fini(&saved);
	buf_fini(&again);
}

/* Moved wherever it stands. */
static void test_state(_unused_ void **state)
{
	const uint64_t capabilities[] = {CAPABILITIES, 0, 0};
	const uint64_t ranges[] = {dynmem_range(0, 512), dynmem_range(1024, 512)};
	struct buf closed = {0};

	dynmem_core_save(&core, &closed);
	assert_int_equal(restore(closed.data, closed.size_bytes, true), -EBADMSG);
	assert_int_equal(restore(closed.data, closed.size_bytes, false), 0);
	buf_fini(&closed);
	dynmem_core_open(&core);
	move();
	say_version(DYNMEM_VERSION_1_0, false);
	move();
	expect_response(DYNMEM_VERSION_RESPONSE, 1);
	move();
	say(DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	move();
	expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	move();
	expect(DYNMEM_INFO);
	assert_int_equal(dynmem_core_set_target(&core, 1020 * MIB), 0);
	assert_int_equal(expect_balloon(), 1024);
	move();
	say_ballooned(true, ranges, 1);
	move();
	say_ballooned(false, ranges + 1, 1);
	assert_int_equal(core.n_released, 1);
	move();
	assert_int_equal(core.ballooned.n_runs, 2);
	assert_int_equal(dynmem_core_set_target(&core, 1152 * MIB), 0);
	expect(DYNMEM_UNBALLOON_REQUEST);
	move();
	say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	move();
	assert_true(fetch());
	assert_int_equal(header.type, DYNMEM_HOT_ADD_REQUEST);
	move();
	say(DYNMEM_HOT_ADD_RESPONSE, (uint32_t[]){128 * MIB_PAGES, 1}, 8);
	move();
	assert_int_equal(dynmem_core_assigned_bytes(&core), 1152 * MIB);
	assert_int_equal(core.n_protocol_errors, 0);
	quiet();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_balloon_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unballoon_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hot_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_maximum_between_units, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hot_add_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory_to_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
