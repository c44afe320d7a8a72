/* SPDX-License-Identifier: MIT
 *
 * host.h - what the files of this folder share of struct host.
 */
#ifndef VIADUCT_NODE_HOST_HOST_H
#define VIADUCT_NODE_HOST_HOST_H

#include "node/host/bindings.h"
#include "node/host/nic_state.h"
#include "node/host/rtnl.h"

struct host {
	struct rtnl *rtnl;
	struct nic_state *state;
};

/* The parts of the changes, in components.c. `nic` is of `net`, which was just read. */

/* Put into the state what is there to be remembered of a component, beside what is remembered
 * already; nothing is written or changed. -ENOENT: nothing is there. */
int component_remember(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component);
/* Take it away from the adapter. */
int component_remove(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component);
/* Give back what is remembered; it stays remembered. */
int component_restore(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component);

bool nic_has_address(const struct host_net *net, const struct host_nic *nic, int family);
/* The first route of it that cannot be remembered, or NULL. */
const struct host_route *nic_special_route(
	const struct host_net *net, const struct host_nic *nic, int family);

#endif
