/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- the VM as migrate/ sees it; called on migration threads ---- */

static struct gpa_space *mig_memory(void *data)
{
	return partition_memory(((struct vm *)data)->partition);
}

static int mig_dirty_start(void *data)
{
	return partition_dirty_start(((struct vm *)data)->partition);
}

static int mig_dirty_collect(void *data, uint64_t *const *bitmaps)
{
	return partition_dirty_collect(((struct vm *)data)->partition, bitmaps);
}

static int mig_dirty_stop(void *data)
{
	return partition_dirty_stop(((struct vm *)data)->partition);
}

static int mig_pause(void *data)
{
	return vm_pause(data);
}

static int mig_resume(void *data)
{
	return vm_start(data);
}

static int mig_save(void *data, struct buf *out)
{
	struct vm *vm = data;
	int r;

	pthread_mutex_lock(&vm->lock);
	r = vm->state == VM_PAUSED ? unit_save_all(vm->units, out) : -EINVAL;
	pthread_mutex_unlock(&vm->lock);
	return r;
}

static int mig_restore(void *data, struct reader *in, const char **ret_culprit)
{
	struct vm *vm = data;
	int r;

	pthread_mutex_lock(&vm->lock);
	r = vm->state == VM_STOPPED ? unit_restore_all(vm->units, in, ret_culprit) : -EINVAL;
	pthread_mutex_unlock(&vm->lock);
	return r;
}

const struct mig_vm_ops vm_mig_ops = {
	.memory = mig_memory,
	.dirty_start = mig_dirty_start,
	.dirty_collect = mig_dirty_collect,
	.dirty_stop = mig_dirty_stop,
	.pause = mig_pause,
	.resume = mig_resume,
	.save = mig_save,
	.restore = mig_restore,
};

/* ---- events: from migration threads to the loop, from there to the service ---- */

struct mig_event {
	struct vm *vm;
	int error;
	char text[160];
};

static int post_event(struct vm *vm, loop_fn fn, int error, const char *text)
{
	struct mig_event *event = calloc(1, sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->vm = vm;
	event->error = error;
	snprintf(event->text, sizeof(event->text), "%s", text ? text : "");
	return loop_wake(vm->loop, fn, event);
}

static struct json *source_report(struct vm *vm)
{
	struct mig_report report;

	mig_source_report(vm->source, &report);
	return mig_report_json(&report);
}

static void send_progress(void *data)
{
	_cleanup_free_ struct mig_event *event = data;
	struct vm *vm = event->vm;
	struct json *message;

	if (!vm->source)
		return;
	message = json_object_new();
	json_set(message, "report", source_report(vm));
	chan_event(vm->chan, "mig.progress", message, NULL, 0);
}

static void send_ready(void *data)
{
	_cleanup_free_ struct mig_event *event = data;
	struct vm *vm = event->vm;
	struct json *message = json_object_new();

	json_set(message, "report", source_report(vm));
	chan_event(vm->chan, "mig.ready", message, NULL, 0);
}

static void send_done(void *data)
{
	_cleanup_free_ struct mig_event *event = data;
	struct vm *vm = event->vm;
	struct json *message = json_object_new();

	json_set_int(message, "error", -event->error);
	json_set_string(message, "text", event->text);
	json_set(message, "report", source_report(vm));
	mig_source_free(take_ptr(vm->source));
	if (event->error < 0)
		vm_announce_stay(vm);
	chan_event(vm->chan, "mig.done", message, NULL, 0);
}

static void on_source_progress(void *data)
{
	post_event(data, send_progress, 0, NULL);
}

static void on_source_ready(void *data)
{
	post_event(data, send_ready, 0, NULL);
}

static void on_source_done(int error, const char *text, void *data)
{
	post_event(data, send_done, error, text);
}

static const struct mig_source_callbacks source_callbacks = {
	.progress = on_source_progress,
	.ready = on_source_ready,
	.done = on_source_done,
};

static void send_in_ready(void *data)
{
	_cleanup_free_ struct mig_event *event = data;

	chan_event(event->vm->chan, "mig.in.ready", NULL, NULL, 0);
}

static void send_in_failed(void *data)
{
	_cleanup_free_ struct mig_event *event = data;
	struct json *message = json_object_new();

	json_set_int(message, "error", -event->error);
	json_set_string(message, "text", event->text);
	chan_event(event->vm->chan, "mig.in.failed", message, NULL, 0);
}

static void on_target_ready(void *data)
{
	post_event(data, send_in_ready, 0, NULL);
}

static void on_target_failed(int error, const char *text, void *data)
{
	post_event(data, send_in_failed, error, text);
}

static const struct mig_target_callbacks target_callbacks = {
	.ready = on_target_ready,
	.failed = on_target_failed,
};

/* ---- requests ---- */

static int parse_key(const char *hex, uint8_t key[MIG_JOB_KEY_BYTES])
{
	if (strlen(hex) != 2 * MIG_JOB_KEY_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < MIG_JOB_KEY_BYTES; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		key[i] = (uint8_t)byte;
	}
	return 0;
}

int vm_migrate_params(struct vm *vm, const struct json *message, struct mig_params *ret_params)
{
	struct mig_params params = {
		.vm_name = vm->spec.name,
		.cpuid_digest = partition_cpuid_digest(vm->partition),
		.blackout_budget_ns = (uint64_t)json_get_int(message, "blackout_budget_ns", 0),
		.stall_timeout_ns = (uint64_t)json_get_int(message, "stall_timeout_ns", 0),
		.bandwidth_bytes_per_s =
			(uint64_t)json_get_int(message, "bandwidth_bytes_per_s", 0),
		.max_rounds = (unsigned)json_get_int(message, "max_rounds", 0),
		.compress = json_get_bool(message, "compress", true),
	};
	const char *key = json_get_string(message, "key", NULL);

	if (key && parse_key(key, params.job_key) < 0)
		return -EINVAL;
	*ret_params = params;
	return 0;
}

static int check_sockets(const struct json *message, const struct mig_params *params, size_t n_fds)
{
	static const uint8_t no_key[MIG_JOB_KEY_BYTES];

	(void)message;
	if (n_fds < 2 || n_fds > 1 + MIG_MAX_CHANNELS)
		return -EINVAL;
	return memcmp(params->job_key, no_key, sizeof(no_key)) == 0 ? -EINVAL : 0;
}

static void keep_fds(int *fds, size_t n_fds)
{
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = -1;
}

int vm_migrate_out(struct vm *vm, const struct json *message, int *fds, size_t n_fds)
{
	int sockets[1 + MIG_MAX_CHANNELS];
	struct mig_params params;
	int r = vm_migrate_params(vm, message, &params);

	if (r == 0)
		r = check_sockets(message, &params, n_fds);
	if (r < 0)
		return r;
	if (vm->source)
		return -EBUSY;
	/* How it came here is over: whoever may move it away runs. */
	mig_target_free(take_ptr(vm->target));
	memcpy(sockets, fds, n_fds * sizeof(*fds));
	keep_fds(fds, n_fds);
	return mig_source_start(&params, &vm_mig_ops, vm, sockets, (unsigned)n_fds,
		&source_callbacks, vm, &vm->source);
}

int vm_migrate_in(struct vm *vm, const struct json *message, int *fds, size_t n_fds)
{
	int sockets[1 + MIG_MAX_CHANNELS];
	struct mig_params params;
	int r = vm_migrate_params(vm, message, &params);

	if (r == 0)
		r = check_sockets(message, &params, n_fds);
	if (r < 0)
		return r;
	if (vm->target || vm->state != VM_STOPPED || !vm->spec.incoming)
		return -EBUSY;
	memcpy(sockets, fds, n_fds * sizeof(*fds));
	keep_fds(fds, n_fds);
	return mig_target_start(&params, &vm_mig_ops, vm, sockets, (unsigned)n_fds,
		&target_callbacks, vm, &vm->target);
}
