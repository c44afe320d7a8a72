/* SPDX-License-Identifier: MIT */
#include "node/svc/numa.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILE_BYTES 8192
#define MAX_NODE_ID    1023
#define MAX_CPU        65535U
#define MAX_KIB        (1ULL << 38)

/* The beginning of a file, as text. */
static int read_text(const char *dir, unsigned node, const char *file, char text[MAX_FILE_BYTES])
{
	_cleanup_close_ int fd = -1;
	char path[512];
	ssize_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/node%u/%s", dir, node, file) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, MAX_FILE_BYTES - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

static bool parse_cpu(const char **text, unsigned *ret_cpu)
{
	unsigned cpu = 0;

	if (!isdigit((unsigned char)**text))
		return false;
	for (; isdigit((unsigned char)**text); (*text)++) {
		cpu = cpu * 10 + (unsigned)(**text - '0');
		if (cpu > MAX_CPU)
			return false;
	}
	*ret_cpu = cpu;
	return true;
}

/* "0-3,8": how many; 0 for nothing and for nonsense. */
static unsigned count_cpus(const char *text)
{
	unsigned n = 0, first, last;

	for (;; text++) {
		if (!parse_cpu(&text, &first))
			return 0;
		last = first;
		if (*text == '-') {
			text++;
			if (!parse_cpu(&text, &last) || last < first)
				return 0;
		}
		n += last - first + 1;
		if (n > MAX_CPU + 1)
			return 0;
		if (*text != ',')
			return *text == '\0' || *text == '\n' ? n : 0;
	}
}

/* "Node 0 MemTotal:  16316412 kB" among other lines. */
static uint64_t find_total(const char *text)
{
	const char *at = strstr(text, " MemTotal:");
	unsigned long long kib;

	if (!at || sscanf(at, " MemTotal: %llu kB", &kib) != 1 || kib > MAX_KIB)
		return 0;
	return (uint64_t)kib << 10;
}

struct numa_node numa_parse(const char *cpulist, const char *meminfo)
{
	return (struct numa_node){count_cpus(cpulist), find_total(meminfo)};
}

size_t numa_read(const char *dir, struct numa_node ret_nodes[NUMA_MAX_NODES])
{
	char cpulist[MAX_FILE_BYTES], meminfo[MAX_FILE_BYTES];
	size_t n = 0;

	for (unsigned id = 0; id <= MAX_NODE_ID && n < NUMA_MAX_NODES; id++) {
		struct numa_node node;

		if (read_text(dir, id, "cpulist", cpulist) < 0)
			continue;
		if (read_text(dir, id, "meminfo", meminfo) < 0)
			meminfo[0] = '\0';
		node = numa_parse(cpulist, meminfo);
		if (node.cpus || node.memory_bytes)
			ret_nodes[n++] = node;
	}
	return n;
}
