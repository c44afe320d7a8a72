/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include "base/log.h"
#include "node/vm/sandbox.h"

#include <stdio.h>
#include <string.h>

#define VMBUS_SINT 2

static const char *const state_names[] = {
	[VM_EMPTY] = "empty",
	[VM_STOPPED] = "stopped",
	[VM_RUNNING] = "running",
	[VM_PAUSED] = "paused",
	[VM_ENDED] = "ended",
};

static const char *const end_names[] = {
	[PARTITION_END_POWEROFF] = "poweroff",
	[PARTITION_END_RESET] = "reset",
	[PARTITION_END_TRIPLE_FAULT] = "triple-fault",
	[PARTITION_END_CRASH] = "crash",
	[PARTITION_END_ERROR] = "error",
};

const char *vm_state_name(enum vm_state state)
{
	return state_names[state];
}

/* ---- the partition's callbacks, on VP threads ---- */

static uint16_t on_post_message(void *data, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes)
{
	struct vm *vm = data;

	return vmbus_post(vm->bus, connection_id, message_type, payload, size_bytes);
}

static uint16_t on_signal_event(
	void *data _unused_, uint32_t connection_id _unused_, uint16_t flag _unused_)
{
	/* Every open channel has a doorbell, so what arrives here belongs to nobody. */
	return HV_STATUS_INVALID_CONNECTION_ID;
}

static void on_slot_free(void *data, uint32_t vp_index, unsigned sint)
{
	struct vm *vm = data;

	vmbus_slot_free(vm->bus, vp_index, sint);
}

struct vm_end {
	struct vm *vm;
	enum partition_end end;
	char *text; /* of a crash: a page of the guest's log */
};

static void report_end(void *data)
{
	_cleanup_free_ struct vm_end *end = data;
	struct vm *vm = end->vm;
	struct json *message = json_object_new();

	pthread_mutex_lock(&vm->lock);
	if (vm->state == VM_RUNNING) {
		unit_stop_all(vm->units);
		vm->state = VM_ENDED;
	}
	pthread_mutex_unlock(&vm->lock);
	vm_serial_flush(vm);
	json_set_string(message, "how", end_names[end->end]);
	json_set_string(message, "text", end->text);
	free(end->text);
	chan_event(vm->chan, "vm.ended", message, NULL, 0);
}

static void on_ended(void *data, enum partition_end how, const char *text)
{
	struct vm_end *end = calloc(1, sizeof(*end));

	if (!end)
		abort(); /* nobody would ever learn that the guest ended */
	end->vm = data;
	end->end = how;
	end->text = strdup(text ? text : "");
	if (!end->text || loop_wake(end->vm->loop, report_end, end) < 0)
		abort();
}

static const struct partition_ops partition_callbacks = {
	.post_message = on_post_message,
	.signal_event = on_signal_event,
	.slot_free = on_slot_free,
	.serial_output = vm_serial_output,
	.ended = on_ended,
};

/* ---- the bus's way to the partition ---- */

static int host_post_message(void *host, uint32_t vp_index, const void *payload, size_t size_bytes)
{
	struct vm *vm = host;

	return partition_post_message(vm->partition, vp_index, VMBUS_SINT, 1, payload, size_bytes);
}

static void host_signal(void *host, uint32_t vp_index, uint32_t relid)
{
	struct vm *vm = host;

	/* A guest that masked its SINT misses the signal, as on the original. */
	(void)partition_signal_flag(vm->partition, vp_index, VMBUS_SINT, relid);
}

static int host_doorbell_add(void *host, uint32_t connection_id, int event_fd)
{
	struct vm *vm = host;

	return partition_doorbell_add(vm->partition, connection_id, event_fd);
}

static void host_doorbell_remove(void *host, uint32_t connection_id, int event_fd)
{
	struct vm *vm = host;

	partition_doorbell_remove(vm->partition, connection_id, event_fd);
}

static const struct vmbus_host_ops host_ops = {
	.post_message = host_post_message,
	.signal = host_signal,
	.doorbell_add = host_doorbell_add,
	.doorbell_remove = host_doorbell_remove,
};

/* ---- composition ---- */

/* Units start in this order and stop in the reverse one: VPs run only while everything does. */
static int build_parts(struct vm *vm, const int *nic_fds, const char **ret_what)
{
	int r;

	*ret_what = "the bus";
	r = vmbus_new(partition_memory(vm->partition), &host_ops, vm, &vm->bus);
	if (r == 0)
		r = unit_registry_new(&vm->units);
	if (r == 0)
		r = vm_away_register(vm);
	if (r == 0)
		r = partition_register_hv_unit(vm->partition, vm->units);
	if (r == 0)
		r = vmbus_register_unit(vm->bus, vm->units);
	if (r == 0)
		r = vm_devices_build(vm, nic_fds, ret_what);
	return r < 0 ? r : partition_register_vp_unit(vm->partition, vm->units);
}

static size_t n_fds_wanted(const struct vm_spec *spec)
{
	return 1 + 3 * (size_t)spec->n_nics + (spec->incoming ? 0 : 1 + spec->has_initrd);
}

static int load_kernel(struct vm *vm, const int *fds, char *error, size_t error_size_bytes)
{
	struct partition_boot boot = {
		.kernel_fd = fds[0],
		.initrd_fd = vm->spec.has_initrd ? fds[1] : -1,
		.cmdline = vm->spec.cmdline,
	};
	const char *why = NULL;
	int r = partition_boot(vm->partition, &boot, &why);

	if (r < 0)
		snprintf(error, error_size_bytes, "the kernel cannot be loaded: %s",
			why ? why : strerror(-r));
	return r;
}

int vm_build(struct vm *vm, const struct vm_spec *spec, const int *fds, size_t n_fds, char *error,
	size_t error_size_bytes)
{
	struct partition_config config = {
		.n_vps = spec->n_vps,
		.ram_bytes = spec->memory_bytes,
		.max_ram_bytes = spec->max_memory_bytes,
		.vram_bytes = spec->vram_bytes,
		.ops = &partition_callbacks,
		.data = vm,
	};
	const char *what = NULL;
	int r;

	if (vm->state != VM_EMPTY || n_fds != n_fds_wanted(spec)) {
		snprintf(error, error_size_bytes, "%s",
			vm->state != VM_EMPTY ? "this VM is configured already"
					      : "the number of descriptors does not fit the VM");
		return -EINVAL;
	}
	vm->spec = *spec;
	config.kvm_fd = fds[0];
	r = partition_new(&config, &vm->partition, &what);
	if (r < 0) {
		snprintf(error, error_size_bytes, "the partition cannot be made: %s",
			what ? what : strerror(-r));
		return r;
	}
	r = build_parts(vm, fds + 1, &what);
	if (r < 0) {
		snprintf(error, error_size_bytes, "%s cannot be made: %s", what, strerror(-r));
		return r;
	}
	if (!spec->incoming) {
		r = load_kernel(vm, fds + 1 + 3 * spec->n_nics, error, error_size_bytes);
		if (r < 0)
			return r;
	}
	/* From here on bytes of the guest and of peers come in. */
	r = sandbox_tighten();
	if (r < 0) {
		snprintf(error, error_size_bytes, "the process cannot be confined: %s",
			strerror(-r));
		return r;
	}
	vm->state = VM_STOPPED;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (vm->units && vm->state == VM_RUNNING)
		unit_stop_all(vm->units);
	vm_devices_free(vm);
	vmbus_free(vm->bus);
	for (unsigned i = 0; i < VM_MAX_NICS; i++)
		fabric_client_free(vm->ports[i]);
	unit_registry_free(vm->units);
	partition_free(vm->partition);
	buf_fini(&vm->serial);
}

int vm_start(struct vm *vm)
{
	bool was_away = false;
	int r = -EINVAL;

	pthread_mutex_lock(&vm->lock);
	if (vm->state == VM_STOPPED || vm->state == VM_PAUSED) {
		r = unit_start_all(vm->units);
		if (r == 0) {
			was_away = vm->away.last_ns > 0;
			vm->state = VM_RUNNING;
		}
	}
	pthread_mutex_unlock(&vm->lock);
	if (r == 0 && was_away)
		vm_announce_back(vm);
	return r;
}

int vm_pause(struct vm *vm)
{
	int r = -EINVAL;

	pthread_mutex_lock(&vm->lock);
	if (vm->state == VM_RUNNING) {
		r = unit_stop_all(vm->units);
		vm->state = VM_PAUSED;
	}
	pthread_mutex_unlock(&vm->lock);
	return r;
}
