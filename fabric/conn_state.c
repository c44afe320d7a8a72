/* SPDX-License-Identifier: MIT
 *
 * conn_state.c - conversations that move with their port. A u16 with their number, and of each, the
 * one that would be given up last coming first:
 *
 *   u8 flags       SAVED_* bits
 *   u8 protocol, state, finished_by
 *   local and remote address, of 4 or 16 bytes
 *   u16 local_port, remote_port
 *   u32 idle_s     the time-out
 *   u32 idle_ms    how long it has been idle
 */
#include "fabric/conn.h"
#include "fabric/conn_table.h"
#include "fabric/inet.h"

#define SAVED_IPV6            0x01
#define SAVED_REMOTE_ASKS     0x02
#define SAVED_BEGUN_BY_REMOTE 0x04
#define SAVED_FLAGS           0x07

#define COUNT_BYTES 2

static size_t address_bytes(const struct conn_key *key)
{
	return key->ipv6 ? HEADERS_IP_BYTES : 4;
}

static size_t saved_bytes(const struct conn_key *key)
{
	return 4 + 2 * address_bytes(key) + 2 * sizeof(uint16_t) + 2 * sizeof(uint32_t);
}

static void save_entry(const struct conn_entry *entry, uint64_t now_ns, struct buf *out)
{
	const struct conn_key *key = &entry->key;
	unsigned flags = (key->ipv6 ? SAVED_IPV6 : 0) | (key->remote_asks ? SAVED_REMOTE_ASKS : 0) |
			 (entry->begun_by == CONN_REMOTE ? SAVED_BEGUN_BY_REMOTE : 0);

	buf_u8(out, (uint8_t)flags);
	buf_u8(out, key->protocol);
	buf_u8(out, entry->state);
	buf_u8(out, entry->finished_by);
	buf_bytes(out, key->local_ip, address_bytes(key));
	buf_bytes(out, key->remote_ip, address_bytes(key));
	buf_le16(out, key->local_port);
	buf_le16(out, key->remote_port);
	buf_le32(out, entry->idle_s);
	buf_le32(out, (uint32_t)(conn_idle_ns(entry, now_ns) / NS_PER_MS));
}

void conn_save(const struct conn_table *table, uint64_t now_ns, struct buf *out)
{
	size_t start = out->size_bytes, left_bytes = CONN_SAVE_MAX_BYTES - COUNT_BYTES;
	const struct conn_entry *entry;
	uint16_t n = 0;

	buf_le16(out, 0);
	for (unsigned i = CONN_N_STATES; i-- > 0;) {
		list_for_each_reverse(entry, &table->states[i], in_state) {
			if (conn_has_ended(entry, now_ns))
				continue;
			if (saved_bytes(&entry->key) > left_bytes)
				goto out_full;
			left_bytes -= saved_bytes(&entry->key);
			save_entry(entry, now_ns, out);
			n++;
		}
	}
out_full:
	if (!out->failed)
		store_le16(out->data + start, n);
}

/* Could the table hold it, having been through what conn.c lets happen? */
static bool is_possible(const struct conn_entry *entry, uint64_t now_ns)
{
	const struct conn_key *key = &entry->key;
	bool tcp = key->protocol == PROTOCOL_TCP;
	bool finished = entry->finished_by == (CONN_LOCAL | CONN_REMOTE);

	if (entry->state >= CONN_N_STATES || entry->finished_by > (CONN_LOCAL | CONN_REMOTE))
		return false;
	if (!tcp && (entry->state == CONN_CLOSING || entry->finished_by))
		return false;
	if (finished && entry->state != CONN_CLOSING)
		return false;
	if (key->protocol == (key->ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
		if (key->local_port != key->remote_port ||
			key->remote_asks != (entry->begun_by == CONN_REMOTE))
			return false;
	} else if ((!tcp && key->protocol != PROTOCOL_UDP) || key->remote_asks) {
		return false;
	}
	return entry->idle_s > 0 && entry->idle_s <= CONN_MAX_IDLE_S &&
	       !conn_has_ended(entry, now_ns);
}

static int restore_entry(struct conn_table *table, struct reader *in, uint64_t now_ns)
{
	struct conn_entry saved = {0};
	struct conn_entry *entry;
	uint8_t flags = reader_u8(in);

	saved.key.ipv6 = flags & SAVED_IPV6;
	saved.key.remote_asks = flags & SAVED_REMOTE_ASKS;
	saved.begun_by = flags & SAVED_BEGUN_BY_REMOTE ? CONN_REMOTE : CONN_LOCAL;
	saved.key.protocol = reader_u8(in);
	saved.state = reader_u8(in);
	saved.finished_by = reader_u8(in);
	reader_bytes(in, saved.key.local_ip, address_bytes(&saved.key));
	reader_bytes(in, saved.key.remote_ip, address_bytes(&saved.key));
	saved.key.local_port = reader_le16(in);
	saved.key.remote_port = reader_le16(in);
	saved.idle_s = reader_le32(in);
	saved.seen_ns = now_ns - reader_le32(in) * NS_PER_MS;
	if (!reader_ok(in) || flags & ~SAVED_FLAGS || !is_possible(&saved, now_ns) ||
		conn_find(table, &saved.key))
		return -EBADMSG;

	entry = conn_add(table, &saved.key, (enum conn_state)saved.state);
	entry->begun_by = saved.begun_by;
	entry->finished_by = saved.finished_by;
	entry->idle_s = saved.idle_s;
	entry->seen_ns = saved.seen_ns;
	/* What comes later has been idle longer. */
	list_remove(&entry->in_state);
	list_append(table->states[saved.state].next, &entry->in_state);
	return 0;
}

int conn_restore(struct conn_table *table, struct reader *in, uint64_t now_ns)
{
	unsigned n = reader_le16(in);
	int r = reader_ok(in) && n <= table->max_entries ? 0 : -EBADMSG;

	conn_clear(table);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = restore_entry(table, in, now_ns);
	if (r < 0)
		conn_clear(table);
	return r;
}
