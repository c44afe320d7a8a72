/* SPDX-License-Identifier: MIT
 *
 * acl_text.c - the address of a rule's side as people write it.
 */
#include "fabric/acl.h"
#include "fabric/acl_list.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

/* "00-15-5d-01-02-03", or with colons. */
static bool parse_mac(const char *text, uint8_t ret_mac[ETH_ADDR_LEN])
{
	const char separator = strchr(text, '-') ? '-' : ':';

	for (unsigned i = 0; i < ETH_ADDR_LEN; i++, text += 2) {
		const char digits[] = {text[0], text[0] ? text[1] : '\0', '\0'};

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
			return false;
		ret_mac[i] = (uint8_t)strtoul(digits, NULL, 16);
		if (i < ETH_ADDR_LEN - 1 && text++[2] != separator)
			return false;
	}
	return *text == '\0';
}

/* Digits without a sign, blanks or leading zeros; what is too much for a prefix becomes -1. */
static int parse_bits(const char *text)
{
	int bits = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 3 || (text[0] == '0' && len > 1))
		return -1;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -1;
		bits = bits * 10 + (*text - '0');
	}
	return bits;
}

/* The number of bits of the address, 0 when it is none. */
static unsigned parse_address(const char *text, struct acl_side *side)
{
	uint8_t mac[ETH_ADDR_LEN];

	if (parse_mac(text, mac)) {
		side->kind = ACL_MAC;
		memcpy(side->address, mac, sizeof(mac));
		return ETH_ADDR_LEN * 8;
	}
	if (inet_pton(AF_INET, text, side->address) == 1) {
		side->kind = ACL_IPV4;
		return 32;
	}
	if (inet_pton(AF_INET6, text, side->address) == 1) {
		side->kind = ACL_IPV6;
		return HEADERS_IP_BYTES * 8;
	}
	return 0;
}

int acl_side_parse(const char *text, struct acl_side *ret_side)
{
	struct acl_side side = {.port_min = ret_side->port_min, .port_max = ret_side->port_max};
	char address[ACL_SIDE_MAX_LEN + 1];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned max_bits;
	int bits;

	if (strcmp(text, "*") == 0) {
		*ret_side = side;
		return 0;
	}
	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	max_bits = parse_address(address, &side);
	bits = slash ? parse_bits(slash + 1) : (int)max_bits;
	if (max_bits == 0 || bits < 0 || bits > (int)max_bits)
		return -EINVAL;
	side.prefix_bits = (uint8_t)bits;
	if (acl_side_has_bits_behind_prefix(&side))
		return -EINVAL;
	*ret_side = side;
	return 0;
}

void acl_side_format(const struct acl_side *side, char *text)
{
	const uint8_t *a = side->address;
	unsigned max_bits = acl_side_max_bits(side);
	size_t len;

	switch (side->kind) {
	case ACL_MAC:
		snprintf(text, ACL_SIDE_MAX_LEN + 1, "%02x-%02x-%02x-%02x-%02x-%02x", a[0], a[1],
			a[2], a[3], a[4], a[5]);
		break;
	case ACL_IPV4:
		inet_ntop(AF_INET, a, text, ACL_SIDE_MAX_LEN + 1);
		break;
	case ACL_IPV6:
		inet_ntop(AF_INET6, a, text, ACL_SIDE_MAX_LEN + 1);
		break;
	default:
		strcpy(text, "*");
		break;
	}
	len = strlen(text);
	if (side->prefix_bits < max_bits)
		snprintf(text + len, ACL_SIDE_MAX_LEN + 1 - len, "/%u", side->prefix_bits);
}
