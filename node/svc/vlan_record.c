/* SPDX-License-Identifier: MIT
 *
 * vlan_record.c - what a record vlan/NODE/NAME means: pure.
 */
#include "node/svc/vlan_watch.h"

#include "fabric/vlan.h"

#include <string.h>

static bool was_tried(const struct json *record, const char *node)
{
	const struct json *tried = json_get(record, "tried");

	for (size_t i = 0; i < json_length(tried); i++) {
		if (strcmp(json_string(json_at(tried, i), ""), node) == 0)
			return true;
	}
	return false;
}

bool vlan_record_counts(const struct json *record, const struct cluster_node *nodes, size_t n_nodes)
{
	for (size_t i = 0; i < n_nodes; i++) {
		if (nodes[i].is_member && nodes[i].has_service && was_tried(record, nodes[i].name))
			return true;
	}
	return false;
}

char *vlan_watch_reached(
	const struct json *record, const struct cluster_node *nodes, size_t n_nodes)
{
	uint64_t cut[BITMAP_WORDS(VLAN_N_VIDS)], reached[BITMAP_WORDS(VLAN_N_VIDS)] = {0};

	if (vlan_list_parse(json_get_string(record, "cut", ""), cut) < 0 ||
		!vlan_record_counts(record, nodes, n_nodes))
		return NULL;
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++) {
		if (!bitmap_test(cut, vid))
			bitmap_set(reached, vid);
	}
	return vlan_list_format(reached);
}
