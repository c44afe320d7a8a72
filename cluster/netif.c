/* SPDX-License-Identifier: MIT */
#include "cluster/netif.h"

#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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

static bool has_rss(int fd, const char *ifname)
{
	struct ethtool_rxnfc rings = {.cmd = ETHTOOL_GRXRINGS};
	struct ifreq request = {.ifr_data = (char *)&rings};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &request) == 0 && rings.data > 1;
}

/* An RDMA device of the adapter's; there is none in other network namespaces than the first. */
static bool has_rdma(const char *ifname)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/infiniband", ifname);
	return access(path, F_OK) == 0;
}

static bool is_wanted(const struct ifaddrs *entry)
{
	struct net_addr address;

	if (!entry->ifa_addr || !entry->ifa_netmask || (entry->ifa_flags & IFF_LOOPBACK))
		return false;
	address = net_addr_from_socket(entry->ifa_addr);
	return address.family != NET_FAMILY_NONE && !net_addr_is_link_local(&address);
}

static unsigned prefix_len_of(const struct sockaddr *netmask, sa_family_t family)
{
	struct sockaddr_storage mask = {};
	struct net_addr addr;
	unsigned len = 0;

	/* The netmask of IPv4 may come without a family. */
	memcpy(&mask, netmask,
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	mask.ss_family = family;
	addr = net_addr_from_socket((const struct sockaddr *)&mask);
	for (size_t i = 0; i < sizeof(addr.bytes); i++)
		len += (unsigned)__builtin_popcount(addr.bytes[i]);
	return len;
}

/* IPv6 addresses that no other node should be told of: they change, or do not work (yet). */
static bool is_passing(const struct net_addr *wanted)
{
	static const unsigned passing = IFA_F_TEMPORARY | IFA_F_TENTATIVE | IFA_F_DADFAILED;
	char line[128];
	bool r = false;
	FILE *file;

	file = wanted->family == NET_FAMILY_IPV6 ? fopen("/proc/net/if_inet6", "re") : NULL;
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		struct net_addr addr = {.family = NET_FAMILY_IPV6};
		unsigned flags;

		if (strlen(line) < 33 || sscanf(line + 32, " %*x %*x %*x %x", &flags) != 1)
			continue;
		for (size_t i = 0; i < sizeof(addr.bytes); i++)
			sscanf(line + 2 * i, "%2hhx", &addr.bytes[i]);
		if (net_addr_compare(&addr, wanted) == 0)
			r = flags & passing;
	}
	fclose(file);
	return r;
}

static bool comes_before(const struct net_interface *a, const struct net_interface *b)
{
	int order = strcmp(a->ifname, b->ifname);

	if (order != 0)
		return order < 0;
	if (a->address.family != b->address.family)
		return a->address.family < b->address.family;
	return a->address.family == NET_FAMILY_IPV6 &&
	       net_addr_compare(&a->address, &b->address) < 0;
}

/* Equal ones stay in the kernel's order. */
static void sort_interfaces(struct net_interface *interfaces, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct net_interface one = interfaces[i];
		size_t at = i;

		for (; at > 0 && comes_before(&one, &interfaces[at - 1]); at--)
			interfaces[at] = interfaces[at - 1];
		interfaces[at] = one;
	}
}

int netif_enumerate(struct net_interface *ret_interfaces, size_t max, size_t *ret_n)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *all;
	size_t n = 0;

	if (fd < 0 || getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *entry = all; entry && n < max; entry = entry->ifa_next) {
		struct net_interface *out = &ret_interfaces[n];

		if (!is_wanted(entry))
			continue;
		*out = (struct net_interface){
			.address = net_addr_from_socket(entry->ifa_addr),
			.prefix_len = prefix_len_of(entry->ifa_netmask, entry->ifa_addr->sa_family),
			.speed_mbps = read_speed_mbps(fd, entry->ifa_name),
			.is_down = !(entry->ifa_flags & IFF_UP),
			.has_rdma = has_rdma(entry->ifa_name),
			.has_rss = has_rss(fd, entry->ifa_name),
		};
		snprintf(out->ifname, sizeof(out->ifname), "%s", entry->ifa_name);
		/* An address of one host only is of no subnet. */
		if (out->prefix_len > 0 && out->prefix_len < net_addr_bits(&out->address) &&
			!is_passing(&out->address))
			n++;
	}
	freeifaddrs(all);
	sort_interfaces(ret_interfaces, n);
	*ret_n = n;
	return 0;
}
