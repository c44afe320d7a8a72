/* SPDX-License-Identifier: MIT */
#include "vmbus/net_oid.h"

#include "base/bytes.h"

#define FILTER_KNOWN                                                                               \
	(NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST | \
		NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_PROMISCUOUS)

#define NO_VENDOR_CODE     0xFFFFFFU
#define VENDOR_DESCRIPTION "Viaduct network adapter"

/* Writes at most NET_OID_VALUE_MAX_BYTES, returns how many. */
typedef size_t query_fn(const struct net_rndis *rndis, const uint8_t *input, size_t input_bytes,
	uint8_t *ret_value);
typedef uint32_t set_fn(struct net_rndis *rndis, const uint8_t *value, size_t size_bytes);

struct oid_row {
	uint32_t oid;
	query_fn *query; /* NULL, and no number: cannot be queried */
	uint32_t (*number)(const struct net_rndis *rndis);
	set_fn *set; /* NULL: cannot be set */
	size_t min_set_bytes;
};

static uint64_t unicast_frames(const struct net_traffic *traffic)
{
	return traffic->frames - traffic->multicast_frames - traffic->broadcast_frames;
}

static uint64_t unicast_bytes(const struct net_traffic *traffic)
{
	return traffic->bytes - traffic->multicast_bytes - traffic->broadcast_bytes;
}

static uint32_t zero(_unused_ const struct net_rndis *rndis)
{
	return 0;
}

static uint32_t mtu(const struct net_rndis *rndis)
{
	return rndis->mtu_bytes;
}

static uint32_t frame_size(const struct net_rndis *rndis)
{
	return rndis->mtu_bytes + ETH_HEADER_BYTES;
}

static uint32_t link_speed(_unused_ const struct net_rndis *rndis)
{
	return NET_LINK_SPEED_100BPS;
}

static uint32_t link_is_down(const struct net_rndis *rndis)
{
	return !rndis->link_up;
}

static uint32_t vendor_id(_unused_ const struct net_rndis *rndis)
{
	return NO_VENDOR_CODE;
}

static uint32_t packet_filter(const struct net_rndis *rndis)
{
	return rndis->packet_filter;
}

static uint32_t packets_per_message(_unused_ const struct net_rndis *rndis)
{
	return NET_RNDIS_PACKETS_PER_MESSAGE;
}

static uint32_t multicast_list_len(_unused_ const struct net_rndis *rndis)
{
	return NET_MULTICAST_LIST_LEN;
}

#define COUNTER(name, expression)                                                                  \
	static uint32_t name(const struct net_rndis *rndis)                                        \
	{                                                                                          \
		const struct net_stats *stats = rndis->stats;                                      \
                                                                                                   \
		return (uint32_t)(expression);                                                     \
	}

COUNTER(tx_frames, stats->tx.frames)
COUNTER(rx_frames, stats->rx.frames)
COUNTER(tx_dropped, stats->tx.dropped)
COUNTER(rx_dropped, stats->rx.dropped)
COUNTER(tx_directed_frames, unicast_frames(&stats->tx))
COUNTER(tx_directed_bytes, unicast_bytes(&stats->tx))
COUNTER(tx_multicast_frames, stats->tx.multicast_frames)
COUNTER(tx_multicast_bytes, stats->tx.multicast_bytes)
COUNTER(tx_broadcast_frames, stats->tx.broadcast_frames)
COUNTER(tx_broadcast_bytes, stats->tx.broadcast_bytes)
COUNTER(rx_directed_frames, unicast_frames(&stats->rx))
COUNTER(rx_directed_bytes, unicast_bytes(&stats->rx))
COUNTER(rx_multicast_frames, stats->rx.multicast_frames)
COUNTER(rx_multicast_bytes, stats->rx.multicast_bytes)
COUNTER(rx_broadcast_frames, stats->rx.broadcast_frames)
COUNTER(rx_broadcast_bytes, stats->rx.broadcast_bytes)

static size_t query_statistics(const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	const struct net_traffic *tx = &rndis->stats->tx, *rx = &rndis->stats->rx;
	const struct ndis_statistics statistics = {
		.header = {NDIS_OBJECT_DEFAULT, NDIS_STATISTICS_REVISION, sizeof(statistics)},
		.supported = NDIS_STATISTICS_ALL,
		.rx_discards = rx->dropped,
		.rx_bytes = rx->bytes,
		.rx_unicast_frames = unicast_frames(rx),
		.rx_multicast_frames = rx->multicast_frames,
		.rx_broadcast_frames = rx->broadcast_frames,
		.rx_unicast_bytes = unicast_bytes(rx),
		.rx_multicast_bytes = rx->multicast_bytes,
		.rx_broadcast_bytes = rx->broadcast_bytes,
		.tx_discards = tx->dropped,
		.tx_bytes = tx->bytes,
		.tx_unicast_frames = unicast_frames(tx),
		.tx_multicast_frames = tx->multicast_frames,
		.tx_broadcast_frames = tx->broadcast_frames,
		.tx_unicast_bytes = unicast_bytes(tx),
		.tx_multicast_bytes = tx->multicast_bytes,
		.tx_broadcast_bytes = tx->broadcast_bytes,
	};

	memcpy(ret_value, &statistics, sizeof(statistics));
	return sizeof(statistics);
}

static size_t query_vendor(_unused_ const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	memcpy(ret_value, VENDOR_DESCRIPTION, sizeof(VENDOR_DESCRIPTION));
	return sizeof(VENDOR_DESCRIPTION);
}

static size_t query_permanent_mac(const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	memcpy(ret_value, rndis->permanent_mac, ETH_ADDR_LEN);
	return ETH_ADDR_LEN;
}

static size_t query_mac(const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	memcpy(ret_value, rndis->mac, ETH_ADDR_LEN);
	return ETH_ADDR_LEN;
}

/* The guest sends the header of the object it has room for; without one it takes any. */
static size_t offload_limit(const uint8_t *input, size_t input_bytes)
{
	struct ndis_object_header header;

	if (input_bytes < sizeof(header))
		return sizeof(struct ndis_offload);
	memcpy(&header, input, sizeof(header));
	return header.size;
}

static size_t query_offload_capable(
	const struct net_rndis *rndis, const uint8_t *input, size_t input_bytes, uint8_t *ret_value)
{
	struct net_offload capable = net_offload_capable(net_rndis_caps(rndis));
	struct ndis_offload object;
	size_t size_bytes = net_offload_describe(
		&capable, rndis->ndis_version, offload_limit(input, input_bytes), &object);

	memcpy(ret_value, &object, size_bytes);
	return size_bytes;
}

static size_t query_offload_current(
	const struct net_rndis *rndis, const uint8_t *input, size_t input_bytes, uint8_t *ret_value)
{
	struct ndis_offload object;
	size_t size_bytes = net_offload_describe(
		&rndis->offload, rndis->ndis_version, offload_limit(input, input_bytes), &object);

	memcpy(ret_value, &object, size_bytes);
	return size_bytes;
}

/* With one queue a guest leaves receive-side scaling alone. */
static size_t query_rss(const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	const struct ndis_rss_caps caps = {
		.header = {NDIS_OBJECT_RSS_CAPS, NDIS_RSS_CAPS_REVISION, sizeof(caps)},
		.capabilities = NDIS_RSS_CAPS_TOEPLITZ | NDIS_RSS_CAPS_TCP_IPV4 |
				NDIS_RSS_CAPS_TCP_IPV6 | NDIS_RSS_CAPS_UDP_IPV4 |
				NDIS_RSS_CAPS_UDP_IPV6,
		.n_messages = rndis->n_queues,
		.n_receive_queues = rndis->n_queues,
		.n_table_entries = NDIS_RSS_TABLE_MAX_ENTRIES,
	};

	memcpy(ret_value, &caps, sizeof(caps));
	return sizeof(caps);
}

static uint32_t set_packet_filter(
	struct net_rndis *rndis, const uint8_t *value, _unused_ size_t size_bytes)
{
	rndis->packet_filter = load_le32(value) & FILTER_KNOWN;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_nothing(
	_unused_ struct net_rndis *rndis, _unused_ const uint8_t *value, _unused_ size_t size_bytes)
{
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_multicast_list(struct net_rndis *rndis, const uint8_t *value, size_t size_bytes)
{
	if (size_bytes % ETH_ADDR_LEN || size_bytes / ETH_ADDR_LEN > NET_MULTICAST_LIST_LEN)
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(rndis->multicast, value, size_bytes);
	rndis->n_multicast = (uint32_t)(size_bytes / ETH_ADDR_LEN);
	rndis->has_multicast_list = true;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_offload(struct net_rndis *rndis, const uint8_t *value, size_t size_bytes)
{
	return net_offload_set(&rndis->offload, net_rndis_caps(rndis), value, size_bytes)
		       ? RNDIS_STATUS_INVALID_DATA
		       : RNDIS_STATUS_SUCCESS;
}

static bool inside(size_t at, size_t bytes, size_t fixed_bytes, size_t size_bytes)
{
	return bytes == 0 || (at >= fixed_bytes && at <= size_bytes && bytes <= size_bytes - at);
}

static uint32_t set_rss(struct net_rndis *rndis, const uint8_t *value, size_t size_bytes)
{
	return net_rss_set(&rndis->rss, rndis->n_queues, value, size_bytes)
		       ? RNDIS_STATUS_INVALID_DATA
		       : RNDIS_STATUS_SUCCESS;
}

/* UTF-16LE against ASCII. */
static bool utf16_equals(const uint8_t *text, size_t size_bytes, const char *ascii)
{
	if (size_bytes != strlen(ascii) * 2)
		return false;
	for (size_t i = 0; ascii[i]; i++) {
		if (load_le16(text + i * 2) != (uint8_t)ascii[i])
			return false;
	}
	return true;
}

static int hex_digit(uint16_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

static int parse_mac(const uint8_t *text, uint8_t ret_mac[static ETH_ADDR_LEN])
{
	static const uint8_t none[ETH_ADDR_LEN];
	uint8_t mac[ETH_ADDR_LEN];

	for (size_t i = 0; i < sizeof(mac); i++) {
		int high = hex_digit(load_le16(text + i * 4));
		int low = hex_digit(load_le16(text + i * 4 + 2));

		if (high < 0 || low < 0)
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	if (mac[0] & 1 || memcmp(mac, none, sizeof(mac)) == 0)
		return -EINVAL;
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}

/* The owner's policy; the switch has one of its own. */
static uint32_t change_mac(struct net_rndis *rndis, const uint8_t *mac)
{
	if (memcmp(mac, rndis->mac, ETH_ADDR_LEN) != 0 && !rndis->allow_mac_change)
		return RNDIS_STATUS_FAILURE;
	memcpy(rndis->mac, mac, ETH_ADDR_LEN);
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_config_parameter(
	struct net_rndis *rndis, const uint8_t *value, size_t size_bytes)
{
	struct rndis_config_parameter param;
	uint8_t mac[ETH_ADDR_LEN];

	memcpy(&param, value, sizeof(param));
	if (!inside(param.name_offset, param.name_length, sizeof(param), size_bytes) ||
		!inside(param.value_offset, param.value_length, sizeof(param), size_bytes) ||
		param.name_length == 0 || param.value_length == 0)
		return RNDIS_STATUS_INVALID_DATA;
	if (!utf16_equals(value + param.name_offset, param.name_length, "NetworkAddress"))
		return RNDIS_STATUS_NOT_SUPPORTED;
	if (param.type != RNDIS_CONFIG_STRING || param.value_length != ETH_ADDR_LEN * 4 ||
		parse_mac(value + param.value_offset, mac))
		return RNDIS_STATUS_INVALID_DATA;
	return change_mac(rndis, mac);
}

static query_fn query_supported;

static const struct oid_row oid_table[] = {
	{OID_GEN_SUPPORTED_LIST, .query = query_supported},
	{OID_GEN_HARDWARE_STATUS, .number = zero},
	{OID_GEN_MEDIA_SUPPORTED, .number = zero},
	{OID_GEN_MEDIA_IN_USE, .number = zero},
	{OID_GEN_MAXIMUM_LOOKAHEAD, .number = mtu},
	{OID_GEN_MAXIMUM_FRAME_SIZE, .number = mtu},
	{OID_GEN_LINK_SPEED, .number = link_speed},
	{OID_GEN_TRANSMIT_BLOCK_SIZE, .number = frame_size},
	{OID_GEN_RECEIVE_BLOCK_SIZE, .number = frame_size},
	{OID_GEN_VENDOR_ID, .number = vendor_id},
	{OID_GEN_VENDOR_DESCRIPTION, .query = query_vendor},
	{OID_GEN_CURRENT_PACKET_FILTER, .number = packet_filter, .set = set_packet_filter,
		.min_set_bytes = 4},
	{OID_GEN_CURRENT_LOOKAHEAD, .number = mtu, .set = set_nothing, .min_set_bytes = 4},
	{OID_GEN_MAXIMUM_TOTAL_SIZE, .number = frame_size},
	{OID_GEN_MEDIA_CONNECT_STATUS, .number = link_is_down},
	{OID_GEN_MAXIMUM_SEND_PACKETS, .number = packets_per_message},
	{OID_GEN_XMIT_OK, .number = tx_frames},
	{OID_GEN_RCV_OK, .number = rx_frames},
	{OID_GEN_XMIT_ERROR, .number = tx_dropped},
	{OID_GEN_RCV_ERROR, .number = zero},
	{OID_GEN_RCV_NO_BUFFER, .number = rx_dropped},
	{OID_GEN_STATISTICS, .query = query_statistics},
	{OID_GEN_DIRECTED_BYTES_XMIT, .number = tx_directed_bytes},
	{OID_GEN_DIRECTED_FRAMES_XMIT, .number = tx_directed_frames},
	{OID_GEN_MULTICAST_BYTES_XMIT, .number = tx_multicast_bytes},
	{OID_GEN_MULTICAST_FRAMES_XMIT, .number = tx_multicast_frames},
	{OID_GEN_BROADCAST_BYTES_XMIT, .number = tx_broadcast_bytes},
	{OID_GEN_BROADCAST_FRAMES_XMIT, .number = tx_broadcast_frames},
	{OID_GEN_DIRECTED_BYTES_RCV, .number = rx_directed_bytes},
	{OID_GEN_DIRECTED_FRAMES_RCV, .number = rx_directed_frames},
	{OID_GEN_MULTICAST_BYTES_RCV, .number = rx_multicast_bytes},
	{OID_GEN_MULTICAST_FRAMES_RCV, .number = rx_multicast_frames},
	{OID_GEN_BROADCAST_BYTES_RCV, .number = rx_broadcast_bytes},
	{OID_GEN_BROADCAST_FRAMES_RCV, .number = rx_broadcast_frames},
	{OID_GEN_RECEIVE_SCALE_CAPABILITIES, .query = query_rss},
	{OID_GEN_RECEIVE_SCALE_PARAMETERS, .set = set_rss,
		.min_set_bytes = NDIS_RSS_PARAMS_MIN_BYTES},
	{OID_GEN_RNDIS_CONFIG_PARAMETER, .set = set_config_parameter,
		.min_set_bytes = sizeof(struct rndis_config_parameter)},
	{OID_802_3_PERMANENT_ADDRESS, .query = query_permanent_mac},
	{OID_802_3_CURRENT_ADDRESS, .query = query_mac},
	{OID_802_3_MULTICAST_LIST, .set = set_multicast_list},
	{OID_802_3_MAXIMUM_LIST_SIZE, .number = multicast_list_len},
	{OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, .query = query_offload_capable},
	{OID_TCP_OFFLOAD_CURRENT_CONFIG, .query = query_offload_current},
	{OID_TCP_OFFLOAD_PARAMETERS, .set = set_offload,
		.min_set_bytes = NDIS_OFFLOAD_PARAMS_MIN_BYTES},
	{OID_OFFLOAD_ENCAPSULATION, .set = set_nothing, .min_set_bytes = 4},
};
_Static_assert(sizeof(struct ndis_offload) <= NET_OID_VALUE_MAX_BYTES, "must fit an answer");
_Static_assert(ARRAY_LEN(oid_table) * 4 <= NET_OID_VALUE_MAX_BYTES, "must fit an answer");

static size_t query_supported(_unused_ const struct net_rndis *rndis, _unused_ const uint8_t *input,
	_unused_ size_t input_bytes, uint8_t *ret_value)
{
	for (size_t i = 0; i < ARRAY_LEN(oid_table); i++)
		store_le32(ret_value + i * 4, oid_table[i].oid);
	return ARRAY_LEN(oid_table) * 4;
}

static const struct oid_row *find_row(uint32_t oid)
{
	for (size_t i = 0; i < ARRAY_LEN(oid_table); i++) {
		if (oid_table[i].oid == oid)
			return &oid_table[i];
	}
	return NULL;
}

uint32_t net_oid_query(const struct net_rndis *rndis, uint32_t oid, const uint8_t *input,
	size_t input_bytes, uint8_t ret_value[static NET_OID_VALUE_MAX_BYTES], size_t *ret_bytes)
{
	const struct oid_row *row = find_row(oid);

	if (row && row->query) {
		*ret_bytes = row->query(rndis, input, input_bytes, ret_value);
		return RNDIS_STATUS_SUCCESS;
	}
	if (row && row->number) {
		store_le32(ret_value, row->number(rndis));
		*ret_bytes = 4;
		return RNDIS_STATUS_SUCCESS;
	}
	return RNDIS_STATUS_NOT_SUPPORTED;
}

uint32_t net_oid_set(struct net_rndis *rndis, uint32_t oid, const uint8_t *value, size_t size_bytes)
{
	const struct oid_row *row = find_row(oid);

	if (!row || !row->set)
		return RNDIS_STATUS_NOT_SUPPORTED;
	if (size_bytes < row->min_set_bytes)
		return RNDIS_STATUS_INVALID_LENGTH;
	return row->set(rndis, value, size_bytes);
}
