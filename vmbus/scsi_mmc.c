/* SPDX-License-Identifier: MIT
 *
 * Optical drives (MMC-6), a DVD-ROM drive with a tray; and START STOP and PREVENT ALLOW, which
 * disks accept as well.
 */
#include "vmbus/scsi_handlers.h"

#include "base/bytes.h"

#define LEAD_OUT      0xaa
#define DATA_TRACK    0x14 /* ADR 1, CONTROL: data, copying forbidden */
#define MSF_LEAD_IN   150  /* blocks before logical block 0 */
#define BLOCKS_A_S    75
#define SECONDS_A_MIN 60

uint32_t scsi_prevent_allow(struct scsi_unit *unit, const struct scsi_command *command,
	_unused_ struct scsi_result *result)
{
	if (unit->kind == SCSI_KIND_DVD)
		unit->locked = command->cdb[4] & 1;
	return SCSI_NO_SENSE;
}

static uint32_t move_tray(struct scsi_unit *unit, bool open)
{
	if (open && unit->locked)
		return SCSI_MEDIUM_REMOVAL_PREVENTED;
	if (open == unit->tray_open)
		return SCSI_NO_SENSE;
	unit->tray_open = open;
	if (!unit->has_medium)
		return SCSI_NO_SENSE;
	unit->media_event = open ? SCSI_MEDIA_REMOVED : SCSI_MEDIA_NEW;
	if (!open)
		unit->attentions |= SCSI_ATTENTION_MEDIUM;
	return SCSI_NO_SENSE;
}

/* A disk that is to stop has its cache flushed first. */
uint32_t scsi_start_stop(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		START = 0x01,
		LOAD_EJECT = 0x02,
		POWER_CONDITION = 0xf0,
	};
	uint8_t what = command->cdb[4];

	if (what & POWER_CONDITION)
		return SCSI_NO_SENSE;
	if (unit->kind == SCSI_KIND_DVD)
		return what & LOAD_EJECT ? move_tray(unit, !(what & START)) : SCSI_NO_SENSE;
	if (what & LOAD_EJECT)
		return SCSI_INVALID_FIELD_IN_CDB;
	if (!(what & START) && !unit->info.read_only) {
		result->op = DISK_FLUSH;
		result->has_blocks = true;
		result->n_extents = 1;
	}
	return SCSI_NO_SENSE;
}

/* An address as the command asks for it. */
static void put_address(uint8_t *at, uint64_t lba, bool as_msf)
{
	uint64_t blocks = lba + MSF_LEAD_IN;

	if (!as_msf) {
		store_be32(at, (uint32_t)lba);
		return;
	}
	at[0] = 0;
	at[1] = (uint8_t)MIN(blocks / BLOCKS_A_S / SECONDS_A_MIN, (uint64_t)UINT8_MAX);
	at[2] = (uint8_t)(blocks / BLOCKS_A_S % SECONDS_A_MIN);
	at[3] = (uint8_t)(blocks % BLOCKS_A_S);
}

static uint32_t put_track(uint8_t *at, uint8_t track, uint64_t lba, bool as_msf)
{
	at[1] = DATA_TRACK;
	at[2] = track;
	put_address(at + 4, lba, as_msf);
	return 8;
}

/* A line of the lead-in's own table. */
static uint32_t put_raw_track(uint8_t *at, uint8_t point, uint8_t first, uint64_t lba)
{
	at[0] = 1; /* session */
	at[1] = DATA_TRACK;
	at[3] = point;
	if (first)
		at[8] = first;
	else
		put_address(at + 7, lba, true);
	return 11;
}

/* One session with one track. */
uint32_t scsi_read_toc(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		TOC = 0,
		SESSIONS = 1,
		RAW = 2,
		FIRST_TRACK = 0xa0,
		LAST_TRACK = 0xa1,
		RAW_LEAD_OUT = 0xa2,
	};
	uint8_t format = command->cdb[2] & 0xf, start = command->cdb[6];
	bool as_msf = command->cdb[1] & 2;
	uint8_t *answer = result->answer;
	uint32_t at = 4;

	if (format == 0)
		format = command->cdb[9] >> 6; /* where the first CD drives had it */
	switch (format) {
	case TOC:
		if (start > 1 && start != LEAD_OUT)
			return SCSI_INVALID_FIELD_IN_CDB;
		if (start <= 1)
			at += put_track(answer + at, 1, 0, as_msf);
		at += put_track(answer + at, LEAD_OUT, scsi_n_blocks(unit), as_msf);
		break;
	case SESSIONS:
		at += put_track(answer + at, 1, 0, as_msf);
		break;
	case RAW:
		at += put_raw_track(answer + at, FIRST_TRACK, 1, 0);
		at += put_raw_track(answer + at, LAST_TRACK, 1, 0);
		at += put_raw_track(answer + at, RAW_LEAD_OUT, 0, scsi_n_blocks(unit));
		at += put_raw_track(answer + at, 1, 0, 0);
		break;
	default:
		return SCSI_INVALID_FIELD_IN_CDB;
	}
	store_be16(answer, (uint16_t)(at - 2));
	answer[2] = 1;
	answer[3] = 1;
	return scsi_answer(result, at, load_be16(command->cdb + 7));
}

enum {
	FEATURE_CURRENT = 0x02 | 0x01,
	PROFILE_NONE = 0x0000,
	PROFILE_DVD_ROM = 0x0010,
};

struct feature {
	uint16_t code;
	uint8_t version;
	bool needs_medium; /* to be current */
	uint8_t n_bytes;
	uint8_t bytes[8];
};

static const struct feature features[] = {
	/* Profile list; whether a profile is current is filled in. */
	{0x0000, 0, false, 8, {0x00, 0x10, 0, 0, 0x00, 0x08, 0, 0}},
	/* Core: ATAPI-like interface, medium events (DBE). */
	{0x0001, 2, false, 8, {0, 0, 0, 1, 1, 0, 0, 0}},
	/* Morphing: operational change events, polled. */
	{0x0002, 1, false, 4, {2, 0, 0, 0}},
	/* Removable medium: tray, ejects, locks. */
	{0x0003, 1, false, 4, {0x29, 0, 0, 0}},
	/* Random readable: 2048 bytes a block, one a unit of reading. */
	{0x0010, 0, true, 8, {0, 0, 0x08, 0, 0, 1, 0, 0}}, {0x001e, 2, true, 4, {0}}, /* CD read */
	{0x001f, 0, true, 0, {0}},                                                    /* DVD read */
	{0x0100, 0, false, 0, {0}}, /* power management */
	{0x0105, 0, false, 4, {0}}, /* timeout */
};

static uint32_t put_feature(
	const struct scsi_unit *unit, const struct feature *feature, uint8_t *at)
{
	bool ready = unit->has_medium && !unit->tray_open;

	store_be16(at, feature->code);
	at[2] = (uint8_t)(feature->version << 2);
	if (!feature->needs_medium)
		at[2] |= feature->code < 0x10 ? FEATURE_CURRENT : 1;
	else if (ready)
		at[2] |= 1;
	at[3] = feature->n_bytes;
	memcpy(at + 4, feature->bytes, feature->n_bytes);
	if (feature->code == 0 && ready)
		at[6] = 1;
	return 4U + feature->n_bytes;
}

uint32_t scsi_get_configuration(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		ALL = 0,
		ALL_CURRENT = 1,
		ONE = 2,
	};
	bool ready = unit->has_medium && !unit->tray_open;
	uint8_t which = command->cdb[1] & 3;
	uint16_t start = load_be16(command->cdb + 2);
	uint8_t *answer = result->answer;
	uint32_t at = 8;

	if (which > ONE)
		return SCSI_INVALID_FIELD_IN_CDB;
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		const struct feature *feature = &features[i];

		if (which == ONE ? feature->code != start : feature->code < start)
			continue;
		if (which == ALL_CURRENT && feature->needs_medium && !ready)
			continue;
		at += put_feature(unit, feature, answer + at);
	}
	store_be32(answer, at - 4);
	store_be16(answer + 6, ready ? PROFILE_DVD_ROM : PROFILE_NONE);
	return scsi_answer(result, at, load_be16(command->cdb + 7));
}

/* Polled only; of the classes of events there are those of the medium. */
uint32_t scsi_get_event_status(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		POLLED = 1,
		MEDIA_CLASS = 4,
		NO_EVENT_AVAILABLE = 0x80,
		TRAY_OPEN = 1,
		MEDIUM_PRESENT = 2,
	};
	uint32_t allocation_bytes = load_be16(command->cdb + 7);
	uint8_t *answer = result->answer;

	if (!(command->cdb[1] & POLLED))
		return SCSI_INVALID_FIELD_IN_CDB;
	answer[3] = 1 << MEDIA_CLASS;
	if (!(command->cdb[4] & 1 << MEDIA_CLASS)) {
		answer[1] = 2;
		answer[2] = NO_EVENT_AVAILABLE;
		return scsi_answer(result, 4, allocation_bytes);
	}
	answer[1] = 6;
	answer[2] = MEDIA_CLASS;
	answer[4] = unit->media_event;
	if (unit->tray_open)
		answer[5] = TRAY_OPEN;
	else if (unit->has_medium)
		answer[5] = MEDIUM_PRESENT;
	/* A guest that has no room for the event was not told of it. */
	if (MIN(allocation_bytes, command->transfer_bytes) > 4)
		unit->media_event = SCSI_MEDIA_NO_CHANGE;
	return scsi_answer(result, 8, allocation_bytes);
}

uint32_t scsi_read_disc_information(_unused_ struct scsi_unit *unit,
	const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		COMPLETE = 0x0e, /* last session complete, disc complete, not erasable */
		UNRESTRICTED_USE = 0x20,
		SIZE = 34,
	};
	uint8_t *answer = result->answer;

	if (command->cdb[1] & 7)
		return SCSI_INVALID_FIELD_IN_CDB;
	store_be16(answer, SIZE - 2);
	answer[2] = COMPLETE;
	answer[3] = 1; /* first track */
	answer[4] = 1; /* sessions */
	answer[5] = 1; /* first and */
	answer[6] = 1; /* last track of the last session */
	answer[7] = UNRESTRICTED_USE;
	memset(answer + 16, 0xff, 8); /* no further lead-in, no further lead-out */
	return scsi_answer(result, SIZE, load_be16(command->cdb + 7));
}

/* By block, by track or by session: it is always the one track. */
uint32_t scsi_read_track_information(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	enum {
		BY_BLOCK = 0,
		BY_SESSION = 2,
		DATA_TRACK_MODE = 0x04, /* recorded uninterrupted, copying forbidden */
		DATA_MODE_1 = 0x01,
		SIZE = 36,
	};
	uint8_t kind = command->cdb[1] & 3;
	uint32_t number = load_be32(command->cdb + 2);
	uint8_t *answer = result->answer;

	if (kind > BY_SESSION || (kind == BY_BLOCK ? number >= scsi_n_blocks(unit) : number != 1))
		return SCSI_INVALID_FIELD_IN_CDB;
	store_be16(answer, SIZE - 2);
	answer[2] = 1; /* track */
	answer[3] = 1; /* session */
	answer[5] = DATA_TRACK_MODE;
	answer[6] = DATA_MODE_1;
	store_be32(answer + 24, (uint32_t)scsi_n_blocks(unit));
	return scsi_answer(result, SIZE, load_be16(command->cdb + 7));
}

uint32_t scsi_mechanism_status(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	const uint8_t door_open = 0x10;

	result->answer[1] = unit->tray_open ? door_open : 0;
	return scsi_answer(result, 8, load_be16(command->cdb + 8));
}
