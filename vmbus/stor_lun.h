/* SPDX-License-Identifier: MIT
 *
 * stor_lun.h - the units of one controller, shared by all its channels: who is there, what their
 * state is, which disk is behind them, and how many block requests of each are under way. Internal
 * to vmbus/.
 *
 * A command is executed under its unit's lock; when it asks for blocks, the unit and the disk of
 * that moment are *in use* until stor_lun_put(). Who takes a disk away first hides it, so that no
 * request begins, and then waits for those under way (stor_progress).
 *
 * Threads: thread-safe; stor_luns_attach() and what is below it are the owner's.
 */
#ifndef VIADUCT_VMBUS_STOR_LUN_H
#define VIADUCT_VMBUS_STOR_LUN_H

#include "vmbus/scsi_unit.h"

#include <pthread.h>

#define STOR_MAX_LUNS SCSI_MAX_LUNS

/* Somebody waits for requests to end: an eventfd that is written to whenever one does. */
struct stor_progress {
	int event_fd;
	bool wanted; /* atomic */
};

void stor_progress_made(struct stor_progress *progress);

struct stor_lun {
	pthread_mutex_t lock;
	bool attached;
	bool hidden; /* on its way out */
	struct scsi_unit unit;
	void *disk;
	unsigned n_in_use;
};

struct stor_luns {
	const struct disk_ops *ops;
	struct stor_progress *progress;
	uint64_t present; /* atomic: bit n, unit n is attached and not hidden */
	struct stor_lun luns[STOR_MAX_LUNS];
};

void stor_luns_init(
	struct stor_luns *luns, const struct disk_ops *ops, struct stor_progress *progress);
void stor_luns_fini(struct stor_luns *luns);
unsigned stor_luns_count(const struct stor_luns *luns);

struct stor_address {
	uint8_t path, target, lun;
};

/* What the transport has to know before it executes a command. */
struct stor_data_needs {
	enum scsi_direction direction;
	uint32_t parameter_bytes;
};
struct stor_data_needs stor_luns_data_needs(
	struct stor_luns *luns, struct stor_address address, const struct scsi_command *command);

/* command->lun and ->luns are filled here. False: there is nobody who answers. With blocks in the
 * result *ret_lun is in use, and *ret_disk the disk; *ret_block_bytes its blocks. */
bool stor_luns_execute(struct stor_luns *luns, struct stor_address address,
	struct scsi_command *command, struct scsi_result *ret_result, struct stor_lun **ret_lun,
	void **ret_disk, uint32_t *ret_block_bytes);
void stor_lun_put(struct stor_luns *luns, struct stor_lun *lun);
/* STOR_ALL_LUNS, or one. */
#define STOR_ALL_LUNS UINT32_MAX
void stor_luns_reset(struct stor_luns *luns, unsigned lun);

/* -EEXIST; -EINVAL: the disk is none that SCSI can show. */
int stor_luns_attach(struct stor_luns *luns, unsigned lun, enum scsi_kind kind, const uint8_t *id,
	uint32_t max_transfer_bytes, void *disk);
/* In two steps, so that requests under way may end in between. -ENOENT. */
int stor_luns_hide(struct stor_luns *luns, unsigned lun);
/* Of a unit that is hidden and not in use; or it is seen again. */
void stor_luns_remove(struct stor_luns *luns, unsigned lun);
void stor_luns_unhide(struct stor_luns *luns, unsigned lun);

/* So does the medium of a DVD drive change: it is taken out and, once the unit is not in use,
 * another one (or NULL, or the same) is put in. -ENOENT; -EINVAL: it is no drive; -EBUSY: the guest
 * locked the tray and `force` is not set. */
int stor_luns_take_medium(struct stor_luns *luns, unsigned lun, bool force, void **ret_old);
void stor_luns_put_medium(struct stor_luns *luns, unsigned lun, void *disk);
/* -EINVAL: SCSI cannot show this disk. NULL is fine. */
int stor_luns_check_disk(const struct stor_luns *luns, void *disk);

bool stor_luns_in_use(struct stor_luns *luns, unsigned lun);
/* -ENOENT. */
int stor_luns_resized(struct stor_luns *luns, unsigned lun);

#endif
