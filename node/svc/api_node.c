/* SPDX-License-Identifier: MIT
 *
 * api_node.c - nodes: list; pause, with or without a drain; resume, with or without the way back.
 */
#include "node/svc/drain_impl.h"

#include "base/log.h"
#include "node/svc/events.h"
#include "node/svc/node_limit.h"

#include <stdio.h>
#include <string.h>

/* ---- list ---- */

static const char *state_of(struct svc *svc, const struct cluster_node *node)
{
	const struct json *state = node_state(svc, node->name);
	bool is_self = node->id == cluster_local_id(svc->cluster);

	if (is_self && !cluster_is_quorate(svc->cluster))
		return "isolated";
	if (!node->is_member)
		return "down";
	if (!node->has_service)
		return "no service";
	if (node->is_silent)
		return "no answer";
	if (!node->is_synced)
		return "joining";
	if (strcmp(json_get_string(state, "drain", ""), "running") == 0)
		return "draining";
	return node_is_paused(svc, node->name) ? "paused" : "up";
}

struct counting {
	struct svc *svc;
	const struct cluster_node *node;
	struct json *vms;
	uint64_t used_bytes;
	unsigned n_running;
};

static int count_vm(
	const char *key, const struct json *owner, uint64_t version _unused_, void *data)
{
	struct counting *c = data;
	const char *name = key + strlen("owner/vm/"), *reason, *state;
	struct json *entry;
	struct vm_view view;

	if ((uint32_t)json_get_int(owner, "node", 0) != c->node->id ||
		api_vm_view(c->svc, name, &view) < 0)
		return 0;
	state = api_vm_state(&view, &reason);
	entry = json_object_new();
	json_set_string(entry, "name", name);
	json_set_string(entry, "state", state);
	json_set_int(entry, "memory_bytes", (int64_t)vm_config_room(view.config));
	json_append(c->vms, entry);
	if (api_vm_is_off(&view) || strcmp(state, "Saved") == 0)
		return 0;
	c->n_running++;
	c->used_bytes += vm_config_room(view.config);
	return 0;
}

static struct json *node_json(struct svc *svc, const struct cluster_node *node)
{
	struct counting c = {.svc = svc, .node = node, .vms = json_array_new()};
	const struct json *state = node_state(svc, node->name), *facts = NULL;
	struct json *entry = json_object_new();
	char key[SVC_NAME_MAX_LEN + 16];
	uint64_t version;

	cluster_for_each(svc->cluster, "owner/vm/", count_vm, &c);
	snprintf(key, sizeof(key), "node/%s", node->name);
	cluster_get(svc->cluster, key, &facts, &version);
	json_set_string(entry, "name", node->name);
	json_set_int(entry, "id", node->id);
	json_set_string(entry, "state", state_of(svc, node));
	json_set_string(entry, "address", node->ring_addr[0]);
	json_set_string(entry, "version", json_get_string(facts, "version", ""));
	json_set_int(entry, "running", c.n_running);
	node_limit_show(svc, node->name, entry);
	json_set_int(entry, "used_bytes", (int64_t)c.used_bytes);
	json_set_int(entry, "vm_memory_bytes", json_get_int(facts, "vm_memory_bytes", 0));
	if (json_get(facts, "watchdog"))
		json_set(entry, "watchdog", json_copy(json_get(facts, "watchdog")));
	json_set_bool(entry, "paused", node_is_paused(svc, node->name));
	json_set_string(entry, "drain", json_get_string(state, "drain", "none"));
	json_set_string(entry, "reason", json_get_string(state, "reason", ""));
	json_set_string(entry, "job", json_get_string(state, "job", ""));
	json_set_string(entry, "target", json_get_string(state, "target", ""));
	json_set_int(entry, "since", json_get_int(state, "since", 0));
	json_set(entry, "moved",
		json_get(state, "moved") ? json_copy(json_get(state, "moved")) : json_array_new());
	json_set(entry, "vms", c.vms);
	return entry;
}

/* {node}: that one; without, all. */
void api_node_list(struct api_call *call)
{
	const char *only = json_get_string(call->message, "node", NULL);
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(call->svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *result, *list;

	if (only && cluster_find_node(call->svc->cluster, only, &nodes[0]) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'; see 'viaduct node list'",
			only);
		return;
	}
	result = json_object_new();
	list = json_array_new();
	for (size_t i = 0; i < (only ? 1 : n); i++)
		json_append(list, node_json(call->svc, &nodes[i]));
	json_set_string(result, "node", cluster_local_name(call->svc->cluster));
	json_set_int(result, "parallel_migrations", moves_limit(call->svc));
	json_set(result, "nodes", list);
	api_reply(call, result);
}

/* ---- where it is done ---- */

/* The node's own service does it. While there is none, any other may write down what is wanted:
 * true with `ret_node` then, too. */
static bool at_node(struct api_call *call, struct cluster_node *ret_node, bool *ret_is_self)
{
	struct svc *svc = call->svc;
	const char *name = json_get_string(call->message, "node", "");

	if (cluster_find_node(svc->cluster, name, ret_node) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'; see 'viaduct node list'",
			name);
		return false;
	}
	if (!api_needs_quorum(call))
		return false;
	*ret_is_self = ret_node->id == cluster_local_id(svc->cluster);
	if (*ret_is_self || !ret_node->has_service)
		return true;
	api_forward(call, ret_node->name);
	return false;
}

/* ---- pause and drain ---- */

struct pausing {
	struct api_call *call;
	struct drain_plan *plan; /* NULL: it is not drained */
};

static void pausing_free(struct pausing *p)
{
	drain_plan_free(p->plan);
	free(p);
}

static struct json *plan_answer(struct svc *svc, const struct drain_plan *plan)
{
	struct json *result = json_object_new();

	json_set(result, "plan", drain_plan_json(svc, plan));
	return result;
}

static void on_paused(int error, uint64_t version _unused_, void *data)
{
	struct pausing *p = data;
	struct api_call *call = p->call;
	struct svc *svc = call->svc;
	const char *node = json_get_string(call->message, "node", "");
	struct json *result, *state;
	char object[SVC_NAME_MAX_LEN + 8];
	struct job *job;
	int r;

	if (error < 0) {
		api_fail_errno(call, error, "the node was not paused");
		pausing_free(p);
		return;
	}
	snprintf(object, sizeof(object), "node/%s", node);
	if (!p->plan) {
		events_add(svc, EVENT_INFO, "node.paused", object, "paused: it takes no VMs");
		api_reply(call, NULL);
		pausing_free(p);
		return;
	}
	result = plan_answer(svc, p->plan);
	r = drain_start(svc, p->plan, false, &job);
	state = node_state_copy(svc, node);
	if (r < 0) {
		node_state_set_drain(state, "failed", strerror(-r));
		node_state_say(svc, state);
		api_fail(call, API_CONFLICT, "%s is paused, but not drained: %s", node,
			r == -EBUSY ? "another drain is under way" : strerror(-r));
		json_unref(result);
	} else {
		json_set_string(state, "job", job->id);
		node_state_say(svc, state);
		events_add(svc, EVENT_INFO, "node.drain-started", object,
			"paused; its %zu VMs are moved away by %s", p->plan->n_steps, job->id);
		json_set_string(result, "job", job->id);
		api_reply(call, result);
	}
	pausing_free(p);
}

/* What is asked for makes sense, and `ret_wish` has it; otherwise the call has been failed. */
static bool check_drain(struct api_call *call, bool is_self, struct drain_wish *ret_wish)
{
	struct svc *svc = call->svc;
	const char *node = json_get_string(call->message, "node", "");
	const char *target = json_get_string(call->message, "target", NULL);
	struct cluster_node found;

	memset(ret_wish, 0, sizeof(*ret_wish));
	ret_wish->force = json_get_bool(call->message, "force", false);
	if (!is_self)
		api_fail(call, API_UNREACHABLE,
			"%s cannot be drained: its viaductd does not answer, so nothing of it can "
			"be moved",
			node);
	else if (svc->drain)
		api_fail(call, API_CONFLICT,
			"%s is %s already; see 'viaduct job list', or cancel %s first", node,
			svc->drain->is_failback ? "getting its VMs back" : "being drained",
			drain_job(svc)->id);
	else if (target && cluster_find_node(svc->cluster, target, &found) < 0)
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s' to move to; see 'viaduct node list'", target);
	else if (target && strcmp(target, node) == 0)
		api_fail(call, API_USAGE, "%s cannot be drained to itself", node);
	else if (target && node_is_paused(svc, target))
		api_fail(call, API_REFUSED, "%s is paused: it takes no VMs", target);
	else {
		ret_wish->target_id = target ? found.id : 0;
		return true;
	}
	return false;
}

/* NULL, and the call is answered: with the plan, or with a refusal. */
static struct drain_plan *plan_drain(struct api_call *call, bool is_self)
{
	const char *expected = json_get_string(call->message, "expect", NULL);
	struct drain_plan *plan = NULL;
	struct drain_wish wish;
	char error[200];

	if (!check_drain(call, is_self, &wish))
		return NULL;
	if (drain_make(call->svc, &wish, &plan, error, sizeof(error)) < 0) {
		api_fail(call, API_FAILED, "%s", error);
		return NULL;
	}
	if (json_get_bool(call->message, "dry_run", false))
		api_reply(call, plan_answer(call->svc, plan));
	else if (expected && strcmp(expected, plan->digest) != 0)
		api_fail(call, API_CONFLICT,
			"the cluster has changed: the plan is %s now, not %.32s; nothing was done, "
			"look at it with --dry-run",
			plan->digest, expected);
	else
		return plan;
	drain_plan_free(plan);
	return NULL;
}

/* {node, drain, target, force, dry_run, expect} */
void api_node_pause(struct api_call *call)
{
	const char *target = json_get_string(call->message, "target", NULL);
	bool drain = json_get_bool(call->message, "drain", false);
	struct drain_plan *plan = NULL;
	struct cluster_node node;
	struct pausing *p;
	struct json *state;
	bool is_self;

	if (!drain && (target || json_get_bool(call->message, "force", false) ||
			      json_get_bool(call->message, "dry_run", false))) {
		api_fail(call, API_USAGE,
			"a target, force and a dry run belong to a drain; a pause moves nothing");
		return;
	}
	if (!at_node(call, &node, &is_self))
		return;
	if (drain) {
		plan = plan_drain(call, is_self);
		if (!plan)
			return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		drain_plan_free(plan);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	p->call = call;
	p->plan = plan;
	state = node_state_copy(call->svc, node.name);
	json_set_string(state, "state", "paused");
	if (drain) {
		node_state_set_drain(state, "running", "");
		json_set_string(state, "target", target ? target : "");
	} else if (!node_is_paused(call->svc, node.name)) {
		node_state_set_drain(state, "none", "");
	}
	node_state_write(call->svc, node.name, state, on_paused, p);
}

/* ---- resume ---- */

struct resuming {
	struct api_call *call;
	struct json *moved; /* to bring back; NULL: nothing */
	bool by_policy;
};

static void resuming_free(struct resuming *r)
{
	json_unref(r->moved);
	free(r);
}

static void bring_back(struct resuming *r)
{
	struct api_call *call = r->call;
	const struct drain_wish wish = {.moved = r->moved, .by_policy = r->by_policy};
	struct drain_plan *plan = NULL;
	struct json *result;
	struct job *job;
	char error[200];
	int code = drain_make(call->svc, &wish, &plan, error, sizeof(error));

	if (code == 0 && plan->n_steps == 0) {
		api_reply(call, plan_answer(call->svc, plan));
	} else if (code == 0) {
		result = plan_answer(call->svc, plan);
		code = drain_start(call->svc, plan, true, &job);
		if (code == 0) {
			json_set_string(result, "job", job->id);
			api_reply(call, result);
		} else {
			json_unref(result);
			snprintf(error, sizeof(error), "%s", strerror(-code));
		}
	}
	if (code < 0)
		api_fail(call, API_FAILED, "resumed, but the VMs stay where they are: %s", error);
	drain_plan_free(plan);
}

static void on_resumed(int error, uint64_t version _unused_, void *data)
{
	struct resuming *r = data;
	struct svc *svc = r->call->svc;
	char object[SVC_NAME_MAX_LEN + 8];

	if (error < 0) {
		api_fail_errno(r->call, error, "the node was not resumed");
		resuming_free(r);
		return;
	}
	snprintf(object, sizeof(object), "node/%s", json_get_string(r->call->message, "node", ""));
	events_add(svc, EVENT_INFO, "node.resumed", object, "resumed: it takes VMs again");
	if (r->moved)
		bring_back(r);
	else
		api_reply(r->call, NULL);
	resuming_free(r);
}

/* NULL, or why not. */
static const char *check_failback(
	struct svc *svc, const char *failback, bool is_self, enum api_code *ret_code)
{
	bool wanted = strcmp(failback, "none") != 0;

	*ret_code = API_USAGE;
	if (wanted && strcmp(failback, "immediate") != 0 && strcmp(failback, "policy") != 0)
		return "--failback is none, immediate or policy";
	*ret_code = API_CONFLICT;
	if (wanted && svc->drain)
		return "it is being drained, or getting VMs back; cancel that first "
		       "('viaduct job list')";
	*ret_code = API_UNREACHABLE;
	return wanted && !is_self ? "its viaductd does not answer, so nothing can come back" : NULL;
}

/* {node, failback} */
void api_node_resume(struct api_call *call)
{
	const char *failback = json_get_string(call->message, "failback", "none");
	struct svc *svc = call->svc;
	struct cluster_node node;
	struct resuming *r;
	enum api_code code;
	struct json *state;
	const char *why;
	bool is_self;

	if (!at_node(call, &node, &is_self))
		return;
	why = check_failback(svc, failback, is_self, &code);
	r = why ? NULL : calloc(1, sizeof(*r));
	if (!r) {
		api_fail(call, why ? code : API_FAILED, "%s cannot be resumed: %s", node.name,
			why ? why : "out of memory");
		return;
	}
	r->call = call;
	state = node_state_copy(svc, node.name);
	r->by_policy = strcmp(failback, "policy") == 0;
	if (strcmp(failback, "none") != 0)
		r->moved = json_get(state, "moved") ? json_copy(json_get(state, "moved"))
						    : json_array_new();
	json_set_string(state, "state", "up");
	node_state_set_drain(state, "none", "");
	json_delete(state, "moved");
	json_delete(state, "job");
	json_delete(state, "target");
	node_state_write(svc, node.name, state, on_resumed, r);
	/* It hears that the node is not paused any more, so nothing is written over that. */
	if (is_self && svc->drain && !svc->drain->is_failback)
		drain_cancel(svc);
}

/* ---- settings of the cluster ---- */

static void on_set(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail_errno(call, error, "nothing was changed");
		return;
	}
	result = json_object_new();
	json_set_int(result, "parallel_migrations", moves_limit(call->svc));
	json_set_stringf(result, "note", "at most %u migrations leave a node at once",
		moves_limit(call->svc));
	moves_next_soon(call->svc);
	api_reply(call, result);
}

/* {parallel_migrations} */
void api_cluster_set(struct api_call *call)
{
	int64_t n = json_get_int(call->message, "parallel_migrations", -1);
	struct json *setting;
	int r;

	if (n < 0) {
		api_fail(call, API_USAGE, "what shall be set? --parallel-migrations N");
		return;
	}
	if (!api_needs_quorum(call))
		return;
	setting = json_object_new();
	json_set_int(setting, "parallel", moves_clamp(n));
	r = cluster_cas(
		call->svc->cluster, "setting/moves", CLUSTER_ANY_VERSION, setting, on_set, call);
	if (r < 0)
		api_fail_errno(call, r, "nothing was changed");
}
