/* SPDX-License-Identifier: MIT */
#include "fabric/open.h"
#include "base/eth_ops.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Room for a burst of super-frames while the switch does something else. */
#define SOCKET_BUFFER_BYTES (8 << 20)
/* Room for reports on some thousand links. */
#define LINK_BUFFER_BYTES (1 << 20)

static int request_init(struct ifreq *request, const char *ifname)
{
	size_t len = strlen(ifname);

	if (len == 0 || len >= sizeof(request->ifr_name))
		return -EINVAL;
	memset(request, 0, sizeof(*request));
	memcpy(request->ifr_name, ifname, len);
	return 0;
}

static int bring_up(int socket_fd, struct ifreq *request)
{
	if (ioctl(socket_fd, SIOCGIFFLAGS, request) < 0)
		return -errno;
	if (request->ifr_flags & IFF_UP)
		return 0;
	request->ifr_flags |= IFF_UP;
	return ioctl(socket_fd, SIOCSIFFLAGS, request) < 0 ? -errno : 0;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Promiscuous as long as the socket lives. */
static int set_promiscuous(int fd, int ifindex)
{
	struct packet_mreq membership = {
		.mr_ifindex = ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};

	return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership)) <
			       0
		       ? -errno
		       : 0;
}

static int set_options(int fd)
{
	int r = set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);

	if (r == 0)
		r = set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	if (r == 0)
		r = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (r == 0)
		r = set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
	if (r == 0)
		r = set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
	return r;
}

int fabric_open_uplink(const char *ifname, int *ret_fd)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	_cleanup_close_ int fd = -1;
	struct ifreq request;
	int r;

	r = request_init(&request, ifname);
	if (r < 0)
		return r;
	/* Without a protocol nothing is received until bind(), so nothing of other adapters. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return -errno;
	address.sll_ifindex = request.ifr_ifindex;
	r = set_options(fd);
	if (r == 0)
		r = bring_up(fd, &request);
	if (r == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	if (r == 0)
		r = set_promiscuous(fd, address.sll_ifindex);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int set_mac(int socket_fd, struct ifreq *request, const uint8_t mac[6])
{
	request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request->ifr_hwaddr.sa_data, mac, ETH_ADDR_LEN);
	return ioctl(socket_fd, SIOCSIFHWADDR, request) < 0 ? -errno : 0;
}

int fabric_open_tap(const char *ifname, const uint8_t mac[6], int *ret_fd)
{
	const unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	const int header_bytes = sizeof(struct eth_hdr);
	_cleanup_close_ int fd = -1, socket_fd = -1;
	struct ifreq request;
	int r;

	r = request_init(&request, ifname);
	if (r < 0)
		return r;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || socket_fd < 0)
		return -errno;
	request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0 ||
		ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
		return -errno;
	r = set_mac(socket_fd, &request, mac);
	if (r == 0)
		r = bring_up(socket_fd, &request);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int fabric_open_link_watch(int *ret_fd)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	_cleanup_close_ int fd = -1;
	int r;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	r = set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, LINK_BUFFER_BYTES);
	if (r == 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
