/* SPDX-License-Identifier: MIT
 *
 * ctl_observe.c - requests that look: what would happen to a frame, what passes a port, which VLANs
 * reach another host.
 */
#include "base/base64.h"
#include "base/chan.h"
#include "base/clock.h"
#include "fabric/ctl_ops.h"
#include "fabric/reach.h"
#include "fabric/trace.h"

#include <string.h>

#define CAPTURE_MIN_BYTES     (64U << 10)
#define CAPTURE_MAX_BYTES     (16U << 20)
#define CAPTURE_DEFAULT_BYTES (4U << 20)
#define CAPTURE_SNAP_BYTES    65535
/* In base64 it still fits into a message. */
#define CAPTURE_PIECE_BYTES (CHAN_MAX_BYTES / 2)
/* One that nobody reads ends. */
#define CAPTURE_PATIENCE_NS (30 * NS_PER_SEC)

static int port_trace(struct ctl_call *call)
{
	struct buf frame = {0};
	struct vport *port;
	int r = ctl_need_port(call, &port);

	r = r ?: ctl_need_bytes(call, "frame", ETH_FRAME_MAX_BYTES, &frame);
	if (r == 0 && frame.size_bytes < ETH_HEADER_BYTES)
		r = refuse(&call->why, -EINVAL, "%s: a frame has at least %u bytes", call->op,
			ETH_HEADER_BYTES);
	r = r ?: trace_frame(port, frame.data, frame.size_bytes, clock_mono_ns(), call->reply);
	buf_fini(&frame);
	return r;
}

/* ---- captures ---- */

static int capture_start(struct ctl_call *call)
{
	int64_t ring_bytes, snap_bytes;
	struct vport *port;
	int r = ctl_need_port(call, &port);

	r = r
		    ?: ctl_get_int(call, "ring_bytes", CAPTURE_MIN_BYTES, CAPTURE_MAX_BYTES,
			       CAPTURE_DEFAULT_BYTES, &ring_bytes);
	r = r
		    ?: ctl_get_int(call, "snap_bytes", ETH_HEADER_BYTES, CAPTURE_SNAP_BYTES,
			       CAPTURE_SNAP_BYTES, &snap_bytes);
	if (r < 0)
		return r;
	if (port->capture && port->capture_ends_ns > clock_mono_ns())
		return refuse(&call->why, -EBUSY, "port %s is being captured by somebody already",
			port->id);
	capture_free(take_ptr(port->capture));
	r = capture_new(port->id, (uint32_t)ring_bytes, (uint32_t)snap_bytes, &port->capture);
	port->capture_ends_ns = clock_mono_ns() + CAPTURE_PATIENCE_NS;
	return r;
}

static int need_capture(struct ctl_call *call, struct vport **ret_port)
{
	int r = ctl_need_port(call, ret_port);

	if (r == 0 && !(*ret_port)->capture)
		r = refuse(&call->why, -ENOENT, "port %s is not being captured", (*ret_port)->id);
	return r;
}

static int capture_read_op(struct ctl_call *call)
{
	_cleanup_free_ char *text = NULL;
	struct buf piece = {0};
	struct vport *port;
	int r = need_capture(call, &port);

	if (r < 0)
		return r;
	port->capture_ends_ns = clock_mono_ns() + CAPTURE_PATIENCE_NS;
	capture_read(port->capture, &piece, CAPTURE_PIECE_BYTES);
	if (!piece.failed)
		text = base64_encode(piece.data, piece.size_bytes);
	buf_fini(&piece);
	r = text ? json_set_string(call->reply, "data", text) : -ENOMEM;
	return r ?: json_set_int(call->reply, "lost", (int64_t)capture_lost(port->capture));
}

static int capture_stop(struct ctl_call *call)
{
	struct vport *port;
	int r = need_capture(call, &port);

	if (r == 0)
		capture_free(take_ptr(port->capture));
	return r;
}

/* ---- VLAN probes ---- */

struct trial {
	struct vswitch *sw;
	uint8_t token[REACH_TOKEN_BYTES];
};

static int need_trial(struct ctl_call *call, struct trial *ret)
{
	struct buf token = {0};
	int r = ctl_need_switch(call, "switch", &ret->sw);

	r = r ?: ctl_need_bytes(call, "token", REACH_TOKEN_BYTES, &token);
	if (r == 0 && token.size_bytes != REACH_TOKEN_BYTES)
		r = refuse(&call->why, -EINVAL, "%s: \"token\" must be %u bytes", call->op,
			REACH_TOKEN_BYTES);
	if (r == 0 && !vswitch_uplink(ret->sw))
		r = refuse(&call->why, -EINVAL, "switch %s has no uplink, so its VLANs end in it",
			ret->sw->name);
	if (r == 0)
		memcpy(ret->token, token.data, REACH_TOKEN_BYTES);
	buf_fini(&token);
	return r;
}

static int reach_begin_op(struct ctl_call *call)
{
	struct trial trial;
	int r = need_trial(call, &trial);

	if (r == 0 && !trial.sw->reach)
		r = reach_new(&trial.sw->reach);
	r = r ?: reach_begin(trial.sw->reach, trial.token, clock_mono_ns());
	return r == -ENOSPC || r == -EEXIST
		       ? refuse(&call->why, r, "switch %s: %s", trial.sw->name,
				 r == -EEXIST ? "this trial is under way already"
					      : "too many trials at once; try again in a moment")
		       : r;
}

static int reach_send_op(struct ctl_call *call)
{
	uint64_t vids[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	struct trial trial;
	const char *text;
	bool untagged;
	int r = need_trial(call, &trial);

	r = r ?: ctl_get_string(call, "vids", &text);
	r = r ?: ctl_get_bool(call, "untagged", false, &untagged);
	if (r < 0)
		return r;
	if (text && text[0] && vlan_list_parse(text, vids) < 0)
		return refuse(&call->why, -EINVAL,
			"%s: \"vids\" must be a list of VLANs like 2-4,7", call->op);
	if (untagged)
		bitmap_set(vids, 0);
	for (unsigned vid = 0; vid <= VLAN_VID_MAX; vid++) {
		uint8_t bytes[REACH_FRAME_BYTES];
		struct frame frame = {.data = bytes, .size_bytes = sizeof(bytes)};

		if (!bitmap_test(vids, vid))
			continue;
		reach_build(trial.token, (uint16_t)vid, bytes);
		datapath_emit(crew_datapath(call->crew), vswitch_uplink(trial.sw), &frame, vid != 0,
			(uint16_t)vid);
	}
	return 0;
}

static int reach_result_op(struct ctl_call *call)
{
	uint64_t vids[BITMAP_WORDS(VLAN_N_VIDS)];
	_cleanup_free_ char *text = NULL;
	struct trial trial;
	int r = need_trial(call, &trial);

	if (r < 0)
		return r;
	r = trial.sw->reach ? reach_result(trial.sw->reach, trial.token, clock_mono_ns(), vids)
			    : -ENOENT;
	if (r < 0)
		return refuse(&call->why, r, "switch %s knows no such trial; it may be over",
			trial.sw->name);
	r = json_set_bool(call->reply, "untagged", bitmap_test(vids, 0));
	text = vlan_list_format(vids);
	return r ?: text ? json_set_string(call->reply, "vids", text) : -ENOMEM;
}

static int reach_end_op(struct ctl_call *call)
{
	struct trial trial;
	int r = need_trial(call, &trial);

	if (r == 0 && trial.sw->reach)
		reach_end(trial.sw->reach, trial.token);
	return r;
}

static int workers_show(struct ctl_call *call)
{
	struct worker_report reports[CREW_MAX_WORKERS];
	unsigned n = crew_report(call->crew, reports);
	struct json *list = json_array_new();
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		struct json *entry = json_object_new();

		r = json_set_int(entry, "ports", reports[i].n_ports);
		r = r ?: json_set_int(entry, "busy_permille", reports[i].busy_permille);
		if (r == 0)
			r = json_append(list, entry);
		else
			json_unref(entry);
	}
	if (r == 0)
		return json_set(call->reply, "workers", list);
	json_unref(list);
	return r;
}

const struct ctl_op ctl_observe_ops[] = {
	{"workers.show", workers_show},
	{"port.trace", port_trace},
	{"capture.start", capture_start},
	{"capture.read", capture_read_op},
	{"capture.stop", capture_stop},
	{"reach.begin", reach_begin_op},
	{"reach.send", reach_send_op},
	{"reach.result", reach_result_op},
	{"reach.end", reach_end_op},
	{NULL, NULL},
};
