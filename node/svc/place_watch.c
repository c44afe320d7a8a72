/* SPDX-License-Identifier: MIT
 *
 * place_watch.c - says when a VM of this node has nowhere else to go. A check costs a picture and a
 * question for each VM of this node and each other one; so there is one a few seconds after a
 * change, however many there were.
 */
#include "node/svc/place_view.h"

#include "base/clock.h"
#include "node/svc/events.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

#define CHECK_AFTER_NS (3 * NS_PER_SEC)

struct place_watch {
	struct svc *svc;
	uint64_t timer;
	bool is_due;
	struct json *can_move; /* {VM: bool} of those that run here, as of the last check */
};

int place_watch_new(struct svc *svc, struct place_watch **ret_watch)
{
	struct place_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->svc = svc;
	watch->can_move = json_object_new();
	if (!watch->can_move) {
		free(watch);
		return -ENOMEM;
	}
	*ret_watch = watch;
	return 0;
}

void place_watch_free(struct place_watch *watch)
{
	if (!watch)
		return;
	loop_timer_remove(watch->svc->loop, watch->timer);
	json_unref(watch->can_move);
	free(watch);
}

/* Each node's first reason, as far as there is room. */
static void explain(struct place_watch *watch, const struct place *place, const char *vm,
	char *text, size_t size_bytes)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(watch->svc->cluster, nodes, ARRAY_LEN(nodes)), len = 0;
	struct place_reason reason;

	text[0] = '\0';
	for (size_t i = 0; i < n && len < size_bytes; i++) {
		if (nodes[i].id == cluster_local_id(watch->svc->cluster) ||
			place_why_not(place, vm, nodes[i].id, &reason, 1) < 1)
			continue;
		len += (size_t)snprintf(text + len, size_bytes - len, "%s%s: %s", len ? "; " : "",
			nodes[i].name, reason.text);
	}
}

static void report(
	struct place_watch *watch, const struct place *place, const char *vm, uint32_t target)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(watch->svc->cluster, nodes, ARRAY_LEN(nodes));
	char object[SVC_NAME_MAX_LEN + 8], why[384];

	snprintf(object, sizeof(object), "vm/%s", vm);
	if (!target) {
		explain(watch, place, vm, why, sizeof(why));
		events_add(watch->svc, EVENT_WARNING, "vm.nowhere-to-go", object,
			"no other node can take %s any more: %s", vm, why);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == target)
			events_add(watch->svc, EVENT_INFO, "vm.can-move-again", object,
				"%s can move again, to %s", vm, nodes[i].name);
	}
}

static void look(
	struct place_watch *watch, const struct place *place, const char *vm, struct json *now)
{
	uint32_t target = place_choose(place, vm, cluster_local_id(watch->svc->cluster));
	const struct json *before = json_get(watch->can_move, vm);

	json_set_bool(now, vm, target != 0);
	if (before && json_get_bool(watch->can_move, vm, false) != (target != 0))
		report(watch, place, vm, target);
}

static void check(struct place_watch *watch)
{
	struct json *now = json_object_new();
	struct place *place = NULL;
	struct place_listed *vms = NULL;
	size_t n = 0;

	if (now && place_view(watch->svc, &place) == 0 && place_list(place, &vms, &n) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (vms[i].is_running &&
				vms[i].node_id == cluster_local_id(watch->svc->cluster))
				look(watch, place, vms[i].name, now);
		}
		json_unref(watch->can_move);
		watch->can_move = take_ptr(now);
	}
	json_unref(now);
	free(vms);
	place_free(place);
}

static void on_due(void *data)
{
	struct place_watch *watch = data;

	watch->is_due = false;
	/* Without quorum nothing moves anyway, and what is read may be old. */
	if (cluster_is_synced(watch->svc->cluster) && cluster_is_quorate(watch->svc->cluster))
		check(watch);
}

void place_watch_touch(struct place_watch *watch)
{
	if (watch && !watch->is_due &&
		loop_timer_add(watch->svc->loop, CHECK_AFTER_NS, on_due, watch, &watch->timer) == 0)
		watch->is_due = true;
}

void place_watch_key(struct place_watch *watch, const char *key)
{
	static const char *const kinds[] = {"node/", "nodepolicy/", "nodestate/", "owner/vm/",
		"policy/", "switch/", "switchstate/", "vlan/", "vm/", "vmstate/", "volume/"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strncmp(key, kinds[i], strlen(kinds[i])) == 0)
			place_watch_touch(watch);
	}
}
