/* SPDX-License-Identifier: MIT
 *
 * net_up.h - a NIC on a channel double and a dummy port, for fuzz targets: brought up by the
 * guest's ordinary messages, without a question asked.
 */
#ifndef VIADUCT_TESTS_NET_UP_H
#define VIADUCT_TESTS_NET_UP_H

#include "base/eth_dummy.h"
#include "net_double.h"
#include "vmbus/net_vsp.h"

#define NET_UP_RECV_GPADL 1
#define NET_UP_SEND_GPADL 2
#define NET_UP_QUEUES     3

struct net_up {
	struct eth_dummy *port;
	struct vmbus_channel *channel;
	struct net_vsp *vsp;
};

/* An open channel with two GPADLs, nothing said yet. */
void net_up_new(struct net_up *up, uint32_t port_caps);
void net_up_free(struct net_up *up);
/* INIT, buffers, RNDIS, a promiscuous packet filter, all sub-channels, scaling, coalescing. */
void net_up_initialise(struct net_up *up);
struct vmbus_channel *net_up_channel(const struct net_up *up, unsigned queue);
/* If it was offered. */
void net_up_open_sub(struct net_up *up, unsigned queue);
/* Work until there is nothing to do, or long enough; forget what came out on either side. */
void net_up_work(struct net_up *up);

#endif
