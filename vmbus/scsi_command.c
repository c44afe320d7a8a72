/* SPDX-License-Identifier: MIT */
#include "vmbus/scsi_unit.h"

#include "base/bytes.h"
#include "vmbus/scsi_handlers.h"

enum {
	ON_DISK = 1 << SCSI_KIND_DISK,
	ON_DVD = 1 << SCSI_KIND_DVD,
	ON_ALL = ON_DISK | ON_DVD,
};

enum row_flag {
	NEEDS_MEDIUM = 1 << 0,
	WRITES = 1 << 1,          /* not on a write-protected medium */
	SKIPS_ATTENTION = 1 << 2, /* answers although there is a unit attention, which stays */
};

/* Where the length of the parameter list stands in the descriptor. */
enum parameters {
	NO_PARAMETERS,
	LENGTH_8_AT_4,
	LENGTH_16_AT_7,
	ONE_BLOCK,
};

#define ANY_ACTION 0xff

struct command_row {
	uint8_t opcode;
	uint8_t service_action;
	uint8_t cdb_bytes;
	uint8_t direction; /* enum scsi_direction */
	uint8_t kinds;
	uint8_t flags;
	uint8_t parameters;
	scsi_handler *handle;
};

static uint32_t succeed(_unused_ struct scsi_unit *unit,
	_unused_ const struct scsi_command *command, _unused_ struct scsi_result *result)
{
	return SCSI_NO_SENSE;
}

static uint32_t next_attention(const struct scsi_unit *unit, uint32_t *ret_attention)
{
	static const struct {
		uint32_t attention, sense;
	} senses[] = {
		{SCSI_ATTENTION_RESET, SCSI_RESET_OCCURRED},
		{SCSI_ATTENTION_MEDIUM, SCSI_MEDIUM_CHANGED},
		{SCSI_ATTENTION_CAPACITY, SCSI_CAPACITY_CHANGED},
	};

	for (size_t i = 0; i < ARRAY_LEN(senses); i++) {
		if (unit->attentions & senses[i].attention) {
			*ret_attention = senses[i].attention;
			return senses[i].sense;
		}
	}
	return SCSI_NO_SENSE;
}

static uint32_t take_attention(struct scsi_unit *unit)
{
	uint32_t attention = 0;
	uint32_t sense = next_attention(unit, &attention);

	unit->attentions &= ~attention;
	return sense;
}

static uint32_t no_medium(const struct scsi_unit *unit)
{
	return unit->tray_open ? SCSI_NO_MEDIUM_TRAY_OPEN : SCSI_NO_MEDIUM_TRAY_CLOSED;
}

static bool is_ready(const struct scsi_unit *unit)
{
	return unit->has_medium && !unit->tray_open && scsi_n_blocks(unit) > 0;
}

static uint32_t answer_sense(
	uint32_t sense, const struct scsi_command *command, struct scsi_result *result)
{
	/* Descriptor format is not offered. */
	if (command->cdb[1] & 1)
		return SCSI_INVALID_FIELD_IN_CDB;
	return scsi_answer(
		result, (uint32_t)scsi_sense_data(sense, result->answer), command->cdb[4]);
}

/* Errors are told with the command they belong to, so only what waits is left to ask for. */
static uint32_t request_sense(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	uint32_t sense;

	if (command->cdb[1] & 1)
		return SCSI_INVALID_FIELD_IN_CDB;
	sense = take_attention(unit);
	if (sense == SCSI_NO_SENSE && !is_ready(unit))
		sense = no_medium(unit);
	return answer_sense(sense, command, result);
}

static uint32_t request_sense_absent(_unused_ struct scsi_unit *unit,
	const struct scsi_command *command, struct scsi_result *result)
{
	return answer_sense(SCSI_INVALID_LUN, command, result);
}

static const struct command_row command_table[] = {
	{SCSI_TEST_UNIT_READY, ANY_ACTION, 6, SCSI_NO_DATA, ON_ALL, NEEDS_MEDIUM, NO_PARAMETERS,
		succeed},
	{SCSI_REQUEST_SENSE, ANY_ACTION, 6, SCSI_DATA_IN, ON_ALL, SKIPS_ATTENTION, NO_PARAMETERS,
		request_sense},
	{SCSI_INQUIRY, ANY_ACTION, 6, SCSI_DATA_IN, ON_ALL, SKIPS_ATTENTION, NO_PARAMETERS,
		scsi_inquiry},
	{SCSI_REPORT_LUNS, ANY_ACTION, 12, SCSI_DATA_IN, ON_ALL, SKIPS_ATTENTION, NO_PARAMETERS,
		scsi_report_luns},
	{SCSI_MODE_SENSE_6, ANY_ACTION, 6, SCSI_DATA_IN, ON_ALL, 0, NO_PARAMETERS,
		scsi_mode_sense_6},
	{SCSI_MODE_SENSE_10, ANY_ACTION, 10, SCSI_DATA_IN, ON_ALL, 0, NO_PARAMETERS,
		scsi_mode_sense_10},
	{SCSI_MODE_SELECT_6, ANY_ACTION, 6, SCSI_DATA_OUT, ON_ALL, 0, LENGTH_8_AT_4,
		scsi_mode_select_6},
	{SCSI_MODE_SELECT_10, ANY_ACTION, 10, SCSI_DATA_OUT, ON_ALL, 0, LENGTH_16_AT_7,
		scsi_mode_select_10},
	{SCSI_START_STOP_UNIT, ANY_ACTION, 6, SCSI_NO_DATA, ON_ALL, 0, NO_PARAMETERS,
		scsi_start_stop},
	{SCSI_PREVENT_ALLOW, ANY_ACTION, 6, SCSI_NO_DATA, ON_ALL, 0, NO_PARAMETERS,
		scsi_prevent_allow},
	{SCSI_READ_CAPACITY_10, ANY_ACTION, 10, SCSI_DATA_IN, ON_ALL, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_read_capacity_10},
	{SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16, 16, SCSI_DATA_IN, ON_DISK,
		NEEDS_MEDIUM, NO_PARAMETERS, scsi_read_capacity_16},
	{SCSI_READ_6, ANY_ACTION, 6, SCSI_DATA_IN, ON_DISK, NEEDS_MEDIUM, NO_PARAMETERS, scsi_read},
	{SCSI_READ_10, ANY_ACTION, 10, SCSI_DATA_IN, ON_ALL, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_read},
	{SCSI_READ_12, ANY_ACTION, 12, SCSI_DATA_IN, ON_ALL, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_read},
	{SCSI_READ_16, ANY_ACTION, 16, SCSI_DATA_IN, ON_DISK, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_read},
	{SCSI_WRITE_6, ANY_ACTION, 6, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES, NO_PARAMETERS,
		scsi_write},
	{SCSI_WRITE_10, ANY_ACTION, 10, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES,
		NO_PARAMETERS, scsi_write},
	{SCSI_WRITE_12, ANY_ACTION, 12, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES,
		NO_PARAMETERS, scsi_write},
	{SCSI_WRITE_16, ANY_ACTION, 16, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES,
		NO_PARAMETERS, scsi_write},
	{SCSI_SYNCHRONIZE_CACHE_10, ANY_ACTION, 10, SCSI_NO_DATA, ON_ALL, NEEDS_MEDIUM,
		NO_PARAMETERS, scsi_synchronize_cache},
	{SCSI_SYNCHRONIZE_CACHE_16, ANY_ACTION, 16, SCSI_NO_DATA, ON_DISK, NEEDS_MEDIUM,
		NO_PARAMETERS, scsi_synchronize_cache},
	{SCSI_VERIFY_10, ANY_ACTION, 10, SCSI_NO_DATA, ON_ALL, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_verify},
	{SCSI_VERIFY_16, ANY_ACTION, 16, SCSI_NO_DATA, ON_DISK, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_verify},
	{SCSI_UNMAP, ANY_ACTION, 10, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES, LENGTH_16_AT_7,
		scsi_unmap},
	{SCSI_WRITE_SAME_10, ANY_ACTION, 10, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES,
		ONE_BLOCK, scsi_write_same},
	{SCSI_WRITE_SAME_16, ANY_ACTION, 16, SCSI_DATA_OUT, ON_DISK, NEEDS_MEDIUM | WRITES,
		ONE_BLOCK, scsi_write_same},
	{SCSI_READ_TOC, ANY_ACTION, 10, SCSI_DATA_IN, ON_DVD, NEEDS_MEDIUM, NO_PARAMETERS,
		scsi_read_toc},
	{SCSI_GET_CONFIGURATION, ANY_ACTION, 10, SCSI_DATA_IN, ON_DVD, SKIPS_ATTENTION,
		NO_PARAMETERS, scsi_get_configuration},
	{SCSI_GET_EVENT_STATUS, ANY_ACTION, 10, SCSI_DATA_IN, ON_DVD, SKIPS_ATTENTION,
		NO_PARAMETERS, scsi_get_event_status},
	{SCSI_READ_DISC_INFORMATION, ANY_ACTION, 10, SCSI_DATA_IN, ON_DVD, NEEDS_MEDIUM,
		NO_PARAMETERS, scsi_read_disc_information},
	{SCSI_READ_TRACK_INFORMATION, ANY_ACTION, 10, SCSI_DATA_IN, ON_DVD, NEEDS_MEDIUM,
		NO_PARAMETERS, scsi_read_track_information},
	{SCSI_MECHANISM_STATUS, ANY_ACTION, 12, SCSI_DATA_IN, ON_DVD, 0, NO_PARAMETERS,
		scsi_mechanism_status},
};

/* What is answered although nobody is there. */
static const struct command_row absent_table[] = {
	{SCSI_INQUIRY, ANY_ACTION, 6, SCSI_DATA_IN, 0, 0, NO_PARAMETERS, scsi_inquiry_absent},
	{SCSI_REQUEST_SENSE, ANY_ACTION, 6, SCSI_DATA_IN, 0, 0, NO_PARAMETERS,
		request_sense_absent},
	{SCSI_REPORT_LUNS, ANY_ACTION, 12, SCSI_DATA_IN, 0, 0, NO_PARAMETERS, scsi_report_luns},
};

static bool matches(const struct command_row *row, const struct scsi_command *command)
{
	return row->opcode == command->cdb[0] &&
	       (row->service_action == ANY_ACTION ||
		       row->service_action == (command->cdb[1] & 0x1f));
}

static const struct command_row *find_row(
	const struct scsi_unit *unit, const struct scsi_command *command)
{
	for (size_t i = 0; i < ARRAY_LEN(command_table); i++) {
		const struct command_row *row = &command_table[i];

		if (matches(row, command) && row->kinds & 1U << unit->kind)
			return row;
	}
	return NULL;
}

enum scsi_direction scsi_direction(const struct scsi_unit *unit, const struct scsi_command *command)
{
	const struct command_row *row = find_row(unit, command);

	return row ? row->direction : SCSI_NO_DATA;
}

uint32_t scsi_parameter_bytes(const struct scsi_unit *unit, const struct scsi_command *command)
{
	const struct command_row *row = find_row(unit, command);
	uint32_t size_bytes = 0;

	switch (row ? row->parameters : NO_PARAMETERS) {
	case LENGTH_8_AT_4:
		size_bytes = command->cdb[4];
		break;
	case LENGTH_16_AT_7:
		size_bytes = load_be16(command->cdb + 7);
		break;
	case ONE_BLOCK:
		size_bytes = unit->has_medium ? unit->info.block_bytes : 0;
		break;
	default:
		break;
	}
	return MIN(size_bytes, (uint32_t)SCSI_MAX_PARAMETER_BYTES);
}

static uint32_t execute(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	const struct command_row *row = find_row(unit, command);

	if (!(row && row->flags & SKIPS_ATTENTION) && unit->attentions)
		return take_attention(unit);
	if (!row)
		return SCSI_INVALID_OPCODE;
	if (command->cdb_bytes < row->cdb_bytes)
		return SCSI_INVALID_FIELD_IN_CDB;
	if (row->flags & NEEDS_MEDIUM && !is_ready(unit))
		return no_medium(unit);
	if (row->flags & WRITES && unit->info.read_only)
		return SCSI_WRITE_PROTECTED;
	return row->handle(unit, command, result);
}

static void clear(struct scsi_result *result)
{
	memset(result, 0, sizeof(*result));
}

void scsi_execute(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *ret_result)
{
	clear(ret_result);
	ret_result->sense = execute(unit, command, ret_result);
}

bool scsi_execute_absent(const struct scsi_command *command, struct scsi_result *ret_result)
{
	clear(ret_result);
	for (size_t i = 0; i < ARRAY_LEN(absent_table); i++) {
		const struct command_row *row = &absent_table[i];

		if (!matches(row, command))
			continue;
		ret_result->sense = command->cdb_bytes < row->cdb_bytes
					    ? SCSI_INVALID_FIELD_IN_CDB
					    : row->handle(NULL, command, ret_result);
		return true;
	}
	return false;
}

uint32_t scsi_sense_of_error(enum disk_op op, int err)
{
	switch (err) {
	case 0:
		return SCSI_NO_SENSE;
	case -ENOSPC:
	case -EDQUOT:
		return SCSI_SPACE_ALLOCATION_FAILED;
	case -EROFS:
	case -EPERM:
		return SCSI_WRITE_PROTECTED;
	case -ENOMEDIUM:
		return SCSI_NO_MEDIUM_TRAY_CLOSED;
	case -EIO:
	case -ENODATA: /* how the kernel names an unreadable medium */
	case -EILSEQ:
		return op == DISK_READ ? SCSI_READ_ERROR : SCSI_WRITE_ERROR;
	default:
		return SCSI_TARGET_FAILURE;
	}
}

size_t scsi_sense_data(uint32_t sense, uint8_t ret_data[SCSI_SENSE_FIXED_BYTES])
{
	memset(ret_data, 0, SCSI_SENSE_FIXED_BYTES);
	ret_data[0] = SCSI_SENSE_FIXED_CURRENT;
	ret_data[2] = SCSI_SENSE_KEY(sense);
	ret_data[7] = SCSI_SENSE_FIXED_BYTES - 8;
	ret_data[12] = SCSI_SENSE_ASC(sense);
	ret_data[13] = SCSI_SENSE_ASCQ(sense);
	return SCSI_SENSE_FIXED_BYTES;
}

void scsi_unit_init(
	struct scsi_unit *unit, enum scsi_kind kind, const uint8_t *id, uint32_t max_transfer_bytes)
{
	*unit = (struct scsi_unit){.kind = kind, .max_transfer_bytes = max_transfer_bytes};
	if (id)
		memcpy(unit->id, id, sizeof(unit->id));
}

void scsi_unit_load(struct scsi_unit *unit, const struct disk_info *info)
{
	unit->has_medium = info != NULL;
	unit->info = info ? *info : (struct disk_info){0};
	if (unit->kind == SCSI_KIND_DISK && info) {
		memcpy(unit->id, info->id, sizeof(unit->id));
		memcpy(unit->serial, info->serial, sizeof(unit->serial));
	}
	if (unit->kind == SCSI_KIND_DVD)
		unit->info.read_only = true;
}

void scsi_unit_take_medium(struct scsi_unit *unit)
{
	if (unit->has_medium && !unit->tray_open)
		unit->media_event = SCSI_MEDIA_REMOVED;
	unit->has_medium = false;
	unit->locked = false;
	unit->tray_open = false;
}

void scsi_unit_put_medium(struct scsi_unit *unit, const struct disk_info *info)
{
	scsi_unit_load(unit, info);
	if (!info)
		return;
	unit->attentions |= SCSI_ATTENTION_MEDIUM;
	unit->media_event = SCSI_MEDIA_NEW;
}

void scsi_unit_resize(struct scsi_unit *unit, const struct disk_info *info)
{
	if (!unit->has_medium)
		return;
	unit->info.size_bytes = info->size_bytes;
	unit->attentions |= SCSI_ATTENTION_CAPACITY;
}

void scsi_unit_reset(struct scsi_unit *unit)
{
	unit->attentions |= SCSI_ATTENTION_RESET;
	unit->locked = false;
}
