/* SPDX-License-Identifier: MIT */
#include "vmbus/stor_lun.h"

#define MIN_BLOCK_BYTES 512
#define MAX_BLOCK_BYTES 4096

void stor_progress_made(struct stor_progress *progress)
{
	uint64_t one = 1;

	if (!__atomic_load_n(&progress->wanted, __ATOMIC_ACQUIRE))
		return;
	while (write(progress->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void stor_luns_init(
	struct stor_luns *luns, const struct disk_ops *ops, struct stor_progress *progress)
{
	luns->ops = ops;
	luns->progress = progress;
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++)
		pthread_mutex_init(&luns->luns[i].lock, NULL);
}

void stor_luns_fini(struct stor_luns *luns)
{
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++)
		pthread_mutex_destroy(&luns->luns[i].lock);
}

static uint64_t present(const struct stor_luns *luns)
{
	return __atomic_load_n(&luns->present, __ATOMIC_ACQUIRE);
}

unsigned stor_luns_count(const struct stor_luns *luns)
{
	return (unsigned)__builtin_popcountll(present(luns));
}

/* ---- commands ---- */

/* With its lock held, when there is one. */
static struct stor_lun *find_and_lock(struct stor_luns *luns, struct stor_address address)
{
	struct stor_lun *lun;

	if (address.path || address.target || address.lun >= STOR_MAX_LUNS)
		return NULL;
	lun = &luns->luns[address.lun];
	pthread_mutex_lock(&lun->lock);
	if (lun->attached && !lun->hidden)
		return lun;
	pthread_mutex_unlock(&lun->lock);
	return NULL;
}

struct stor_data_needs stor_luns_data_needs(
	struct stor_luns *luns, struct stor_address address, const struct scsi_command *command)
{
	struct stor_lun *lun = find_and_lock(luns, address);
	struct stor_data_needs needs = {.direction = SCSI_NO_DATA};

	if (!lun)
		return needs;
	needs.direction = scsi_direction(&lun->unit, command);
	needs.parameter_bytes = scsi_parameter_bytes(&lun->unit, command);
	pthread_mutex_unlock(&lun->lock);
	return needs;
}

bool stor_luns_execute(struct stor_luns *luns, struct stor_address address,
	struct scsi_command *command, struct scsi_result *ret_result, struct stor_lun **ret_lun,
	void **ret_disk, uint32_t *ret_block_bytes)
{
	struct stor_lun *lun = find_and_lock(luns, address);

	command->lun = address.lun;
	command->luns = address.path || address.target ? 0 : present(luns);
	if (!lun)
		return scsi_execute_absent(command, ret_result);
	scsi_execute(&lun->unit, command, ret_result);
	if (ret_result->sense == SCSI_NO_SENSE && ret_result->has_blocks) {
		lun->n_in_use++;
		*ret_lun = lun;
		*ret_disk = lun->disk;
		*ret_block_bytes = lun->unit.info.block_bytes;
	}
	pthread_mutex_unlock(&lun->lock);
	return true;
}

void stor_lun_put(struct stor_luns *luns, struct stor_lun *lun)
{
	pthread_mutex_lock(&lun->lock);
	lun->n_in_use--;
	pthread_mutex_unlock(&lun->lock);
	stor_progress_made(luns->progress);
}

void stor_luns_reset(struct stor_luns *luns, unsigned lun)
{
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++) {
		if (lun != i && lun != STOR_ALL_LUNS)
			continue;
		pthread_mutex_lock(&luns->luns[i].lock);
		if (luns->luns[i].attached)
			scsi_unit_reset(&luns->luns[i].unit);
		pthread_mutex_unlock(&luns->luns[i].lock);
	}
}

/* ---- coming, going, changing ---- */

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static bool is_valid(const struct disk_info *info)
{
	return is_power_of_two(info->block_bytes) && info->block_bytes >= MIN_BLOCK_BYTES &&
	       info->block_bytes <= MAX_BLOCK_BYTES && is_power_of_two(info->physical_bytes) &&
	       info->physical_bytes >= info->block_bytes && info->size_bytes &&
	       info->size_bytes % info->block_bytes == 0;
}

int stor_luns_check_disk(const struct stor_luns *luns, void *disk)
{
	struct disk_info info;

	if (!disk)
		return 0;
	luns->ops->get_info(disk, &info);
	return is_valid(&info) ? 0 : -EINVAL;
}

static void set_present(struct stor_luns *luns, unsigned lun, bool is_present)
{
	if (is_present)
		__atomic_fetch_or(&luns->present, 1ULL << lun, __ATOMIC_ACQ_REL);
	else
		__atomic_fetch_and(&luns->present, ~(1ULL << lun), __ATOMIC_ACQ_REL);
}

int stor_luns_attach(struct stor_luns *luns, unsigned number, enum scsi_kind kind,
	const uint8_t *id, uint32_t max_transfer_bytes, void *disk)
{
	struct stor_lun *lun = &luns->luns[number];
	struct disk_info info;
	int r = stor_luns_check_disk(luns, disk);

	if (r || (!disk && kind == SCSI_KIND_DISK))
		return -EINVAL;
	if (disk)
		luns->ops->get_info(disk, &info);
	pthread_mutex_lock(&lun->lock);
	if (lun->attached) {
		r = -EEXIST;
	} else {
		scsi_unit_init(&lun->unit, kind, id, max_transfer_bytes);
		scsi_unit_load(&lun->unit, disk ? &info : NULL);
		lun->disk = disk;
		lun->attached = true;
		set_present(luns, number, true);
	}
	pthread_mutex_unlock(&lun->lock);
	return r;
}

int stor_luns_hide(struct stor_luns *luns, unsigned number)
{
	struct stor_lun *lun = &luns->luns[number];
	int r = -ENOENT;

	pthread_mutex_lock(&lun->lock);
	if (lun->attached) {
		lun->hidden = true;
		set_present(luns, number, false);
		r = 0;
	}
	pthread_mutex_unlock(&lun->lock);
	return r;
}

void stor_luns_unhide(struct stor_luns *luns, unsigned number)
{
	struct stor_lun *lun = &luns->luns[number];

	pthread_mutex_lock(&lun->lock);
	lun->hidden = false;
	set_present(luns, number, true);
	pthread_mutex_unlock(&lun->lock);
}

void stor_luns_remove(struct stor_luns *luns, unsigned number)
{
	struct stor_lun *lun = &luns->luns[number];

	pthread_mutex_lock(&lun->lock);
	lun->attached = false;
	lun->hidden = false;
	lun->disk = NULL;
	pthread_mutex_unlock(&lun->lock);
}

int stor_luns_take_medium(struct stor_luns *luns, unsigned number, bool force, void **ret_old)
{
	struct stor_lun *lun = &luns->luns[number];
	int r = 0;

	pthread_mutex_lock(&lun->lock);
	if (!lun->attached) {
		r = -ENOENT;
	} else if (lun->unit.kind != SCSI_KIND_DVD) {
		r = -EINVAL;
	} else if (lun->unit.locked && !force) {
		r = -EBUSY;
	} else {
		*ret_old = take_ptr(lun->disk);
		scsi_unit_take_medium(&lun->unit);
	}
	pthread_mutex_unlock(&lun->lock);
	return r;
}

void stor_luns_put_medium(struct stor_luns *luns, unsigned number, void *disk)
{
	struct stor_lun *lun = &luns->luns[number];
	struct disk_info info;

	if (disk)
		luns->ops->get_info(disk, &info);
	pthread_mutex_lock(&lun->lock);
	lun->disk = disk;
	scsi_unit_put_medium(&lun->unit, disk ? &info : NULL);
	pthread_mutex_unlock(&lun->lock);
}

bool stor_luns_in_use(struct stor_luns *luns, unsigned number)
{
	struct stor_lun *lun = &luns->luns[number];
	bool in_use;

	pthread_mutex_lock(&lun->lock);
	in_use = lun->n_in_use > 0;
	pthread_mutex_unlock(&lun->lock);
	return in_use;
}

int stor_luns_resized(struct stor_luns *luns, unsigned number)
{
	struct stor_lun *lun = &luns->luns[number];
	struct disk_info info;
	int r = 0;

	pthread_mutex_lock(&lun->lock);
	if (!lun->attached) {
		r = -ENOENT;
	} else if (lun->disk) {
		luns->ops->get_info(lun->disk, &info);
		if (info.size_bytes % lun->unit.info.block_bytes)
			r = -EINVAL;
		else
			scsi_unit_resize(&lun->unit, &info);
	}
	pthread_mutex_unlock(&lun->lock);
	return r;
}
