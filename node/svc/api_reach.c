/* SPDX-License-Identifier: MIT
 *
 * api_reach.c - the VLAN probe on demand, and before a migration: which VLANs do a VM's adapters
 * need, and does the target's physical network carry them?
 */
#include "node/svc/svc.h"

#include "base/bitmap.h"
#include "fabric/vlan.h"
#include "node/svc/switch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t vids_map[BITMAP_WORDS(VLAN_N_VIDS)];

/* A trunk of more VLANs than this means "whatever there is"; nobody misses what is not there. */
#define MAX_NAMED_VLANS 64

void reach_add_nic(const struct json *nic, uint64_t *map)
{
	static const char *const single[] = {"vid", "native", "primary", "secondary"};
	static const char *const lists[] = {"allowed", "secondaries"};
	const char *mode = json_get_string(nic, "mode", "untagged");
	vids_map more;

	if (strcmp(mode, "untagged") == 0 ||
		(strcmp(mode, "trunk") == 0 && json_get_int(nic, "native", 0) == 0))
		bitmap_set(map, 0);
	for (size_t i = 0; i < ARRAY_LEN(single); i++) {
		int64_t vid = json_get_int(nic, single[i], 0);

		if (vlan_vid_is_usable(vid))
			bitmap_set(map, (size_t)vid);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const char *text = json_get_string(nic, lists[i], "");

		if (!text[0] || vlan_list_parse(text, more) < 0 ||
			bitmap_count(more, ARRAY_LEN(more)) > MAX_NAMED_VLANS)
			continue;
		for (size_t word = 0; word < ARRAY_LEN(more); word++)
			map[word] |= more[word];
	}
}

const struct json *reach_external_record(struct svc *svc, const char *node, const char *name)
{
	char key[2 * SVC_NAME_MAX_LEN + 16];
	const struct json *record;
	uint64_t version;

	snprintf(key, sizeof(key), "switch/%s/%s", node, name);
	if (cluster_get(svc->cluster, key, &record, &version) < 0 ||
		strcmp(json_get_string(record, "type", ""), "external") != 0)
		return NULL;
	return record;
}

/* Of this node. */
static const struct json *external_record(struct svc *svc, const char *name)
{
	return reach_external_record(svc, cluster_local_name(svc->cluster), name);
}

struct in_use {
	struct svc *svc;
	const char *name; /* of a switch of this node */
	uint64_t *map;
};

static int add_vm(
	const char *key _unused_, const struct json *config, uint64_t version _unused_, void *data)
{
	struct in_use *use = data;
	const struct json *nics = json_get(config, "nics");
	const char *node = cluster_local_name(use->svc->cluster);
	char text[SVC_NAME_MAX_LEN + 1];

	for (size_t i = 0; i < json_length(nics); i++) {
		const struct json *nic = json_at(nics, i);

		if (switchd_resolve(use->svc, node, json_get_string(nic, "switch", ""), text,
			    sizeof(text)) &&
			strcmp(text, use->name) == 0)
			reach_add_nic(nic, use->map);
	}
	return 0;
}

void reach_in_use(struct svc *svc, const char *name, uint64_t *map)
{
	struct in_use use = {.svc = svc, .name = name, .map = map};

	cluster_for_each(svc->cluster, "vm/", add_vm, &use);
}

static void find_in_use(struct svc *svc, const struct json *record, const char *name, vids_map map)
{
	_cleanup_json_ struct json *adapters =
		switch_adapters(record, cluster_local_name(svc->cluster), name);

	for (size_t i = 0; i < json_length(adapters); i++)
		reach_add_nic(json_at(adapters, i), map);
	reach_in_use(svc, name, map);
}

/* ---- on demand ---- */

struct probe {
	struct api_call *call;
	vids_map wanted;
};

static void append_vlan(struct json *list, unsigned vid, bool there, bool back)
{
	struct json *entry = json_object_new();

	json_set_int(entry, "vlan", vid);
	json_set_bool(entry, "there", there);
	json_set_bool(entry, "back", back);
	json_append(list, entry);
}

static void map_of(const char *text, vids_map map)
{
	if (!text[0] || vlan_list_parse(text, map) < 0)
		memset(map, 0, sizeof(vids_map));
}

static void on_probed(const char *error, const struct reach_seen *seen, void *data)
{
	struct probe *probe = data;
	struct json *result, *list;
	vids_map there, back;

	if (error) {
		api_fail(probe->call, API_FAILED, "the probe failed: %s", error);
		free(probe);
		return;
	}
	result = json_object_new();
	list = json_array_new();
	json_set(result, "vlans", list);
	map_of(seen->there, there);
	map_of(seen->back, back);
	if (bitmap_test(probe->wanted, 0))
		append_vlan(list, 0, seen->untagged_there, seen->untagged_back);
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++) {
		if (bitmap_test(probe->wanted, vid))
			append_vlan(list, vid, bitmap_test(there, vid), bitmap_test(back, vid));
	}
	api_reply(probe->call, result);
	free(probe);
}

static int start(struct svc *svc, const char *node, const char *name, const vids_map map,
	reach_fn fn, void *data)
{
	_cleanup_free_ char *vids = vlan_list_format(map);

	return vids ? reach_start(svc, node, name, vids, bitmap_test(map, 0), fn, data) : -ENOMEM;
}

/* The VLANs that the request names, or else those in use. -EINVAL: the call got its answer. */
static int find_wanted(struct api_call *call, const struct json *record, vids_map map)
{
	const char *vlans = json_get_string(call->message, "vlans", NULL);
	const char *name = json_get_string(call->message, "switch", "");

	if (vlans && vlan_list_parse(vlans, map) < 0) {
		api_fail(call, API_USAGE, "'%.100s' is not a list of VLANs like 2-4,7", vlans);
		return -EINVAL;
	}
	if (!vlans)
		find_in_use(call->svc, record, name, map);
	if (bitmap_count(map, BITMAP_WORDS(VLAN_N_VIDS)) == 0) {
		api_fail(call, API_USAGE,
			"nothing uses switch '%.63s' yet, so no VLAN needs a probe; name some with "
			"--vlans",
			name);
		return -EINVAL;
	}
	return 0;
}

/* switch.probe {switch, to, [vlans], [node]} */
void api_switch_probe(struct api_call *call)
{
	struct svc *svc = call->svc;
	const char *self = cluster_local_name(svc->cluster);
	const char *node = json_get_string(call->message, "node", self);
	const char *name = json_get_string(call->message, "switch", "");
	const char *to = json_get_string(call->message, "to", "");
	const struct json *record;
	struct cluster_node target;
	struct probe *probe;
	int r;

	if (strcmp(node, self) != 0) {
		api_forward(call, node);
		return;
	}
	record = external_record(svc, name);
	if (!record) {
		api_fail(call, API_NOT_FOUND, "%s has no external switch '%.63s'", self, name);
		return;
	}
	if (cluster_find_node(svc->cluster, to, &target) < 0 || strcmp(to, self) == 0) {
		api_fail(call, API_NOT_FOUND, "the probe goes to another node, and '%.63s' is none",
			to);
		return;
	}
	probe = calloc(1, sizeof(*probe));
	if (!probe) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	probe->call = call;
	r = find_wanted(call, record, probe->wanted);
	if (r == 0 && (r = start(svc, to, name, probe->wanted, on_probed, probe)) < 0)
		api_fail(call, API_FAILED, "the probe failed: %s", strerror(-r));
	if (r < 0)
		free(probe);
}

/* ---- before a migration ---- */

struct check {
	struct svc *svc;
	char node[SVC_NAME_MAX_LEN + 1];
	struct json *config;
	size_t nic_at; /* the next adapter to look at */
	char name[SVC_NAME_MAX_LEN + 1];
	vids_map wanted;
	void (*fn)(const char *error, void *data);
	void *data;
};

static void next_switch(struct check *check);

static void check_end(struct check *check, const char *error)
{
	check->fn(error, check->data);
	json_unref(check->config);
	free(check);
}

static void on_checked(const char *error, const struct reach_seen *seen, void *data)
{
	struct check *check = data;
	_cleanup_free_ char *missing = NULL;
	vids_map there, back;
	char text[512];
	bool any = false;

	if (error) {
		snprintf(text, sizeof(text), "its VLANs cannot be probed: %.400s", error);
		check_end(check, text);
		return;
	}
	map_of(seen->there, there);
	map_of(seen->back, back);
	for (size_t word = 0; word < ARRAY_LEN(there); word++) {
		check->wanted[word] &= ~(there[word] & back[word]);
		any |= word ? check->wanted[word] != 0 : (check->wanted[0] & ~1ULL) != 0;
	}
	if (!(seen->untagged_there && seen->untagged_back) && bitmap_test(check->wanted, 0))
		any = true;
	else
		bitmap_clear(check->wanted, 0);
	if (!any) {
		next_switch(check);
		return;
	}
	missing = vlan_list_format(check->wanted);
	snprintf(text, sizeof(text),
		"the physical network does not carry VLAN %.200s%s of switch %s between the hosts, "
		"so the VM would be cut off; see 'viaduct switch probe %s --to %s', or move it "
		"with "
		"--no-probe",
		missing && missing[0] ? missing : "",
		bitmap_test(check->wanted, 0) ? "(untagged)" : "", check->name, check->name,
		check->node);
	check_end(check, text);
}

/* Adapters on the same switch are asked about together. */
static bool collect(struct check *check)
{
	const struct json *nics = json_get(check->config, "nics");
	const char *self = cluster_local_name(check->svc->cluster);
	char text[SVC_NAME_MAX_LEN + 1];

	memset(check->wanted, 0, sizeof(check->wanted));
	check->name[0] = '\0';
	for (; check->nic_at < json_length(nics); check->nic_at++) {
		const struct json *nic = json_at(nics, check->nic_at);

		if (!switchd_resolve(check->svc, self, json_get_string(nic, "switch", ""), text,
			    sizeof(text)) ||
			!external_record(check->svc, text))
			continue;
		if (check->name[0] && strcmp(check->name, text) != 0)
			break;
		snprintf(check->name, sizeof(check->name), "%s", text);
		reach_add_nic(nic, check->wanted);
	}
	return check->name[0];
}

static void next_switch(struct check *check)
{
	int r;

	if (!collect(check)) {
		check_end(check, NULL);
		return;
	}
	r = start(check->svc, check->node, check->name, check->wanted, on_checked, check);
	if (r < 0)
		check_end(check, strerror(-r));
}

int reach_check_vm(struct svc *svc, struct json *config, const char *node,
	void (*fn)(const char *error, void *data), void *data)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return -ENOMEM;
	*check = (struct check){.svc = svc, .config = json_ref(config), .fn = fn, .data = data};
	snprintf(check->node, sizeof(check->node), "%s", node);
	next_switch(check);
	return 0;
}
