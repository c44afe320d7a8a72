/* SPDX-License-Identifier: MIT
 *
 * vm.create and vm.delete. Creating takes several writes - a MAC lease for each network adapter,
 * the configuration, the owner record - one after the other; a failure gives the leases back.
 */
#include "node/svc/mac.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

struct creation {
	struct api_call *call;
	char name[SVC_NAME_MAX_LEN + 1];
	struct cluster_node node;
	struct json *config;
	size_t n_nics, nic_at;
};

static void lease_next(struct creation *c);

static void creation_free(struct creation *c)
{
	json_unref(c->config);
	free(c);
}

void vm_nic_lease(const char *vm, const struct json *nic, size_t at, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "vm/%s/nic%lld", vm,
		(long long)json_get_int(nic, "lease", (int64_t)at));
}

/* Of the first `n_nics` adapters. */
static void release_macs(struct svc *svc, const char *vm, const struct json *config, size_t n_nics)
{
	char owner[SVC_NAME_MAX_LEN + 24];

	for (size_t i = 0; i < n_nics; i++) {
		int r;

		vm_nic_lease(vm, json_at(json_get(config, "nics"), i), i, owner, sizeof(owner));
		r = cluster_mac_release(svc->cluster, owner);
		if (r < 0 && r != -ENOENT)
			log_warning("the MAC of %s was not given back: %s", owner, strerror(-r));
	}
}

static void creation_failed(struct creation *c, int error, const char *what)
{
	release_macs(c->call->svc, c->name, c->config, c->nic_at);
	if (error == -ESTALE)
		api_fail(c->call, API_CONFLICT, "there is a VM '%s' already", c->name);
	else
		api_fail_errno(c->call, error, what);
	creation_free(c);
}

static void on_owner_written(int error, uint64_t version _unused_, void *data)
{
	struct creation *c = data;
	struct json *result;

	if (error < 0) {
		/* The configuration stands; `vm start` makes an owner as well. */
		log_warning("%s has no owner yet: %s", c->name, strerror(-error));
	}
	result = json_object_new();
	json_set(result, "vm", json_ref(c->config));
	json_set_string(result, "node", c->node.name);
	api_reply(c->call, result);
	creation_free(c);
}

static void on_config_written(int error, uint64_t version _unused_, void *data)
{
	struct creation *c = data;
	struct cluster_owner owner = {0};
	char object[SVC_NAME_MAX_LEN + 8];
	int r;

	if (error < 0) {
		creation_failed(c, error, "the VM was not made");
		return;
	}
	snprintf(object, sizeof(object), "vm/%s", c->name);
	/* An earlier VM of that name left its record: epochs go on from there. */
	cluster_owner_get(c->call->svc->cluster, object, &owner);
	r = cluster_owner_cas(
		c->call->svc->cluster, object, &owner, c->node.id, on_owner_written, c);
	if (r < 0)
		on_owner_written(r, 0, c);
}

static void on_leased(int error, const char *mac, void *data)
{
	struct creation *c = data;
	struct json *nic = json_at(json_get(c->config, "nics"), c->nic_at);

	if (error < 0) {
		release_macs(c->call->svc, c->name, c->config, c->nic_at);
		mac_fail(c->call, error, json_get_string(nic, "mac", "?"), "the VM was not made");
		creation_free(c);
		return;
	}
	json_set_string(nic, "mac", mac);
	c->nic_at++;
	lease_next(c);
}

static void lease_next(struct creation *c)
{
	struct cluster *cluster = c->call->svc->cluster;
	char owner[SVC_NAME_MAX_LEN + 24], key[SVC_NAME_MAX_LEN + 8];
	int r;

	if (c->nic_at < c->n_nics) {
		const struct json *nic = json_at(json_get(c->config, "nics"), c->nic_at);

		vm_nic_lease(c->name, nic, c->nic_at, owner, sizeof(owner));
		r = cluster_mac_lease_at(cluster, owner, json_get_string(nic, "mac", NULL),
			c->node.name, on_leased, c);
		if (r < 0)
			on_leased(r, NULL, c);
		return;
	}
	snprintf(key, sizeof(key), "vm/%s", c->name);
	r = cluster_cas(cluster, key, 0, json_ref(c->config), on_config_written, c);
	if (r < 0)
		creation_failed(c, r, "the VM was not made");
}

void api_vm_create(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "name", "");
	const char *node = json_get_string(call->message, "node", cluster_local_name(cluster));
	_cleanup_json_ struct json *config = NULL;
	char key[SVC_NAME_MAX_LEN + 8], error[256];
	const struct json *existing;
	struct cluster_node found;
	struct creation *c;
	uint64_t version;

	if (vm_config_make(call->message, &config, error, sizeof(error)) < 0) {
		api_fail(call, API_USAGE, "%s", error);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	snprintf(key, sizeof(key), "vm/%s", name);
	if (cluster_get(cluster, key, &existing, &version) == 0) {
		api_fail(call, API_CONFLICT, "there is a VM '%s' already", name);
		return;
	}
	if (cluster_find_node(cluster, node, &found) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'", node);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	c->call = call;
	c->node = found;
	c->config = take_ptr(config);
	c->n_nics = json_length(json_get(c->config, "nics"));
	snprintf(c->name, sizeof(c->name), "%s", name);
	lease_next(c);
}

/* ---- delete ---- */

static void on_deleted_quietly(int error _unused_, uint64_t version _unused_, void *data _unused_)
{
}

static void on_deleted(int error, uint64_t version, void *data)
{
	struct api_call *call = data;
	_cleanup_json_ struct json *config = take_ptr(call->data);
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *policy;
	struct cluster_owner owner;
	char key[SVC_NAME_MAX_LEN + 16];

	if (error < 0) {
		api_fail_errno(call, error, "the VM was not deleted");
		return;
	}
	snprintf(key, sizeof(key), "vmstate/%s", name);
	cluster_cas(cluster, key, CLUSTER_ANY_VERSION, NULL, on_deleted_quietly, NULL);
	snprintf(key, sizeof(key), "restarts/%s", name);
	cluster_cas(cluster, key, CLUSTER_ANY_VERSION, NULL, on_deleted_quietly, NULL);
	snprintf(key, sizeof(key), "policy/%s", name);
	if (cluster_get(cluster, key, &policy, &version) == 0)
		cluster_cas(cluster, key, version, NULL, on_deleted_quietly, NULL);
	/* The record stays, owned by nobody: a new VM of that name goes on with its epochs, so that
	 * nobody who held the old one can ever look newer. */
	snprintf(key, sizeof(key), "vm/%s", name);
	if (cluster_owner_get(cluster, key, &owner) == 0)
		cluster_owner_cas(cluster, key, &owner, 0, on_deleted_quietly, NULL);
	release_macs(call->svc, name, config, json_length(json_get(config, "nics")));
	api_reply(call, NULL);
}

void api_vm_delete(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *config, *state;
	char key[SVC_NAME_MAX_LEN + 16];
	uint64_t version, state_version;
	int r;

	snprintf(key, sizeof(key), "vm/%.63s", name);
	if (!svc_name_is_valid(name) || cluster_get(cluster, key, &config, &version) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no VM '%.63s'", name);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	snprintf(key, sizeof(key), "vmstate/%s", name);
	if (cluster_get(cluster, key, &state, &state_version) == 0 &&
		strcmp(json_get_string(state, "state", "Off"), "Off") != 0 &&
		strcmp(json_get_string(state, "state", "Off"), "Failed") != 0) {
		api_fail(call, API_CONFLICT, "%s is not off; stop it first", name);
		return;
	}
	snprintf(key, sizeof(key), "vm/%s", name);
	call->data = json_copy(config);
	r = cluster_cas(cluster, key, version, NULL, on_deleted, call);
	if (r < 0)
		on_deleted(r, 0, call);
}
