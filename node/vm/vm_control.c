/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* One request of the service. `ret_reply` and `error` may be left alone. */
struct vm_request {
	const struct json *message;
	int *fds;
	size_t n_fds;
	struct json *reply;
	char error[256];
};

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

static int op_serial(struct vm *vm, struct vm_request *q)
{
	const char *text = json_get_string(q->message, "text", NULL);
	int r;

	if (!text)
		return -EINVAL;
	/* Typing interrupts the guest: not while a start puts its interrupt controllers in order.
	 */
	pthread_mutex_lock(&vm->lock);
	r = partition_serial_input(vm->partition, text, strlen(text));
	pthread_mutex_unlock(&vm->lock);
	return r;
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
	{"vm.start", op_start, true},
	{"vm.pause", op_pause, true},
	{"vm.info", op_info, false},
	{"vm.serial", op_serial, true},
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
	struct vm_request q = {.message = message, .fds = fds, .n_fds = n_fds};
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
	if (id)
		chan_reply(chan, id, r, q.error[0] ? q.error : NULL, q.reply, NULL, 0);
	else
		json_unref(q.reply);
}
