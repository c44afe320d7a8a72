/* SPDX-License-Identifier: MIT */
#include "node/host/rtnl.h"

#include "base/bytes.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/time.h>

#define DATAGRAM_BYTES   (64 << 10)
#define ANSWER_TIMEOUT_S 5
#define MAX_DUMP_TRIES   8
#define MAX_TYPE         128 /* attributes of higher types are of no interest */

struct rtnl {
	struct mnl_socket *socket;
	uint32_t sequence;
	uint8_t *datagram; /* DATAGRAM_BYTES */
};

/* ---- parsing: bytes into a picture ---- */

struct attributes {
	const struct nlattr *at[MAX_TYPE];
};

static int collect(const struct nlattr *first, const void *end, struct attributes *ret)
{
	const char *tail = end;
	const struct nlattr *attr = first;

	memset(ret, 0, sizeof(*ret));
	for (; (const char *)attr < tail; attr = mnl_attr_next(attr)) {
		if (!mnl_attr_ok(attr, (int)(tail - (const char *)attr)))
			return -EBADMSG;
		if (mnl_attr_get_type(attr) < MAX_TYPE)
			ret->at[mnl_attr_get_type(attr)] = attr;
	}
	return 0;
}

static int collect_of(const struct nlmsghdr *message, size_t header_bytes, struct attributes *ret)
{
	if (mnl_nlmsg_get_payload_len(message) < header_bytes)
		return -EBADMSG;
	return collect(mnl_nlmsg_get_payload_offset(message, header_bytes),
		(const char *)message + message->nlmsg_len, ret);
}

static int get_u32(const struct attributes *a, unsigned type, uint32_t *ret)
{
	if (!a->at[type])
		return 0;
	if (mnl_attr_get_payload_len(a->at[type]) < sizeof(*ret))
		return -EBADMSG;
	*ret = mnl_attr_get_u32(a->at[type]);
	return 0;
}

/* Exactly that many bytes; true when there was one. */
static int get_bytes(const struct attributes *a, unsigned type, void *ret, size_t size_bytes)
{
	if (!a->at[type])
		return 0;
	if (mnl_attr_get_payload_len(a->at[type]) != size_bytes)
		return -EBADMSG;
	memcpy(ret, mnl_attr_get_payload(a->at[type]), size_bytes);
	return 1;
}

static int get_text(const struct attributes *a, unsigned type, char *text, size_t size_bytes)
{
	size_t len;

	if (!a->at[type])
		return 0;
	len = strnlen(mnl_attr_get_payload(a->at[type]), mnl_attr_get_payload_len(a->at[type]));
	if (len >= size_bytes)
		return -EBADMSG;
	memcpy(text, mnl_attr_get_payload(a->at[type]), len);
	text[len] = '\0';
	return 0;
}

static int append(void **array, size_t *n, size_t max, const void *one, size_t size_bytes)
{
	void *grown;

	if (*n >= max)
		return -EMSGSIZE;
	if ((*n & (*n - 1)) == 0) { /* grow at powers of two */
		grown = reallocarray(*array, *n ? 2 * *n : 1, size_bytes);
		if (!grown)
			return -ENOMEM;
		*array = grown;
	}
	memcpy((char *)*array + *n * size_bytes, one, size_bytes);
	++*n;
	return 0;
}

static enum host_nic_kind kind_of(const struct host_nic *nic)
{
	static const struct {
		const char *link_kind;
		enum host_nic_kind kind;
	} kinds[] = {
		{"bridge", HOST_NIC_BRIDGE},
		{"bond", HOST_NIC_TEAM},
		{"team", HOST_NIC_TEAM},
		{"tun", HOST_NIC_TAP},
		{"veth", HOST_NIC_VETH},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(nic->link_kind, kinds[i].link_kind) == 0)
			return kinds[i].kind;
	}
	return nic->link_kind[0] ? HOST_NIC_VIRTUAL : HOST_NIC_PHYSICAL;
}

static int parse_link_kind(const struct attributes *a, struct host_nic *nic)
{
	const struct nlattr *info = a->at[IFLA_LINKINFO];
	struct attributes nested;
	int r;

	if (!info)
		return 0;
	r = collect(mnl_attr_get_payload(info),
		(const char *)mnl_attr_get_payload(info) + mnl_attr_get_payload_len(info), &nested);
	return r < 0 ? r
		     : get_text(&nested, IFLA_INFO_KIND, nic->link_kind, sizeof(nic->link_kind));
}

static int parse_link(const struct nlmsghdr *message, struct host_net *net)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	struct host_nic nic = {0};
	struct attributes a;
	uint32_t master = 0;
	int r = collect_of(message, sizeof(*header), &a);

	if (r < 0)
		return r;
	if (header->ifi_type != ARPHRD_ETHER)
		return 0;
	nic.ifindex = header->ifi_index;
	nic.up = header->ifi_flags & IFF_UP;
	nic.carrier = nic.up && (header->ifi_flags & IFF_LOWER_UP);
	nic.arp = !(header->ifi_flags & IFF_NOARP);
	if (get_text(&a, IFLA_IFNAME, nic.name, sizeof(nic.name)) < 0 ||
		get_bytes(&a, IFLA_ADDRESS, nic.mac, sizeof(nic.mac)) < 0 ||
		get_u32(&a, IFLA_MTU, &nic.mtu_bytes) < 0 ||
		get_u32(&a, IFLA_MASTER, &master) < 0 || parse_link_kind(&a, &nic) < 0)
		return -EBADMSG;
	/* Longer ones are cut: they are for people only. */
	if (a.at[IFLA_PARENT_DEV_NAME])
		snprintf(nic.bus, sizeof(nic.bus), "%.*s",
			(int)mnl_attr_get_payload_len(a.at[IFLA_PARENT_DEV_NAME]),
			(const char *)mnl_attr_get_payload(a.at[IFLA_PARENT_DEV_NAME]));
	if (nic.ifindex <= 0 || master > INT32_MAX || !host_nic_name_is_valid(nic.name))
		return -EBADMSG;
	nic.master_ifindex = (int)master;
	nic.kind = kind_of(&nic);
	return append((void **)&net->nics, &net->n_nics, HOST_MAX_NICS, &nic, sizeof(nic));
}

static size_t address_bytes(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static int parse_address(const struct nlmsghdr *message, struct host_net *net)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct host_address address = {.valid_s = UINT32_MAX, .preferred_s = UINT32_MAX};
	struct ifa_cacheinfo cache;
	struct attributes a;
	size_t size;
	int r = collect_of(message, sizeof(*header), &a), has_local, has_peer, has_cache;

	if (r < 0)
		return r;
	size = address_bytes(header->ifa_family);
	if (!size)
		return 0;
	address.ifindex = (int)header->ifa_index;
	address.family = header->ifa_family;
	address.prefix_len = header->ifa_prefixlen;
	address.scope = header->ifa_scope;
	address.flags = header->ifa_flags;
	has_local = get_bytes(&a, IFA_LOCAL, address.local, size);
	has_peer = get_bytes(&a, IFA_ADDRESS, address.peer, size);
	has_cache = get_bytes(&a, IFA_CACHEINFO, &cache, sizeof(cache));
	r = size == 4 ? get_bytes(&a, IFA_BROADCAST, address.broadcast, size) : 0;
	if (r < 0 || has_local < 0 || has_peer < 0 || has_cache < 0 || !(has_local || has_peer) ||
		address.prefix_len > 8 * size || get_u32(&a, IFA_FLAGS, &address.flags) < 0 ||
		get_u32(&a, IFA_RT_PRIORITY, &address.metric) < 0)
		return -EBADMSG;
	address.has_broadcast = r > 0;
	if (!has_local)
		memcpy(address.local, address.peer, sizeof(address.local));
	if (!has_peer)
		memcpy(address.peer, address.local, sizeof(address.peer));
	if (has_cache) {
		address.valid_s = cache.ifa_valid;
		address.preferred_s = cache.ifa_prefered;
	}
	return append((void **)&net->addresses, &net->n_addresses, HOST_MAX_ADDRESSES, &address,
		sizeof(address));
}

static int parse_route(const struct nlmsghdr *message, struct host_net *net)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	struct host_route route = {0};
	uint32_t table, ifindex = 0;
	struct attributes a;
	size_t size;
	int r = collect_of(message, sizeof(*header), &a), gateway, source;

	if (r < 0)
		return r;
	size = address_bytes(header->rtm_family);
	table = header->rtm_table;
	if (get_u32(&a, RTA_TABLE, &table) < 0)
		return -EBADMSG;
	if (!size || table != RT_TABLE_MAIN || header->rtm_type != RTN_UNICAST ||
		(header->rtm_flags & RTM_F_CLONED))
		return 0;
	route.family = header->rtm_family;
	route.prefix_len = header->rtm_dst_len;
	route.protocol = header->rtm_protocol;
	route.scope = header->rtm_scope;
	route.flags = header->rtm_flags & RTNH_F_ONLINK;
	r = get_bytes(&a, RTA_DST, route.to, size);
	gateway = get_bytes(&a, RTA_GATEWAY, route.gateway, size);
	source = get_bytes(&a, RTA_PREFSRC, route.source, size);
	if (r < 0 || gateway < 0 || source < 0 || route.prefix_len > 8 * size ||
		(r == 0 && route.prefix_len) || get_u32(&a, RTA_OIF, &ifindex) < 0 ||
		get_u32(&a, RTA_PRIORITY, &route.metric) < 0 || ifindex > INT32_MAX)
		return -EBADMSG;
	route.has_gateway = gateway > 0;
	route.has_source = source > 0;
	route.ifindex = (int)ifindex;
	route.special = header->rtm_tos || a.at[RTA_MULTIPATH] || a.at[RTA_METRICS] ||
			a.at[RTA_ENCAP] || a.at[RTA_VIA] || a.at[RTA_NH_ID];
	return append(
		(void **)&net->routes, &net->n_routes, HOST_MAX_ROUTES, &route, sizeof(route));
}

static int parse_error(const struct nlmsghdr *message)
{
	int error = -EBADMSG;

	if (mnl_nlmsg_get_payload_len(message) >= sizeof(error))
		memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	return error == 0 ? 1 : error < 0 ? error : -EBADMSG;
}

static int parse_message(const struct nlmsghdr *message, struct host_net *net)
{
	switch (message->nlmsg_type) {
	case NLMSG_DONE:
		return 1;
	case NLMSG_ERROR:
		return parse_error(message);
	case RTM_NEWLINK:
		return parse_link(message, net);
	case RTM_NEWADDR:
		return parse_address(message, net);
	case RTM_NEWROUTE:
		return parse_route(message, net);
	default:
		return 0;
	}
}

int rtnl_parse(const void *bytes, size_t size_bytes, struct host_net *net)
{
	const struct nlmsghdr *message = bytes;
	int left = size_bytes > INT32_MAX ? 0 : (int)size_bytes, r;

	while (left > 0) {
		if (!mnl_nlmsg_ok(message, left))
			return -EBADMSG;
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EAGAIN;
		r = parse_message(message, net);
		if (r)
			return r;
		message = mnl_nlmsg_next(message, &left);
	}
	return 0;
}

/* ---- the socket ---- */

int rtnl_open(struct rtnl **ret_rtnl)
{
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
	int r = -ENOMEM;

	if (!rtnl)
		return -ENOMEM;
	rtnl->datagram = malloc(DATAGRAM_BYTES);
	if (!rtnl->datagram)
		goto fail;
	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl->socket || mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(rtnl->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
			sizeof(timeout)) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_rtnl = rtnl;
	return 0;
fail:
	rtnl_close(rtnl);
	return r;
}

void rtnl_close(struct rtnl *rtnl)
{
	if (!rtnl)
		return;
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	free(rtnl->datagram);
	free(rtnl);
}

/* Send and read until the kernel said that this was all. */
static int talk(struct rtnl *rtnl, struct nlmsghdr *message, struct host_net *net)
{
	const struct nlmsghdr *answer = (const struct nlmsghdr *)rtnl->datagram;
	ssize_t n;
	int r;

	message->nlmsg_seq = ++rtnl->sequence;
	if (mnl_socket_sendto(rtnl->socket, message, message->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		n = mnl_socket_recvfrom(rtnl->socket, rtnl->datagram, DATAGRAM_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		/* The rest of an answer that nobody waited for any more. */
		if ((size_t)n >= sizeof(*answer) && answer->nlmsg_seq != rtnl->sequence)
			continue;
		r = rtnl_parse(rtnl->datagram, (size_t)n, net);
		if (r)
			return r < 0 ? r : 0;
	}
}

static int dump(struct rtnl *rtnl, uint16_t type, size_t header_bytes, struct host_net *net)
{
	uint8_t space[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(space);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(message, header_bytes); /* zeros: everything */
	return talk(rtnl, message, net);
}

int rtnl_read(struct rtnl *rtnl, struct host_net *net)
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < MAX_DUMP_TRIES && r == -EAGAIN; i++) {
		host_net_fini(net);
		r = dump(rtnl, RTM_GETLINK, sizeof(struct ifinfomsg), net);
		if (r == 0)
			r = dump(rtnl, RTM_GETADDR, sizeof(struct ifaddrmsg), net);
		if (r == 0)
			r = dump(rtnl, RTM_GETROUTE, sizeof(struct rtmsg), net);
	}
	return r;
}

/* ---- changes ---- */

static int change(struct rtnl *rtnl, struct nlmsghdr *message)
{
	struct host_net nothing = {0};
	int r;

	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	r = talk(rtnl, message, &nothing);
	host_net_fini(&nothing);
	return r;
}

static int set_link(
	struct rtnl *rtnl, int ifindex, unsigned flags, unsigned mask, const uint32_t *master)
{
	uint8_t space[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(space);
	struct ifinfomsg *header;

	message->nlmsg_type = RTM_NEWLINK;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifi_index = ifindex;
	header->ifi_flags = flags;
	header->ifi_change = mask;
	if (master)
		mnl_attr_put_u32(message, IFLA_MASTER, *master);
	return change(rtnl, message);
}

int rtnl_set_master(struct rtnl *rtnl, int ifindex, int master_ifindex)
{
	uint32_t master = (uint32_t)master_ifindex;

	return set_link(rtnl, ifindex, 0, 0, &master);
}

int rtnl_set_up(struct rtnl *rtnl, int ifindex, bool up)
{
	return set_link(rtnl, ifindex, up ? IFF_UP : 0, IFF_UP, NULL);
}

int rtnl_set_arp(struct rtnl *rtnl, int ifindex, bool arp)
{
	return set_link(rtnl, ifindex, arp ? 0 : IFF_NOARP, IFF_NOARP, NULL);
}

static uint16_t change_flags(enum rtnl_change what)
{
	return what == RTNL_ADD       ? NLM_F_CREATE | NLM_F_EXCL
	       : what == RTNL_REPLACE ? NLM_F_CREATE | NLM_F_REPLACE
				      : 0;
}

int rtnl_address(struct rtnl *rtnl, enum rtnl_change what, const struct host_address *address)
{
	const struct ifa_cacheinfo cache = {
		.ifa_valid = address->valid_s,
		.ifa_prefered = address->preferred_s,
	};
	size_t size = address_bytes(address->family);
	uint8_t space[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(space);
	struct ifaddrmsg *header;

	message->nlmsg_type = what == RTNL_DELETE ? RTM_DELADDR : RTM_NEWADDR;
	message->nlmsg_flags = change_flags(what);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifa_family = (uint8_t)address->family;
	header->ifa_prefixlen = address->prefix_len;
	header->ifa_scope = address->scope;
	header->ifa_index = (uint32_t)address->ifindex;
	mnl_attr_put(message, IFA_LOCAL, size, address->local);
	mnl_attr_put(message, IFA_ADDRESS, size, address->peer);
	if (what == RTNL_DELETE)
		return change(rtnl, message);
	if (address->has_broadcast)
		mnl_attr_put(message, IFA_BROADCAST, size, address->broadcast);
	if (address->metric)
		mnl_attr_put_u32(message, IFA_RT_PRIORITY, address->metric);
	/* What the kernel found out by itself is not asked for. */
	mnl_attr_put_u32(message, IFA_FLAGS,
		address->flags & ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_SECONDARY |
					     IFA_F_PERMANENT | IFA_F_DEPRECATED));
	if (address->valid_s != UINT32_MAX)
		mnl_attr_put(message, IFA_CACHEINFO, sizeof(cache), &cache);
	return change(rtnl, message);
}

int rtnl_route(struct rtnl *rtnl, enum rtnl_change what, const struct host_route *route)
{
	size_t size = address_bytes(route->family);
	uint8_t space[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(space);
	struct rtmsg *header;

	message->nlmsg_type = what == RTNL_DELETE ? RTM_DELROUTE : RTM_NEWROUTE;
	message->nlmsg_flags = change_flags(what);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = (uint8_t)route->family;
	header->rtm_dst_len = route->prefix_len;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = route->protocol;
	header->rtm_scope = route->scope;
	header->rtm_type = RTN_UNICAST;
	header->rtm_flags = route->flags;
	if (route->prefix_len)
		mnl_attr_put(message, RTA_DST, size, route->to);
	if (route->has_gateway)
		mnl_attr_put(message, RTA_GATEWAY, size, route->gateway);
	if (route->has_source)
		mnl_attr_put(message, RTA_PREFSRC, size, route->source);
	mnl_attr_put_u32(message, RTA_OIF, (uint32_t)route->ifindex);
	mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	return change(rtnl, message);
}
