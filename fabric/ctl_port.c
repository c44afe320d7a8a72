/* SPDX-License-Identifier: MIT
 *
 * ctl_port.c - requests about ports: made, changed, muted, opened, removed; their state that
 * travels.
 */
#include "fabric/ctl_ops.h"
#include "base/base64.h"
#include "base/chan.h"
#include "base/clock.h"
#include "fabric/announce.h"
#include "fabric/port_state.h"
#include "fabric/shm_port.h"

#include <string.h>

/* As much as a TCP stream may have under way: with less, both ends of it sleep more than they work.
 * Linux has windows of up to 3 MiB (half of tcp_rmem's maximum). */
#define DEFAULT_RING_BYTES (4U << 20)
/* More turns than it takes to empty the largest ring of the smallest frames. */
#define MUTE_MAX_TURNS 16384
/* In base64 it still fits into a message. */
#define STATE_MAX_BYTES (CHAN_MAX_BYTES * 5 / 8)

/* What port.add and port.add_tap have in common; `io` is taken over. */
static int add_port(
	struct ctl_call *call, struct vswitch *sw, struct vport_config *config, struct io *io)
{
	struct vport *port;
	int r = vport_new(call->fabric, sw, config, io, &port, &call->why);

	if (r < 0) {
		io_free(io);
		return r;
	}
	if (crew_add_port(call->crew, port) < 0) {
		vport_free(port);
		return refuse(&call->why, -EIO, "port %s cannot be polled", config->id);
	}
	return 0;
}

static void config_fini(struct vport_config *config)
{
	policy_fini(&config->policy);
}
#define _cleanup_config_ __attribute__((cleanup(config_fini)))

static int parse_port(struct ctl_call *call, struct vswitch **ret_sw, struct vport_config *ret)
{
	int r = ctl_need_switch(call, "switch", ret_sw);

	r = r ?: ctl_need_string(call, "port", &ret->id);
	r = r ?: ctl_need_mac(call, "mac", ret->mac);
	r = r ?: ctl_get_vlan(call, &ret->vlan);
	r = r ?: ctl_get_bool(call, "muted", false, &ret->muted);
	r = r ?: ctl_get_bool(call, "spoofing", false, &ret->spoofing);
	return r ?: ctl_get_policy(call, ret);
}

static int port_add(struct ctl_call *call)
{
	_cleanup_config_ struct vport_config config = {0};
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
	_cleanup_config_ struct vport_config config = {0};
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
int ctl_need_own_port(struct ctl_call *call, struct vport **ret_port)
{
	int r = ctl_need_port(call, ret_port);

	if (r == 0 && vport_is_uplink(*ret_port))
		r = refuse(&call->why, -EINVAL, "%s is the uplink of switch %s and belongs to it",
			(*ret_port)->id, (*ret_port)->sw->name);
	return r;
}

/* Keys that are absent leave things as they are. */
static int port_set(struct ctl_call *call)
{
	_cleanup_config_ struct vport_config config = {0};
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	if (r < 0)
		return r;
	config.id = port->id;
	config.vlan = vport_fwd(port)->vlan;
	config.policy = port->policy;
	config.policy.acl = NULL;
	config.keep_acl = !ctl_get(call, "acl");
	config.qos = port->qos.config;
	r = ctl_has_vlan(call) ? ctl_get_vlan(call, &config.vlan) : 0;
	r = r ?: ctl_get_bool(call, "spoofing", vport_fwd(port)->spoofing, &config.spoofing);
	r = r ?: ctl_get_policy(call, &config);
	return r ?: vport_reconfigure(port, &config, clock_mono_ns(), &call->why);
}

static int port_remove(struct ctl_call *call)
{
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	if (r < 0)
		return r;
	crew_remove_port(call->crew, port);
	vport_free(port);
	return 0;
}

static int port_mute(struct ctl_call *call)
{
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < MUTE_MAX_TURNS; i++) {
		if (!datapath_serve(crew_datapath(call->crew), port, clock_mono_ns()))
			break;
	}
	vport_mute(port);
	return 0;
}

static int port_open(struct ctl_call *call)
{
	uint64_t now_ns = clock_mono_ns();
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	r = r ?: vport_open(port, &call->why);
	if (r < 0)
		return r;
	announce_start(port, now_ns);
	call->announce_at_ns = announce_step(call->fabric, crew_datapath(call->crew), now_ns);
	return 0;
}

static int port_stats(struct ctl_call *call)
{
	struct vport *port;
	int r = ctl_need_port(call, &port);

	return r ?: json_set(call->reply, "port", ctl_report_port(port));
}

static int port_export(struct ctl_call *call)
{
	_cleanup_free_ char *text = NULL;
	struct buf state = {0};
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	if (r < 0)
		return r;
	port_state_save(port, clock_mono_ns(), &state);
	if (!state.failed)
		text = base64_encode(state.data, state.size_bytes);
	r = text ? 0 : -ENOMEM;
	if (state.size_bytes > STATE_MAX_BYTES)
		r = refuse(&call->why, -EMSGSIZE, "the state of port %s is too long", port->id);
	buf_fini(&state);
	return r ?: json_set_string(call->reply, "state", text);
}

static int port_import(struct ctl_call *call)
{
	struct buf state = {0};
	struct reader in;
	struct vport *port;
	int r = ctl_need_own_port(call, &port);

	r = r ?: ctl_need_bytes(call, "state", STATE_MAX_BYTES, &state);
	if (r == 0 && !vport_fwd(port)->muted)
		r = refuse(&call->why, -EBUSY, "port %s is open: its state is its own by now",
			port->id);
	if (r == 0) {
		in = reader_make(state.data, state.size_bytes);
		r = port_state_restore(port, &in, clock_mono_ns());
		if (r == -EBADMSG)
			r = refuse(&call->why, r,
				"port.import: this is not the state of a port like %s", port->id);
	}
	buf_fini(&state);
	return r;
}

const struct ctl_op ctl_port_ops[] = {
	{"port.add", port_add},
	{"port.add_tap", port_add_tap},
	{"port.set", port_set},
	{"port.remove", port_remove},
	{"port.mute", port_mute},
	{"port.open", port_open},
	{"port.stats", port_stats},
	{"port.export", port_export},
	{"port.import", port_import},
	{NULL, NULL},
};
