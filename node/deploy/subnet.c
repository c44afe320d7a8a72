/* SPDX-License-Identifier: MIT */
#include "node/deploy/subnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static unsigned n_bits(const struct subnet *subnet)
{
	return subnet->family == AF_INET ? 32 : 128;
}

bool subnet_parse(const char *text, struct subnet *ret_subnet)
{
	struct subnet subnet = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	int end = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (slash[1] < '0' || slash[1] > '9' ||
		sscanf(slash + 1, "%3u%n", &subnet.prefix_len, &end) != 1 || slash[1 + end] ||
		inet_pton(subnet.family, address, subnet.bytes) != 1 || subnet.prefix_len < 1 ||
		subnet.prefix_len > n_bits(&subnet))
		return false;
	*ret_subnet = subnet;
	return true;
}

static bool bit(const uint8_t *bytes, unsigned at)
{
	return bytes[at / 8] >> (7 - at % 8) & 1;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		if (bit(a, i) != bit(b, i))
			return false;
	}
	return true;
}

/* Are all bits behind the prefix `value`? */
static bool host_bits_are(const uint8_t *bytes, const struct subnet *subnet, bool value)
{
	for (unsigned i = subnet->prefix_len; i < n_bits(subnet); i++) {
		if (bit(bytes, i) != value)
			return false;
	}
	return true;
}

bool subnet_is_base(const struct subnet *subnet)
{
	return host_bits_are(subnet->bytes, subnet, false);
}

bool subnet_has(const struct subnet *subnet, const char *address)
{
	uint8_t bytes[16];

	if (inet_pton(subnet->family, address, bytes) != 1 ||
		!same_prefix(bytes, subnet->bytes, subnet->prefix_len))
		return false;
	return subnet->family != AF_INET || subnet->prefix_len > 30 ||
	       (!host_bits_are(bytes, subnet, false) && !host_bits_are(bytes, subnet, true));
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	return a->family == b->family &&
	       same_prefix(a->bytes, b->bytes, MIN(a->prefix_len, b->prefix_len));
}
