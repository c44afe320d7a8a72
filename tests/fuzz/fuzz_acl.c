/* SPDX-License-Identifier: MIT
 *
 * fuzz_acl.c - access lists of any rules, frames of any headers, and a saved state from a host that
 * lies. What the list says is compared with a reference written down a second time
 * (tests/unit/fabric/acl_reference.h), and with a list that was moved in between.
 *
 * Input: number of rules u8; the rules, 24 bytes each; size u16 and bytes of a saved state (0:
 * none); then frames of 12 bytes until the end. Addresses have one byte of choice, so that they
 * meet.
 */
#include "fabric/acl.h"
#include "tests/unit/fabric/acl_reference.h"

#include <stdio.h>

#define MAX_RULES  16
#define MAX_FRAMES 128
#define MOVE_AFTER 6
#define START_NS   (1000 * NS_PER_SEC)
#define MOVED_NS   (5 * NS_PER_SEC)
#define SEED       1

/* Where the list is, and where the reference is. */
struct clocks {
	uint64_t acl_ns, reference_ns;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* Kind, prefix, the byte of the address at its end, a byte of noise (mostly 0 in what is valid),
 * ports: 8 bytes. */
static struct acl_side read_side(struct reader *in)
{
	static const uint8_t last[] = {[ACL_MAC] = 5, [ACL_IPV4] = 3, [ACL_IPV6] = 15};
	struct acl_side side = {.kind = reader_u8(in) % 5};

	side.prefix_bits = reader_u8(in);
	if (side.kind == ACL_MAC || side.kind == ACL_IPV4 || side.kind == ACL_IPV6)
		side.address[last[side.kind]] = reader_u8(in);
	else
		side.address[0] = reader_u8(in);
	side.address[1] = reader_u8(in);
	side.port_min = reader_le16(in);
	side.port_max = reader_le16(in);
	return side;
}

/* 24 bytes: action, directions, weight, stateful, protocol u16, idle_s u16, both sides. */
static struct acl_rule read_rule(struct reader *in)
{
	struct acl_rule rule = {.action = reader_u8(in) % 4};

	rule.directions = reader_u8(in);
	rule.weight = reader_u8(in);
	rule.stateful = reader_u8(in) & 1;
	rule.protocol = reader_le16(in);
	rule.idle_s = reader_le16(in);
	rule.local = read_side(in);
	rule.remote = read_side(in);
	return rule;
}

/* As headers_parse() would have it: what is malformed or hidden has nothing set behind. */
static void read_upper(struct reader *in, struct headers *h)
{
	uint16_t src_port = reader_le16(in), dst_port = reader_le16(in);
	uint8_t flags = reader_u8(in);
	bool ipv6 = h->l3 == HEADERS_L3_IPV6;

	if (h->hidden)
		return;
	if (h->protocol == 6 || h->protocol == 17) {
		h->has_ports = true;
		h->src_port = src_port;
		h->dst_port = dst_port;
		h->tcp_flags = h->protocol == 6 ? flags : 0;
	} else if (h->protocol == (ipv6 ? 58 : 1)) {
		h->has_icmp = true;
		h->icmp_type = flags;
		h->icmp_id = src_port;
	}
}

/* 12 bytes: flags (1: outbound, 2: malformed, 4: hidden, 8, 16: l3), protocol, source,
 * destination, ports, TCP's flags or ICMP's type, seconds gone by, size u16. */
static struct headers read_headers(struct reader *in, uint8_t flags)
{
	struct headers h = {.l3 = flags >> 3 & 3};
	uint8_t protocol = reader_u8(in), src = reader_u8(in), dst = reader_u8(in);
	unsigned last = h.l3 == HEADERS_L3_IPV4 ? 3 : HEADERS_IP_BYTES - 1;

	h.src[5] = src;
	h.dst[5] = dst;
	h.malformed = flags & 2;
	h.hidden = !h.malformed && flags & 4 && h.l3 != HEADERS_L3_ARP;
	if (!h.malformed && (h.l3 == HEADERS_L3_IPV4 || h.l3 == HEADERS_L3_IPV6)) {
		h.ip_src[last] = src;
		h.ip_dst[last] = dst;
		h.protocol = protocol;
		h.first = true;
		read_upper(in, &h);
	} else {
		(void)reader_take(in, 5);
	}
	return h;
}

static void check_text(const struct acl_side *side)
{
	char text[ACL_SIDE_MAX_LEN + 1];
	struct acl_side again = {.port_min = side->port_min, .port_max = side->port_max};

	acl_side_format(side, text);
	check(acl_side_parse(text, &again) == 0, "text of a side was refused");
	check(memcmp(side, &again, sizeof(again)) == 0, "text of a side is of another one");
}

static void save(const struct acl *acl, uint64_t now_ns, struct buf *ret_saved)
{
	*ret_saved = (struct buf){0};
	acl_save(acl, now_ns, ret_saved);
	check(!ret_saved->failed, "no memory");
	check(ret_saved->size_bytes <= ACL_SAVE_MAX_BYTES, "saved more than there may be");
}

/* A second list with the state of the first. */
static struct acl *move(
	const struct acl *acl, const struct ref_acl *rules, uint64_t from_ns, uint64_t to_ns)
{
	struct buf once, twice;
	struct reader in;
	struct acl *moved;

	save(acl, from_ns, &once);
	check(acl_new(rules->rules, (unsigned)rules->n_rules, SEED + 1, &moved) == 0, "no memory");
	in = reader_make(once.data, once.size_bytes);
	check(acl_restore(moved, &in, to_ns) == 0 && reader_done(&in), "what was saved is refused");
	save(moved, to_ns, &twice);
	check(once.size_bytes == twice.size_bytes &&
			memcmp(once.data, twice.data, once.size_bytes) == 0,
		"a moved list is another one");
	buf_fini(&once);
	buf_fini(&twice);
	return moved;
}

/* One frame; `is_fresh`: the reference knows all that the list knows. */
static void one_frame(struct acl *acl, struct ref_acl *reference, bool is_fresh,
	const struct clocks *clocks, uint8_t flags, const struct headers *h, size_t frame_bytes)
{
	bool outbound = flags & 1;
	int rule, wanted_rule;
	enum drop drop = acl_explain(acl, h, outbound, clocks->acl_ns, &rule);

	check(rule >= ACL_CONVERSATION && rule < reference->n_rules, "no such rule");
	check(acl_check(acl, h, frame_bytes, outbound, clocks->acl_ns) == drop,
		"explained otherwise than done");
	if (!is_fresh)
		return;
	check(ref_check(reference, h, frame_bytes, outbound, clocks->reference_ns, &wanted_rule) ==
			drop,
		"another verdict than the reference's");
	check(rule == wanted_rule, "another rule than the reference's");
}

static void check_counters(const struct acl *acl, const struct ref_acl *reference)
{
	for (int i = 0; i < reference->n_rules; i++) {
		const struct acl_rule *rule = acl_rule(acl, (unsigned)i);

		check(rule->n_frames == reference->rules[i].n_frames &&
				rule->n_bytes == reference->rules[i].n_bytes,
			"counted otherwise than the reference");
	}
}

/* Frames until the end of the input; after some of them the list moves to where the clock is
 * another. */
static void run(struct acl **acl, struct ref_acl *reference, bool is_fresh, struct reader *in)
{
	struct clocks clocks = {.acl_ns = START_NS, .reference_ns = START_NS};

	for (unsigned i = 0; i < MAX_FRAMES && reader_ok(in) && in->left_bytes; i++) {
		uint8_t flags = reader_u8(in);
		struct headers h = read_headers(in, flags);
		uint64_t gone_ns = reader_u8(in) * NS_PER_SEC;
		size_t frame_bytes = reader_le16(in);

		clocks.acl_ns += gone_ns;
		clocks.reference_ns += gone_ns;
		one_frame(*acl, reference, is_fresh, &clocks, flags, &h, frame_bytes);
		if (i == MOVE_AFTER) {
			struct acl *moved = move(*acl, reference, clocks.acl_ns, MOVED_NS);

			acl_free(*acl);
			*acl = moved;
			clocks.acl_ns = MOVED_NS;
		}
	}
	if (is_fresh)
		check_counters(*acl, reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct ref_acl reference;
	struct reader in = reader_make(data, size_bytes);
	unsigned n = reader_u8(&in) % (MAX_RULES + 1);
	size_t state_bytes;
	struct acl *acl;
	struct reader state;

	reference.n_rules = reference.n_conversations = 0;
	while (n--) {
		struct acl_rule rule = read_rule(&in);

		if (acl_rule_error(&rule)) {
			check(acl_new(&rule, 1, SEED, &acl) == -EINVAL, "took an invalid rule");
			continue;
		}
		check_text(&rule.local);
		check_text(&rule.remote);
		reference.rules[reference.n_rules++] = rule;
	}
	check(acl_new(reference.rules, (unsigned)reference.n_rules, SEED, &acl) == 0, "refused");
	state_bytes = MIN((size_t)reader_le16(&in), in.left_bytes);
	state = reader_make(reader_take(&in, state_bytes), state_bytes);
	if (state_bytes && acl_restore(acl, &state, START_NS) < 0)
		check(acl_n_conversations(acl) == 0, "conversations of a refused state");
	run(&acl, &reference, state_bytes == 0, &in);
	acl_free(acl);
	return 0;
}
