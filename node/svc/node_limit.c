/* SPDX-License-Identifier: MIT */
#include "node/svc/node_limit.h"

#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

static const struct json *record_of(struct svc *svc, const char *node, uint64_t *ret_version)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *record;

	*ret_version = 0;
	snprintf(key, sizeof(key), "nodepolicy/%.63s", node);
	return cluster_get(svc->cluster, key, &record, ret_version) == 0 ? record : NULL;
}

unsigned node_limit_read(const struct json *record)
{
	int64_t max = json_get_int(record, "max_vms", 0);

	return max > 0 && max <= SVC_MAX_VMS ? (unsigned)max : 0;
}

void node_limit_show(struct svc *svc, const char *node, struct json *entry)
{
	uint64_t version;
	unsigned max = node_limit_read(record_of(svc, node, &version));

	if (max)
		json_set_int(entry, "max_vms", max);
	else
		json_set_string(entry, "max_vms", NULL);
}

/* What has a process here: also what starts, arrives or is about to leave. */
static unsigned count(const struct svc *svc)
{
	const struct vmproc *vp;
	unsigned n = 0;

	list_for_each(vp, &svc->vms, link)
		n++;
	return n;
}

bool node_limit_has_room(struct svc *svc, char *ret_why, size_t size_bytes)
{
	const char *node = cluster_local_name(svc->cluster);
	uint64_t version;
	unsigned max = node_limit_read(record_of(svc, node, &version)), n = count(svc);

	if (!max || n < max)
		return true;
	snprintf(ret_why, size_bytes, "%s runs %u VM%s already, and %u is its limit", node, n,
		n == 1 ? "" : "s", max);
	return false;
}

/* ---- node.set ---- */

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	const char *node = json_get_string(call->message, "node", "");
	struct json *result;
	unsigned max;

	if (error < 0) {
		api_fail_errno(call, error, "nothing was changed");
		return;
	}
	max = node_limit_read(call->message);
	result = json_object_new();
	if (max)
		json_set_stringf(result, "note",
			"%s runs at most %u VM%s; what runs there already goes on", node, max,
			max == 1 ? "" : "s");
	else
		json_set_stringf(
			result, "note", "%s runs as many VMs as its memory has room for", node);
	api_reply(call, result);
}

static bool is_limit(const struct json *max)
{
	return json_is_null(max) ||
	       (json_is_int(max) && json_int(max, 0) > 0 && json_int(max, 0) <= SVC_MAX_VMS);
}

void api_node_set(struct api_call *call)
{
	const char *name = json_get_string(call->message, "node", "");
	const struct json *max = json_get(call->message, "max_vms");
	struct json *record = NULL;
	char key[SVC_NAME_MAX_LEN + 16];
	struct cluster_node node;
	uint64_t version;
	int r;

	if (cluster_find_node(call->svc->cluster, name, &node) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'; see 'viaduct node list'",
			name);
		return;
	}
	if (!max) {
		api_fail(call, API_USAGE, "what shall be set? --max-vms N, or none");
		return;
	}
	if (!is_limit(max)) {
		api_fail(call, API_USAGE,
			"the most VMs of a node are 1 to %d, or none for no limit; 'viaduct node "
			"pause' keeps all VMs away",
			SVC_MAX_VMS);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	if (!json_is_null(max)) {
		record = json_object_new();
		json_set_int(record, "max_vms", json_int(max, 0));
	} else if (!record_of(call->svc, name, &version)) {
		on_written(0, 0, call); /* as it was */
		return;
	}
	snprintf(key, sizeof(key), "nodepolicy/%s", node.name);
	r = cluster_cas(call->svc->cluster, key, CLUSTER_ANY_VERSION, record, on_written, call);
	if (r < 0)
		on_written(r, 0, call);
}
