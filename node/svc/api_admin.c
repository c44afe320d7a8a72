/* SPDX-License-Identifier: MIT
 *
 * api_admin.c - keys of administrators: enroll, list, change, revoke.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "node/svc/admins.h"
#include "node/svc/remote.h"
#include "node/svc/zsock.h"

#include <stdio.h>
#include <string.h>

#define MAX_ADMINS    256
#define MAX_LIFE_S    (20LL * 366 * 86400)
#define MAX_ADDRESSES 4 /* of each node, in a client's file */

static int64_t now_s(void)
{
	return (int64_t)(clock_real_ns() / NS_PER_SEC);
}

/* ---- list ---- */

static const char *const state_names[] = {
	[ADMIN_VALID] = "valid",
	[ADMIN_EXPIRED] = "expired",
	[ADMIN_REVOKED] = "revoked",
};

static int list_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct json *entry, *list = data;
	struct admin admin;

	admin_from_json(strchr(key, '/') + 1, record, &admin);
	entry = admin_to_json(&admin);
	json_set_string(entry, "name", admin.name);
	json_set_string(entry, "state", state_names[admin_state(&admin, now_s())]);
	json_append(list, entry);
	return 0;
}

void api_admin_list(struct api_call *call)
{
	struct json *result = json_object_new(), *list = json_array_new();

	cluster_for_each(call->svc->cluster, "admin/", list_one, list);
	json_set(result, "admins", list);
	api_reply(call, result);
}

/* ---- where administrators reach us ---- */

static void append_addresses(struct svc *svc, const struct cluster_node *node, struct json *list)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(svc->cluster, nets, ARRAY_LEN(nets));

	/* First the networks that are for clients. */
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < n; i++) {
			if ((nets[i].role == CLUSTER_ROLE_CLUSTER_AND_CLIENT) != (turn == 0) ||
				nets[i].role == CLUSTER_ROLE_NONE)
				continue;
			for (size_t k = 0; k < nets[i].n_interfaces; k++) {
				if (nets[i].interfaces[k].node_id == node->id &&
					json_length(list) < MAX_ADDRESSES)
					json_append_string(list, nets[i].interfaces[k].address);
			}
		}
	}
	if (!json_length(list) && node->ring_addr[0][0])
		json_append_string(list, node->ring_addr[0]);
}

static struct json *servers_json(struct svc *svc)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *servers = json_array_new();

	for (size_t i = 0; i < n; i++) {
		char key[CLUSTER_NAME_MAX_LEN + 8];
		struct json *server, *addresses;
		const struct json *record;

		snprintf(key, sizeof(key), "peer/%s", nodes[i].name);
		if (cluster_get(svc->cluster, key, &record, &(uint64_t){0}) < 0)
			continue;
		server = json_object_new();
		addresses = json_array_new();
		append_addresses(svc, &nodes[i], addresses);
		json_set_string(server, "node", nodes[i].name);
		json_set_string(server, "key", json_get_string(record, "key", ""));
		json_set(server, "addresses", addresses);
		json_append(servers, server);
	}
	return servers;
}

/* ---- changes ---- */

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail_errno(call, error, "nothing was changed");
		return;
	}
	result = json_object_new();
	if (strcmp(json_get_string(call->message, "op", ""), "admin.enroll") == 0)
		json_set(result, "servers", servers_json(call->svc));
	api_reply(call, result);
}

static void write_admin(struct api_call *call, const struct admin *admin, uint64_t version)
{
	char key[SVC_NAME_MAX_LEN + 8];
	int r;

	snprintf(key, sizeof(key), "admin/%s", admin->name);
	r = cluster_cas(call->svc->cluster, key, version, admin_to_json(admin), on_written, call);
	if (r < 0)
		api_fail_errno(call, r, "nothing was changed");
}

/* "role" and "expires_s" of the request (from now on; 0: never). False: the call has been failed.
 */
static bool take_settings(struct api_call *call, struct admin *admin)
{
	const char *role = json_get_string(call->message, "role", NULL);
	int64_t life_s = json_get_int(call->message, "expires_s", 0);

	if (role && api_role_from_name(role, &admin->role) < 0) {
		api_fail(call, API_USAGE, "'%.40s' is no role: read, operate or administer", role);
		return false;
	}
	if (life_s < 0 || life_s > MAX_LIFE_S) {
		api_fail(call, API_USAGE,
			"a key can be valid for up to 20 years, or with 0 forever");
		return false;
	}
	if (json_get(call->message, "expires_s"))
		admin->expires_s = life_s ? now_s() + life_s : 0;
	return true;
}

/* Its record, or the call has been failed. */
static bool find(struct api_call *call, struct admin *admin, uint64_t *ret_version)
{
	const char *name = json_get_string(call->message, "name", "");
	const struct json *record;
	char key[CLUSTER_KEY_MAX_LEN + 1];

	snprintf(key, sizeof(key), "admin/%.63s", name);
	if (!svc_name_is_valid(name) ||
		cluster_get(call->svc->cluster, key, &record, ret_version) < 0) {
		api_fail(call, API_NOT_FOUND,
			"there is no key of '%.63s'; see 'viaduct admin list'", name);
		return false;
	}
	admin_from_json(name, record, admin);
	return true;
}

void api_admin_set(struct api_call *call)
{
	struct admin admin;
	uint64_t version;

	if (!api_needs_quorum(call) || !find(call, &admin, &version))
		return;
	if (admin.revoked_s)
		api_fail(call, API_CONFLICT,
			"the key of %s was revoked, and stays it; enroll a new one", admin.name);
	else if (take_settings(call, &admin))
		write_admin(call, &admin, version);
}

void api_admin_revoke(struct api_call *call)
{
	struct admin admin;
	uint64_t version;

	if (!api_needs_quorum(call) || !find(call, &admin, &version))
		return;
	if (admin.revoked_s) {
		api_reply(call, NULL);
		return;
	}
	admin.revoked_s = now_s();
	snprintf(admin.revoked_by, sizeof(admin.revoked_by), "%s", call->identity.who);
	write_admin(call, &admin, version);
}

static int count_one(const char *key _unused_, const struct json *record _unused_,
	uint64_t version _unused_, void *data)
{
	++*(unsigned *)data;
	return 0;
}

void api_admin_enroll(struct api_call *call)
{
	const char *name = json_get_string(call->message, "name", "");
	const char *key = json_get_string(call->message, "key", "");
	struct admin admin = {0}, other;
	const struct json *record;
	uint8_t raw_key[ZKEY_BYTES];
	uint64_t version = 0;
	unsigned n = 0;
	char path[SVC_NAME_MAX_LEN + 8];

	if (!api_needs_quorum(call))
		return;
	if (!svc_name_is_valid(name) || zkey_decode(key, raw_key) < 0) {
		api_fail(call, API_USAGE,
			"an administrator has a name of letters, digits, '-', '_', '.', and a key");
		return;
	}
	snprintf(path, sizeof(path), "admin/%s", name);
	if (cluster_get(call->svc->cluster, path, &record, &version) == 0) {
		admin_from_json(name, record, &other);
		if (admin_state(&other, now_s()) == ADMIN_VALID) {
			api_fail(call, API_CONFLICT,
				"%s has a valid key already; revoke it first: viaduct admin revoke "
				"%s",
				name, name);
			return;
		}
	}
	cluster_for_each(call->svc->cluster, "admin/", count_one, &n);
	if (n >= MAX_ADMINS || admin_of_key(call->svc->cluster, key, &other) == 0) {
		api_fail(call, API_CONFLICT, "%s",
			n >= MAX_ADMINS ? "there are 256 keys already"
					: "that key has a name already");
		return;
	}
	snprintf(admin.name, sizeof(admin.name), "%s", name);
	snprintf(admin.key, sizeof(admin.key), "%s", key);
	snprintf(admin.enrolled_by, sizeof(admin.enrolled_by), "%s", call->identity.who);
	admin.since_s = now_s();
	admin.role = ROLE_READ;
	if (take_settings(call, &admin))
		write_admin(call, &admin, version);
}
