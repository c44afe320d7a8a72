/* SPDX-License-Identifier: MIT */
#include "stor_unit.h"

const struct disk_info unit_disk_info = {
	.size_bytes = 8192 * 512,
	.block_bytes = 512,
	.physical_bytes = 4096,
	.can_discard = true,
	.discard_zeroes = true,
	.can_write_zeroes = true,
	.write_cache = true,
	.id = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d,
		0x1e, 0x1f},
	.serial = "SERIAL-1",
};

const struct disk_info unit_disc_info = {
	.size_bytes = 100 * 2048,
	.block_bytes = 2048,
	.physical_bytes = 2048,
	.read_only = true,
};

static void init(struct unit_rig *rig, enum scsi_kind kind, const struct disk_info *info)
{
	static const uint8_t id[DISK_ID_BYTES] = {'D', 'V', 'D', 1};

	memset(rig, 0, sizeof(*rig));
	scsi_unit_init(&rig->unit, kind, id, 512 << 10);
	scsi_unit_load(&rig->unit, info);
	rig->luns = 3;
}

void unit_disk(struct unit_rig *rig, const struct disk_info *info)
{
	init(rig, SCSI_KIND_DISK, info);
}

void unit_dvd(struct unit_rig *rig, const struct disk_info *info)
{
	init(rig, SCSI_KIND_DVD, info);
}

uint8_t unit_cdb_bytes(uint8_t opcode)
{
	static const uint8_t by_group[8] = {6, 10, 10, 16, 16, 12, 16, 16};

	return by_group[opcode >> 5];
}

uint32_t unit_do(struct unit_rig *rig, const uint8_t *cdb)
{
	struct scsi_command command = {
		.cdb_bytes = rig->cdb_bytes ? rig->cdb_bytes : unit_cdb_bytes(cdb[0]),
		.transfer_bytes = rig->transfer_bytes ? rig->transfer_bytes : 1U << 20,
		.parameters = rig->parameters,
		.n_parameter_bytes = rig->n_parameter_bytes,
		.luns = rig->luns,
	};

	memcpy(command.cdb, cdb, command.cdb_bytes);
	memset(&rig->result, 0xa5, sizeof(rig->result));
	scsi_execute(&rig->unit, &command, &rig->result);
	return rig->result.sense;
}

uint32_t unit_send(
	struct unit_rig *rig, const uint8_t *cdb, const void *parameters, uint32_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
	uint32_t sense;

	memcpy(exact, parameters, size_bytes);
	rig->parameters = exact;
	rig->n_parameter_bytes = rig->transfer_bytes = size_bytes;
	sense = unit_do(rig, cdb);
	free(exact);
	rig->parameters = NULL;
	rig->n_parameter_bytes = rig->transfer_bytes = 0;
	return sense;
}
