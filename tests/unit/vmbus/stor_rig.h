/* SPDX-License-Identifier: MIT
 *
 * stor_rig.h - a controller on channel doubles and dummy disks, and the guest's side of it: a disk
 * of RIG_DISK_BLOCKS blocks of 512 bytes as unit 0, an optical drive as unit 1 (empty at first).
 * Nothing here asserts, so that fuzz targets can use it; what cannot fail ends the process.
 */
#ifndef VIADUCT_TESTS_STOR_RIG_H
#define VIADUCT_TESTS_STOR_RIG_H

#include "base/bytes.h"
#include "base/disk_dummy.h"
#include "stor_double.h"
#include "vmbus/proto/scsi.h"
#include "vmbus/proto/vstor.h"
#include "vmbus/storvsp.h"

#define RIG_DISK_BLOCKS 4096U
#define RIG_DISC_BLOCKS 64U
#define RIG_BLOCK       512U
#define RIG_DATA_GPA    0x10000U

struct stor_rig {
	struct stor_double *bus;
	struct disk_dummy_backend *backend;
	struct disk_dummy *disk, *disc; /* the disc is in no drive at first */
	struct storvsp *storvsp;
	struct unit_registry *units;
	uint64_t next_id;

	/* What came back last. */
	struct stor_double_packet packet;
	struct vstor_packet answer;
};

extern const struct disk_info rig_disk_info, rig_disc_info;

/* Offered and registered, the channel not open. */
void rig_new(struct stor_rig *rig, unsigned n_channels);
/* With nothing on the disks: faster. */
void rig_new_blank(struct stor_rig *rig, unsigned n_channels);
void rig_free(struct stor_rig *rig);
/* Another controller with the same units, the first one gone. */
void rig_replace(struct stor_rig *rig, unsigned n_channels);

struct vmbus_channel *rig_channel(struct stor_rig *rig, unsigned index);
/* Work on all open channels until there is nothing to do. */
void rig_work(struct stor_rig *rig);
/* The next packet of a channel into rig->packet and rig->answer. */
bool rig_take(struct stor_rig *rig, unsigned channel);

/* Send a packet without data, as it is. Returns its transaction id. */
uint64_t rig_post(struct stor_rig *rig, const void *payload, size_t size_bytes);
/* Send one of this operation, work, take the answer. Returns its status. */
uint32_t rig_operate(struct stor_rig *rig, uint32_t operation, uint32_t argument);
/* Open the primary and go through its initialisation. */
void rig_initialise(struct stor_rig *rig, uint16_t version);

struct rig_command {
	unsigned channel;
	uint8_t path, target, lun;
	uint8_t cdb[16];
	uint8_t cdb_bytes; /* 0: what the operation code says */
	enum vstor_direction direction;
	uint64_t gpa; /* 0: RIG_DATA_GPA */
	uint32_t transfer_bytes;
	bool inband; /* no ranges, whatever the length */
};
/* Queue it. Returns the transaction id. */
uint64_t rig_queue(struct stor_rig *rig, const struct rig_command *command);
/* Queue, work, take. Returns the SRB status; 0: nothing came back. */
uint8_t rig_execute(struct stor_rig *rig, const struct rig_command *command);
/* Its sense, 0 without. */
uint32_t rig_sense(const struct stor_rig *rig);
uint8_t *rig_data(struct stor_rig *rig);

/* READ(10) and WRITE(10) of unit 0. */
struct rig_command rig_read10(uint32_t lba, uint16_t n_blocks);
struct rig_command rig_write10(uint32_t lba, uint16_t n_blocks);

#endif
