/* SPDX-License-Identifier: MIT */
#include "fabric/acl.h"
#include "base/bitmap.h"
#include "fabric/acl_list.h"

/* What the list has to say about a frame. */
struct finding {
	bool has_key; /* it could be of a conversation */
	bool conversed;
	struct conn_key key;
	int rule; /* the deciding one; not looked for in a conversation that no meter counts */
	uint64_t meters[BITMAP_WORDS(ACL_MAX_RULES)];
};

static int compare_ranks(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return first > second ? -1 : first < second;
}

/* Weight, specificity and place in one number: the higher is tried first. */
static uint64_t rank_of(const struct acl_rule *rule, unsigned index)
{
	return (uint64_t)rule->weight << 32 | acl_rule_specificity(rule) << 16 |
	       (UINT16_MAX - index);
}

static void sort_rules(struct acl *acl, bool outbound)
{
	struct acl_order *order = &acl->orders[outbound];
	uint64_t ranks[ACL_MAX_RULES];

	for (unsigned i = 0; i < acl->n_rules; i++) {
		const struct acl_rule *rule = &acl->rules[i];

		if (!(rule->directions & (outbound ? ACL_OUTBOUND : ACL_INBOUND)))
			continue;
		ranks[order->n_rules++] = rank_of(rule, i);
		order->has_meters |= rule->action == ACL_METER;
	}
	qsort(ranks, order->n_rules, sizeof(ranks[0]), compare_ranks);
	for (unsigned i = 0; i < order->n_rules; i++)
		order->rules[i] = (uint16_t)(UINT16_MAX - (ranks[i] & UINT16_MAX));
}

int acl_new(const struct acl_rule *rules, unsigned n_rules, uint64_t seed, struct acl **ret_acl)
{
	struct acl *acl;
	bool stateful = false;
	int r;

	if (n_rules > ACL_MAX_RULES)
		return -EINVAL;
	for (unsigned i = 0; i < n_rules; i++) {
		if (acl_rule_error(&rules[i]))
			return -EINVAL;
		stateful |= rules[i].stateful;
	}
	acl = calloc(1, sizeof(*acl) + n_rules * sizeof(acl->rules[0]));
	if (!acl)
		return -ENOMEM;
	r = stateful ? conn_table_new(CONN_MAX_ENTRIES, seed, &acl->conversations) : 0;
	if (r < 0) {
		acl_free(acl);
		return r;
	}
	acl->n_rules = n_rules;
	for (unsigned i = 0; i < n_rules; i++) {
		acl->rules[i] = rules[i];
		acl->rules[i].n_frames = acl->rules[i].n_bytes = 0;
	}
	sort_rules(acl, false);
	sort_rules(acl, true);
	*ret_acl = acl;
	return 0;
}

void acl_free(struct acl *acl)
{
	if (!acl)
		return;
	conn_table_free(acl->conversations);
	free(acl);
}

/* Nothing to look for in this direction. */
static bool is_idle(const struct acl *acl, bool outbound)
{
	return acl->orders[outbound].n_rules == 0 && acl_n_conversations(acl) == 0;
}

static void search(const struct acl *acl, const struct headers *headers, bool outbound,
	uint64_t now_ns, struct finding *ret)
{
	const struct acl_order *order = &acl->orders[outbound];

	*ret = (struct finding){.rule = ACL_NO_RULE};
	ret->has_key = acl->conversations && conn_key_of(headers, outbound, &ret->key);
	ret->conversed =
		ret->has_key && conn_has(acl->conversations, &ret->key, headers->tcp_flags, now_ns);
	if (ret->conversed && !order->has_meters)
		return;
	for (unsigned i = 0; i < order->n_rules; i++) {
		unsigned index = order->rules[i];

		if (!acl_rule_matches(&acl->rules[index], headers, outbound))
			continue;
		if (acl->rules[index].action != ACL_METER) {
			ret->rule = (int)index;
			return;
		}
		bitmap_set(ret->meters, index);
	}
}

static enum drop verdict(const struct acl *acl, const struct finding *finding)
{
	bool denied = !finding->conversed && finding->rule != ACL_NO_RULE &&
		      acl->rules[finding->rule].action == ACL_DENY;

	return denied ? DROP_ACL : DROP_NONE;
}

static void count(struct acl *acl, unsigned index, size_t frame_bytes)
{
	acl->rules[index].n_frames++;
	acl->rules[index].n_bytes += frame_bytes;
}

static void count_meters(struct acl *acl, const uint64_t *meters, size_t frame_bytes)
{
	for (unsigned i = 0; i < BITMAP_WORDS(ACL_MAX_RULES); i++) {
		for (uint64_t left = meters[i]; left; left &= left - 1)
			count(acl, i * 64 + (unsigned)__builtin_ctzll(left), frame_bytes);
	}
}

enum drop acl_check(struct acl *acl, const struct headers *headers, size_t frame_bytes,
	bool outbound, uint64_t now_ns)
{
	struct finding finding;
	const struct acl_rule *rule;

	if (is_idle(acl, outbound))
		return DROP_NONE;
	search(acl, headers, outbound, now_ns, &finding);
	count_meters(acl, finding.meters, frame_bytes);
	if (finding.conversed) {
		(void)conn_pass(
			acl->conversations, &finding.key, outbound, headers->tcp_flags, now_ns);
	} else if (finding.rule != ACL_NO_RULE) {
		rule = &acl->rules[finding.rule];
		count(acl, (unsigned)finding.rule, frame_bytes);
		if (rule->stateful && finding.has_key)
			conn_open(acl->conversations, &finding.key, outbound, headers->tcp_flags,
				rule->idle_s, now_ns);
	}
	return verdict(acl, &finding);
}

enum drop acl_explain(const struct acl *acl, const struct headers *headers, bool outbound,
	uint64_t now_ns, int *ret_rule)
{
	struct finding finding;

	search(acl, headers, outbound, now_ns, &finding);
	*ret_rule = finding.conversed ? ACL_CONVERSATION : finding.rule;
	return verdict(acl, &finding);
}

unsigned acl_n_rules(const struct acl *acl)
{
	return acl->n_rules;
}

const struct acl_rule *acl_rule(const struct acl *acl, unsigned index)
{
	return &acl->rules[index];
}

unsigned acl_n_conversations(const struct acl *acl)
{
	return acl->conversations ? conn_count(acl->conversations) : 0;
}
