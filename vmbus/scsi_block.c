/* SPDX-License-Identifier: MIT
 *
 * Commands about blocks: how many, reading, writing, flushing, giving back. Every extent that
 * leaves here lies inside the medium.
 */
#include "vmbus/scsi_handlers.h"

#include "base/bytes.h"

#define FUA_BIT 0x08

struct block_range {
	uint64_t lba;
	uint64_t n_blocks;
};

/* Address and length as the size class of the operation code has them (SPC-4, 4.2.5). */
static struct block_range cdb_range(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return (struct block_range){load_be32(cdb) & 0x1fffff, cdb[4] ? cdb[4] : 256U};
	case 4:
		return (struct block_range){load_be64(cdb + 2), load_be32(cdb + 10)};
	case 5:
		return (struct block_range){load_be32(cdb + 2), load_be32(cdb + 6)};
	default:
		return (struct block_range){load_be32(cdb + 2), load_be16(cdb + 7)};
	}
}

static bool is_inside(const struct scsi_unit *unit, struct block_range range)
{
	uint64_t n_blocks = scsi_n_blocks(unit);

	return range.lba <= n_blocks && range.n_blocks <= n_blocks - range.lba;
}

/* An empty range is inside and needs nothing done. */
static uint32_t add_extent(
	const struct scsi_unit *unit, struct block_range range, struct scsi_result *result)
{
	if (!is_inside(unit, range))
		return SCSI_LBA_OUT_OF_RANGE;
	if (range.n_blocks == 0)
		return SCSI_NO_SENSE;
	result->has_blocks = true;
	result->extents[result->n_extents++] = (struct scsi_extent){
		.offset_bytes = range.lba * unit->info.block_bytes,
		.size_bytes = range.n_blocks * unit->info.block_bytes,
	};
	return SCSI_NO_SENSE;
}

/* Protection information is not offered. */
static bool wants_protection(const uint8_t *cdb)
{
	return cdb[0] >> 5 != 0 && cdb[1] >> 5 != 0;
}

static uint32_t transfer(const struct scsi_unit *unit, const struct scsi_command *command,
	struct scsi_result *result)
{
	struct block_range range = cdb_range(command->cdb);

	if (wants_protection(command->cdb))
		return SCSI_INVALID_FIELD_IN_CDB;
	if (!is_inside(unit, range))
		return SCSI_LBA_OUT_OF_RANGE;
	/* The guest's own two lengths contradict each other: do nothing rather than a part. */
	if (range.n_blocks * unit->info.block_bytes > command->transfer_bytes)
		return SCSI_INVALID_FIELD_IN_CDB;
	return add_extent(unit, range, result);
}

uint32_t scsi_read(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	result->op = DISK_READ;
	return transfer(unit, command, result);
}

uint32_t scsi_write(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	result->op = DISK_WRITE;
	result->fua = command->cdb[0] != SCSI_WRITE_6 && command->cdb[1] & FUA_BIT;
	return transfer(unit, command, result);
}

/* Only whole disks are flushed. */
uint32_t scsi_synchronize_cache(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	if (!is_inside(unit, cdb_range(command->cdb)))
		return SCSI_LBA_OUT_OF_RANGE;
	if (unit->info.read_only)
		return SCSI_NO_SENSE;
	result->op = DISK_FLUSH;
	result->has_blocks = true;
	result->n_extents = 1;
	return SCSI_NO_SENSE;
}

/* Whether blocks can be read shows when they are; comparing is not offered. */
uint32_t scsi_verify(struct scsi_unit *unit, const struct scsi_command *command,
	_unused_ struct scsi_result *result)
{
	const uint8_t byte_check = 0x06;

	if (wants_protection(command->cdb) || command->cdb[1] & byte_check)
		return SCSI_INVALID_FIELD_IN_CDB;
	return is_inside(unit, cdb_range(command->cdb)) ? SCSI_NO_SENSE : SCSI_LBA_OUT_OF_RANGE;
}

uint32_t scsi_unmap(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		HEADER_BYTES = 8,
		DESCRIPTOR_BYTES = 16,
		ANCHOR = 1,
	};
	const uint64_t max_blocks = SCSI_MAX_UNMAP_BYTES / unit->info.block_bytes;
	const uint8_t *list = command->parameters;
	uint32_t list_bytes = load_be16(command->cdb + 7);
	uint32_t n, descriptors_bytes;
	uint64_t total_blocks = 0;

	if (!unit->info.can_discard)
		return SCSI_INVALID_OPCODE;
	if (command->cdb[1] & ANCHOR)
		return SCSI_INVALID_FIELD_IN_CDB;
	if (list_bytes == 0)
		return SCSI_NO_SENSE;
	if (list_bytes < HEADER_BYTES || command->n_parameter_bytes < list_bytes)
		return SCSI_PARAMETER_LIST_LENGTH;
	descriptors_bytes = load_be16(list + 2);
	if (descriptors_bytes > list_bytes - HEADER_BYTES || descriptors_bytes % DESCRIPTOR_BYTES)
		return SCSI_PARAMETER_LIST_LENGTH;
	n = descriptors_bytes / DESCRIPTOR_BYTES;
	if (n > SCSI_MAX_EXTENTS)
		return SCSI_INVALID_FIELD_IN_LIST;
	result->op = DISK_DISCARD;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *descriptor = list + HEADER_BYTES + (size_t)i * DESCRIPTOR_BYTES;
		struct block_range range = {load_be64(descriptor), load_be32(descriptor + 8)};
		uint32_t sense = add_extent(unit, range, result);

		total_blocks += range.n_blocks;
		if (sense == SCSI_NO_SENSE && total_blocks > max_blocks)
			sense = SCSI_INVALID_FIELD_IN_LIST;
		if (sense)
			return sense;
	}
	return SCSI_NO_SENSE;
}

static bool is_zero(const uint8_t *bytes, uint32_t size_bytes)
{
	return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

uint32_t scsi_write_same(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		NO_DATA_OUT = 0x01, /* of the 16-byte form: as if the block were zeroes */
		LBDATA_PBDATA = 0x06,
		MAY_UNMAP = 0x08,
		ANCHOR = 0x10,
	};
	const struct disk_info *info = &unit->info;
	struct block_range range = cdb_range(command->cdb);
	uint8_t flags = command->cdb[1];
	bool no_data = command->cdb[0] == SCSI_WRITE_SAME_16 && flags & NO_DATA_OUT;
	bool zeroes;

	if (wants_protection(command->cdb) || flags & (LBDATA_PBDATA | ANCHOR))
		return SCSI_INVALID_FIELD_IN_CDB;
	if (!is_inside(unit, range))
		return SCSI_LBA_OUT_OF_RANGE;
	if (range.n_blocks == 0 || range.n_blocks > SCSI_MAX_WRITE_SAME_BYTES / info->block_bytes)
		return SCSI_INVALID_FIELD_IN_CDB;
	if (!no_data && command->n_parameter_bytes < info->block_bytes)
		return SCSI_INVALID_FIELD_IN_CDB;
	zeroes = no_data || is_zero(command->parameters, info->block_bytes);
	if (zeroes && flags & MAY_UNMAP && info->can_discard && info->discard_zeroes)
		result->op = DISK_DISCARD;
	else if (zeroes && info->can_write_zeroes)
		result->op = DISK_WRITE_ZEROES;
	else
		result->op = DISK_WRITE;
	result->repeats_block = result->op == DISK_WRITE;
	return add_extent(unit, range, result);
}

uint32_t scsi_read_capacity_10(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	uint64_t last_lba = scsi_n_blocks(unit) - 1;

	if (!(command->cdb[8] & 1) && load_be32(command->cdb + 2))
		return SCSI_INVALID_FIELD_IN_CDB;
	store_be32(result->answer, (uint32_t)MIN(last_lba, (uint64_t)UINT32_MAX));
	store_be32(result->answer + 4, unit->info.block_bytes);
	return scsi_answer(result, 8, 8);
}

uint32_t scsi_read_capacity_16(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		PROVISIONED = 0x80,
		READS_ZEROES = 0x40,
	};
	const struct disk_info *info = &unit->info;
	uint8_t *answer = result->answer;

	store_be64(answer, scsi_n_blocks(unit) - 1);
	store_be32(answer + 8, info->block_bytes);
	answer[13] = (uint8_t)__builtin_ctz(info->physical_bytes / info->block_bytes);
	if (info->can_discard)
		answer[14] = PROVISIONED | (info->discard_zeroes ? READS_ZEROES : 0);
	return scsi_answer(result, 32, load_be32(command->cdb + 10));
}
