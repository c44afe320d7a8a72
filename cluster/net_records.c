/* SPDX-License-Identifier: MIT */
#include "cluster/net_records.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define NETIF_PREFIX   "netif/"
#define LINKS_PREFIX   "links/"
#define NET_PREFIX     "net/"
#define MAX_SPEED_MBPS 100000000

uint32_t net_parse_address(const char *text)
{
	struct in_addr address;

	return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static const struct json *find_record(
	const struct store *store, const char *prefix, const char *name)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct store_entry *entry;

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	entry = store_find(store, key);
	return entry ? entry->json : NULL;
}

static bool is_text(const char *text, size_t max_len)
{
	size_t len = strlen(text);

	if (len == 0 || len > max_len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	}
	return true;
}

static void read_interfaces(const struct store *store, size_t node, struct net_input *in)
{
	const struct json *list =
		json_get(find_record(store, NETIF_PREFIX, in->nodes[node].name), "interfaces");

	for (size_t i = 0; i < json_length(list) && in->n_interfaces < NET_MAX_INTERFACES; i++) {
		const struct json *item = json_at(list, i);
		struct net_interface *out = &in->interfaces[in->n_interfaces];
		const char *name = json_get_string(item, "name", "");
		int64_t prefix_len = json_get_int(item, "prefix", 0);
		int64_t speed_mbps = json_get_int(item, "speed_mbps", 0);
		uint32_t address = net_parse_address(json_get_string(item, "address", ""));

		if (!address || prefix_len < 1 || prefix_len > 32 ||
			!is_text(name, sizeof(out->ifname) - 1))
			continue;
		*out = (struct net_interface){
			.node = node,
			.address = address,
			.prefix_len = (unsigned)prefix_len,
			.speed_mbps = speed_mbps > 0 && speed_mbps <= MAX_SPEED_MBPS
					      ? (uint32_t)speed_mbps
					      : 0,
		};
		snprintf(out->ifname, sizeof(out->ifname), "%s", name);
		in->n_interfaces++;
	}
}

static uint8_t read_links(const struct json *list)
{
	uint8_t links = 0;

	for (size_t i = 0; i < json_length(list) && i < NET_MAX_LINKS; i++) {
		int64_t link = json_int(json_at(list, i), -1);

		if (link >= 0 && link < NET_MAX_LINKS)
			links |= (uint8_t)(1U << link);
	}
	return links;
}

static void read_row(const struct store *store, size_t node, struct net_input *in)
{
	struct net_node *out = &in->nodes[node];
	const struct json *record = find_record(store, LINKS_PREFIX, out->name);
	const struct json *addresses = json_get(record, "addresses");
	const struct json *reaches = json_get(record, "reaches");
	char id[16];

	for (size_t i = 0; i < json_length(addresses) && i < NET_MAX_LINKS; i++) {
		const char *text = json_string(json_at(addresses, i), "");

		if (net_parse_address(text))
			out->link_address[i] = net_parse_address(text);
	}
	for (size_t peer = 0; peer < in->n_nodes; peer++) {
		snprintf(id, sizeof(id), "%u", in->nodes[peer].id);
		/* What a node said before it went away is not about the present. */
		out->reports[peer] = out->is_reporting && json_is_array(json_get(reaches, id));
		out->reaches[peer] = read_links(json_get(reaches, id));
	}
}

static bool read_override(const char *key, const struct json *record, struct net_override *out)
{
	const char *name = json_get_string(record, "name", "");
	int64_t role = json_get_int(record, "role", -1);
	int64_t metric = json_get_int(record, "metric", 0);
	int64_t order = json_get_int(record, "migration_order", 0);
	char subnet[64];
	unsigned prefix_len;
	int end = 0;

	if (sscanf(key, NET_PREFIX "%63[0-9.]/%2u%n", subnet, &prefix_len, &end) != 2 || key[end] ||
		prefix_len < 1 || prefix_len > 32)
		return false;
	*out = (struct net_override){
		.subnet = net_parse_address(subnet),
		.prefix_len = prefix_len,
		.role = role == CLUSTER_ROLE_NONE || role == CLUSTER_ROLE_CLUSTER ||
					role == CLUSTER_ROLE_CLUSTER_AND_CLIENT
				? (int)role
				: -1,
		.metric = metric >= 1 && metric <= NET_MAX_METRIC ? (uint32_t)metric : 0,
		.migration_order = order >= -1 && order <= CLUSTER_MAX_NETS ? (int)order : 0,
	};
	if (is_text(name, sizeof(out->name) - 1))
		snprintf(out->name, sizeof(out->name), "%s", name);
	return out->subnet != 0;
}

static void read_overrides(const struct store *store, struct net_input *in)
{
	size_t i = store_lower_bound(store, NET_PREFIX);
	const struct store_entry *entry;

	for (; (entry = store_at(store, i)); i++) {
		if (strncmp(entry->key, NET_PREFIX, strlen(NET_PREFIX)) != 0 ||
			in->n_overrides == CLUSTER_MAX_NETS)
			break;
		if (read_override(entry->key, entry->json, &in->overrides[in->n_overrides]))
			in->n_overrides++;
	}
}

void net_records_read(const struct store *store, struct net_input *in)
{
	for (size_t node = 0; node < in->n_nodes; node++) {
		read_interfaces(store, node, in);
		read_row(store, node, in);
	}
	read_overrides(store, in);
}

static int append_address(struct json *list, uint32_t address)
{
	struct in_addr in = {.s_addr = htonl(address)};
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &in, text, sizeof(text));
	return json_append_string(list, address ? text : "");
}

static int append_reaches(struct json *reaches, uint32_t id, uint8_t links)
{
	_cleanup_json_ struct json *list = json_array_new();
	char key[16];
	int r = list ? 0 : -ENOMEM;

	for (int link = 0; r == 0 && link < NET_MAX_LINKS; link++) {
		if (links & 1U << link)
			r = json_append(list, json_int_new(link));
	}
	snprintf(key, sizeof(key), "%u", id);
	return r < 0 ? r : json_set(reaches, key, json_ref(list));
}

struct json *net_row_to_json(const struct net_row *row)
{
	_cleanup_json_ struct json *record = json_object_new();
	_cleanup_json_ struct json *addresses = json_array_new();
	_cleanup_json_ struct json *reaches = json_object_new();
	size_t n_links = NET_MAX_LINKS;
	int r = record && addresses && reaches ? 0 : -ENOMEM;

	while (n_links > 0 && row->address[n_links - 1] == 0)
		n_links--;
	for (size_t i = 0; r == 0 && i < n_links; i++)
		r = append_address(addresses, row->address[i]);
	for (size_t i = 0; r == 0 && i < row->n_peers; i++)
		r = append_reaches(reaches, row->peers[i].id, row->peers[i].links);
	if (r == 0)
		r = json_set(record, "addresses", json_ref(addresses));
	if (r == 0)
		r = json_set(record, "reaches", json_ref(reaches));
	return r == 0 ? json_ref(record) : NULL;
}

static int append_interface(struct json *list, const struct net_interface *interface)
{
	_cleanup_json_ struct json *item = json_object_new();
	struct in_addr in = {.s_addr = htonl(interface->address)};
	char text[INET_ADDRSTRLEN];
	int r;

	inet_ntop(AF_INET, &in, text, sizeof(text));
	r = json_set_string(item, "name", interface->ifname);
	if (r == 0)
		r = json_set_string(item, "address", text);
	if (r == 0)
		r = json_set_int(item, "prefix", interface->prefix_len);
	if (r == 0 && interface->speed_mbps)
		r = json_set_int(item, "speed_mbps", interface->speed_mbps);
	return r < 0 ? r : json_append(list, json_ref(item));
}

struct json *net_interfaces_to_json(const struct net_interface *interfaces, size_t n)
{
	_cleanup_json_ struct json *record = json_object_new();
	_cleanup_json_ struct json *list = json_array_new();
	int r = record && list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = append_interface(list, &interfaces[i]);
	if (r == 0)
		r = json_set(record, "interfaces", json_ref(list));
	return r == 0 ? json_ref(record) : NULL;
}
