/* SPDX-License-Identifier: MIT
 *
 * stor_unit.h - a logical unit by itself, for tests of SCSI as a pure function: a descriptor in, a
 * result out.
 */
#ifndef VIADUCT_TESTS_STOR_UNIT_H
#define VIADUCT_TESTS_STOR_UNIT_H

#include "base/bytes.h"
#include "vmbus/scsi_unit.h"

/* Bytes of a descriptor, as an argument. */
#define CDB(...)                                                                                   \
	(const uint8_t[16])                                                                        \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

struct unit_rig {
	struct scsi_unit unit;
	struct scsi_result result;
	uint64_t luns;
	const uint8_t *parameters;
	uint32_t n_parameter_bytes;
	uint32_t transfer_bytes; /* 0: 1 MiB */
	uint8_t cdb_bytes;       /* 0: as long as the operation code says */
};

/* 8192 blocks of 512 bytes, thin, with a write cache. */
extern const struct disk_info unit_disk_info;
/* 100 blocks of 2048 bytes. */
extern const struct disk_info unit_disc_info;

void unit_disk(struct unit_rig *rig, const struct disk_info *info);
void unit_dvd(struct unit_rig *rig, const struct disk_info *info);
uint8_t unit_cdb_bytes(uint8_t opcode);
/* Returns the sense; the result is in the rig. */
uint32_t unit_do(struct unit_rig *rig, const uint8_t *cdb);
/* The same, with data. */
uint32_t unit_send(
	struct unit_rig *rig, const uint8_t *cdb, const void *parameters, uint32_t size_bytes);

#endif
