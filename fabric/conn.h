/* SPDX-License-Identifier: MIT
 *
 * conn.h - conversations that a stateful rule of a port's access list let begin: what belongs to
 * one of them passes in both directions, whatever the list says.
 *
 * A conversation is known by its protocol, the two addresses and the two ports (for ICMP echo: the
 * identifier, and which side asks). It ends when it was idle for its time-out; TCP's also
 * CONN_CLOSING_NS after both sides said FIN or one said RST, however much is sent meanwhile. Those
 * last seconds are for what is still on its way: a SYN in them begins another conversation, and the
 * list decides about it.
 *
 * It may begin with any segment of TCP but RST, so that connections go on when their list is
 * replaced; of ICMP only with a request. ICMP errors that are about a conversation are not part of
 * it.
 *
 * The table of a port is bounded. When it is full, TCP conversations that are closing go first,
 * then those that the other side has not answered yet (half-open ones of TCP among them), then the
 * rest; among equals the one that was idle longest. So strangers who begin many cannot drive out
 * what is in use. Keys are chosen by strangers, too, so the hash has a random seed.
 *
 * "Local" is the port's owner (the VM), "remote" everybody else. Time is a parameter. Threads: one
 * owner.
 */
#ifndef VIADUCT_FABRIC_CONN_H
#define VIADUCT_FABRIC_CONN_H

#include "base/bytes.h"
#include "base/clock.h"
#include "fabric/headers.h"

#define CONN_MAX_ENTRIES    4096
#define CONN_DEFAULT_IDLE_S 300
#define CONN_MAX_IDLE_S     604800 /* a week */
#define CONN_CLOSING_NS     (10 * NS_PER_SEC)
#define CONN_SAVE_MAX_BYTES 65536

struct conn_table;

struct conn_key {
	bool ipv6;
	uint8_t protocol;
	uint8_t local_ip[HEADERS_IP_BYTES], remote_ip[HEADERS_IP_BYTES];
	uint16_t local_port, remote_port; /* both the identifier for ICMP echo */
	bool remote_asks;                 /* ICMP echo: the requests are the remote's */
};

/* The conversation of a frame that the port's owner sends (`outbound`) or is sent. False: it cannot
 * be tracked (no ports, not an echo, hidden). */
bool conn_key_of(const struct headers *headers, bool outbound, struct conn_key *ret);

/* -EINVAL: not between 1 and CONN_MAX_ENTRIES; -ENOMEM. */
int conn_table_new(unsigned max_entries, uint64_t seed, struct conn_table **ret_table);
void conn_table_free(struct conn_table *table); /* NULL is fine */

/* A frame that may begin a conversation; refreshes one that is there. `idle_s` is at most
 * CONN_MAX_IDLE_S; 0: CONN_DEFAULT_IDLE_S. `tcp_flags` are 0 for other protocols. */
void conn_open(struct conn_table *table, const struct conn_key *key, bool outbound,
	uint8_t tcp_flags, uint32_t idle_s, uint64_t now_ns);
/* Does the frame belong to one? If so its time starts again, and TCP's end is noted. */
bool conn_pass(struct conn_table *table, const struct conn_key *key, bool outbound,
	uint8_t tcp_flags, uint64_t now_ns);
/* What conn_pass() would answer. */
bool conn_has(const struct conn_table *table, const struct conn_key *key, uint8_t tcp_flags,
	uint64_t now_ns);

/* Conversations in the table, those included that have ended and were not dropped yet. */
unsigned conn_count(const struct conn_table *table);
/* Drop those that have ended. While conversations begin this happens by itself, once a second. */
void conn_age(struct conn_table *table, uint64_t now_ns);
/* Forget all: the list that let them begin was replaced. */
void conn_clear(struct conn_table *table);

/* What goes along when the port moves to another node, and back in from hostile bytes: idle times
 * relative to now, so clocks need not agree. At most CONN_SAVE_MAX_BYTES: when there is more, those
 * stay behind that would have been the first to go. Restore replaces what is there and reads as far
 * as it wrote: 0, or -EBADMSG (the table is then empty). */
void conn_save(const struct conn_table *table, uint64_t now_ns, struct buf *out);
int conn_restore(struct conn_table *table, struct reader *in, uint64_t now_ns);

#endif
