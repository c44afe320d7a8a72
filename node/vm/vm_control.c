/* SPDX-License-Identifier: MIT
 *
 * vm_control.c - the operations of the control channel (base/chan.h). A VM is configured first:
 *
 *	vm.configure {name, vps, memory_bytes, min_memory_bytes, max_memory_bytes, vram_bytes,
 *	              cmdline, incoming, initrd: bool, nics: [{mac, mtu, spoofing, offload}]}
 *	             with descriptors kvm, three for each NIC, kernel (unless incoming), initrd
 *	disk.attach  {lun, kind, disk_id, serial, read_only} with the disk's file, for each disk
 *	vm.start, or vm.load / mig.in for state and then vm.start
 *
 * The rest may come at any time; each says what it takes beside its handler. Events to the service:
 * serial {data}, vm.heartbeat {state}, vm.ended {how, text}, mig.*, save.progress.
 */
#include "node/vm/vm.h"
#include "node/vm/vm_lease.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static int op_configure(struct vm *vm, struct vm_request *q)
{
	struct vm_spec spec;
	int r = vm_spec_parse(q->message, &spec, q->error, sizeof(q->error));

	if (r < 0)
		return r;
	r = vm_build(vm, &spec, q->fds, q->n_fds, q->error, sizeof(q->error));
	if (r == 0) {
		q->reply = json_object_new();
		json_set_stringf(q->reply, "cpuid_digest", "%016llx",
			(unsigned long long)partition_cpuid_digest(vm->partition));
	}
	return r;
}

static int op_start(struct vm *vm, struct vm_request *q _unused_)
{
	return vm_start(vm);
}

static int op_pause(struct vm *vm, struct vm_request *q _unused_)
{
	return vm_pause(vm);
}

static int op_info(struct vm *vm, struct vm_request *q)
{
	q->reply = vm_info(vm);
	return 0;
}

/* {until_ns}: by clock_boot_ns(). The process ends then, unless another one comes before. */
static int op_lease(struct vm *vm _unused_, struct vm_request *q)
{
	int64_t until_ns = json_get_int(q->message, "until_ns", 0);

	return until_ns > 0 ? vm_lease_renew((uint64_t)until_ns) : -EINVAL;
}

static int op_link(struct vm *vm, struct vm_request *q)
{
	int64_t nic = json_get_int(q->message, "nic", -1);

	if (nic < 0 || nic >= vm->spec.n_nics)
		return -EINVAL;
	return netvsp_set_link(vm->nics[nic], json_get_bool(q->message, "up", true));
}

static int op_migrate_out(struct vm *vm, struct vm_request *q)
{
	const char *to = json_get_string(q->message, "to", NULL);

	if (to)
		vm_announce_move(vm, to);
	return vm_migrate_out(vm, q->message, q->fds, q->n_fds);
}

static int op_migrate_in(struct vm *vm, struct vm_request *q)
{
	return vm_migrate_in(vm, q->message, q->fds, q->n_fds);
}

static int op_migrate_cancel(struct vm *vm, struct vm_request *q _unused_)
{
	return vm->source ? mig_source_cancel(vm->source) : -ENOENT;
}

static int op_migrate_finish(struct vm *vm, struct vm_request *q)
{
	bool committed = json_get_bool(q->message, "committed", false);

	return vm->source ? mig_source_finish(vm->source, committed) : -ENOENT;
}

static struct json *file_stats_json(const struct mig_file_stats *stats)
{
	struct json *j = json_object_new();

	json_set_int(j, "raw_bytes", (int64_t)stats->raw_bytes);
	json_set_int(j, "file_bytes", (int64_t)stats->file_bytes);
	json_set_int(j, "duration_ns", (int64_t)stats->duration_ns);
	return j;
}

static void on_save_progress(unsigned percent, void *data)
{
	struct vm *vm = data;
	struct json *message = json_object_new();

	json_set_int(message, "percent", percent);
	chan_event(vm->chan, "save.progress", message, NULL, 0);
}

/* The service has nothing else to ask of a VM that is being saved or loaded, so both run right
 * here. */
static int op_save(struct vm *vm, struct vm_request *q)
{
	struct mig_params params;
	struct mig_file_stats stats;
	int r;

	if (q->n_fds != 1)
		return -EINVAL;
	r = vm_migrate_params(vm, q->message, &params);
	if (r == 0)
		r = vm_pause(vm);
	if (r < 0)
		return r;
	r = mig_save_file(&params, &vm_mig_ops, vm, q->fds[0], on_save_progress, vm, &stats,
		q->error, sizeof(q->error));
	if (r == 0)
		q->reply = file_stats_json(&stats);
	else
		vm_start(vm);
	return r;
}

static int op_load(struct vm *vm, struct vm_request *q)
{
	struct mig_params params;
	struct mig_file_stats stats;
	int r;

	if (q->n_fds != 1 || vm->state != VM_STOPPED || !vm->spec.incoming)
		return -EINVAL;
	r = vm_migrate_params(vm, q->message, &params);
	if (r < 0)
		return r;
	r = mig_load_file(&params, &vm_mig_ops, vm, q->fds[0], &stats, q->error, sizeof(q->error));
	if (r == 0)
		q->reply = file_stats_json(&stats);
	return r;
}

static const struct vm_op {
	const char *name;
	int (*handler)(struct vm *vm, struct vm_request *request);
	bool needs_vm;
} vm_op_table[] = {
	{"vm.configure", op_configure, false},
	{"vm.lease", op_lease, false},
	{"vm.start", op_start, true},
	{"vm.pause", op_pause, true},
	{"vm.info", op_info, false},
	{"vm.serial", vm_op_serial, true},
	{"vm.shutdown", vm_op_shutdown, true},
	{"vm.freeze", vm_op_freeze, true},
	{"vm.thaw", vm_op_thaw, true},
	{"vm.item", vm_op_item, true},
	{"vm.memory", vm_op_memory, true},
	{"vm.type", vm_op_type, true},
	{"vm.screenshot", vm_op_screenshot, true},
	{"vm.viewer", vm_op_viewer, true},
	{"disk.attach", vm_op_disk_attach, true},
	{"disk.detach", vm_op_disk_detach, true},
	{"disk.medium", vm_op_disk_medium, true},
	{"disk.resized", vm_op_disk_resized, true},
	{"vm.link", op_link, true},
	{"vm.save", op_save, true},
	{"vm.load", op_load, true},
	{"mig.out", op_migrate_out, true},
	{"mig.in", op_migrate_in, true},
	{"mig.cancel", op_migrate_cancel, true},
	{"mig.finish", op_migrate_finish, true},
};

void vm_on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data)
{
	struct vm *vm = data;
	struct vm_request q = {.id = id, .message = message, .fds = fds, .n_fds = n_fds};
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_LEN(vm_op_table); i++) {
		if (strcmp(vm_op_table[i].name, op) != 0)
			continue;
		if (vm_op_table[i].needs_vm && vm->state == VM_EMPTY)
			r = -EINVAL;
		else
			r = vm_op_table[i].handler(vm, &q);
		break;
	}
	if (r < 0) {
		log_warning("%s: %s", op, q.error[0] ? q.error : strerror(-r));
		json_unref(take_ptr(q.reply));
	}
	if (q.deferred)
		return;
	if (id)
		chan_reply(chan, id, r, q.error[0] ? q.error : NULL, q.reply, NULL, 0);
	else
		json_unref(q.reply);
}
