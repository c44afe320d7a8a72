/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"
#include "base/chan.h"

#include <string.h>

/* Leaves room for the rest of the message. */
#define PAGE_BYTES (CHAN_MAX_BYTES * 3 / 4)

static int set_mac(struct json *object, const char *key, const uint8_t mac[ETH_ADDR_LEN])
{
	return json_set_stringf(object, key, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		mac[2], mac[3], mac[4], mac[5]);
}

static int set_vlan(struct json *object, const struct vlan_policy *vlan)
{
	_cleanup_free_ char *allowed = NULL;
	int r = json_set_string(object, "mode", vlan_mode_name(vlan->mode));

	if (vlan->mode == VLAN_TRUNK) {
		allowed = vlan_list_format(vlan->allowed);
		if (!allowed)
			return -ENOMEM;
	}
	r = r ?: json_set_int(object, "vid", vlan->mode == VLAN_ACCESS ? vlan->pvid : 0);
	r = r ?: json_set_int(object, "native", vlan->mode == VLAN_TRUNK ? vlan->pvid : 0);
	return r ?: json_set_string(object, "allowed", allowed);
}

static int set_dropped(struct json *object, const struct vport *port)
{
	struct json *dropped = json_object_new();
	int r = dropped ? 0 : -ENOMEM;

	for (unsigned i = DROP_NONE + 1; i < N_DROPS && r == 0; i++) {
		uint64_t n = port->dropped[i];

		if (i == DROP_FULL)
			n += port->io->tx.n_full;
		else if (i == DROP_ERROR)
			n += port->io->tx.n_error;
		if (n)
			r = json_set_int(dropped, drop_name((enum drop)i), (int64_t)n);
	}
	if (r < 0) {
		json_unref(dropped);
		return r;
	}
	return json_set(object, "dropped", dropped);
}

static int set_identity(struct json *object, const struct vport *port)
{
	const struct fwd_port *fwd = vport_fwd(port);
	bool is_vm = strcmp(port->io->ops->kind, "vm") == 0;
	int r = json_set_string(object, "id", port->id);

	r = r ?: json_set_string(object, "kind", port->io->ops->kind);
	if (r == 0)
		r = is_vm ? json_set_stringf(
				    object, "vm", "%.*s", (int)strcspn(port->id, "/"), port->id)
			  : json_set_string(object, "vm", NULL);
	if (r == 0)
		r = vport_is_uplink(port) ? json_set_string(object, "mac", NULL)
					  : set_mac(object, "mac", fwd->mac);
	r = r ?: set_vlan(object, &fwd->vlan);
	return r ?: json_set_bool(object, "spoofing", fwd->spoofing);
}

static int set_state(struct json *object, const struct vport *port)
{
	bool muted = vport_fwd(port)->muted;
	int r = json_set_bool(object, "muted", muted);

	r = r ?: json_set_string(object, "state", port->shut ? "shut" : muted ? "muted" : "up");
	r = r ?: json_set_string(object, "reason", port->io->reason);
	r = r ?: json_set_int(object, "rx_frames", (int64_t)port->rx_frames);
	r = r ?: json_set_int(object, "rx_bytes", (int64_t)port->rx_bytes);
	r = r ?: json_set_int(object, "tx_frames", (int64_t)port->io->tx.n_frames);
	r = r ?: json_set_int(object, "tx_bytes", (int64_t)port->io->tx.n_bytes);
	return r ?: set_dropped(object, port);
}

struct json *ctl_report_port(const struct vport *port)
{
	struct json *object = json_object_new();

	if (object && (set_identity(object, port) < 0 || set_state(object, port) < 0)) {
		json_unref(object);
		return NULL;
	}
	return object;
}

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

static struct json *switch_object(const struct vswitch *sw)
{
	struct json *object = json_object_new();

	if (object &&
		(json_set_string(object, "name", sw->name) < 0 ||
			json_set_string(object, "type", vswitch_type_name(sw->type)) < 0 ||
			json_set_string(object, "uplink", sw->uplink[0] ? sw->uplink : NULL) < 0 ||
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

struct fdb_report {
	const struct vswitch *sw;
	struct page page;
	struct json *entries;
	int error;
};

static int set_entry(struct json *object, const struct vswitch *sw, const struct fdb_entry *entry)
{
	int r = entry->vid == FDB_ANY_VLAN ? json_set_string(object, "vlan", NULL)
					   : json_set_int(object, "vlan", entry->vid);

	r = r ?: set_mac(object, "mac", entry->mac);
	r = r ?: json_set_string(object, "port", sw->ports[entry->port]->id);
	r = r ?: json_set_bool(object, "static", entry->pinned);
	return r ?: json_set_int(object, "age_s", (int64_t)(entry->age_ns / NS_PER_SEC));
}

static bool report_entry(const struct fdb_entry *entry, void *data)
{
	struct fdb_report *report = data;
	_cleanup_json_ struct json *object = NULL;

	if (report->page.at >= report->page.from) {
		object = json_object_new();
		report->error = object ? set_entry(object, report->sw, entry) : -ENOMEM;
		if (report->error == 0 && page_takes(&report->page, object))
			report->error = json_append(report->entries, json_ref(object));
	}
	if (!report->page.full)
		report->page.at++;
	return report->error == 0 && !report->page.full;
}

int ctl_report_fdb(const struct vswitch *sw, uint64_t from, uint64_t now_ns, struct json *reply)
{
	struct fdb_report report = {
		.sw = sw,
		.page.from = from,
		.entries = json_array_new(),
	};
	int r = json_set(reply, "entries", report.entries);

	if (r < 0)
		return r;
	fdb_for_each(sw->fwd.fdb, now_ns, report_entry, &report);
	return report.error ?: page_end(&report.page, reply);
}
