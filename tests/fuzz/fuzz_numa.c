/* SPDX-License-Identifier: MIT
 *
 * What the kernel says of a NUMA node - a line as its file cpulist, lines as its file meminfo - and
 * what the store says of a node's hardware, written by whoever: behind a NUL, as JSON. Placement
 * must take both.
 */
#include "node/svc/node_facts.h"
#include "node/svc/numa.h"

#include <stdio.h>
#include <string.h>

#define MAX_TEXT 4096

static void check_kernel(char *text)
{
	char *end = strchr(text, '\n');
	struct numa_node node;

	if (end)
		*end = '\0';
	node = numa_parse(text, end ? end + 1 : "");
	if (node.cpus > 65536 || node.memory_bytes > 1ULL << 48)
		abort();
}

static void check_record(const struct json *facts)
{
	struct place_vm vm = {.name = "VM1",
		.memory_bytes = PLACE_MAX_MEMORY,
		.vps = PLACE_MAX_CPUS,
		.cpu_digest = "",
		.priority = PLACE_MEDIUM,
		.anti_affinity = ""};
	struct place_node node = {.id = 1, .name = "host1", .is_up = true};
	struct place_reason reasons[PLACE_MAX_REASONS];
	struct place *place;

	node_record_read(facts, &node);
	if (node.vm_memory_bytes > PLACE_MAX_MEMORY || node.numa_memory_bytes > PLACE_MAX_MEMORY ||
		node.cpus > PLACE_MAX_CPUS || node.numa_cpus > PLACE_MAX_CPUS)
		abort();
	if (place_new(&place) < 0)
		return;
	if (place_add_node(place, &node) == 0) {
		if (place_add_vm(place, &vm) < 0 ||
			place_why_not(place, "VM1", 1, reasons, PLACE_MAX_REASONS) < 0 ||
			place_choose(place, "VM1", 0) > 1 || place_move(place, "VM1", 1) < 0)
			abort();
	} else if (strlen(node.cpu_digest) <= PLACE_NAME_MAX_LEN) {
		abort(); /* nothing else in a record may keep a node out */
	}
	place_free(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
	size_t len = MIN(nul ? (size_t)(nul - data) : size, (size_t)MAX_TEXT);
	_cleanup_json_ struct json *facts = NULL;
	char text[MAX_TEXT + 1];

	memcpy(text, data, len);
	text[len] = '\0';
	check_kernel(text);
	if (nul)
		(void)json_parse((const char *)nul + 1, size - (size_t)(nul + 1 - data), &facts);
	check_record(facts);
	return 0;
}
