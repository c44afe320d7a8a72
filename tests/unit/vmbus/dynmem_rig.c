/* SPDX-License-Identifier: MIT */
#include "dynmem_rig.h"

struct dynmem_core dm_core;
uint64_t dm_now_ns;
uint64_t dm_hot_pages; /* that the host made */

uint8_t dm_message[DYNMEM_MAX_MESSAGE_BYTES];
struct dynmem_header dm_header;

static bool dm_is_ram(_unused_ void *data, uint64_t first, uint64_t n_pages)
{
	if (first >= DM_HOT_FIRST)
		return first - DM_HOT_FIRST + n_pages <= dm_hot_pages;
	return first + n_pages <= DM_RAM_PAGES;
}

const struct dynmem_core_config dm_config = {
	.start_bytes = 1024 * MIB,
	.limits = {.min_bytes = 256 * MIB, .max_bytes = 4096 * MIB},
	.is_ram = dm_is_ram,
};

int dm_setup(_unused_ void **state)
{
	dynmem_core_init(&dm_core, &dm_config);
	dm_now_ns = 1000 * NS_PER_SEC;
	dm_hot_pages = 0;
	return 0;
}

int dm_teardown(_unused_ void **state)
{
	dynmem_core_fini(&dm_core);
	return 0;
}

/* In memory of just its size. */
void dm_push(const void *bytes, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(exact);
	memcpy(exact, bytes, size_bytes);
	dynmem_core_receive(&dm_core, dm_now_ns, exact, size_bytes);
	free(exact);
}

void dm_say(uint16_t type, const void *body, size_t body_bytes)
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
	dm_push(bytes, said.size_bytes);
}

/* The host makes what it wants to add. */
static void dm_make(void)
{
	uint64_t size_bytes = dynmem_core_wants_bytes(&dm_core, dm_now_ns);

	if (size_bytes == 0)
		return;
	assert_int_equal(size_bytes % DYNMEM_HOT_ADD_BYTES, 0);
	dynmem_core_made(&dm_core, dm_now_ns, 0, DM_HOT_FIRST + dm_hot_pages, size_bytes / 4096);
	dm_hot_pages += size_bytes / 4096;
}

bool dm_fetch(void)
{
	size_t n;

	dm_make();
	n = dynmem_core_send(&dm_core, dm_now_ns, dm_message);
	if (n == 0)
		return false;
	memcpy(&dm_header, dm_message, sizeof(dm_header));
	assert_true(n <= sizeof(dm_message));
	assert_int_equal(dm_header.size_bytes, n);
	return true;
}

void dm_expect(uint16_t type)
{
	assert_true(dm_fetch());
	assert_int_equal(dm_header.type, type);
}

void dm_quiet(void)
{
	assert_false(dm_fetch());
}

void dm_say_version(uint32_t version, bool is_last)
{
	const uint32_t body[] = {version, is_last};

	dm_say(DYNMEM_VERSION_REQUEST, body, sizeof(body));
}

void dm_expect_response(uint16_t type, uint64_t accepted)
{
	dm_expect(type);
	assert_int_equal(load_le64(dm_message + 8), accepted);
	assert_int_equal(dm_header.transaction_id, 77);
}

void dm_up_with(uint64_t capabilities)
{
	const uint64_t body[] = {capabilities, 0, UINT64_MAX};

	dynmem_core_open(&dm_core);
	dm_quiet();
	dm_say_version(DYNMEM_VERSION_2_0, false);
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 1);
	dm_say(DYNMEM_CAPABILITIES, body, sizeof(body));
	dm_expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	dm_expect(DYNMEM_INFO);
	assert_int_equal(load_le64(dm_message + 24), dm_core.limits.max_bytes / 4096);
	dm_quiet();
	assert_int_equal(dm_core.phase, DYNMEM_READY);
	assert_int_equal(dm_core.n_protocol_errors, 0);
}

void dm_say_status(uint64_t committed_bytes, uint64_t available_bytes)
{
	const uint64_t body[] = {available_bytes / 4096,
		committed_bytes / 4096 + dm_core.ballooned.n_pages, 0, 0, 0};

	dm_now_ns += NS_PER_SEC;
	dm_say(DYNMEM_STATUS, body, sizeof(body));
}

void dm_say_ballooned(bool more, const uint64_t *ranges, uint32_t n_ranges)
{
	uint8_t body[DYNMEM_MAX_MESSAGE_BYTES - sizeof(dm_header)] = {0};

	store_le32(body + 4, n_ranges << 1 | more);
	if (n_ranges)
		memcpy(body + 8, ranges, n_ranges * sizeof(*ranges));
	dm_say(DYNMEM_BALLOON_RESPONSE, body, 8 + n_ranges * sizeof(*ranges));
}

uint32_t dm_expect_balloon(void)
{
	dm_expect(DYNMEM_BALLOON_REQUEST);
	assert_int_equal(load_le32(dm_message + 8) % 512, 0);
	dm_quiet();
	return load_le32(dm_message + 8);
}

void dm_balloon(uint64_t first, uint32_t n_pages)
{
	const uint64_t range = dynmem_range(first, n_pages);

	assert_int_equal(dm_expect_balloon(), n_pages);
	dm_say_ballooned(false, &range, 1);
	assert_int_equal(dm_core.n_released, 1);
	assert_int_equal(dm_core.released[0].first, first);
	assert_int_equal(dm_core.released[0].n_pages, n_pages);
}

void dm_answer_hot_add(uint32_t n_pages, uint32_t result)
{
	const uint32_t body[] = {n_pages, result};

	dm_expect(DYNMEM_HOT_ADD_REQUEST);
	dm_quiet();
	dm_say(DYNMEM_HOT_ADD_RESPONSE, body, sizeof(body));
}
