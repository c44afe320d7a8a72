/* SPDX-License-Identifier: MIT
 *
 * switchd_state.c - has the switch process what the records of this node's switches ask for? What
 * it has not stands in the store as well, for those who ask other nodes.
 */
#include "node/svc/switchd_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define KEY_BYTES (2 * SVC_NAME_MAX_LEN + 24)

static const char *not_there(const struct json *record)
{
	return strcmp(json_get_string(record, "type", ""), "external") == 0 ? "not bound"
									    : "not made";
}

/* What else it would not take: it goes on without. */
static const char *refused_setting(const struct known_switch *known)
{
	if (known->bandwidth.refused)
		return known->bandwidth.why;
	return known->statics.refused ? known->statics.why : "";
}

/* And what carries its frames meanwhile. */
static void explain_uplinks(const struct known_switch *known, char *why, size_t size_bytes)
{
	const struct json *still = json_get(known->uplinks.applied, "uplinks");
	size_t len;

	snprintf(why, size_bytes, "%s", known->uplinks.why);
	for (size_t i = 0; i < json_length(still); i++) {
		len = strlen(why);
		snprintf(why + len, size_bytes - len, "%s%s", i ? "," : "; it still has ",
			json_string(json_at(still, i), ""));
	}
}

const char *known_switch_state(const struct switchd *sw, const char *name,
	const struct json *record, char *why, size_t size_bytes)
{
	const struct known_switch *known = known_switch_find(sw, name);
	_cleanup_json_ struct json *link = switch_link(record);

	snprintf(why, size_bytes, "%s",
		sw->chan ? "" : "the switch process does not run; it is started again in a moment");
	if (!sw->chan)
		return not_there(record);
	if (known && !known->ready && known->made.refused) {
		snprintf(why, size_bytes, "%s", known->made.why);
		return not_there(record);
	}
	if (!known || !known->ready)
		return "coming";
	if (json_is_equal(known->uplinks.applied, link)) {
		snprintf(why, size_bytes, "%s", refused_setting(known));
		return "up";
	}
	if (!known->uplinks.refused)
		return "coming";
	explain_uplinks(known, why, size_bytes);
	return not_there(record);
}

/* ---- in the store ---- */

static void on_published(int error, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;

	sw->n_publishing--;
	if (error < 0)
		log_debug("the state of a switch was not published: %s", strerror(-error));
	else
		known_states_publish(sw);
}

/* Takes over `value`. */
static void publish(struct switchd *sw, const char *key, struct json *value)
{
	sw->n_publishing++;
	if (cluster_cas(sw->svc->cluster, key, CLUSTER_ANY_VERSION, value, on_published, sw) < 0)
		sw->n_publishing--;
}

static void state_key(const struct switchd *sw, const char *name, char key[KEY_BYTES])
{
	snprintf(key, KEY_BYTES, "switchstate/%.63s/%.63s", cluster_local_name(sw->svc->cluster),
		name);
}

static int publish_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;
	const char *name = strrchr(key, '/') + 1;
	char why[SWITCHD_WHY_BYTES];
	const char *state = known_switch_state(sw, name, record, why, sizeof(why));
	_cleanup_json_ struct json *wanted = NULL;
	const struct json *stored = NULL;
	char at[KEY_BYTES];
	uint64_t at_version;

	if (strcmp(state, "coming") == 0)
		return 0; /* what it was until now */
	if (why[0]) {
		wanted = json_object_new();
		json_set_string(wanted, "state", state);
		json_set_string(wanted, "reason", why);
	}
	state_key(sw, name, at);
	(void)cluster_get(sw->svc->cluster, at, &stored, &at_version);
	if (!json_is_equal(stored, wanted))
		publish(sw, at, take_ptr(wanted));
	return 0;
}

/* Of a switch that is no more. */
static int withdraw_one(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	struct switchd *sw = data;
	char of[KEY_BYTES];
	const struct json *record;
	uint64_t of_version;

	snprintf(of, sizeof(of), "switch/%.63s/%.63s", cluster_local_name(sw->svc->cluster),
		strrchr(key, '/') + 1);
	if (cluster_get(sw->svc->cluster, of, &record, &of_version) < 0)
		publish(sw, key, NULL);
	return 0;
}

void known_states_publish(struct switchd *sw)
{
	struct cluster *cluster = sw->svc->cluster;
	char key[KEY_BYTES];

	/* One set of changes at a time: each is compared with what the ones before have left. */
	if (sw->n_publishing > 0 || !cluster_is_quorate(cluster) || !cluster_is_synced(cluster))
		return;
	snprintf(key, sizeof(key), "switch/%s/", cluster_local_name(cluster));
	cluster_for_each(cluster, key, publish_one, sw);
	state_key(sw, "", key);
	cluster_for_each(cluster, key, withdraw_one, sw);
}
