/* SPDX-License-Identifier: MIT */
#include "fabric/conn.h"
#include "fabric/conn_table.h"
#include "fabric/inet.h"

#define MIN_HASH_BITS 4

/* Of an ICMP message: does it ask, does it answer? */
static bool is_echo_request(const struct headers *headers)
{
	return headers->icmp_type ==
	       (headers->l3 == HEADERS_L3_IPV6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST);
}

static bool is_echo_reply(const struct headers *headers)
{
	return headers->icmp_type ==
	       (headers->l3 == HEADERS_L3_IPV6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY);
}

static bool has_tracked_ports(const struct headers *headers)
{
	return headers->has_ports &&
	       (headers->protocol == PROTOCOL_TCP || headers->protocol == PROTOCOL_UDP);
}

static bool is_echo(const struct headers *headers)
{
	uint8_t icmp = headers->l3 == HEADERS_L3_IPV6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP;

	return headers->has_icmp && headers->protocol == icmp &&
	       (is_echo_request(headers) || is_echo_reply(headers));
}

bool conn_key_of(const struct headers *headers, bool outbound, struct conn_key *ret)
{
	bool ipv6 = headers->l3 == HEADERS_L3_IPV6;

	if ((!ipv6 && headers->l3 != HEADERS_L3_IPV4) || headers->malformed || headers->hidden)
		return false;
	if (!has_tracked_ports(headers) && !is_echo(headers))
		return false;
	*ret = (struct conn_key){.ipv6 = ipv6, .protocol = headers->protocol};
	memcpy(ret->local_ip, outbound ? headers->ip_src : headers->ip_dst, HEADERS_IP_BYTES);
	memcpy(ret->remote_ip, outbound ? headers->ip_dst : headers->ip_src, HEADERS_IP_BYTES);
	if (has_tracked_ports(headers)) {
		ret->local_port = outbound ? headers->src_port : headers->dst_port;
		ret->remote_port = outbound ? headers->dst_port : headers->src_port;
	} else {
		ret->local_port = ret->remote_port = headers->icmp_id;
		ret->remote_asks = is_echo_request(headers) != outbound;
	}
	return true;
}

static void make_words(const struct conn_key *key, uint32_t ret_words[CONN_KEY_WORDS])
{
	memcpy(ret_words, key->local_ip, HEADERS_IP_BYTES);
	memcpy(ret_words + 4, key->remote_ip, HEADERS_IP_BYTES);
	ret_words[8] = (uint32_t)key->local_port << 16 | key->remote_port;
	ret_words[9] = (uint32_t)key->ipv6 << 16 | (uint32_t)key->remote_asks << 8 | key->protocol;
}

/* Multiply-shift of a vector (Dietzfelbinger 1996; Thorup, "High Speed Hashing for Integers and
 * Strings", 2015): whoever does not know the multipliers cannot choose keys that share a bucket
 * more often than chance has it. */
static struct conn_entry **bucket_of(
	const struct conn_table *table, const uint32_t words[CONN_KEY_WORDS])
{
	uint64_t h = table->multipliers[CONN_KEY_WORDS];

	for (unsigned i = 0; i < CONN_KEY_WORDS; i++)
		h += table->multipliers[i] * words[i];
	return &table->buckets[h >> (64 - table->hash_bits)];
}

/* SplitMix64: independent multipliers out of one seed. */
static uint64_t next_multiplier(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

int conn_table_new(unsigned max_entries, uint64_t seed, struct conn_table **ret_table)
{
	struct conn_table *table;

	if (max_entries == 0 || max_entries > CONN_MAX_ENTRIES)
		return -EINVAL;
	table = calloc(1, sizeof(*table) + max_entries * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	table->max_entries = max_entries;
	table->hash_bits = MIN_HASH_BITS;
	while (1U << table->hash_bits < max_entries)
		table->hash_bits++;
	table->buckets = calloc((size_t)1 << table->hash_bits, sizeof(table->buckets[0]));
	if (!table->buckets) {
		free(table);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < ARRAY_LEN(table->multipliers); i++)
		table->multipliers[i] = next_multiplier(&seed);
	for (unsigned i = 0; i < CONN_N_STATES; i++)
		list_init(&table->states[i]);
	*ret_table = table;
	return 0;
}

void conn_table_free(struct conn_table *table)
{
	if (!table)
		return;
	free(table->buckets);
	free(table);
}

struct conn_entry *conn_find(const struct conn_table *table, const struct conn_key *key)
{
	uint32_t words[CONN_KEY_WORDS];
	struct conn_entry *entry;

	make_words(key, words);
	for (entry = *bucket_of(table, words); entry; entry = entry->next_in_bucket) {
		if (memcmp(entry->words, words, sizeof(words)) == 0)
			return entry;
	}
	return NULL;
}

struct conn_entry *conn_add(
	struct conn_table *table, const struct conn_key *key, enum conn_state state)
{
	struct conn_entry *entry = table->unused;
	struct conn_entry **bucket;

	if (entry)
		table->unused = entry->next_in_bucket;
	else
		entry = &table->entries[table->n_touched++];
	*entry = (struct conn_entry){.key = *key, .state = (uint8_t)state};
	make_words(key, entry->words);
	bucket = bucket_of(table, entry->words);
	entry->next_in_bucket = *bucket;
	*bucket = entry;
	list_append(&table->states[state], &entry->in_state);
	table->n_entries++;
	return entry;
}

static void forget(struct conn_table *table, struct conn_entry *entry)
{
	struct conn_entry **link = bucket_of(table, entry->words);

	while (*link != entry)
		link = &(*link)->next_in_bucket;
	*link = entry->next_in_bucket;
	list_remove(&entry->in_state);
	entry->next_in_bucket = table->unused;
	table->unused = entry;
	table->n_entries--;
}

uint64_t conn_idle_ns(const struct conn_entry *entry, uint64_t now_ns)
{
	int64_t idle_ns = (int64_t)(now_ns - entry->seen_ns);

	return idle_ns > 0 ? (uint64_t)idle_ns : 0;
}

bool conn_has_ended(const struct conn_entry *entry, uint64_t now_ns)
{
	uint64_t limit_ns = entry->idle_s * NS_PER_SEC;

	if (entry->state == CONN_CLOSING)
		limit_ns = MIN(limit_ns, CONN_CLOSING_NS);
	return conn_idle_ns(entry, now_ns) >= limit_ns;
}

/* Is there nothing left of it for this frame, because it ended or because another one begins? */
static bool is_over(const struct conn_entry *entry, uint8_t tcp_flags, uint64_t now_ns)
{
	bool begins = (tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;

	return conn_has_ended(entry, now_ns) || (entry->state == CONN_CLOSING && begins);
}

static enum conn_state next_state(
	const struct conn_entry *entry, enum conn_side side, uint8_t tcp_flags)
{
	if (tcp_flags & TCP_RST || entry->finished_by == (CONN_LOCAL | CONN_REMOTE))
		return CONN_CLOSING;
	return side != entry->begun_by ? CONN_ANSWERED : (enum conn_state)entry->state;
}

/* One more frame of a conversation. */
static void note(struct conn_table *table, struct conn_entry *entry, bool outbound,
	uint8_t tcp_flags, uint64_t now_ns)
{
	enum conn_side side = outbound ? CONN_LOCAL : CONN_REMOTE;

	/* Its last seconds are counted from when it began to close. */
	if (entry->state == CONN_CLOSING)
		return;
	if (entry->key.protocol != PROTOCOL_TCP)
		tcp_flags = 0;
	if (tcp_flags & TCP_FIN)
		entry->finished_by |= side;
	entry->state = (uint8_t)next_state(entry, side, tcp_flags);
	entry->seen_ns = now_ns;
	list_remove(&entry->in_state);
	list_append(&table->states[entry->state], &entry->in_state);
}

static void make_room(struct conn_table *table, uint64_t now_ns)
{
	if (now_ns >= table->aged_ns + NS_PER_SEC)
		conn_age(table, now_ns);
	if (table->n_entries < table->max_entries)
		return;
	for (unsigned i = 0; i < CONN_N_STATES; i++) {
		struct list *state = &table->states[i];

		if (list_empty(state))
			continue;
		forget(table, list_entry(state->next, struct conn_entry, in_state));
		return;
	}
}

/* TCP's RST answers what is no conversation; an echo begins by being asked for. */
static bool may_begin(const struct conn_key *key, bool outbound, uint8_t tcp_flags)
{
	switch (key->protocol) {
	case PROTOCOL_TCP:
		return !(tcp_flags & TCP_RST);
	case PROTOCOL_UDP:
		return true;
	default:
		return key->remote_asks != outbound;
	}
}

void conn_open(struct conn_table *table, const struct conn_key *key, bool outbound,
	uint8_t tcp_flags, uint32_t idle_s, uint64_t now_ns)
{
	struct conn_entry *entry = conn_find(table, key);

	if (entry && is_over(entry, tcp_flags, now_ns)) {
		forget(table, entry);
		entry = NULL;
	}
	if (!entry) {
		if (!may_begin(key, outbound, tcp_flags))
			return;
		make_room(table, now_ns);
		entry = conn_add(table, key, CONN_UNANSWERED);
		entry->begun_by = outbound ? CONN_LOCAL : CONN_REMOTE;
	}
	entry->idle_s = idle_s ? MIN(idle_s, (uint32_t)CONN_MAX_IDLE_S) : CONN_DEFAULT_IDLE_S;
	note(table, entry, outbound, tcp_flags, now_ns);
}

bool conn_pass(struct conn_table *table, const struct conn_key *key, bool outbound,
	uint8_t tcp_flags, uint64_t now_ns)
{
	struct conn_entry *entry = conn_find(table, key);

	if (!entry || is_over(entry, tcp_flags, now_ns))
		return false;
	note(table, entry, outbound, tcp_flags, now_ns);
	return true;
}

bool conn_has(const struct conn_table *table, const struct conn_key *key, uint8_t tcp_flags,
	uint64_t now_ns)
{
	const struct conn_entry *entry = conn_find(table, key);

	return entry && !is_over(entry, tcp_flags, now_ns);
}

unsigned conn_count(const struct conn_table *table)
{
	return table->n_entries;
}

void conn_age(struct conn_table *table, uint64_t now_ns)
{
	struct conn_entry *entry, *after;

	table->aged_ns = now_ns;
	/* Time-outs differ, so the young are not all behind the old. */
	for (unsigned i = 0; i < CONN_N_STATES; i++) {
		list_for_each_safe(entry, after, &table->states[i], in_state) {
			if (conn_has_ended(entry, now_ns))
				forget(table, entry);
		}
	}
}

void conn_clear(struct conn_table *table)
{
	for (unsigned i = 0; i < CONN_N_STATES; i++) {
		struct list *state = &table->states[i];

		while (!list_empty(state))
			forget(table, list_entry(state->next, struct conn_entry, in_state));
	}
}
