/* SPDX-License-Identifier: MIT */
#include "fabric/switch.h"
#include "base/clock.h"
#include "fabric/reach.h"

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

bool vswitch_is_name(const char *name, size_t max_len)
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

/* Learning must not wait for ever while others look things up. */
static void init_locks(struct vswitch *sw)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sw->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	pthread_mutex_init(&sw->qos_lock, NULL);
}

/* What vswitch_new() allocated; NULL members are fine. */
static void vswitch_fini(struct vswitch *sw)
{
	reach_free(sw->reach);
	mcast_free(sw->fwd.mcast);
	fdb_free(sw->fwd.fdb);
	pthread_mutex_destroy(&sw->qos_lock);
	pthread_rwlock_destroy(&sw->lock);
	free(sw);
}

static void vswitch_free(struct fabric *fabric, struct vswitch *sw)
{
	for (unsigned i = 0; i < sw->fwd.n_slots; i++)
		vport_free(sw->ports[i]);
	list_remove(&sw->siblings);
	fabric->n_switches--;
	vswitch_fini(sw);
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
	return sw->uplink_port;
}

/* Is this adapter in the list "eth0,eth1"? */
static bool lists_adapter(const char *list, const char *name, size_t len)
{
	for (; *list; list += strcspn(list, ",") + (strchr(list, ',') != NULL)) {
		if (strcspn(list, ",") == len && memcmp(list, name, len) == 0)
			return true;
	}
	return false;
}

static int check_name(const struct fabric *fabric, const char *name, struct why *why)
{
	if (!vswitch_is_name(name, VSWITCH_NAME_MAX_LEN))
		return refuse(why, -EINVAL,
			"a switch name has 1 to %u characters and no control characters among them",
			VSWITCH_NAME_MAX_LEN);
	if (vswitch_find(fabric, name))
		return refuse(why, -EEXIST, "there is a switch %s already", name);
	return 0;
}

/* An adapter carries one switch and nothing else. `own` may have it already. */
static int check_uplink(
	const struct fabric *fabric, const struct vswitch *own, const char *uplink, struct why *why)
{
	const struct vswitch *sw;

	if (!uplink || !vswitch_is_name(uplink, VSWITCH_UPLINK_MAX_LEN))
		return refuse(why, -EINVAL, "an external switch needs the name of its uplink");
	for (const char *at = uplink; *at; at += strcspn(at, ",") + (strchr(at, ',') != NULL)) {
		int len = (int)strcspn(at, ",");

		if (len == 0 || (at[len] && lists_adapter(at + len + 1, at, (size_t)len)))
			return refuse(why, -EINVAL,
				"the uplink \"%.80s\" names an adapter twice, or none", uplink);
		list_for_each(sw, &fabric->switches, siblings) {
			if (sw != own && lists_adapter(sw->uplink, at, (size_t)len))
				return refuse(why, -EBUSY,
					"%.*s is the uplink of switch %s already", len, at,
					sw->name);
		}
	}
	return 0;
}

static int check_new_switch(const struct fabric *fabric, const char *name, enum vswitch_type type,
	const char *uplink, struct why *why)
{
	int r = check_name(fabric, name, why);

	if (r < 0)
		return r;
	if (fabric->n_switches == FABRIC_MAX_SWITCHES)
		return refuse(why, -ENOSPC, "there are %u switches already, the most there can be",
			FABRIC_MAX_SWITCHES);
	if (type == VSWITCH_EXTERNAL)
		return check_uplink(fabric, NULL, uplink, why);
	return uplink ? refuse(why, -EINVAL, "switches of type %s have no uplink", type_names[type])
		      : 0;
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
	if (!sw)
		return refuse(why, -ENOMEM, "out of memory");
	init_locks(sw);
	r = fdb_new(FDB_DEFAULT_ENTRIES, seed, &sw->fwd.fdb);
	r = r ?: mcast_new(seed, &sw->fwd.mcast);
	if (r < 0) {
		vswitch_fini(sw);
		return refuse(why, r, "out of memory");
	}
	qos_link_init(&sw->qos, QOS_WEIGHT, 0, clock_mono_ns());
	sw->type = type;
	snprintf(sw->name, sizeof(sw->name), "%s", name);
	r = type == VSWITCH_EXTERNAL ? vport_new_uplink(fabric, sw, uplink, uplink_io, why) : 0;
	if (r < 0) {
		vswitch_fini(sw);
		return r;
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

int vswitch_rename(
	const struct fabric *fabric, struct vswitch *sw, const char *name, struct why *why)
{
	int r = strcmp(sw->name, name) == 0 ? 0 : check_name(fabric, name, why);

	if (r == 0)
		snprintf(sw->name, sizeof(sw->name), "%s", name);
	return r;
}

void vswitch_set_statics(struct vswitch *sw, const struct fdb_static *statics, unsigned n_statics)
{
	sw->n_statics = MIN(n_statics, FDB_MAX_STATIC);
	memcpy(sw->statics, statics, sw->n_statics * sizeof(statics[0]));
	vport_place_statics(sw);
}

int vswitch_rebind(struct fabric *fabric, struct vswitch *sw, const char *uplink,
	struct io *uplink_io, struct why *why)
{
	struct vport *before = sw->uplink_port;
	char name[VSWITCH_UPLINK_MAX_LEN + 1];
	int r = uplink ? check_uplink(fabric, sw, uplink, why) : 0;

	if (r == 0 && sw->type == VSWITCH_PRIVATE)
		r = refuse(why, -EINVAL, "switch %s is private: it never has an uplink", sw->name);
	if (r < 0)
		return r;
	/* The new port may have the old one's name. */
	memcpy(name, sw->uplink, sizeof(name));
	if (before)
		before->id[0] = '\0';
	r = uplink ? vport_new_uplink(fabric, sw, uplink, uplink_io, why) : 0;
	if (r < 0) {
		memcpy(sw->uplink, name, sizeof(name));
		sw->uplink_port = before;
		if (before)
			vport_name_uplink(before);
		return r;
	}
	if (!uplink) {
		sw->uplink_port = NULL;
		sw->uplink[0] = '\0';
	}
	vport_free(before);
	sw->type = uplink ? VSWITCH_EXTERNAL : VSWITCH_INTERNAL;
	return 0;
}
