/* SPDX-License-Identifier: MIT
 *
 * node_record.c - what placement takes of a record node/NAME: pure.
 */
#include "node/svc/node_facts.h"

static unsigned small(const struct json *record, const char *key)
{
	int64_t value = json_get_int(record, key, 0);

	return value > 0 && value <= PLACE_MAX_CPUS ? (unsigned)value : 0;
}

static uint64_t bytes(const struct json *record, const char *key)
{
	int64_t value = json_get_int(record, key, 0);

	return value > 0 ? MIN((uint64_t)value, PLACE_MAX_MEMORY) : 0;
}

void node_record_read(const struct json *facts, struct place_node *node)
{
	const struct json *numa = json_get(facts, "numa");

	node->why_not = facts ? "" : "its service has not said yet what it can do";
	node->has_kvm = !facts || json_get_bool(facts, "kvm", false);
	node->vm_memory_bytes = bytes(facts, "vm_memory_bytes");
	node->cpus = small(facts, "cpus");
	node->cpu_digest = json_get_string(facts, "cpu_digest", "");
	node->numa_memory_bytes = 0;
	node->numa_cpus = 0;
	for (size_t i = 0; i < json_length(numa); i++) {
		node->numa_memory_bytes =
			MAX(node->numa_memory_bytes, bytes(json_at(numa, i), "memory_bytes"));
		node->numa_cpus = MAX(node->numa_cpus, small(json_at(numa, i), "cpus"));
	}
}
