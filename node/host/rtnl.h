/* SPDX-License-Identifier: MIT
 *
 * rtnl.h - rtnetlink: reading links, addresses and routes, and changing them. rtnl.c is the only
 * user of libmnl.
 *
 * Each change is one request that the kernel acknowledged or refused: 0 or the kernel's -errno.
 * -ETIMEDOUT when it does not answer. Threads: one a socket.
 */
#ifndef VIADUCT_NODE_HOST_RTNL_H
#define VIADUCT_NODE_HOST_RTNL_H

#include "node/host/nic.h"

struct rtnl;

int rtnl_open(struct rtnl **ret_rtnl);
void rtnl_close(struct rtnl *rtnl);

/* Append what the kernel has to an empty picture. */
int rtnl_read(struct rtnl *rtnl, struct host_net *net);
/* One datagram of a dump, pure: its links, addresses and routes are appended to `net`. 1: the dump
 * is complete; 0: more will come; -EAGAIN: the kernel's table changed meanwhile, begin anew;
 * -EBADMSG: truncated or contradictory; -EMSGSIZE: more than HOST_MAX_*; else the kernel's error.
 */
int rtnl_parse(const void *bytes, size_t size_bytes, struct host_net *net);

int rtnl_set_master(struct rtnl *rtnl, int ifindex, int master_ifindex /* 0: none */);
int rtnl_set_up(struct rtnl *rtnl, int ifindex, bool up);
int rtnl_set_arp(struct rtnl *rtnl, int ifindex, bool arp);

enum rtnl_change { RTNL_ADD, RTNL_REPLACE, RTNL_DELETE };
int rtnl_address(struct rtnl *rtnl, enum rtnl_change change, const struct host_address *address);
int rtnl_route(struct rtnl *rtnl, enum rtnl_change change, const struct host_route *route);

#endif
