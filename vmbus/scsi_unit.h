/* SPDX-License-Identifier: MIT
 *
 * scsi_unit.h - SCSI without transport and without blocks: a logical unit's state, and the pure
 * function from {command, state} to an answer, a block request or sense data. Internal to vmbus/.
 *
 * A command goes through one table (scsi_command.c) of {operation code, service action, length of
 * the descriptor, direction, kinds of unit, handler}. What reads or writes blocks comes back as
 * extents inside the medium; the transport carries them out and turns the backend's error into
 * sense data with scsi_sense_of_error().
 *
 * Threads: none; the caller's lock.
 */
#ifndef VIADUCT_VMBUS_SCSI_UNIT_H
#define VIADUCT_VMBUS_SCSI_UNIT_H

#include "base/disk_ops.h"
#include "vmbus/proto/scsi.h"

/* More parameter data than this no command of ours has use for. */
#define SCSI_MAX_PARAMETER_BYTES 4096
#define SCSI_MAX_ANSWER_BYTES    1024
#define SCSI_MAX_EXTENTS         32
#define SCSI_MAX_LUNS            64

enum scsi_kind {
	SCSI_KIND_DISK,
	SCSI_KIND_DVD,
};

/* Unit attentions, the most important first; each waits until the guest was told. */
enum scsi_attention {
	SCSI_ATTENTION_RESET = 1 << 0,
	SCSI_ATTENTION_MEDIUM = 1 << 1,
	SCSI_ATTENTION_CAPACITY = 1 << 2,
	SCSI_ATTENTIONS = SCSI_ATTENTION_RESET | SCSI_ATTENTION_MEDIUM | SCSI_ATTENTION_CAPACITY,
};

/* For GET EVENT STATUS NOTIFICATION, numbered as there. */
enum scsi_media_event {
	SCSI_MEDIA_NO_CHANGE = 0,
	SCSI_MEDIA_NEW = 2,
	SCSI_MEDIA_REMOVED = 3,
};

struct scsi_unit {
	enum scsi_kind kind;
	uint8_t id[DISK_ID_BYTES];
	char serial[DISK_SERIAL_MAX_LEN + 1];
	uint32_t max_transfer_bytes;
	bool has_medium; /* `info` is of it */
	struct disk_info info;

	/* What comes from the guest or is still to be told; it moves with the guest. */
	uint32_t attentions;
	uint8_t media_event;
	bool locked;    /* the guest wants the medium to stay */
	bool tray_open; /* the guest ejected */
};

/* `parameters`: the data-out of commands that scsi_parameter_bytes() asks it for. */
struct scsi_command {
	uint8_t cdb[SCSI_MAX_CDB_BYTES];
	uint8_t cdb_bytes;
	uint32_t transfer_bytes; /* what the guest has room or data for */
	const uint8_t *parameters;
	uint32_t n_parameter_bytes;
	uint8_t lun;
	uint64_t luns; /* bit n: unit n is there */
};

enum scsi_direction {
	SCSI_NO_DATA,
	SCSI_DATA_IN,
	SCSI_DATA_OUT,
};

struct scsi_extent {
	uint64_t offset_bytes;
	uint64_t size_bytes;
};

/* `sense` decides: when it is not SCSI_NO_SENSE the command failed and nothing else counts. */
struct scsi_result {
	uint32_t sense;
	uint32_t answer_bytes;
	uint8_t answer[SCSI_MAX_ANSWER_BYTES];

	/* The block request, when has_blocks: each extent inside the medium, in order. READ moves
	 * guest data in; WRITE out, or writes the block in `parameters` over and over. */
	bool has_blocks;
	enum disk_op op;
	bool fua;
	bool repeats_block;
	unsigned n_extents;
	struct scsi_extent extents[SCSI_MAX_EXTENTS];
};

/* `id` and `serial` are the drive's; those of a disk come with its medium. */
void scsi_unit_init(struct scsi_unit *unit, enum scsi_kind kind, const uint8_t *id,
	uint32_t max_transfer_bytes);
/* NULL: no medium. Tells nobody. */
void scsi_unit_load(struct scsi_unit *unit, const struct disk_info *info);
/* The same, and the guest will hear of it. Taking closes the tray and forgets its lock. */
void scsi_unit_take_medium(struct scsi_unit *unit);
void scsi_unit_put_medium(struct scsi_unit *unit, const struct disk_info *info);
/* The size of the medium may have changed. */
void scsi_unit_resize(struct scsi_unit *unit, const struct disk_info *info);
void scsi_unit_reset(struct scsi_unit *unit);

/* Which way a command moves data; SCSI_NO_DATA for those that are unknown. */
enum scsi_direction scsi_direction(
	const struct scsi_unit *unit, const struct scsi_command *command);
/* How much of the data-out the command wants to see itself. At most SCSI_MAX_PARAMETER_BYTES. */
uint32_t scsi_parameter_bytes(const struct scsi_unit *unit, const struct scsi_command *command);
void scsi_execute(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *ret_result);
/* For a unit that is not there. False: there is no answer, the transport says so. */
bool scsi_execute_absent(const struct scsi_command *command, struct scsi_result *ret_result);

uint32_t scsi_sense_of_error(enum disk_op op, int err);
/* Fixed format; returns the size. */
size_t scsi_sense_data(uint32_t sense, uint8_t ret_data[SCSI_SENSE_FIXED_BYTES]);

#endif
