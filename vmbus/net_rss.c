/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rss.h"

#include "base/bytes.h"

#define IP4_ADDRESSES_AT    12
#define IP4_ADDRESSES_BYTES 8U
#define IP6_ADDRESSES_AT    8
#define IP6_ADDRESSES_BYTES 32U
#define PORTS_BYTES         4U

#define TYPES_KNOWN                                                                                \
	(NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 | NDIS_HASH_TCP_IPV6 |               \
		NDIS_HASH_UDP_IPV4 | NDIS_HASH_UDP_IPV6)

/* The 32 bits of the key from bit `at` on. */
static uint32_t key_window(const uint8_t *key, unsigned at)
{
	uint64_t bits = (uint64_t)load_be32(key + at / 8) << 8 | key[at / 8 + 4];

	return (uint32_t)(bits >> (8 - at % 8));
}

void net_rss_prepare(struct net_rss *rss)
{
	for (unsigned nibble = 0; nibble < ARRAY_LEN(rss->nibbles); nibble++) {
		for (unsigned value = 0; value < 16; value++) {
			uint32_t sum = 0;

			for (unsigned bit = 0; bit < 4; bit++) {
				if (value & 8U >> bit)
					sum ^= key_window(rss->key, nibble * 4 + bit);
			}
			rss->nibbles[nibble][value] = sum;
		}
	}
}

static uint32_t add_bytes(
	const struct net_rss *rss, unsigned at, const uint8_t *bytes, unsigned n_bytes)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < n_bytes; i++) {
		sum ^= rss->nibbles[2 * (at + i)][bytes[i] >> 4];
		sum ^= rss->nibbles[2 * (at + i) + 1][bytes[i] & 0xF];
	}
	return sum;
}

bool net_rss_hash(const struct net_rss *rss, const uint8_t *frame, const struct net_layers *layers,
	uint32_t *ret_hash)
{
	uint32_t of_ip = layers->ipv6 ? NDIS_HASH_IPV6 : NDIS_HASH_IPV4;
	uint32_t of_tcp = layers->ipv6 ? NDIS_HASH_TCP_IPV6 : NDIS_HASH_TCP_IPV4;
	uint32_t of_udp = layers->ipv6 ? NDIS_HASH_UDP_IPV6 : NDIS_HASH_UDP_IPV4;
	unsigned at = layers->ipv6 ? IP6_ADDRESSES_AT : IP4_ADDRESSES_AT;
	unsigned n_bytes = layers->ipv6 ? IP6_ADDRESSES_BYTES : IP4_ADDRESSES_BYTES;
	bool with_ports = (layers->protocol == NET_IP_TCP && rss->hash_information & of_tcp) ||
			  (layers->protocol == NET_IP_UDP && rss->hash_information & of_udp);

	if (!rss->enabled || (!with_ports && !(rss->hash_information & of_ip)))
		return false;
	*ret_hash = add_bytes(rss, 0, frame + layers->ip_at + at, n_bytes);
	if (with_ports)
		*ret_hash ^= add_bytes(rss, n_bytes, frame + layers->l4_at, PORTS_BYTES);
	return true;
}

unsigned net_rss_queue(const struct net_rss *rss, uint32_t hash)
{
	return rss->table[hash & (rss->n_entries - 1)];
}

static bool is_inside(uint32_t at, uint32_t bytes, size_t size_bytes)
{
	return bytes == 0 ||
	       (at >= NDIS_RSS_PARAMS_MIN_BYTES && at <= size_bytes && bytes <= size_bytes - at);
}

static bool is_sound(const struct ndis_rss_params *params, size_t size_bytes)
{
	return params->header.type == NDIS_OBJECT_RSS_PARAMS &&
	       params->header.size >= NDIS_RSS_PARAMS_MIN_BYTES &&
	       params->header.size <= size_bytes && params->key_size <= NDIS_RSS_KEY_MAX_BYTES &&
	       params->table_size % sizeof(uint32_t) == 0 &&
	       params->table_size <= NDIS_RSS_TABLE_MAX_ENTRIES * sizeof(uint32_t) &&
	       is_inside(params->table_offset, params->table_size, size_bytes) &&
	       is_inside(params->key_offset, params->key_size, size_bytes);
}

static int set_table(
	struct net_rss *rss, unsigned n_queues, const uint8_t *entries, uint32_t n_entries)
{
	if (n_entries == 0 || n_entries & (n_entries - 1))
		return -EINVAL;
	for (uint32_t i = 0; i < n_entries; i++) {
		uint32_t queue = load_le32(entries + i * sizeof(uint32_t));

		if (queue >= n_queues)
			return -EINVAL;
		rss->table[i] = (uint8_t)queue;
	}
	rss->n_entries = n_entries;
	return 0;
}

/* What the parameters change, in a copy. */
static int apply(struct net_rss *rss, unsigned n_queues, const struct ndis_rss_params *params,
	const uint8_t *value)
{
	if (!(params->flags & NDIS_RSS_FLAG_HASH_INFO_UNCHANGED))
		rss->hash_information = params->hash_information;
	rss->enabled = !(params->flags & NDIS_RSS_FLAG_DISABLE) && rss->hash_information;
	if (!rss->enabled)
		return 0;
	if ((rss->hash_information & NDIS_HASH_FUNCTION_MASK) != NDIS_HASH_TOEPLITZ ||
		!(rss->hash_information & TYPES_KNOWN))
		return -EINVAL;
	if (!(params->flags & NDIS_RSS_FLAG_TABLE_UNCHANGED) &&
		set_table(rss, n_queues, value + params->table_offset,
			params->table_size / (uint32_t)sizeof(uint32_t)))
		return -EINVAL;
	if (!(params->flags & NDIS_RSS_FLAG_KEY_UNCHANGED)) {
		if (params->key_size == 0)
			return -EINVAL;
		memset(rss->key, 0, sizeof(rss->key));
		memcpy(rss->key, value + params->key_offset, params->key_size);
		net_rss_prepare(rss);
	}
	return rss->n_entries ? 0 : -EINVAL;
}

int net_rss_set(struct net_rss *rss, unsigned n_queues, const uint8_t *params, size_t size_bytes)
{
	struct ndis_rss_params fixed = {0};
	struct net_rss set = *rss;
	int r;

	if (size_bytes < NDIS_RSS_PARAMS_MIN_BYTES)
		return -EINVAL;
	memcpy(&fixed, params, MIN(size_bytes, sizeof(fixed)));
	if (!is_sound(&fixed, size_bytes))
		return -EINVAL;
	r = apply(&set, n_queues, &fixed, params);
	if (r)
		return r;
	*rss = set;
	return 0;
}
