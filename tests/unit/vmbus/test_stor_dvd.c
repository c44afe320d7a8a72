/* SPDX-License-Identifier: MIT
 *
 * Optical drives: media that come and go, trays, tables of contents, features.
 */
#include "stor_unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct unit_rig rig;

static int setup(void **state)
{
	(void)state;
	unit_dvd(&rig, &unit_disc_info);
	return 0;
}

static int setup_empty(void **state)
{
	(void)state;
	unit_dvd(&rig, NULL);
	return 0;
}

/* The event and the status of the medium. */
static void poll_media(uint8_t event, uint8_t status)
{
	const uint8_t *answer = rig.result.answer;

	assert_int_equal(unit_do(&rig, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 0);
	assert_int_equal(rig.result.answer_bytes, 8);
	assert_int_equal(load_be16(answer), 6);
	assert_int_equal(answer[2], 4);
	assert_int_equal(answer[3], 0x10);
	assert_int_equal(answer[4], event);
	assert_int_equal(answer[5], status);
}

static void discs_are_read(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x25)), 0);
	assert_int_equal(load_be32(rig.result.answer), 99);
	assert_int_equal(load_be32(rig.result.answer + 4), 2048);
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 2)), 0);
	assert_int_equal(rig.result.op, DISK_READ);
	assert_int_equal(rig.result.extents[0].offset_bytes, 3 * 2048);
	assert_int_equal(rig.result.extents[0].size_bytes, 2 * 2048);
	assert_int_equal(unit_do(&rig, CDB(0xa8, 0, 0, 0, 0, 99, 0, 0, 0, 1)), 0);
	assert_int_equal(
		unit_do(&rig, CDB(0xa8, 0, 0, 0, 0, 99, 0, 0, 0, 2)), SCSI_LBA_OUT_OF_RANGE);
	assert_int_equal(unit_do(&rig, CDB(0x35)), 0);
	assert_false(rig.result.has_blocks);
}

static void discs_are_not_written(void **state)
{
	static const uint8_t opcodes[] = {0x0a, 0x2a, 0xaa, 0x8a, 0x41, 0x42, 0x93};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		assert_int_equal(unit_do(&rig, CDB(opcodes[i])), SCSI_INVALID_OPCODE);
}

static void an_empty_drive_is_not_ready(void **state)
{
	static const uint8_t opcodes[] = {0x00, 0x25, 0x28, 0xa8, 0x43, 0x51, 0x2f, 0x35};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		assert_int_equal(unit_do(&rig, CDB(opcodes[i])), SCSI_NO_MEDIUM_TRAY_CLOSED);
	poll_media(0, 0);
	assert_int_equal(unit_do(&rig, CDB(0x03, 0, 0, 0, 18)), 0);
	assert_int_equal(rig.result.answer[2], 2);
	assert_int_equal(rig.result.answer[12], 0x3a);
	assert_int_equal(unit_do(&rig, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128)), 0);
	assert_int_equal(unit_do(&rig, CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 128)), 0);
	assert_int_equal(load_be16(rig.result.answer + 6), 0);
}

static void media_come_and_go(void **state)
{
	(void)state;
	scsi_unit_put_medium(&rig.unit, &unit_disc_info);
	poll_media(2, 2);
	poll_media(0, 2);
	assert_int_equal(unit_do(&rig, CDB(0x00)), SCSI_MEDIUM_CHANGED);
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
	scsi_unit_take_medium(&rig.unit);
	poll_media(3, 0);
	assert_int_equal(unit_do(&rig, CDB(0x00)), SCSI_NO_MEDIUM_TRAY_CLOSED);
	scsi_unit_put_medium(&rig.unit, NULL);
	poll_media(0, 0);
}

static void the_guest_ejects_and_loads(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 2)), 0);
	poll_media(3, 1);
	assert_int_equal(unit_do(&rig, CDB(0x00)), SCSI_NO_MEDIUM_TRAY_OPEN);
	assert_int_equal(unit_do(&rig, CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
	assert_int_equal(rig.result.answer[1], 0x10);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 2)), 0);
	poll_media(0, 1);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 3)), 0);
	poll_media(2, 2);
	assert_int_equal(unit_do(&rig, CDB(0x00)), SCSI_MEDIUM_CHANGED);
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
	/* Spinning up and down moves nothing. */
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 0)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 1)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
}

static void a_locked_tray_stays(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x1e, 0, 0, 0, 1)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 2)), SCSI_MEDIUM_REMOVAL_PREVENTED);
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1e)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 2)), 0);
	/* A reset forgets the lock. */
	assert_int_equal(unit_do(&rig, CDB(0x1e, 0, 0, 0, 1)), 0);
	scsi_unit_reset(&rig.unit);
	assert_false(rig.unit.locked);
}

static void events_wait_for_somebody_with_room(void **state)
{
	(void)state;
	scsi_unit_put_medium(&rig.unit, &unit_disc_info);
	assert_int_equal(unit_do(&rig, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 4)), 0);
	assert_int_equal(rig.result.answer_bytes, 4);
	poll_media(2, 2);
	/* Only polled, only of the medium. */
	assert_int_equal(
		unit_do(&rig, CDB(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x4a, 1, 0, 0, 2, 0, 0, 0, 8)), 0);
	assert_int_equal(rig.result.answer_bytes, 4);
	assert_int_equal(rig.result.answer[2], 0x80);
	assert_int_equal(rig.result.answer[3], 0x10);
}

static void contents_are_told(void **state)
{
	const uint8_t *answer = rig.result.answer;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 255)), 0);
	assert_int_equal(rig.result.answer_bytes, 20);
	assert_int_equal(load_be16(answer), 18);
	assert_int_equal(answer[2], 1);
	assert_int_equal(answer[3], 1);
	assert_int_equal(answer[5], 0x14);
	assert_int_equal(answer[6], 1);
	assert_int_equal(load_be32(answer + 8), 0);
	assert_int_equal(answer[14], 0xaa);
	assert_int_equal(load_be32(answer + 16), 100);
	/* In minutes, seconds, frames: 100 blocks and 2 seconds. */
	assert_int_equal(unit_do(&rig, CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255)), 0);
	assert_int_equal(rig.result.answer_bytes, 12);
	assert_memory_equal(answer + 8, "\0\0\x03\x19", 4);
	assert_int_equal(
		unit_do(&rig, CDB(0x43, 0, 0, 0, 0, 0, 2, 0, 255)), SCSI_INVALID_FIELD_IN_CDB);
	/* Sessions, in both places where the format can stand. */
	assert_int_equal(unit_do(&rig, CDB(0x43, 0, 1, 0, 0, 0, 0, 0, 255)), 0);
	assert_int_equal(rig.result.answer_bytes, 12);
	assert_int_equal(unit_do(&rig, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40)), 0);
	assert_int_equal(rig.result.answer_bytes, 12);
	assert_int_equal(unit_do(&rig, CDB(0x43, 0, 2, 0, 0, 0, 0, 0, 255)), 0);
	assert_int_equal(rig.result.answer_bytes, 4 + 4 * 11);
	assert_int_equal(
		unit_do(&rig, CDB(0x43, 0, 4, 0, 0, 0, 0, 0, 255)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 4)), 0);
	assert_int_equal(rig.result.answer_bytes, 4);
}

static void the_disc_is_described(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34)), 0);
	assert_int_equal(rig.result.answer_bytes, 34);
	assert_int_equal(load_be16(rig.result.answer), 32);
	assert_int_equal(rig.result.answer[2], 0x0e);
	assert_int_equal(
		unit_do(&rig, CDB(0x51, 1, 0, 0, 0, 0, 0, 0, 34)), SCSI_INVALID_FIELD_IN_CDB);
	/* Its one track: by block, by number, by session, and no other. */
	assert_int_equal(unit_do(&rig, CDB(0x52, 0, 0, 0, 0, 0, 0, 0, 36)), 0);
	assert_int_equal(load_be16(rig.result.answer), 34);
	assert_int_equal(rig.result.answer[2], 1);
	assert_int_equal(load_be32(rig.result.answer + 24), rig.unit.info.size_bytes / 2048);
	assert_int_equal(unit_do(&rig, CDB(0x52, 1, 0, 0, 0, 1, 0, 0, 36)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x52, 2, 0, 0, 0, 1, 0, 0, 36)), 0);
	assert_int_equal(
		unit_do(&rig, CDB(0x52, 1, 0, 0, 0, 2, 0, 0, 36)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(
		unit_do(&rig, CDB(0x52, 3, 0, 0, 0, 1, 0, 0, 36)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x52, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 36)),
		SCSI_INVALID_FIELD_IN_CDB);
}

static unsigned count_features(void)
{
	const uint8_t *answer = rig.result.answer;
	uint32_t at = 8;
	unsigned n = 0;

	assert_int_equal(load_be32(answer), rig.result.answer_bytes - 4);
	for (; at < rig.result.answer_bytes; n++)
		at += 4U + answer[at + 3];
	assert_int_equal(at, rig.result.answer_bytes);
	return n;
}

static void features_are_listed(void **state)
{
	unsigned n_all, n_current;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0)), 0);
	assert_int_equal(load_be16(rig.result.answer + 6), 0x10);
	n_all = count_features();
	assert_int_equal(unit_do(&rig, CDB(0x46, 1, 0, 0, 0, 0, 0, 1, 0)), 0);
	assert_int_equal(count_features(), n_all);
	unit_dvd(&rig, NULL);
	assert_int_equal(unit_do(&rig, CDB(0x46, 1, 0, 0, 0, 0, 0, 1, 0)), 0);
	n_current = count_features();
	assert_true(n_current < n_all);
	assert_int_equal(unit_do(&rig, CDB(0x46, 2, 0, 3, 0, 0, 0, 1, 0)), 0);
	assert_int_equal(count_features(), 1);
	assert_int_equal(load_be16(rig.result.answer + 8), 3);
	assert_int_equal(unit_do(&rig, CDB(0x46, 2, 0x12, 0x34, 0, 0, 0, 1, 0)), 0);
	assert_int_equal(count_features(), 0);
	assert_int_equal(unit_do(&rig, CDB(0x46, 0, 0, 0x10, 0, 0, 0, 1, 0)), 0);
	assert_true(count_features() < n_all);
	assert_int_equal(
		unit_do(&rig, CDB(0x46, 3, 0, 0, 0, 0, 0, 1, 0)), SCSI_INVALID_FIELD_IN_CDB);
}

#define TEST(name)  cmocka_unit_test_setup(name, setup)
#define EMPTY(name) cmocka_unit_test_setup(name, setup_empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(discs_are_read),
		TEST(discs_are_not_written),
		EMPTY(an_empty_drive_is_not_ready),
		EMPTY(media_come_and_go),
		TEST(the_guest_ejects_and_loads),
		TEST(a_locked_tray_stays),
		EMPTY(events_wait_for_somebody_with_room),
		TEST(contents_are_told),
		TEST(the_disc_is_described),
		TEST(features_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
