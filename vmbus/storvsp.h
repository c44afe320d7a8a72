/* SPDX-License-Identifier: MIT
 *
 * storvsp.h - the storage VSP: one synthetic SCSI controller with up to 64 logical units, disks and
 * optical drives, on several channels.
 *
 * vstor protocol 2.0 to 6.2 and SCSI as Linux's, FreeBSD's and Windows' in-box drivers use it:
 * READ/WRITE 6/10/12/16, SYNCHRONIZE CACHE, UNMAP, WRITE SAME, VPD pages, REPORT LUNS, sense data;
 * for optical drives READ TOC, GET CONFIGURATION, GET EVENT STATUS and ejecting. SCSI itself is a
 * pure function of command and unit (scsi_*.h); only what moves blocks reaches the backend.
 *
 * Every request is completed exactly once, on the channel it came from. While stopped nothing is
 * under way: stop() waits for the backend (at most 10 s, then -ETIMEDOUT), so a saved state holds
 * no I/O. What cannot be completed because the guest's ring is full is kept and saved.
 *
 * Threads: the owner calls everything; workers run behind it.
 *
 * Sources: linux drivers/scsi/storvsc_drv.c (the guest's half), SPC-4, SBC-3, MMC-6.
 */
#ifndef VIADUCT_VMBUS_STORVSP_H
#define VIADUCT_VMBUS_STORVSP_H

#include "base/disk_ops.h"
#include "vmbus/vmbus.h"

#define STORVSP_MAX_LUNS     64
#define STORVSP_MAX_CHANNELS 8

struct storvsp;

struct storvsp_config {
	unsigned index;      /* of the controller in its VM; part of instance GUID and unit name */
	unsigned n_channels; /* 1..STORVSP_MAX_CHANNELS, the first one included */
	const struct disk_ops *disk_ops;
	void *backend; /* outlives the controller */
};

enum storvsp_kind { STORVSP_DISK, STORVSP_DVD };

struct storvsp_lun {
	uint8_t lun; /* 0..STORVSP_MAX_LUNS - 1 */
	enum storvsp_kind kind;
	void *disk; /* outlives its attachment; a DVD drive may be empty: NULL */
};

/* Offers the controller. */
int storvsp_new(
	struct vmbus *bus, const struct storvsp_config *config, struct storvsp **ret_storvsp);
void storvsp_free(struct storvsp *storvsp);
/* "storvsp.N", after the bus's. Restore needs the same units attached as when it was saved. */
int storvsp_register_unit(struct storvsp *storvsp, struct unit_registry *registry);

/* At any time; a running guest is told to look. -EEXIST, -EINVAL. */
int storvsp_attach(struct storvsp *storvsp, const struct storvsp_lun *lun);
/* No request for it is under way on return; further ones are answered as for an absent unit, and
 * the guest is told to look. -ENOENT; -ETIMEDOUT: the backend does not answer, it stays. */
int storvsp_detach(struct storvsp *storvsp, uint8_t lun);
/* Change a DVD drive's medium; NULL ejects. -ENOENT, -EBUSY: the guest locked the tray and `force`
 * is not set. */
int storvsp_set_medium(struct storvsp *storvsp, uint8_t lun, void *disk, bool force);
/* The disk's size changed: tell the guest. */
int storvsp_resized(struct storvsp *storvsp, uint8_t lun);

struct storvsp_info {
	uint16_t version; /* (major << 8) + minor; 0 until negotiated */
	bool ready;
	unsigned n_channels_open, n_luns;
	unsigned n_in_flight;
	uint64_t n_reads, n_writes, n_flushes, n_discards;
	uint64_t read_bytes, written_bytes;
	uint64_t n_errors;          /* requests answered with an error of the backend */
	uint64_t n_protocol_errors; /* packets that made no sense */
};
void storvsp_get_info(struct storvsp *storvsp, struct storvsp_info *ret_info);

#endif
