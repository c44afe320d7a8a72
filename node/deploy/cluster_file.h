/* SPDX-License-Identifier: MIT
 *
 * cluster_file.h - the description of a whole cluster (docs/cluster-file.md): read, checked in
 * itself, and made into values.
 *
 * The values, complete but for what only the running cluster can know:
 *
 *   cluster   {name, token: "default" | "fast"}
 *   networks  [{name, subnet, [link], [role], [metric: N | "auto"], [migration_order]}]
 *   nodes     [{name, id, addresses: {NETWORK: IP}, [uplinks: [NIC]]}]
 *   switches  [{node, name, type, uplinks, adapters: [{name, [mac], policy}], ...}], one for each
 *             node that has it, each with an adapter of its own name if it is internal
 *   volumes   [{name, path}]
 *   vms       [{name, node, ... as vm.create takes them, [policy: as of policy/VM in the store]}]
 *
 * Adapters are in the form of node/svc/nic.h. Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_DEPLOY_CLUSTER_FILE_H
#define VIADUCT_NODE_DEPLOY_CLUSTER_FILE_H

#include "base/json.h"
#include "node/deploy/problems.h"

/* 0; -EBADMSG: `problems` has everything that is wrong, sorted; -ENOMEM. */
int cluster_file_read(
	const char *text, size_t len, struct problems *problems, struct json **ret_values);

#endif
