/* SPDX-License-Identifier: MIT
 *
 * acl_list.h - an access list as the files of acl.h know it: acl.c searches, acl_rule.c knows what
 * a rule matches, acl_state.c saves.
 */
#ifndef VIADUCT_FABRIC_ACL_LIST_H
#define VIADUCT_FABRIC_ACL_LIST_H

#include "fabric/acl.h"

/* The rules of one direction, as numbers in the order given, sorted by when they are tried. */
struct acl_order {
	unsigned n_rules;
	bool has_meters;
	uint16_t rules[ACL_MAX_RULES];
};

struct acl {
	struct acl_order orders[2];       /* by `outbound` */
	struct conn_table *conversations; /* NULL: no rule is stateful */
	unsigned n_rules;
	struct acl_rule rules[]; /* in the order given */
};

/* Does the rule match the frame, given that it is of a direction the rule is for? */
bool acl_rule_matches(const struct acl_rule *rule, const struct headers *headers, bool outbound);
/* Larger for the more specific of two rules, below 2^16. */
unsigned acl_rule_specificity(const struct acl_rule *rule);

/* Bits of an address of the side's kind. */
unsigned acl_side_max_bits(const struct acl_side *side);
bool acl_side_has_bits_behind_prefix(const struct acl_side *side);

#endif
