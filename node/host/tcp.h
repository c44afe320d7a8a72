/* SPDX-License-Identifier: MIT
 *
 * tcp.h - the host's TCP connections, from /proc/net/tcp and tcp6 of the caller's network
 * namespace.
 *
 * Sources: proc(5); net/ipv4/tcp_ipv4.c of the kernel for the format of a line.
 */
#ifndef VIADUCT_NODE_HOST_TCP_H
#define VIADUCT_NODE_HOST_TCP_H

#include "base/err.h"

#include <stdio.h>

#define HOST_TCP_TEXT_BYTES 56 /* "[ffff:...]:65535" */

struct host_tcp {
	char local[HOST_TCP_TEXT_BYTES], remote[HOST_TCP_TEXT_BYTES];
	const char *state; /* "ESTABLISHED", as netstat says it */
};

/* One line. -EBADMSG: it is none of a connection, as the heading is. */
int host_tcp_parse(const char *line, int family, struct host_tcp *ret_connection);
/* Append at most `max`; *ret_n counts those in the array, *ret_total all there are. */
int host_tcp_read(struct host_tcp *ret_connections, size_t max, size_t *ret_n, size_t *ret_total);

#endif
