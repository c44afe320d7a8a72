/* SPDX-License-Identifier: MIT
 *
 * fuzz_mcast.c - hosts, routers and states that say anything to multicast snooping. Who asked for a
 * group must be sent it, until he left it or time ended it.
 *
 * Input: steps {operation u8, port u8, vid u8, size u8 (times 4), bytes}, see step().
 */
#include "fabric/mcast.h"
#include "fabric/mcast_parse.h"
#include "tests/unit/fabric/mcast_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define MAX_STEPS  64
#define N_PORTS    16
#define N_VIDS     4
#define MAX_WISHES 200

/* Of a port for a group, exactly, which the switch keeps by address only. */
struct wish {
	unsigned port, vid;
	bool ipv6;
	uint8_t group[HEADERS_IP_BYTES];
	uint64_t until_ns;
};

static struct mcast *mcast;
static uint64_t now_ns;
static struct wish wishes[MAX_WISHES];
static unsigned n_wishes;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_wish(const struct wish *wish)
{
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)];
	uint8_t mac[ETH_ADDR_LEN];

	must(mcast_group_mac(wish->ipv6, wish->group, mac));
	if (now_ns < wish->until_ns && mcast_ports(mcast, wish->vid, mac, now_ns, ports))
		must(bitmap_test(ports, wish->port));
}

static void note_wish(unsigned vid, unsigned port, bool ipv6, const struct mcast_change *change)
{
	struct wish *wish;

	for (wish = wishes; wish < wishes + n_wishes; wish++) {
		if (wish->port == port && wish->vid == vid && wish->ipv6 == ipv6 &&
			memcmp(wish->group, change->group, HEADERS_IP_BYTES) == 0)
			break;
	}
	if (change->join) {
		if (wish == wishes + MAX_WISHES)
			return;
		if (wish == wishes + n_wishes)
			n_wishes++;
		*wish = (struct wish){port, vid, ipv6, .until_ns = now_ns + MCAST_MEMBER_NS};
		memcpy(wish->group, change->group, HEADERS_IP_BYTES);
	} else if (wish < wishes + n_wishes) {
		wish->until_ns = MIN(wish->until_ns, now_ns + MCAST_LAST_NS);
	}
}

/* Wishes for no group that can be pruned are none, so all of a report's are noted. */
static void snoop(unsigned vid, unsigned port, const struct message *m)
{
	struct mcast_message said;
	uint8_t *exact = malloc(m->size_bytes + 1);
	bool report;

	must(exact);
	memcpy(exact, m->frame, m->size_bytes);
	mcast_parse(&m->headers, exact, m->size_bytes, &said);
	report = mcast_snoop(mcast, vid, port, &said, now_ns);
	free(exact);
	must(report == (said.kind == MCAST_REPORT));
	if (!report)
		return;
	must(said.n_changes <= MCAST_MAX_RECORDS);
	for (unsigned i = 0; i < said.n_changes; i++)
		note_wish(vid, port, said.ipv6, &said.changes[i]);
}

static void forget(unsigned port)
{
	mcast_forget_port(mcast, port);
	for (unsigned i = 0; i < n_wishes; i++) {
		if (wishes[i].port == port)
			wishes[i].until_ns = 0;
	}
}

/* Away and back, by another port, which has to be the same there. */
static void move(unsigned from, unsigned to)
{
	struct buf saved = {0}, again = {0};
	struct reader in;

	if (from == to)
		return;
	forget(to);
	mcast_save_port(mcast, from, now_ns, &saved);
	mcast_forget_port(mcast, from);
	in = reader_make(saved.data, saved.size_bytes);
	must(mcast_restore_port(mcast, to, &in, now_ns) == 0 && reader_done(&in));
	mcast_save_port(mcast, to, now_ns, &again);
	must(saved.size_bytes == again.size_bytes &&
		memcmp(saved.data, again.data, saved.size_bytes) == 0);
	for (unsigned i = 0; i < n_wishes; i++) {
		if (wishes[i].port == from)
			wishes[i].port = to;
	}
	buf_fini(&saved);
	buf_fini(&again);
}

static void join_many(unsigned vid, unsigned port, unsigned first, unsigned n)
{
	uint8_t group[HEADERS_IP_BYTES];
	struct message m;

	for (unsigned i = 0; i < n; i++) {
		make_group(group, first & 1, first + i);
		message_join(&m, first & 1, group);
		snoop(vid, port, &m);
	}
}

static void step(uint8_t operation, unsigned port, unsigned vid, const uint8_t *bytes, size_t n)
{
	bool ipv6 = operation & 0x80;
	struct message m;
	struct reader in = reader_make(bytes, n);

	switch (operation & 7) {
	case 0:
		message_make(&m, ipv6, message_protocol(ipv6), bytes, n);
		snoop(vid, port, &m);
		break;
	case 1:
		message_make(&m, ipv6, PROTOCOL_PIM, bytes, n);
		snoop(vid, port, &m);
		break;
	case 2: /* headers that are wrong */
		message_make(&m, ipv6, message_protocol(ipv6), bytes, n);
		m.headers.l4_at = reader_le16(&in);
		m.headers.l4_bytes = reader_le16(&in);
		snoop(vid, port, &m);
		break;
	case 3:
		now_ns += reader_le16(&in) * 100 * NS_PER_MS;
		break;
	case 4:
		forget(port);
		break;
	case 5:
		(void)mcast_restore_port(mcast, port, &in, now_ns);
		break;
	case 6:
		move(port, reader_u8(&in) % N_PORTS);
		break;
	case 7:
		join_many(vid, port, reader_le16(&in), reader_u8(&in));
		break;
	}
}

static bool check_entry(const struct mcast_entry *entry, void *data)
{
	unsigned *counts = data;
	bool ipv6;

	must(entry->port < N_PORTS && mcast_mac_is_group(entry->mac, &ipv6));
	must(entry->age_ns < MCAST_MEMBER_NS);
	must(++counts[entry->port] <= MCAST_PORT_GROUPS);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	unsigned counts[N_PORTS] = {0};

	must(mcast_new(1, &mcast) == 0);
	now_ns = NS_PER_SEC;
	n_wishes = 0;
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 4; i++) {
		uint8_t operation = reader_u8(&in);
		unsigned port = reader_u8(&in) % N_PORTS, vid = reader_u8(&in) % N_VIDS;
		size_t n = MIN((size_t)reader_u8(&in) * 4, in.left_bytes);

		step(operation, port, vid, reader_take(&in, n), n);
		for (unsigned j = 0; j < n_wishes; j++)
			check_wish(&wishes[j]);
	}
	mcast_for_each(mcast, now_ns, check_entry, counts);
	mcast_free(mcast);
	return 0;
}
