/* SPDX-License-Identifier: MIT
 *
 * fuzz_synthvid.c - a guest that says anything to its video device, and saved states of a host that
 * lies. Every picture and every rectangle that comes of it must lie inside the limits.
 *
 * Input: a byte - 0: a saved state follows, which when accepted is the same when it is saved again;
 * else the video is open, and has a picture when bit 1 is set - then steps {operation u8, size u8,
 * bytes}.
 */
#include "vmbus/proto/pipe.h"
#include "vmbus/vid_vsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define VRAM_BYTES (8U << 20)
#define MAX_STEPS  64

enum operation {
	RAW,     /* bytes as they are */
	MESSAGE, /* behind a pipe header */
	WATCH,
	ROOM, /* the guest's ring takes what waits */
	REOPEN,
	N_OPERATIONS,
};

static struct synthvid_mode seen;

static void on_mode(_unused_ void *data, const struct synthvid_mode *mode)
{
	uint64_t last;

	seen = *mode;
	if (!mode->active)
		return;
	last = (uint64_t)mode->pitch_bytes * (mode->height - 1) +
	       mode->width * (mode->depth_bits / 8U);
	if (!mode->width || mode->width > SYNTHVID_MAX_WIDTH || !mode->height ||
		mode->height > SYNTHVID_MAX_HEIGHT || last > VRAM_BYTES ||
		mode->first_pixel.v > UINT64_MAX - last)
		abort();
}

static void on_damage(_unused_ void *data, const struct synthvid_rect *rects, unsigned n)
{
	if (!n || n > SYNTHVID_MAX_RECTS || !seen.active)
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (rects[i].x1 >= rects[i].x2 || rects[i].x2 > seen.width ||
			rects[i].y1 >= rects[i].y2 || rects[i].y2 > seen.height)
			abort();
	}
}

static const struct synthvid_ops ops = {.mode_changed = on_mode, .damaged = on_damage};

static void init(struct vid_vsp *vsp)
{
	const struct synthvid_config config = {.vram_bytes = VRAM_BYTES, .ops = &ops};

	memset(vsp, 0, sizeof(*vsp));
	seen = (struct synthvid_mode){0};
	if (vid_vsp_init(vsp, &config))
		abort();
}

static void take_all(struct vid_vsp *vsp)
{
	do {
		while (pipe_queue_head(&vsp->out))
			pipe_queue_pop(&vsp->out);
	} while (vid_vsp_produce(vsp));
}

/* As pipe_device does it: nothing is received while something waits. */
static void receive(struct vid_vsp *vsp, const void *payload, size_t size_bytes)
{
	take_all(vsp);
	vid_vsp_receive(vsp, payload, size_bytes);
	if (vsp->out.n_entries > 2)
		abort();
}

static void send_message(struct vid_vsp *vsp, const void *message, size_t size_bytes)
{
	struct pipe_header header = {PIPE_DATA, (uint32_t)size_bytes};
	_cleanup_free_ uint8_t *payload = malloc(sizeof(header) + size_bytes);

	if (!payload)
		return;
	memcpy(payload, &header, sizeof(header));
	if (size_bytes)
		memcpy(payload + sizeof(header), message, size_bytes);
	receive(vsp, payload, sizeof(header) + size_bytes);
}

static void bring_up(struct vid_vsp *vsp)
{
	const struct synthvid_version_request version = {
		{SYNTHVID_VERSION_REQUEST, 12}, SYNTHVID_VERSION_3_5};
	const struct synthvid_vram_location location = {
		{SYNTHVID_VRAM_LOCATION, 25}, 1, 1, 0xf8000000};
	const struct {
		struct synthvid_situation_update update;
		struct synthvid_output output;
	} _wire_ situation = {
		.update = {{SYNTHVID_SITUATION_UPDATE, 35}, 0, 1},
		.output = {1, 0, 32, 1024, 768, 4096},
	};

	send_message(vsp, &version, sizeof(version));
	send_message(vsp, &location, sizeof(location));
	send_message(vsp, &situation, sizeof(situation));
	if (!vsp->mode.active)
		abort();
}

static void restore(const uint8_t *data, size_t size_bytes)
{
	static struct vid_vsp vsp;
	struct reader in = reader_make(data, size_bytes);
	struct buf again = {0};

	init(&vsp);
	if (vid_vsp_restore(&vsp, &in, true) == 0) {
		vid_vsp_save(&vsp, &again);
		if (again.size_bytes != size_bytes - in.left_bytes ||
			memcmp(again.data, data, again.size_bytes) != 0)
			abort();
		take_all(&vsp);
		bring_up(&vsp);
	}
	buf_fini(&again);
}

static void step(struct vid_vsp *vsp, uint8_t operation, const uint8_t *bytes, size_t n)
{
	switch (operation % N_OPERATIONS) {
	case RAW:
		receive(vsp, bytes, n);
		break;
	case MESSAGE:
		send_message(vsp, bytes, n);
		break;
	case WATCH:
		vsp->watched = n & 1;
		break;
	case ROOM:
		take_all(vsp);
		break;
	case REOPEN:
		vid_vsp_close(vsp);
		vid_vsp_open(vsp);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct vid_vsp vsp;
	struct reader in = reader_make(data, size_bytes);
	uint8_t start = reader_u8(&in);

	if (!start) {
		restore(in.at, in.left_bytes);
		return 0;
	}
	init(&vsp);
	vid_vsp_open(&vsp);
	if (start & 2)
		bring_up(&vsp);
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 2; i++) {
		uint8_t operation = reader_u8(&in);
		size_t n = MIN((size_t)reader_u8(&in), in.left_bytes);

		step(&vsp, operation, reader_take(&in, n), n);
	}
	return 0;
}
