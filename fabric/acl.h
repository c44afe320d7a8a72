/* SPDX-License-Identifier: MIT
 *
 * acl.h - the access list of a port: which conversations its owner may have, and meters that count
 * them.
 *
 * Rules are tried from the highest weight down, of equal weights the more specific first (more bits
 * of prefixes, both sides' together, then a protocol, then more sides with ports), then in the
 * order they were given. Allow and deny rules end the search; a meter counts and lets it go on.
 * What no rule matches is allowed.
 *
 * Directions are the owner's: outbound is what he sends. "Local" addresses are his side's, "remote"
 * the other's, in both directions. A rule names addresses as MAC or IP prefixes, never both; a rule
 * that names a protocol, ports or IP addresses never matches a frame whose such fields are absent.
 *
 * What cannot be seen is not let through: where fields are not absent but hidden (headers.h), a
 * deny rule takes them for what it names. Those are the ports of a fragment or of a packet that was
 * cut off, if it is or may be TCP or UDP; the protocol behind IPv6 extension headers without end;
 * and everything of a malformed packet or behind more tags than were followed, but the version of
 * IP where it is known. Allow rules and meters never match what they cannot see.
 *
 * A stateful allow rule also lets in what answers: see conn.h. Stateful rules need TCP, UDP or ICMP
 * echo to begin a conversation; other frames they match are just allowed. Frames of a conversation
 * are counted by the meters that come before the rule that would have decided about them, and by no
 * other rule.
 *
 * ARP and neighbour discovery are matched like any other frame: an IP rule never matches ARP.
 *
 * Threads: one owner.
 */
#ifndef VIADUCT_FABRIC_ACL_H
#define VIADUCT_FABRIC_ACL_H

#include "fabric/conn.h"
#include "fabric/drop.h"

#define ACL_MAX_RULES 256

enum acl_action {
	ACL_ALLOW,
	ACL_DENY,
	ACL_METER,
};

enum acl_direction {
	ACL_OUTBOUND = 1,
	ACL_INBOUND = 2,
	ACL_BOTH = 3,
};

/* What a rule says of one side; all zero: anything. */
struct acl_side {
	enum {
		ACL_ANY,
		ACL_MAC,
		ACL_IPV4,
		ACL_IPV6,
	} kind;
	uint8_t address[HEADERS_IP_BYTES]; /* zero behind the prefix */
	uint8_t prefix_bits;               /* 0 to 48, 32, 128 */
	uint16_t port_min, port_max;       /* 0, 0: any */
};

struct acl_rule {
	enum acl_action action;
	uint8_t directions; /* enum acl_direction bits */
	uint32_t weight;
	uint16_t protocol; /* of IP; ACL_ANY_PROTOCOL */
	struct acl_side local, remote;
	bool stateful;   /* with ACL_ALLOW */
	uint32_t idle_s; /* of its conversations; 0: CONN_DEFAULT_IDLE_S */
	/* Counted by acl_check(), from 0 on. */
	uint64_t n_frames, n_bytes;
};

#define ACL_ANY_PROTOCOL 0xffff

/* Instead of the number of a rule. */
#define ACL_NO_RULE      (-1)
#define ACL_CONVERSATION (-2)

struct acl;

/* NULL, or what is wrong with it: static text that completes "this rule ...". */
const char *acl_rule_error(const struct acl_rule *rule);

/* A list of valid rules, in the order given. -EINVAL: an invalid one, or too many; -ENOMEM. */
int acl_new(const struct acl_rule *rules, unsigned n_rules, uint64_t seed, struct acl **ret_acl);
void acl_free(struct acl *acl); /* NULL is fine */

/* One frame in one direction. DROP_NONE or DROP_ACL. */
enum drop acl_check(struct acl *acl, const struct headers *headers, size_t frame_bytes,
	bool outbound, uint64_t now_ns);
/* What acl_check() would say, without counting or opening anything; `ret_rule` the number of the
 * deciding rule in the order given, ACL_NO_RULE, or ACL_CONVERSATION for one that was begun. For
 * traces. */
enum drop acl_explain(const struct acl *acl, const struct headers *headers, bool outbound,
	uint64_t now_ns, int *ret_rule);

unsigned acl_n_rules(const struct acl *acl);
const struct acl_rule *acl_rule(const struct acl *acl, unsigned index); /* in the order given */
unsigned acl_n_conversations(const struct acl *acl);

/* Counters and conversations, for a port that moves; the rules travel elsewhere and must be equal
 * in number. At most ACL_SAVE_MAX_BYTES. Restore reads hostile bytes as far as it wrote: 0, or
 * -EBADMSG (counters are then as before, and there are no conversations). */
#define ACL_SAVE_MAX_BYTES (2 + ACL_MAX_RULES * 16 + CONN_SAVE_MAX_BYTES)
void acl_save(const struct acl *acl, uint64_t now_ns, struct buf *out);
int acl_restore(struct acl *acl, struct reader *in, uint64_t now_ns);

/* "10.0.0.0/8", "10.0.0.1", "fd00::/16", "00-15-5d-01-02-03" or "00:15:5d:00:00:00/24", "*" into a
 * side; ports are left alone. Bits behind the prefix must be zero. -EINVAL. */
int acl_side_parse(const char *text, struct acl_side *ret_side);
/* The same of a valid side, in its shortest form; 0-terminated in `text`, which has room for
 * ACL_SIDE_MAX_LEN + 1. */
#define ACL_SIDE_MAX_LEN 50
void acl_side_format(const struct acl_side *side, char *text);

#endif
