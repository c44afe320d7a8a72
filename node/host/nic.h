/* SPDX-License-Identifier: MIT
 *
 * nic.h - the host's network adapters, their addresses and routes, as the kernel has them now.
 *
 * A struct host_net is a picture, taken with host_net_read() and given back with host_net_fini();
 * nothing in it follows later changes. Only Ethernet adapters of the caller's network namespace are
 * in it, no loopback; of routes only unicast ones of the main table. Addresses are in network
 * order.
 *
 * Threads: any, one picture each. Calls block for as long as the kernel takes to answer.
 * Sources: rtnetlink(7), linux/rtnetlink.h.
 */
#ifndef VIADUCT_NODE_HOST_NIC_H
#define VIADUCT_NODE_HOST_NIC_H

#include "base/json.h"

#include <sys/socket.h>

#define HOST_NIC_NAME_MAX_LEN 15
#define HOST_MAX_NICS         512
#define HOST_MAX_ADDRESSES    4096
#define HOST_MAX_ROUTES       16384
#define HOST_ADDRESS_TEXT     64 /* "2001:db8::1/128" */

enum host_nic_kind {
	HOST_NIC_PHYSICAL,
	HOST_NIC_VIRTUAL, /* VLAN, dummy, macvlan, ... */
	HOST_NIC_BRIDGE,
	HOST_NIC_TEAM, /* a bond or a team */
	HOST_NIC_TAP,
	HOST_NIC_VETH,
};
const char *host_nic_kind_name(enum host_nic_kind kind);

struct host_nic {
	int ifindex;
	int master_ifindex; /* of the bridge or team it is a member of; 0: none */
	char name[HOST_NIC_NAME_MAX_LEN + 1];
	char link_kind[16]; /* as the kernel says it: "veth"; "" for hardware */
	char bus[32];       /* where the hardware sits: "0000:00:03.0"; "" for none */
	char driver[32];
	uint8_t mac[6];
	enum host_nic_kind kind;
	uint32_t mtu_bytes;
	uint32_t speed_mbps; /* 0: unknown */
	bool up, carrier, arp;
	bool ipv6; /* not disabled by disable_ipv6, and the kernel has IPv6 at all */
};

struct host_address {
	int ifindex;
	int family; /* AF_INET, AF_INET6 */
	uint8_t prefix_len;
	uint8_t scope;
	uint32_t flags;  /* IFA_F_* */
	uint32_t metric; /* of its connected route; 0: the family's usual one */
	uint32_t valid_s, preferred_s;
	bool has_broadcast;
	uint8_t local[16], peer[16]; /* peer is local unless point-to-point */
	uint8_t broadcast[4];
};

struct host_route {
	int ifindex;
	int family;
	uint8_t prefix_len; /* 0: the default route */
	uint8_t protocol;   /* RTPROT_* */
	uint8_t scope;
	uint32_t flags; /* RTNH_F_ONLINK */
	uint32_t metric;
	bool has_gateway, has_source;
	bool special; /* several paths, own metrics, encapsulation: cannot be written again as is */
	uint8_t to[16], gateway[16], source[16];
};

struct host_net {
	struct host_nic *nics; /* ordered by index */
	struct host_address *addresses;
	struct host_route *routes;
	size_t n_nics, n_addresses, n_routes;
};

/* -EPERM, -ENOMEM, -EBADMSG: the kernel said what makes no sense; -EAGAIN: it changed too fast. */
int host_net_read(struct host_net *ret_net);
void host_net_fini(struct host_net *net);
const struct host_nic *host_net_find(const struct host_net *net, const char *name);
const struct host_nic *host_net_by_index(const struct host_net *net, int ifindex);

/* A name that an adapter can have; such a name is safe as a part of a path. */
bool host_nic_name_is_valid(const char *name);

/* Addresses and routes as people and files have them:
 *   {"address": "10.0.0.1/24", "metric": 10, ...}, {"to": "default", "via": "10.0.0.254", ...}
 * The second direction takes files of unknown origin: -EBADMSG for anything out of range. */
struct json *host_address_to_json(const struct host_address *address);
int host_address_from_json(const struct json *j, struct host_address *ret_address);
struct json *host_route_to_json(const struct host_route *route);
int host_route_from_json(const struct json *j, struct host_route *ret_route);
/* "10.0.0.1/24" into `text` of HOST_ADDRESS_TEXT bytes; returns it. */
const char *host_address_text(
	int family, const uint8_t address[16], unsigned prefix_len, char *text);

#endif
