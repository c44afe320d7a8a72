/* SPDX-License-Identifier: MIT
 *
 * The side that decides.
 */
#include "node/svc/failover.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/failover.h"
#include "node/svc/events.h"
#include "node/svc/place_view.h"
#include "node/svc/policy.h"

#include <stdio.h>
#include <string.h>

#define LOOK_SOON_NS     (5 * NS_PER_MS)
#define RETRY_NS         (2 * NS_PER_SEC) /* after a start that failed, or was refused */
#define START_TIMEOUT_NS (120 * NS_PER_SEC)
#define MAX_AT_ONCE      32 /* starts under way; more would only be in each other's way */

/* A VM that is lost, from when that was seen until it runs or is wanted no more. */
struct attempt {
	struct list link;
	struct failover *failover;
	char vm[SVC_NAME_MAX_LEN + 1], object[SVC_NAME_MAX_LEN + 8];
	char from[SVC_NAME_MAX_LEN + 1];
	uint64_t epoch;
	uint64_t seen_ns, fencing_ns;
	uint32_t to; /* asked, and not answered yet */
	char to_name[SVC_NAME_MAX_LEN + 1];
	uint32_t avoid;
	uint64_t retry_at_ns;
	bool is_lost;                        /* still, as seen in this look */
	char told[FAILOVER_WHY_MAX_LEN + 1]; /* why it is not started, as people know it */
};

struct failover {
	struct svc *svc;
	struct list attempts;
	uint64_t timer, retry_timer;
	uint64_t retry_at_ns;
};

static void look(struct failover *f);

/* ---- who decides ---- */

static bool decides(struct svc *svc)
{
	return cluster_is_synced(svc->cluster) && svc->peer && svc_has_lease(svc) &&
	       cluster_acts_for_all(svc->cluster);
}

/* ---- what is lost ---- */

static struct attempt *find(struct failover *f, const char *vm)
{
	struct attempt *a;

	list_for_each(a, &f->attempts, link) {
		if (strcmp(a->vm, vm) == 0)
			return a;
	}
	return NULL;
}

/* It ran, or was about to: what its owner said last, or the one before, if the owner died before it
 * said anything. */
static bool was_wanted(const struct vm_view *v)
{
	return v->state && !vm_state_is_startable(json_get_string(v->state, "state", "Off"));
}

static bool owner_says_lost(const struct vm_view *v)
{
	return v->state && json_get_bool(v->state, "restart", false) &&
	       (uint64_t)json_get_int(v->state, "epoch", 0) == v->owner.epoch &&
	       vm_state_is_startable(json_get_string(v->state, "state", ""));
}

static bool is_lost(struct svc *svc, const struct vm_view *v)
{
	if (!v->owner.node_id)
		return false;
	if (cluster_node_is_gone(svc->cluster, v->owner.node_id))
		return was_wanted(v) || owner_says_lost(v);
	return owner_says_lost(v);
}

static int note_lost(
	const char *key, const struct json *config _unused_, uint64_t version _unused_, void *data)
{
	struct failover *f = data;
	const char *name = strchr(key, '/') + 1;
	struct attempt *a = find(f, name);
	struct vm_view v;

	if (api_vm_view(f->svc, name, &v) < 0 || !is_lost(f->svc, &v))
		return 0;
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return -ENOMEM;
		a->failover = f;
		snprintf(a->vm, sizeof(a->vm), "%s", name);
		snprintf(a->object, sizeof(a->object), "vm/%s", name);
		list_append(&f->attempts, &a->link);
	}
	if (a->epoch != v.owner.epoch) {
		uint64_t parted_ns = cluster_node_parted_ns(f->svc->cluster, v.owner.node_id);

		a->epoch = v.owner.epoch;
		a->seen_ns = clock_boot_ns();
		a->fencing_ns = parted_ns ? a->seen_ns - parted_ns : 0;
		snprintf(a->from, sizeof(a->from), "%s", v.node.id ? v.node.name : "?");
		a->told[0] = '\0';
	}
	a->is_lost = true;
	return 0;
}

static void forget_found(struct failover *f)
{
	struct attempt *a, *after;

	list_for_each_safe(a, after, &f->attempts, link) {
		if (a->is_lost || a->to)
			continue;
		list_remove(&a->link);
		free(a);
	}
}

/* ---- asking for a start ---- */

static void again_at(struct failover *f, uint64_t at_ns)
{
	if (!f->retry_at_ns || at_ns < f->retry_at_ns)
		f->retry_at_ns = at_ns;
}

static void failed(struct attempt *a, const char *why)
{
	events_add(a->failover->svc, EVENT_WARNING, "vm.failover-failed", a->object,
		"%s could not be started on %s: %s", a->vm, a->to_name, why);
	a->avoid = a->to;
	a->retry_at_ns = clock_boot_ns() + RETRY_NS;
}

static void on_answer(int error, const struct json *reply, void *data)
{
	struct attempt *a = data;

	if (error < 0)
		failed(a, strerror(-error));
	else if (!json_get_bool(reply, "ok", false))
		failed(a, json_get_string(reply, "error", "no reason was given"));
	a->to = 0;
	failover_touch(a->failover);
}

static struct json *start_message(const struct attempt *a)
{
	struct json *message = json_object_new();

	json_set_string(message, "op", "failover.start");
	json_set_string(message, "vm", a->vm);
	json_set_string(message, "from", a->from);
	json_set_int(message, "epoch", (int64_t)a->epoch);
	json_set_int(message, "fencing_ns", (int64_t)a->fencing_ns);
	json_set_int(message, "decision_ns", (int64_t)(clock_boot_ns() - a->seen_ns));
	return message;
}

static void ask(struct attempt *a, const struct cluster_node *to)
{
	struct svc *svc = a->failover->svc;
	int r;

	a->to = to->id;
	snprintf(a->to_name, sizeof(a->to_name), "%s", to->name);
	log_info("%s is to start on %s; it was lost with %s", a->vm, to->name, a->from);
	if (to->id == cluster_local_id(svc->cluster))
		r = failover_take(svc, start_message(a), on_answer, a);
	else
		r = peer_call(
			svc->peer, to->name, start_message(a), START_TIMEOUT_NS, on_answer, a);
	if (r < 0) {
		failed(a, strerror(-r));
		a->to = 0;
	}
}

/* Said once, and again when it is another reason. */
static void tell(struct attempt *a, const struct failover_step *step)
{
	if (strcmp(a->told, step->why) == 0)
		return;
	strcpy(a->told, step->why);
	events_add(a->failover->svc, step->is_final ? EVENT_INFO : EVENT_ERROR, "vm.not-restarted",
		a->object, "%s was lost with %s and is not started: %s", a->vm, a->from, step->why);
}

/* ---- the plan ---- */

static size_t under_way(const struct failover *f)
{
	const struct attempt *a;
	size_t n = 0;

	list_for_each(a, &f->attempts, link)
		n += a->to != 0;
	return n;
}

static const struct cluster_node *node_of(
	const struct cluster_node *nodes, size_t n_nodes, uint32_t id)
{
	for (size_t i = 0; i < n_nodes; i++) {
		if (nodes[i].id == id)
			return &nodes[i];
	}
	return NULL;
}

struct batch {
	struct attempt **attempts;
	struct failover_vm *vms;
	struct failover_step *steps;
	size_t n;
};

static void batch_fini(struct batch *batch)
{
	free(batch->attempts);
	free(batch->vms);
	free(batch->steps);
}

/* Those that can be decided about now. What is under way has its place already. */
static int collect(struct failover *f, struct place *place, struct batch *batch)
{
	uint64_t now_ns = clock_boot_ns();
	struct attempt *a;
	size_t n = 0;

	list_for_each(a, &f->attempts, link)
		n++;
	batch->attempts = calloc(n + 1, sizeof(struct attempt *));
	batch->vms = calloc(n + 1, sizeof(*batch->vms));
	batch->steps = calloc(n + 1, sizeof(*batch->steps));
	if (!batch->attempts || !batch->vms || !batch->steps)
		return -ENOMEM;
	list_for_each(a, &f->attempts, link) {
		struct policy policy;

		if (a->to) {
			place_move(place, a->vm, a->to);
			continue;
		}
		if (!a->is_lost)
			continue;
		if (a->retry_at_ns > now_ns) {
			again_at(f, a->retry_at_ns);
			continue;
		}
		policy_get(f->svc, a->vm, &policy);
		batch->attempts[batch->n] = a;
		batch->vms[batch->n++] = (struct failover_vm){
			.name = a->vm,
			.priority = policy.priority,
			.n_restarts = restarts_count(f->svc, a->vm, policy.restart_window_s),
			.max_restarts = policy.max_restarts,
			.avoid = a->avoid,
		};
	}
	return 0;
}

static int decide(struct failover *f, struct place *place, struct batch *batch)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	struct failover_node names[CLUSTER_MAX_NODES];
	size_t n_nodes = cluster_nodes(f->svc->cluster, nodes, ARRAY_LEN(nodes));
	size_t n_under_way = under_way(f);
	int r;

	for (size_t i = 0; i < n_nodes; i++)
		names[i] = (struct failover_node){nodes[i].id, nodes[i].name};
	r = failover_plan(place, batch->vms, batch->n, names, n_nodes, batch->steps);
	for (size_t i = 0; r == 0 && i < batch->n; i++) {
		const struct failover_step *step = &batch->steps[i];
		struct attempt *a = batch->attempts[step->vm];
		const struct cluster_node *to = node_of(nodes, n_nodes, step->to);

		if (!to) {
			tell(a, step);
			again_at(f, clock_boot_ns() + RETRY_NS);
		} else if (n_under_way < MAX_AT_ONCE) { /* an answer looks again */
			n_under_way++;
			ask(a, to);
		}
	}
	return r;
}

static void on_retry(void *data)
{
	struct failover *f = data;

	f->retry_timer = 0;
	look(f);
}

static void look(struct failover *f)
{
	struct place *place = NULL;
	struct batch batch = {};
	struct attempt *a;
	int r = 0;

	list_for_each(a, &f->attempts, link)
		a->is_lost = false;
	f->retry_at_ns = 0;
	if (decides(f->svc))
		r = cluster_for_each(f->svc->cluster, "vm/", note_lost, f);
	forget_found(f);
	if (r == 0 && !list_empty(&f->attempts))
		r = place_view(f->svc, &place);
	if (r == 0 && place)
		r = collect(f, place, &batch);
	if (r == 0 && batch.n)
		r = decide(f, place, &batch);
	if (r < 0) {
		log_error("failover: %s; trying again", strerror(-r));
		again_at(f, clock_boot_ns() + RETRY_NS);
	}
	place_free(place);
	batch_fini(&batch);
	if (f->retry_at_ns && !f->retry_timer) {
		uint64_t now_ns = clock_boot_ns();

		loop_timer_add(f->svc->loop, f->retry_at_ns > now_ns ? f->retry_at_ns - now_ns : 0,
			on_retry, f, &f->retry_timer);
	}
}

/* ---- life ---- */

static void on_timer(void *data)
{
	struct failover *f = data;

	f->timer = 0;
	look(f);
}

void failover_touch(struct failover *f)
{
	if (f && !f->timer)
		loop_timer_add(f->svc->loop, LOOK_SOON_NS, on_timer, f, &f->timer);
}

static bool makes_room(const char *key)
{
	static const char *const prefixes[] = {
		"vm", "owner/vm/", "node", "policy/", "switch", "vlan/", "volume/"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

void failover_key(struct failover *f, const char *key)
{
	const struct json *value = NULL;
	bool is_lost = false;

	if (!f)
		return;
	if (strncmp(key, "vmstate/", 8) == 0 || strncmp(key, "owner/vm/", 9) == 0)
		(void)cluster_get(f->svc->cluster, key, &value, NULL);
	if (strncmp(key, "vmstate/", 8) == 0)
		is_lost = json_get_bool(value, "restart", false);
	else if (strncmp(key, "owner/vm/", 9) == 0) /* handed to a node that is gone by now */
		is_lost = cluster_node_is_gone(
			f->svc->cluster, (uint32_t)json_get_int(value, "node", 0));
	if (is_lost || (!list_empty(&f->attempts) && makes_room(key)))
		failover_touch(f);
}

int failover_new(struct svc *svc, struct failover **ret_failover)
{
	struct failover *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->svc = svc;
	list_init(&f->attempts);
	*ret_failover = f;
	return 0;
}

void failover_free(struct failover *f)
{
	struct attempt *a, *after;

	if (!f)
		return;
	loop_timer_remove(f->svc->loop, f->timer);
	loop_timer_remove(f->svc->loop, f->retry_timer);
	list_for_each_safe(a, after, &f->attempts, link) {
		list_remove(&a->link);
		free(a);
	}
	free(f);
}
