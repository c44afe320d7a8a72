/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"
#include "base/clock.h"
#include "fabric/announce.h"
#include "fabric/shm_port.h"

#include <string.h>

#define DEFAULT_RING_BYTES (1U << 20)
/* More turns than it takes to empty the largest ring of the smallest frames. */
#define MUTE_MAX_TURNS 16384

static int switch_create(struct ctl_call *call)
{
	const char *name, *type_text, *uplink;
	enum vswitch_type type;
	struct io *io = NULL;
	struct vswitch *sw;
	int r = ctl_need_string(call, "name", &name);

	r = r ?: ctl_need_string(call, "type", &type_text);
	r = r ?: ctl_get_string(call, "uplink", &uplink);
	if (r < 0)
		return r;
	if (vswitch_type_parse(type_text, &type) < 0)
		return refuse(&call->why, -EINVAL,
			"switch.create: \"type\" must be external, internal or private");
	if (type != VSWITCH_EXTERNAL)
		r = ctl_need_fds(call, 0, "no descriptor for a switch without uplink");
	else
		r = ctl_need_fds(call, 1, "the raw socket of an external switch's uplink");
	if (r == 0 && type == VSWITCH_EXTERNAL && io_afpacket_new(call->fds[0], &io) < 0)
		r = refuse(&call->why, -EINVAL,
			"the descriptor given as uplink %.40s is not a raw packet socket set up "
			"for it",
			uplink ? uplink : "");
	if (r < 0)
		return r;
	if (io)
		call->fds[0] = -1;
	r = vswitch_new(call->fabric, name, type, uplink, io, &sw, &call->why);
	if (r < 0) {
		io_free(io);
		return r;
	}
	if (io && worker_add_port(call->worker, vswitch_uplink(sw)) < 0) {
		(void)vswitch_delete(call->fabric, sw, &call->why);
		return refuse(&call->why, -EIO, "the uplink %s cannot be polled", uplink);
	}
	return 0;
}

static int switch_delete(struct ctl_call *call)
{
	struct vswitch *sw;
	int r = ctl_need_switch(call, "name", &sw);

	if (r < 0)
		return r;
	if (sw->n_ports == 0 && vswitch_uplink(sw))
		worker_remove_port(call->worker, vswitch_uplink(sw));
	return vswitch_delete(call->fabric, sw, &call->why);
}

static int switch_list(struct ctl_call *call)
{
	int64_t from;
	int r = ctl_get_int(call, "from", 0, INT32_MAX, 0, &from);

	return r ?: ctl_report_switches(call->fabric, (uint64_t)from, call->reply);
}

/* What port.add and port.add_tap have in common; `io` is taken over. */
static int add_port(
	struct ctl_call *call, struct vswitch *sw, const struct vport_config *config, struct io *io)
{
	struct vport *port;
	int r = vport_new(call->fabric, sw, config, io, &port, &call->why);

	if (r < 0) {
		io_free(io);
		return r;
	}
	if (worker_add_port(call->worker, port) < 0) {
		vport_free(port);
		return refuse(&call->why, -EIO, "port %s cannot be polled", config->id);
	}
	return 0;
}

static int parse_port(struct ctl_call *call, struct vswitch **ret_sw, struct vport_config *ret)
{
	int r = ctl_need_switch(call, "switch", ret_sw);

	r = r ?: ctl_need_string(call, "port", &ret->id);
	r = r ?: ctl_need_mac(call, "mac", ret->mac);
	r = r ?: ctl_get_vlan(call, &ret->vlan);
	r = r ?: ctl_get_bool(call, "muted", false, &ret->muted);
	return r ?: ctl_get_bool(call, "spoofing", false, &ret->spoofing);
}

static int port_add(struct ctl_call *call)
{
	struct vport_config config;
	struct vswitch *sw;
	int64_t ring_bytes;
	struct io *io;
	int r = parse_port(call, &sw, &config);

	r = r ?: ctl_need_fds(call, 0, "no descriptor");
	r = r
		    ?: ctl_get_int(call, "ring_bytes", SHM_PORT_RING_MIN_BYTES,
			       SHM_PORT_RING_MAX_BYTES, DEFAULT_RING_BYTES, &ring_bytes);
	if (r == 0 && (ring_bytes & (ring_bytes - 1)))
		r = refuse(&call->why, -EINVAL, "port.add: \"ring_bytes\" must be a power of two");
	r = r ?: json_set_string(call->reply, "port", config.id);
	r = r ?: json_set_int(call->reply, "ring_bytes", ring_bytes);
	if (r < 0)
		return r;
	r = io_shm_new((uint32_t)ring_bytes, &io, call->reply_fds);
	if (r < 0)
		return refuse(&call->why, r, "the shared memory of port %.80s cannot be made: %s",
			config.id, strerror(-r));
	call->n_reply_fds = CTL_MAX_REPLY_FDS;
	return add_port(call, sw, &config, io);
}

static int port_add_tap(struct ctl_call *call)
{
	struct vport_config config;
	struct vswitch *sw;
	struct io *io;
	int r = parse_port(call, &sw, &config);

	if (r == 0 && sw->type == VSWITCH_PRIVATE)
		r = refuse(&call->why, -EINVAL,
			"switch %s is private: the management operating system cannot connect to "
			"it",
			sw->name);
	r = r ?: ctl_need_fds(call, 1, "one tap");
	if (r < 0)
		return r;
	if (io_tap_new(call->fds[0], &io) < 0)
		return refuse(&call->why, -EINVAL,
			"the descriptor given for port %.80s is not a tap set up for it",
			config.id);
	call->fds[0] = -1;
	return add_port(call, sw, &config, io);
}

/* Uplinks come and go with their switch. */
static int need_own_port(struct ctl_call *call, struct vport **ret_port)
{
	int r = ctl_need_port(call, ret_port);

	if (r == 0 && vport_is_uplink(*ret_port))
		r = refuse(&call->why, -EINVAL, "%s is the uplink of switch %s and belongs to it",
			(*ret_port)->id, (*ret_port)->sw->name);
	return r;
}

static int port_set(struct ctl_call *call)
{
	struct vlan_policy vlan;
	struct vport *port;
	bool spoofing;
	int r = need_own_port(call, &port);

	r = r ?: ctl_get_vlan(call, &vlan);
	r = r
		    ?: ctl_get_bool(call, "spoofing", r < 0 ? false : vport_fwd(port)->spoofing,
			       &spoofing);
	return r ?: vport_reconfigure(port, &vlan, spoofing, &call->why);
}

static int port_remove(struct ctl_call *call)
{
	struct vport *port;
	int r = need_own_port(call, &port);

	if (r < 0)
		return r;
	worker_remove_port(call->worker, port);
	vport_free(port);
	return 0;
}

static int port_mute(struct ctl_call *call)
{
	struct vport *port;
	int r = need_own_port(call, &port);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < MUTE_MAX_TURNS; i++) {
		if (!datapath_serve(worker_datapath(call->worker), port, clock_mono_ns()))
			break;
	}
	vport_mute(port);
	return 0;
}

static int port_open(struct ctl_call *call)
{
	uint64_t now_ns = clock_mono_ns();
	struct vport *port;
	int r = need_own_port(call, &port);

	r = r ?: vport_open(port, &call->why);
	if (r < 0)
		return r;
	announce_start(port, now_ns);
	call->announce_at_ns = announce_step(call->fabric, worker_datapath(call->worker), now_ns);
	return 0;
}

static int port_stats(struct ctl_call *call)
{
	struct vport *port;
	int r = ctl_need_port(call, &port);

	return r ?: json_set(call->reply, "port", ctl_report_port(port));
}

static int fdb_show(struct ctl_call *call)
{
	struct vswitch *sw;
	int64_t from;
	int r = ctl_need_switch(call, "switch", &sw);

	r = r ?: ctl_get_int(call, "from", 0, INT32_MAX, 0, &from);
	return r ?: ctl_report_fdb(sw, (uint64_t)from, clock_mono_ns(), call->reply);
}

static const struct {
	const char *name;
	int (*run)(struct ctl_call *call);
} ops[] = {
	{"switch.create", switch_create},
	{"switch.delete", switch_delete},
	{"switch.list", switch_list},
	{"port.add", port_add},
	{"port.add_tap", port_add_tap},
	{"port.set", port_set},
	{"port.remove", port_remove},
	{"port.mute", port_mute},
	{"port.open", port_open},
	{"port.stats", port_stats},
	{"fdb.show", fdb_show},
};

static int find_and_run(struct ctl_call *call)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, call->op) == 0)
			return ops[i].run(call);
	}
	return refuse(&call->why, -EOPNOTSUPP, "the switch knows no request %.60s", call->op);
}

void ctl_run(struct ctl_call *call)
{
	/* The one cause of failures that have no sentence of their own. */
	why_set(&call->why, "out of memory");
	call->reply = json_object_new();
	call->error = call->reply ? find_and_run(call) : -ENOMEM;
}
