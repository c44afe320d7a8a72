/* SPDX-License-Identifier: MIT
 *
 * Mode pages: what is told, what is accepted.
 */
#include "stor_unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct unit_rig rig;

static int setup(void **state)
{
	(void)state;
	unit_disk(&rig, &unit_disk_info);
	return 0;
}

static void the_cache_is_told(void **state)
{
	const uint8_t *answer = rig.result.answer;
	struct disk_info info = unit_disk_info;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x1a, 8, 8, 0, 255)), 0);
	assert_int_equal(rig.result.answer_bytes, 4 + 20);
	assert_int_equal(answer[0], 23);
	assert_int_equal(answer[2], 0x10);
	assert_int_equal(answer[3], 0);
	assert_int_equal(answer[4], 8);
	assert_int_equal(answer[5], 18);
	assert_int_equal(answer[6], 4);

	info.write_cache = false;
	info.read_only = true;
	unit_disk(&rig, &info);
	assert_int_equal(unit_do(&rig, CDB(0x5a, 8, 8, 0, 0, 0, 0, 1, 0)), 0);
	assert_int_equal(rig.result.answer_bytes, 8 + 20);
	assert_int_equal(load_be16(answer), 26);
	assert_int_equal(answer[3], 0x90);
	assert_int_equal(answer[10], 0);
}

static void all_pages_with_the_block_descriptor(void **state)
{
	const uint8_t *answer = rig.result.answer;
	uint32_t at = 12;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x1a, 0, 0x3f, 0, 255)), 0);
	assert_int_equal(answer[3], 8);
	assert_int_equal(load_be32(answer + 4), 8192);
	assert_int_equal(load_be32(answer + 8), 512);
	while (at < rig.result.answer_bytes)
		at += 2U + answer[at + 1];
	assert_int_equal(at, rig.result.answer_bytes);
	assert_int_equal(answer[0], at - 1);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 0, 0x3f, 0xff, 255)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 0, 0x3f, 0, 4)), 0);
	assert_int_equal(rig.result.answer_bytes, 4);
	assert_int_equal(answer[0], at - 1);
}

static void other_pages_are_refused(void **state)
{
	static const uint8_t known[] = {0x01, 0x08, 0x0a, 0x1c, 0x3f};

	(void)state;
	for (uint8_t page = 0; page < 64; page++) {
		bool is_known = memchr(known, page, sizeof(known)) != NULL;

		assert_int_equal(unit_do(&rig, CDB(0x1a, 8, page, 0, 255)),
			is_known ? 0 : SCSI_INVALID_FIELD_IN_CDB);
		assert_int_equal(
			unit_do(&rig, CDB(0x1a, 8, page, 1, 255)), SCSI_INVALID_FIELD_IN_CDB);
	}
}

static void controls(void **state)
{
	(void)state;
	/* What can be changed: nothing. */
	assert_int_equal(unit_do(&rig, CDB(0x1a, 8, 0x48, 0, 255)), 0);
	assert_int_equal(rig.result.answer[5], 18);
	for (unsigned i = 6; i < 24; i++)
		assert_int_equal(rig.result.answer[i], 0);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 8, 0x88, 0, 255)), 0);
	assert_int_equal(rig.result.answer[6], 4);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 8, 0xc8, 0, 255)), SCSI_SAVING_NOT_SUPPORTED);
}

static void what_is_may_be_selected(void **state)
{
	uint8_t list[64] = {0};

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x1a, 8, 8, 0, 255)), 0);
	memcpy(list + 4, rig.result.answer + 4, 20);
	assert_int_equal(unit_send(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), 0);
	for (uint32_t n = 1; n < 24; n++) {
		uint32_t sense = unit_send(&rig, CDB(0x15, 0x10, 0, 0, (uint8_t)n), list, n);

		/* A header without a page asks for nothing. */
		assert_int_equal(sense, n == 4 ? 0 : SCSI_PARAMETER_LIST_LENGTH);
		assert_int_equal(unit_send(&rig, CDB(0x15, 0x10, 0, 0, 24), list, n),
			SCSI_PARAMETER_LIST_LENGTH);
	}
	assert_int_equal(unit_do(&rig, CDB(0x15, 0x10)), 0);
	assert_int_equal(
		unit_send(&rig, CDB(0x15, 0x11, 0, 0, 24), list, 24), SCSI_INVALID_FIELD_IN_CDB);
	list[6] = 0; /* no write cache */
	assert_int_equal(
		unit_send(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), SCSI_INVALID_FIELD_IN_LIST);
	list[6] = 4;
	list[4] = 9; /* no such page */
	assert_int_equal(
		unit_send(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), SCSI_INVALID_FIELD_IN_LIST);

	memset(list, 0, sizeof(list));
	assert_int_equal(unit_do(&rig, CDB(0x5a, 8, 0x0a, 0, 0, 0, 0, 0, 255)), 0);
	memcpy(list + 16, rig.result.answer + 8, 12);
	list[7] = 8; /* a block descriptor */
	assert_int_equal(unit_send(&rig, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 28), list, 28), 0);
	store_be16(list + 6, 0xffff);
	assert_int_equal(unit_send(&rig, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 28), list, 28),
		SCSI_PARAMETER_LIST_LENGTH);
}

static void drives_tell_their_capabilities(void **state)
{
	const uint8_t *answer = rig.result.answer;

	(void)state;
	unit_dvd(&rig, NULL);
	assert_int_equal(unit_do(&rig, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128)), 0);
	assert_int_equal(rig.result.answer_bytes, 8 + 22);
	assert_int_equal(load_be16(answer + 6), 0);
	assert_int_equal(answer[8], 0x2a);
	assert_int_equal(answer[8 + 2] & 8, 8);    /* reads DVD-ROM */
	assert_int_equal(answer[8 + 6] >> 5, 1);   /* a tray */
	assert_int_equal(answer[8 + 6] & 0x0b, 9); /* locks and ejects, not locked */
	assert_int_equal(unit_do(&rig, CDB(0x1e, 0, 0, 0, 1)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 0, 0x2a, 0, 128)), 0);
	assert_int_equal(answer[4 + 6] & 0x0b, 0x0b);
	assert_int_equal(unit_do(&rig, CDB(0x1a, 0, 8, 0, 128)), SCSI_INVALID_FIELD_IN_CDB);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_cache_is_told),
		TEST(all_pages_with_the_block_descriptor),
		TEST(other_pages_are_refused),
		TEST(controls),
		TEST(what_is_may_be_selected),
		TEST(drives_tell_their_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
