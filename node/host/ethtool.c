/* SPDX-License-Identifier: MIT */
#include "node/host/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask(const char *nic, void *command)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_data = command};

	if (fd < 0)
		return -errno;
	if (strlen(nic) >= sizeof(request.ifr_name))
		return -ENODEV;
	memcpy(request.ifr_name, nic, strlen(nic));
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static uint32_t read_speed_mbps(const char *nic)
{
	/* The struct ends with as many masks as the kernel has. */
	_Alignas(struct ethtool_link_settings) uint8_t
		space[sizeof(struct ethtool_link_settings) + 3 * INT8_MAX * sizeof(uint32_t)] = {0};
	struct ethtool_link_settings *settings = (struct ethtool_link_settings *)space;

	settings->cmd = ETHTOOL_GLINKSETTINGS;
	/* The first answer is how many words the masks have, negated. */
	if (ask(nic, settings) < 0 || settings->link_mode_masks_nwords >= 0)
		return 0;
	settings->link_mode_masks_nwords = (int8_t)-settings->link_mode_masks_nwords;
	if (ask(nic, settings) < 0 || settings->speed == (uint32_t)SPEED_UNKNOWN)
		return 0;
	return settings->speed;
}

int nic_get_link(const char *nic, struct nic_link *ret_link)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	int r = ask(nic, &info);

	if (r < 0)
		return r;
	snprintf(ret_link->driver, sizeof(ret_link->driver), "%.31s", info.driver);
	snprintf(ret_link->bus, sizeof(ret_link->bus), "%.31s", info.bus_info);
	ret_link->speed_mbps = read_speed_mbps(nic);
	return 0;
}

/* LRO has no command of its own; it is one of the flags. */
static const struct {
	uint32_t get, set, flag;
} features[NIC_N_FEATURES] = {
	[NIC_TX_CHECKSUM] = {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM, 0},
	[NIC_RX_CHECKSUM] = {ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM, 0},
	[NIC_TSO] = {ETHTOOL_GTSO, ETHTOOL_STSO, 0},
	[NIC_GSO] = {ETHTOOL_GGSO, ETHTOOL_SGSO, 0},
	[NIC_GRO] = {ETHTOOL_GGRO, ETHTOOL_SGRO, 0},
	[NIC_LRO] = {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO},
};

int nic_get_feature(const char *nic, enum nic_feature feature, bool *ret_on)
{
	struct ethtool_value value = {.cmd = features[feature].get};
	int r = ask(nic, &value);

	if (r < 0)
		return r;
	*ret_on = features[feature].flag ? value.data & features[feature].flag : value.data;
	return 0;
}

int nic_set_feature(const char *nic, enum nic_feature feature, bool on)
{
	struct ethtool_value value = {.cmd = features[feature].get};
	bool is_on = false;
	int r;

	if (features[feature].flag) {
		r = ask(nic, &value);
		if (r < 0)
			return r;
		if (on)
			value.data |= features[feature].flag;
		else
			value.data &= ~features[feature].flag;
	} else {
		value.data = on;
	}
	value.cmd = features[feature].set;
	r = ask(nic, &value);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	/* A driver may take the wish and keep what it must; and "it cannot" is no error where it is
	 * so already. */
	if (nic_get_feature(nic, feature, &is_on) < 0 || is_on != on)
		return -EOPNOTSUPP;
	return 0;
}

int nic_get_channels(const char *nic, struct nic_channels *ret_channels)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int r = ask(nic, &channels);

	if (r < 0)
		return r;
	ret_channels->combined = channels.max_combined && !channels.rx_count;
	ret_channels->rx = channels.rx_count + channels.combined_count;
	ret_channels->max_rx = ret_channels->combined ? channels.max_combined : channels.max_rx;
	return 0;
}

int nic_set_rx_channels(const char *nic, uint32_t n)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int r = ask(nic, &channels);

	if (r < 0)
		return r;
	if (channels.max_combined && !channels.rx_count) {
		if (channels.combined_count == n)
			return 0;
		channels.combined_count = n;
	} else {
		if (channels.rx_count == n)
			return 0;
		channels.rx_count = n;
	}
	channels.cmd = ETHTOOL_SCHANNELS;
	return ask(nic, &channels);
}

int nic_get_rx_hash(const char *nic, const char **ret_text)
{
	struct ethtool_rxnfc flow = {.cmd = ETHTOOL_GRXFH, .flow_type = TCP_V4_FLOW};
	bool addresses, ports;
	int r = ask(nic, &flow);

	if (r < 0)
		return r;
	addresses = flow.data & (RXH_IP_SRC | RXH_IP_DST);
	ports = flow.data & (RXH_L4_B_0_1 | RXH_L4_B_2_3);
	*ret_text = addresses && ports ? "addresses and ports"
		    : addresses        ? "addresses"
		    : ports            ? "ports"
				       : "nothing";
	return 0;
}
