/* SPDX-License-Identifier: MIT
 *
 * Commands about blocks, as a pure function: extents, limits, protection, attentions; and that no
 * extent ever leaves the medium.
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

static void expect_extent(enum disk_op op, uint64_t lba, uint64_t n_blocks)
{
	assert_true(rig.result.has_blocks);
	assert_int_equal(rig.result.op, op);
	assert_int_equal(rig.result.n_extents, 1);
	assert_int_equal(rig.result.extents[0].offset_bytes, lba * 512);
	assert_int_equal(rig.result.extents[0].size_bytes, n_blocks * 512);
}

static void every_form_of_transfer_names_its_extent(void **state)
{
	static const struct {
		uint8_t cdb[16];
		enum disk_op op;
		uint64_t lba;
		uint32_t n_blocks;
		bool fua;
	} cases[] = {
		{{0x08, 0x00, 0x12, 0x34, 5}, DISK_READ, 0x1234, 5, false},
		{{0x08, 0, 0, 0, 0}, DISK_READ, 0, 256, false},
		{{0x0a, 0, 0x01, 0, 1}, DISK_WRITE, 256, 1, false},
		{{0x28, 0, 0, 0, 0x10, 0, 0, 0x01, 0x02}, DISK_READ, 4096, 258, false},
		{{0x28, 0x18, 0, 0, 0, 9, 0, 0, 1}, DISK_READ, 9, 1, false},
		{{0x2a, 0x08, 0, 0, 0, 9, 0, 0, 1}, DISK_WRITE, 9, 1, true},
		{{0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 2}, DISK_READ, 7, 2, false},
		{{0xaa, 0x08, 0, 0, 0, 7, 0, 0, 0, 2}, DISK_WRITE, 7, 2, true},
		{{0x88, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 1}, DISK_READ, 8191, 1, false},
		{{0x8a, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0}, DISK_WRITE, 0, 8192, false},
	};

	(void)state;
	rig.transfer_bytes = 8192 * 512;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(unit_do(&rig, cases[i].cdb), 0);
		expect_extent(cases[i].op, cases[i].lba, cases[i].n_blocks);
		assert_int_equal(rig.result.fua, cases[i].fua && cases[i].op == DISK_WRITE);
		assert_false(rig.result.repeats_block);
	}
}

static void nothing_beyond_the_end(void **state)
{
	static const uint8_t cases[][16] = {
		{0x08, 0x1f, 0xff, 0xff, 1},
		{0x28, 0, 0, 0, 0x20, 0, 0, 0, 1},
		{0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 2},
		{0x28, 0, 0, 0, 0x20, 1, 0, 0, 0},
		{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff},
		{0xa8, 0, 0, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x8a, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0},
		{0x2f, 0, 0, 0, 0x20, 0, 0, 0, 1},
		{0x8f, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x35, 0, 0, 0, 0x20, 0, 0, 0, 1},
		{0x91, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1},
		{0x41, 0, 0, 0, 0x1f, 0xff, 0, 0, 2},
		{0x93, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(unit_do(&rig, cases[i]), SCSI_LBA_OUT_OF_RANGE);
	/* At the end, of nothing, is no error. */
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0x20, 0, 0, 0, 0)), 0);
	assert_false(rig.result.has_blocks);
}

static void short_descriptors_are_refused(void **state)
{
	static const uint8_t opcodes[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e,
		0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x55, 0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x93,
		0xa0, 0xa8, 0xaa};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++) {
		for (uint8_t n = 1; n < unit_cdb_bytes(opcodes[i]); n++) {
			rig.cdb_bytes = n;
			assert_int_equal(unit_do(&rig, CDB(opcodes[i])), SCSI_INVALID_FIELD_IN_CDB);
		}
	}
	rig.cdb_bytes = 15;
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x10)), SCSI_INVALID_FIELD_IN_CDB);
	/* Longer ones are fine. */
	rig.cdb_bytes = 16;
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
}

static void unknown_commands_are_refused(void **state)
{
	static const uint8_t opcodes[] = {
		0x01, 0x04, 0x43, 0x46, 0x4a, 0x51, 0x5e, 0x5f, 0x7f, 0x85, 0xa1, 0xa3, 0xbd, 0xff};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		assert_int_equal(unit_do(&rig, CDB(opcodes[i])), SCSI_INVALID_OPCODE);
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x12)), SCSI_INVALID_OPCODE);
}

static void protection_is_not_offered(void **state)
{
	static const uint8_t opcodes[] = {
		0x28, 0x2a, 0x88, 0x8a, 0xa8, 0xaa, 0x2f, 0x8f, 0x41, 0x93};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		assert_int_equal(unit_do(&rig, CDB(opcodes[i], 0x20)), SCSI_INVALID_FIELD_IN_CDB);
}

static void the_guest_needs_room_for_what_it_reads(void **state)
{
	(void)state;
	rig.transfer_bytes = 8 * 512 - 1;
	assert_int_equal(
		unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 8)), SCSI_INVALID_FIELD_IN_CDB);
	rig.transfer_bytes = 8 * 512;
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 8)), 0);
}

static void read_only_disks_are_not_written(void **state)
{
	static const uint8_t cases[][16] = {{0x0a, 0, 0, 0, 1}, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1},
		{0xaa}, {0x8a}, {0x42}, {0x41}, {0x93}};
	struct disk_info info = unit_disk_info;

	(void)state;
	info.read_only = true;
	unit_disk(&rig, &info);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(unit_do(&rig, cases[i]), SCSI_WRITE_PROTECTED);
		assert_false(rig.result.has_blocks);
	}
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1)), 0);
	/* There is nothing to flush. */
	assert_int_equal(unit_do(&rig, CDB(0x35)), 0);
	assert_false(rig.result.has_blocks);
}

static void caches_are_flushed(void **state)
{
	static const uint8_t cases[][16] = {{0x35}, {0x35, 2, 0, 0, 0, 8, 0, 0, 8}, {0x91}, {0x1b}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(unit_do(&rig, cases[i]), 0);
		assert_true(rig.result.has_blocks);
		assert_int_equal(rig.result.op, DISK_FLUSH);
		assert_int_equal(rig.result.n_extents, 1);
	}
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 1)), 0); /* start */
	assert_false(rig.result.has_blocks);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 2)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x1b, 0, 0, 0, 0x30)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x1e, 0, 0, 0, 1)), 0);
}

static void verify_looks_at_addresses(void **state)
{
	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x2f, 0, 0, 0, 0, 1, 0, 0x1f, 0)), 0);
	assert_int_equal(
		unit_do(&rig, CDB(0x2f, 2, 0, 0, 0, 1, 0, 0, 1)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x8f)), 0);
}

static void capacities_are_told(void **state)
{
	struct disk_info info = unit_disk_info;

	(void)state;
	assert_int_equal(unit_do(&rig, CDB(0x25)), 0);
	assert_int_equal(rig.result.answer_bytes, 8);
	assert_int_equal(load_be32(rig.result.answer), 8191);
	assert_int_equal(load_be32(rig.result.answer + 4), 512);
	assert_int_equal(unit_do(&rig, CDB(0x25, 0, 0, 0, 0, 1)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32)), 0);
	assert_int_equal(rig.result.answer_bytes, 32);
	assert_int_equal(load_be64(rig.result.answer), 8191);
	assert_int_equal(load_be32(rig.result.answer + 8), 512);
	assert_int_equal(rig.result.answer[13], 3);    /* 8 to a physical one */
	assert_int_equal(rig.result.answer[14], 0xc0); /* thin, zeroes */
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12)), 0);
	assert_int_equal(rig.result.answer_bytes, 12);

	/* 3 TiB: too much for the short form. */
	info.size_bytes = 3ULL << 40;
	info.can_discard = false;
	unit_disk(&rig, &info);
	assert_int_equal(unit_do(&rig, CDB(0x25)), 0);
	assert_int_equal(load_be32(rig.result.answer), 0xffffffff);
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32)), 0);
	assert_int_equal(load_be64(rig.result.answer), (3ULL << 40) / 512 - 1);
	assert_int_equal(rig.result.answer[14], 0);
}

static void large_blocks_are_counted_as_such(void **state)
{
	struct disk_info info = unit_disk_info;

	(void)state;
	info.block_bytes = 4096;
	unit_disk(&rig, &info);
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 2, 0, 0, 3)), 0);
	assert_int_equal(rig.result.extents[0].offset_bytes, 8192);
	assert_int_equal(rig.result.extents[0].size_bytes, 12288);
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 4, 0, 0, 0, 1)), SCSI_LBA_OUT_OF_RANGE);
	assert_int_equal(unit_do(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32)), 0);
	assert_int_equal(rig.result.answer[13], 0);
}

/* An UNMAP list of `n` descriptors of 8 blocks each, every 16th block. */
static uint32_t unmap_list(uint8_t *list, unsigned n)
{
	memset(list, 0, 8);
	store_be16(list, (uint16_t)(6 + 16 * n));
	store_be16(list + 2, (uint16_t)(16 * n));
	for (unsigned i = 0; i < n; i++) {
		memset(list + 8 + 16 * i, 0, 16);
		store_be64(list + 8 + 16 * i, 16 * i);
		store_be32(list + 16 + 16 * i, 8);
	}
	return 8 + 16 * n;
}

static uint32_t unmap(const uint8_t *list, uint32_t cdb_list_bytes, uint32_t size_bytes)
{
	uint8_t cdb[16] = {0x42};

	store_be16(cdb + 7, (uint16_t)cdb_list_bytes);
	return unit_send(&rig, cdb, list, size_bytes);
}

static void blocks_are_given_back(void **state)
{
	uint8_t list[8 + 16 * 40];
	uint32_t size_bytes = unmap_list(list, SCSI_MAX_EXTENTS);

	(void)state;
	assert_int_equal(unmap(list, size_bytes, size_bytes), 0);
	assert_int_equal(rig.result.op, DISK_DISCARD);
	assert_int_equal(rig.result.n_extents, SCSI_MAX_EXTENTS);
	for (unsigned i = 0; i < SCSI_MAX_EXTENTS; i++) {
		assert_int_equal(rig.result.extents[i].offset_bytes, 16 * 512 * i);
		assert_int_equal(rig.result.extents[i].size_bytes, 8 * 512);
	}
	size_bytes = unmap_list(list, 40);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_INVALID_FIELD_IN_LIST);
	size_bytes = unmap_list(list, 0);
	assert_int_equal(unmap(list, size_bytes, size_bytes), 0);
	assert_false(rig.result.has_blocks);
	assert_int_equal(unmap(list, 0, 0), 0);

	size_bytes = unmap_list(list, 2);
	store_be64(list + 24, 8190);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_LBA_OUT_OF_RANGE);
	store_be32(list + 32, 0); /* nothing, at a good place */
	assert_int_equal(unmap(list, size_bytes, size_bytes), 0);
	assert_int_equal(rig.result.n_extents, 1);
}

static void bad_unmap_lists_are_refused(void **state)
{
	uint8_t list[64];
	uint32_t size_bytes = unmap_list(list, 2);
	struct disk_info info = unit_disk_info;

	(void)state;
	for (uint32_t n = 1; n < size_bytes; n++) {
		assert_int_equal(unmap(list, n, n), SCSI_PARAMETER_LIST_LENGTH);
		/* Less data than the descriptor says. */
		assert_int_equal(unmap(list, size_bytes, n), SCSI_PARAMETER_LIST_LENGTH);
	}
	store_be16(list + 2, 17);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_PARAMETER_LIST_LENGTH);
	store_be16(list + 2, 0xfff0);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_PARAMETER_LIST_LENGTH);
	assert_int_equal(unit_do(&rig, CDB(0x42, 1)), SCSI_INVALID_FIELD_IN_CDB);

	info.can_discard = false;
	unit_disk(&rig, &info);
	size_bytes = unmap_list(list, 2);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_INVALID_OPCODE);
}

static void unmap_has_a_limit(void **state)
{
	struct disk_info info = unit_disk_info;
	uint8_t list[40];
	uint32_t size_bytes = unmap_list(list, 2);

	(void)state;
	info.size_bytes = 8ULL << 30;
	unit_disk(&rig, &info);
	store_be32(list + 16, 1 << 20);
	store_be32(list + 32, 1 << 20);
	assert_int_equal(unmap(list, size_bytes, size_bytes), 0);
	store_be32(list + 32, (1 << 20) + 1);
	assert_int_equal(unmap(list, size_bytes, size_bytes), SCSI_INVALID_FIELD_IN_LIST);
}

static void write_same_finds_the_cheapest_way(void **state)
{
	static const struct {
		uint8_t flags;
		bool zeroes, can_discard, discard_zeroes, can_write_zeroes;
		enum disk_op op;
	} cases[] = {
		{0, true, true, true, true, DISK_WRITE_ZEROES},
		{8, true, true, true, true, DISK_DISCARD},
		{8, true, true, false, true, DISK_WRITE_ZEROES},
		{8, true, false, false, false, DISK_WRITE},
		{0, true, true, true, false, DISK_WRITE},
		{8, false, true, true, true, DISK_WRITE},
		{0, false, true, true, true, DISK_WRITE},
	};
	uint8_t block[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct disk_info info = unit_disk_info;

		info.can_discard = cases[i].can_discard;
		info.discard_zeroes = cases[i].discard_zeroes;
		info.can_write_zeroes = cases[i].can_write_zeroes;
		unit_disk(&rig, &info);
		memset(block, 0, sizeof(block));
		block[511] = cases[i].zeroes ? 0 : 1;
		assert_int_equal(unit_send(&rig, CDB(0x41, cases[i].flags, 0, 0, 0, 3, 0, 0x10, 0),
					 block, sizeof(block)),
			0);
		expect_extent(cases[i].op, 3, 4096);
		assert_int_equal(rig.result.repeats_block, cases[i].op == DISK_WRITE);
	}
}

static void write_same_wants_its_block(void **state)
{
	uint8_t block[512] = {0};

	(void)state;
	assert_int_equal(unit_send(&rig, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1), block, 511),
		SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(
		unit_send(&rig, CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), block, 0),
		SCSI_INVALID_FIELD_IN_CDB);
	/* Or says that there is none. */
	assert_int_equal(unit_do(&rig, CDB(0x93, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1)), 0);
	expect_extent(DISK_DISCARD, 5, 1);
	/* The short form has no such bit: that is something else, long obsolete. */
	assert_int_equal(
		unit_do(&rig, CDB(0x41, 1, 0, 0, 0, 0, 0, 0, 1)), SCSI_INVALID_FIELD_IN_CDB);
	/* None is not all. */
	assert_int_equal(unit_send(&rig, CDB(0x41), block, 512), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x93, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
		SCSI_INVALID_FIELD_IN_CDB);
}

static void write_same_has_a_limit(void **state)
{
	struct disk_info info = unit_disk_info;

	(void)state;
	info.size_bytes = 1ULL << 30;
	unit_disk(&rig, &info);
	assert_int_equal(unit_do(&rig, CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1)),
		SCSI_INVALID_FIELD_IN_CDB);
}

static void attentions_come_first_and_once(void **state)
{
	struct disk_info larger = unit_disk_info;

	(void)state;
	larger.size_bytes *= 2;
	scsi_unit_resize(&rig.unit, &larger);
	scsi_unit_reset(&rig.unit);
	/* These answer all the same, and leave them. */
	assert_int_equal(unit_do(&rig, CDB(0x12, 0, 0, 0, 36)), 0);
	assert_int_equal(unit_do(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255)), 0);
	assert_int_equal(unit_do(&rig, CDB(0x00)), SCSI_RESET_OCCURRED);
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1)), SCSI_CAPACITY_CHANGED);
	assert_int_equal(unit_do(&rig, CDB(0x28, 0, 0, 0, 0x3f, 0xff, 0, 0, 1)), 0);
	/* Asked for, they are told in data. */
	scsi_unit_reset(&rig.unit);
	assert_int_equal(unit_do(&rig, CDB(0x03, 0, 0, 0, 18)), 0);
	assert_int_equal(rig.result.answer_bytes, 18);
	assert_int_equal(rig.result.answer[2], 6);
	assert_int_equal(rig.result.answer[12], 0x29);
	assert_int_equal(unit_do(&rig, CDB(0x03, 0, 0, 0, 252)), 0);
	assert_int_equal(rig.result.answer_bytes, 18);
	assert_int_equal(rig.result.answer[0], 0x70);
	assert_int_equal(rig.result.answer[2], 0);
	assert_int_equal(unit_do(&rig, CDB(0x03, 0, 0, 0, 4)), 0);
	assert_int_equal(rig.result.answer_bytes, 4);
	assert_int_equal(unit_do(&rig, CDB(0x03, 1, 0, 0, 18)), SCSI_INVALID_FIELD_IN_CDB);
	assert_int_equal(unit_do(&rig, CDB(0x00)), 0);
}

static void errors_have_their_sense(void **state)
{
	(void)state;
	assert_int_equal(scsi_sense_of_error(DISK_READ, 0), 0);
	assert_int_equal(scsi_sense_of_error(DISK_READ, -EIO), SCSI_READ_ERROR);
	assert_int_equal(scsi_sense_of_error(DISK_FLUSH, -EIO), SCSI_WRITE_ERROR);
	assert_int_equal(scsi_sense_of_error(DISK_WRITE, -ENOSPC), SCSI_SPACE_ALLOCATION_FAILED);
	assert_int_equal(scsi_sense_of_error(DISK_DISCARD, -EROFS), SCSI_WRITE_PROTECTED);
	assert_int_equal(scsi_sense_of_error(DISK_READ, -EFAULT), SCSI_TARGET_FAILURE);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_form_of_transfer_names_its_extent),
		TEST(nothing_beyond_the_end),
		TEST(short_descriptors_are_refused),
		TEST(unknown_commands_are_refused),
		TEST(protection_is_not_offered),
		TEST(the_guest_needs_room_for_what_it_reads),
		TEST(read_only_disks_are_not_written),
		TEST(caches_are_flushed),
		TEST(verify_looks_at_addresses),
		TEST(capacities_are_told),
		TEST(large_blocks_are_counted_as_such),
		TEST(blocks_are_given_back),
		TEST(bad_unmap_lists_are_refused),
		TEST(unmap_has_a_limit),
		TEST(write_same_finds_the_cheapest_way),
		TEST(write_same_wants_its_block),
		TEST(write_same_has_a_limit),
		TEST(attentions_come_first_and_once),
		TEST(errors_have_their_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
