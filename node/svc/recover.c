/* SPDX-License-Identifier: MIT
 *
 * VM processes live and die with the node service that supervises them. So what the store says of
 * VMs that ran here under a former life of the service is not true any more: it is put right once,
 * when this service has joined.
 */
#include "node/svc/svc.h"

#include "base/log.h"

#include <string.h>

static int recover_one(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct svc *svc = data;
	const char *name = strchr(key, '/') + 1;
	const char *state = json_get_string(value, "state", "Off");

	if (strcmp(json_get_string(value, "node", ""), cluster_local_name(svc->cluster)) != 0 ||
		strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0 || vmproc_find(svc, name))
		return 0;
	log_warning("%s was %s when this node's service ended; it is off now", name, state);
	vmproc_publish(svc, name, (uint64_t)json_get_int(value, "epoch", 0), "Off",
		"its node's service or the node itself was restarted");
	return 0;
}

void svc_recover(struct svc *svc)
{
	if (svc->recovered || !cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster))
		return;
	svc->recovered = true;
	cluster_for_each(svc->cluster, "vmstate/", recover_one, svc);
}
