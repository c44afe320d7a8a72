/* SPDX-License-Identifier: MIT */
#include "node/svc/state_events.h"

#include "node/svc/events.h"

#include <stdio.h>
#include <string.h>

/* ---- VMs ---- */

static const struct {
	const char *state, *id;
	enum event_level level;
	const char *text;
} vm_events[] = {
	{"Running", "vm.started", EVENT_INFO, "it runs"},
	{"Paused", "vm.paused", EVENT_INFO, "it stands still"},
	{"Saved", "vm.saved", EVENT_INFO, "its state was saved, and it is off"},
	{"Off", "vm.stopped", EVENT_INFO, "it is off"},
	{"Failed", "vm.failed", EVENT_ERROR, "it failed"},
};

void state_events_vm(
	struct svc *svc, struct vmproc *vp, const char *name, const char *state, const char *reason)
{
	char object[SVC_NAME_MAX_LEN + 8];
	bool resumed = vp && strcmp(vp->said, "Paused") == 0 && strcmp(state, "Running") == 0;

	/* A heartbeat or a reason that changes is no new state. */
	if (vp && strcmp(vp->said, state) == 0)
		return;
	snprintf(object, sizeof(object), "vm/%s", name);
	for (size_t i = 0; i < ARRAY_LEN(vm_events); i++) {
		if (strcmp(vm_events[i].state, state) != 0)
			continue;
		if (resumed)
			events_add(svc, EVENT_INFO, "vm.resumed", object, "it goes on");
		else
			events_add(svc, vm_events[i].level, vm_events[i].id, object, "%s%s%s",
				vm_events[i].text, reason && *reason ? ": " : "",
				reason ? reason : "");
		if (vp)
			snprintf(vp->said, sizeof(vp->said), "%s", state);
	}
}

/* ---- the cluster ---- */

struct watch_state {
	bool has_quorum;
	size_t n;
	struct {
		uint32_t id;
		bool up, known;
	} nodes[CLUSTER_MAX_NODES];
};

static bool is_reporter(struct svc *svc, const struct cluster_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].is_member && nodes[i].has_service && !nodes[i].is_silent)
			return nodes[i].id == cluster_local_id(svc->cluster);
	}
	return false;
}

static void report_node(struct svc *svc, const struct cluster_node *node, bool up)
{
	char object[CLUSTER_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "node/%s", node->name);
	if (up)
		events_add(svc, EVENT_INFO, "node.joined", object, "%s takes part", node->name);
	else
		events_add(svc, EVENT_WARNING, "node.left", object, "%s %s", node->name,
			!node->is_member     ? "is not reached any more"
			: !node->has_service ? "is without its viaductd"
					     : "does not answer: its viaductd stands still");
}

static void watch_nodes(struct svc *svc, struct watch_state *w)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	bool reporter = is_reporter(svc, nodes, n);

	for (size_t i = 0; i < n; i++) {
		bool up = nodes[i].is_member && nodes[i].has_service && !nodes[i].is_silent;
		size_t k = 0;

		while (k < w->n && w->nodes[k].id != nodes[i].id)
			k++;
		if (k == ARRAY_LEN(w->nodes))
			continue;
		w->n = MAX(w->n, k + 1);
		w->nodes[k].id = nodes[i].id;
		/* Of itself a node only ever says that it takes part. What was before it did not
		 * see. */
		if (reporter && w->nodes[k].known && up != w->nodes[k].up)
			report_node(svc, &nodes[i], up);
		w->nodes[k].up = up;
		w->nodes[k].known = true;
	}
}

void state_events_cluster(struct svc *svc)
{
	const char *name = cluster_local_name(svc->cluster);
	bool quorate = cluster_is_connected(svc->cluster) && cluster_is_quorate(svc->cluster);
	char object[CLUSTER_NAME_MAX_LEN + 8];

	if (!name || !name[0])
		return;
	snprintf(object, sizeof(object), "node/%s", name);
	if (!svc->watched) {
		svc->watched = calloc(1, sizeof(*svc->watched));
		if (!svc->watched)
			return;
		events_add(svc, EVENT_INFO, "service.started", object, "viaductd runs");
	}
	if (quorate && !svc->watched->has_quorum)
		events_add(svc, EVENT_INFO, "quorum.regained", object,
			"%s has quorum: VMs can be started and settings changed", name);
	else if (!quorate && svc->watched->has_quorum)
		events_add(svc, EVENT_ERROR, "quorum.lost", object,
			"%s has no quorum%s: nothing may be changed", name,
			cluster_is_connected(svc->cluster) ? "" : ", for corosync does not answer");
	svc->watched->has_quorum = quorate;
	watch_nodes(svc, svc->watched);
}

void state_events_end(struct svc *svc)
{
	char object[CLUSTER_NAME_MAX_LEN + 8];

	if (svc->watched) {
		snprintf(object, sizeof(object), "node/%s", cluster_local_name(svc->cluster));
		events_add(svc, EVENT_INFO, "service.ended", object, "viaductd was asked to end");
	}
	free(take_ptr(svc->watched));
}
