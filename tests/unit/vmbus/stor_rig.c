/* SPDX-License-Identifier: MIT */
#include "stor_rig.h"

#define WORK_LIMIT 10000

const struct disk_info rig_disk_info = {
	.size_bytes = RIG_DISK_BLOCKS * RIG_BLOCK,
	.block_bytes = RIG_BLOCK,
	.physical_bytes = 4096,
	.can_discard = true,
	.discard_zeroes = true,
	.can_write_zeroes = true,
	.write_cache = true,
	.id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	.serial = "RIG-0001",
};

const struct disk_info rig_disc_info = {
	.size_bytes = RIG_DISC_BLOCKS * 2048,
	.block_bytes = 2048,
	.physical_bytes = 2048,
	.read_only = true,
};

static void insist(bool condition)
{
	if (!condition)
		abort();
}

static void make_controller(struct stor_rig *rig, unsigned n_channels)
{
	const struct storvsp_config config = {
		.index = 7,
		.n_channels = n_channels,
		.disk_ops = &disk_dummy_ops,
		.backend = rig->backend,
	};

	insist(storvsp_new((void *)rig->bus, &config, &rig->storvsp) == 0);
	insist(unit_registry_new(&rig->units) == 0);
	insist(storvsp_register_unit(rig->storvsp, rig->units) == 0);
	insist(storvsp_attach(rig->storvsp, &(struct storvsp_lun){.lun = 0, .disk = rig->disk}) ==
		0);
	insist(storvsp_attach(rig->storvsp, &(struct storvsp_lun){.lun = 1, .kind = STORVSP_DVD}) ==
		0);
}

/* Every block begins in its own way. */
static void fill(struct disk_dummy *disk, const struct disk_info *info, unsigned seed)
{
	static uint8_t bytes[4096 + UINT8_MAX];
	uint64_t n_blocks = info->size_bytes / info->block_bytes;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 255);
	for (uint64_t i = 0; i < n_blocks; i++)
		memcpy(disk_dummy_bytes(disk) + i * info->block_bytes,
			bytes + (i * seed + i / 256) % UINT8_MAX, info->block_bytes);
}

void rig_new_blank(struct stor_rig *rig, unsigned n_channels)
{
	memset(rig, 0, sizeof(*rig));
	rig->next_id = 1;
	rig->bus = stor_double_new();
	insist(disk_dummy_backend_new(&rig->backend) == 0);
	insist(disk_dummy_new(rig->backend, &rig_disk_info, &rig->disk) == 0);
	insist(disk_dummy_new(rig->backend, &rig_disc_info, &rig->disc) == 0);
	make_controller(rig, n_channels);
}

void rig_new(struct stor_rig *rig, unsigned n_channels)
{
	rig_new_blank(rig, n_channels);
	fill(rig->disk, &rig_disk_info, 1);
	fill(rig->disc, &rig_disc_info, 3);
}

static void free_controller(struct stor_rig *rig)
{
	unit_registry_free(rig->units);
	storvsp_free(rig->storvsp);
}

void rig_free(struct stor_rig *rig)
{
	free_controller(rig);
	disk_dummy_free(rig->disk);
	disk_dummy_free(rig->disc);
	disk_dummy_backend_free(rig->backend);
	stor_double_free(rig->bus);
}

void rig_replace(struct stor_rig *rig, unsigned n_channels)
{
	free_controller(rig);
	make_controller(rig, n_channels);
}

struct vmbus_channel *rig_channel(struct stor_rig *rig, unsigned index)
{
	return &rig->bus->channels[index];
}

void rig_work(struct stor_rig *rig)
{
	bool more = true;

	for (unsigned n = 0; n < WORK_LIMIT && more; n++) {
		more = false;
		for (unsigned i = 0; i < rig->bus->n_channels; i++)
			more |= stor_double_work(rig_channel(rig, i));
	}
	insist(!more);
}

bool rig_take(struct stor_rig *rig, unsigned channel)
{
	if (!stor_double_take(rig_channel(rig, channel), &rig->packet))
		return false;
	memset(&rig->answer, 0, sizeof(rig->answer));
	memcpy(&rig->answer, rig->packet.payload, rig->packet.payload_bytes);
	return true;
}

uint64_t rig_post(struct stor_rig *rig, const void *payload, size_t size_bytes)
{
	uint64_t id = rig->next_id++;

	stor_double_push(
		rig_channel(rig, 0), VMBUS_PACKET_INBAND, id, true, payload, size_bytes, NULL, 0);
	return id;
}

uint32_t rig_operate(struct stor_rig *rig, uint32_t operation, uint32_t argument)
{
	struct vstor_packet packet = {.operation = operation, .flags = 1};
	uint64_t id;

	store_le32(packet.bytes, argument);
	id = rig_post(rig, &packet, sizeof(packet));
	rig_work(rig);
	insist(rig_take(rig, 0) && rig->packet.transaction_id == id);
	insist(rig->answer.operation == VSTOR_COMPLETE_IO);
	return rig->answer.status;
}

void rig_initialise(struct stor_rig *rig, uint16_t version)
{
	stor_double_open(rig_channel(rig, 0));
	insist(rig_operate(rig, VSTOR_BEGIN_INIT, 0) == 0);
	insist(rig_operate(rig, VSTOR_QUERY_VERSION, version) == 0);
	insist(rig_operate(rig, VSTOR_QUERY_PROPERTIES, 0) == 0);
	insist(rig_operate(rig, VSTOR_END_INIT, 0) == 0);
}

static uint8_t natural_cdb_bytes(uint8_t opcode)
{
	static const uint8_t by_group[8] = {6, 10, 10, 16, 16, 12, 16, 16};

	return by_group[opcode >> 5];
}

uint64_t rig_queue(struct stor_rig *rig, const struct rig_command *command)
{
	const struct stor_double_range range = {
		command->gpa ? command->gpa : RIG_DATA_GPA, command->transfer_bytes};
	bool has_ranges = command->transfer_bytes && !command->inband;
	struct vstor_packet packet = {
		.operation = VSTOR_EXECUTE_SRB,
		.flags = VSTOR_FLAG_COMPLETION_REQUESTED,
		.srb = {.length = sizeof(packet.srb),
			.path = command->path,
			.target = command->target,
			.lun = command->lun,
			.cdb_length = command->cdb_bytes ? command->cdb_bytes
							 : natural_cdb_bytes(command->cdb[0]),
			.sense_length = VSTOR_SENSE_BYTES,
			.direction = (uint8_t)command->direction,
			.transfer_bytes = command->transfer_bytes},
	};
	uint64_t id = rig->next_id++;

	memcpy(packet.srb.cdb, command->cdb, sizeof(packet.srb.cdb));
	stor_double_push(rig_channel(rig, command->channel),
		has_ranges ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_INBAND, id, true, &packet,
		sizeof(packet), &range, has_ranges);
	return id;
}

uint8_t rig_execute(struct stor_rig *rig, const struct rig_command *command)
{
	uint64_t id = rig_queue(rig, command);

	rig_work(rig);
	if (!rig_take(rig, command->channel))
		return 0;
	insist(rig->packet.type == VMBUS_PACKET_COMPLETION && rig->packet.transaction_id == id);
	insist(rig->answer.operation == VSTOR_COMPLETE_IO && rig->answer.status == 0);
	return rig->answer.srb.srb_status;
}

uint32_t rig_sense(const struct stor_rig *rig)
{
	const struct vstor_srb *srb = &rig->answer.srb;

	/* Guests look at sense by the one or by the other. */
	insist(!(srb->srb_status & VSTOR_SRB_AUTOSENSE_VALID) ==
		(srb->scsi_status != SCSI_STATUS_CHECK_CONDITION));
	if (!(srb->srb_status & VSTOR_SRB_AUTOSENSE_VALID))
		return 0;
	insist(srb->sense_length == SCSI_SENSE_FIXED_BYTES && srb->sense[0] == 0x70);
	return SCSI_SENSE(srb->sense[2], srb->sense[12], srb->sense[13]);
}

uint8_t *rig_data(struct stor_rig *rig)
{
	return rig->bus->memory + RIG_DATA_GPA;
}

static struct rig_command transfer10(
	uint8_t opcode, enum vstor_direction direction, uint32_t lba, uint16_t n_blocks)
{
	struct rig_command command = {
		.cdb = {opcode},
		.direction = direction,
		.transfer_bytes = n_blocks * RIG_BLOCK,
	};

	store_be32(command.cdb + 2, lba);
	store_be16(command.cdb + 7, n_blocks);
	return command;
}

struct rig_command rig_read10(uint32_t lba, uint16_t n_blocks)
{
	return transfer10(SCSI_READ_10, VSTOR_DATA_IN, lba, n_blocks);
}

struct rig_command rig_write10(uint32_t lba, uint16_t n_blocks)
{
	return transfer10(SCSI_WRITE_10, VSTOR_DATA_OUT, lba, n_blocks);
}
