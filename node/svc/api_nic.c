/* SPDX-License-Identifier: MIT
 *
 * api_nic.c - requests about the network adapters of one VM. A change is written to the store and
 * then told to the switch; what the switch refuses is taken back from the store. Meanwhile the VM
 * is not moved and not changed otherwise (vmproc.n_changes).
 */
#include "node/svc/mac.h"
#include "node/svc/nic.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

struct nic_change {
	struct api_call *call;
	char vm[SVC_NAME_MAX_LEN + 1];
	char key[SVC_NAME_MAX_LEN + 8]; /* vm/NAME */
	size_t nic;
	uint64_t epoch; /* of the VM that runs here; 0: none does */
	uint64_t version;
	struct json *before, *after; /* the VM's configuration */
	struct json *message;        /* for port.set; NULL: nothing that the switch must know */
	char refusal[256];
};

static struct vmproc *running(const struct nic_change *c)
{
	struct vmproc *vp = vmproc_find(c->call->svc, c->vm);

	return vp && c->epoch && vp->epoch == c->epoch ? vp : NULL;
}

/* Ends the change; the call has been answered. */
static void change_end(struct nic_change *c, struct vmproc *vp)
{
	if (vp)
		vp->n_changes--;
	json_unref(c->before);
	json_unref(c->after);
	json_unref(c->message);
	free(c);
}

/* NULL, or {note}: the guest has other offloads than those that were just set. */
static struct json *offload_note(const struct nic_change *c)
{
	const struct json *nic = json_at(json_get(c->after, "nics"), c->nic), *in_force;
	_cleanup_json_ struct json *recorded = nic_offload_complete(nic);
	struct json *result;
	struct vm_view view;

	if (!json_get(json_get(c->call->message, "set"), "offload") ||
		api_vm_view(c->call->svc, c->vm, &view) < 0)
		return NULL;
	in_force = json_at(api_vm_offloads(c->call->svc, c->vm, &view), c->nic);
	if (!in_force || json_is_equal(in_force, recorded))
		return NULL;
	result = json_object_new();
	json_set_stringf(result, "note",
		"recorded; it takes effect when %s %s or its guest restarts, because the guest's "
		"driver agreed on its offloads when it bound",
		c->vm, running(c) ? "starts next" : "starts without its saved state");
	return result;
}

static void change_done(struct nic_change *c)
{
	struct vmproc *vp = running(c);
	struct api_call *call = c->call;
	struct json *result = offload_note(c);

	if (vp) {
		json_unref(vp->config);
		vp->config = json_ref(c->after);
	}
	change_end(c, vp);
	api_reply(call, result);
}

static void change_failed(struct nic_change *c, int error)
{
	struct api_call *call = c->call;

	change_end(c, running(c));
	if (error == -EMSGSIZE)
		api_fail(call, API_REFUSED,
			"the VM's configuration would be longer than the store takes; use fewer or "
			"shorter rules");
	else
		api_fail_errno(call, error, "the VM's configuration was not changed");
}

static void on_put_back(int error, uint64_t version _unused_, void *data)
{
	struct nic_change *c = data;
	struct api_call *call = c->call;
	char refusal[sizeof(c->refusal)];

	memcpy(refusal, c->refusal, sizeof(refusal));
	change_end(c, running(c));
	if (error == 0)
		api_fail(call, API_REFUSED, "the switch refused it, so nothing was changed: %s",
			refusal);
	else
		api_fail(call, API_FAILED,
			"the switch refused it (%s), but the VM's configuration could not be set "
			"back (%s); set the adapter again before the VM starts or moves",
			refusal, strerror(-error));
}

static void put_back(struct nic_change *c)
{
	int r = cluster_cas(
		c->call->svc->cluster, c->key, c->version, json_ref(c->before), on_put_back, c);

	if (r < 0)
		on_put_back(r, 0, c);
}

static void on_port_set(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct nic_change *c = data;

	if (error == 0) {
		change_done(c);
		return;
	}
	snprintf(c->refusal, sizeof(c->refusal), "%s",
		error == -ENOTCONN ? "the switch process does not run"
				   : json_get_string(reply, "error", strerror(-error)));
	put_back(c);
}

static void on_written(int error, uint64_t version, void *data)
{
	struct nic_change *c = data;
	int r;

	if (error < 0) {
		change_failed(c, error);
		return;
	}
	c->version = version;
	if (!running(c) || !c->message) {
		change_done(c);
		return;
	}
	r = switchd_call(c->call->svc->switchd, "port.set", take_ptr(c->message), on_port_set, c);
	if (r < 0)
		on_port_set(r, NULL, NULL, 0, c);
}

/* Write `after` (taken over) as the VM's configuration, and tell the switch of adapter `nic`
 * `message` (taken over, may be NULL). */
static void change(struct api_call *call, const struct vm_view *view, size_t nic,
	struct json *after, struct json *message)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp = vmproc_find(call->svc, name);
	struct nic_change *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		json_unref(after);
		json_unref(message);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	*c = (struct nic_change){
		.call = call,
		.nic = nic,
		.epoch = vp ? vp->epoch : 0,
		.before = json_copy(view->config),
		.after = after,
		.message = message,
	};
	snprintf(c->vm, sizeof(c->vm), "%s", name);
	snprintf(c->key, sizeof(c->key), "vm/%s", name);
	if (vp)
		vp->n_changes++;
	r = cluster_cas(
		call->svc->cluster, c->key, view->config_version, json_ref(after), on_written, c);
	if (r < 0)
		change_failed(c, r);
}

/* ---- what all of these begin with ---- */

bool api_find_nic(struct api_call *call, const struct vm_view *view, size_t *ret_nic)
{
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *wanted = json_get(call->message, "nic");
	size_t n = json_length(json_get(view->config, "nics"));
	int64_t nic = json_int(wanted, -1);

	if (!wanted && n == 1) {
		*ret_nic = 0;
		return true;
	}
	if (!wanted && n > 1)
		api_fail(call, API_USAGE, "%s has %zu network adapters; say which one, 0 to %zu",
			name, n, n - 1);
	else if (nic < 0 || nic >= (int64_t)n)
		api_fail(call, API_NOT_FOUND,
			"%s has no such network adapter; see 'viaduct vm nic list %s'", name, name);
	else {
		*ret_nic = (size_t)nic;
		return true;
	}
	return false;
}

/* ret_after: the configuration, a copy to change; unset on failure. */
static bool begin(struct api_call *call, struct vm_view *ret_view, struct json **ret_after)
{
	const char *name = json_get_string(call->message, "vm", "");

	if (!api_needs_quorum(call) || !api_need_vm(call, name, ret_view) ||
		!api_at_owner(call, name, ret_view) || api_is_busy(call, name))
		return false;
	*ret_after = json_copy(ret_view->config);
	if (!json_get(*ret_after, "nics"))
		json_set(*ret_after, "nics", json_array_new());
	return true;
}

static void set_nic(struct json *config, size_t at, struct json *nic)
{
	const struct json *nics = json_get(config, "nics");
	struct json *changed = json_array_new();

	for (size_t i = 0; i < json_length(nics); i++)
		json_append(changed, i == at ? nic : json_ref(json_at(nics, i)));
	json_set(config, "nics", changed);
}

static struct json *port_of(const char *vm, size_t nic)
{
	struct json *message = json_object_new();

	json_set_stringf(message, "port", "%s/nic%zu", vm, nic);
	return message;
}

/* ---- set ---- */

/* NULL, or what the guest finds at its start and must find wherever it moves. What it may offload
 * is kept for it where its process is (vmproc.offloads). */
static const char *fixed_setting(const struct json *before, const struct json *after)
{
	static const char *const keys[] = {"switch", "mtu"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (nic_setting_differs(before, after, keys[i]))
			return keys[i];
	}
	return NULL;
}

/* `nic`: adapter `at` as it is to be, taken over. */
static void set_to(struct api_call *call, const struct vm_view *view, size_t at, struct json *nic,
	struct json *after)
{
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *before = json_at(json_get(view->config, "nics"), at);
	const char *fixed = fixed_setting(before, nic);
	struct json *message = port_of(name, at);

	if (fixed && !api_vm_is_off(view)) {
		json_unref(nic);
		json_unref(after);
		json_unref(message);
		api_fail(call, API_CONFLICT,
			"\"%s\" belongs to the machine that the guest was started with, so it "
			"changes only while %s is off; stop it first",
			fixed, name);
		return;
	}
	if (!nic_policy_diff(before, nic, message)) {
		json_unref(message);
		message = NULL;
	}
	set_nic(after, at, nic);
	change(call, view, at, after, message);
}

/* {vm, [nic], set: {settings}} */
void api_vm_nic_set(struct api_call *call)
{
	const struct json *changes = json_get(call->message, "set");
	struct nic_error error;
	struct vm_view view;
	struct json *after, *nic;
	size_t at;

	if (!begin(call, &view, &after))
		return;
	if (!api_find_nic(call, &view, &at)) {
		json_unref(after);
		return;
	}
	if (json_get(changes, "mac")) {
		json_unref(after);
		api_fail(call, API_USAGE,
			"an adapter keeps its MAC; remove it and add one with the other MAC");
		return;
	}
	if (nic_config_change(json_at(json_get(view.config, "nics"), at), changes, NIC_OF_VM, &nic,
		    &error) < 0) {
		json_unref(after);
		api_fail(call, API_USAGE, "network adapter %zu: %s", at, error.text);
		return;
	}
	set_to(call, &view, at, nic, after);
}

/* ---- access lists ---- */

/* The adapter's rules with `added` (taken over) behind them or without number `removed`. */
static struct json *with_rules(const struct json *nic, struct json *added, int64_t removed)
{
	const struct json *rules = json_get(nic, "acl");
	struct json *changes = json_object_new();
	struct json *list = json_array_new();

	for (size_t i = 0; i < json_length(rules); i++) {
		if ((int64_t)i != removed)
			json_append(list, json_ref(json_at(rules, i)));
	}
	if (added)
		json_append(list, added);
	json_set(changes, "acl", list);
	return changes;
}

static void change_rules(struct api_call *call, struct json *added, int64_t removed)
{
	struct nic_error error;
	struct vm_view view;
	struct json *after, *nic, *changes;
	const struct json *before;
	size_t at;
	int r;

	if (!begin(call, &view, &after)) {
		json_unref(added);
		return;
	}
	if (!api_find_nic(call, &view, &at)) {
		json_unref(added);
		json_unref(after);
		return;
	}
	before = json_at(json_get(view.config, "nics"), at);
	if (!added && (removed < 0 || removed >= (int64_t)json_length(json_get(before, "acl")))) {
		json_unref(after);
		api_fail(call, API_NOT_FOUND,
			"network adapter %zu has no such rule; see 'viaduct vm nic acl list'", at);
		return;
	}
	changes = with_rules(before, added, removed);
	r = nic_config_change(before, changes, NIC_OF_VM, &nic, &error);
	json_unref(changes);
	if (r < 0) {
		json_unref(after);
		api_fail(call, API_USAGE, "network adapter %zu: %s", at, error.text);
		return;
	}
	set_to(call, &view, at, nic, after);
}

/* {vm, [nic], rule: {...}} */
void api_vm_nic_acl_add(struct api_call *call)
{
	struct nic_error error;
	struct json *rule;

	if (nic_rule_make(json_get(call->message, "rule"), &rule, &error) < 0)
		api_fail(call, API_USAGE, "%s", error.text);
	else
		change_rules(call, rule, -1);
}

/* {vm, [nic], rule: N}: as acl.list numbers them. */
void api_vm_nic_acl_remove(struct api_call *call)
{
	change_rules(call, NULL, json_get_int(call->message, "rule", -1));
}

/* ---- adding and removing: while the VM is off ---- */

static bool needs_off(struct api_call *call, const struct vm_view *view)
{
	const char *name = json_get_string(call->message, "vm", "");

	if (api_vm_is_off(view))
		return true;
	api_fail(call, API_CONFLICT,
		"adapters are added and removed while a VM is off, and %s is not; stop it first, "
		"or discard its saved state",
		name);
	return false;
}

struct nic_adding {
	struct api_call *call;
	struct json *after, *nic;
	uint64_t version;
	char lease[SVC_NAME_MAX_LEN + 24];
};

static void adding_end(struct nic_adding *a)
{
	json_unref(a->after);
	json_unref(a->nic);
	free(a);
}

static void adding_failed(struct nic_adding *a, int error, const char *what)
{
	struct cluster *cluster = a->call->svc->cluster;
	const char *mac = json_get_string(a->nic, "mac", "?");

	cluster_mac_release(cluster, a->lease);
	mac_fail(a->call, error, mac, what);
	adding_end(a);
}

static void on_added(int error, uint64_t version _unused_, void *data)
{
	struct nic_adding *a = data;
	struct json *result;

	if (error < 0) {
		adding_failed(a, error, "the adapter was not added");
		return;
	}
	result = json_object_new();
	json_set_int(result, "nic", (int64_t)json_length(json_get(a->after, "nics")) - 1);
	json_set_string(result, "mac", json_get_string(a->nic, "mac", ""));
	api_reply(a->call, result);
	adding_end(a);
}

static void on_leased(int error, const char *mac, void *data)
{
	struct nic_adding *a = data;
	char key[SVC_NAME_MAX_LEN + 8];
	int r;

	if (error < 0) {
		adding_failed(a, error, "the adapter was not added");
		return;
	}
	json_set_string(a->nic, "mac", mac);
	json_append(json_get(a->after, "nics"), json_ref(a->nic));
	snprintf(key, sizeof(key), "vm/%s", json_get_string(a->call->message, "vm", ""));
	r = cluster_cas(a->call->svc->cluster, key, a->version, json_ref(a->after), on_added, a);
	if (r < 0)
		adding_failed(a, r, "the adapter was not added");
}

/* The least number that no adapter of the VM has its lease under. */
static int64_t free_lease(const struct json *nics)
{
	for (int64_t lease = 0;; lease++) {
		bool taken = false;

		for (size_t i = 0; i < json_length(nics); i++)
			taken |= json_get_int(json_at(nics, i), "lease", (int64_t)i) == lease;
		if (!taken)
			return lease;
	}
}

/* Takes over `nic` and `after`. */
static void add(
	struct api_call *call, const struct vm_view *view, struct json *nic, struct json *after)
{
	struct nic_adding *a = calloc(1, sizeof(*a));
	int64_t lease = free_lease(json_get(after, "nics"));
	int r;

	if (!a) {
		json_unref(nic);
		json_unref(after);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	*a = (struct nic_adding){
		.call = call, .after = after, .nic = nic, .version = view->config_version};
	json_set_int(nic, "lease", lease);
	vm_nic_lease(json_get_string(call->message, "vm", ""), nic, 0, a->lease, sizeof(a->lease));
	r = cluster_mac_lease(
		call->svc->cluster, a->lease, json_get_string(nic, "mac", NULL), on_leased, a);
	if (r < 0)
		adding_failed(a, r, "the adapter was not added");
}

/* {vm, nic: {settings}} */
void api_vm_nic_add(struct api_call *call)
{
	struct nic_error error;
	struct vm_view view;
	struct json *after, *nic;

	if (!begin(call, &view, &after))
		return;
	if (!needs_off(call, &view)) {
		json_unref(after);
	} else if (json_length(json_get(after, "nics")) >= SVC_MAX_NICS) {
		json_unref(after);
		api_fail(call, API_CONFLICT, "a VM has at most %d network adapters; remove one",
			SVC_MAX_NICS);
	} else if (nic_config_change(
			   NULL, json_get(call->message, "nic"), NIC_OF_VM, &nic, &error) < 0) {
		json_unref(after);
		api_fail(call, API_USAGE, "the adapter was not added: %s", error.text);
	} else {
		add(call, &view, nic, after);
	}
}

struct nic_removing {
	struct api_call *call;
	char lease[SVC_NAME_MAX_LEN + 24];
};

static void on_removed(int error, uint64_t version _unused_, void *data)
{
	_cleanup_free_ struct nic_removing *removing = data;
	struct cluster *cluster = removing->call->svc->cluster;
	int r;

	if (error < 0) {
		api_fail_errno(removing->call, error, "the adapter was not removed");
		return;
	}
	r = cluster_mac_release(cluster, removing->lease);
	if (r < 0 && r != -ENOENT)
		log_warning("the MAC of %s was not given back: %s", removing->lease, strerror(-r));
	api_reply(removing->call, NULL);
}

/* The others keep their leases, whatever their numbers become. */
static struct json *without_nic(const struct json *nics, size_t at)
{
	struct json *left = json_array_new();

	for (size_t i = 0; i < json_length(nics); i++) {
		struct json *nic;

		if (i == at)
			continue;
		nic = json_copy(json_at(nics, i));
		json_set_int(nic, "lease", json_get_int(nic, "lease", (int64_t)i));
		json_append(left, nic);
	}
	return left;
}

/* {vm, [nic]} */
void api_vm_nic_remove(struct api_call *call)
{
	struct nic_removing *removing;
	struct vm_view view;
	struct json *after;
	char key[SVC_NAME_MAX_LEN + 8];
	const char *name = json_get_string(call->message, "vm", "");
	size_t at;
	int r;

	if (!begin(call, &view, &after))
		return;
	if (!needs_off(call, &view) || !api_find_nic(call, &view, &at)) {
		json_unref(after);
		return;
	}
	removing = calloc(1, sizeof(*removing));
	if (!removing) {
		json_unref(after);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	removing->call = call;
	vm_nic_lease(name, json_at(json_get(after, "nics"), at), at, removing->lease,
		sizeof(removing->lease));
	json_set(after, "nics", without_nic(json_get(after, "nics"), at));
	snprintf(key, sizeof(key), "vm/%s", name);
	r = cluster_cas(call->svc->cluster, key, view.config_version, after, on_removed, removing);
	if (r < 0) {
		free(removing);
		api_fail_errno(call, r, "the adapter was not removed");
	}
}
