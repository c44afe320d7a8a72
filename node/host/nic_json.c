/* SPDX-License-Identifier: MIT
 *
 * Addresses and routes as text and JSON, and back.
 */
#include "node/host/nic.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *host_address_text(
	int family, const uint8_t address[16], unsigned prefix_len, char *text)
{
	char bare[INET6_ADDRSTRLEN];

	if (!inet_ntop(family, address, bare, sizeof(bare)))
		snprintf(bare, sizeof(bare), "?");
	snprintf(text, HOST_ADDRESS_TEXT, "%s/%u", bare, prefix_len);
	return text;
}

static int parse_bare(const char *text, int family, uint8_t address[16])
{
	memset(address, 0, 16);
	return inet_pton(family, text, address) == 1 ? 0 : -EBADMSG;
}

/* "10.0.0.1/24"; the family is whichever reads it. */
static int parse_prefix(
	const char *text, int *ret_family, uint8_t address[16], uint8_t *ret_prefix_len)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char bare[INET6_ADDRSTRLEN], *end;
	unsigned long prefix_len;
	int family;

	if (!slash || (size_t)(slash - text) >= sizeof(bare) || slash[1] < '0' || slash[1] > '9')
		return -EBADMSG;
	memcpy(bare, text, (size_t)(slash - text));
	bare[slash - text] = '\0';
	family = strchr(bare, ':') ? AF_INET6 : AF_INET;
	prefix_len = strtoul(slash + 1, &end, 10);
	if (*end || prefix_len > (family == AF_INET ? 32 : 128) ||
		parse_bare(bare, family, address) < 0)
		return -EBADMSG;
	*ret_family = family;
	*ret_prefix_len = (uint8_t)prefix_len;
	return 0;
}

static int get_number(
	const struct json *j, const char *key, uint32_t max, uint32_t fallback, uint32_t *ret)
{
	int64_t value = json_get_int(j, key, fallback);

	if ((json_get(j, key) && !json_is_int(json_get(j, key))) || value < 0 || value > max)
		return -EBADMSG;
	*ret = (uint32_t)value;
	return 0;
}

struct json *host_address_to_json(const struct host_address *address)
{
	struct json *j = json_object_new();
	char text[HOST_ADDRESS_TEXT];

	json_set_string(j, "address",
		host_address_text(address->family, address->local, address->prefix_len, text));
	if (memcmp(address->local, address->peer, sizeof(address->local)) != 0)
		json_set_string(j, "peer",
			host_address_text(
				address->family, address->peer, address->prefix_len, text));
	if (address->has_broadcast) {
		inet_ntop(AF_INET, address->broadcast, text, sizeof(text));
		json_set_string(j, "broadcast", text);
	}
	json_set_int(j, "scope", address->scope);
	json_set_int(j, "flags", address->flags);
	if (address->metric)
		json_set_int(j, "metric", address->metric);
	if (address->valid_s != UINT32_MAX) {
		json_set_int(j, "valid_s", address->valid_s);
		json_set_int(j, "preferred_s", address->preferred_s);
	}
	return j;
}

int host_address_from_json(const struct json *j, struct host_address *ret_address)
{
	struct host_address a = {0};
	const char *peer = json_get_string(j, "peer", NULL);
	const char *broadcast = json_get_string(j, "broadcast", NULL);
	uint8_t peer_prefix_len, bytes[16];
	int peer_family;
	uint32_t scope;

	if (parse_prefix(json_get_string(j, "address", NULL), &a.family, a.local, &a.prefix_len) <
			0 ||
		get_number(j, "scope", 255, 0, &scope) < 0 ||
		get_number(j, "flags", UINT32_MAX, 0, &a.flags) < 0 ||
		get_number(j, "metric", UINT32_MAX, 0, &a.metric) < 0 ||
		get_number(j, "valid_s", UINT32_MAX, UINT32_MAX, &a.valid_s) < 0 ||
		get_number(j, "preferred_s", UINT32_MAX, UINT32_MAX, &a.preferred_s) < 0)
		return -EBADMSG;
	memcpy(a.peer, a.local, sizeof(a.peer));
	if (peer && (parse_prefix(peer, &peer_family, a.peer, &peer_prefix_len) < 0 ||
			    peer_family != a.family || peer_prefix_len != a.prefix_len))
		return -EBADMSG;
	if (broadcast) {
		if (a.family != AF_INET || parse_bare(broadcast, AF_INET, bytes) < 0)
			return -EBADMSG;
		memcpy(a.broadcast, bytes, sizeof(a.broadcast));
		a.has_broadcast = true;
	}
	a.scope = (uint8_t)scope;
	*ret_address = a;
	return 0;
}

struct json *host_route_to_json(const struct host_route *route)
{
	struct json *j = json_object_new();
	char text[HOST_ADDRESS_TEXT];

	json_set_string(
		j, "to", host_address_text(route->family, route->to, route->prefix_len, text));
	if (route->has_gateway) {
		inet_ntop(route->family, route->gateway, text, sizeof(text));
		json_set_string(j, "via", text);
	}
	if (route->has_source) {
		inet_ntop(route->family, route->source, text, sizeof(text));
		json_set_string(j, "source", text);
	}
	json_set_int(j, "metric", route->metric);
	json_set_int(j, "protocol", route->protocol);
	json_set_int(j, "scope", route->scope);
	if (route->flags)
		json_set_int(j, "flags", route->flags);
	return j;
}

int host_route_from_json(const struct json *j, struct host_route *ret_route)
{
	struct host_route route = {0};
	const char *via = json_get_string(j, "via", NULL);
	const char *source = json_get_string(j, "source", NULL);
	uint32_t protocol, scope;

	if (parse_prefix(json_get_string(j, "to", NULL), &route.family, route.to,
		    &route.prefix_len) < 0 ||
		get_number(j, "metric", UINT32_MAX, 0, &route.metric) < 0 ||
		get_number(j, "protocol", 255, 0, &protocol) < 0 ||
		get_number(j, "scope", 255, 0, &scope) < 0 ||
		get_number(j, "flags", UINT32_MAX, 0, &route.flags) < 0)
		return -EBADMSG;
	route.has_gateway = via;
	route.has_source = source;
	if ((via && parse_bare(via, route.family, route.gateway) < 0) ||
		(source && parse_bare(source, route.family, route.source) < 0))
		return -EBADMSG;
	route.protocol = (uint8_t)protocol;
	route.scope = (uint8_t)scope;
	*ret_route = route;
	return 0;
}
