/* SPDX-License-Identifier: MIT */
#include "vmbus/synthinput.h"

#include "vmbus/kbd_vsp.h"
#include "vmbus/pipe_device.h"
#include "vmbus/proto/guids.h"

struct synthkbd {
	struct pipe_device device;
	struct kbd_vsp vsp; /* under the device's lock */
};

_Static_assert(SYNTHKBD_PAUSE == KBD_PAUSE, "the key behind E1");

PIPE_CORE_OPS(kbd_vsp, "synthkbd");

static const struct unit_ops unit_ops = PIPE_DEVICE_UNIT("synthkbd", KBD_STATE_VERSION);

int synthkbd_new(struct vmbus *bus, struct synthkbd **ret_keyboard)
{
	static const struct vmbus_offer offer = {
		.class_guid = VMBUS_GUID_KEYBOARD,
		.instance_guid = VMBUS_INSTANCE_KEYBOARD,
	};
	struct synthkbd *keyboard = calloc(1, sizeof(*keyboard));
	int r;

	if (!keyboard)
		return -ENOMEM;
	r = pipe_device_init(
		&keyboard->device, bus, &offer, &core_ops, &keyboard->vsp, &keyboard->vsp.out);
	if (r) {
		free(keyboard);
		return r;
	}
	*ret_keyboard = keyboard;
	return 0;
}

void synthkbd_free(struct synthkbd *keyboard)
{
	if (!keyboard)
		return;
	pipe_device_fini(&keyboard->device);
	free(keyboard);
}

int synthkbd_register_unit(struct synthkbd *keyboard, struct unit_registry *registry)
{
	return unit_register(registry, &unit_ops, NULL, &keyboard->device);
}

int synthkbd_key(struct synthkbd *keyboard, uint16_t make_code, bool extended, bool down)
{
	unsigned key = make_code | (extended ? KBD_E0 : 0);
	int r = -EAGAIN;

	if (make_code != SYNTHKBD_PAUSE && make_code >= KBD_E0)
		return -EINVAL;
	pipe_device_lock(&keyboard->device);
	if (!keyboard->device.stopped)
		r = kbd_vsp_key(&keyboard->vsp, key, down);
	pipe_device_unlock(&keyboard->device);
	pipe_device_kick(&keyboard->device);
	return r;
}

int synthkbd_keysym(struct synthkbd *keyboard, uint32_t keysym, bool down)
{
	int r = -EAGAIN;

	pipe_device_lock(&keyboard->device);
	if (!keyboard->device.stopped)
		r = kbd_vsp_keysym(&keyboard->vsp, keysym, down);
	pipe_device_unlock(&keyboard->device);
	pipe_device_kick(&keyboard->device);
	return r;
}

ssize_t synthkbd_type(struct synthkbd *keyboard, const char *text, size_t size_bytes)
{
	ssize_t n = -EAGAIN;

	pipe_device_lock(&keyboard->device);
	if (!keyboard->device.stopped)
		n = kbd_vsp_type(&keyboard->vsp, text, size_bytes);
	pipe_device_unlock(&keyboard->device);
	pipe_device_kick(&keyboard->device);
	return n;
}

void synthkbd_release_all(struct synthkbd *keyboard)
{
	pipe_device_lock(&keyboard->device);
	keyboard->vsp.release_wanted = true;
	pipe_device_unlock(&keyboard->device);
	pipe_device_kick(&keyboard->device);
}

void synthkbd_get_info(struct synthkbd *keyboard, struct synthinput_info *ret_info)
{
	pipe_device_lock(&keyboard->device);
	*ret_info = (struct synthinput_info){
		.connected = keyboard->vsp.phase == KBD_CONNECTED,
		.n_events = keyboard->vsp.n_accepted,
		.n_refused = keyboard->vsp.n_refused,
		.n_protocol_errors = keyboard->device.n_protocol_errors,
		.leds = keyboard->vsp.leds,
	};
	pipe_device_unlock(&keyboard->device);
}
