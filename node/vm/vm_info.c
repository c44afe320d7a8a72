/* SPDX-License-Identifier: MIT
 *
 * vm_info.c - what the VM tells about itself, as JSON.
 */
#include "node/vm/vm.h"

static struct json *nic_info(struct vm *vm, unsigned index)
{
	struct json *j = json_object_new();
	struct netvsp_info info;
	char addresses[1024];

	netvsp_get_info(vm->nics[index], &info);
	if (ic_guest_addresses(vm->ic, vm->spec.nics[index].mac, addresses, sizeof(addresses)) == 0)
		json_set_string(j, "addresses", addresses);
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

static struct json *storage_info(struct storvsp *storvsp)
{
	struct json *j = json_object_new();
	struct storvsp_info info;

	storvsp_get_info(storvsp, &info);
	json_set_stringf(j, "protocol", "%u.%u", info.version >> 8, info.version & 0xff);
	json_set_bool(j, "ready", info.ready);
	json_set_int(j, "channels", info.n_channels_open);
	json_set_int(j, "luns", info.n_luns);
	json_set_int(j, "in_flight", info.n_in_flight);
	json_set_int(j, "reads", (int64_t)info.n_reads);
	json_set_int(j, "read_bytes", (int64_t)info.read_bytes);
	json_set_int(j, "writes", (int64_t)info.n_writes);
	json_set_int(j, "written_bytes", (int64_t)info.written_bytes);
	json_set_int(j, "flushes", (int64_t)info.n_flushes);
	json_set_int(j, "discards", (int64_t)info.n_discards);
	json_set_int(j, "errors", (int64_t)info.n_errors);
	json_set_int(j, "protocol_errors", (int64_t)info.n_protocol_errors);
	return j;
}

static struct json *services_info(struct ic *ic)
{
	struct json *list = json_array_new();
	struct ic_info info;

	ic_get_info(ic, &info);
	for (size_t i = 0; i < ARRAY_LEN(info.services); i++) {
		struct json *j = json_object_new();

		json_set_string(j, "name", info.services[i].name);
		json_set_bool(j, "connected", info.services[i].connected);
		json_set_stringf(
			j, "version", "%u.%u", info.services[i].major, info.services[i].minor);
		json_set_int(j, "requests", (int64_t)info.services[i].n_requests);
		json_set_int(j, "answers", (int64_t)info.services[i].n_answers);
		json_set_int(j, "protocol_errors", (int64_t)info.services[i].n_protocol_errors);
		json_append(list, j);
	}
	return list;
}

/* What the guest says of itself: hostile text, already made printable. */
static struct json *guest_info(struct vm *vm)
{
	struct json *guest = json_object_new();
	struct ic_item *items = calloc(IC_KVP_MAX_ITEMS, sizeof(*items));
	unsigned n = items ? ic_guest_items(vm->ic, items, IC_KVP_MAX_ITEMS) : 0;

	for (unsigned i = 0; i < MIN(n, (unsigned)IC_KVP_MAX_ITEMS); i++)
		json_set_string(guest, items[i].key, items[i].value);
	free(items);
	return guest;
}

static struct json *memory_info(struct vm *vm)
{
	struct json *j = json_object_new();
	struct dynmem_info info;

	dynmem_get_info(vm->dynmem, &info);
	json_set_bool(j, "connected", info.connected);
	json_set_int(j, "assigned_bytes", (int64_t)info.assigned_bytes);
	json_set_int(j, "demand_bytes", (int64_t)info.demand_bytes);
	json_set_int(j, "available_bytes", (int64_t)info.available_bytes);
	json_set_int(j, "target_bytes", (int64_t)info.target_bytes);
	json_set_int(j, "ballooned_bytes", (int64_t)info.ballooned_bytes);
	json_set_int(j, "added_bytes", (int64_t)info.added_bytes);
	return j;
}

static struct json *display_info(struct vm *vm)
{
	struct json *j = json_object_new();
	struct synthinput_info keyboard, mouse;
	struct synthvid_mode mode;

	synthvid_get_mode(vm->video, &mode);
	synthkbd_get_info(vm->keyboard, &keyboard);
	synthmouse_get_info(vm->mouse, &mouse);
	json_set_bool(j, "active", mode.active);
	json_set_int(j, "width", mode.width);
	json_set_int(j, "height", mode.height);
	json_set_bool(j, "keyboard", keyboard.connected);
	json_set_bool(j, "mouse", mouse.connected);
	return j;
}

struct json *vm_info(struct vm *vm)
{
	struct json *j = json_object_new();
	struct json *nics = json_array_new();
	struct vmbus_info bus = {0};
	enum vm_state state;
	uint64_t away_ns;

	pthread_mutex_lock(&vm->lock);
	state = vm->state;
	away_ns = vm->away.last_ns;
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
	if (bus.last_protocol_error)
		json_set_string(j, "vmbus_last_error", bus.last_protocol_error);
	json_set_int(j, "reference_time_100ns", (int64_t)partition_reference_time(vm->partition));
	for (unsigned i = 0; i < vm->spec.n_nics; i++)
		json_append(nics, nic_info(vm, i));
	json_set(j, "nics", nics);
	json_set(j, "storage", storage_info(vm->storvsp));
	json_set_string(j, "heartbeat", ic_heartbeat_name(ic_heartbeat_state(vm->ic)));
	json_set(j, "services", services_info(vm->ic));
	json_set(j, "guest", guest_info(vm));
	json_set(j, "memory", memory_info(vm));
	if (vm->video)
		json_set(j, "display", display_info(vm));
	json_set_int(j, "last_away_ns", (int64_t)away_ns);
	return j;
}
