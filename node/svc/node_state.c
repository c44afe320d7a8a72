/* SPDX-License-Identifier: MIT */
#include "node/svc/node.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

const struct json *node_state(struct svc *svc, const char *node)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *state;
	uint64_t version;

	snprintf(key, sizeof(key), "nodestate/%.63s", node);
	return cluster_get(svc->cluster, key, &state, &version) == 0 ? state : NULL;
}

bool node_is_paused(struct svc *svc, const char *node)
{
	return strcmp(json_get_string(node_state(svc, node), "state", "up"), "paused") == 0;
}

struct json *node_state_copy(struct svc *svc, const char *node)
{
	const struct json *state = node_state(svc, node);
	bool own = strcmp(node, cluster_local_name(svc->cluster)) == 0;

	/* What is still to be written is later than what is there. */
	if (own && svc->nodestate)
		return json_copy(svc->nodestate);
	if (state)
		return json_copy(state);
	return json_object_new();
}

void node_state_set_drain(struct json *state, const char *status, const char *reason)
{
	json_set_string(state, "drain", status);
	json_set_string(state, "reason", reason);
	json_set_int(state, "since", (int64_t)(clock_real_ns() / NS_PER_SEC));
}

/* ---- writing ---- */

struct writing {
	struct svc *svc;
	struct json *state; /* this node's own: what svc->nodestate was then; or NULL */
	bool keep;          /* it is still to be said when it could not be written */
	cluster_done_fn fn;
	void *data;
};

static void on_written(int error, uint64_t version, void *data)
{
	_cleanup_free_ struct writing *w = data;

	/* Something newer may be under way by now. */
	if (w->state && w->svc->nodestate == w->state && (error == 0 || !w->keep))
		json_unref(take_ptr(w->svc->nodestate));
	if (error < 0)
		log_debug("the state of a node was not written: %s", strerror(-error));
	json_unref(w->state);
	if (w->fn)
		w->fn(error, version, w->data);
}

static void write_state(struct writing wanted, const char *node, struct json *state)
{
	struct writing *w = malloc(sizeof(*w));
	char key[SVC_NAME_MAX_LEN + 16];
	int r;

	if (!w) {
		json_unref(state);
		if (wanted.fn)
			wanted.fn(-ENOMEM, 0, wanted.data);
		return;
	}
	*w = wanted;
	snprintf(key, sizeof(key), "nodestate/%.63s", node);
	if (strcmp(node, cluster_local_name(w->svc->cluster)) == 0) {
		json_unref(w->svc->nodestate);
		w->svc->nodestate = state;
		w->state = json_ref(state);
		state = json_copy(state);
	}
	r = cluster_cas(w->svc->cluster, key, CLUSTER_ANY_VERSION, state, on_written, w);
	if (r < 0)
		on_written(r, 0, w);
}

void node_state_write(
	struct svc *svc, const char *node, struct json *state, cluster_done_fn fn, void *data)
{
	write_state((struct writing){.svc = svc, .fn = fn, .data = data}, node, state);
}

void node_state_say(struct svc *svc, struct json *state)
{
	write_state((struct writing){.svc = svc, .keep = true}, cluster_local_name(svc->cluster),
		state);
}

void node_state_keep(struct svc *svc)
{
	const char *self = cluster_local_name(svc->cluster);
	struct json *state;

	if (!cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster))
		return;
	if (svc->nodestate) {
		node_state_say(svc, json_copy(svc->nodestate));
		return;
	}
	if (svc->drain ||
		strcmp(json_get_string(node_state(svc, self), "drain", ""), "running") != 0)
		return;
	state = node_state_copy(svc, self);
	node_state_set_drain(state, "failed",
		"the node or its service was restarted in the midst of it; what has moved has "
		"moved");
	log_warning("a drain of this node ended with its service; 'viaduct node drain %s' begins "
		    "another one",
		self);
	node_state_say(svc, state);
}
