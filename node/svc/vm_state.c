/* SPDX-License-Identifier: MIT
 *
 * vm_state.c - what the store says of a VM's state (vmstate/NAME), in the words of its owner.
 */
#include "node/svc/svc.h"
#include "node/svc/state_events.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Said, and not written yet. */
struct word {
	struct list link;
	struct svc *svc;
	char name[SVC_NAME_MAX_LEN + 1];
	uint64_t epoch;
	struct json *value;
	bool is_superseded; /* by a later one of ours */
};

static void word_free(struct word *word)
{
	list_remove(&word->link);
	json_unref(word->value);
	free(word);
}

static void supersede(const struct word *by)
{
	struct word *word;

	list_for_each(word, &by->svc->words, link) {
		if (word->epoch <= by->epoch && strcmp(word->name, by->name) == 0)
			word->is_superseded = true;
	}
}

static void on_written(int error, uint64_t version, void *data);

/* One that comes late must not hide that of a later owner: it is written only while nobody with a
 * later epoch has spoken. */
static int write_word(struct word *word)
{
	struct cluster *cluster = word->svc->cluster;
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *before;
	uint64_t version = 0;

	snprintf(key, sizeof(key), "vmstate/%s", word->name);
	if (cluster_get(cluster, key, &before, &version) < 0)
		version = 0;
	else if ((uint64_t)json_get_int(before, "epoch", 0) > word->epoch)
		return -ESTALE;
	return cluster_cas(cluster, key, version, json_ref(word->value), on_written, word);
}

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct word *word = data;
	bool is_open = (error == -ESTALE || error == -EIO) && !word->is_superseded;
	int r = error;

	if (is_open)
		r = write_word(word);
	if (is_open && r == 0)
		return;
	if (r < 0 && r != -ESTALE)
		log_warning("the state of %s could not be published: %s", word->name, strerror(-r));
	word_free(word);
}

/* Since when: a new reason or heartbeat is no new state. */
static int64_t state_since(struct svc *svc, const char *key, uint64_t epoch, const char *state)
{
	const struct json *before;
	uint64_t version;

	if (cluster_get(svc->cluster, key, &before, &version) == 0 &&
		(uint64_t)json_get_int(before, "epoch", 0) == epoch &&
		strcmp(json_get_string(before, "state", ""), state) == 0)
		return json_get_int(before, "since", 0);
	return (int64_t)(clock_real_ns() / NS_PER_SEC);
}

void vmproc_publish(
	struct svc *svc, const char *name, uint64_t epoch, const char *state, const char *reason)
{
	vmproc_publish_with(svc, name, epoch, state, reason, NULL);
}

void vmproc_publish_with(struct svc *svc, const char *name, uint64_t epoch, const char *state,
	const char *reason, struct json *extra)
{
	struct json *value = extra ? extra : json_object_new();
	struct vmproc *vp = vmproc_find(svc, name);
	struct word *word = calloc(1, sizeof(*word));
	char key[SVC_NAME_MAX_LEN + 16];

	state_events_vm(svc, vp && vp->epoch == epoch ? vp : NULL, name, state, reason);

	snprintf(key, sizeof(key), "vmstate/%s", name);
	json_set_string(value, "node", cluster_local_name(svc->cluster));
	json_set_int(value, "epoch", (int64_t)epoch);
	json_set_string(value, "state", state);
	json_set_string(value, "reason", reason ? reason : "");
	json_set_int(value, "since", state_since(svc, key, epoch, state));
	if (vp && vp->epoch == epoch && strcmp(state, "Running") == 0)
		json_set_string(value, "heartbeat", vp->heartbeat);
	if (!word) {
		json_unref(value);
		return;
	}
	*word = (struct word){.svc = svc, .epoch = epoch, .value = value};
	snprintf(word->name, sizeof(word->name), "%s", name);
	supersede(word);
	list_append(&svc->words, &word->link);
	if (write_word(word) < 0)
		word_free(word);
}

void vmproc_publish_lost(struct svc *svc, const char *name, uint64_t epoch, const char *reason)
{
	struct json *extra = json_object_new();

	json_set_bool(extra, "restart", true);
	vmproc_publish_with(svc, name, epoch, "Off", reason, extra);
}

const struct json *vm_runs_elsewhere(struct svc *svc, const char *name, uint64_t epoch)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *state;
	uint64_t version;

	snprintf(key, sizeof(key), "vmstate/%s", name);
	if (cluster_get(svc->cluster, key, &state, &version) < 0 ||
		(uint64_t)json_get_int(state, "epoch", 0) != epoch ||
		strcmp(json_get_string(state, "state", ""), "Running") != 0)
		return NULL;
	return state;
}
