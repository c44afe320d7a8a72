/* SPDX-License-Identifier: MIT
 *
 * conn_table.h - the table behind conn.h, for the two files that know how it is made: conn.c, which
 * decides, and conn_state.c, which saves.
 *
 * Conversations are in a hash table by their key and, for each state, in a list by the time of
 * their last frame. Memory of entries is touched only once it is needed: most ports have few.
 */
#ifndef VIADUCT_FABRIC_CONN_TABLE_H
#define VIADUCT_FABRIC_CONN_TABLE_H

#include "base/list.h"
#include "fabric/conn.h"

/* A key in words: both addresses, the ports, the rest. */
#define CONN_KEY_WORDS 10

/* In the order in which a full table gives them up. */
enum conn_state {
	CONN_CLOSING,
	CONN_UNANSWERED,
	CONN_ANSWERED,
	CONN_N_STATES,
};

enum conn_side {
	CONN_LOCAL = 1 << 0,
	CONN_REMOTE = 1 << 1,
};

struct conn_entry {
	struct conn_entry *next_in_bucket; /* or of the free ones */
	struct list in_state;
	struct conn_key key;
	uint32_t words[CONN_KEY_WORDS]; /* of the key */
	uint32_t idle_s;
	uint64_t seen_ns;    /* modulo 2^64: restored ones may be older than the clock */
	uint8_t state;       /* enum conn_state */
	uint8_t begun_by;    /* enum conn_side */
	uint8_t finished_by; /* enum conn_side bits: who said FIN */
};

struct conn_table {
	struct list states[CONN_N_STATES]; /* idle longest first */
	struct conn_entry **buckets;
	unsigned hash_bits;
	uint64_t multipliers[CONN_KEY_WORDS + 1];
	uint64_t aged_ns;
	struct conn_entry *unused;
	unsigned n_entries, n_touched, max_entries;
	struct conn_entry entries[];
};

struct conn_entry *conn_find(const struct conn_table *table, const struct conn_key *key);
/* Add what the table does not have and has room for, as the one of its state that was idle for the
 * shortest time. The key and `state` are set, the rest is for the caller to fill in. */
struct conn_entry *conn_add(
	struct conn_table *table, const struct conn_key *key, enum conn_state state);
uint64_t conn_idle_ns(const struct conn_entry *entry, uint64_t now_ns);
bool conn_has_ended(const struct conn_entry *entry, uint64_t now_ns);

#endif
