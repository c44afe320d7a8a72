/* SPDX-License-Identifier: MIT */
#include "fabric/acl.h"
#include "tests/unit/fabric/acl_reference.h"
#include "tests/unit/fabric/acl_support.h"

#define SEED 0x5eed

static struct acl *acl;

static int teardown(void **state)
{
	(void)state;
	acl_free(acl);
	acl = NULL;
	return 0;
}

static void set_rules(const struct acl_rule *rules, unsigned n_rules)
{
	acl_free(acl);
	acl = NULL;
	for (unsigned i = 0; i < n_rules; i++)
		assert_null(acl_rule_error(&rules[i]));
	assert_int_equal(acl_new(rules, n_rules, SEED, &acl), 0);
	assert_int_equal(acl_n_rules(acl), n_rules);
}

static struct acl_rule rule_any(enum acl_action action, uint8_t directions, uint32_t weight)
{
	return (struct acl_rule){.action = action,
		.directions = directions,
		.weight = weight,
		.protocol = ACL_ANY_PROTOCOL};
}

/* The rule that decides, acl_check() agreeing. */
static int decide(const struct headers *h, bool outbound, uint64_t now_ns)
{
	int rule;
	enum drop drop = acl_explain(acl, h, outbound, now_ns, &rule);

	assert_int_equal(acl_check(acl, h, 100, outbound, now_ns), drop);
	assert_int_equal(drop, rule >= 0 && acl_rule(acl, (unsigned)rule)->action == ACL_DENY
				       ? DROP_ACL
				       : DROP_NONE);
	return rule;
}

static int decide_out(struct headers h, uint64_t now_ns)
{
	return decide(&h, true, now_ns);
}

static int decide_in(struct headers h, uint64_t now_ns)
{
	return decide(&h, false, now_ns);
}

static void test_nothing_said_is_allowed(void **state)
{
	(void)state;
	set_rules(NULL, 0);
	assert_int_equal(decide_out(tcp_headers(1, 1, 2, 2, TCP_SYN), T0), ACL_NO_RULE);
	assert_int_equal(decide_in(tcp_headers(2, 1, 1, 2, TCP_SYN), T0), ACL_NO_RULE);
	assert_int_equal(acl_n_conversations(acl), 0);
}

static void test_directions_are_the_owners(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_DENY, ACL_OUTBOUND, 1),
		rule_any(ACL_DENY, ACL_INBOUND, 1),
	};

	(void)state;
	rules[0].remote = side_of("10.0.0.9");
	rules[1].local = side_of("10.0.0.1");
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(ip_headers(false, 47, 1, 9), T0), 0);
	assert_int_equal(decide_out(ip_headers(false, 47, 9, 1), T0), ACL_NO_RULE);
	assert_int_equal(decide_in(ip_headers(false, 47, 9, 1), T0), 1);
	assert_int_equal(decide_in(ip_headers(false, 47, 1, 9), T0), ACL_NO_RULE);
	assert_int_equal(acl_rule(acl, 0)->n_frames, 1);
	assert_int_equal(acl_rule(acl, 0)->n_bytes, 100);
	assert_int_equal(acl_rule(acl, 1)->n_frames, 1);
}

static void test_order(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_DENY, ACL_BOTH, 5),
		rule_any(ACL_ALLOW, ACL_BOTH, 5),
		rule_any(ACL_ALLOW, ACL_BOTH, 5),
		rule_any(ACL_DENY, ACL_BOTH, 5),
		rule_any(ACL_ALLOW, ACL_BOTH, 5),
		rule_any(ACL_DENY, ACL_BOTH, 0xffffffff),
	};

	(void)state;
	rules[1].protocol = PROTOCOL_TCP;
	rules[2].protocol = PROTOCOL_TCP;
	rules[2].remote = side_ports("*", 80, 80);
	rules[3].remote = side_of("10.0.0.0/24");
	rules[4].remote = side_of("10.0.0.4/30");
	rules[5].remote = side_of("10.0.0.7");
	set_rules(rules, ARRAY_LEN(rules));
	/* The more specific prefix, then the protocol, then ports, then the first. */
	assert_int_equal(decide_out(tcp_headers(1, 1, 4, 80, 0), T0), 4);
	assert_int_equal(decide_out(tcp_headers(1, 1, 1, 80, 0), T0), 3);
	rules[3].directions = ACL_INBOUND;
	rules[4].directions = ACL_INBOUND;
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(tcp_headers(1, 1, 4, 80, 0), T0), 2);
	assert_int_equal(decide_out(tcp_headers(1, 1, 4, 81, 0), T0), 1);
	assert_int_equal(decide_out(port_headers(PROTOCOL_UDP, 1, 1, 4, 80), T0), 0);
	/* Weight before all of that. */
	assert_int_equal(decide_out(tcp_headers(1, 1, 7, 80, 0), T0), 5);
	/* The first of equals. */
	rules[0] = rules[1];
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(tcp_headers(1, 1, 4, 81, 0), T0), 0);
}

static void test_meters_count_and_go_on(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_METER, ACL_BOTH, 9),
		rule_any(ACL_METER, ACL_OUTBOUND, 9),
		rule_any(ACL_DENY, ACL_BOTH, 5),
		rule_any(ACL_METER, ACL_BOTH, 1),
	};

	(void)state;
	rules[2].protocol = PROTOCOL_UDP;
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(port_headers(PROTOCOL_UDP, 1, 1, 2, 2), T0), 2);
	assert_int_equal(decide_out(tcp_headers(1, 1, 2, 2, 0), T0), ACL_NO_RULE);
	assert_int_equal(decide_in(tcp_headers(2, 1, 1, 2, 0), T0), ACL_NO_RULE);
	assert_int_equal(acl_rule(acl, 0)->n_frames, 3);
	assert_int_equal(acl_rule(acl, 0)->n_bytes, 300);
	assert_int_equal(acl_rule(acl, 1)->n_frames, 2);
	assert_int_equal(acl_rule(acl, 2)->n_frames, 1);
	assert_int_equal(acl_rule(acl, 3)->n_frames, 2);
}

static void test_meters_count_conversations(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_METER, ACL_BOTH, 9),
		rule_any(ACL_ALLOW, ACL_OUTBOUND, 5),
		rule_any(ACL_DENY, ACL_BOTH, 3),
		rule_any(ACL_METER, ACL_BOTH, 1),
	};
	struct headers h = tcp_headers(1, 1, 2, 2, TCP_SYN);

	(void)state;
	rules[1].stateful = true;
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(h, T0), 1);
	assert_int_equal(decide_in(answer_to(&h), T0), ACL_CONVERSATION);
	assert_int_equal(decide_out(h, T0), ACL_CONVERSATION);
	assert_int_equal(acl_rule(acl, 0)->n_frames, 3);
	assert_int_equal(acl_rule(acl, 1)->n_frames, 1);
	assert_int_equal(acl_rule(acl, 2)->n_frames, 0);
	assert_int_equal(acl_rule(acl, 3)->n_frames, 0);
}

static void test_explaining_changes_nothing(void **state)
{
	struct acl_rule rule = rule_any(ACL_ALLOW, ACL_BOTH, 1);
	struct headers h = tcp_headers(1, 1, 2, 2, TCP_SYN);
	int number = 77;

	(void)state;
	rule.stateful = true;
	rule.n_frames = 5;
	set_rules(&rule, 1);
	assert_int_equal(acl_explain(acl, &h, true, T0, &number), DROP_NONE);
	assert_int_equal(number, 0);
	assert_int_equal(acl_rule(acl, 0)->n_frames, 0);
	assert_int_equal(acl_n_conversations(acl), 0);
}

static void test_arp_is_not_ip(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_DENY, ACL_BOTH, 9),
		rule_any(ACL_DENY, ACL_BOTH, 8),
		rule_any(ACL_DENY, ACL_BOTH, 7),
		rule_any(ACL_DENY, ACL_BOTH, 6),
		rule_any(ACL_DENY, ACL_BOTH, 5),
	};
	struct headers arp = {.l3 = HEADERS_L3_ARP, .src = {2, 0, 0, 0, 0, 1}};

	(void)state;
	rules[0].local = side_of("0.0.0.0/0");
	rules[1].remote = side_of("::/0");
	rules[2].protocol = 0;
	rules[3].remote = side_ports("*", 0, 65535);
	rules[4].local = side_of("02:00:00:00:00:00/40");
	set_rules(rules, 4);
	assert_int_equal(decide_out(arp, T0), ACL_NO_RULE);
	arp.malformed = true;
	assert_int_equal(decide_out(arp, T0), ACL_NO_RULE);
	set_rules(rules, 5);
	assert_int_equal(decide_out(arp, T0), 4);
	assert_int_equal(decide_in(arp, T0), ACL_NO_RULE);
}

static void test_hidden_is_denied(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_DENY, ACL_BOTH, 9),
		rule_any(ACL_ALLOW, ACL_BOTH, 10),
		rule_any(ACL_METER, ACL_BOTH, 11),
	};
	struct headers h = ip_headers(false, PROTOCOL_TCP, 1, 2);

	(void)state;
	h.hidden = true;
	rules[0].protocol = rules[1].protocol = PROTOCOL_TCP;
	rules[0].remote = rules[1].remote = rules[2].remote = side_ports("10.0.0.2", 22, 22);
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(h, T0), 0);
	assert_int_equal(acl_rule(acl, 2)->n_frames, 0);
	/* Of other protocols and addresses nothing is hidden that the rule is about. */
	h.protocol = PROTOCOL_UDP;
	assert_int_equal(decide_out(h, T0), ACL_NO_RULE);
	h.protocol = PROTOCOL_TCP;
	h.ip_dst[3] = 3;
	assert_int_equal(decide_out(h, T0), ACL_NO_RULE);
	/* An allow rule without ports does not need what is hidden. */
	rules[1].remote = side_of("10.0.0.2");
	set_rules(rules, ARRAY_LEN(rules));
	h.ip_dst[3] = 2;
	assert_int_equal(decide_out(h, T0), 1);
}

static void test_hidden_protocols_are_denied(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_DENY, ACL_BOTH, 9),
		rule_any(ACL_DENY, ACL_BOTH, 8),
	};
	struct headers h = ip_headers(true, IPV6_DESTINATION_OPTIONS, 1, 2);
	struct headers other = {.l3 = HEADERS_L3_OTHER};

	(void)state;
	rules[0].protocol = PROTOCOL_TCP;
	rules[0].remote = side_ports("fd00::2", 22, 22);
	rules[1].protocol = PROTOCOL_ICMPV6;
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(h, T0), ACL_NO_RULE);
	h.hidden = true;
	assert_int_equal(decide_out(h, T0), 0);
	h.ip_dst[15] = 3;
	assert_int_equal(decide_out(h, T0), 1);
	h.protocol = PROTOCOL_ESP;
	assert_int_equal(decide_out(h, T0), ACL_NO_RULE);
	/* More tags than were followed. */
	assert_int_equal(decide_out(other, T0), ACL_NO_RULE);
	other.hidden = true;
	assert_int_equal(decide_out(other, T0), 0);
}

static void test_malformed_is_denied(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_ALLOW, ACL_BOTH, 9),
		rule_any(ACL_DENY, ACL_BOTH, 8),
	};
	struct headers h = {.l3 = HEADERS_L3_IPV4, .malformed = true};

	(void)state;
	rules[0].remote = side_of("0.0.0.0/0");
	rules[1].remote = side_of("10.0.0.2");
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_out(h, T0), 1);
	h.l3 = HEADERS_L3_IPV6;
	assert_int_equal(decide_out(h, T0), ACL_NO_RULE);
}

static void test_conversations(void **state)
{
	struct acl_rule rules[] = {
		rule_any(ACL_ALLOW, ACL_OUTBOUND, 9),
		rule_any(ACL_DENY, ACL_INBOUND, 1),
	};
	struct headers syn = tcp_headers(1, 1000, 2, 80, TCP_SYN);
	struct headers ping = echo_headers(true, 1, 2, true, 7);

	(void)state;
	rules[0].stateful = true;
	rules[0].idle_s = 5;
	set_rules(rules, ARRAY_LEN(rules));
	assert_int_equal(decide_in(answer_to(&syn), T0), 1);
	assert_int_equal(decide_out(syn, T0), 0);
	assert_int_equal(acl_n_conversations(acl), 1);
	assert_int_equal(decide_in(answer_to(&syn), T0 + 4 * NS_PER_SEC), ACL_CONVERSATION);
	assert_int_equal(decide_in(tcp_headers(2, 80, 1, 1001, TCP_ACK), T0), 1);
	assert_int_equal(decide_in(tcp_headers(3, 80, 1, 1000, TCP_ACK), T0), 1);
	assert_int_equal(decide_in(port_headers(PROTOCOL_UDP, 2, 80, 1, 1000), T0), 1);
	assert_int_equal(decide_in(answer_to(&syn), T0 + 9 * NS_PER_SEC - 1), ACL_CONVERSATION);
	assert_int_equal(decide_in(answer_to(&syn), T0 + 20 * NS_PER_SEC), 1);
	/* Who asks may ask on; who answers may not. */
	assert_int_equal(decide_out(ping, T0), 0);
	assert_int_equal(decide_in(answer_to(&ping), T0), ACL_CONVERSATION);
	assert_int_equal(decide_in(echo_headers(true, 2, 1, true, 7), T0), 1);
	assert_int_equal(decide_out(ping, T0), ACL_CONVERSATION);
	/* What is no conversation is just allowed. */
	assert_int_equal(decide_out(ip_headers(false, 47, 1, 2), T0), 0);
	assert_int_equal(decide_in(ip_headers(false, 47, 2, 1), T0), 1);
}

/* Directions without rules still belong to conversations. */
static void test_conversations_go_on_without_rules(void **state)
{
	struct acl_rule rule = rule_any(ACL_ALLOW, ACL_OUTBOUND, 1);
	struct headers syn = tcp_headers(1, 1000, 2, 80, TCP_SYN);
	struct headers reset = tcp_headers(2, 80, 1, 1000, TCP_RST);

	(void)state;
	rule.stateful = true;
	set_rules(&rule, 1);
	assert_int_equal(decide_out(syn, T0), 0);
	assert_int_equal(decide_in(reset, T0), ACL_CONVERSATION);
	/* It is closing: a SYN is for the list again. */
	assert_int_equal(decide_out(syn, T0 + 1), 0);
}

static void test_invalid_rules(void **state)
{
	static const struct {
		const char *error;
		struct acl_rule rule;
	} bad[] = {
		{"action", {.action = ACL_METER + 1, .directions = 1}},
		{"direction", {.directions = 0}},
		{"direction", {.directions = 4}},
		{"direction", {.directions = 7}},
		{"kind", {.directions = 1, .local.kind = ACL_IPV6 + 1}},
		{"longer", {.directions = 1, .local.prefix_bits = 1}},
		{"longer", {.directions = 1, .local = {.kind = ACL_MAC, .prefix_bits = 49}}},
		{"longer", {.directions = 1, .remote = {.kind = ACL_IPV4, .prefix_bits = 33}}},
		{"longer", {.directions = 1, .local = {.kind = ACL_IPV6, .prefix_bits = 129}}},
		{"behind", {.directions = 1, .local = {.address = {0, 1}}}},
		{"behind", {.directions = 1,
				   .remote = {.kind = ACL_IPV4,
					   .address = {10, 1},
					   .prefix_bits = 15}}},
		{"behind", {.directions = 1,
				   .remote = {.kind = ACL_IPV4,
					   .address = {[15] = 1},
					   .prefix_bits = 32}}},
		{"before",
			{.directions = 1, .protocol = 6, .local = {.port_min = 2, .port_max = 1}}},
		{"before", {.directions = 1, .protocol = 6, .remote = {.port_min = 2}}},
		{"MAC", {.directions = 1, .local.kind = ACL_MAC, .remote.kind = ACL_IPV6}},
		{"IPv4", {.directions = 1, .local.kind = ACL_IPV4, .remote.kind = ACL_IPV6}},
		{"255", {.directions = 1, .protocol = 256}},
		{"ports", {.directions = 1, .protocol = 1, .remote.port_max = 80}},
		{"stateful", {.action = ACL_DENY, .directions = 1, .stateful = true}},
		{"stateful", {.action = ACL_METER, .directions = 1, .stateful = true}},
		{"idle", {.directions = 1, .idle_s = 1}},
		{"idle", {.directions = 1, .stateful = true, .idle_s = CONN_MAX_IDLE_S + 1}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *error = acl_rule_error(&bad[i].rule);

		assert_non_null(error);
		assert_non_null(strstr(error, bad[i].error));
		assert_int_equal(acl_new(&bad[i].rule, 1, SEED, &acl), -EINVAL);
		assert_null(acl);
	}
}

static void test_number_of_rules(void **state)
{
	struct acl_rule rules[ACL_MAX_RULES + 1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++)
		rules[i] = rule_any(i % 2 ? ACL_METER : ACL_DENY, ACL_BOTH, i);
	set_rules(rules, ACL_MAX_RULES);
	/* The heaviest is a meter, the next a deny rule. */
	assert_int_equal(decide_out(ip_headers(false, 6, 1, 2), T0), ACL_MAX_RULES - 2);
	assert_int_equal(acl_rule(acl, ACL_MAX_RULES - 1)->n_frames, 1);
	acl_free(acl);
	acl = NULL;
	assert_int_equal(acl_new(rules, ACL_MAX_RULES + 1, SEED, &acl), -EINVAL);
	assert_null(acl);
}

/* A rule by which much can begin. */
static struct acl_rule random_beginner(uint64_t *random)
{
	struct acl_rule rule = rule_any(ACL_ALLOW, (uint8_t)(1 + random_below(random, 3)), 3);

	rule.stateful = true;
	rule.idle_s = random_below(random, 20);
	return rule;
}

/* Frames of one list; some answer the one before. */
static void compare_frames(
	uint64_t *random, struct ref_acl *reference, unsigned n_frames, unsigned n_of[3])
{
	struct headers last = {0};
	bool last_outbound = false;
	uint64_t now_ns = T0;

	for (unsigned i = 0; i < n_frames; i++) {
		struct headers h;
		bool outbound = random_below(random, 2);
		size_t frame_bytes = random_below(random, 2000);
		int rule, wanted_rule;
		enum drop drop, wanted;

		random_headers(random, &h);
		if (random_below(random, 2) && i > 0) {
			uint8_t flags = h.tcp_flags;

			h = random_below(random, 3) ? answer_to(&last) : last;
			outbound = memcmp(&h, &last, sizeof(h)) ? !last_outbound : last_outbound;
			h.tcp_flags = h.protocol == PROTOCOL_TCP && !h.hidden ? flags : 0;
		}
		now_ns += (random_next(random) >> 8) % (3 * NS_PER_SEC);
		drop = acl_explain(acl, &h, outbound, now_ns, &rule);
		wanted = ref_check(reference, &h, frame_bytes, outbound, now_ns, &wanted_rule);
		assert_int_equal(rule, wanted_rule);
		assert_int_equal(drop, wanted);
		assert_int_equal(acl_check(acl, &h, frame_bytes, outbound, now_ns), wanted);
		n_of[rule == ACL_CONVERSATION ? 2 : drop != DROP_NONE]++;
		last = h;
		last_outbound = outbound;
	}
}

static void test_agrees_with_reference(void **state)
{
	static struct ref_acl reference;
	uint64_t random = 0xac1;
	unsigned n_of[3] = {0};

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		bool stateful = round % 8 == 0;

		reference.n_rules = (int)random_below(&random, 10);
		reference.n_conversations = 0;
		for (int i = 0; i < reference.n_rules; i++)
			random_rule(&random, &reference.rules[i], stateful);
		if (stateful && reference.n_rules > 0)
			reference.rules[0] = random_beginner(&random);
		set_rules(reference.rules, (unsigned)reference.n_rules);
		compare_frames(&random, &reference, stateful ? 120 : 10, n_of);
		for (int i = 0; i < reference.n_rules; i++) {
			const struct acl_rule *rule = acl_rule(acl, (unsigned)i);

			assert_int_equal(rule->n_frames, reference.rules[i].n_frames);
			assert_int_equal(rule->n_bytes, reference.rules[i].n_bytes);
		}
	}
	/* The frames were not all of one kind. */
	assert_true(n_of[0] > 20000 && n_of[1] > 20000 && n_of[2] > 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_nothing_said_is_allowed, teardown),
		cmocka_unit_test_teardown(test_directions_are_the_owners, teardown),
		cmocka_unit_test_teardown(test_order, teardown),
		cmocka_unit_test_teardown(test_meters_count_and_go_on, teardown),
		cmocka_unit_test_teardown(test_meters_count_conversations, teardown),
		cmocka_unit_test_teardown(test_explaining_changes_nothing, teardown),
		cmocka_unit_test_teardown(test_arp_is_not_ip, teardown),
		cmocka_unit_test_teardown(test_hidden_is_denied, teardown),
		cmocka_unit_test_teardown(test_hidden_protocols_are_denied, teardown),
		cmocka_unit_test_teardown(test_malformed_is_denied, teardown),
		cmocka_unit_test_teardown(test_conversations, teardown),
		cmocka_unit_test_teardown(test_conversations_go_on_without_rules, teardown),
		cmocka_unit_test_teardown(test_invalid_rules, teardown),
		cmocka_unit_test_teardown(test_number_of_rules, teardown),
		cmocka_unit_test_teardown(test_agrees_with_reference, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
