/* SPDX-License-Identifier: MIT
 *
 * switchd_sync.c - the switches of the switch process follow the store. Each sync compares the
 * records with what is known and asks for the difference; an answer brings the next sync. What was
 * refused is not asked for again until the record says something else.
 */
#include "node/svc/switchd_internal.h"

#include "base/clock.h"
#include "base/log.h"

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

struct known_switch *known_switch_find(const struct switchd *sw, const char *name)
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

void followed_refuse(struct followed *followed, const struct json *settings, const char *why)
{
	followed->asked = false;
	json_unref(take_ptr(followed->refused));
	followed->refused = json_copy(settings);
	snprintf(followed->why, sizeof(followed->why), "%s", why);
}

void followed_answer(
	struct followed *followed, int error, const struct json *reply, const struct json *settings)
{
	if (error < 0) {
		followed_refuse(
			followed, settings, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	followed->asked = false;
	json_unref(take_ptr(followed->refused));
	json_unref(followed->applied);
	followed->applied = json_copy(settings);
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
	followed_fini(&known->made);
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
		followed_answer(
			followed_of(known, attempt->followed_at), error, reply, attempt->settings);
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
	struct attempt *attempt;
	struct json *message;

	if (!known->ready && !known->made.asked) {
		snprintf(known->name, sizeof(known->name), "%s", to);
		return;
	}
	attempt = attempt_new(sw, known, NULL, "renaming", NULL);
	message = json_object_new();
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

static struct known_switch *known_new(struct switchd *sw, const char *name)
{
	struct known_switch *known = calloc(1, sizeof(*known));

	if (!known)
		return NULL;
	snprintf(known->name, sizeof(known->name), "%s", name);
	known->id = ++sw->next_id;
	list_init(&known->adapters);
	list_append(&sw->known, &known->link);
	return known;
}

static int sync_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;
	const char *name = strrchr(key, '/') + 1;
	const char *former = json_get_string(record, "renamed_from", NULL);
	struct known_switch *known = known_switch_find(sw, name);

	if (is_superseded(sw, name))
		return 0;
	if (!known && former) {
		known = known_switch_find(sw, former);
		if (known)
			rename_switch(sw, known, name);
	}
	if (!known)
		known = known_new(sw, name);
	if (!known)
		return 0;
	known->seen = true;
	if (!known->ready) {
		known_switch_make(sw, known, record);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		want_setting(sw, known, &told[i], record);
	known_uplinks_sync(sw, known, record);
	known_adapters_sync(sw, known, record);
	return 0;
}

static void on_deleted(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;

	attempt_answered(attempt, error, reply);
	if (error == 0) {
		uplinks_release(sw->svc, attempt->settings);
		known_uplinks_forget_refusals(sw);
	}
	attempt_free(attempt);
	switchd_sync(sw);
}

/* The switch process refuses to delete a switch with ports. */
static void delete_switch(struct switchd *sw, struct known_switch *known)
{
	struct json *all = known_uplinks_all(known);
	struct attempt *attempt;
	struct json *message;

	if (!known->ready && !known->made.asked) {
		uplinks_release(sw->svc, all);
		json_unref(all);
		return;
	}
	attempt = attempt_new(sw, known, NULL, "deleting", all);
	message = json_object_new();
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
	known_states_publish(sw);
}
