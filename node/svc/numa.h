/* SPDX-License-Identifier: MIT
 *
 * numa.h - the NUMA nodes of this host, from /sys/devices/system/node (the kernel's
 * Documentation/ABI/stable/sysfs-devices-node).
 *
 * Threads: any.
 */
#ifndef VIADUCT_NODE_SVC_NUMA_H
#define VIADUCT_NODE_SVC_NUMA_H

#include "base/err.h"

#define NUMA_MAX_NODES 64 /* of a host; more are left out */

struct numa_node {
	unsigned cpus;
	uint64_t memory_bytes;
};

/* Of the beginnings of the files cpulist and meminfo of a node, as text. What makes no sense is 0.
 */
struct numa_node numa_parse(const char *cpulist, const char *meminfo);
/* Those with processors or memory, in their order; `dir` is the folder. How many; 0 also when it
 * cannot be read. */
size_t numa_read(const char *dir, struct numa_node ret_nodes[NUMA_MAX_NODES]);

#endif
