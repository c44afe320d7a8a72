/* SPDX-License-Identifier: MIT
 *
 * ctl_switch.c - requests about switches: made, changed, deleted, listed.
 */
#include "base/clock.h"
#include "fabric/ctl_ops.h"
#include "fabric/io_team.h"

#include <stdio.h>
#include <string.h>

/* ---- uplinks ---- */

/* What a request says about the uplink: adapters, and how they work together if there are several.
 */
struct uplink {
	const char *names[TEAM_MAX_MEMBERS];
	size_t n;
	enum team_mode mode;
	char text[VSWITCH_UPLINK_MAX_LEN + 1]; /* "eth0,eth1" */
};

static int get_team(struct ctl_call *call, struct uplink *uplink)
{
	const struct json *team = ctl_get(call, "team");
	const char *mode = json_get_string(team, "mode", "standby");

	if (team && (!json_is_object(team) || team_mode_parse(mode, &uplink->mode) < 0))
		return refuse(&call->why, -EINVAL,
			"%s: \"team\" must be an object with \"mode\", standby or hash", call->op);
	return 0;
}

static int join_names(struct ctl_call *call, struct uplink *uplink)
{
	size_t len = 0;

	for (size_t i = 0; i < uplink->n; i++) {
		int n = snprintf(uplink->text + len, sizeof(uplink->text) - len, "%s%s",
			i ? "," : "", uplink->names[i]);

		if (strchr(uplink->names[i], ',') || (size_t)n >= sizeof(uplink->text) - len)
			return refuse(&call->why, -EINVAL,
				"%s: the names of the uplink's adapters are not names, or too long",
				call->op);
		len += (size_t)n;
	}
	return 0;
}

/* "uplink" names one adapter, "uplinks" one or several. None: n is 0. */
static int get_uplink(struct ctl_call *call, struct uplink *ret)
{
	const char *single;
	int r = ctl_get_string(call, "uplink", &single);

	*ret = (struct uplink){.mode = TEAM_STANDBY};
	r = r ?: ctl_get_list(call, "uplinks", TEAM_MAX_MEMBERS, ret->names, &ret->n);
	if (r == 0 && single && ret->n)
		return refuse(&call->why, -EINVAL,
			"%s: \"uplink\" and \"uplinks\" do not go together", call->op);
	if (r == 0 && single) {
		ret->names[0] = single;
		ret->n = 1;
	}
	r = r ?: get_team(call, ret);
	return r ?: join_names(call, ret);
}

/* One adapter: its raw socket. Several: theirs, and the socket that tells of links. */
static int open_uplink(struct ctl_call *call, const struct uplink *uplink, struct io **ret_io)
{
	size_t n_fds = uplink->n > 1 ? uplink->n + 1 : 1;
	int r = ctl_need_fds(call, n_fds,
		uplink->n > 1 ? "the raw sockets of the uplink's adapters and the socket that "
				"tells of their links"
			      : "the raw socket of an external switch's uplink");

	if (r < 0)
		return r;
	if (uplink->n > 1)
		r = io_team_new(uplink->mode, uplink->names, call->fds, (unsigned)uplink->n,
			call->fds[uplink->n], ret_io);
	else
		r = io_afpacket_new(call->fds[0], ret_io);
	if (r < 0)
		return refuse(&call->why, r == -ENOMEM ? r : -EINVAL,
			"the descriptor given as uplink %.40s is not a raw packet socket set up "
			"for it",
			uplink->text);
	for (size_t i = 0; i < n_fds; i++)
		call->fds[i] = -1;
	return 0;
}

/* ---- switches ---- */

static const char *const qos_modes[] = {
	[QOS_NONE] = "none",
	[QOS_WEIGHT] = "weight",
	[QOS_ABSOLUTE] = "absolute",
};

const char *ctl_qos_mode_name(enum qos_mode mode)
{
	return qos_modes[mode];
}

/* "bandwidth_mode" and "link_bps"; what is absent stays. */
static int get_bandwidth(struct ctl_call *call, enum qos_mode *mode, uint64_t *link_bps)
{
	const char *text;
	int64_t bps;
	int r = ctl_get_string(call, "bandwidth_mode", &text);

	r = r
		    ?: ctl_get_int(call, "link_bps", 0, (int64_t)QOS_MAX_RATE_BPS,
			       (int64_t)*link_bps, &bps);
	if (r < 0)
		return r;
	*link_bps = (uint64_t)bps;
	for (size_t i = 0; text && i < ARRAY_LEN(qos_modes); i++) {
		if (strcmp(text, qos_modes[i]) == 0) {
			*mode = (enum qos_mode)i;
			return 0;
		}
	}
	return text ? refuse(&call->why, -EINVAL,
			      "%s: \"bandwidth_mode\" must be none, weight or absolute", call->op)
		    : 0;
}

/* Minimums mean something in one mode only; ports that have one of the other stand in the way. */
static int set_bandwidth(
	struct ctl_call *call, struct vswitch *sw, enum qos_mode mode, uint64_t link_bps)
{
	uint64_t now_ns = clock_mono_ns();

	for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
		const char *error =
			sw->ports[i] ? qos_config_error(&sw->ports[i]->qos.config, mode) : NULL;

		if (error)
			return refuse(&call->why, -EINVAL,
				"port %s stands in the way of bandwidth mode %s: its bandwidth %s",
				sw->ports[i]->id, qos_modes[mode], error);
	}
	qos_link_init(&sw->qos, mode, link_bps, now_ns);
	for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
		struct qos_config config;

		if (!sw->ports[i])
			continue;
		config = sw->ports[i]->qos.config;
		qos_port_init(&sw->ports[i]->qos, &sw->qos, &config, now_ns);
	}
	return 0;
}

static int make_switch(struct ctl_call *call, const char *name, enum vswitch_type type,
	const struct uplink *uplink, struct vswitch **ret_sw)
{
	struct io *io = NULL;
	int r = type == VSWITCH_EXTERNAL
			? open_uplink(call, uplink, &io)
			: ctl_need_fds(call, 0, "no descriptor for a switch without uplink");

	r = r
		    ?: vswitch_new(call->fabric, name, type, uplink->n ? uplink->text : NULL, io,
			       ret_sw, &call->why);
	if (r < 0) {
		io_free(io);
		return r;
	}
	if (io && crew_add_port(call->crew, vswitch_uplink(*ret_sw)) < 0) {
		(void)vswitch_delete(call->fabric, *ret_sw, &call->why);
		return refuse(&call->why, -EIO, "the uplink %s cannot be polled", uplink->text);
	}
	return 0;
}

static int switch_create(struct ctl_call *call)
{
	enum qos_mode mode = QOS_WEIGHT;
	const char *name, *type_text;
	enum vswitch_type type;
	struct uplink uplink;
	uint64_t link_bps = 0;
	struct vswitch *sw;
	int r = ctl_need_string(call, "name", &name);

	r = r ?: ctl_need_string(call, "type", &type_text);
	r = r ?: get_uplink(call, &uplink);
	r = r ?: get_bandwidth(call, &mode, &link_bps);
	if (r < 0)
		return r;
	if (vswitch_type_parse(type_text, &type) < 0)
		return refuse(&call->why, -EINVAL,
			"switch.create: \"type\" must be external, internal or private");
	r = make_switch(call, name, type, &uplink, &sw);
	return r ?: set_bandwidth(call, sw, mode, link_bps);
}

static int switch_delete(struct ctl_call *call)
{
	struct vswitch *sw;
	int r = ctl_need_switch(call, "name", &sw);

	if (r < 0)
		return r;
	if (sw->n_ports == 0 && vswitch_uplink(sw))
		crew_remove_port(call->crew, vswitch_uplink(sw));
	return vswitch_delete(call->fabric, sw, &call->why);
}

static int switch_rename(struct ctl_call *call)
{
	struct vswitch *sw;
	const char *to;
	int r = ctl_need_switch(call, "name", &sw);

	r = r ?: ctl_need_string(call, "to", &to);
	return r ?: vswitch_rename(call->fabric, sw, to, &call->why);
}

static int switch_set(struct ctl_call *call)
{
	struct vswitch *sw;
	enum qos_mode mode;
	uint64_t link_bps;
	int r = ctl_need_switch(call, "name", &sw);

	if (r < 0)
		return r;
	mode = sw->qos.mode;
	link_bps = sw->qos.link_bps;
	r = get_bandwidth(call, &mode, &link_bps);
	return r ?: set_bandwidth(call, sw, mode, link_bps);
}

/* Without adapters the switch becomes an internal one. */
static int switch_rebind(struct ctl_call *call)
{
	struct vport *before;
	struct uplink uplink;
	struct io *io = NULL;
	struct vswitch *sw;
	int r = ctl_need_switch(call, "name", &sw);

	r = r ?: get_uplink(call, &uplink);
	if (r < 0)
		return r;
	r = uplink.n ? open_uplink(call, &uplink, &io) : ctl_need_fds(call, 0, "no descriptor");
	if (r < 0)
		return r;
	before = vswitch_uplink(sw);
	if (before)
		crew_remove_port(call->crew, before);
	r = vswitch_rebind(call->fabric, sw, uplink.n ? uplink.text : NULL, io, &call->why);
	if (r < 0)
		io_free(io);
	if (vswitch_uplink(sw) && crew_add_port(call->crew, vswitch_uplink(sw)) < 0)
		r = refuse(&call->why, -EIO, "the uplink %s cannot be polled", sw->uplink);
	return r;
}

static int switch_list(struct ctl_call *call)
{
	int64_t from;
	int r = ctl_get_int(call, "from", 0, INT32_MAX, 0, &from);

	return r ?: ctl_report_switches(call->fabric, (uint64_t)from, call->reply);
}

static int fdb_show(struct ctl_call *call)
{
	struct vswitch *sw;
	int64_t from;
	int r = ctl_need_switch(call, "switch", &sw);

	r = r ?: ctl_get_int(call, "from", 0, INT32_MAX, 0, &from);
	return r ?: ctl_report_fdb(sw, (uint64_t)from, clock_mono_ns(), call->reply);
}

static int fdb_set(struct ctl_call *call)
{
	struct fdb_static statics[FDB_MAX_STATIC];
	struct vswitch *sw;
	unsigned n;
	int r = ctl_need_switch(call, "switch", &sw);

	r = r ?: ctl_need_statics(call, "static", statics, &n);
	if (r == 0)
		vswitch_set_statics(sw, statics, n);
	return r;
}

static int groups_show(struct ctl_call *call)
{
	struct vswitch *sw;
	int64_t from;
	int r = ctl_need_switch(call, "switch", &sw);

	r = r ?: ctl_get_int(call, "from", 0, INT32_MAX, 0, &from);
	return r ?: ctl_report_groups(sw, (uint64_t)from, clock_mono_ns(), call->reply);
}

const struct ctl_op ctl_switch_ops[] = {
	{"switch.create", switch_create},
	{"switch.delete", switch_delete},
	{"switch.rename", switch_rename},
	{"switch.set", switch_set},
	{"switch.rebind", switch_rebind},
	{"switch.list", switch_list},
	{"fdb.show", fdb_show},
	{"fdb.set", fdb_set},
	{"groups.show", groups_show},
	{NULL, NULL},
};
