/* SPDX-License-Identifier: MIT */
#include "cluster/net_records.h"

#include <stdio.h>
#include <string.h>

#define NETIF_PREFIX   "netif/"
#define LINKS_PREFIX   "links/"
#define NET_PREFIX     "net/"
#define MAX_SPEED_MBPS 100000000

static const struct json *find_record(
	const struct store *store, const char *prefix, const char *name)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct store_entry *entry;

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	entry = store_find(store, key);
	return entry ? store_entry_json(entry) : NULL;
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
		struct net_addr address;

		if (!net_addr_parse(json_get_string(item, "address", ""), &address) ||
			prefix_len < 1 || prefix_len > net_addr_bits(&address) ||
			!is_text(name, sizeof(out->ifname) - 1))
			continue;
		*out = (struct net_interface){
			.node = node,
			.address = address,
			.prefix_len = (unsigned)prefix_len,
			.speed_mbps = speed_mbps > 0 && speed_mbps <= MAX_SPEED_MBPS
					      ? (uint32_t)speed_mbps
					      : 0,
			.is_down = json_get_bool(item, "down", false),
			.has_rdma = json_get_bool(item, "rdma", false),
			.has_rss = json_get_bool(item, "rss", false),
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

static uint64_t read_peers(const struct net_input *in, const struct json *list)
{
	uint64_t peers = 0;

	for (size_t i = 0; i < json_length(list) && i < CLUSTER_MAX_NODES; i++) {
		int64_t id = json_int(json_at(list, i), 0);
		size_t at =
			id > 0 && id <= UINT32_MAX ? net_find_node(in, (uint32_t)id) : in->n_nodes;

		if (at < in->n_nodes)
			peers |= 1ULL << at;
	}
	return peers;
}

static void read_probed(const struct json *record, struct net_input *in, struct net_node *out)
{
	struct json *value;
	void *at = NULL;
	const char *key;

	if (!json_is_object(record))
		return;
	while (out->n_probed < ARRAY_LEN(out->probed) && json_next(record, &at, &key, &value)) {
		struct net_probed *probed = &out->probed[out->n_probed];

		if (!net_subnet_parse(key, &probed->subnet))
			continue;
		probed->reached = read_peers(in, json_get(value, "reached"));
		probed->lost = read_peers(in, json_get(value, "lost"));
		out->n_probed++;
	}
}

static void read_row(const struct store *store, size_t node, struct net_input *in)
{
	struct net_node *out = &in->nodes[node];
	const struct json *record = find_record(store, LINKS_PREFIX, out->name);
	const struct json *addresses = json_get(record, "addresses");
	const struct json *reaches = json_get(record, "reaches");
	char id[16];

	for (size_t i = 0; i < json_length(addresses) && i < NET_MAX_LINKS; i++) {
		struct net_addr address;

		if (net_addr_parse(json_string(json_at(addresses, i), ""), &address))
			out->link_address[i] = address;
	}
	/* What a node said before it went away is not about the present. */
	if (!out->is_reporting)
		return;
	for (size_t peer = 0; peer < in->n_nodes; peer++) {
		snprintf(id, sizeof(id), "%u", in->nodes[peer].id);
		out->reports[peer] = json_is_array(json_get(reaches, id));
		out->reaches[peer] = read_links(json_get(reaches, id));
	}
	read_probed(json_get(record, "probed"), in, out);
}

static bool read_override(const char *key, const struct json *record, struct net_override *out)
{
	const char *name = json_get_string(record, "name", "");
	int64_t role = json_get_int(record, "role", -1);
	int64_t metric = json_get_int(record, "metric", 0);

	*out = (struct net_override){
		.role = role == CLUSTER_ROLE_NONE || role == CLUSTER_ROLE_CLUSTER ||
					role == CLUSTER_ROLE_CLUSTER_AND_CLIENT
				? (int)role
				: -1,
		.metric = metric >= 1 && metric <= NET_MAX_METRIC ? (uint32_t)metric : 0,
	};
	if (is_text(name, sizeof(out->name) - 1))
		snprintf(out->name, sizeof(out->name), "%s", name);
	return net_subnet_parse(key + strlen(NET_PREFIX), &out->subnet);
}

static void read_overrides(const struct store *store, struct net_input *in)
{
	size_t i = store_lower_bound(store, NET_PREFIX);
	const struct store_entry *entry;

	for (; (entry = store_at(store, i)); i++) {
		if (strncmp(entry->key, NET_PREFIX, strlen(NET_PREFIX)) != 0 ||
			in->n_overrides == CLUSTER_MAX_NETS)
			break;
		if (read_override(
			    entry->key, store_entry_json(entry), &in->overrides[in->n_overrides]))
			in->n_overrides++;
	}
}

static size_t read_subnets(const struct json *list, struct net_subnet ret_subnets[CLUSTER_MAX_NETS])
{
	size_t n = 0;

	for (size_t i = 0; i < json_length(list) && n < CLUSTER_MAX_NETS; i++)
		n += net_subnet_parse(json_string(json_at(list, i), ""), &ret_subnets[n]);
	return n;
}

void net_migration_read(const struct json *record, struct net_migration *ret_migration)
{
	struct net_migration m = {.strict = json_get_bool(record, "strict", false)};

	m.n_order = read_subnets(json_get(record, "order"), m.order);
	m.n_excluded = read_subnets(json_get(record, "excluded"), m.excluded);
	*ret_migration = m;
}

void net_records_read(const struct store *store, struct net_input *in)
{
	const struct store_entry *migration = store_find(store, CLUSTER_MIGRATION_KEY);

	for (size_t node = 0; node < in->n_nodes; node++) {
		read_interfaces(store, node, in);
		read_row(store, node, in);
	}
	read_overrides(store, in);
	net_migration_read(migration ? store_entry_json(migration) : NULL, &in->migration);
}

static int append_address(struct json *list, const struct net_addr *address)
{
	char text[NET_ADDR_TEXT_BYTES];

	net_addr_text(address, text);
	return json_append_string(list, text);
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

/* The entries of one subnet, from *at on; moves it past them. */
static int append_probed(struct json *probed, const struct net_row *row, size_t *at)
{
	const struct net_subnet subnet = row->probed[*at].subnet;
	_cleanup_json_ struct json *record = json_object_new();
	struct json *reached = json_array_new(), *lost = json_array_new();
	char key[NET_SUBNET_TEXT_BYTES];
	int r = json_set(record, "reached", reached);

	if (r == 0)
		r = json_set(record, "lost", lost);
	else
		json_unref(lost);
	for (; r == 0 && *at < row->n_probed &&
		net_subnet_compare(&row->probed[*at].subnet, &subnet) == 0;
		(*at)++)
		r = json_append(row->probed[*at].is_lost ? lost : reached,
			json_int_new(row->probed[*at].id));
	net_subnet_text(&subnet, key);
	return r < 0 ? r : json_set(probed, key, json_ref(record));
}

struct json *net_row_to_json(const struct net_row *row)
{
	_cleanup_json_ struct json *record = json_object_new();
	_cleanup_json_ struct json *addresses = json_array_new();
	_cleanup_json_ struct json *reaches = json_object_new();
	_cleanup_json_ struct json *probed = json_object_new();
	size_t n_links = NET_MAX_LINKS;
	int r = record && addresses && reaches && probed ? 0 : -ENOMEM;

	while (n_links > 0 && row->address[n_links - 1].family == NET_FAMILY_NONE)
		n_links--;
	for (size_t i = 0; r == 0 && i < n_links; i++)
		r = append_address(addresses, &row->address[i]);
	for (size_t i = 0; r == 0 && i < row->n_peers; i++)
		r = append_reaches(reaches, row->peers[i].id, row->peers[i].links);
	for (size_t i = 0; r == 0 && i < row->n_probed;)
		r = append_probed(probed, row, &i);
	if (r == 0)
		r = json_set(record, "addresses", json_ref(addresses));
	if (r == 0)
		r = json_set(record, "reaches", json_ref(reaches));
	if (r == 0)
		r = json_set(record, "probed", json_ref(probed));
	return r == 0 ? json_ref(record) : NULL;
}

static int append_interface(struct json *list, const struct net_interface *interface)
{
	_cleanup_json_ struct json *item = json_object_new();
	char text[NET_ADDR_TEXT_BYTES];
	int r;

	net_addr_text(&interface->address, text);
	r = json_set_string(item, "name", interface->ifname);
	if (r == 0)
		r = json_set_string(item, "address", text);
	if (r == 0)
		r = json_set_int(item, "prefix", interface->prefix_len);
	if (r == 0 && interface->speed_mbps)
		r = json_set_int(item, "speed_mbps", interface->speed_mbps);
	if (r == 0 && interface->is_down)
		r = json_set_bool(item, "down", true);
	if (r == 0 && interface->has_rdma)
		r = json_set_bool(item, "rdma", true);
	if (r == 0 && interface->has_rss)
		r = json_set_bool(item, "rss", true);
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
