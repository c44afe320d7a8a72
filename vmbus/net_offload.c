/* SPDX-License-Identifier: MIT */
#include "vmbus/net_offload.h"

#include "base/bytes.h"
#include "base/eth_ops.h"
#include "vmbus/vmbus.h"

#define NDIS_VERSION_6_1  ((6U << 16) + 1)
#define NDIS_VERSION_6_30 ((6U << 16) + 30)

/* TCP payload such that with every header option the IP packet still has a 16-bit length. */
#define LSO_MAX_BYTES    (0xFFFF - 60 - 60)
#define LSO_MIN_SEGMENTS 2

struct net_offload net_offload_capable(uint32_t caps)
{
	uint8_t tx = caps & ETH_CAP_CSUM ? NET_OFFLOAD_TX : 0;
	uint8_t rx = caps & NET_CAP_NO_RX_CSUM ? 0 : NET_OFFLOAD_RX;
	uint8_t csum = tx | rx;
	bool rsc = rx && caps & NET_CAP_RSC && !(caps & NET_CAP_NO_RSC);

	return (struct net_offload){
		.ip4 = csum,
		.tcp4 = csum,
		.udp4 = csum,
		.tcp6 = csum,
		.udp6 = csum,
		.lso4 = tx && caps & ETH_CAP_TSO4,
		.lso6 = tx && caps & ETH_CAP_TSO6,
		.rsc4 = rsc,
		.rsc6 = rsc,
	};
}

uint32_t net_offload_withhold(uint32_t caps, uint32_t withheld)
{
	if (withheld & NETVSP_CSUM_TX)
		caps &= ~(uint32_t)ETH_CAP_CSUM;
	if (withheld & NETVSP_CSUM_RX)
		caps |= NET_CAP_NO_RX_CSUM;
	if (withheld & NETVSP_LSO)
		caps &= ~(uint32_t)(ETH_CAP_TSO4 | ETH_CAP_TSO6);
	if (withheld & NETVSP_RSC)
		caps |= NET_CAP_NO_RSC;
	return caps;
}

bool net_offload_is_granted(const struct net_offload *offload, uint32_t withheld)
{
	const uint32_t all = ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6 | NET_CAP_RSC;
	struct net_offload most = net_offload_capable(net_offload_withhold(all, withheld));
	uint8_t csum = offload->ip4 | offload->tcp4 | offload->udp4 | offload->tcp6 | offload->udp6;

	return (csum & ~most.tcp4) == 0 && offload->lso4 <= most.lso4 &&
	       offload->lso6 <= most.lso6 && offload->rsc4 <= most.rsc4 &&
	       offload->rsc6 <= most.rsc6;
}

static uint32_t csum4(const struct net_offload *offload, uint8_t direction)
{
	uint32_t caps = 0;

	if (offload->ip4 & direction)
		caps |= NDIS_CSUM4_IP_HEADER | NDIS_CSUM4_IP_OPTIONS;
	if (offload->tcp4 & direction)
		caps |= NDIS_CSUM4_TCP | NDIS_CSUM4_TCP_OPTIONS | NDIS_CSUM4_IP_OPTIONS;
	if (offload->udp4 & direction)
		caps |= NDIS_CSUM4_UDP | NDIS_CSUM4_IP_OPTIONS;
	return caps;
}

static uint32_t csum6(const struct net_offload *offload, uint8_t direction)
{
	uint32_t caps = 0;

	if (offload->tcp6 & direction)
		caps |= NDIS_CSUM6_TCP | NDIS_CSUM6_TCP_OPTIONS | NDIS_CSUM6_EXT_HEADERS;
	if (offload->udp6 & direction)
		caps |= NDIS_CSUM6_UDP | NDIS_CSUM6_EXT_HEADERS;
	return caps;
}

static uint32_t encapsulation(uint32_t caps)
{
	return caps ? NDIS_ENCAPSULATION_802_3 : NDIS_ENCAPSULATION_NONE;
}

static void describe_csum(const struct net_offload *offload, struct ndis_offload *object)
{
	object->csum4_tx = csum4(offload, NET_OFFLOAD_TX);
	object->csum4_rx = csum4(offload, NET_OFFLOAD_RX);
	object->csum6_tx = csum6(offload, NET_OFFLOAD_TX);
	object->csum6_rx = csum6(offload, NET_OFFLOAD_RX);
	object->csum4_tx_encapsulation = encapsulation(object->csum4_tx);
	object->csum4_rx_encapsulation = encapsulation(object->csum4_rx);
	object->csum6_tx_encapsulation = encapsulation(object->csum6_tx);
	object->csum6_rx_encapsulation = encapsulation(object->csum6_rx);
}

static void describe_lso(const struct net_offload *offload, struct ndis_offload *object)
{
	if (offload->lso4) {
		object->lso4_encapsulation = NDIS_ENCAPSULATION_802_3;
		object->lso4_max_bytes = LSO_MAX_BYTES;
		object->lso4_min_segments = LSO_MIN_SEGMENTS;
	}
	if (offload->lso6) {
		object->lso6_encapsulation = NDIS_ENCAPSULATION_802_3;
		object->lso6_max_bytes = LSO_MAX_BYTES;
		object->lso6_min_segments = LSO_MIN_SEGMENTS;
		object->lso6_options = NDIS_LSO6_EXT_HEADERS | NDIS_LSO6_TCP_OPTIONS;
	}
}

size_t net_offload_describe(const struct net_offload *offload, uint32_t ndis_version,
	size_t limit_bytes, struct ndis_offload *ret_object)
{
	struct ndis_offload object = {.header.type = NDIS_OBJECT_OFFLOAD};

	if (ndis_version >= NDIS_VERSION_6_30 && limit_bytes >= NDIS_OFFLOAD_BYTES_6_30) {
		object.header.revision = 3;
		object.header.size = NDIS_OFFLOAD_BYTES_6_30;
		object.rsc4 = offload->rsc4;
		object.rsc6 = offload->rsc6;
	} else if (ndis_version >= NDIS_VERSION_6_1 && limit_bytes >= NDIS_OFFLOAD_BYTES_6_1) {
		object.header.revision = 2;
		object.header.size = NDIS_OFFLOAD_BYTES_6_1;
	} else {
		object.header.revision = 1;
		object.header.size = NDIS_OFFLOAD_BYTES_6_0;
	}
	describe_csum(offload, &object);
	describe_lso(offload, &object);
	*ret_object = object;
	return object.header.size;
}

static int set_csum(uint8_t *csum, uint8_t wish, uint8_t capable)
{
	switch (wish) {
	case NDIS_OFFLOAD_NO_CHANGE:
		return 0;
	case NDIS_CSUM_OFF:
		*csum = 0;
		return 0;
	case NDIS_CSUM_TX:
		*csum = NET_OFFLOAD_TX & capable;
		return 0;
	case NDIS_CSUM_RX:
		*csum = NET_OFFLOAD_RX & capable;
		return 0;
	case NDIS_CSUM_BOTH:
		*csum = capable;
		return 0;
	default:
		return -EINVAL;
	}
}

static int set_segment(bool *on, uint8_t wish, bool capable)
{
	switch (wish) {
	case NDIS_OFFLOAD_NO_CHANGE:
		return 0;
	case NDIS_SEGMENT_OFF:
		*on = false;
		return 0;
	case NDIS_SEGMENT_ON:
		*on = capable;
		return 0;
	default:
		return -EINVAL;
	}
}

int net_offload_set(
	struct net_offload *offload, uint32_t caps, const uint8_t *params, size_t size_bytes)
{
	struct net_offload capable = net_offload_capable(caps);
	struct net_offload set = *offload;
	struct ndis_offload_params wish = {0};

	if (size_bytes < NDIS_OFFLOAD_PARAMS_MIN_BYTES)
		return -EINVAL;
	memcpy(&wish, params, MIN(size_bytes, sizeof(wish)));
	if (wish.header.type != NDIS_OBJECT_DEFAULT || wish.header.revision < 1 ||
		wish.header.size < NDIS_OFFLOAD_PARAMS_MIN_BYTES || wish.header.size > size_bytes)
		return -EINVAL;

	if (set_csum(&set.ip4, wish.ip4_csum, capable.ip4) ||
		set_csum(&set.tcp4, wish.tcp4_csum, capable.tcp4) ||
		set_csum(&set.udp4, wish.udp4_csum, capable.udp4) ||
		set_csum(&set.tcp6, wish.tcp6_csum, capable.tcp6) ||
		set_csum(&set.udp6, wish.udp6_csum, capable.udp6) ||
		set_segment(&set.lso4, wish.lso4, capable.lso4) ||
		set_segment(&set.lso6, wish.lso6, capable.lso6) ||
		set_segment(&set.rsc4, wish.rsc4, capable.rsc4) ||
		set_segment(&set.rsc6, wish.rsc6, capable.rsc6))
		return -EINVAL;
	*offload = set;
	return 0;
}
