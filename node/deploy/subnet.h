/* SPDX-License-Identifier: MIT
 *
 * subnet.h - IP subnets, of either version. Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_DEPLOY_SUBNET_H
#define VIADUCT_NODE_DEPLOY_SUBNET_H

#include "base/err.h"

struct subnet {
	int family; /* AF_INET or AF_INET6 */
	unsigned prefix_len;
	uint8_t bytes[16];
};

bool subnet_parse(const char *text, struct subnet *ret_subnet); /* "10.10.2.0/24" */
/* No bits are set behind the prefix. */
bool subnet_is_base(const struct subnet *subnet);
/* An address in it that a machine may have: for IPv4 neither the first nor the last one. */
bool subnet_has(const struct subnet *subnet, const char *address);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

#endif
