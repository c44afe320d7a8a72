/* SPDX-License-Identifier: MIT */
#include "hv_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INPUT     (8 * GPA_PAGE_SIZE)
#define POST      HV_CALL_POST_MESSAGE
#define SIGNAL    HV_CALL_SIGNAL_EVENT
#define FAST      HV_HYPERCALL_FAST
#define REP_COUNT (1ULL << 32)

static int setup(void **state)
{
	int r = hv_fixture_setup(state);

	fixture_write(*state, HV_MSR_GUEST_OS_ID, 1);
	return r;
}

static uint64_t call(struct hv_fixture *f, uint64_t control, uint64_t input)
{
	return hv_hypercall(f->hv, control, input, 0);
}

static void put_message(struct hv_fixture *f, uint32_t type, uint32_t size_bytes)
{
	struct hv_post_message_input input = {
		.connection_id = 4,
		.message_type = type,
		.payload_bytes = size_bytes,
		.payload = "hello",
	};

	memcpy(f->ram + INPUT, &input, sizeof(input));
}

static void stranger_may_not_call(void **state)
{
	struct hv_fixture *f = *state;

	fixture_write(f, HV_MSR_GUEST_OS_ID, 0);
	assert_int_equal(call(f, SIGNAL | FAST, 7), HV_STATUS_ACCESS_DENIED);
	assert_int_equal(f->n_signals, 0);
}

static void message_is_copied_and_checked(void **state)
{
	struct hv_fixture *f = *state;

	put_message(f, 1, 6);
	f->status = HV_STATUS_INSUFFICIENT_BUFFERS;
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(f->connection_id, 4);
	assert_int_equal(f->message_type, 1);
	assert_int_equal(f->payload_bytes, 6);
	assert_string_equal((const char *)f->payload, "hello");
	put_message(f, 1, 240);
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(f->n_posts, 2);

	put_message(f, 1, 241);
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INVALID_PARAMETER);
	put_message(f, 1, UINT32_MAX);
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INVALID_PARAMETER);
	put_message(f, 0, 8);
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INVALID_PARAMETER);
	put_message(f, HV_MESSAGE_TIMER_EXPIRED, 8);
	assert_int_equal(call(f, POST, INPUT), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(f->n_posts, 2);
}

static void input_address_is_checked(void **state)
{
	struct hv_fixture *f = *state;
	static const struct {
		uint64_t at;
		uint16_t status;
	} cases[] = {
		{INPUT + 4, HV_STATUS_INVALID_ALIGNMENT},
		{INPUT + GPA_PAGE_SIZE - 248, HV_STATUS_INVALID_ALIGNMENT},
		{UINT64_MAX, HV_STATUS_INVALID_ALIGNMENT},
		{UINT64_MAX - 7, HV_STATUS_INVALID_ALIGNMENT},
		{UINT64_MAX - 4095, HV_STATUS_INVALID_HYPERCALL_INPUT},
		{FIXTURE_RAM_BYTES, HV_STATUS_INVALID_HYPERCALL_INPUT},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(call(f, POST, cases[i].at), cases[i].status);
	assert_int_equal(f->n_posts, 0);
	/* The last place in a page that will do. */
	memset(f->ram + INPUT, 0, GPA_PAGE_SIZE);
	memcpy(f->ram + INPUT + GPA_PAGE_SIZE - 256,
		&(struct hv_post_message_input){.message_type = 1},
		sizeof(struct hv_post_message_input));
	assert_int_equal(call(f, POST, INPUT + GPA_PAGE_SIZE - 256), HV_STATUS_SUCCESS);
}

static void control_word_is_checked(void **state)
{
	struct hv_fixture *f = *state;

	put_message(f, 1, 1);
	assert_int_equal(call(f, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(call(f, 0xffff, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(call(f, POST | FAST, INPUT), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(call(f, POST | REP_COUNT, INPUT), HV_STATUS_INVALID_HYPERCALL_INPUT);
	for (unsigned bit = 17; bit < 64; bit++)
		assert_int_equal(
			call(f, SIGNAL | FAST | 1ULL << bit, 7), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(f->n_posts + f->n_signals, 0);
}

static void signals_come_by_register_and_by_memory(void **state)
{
	struct hv_fixture *f = *state;
	struct hv_signal_event_input input = {.connection_id = 9, .flag_number = 3};

	f->status = HV_STATUS_INVALID_CONNECTION_ID;
	assert_int_equal(call(f, SIGNAL | FAST, 7 | 5ULL << 32), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(f->connection_id, 7);
	assert_int_equal(f->flag, 5);
	memcpy(f->ram + INPUT, &input, sizeof(input));
	f->status = HV_STATUS_SUCCESS;
	assert_int_equal(call(f, SIGNAL, INPUT), HV_STATUS_SUCCESS);
	assert_int_equal(f->connection_id, 9);
	assert_int_equal(f->flag, 3);
	assert_int_equal(call(f, SIGNAL | FAST, 7 | 2048ULL << 32), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(call(f, SIGNAL | FAST, 7 | 1ULL << 48), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(f->n_signals, 2);
}

/* A hypercall instruction would hang where there is no hardware support below. */
static void page_has_no_hypercall_instruction(void **state _unused_)
{
	uint8_t page[GPA_PAGE_SIZE];

	hv_hypercall_page(page);
	assert_int_equal(load_le32(page), 0xfa1e0ff3);
	for (size_t i = 0; i + 2 < sizeof(page); i++) {
		assert_false(page[i] == 0x0f && page[i + 1] == 0x01 &&
			     (page[i + 2] == 0xc1 || page[i + 2] == 0xd9));
	}
	assert_int_equal(page[GPA_PAGE_SIZE - 1], 0xcc);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, hv_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stranger_may_not_call),
		TEST(message_is_copied_and_checked),
		TEST(input_address_is_checked),
		TEST(control_word_is_checked),
		TEST(signals_come_by_register_and_by_memory),
		TEST(page_has_no_hypercall_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
