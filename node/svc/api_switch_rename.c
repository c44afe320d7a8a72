/* SPDX-License-Identifier: MIT
 *
 * api_switch_rename.c - a switch gets another name while VMs use it. The store changes one record
 * at a time, so this takes steps, each of which can be the last one before a crash:
 *
 *   1  the new record, which says whom it takes over from; the switch process renames
 *   2  the configurations of VMs of this node that name the switch, one after the other
 *   3  the old record goes
 *   4  the new one forgets where it came from
 *
 * Until step 4 the switch is found by both names (switchd_resolve), and asking again goes on where
 * it stopped. The host's adapters keep their interfaces and addresses.
 */
#include "node/svc/svc.h"
#include "node/svc/switch.h"

#include <stdio.h>
#include <string.h>

#define KEY_BYTES (2 * SVC_NAME_MAX_LEN + 16)
#define MAX_TRIES (2 * SVC_MAX_VMS)

struct renaming {
	struct api_call *call;
	char from[SVC_NAME_MAX_LEN + 1], to[SVC_NAME_MAX_LEN + 1];
	char from_key[KEY_BYTES], to_key[KEY_BYTES];
	unsigned n_tries;
	char refusal[160];
};

static void next_vm(struct renaming *r);

static void failed(struct renaming *r, int error, const char *what)
{
	char text[320];

	snprintf(text, sizeof(text), "%s; ask for the same again to finish it", what);
	api_fail_errno(r->call, error, text);
	free(r);
}

/* ---- 4 and 3: the records ---- */

static void on_finished(int error, uint64_t version _unused_, void *data)
{
	struct renaming *r = data;

	if (error < 0) {
		failed(r, error, "the switch has its new name, but its record still has the old");
		return;
	}
	api_reply(r->call, NULL);
	free(r);
}

static void forget_former(struct renaming *r)
{
	struct cluster *cluster = r->call->svc->cluster;
	const struct json *record;
	struct json *changed;
	uint64_t version;
	int error = cluster_get(cluster, r->to_key, &record, &version);

	if (error == 0) {
		changed = json_copy(record);
		json_delete(changed, "renamed_from");
		error = cluster_cas(cluster, r->to_key, version, changed, on_finished, r);
	}
	if (error < 0)
		on_finished(error, 0, r);
}

static void on_former_gone(int error, uint64_t version _unused_, void *data)
{
	struct renaming *r = data;

	if (error < 0)
		failed(r, error, "the switch has its new name, but the old record is still there");
	else
		forget_former(r);
}

static void remove_former(struct renaming *r)
{
	struct cluster *cluster = r->call->svc->cluster;
	const struct json *record;
	uint64_t version;
	int error;

	if (cluster_get(cluster, r->from_key, &record, &version) < 0) {
		forget_former(r);
		return;
	}
	error = cluster_cas(cluster, r->from_key, version, NULL, on_former_gone, r);
	if (error < 0)
		on_former_gone(error, 0, r);
}

/* ---- 2: VMs ---- */

struct user {
	struct svc *svc;
	const char *from;
	bool busy_only; /* those that cannot be changed now */
	char key[SVC_NAME_MAX_LEN + 8];
	const struct json *config;
	uint64_t version;
	char names[120]; /* of all that were looked for */
};

static bool uses(const struct json *config, const char *name)
{
	const struct json *nics = json_get(config, "nics");

	for (size_t i = 0; i < json_length(nics); i++) {
		if (strcmp(json_get_string(json_at(nics, i), "switch", ""), name) == 0)
			return true;
	}
	return false;
}

static bool is_busy(const struct vmproc *vp)
{
	return vp && (vp->in || vp->out || vp->quick || vp->state == VMPROC_PREPARING ||
			     vp->n_changes > 0);
}

/* VMs of other nodes mean the switch of that name there. */
static int look_at_vm(const char *key, const struct json *config, uint64_t version, void *data)
{
	struct user *u = data;
	const char *name = strchr(key, '/') + 1;
	struct vm_view view;
	size_t len = strlen(u->names);

	if (!uses(config, u->from) || api_vm_view(u->svc, name, &view) < 0 ||
		(view.node.id && view.node.id != cluster_local_id(u->svc->cluster)) ||
		(u->busy_only && !is_busy(vmproc_find(u->svc, name))))
		return 0;
	snprintf(u->names + len, sizeof(u->names) - len, "%s%s", len ? ", " : "", name);
	snprintf(u->key, sizeof(u->key), "%s", key);
	u->config = config;
	u->version = version;
	return u->busy_only ? 0 : 1;
}

static struct json *with_name(const struct json *config, const char *from, const char *to)
{
	struct json *changed = json_copy(config);
	const struct json *nics = json_get(changed, "nics");

	for (size_t i = 0; i < json_length(nics); i++) {
		if (strcmp(json_get_string(json_at(nics, i), "switch", ""), from) == 0)
			json_set_string(json_at(nics, i), "switch", to);
	}
	return changed;
}

static void on_vm_written(int error, uint64_t version _unused_, void *data)
{
	struct renaming *r = data;

	if (error < 0 && error != -ESTALE)
		failed(r, error, "the switch has its new name, but not all VMs that use it know");
	else
		next_vm(r);
}

static void next_vm(struct renaming *r)
{
	struct user u = {.svc = r->call->svc, .from = r->from};
	struct cluster *cluster = r->call->svc->cluster;
	int error;

	cluster_for_each(cluster, "vm/", look_at_vm, &u);
	if (!u.config) {
		remove_former(r);
		return;
	}
	error = ++r->n_tries > MAX_TRIES
			? -ESTALE
			: cluster_cas(cluster, u.key, u.version,
				  with_name(u.config, r->from, r->to), on_vm_written, r);
	if (error < 0)
		failed(r, error, "the switch has its new name, but not all VMs that use it know");
}

/* ---- 1: the new record, and the switch process ---- */

static void on_taken_back(int error, uint64_t version _unused_, void *data)
{
	struct renaming *r = data;

	if (error < 0)
		failed(r, error, r->refusal);
	else
		api_fail(r->call, API_REFUSED, "nothing was changed: %s", r->refusal);
	if (error == 0)
		free(r);
}

static void take_back(struct renaming *r)
{
	int error;

	snprintf(r->refusal, sizeof(r->refusal),
		"the switch process did not rename %.63s; the log says why", r->from);
	error = cluster_cas(
		r->call->svc->cluster, r->to_key, CLUSTER_ANY_VERSION, NULL, on_taken_back, r);
	if (error < 0)
		on_taken_back(error, 0, r);
}

/* By this answer the one to switch.rename has come. */
static void on_listed(const struct json *switches, void *data)
{
	struct renaming *r = data;

	if (switches && !switchd_knows(r->call->svc->switchd, r->to))
		take_back(r);
	else
		next_vm(r);
}

static void on_record_written(int error, uint64_t version _unused_, void *data)
{
	struct renaming *r = data;

	if (error < 0) {
		api_fail_errno(r->call, error, "the switch was not renamed");
		free(r);
		return;
	}
	switchd_list(r->call->svc, on_listed, r);
}

static void begin(struct renaming *r, const struct json *record)
{
	struct cluster *cluster = r->call->svc->cluster;
	struct json *renamed = json_copy(record);
	int error;

	json_set(
		renamed, "adapters", switch_adapters(record, cluster_local_name(cluster), r->from));
	json_delete(renamed, "management");
	json_set_string(renamed, "renamed_from", r->from);
	error = cluster_cas(cluster, r->to_key, 0, renamed, on_record_written, r);
	if (error < 0)
		on_record_written(error, 0, r);
}

/* True, and the call has been failed. */
static bool has_busy_users(struct api_call *call, const char *from)
{
	struct user u = {.svc = call->svc, .from = from, .busy_only = true};

	cluster_for_each(call->svc->cluster, "vm/", look_at_vm, &u);
	if (!u.names[0])
		return false;
	api_fail(call, API_CONFLICT,
		"switch %s is used by %s, which cannot be told of a new name while being started, "
		"moved or changed; wait until that is over",
		from, u.names);
	return true;
}

static struct renaming *renaming_new(struct api_call *call, const char *from, const char *to)
{
	const char *node = cluster_local_name(call->svc->cluster);
	struct renaming *r = calloc(1, sizeof(*r));

	if (!r) {
		api_fail(call, API_FAILED, "out of memory");
		return NULL;
	}
	r->call = call;
	snprintf(r->from, sizeof(r->from), "%s", from);
	snprintf(r->to, sizeof(r->to), "%s", to);
	snprintf(r->from_key, sizeof(r->from_key), "switch/%s/%s", node, from);
	snprintf(r->to_key, sizeof(r->to_key), "switch/%s/%s", node, to);
	return r;
}

/* {name, to, [node]} */
void api_switch_rename(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *node = json_get_string(call->message, "node", cluster_local_name(cluster));
	const char *from = json_get_string(call->message, "name", "");
	const char *to = json_get_string(call->message, "to", "");
	const struct json *record = NULL, *present = NULL;
	struct renaming *r;
	bool begun, exists;
	uint64_t version;

	if (strcmp(node, cluster_local_name(cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	if (!svc_name_is_valid(to) || !svc_name_is_valid(from) || strcmp(from, to) == 0) {
		api_fail(call, API_USAGE,
			"a switch needs another name of at most %d characters: letters, digits, - "
			"_ .",
			SVC_NAME_MAX_LEN);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	r = renaming_new(call, from, to);
	if (!r)
		return;
	exists = cluster_get(cluster, r->from_key, &record, &version) == 0;
	begun = cluster_get(cluster, r->to_key, &present, &version) == 0 &&
		strcmp(json_get_string(present, "renamed_from", ""), from) == 0;
	if (present && !begun)
		api_fail(call, API_CONFLICT, "%s has a switch '%s' already", node, to);
	else if (!exists && !begun)
		api_fail(call, API_NOT_FOUND, "%s has no switch '%s'; see 'viaduct switch list'",
			node, from);
	else if (record && json_get(record, "renamed_from"))
		api_fail(call, API_CONFLICT,
			"switch %s is just being renamed from %s; ask for that again to finish it",
			from, json_get_string(record, "renamed_from", ""));
	else if (has_busy_users(call, from))
		(void)0;
	else if (begun) {
		next_vm(r);
		return;
	} else {
		begin(r, record);
		return;
	}
	free(r);
}
