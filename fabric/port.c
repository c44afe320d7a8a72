/* SPDX-License-Identifier: MIT
 *
 * port.c - the ports of switch.h: made, changed, muted, opened, freed.
 */
#include "base/clock.h"
#include "fabric/io_team.h"
#include "fabric/pvlan.h"
#include "fabric/switch.h"

#include <stdio.h>
#include <string.h>

struct vport *vport_find(const struct fabric *fabric, const char *id)
{
	struct vswitch *sw;

	list_for_each(sw, &fabric->switches, siblings) {
		for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
			if (sw->ports[i] && strcmp(sw->ports[i]->id, id) == 0)
				return sw->ports[i];
		}
	}
	return NULL;
}

/* Would one address be in one VLAN twice? */
static bool share_vlan(
	const struct fwd_switch *sw, const struct fwd_port *own, const struct fwd_port *other)
{
	if (own->vlan.mode != VLAN_TRUNK && other->vlan.mode != VLAN_TRUNK)
		return fwd_pin_vid(own) == fwd_pin_vid(other);
	for (int vid = vlan_next(&own->vlan, -1); vid >= 0; vid = vlan_next(&own->vlan, vid)) {
		if (vlan_carries(&other->vlan, (unsigned)vid) ||
			fwd_fid(sw, (unsigned)vid) == fwd_pin_vid(other))
			return true;
	}
	return false;
}

/* Take the port's address over. A second owner of it in the same VLAN cannot be told from a
 * spoofer, so there is none. */
static int pin(struct vport *port, struct why *why)
{
	const struct fwd_switch *fwd = &port->sw->fwd;
	const struct fwd_port *own = vport_fwd(port);

	for (unsigned i = 0; i < fwd->n_slots; i++) {
		const struct fwd_port *other = &fwd->ports[i];

		if (i == port->slot || !other->present || other->muted ||
			memcmp(other->mac, own->mac, ETH_ADDR_LEN) != 0)
			continue;
		if (share_vlan(fwd, own, other))
			return refuse(why, -EADDRINUSE,
				"the MAC address of port %s is in use by port %s in the same VLAN "
				"of switch %s",
				port->id, port->sw->ports[i]->id, port->sw->name);
	}
	return fdb_pin(fwd->fdb, fwd_pin_vid(own), own->mac, port->slot) < 0
		       ? refuse(why, -EADDRINUSE,
				 "the MAC address of port %s is in use by another trunk of switch "
				 "%s",
				 port->id, port->sw->name)
		       : 0;
}

static int find_slot(const struct vswitch *sw, unsigned *ret_slot)
{
	for (unsigned i = 0; i < FWD_MAX_PORTS; i++) {
		if (!sw->ports[i]) {
			*ret_slot = i;
			return 0;
		}
	}
	return -ENOSPC;
}

void vport_place_statics(struct vswitch *sw)
{
	struct fdb_static placed[FDB_MAX_STATIC];
	unsigned n = sw->uplink_port ? sw->n_statics : 0;

	for (unsigned i = 0; i < n; i++) {
		placed[i] = sw->statics[i];
		placed[i].vid = (uint16_t)fwd_fid(&sw->fwd, sw->statics[i].vid);
	}
	fdb_set_static(sw->fwd.fdb, placed, n, n ? sw->uplink_port->slot : 0);
}

/* A port in its slot, without traffic until it is pinned. */
static int attach(struct vswitch *sw, const struct vport_config *config, struct io *io,
	struct vport **ret_port, struct why *why)
{
	struct vport *port;
	unsigned slot;

	if (find_slot(sw, &slot) < 0)
		return refuse(why, -ENOSPC, "switch %s has %u ports already, the most there can be",
			sw->name, FWD_MAX_PORTS);
	port = calloc(1, sizeof(*port));
	if (!port)
		return refuse(why, -ENOMEM, "out of memory");
	port->sw = sw;
	port->slot = slot;
	port->io = io;
	snprintf(port->id, sizeof(port->id), "%s", config->id);
	list_init(&port->in_round);
	list_init(&port->in_worker);
	pthread_mutex_init(&port->lock, NULL);
	sw->ports[slot] = port;
	sw->fwd.n_slots = MAX(sw->fwd.n_slots, slot + 1);
	sw->fwd.ports[slot] = (struct fwd_port){
		.present = true,
		.muted = config->muted,
		.spoofing = config->spoofing,
		.vlan = config->vlan,
	};
	memcpy(sw->fwd.ports[slot].mac, config->mac, ETH_ADDR_LEN);
	pvlan_map(&sw->fwd);
	*ret_port = port;
	return 0;
}

/* The switch's tallies of what its ports are. */
static void tally(struct vport *port, int one)
{
	struct vswitch *sw = port->sw;

	if (policy_inspects(&port->policy))
		sw->n_inspecting += (unsigned)one;
	if (port->policy.mirror == MIRROR_DESTINATION)
		sw->n_mirrors += (unsigned)one;
}

static void take_policy(struct vport *port, struct vport_config *config, uint64_t now_ns)
{
	struct acl *kept;

	tally(port, -1);
	kept = config->keep_acl ? take_ptr(port->policy.acl) : NULL;
	policy_fini(&port->policy);
	port->policy = config->policy;
	config->policy = (struct policy){0};
	if (kept)
		port->policy.acl = kept;
	/* A port that may spoof has no address to compare with. */
	memset(port->policy.guard.mac, 0, ETH_ADDR_LEN);
	if (!config->spoofing)
		memcpy(port->policy.guard.mac, vport_fwd(port)->mac, ETH_ADDR_LEN);
	tally(port, 1);
	qos_port_init(&port->qos, &port->sw->qos, &config->qos, now_ns);
}

static int check_policy(
	const struct vswitch *sw, unsigned slot, const struct vport_config *config, struct why *why)
{
	const char *error = qos_config_error(&config->qos, sw->qos.mode);
	unsigned vid, other;

	if (error)
		return refuse(why, -EINVAL, "port %s: the bandwidth %s", config->id, error);
	if (pvlan_conflicts(&sw->fwd, slot, &config->vlan, &vid, &other))
		return refuse(why, -EINVAL,
			"port %s uses VLAN %u of switch %s otherwise than port %s: a VLAN is "
			"ordinary, or primary, or secondary to one primary VLAN",
			config->id, vid, sw->name, sw->ports[other]->id);
	return 0;
}

/* Undoes attach(). */
static void detach(struct vport *port)
{
	struct vswitch *sw = port->sw;

	fdb_forget_port(sw->fwd.fdb, port->slot);
	mcast_forget_port(sw->fwd.mcast, port->slot);
	sw->fwd.ports[port->slot] = (struct fwd_port){0};
	sw->ports[port->slot] = NULL;
	while (sw->fwd.n_slots > 0 && !sw->ports[sw->fwd.n_slots - 1])
		sw->fwd.n_slots--;
	list_remove(&port->in_round);
	list_remove(&port->in_worker);
	pthread_mutex_destroy(&port->lock);
	if (sw->uplink_port == port)
		sw->uplink_port = NULL;
	pvlan_map(&sw->fwd);
	vport_place_statics(sw);
}

static int check_new_port(
	const struct fabric *fabric, const struct vport_config *config, struct why *why)
{
	if (!vswitch_is_name(config->id, VPORT_ID_MAX_LEN))
		return refuse(why, -EINVAL,
			"a port name has 1 to %u characters and no control characters among them",
			VPORT_ID_MAX_LEN);
	if (vport_find(fabric, config->id))
		return refuse(why, -EEXIST, "there is a port %s already", config->id);
	return 0;
}

static void uplink_moved(struct io *io _unused_, void *data)
{
	struct vport *port = data;

	__atomic_store_n(&port->uplink_moved, true, __ATOMIC_RELAXED);
}

void vport_name_uplink(struct vport *port)
{
	snprintf(port->id, sizeof(port->id), "uplink:%s", port->sw->uplink);
}

int vport_new_uplink(const struct fabric *fabric, struct vswitch *sw, const char *uplink,
	struct io *io, struct why *why)
{
	char id[VPORT_ID_MAX_LEN + 1];
	struct vport_config config = {.id = id, .spoofing = true};
	struct vport *port;
	int r;

	snprintf(id, sizeof(id), "uplink:%s", uplink);
	vlan_policy_uplink(&config.vlan);
	r = check_new_port(fabric, &config, why);
	r = r ?: attach(sw, &config, io, &port, why);
	if (r < 0)
		return r;
	take_policy(port, &config, clock_mono_ns());
	if (io_is_team(io))
		io_team_on_change(io, uplink_moved, port);
	snprintf(sw->uplink, sizeof(sw->uplink), "%s", uplink);
	sw->uplink_port = port;
	vport_place_statics(sw);
	return 0;
}

int vport_new(const struct fabric *fabric, struct vswitch *sw, struct vport_config *config,
	struct io *io, struct vport **ret_port, struct why *why)
{
	struct fwd_port address = {0};
	struct vport *port;
	int r = check_new_port(fabric, config, why);

	memcpy(address.mac, config->mac, ETH_ADDR_LEN);
	if (r == 0 && (!fwd_port_has_mac(&address) || config->mac[0] & 1))
		r = refuse(why, -EINVAL, "port %s needs a unicast MAC address", config->id);
	if (r == 0)
		r = check_policy(sw, FWD_MAX_PORTS, config, why);
	if (r == 0)
		r = attach(sw, config, io, &port, why);
	if (r < 0)
		return r;
	if (!config->muted)
		r = pin(port, why);
	if (r < 0) {
		detach(port);
		free(port);
		return r;
	}
	take_policy(port, config, clock_mono_ns());
	vport_place_statics(sw);
	sw->n_ports++;
	*ret_port = port;
	return 0;
}

void vport_free(struct vport *port)
{
	if (!port)
		return;
	if (!vport_is_uplink(port))
		port->sw->n_ports--;
	tally(port, -1);
	policy_fini(&port->policy);
	capture_free(port->capture);
	detach(port);
	io_free(port->io);
	free(port);
}

int vport_reconfigure(
	struct vport *port, struct vport_config *config, uint64_t now_ns, struct why *why)
{
	struct fwd_port *fwd = vport_fwd(port);
	struct fwd_port before = *fwd;
	struct why ignored;
	int r = check_policy(port->sw, port->slot, config, why);

	if (r < 0)
		return r;
	/* What was learned here was learned under the old rules. */
	fdb_forget_port(port->sw->fwd.fdb, port->slot);
	fwd->vlan = config->vlan;
	fwd->spoofing = config->spoofing;
	pvlan_map(&port->sw->fwd);
	r = fwd->muted ? 0 : pin(port, why);
	if (r < 0) {
		*fwd = before;
		pvlan_map(&port->sw->fwd);
		(void)pin(port, &ignored); /* it was there a moment ago */
		return r;
	}
	vport_place_statics(port->sw);
	take_policy(port, config, now_ns);
	return 0;
}

void vport_mute(struct vport *port)
{
	const struct vport *uplink = port->sw->uplink_port;

	/* It is about to be heard from outside. */
	if (uplink && uplink != port && io_is_team(uplink->io))
		io_team_forget(uplink->io, vport_fwd(port)->mac);
	vport_fwd(port)->muted = true;
	port->announcing.rounds_left = 0;
	fdb_forget_port(port->sw->fwd.fdb, port->slot);
	vport_place_statics(port->sw);
}

int vport_open(struct vport *port, struct why *why)
{
	int r;

	if (port->shut)
		return refuse(
			why, -EPIPE, "port %s is shut: %s", port->id, io_reason(port->io) ?: "?");
	if (!vport_fwd(port)->muted)
		return 0;
	r = pin(port, why);
	if (r == 0)
		vport_fwd(port)->muted = false;
	return r;
}

bool vport_shut(struct vport *port)
{
	struct vport *uplink = port->sw->uplink_port;
	bool first;

	pthread_rwlock_wrlock(&port->sw->lock);
	/* It may be told to forget an address. */
	if (uplink)
		pthread_mutex_lock(&uplink->lock);
	first = !__atomic_exchange_n(&port->shut, true, __ATOMIC_RELAXED);
	if (first)
		vport_mute(port);
	if (uplink)
		pthread_mutex_unlock(&uplink->lock);
	pthread_rwlock_unlock(&port->sw->lock);
	return first;
}
