/* SPDX-License-Identifier: MIT
 *
 * acl_state.c - what goes along when a port moves: a u16 with the number of rules, of each, in the
 * order given, its two counters as u64, and the conversations as conn_state.c writes them.
 */
#include "fabric/acl.h"
#include "fabric/acl_list.h"

#define COUNTERS_BYTES 16

void acl_save(const struct acl *acl, uint64_t now_ns, struct buf *out)
{
	buf_le16(out, (uint16_t)acl->n_rules);
	for (unsigned i = 0; i < acl->n_rules; i++) {
		buf_le64(out, acl->rules[i].n_frames);
		buf_le64(out, acl->rules[i].n_bytes);
	}
	if (acl->conversations)
		conn_save(acl->conversations, now_ns, out);
	else
		buf_le16(out, 0);
}

static int restore_conversations(struct acl *acl, struct reader *in, uint64_t now_ns)
{
	if (acl->conversations)
		return conn_restore(acl->conversations, in, now_ns);
	return reader_le16(in) == 0 && reader_ok(in) ? 0 : -EBADMSG;
}

int acl_restore(struct acl *acl, struct reader *in, uint64_t now_ns)
{
	bool same_rules = reader_le16(in) == acl->n_rules;
	const uint8_t *counters = NULL;
	int r = -EBADMSG;

	if (same_rules)
		counters = reader_take(in, acl->n_rules * (size_t)COUNTERS_BYTES);
	if (same_rules && reader_ok(in))
		r = restore_conversations(acl, in, now_ns);
	else if (acl->conversations)
		conn_clear(acl->conversations);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < acl->n_rules; i++) {
		acl->rules[i].n_frames = load_le64(counters + (size_t)i * COUNTERS_BYTES);
		acl->rules[i].n_bytes = load_le64(counters + (size_t)i * COUNTERS_BYTES + 8);
	}
	return 0;
}
