/* SPDX-License-Identifier: MIT */
#include "fabric/trace.h"
#include "fabric/reach.h"

#include <stdarg.h>
#include <stdio.h>

struct trace {
	const struct vport *port;
	uint64_t now_ns;
	struct frame frame;
	struct headers headers;
	struct fwd_key key;
	struct fwd_result result;
	struct json *steps;
	int error;
};

static void step(struct trace *trace, const char *name, bool ok, const char *format, ...)
	_printf_(4, 5);

static void step(struct trace *trace, const char *name, bool ok, const char *format, ...)
{
	struct json *object = json_object_new();
	char text[256];
	va_list args;
	int r;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r = object ? json_set_string(object, "step", name) : -ENOMEM;
	r = r ?: json_set_bool(object, "ok", ok);
	r = r ?: json_set_string(object, "text", text);
	if (r == 0)
		r = json_append(trace->steps, object);
	else
		json_unref(object);
	trace->error = trace->error ?: r;
}

static bool ends_in(struct trace *trace, const char *name, enum drop drop)
{
	if (drop)
		step(trace, name, false, "dropped (%s): %s", drop_name(drop), drop_text(drop));
	return drop;
}

static bool enter(struct trace *trace)
{
	struct frame *frame = &trace->frame;

	if (ends_in(trace, "frame", frame_normalise(frame)))
		return false;
	trace->key = (struct fwd_key){
		.tagged = frame->tagged, .inner_tag = frame->inner_tag, .tci = frame->tci};
	memcpy(trace->key.dst, frame->data, ETH_ADDR_LEN);
	memcpy(trace->key.src, frame->data + ETH_ADDR_LEN, ETH_ADDR_LEN);
	headers_parse(frame->data, frame->size_bytes, &trace->headers);
	if (frame->tagged)
		step(trace, "frame", true, "%u bytes, with a tag of VLAN %u, priority %u",
			frame->size_bytes, frame->tci & FRAME_VID_MASK, frame->tci >> 13);
	else
		step(trace, "frame", true, "%u bytes, without a tag", frame->size_bytes);
	return true;
}

/* Decisions that concern the way in come from the reason, for a pure function tells no more. */
static bool is_about_way_in(enum drop drop)
{
	return drop == DROP_MUTED || drop == DROP_SOURCE || drop == DROP_SPOOFED ||
	       drop == DROP_TAGGED || drop == DROP_VLAN;
}

static void tell_destination(struct trace *trace)
{
	const struct fwd_result *result = &trace->result;
	const struct vswitch *sw = trace->port->sw;
	uint64_t wanted[BITMAP_WORDS(FDB_MAX_PORTS)];

	if (!result->flooded)
		step(trace, "destination", true, "known: behind %s",
			sw->ports[result->out[0].port]->id);
	else if (!(trace->key.dst[0] & 1))
		step(trace, "destination", true,
			"unknown: to the uplink and to ports that may spoof");
	else if (mcast_ports(sw->fwd.mcast, result->fid, trace->key.dst, trace->now_ns, wanted))
		step(trace, "destination", true, "a group: to its members and the uplink");
	else
		step(trace, "destination", true, "a group: to all ports of the VLAN");
}

static bool decide(struct trace *trace)
{
	const struct vport *port = trace->port;
	struct fwd_result *result = &trace->result;
	enum drop drop = forward(&port->sw->fwd, port->slot, &trace->key, trace->now_ns, result);

	if (is_about_way_in(drop))
		return !ends_in(trace, "way in", drop);
	step(trace, "way in", true, "port %s, mode %s: VLAN %u%s", port->id,
		vlan_mode_name(vport_fwd(port)->vlan.mode), result->vid,
		result->fid != result->vid ? ", a secondary one" : "");
	if (ends_in(trace, "destination", drop))
		return false;
	tell_destination(trace);
	return true;
}

static bool list_allows(struct trace *trace, const struct vport *port, bool outbound)
{
	const char *way = outbound ? "access list out" : "access list in";
	int rule;
	enum drop drop;

	if (!port->policy.acl)
		return true;
	drop = acl_explain(port->policy.acl, &trace->headers, outbound, trace->now_ns, &rule);
	if (rule >= 0)
		step(trace, way, !drop, "%s: rule %d %s it", port->id, rule,
			drop ? "denies" : "allows");
	else
		step(trace, way, !drop, "%s: %s", port->id,
			rule == -2 ? "it belongs to a conversation that was allowed"
				   : "no rule matches, so it is allowed");
	return !drop;
}

static bool policies_allow(struct trace *trace)
{
	const struct vport *port = trace->port;
	const struct frame *frame = &trace->frame;

	if (port->policy.guard.flags) {
		if (ends_in(trace, "guards",
			    guard_check(&port->policy.guard, &trace->headers, frame->data,
				    frame->size_bytes)))
			return false;
		step(trace, "guards", true, "nothing that they are against");
	}
	return list_allows(trace, port, true);
}

static void add_out(struct trace *trace, const struct fwd_out *out, bool mirror, struct json *outs)
{
	struct json *object = json_object_new();
	int r = object ? json_set_string(object, "port", trace->port->sw->ports[out->port]->id)
		       : -ENOMEM;

	r = r ?: json_set_int(object, "vlan", trace->result.vid);
	r = r ?: json_set_bool(object, "tagged", out->tagged);
	r = r ?: json_set_bool(object, "mirror", mirror);
	if (r == 0)
		r = json_append(outs, object);
	else
		json_unref(object);
	trace->error = trace->error ?: r;
}

static void leave(struct trace *trace, struct json *outs)
{
	struct fwd_result *result = &trace->result;
	const struct vport *port = trace->port;
	unsigned n_left = 0;

	for (unsigned i = 0; i < result->n_out; i++) {
		if (list_allows(trace, port->sw->ports[result->out[i].port], false))
			result->out[n_left++] = result->out[i];
	}
	result->n_out = n_left;
	datapath_add_mirrors(port, result);
	for (unsigned i = 0; i < result->n_out; i++)
		add_out(trace, &result->out[i], i >= n_left, outs);
}

int trace_frame(const struct vport *port, uint8_t *data, size_t size_bytes, uint64_t now_ns,
	struct json *reply)
{
	struct json *steps = json_array_new(), *outs = json_array_new();
	struct trace *trace = calloc(1, sizeof(*trace));
	int r = trace ? 0 : -ENOMEM;

	r = json_set(reply, "steps", steps) ?: r;
	r = json_set(reply, "out", outs) ?: r;
	if (r == 0) {
		trace->port = port;
		trace->now_ns = now_ns;
		trace->steps = steps;
		trace->frame = (struct frame){.data = data, .size_bytes = (uint32_t)size_bytes};
		if (vport_is_uplink(port) && reach_is_probe(data, size_bytes))
			step(trace, "frame", false, "a probe of another host: taken off the wire");
		else if (enter(trace) && decide(trace) && policies_allow(trace))
			leave(trace, outs);
		r = trace->error;
	}
	free(trace);
	return r;
}
