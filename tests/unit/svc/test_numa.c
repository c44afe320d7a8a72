/* SPDX-License-Identifier: MIT */
#include "node/svc/numa.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];

static int set_up(void **state _unused_)
{
	snprintf(folder, sizeof(folder), "/tmp/numa-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state _unused_)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void write_file(unsigned node, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/node%u", folder, node);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/node%u/%s", folder, node, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void nodes_are_found_with_gaps(void **state _unused_)
{
	struct numa_node nodes[NUMA_MAX_NODES];

	write_file(0, "cpulist", "0-3,8\n");
	write_file(0, "meminfo", "Node 0 MemTotal:       16316412 kB\nNode 0 MemFree: 1 kB\n");
	write_file(2, "cpulist", "\n"); /* memory only */
	write_file(2, "meminfo", "Node 2 MemTotal: 1024 kB\n");
	write_file(3, "cpulist", "4");
	write_file(7, "cpulist", "\n"); /* nothing at all */
	assert_int_equal(numa_read(folder, nodes), 3);
	assert_int_equal(nodes[0].cpus, 5);
	assert_int_equal(nodes[0].memory_bytes, 16316412ULL << 10);
	assert_int_equal(nodes[1].cpus, 0);
	assert_int_equal(nodes[1].memory_bytes, 1 << 20);
	assert_int_equal(nodes[2].cpus, 1);
	assert_int_equal(nodes[2].memory_bytes, 0);
}

static void nonsense_is_nothing(void **state _unused_)
{
	static const char *const lists[] = {"3-1", "0-", "a", "0-99999999", "1 2", "0,,1", "-4"};
	struct numa_node nodes[NUMA_MAX_NODES];

	assert_int_equal(numa_read("/nowhere", nodes), 0);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		write_file(0, "cpulist", lists[i]);
		write_file(0, "meminfo", "Node 0 MemTotal: 999999999999999999 kB\n");
		assert_int_equal(numa_read(folder, nodes), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_are_found_with_gaps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_is_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
