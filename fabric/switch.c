/* SPDX-License-Identifier: MIT */
#include "fabric/switch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char *const type_names[] = {
	[VSWITCH_EXTERNAL] = "external",
	[VSWITCH_INTERNAL] = "internal",
	[VSWITCH_PRIVATE] = "private",
};

void why_set(struct why *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
}

/* Names end up in listings and log lines. */
static bool is_name(const char *name, size_t max_len)
{
	size_t len = strlen(name);

	if (len == 0 || len > max_len)
		return false;
	for (const char *c = name; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	}
	return true;
}

void fabric_init(struct fabric *fabric)
{
	*fabric = (struct fabric){0};
	list_init(&fabric->switches);
}

static void vswitch_free(struct fabric *fabric, struct vswitch *sw)
{
	for (unsigned i = 0; i < sw->fwd.n_slots; i++)
		vport_free(sw->ports[i]);
	list_remove(&sw->siblings);
	fabric->n_switches--;
	fdb_free(sw->fwd.fdb);
	free(sw);
}

void fabric_fini(struct fabric *fabric)
{
	struct vswitch *sw, *after;

	list_for_each_safe(sw, after, &fabric->switches, siblings)
		vswitch_free(fabric, sw);
}

const char *vswitch_type_name(enum vswitch_type type)
{
	return type_names[type];
}

int vswitch_type_parse(const char *name, enum vswitch_type *ret_type)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (strcmp(name, type_names[i]) == 0) {
			*ret_type = (enum vswitch_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct vswitch *vswitch_find(const struct fabric *fabric, const char *name)
{
	struct vswitch *sw;

	list_for_each(sw, &fabric->switches, siblings) {
		if (strcmp(sw->name, name) == 0)
			return sw;
	}
	return NULL;
}

struct vport *vswitch_uplink(const struct vswitch *sw)
{
	/* It is there before any other port can be, and leaves with the switch. */
	return sw->type == VSWITCH_EXTERNAL ? sw->ports[0] : NULL;
}

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
		for (int vid = vlan_next(&own->vlan, -1); vid >= 0;
			vid = vlan_next(&own->vlan, vid)) {
			if (vlan_carries(&other->vlan, (unsigned)vid))
				return refuse(why, -EADDRINUSE,
					"the MAC address of port %s is in use by port %s in the "
					"same "
					"VLAN of switch %s",
					port->id, port->sw->ports[i]->id, port->sw->name);
		}
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
	list_init(&port->in_flush);
	sw->ports[slot] = port;
	sw->fwd.n_slots = MAX(sw->fwd.n_slots, slot + 1);
	sw->fwd.ports[slot] = (struct fwd_port){
		.present = true,
		.muted = config->muted,
		.spoofing = config->spoofing,
		.vlan = config->vlan,
	};
	memcpy(sw->fwd.ports[slot].mac, config->mac, ETH_ADDR_LEN);
	*ret_port = port;
	return 0;
}

/* Undoes attach(). */
static void detach(struct vport *port)
{
	struct vswitch *sw = port->sw;

	fdb_forget_port(sw->fwd.fdb, port->slot);
	sw->fwd.ports[port->slot] = (struct fwd_port){0};
	sw->ports[port->slot] = NULL;
	while (sw->fwd.n_slots > 0 && !sw->ports[sw->fwd.n_slots - 1])
		sw->fwd.n_slots--;
	list_remove(&port->in_round);
	list_remove(&port->in_flush);
}

static int check_new_port(
	const struct fabric *fabric, const struct vport_config *config, struct why *why)
{
	if (!is_name(config->id, VPORT_ID_MAX_LEN))
		return refuse(why, -EINVAL,
			"a port name has 1 to %u characters and no control characters among them",
			VPORT_ID_MAX_LEN);
	if (vport_find(fabric, config->id))
		return refuse(why, -EEXIST, "there is a port %s already", config->id);
	return 0;
}

int vport_new(const struct fabric *fabric, struct vswitch *sw, const struct vport_config *config,
	struct io *io, struct vport **ret_port, struct why *why)
{
	struct fwd_port address = {0};
	struct vport *port;
	int r = check_new_port(fabric, config, why);

	memcpy(address.mac, config->mac, ETH_ADDR_LEN);
	if (r == 0 && (!fwd_port_has_mac(&address) || config->mac[0] & 1))
		r = refuse(why, -EINVAL, "port %s needs a unicast MAC address", config->id);
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
	detach(port);
	io_free(port->io);
	free(port);
}

static int check_new_switch(const struct fabric *fabric, const char *name, enum vswitch_type type,
	const char *uplink, struct why *why)
{
	const struct vswitch *sw;

	if (!is_name(name, VSWITCH_NAME_MAX_LEN))
		return refuse(why, -EINVAL,
			"a switch name has 1 to %u characters and no control characters among them",
			VSWITCH_NAME_MAX_LEN);
	if (vswitch_find(fabric, name))
		return refuse(why, -EEXIST, "there is a switch %s already", name);
	if (fabric->n_switches == FABRIC_MAX_SWITCHES)
		return refuse(why, -ENOSPC, "there are %u switches already, the most there can be",
			FABRIC_MAX_SWITCHES);
	if (type != VSWITCH_EXTERNAL)
		return uplink ? refuse(why, -EINVAL, "switches of type %s have no uplink",
					type_names[type])
			      : 0;
	if (!uplink || !is_name(uplink, VSWITCH_NAME_MAX_LEN - strlen("uplink:")))
		return refuse(why, -EINVAL, "an external switch needs the name of its uplink");
	list_for_each(sw, &fabric->switches, siblings) {
		if (strcmp(sw->uplink, uplink) == 0)
			return refuse(why, -EBUSY, "%s is the uplink of switch %s already", uplink,
				sw->name);
	}
	return 0;
}

static int attach_uplink(
	const struct fabric *fabric, struct vswitch *sw, struct io *io, struct why *why)
{
	char id[VPORT_ID_MAX_LEN + 1];
	struct vport_config config = {.id = id, .spoofing = true};
	struct vport *port;
	int r;

	snprintf(id, sizeof(id), "uplink:%s", sw->uplink);
	vlan_policy_uplink(&config.vlan);
	r = check_new_port(fabric, &config, why);
	return r < 0 ? r : attach(sw, &config, io, &port, why);
}

int vswitch_new(struct fabric *fabric, const char *name, enum vswitch_type type, const char *uplink,
	struct io *uplink_io, struct vswitch **ret_sw, struct why *why)
{
	uint64_t seed = 0;
	struct vswitch *sw;
	int r = check_new_switch(fabric, name, type, uplink, why);

	if (r < 0)
		return r;
	/* A seed of fewer bits when the kernel has none yet: worse, not wrong. */
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
	sw = calloc(1, sizeof(*sw));
	r = sw ? fdb_new(FDB_DEFAULT_ENTRIES, seed, &sw->fwd.fdb) : -ENOMEM;
	if (r < 0) {
		free(sw);
		return refuse(why, r, "out of memory");
	}
	sw->type = type;
	snprintf(sw->name, sizeof(sw->name), "%s", name);
	if (type == VSWITCH_EXTERNAL) {
		snprintf(sw->uplink, sizeof(sw->uplink), "%s", uplink);
		r = attach_uplink(fabric, sw, uplink_io, why);
		if (r < 0) {
			fdb_free(sw->fwd.fdb);
			free(sw);
			return r;
		}
	}
	list_append(&fabric->switches, &sw->siblings);
	fabric->n_switches++;
	*ret_sw = sw;
	return 0;
}

int vswitch_delete(struct fabric *fabric, struct vswitch *sw, struct why *why)
{
	if (sw->n_ports > 0)
		return refuse(why, -EBUSY, "switch %s still has %u port%s", sw->name, sw->n_ports,
			sw->n_ports == 1 ? "" : "s");
	vswitch_free(fabric, sw);
	return 0;
}

int vport_reconfigure(
	struct vport *port, const struct vlan_policy *vlan, bool spoofing, struct why *why)
{
	struct fwd_port *fwd = vport_fwd(port);
	struct fwd_port before = *fwd;
	struct why ignored;
	int r;

	/* What was learned here was learned under the old rules. */
	fdb_forget_port(port->sw->fwd.fdb, port->slot);
	fwd->vlan = *vlan;
	fwd->spoofing = spoofing;
	r = fwd->muted ? 0 : pin(port, why);
	if (r < 0) {
		*fwd = before;
		(void)pin(port, &ignored); /* it was there a moment ago */
	}
	return r;
}

void vport_mute(struct vport *port)
{
	vport_fwd(port)->muted = true;
	port->announcing.rounds_left = 0;
	fdb_forget_port(port->sw->fwd.fdb, port->slot);
}

int vport_open(struct vport *port, struct why *why)
{
	int r;

	if (port->shut)
		return refuse(why, -EPIPE, "port %s is shut: %s", port->id, port->io->reason);
	if (!vport_fwd(port)->muted)
		return 0;
	r = pin(port, why);
	if (r == 0)
		vport_fwd(port)->muted = false;
	return r;
}

void vport_shut(struct vport *port)
{
	port->shut = true;
	vport_mute(port);
}
