/* SPDX-License-Identifier: MIT
 *
 * scsi_handlers.h - what the table of commands (scsi_command.c) calls. A handler returns sense, or
 * SCSI_NO_SENSE with the result filled; it finds the result zeroed, the descriptor whole, and a
 * medium in the unit when its row asks for one. Internal to vmbus/scsi_*.
 */
#ifndef VIADUCT_VMBUS_SCSI_HANDLERS_H
#define VIADUCT_VMBUS_SCSI_HANDLERS_H

#include "vmbus/scsi_unit.h"

typedef uint32_t scsi_handler(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result);

/* scsi_inquiry.c */
scsi_handler scsi_inquiry;
scsi_handler scsi_inquiry_absent;
scsi_handler scsi_report_luns;

/* scsi_mode.c */
scsi_handler scsi_mode_sense_6;
scsi_handler scsi_mode_sense_10;
scsi_handler scsi_mode_select_6;
scsi_handler scsi_mode_select_10;

/* scsi_block.c */
scsi_handler scsi_read_capacity_10;
scsi_handler scsi_read_capacity_16;
scsi_handler scsi_read;
scsi_handler scsi_write;
scsi_handler scsi_synchronize_cache;
scsi_handler scsi_verify;
scsi_handler scsi_unmap;
scsi_handler scsi_write_same;

/* scsi_mmc.c */
scsi_handler scsi_start_stop;
scsi_handler scsi_prevent_allow;
scsi_handler scsi_read_toc;
scsi_handler scsi_get_configuration;
scsi_handler scsi_get_event_status;
scsi_handler scsi_read_disc_information;
scsi_handler scsi_read_track_information;
scsi_handler scsi_mechanism_status;

/* The limits that VPD page B0 names. */
#define SCSI_MAX_UNMAP_BYTES      (1ULL << 30)
#define SCSI_MAX_WRITE_SAME_BYTES (64ULL << 20)

static inline uint64_t scsi_n_blocks(const struct scsi_unit *unit)
{
	return unit->has_medium ? unit->info.size_bytes / unit->info.block_bytes : 0;
}

/* The answer is result->answer[0..size_bytes), as much of it as the guest has room for. */
static inline uint32_t scsi_answer(
	struct scsi_result *result, uint32_t size_bytes, uint32_t allocation_bytes)
{
	result->answer_bytes = MIN(size_bytes, allocation_bytes);
	return SCSI_NO_SENSE;
}

#endif
