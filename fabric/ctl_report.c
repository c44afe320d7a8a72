/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"
#include "base/chan.h"
#include "fabric/io_team.h"

#include <string.h>

/* Leaves room for the rest of the message. */
#define PAGE_BYTES (CHAN_MAX_BYTES * 3 / 4)

/* Items - switches, each followed by its ports - are numbered, and a reply holds a run of them. */
struct page {
	uint64_t at, from;
	size_t size_bytes;
	bool full;
};

/* Whether the next item belongs into this page; measures it. */
static bool page_takes(struct page *page, const struct json *item)
{
	_cleanup_free_ char *text = NULL;

	if (page->full || page->at < page->from)
		return false;
	text = json_dump(item, 0);
	page->size_bytes += text ? strlen(text) : 0;
	/* At least one item, however long it is: a page must get on. */
	page->full = page->size_bytes > PAGE_BYTES && page->at > page->from;
	return !page->full;
}

static int page_end(const struct page *page, struct json *reply)
{
	return page->full ? json_set_int(reply, "next", (int64_t)page->at) : 0;
}

static int set_member(struct json *members, const struct io_team_member *member)
{
	struct json *object = json_object_new();
	int r = json_append(members, object);

	r = r ?: json_set_string(object, "name", member->name);
	r = r ?: json_set_bool(object, "up", member->up);
	r = r ?: json_set_bool(object, "active", member->active);
	r = r ?: json_set_int(object, "changes", (int64_t)member->n_changes);
	r = r ?: json_set_int(object, "rx_frames", (int64_t)member->rx_frames);
	r = r ?: json_set_int(object, "tx_frames", (int64_t)member->tx_frames);
	return r ?: json_set_string(object, "reason", member->reason);
}

/* Of an uplink of several adapters. */
static int set_team(struct json *object, const struct vswitch *sw)
{
	struct io_team_member members[TEAM_MAX_MEMBERS];
	struct json *team, *list;
	unsigned n;
	int r;

	if (!sw->uplink_port || !io_is_team(sw->uplink_port->io))
		return 0;
	team = json_object_new();
	list = json_array_new();
	r = json_set(object, "team", team);
	r = json_set(team, "members", list) ?: r;
	r = r ?: json_set_string(team, "mode", team_mode_name(io_team_mode(sw->uplink_port->io)));
	n = io_team_members(sw->uplink_port->io, members);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = set_member(list, &members[i]);
	return r;
}

static struct json *switch_object(const struct vswitch *sw)
{
	struct json *object = json_object_new();

	if (object &&
		(json_set_string(object, "name", sw->name) < 0 ||
			json_set_string(object, "type", vswitch_type_name(sw->type)) < 0 ||
			json_set_string(object, "uplink", sw->uplink[0] ? sw->uplink : NULL) < 0 ||
			json_set_string(object, "bandwidth_mode", ctl_qos_mode_name(sw->qos.mode)) <
				0 ||
			json_set_int(object, "link_bps", (int64_t)sw->qos.link_bps) < 0 ||
			set_team(object, sw) < 0 ||
			json_set(object, "ports", json_array_new()) < 0)) {
		json_unref(object);
		return NULL;
	}
	return object;
}

static int page_port(struct page *page, const struct vport *port, struct json *ports)
{
	_cleanup_json_ struct json *object = NULL;
	int r = 0;

	if (page->full)
		return 0;
	if (page->at >= page->from) {
		object = ctl_report_port(port);
		if (!object)
			return -ENOMEM;
		if (page_takes(page, object))
			r = json_append(ports, json_ref(object));
	}
	if (!page->full)
		page->at++;
	return r;
}

static int page_switch(struct page *page, const struct vswitch *sw, struct json *switches)
{
	_cleanup_json_ struct json *object = switch_object(sw);
	struct json *ports = json_get(object, "ports");
	bool shown;
	int r = object ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	shown = page_takes(page, object);
	if (!page->full)
		page->at++;
	for (unsigned i = 0; i < sw->fwd.n_slots && r == 0; i++) {
		if (sw->ports[i])
			r = page_port(page, sw->ports[i], ports);
	}
	if (r == 0 && (shown || json_length(ports) > 0))
		r = json_append(switches, json_ref(object));
	return r;
}

int ctl_report_switches(const struct fabric *fabric, uint64_t from, struct json *reply)
{
	struct page page = {.from = from};
	struct json *switches = json_array_new();
	const struct vswitch *sw;
	int r = json_set(reply, "switches", switches);

	if (r < 0)
		return r;
	list_for_each(sw, &fabric->switches, siblings) {
		if (r == 0 && !page.full)
			r = page_switch(&page, sw, switches);
	}
	return r ?: page_end(&page, reply);
}

/* A page of entries of one of the switch's tables. */
struct entries {
	const struct vswitch *sw;
	struct page page;
	struct json *list;
	int error;
};

/* One more; `object`, taken over, was made only if entries_want() it. */
static bool entries_want(const struct entries *entries)
{
	return entries->page.at >= entries->page.from;
}

static bool entries_add(struct entries *entries, struct json *object, int error)
{
	if (entries_want(entries)) {
		entries->error = object ? error : -ENOMEM;
		if (entries->error == 0 && page_takes(&entries->page, object))
			entries->error = json_append(entries->list, json_ref(object));
	}
	json_unref(object);
	if (!entries->page.full)
		entries->page.at++;
	return entries->error == 0 && !entries->page.full;
}

static int set_entry(struct json *object, const struct vswitch *sw, const struct fdb_entry *entry)
{
	int r = entry->vid == FDB_ANY_VLAN ? json_set_string(object, "vlan", NULL)
					   : json_set_int(object, "vlan", entry->vid);

	r = r ?: ctl_set_mac(object, "mac", entry->mac);
	r = r ?: json_set_string(object, "port", sw->ports[entry->port]->id);
	r = r ?: json_set_bool(object, "static", entry->pinned);
	return r ?: json_set_int(object, "age_s", (int64_t)(entry->age_ns / NS_PER_SEC));
}

static bool report_entry(const struct fdb_entry *entry, void *data)
{
	struct entries *entries = data;
	struct json *object = entries_want(entries) ? json_object_new() : NULL;

	return entries_add(entries, object, object ? set_entry(object, entries->sw, entry) : 0);
}

int ctl_report_fdb(const struct vswitch *sw, uint64_t from, uint64_t now_ns, struct json *reply)
{
	struct entries entries = {.sw = sw, .page.from = from, .list = json_array_new()};
	int r = json_set(reply, "entries", entries.list);

	if (r < 0)
		return r;
	fdb_for_each(sw->fwd.fdb, now_ns, report_entry, &entries);
	return entries.error ?: page_end(&entries.page, reply);
}

static int set_group(struct json *object, const struct vswitch *sw, const struct mcast_entry *entry)
{
	int r = json_set_int(object, "vlan", entry->vid);

	r = r ?: ctl_set_mac(object, "mac", entry->mac);
	r = r ?: json_set_string(object, "port", sw->ports[entry->port]->id);
	return r ?: json_set_int(object, "age_s", (int64_t)(entry->age_ns / NS_PER_SEC));
}

static bool report_group(const struct mcast_entry *entry, void *data)
{
	struct entries *entries = data;
	struct json *object = entries_want(entries) ? json_object_new() : NULL;

	return entries_add(entries, object, object ? set_group(object, entries->sw, entry) : 0);
}

int ctl_report_groups(const struct vswitch *sw, uint64_t from, uint64_t now_ns, struct json *reply)
{
	struct entries entries = {.sw = sw, .page.from = from, .list = json_array_new()};
	int r = json_set(reply, "entries", entries.list);

	if (r < 0)
		return r;
	mcast_for_each(sw->fwd.mcast, now_ns, report_group, &entries);
	return entries.error ?: page_end(&entries.page, reply);
}
