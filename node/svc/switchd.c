/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"
#include "fabric/open.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS  (5 * NS_PER_SEC)
#define RESTART_DELAY_NS (1 * NS_PER_SEC)

/* A switch that the switch process has, as far as we know. */
struct known_switch {
	struct list link;
	char name[SVC_NAME_MAX_LEN + 1];
	bool seen;  /* in the store, during a sync */
	bool ready; /* made */
	enum { ADAPTER_NONE, ADAPTER_COMING, ADAPTER_THERE } adapter;
};

struct switchd {
	struct svc *svc;
	struct proc *proc;
	struct chan *chan;
	struct list known;
	uint64_t restart_timer;
	unsigned n_restarts;
};

static int start(struct switchd *sw);

/* ---- the process ---- */

static void forget_switches(struct switchd *sw)
{
	struct known_switch *known, *after;

	list_for_each_safe(known, after, &sw->known, link) {
		list_remove(&known->link);
		free(known);
	}
}

static void on_restart(void *data)
{
	struct switchd *sw = data;

	sw->restart_timer = 0;
	if (start(sw) == 0)
		switchd_sync(sw);
}

static void on_exit_(struct proc *proc _unused_, int wait_status, void *data)
{
	struct switchd *sw = data;
	char text[96];

	log_error(
		"viaduct-vswitchd %s: VMs of this node have no network until they are restarted or "
		"moved; the switches come back in a second",
		proc_status_text(wait_status, text, sizeof(text)));
	chan_free(take_ptr(sw->chan));
	proc_free(take_ptr(sw->proc));
	forget_switches(sw);
	sw->n_restarts++;
	loop_timer_add(sw->svc->loop, RESTART_DELAY_NS, on_restart, sw, &sw->restart_timer);
}

static void on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds _unused_, size_t n_fds _unused_, void *data _unused_)
{
	if (strcmp(op, "port.shut") == 0)
		log_warning("port %s was shut: %s", json_get_string(message, "port", "?"),
			json_get_string(message, "reason", "?"));
	if (id)
		chan_reply(chan, id, -EOPNOTSUPP, NULL, NULL, NULL, 0);
}

static void on_close(struct chan *chan _unused_, int error, void *data)
{
	struct switchd *sw = data;

	/* The exit follows; a switch that breaks the protocol but lives is killed into one. */
	if (error != -EPIPE && sw->proc)
		proc_signal(sw->proc, SIGKILL);
}

static int start(struct switchd *sw)
{
	const struct child_spec spec = {
		.program = "viaduct-vswitchd",
		.log_name = "vswitchd.log",
		.on_exit = on_exit_,
		.on_message = on_message,
		.on_close = on_close,
		.data = sw,
	};

	return child_start(sw->svc, &spec, &sw->proc, &sw->chan);
}

int switchd_new(struct svc *svc, struct switchd **ret_switchd)
{
	struct switchd *sw = calloc(1, sizeof(*sw));
	int r;

	if (!sw)
		return -ENOMEM;
	sw->svc = svc;
	list_init(&sw->known);
	r = start(sw);
	if (r < 0) {
		switchd_free(sw);
		return r;
	}
	*ret_switchd = sw;
	return 0;
}

void switchd_free(struct switchd *sw)
{
	if (!sw)
		return;
	loop_timer_remove(sw->svc->loop, sw->restart_timer);
	chan_free(sw->chan);
	proc_free(sw->proc);
	forget_switches(sw);
	free(sw);
}

int switchd_call(
	struct switchd *sw, const char *op, struct json *message, chan_reply_fn fn, void *data)
{
	if (!sw->chan) {
		json_unref(message);
		return -ENOTCONN;
	}
	return chan_call(sw->chan, op, message, NULL, 0, CALL_TIMEOUT_NS, fn, data);
}

/* ---- switches: the store says which there are ---- */

/* What a request to the switch process was about, when its answer comes. */
struct attempt {
	struct switchd *sw;
	char name[SVC_NAME_MAX_LEN + 1];
	const char *what; /* "making", "deleting", ... */
};

static struct known_switch *find_known(struct switchd *sw, const char *name);

static struct attempt *attempt_new(struct switchd *sw, const char *name, const char *what)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt) {
		attempt->sw = sw;
		attempt->what = what;
		snprintf(attempt->name, sizeof(attempt->name), "%s", name);
	}
	return attempt;
}

/* Ends the attempt; its switch, if it is known and the request succeeded. */
static struct known_switch *attempt_end(
	struct attempt *attempt, int error, const struct json *reply)
{
	struct known_switch *known = find_known(attempt->sw, attempt->name);

	if (error < 0)
		log_error("%s switch %s failed: %s", attempt->what, attempt->name,
			json_get_string(reply, "error", strerror(-error)));
	free(attempt);
	return error < 0 ? NULL : known;
}

static void on_created(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_end(attempt, error, reply);

	if (known) {
		known->ready = true;
		switchd_sync(sw); /* it may want an adapter */
	}
}

static void on_done(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	attempt_end(data, error, reply);
}

static struct known_switch *find_known(struct switchd *sw, const char *name)
{
	struct known_switch *known;

	list_for_each(known, &sw->known, link) {
		if (strcmp(known->name, name) == 0)
			return known;
	}
	return NULL;
}

static int create_switch(struct switchd *sw, const char *name, const struct json *record)
{
	struct known_switch *known = calloc(1, sizeof(*known));
	struct attempt *attempt = attempt_new(sw, name, "making");
	const char *type = json_get_string(record, "type", "");
	const char *uplink = json_get_string(record, "uplink", NULL);
	_cleanup_close_ int fd = -1;
	struct json *message;
	int r = 0;

	if (!known || !attempt) {
		free(known);
		free(attempt);
		return -ENOMEM;
	}
	snprintf(known->name, sizeof(known->name), "%s", name);
	known->seen = true;
	list_append(&sw->known, &known->link);
	if (strcmp(type, "external") == 0)
		r = uplink ? fabric_open_uplink(uplink, &fd) : -EINVAL;
	if (r < 0) {
		log_error("switch %s: its network adapter %s cannot be used: %s", name,
			uplink ? uplink : "(none)", strerror(-r));
		free(attempt);
		return r;
	}
	message = json_object_new();
	json_set_string(message, "name", name);
	json_set_string(message, "type", type);
	if (fd >= 0)
		json_set_string(message, "uplink", uplink);
	r = chan_call(sw->chan, "switch.create", message, &fd, fd >= 0, CALL_TIMEOUT_NS, on_created,
		attempt);
	if (r < 0)
		free(attempt);
	return r;
}

/* ---- the management system's own adapter: a tap with a leased address ---- */

static int adapter_vlan(const struct json *record)
{
	bool internal = strcmp(json_get_string(record, "type", ""), "internal") == 0;

	return (int)json_get_int(record, "management", internal ? 0 : -1);
}

static void on_adapter(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct known_switch *known = attempt_end(data, error, reply);

	if (known)
		known->adapter = ADAPTER_THERE;
}

static int add_adapter(struct switchd *sw, const char *name, const char *mac_text)
{
	char key[2 * SVC_NAME_MAX_LEN + 16], ifname[16];
	struct attempt *attempt;
	const struct json *record;
	_cleanup_close_ int fd = -1;
	struct json *message;
	unsigned b[6];
	uint8_t mac[6];
	uint64_t version;
	int r;

	snprintf(key, sizeof(key), "switch/%s/%s", cluster_local_name(sw->svc->cluster), name);
	r = cluster_get(sw->svc->cluster, key, &record, &version);
	if (r < 0 || !sw->chan)
		return r < 0 ? r : -ENOTCONN;
	if (sscanf(mac_text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) !=
		6)
		return -EBADMSG;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	snprintf(ifname, sizeof(ifname), "vs-%.12s", name);
	r = fabric_open_tap(ifname, mac, &fd);
	if (r < 0)
		return r;
	attempt = attempt_new(sw, name, "adding the management adapter of");
	message = json_object_new();
	json_set_string(message, "switch", name);
	json_set_stringf(message, "port", "management/%s", ifname);
	json_set_string(message, "mac", mac_text);
	json_set_string(message, "mode", adapter_vlan(record) > 0 ? "access" : "untagged");
	if (adapter_vlan(record) > 0)
		json_set_int(message, "vid", adapter_vlan(record));
	r = attempt ? chan_call(sw->chan, "port.add_tap", message, &fd, 1, CALL_TIMEOUT_NS,
			      on_adapter, attempt)
		    : -ENOMEM;
	if (r < 0)
		free(attempt);
	return r;
}

static void on_adapter_mac(int error, const char *mac, void *data)
{
	struct attempt *attempt = data;
	struct known_switch *known = find_known(attempt->sw, attempt->name);

	if (error == 0 && known)
		error = add_adapter(attempt->sw, attempt->name, mac);
	if (error < 0) {
		log_warning("switch %s has no management adapter yet: %s", attempt->name,
			strerror(-error));
		if (known)
			known->adapter = ADAPTER_NONE; /* the next sync tries again */
	}
	free(attempt);
}

static void want_adapter(struct switchd *sw, struct known_switch *known)
{
	struct attempt *attempt;
	char owner[2 * SVC_NAME_MAX_LEN + 16];

	if (!cluster_is_quorate(sw->svc->cluster) || !cluster_is_synced(sw->svc->cluster))
		return;
	attempt = attempt_new(sw, known->name, "leasing an address for");
	snprintf(owner, sizeof(owner), "switch/%s/%s", cluster_local_name(sw->svc->cluster),
		known->name);
	known->adapter = ADAPTER_COMING;
	if (!attempt ||
		cluster_mac_lease(sw->svc->cluster, owner, NULL, on_adapter_mac, attempt) < 0) {
		known->adapter = ADAPTER_NONE;
		free(attempt);
	}
}

static int sync_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;
	const char *name = strrchr(key, '/') + 1;
	struct known_switch *known = find_known(sw, name);

	if (!known) {
		create_switch(sw, name, record);
		return 0;
	}
	known->seen = true;
	if (known->ready && known->adapter == ADAPTER_NONE && adapter_vlan(record) >= 0)
		want_adapter(sw, known);
	return 0;
}

/* The switch process refuses to delete a switch with ports; requests are answered in order. */
static void delete_switch(struct switchd *sw, const struct known_switch *known)
{
	struct attempt *attempt = attempt_new(sw, known->name, "deleting");
	struct json *message;

	if (known->adapter == ADAPTER_THERE) {
		struct attempt *first =
			attempt_new(sw, known->name, "removing the management adapter of");

		message = json_object_new();
		json_set_stringf(message, "port", "management/vs-%.12s", known->name);
		if (!first || chan_call(sw->chan, "port.remove", message, NULL, 0, CALL_TIMEOUT_NS,
				      on_done, first) < 0)
			free(first);
	}
	message = json_object_new();
	json_set_string(message, "name", known->name);
	if (!attempt || chan_call(sw->chan, "switch.delete", message, NULL, 0, CALL_TIMEOUT_NS,
				on_done, attempt) < 0)
		free(attempt);
}

void switchd_sync(struct switchd *sw)
{
	char prefix[SVC_NAME_MAX_LEN + 16];
	struct known_switch *known, *after;

	if (!sw->chan || !cluster_local_name(sw->svc->cluster))
		return;
	snprintf(prefix, sizeof(prefix), "switch/%s/", cluster_local_name(sw->svc->cluster));
	list_for_each(known, &sw->known, link)
		known->seen = false;
	cluster_for_each(sw->svc->cluster, prefix, sync_one, sw);
	list_for_each_safe(known, after, &sw->known, link) {
		if (known->seen)
			continue;
		delete_switch(sw, known);
		list_remove(&known->link);
		free(known);
	}
}

struct resolve {
	const char *reference;
	char *text;
	size_t size_bytes;
	bool by_logical, found;
};

static int resolve_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct resolve *r = data;
	const char *name = strrchr(key, '/') + 1;
	const char *known_as = r->by_logical ? json_get_string(record, "logical", "") : name;

	if (strcmp(known_as, r->reference) != 0)
		return 0;
	snprintf(r->text, r->size_bytes, "%s", name);
	r->found = true;
	return 1;
}

const char *switchd_resolve(
	struct svc *svc, const char *node, const char *reference, char *text, size_t size_bytes)
{
	struct resolve r = {.reference = reference, .text = text, .size_bytes = size_bytes};
	char prefix[SVC_NAME_MAX_LEN + 16];

	snprintf(prefix, sizeof(prefix), "switch/%s/", node);
	cluster_for_each(svc->cluster, prefix, resolve_one, &r);
	if (!r.found) {
		r.by_logical = true;
		cluster_for_each(svc->cluster, prefix, resolve_one, &r);
	}
	return r.found ? text : NULL;
}
