/* SPDX-License-Identifier: MIT
 *
 * Assembly of GPADLs and its limits.
 */
#include "ctl_rig.h"

static int setup(void **state)
{
	static struct ctl_rig rig;

	rig_init(&rig);
	rig_add(&rig, 1, 1);
	rig_add(&rig, 2, 1);
	rig_connect_with_offers(&rig, VMBUS_VERSION_5_3);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static uint32_t created_status(struct ctl_rig *rig, uint32_t gpadl_id)
{
	struct vmbus_msg_gpadl_created created;

	rig_expect(rig, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.gpadl_id, gpadl_id);
	return created.status;
}

static const struct ctl_gpadl *find(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id)
{
	return ctl_gpadl_find(ctl_channel_by_relid(rig->ctl, relid), gpadl_id);
}

static void test_in_one_message(void **state)
{
	struct ctl_rig *rig = *state;
	const struct ctl_gpadl *gpadl;

	rig_make_gpadl(rig, 1, 9, 26);
	gpadl = find(rig, 1, 9);
	assert_non_null(gpadl);
	assert_true(ctl_gpadl_is_pages(gpadl));
	assert_int_equal(gpadl->n_pfns, 26);
	assert_int_equal(load_le64(gpadl->words.data + 8), 100);
	assert_int_equal(load_le64(gpadl->words.data + 8 * 26), 125);
	assert_null(find(rig, 2, 9));
}

static void test_16_mib(void **state)
{
	struct ctl_rig *rig = *state;
	const struct ctl_gpadl *gpadl;

	rig_make_gpadl(rig, 1, 9, 4096);
	gpadl = find(rig, 1, 9);
	assert_int_equal(gpadl->n_pfns, 4096);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(load_le64(gpadl->words.data + 8 + 8 * i), 100 + i);
	assert_int_equal(rig_errors(rig), 0);
}

static void test_interleaved_over_channels(void **state)
{
	struct ctl_rig *rig = *state;

	assert_int_equal(rig_gpadl_header(rig, 1, 9, 80 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_gpadl_header(rig, 2, 10, 60 * VMBUS_PAGE_BYTES, 0, 10), 0);
	assert_int_equal(rig_gpadl_body(rig, 9, 1000, 28), 0);
	assert_int_equal(rig_gpadl_body(rig, 10, 2000, 28), 0);
	rig_make_gpadl(rig, 2, 11, 5); /* one that overtakes them */
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_body(rig, 10, 2028, 22), 0);
	assert_int_equal(created_status(rig, 10), 0);
	assert_int_equal(rig_gpadl_body(rig, 9, 1028, 26), 0);
	assert_int_equal(created_status(rig, 9), 0);
	assert_int_equal(load_le64(find(rig, 1, 9)->words.data + 8 * 80), 1053);
	assert_int_equal(load_le64(find(rig, 2, 10)->words.data + 8 * 60), 2049);
	assert_int_equal(rig_errors(rig), 0);
}

static void test_same_id_on_two_channels(void **state)
{
	struct ctl_rig *rig = *state;

	rig_make_gpadl(rig, 1, 9, 5);
	rig_make_gpadl(rig, 2, 9, 5);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_drop_messages(rig);
	assert_null(find(rig, 1, 9));
	assert_non_null(find(rig, 2, 9));
}

static void test_surplus_is_ignored(void **state)
{
	struct ctl_rig *rig = *state;

	assert_int_equal(rig_gpadl_header(rig, 1, 9, 2 * VMBUS_PAGE_BYTES, 0, 20), 0);
	assert_int_equal(created_status(rig, 9), 0);
	assert_int_equal(find(rig, 1, 9)->words.size_bytes, 3 * 8);
	assert_int_equal(rig_errors(rig), 0);
}

static void test_offset_and_odd_size(void **state)
{
	struct ctl_rig *rig = *state;

	/* 4097 bytes from 4095 on touch three pages. */
	assert_int_equal(rig_gpadl_header(rig, 1, 9, 4098, 4095, 2), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_body(rig, 9, 7, 1), 0);
	assert_int_equal(created_status(rig, 9), 0);
	assert_false(ctl_gpadl_is_pages(find(rig, 1, 9)));
}

static uint16_t send_ranges(struct ctl_rig *rig, uint32_t gpadl_id, uint16_t n_ranges,
	const uint64_t *words, size_t n_words)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES] = {0};
	struct vmbus_msg_gpadl_header m = {
		.header.type = VMBUS_MSG_GPADL_HEADER,
		.relid = 1,
		.gpadl_id = gpadl_id,
		.range_count = n_ranges,
	};
	const size_t at = offsetof(struct vmbus_msg_gpadl_header, range);

	memcpy(bytes, &m, sizeof(m));
	memcpy(bytes + at, words, n_words * 8);
	return rig_send(rig, bytes, at + n_words * 8);
}

static void test_several_ranges(void **state)
{
	struct ctl_rig *rig = *state;
	static const uint64_t words[] = {
		4096, 11,                       /* one page */
		8192 | 100ULL << 32, 21, 22, 23 /* three pages from 100 on */
	};

	assert_int_equal(send_ranges(rig, 9, 3, words, ARRAY_LEN(words)), 0);
	rig_expect_nothing(rig);
	/* The third range comes in a body, its header being just another word. */
	assert_int_equal(rig_gpadl_body(rig, 9, 16, 1), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_body(rig, 9, 5, 1), 0);
	assert_int_equal(created_status(rig, 9), 0);
	assert_int_equal(find(rig, 1, 9)->n_pfns, 5);
	assert_false(ctl_gpadl_is_pages(find(rig, 1, 9)));
}

static void test_impossible_ranges(void **state)
{
	struct ctl_rig *rig = *state;
	static const uint64_t nothing[] = {0, 1};
	static const uint64_t far[] = {4096 | 4096ULL << 32, 1};
	static const uint64_t second_is_nothing[] = {4096, 1, 0, 1};
	uint64_t n = 0;

	assert_int_equal(send_ranges(rig, 9, 1, nothing, 2), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	assert_int_equal(send_ranges(rig, 9, 1, far, 2), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	assert_int_equal(send_ranges(rig, 9, 2, second_is_nothing, 4), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	assert_int_equal(send_ranges(rig, 9, 0, far, 2), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	n = rig_errors(rig);
	assert_int_equal(n, 4);
	assert_int_equal(rig->ctl->n_gpadls, 0);
	assert_int_equal(rig->ctl->n_pfns, 0);
	assert_int_equal(rig->n_created, 0);
}

static void test_ids_in_use(void **state)
{
	struct ctl_rig *rig = *state;

	rig_make_gpadl(rig, 1, 9, 5);
	assert_int_equal(rig_gpadl_header(rig, 1, 9, VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	assert_int_equal(find(rig, 1, 9)->n_pfns, 5);

	/* Under assembly on another channel: bodies could not be told apart. */
	assert_int_equal(rig_gpadl_header(rig, 1, 10, 80 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_gpadl_header(rig, 2, 10, VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, 10), 0);
	assert_int_equal(rig_gpadl_body(rig, 10, 1, 28), 0);
	assert_int_equal(rig_gpadl_body(rig, 10, 1, 26), 0);
	assert_int_equal(created_status(rig, 10), 0);
	assert_int_equal(rig_errors(rig), 2);
}

static void test_body_without_header(void **state)
{
	struct ctl_rig *rig = *state;

	assert_int_equal(rig_gpadl_body(rig, 9, 1, 28), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_errors(rig), 1);
	rig_make_gpadl(rig, 1, 9, 5);
	assert_int_equal(rig_gpadl_body(rig, 9, 1, 28), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_errors(rig), 2);
}

static void test_bodies_of_odd_sizes(void **state)
{
	struct ctl_rig *rig = *state;
	uint8_t bytes[VMBUS_MSG_MAX_BYTES] = {VMBUS_MSG_GPADL_BODY};

	store_le32(bytes + 12, 9);
	assert_int_equal(rig_gpadl_header(rig, 1, 9, 30 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_send(rig, bytes, 16), 0);     /* no word */
	assert_int_equal(rig_send(rig, bytes, 16 + 7), 0); /* not a whole one */
	rig_expect_nothing(rig);
	assert_int_equal(rig_send(rig, bytes, 16 + 8 * 4 + 5), 0);
	assert_int_equal(created_status(rig, 9), 0);
}

static void test_memory_that_is_none(void **state)
{
	struct ctl_rig *rig = *state;

	rig->refuse_gpadl = -EFAULT;
	assert_int_equal(rig_gpadl_header(rig, 1, 9, VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, 9), 0);
	assert_int_equal(rig->ctl->n_gpadls, 0);
	rig->refuse_gpadl = 0;
	rig_make_gpadl(rig, 1, 9, 1);
}

static void test_limit_of_one(void **state)
{
	struct ctl_rig *rig = *state;

	rig_make_gpadl(rig, 1, 9, CTL_MAX_GPADL_PFNS);
	assert_int_equal(
		rig_gpadl_header(rig, 1, 10, (CTL_MAX_GPADL_PFNS + 1) * VMBUS_PAGE_BYTES, 0, 26),
		0);
	assert_int_not_equal(created_status(rig, 10), 0);
	assert_int_equal(rig_gpadl_header(rig, 1, 10, 0xffffffff, 4095, 26), 0);
	assert_int_not_equal(created_status(rig, 10), 0);
	assert_int_equal(rig->ctl->n_gpadls, 1);
	assert_int_equal(rig->ctl->n_pfns, CTL_MAX_GPADL_PFNS);
}

static void test_limit_of_all_pages(void **state)
{
	struct ctl_rig *rig = *state;
	const unsigned n = CTL_MAX_PFNS / CTL_MAX_GPADL_PFNS;

	/* What is announced counts, so that it cannot be overdrawn together. */
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			rig_gpadl_header(rig, 1, i, CTL_MAX_GPADL_PFNS * VMBUS_PAGE_BYTES, 0, 26),
			0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_header(rig, 1, n, VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, n), 0);
	assert_int_equal(rig_teardown(rig, 1, 0), 0);
	rig_drop_messages(rig);
	rig_make_gpadl(rig, 1, n, 1);
}

static void test_limit_under_assembly(void **state)
{
	struct ctl_rig *rig = *state;

	for (unsigned i = 0; i < CTL_MAX_ASSEMBLING; i++)
		assert_int_equal(rig_gpadl_header(rig, 1, i, 2 * VMBUS_PAGE_BYTES, 0, 1), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_header(rig, 1, 500, 2 * VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, 500), 0);
	assert_int_equal(rig_gpadl_body(rig, 3, 1, 1), 0);
	assert_int_equal(created_status(rig, 3), 0);
	assert_int_equal(rig_gpadl_header(rig, 1, 500, 2 * VMBUS_PAGE_BYTES, 0, 1), 0);
	rig_expect_nothing(rig);
}

static void test_limit_of_number(void **state)
{
	struct ctl_rig *rig = *state;

	for (unsigned i = 0; i < CTL_MAX_GPADLS; i++)
		rig_make_gpadl(rig, 1 + i % 2, i, 1);
	assert_int_equal(rig_gpadl_header(rig, 1, 5000, VMBUS_PAGE_BYTES, 0, 1), 0);
	assert_int_not_equal(created_status(rig, 5000), 0);
	assert_int_equal(rig_teardown(rig, 1, 0), 0);
	rig_drop_messages(rig);
	rig_make_gpadl(rig, 1, 5000, 1);
}

static void test_teardown(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_gpadl_torndown m;

	rig_make_gpadl(rig, 1, 9, 40);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, &m, sizeof(m));
	assert_int_equal(m.gpadl_id, 9);
	assert_int_equal(rig->n_gone, 1);
	/* Under assembly. */
	assert_int_equal(rig_gpadl_header(rig, 1, 9, 80 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, &m, sizeof(m));
	assert_int_equal(rig->n_gone, 1);
	assert_int_equal(rig_errors(rig), 0);
	assert_int_equal(rig->ctl->n_pfns, 0);
	assert_int_equal(rig->ctl->n_gpadls, 0);
	assert_int_equal(rig->ctl->n_assembling, 0);
	/* Unknown, on a channel and on none: answered, and noted. */
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, &m, sizeof(m));
	assert_int_equal(rig_teardown(rig, 99, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, &m, sizeof(m));
	assert_int_equal(rig_errors(rig), 2);
}

static void test_teardown_of_rings_in_use(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_info info;

	rig_make_open(rig, 1, 9);
	rig_make_gpadl(rig, 1, 10, 5);
	assert_int_equal(rig_teardown(rig, 1, 10), 0); /* another one: the channel stays open */
	rig_drop_messages(rig);
	assert_int_equal(rig->n_close, 0);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
	assert_int_equal(rig->n_close, 1);
	assert_int_equal(rig->n_gone, 2);
	assert_int_equal(rig_errors(rig), 1);
	ctl_get_info(rig->ctl, &info);
	assert_int_equal(info.n_open_channels, 0);
	assert_non_null(info.last_protocol_error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_16_mib, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interleaved_over_channels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_id_on_two_channels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_surplus_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offset_and_odd_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_without_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bodies_of_odd_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_that_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_all_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_under_assembly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_number, setup, teardown),
		cmocka_unit_test_setup_teardown(test_teardown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_teardown_of_rings_in_use, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
