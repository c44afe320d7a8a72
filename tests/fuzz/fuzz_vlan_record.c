/* SPDX-License-Identifier: MIT
 *
 * What the store says of VLANs that do not get through, written by whoever: JSON.
 */
#include "fabric/vlan.h"
#include "node/svc/vlan_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cluster_node nodes[] = {
		{.id = 1, .name = "host1", .is_member = true, .has_service = true},
		{.id = 2, .name = "host2", .is_member = true},
		{.id = 3, .name = "host3"},
	};
	uint64_t cut[BITMAP_WORDS(VLAN_N_VIDS)], reached[BITMAP_WORDS(VLAN_N_VIDS)];
	_cleanup_json_ struct json *record = NULL;
	_cleanup_free_ char *list = NULL;

	if (json_parse((const char *)data, size, &record) < 0)
		return 0;
	list = vlan_watch_reached(record, nodes, ARRAY_LEN(nodes));
	if (!list)
		return 0;
	/* All that is not cut, and nothing else. */
	if (vlan_list_parse(json_get_string(record, "cut", ""), cut) < 0)
		abort();
	if (list[0] ? vlan_list_parse(list, reached) < 0 : bitmap_count(cut, ARRAY_LEN(cut)) == 0)
		abort();
	for (unsigned vid = VLAN_VID_MIN; list[0] && vid <= VLAN_VID_MAX; vid++) {
		if (bitmap_test(cut, vid) == bitmap_test(reached, vid))
			abort();
	}
	return 0;
}
