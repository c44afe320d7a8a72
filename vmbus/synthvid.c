/* SPDX-License-Identifier: MIT */
#include "vmbus/synthvid.h"

#include "vmbus/pipe_device.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/vmbus_msg.h"
#include "vmbus/vid_vsp.h"

struct synthvid {
	struct gpa_space *memory;
	struct pipe_device device;
	struct vid_vsp vsp; /* under the device's lock */
};

PIPE_CORE_OPS(vid_vsp, "synthvid");

static const struct unit_ops unit_ops = PIPE_DEVICE_UNIT("synthvid", VID_STATE_VERSION);

int synthvid_new(
	struct vmbus *bus, const struct synthvid_config *config, struct synthvid **ret_video)
{
	struct vmbus_offer offer = {
		.class_guid = VMBUS_GUID_VIDEO,
		.instance_guid = VMBUS_INSTANCE_VIDEO,
		.mmio_mb = (uint16_t)(config->vram_bytes >> 20),
	};
	struct synthvid *video;
	int r;

	video = calloc(1, sizeof(*video));
	if (!video)
		return -ENOMEM;
	video->memory = vmbus_memory(bus);
	r = vid_vsp_init(&video->vsp, config);
	if (r == 0)
		r = pipe_device_init(
			&video->device, bus, &offer, &core_ops, &video->vsp, &video->vsp.out);
	if (r) {
		free(video);
		return r;
	}
	*ret_video = video;
	return 0;
}

void synthvid_free(struct synthvid *video)
{
	if (!video)
		return;
	pipe_device_fini(&video->device);
	free(video);
}

int synthvid_register_unit(struct synthvid *video, struct unit_registry *registry)
{
	return unit_register(registry, &unit_ops, NULL, &video->device);
}

void synthvid_set_ops(struct synthvid *video, const struct synthvid_ops *ops, void *data)
{
	pipe_device_lock(&video->device);
	video->vsp.ops = ops;
	video->vsp.data = data;
	pipe_device_unlock(&video->device);
}

void synthvid_get_info(struct synthvid *video, struct synthvid_info *ret_info)
{
	pipe_device_lock(&video->device);
	*ret_info = (struct synthvid_info){
		.version = video->vsp.version,
		.n_protocol_errors = video->device.n_protocol_errors,
	};
	pipe_device_unlock(&video->device);
}

void synthvid_get_mode(struct synthvid *video, struct synthvid_mode *ret_mode)
{
	pipe_device_lock(&video->device);
	*ret_mode = video->vsp.mode;
	pipe_device_unlock(&video->device);
}

static uint8_t widen(uint32_t value, unsigned n_bits)
{
	return (uint8_t)(value << (8 - n_bits) | value >> (2 * n_bits - 8));
}

/* 5, 6 and 5 bits, blue in the lowest. */
static void widen_row(const uint8_t *row, uint32_t width, uint8_t *ret_pixels)
{
	for (uint32_t x = 0; x < width; x++) {
		uint16_t pixel = load_le16(row + 2 * x);

		ret_pixels[4 * x] = widen(pixel & 0x1f, 5);
		ret_pixels[4 * x + 1] = widen(pixel >> 5 & 0x3f, 6);
		ret_pixels[4 * x + 2] = widen(pixel >> 11, 5);
		ret_pixels[4 * x + 3] = 0;
	}
}

static int capture_row(
	struct gpa_space *memory, const struct synthvid_mode *mode, gpa_t at, uint8_t *ret_pixels)
{
	uint8_t row[2 * SYNTHVID_MAX_WIDTH];
	int r;

	if (mode->depth_bits == 32)
		return gpa_read(memory, at, ret_pixels, 4UL * mode->width);
	r = gpa_read(memory, at, row, 2UL * mode->width);
	if (r == 0)
		widen_row(row, mode->width, ret_pixels);
	return r;
}

/* Without the lock: guest memory stays where it is, whatever the guest makes of it meanwhile. */
int synthvid_capture(
	struct synthvid *video, uint32_t y, uint32_t n_rows, uint8_t *ret_pixels, size_t size_bytes)
{
	struct synthvid_mode mode;
	size_t row_bytes;
	int r = 0;

	synthvid_get_mode(video, &mode);
	if (!mode.active)
		return -ENODATA;
	row_bytes = 4UL * mode.width;
	if (y > mode.height || n_rows > mode.height - y || size_bytes != n_rows * row_bytes)
		return -ERANGE;
	for (uint32_t i = 0; i < n_rows && r == 0; i++)
		r = capture_row(video->memory, &mode,
			gpa_add(mode.first_pixel, (uint64_t)mode.pitch_bytes * (y + i)),
			ret_pixels + i * row_bytes);
	return r;
}

int synthvid_set_watched(struct synthvid *video, bool watched)
{
	pipe_device_lock(&video->device);
	video->vsp.watched = watched;
	pipe_device_unlock(&video->device);
	pipe_device_kick(&video->device);
	return 0;
}
