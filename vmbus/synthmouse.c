/* SPDX-License-Identifier: MIT */
#include "vmbus/synthinput.h"

#include "vmbus/mouse_vsp.h"
#include "vmbus/pipe_device.h"
#include "vmbus/proto/guids.h"

struct synthmouse {
	struct pipe_device device;
	struct mouse_vsp vsp; /* under the device's lock */
};

_Static_assert(SYNTHMOUSE_MAX_POSITION == MOUSE_MAX_POSITION, "as the descriptor has it");

PIPE_CORE_OPS(mouse_vsp, "synthmouse");

static const struct unit_ops unit_ops = PIPE_DEVICE_UNIT("synthmouse", MOUSE_STATE_VERSION);

int synthmouse_new(struct vmbus *bus, struct synthmouse **ret_mouse)
{
	static const struct vmbus_offer offer = {
		.class_guid = VMBUS_GUID_MOUSE,
		.instance_guid = VMBUS_INSTANCE_MOUSE,
	};
	struct synthmouse *mouse = calloc(1, sizeof(*mouse));
	int r;

	if (!mouse)
		return -ENOMEM;
	r = pipe_device_init(&mouse->device, bus, &offer, &core_ops, &mouse->vsp, &mouse->vsp.out);
	if (r) {
		free(mouse);
		return r;
	}
	*ret_mouse = mouse;
	return 0;
}

void synthmouse_free(struct synthmouse *mouse)
{
	if (!mouse)
		return;
	pipe_device_fini(&mouse->device);
	free(mouse);
}

int synthmouse_register_unit(struct synthmouse *mouse, struct unit_registry *registry)
{
	return unit_register(registry, &unit_ops, NULL, &mouse->device);
}

int synthmouse_report(
	struct synthmouse *mouse, uint8_t buttons, uint16_t x, uint16_t y, int16_t wheel)
{
	int r = -EAGAIN;

	pipe_device_lock(&mouse->device);
	if (!mouse->device.stopped)
		r = mouse_vsp_report(&mouse->vsp, buttons, x, y, wheel);
	pipe_device_unlock(&mouse->device);
	pipe_device_kick(&mouse->device);
	return r;
}

void synthmouse_release_all(struct synthmouse *mouse)
{
	pipe_device_lock(&mouse->device);
	mouse->vsp.release_wanted = true;
	pipe_device_unlock(&mouse->device);
	pipe_device_kick(&mouse->device);
}

void synthmouse_get_info(struct synthmouse *mouse, struct synthinput_info *ret_info)
{
	pipe_device_lock(&mouse->device);
	*ret_info = (struct synthinput_info){
		.connected = mouse->vsp.phase == MOUSE_CONNECTED,
		.n_events = mouse->vsp.n_accepted,
		.n_refused = mouse->vsp.n_refused,
		.n_protocol_errors = mouse->device.n_protocol_errors,
	};
	pipe_device_unlock(&mouse->device);
}
