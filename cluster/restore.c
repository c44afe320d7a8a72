/* SPDX-License-Identifier: MIT
 *
 * From the store of now to a backup: what is added, changed and removed, and what is left alone.
 */
#include "cluster/backup.h"

#include <stdio.h>

/* What is not here is left alone: nobody has thought about what it means to put it back. */
static const struct backup_rule_row rules[] = {
	{"net/", BACKUP_SET, "names, roles and metrics of networks"},
	{"migration/", BACKUP_SET, "which networks migrations take"},
	{"macpool/", BACKUP_SET, "pools of MAC addresses"},
	{"macrange/", BACKUP_ADD, "ranges of MAC addresses of nodes: what a node has is kept"},
	{"switch/", BACKUP_SET, "virtual switches of nodes"},
	{"offload/", BACKUP_SET, "settings of nodes"},
	{"volume/", BACKUP_ADD, "volumes: a mounted one is not changed"},
	{"owner/", BACKUP_DISOWN, "epochs of owners: they never go back"},
	{"mac/", BACKUP_ADD, "MAC leases: what somebody has is kept"},
	{"maclease/", BACKUP_ADD, "MAC leases"},
	{"vm/", BACKUP_SET, "VMs: one that runs is not changed"},
	{"policy/", BACKUP_SET, "priorities, owners and restarts of VMs"},
	{"nodepolicy/", BACKUP_SET, "limits of nodes"},
	{"vmstate/", BACKUP_LEAVE, "states of VMs"},
	{"switchstate/", BACKUP_LEAVE, "states of switches"},
	{"node/", BACKUP_LEAVE, "what nodes offer"},
	{"nodestate/", BACKUP_LEAVE, "paused nodes"},
	{"netif/", BACKUP_LEAVE, "interfaces of nodes"},
	{"links/", BACKUP_LEAVE, "links between nodes"},
	{"peer/", BACKUP_LEAVE, "addresses and public keys of nodes"},
	{"cluster/", BACKUP_LEAVE, "the store's own"},
	{NULL, BACKUP_LEAVE, NULL},
};

const struct backup_rule_row *backup_rules(void)
{
	return rules;
}

static size_t rank_of(const char *key)
{
	size_t i = 0;

	while (rules[i].prefix && strncmp(key, rules[i].prefix, strlen(rules[i].prefix)) != 0)
		i++;
	return i;
}

enum backup_rule backup_rule_of(const char *key)
{
	return rules[rank_of(key)].rule;
}

static const char *after(const char *key, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

const char *restore_vm_of(const char *key)
{
	const char *vm = after(key, "vm/");

	return vm ? vm : after(key, "policy/");
}

static bool is_living(const char *vm_state)
{
	return vm_state && strcmp(vm_state, "Off") != 0 && strcmp(vm_state, "Failed") != 0;
}

const char *restore_refusal(
	const char *key, uint64_t expected, const struct json *value, const char *vm_state)
{
	enum backup_rule rule = backup_rule_of(key);

	if (rule == BACKUP_LEAVE)
		return "that is no setting";
	if (rule != BACKUP_SET && (expected != 0 || !value))
		return "it may only be added";
	if (rule == BACKUP_DISOWN &&
		(json_get_int(value, "node", -1) != 0 || json_get_int(value, "epoch", 0) < 1))
		return "it may only be added for nobody";
	if (after(key, "vm/") && expected != 0 && is_living(vm_state))
		return "the VM runs; stop it first";
	return NULL;
}

struct planner {
	const struct backup *then, *now;
	struct restore_plan *plan;
};

static int add_step(struct planner *planner, enum restore_action action, const char *key,
	uint64_t expected, struct json *value, struct restore_step **ret_step)
{
	struct restore_plan *plan = planner->plan;
	size_t capacity = MAX(plan->capacity * 2, (size_t)64);
	struct restore_step *steps;

	if (plan->n_steps == plan->capacity) {
		steps = reallocarray(plan->steps, capacity, sizeof(steps[0]));
		if (!steps) {
			json_unref(value);
			return -ENOMEM;
		}
		plan->steps = steps;
		plan->capacity = capacity;
	}
	*ret_step = &plan->steps[plan->n_steps++];
	**ret_step = (struct restore_step){.action = action,
		.key = key,
		.expected = expected,
		.value = value,
		.rank = rank_of(key)};
	return 0;
}

static const struct json *value_in(
	const struct backup *backup, const char *prefix, const char *rest)
{
	char key[RS_KEY_MAX_LEN + 1];
	const struct backup_entry *entry;

	if (snprintf(key, sizeof(key), "%s%s", prefix, rest) >= (int)sizeof(key))
		return NULL;
	entry = backup_find(backup, key);
	return entry ? entry->value : NULL;
}

static const char *state_of(const struct planner *planner, const char *vm)
{
	return json_get_string(value_in(planner->now, "vmstate/", vm), "state", NULL);
}

/* Whether a lease of `mac` would be somebody else's. */
static bool is_taken(const struct planner *planner, const char *mac, const char *owner_prefix,
	const char **ret_holder)
{
	const struct json *lease = value_in(planner->now, "mac/", mac);

	*ret_holder = json_get_string(lease, "owner", "");
	return lease && !after(*ret_holder, owner_prefix);
}

/* A VM whose address has been given to another one meanwhile. */
static bool has_taken_address(const struct planner *planner, const char *vm,
	const struct json *value, char reason[BACKUP_MAX_REASON])
{
	const struct json *nics = json_get(value, "nics");
	char prefix[RS_KEY_MAX_LEN + 8];
	const char *mac, *holder;

	snprintf(prefix, sizeof(prefix), "vm/%s/", vm);
	for (size_t i = 0; i < json_length(nics); i++) {
		mac = json_get_string(json_at(nics, i), "mac", NULL);
		if (!mac || !is_taken(planner, mac, prefix, &holder))
			continue;
		snprintf(
			reason, BACKUP_MAX_REASON, "its address %s belongs to %s now", mac, holder);
		return true;
	}
	return false;
}

static bool uses_switch(const struct json *vm, const char *name)
{
	const struct json *nics = json_get(vm, "nics");

	for (size_t i = 0; i < json_length(nics); i++) {
		if (strcmp(json_get_string(json_at(nics, i), "switch", ""), name) == 0)
			return true;
	}
	return false;
}

/* "switch/NODE/NAME": a VM that runs may be connected to it, whichever node it is on. */
static bool is_switch_in_use(
	const struct planner *planner, const char *key, char reason[BACKUP_MAX_REASON])
{
	const char *name = after(key, "switch/") ? strrchr(key, '/') + 1 : NULL;

	for (size_t i = 0; name && i < planner->now->n_entries; i++) {
		const struct backup_entry *entry = &planner->now->entries[i];
		const char *vm = after(entry->key, "vm/");

		if (!vm || !is_living(state_of(planner, vm)) || !uses_switch(entry->value, name))
			continue;
		snprintf(reason, BACKUP_MAX_REASON, "%s runs and is connected to it", vm);
		return true;
	}
	return false;
}

static bool must_stay(const struct planner *planner, const char *key,
	const struct backup_entry *then, const struct backup_entry *now,
	char reason[BACKUP_MAX_REASON])
{
	const char *vm = after(key, "vm/"), *lease = after(key, "maclease/"), *mac, *holder;

	if (vm && now && is_living(state_of(planner, vm))) {
		snprintf(reason, BACKUP_MAX_REASON, "the VM is %s; stop it first",
			state_of(planner, vm));
		return true;
	}
	if (vm && then)
		return has_taken_address(planner, vm, then->value, reason);
	mac = lease ? json_get_string(then->value, "mac", "") : "";
	if (lease && is_taken(planner, mac, lease, &holder)) {
		snprintf(reason, BACKUP_MAX_REASON, "%s belongs to %s now", mac, holder);
		return true;
	}
	return !then && is_switch_in_use(planner, key, reason);
}

static struct json *disowned(const struct json *owner)
{
	struct json *value = json_object_new();

	json_set_int(value, "node", 0);
	json_set_int(value, "epoch", MAX(json_get_int(owner, "epoch", 1), (int64_t)1));
	return value;
}

static int plan_key(
	struct planner *planner, const struct backup_entry *then, const struct backup_entry *now)
{
	const char *key = then ? then->key : now->key;
	enum backup_rule rule = backup_rule_of(key);
	enum restore_action action = !now ? RESTORE_ADD : !then ? RESTORE_REMOVE : RESTORE_CHANGE;
	char reason[BACKUP_MAX_REASON] = "";
	struct restore_step *step;
	struct json *value = NULL;
	int r;

	if (rule == BACKUP_LEAVE || (rule != BACKUP_SET && now)) {
		planner->plan->n_facts++;
		return 0;
	}
	if (then && now && json_is_equal(then->value, now->value)) {
		planner->plan->n_same++;
		return 0;
	}
	if (must_stay(planner, key, then, now, reason))
		action = RESTORE_LEAVE;
	if (then)
		value = rule == BACKUP_DISOWN ? disowned(then->value) : json_ref(then->value);
	r = add_step(planner, action, key, now ? now->version : 0, value, &step);
	if (r == 0)
		memcpy(step->reason, reason, sizeof(reason));
	return r;
}

/* What others rely on comes first, and goes last. */
static int order_steps(const void *a, const void *b)
{
	const struct restore_step *x = a, *y = b;
	bool x_goes = x->action == RESTORE_REMOVE, y_goes = y->action == RESTORE_REMOVE;

	if (x_goes != y_goes)
		return x_goes ? 1 : -1;
	if (x->rank != y->rank)
		return (x->rank < y->rank) != x_goes ? -1 : 1;
	return strcmp(x->key, y->key);
}

int restore_plan_new(
	const struct backup *then, const struct backup *now, struct restore_plan **ret_plan)
{
	struct planner planner = {
		.then = then, .now = now, .plan = calloc(1, sizeof(struct restore_plan))};
	size_t i = 0, j = 0;
	int order, r = 0;

	if (!planner.plan)
		return -ENOMEM;
	while (r == 0 && (i < then->n_entries || j < now->n_entries)) {
		order = i == then->n_entries  ? 1
			: j == now->n_entries ? -1
					      : strcmp(then->entries[i].key, now->entries[j].key);
		r = plan_key(&planner, order <= 0 ? &then->entries[i] : NULL,
			order >= 0 ? &now->entries[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	if (r < 0) {
		restore_plan_free(planner.plan);
		return r;
	}
	if (planner.plan->n_steps > 0)
		qsort(planner.plan->steps, planner.plan->n_steps, sizeof(struct restore_step),
			order_steps);
	*ret_plan = planner.plan;
	return 0;
}

void restore_plan_free(struct restore_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_steps; i++)
		json_unref(plan->steps[i].value);
	free(plan->steps);
	free(plan);
}
