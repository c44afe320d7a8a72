/* SPDX-License-Identifier: MIT
 *
 * sysctl.h - values under /proc/sys/net of the caller's network namespace.
 *
 * -ENOENT: the kernel does not have it. `path` is relative to /proc/sys/net and is built from
 * constants and adapter names that passed host_nic_name_is_valid().
 */
#ifndef VIADUCT_NODE_HOST_SYSCTL_H
#define VIADUCT_NODE_HOST_SYSCTL_H

#include "base/err.h"

/* The first line, without its end. */
int sysctl_get_text(const char *path, char *text, size_t size_bytes);
int sysctl_get(const char *path, int *ret_value);
int sysctl_set(const char *path, int value);

/* Whether IPv6 is disabled on an adapter; -ENOENT also when the kernel has no IPv6. */
int sysctl_get_ipv6_disabled(const char *nic, int *ret_disabled);
int sysctl_set_ipv6_disabled(const char *nic, int disabled);

#endif
