/* SPDX-License-Identifier: MIT */
#include "cluster/macrange.h"

#include "cluster/net_addr.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_PREFIX  "macpool/"
#define RANGE_PREFIX "macrange/"
#define GROUP_BIT    (1ULL << 40)
#define OUI_SHIFT    24

static const struct mac_range default_range = {0x00155d000000, 0x00155dffffff};

int mac_parse(const char *text, uint64_t *ret_mac)
{
	size_t len = strlen(text), step = len == MAC_TEXT_LEN ? 3 : 2;
	uint64_t mac = 0;

	if (len != MAC_TEXT_LEN && len != 12)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		const char *octet = text + step * i;
		char digits[3] = {octet[0], octet[1]};

		if (!isxdigit((unsigned char)octet[0]) || !isxdigit((unsigned char)octet[1]) ||
			(step == 3 && i < 5 && octet[2] != ':' && octet[2] != '-'))
			return -EINVAL;
		mac = mac << 8 | strtoul(digits, NULL, 16);
	}
	if (mac == 0 || (mac & GROUP_BIT))
		return -EINVAL;
	*ret_mac = mac;
	return 0;
}

void mac_text(uint64_t mac, char ret_text[MAC_TEXT_LEN + 1])
{
	snprintf(ret_text, MAC_TEXT_LEN + 1, "%02x:%02x:%02x:%02x:%02x:%02x",
		(unsigned)(mac >> 40 & 0xff), (unsigned)(mac >> 32 & 0xff),
		(unsigned)(mac >> 24 & 0xff), (unsigned)(mac >> 16 & 0xff),
		(unsigned)(mac >> 8 & 0xff), (unsigned)(mac & 0xff));
}

const char *mac_range_error(const struct mac_range *range)
{
	if ((range->first | range->last) & GROUP_BIT)
		return "holds addresses of groups (multicast), which no adapter can have";
	if (range->last < range->first)
		return "ends before it begins";
	if (range->first == 0)
		return "begins with 00:00:00:00:00:00, which is no address";
	if (range->first >> OUI_SHIFT != range->last >> OUI_SHIFT)
		return "must have one prefix: the first three octets of its ends must be equal";
	return NULL;
}

bool mac_range_has(const struct mac_range *range, uint64_t mac)
{
	return mac >= range->first && mac <= range->last;
}

bool mac_range_overlaps(const struct mac_range *a, const struct mac_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

uint64_t mac_range_size(const struct mac_range *range)
{
	return range->last - range->first + 1;
}

static bool read_range(const struct json *record, struct mac_range *ret_range)
{
	return mac_parse(json_get_string(record, "first", ""), &ret_range->first) == 0 &&
	       mac_parse(json_get_string(record, "last", ""), &ret_range->last) == 0 &&
	       !mac_range_error(ret_range);
}

static int add_pool(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct mac_pools *pools = data;
	struct mac_pool *pool = &pools->pools[pools->n_pools];
	const char *name = key + strlen(POOL_PREFIX);

	if (pools->n_pools == MAC_MAX_POOLS || !name[0] || strlen(name) > CLUSTER_NAME_MAX_LEN ||
		json_get_bool(value, "off", false) || !read_range(value, &pool->range))
		return 0;
	for (size_t i = 0; i < pools->n_pools; i++) {
		if (mac_range_overlaps(&pools->pools[i].range, &pool->range))
			return 0;
	}
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	pools->n_pools++;
	return 0;
}

static bool lies_in_pool(const struct mac_pools *pools, const struct mac_range *range)
{
	const struct mac_pool *pool = mac_pools_find(pools, range->first);

	return pool && mac_range_has(&pool->range, range->last);
}

static int add_node(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct mac_pools *pools = data;
	struct mac_pool *node = &pools->nodes[pools->n_nodes];
	const char *name = key + strlen(RANGE_PREFIX);

	if (pools->n_nodes == CLUSTER_MAX_NODES || !name[0] ||
		strlen(name) > CLUSTER_NAME_MAX_LEN || !read_range(value, &node->range) ||
		!lies_in_pool(pools, &node->range))
		return 0;
	for (size_t i = 0; i < pools->n_nodes; i++) {
		if (mac_range_overlaps(&pools->nodes[i].range, &node->range))
			return 0;
	}
	snprintf(node->name, sizeof(node->name), "%s", name);
	node->is_set = json_get_bool(value, "set", false);
	pools->n_nodes++;
	return 0;
}

void mac_pools_read(const struct cluster *cluster, struct mac_pools *ret_pools)
{
	const struct json *record;

	*ret_pools = (struct mac_pools){};
	if (cluster_get(cluster, POOL_PREFIX MAC_DEFAULT_POOL, &record, NULL) == -ENOENT)
		ret_pools->pools[ret_pools->n_pools++] =
			(struct mac_pool){.name = MAC_DEFAULT_POOL, .range = default_range};
	(void)cluster_for_each(cluster, POOL_PREFIX, add_pool, ret_pools);
	(void)cluster_for_each(cluster, RANGE_PREFIX, add_node, ret_pools);
}

const struct mac_pool *mac_pools_find(const struct mac_pools *pools, uint64_t mac)
{
	for (size_t i = 0; i < pools->n_pools; i++) {
		if (mac_range_has(&pools->pools[i].range, mac))
			return &pools->pools[i];
	}
	return NULL;
}

/* Of the last two octets of an IPv4 address; of anything else a hash. */
static uint64_t place_of(const char *address)
{
	uint32_t hash = 2166136261U;
	struct net_addr addr;

	if (net_addr_parse(address, &addr) && addr.family == NET_FAMILY_IPV4)
		return (uint64_t)addr.bytes[2] << 8 | addr.bytes[3];
	for (const char *c = address; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return hash & 0xffff;
}

static bool is_taken(const struct mac_pools *pools, const char *node, const struct mac_range *range)
{
	for (size_t i = 0; i < pools->n_nodes; i++) {
		if (strcmp(pools->nodes[i].name, node) != 0 &&
			mac_range_overlaps(&pools->nodes[i].range, range))
			return true;
	}
	return false;
}

int mac_pools_node_range(const struct mac_pools *pools, const char *node, const char *address,
	struct mac_range *ret_range)
{
	for (size_t i = 0; i < pools->n_nodes; i++) {
		if (strcmp(pools->nodes[i].name, node) == 0) {
			*ret_range = pools->nodes[i].range;
			return 0;
		}
	}
	for (size_t i = 0; i < pools->n_pools; i++) {
		const struct mac_range *pool = &pools->pools[i].range;
		uint64_t begin = (pool->first + MAC_NODE_SIZE - 1) / MAC_NODE_SIZE;
		uint64_t end = (pool->last + 1) / MAC_NODE_SIZE, n = end > begin ? end - begin : 0;

		for (uint64_t k = 0; k < MIN(n, (uint64_t)CLUSTER_MAX_NODES + 1); k++) {
			uint64_t block = begin + (place_of(address) + k) % n;
			struct mac_range range = {
				block * MAC_NODE_SIZE, block * MAC_NODE_SIZE + MAC_NODE_SIZE - 1};

			if (!is_taken(pools, node, &range)) {
				*ret_range = range;
				return 0;
			}
		}
	}
	return -ENOSPC;
}
