/* SPDX-License-Identifier: MIT
 *
 * Mode pages: what can be said about a unit's settings. Nothing can be changed: MODE SELECT is
 * accepted as long as it asks for what is.
 */
#include "vmbus/scsi_handlers.h"

#include "base/bytes.h"

#define MAX_PAGE_BYTES 32
#define WRITE_PROTECT  0x80
#define DPO_AND_FUA    0x10

enum page_control {
	CURRENT = 0,
	CHANGEABLE = 1,
	DEFAULT = 2,
	SAVED = 3,
};

struct mode_page {
	uint8_t code;
	uint8_t size_bytes; /* with its two bytes of header */
	uint8_t kinds;
	void (*put)(const struct scsi_unit *unit, uint8_t *page);
};

enum {
	OF_DISK = 1 << SCSI_KIND_DISK,
	OF_DVD = 1 << SCSI_KIND_DVD,
};

static void put_nothing(_unused_ const struct scsi_unit *unit, _unused_ uint8_t *page)
{
}

static void put_caching(const struct scsi_unit *unit, uint8_t *page)
{
	const uint8_t write_cache = 0x04;

	if (unit->info.write_cache && !unit->info.read_only)
		page[2] = write_cache;
}

static void put_control(_unused_ const struct scsi_unit *unit, uint8_t *page)
{
	const uint8_t unrestricted_reordering = 0x10;

	page[3] = unrestricted_reordering;
}

/* As MMC-3 had it; drivers learn from here that there is a tray and that it reads DVDs. */
static void put_cd_capabilities(const struct scsi_unit *unit, uint8_t *page)
{
	enum {
		READS_CD_R_RW_DVD_ROM = 0x0b,
		READS_MODE_2 = 0x30,
		LOCKS = 0x01,
		IS_LOCKED = 0x02,
		EJECTS = 0x08,
		HAS_TRAY = 1 << 5,
		SPEED_KB_S = 11080, /* DVD 8x */
		BUFFER_KB = 2048,
	};

	page[2] = READS_CD_R_RW_DVD_ROM;
	page[4] = READS_MODE_2;
	page[6] = LOCKS | EJECTS | HAS_TRAY | (unit->locked ? IS_LOCKED : 0);
	store_be16(page + 8, SPEED_KB_S);
	store_be16(page + 12, BUFFER_KB);
	store_be16(page + 14, SPEED_KB_S);
}

static const struct mode_page pages[] = {
	{SCSI_MODE_ERROR_RECOVERY, 12, OF_DISK | OF_DVD, put_nothing},
	{SCSI_MODE_CACHING, 20, OF_DISK, put_caching},
	{SCSI_MODE_CONTROL, 12, OF_DISK, put_control},
	{SCSI_MODE_EXCEPTIONS, 12, OF_DISK | OF_DVD, put_nothing},
	{SCSI_MODE_CD_CAPABILITIES, 22, OF_DVD, put_cd_capabilities},
};

static void put_page(const struct scsi_unit *unit, const struct mode_page *page, uint8_t *ret_page)
{
	memset(ret_page, 0, page->size_bytes);
	page->put(unit, ret_page);
	ret_page[0] = page->code;
	ret_page[1] = page->size_bytes - 2;
}

/* Appends the pages asked for; 0: there are none. */
static uint32_t put_pages(const struct scsi_unit *unit, uint8_t code, uint8_t control, uint8_t *at)
{
	uint32_t size_bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (!(pages[i].kinds & 1U << unit->kind) ||
			(code != SCSI_MODE_ALL && code != pages[i].code))
			continue;
		put_page(unit, &pages[i], at + size_bytes);
		if (control == CHANGEABLE)
			memset(at + size_bytes + 2, 0, pages[i].size_bytes - 2U);
		size_bytes += pages[i].size_bytes;
	}
	return size_bytes;
}

/* Short block descriptor: the whole medium. */
static uint32_t put_block_descriptor(const struct scsi_unit *unit, uint8_t *at)
{
	uint64_t n_blocks = scsi_n_blocks(unit);

	if (!unit->has_medium)
		return 0;
	store_be32(at, (uint32_t)MIN(n_blocks, (uint64_t)UINT32_MAX));
	store_be32(at + 4, unit->info.block_bytes);
	return 8;
}

static uint8_t device_parameter(const struct scsi_unit *unit)
{
	if (unit->kind == SCSI_KIND_DVD)
		return 0;
	return DPO_AND_FUA | (unit->info.read_only ? WRITE_PROTECT : 0);
}

static uint32_t mode_sense(struct scsi_unit *unit, const struct scsi_command *command,
	struct scsi_result *result, uint32_t header_bytes)
{
	const uint8_t no_descriptors = 0x08;
	uint8_t code = command->cdb[2] & 0x3f, control = command->cdb[2] >> 6;
	uint8_t subpage = command->cdb[3];
	uint32_t descriptor_bytes = 0, pages_bytes, total_bytes;
	bool is_short = header_bytes == 4;
	uint8_t *answer = result->answer;

	if (subpage != 0 && !(code == SCSI_MODE_ALL && subpage == 0xff))
		return SCSI_INVALID_FIELD_IN_CDB;
	if (control == SAVED)
		return SCSI_SAVING_NOT_SUPPORTED;
	if (unit->kind == SCSI_KIND_DISK && !(command->cdb[1] & no_descriptors))
		descriptor_bytes = put_block_descriptor(unit, answer + header_bytes);
	pages_bytes = put_pages(unit, code, control, answer + header_bytes + descriptor_bytes);
	if (pages_bytes == 0)
		return SCSI_INVALID_FIELD_IN_CDB;
	total_bytes = header_bytes + descriptor_bytes + pages_bytes;
	if (is_short) {
		answer[0] = (uint8_t)(total_bytes - 1);
		answer[2] = device_parameter(unit);
		answer[3] = (uint8_t)descriptor_bytes;
		return scsi_answer(result, total_bytes, command->cdb[4]);
	}
	store_be16(answer, (uint16_t)(total_bytes - 2));
	answer[3] = device_parameter(unit);
	store_be16(answer + 6, (uint16_t)descriptor_bytes);
	return scsi_answer(result, total_bytes, load_be16(command->cdb + 7));
}

uint32_t scsi_mode_sense_6(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	return mode_sense(unit, command, result, 4);
}

uint32_t scsi_mode_sense_10(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	return mode_sense(unit, command, result, 8);
}

/* One page of a list must be one of ours, and say what it says now. */
static uint32_t check_page(const struct scsi_unit *unit, struct reader *list)
{
	uint8_t now[MAX_PAGE_BYTES];
	const uint8_t *header = reader_take(list, 2);
	const uint8_t *body = header ? reader_take(list, header[1]) : NULL;

	if (!body)
		return SCSI_PARAMETER_LIST_LENGTH;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (pages[i].code != (header[0] & 0x7f) || !(pages[i].kinds & 1U << unit->kind))
			continue;
		put_page(unit, &pages[i], now);
		if (header[1] == pages[i].size_bytes - 2 && memcmp(body, now + 2, header[1]) == 0)
			return SCSI_NO_SENSE;
	}
	return SCSI_INVALID_FIELD_IN_LIST;
}

static uint32_t mode_select(const struct scsi_unit *unit, const struct scsi_command *command,
	uint32_t header_bytes, uint32_t list_bytes)
{
	struct reader list = reader_make(command->parameters, list_bytes);
	const uint8_t *header;
	uint32_t descriptors_bytes, sense = SCSI_NO_SENSE;

	if (command->cdb[1] & 1)
		return SCSI_INVALID_FIELD_IN_CDB; /* to save them */
	if (list_bytes == 0)
		return SCSI_NO_SENSE;
	if (command->n_parameter_bytes < list_bytes)
		return SCSI_PARAMETER_LIST_LENGTH;
	header = reader_take(&list, header_bytes);
	if (!header)
		return SCSI_PARAMETER_LIST_LENGTH;
	descriptors_bytes = header_bytes == 4 ? header[3] : load_be16(header + 6);
	if (!reader_take(&list, descriptors_bytes))
		return SCSI_PARAMETER_LIST_LENGTH;
	while (list.left_bytes && sense == SCSI_NO_SENSE)
		sense = check_page(unit, &list);
	return sense;
}

uint32_t scsi_mode_select_6(struct scsi_unit *unit, const struct scsi_command *command,
	_unused_ struct scsi_result *result)
{
	return mode_select(unit, command, 4, command->cdb[4]);
}

uint32_t scsi_mode_select_10(struct scsi_unit *unit, const struct scsi_command *command,
	_unused_ struct scsi_result *result)
{
	return mode_select(unit, command, 8, load_be16(command->cdb + 7));
}
