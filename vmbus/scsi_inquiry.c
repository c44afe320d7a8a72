/* SPDX-License-Identifier: MIT
 *
 * Who a unit is: INQUIRY, its vital product data, REPORT LUNS.
 *
 * Vendor "Msft" is what makes in-box drivers take the device for what it is; Linux allows WRITE
 * SAME for no other.
 */
#include "vmbus/scsi_handlers.h"

#include "base/bytes.h"

#define VENDOR           "Msft    "
#define VENDOR_BYTES     8
#define INQUIRY_BYTES    36
#define VPD_HEADER_BYTES 4
#define ID_TEXT_BYTES    (2 * DISK_ID_BYTES)
#define NAA_BYTES        16
#define VPD_LIMITS_BYTES 64
#define REMOVABLE        0x80
#define COMMAND_QUEUEING 0x02
#define HIERARCHICAL     0x10
#define RESPONSE_FORMAT  0x02

static uint8_t device_type(const struct scsi_unit *unit)
{
	return unit->kind == SCSI_KIND_DVD ? SCSI_TYPE_DVD : SCSI_TYPE_DISK;
}

/* The id in hexadecimal, without a NUL. */
static void id_text(const struct scsi_unit *unit, uint8_t *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DISK_ID_BYTES; i++) {
		ret_text[2 * i] = (uint8_t)digits[unit->id[i] >> 4];
		ret_text[2 * i + 1] = (uint8_t)digits[unit->id[i] & 0xf];
	}
}

static uint32_t vpd_supported(const struct scsi_unit *unit, uint8_t *body)
{
	static const uint8_t of_disk[] = {SCSI_VPD_SUPPORTED, SCSI_VPD_SERIAL,
		SCSI_VPD_IDENTIFICATION, SCSI_VPD_BLOCK_LIMITS, SCSI_VPD_BLOCK_CHARACTERISTICS,
		SCSI_VPD_PROVISIONING};
	static const uint8_t of_dvd[] = {
		SCSI_VPD_SUPPORTED, SCSI_VPD_SERIAL, SCSI_VPD_IDENTIFICATION};

	if (unit->kind == SCSI_KIND_DVD) {
		memcpy(body, of_dvd, sizeof(of_dvd));
		return sizeof(of_dvd);
	}
	memcpy(body, of_disk, sizeof(of_disk));
	return sizeof(of_disk);
}

static uint32_t vpd_serial(const struct scsi_unit *unit, uint8_t *body)
{
	size_t size_bytes = strnlen(unit->serial, DISK_SERIAL_MAX_LEN);

	if (size_bytes) {
		memcpy(body, unit->serial, size_bytes);
		return (uint32_t)size_bytes;
	}
	id_text(unit, body);
	return ID_TEXT_BYTES;
}

/* Header of a designator of the unit itself. */
static void put_designator(uint8_t *at, uint8_t code_set, uint8_t type, uint8_t size_bytes)
{
	at[0] = code_set;
	at[1] = type;
	at[2] = 0;
	at[3] = size_bytes;
}

/* All of the id behind the vendor's name, and as much of it as an NAA holds under the vendor's OUI
 * (00-22-48): guests prefer the latter. */
static uint32_t vpd_identification(const struct scsi_unit *unit, uint8_t *body)
{
	enum {
		BINARY = 1,
		ASCII = 2,
		T10_VENDOR = 1,
		NAA = 3,
	};
	uint8_t *t10 = body, *naa = body + 4 + VENDOR_BYTES + ID_TEXT_BYTES;

	put_designator(t10, ASCII, T10_VENDOR, VENDOR_BYTES + ID_TEXT_BYTES);
	memcpy(t10 + 4, VENDOR, VENDOR_BYTES);
	id_text(unit, t10 + 4 + VENDOR_BYTES);
	put_designator(naa, BINARY, NAA, NAA_BYTES);
	naa[4] = 0x60;
	naa[5] = 0x02;
	naa[6] = 0x24;
	naa[7] = 0x80 | (unit->id[3] & 0xf);
	memcpy(naa + 8, unit->id + 4, DISK_ID_BYTES - 4);
	return (uint32_t)(naa - body) + 4 + NAA_BYTES;
}

static uint32_t vpd_block_limits(const struct scsi_unit *unit, uint8_t *body)
{
	const struct disk_info *info = &unit->info;
	uint32_t block_bytes = info->block_bytes;
	/* `body` starts 4 bytes into the page. */
	uint8_t *page = body - VPD_HEADER_BYTES;

	page[4] = 1; /* WRITE SAME of 0 blocks is none */
	store_be16(page + 6, (uint16_t)(info->physical_bytes / block_bytes));
	store_be32(page + 8, unit->max_transfer_bytes / block_bytes);
	store_be32(page + 12, unit->max_transfer_bytes / block_bytes);
	if (info->can_discard) {
		store_be32(page + 20, (uint32_t)(SCSI_MAX_UNMAP_BYTES / block_bytes));
		store_be32(page + 24, SCSI_MAX_EXTENTS);
		store_be32(page + 28, info->physical_bytes / block_bytes);
	}
	store_be64(page + 36, SCSI_MAX_WRITE_SAME_BYTES / block_bytes);
	return VPD_LIMITS_BYTES - VPD_HEADER_BYTES;
}

static uint32_t vpd_block_characteristics(_unused_ const struct scsi_unit *unit, uint8_t *body)
{
	store_be16(body, 1); /* nothing rotates */
	return VPD_LIMITS_BYTES - VPD_HEADER_BYTES;
}

static uint32_t vpd_provisioning(const struct scsi_unit *unit, uint8_t *body)
{
	enum {
		BY_UNMAP = 0x80,
		BY_WRITE_SAME_16 = 0x40,
		BY_WRITE_SAME_10 = 0x20,
		READS_ZEROES = 0x04,
		THIN = 2,
	};
	const struct disk_info *info = &unit->info;

	if (info->can_discard) {
		body[1] = BY_UNMAP;
		body[2] = THIN;
	}
	if (info->can_discard && info->discard_zeroes)
		body[1] |= BY_WRITE_SAME_16 | BY_WRITE_SAME_10 | READS_ZEROES;
	return 4;
}

static uint32_t inquiry_vpd(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	static const struct {
		uint8_t page;
		bool of_medium; /* says something about the disk in it */
		uint32_t (*put)(const struct scsi_unit *unit, uint8_t *body);
	} pages[] = {
		{SCSI_VPD_SUPPORTED, false, vpd_supported},
		{SCSI_VPD_SERIAL, false, vpd_serial},
		{SCSI_VPD_IDENTIFICATION, false, vpd_identification},
		{SCSI_VPD_BLOCK_LIMITS, true, vpd_block_limits},
		{SCSI_VPD_BLOCK_CHARACTERISTICS, true, vpd_block_characteristics},
		{SCSI_VPD_PROVISIONING, true, vpd_provisioning},
	};
	uint8_t *answer = result->answer;

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		uint32_t size_bytes;

		if (pages[i].page != command->cdb[2] ||
			(pages[i].of_medium && unit->kind != SCSI_KIND_DISK))
			continue;
		size_bytes = pages[i].put(unit, answer + VPD_HEADER_BYTES);
		answer[0] = device_type(unit);
		answer[1] = pages[i].page;
		store_be16(answer + 2, (uint16_t)size_bytes);
		return scsi_answer(
			result, VPD_HEADER_BYTES + size_bytes, load_be16(command->cdb + 3));
	}
	return SCSI_INVALID_FIELD_IN_CDB;
}

static void put_standard(uint8_t *answer, const char *product)
{
	answer[2] = SCSI_VERSION_SPC3;
	answer[3] = HIERARCHICAL | RESPONSE_FORMAT;
	answer[4] = INQUIRY_BYTES - 5;
	answer[7] = COMMAND_QUEUEING;
	memcpy(answer + 8, VENDOR, VENDOR_BYTES);
	memcpy(answer + 16, product, 16);
	memcpy(answer + 32, "1.0 ", 4);
}

uint32_t scsi_inquiry(
	struct scsi_unit *unit, const struct scsi_command *command, struct scsi_result *result)
{
	bool is_dvd = unit->kind == SCSI_KIND_DVD;

	if (command->cdb[1] & 1)
		return inquiry_vpd(unit, command, result);
	if (command->cdb[1] || command->cdb[2])
		return SCSI_INVALID_FIELD_IN_CDB;
	result->answer[0] = device_type(unit);
	result->answer[1] = is_dvd ? REMOVABLE : 0;
	put_standard(result->answer, is_dvd ? "Virtual DVD-ROM " : "Virtual Disk    ");
	return scsi_answer(result, INQUIRY_BYTES, load_be16(command->cdb + 3));
}

uint32_t scsi_inquiry_absent(_unused_ struct scsi_unit *unit, const struct scsi_command *command,
	struct scsi_result *result)
{
	result->answer[0] = SCSI_TYPE_ABSENT;
	put_standard(result->answer, "                ");
	return scsi_answer(result, INQUIRY_BYTES, load_be16(command->cdb + 3));
}

uint32_t scsi_report_luns(_unused_ struct scsi_unit *unit, const struct scsi_command *command,
	struct scsi_result *result)
{
	enum {
		ADDRESSABLE = 0,
		WELL_KNOWN = 1,
		ALL = 2,
	};
	uint32_t at = 8;

	if (command->cdb[2] > ALL)
		return SCSI_INVALID_FIELD_IN_CDB;
	for (uint8_t lun = 0; lun < SCSI_MAX_LUNS && command->cdb[2] != WELL_KNOWN; lun++) {
		if (!(command->luns & 1ULL << lun))
			continue;
		result->answer[at + 1] = lun;
		at += 8;
	}
	store_be32(result->answer, at - 8);
	return scsi_answer(result, at, load_be32(command->cdb + 6));
}
