/* SPDX-License-Identifier: MIT */
#include "vmbus/vid_vsp.h"

#include "vmbus/proto/pipe.h"
#include "vmbus/vid_edid.h"

enum {
	IN_OPEN = 1 << VID_OPEN,
	IN_NEGOTIATED = 1 << VID_NEGOTIATED,
};

/* 0, or a protocol error after whatever the guest waits for was answered. */
struct message_row {
	uint32_t type;
	uint32_t min_bytes;
	uint32_t min_version;
	unsigned phases;
	int (*handle)(struct vid_vsp *vsp, const uint8_t *message, size_t size_bytes);
};

static struct synthvid_header make_header(enum synthvid_message_type type, size_t size_bytes)
{
	return (struct synthvid_header){.type = type, .size = (uint32_t)size_bytes};
}

static void update_mode(struct vid_vsp *vsp)
{
	const struct synthvid_output *output = &vsp->output;
	uint32_t row_bytes = output->width * (output->depth_bits / 8U);
	struct synthvid_mode mode = {0};
	uint64_t end;

	/* All of the size limits first: the sums below then cannot overflow. */
	if (vsp->has_location && vsp->has_situation && output->active && output->width &&
		output->width <= SYNTHVID_MAX_WIDTH && output->height &&
		output->height <= SYNTHVID_MAX_HEIGHT &&
		(output->depth_bits == 32 || output->depth_bits == 16) &&
		output->pitch_bytes >= row_bytes && output->pitch_bytes <= vsp->vram_bytes) {
		end = output->vram_offset + (uint64_t)output->pitch_bytes * (output->height - 1) +
		      row_bytes;
		mode.active = end <= vsp->vram_bytes && vsp->location <= UINT64_MAX - end;
	}
	if (mode.active) {
		mode.width = output->width;
		mode.height = output->height;
		mode.depth_bits = output->depth_bits;
		mode.pitch_bytes = output->pitch_bytes;
		mode.first_pixel = gpa(vsp->location + output->vram_offset);
	}
	if (mode.active == vsp->mode.active && mode.width == vsp->mode.width &&
		mode.height == vsp->mode.height && mode.depth_bits == vsp->mode.depth_bits &&
		mode.pitch_bytes == vsp->mode.pitch_bytes &&
		mode.first_pixel.v == vsp->mode.first_pixel.v)
		return;
	vsp->mode = mode;
	if (vsp->ops && vsp->ops->mode_changed)
		vsp->ops->mode_changed(vsp->data, &vsp->mode);
}

static void forget_guest(struct vid_vsp *vsp)
{
	vsp->version = 0;
	vsp->has_location = false;
	vsp->location = 0;
	vsp->has_situation = false;
	vsp->output = (struct synthvid_output){0};
	vsp->told = VID_TOLD_NOTHING;
	update_mode(vsp);
}

static bool has_version(uint32_t version)
{
	switch (version) {
	case SYNTHVID_VERSION_3_0:
	case SYNTHVID_VERSION_3_2:
	case SYNTHVID_VERSION_3_3:
	case SYNTHVID_VERSION_3_4:
	case SYNTHVID_VERSION_3_5:
		return true;
	default:
		return false;
	}
}

static int handle_version(struct vid_vsp *vsp, const uint8_t *message, _unused_ size_t size_bytes)
{
	const struct synthvid_version_request *request = (const void *)message;
	struct synthvid_version_response response = {
		.header = make_header(SYNTHVID_VERSION_RESPONSE, sizeof(response)),
		.version = SYNTHVID_VERSION_3_5,
		.max_outputs = 1,
	};

	forget_guest(vsp);
	vsp->phase = VID_OPEN;
	if (has_version(request->version)) {
		vsp->phase = VID_NEGOTIATED;
		vsp->version = request->version;
		response.version = request->version;
		response.accepted = SYNTHVID_ACCEPTED;
	}
	pipe_queue_message(&vsp->out, &response, sizeof(response));
	return 0;
}

static void acknowledge(
	struct vid_vsp *vsp, enum synthvid_message_type type, const uint8_t *message)
{
	struct synthvid_ack ack = {.header = make_header(type, sizeof(ack))};

	/* Both requests begin as their answers do. */
	memcpy(&ack.context, message + offsetof(struct synthvid_ack, context), sizeof(ack.context));
	pipe_queue_message(&vsp->out, &ack, sizeof(ack));
}

static int handle_vram_location(
	struct vid_vsp *vsp, const uint8_t *message, _unused_ size_t size_bytes)
{
	const struct synthvid_vram_location *location = (const void *)message;

	vsp->has_location = location->is_specified != 0;
	vsp->location = vsp->has_location ? location->address : 0;
	update_mode(vsp);
	acknowledge(vsp, SYNTHVID_VRAM_LOCATION_ACK, message);
	return 0;
}

static int handle_situation(struct vid_vsp *vsp, const uint8_t *message, size_t size_bytes)
{
	const struct synthvid_situation_update *update = (const void *)message;
	struct synthvid_output output = {0};
	bool is_whole = size_bytes - sizeof(*update) >= update->n_outputs * sizeof(output);

	if (update->n_outputs && is_whole)
		memcpy(&output, update + 1, sizeof(output));
	vsp->has_situation = true;
	vsp->output = output;
	update_mode(vsp);
	acknowledge(vsp, SYNTHVID_SITUATION_UPDATE_ACK, message);
	/* A picture that was announced and cannot be. */
	return is_whole && output.active && vsp->has_location && !vsp->mode.active ? -ERANGE
	       : is_whole                                                          ? 0
										   : -EBADMSG;
}

/* The guest draws its pointer itself; whoever watches has one of their own. */
static int handle_pointer_position(
	_unused_ struct vid_vsp *vsp, _unused_ const uint8_t *message, _unused_ size_t size_bytes)
{
	return 0;
}

static int handle_pointer_shape(
	_unused_ struct vid_vsp *vsp, const uint8_t *message, _unused_ size_t size_bytes)
{
	const struct synthvid_pointer_shape *shape = (const void *)message;

	return shape->width <= SYNTHVID_POINTER_MAX && shape->height <= SYNTHVID_POINTER_MAX
		       ? 0
		       : -ERANGE;
}

static uint32_t clip(int32_t v, uint32_t max)
{
	return v < 0 ? 0 : MIN((uint32_t)v, max);
}

static int handle_dirt(struct vid_vsp *vsp, const uint8_t *message, size_t size_bytes)
{
	const struct synthvid_dirt *dirt = (const void *)message;
	const struct synthvid_dirt_rect *list = (const void *)(dirt + 1);
	struct synthvid_rect rects[SYNTHVID_MAX_RECTS];
	unsigned n_rects = 0;

	if (size_bytes - sizeof(*dirt) < dirt->n_rects * sizeof(*list))
		return -EBADMSG;
	if (dirt->output != 0 || !vsp->mode.active)
		return 0;
	for (unsigned i = 0; i < dirt->n_rects; i++) {
		const struct synthvid_dirt_rect *rect = &list[i];
		struct synthvid_rect clipped = {
			.x1 = clip(rect->x1, vsp->mode.width),
			.y1 = clip(rect->y1, vsp->mode.height),
			.x2 = clip(rect->x2, vsp->mode.width),
			.y2 = clip(rect->y2, vsp->mode.height),
		};

		if (clipped.x1 < clipped.x2 && clipped.y1 < clipped.y2)
			rects[n_rects++] = clipped;
	}
	if (n_rects && vsp->ops && vsp->ops->damaged)
		vsp->ops->damaged(vsp->data, rects, n_rects);
	return 0;
}

static int handle_bios_info(
	struct vid_vsp *vsp, _unused_ const uint8_t *message, _unused_ size_t size_bytes)
{
	const struct synthvid_bios_info info = {
		.header = make_header(SYNTHVID_BIOS_INFO_RESPONSE, sizeof(info)),
		.can_stop = 1,
	};

	pipe_queue_message(&vsp->out, &info, sizeof(info));
	return 0;
}

/* The default comes first, so that it is there however few the guest wants. */
static int handle_resolutions(
	struct vid_vsp *vsp, const uint8_t *message, _unused_ size_t size_bytes)
{
	static const struct synthvid_resolution common[] = {
		{640, 480},
		{800, 600},
		{1024, 768},
		{1152, 864},
		{1280, 720},
		{1280, 800},
		{1280, 1024},
		{1366, 768},
		{1440, 900},
		{1600, 900},
		{1600, 1200},
		{1680, 1050},
		{1920, 1080},
		{1920, 1200},
		{2560, 1440},
		{2560, 1600},
	};
	const struct synthvid_resolution_request *request = (const void *)message;
	struct {
		struct synthvid_resolution_response fixed;
		struct synthvid_resolution list[1 + ARRAY_LEN(common)];
	} _wire_ response = {0};
	uint8_t n = 0;
	size_t response_bytes;

	vid_edid_fill(response.fixed.edid, vsp->default_width, vsp->default_height);
	response.list[n++] = (struct synthvid_resolution){
		(uint16_t)vsp->default_width, (uint16_t)vsp->default_height};
	for (size_t i = 0; i < ARRAY_LEN(common) && n < request->max_count; i++) {
		if (common[i].width * 4U * common[i].height <= vsp->vram_bytes &&
			memcmp(&common[i], &response.list[0], sizeof(common[i])) != 0)
			response.list[n++] = common[i];
	}
	response_bytes = sizeof(response.fixed) + n * sizeof(response.list[0]);
	response.fixed.header = make_header(SYNTHVID_RESOLUTION_RESPONSE, response_bytes);
	response.fixed.count = n;
	pipe_queue_message(&vsp->out, &response, response_bytes);
	return 0;
}

static int handle_capability(
	struct vid_vsp *vsp, _unused_ const uint8_t *message, _unused_ size_t size_bytes)
{
	const struct synthvid_capability capability = {
		.header = make_header(SYNTHVID_CAPABILITY_RESPONSE, sizeof(capability)),
	};

	pipe_queue_message(&vsp->out, &capability, sizeof(capability));
	return 0;
}

static const struct message_row message_table[] = {
	{SYNTHVID_VERSION_REQUEST, sizeof(struct synthvid_version_request), 0,
		IN_OPEN | IN_NEGOTIATED, handle_version},
	{SYNTHVID_VRAM_LOCATION, sizeof(struct synthvid_vram_location), SYNTHVID_VERSION_3_0,
		IN_NEGOTIATED, handle_vram_location},
	{SYNTHVID_SITUATION_UPDATE, sizeof(struct synthvid_situation_update), SYNTHVID_VERSION_3_0,
		IN_NEGOTIATED, handle_situation},
	{SYNTHVID_POINTER_POSITION, sizeof(struct synthvid_pointer_position), SYNTHVID_VERSION_3_0,
		IN_NEGOTIATED, handle_pointer_position},
	{SYNTHVID_POINTER_SHAPE, sizeof(struct synthvid_pointer_shape), SYNTHVID_VERSION_3_0,
		IN_NEGOTIATED, handle_pointer_shape},
	{SYNTHVID_DIRT, sizeof(struct synthvid_dirt), SYNTHVID_VERSION_3_0, IN_NEGOTIATED,
		handle_dirt},
	{SYNTHVID_BIOS_INFO_REQUEST, sizeof(struct synthvid_header), SYNTHVID_VERSION_3_3,
		IN_NEGOTIATED, handle_bios_info},
	{SYNTHVID_RESOLUTION_REQUEST, sizeof(struct synthvid_resolution_request),
		SYNTHVID_VERSION_3_4, IN_NEGOTIATED, handle_resolutions},
	{SYNTHVID_CAPABILITY_REQUEST, sizeof(struct synthvid_header), SYNTHVID_VERSION_3_5,
		IN_NEGOTIATED, handle_capability},
};

bool vid_vsp_receive(struct vid_vsp *vsp, const void *payload, size_t size_bytes)
{
	const struct synthvid_header *header;
	size_t message_bytes;
	const uint8_t *message = pipe_message(payload, size_bytes, &message_bytes);

	if (!message || message_bytes < sizeof(*header))
		return false;
	header = (const void *)message;
	for (size_t i = 0; i < ARRAY_LEN(message_table); i++) {
		const struct message_row *row = &message_table[i];

		if (row->type == header->type)
			return message_bytes >= row->min_bytes &&
			       vsp->version >= row->min_version && row->phases & 1U << vsp->phase &&
			       row->handle(vsp, message, message_bytes) == 0;
	}
	return false;
}

/* Told once more only when it changes: a guest answers with its situation, and that must not cause
 * the next one. */
bool vid_vsp_produce(struct vid_vsp *vsp)
{
	const struct synthvid_feature_change change = {
		.header = make_header(SYNTHVID_FEATURE_CHANGE, sizeof(change)),
		.dirt = vsp->watched,
		.situation = 1,
	};
	enum vid_told tell = vsp->watched ? VID_TOLD_WATCHED : VID_TOLD_UNWATCHED;

	if (vsp->phase != VID_NEGOTIATED || !vsp->has_situation || vsp->told == tell)
		return false;
	vsp->told = tell;
	pipe_queue_message(&vsp->out, &change, sizeof(change));
	return true;
}

void vid_vsp_open(struct vid_vsp *vsp)
{
	pipe_queue_clear(&vsp->out);
	forget_guest(vsp);
	vsp->phase = VID_OPEN;
}

void vid_vsp_close(struct vid_vsp *vsp)
{
	pipe_queue_clear(&vsp->out);
	forget_guest(vsp);
	vsp->phase = VID_CLOSED;
}

int vid_vsp_init(struct vid_vsp *vsp, const struct synthvid_config *config)
{
	uint32_t width = config->width ? config->width : VID_DEFAULT_WIDTH;
	uint32_t height = config->height ? config->height : VID_DEFAULT_HEIGHT;

	if (config->vram_bytes % (1U << 20) || config->vram_bytes < VID_MIN_VRAM_BYTES ||
		config->vram_bytes > VID_MAX_VRAM_BYTES || width < VID_MIN_WIDTH ||
		width > SYNTHVID_MAX_WIDTH || height < VID_MIN_HEIGHT ||
		height > SYNTHVID_MAX_HEIGHT || width * 4 * height > config->vram_bytes)
		return -EINVAL;
	vsp->vram_bytes = config->vram_bytes;
	vsp->default_width = width;
	vsp->default_height = height;
	vsp->ops = config->ops;
	vsp->data = config->data;
	return 0;
}

/* In this order: video memory, which must be the same on the other side, phase; then, unless
 * closed, version, location, output, waiting packets. */
void vid_vsp_save(const struct vid_vsp *vsp, struct buf *out)
{
	buf_le32(out, vsp->vram_bytes);
	buf_u8(out, (uint8_t)vsp->phase);
	if (vsp->phase == VID_CLOSED)
		return;
	buf_le32(out, vsp->version);
	buf_u8(out, vsp->has_location);
	buf_le64(out, vsp->location);
	buf_u8(out, vsp->has_situation);
	buf_bytes(out, &vsp->output, sizeof(vsp->output));
	pipe_queue_save(&vsp->out, out);
}

int vid_vsp_restore(struct vid_vsp *vsp, struct reader *in, bool is_open)
{
	uint32_t vram_bytes = reader_le32(in);
	uint8_t phase = reader_u8(in);

	if (!reader_ok(in) || vram_bytes != vsp->vram_bytes || phase > VID_NEGOTIATED ||
		(phase != VID_CLOSED) != is_open)
		return -EBADMSG;
	if (phase == VID_CLOSED)
		return 0;
	vsp->phase = phase;
	vsp->version = reader_le32(in);
	vsp->has_location = pipe_read_bool(in);
	vsp->location = reader_le64(in);
	vsp->has_situation = pipe_read_bool(in);
	reader_bytes(in, &vsp->output, sizeof(vsp->output));
	pipe_queue_restore(&vsp->out, in);
	if (!reader_ok(in) || (phase == VID_NEGOTIATED) != (vsp->version != 0) ||
		(vsp->version && !has_version(vsp->version)) ||
		(phase == VID_OPEN && (vsp->has_location || vsp->has_situation))) {
		vid_vsp_close(vsp);
		return -EBADMSG;
	}
	/* The guest may have been told something else by the other host: told anew. */
	update_mode(vsp);
	return 0;
}
