/* SPDX-License-Identifier: MIT
 *
 * switchd_uplinks.c - switches are made, and bound to adapters of the host. What cannot be had is
 * not asked for again until something changes that it hangs on: the record, an adapter that comes
 * or goes, another switch that lets go of one.
 */
#include "node/svc/switchd_internal.h"

#include "base/log.h"
#include "fabric/open.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* ---- sockets ---- */

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

/* An adapter of a switch carries nothing else. Whether it may be taken was asked when the record
 * was written; by now it is the switch's. */
static void take_uplink(struct svc *svc, const char *name, const char *uplink)
{
	char error[256] = "";

	if (svc->host && nic_take(svc, uplink, name, true, error, sizeof(error)) < 0)
		log_warning("switch %s: %s carries something else, too: %s", name, uplink, error);
}

void uplinks_release(struct svc *svc, const struct json *settings)
{
	_cleanup_json_ struct json *uplinks = settings ? switch_uplinks(settings) : NULL;

	for (size_t i = 0; svc->host && i < json_length(uplinks); i++)
		nic_release(svc, json_string(json_at(uplinks, i), ""));
}

/* On failure `why` says why. */
static int open_uplink(struct svc *svc, const char *name, const char *uplink, int *ret_fd,
	char why[FOLLOWED_WHY_BYTES])
{
	int r = if_nametoindex(uplink) ? 0 : -ENODEV;

	if (r == 0) {
		take_uplink(svc, name, uplink);
		r = fabric_open_uplink(uplink, ret_fd);
	}
	if (r == -ENODEV)
		snprintf(why, FOLLOWED_WHY_BYTES, "there is no network adapter '%.15s'", uplink);
	else if (r < 0)
		snprintf(why, FOLLOWED_WHY_BYTES, "network adapter %.15s cannot be used: %s",
			uplink, strerror(-r));
	return r;
}

static int open_sockets(struct svc *svc, const char *name, const struct json *link,
	struct sockets_of *ret_sockets, char why[FOLLOWED_WHY_BYTES])
{
	const struct json *uplinks = json_get(link, "uplinks");
	int r = 0;

	ret_sockets->n = 0;
	for (size_t i = 0; i < json_length(uplinks) && i < SWITCH_MAX_UPLINKS && r == 0; i++) {
		r = open_uplink(
			svc, name, json_string(json_at(uplinks, i), ""), &ret_sockets->fds[i], why);
		ret_sockets->n += r == 0;
	}
	if (r == 0 && ret_sockets->n > 1) {
		r = fabric_open_link_watch(&ret_sockets->fds[ret_sockets->n]);
		ret_sockets->n += r == 0;
		if (r < 0)
			snprintf(why, FOLLOWED_WHY_BYTES,
				"the links of its team cannot be watched: %s", strerror(-r));
	}
	if (r == 0)
		return 0;
	log_error("switch %s does not have its uplink: %s", name, why);
	close_sockets(ret_sockets);
	return r;
}

/* ---- which adapters those were ---- */

static void note_nics(struct uplink_nics *nics, const struct json *link)
{
	const struct json *uplinks = json_get(link, "uplinks");

	nics->n = MIN(json_length(uplinks), (size_t)SWITCH_MAX_UPLINKS);
	for (size_t i = 0; i < nics->n; i++) {
		const char *name = json_string(json_at(uplinks, i), "");

		snprintf(nics->nics[i].name, sizeof(nics->nics[i].name), "%s", name);
		nics->nics[i].ifindex = if_nametoindex(name);
	}
}

static bool are_others(const struct uplink_nics *nics)
{
	for (size_t i = 0; i < nics->n; i++) {
		if (if_nametoindex(nics->nics[i].name) != nics->nics[i].ifindex)
			return true;
	}
	return false;
}

static void forget_refusal(struct switchd *sw, struct followed *followed)
{
	_cleanup_json_ struct json *refused = take_ptr(followed->refused);

	/* What was taken for it, unless a record still names it. */
	uplinks_release(sw->svc, refused);
}

void known_uplinks_forget_refusals(struct switchd *sw)
{
	struct known_switch *known;

	list_for_each(known, &sw->known, link) {
		forget_refusal(sw, &known->made);
		forget_refusal(sw, &known->uplinks);
	}
}

/* An adapter that was removed and came back under its name is another: the switch process holds a
 * socket that is bound to nothing. True: there is something to ask for. */
static bool look_at_nics(struct switchd *sw, struct known_switch *known)
{
	bool others = false;

	if (known->made.asked || known->uplinks.asked)
		return false; /* the answer brings a look */
	if ((known->made.refused || known->uplinks.refused) && are_others(&known->tried)) {
		forget_refusal(sw, &known->made);
		forget_refusal(sw, &known->uplinks);
		others = true;
	}
	if (known->uplinks.applied && are_others(&known->bound)) {
		json_unref(take_ptr(known->uplinks.applied));
		others = true;
	}
	return others;
}

bool known_uplinks_changed(struct switchd *sw)
{
	struct known_switch *known;
	bool changed = false;

	list_for_each(known, &sw->known, link)
		changed |= look_at_nics(sw, known);
	return changed;
}

/* ---- making ---- */

static void on_made(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);

	if (known)
		followed_answer(&known->made, error, reply, attempt->settings);
	if (known && error == 0) {
		known->ready = true;
		known->bound = known->tried;
		known->uplinks.applied = switch_link(attempt->settings);
		known->bandwidth.applied = switch_bandwidth(attempt->settings);
		known->statics.applied = switch_statics(NULL);
	}
	attempt_free(attempt);
	switchd_sync(sw); /* it may want adapters, or what it was refused for went */
}

static void set_all(struct json *to, const struct json *settings)
{
	struct json *value;
	const char *key;
	void *at = NULL;

	while (json_next(settings, &at, &key, &value))
		json_set(to, key, json_copy(value));
}

/* What the switch process makes it of. */
static struct json *making_of(const struct json *record)
{
	_cleanup_json_ struct json *link = switch_link(record);
	_cleanup_json_ struct json *bandwidth = switch_bandwidth(record);
	const char *uplink = json_get_string(record, "uplink", NULL);
	struct json *settings = json_object_new();

	json_set_string(settings, "type", json_get_string(record, "type", ""));
	if (uplink)
		json_set_string(settings, "uplink", uplink);
	else if (json_get(record, "uplinks"))
		set_all(settings, link);
	if (json_get(record, "bandwidth_mode") || json_get(record, "link_bps"))
		set_all(settings, bandwidth);
	return settings;
}

void known_switch_make(struct switchd *sw, struct known_switch *known, const struct json *record)
{
	_cleanup_json_ struct json *wanted = making_of(record);
	_cleanup_json_ struct json *link = switch_link(record);
	char why[FOLLOWED_WHY_BYTES] = "";
	struct sockets_of sockets;
	struct json *message;

	look_at_nics(sw, known);
	if (!followed_wants(&known->made, wanted))
		return;
	forget_refusal(sw, &known->made);
	note_nics(&known->tried, link);
	if (open_sockets(sw->svc, known->name, link, &sockets, why) < 0) {
		followed_refuse(&known->made, wanted, why);
		return;
	}
	message = json_copy(wanted);
	json_set_string(message, "name", known->name);
	known->made.asked = attempt_send(attempt_new(sw, known, NULL, "making", json_ref(wanted)),
				    "switch.create", message, sockets.fds, sockets.n, on_made) == 0;
	close_sockets(&sockets);
}

/* ---- binding to others ---- */

static void on_bound(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);
	_cleanup_json_ struct json *before = NULL;

	if (known) {
		before = known->uplinks.applied ? json_ref(known->uplinks.applied) : NULL;
		followed_answer(&known->uplinks, error, reply, attempt->settings);
	}
	if (known && error == 0)
		known->bound = known->tried;
	if (error == 0) {
		uplinks_release(sw->svc, before);
		known_uplinks_forget_refusals(sw);
	}
	attempt_free(attempt);
	switchd_sync(sw);
}

void known_uplinks_sync(struct switchd *sw, struct known_switch *known, const struct json *record)
{
	_cleanup_json_ struct json *wanted = switch_link(record);
	char why[FOLLOWED_WHY_BYTES] = "";
	struct sockets_of sockets;
	struct json *message;

	look_at_nics(sw, known);
	if (known->uplinks.refused && !json_is_equal(known->uplinks.refused, wanted))
		forget_refusal(sw, &known->uplinks);
	if (!followed_wants(&known->uplinks, wanted))
		return;
	note_nics(&known->tried, wanted);
	if (open_sockets(sw->svc, known->name, wanted, &sockets, why) < 0) {
		followed_refuse(&known->uplinks, wanted, why);
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

/* ---- deleting ---- */

static void append_nics(struct json *uplinks, const struct uplink_nics *nics)
{
	for (size_t i = 0; i < nics->n; i++)
		json_append_string(uplinks, nics->nics[i].name);
}

struct json *known_uplinks_all(const struct known_switch *known)
{
	struct json *settings = json_object_new(), *uplinks = json_array_new();

	append_nics(uplinks, &known->bound);
	append_nics(uplinks, &known->tried);
	json_set(settings, "uplinks", uplinks);
	return settings;
}
