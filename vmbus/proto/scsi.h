/* SPDX-License-Identifier: MIT
 *
 * scsi.h - numbers of SCSI: operation codes, statuses, sense data, pages. All integers of SCSI are
 * big-endian and many are odd-sized, so parameter data is built and read by offset (base/bytes.h).
 * Sources: SPC-4, SBC-3, MMC-6.
 *
 * Freestanding.
 */
#ifndef VIADUCT_VMBUS_PROTO_SCSI_H
#define VIADUCT_VMBUS_PROTO_SCSI_H

#include <stdint.h>

enum scsi_opcode {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0a,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SELECT_6 = 0x15,
	SCSI_MODE_SENSE_6 = 0x1a,
	SCSI_START_STOP_UNIT = 0x1b,
	SCSI_PREVENT_ALLOW = 0x1e,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_VERIFY_10 = 0x2f,
	SCSI_SYNCHRONIZE_CACHE_10 = 0x35,
	SCSI_WRITE_SAME_10 = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_READ_TOC = 0x43,
	SCSI_GET_CONFIGURATION = 0x46,
	SCSI_GET_EVENT_STATUS = 0x4a,
	SCSI_READ_DISC_INFORMATION = 0x51,
	SCSI_READ_TRACK_INFORMATION = 0x52,
	SCSI_MODE_SELECT_10 = 0x55,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_READ_16 = 0x88,
	SCSI_WRITE_16 = 0x8a,
	SCSI_VERIFY_16 = 0x8f,
	SCSI_SYNCHRONIZE_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_SERVICE_ACTION_IN_16 = 0x9e,
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_READ_12 = 0xa8,
	SCSI_WRITE_12 = 0xaa,
	SCSI_MECHANISM_STATUS = 0xbd,
};

#define SCSI_SA_READ_CAPACITY_16 0x10 /* of SERVICE ACTION IN(16) */

#define SCSI_MAX_CDB_BYTES 16

enum scsi_status {
	SCSI_STATUS_GOOD = 0x00,
	SCSI_STATUS_CHECK_CONDITION = 0x02,
	SCSI_STATUS_BUSY = 0x08,
};

/* Sense: key, additional code, qualifier in one number; 0 is "no sense". */
#define SCSI_SENSE(key, asc, ascq) ((uint32_t)(key) << 16 | (uint32_t)(asc) << 8 | (uint32_t)(ascq))
#define SCSI_SENSE_KEY(sense)      ((uint8_t)((sense) >> 16))
#define SCSI_SENSE_ASC(sense)      ((uint8_t)((sense) >> 8))
#define SCSI_SENSE_ASCQ(sense)     ((uint8_t)(sense))

#define SCSI_NO_SENSE                 0U
#define SCSI_NO_MEDIUM_TRAY_CLOSED    SCSI_SENSE(0x2, 0x3a, 0x01)
#define SCSI_NO_MEDIUM_TRAY_OPEN      SCSI_SENSE(0x2, 0x3a, 0x02)
#define SCSI_WRITE_ERROR              SCSI_SENSE(0x3, 0x0c, 0x00)
#define SCSI_READ_ERROR               SCSI_SENSE(0x3, 0x11, 0x00)
#define SCSI_TARGET_FAILURE           SCSI_SENSE(0x4, 0x44, 0x00)
#define SCSI_PARAMETER_LIST_LENGTH    SCSI_SENSE(0x5, 0x1a, 0x00)
#define SCSI_INVALID_OPCODE           SCSI_SENSE(0x5, 0x20, 0x00)
#define SCSI_LBA_OUT_OF_RANGE         SCSI_SENSE(0x5, 0x21, 0x00)
#define SCSI_INVALID_FIELD_IN_CDB     SCSI_SENSE(0x5, 0x24, 0x00)
#define SCSI_INVALID_LUN              SCSI_SENSE(0x5, 0x25, 0x00)
#define SCSI_INVALID_FIELD_IN_LIST    SCSI_SENSE(0x5, 0x26, 0x00)
#define SCSI_SAVING_NOT_SUPPORTED     SCSI_SENSE(0x5, 0x39, 0x00)
#define SCSI_MEDIUM_REMOVAL_PREVENTED SCSI_SENSE(0x5, 0x53, 0x02)
#define SCSI_MEDIUM_CHANGED           SCSI_SENSE(0x6, 0x28, 0x00)
#define SCSI_RESET_OCCURRED           SCSI_SENSE(0x6, 0x29, 0x00)
#define SCSI_CAPACITY_CHANGED         SCSI_SENSE(0x6, 0x2a, 0x09)
#define SCSI_WRITE_PROTECTED          SCSI_SENSE(0x7, 0x27, 0x00)
#define SCSI_SPACE_ALLOCATION_FAILED  SCSI_SENSE(0x7, 0x27, 0x07)

/* Fixed format sense data. */
#define SCSI_SENSE_FIXED_CURRENT 0x70
#define SCSI_SENSE_FIXED_BYTES   18

#define SCSI_TYPE_DISK 0x00
#define SCSI_TYPE_DVD  0x05
/* Peripheral qualifier 3, type 1Fh: nothing can be attached here. */
#define SCSI_TYPE_ABSENT  0x7f
#define SCSI_VERSION_SPC3 0x05

enum scsi_vpd_page {
	SCSI_VPD_SUPPORTED = 0x00,
	SCSI_VPD_SERIAL = 0x80,
	SCSI_VPD_IDENTIFICATION = 0x83,
	SCSI_VPD_BLOCK_LIMITS = 0xb0,
	SCSI_VPD_BLOCK_CHARACTERISTICS = 0xb1,
	SCSI_VPD_PROVISIONING = 0xb2,
};

enum scsi_mode_page {
	SCSI_MODE_ERROR_RECOVERY = 0x01,
	SCSI_MODE_CACHING = 0x08,
	SCSI_MODE_CONTROL = 0x0a,
	SCSI_MODE_EXCEPTIONS = 0x1c,
	SCSI_MODE_CD_CAPABILITIES = 0x2a,
	SCSI_MODE_ALL = 0x3f,
};

#endif
