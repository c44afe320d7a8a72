/* SPDX-License-Identifier: MIT
 *
 * What the store says about networks, written by whoever: lines of KEY and JSON. Networks, paths
 * and probes are computed of it.
 */
#include "cluster/net_path.h"
#include "cluster/net_records.h"
#include "cluster/netprobe.h"

#include <stdio.h>
#include <string.h>

#define N_NODES   5
#define MAX_LINES 64

static void put_line(struct store *store, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);

	if (!space || space == line || space - line > CLUSTER_KEY_MAX_LEN)
		return;
	(void)store_put(store, line, (size_t)(space - line), space + 1,
		len - (size_t)(space - line) - 1, 1);
}

static void check(const struct net_input *in)
{
	static struct cluster_net nets[CLUSTER_MAX_NETS];
	static struct cluster_path paths[CLUSTER_MAX_NETS];
	static struct netprobe_path probes[NETPROBE_MAX_PATHS];
	size_t n = net_compute(in, nets, CLUSTER_MAX_NETS);

	for (size_t i = 0; i < n; i++) {
		if (nets[i].n_interfaces > N_NODES || !nets[i].name[0] || !nets[i].subnet[0] ||
			nets[i].metric == 0 ||
			(nets[i].reason[0] == '\0') != (nets[i].state == CLUSTER_NET_UP))
			abort();
	}
	for (unsigned class = 0; class < CLUSTER_N_CLASSES; class ++) {
		if (net_path_plan(in, nets, n, (enum cluster_class) class, 1, 2, paths) != n)
			abort();
		for (size_t i = 0; i < n; i++) {
			if (paths[i].net >= n || !paths[i].why[0] ||
				(paths[i].is_usable && !paths[i].is_allowed))
				abort();
		}
	}
	if (netprobe_find_paths(in, 0, probes, NETPROBE_MAX_PATHS) > NETPROBE_MAX_PATHS)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_input in;
	const char *at = (const char *)data;
	struct store *store;

	if (store_new(&store) < 0)
		return 0;
	in = (struct net_input){.n_nodes = N_NODES};
	for (size_t i = 0; i < N_NODES; i++) {
		in.nodes[i].id = (uint32_t)i + 1;
		in.nodes[i].is_member = i != 3;
		in.nodes[i].is_reporting = i != 4;
		snprintf(in.nodes[i].name, sizeof(in.nodes[i].name), "n%zu", i + 1);
	}
	for (unsigned i = 0; i < MAX_LINES && size > 0; i++) {
		const char *end = memchr(at, '\n', size);
		size_t len = end ? (size_t)(end - at) : size;

		put_line(store, at, len);
		at += end ? len + 1 : len;
		size -= end ? len + 1 : len;
	}
	net_records_read(store, &in);
	check(&in);
	store_free(store);
	return 0;
}
