/* SPDX-License-Identifier: MIT */
#include "node/svc/switchd_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "fabric/open.h"
#include "node/svc/events.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define RESTART_DELAY_NS (1 * NS_PER_SEC)
#define LIST_MAX_PARTS   4096

static int start(struct switchd *sw);

/* ---- the process ---- */

static const char *own_name(const struct switchd *sw)
{
	const char *name = sw->svc->cluster ? cluster_local_name(sw->svc->cluster) : NULL;

	return name && name[0] ? name : "this";
}

static void on_restart(void *data)
{
	struct switchd *sw = data;
	char object[CLUSTER_NAME_MAX_LEN + 8];

	sw->restart_timer = 0;
	snprintf(object, sizeof(object), "node/%s", own_name(sw));
	if (start(sw) < 0)
		return;
	events_add(sw->svc, EVENT_INFO, "switch.process-restarted", object,
		"viaduct-vswitchd runs again");
	switchd_sync(sw);
}

static void on_exit_(struct proc *proc _unused_, int wait_status, void *data)
{
	struct switchd *sw = data;
	char text[96], object[CLUSTER_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "node/%s", own_name(sw));
	events_add(sw->svc, EVENT_ERROR, "switch.process-ended", object,
		"viaduct-vswitchd %s: VMs of this node have no network until they are restarted or "
		"moved; the switches come back in a second",
		proc_status_text(wait_status, text, sizeof(text)));
	chan_free(take_ptr(sw->chan));
	proc_free(take_ptr(sw->proc));
	known_switches_forget(sw);
	sw->n_restarts++;
	loop_timer_add(sw->svc->loop, RESTART_DELAY_NS, on_restart, sw, &sw->restart_timer);
}

static void on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct switchd *sw = data;
	const char *port = json_get_string(message, "port", "?");
	const char *name = json_get_string(message, "switch", "?");
	char object[SVC_NAME_MAX_LEN + 8];
	const char *reason = json_get_string(message, "reason", NULL);

	snprintf(object, sizeof(object), "switch/%.63s", name);
	if (strcmp(op, "port.shut") == 0)
		events_add(sw->svc, EVENT_WARNING, "port.shut", object, "port %s was shut: %s",
			port, reason ? reason : "?");
	else if (strcmp(op, "address.duplicate") == 0)
		events_add(sw->svc, EVENT_ERROR, "port.duplicate-address", object,
			"the MAC address of port %s is at two places: frames from it come in by "
			"%s, "
			"too",
			port, json_get_string(message, "uplink", "?"));
	else if (strcmp(op, "uplink.moved") == 0)
		events_add(sw->svc, EVENT_WARNING, "uplink.moved", object, "%s: %s", port,
			reason ? reason : "another member of the team carries its frames now");
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

/* ---- adapters that come and go ---- */

/* What was told is not read: the switches' own adapters are looked for. */
static void on_links(int fd, short revents _unused_, void *data)
{
	struct switchd *sw = data;
	char told[8192];

	/* ENOBUFS: more was told than there was room for. */
	while (recv(fd, told, sizeof(told), MSG_DONTWAIT) > 0 || errno == ENOBUFS || errno == EINTR)
		;
	if (known_uplinks_changed(sw))
		switchd_sync(sw);
}

static void watch_links(struct switchd *sw)
{
	int r = fabric_open_link_watch(&sw->link_watch_fd);

	if (r == 0)
		r = loop_fd_add(sw->svc->loop, sw->link_watch_fd, POLLIN, on_links, sw);
	if (r < 0)
		log_warning(
			"adapters of the host that come and go are not noticed: %s", strerror(-r));
}

int switchd_new(struct svc *svc, struct switchd **ret_switchd)
{
	struct switchd *sw = calloc(1, sizeof(*sw));
	int r;

	if (!sw)
		return -ENOMEM;
	sw->svc = svc;
	sw->link_watch_fd = -1;
	list_init(&sw->known);
	r = start(sw);
	if (r < 0) {
		switchd_free(sw);
		return r;
	}
	watch_links(sw);
	*ret_switchd = sw;
	return 0;
}

void switchd_free(struct switchd *sw)
{
	if (!sw)
		return;
	loop_timer_remove(sw->svc->loop, sw->restart_timer);
	if (sw->link_watch_fd >= 0)
		loop_fd_remove(sw->svc->loop, sw->link_watch_fd);
	close_fd(sw->link_watch_fd);
	chan_free(sw->chan);
	proc_free(sw->proc);
	known_switches_forget(sw);
	free(sw);
}

int switchd_call(
	struct switchd *sw, const char *op, struct json *message, chan_reply_fn fn, void *data)
{
	if (!sw->chan) {
		json_unref(message);
		return -ENOTCONN;
	}
	return chan_call(sw->chan, op, message, NULL, 0, SWITCHD_CALL_TIMEOUT_NS, fn, data);
}

bool switchd_knows(struct switchd *sw, const char *name)
{
	return known_switch_find(sw, name) != NULL;
}

const char *switchd_state(struct switchd *sw, const char *name, const struct json *record,
	char *why, size_t size_bytes)
{
	return known_switch_state(sw, name, record, why, size_bytes);
}

/* ---- all switches and ports: answers come in parts ---- */

struct list_all {
	struct svc *svc;
	struct json *switches;
	void (*fn)(const struct json *switches, void *data);
	void *data;
	unsigned n_parts;
};

static void list_part(struct list_all *all, const struct json *from);

static void list_end(struct list_all *all, bool whole)
{
	all->fn(whole ? all->switches : NULL, all->data);
	json_unref(all->switches);
	free(all);
}

/* The ports of a switch may be spread over parts. */
static void merge_switch(struct json *switches, const struct json *part)
{
	const struct json *ports = json_get(part, "ports");
	struct json *last = json_at(switches, json_length(switches) - 1);

	if (!json_length(switches) ||
		strcmp(json_get_string(last, "name", ""), json_get_string(part, "name", "")) != 0) {
		json_append(switches, json_copy(part));
		return;
	}
	for (size_t i = 0; i < json_length(ports); i++)
		json_append(json_get(last, "ports"), json_copy(json_at(ports, i)));
}

static void on_part(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct list_all *all = data;
	const struct json *switches = json_get(reply, "switches"), *next = json_get(reply, "next");

	for (size_t i = 0; error == 0 && i < json_length(switches); i++)
		merge_switch(all->switches, json_at(switches, i));
	if (error < 0 || !next)
		list_end(all, error == 0);
	else
		list_part(all, next);
}

static void list_part(struct list_all *all, const struct json *from)
{
	struct json *message = json_object_new();

	if (from)
		json_set(message, "from", json_copy(from));
	if (++all->n_parts > LIST_MAX_PARTS) {
		json_unref(message);
		list_end(all, false);
	} else if (switchd_call(all->svc->switchd, "switch.list", message, on_part, all) < 0) {
		list_end(all, false);
	}
}

void switchd_list(struct svc *svc, void (*fn)(const struct json *switches, void *data), void *data)
{
	struct list_all *all = calloc(1, sizeof(*all));

	if (!all) {
		fn(NULL, data);
		return;
	}
	*all = (struct list_all){.svc = svc, .switches = json_array_new(), .fn = fn, .data = data};
	list_part(all, NULL);
}

/* ---- what a reference means ---- */

struct resolve {
	const char *reference;
	const char *key; /* of the record that must be the reference; NULL: its own name */
	char *text;
	size_t size_bytes;
	bool found;
};

static int resolve_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct resolve *r = data;
	const char *name = strrchr(key, '/') + 1;
	const char *known_as = r->key ? json_get_string(record, r->key, "") : name;

	if (strcmp(known_as, r->reference) != 0)
		return 0;
	snprintf(r->text, r->size_bytes, "%s", name);
	r->found = true;
	return 1;
}

const char *switchd_resolve(
	struct svc *svc, const char *node, const char *reference, char *text, size_t size_bytes)
{
	/* A switch that was just renamed is found by both of its names. */
	static const char *const keys[] = {"renamed_from", NULL, "logical"};
	struct resolve r = {.reference = reference, .text = text, .size_bytes = size_bytes};
	char prefix[SVC_NAME_MAX_LEN + 16];

	if (!reference[0])
		return NULL;
	snprintf(prefix, sizeof(prefix), "switch/%s/", node);
	for (size_t i = 0; !r.found && i < ARRAY_LEN(keys); i++) {
		r.key = keys[i];
		cluster_for_each(svc->cluster, prefix, resolve_one, &r);
	}
	return r.found ? text : NULL;
}

void switchd_reference(struct svc *svc, const char *name, char *text, size_t size_bytes)
{
	char key[2 * SVC_NAME_MAX_LEN + 16];
	const struct json *record;
	uint64_t version;

	snprintf(key, sizeof(key), "switch/%s/%s", cluster_local_name(svc->cluster), name);
	if (cluster_get(svc->cluster, key, &record, &version) < 0)
		record = NULL;
	snprintf(text, size_bytes, "%s", json_get_string(record, "logical", name));
}
