/* SPDX-License-Identifier: MIT
 *
 * vid_vsp.h - the video protocol as a state machine: messages in, answers into the queue. Internal
 * to vmbus/; synthvid.c gives it a channel, a lock and the guest's memory.
 *
 * CLOSED -channel opened-> OPEN -version agreed-> NEGOTIATED; a guest may agree on a version anew.
 * Every message goes through one table (vid_vsp.c) of {type, smallest size, lowest version, phases,
 * handler}. A request that the guest may wait for is answered also when what it says is refused:
 * the picture then is none.
 *
 * There is a picture when the guest said where its video memory is, and an active output with a
 * size and a pitch that stay inside it. Whether the partition has memory there is seen when the
 * picture is taken.
 */
#ifndef VIADUCT_VMBUS_VID_VSP_H
#define VIADUCT_VMBUS_VID_VSP_H

#include "vmbus/pipe_queue.h"
#include "vmbus/proto/synthvid.h"
#include "vmbus/synthvid.h"

#define VID_MIN_WIDTH      640
#define VID_MIN_HEIGHT     480
#define VID_DEFAULT_WIDTH  1024
#define VID_DEFAULT_HEIGHT 768
#define VID_MIN_VRAM_BYTES (4U << 20)
#define VID_MAX_VRAM_BYTES (1U << 30)

enum vid_phase {
	VID_CLOSED,
	VID_OPEN, /* no version yet */
	VID_NEGOTIATED,
};

/* What the guest was told about changes. */
enum vid_told { VID_TOLD_NOTHING, VID_TOLD_UNWATCHED, VID_TOLD_WATCHED };

struct vid_vsp {
	uint32_t vram_bytes;
	uint32_t default_width, default_height;
	const struct synthvid_ops *ops; /* or NULL */
	void *data;

	struct pipe_queue out;
	enum vid_phase phase;
	uint32_t version; /* 0 until negotiated */
	bool has_location;
	uint64_t location;
	bool has_situation;            /* the guest has described its output */
	struct synthvid_output output; /* as described; only a picture when it holds together */
	struct synthvid_mode mode;
	enum vid_told told;
	bool watched; /* the owner's wish, not part of the state */
};

/* A zeroed vsp; takes sizes and ops from the configuration. -EINVAL. */
int vid_vsp_init(struct vid_vsp *vsp, const struct synthvid_config *config);

/* The operations of struct pipe_core_ops. */
void vid_vsp_open(struct vid_vsp *vsp);
void vid_vsp_close(struct vid_vsp *vsp);
bool vid_vsp_receive(struct vid_vsp *vsp, const void *payload, size_t size_bytes);
bool vid_vsp_produce(struct vid_vsp *vsp);
#define VID_STATE_VERSION 1
void vid_vsp_save(const struct vid_vsp *vsp, struct buf *out);
int vid_vsp_restore(struct vid_vsp *vsp, struct reader *in, bool is_open);

#endif
