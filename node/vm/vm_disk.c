/* SPDX-License-Identifier: MIT
 *
 * vm_disk.c - disks that come and go. The service opens the file and says where the disk goes; the
 * descriptor is all that is ever known of it here.
 */
#include "node/vm/vm.h"

#include <stdio.h>

static int lun_of(const struct vm_request *q)
{
	int64_t lun = json_get_int(q->message, "lun", -1);

	return lun >= 0 && lun < STORVSP_MAX_LUNS ? (int)lun : -EINVAL;
}

static int parse_id(const char *hex, uint8_t ret_id[DISK_ID_BYTES])
{
	if (strlen(hex) != 2 * DISK_ID_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < DISK_ID_BYTES; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		ret_id[i] = (uint8_t)byte;
	}
	return 0;
}

static int open_disk(
	struct vm *vm, struct vm_request *q, enum storvsp_kind kind, struct disk **ret_disk)
{
	struct disk_config config = {
		.read_only = kind == STORVSP_DVD || json_get_bool(q->message, "read_only", false),
		.block_bytes = kind == STORVSP_DVD ? 2048 : 512,
	};
	const char *serial = json_get_string(q->message, "serial", "");
	const char *why = NULL;
	int r;

	if (q->n_fds != 1 || strlen(serial) > DISK_SERIAL_MAX_LEN ||
		parse_id(json_get_string(q->message, "disk_id", ""), config.id) < 0)
		return -EINVAL;
	config.fd = q->fds[0];
	strcpy(config.serial, serial);
	r = disk_open(vm->disk_backend, &config, ret_disk, &why);
	if (r < 0)
		snprintf(q->error, sizeof(q->error), "the disk's file cannot be used: %s",
			why ? why : strerror(-r));
	return r;
}

/* {lun, kind: "disk" | "dvd", disk_id: 32 hex digits, serial, read_only} and its descriptor; none
 * for an empty DVD drive. */
int vm_op_disk_attach(struct vm *vm, struct vm_request *q)
{
	bool is_dvd = strcmp(json_get_string(q->message, "kind", "disk"), "dvd") == 0;
	struct storvsp_lun lun = {.kind = is_dvd ? STORVSP_DVD : STORVSP_DISK};
	struct disk *disk = NULL;
	int at = lun_of(q);
	int r;

	if (at < 0)
		return at;
	if (vm->luns[at])
		return -EEXIST;
	if (!is_dvd || q->n_fds > 0) {
		r = open_disk(vm, q, lun.kind, &disk);
		if (r < 0)
			return r;
	}
	lun.lun = (uint8_t)at;
	lun.disk = disk;
	r = storvsp_attach(vm->storvsp, &lun);
	if (r < 0) {
		if (disk)
			disk_close(disk);
		return r;
	}
	vm->disks[at] = disk;
	vm->luns[at] = true;
	return 0;
}

int vm_op_disk_detach(struct vm *vm, struct vm_request *q)
{
	int at = lun_of(q);
	int r;

	if (at < 0)
		return at;
	if (!vm->luns[at])
		return -ENOENT;
	r = storvsp_detach(vm->storvsp, (uint8_t)at);
	if (r < 0)
		return r;
	if (vm->disks[at])
		disk_close(take_ptr(vm->disks[at]));
	vm->luns[at] = false;
	return 0;
}

/* {lun, force, disk_id, serial}: the medium whose descriptor comes along, or none. */
int vm_op_disk_medium(struct vm *vm, struct vm_request *q)
{
	struct disk *medium = NULL;
	int at = lun_of(q);
	int r;

	if (at < 0)
		return at;
	if (!vm->luns[at])
		return -ENOENT;
	if (q->n_fds > 0) {
		r = open_disk(vm, q, STORVSP_DVD, &medium);
		if (r < 0)
			return r;
	}
	r = storvsp_set_medium(
		vm->storvsp, (uint8_t)at, medium, json_get_bool(q->message, "force", false));
	if (r < 0) {
		if (medium)
			disk_close(medium);
		if (r == -EBUSY)
			snprintf(q->error, sizeof(q->error),
				"the guest holds the tray locked; use --force, or unmount it "
				"there");
		return r;
	}
	if (vm->disks[at])
		disk_close(vm->disks[at]);
	vm->disks[at] = medium;
	return 0;
}

int vm_op_disk_resized(struct vm *vm, struct vm_request *q)
{
	int at = lun_of(q);
	int r;

	if (at < 0)
		return at;
	if (!vm->disks[at])
		return -ENOENT;
	r = disk_refresh(vm->disks[at]);
	return r > 0 ? storvsp_resized(vm->storvsp, (uint8_t)at) : r;
}
