/* SPDX-License-Identifier: MIT
 *
 * fuzz_scsi_cdb.c - any descriptor, any parameters, any unit: what comes out keeps its promises.
 *
 * Input: a byte - bit 0: a drive; bit 1: a medium; bit 2: read-only; bit 3: can discard; bit 4:
 * large blocks; bit 5: a huge one - a byte, the length of the descriptor; u32, how much the guest
 * moves; 16 bytes of descriptor; the rest is data.
 */
#include "base/bytes.h"
#include "vmbus/scsi_unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void insist(bool condition)
{
	if (!condition)
		abort();
}

static struct disk_info make_info(uint8_t what)
{
	return (struct disk_info){
		.size_bytes = what & 0x20 ? 1ULL << 50 : 1U << 20,
		.block_bytes = what & 0x10 ? 4096 : 512,
		.physical_bytes = 4096,
		.read_only = what & 4,
		.can_discard = what & 8,
		.discard_zeroes = what & 8,
		.can_write_zeroes = what & 8,
		.serial = "fuzz",
	};
}

static void check_blocks(const struct scsi_unit *unit, const struct scsi_command *command,
	const struct scsi_result *result)
{
	insist(unit->has_medium && result->n_extents <= SCSI_MAX_EXTENTS && result->n_extents > 0);
	insist(result->op == DISK_READ || !unit->info.read_only);
	if (result->op == DISK_FLUSH)
		return;
	for (unsigned i = 0; i < result->n_extents; i++) {
		const struct scsi_extent *extent = &result->extents[i];

		insist(extent->size_bytes > 0);
		insist(extent->offset_bytes % unit->info.block_bytes == 0);
		insist(extent->size_bytes % unit->info.block_bytes == 0);
		insist(extent->offset_bytes <= unit->info.size_bytes);
		insist(extent->size_bytes <= unit->info.size_bytes - extent->offset_bytes);
	}
	if ((result->op == DISK_READ || result->op == DISK_WRITE) && !result->repeats_block)
		insist(result->n_extents == 1 &&
			result->extents[0].size_bytes <= command->transfer_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct scsi_result result;
	struct reader in = reader_make(data, size_bytes);
	uint8_t what = reader_u8(&in);
	struct scsi_command command = {.luns = 0x5};
	const struct disk_info info = make_info(what);
	struct scsi_unit unit;
	uint8_t *parameters;

	command.cdb_bytes = (uint8_t)(1 + reader_u8(&in) % SCSI_MAX_CDB_BYTES);
	command.transfer_bytes = reader_le32(&in);
	reader_bytes(&in, command.cdb, sizeof(command.cdb));
	if (!reader_ok(&in))
		return 0;
	scsi_unit_init(&unit, what & 1 ? SCSI_KIND_DVD : SCSI_KIND_DISK, NULL, 512 << 10);
	scsi_unit_load(&unit, what & 2 || !(what & 1) ? &info : NULL);
	if (what & 0x40)
		scsi_unit_put_medium(&unit, &info);

	command.n_parameter_bytes =
		MIN(scsi_parameter_bytes(&unit, &command), command.transfer_bytes);
	if (command.n_parameter_bytes > in.left_bytes)
		command.n_parameter_bytes = (uint32_t)in.left_bytes;
	insist(command.n_parameter_bytes <= SCSI_MAX_PARAMETER_BYTES);
	parameters = malloc(command.n_parameter_bytes + 1U);
	insist(parameters != NULL);
	reader_bytes(&in, parameters, command.n_parameter_bytes);
	command.parameters = parameters;
	/* The second time without the attentions of the first. */
	for (unsigned i = 0; i < 3; i++) {
		scsi_execute(&unit, &command, &result);
		insist(result.answer_bytes <= sizeof(result.answer));
		if (result.sense == SCSI_NO_SENSE && result.has_blocks)
			check_blocks(&unit, &command, &result);
	}
	(void)scsi_execute_absent(&command, &result);
	free(parameters);
	return 0;
}
