/* SPDX-License-Identifier: MIT
 *
 * Who a unit says it is: INQUIRY, vital product data, REPORT LUNS, for disks, drives and absent
 * units.
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

static const uint8_t *vpd(uint8_t page)
{
	assert_int_equal(unit_do(&rig, CDB(0x12, 1, page, 0x04, 0)), 0);
	assert_int_equal(rig.result.answer[1], page);
	assert_int_equal(rig.result.answer_bytes, 4 + load_be16(rig.result.answer + 2));
	return rig.result.answer;
}

static void a_disk_introduces_itself(void **state)
{
	const uint8_t *answer = rig.result.answer;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0, 36)), 0);
	assert_int_equal(rig.result.answer_bytes, 36);
	assert_int_equal(answer[0], 0);
	assert_int_equal(answer[1], 0);
	assert_int_equal(answer[2], 5);
	assert_int_equal(answer[3] & 0xf, 2);
	assert_int_equal(answer[4], 31);
	assert_memory_equal(answer + 8, "Msft    Virtual Disk    1.0 ", 28);
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0xff, 0xff)), 0);
	assert_int_equal(rig.result.answer_bytes, 36);
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0, 5)), 0);
	assert_int_equal(rig.result.answer_bytes, 5);
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0, 0)), 0);
	assert_int_equal(rig.result.answer_bytes, 0);
}

static void a_drive_introduces_itself(void **state)
{
	(void)state;
	unit_dvd(&rig, NULL);
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0, 36)), 0);
	assert_int_equal(rig.result.answer[0], 5);
	assert_int_equal(rig.result.answer[1], 0x80);
	assert_memory_equal(rig.result.answer + 8, "Msft    Virtual DVD-ROM ", 24);
	assert_int_equal(vpd(0)[0], 5);
	assert_int_equal(rig.result.answer_bytes, 7);
	vpd(0x83);
	assert_int_equal(unit_do(&rig, CDB(0x12, 1, 0xb0, 0, 64)), SCSI_INVALID_FIELD_IN_CDB);
}

static void fields_that_are_not_offered_are_refused(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x12, 2, 0, 0, 36)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 1, 0, 36)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x12, 1, 0x85, 0, 36)), SCSI_INVALID_FIELD_IN_CDB);
}

static void the_page_of_pages_is_true(void **state)
{
	uint8_t pages[16];
	unsigned n;

	(void)state;
	vpd(0);
	n = rig.result.answer[3];
	memcpy(pages, rig.result.answer + 4, n);
	assert_int_equal(n, 6);
	for (unsigned i = 0; i < 256; i++) {
		bool listed = memchr(pages, (int)i, n) != NULL;

		assert_int_equal(unit_do(&rig, CDB(0x12, 1, (uint8_t)i, 1, 0)),
			listed ? 0 : SCSI_INVALID_FIELD_IN_CDB);
	}
}

static void pages_are_cut_as_asked(void **state)
{
	uint8_t whole[256];

	(void)state;
	vpd(0x83);
	memcpy(whole, rig.result.answer, rig.result.answer_bytes);
	for (uint8_t n = 0; n < 60; n++) {
		assert_int_equal(unit_do(&rig, CDB(0x12, 1, 0x83, 0, n)), 0);
		assert_int_equal(rig.result.answer_bytes, n);
		assert_memory_equal(rig.result.answer, whole, n);
	}
}

static void serials_and_ids_identify(void **state)
{
	struct disk_info other = unit_disk_info;
	uint8_t first[256];
	const uint8_t *page = vpd(0x80);
	size_t first_bytes;

	(void)state;
	assert_int_equal(rig.result.answer_bytes, 12);
	assert_memory_equal(page + 4, "SERIAL-1", 8);

	page = vpd(0x83);
	first_bytes = rig.result.answer_bytes;
	memcpy(first, page, first_bytes);
	/* T10: all of the id, readable. */
	assert_int_equal(page[4], 2);
	assert_int_equal(page[5], 1);
	assert_int_equal(page[7], 40);
	assert_memory_equal(page + 8, "Msft    101112131415161718191a1b1c1d1e1f", 40);
	/* NAA 6 with the OUI 00-22-48. */
	assert_int_equal(page[48], 1);
	assert_int_equal(page[49], 3);
	assert_int_equal(page[51], 16);
	assert_memory_equal(page + 52, "\x60\x02\x24\x83\x14\x15\x16", 7);
	assert_int_equal(first_bytes, 52 + 16);

	other.id[15]++;
	other.serial[0] = 0;
	unit_disk(&rig, &other);
	page = vpd(0x83);
	assert_memory_not_equal(page, first, first_bytes);
	assert_memory_not_equal(page + 52, first + 52, 16);
	page = vpd(0x80);
	assert_memory_equal(page + 4, "101112131415161718191a1b1c1d1e20", 32);
}

static void limits_are_told(void **state)
{
	const uint8_t *page = vpd(0xb0);
	struct disk_info plain = unit_disk_info;

	(void)state;
	assert_int_equal(rig.result.answer_bytes, 64);
	assert_int_equal(page[4] & 1, 1);
	assert_int_equal(load_be16(page + 6), 8);
	assert_int_equal(load_be32(page + 8), 1024);
	assert_int_equal(load_be32(page + 20), 1 << 21);
	assert_int_equal(load_be32(page + 24), SCSI_MAX_EXTENTS);
	assert_int_equal(load_be32(page + 28), 8);
	assert_int_equal(load_be64(page + 36), 128 << 10);
	page = vpd(0xb1);
	assert_int_equal(rig.result.answer_bytes, 64);
	assert_int_equal(load_be16(page + 4), 1);
	page = vpd(0xb2);
	assert_int_equal(rig.result.answer_bytes, 8);
	assert_int_equal(page[5], 0xe4);
	assert_int_equal(page[6], 2);

	plain.can_discard = false;
	plain.discard_zeroes = false;
	unit_disk(&rig, &plain);
	page = vpd(0xb0);
	assert_int_equal(load_be32(page + 20), 0);
	assert_int_equal(load_be32(page + 24), 0);
	page = vpd(0xb2);
	assert_int_equal(page[5], 0);
	assert_int_equal(page[6], 0);

	plain.can_discard = true;
	unit_disk(&rig, &plain);
	page = vpd(0xb2);
	assert_int_equal(page[5], 0x80);
}

static void units_are_listed(void **state)
{
	const uint8_t *answer = rig.result.answer;

	(void)state;
	rig.luns = 1ULL << 0 | 1ULL << 5 | 1ULL << 63;
	assert_int_equal(unit_do(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0)), 0);
	assert_int_equal(rig.result.answer_bytes, 8 + 3 * 8);
	assert_int_equal(load_be32(answer), 24);
	assert_int_equal(load_be64(answer + 8), 0);
	assert_int_equal(load_be64(answer + 16), 5ULL << 48);
	assert_int_equal(load_be64(answer + 24), 63ULL << 48);
	/* The length is of the whole list, however little of it there is room for. */
	assert_int_equal(unit_do(&rig, CDB(0xa0, 0, 2, 0, 0, 0, 0, 0, 0, 16)), 0);
	assert_int_equal(rig.result.answer_bytes, 16);
	assert_int_equal(load_be32(answer), 24);
	assert_int_equal(unit_do(&rig, CDB(0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 16)), 0);
	assert_int_equal(load_be32(answer), 0);
	assert_int_equal(
		unit_do(&rig, CDB(0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 16)), SCSI_INVALID_FIELD_IN_CDB);
	rig.luns = UINT64_MAX;
	assert_int_equal(unit_do(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 1, 0, 0)), 0);
	assert_int_equal(rig.result.answer_bytes, 8 + 64 * 8);
}

static bool absent(const uint8_t *cdb)
{
	struct scsi_command command = {.cdb_bytes = unit_cdb_bytes(cdb[0]), .luns = 2};

	memcpy(command.cdb, cdb, command.cdb_bytes);
	return scsi_execute_absent(&command, &rig.result);
}

static void absent_units_answer_three_questions(void **state)
{
	(void)state;
	assert_true(absent(CDB(0x12, 0, 0, 0, 36)));
	assert_int_equal(rig.result.sense, 0);
	assert_int_equal(rig.result.answer_bytes, 36);
	assert_int_equal(rig.result.answer[0], 0x7f);
	assert_true(absent(CDB(0x12, 1, 0x83, 0, 36)));
	assert_int_equal(rig.result.answer[0], 0x7f);
	assert_true(absent(CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0)));
	assert_int_equal(load_be32(rig.result.answer), 8);
	assert_true(absent(CDB(0x03, 0, 0, 0, 18)));
	assert_int_equal(rig.result.answer[2], 5);
	assert_int_equal(rig.result.answer[12], 0x25);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		if (opcode != 0x12 && opcode != 0xa0 && opcode != 0x03)
			assert_false(absent(CDB((uint8_t)opcode)));
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_introduces_itself),
		TEST(a_drive_introduces_itself),
		TEST(fields_that_are_not_offered_are_refused),
		TEST(the_page_of_pages_is_true),
		TEST(pages_are_cut_as_asked),
		TEST(serials_and_ids_identify),
		TEST(limits_are_told),
		TEST(units_are_listed),
		TEST(absent_units_answer_three_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
