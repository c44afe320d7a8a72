/* SPDX-License-Identifier: MIT */
#include "cluster/netif.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LINK_LOCAL_SUBNET 0xa9fe0000U /* 169.254.0.0/16 */
#define LINK_LOCAL_MASK   0xffff0000U

/* Asked of the socket's own network namespace; /sys may belong to another one. */
static uint32_t read_speed_mbps(int fd, const char *ifname)
{
	/* The struct ends with as many masks as the kernel has. */
	_Alignas(struct ethtool_link_settings) uint8_t
		space[sizeof(struct ethtool_link_settings) + 3 * INT8_MAX * sizeof(uint32_t)] = {0};
	struct ethtool_link_settings *settings = (struct ethtool_link_settings *)space;
	struct ifreq request = {.ifr_data = (char *)space};

	settings->cmd = ETHTOOL_GLINKSETTINGS;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	/* The first answer is how many words the masks have, negated; they come along with the
	 * second. */
	if (ioctl(fd, SIOCETHTOOL, &request) < 0 || settings->link_mode_masks_nwords >= 0)
		return 0;
	settings->link_mode_masks_nwords = (int8_t)-settings->link_mode_masks_nwords;
	if (ioctl(fd, SIOCETHTOOL, &request) < 0 || settings->speed == (uint32_t)SPEED_UNKNOWN)
		return 0;
	return settings->speed;
}

static uint32_t host_order(const struct sockaddr *address)
{
	return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
}

static bool is_wanted(const struct ifaddrs *entry)
{
	return entry->ifa_addr && entry->ifa_netmask && entry->ifa_addr->sa_family == AF_INET &&
	       (entry->ifa_flags & IFF_UP) && !(entry->ifa_flags & IFF_LOOPBACK) &&
	       (host_order(entry->ifa_addr) & LINK_LOCAL_MASK) != LINK_LOCAL_SUBNET;
}

static int order_interfaces(const void *a, const void *b)
{
	const struct net_interface *x = a, *y = b;
	int order = strcmp(x->ifname, y->ifname);

	if (order != 0)
		return order;
	return x->address < y->address ? -1 : x->address > y->address;
}

static bool have_subnet(
	const struct net_interface *interfaces, size_t n, const struct net_interface *other)
{
	uint32_t mask = net_mask(other->prefix_len);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(interfaces[i].ifname, other->ifname) == 0 &&
			interfaces[i].prefix_len == other->prefix_len &&
			(interfaces[i].address & mask) == (other->address & mask))
			return true;
	}
	return false;
}

int netif_enumerate(struct net_interface *ret_interfaces, size_t max, size_t *ret_n)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct net_interface one;
	struct ifaddrs *all;
	size_t n = 0;

	if (fd < 0 || getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *entry = all; entry && n < max; entry = entry->ifa_next) {
		if (!is_wanted(entry))
			continue;
		one = (struct net_interface){
			.address = host_order(entry->ifa_addr),
			.prefix_len = (unsigned)__builtin_popcount(host_order(entry->ifa_netmask)),
			.speed_mbps = read_speed_mbps(fd, entry->ifa_name),
		};
		snprintf(one.ifname, sizeof(one.ifname), "%s", entry->ifa_name);
		/* Secondary addresses come and go with services. */
		if (one.prefix_len > 0 && !have_subnet(ret_interfaces, n, &one))
			ret_interfaces[n++] = one;
	}
	freeifaddrs(all);
	qsort(ret_interfaces, n, sizeof(ret_interfaces[0]), order_interfaces);
	*ret_n = n;
	return 0;
}
