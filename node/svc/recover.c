/* SPDX-License-Identifier: MIT
 *
 * VM processes live and die with the node service that supervises them, and with its lease. So what
 * the store says of VMs that ran here under a former life of the service, or while this node was
 * cut off, is not true any more: it is put right when this service has joined, or is back. The
 * state asks for a restart (failover.h).
 */
#include "node/svc/svc.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* The owner record says what is ours; the last state may be another node's, which handed the VM
 * over to us just before we died. */
static int recover_one(
	const char *key, const struct json *owner, uint64_t version _unused_, void *data)
{
	struct svc *svc = data;
	const char *name = key + strlen("owner/vm/");
	uint64_t epoch = (uint64_t)json_get_int(owner, "epoch", 0), state_version;
	char state_key[SVC_NAME_MAX_LEN + 16];
	const struct json *value;
	const char *state;

	snprintf(state_key, sizeof(state_key), "vmstate/%s", name);
	if ((uint32_t)json_get_int(owner, "node", 0) != cluster_local_id(svc->cluster) ||
		vmproc_find(svc, name) || vm_start_is_under_way(svc, name) ||
		cluster_get(svc->cluster, state_key, &value, &state_version) < 0)
		return 0;
	state = json_get_string(value, "state", "Off");
	if ((strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0 ||
		    strcmp(state, "Saved") == 0) &&
		(uint64_t)json_get_int(value, "epoch", 0) == epoch)
		return 0;
	/* Handed over to us, and we ended before we said so: it is still saved. */
	if (strcmp(state, "Saved") == 0) {
		struct vm_view view;
		struct saved saved;

		if (api_vm_view(svc, name, &view) < 0)
			return 0;
		saved_note(&view, &saved);
		saved_keep(svc, name, epoch, &saved, "");
		saved_fini(&saved);
		return 0;
	}
	log_warning("%s was %s when this node's service ended or was cut off; it is off now", name,
		state);
	vmproc_publish_lost(svc, name, epoch,
		svc->was_synced ? "its lease ran out: this node was cut off from the cluster"
				: "its node's service or the node itself was restarted");
	return 0;
}

void svc_recover(struct svc *svc)
{
	bool is_in = cluster_is_synced(svc->cluster) && cluster_is_quorate(svc->cluster);

	if (svc->recovered || !is_in) {
		svc->recovered = svc->recovered && is_in;
		return;
	}
	svc->recovered = true;
	cluster_for_each(svc->cluster, "owner/vm/", recover_one, svc);
	svc->was_synced = true;
}
