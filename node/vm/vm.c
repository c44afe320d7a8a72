/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include "base/log.h"

#include <fcntl.h>
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

static void send_serial(void *data)
{
	struct vm *vm = data;
	struct buf text = {0};
	struct json *message;

	pthread_mutex_lock(&vm->serial_lock);
	text = vm->serial;
	vm->serial = (struct buf){0};
	vm->serial_scheduled = false;
	pthread_mutex_unlock(&vm->serial_lock);
	for (size_t at = 0; at < text.size_bytes; at += 32768) {
		char part[32769];
		size_t n = MIN(text.size_bytes - at, sizeof(part) - 1);

		memcpy(part, text.data + at, n);
		part[n] = '\0';
		message = json_object_new();
		json_set_string(message, "text", part);
		chan_event(vm->chan, "serial", message, NULL, 0);
	}
	buf_fini(&text);
}

/* The guest's bytes become JSON text: whatever is not printable ASCII is shown as '?'. */
static void on_serial_output(void *data, const void *bytes, size_t size_bytes)
{
	struct vm *vm = data;
	const uint8_t *in = bytes;
	bool schedule;

	pthread_mutex_lock(&vm->serial_lock);
	if (vm->serial.size_bytes + size_bytes > VM_SERIAL_PENDING_MAX_BYTES) {
		vm->serial_dropped_bytes += size_bytes;
		pthread_mutex_unlock(&vm->serial_lock);
		return;
	}
	for (size_t i = 0; i < size_bytes; i++) {
		bool printable = (in[i] >= ' ' && in[i] < 0x7f) || in[i] == '\n' || in[i] == '\t';

		if (in[i] != '\r')
			buf_u8(&vm->serial, printable ? in[i] : '?');
	}
	schedule = !vm->serial_scheduled && vm->serial.size_bytes > 0;
	vm->serial_scheduled |= schedule;
	pthread_mutex_unlock(&vm->serial_lock);
	if (schedule)
		loop_wake(vm->loop, send_serial, vm);
}

struct vm_end {
	struct vm *vm;
	enum partition_end end;
	char text[256];
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
	send_serial(vm);
	json_set_string(message, "how", end_names[end->end]);
	json_set_string(message, "text", end->text);
	chan_event(vm->chan, "vm.ended", message, NULL, 0);
}

static void on_ended(void *data, enum partition_end how, const char *text)
{
	struct vm_end *end = calloc(1, sizeof(*end));

	if (!end)
		abort(); /* nobody would ever learn that the guest ended */
	end->vm = data;
	end->end = how;
	snprintf(end->text, sizeof(end->text), "%s", text ? text : "");
	if (loop_wake(end->vm->loop, report_end, end) < 0)
		abort();
}

static const struct partition_ops partition_callbacks = {
	.post_message = on_post_message,
	.signal_event = on_signal_event,
	.slot_free = on_slot_free,
	.serial_output = on_serial_output,
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

static int build_nic(struct vm *vm, unsigned index, const int fds[3])
{
	struct netvsp_config config = {
		.index = index,
		.mtu_bytes = vm->spec.nics[index].mtu_bytes,
		.link_up = true,
		.eth = fabric_client_eth_ops(),
	};
	int own[3];
	int r;

	for (unsigned i = 0; i < 3; i++) {
		own[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (own[i] < 0) {
			r = -errno;
			while (i-- > 0)
				close(own[i]);
			return r;
		}
	}
	r = fabric_client_new(own[0], own[1], own[2], &vm->ports[index]);
	if (r < 0)
		return r;
	/* The network VSP finishes checksums and cuts super-frames itself, where its guest needs
	 * that. */
	fabric_client_set_rx_caps(vm->ports[index], ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6);
	memcpy(config.mac, vm->spec.nics[index].mac, ETH_ADDR_LEN);
	config.port = vm->ports[index];
	r = netvsp_new(vm->bus, &config, &vm->nics[index]);
	return r < 0 ? r : netvsp_register_unit(vm->nics[index], vm->units);
}

static int build_parts(struct vm *vm, const int *fds, const char **ret_what)
{
	int r;

	*ret_what = "the bus";
	r = vmbus_new(partition_memory(vm->partition), &host_ops, vm, &vm->bus);
	if (r < 0)
		return r;
	/* Units start in this order and stop in the reverse one: VPs run only while everything
	 * does. */
	r = unit_registry_new(&vm->units);
	if (r == 0)
		r = partition_register_hv_unit(vm->partition, vm->units);
	if (r == 0)
		r = vmbus_register_unit(vm->bus, vm->units);
	for (unsigned i = 0; r == 0 && i < vm->spec.n_nics; i++) {
		*ret_what = "a network adapter";
		r = build_nic(vm, i, fds + 1 + 3 * i);
	}
	if (r == 0)
		r = partition_register_vp_unit(vm->partition, vm->units);
	return r;
}

int vm_build(struct vm *vm, const struct vm_spec *spec, const int *fds, size_t n_fds, char *error,
	size_t error_size_bytes)
{
	struct partition_config config = {
		.n_vps = spec->n_vps,
		.ram_bytes = spec->memory_bytes,
		.ops = &partition_callbacks,
		.data = vm,
	};
	const char *what = NULL;
	int r;

	if (vm->state != VM_EMPTY || n_fds != 1 + 3 * (size_t)spec->n_nics + !spec->incoming) {
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
	r = build_parts(vm, fds, &what);
	if (r < 0) {
		snprintf(error, error_size_bytes, "%s cannot be made: %s", what, strerror(-r));
		return r;
	}
	if (!spec->incoming) {
		struct partition_boot boot = {
			.kernel_fd = fds[n_fds - 1], .initrd_fd = -1, .cmdline = spec->cmdline};

		what = NULL;
		r = partition_boot(vm->partition, &boot, &what);
		if (r < 0) {
			snprintf(error, error_size_bytes, "the kernel cannot be loaded: %s",
				what ? what : strerror(-r));
			return r;
		}
	}
	vm->state = VM_STOPPED;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (vm->units && vm->state == VM_RUNNING)
		unit_stop_all(vm->units);
	for (unsigned i = 0; i < VM_MAX_NICS; i++)
		netvsp_free(vm->nics[i]);
	vmbus_free(vm->bus);
	for (unsigned i = 0; i < VM_MAX_NICS; i++)
		fabric_client_free(vm->ports[i]);
	unit_registry_free(vm->units);
	partition_free(vm->partition);
	buf_fini(&vm->serial);
}

int vm_start(struct vm *vm)
{
	int r = -EINVAL;

	pthread_mutex_lock(&vm->lock);
	if (vm->state == VM_STOPPED || vm->state == VM_PAUSED) {
		r = unit_start_all(vm->units);
		if (r == 0)
			vm->state = VM_RUNNING;
	}
	pthread_mutex_unlock(&vm->lock);
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

static struct json *nic_info(struct netvsp *nic)
{
	struct json *j = json_object_new();
	struct netvsp_info info;

	netvsp_get_info(nic, &info);
	json_set_stringf(j, "nvsp", "%u.%u", info.nvsp_version >> 16, info.nvsp_version & 0xffff);
	json_set_bool(j, "ready", info.ready);
	json_set_bool(j, "link", info.link_up);
	json_set_int(j, "tx_frames", (int64_t)info.tx_frames);
	json_set_int(j, "tx_bytes", (int64_t)info.tx_bytes);
	json_set_int(j, "tx_dropped", (int64_t)info.tx_dropped);
	json_set_int(j, "rx_frames", (int64_t)info.rx_frames);
	json_set_int(j, "rx_bytes", (int64_t)info.rx_bytes);
	json_set_int(j, "rx_dropped", (int64_t)info.rx_dropped);
	json_set_int(j, "protocol_errors", (int64_t)info.n_protocol_errors);
	return j;
}

struct json *vm_info(struct vm *vm)
{
	struct json *j = json_object_new();
	struct json *nics = json_array_new();
	struct vmbus_info bus = {0};
	enum vm_state state;

	pthread_mutex_lock(&vm->lock);
	state = vm->state;
	pthread_mutex_unlock(&vm->lock);
	json_set_string(j, "state", vm_state_name(state));
	if (state == VM_EMPTY) {
		json_unref(nics);
		return j;
	}
	vmbus_get_info(vm->bus, &bus);
	json_set_bool(j, "vmbus_connected", bus.connected);
	json_set_stringf(j, "vmbus_version", "%u.%u", bus.version >> 16, bus.version & 0xffff);
	json_set_int(j, "vmbus_channels", bus.n_open_channels);
	json_set_int(j, "vmbus_errors", (int64_t)bus.n_protocol_errors);
	json_set_int(j, "reference_time_100ns", (int64_t)partition_reference_time(vm->partition));
	for (unsigned i = 0; i < vm->spec.n_nics; i++)
		json_append(nics, nic_info(vm->nics[i]));
	json_set(j, "nics", nics);
	return j;
}
