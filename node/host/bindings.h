/* SPDX-License-Identifier: MIT
 *
 * bindings.h - which components use an adapter, and changing that.
 *
 * | component      | enabled means                                                             |
 * |----------------|---------------------------------------------------------------------------|
 * | ipv4           | it has IPv4 addresses, or nothing keeps it from having some               |
 * | ipv6           | disable_ipv6 is not set on it                                             |
 * | bridge         | it is a member of a Linux bridge                                          |
 * | team           | it is a member of a bond or a team                                        |
 * | viaduct_switch | a virtual switch of this node names it as its uplink                      |
 *
 * The invariant: an adapter that a switch names has nothing but viaduct_switch enabled; another one
 * is not kept empty for a switch. host_bindings_judge() says where it is broken, and the cure.
 *
 * What is disabled is remembered in the state file (nic_state.h) and comes back when it is enabled.
 * Which switch names which adapter is the caller's knowledge (struct host_use).
 *
 * Changes return 0 or -errno with a sentence for people in `error`: -ENODEV: no such adapter;
 * -EBUSY: refused by a check, nothing was changed; -ENOENT: nothing to give back; -EOPNOTSUPP: not
 * possible with this component, adapter or kernel; others: the kernel refused in the middle, and
 * what was remembered still is, so that trying again or enabling repairs it.
 *
 * Threads: one. Calls block for as long as the kernel takes.
 */
#ifndef VIADUCT_NODE_HOST_BINDINGS_H
#define VIADUCT_NODE_HOST_BINDINGS_H

#include "node/host/nic.h"

enum host_component {
	HOST_IPV4,
	HOST_IPV6,
	HOST_BRIDGE,
	HOST_TEAM,
	HOST_VIADUCT_SWITCH,
	HOST_N_COMPONENTS,
};
const char *host_component_name(enum host_component component);  /* "ipv4" */
const char *host_component_title(enum host_component component); /* for people */
/* Also by what the original calls them: ms_tcpip, ms_tcpip6, vms_pp. False: there is none. */
bool host_component_from_name(const char *name, enum host_component *ret_component);

struct host;
/* -EBADMSG: the state file is damaged. */
int host_new(const char *state_dir, struct host **ret_host);
void host_free(struct host *host);

/* A switch of this node and its uplink. */
struct host_use {
	const char *switch_name, *uplink;
};

struct host_bindings {
	bool enabled[HOST_N_COMPONENTS];
	bool remembered[HOST_N_COMPONENTS]; /* disabled, and comes back when enabled */
	const char *owner;                  /* the switch's name, lent from `uses`; NULL: none */
	char master[HOST_NIC_NAME_MAX_LEN + 1];
	bool taken; /* kept empty for a switch */
};
void host_bindings_get(const struct host *host, const struct host_net *net,
	const struct host_nic *nic, const struct host_use *uses, size_t n_uses,
	struct host_bindings *ret_bindings);
/* True when the invariant holds; otherwise what is wrong and the command that cures it. */
bool host_bindings_judge(const struct host_nic *nic, const struct host_bindings *bindings,
	const struct host_use *uses, size_t n_uses, char *problem, char *cure, size_t size_bytes);

/* Not for viaduct_switch, whose binding is a switch's record. */
int host_component_disable(struct host *host, const char *nic, enum host_component component,
	char *error, size_t size_bytes);
int host_component_enable(struct host *host, const char *nic, enum host_component component,
	char *error, size_t size_bytes);

/* Make the adapter carry nothing but the switch: its addresses, routes, master, IPv6 and ARP are
 * remembered and taken away, and it is brought up. Taking again what is taken removes what came
 * back meanwhile. Without `force` refused while it has a default route, is in a bridge or a team,
 * or has one of the `essential` addresses (text, this node's own in the cluster). */
struct host_take {
	const char *switch_name;
	const char *const *essential;
	size_t n_essential;
	bool force;
};
int host_nic_take(struct host *host, const char *nic, const struct host_take *take, char *error,
	size_t size_bytes);
/* Would that be refused? Changes nothing. */
int host_nic_may_take(struct host *host, const char *nic, const struct host_take *take, char *error,
	size_t size_bytes);
/* The way back. -ENOENT when it was not taken. */
int host_nic_give_back(struct host *host, const char *nic, char *error, size_t size_bytes);
#endif
