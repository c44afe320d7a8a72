/* SPDX-License-Identifier: MIT
 *
 * switchd_sync.c - the switches of the switch process follow the store. Each sync compares the
 * records with what is known and asks for the difference; an answer brings the next sync. What was
 * refused is not asked for again until the record says something else.
 */
#include "node/svc/switchd_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "fabric/open.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- attempts ---- */

struct attempt *attempt_new(struct switchd *sw, const struct known_switch *known,
	const char *ifname, const char *what, struct json *settings)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (!attempt) {
		json_unref(settings);
		return NULL;
	}
	*attempt = (struct attempt){.sw = sw, .id = known->id, .what = what, .settings = settings};
	snprintf(attempt->name, sizeof(attempt->name), "%s", known->name);
	snprintf(attempt->ifname, sizeof(attempt->ifname), "%s", ifname ? ifname : "");
	return attempt;
}

void attempt_free(struct attempt *attempt)
{
	if (!attempt)
		return;
	json_unref(attempt->settings);
	free(attempt);
}

static struct known_switch *find_id(struct switchd *sw, uint64_t id)
{
	struct known_switch *known;

	list_for_each(known, &sw->known, link) {
		if (known->id == id)
			return known;
	}
	return NULL;
}

static struct known_switch *find_name(struct switchd *sw, const char *name)
{
	struct known_switch *known;

	list_for_each(known, &sw->known, link) {
		if (strcmp(known->name, name) == 0)
			return known;
	}
	return NULL;
}

struct known_switch *attempt_answered(
	const struct attempt *attempt, int error, const struct json *reply)
{
	if (error < 0)
		log_error("%s switch %s failed: %s", attempt->what, attempt->name,
			json_get_string(reply, "error", strerror(-error)));
	return find_id(attempt->sw, attempt->id);
}

int attempt_send(struct attempt *attempt, const char *op, struct json *message, const int *fds,
	size_t n_fds, chan_reply_fn fn)
{
	int r = -ENOMEM;

	if (attempt)
		r = chan_call(attempt->sw->chan, op, message, fds, n_fds, SWITCHD_CALL_TIMEOUT_NS,
			fn, attempt);
	else
		json_unref(message);
	if (r < 0)
		attempt_free(attempt);
	return r;
}

void attempt_on_done(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	attempt_answered(data, error, reply);
	attempt_free(data);
}

/* ---- settings that follow the store ---- */

bool followed_wants(const struct followed *followed, const struct json *wanted)
{
	return !followed->asked && !json_is_equal(followed->applied, wanted) &&
	       (!followed->refused || !json_is_equal(followed->refused, wanted));
}

void followed_answer(struct followed *followed, int error, const struct json *settings)
{
	struct json **kept = error < 0 ? &followed->refused : &followed->applied;

	followed->asked = false;
	json_unref(take_ptr(followed->refused));
	json_unref(*kept);
	*kept = json_copy(settings);
}

void followed_fini(struct followed *followed)
{
	json_unref(take_ptr(followed->applied));
	json_unref(take_ptr(followed->refused));
}

static void known_free(struct known_switch *known)
{
	list_remove(&known->link);
	known_adapters_free(known);
	followed_fini(&known->uplinks);
	followed_fini(&known->bandwidth);
	followed_fini(&known->statics);
	free(known);
}

void known_switches_forget(struct switchd *sw)
{
	struct known_switch *known, *after;

	list_for_each_safe(known, after, &sw->known, link)
		known_free(known);
}

/* ---- uplinks ---- */

struct sockets_of {
	int fds[SWITCH_MAX_UPLINKS + 1]; /* and what tells of links, of a team */
	size_t n;
};

static void close_sockets(struct sockets_of *sockets)
{
	for (size_t i = 0; i < sockets->n; i++)
		close(sockets->fds[i]);
	sockets->n = 0;
}

static int open_link_watch(const char *name, struct sockets_of *sockets)
{
	int r = fabric_open_link_watch(&sockets->fds[sockets->n]);

	if (r == 0) {
		sockets->n++;
		return 0;
	}
	log_error("switch %s: links of its team cannot be watched: %s", name, strerror(-r));
	close_sockets(sockets);
	return r;
}

/* An adapter of a switch carries nothing else. Whether it may be taken was asked when the record
 * was written; by now it is the switch's. */
static void take_uplink(struct svc *svc, const char *name, const char *uplink)
{
	char error[256] = "";

	if (svc->host && nic_take(svc, uplink, name, true, error, sizeof(error)) < 0)
		log_warning("switch %s: %s carries something else, too: %s", name, uplink, error);
}

static void release_uplinks(struct svc *svc, const struct json *link)
{
	const struct json *uplinks = json_get(link, "uplinks");

	for (size_t i = 0; svc->host && i < json_length(uplinks); i++)
		nic_release(svc, json_string(json_at(uplinks, i), ""));
}

static int open_sockets(
	struct svc *svc, const char *name, const struct json *link, struct sockets_of *ret_sockets)
{
	const struct json *uplinks = json_get(link, "uplinks");

	ret_sockets->n = 0;
	for (size_t i = 0; i < json_length(uplinks) && i < SWITCH_MAX_UPLINKS; i++) {
		const char *uplink = json_string(json_at(uplinks, i), "");
		int r;

		take_uplink(svc, name, uplink);
		r = fabric_open_uplink(uplink, &ret_sockets->fds[i]);

		if (r < 0) {
			log_error("switch %s: its network adapter %s cannot be used: %s", name,
				uplink, strerror(-r));
			close_sockets(ret_sockets);
			return r;
		}
		ret_sockets->n++;
	}
	return ret_sockets->n > 1 ? open_link_watch(name, ret_sockets) : 0;
}

static void set_all(struct json *message, const struct json *settings)
{
	struct json *value;
	const char *key;
	void *at = NULL;

	while (json_next(settings, &at, &key, &value))
		json_set(message, key, json_copy(value));
}

/* ---- making ---- */

static void on_created(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);

	attempt_free(attempt);
	if (known && error == 0) {
		known->ready = true;
		switchd_sync(sw); /* it may want adapters */
	}
}

static struct json *create_message(
	const char *name, const struct json *record, const struct known_switch *known)
{
	struct json *message = json_object_new();
	const char *uplink = json_get_string(record, "uplink", NULL);

	json_set_string(message, "name", name);
	json_set_string(message, "type", json_get_string(record, "type", ""));
	if (uplink)
		json_set_string(message, "uplink", uplink);
	else if (json_get(record, "uplinks"))
		set_all(message, known->uplinks.applied);
	if (json_get(record, "bandwidth_mode") || json_get(record, "link_bps"))
		set_all(message, known->bandwidth.applied);
	return message;
}

static int create_switch(struct switchd *sw, const char *name, const struct json *record)
{
	struct known_switch *known = calloc(1, sizeof(*known));
	struct sockets_of sockets;
	int r;

	if (!known)
		return -ENOMEM;
	snprintf(known->name, sizeof(known->name), "%s", name);
	known->id = ++sw->next_id;
	known->seen = true;
	known->uplinks.applied = switch_link(record);
	known->bandwidth.applied = switch_bandwidth(record);
	known->statics.applied = switch_statics(NULL);
	list_init(&known->adapters);
	list_append(&sw->known, &known->link);
	r = open_sockets(sw->svc, name, known->uplinks.applied, &sockets);
	if (r < 0)
		return r;
	r = attempt_send(attempt_new(sw, known, NULL, "making", NULL), "switch.create",
		create_message(name, record, known), sockets.fds, sockets.n, on_created);
	close_sockets(&sockets);
	return r;
}

/* ---- changing ---- */

/* Settings that are told as they are in the record. */
static const struct setting {
	const char *what, *op;
	const char *switch_key; /* of the request */
	size_t followed_at;     /* in struct known_switch */
	struct json *(*read)(const struct json *record);
} told[] = {
	{"changing the bandwidth of", "switch.set", "name",
		offsetof(struct known_switch, bandwidth), switch_bandwidth},
	{"setting the static addresses of", "fdb.set", "switch",
		offsetof(struct known_switch, statics), switch_statics},
};

static struct followed *followed_of(struct known_switch *known, size_t at)
{
	return (struct followed *)((char *)known + at);
}

static void on_told(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);

	if (known)
		followed_answer(followed_of(known, attempt->followed_at), error, attempt->settings);
	attempt_free(attempt);
	switchd_sync(sw);
}

static void want_setting(struct switchd *sw, struct known_switch *known,
	const struct setting *setting, const struct json *record)
{
	struct followed *followed = followed_of(known, setting->followed_at);
	struct json *wanted = setting->read(record), *message;
	struct attempt *attempt;

	if (!followed_wants(followed, wanted)) {
		json_unref(wanted);
		return;
	}
	message = json_copy(wanted);
	json_set_string(message, setting->switch_key, known->name);
	attempt = attempt_new(sw, known, NULL, setting->what, wanted);
	if (attempt)
		attempt->followed_at = setting->followed_at;
	followed->asked = attempt_send(attempt, setting->op, message, NULL, 0, on_told) == 0;
}

static void on_bound(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);
	_cleanup_json_ struct json *before = NULL;

	if (known) {
		before = known->uplinks.applied ? json_ref(known->uplinks.applied) : NULL;
		followed_answer(&known->uplinks, error, attempt->settings);
	}
	if (error == 0)
		release_uplinks(sw->svc, before);
	attempt_free(attempt);
	switchd_sync(sw);
}

static void want_uplinks(struct switchd *sw, struct known_switch *known, const struct json *record)
{
	_cleanup_json_ struct json *wanted = switch_link(record);
	struct sockets_of sockets;
	struct json *message;
	int r;

	if (!followed_wants(&known->uplinks, wanted))
		return;
	r = open_sockets(sw->svc, known->name, wanted, &sockets);
	if (r < 0) {
		followed_answer(&known->uplinks, r, wanted);
		return;
	}
	message = json_copy(wanted);
	json_set_string(message, "name", known->name);
	known->uplinks.asked =
		attempt_send(
			attempt_new(sw, known, NULL, "binding the uplinks of", json_ref(wanted)),
			"switch.rebind", message, sockets.fds, sockets.n, on_bound) == 0;
	close_sockets(&sockets);
}

/* ---- renaming ---- */

/* Requests that follow use the new name already: they are answered behind this one. */
static void on_renamed(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct known_switch *known = attempt_answered(attempt, error, reply);

	if (known && error < 0)
		snprintf(known->name, sizeof(known->name), "%s", attempt->name);
	attempt_free(attempt);
}

static void rename_switch(struct switchd *sw, struct known_switch *known, const char *to)
{
	struct attempt *attempt = attempt_new(sw, known, NULL, "renaming", NULL);
	struct json *message = json_object_new();

	json_set_string(message, "name", known->name);
	json_set_string(message, "to", to);
	if (attempt_send(attempt, "switch.rename", message, NULL, 0, on_renamed) == 0)
		snprintf(known->name, sizeof(known->name), "%s", to);
}

/* ---- in line with the store ---- */

struct superseding {
	const char *name;
	bool found;
};

static int check_superseding(
	const char *key _unused_, const struct json *record, uint64_t version _unused_, void *data)
{
	struct superseding *s = data;

	s->found |= strcmp(json_get_string(record, "renamed_from", ""), s->name) == 0;
	return s->found;
}

/* Another record has taken over, and this one goes soon. */
static bool is_superseded(struct switchd *sw, const char *name)
{
	struct superseding s = {.name = name};
	char prefix[SVC_NAME_MAX_LEN + 16];

	snprintf(prefix, sizeof(prefix), "switch/%s/", cluster_local_name(sw->svc->cluster));
	cluster_for_each(sw->svc->cluster, prefix, check_superseding, &s);
	return s.found;
}

static int sync_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;
	const char *name = strrchr(key, '/') + 1;
	const char *former = json_get_string(record, "renamed_from", NULL);
	struct known_switch *known = find_name(sw, name);

	if (is_superseded(sw, name))
		return 0;
	if (!known && former) {
		known = find_name(sw, former);
		if (known)
			rename_switch(sw, known, name);
	}
	if (!known) {
		create_switch(sw, name, record);
		return 0;
	}
	known->seen = true;
	if (!known->ready)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		want_setting(sw, known, &told[i], record);
	want_uplinks(sw, known, record);
	known_adapters_sync(sw, known, record);
	return 0;
}

static void on_deleted(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;

	attempt_answered(attempt, error, reply);
	if (error == 0)
		release_uplinks(attempt->sw->svc, attempt->settings);
	attempt_free(attempt);
}

/* The switch process refuses to delete a switch with ports. */
static void delete_switch(struct switchd *sw, struct known_switch *known)
{
	struct json *link = known->uplinks.applied ? json_ref(known->uplinks.applied) : NULL;
	struct attempt *attempt = attempt_new(sw, known, NULL, "deleting", link);
	struct json *message = json_object_new();

	known_adapters_remove(sw, known);
	json_set_string(message, "name", known->name);
	attempt_send(attempt, "switch.delete", message, NULL, 0, on_deleted);
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
		known_free(known);
	}
}
