/* SPDX-License-Identifier: MIT
 *
 * acl_reference.h - what an access list has to say, written down a second time from acl.h and
 * conn.h: bit by bit, rule by rule, with conversations in an array. For the property test and the
 * fuzz target.
 */
#ifndef VIADUCT_TESTS_FABRIC_ACL_REFERENCE_H
#define VIADUCT_TESTS_FABRIC_ACL_REFERENCE_H

#include "fabric/acl.h"

#include <string.h>

#define REF_MAX_CONVERSATIONS 256

/* Of the frame that began it. */
struct ref_conversation {
	struct headers first;
	bool by_owner;
	uint64_t idle_ns, last_ns;
	bool closing, fin_of_beginner, fin_of_other;
};

struct ref_acl {
	struct acl_rule rules[ACL_MAX_RULES];
	int n_rules;
	struct ref_conversation conversations[REF_MAX_CONVERSATIONS];
	int n_conversations;
};

static inline bool ref_same_bits(const uint8_t *a, const uint8_t *b, int n_bits)
{
	for (int i = 0; i < n_bits; i++) {
		if ((a[i / 8] >> (7 - i % 8) & 1) != (b[i / 8] >> (7 - i % 8) & 1))
			return false;
	}
	return true;
}

enum ref_answer {
	REF_NO,
	REF_YES,
	REF_UNSEEN,
};

static inline enum ref_answer ref_if(bool yes)
{
	return yes ? REF_YES : REF_NO;
}

/* What there is of an IP header: no, yes, or perhaps. */
static inline enum ref_answer ref_is_version(const struct headers *h, enum headers_l3 version)
{
	if (h->l3 == HEADERS_L3_OTHER && (h->hidden || h->malformed))
		return REF_UNSEEN;
	if (h->l3 != version)
		return REF_NO;
	return h->malformed ? REF_UNSEEN : REF_YES;
}

static inline enum ref_answer ref_is_ip(const struct headers *h)
{
	enum ref_answer v4 = ref_is_version(h, HEADERS_L3_IPV4);

	return v4 != REF_NO ? v4 : ref_is_version(h, HEADERS_L3_IPV6);
}

static inline enum ref_answer ref_address(
	const struct acl_side *side, const struct headers *h, bool source)
{
	const uint8_t *ip = source ? h->ip_src : h->ip_dst;
	enum ref_answer version;

	switch (side->kind) {
	case ACL_ANY:
		return REF_YES;
	case ACL_MAC:
		return ref_if(
			ref_same_bits(side->address, source ? h->src : h->dst, side->prefix_bits));
	case ACL_IPV4:
		version = ref_is_version(h, HEADERS_L3_IPV4);
		break;
	default:
		version = ref_is_version(h, HEADERS_L3_IPV6);
		break;
	}
	if (version != REF_YES)
		return version;
	return ref_if(ref_same_bits(side->address, ip, side->prefix_bits));
}

/* Extension headers of IPv6, behind which the protocol is not known. */
static inline bool ref_protocol_unseen(const struct headers *h)
{
	static const uint8_t extensions[] = {0, 43, 44, 51, 60};

	return h->l3 == HEADERS_L3_IPV6 && h->hidden &&
	       memchr(extensions, h->protocol, sizeof(extensions));
}

static inline enum ref_answer ref_protocol(const struct acl_rule *rule, const struct headers *h)
{
	if (rule->protocol == ACL_ANY_PROTOCOL)
		return REF_YES;
	if (ref_is_ip(h) != REF_YES)
		return ref_is_ip(h);
	if (ref_protocol_unseen(h))
		return REF_UNSEEN;
	return ref_if(h->protocol == rule->protocol);
}

static inline enum ref_answer ref_port(
	const struct acl_side *side, const struct headers *h, bool source)
{
	uint16_t port = source ? h->src_port : h->dst_port;

	if (side->port_min == 0 && side->port_max == 0)
		return REF_YES;
	if (ref_is_ip(h) != REF_YES)
		return ref_is_ip(h);
	if (h->hidden && (h->protocol == 6 || h->protocol == 17 || ref_protocol_unseen(h)))
		return REF_UNSEEN;
	if (!h->has_ports)
		return REF_NO;
	return ref_if(side->port_min <= port && port <= side->port_max);
}

static inline bool ref_matches(const struct acl_rule *rule, const struct headers *h, bool outbound)
{
	const enum ref_answer answers[] = {
		ref_if(rule->directions & (outbound ? ACL_OUTBOUND : ACL_INBOUND)),
		ref_address(&rule->local, h, outbound),
		ref_address(&rule->remote, h, !outbound),
		ref_protocol(rule, h),
		ref_port(&rule->local, h, outbound),
		ref_port(&rule->remote, h, !outbound),
	};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		if (answers[i] == REF_NO || (answers[i] == REF_UNSEEN && rule->action != ACL_DENY))
			return false;
	}
	return true;
}

static inline int ref_n_ports(const struct acl_rule *rule)
{
	return (rule->local.port_max > 0) + (rule->remote.port_max > 0);
}

/* Is rule number a tried before number b? */
static inline bool ref_before(const struct ref_acl *acl, int a, int b)
{
	const struct acl_rule *x = &acl->rules[a], *y = &acl->rules[b];
	int x_bits = x->local.prefix_bits + x->remote.prefix_bits;
	int y_bits = y->local.prefix_bits + y->remote.prefix_bits;
	bool x_protocol = x->protocol != ACL_ANY_PROTOCOL;
	bool y_protocol = y->protocol != ACL_ANY_PROTOCOL;

	if (x->weight != y->weight)
		return x->weight > y->weight;
	if (x_bits != y_bits)
		return x_bits > y_bits;
	if (x_protocol != y_protocol)
		return x_protocol;
	if (ref_n_ports(x) != ref_n_ports(y))
		return ref_n_ports(x) > ref_n_ports(y);
	return a < b;
}

static inline bool ref_asks(const struct headers *h)
{
	return h->has_icmp && h->icmp_type == (h->l3 == HEADERS_L3_IPV6 ? 128 : 8);
}

static inline bool ref_answers(const struct headers *h)
{
	return h->has_icmp && h->icmp_type == (h->l3 == HEADERS_L3_IPV6 ? 129 : 0);
}

static inline bool ref_trackable(const struct headers *h)
{
	return ref_is_ip(h) == REF_YES && !h->hidden &&
	       (h->has_ports || ref_asks(h) || ref_answers(h));
}

/* Is `h`, which is trackable, of the conversation? */
static inline bool ref_is_of(
	const struct ref_conversation *c, const struct headers *h, bool outbound)
{
	const struct headers *first = &c->first;
	bool forth = outbound == c->by_owner;

	if (h->l3 != first->l3 || h->protocol != first->protocol)
		return false;
	if (memcmp(forth ? h->ip_src : h->ip_dst, first->ip_src, HEADERS_IP_BYTES) != 0 ||
		memcmp(forth ? h->ip_dst : h->ip_src, first->ip_dst, HEADERS_IP_BYTES) != 0)
		return false;
	if (h->has_icmp)
		return h->icmp_id == first->icmp_id && (forth ? ref_asks(h) : ref_answers(h));
	return (forth ? h->src_port : h->dst_port) == first->src_port &&
	       (forth ? h->dst_port : h->src_port) == first->dst_port;
}

static inline bool ref_is_over(const struct ref_conversation *c, uint64_t now_ns)
{
	uint64_t limit_ns = c->idle_ns;

	if (c->closing && limit_ns > 10000000000ULL)
		limit_ns = 10000000000ULL;
	return now_ns >= c->last_ns + limit_ns;
}

static inline void ref_note(
	struct ref_conversation *c, const struct headers *h, bool outbound, uint64_t now_ns)
{
	if (c->closing)
		return;
	c->last_ns = now_ns;
	if (h->protocol != 6)
		return;
	if (h->tcp_flags & 1 && outbound == c->by_owner)
		c->fin_of_beginner = true;
	if (h->tcp_flags & 1 && outbound != c->by_owner)
		c->fin_of_other = true;
	c->closing = (h->tcp_flags & 4) || (c->fin_of_beginner && c->fin_of_other);
}

/* The conversation of `h`, or NULL; those that are over are gone after it. */
static inline struct ref_conversation *ref_find(
	struct ref_acl *acl, const struct headers *h, bool outbound, uint64_t now_ns)
{
	bool syn = h->protocol == 6 && (h->tcp_flags & 0x17) == 2;

	for (int i = acl->n_conversations - 1; i >= 0; i--) {
		struct ref_conversation *c = &acl->conversations[i];

		if (ref_is_over(c, now_ns))
			*c = acl->conversations[--acl->n_conversations];
	}
	for (int i = 0; i < acl->n_conversations; i++) {
		struct ref_conversation *c = &acl->conversations[i];

		if (ref_trackable(h) && ref_is_of(c, h, outbound))
			return c->closing && syn ? NULL : c;
	}
	return NULL;
}

static inline void ref_begin(struct ref_acl *acl, const struct acl_rule *rule,
	const struct headers *h, bool outbound, uint64_t now_ns)
{
	struct ref_conversation *c;

	if (!ref_trackable(h) || ref_answers(h) || (h->protocol == 6 && h->tcp_flags & 4))
		return;
	for (int i = acl->n_conversations - 1; i >= 0; i--) {
		if (ref_is_of(&acl->conversations[i], h, outbound))
			acl->conversations[i] = acl->conversations[--acl->n_conversations];
	}
	if (acl->n_conversations == REF_MAX_CONVERSATIONS)
		abort();
	c = &acl->conversations[acl->n_conversations++];
	*c = (struct ref_conversation){.first = *h, .by_owner = outbound};
	c->idle_ns = (rule->idle_s ? rule->idle_s : 300) * 1000000000ULL;
	ref_note(c, h, outbound, now_ns);
}

static inline void ref_count(struct acl_rule *rule, size_t frame_bytes)
{
	rule->n_frames++;
	rule->n_bytes += frame_bytes;
}

/* As acl_check(); `ret_rule` as acl_explain() has it. */
static inline enum drop ref_check(struct ref_acl *acl, const struct headers *h, size_t frame_bytes,
	bool outbound, uint64_t now_ns, int *ret_rule)
{
	struct ref_conversation *c = ref_find(acl, h, outbound, now_ns);
	int best = -1;

	for (int i = 0; i < acl->n_rules; i++) {
		if (acl->rules[i].action != ACL_METER && ref_matches(&acl->rules[i], h, outbound) &&
			(best < 0 || ref_before(acl, i, best)))
			best = i;
	}
	for (int i = 0; i < acl->n_rules; i++) {
		if (acl->rules[i].action == ACL_METER && ref_matches(&acl->rules[i], h, outbound) &&
			(best < 0 || ref_before(acl, i, best)))
			ref_count(&acl->rules[i], frame_bytes);
	}
	*ret_rule = c ? -2 : best;
	if (c)
		ref_note(c, h, outbound, now_ns);
	if (c || best < 0)
		return DROP_NONE;
	ref_count(&acl->rules[best], frame_bytes);
	if (acl->rules[best].action == ACL_DENY)
		return DROP_ACL;
	if (acl->rules[best].stateful)
		ref_begin(acl, &acl->rules[best], h, outbound, now_ns);
	return DROP_NONE;
}

#endif
