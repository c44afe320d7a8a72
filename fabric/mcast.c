/* SPDX-License-Identifier: MIT */
#include "fabric/mcast.h"
#include "base/list.h"
#include "fabric/vlan.h"

#define N_BUCKETS    1024
#define AGE_EVERY_NS NS_PER_SEC

/* A router is a member of the group "all groups of IPv4" or "of IPv6": no address at all, but for
 * the last byte. */
static const uint8_t router_macs[2][ETH_ADDR_LEN] = {{[5] = 4}, {[5] = 6}};
static const uint8_t router_group[HEADERS_IP_BYTES];

struct member {
	struct list in_bucket;
	struct list in_port; /* the port's, oldest first; free ones in mcast->unused */
	uint64_t key;
	uint64_t seen_ns, expires_ns;
	uint16_t port;
	bool ipv6;
	/* Groups share addresses. Who leaves one of several does not leave the others: his leaves
	 * are not heeded, and time ends the membership. */
	bool several;
	uint8_t group[HEADERS_IP_BYTES]; /* the one that was reported, if it is not several */
};

struct port_members {
	struct list members;
	unsigned n_members;
};

/* Ports for whose memberships there was no room. */
struct excess {
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)]; /* those to look at */
	uint64_t until_ns[FDB_MAX_PORTS];
};

struct querier {
	bool heard;
	uint64_t heard_ns;
	uint64_t answered_ns; /* from then on all have answered */
};

struct mcast {
	struct list buckets[N_BUCKETS];
	struct list unused;
	struct port_members ports[FDB_MAX_PORTS];
	struct excess groups, routers;
	struct querier queriers[2][VLAN_N_VIDS]; /* of IPv4 and IPv6 */
	struct member members[MCAST_MAX_GROUPS];
	uint64_t seed;
	uint64_t next_age_ns;
};

static uint64_t make_key(unsigned vid, const uint8_t mac[ETH_ADDR_LEN])
{
	uint64_t key = vid;

	for (unsigned i = 0; i < ETH_ADDR_LEN; i++)
		key = key << 8 | mac[i];
	return key;
}

static struct list *bucket_of(const struct mcast *mcast, uint64_t key)
{
	uint64_t h = key ^ mcast->seed;

	/* As in fdb.c: strangers choose the keys. */
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 33;
	return (struct list *)&mcast->buckets[h % N_BUCKETS];
}

static struct member *find(const struct mcast *mcast, uint64_t key, unsigned port)
{
	struct list *bucket = bucket_of(mcast, key);
	struct member *member;

	list_for_each(member, bucket, in_bucket) {
		if (member->key == key && member->port == port)
			return member;
	}
	return NULL;
}

static bool is_old(const struct member *member, uint64_t now_ns)
{
	return now_ns >= member->expires_ns;
}

static bool is_router(const struct member *member)
{
	return memcmp(member->group, router_group, HEADERS_IP_BYTES) == 0;
}

int mcast_new(uint64_t seed, struct mcast **ret_mcast)
{
	struct mcast *mcast = calloc(1, sizeof(*mcast));

	if (!mcast)
		return -ENOMEM;
	mcast->seed = seed;
	list_init(&mcast->unused);
	for (unsigned i = 0; i < N_BUCKETS; i++)
		list_init(&mcast->buckets[i]);
	for (unsigned i = 0; i < FDB_MAX_PORTS; i++)
		list_init(&mcast->ports[i].members);
	for (unsigned i = 0; i < MCAST_MAX_GROUPS; i++)
		list_append(&mcast->unused, &mcast->members[i].in_port);
	*ret_mcast = mcast;
	return 0;
}

void mcast_free(struct mcast *mcast)
{
	free(mcast);
}

static void forget(struct mcast *mcast, struct member *member)
{
	list_remove(&member->in_bucket);
	list_remove(&member->in_port);
	list_append(&mcast->unused, &member->in_port);
	mcast->ports[member->port].n_members--;
}

static void exceed(struct excess *excess, unsigned port, uint64_t now_ns)
{
	bitmap_set(excess->ports, port);
	excess->until_ns[port] = now_ns + MCAST_MEMBER_NS;
}

static bool exceeds(const struct excess *excess, unsigned port, uint64_t now_ns)
{
	return now_ns < excess->until_ns[port];
}

static void no_room_for(struct mcast *mcast, unsigned port, bool router, uint64_t now_ns)
{
	exceed(router ? &mcast->routers : &mcast->groups, port, now_ns);
}

/* Memberships that have ended mean nothing to anybody and only take room, so once in a while does.
 */
static void age(struct mcast *mcast, uint64_t now_ns)
{
	struct member *member, *after;

	if (now_ns < mcast->next_age_ns)
		return;
	mcast->next_age_ns = now_ns + AGE_EVERY_NS;
	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		list_for_each_safe(member, after, &mcast->ports[port].members, in_port) {
			if (is_old(member, now_ns))
				forget(mcast, member);
		}
		if (!exceeds(&mcast->groups, port, now_ns))
			bitmap_clear(mcast->groups.ports, port);
		if (!exceeds(&mcast->routers, port, now_ns))
			bitmap_clear(mcast->routers.ports, port);
	}
}

/* In a full table, take one from the port that has most, if `port` still has fewer then. It is
 * flooded instead. */
static bool make_room(struct mcast *mcast, unsigned port, uint64_t now_ns)
{
	unsigned largest = 0;
	struct member *oldest;

	for (unsigned i = 1; i < FDB_MAX_PORTS; i++) {
		if (mcast->ports[i].n_members > mcast->ports[largest].n_members)
			largest = i;
	}
	if (mcast->ports[port].n_members + 1 >= mcast->ports[largest].n_members)
		return false;
	oldest = list_entry(mcast->ports[largest].members.next, struct member, in_port);
	no_room_for(mcast, largest, is_router(oldest), now_ns);
	forget(mcast, oldest);
	return true;
}

/* NULL: there is no room. */
static struct member *add(struct mcast *mcast, uint64_t key, unsigned port, uint64_t now_ns)
{
	struct port_members *own = &mcast->ports[port];
	struct member *member;

	if (own->n_members == MCAST_PORT_GROUPS)
		return NULL;
	/* Looking for room takes time; who is sent everything in any case does without. */
	if (list_empty(&mcast->unused) &&
		(exceeds(&mcast->groups, port, now_ns) || !make_room(mcast, port, now_ns)))
		return NULL;
	member = list_pop(&mcast->unused, struct member, in_port);
	member->key = key;
	member->port = (uint16_t)port;
	list_append(bucket_of(mcast, key), &member->in_bucket);
	list_append(&own->members, &member->in_port);
	own->n_members++;
	return member;
}

static void join(struct mcast *mcast, unsigned vid, unsigned port, bool ipv6,
	const uint8_t group[HEADERS_IP_BYTES], bool several, uint64_t now_ns)
{
	bool router = memcmp(group, router_group, HEADERS_IP_BYTES) == 0;
	uint8_t mac[ETH_ADDR_LEN];
	struct member *member;
	uint64_t key;

	if (router)
		memcpy(mac, router_macs[ipv6], ETH_ADDR_LEN);
	else if (!mcast_group_mac(ipv6, group, mac))
		return;
	key = make_key(vid, mac);
	member = find(mcast, key, port);
	if (member && !is_old(member, now_ns)) {
		several |= member->several || memcmp(member->group, group, HEADERS_IP_BYTES) != 0;
	} else if (!member) {
		member = add(mcast, key, port, now_ns);
		if (!member) {
			no_room_for(mcast, port, router, now_ns);
			return;
		}
	}
	member->ipv6 = ipv6;
	member->several = several;
	memcpy(member->group, group, HEADERS_IP_BYTES);
	member->seen_ns = now_ns;
	member->expires_ns = now_ns + (router ? MCAST_QUERIER_NS : MCAST_MEMBER_NS);
	list_remove(&member->in_port);
	list_append(&mcast->ports[port].members, &member->in_port);
}

/* Others may be behind the port: the querier will ask, and who still wants the group says so. */
static void leave(struct mcast *mcast, unsigned vid, unsigned port, bool ipv6,
	const uint8_t group[HEADERS_IP_BYTES], uint64_t now_ns)
{
	uint8_t mac[ETH_ADDR_LEN];
	struct member *member;

	if (!mcast_group_mac(ipv6, group, mac))
		return;
	member = find(mcast, make_key(vid, mac), port);
	if (!member || member->several || memcmp(member->group, group, HEADERS_IP_BYTES) != 0)
		return;
	member->expires_ns = MIN(member->expires_ns, now_ns + MCAST_LAST_NS);
}

static bool is_heard(const struct mcast *mcast, unsigned vid, bool ipv6, uint64_t now_ns)
{
	const struct querier *querier = &mcast->queriers[ipv6][vid];

	return querier->heard && now_ns < querier->heard_ns + MCAST_QUERIER_NS;
}

static void note_query(
	struct mcast *mcast, unsigned vid, bool ipv6, uint64_t response_ns, uint64_t now_ns)
{
	struct querier *querier = &mcast->queriers[ipv6][vid];

	/* While nobody asked, some memberships ran out. */
	if (!is_heard(mcast, vid, ipv6, now_ns)) {
		response_ns = MAX(response_ns, MCAST_SETTLE_NS);
		querier->answered_ns = now_ns + MIN(response_ns, MCAST_MEMBER_NS);
	}
	querier->heard = true;
	querier->heard_ns = now_ns;
}

static void note_report(struct mcast *mcast, unsigned vid, unsigned port,
	const struct mcast_message *message, uint64_t now_ns)
{
	for (unsigned i = 0; i < message->n_changes; i++) {
		const struct mcast_change *change = &message->changes[i];

		if (change->join)
			join(mcast, vid, port, message->ipv6, change->group, false, now_ns);
		else
			leave(mcast, vid, port, message->ipv6, change->group, now_ns);
	}
	if (message->more)
		exceed(&mcast->groups, port, now_ns);
}

bool mcast_snoop(struct mcast *mcast, unsigned vid, unsigned port,
	const struct mcast_message *message, uint64_t now_ns)
{
	if (message->kind == MCAST_NOTHING)
		return false;
	age(mcast, now_ns);
	switch (message->kind) {
	case MCAST_QUERY:
		note_query(mcast, vid, message->ipv6, message->response_ns, now_ns);
		join(mcast, vid, port, message->ipv6, router_group, false, now_ns);
		return false;
	case MCAST_ROUTER:
		join(mcast, vid, port, message->ipv6, router_group, false, now_ns);
		return false;
	case MCAST_REPORT:
		note_report(mcast, vid, port, message, now_ns);
		return true;
	case MCAST_NOTHING:
		break;
	}
	return false;
}

/* The ports of a group, or of the routers. */
static bool add_members(const struct mcast *mcast, uint64_t key, uint64_t now_ns, uint64_t *ports)
{
	struct list *bucket = bucket_of(mcast, key);
	struct member *member;
	bool any = false;

	list_for_each(member, bucket, in_bucket) {
		if (member->key == key && !is_old(member, now_ns)) {
			bitmap_set(ports, member->port);
			any = true;
		}
	}
	return any;
}

static void add_excess(const struct excess *excess, uint64_t now_ns, uint64_t *ports)
{
	for (unsigned i = 0; i < BITMAP_WORDS(FDB_MAX_PORTS); i++) {
		for (uint64_t word = excess->ports[i]; word; word &= word - 1) {
			unsigned port = i * 64 + (unsigned)__builtin_ctzll(word);

			if (exceeds(excess, port, now_ns))
				bitmap_set(ports, port);
		}
	}
}

static void add_routers(
	const struct mcast *mcast, unsigned vid, bool ipv6, uint64_t now_ns, uint64_t *ports)
{
	(void)add_members(mcast, make_key(vid, router_macs[ipv6]), now_ns, ports);
	add_excess(&mcast->routers, now_ns, ports);
}

bool mcast_ports(const struct mcast *mcast, unsigned vid, const uint8_t mac[ETH_ADDR_LEN],
	uint64_t now_ns, uint64_t ret_ports[BITMAP_WORDS(FDB_MAX_PORTS)])
{
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)] = {0};
	bool ipv6;

	if (!mcast_mac_is_group(mac, &ipv6) || !is_heard(mcast, vid, ipv6, now_ns) ||
		now_ns < mcast->queriers[ipv6][vid].answered_ns)
		return false;
	if (!add_members(mcast, make_key(vid, mac), now_ns, ports))
		return false;
	add_routers(mcast, vid, ipv6, now_ns, ports);
	add_excess(&mcast->groups, now_ns, ports);
	memcpy(ret_ports, ports, sizeof(ports));
	return true;
}

bool mcast_report_ports(const struct mcast *mcast, unsigned vid, bool ipv6, uint64_t now_ns,
	uint64_t ret_ports[BITMAP_WORDS(FDB_MAX_PORTS)])
{
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)] = {0};

	if (!is_heard(mcast, vid, ipv6, now_ns))
		return false;
	add_routers(mcast, vid, ipv6, now_ns, ports);
	memcpy(ret_ports, ports, sizeof(ports));
	return true;
}

void mcast_forget_port(struct mcast *mcast, unsigned port)
{
	struct port_members *own = &mcast->ports[port];

	while (!list_empty(&own->members))
		forget(mcast, list_entry(own->members.next, struct member, in_port));
	mcast->groups.until_ns[port] = 0;
	mcast->routers.until_ns[port] = 0;
}

void mcast_for_each(const struct mcast *mcast, uint64_t now_ns, mcast_visit_fn fn, void *data)
{
	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		const struct member *member;

		list_for_each(member, &mcast->ports[port].members, in_port) {
			struct mcast_entry entry = {
				.vid = (uint16_t)(member->key >> 48),
				.port = (uint16_t)port,
				.age_ns = now_ns - member->seen_ns,
			};

			if (is_old(member, now_ns) || is_router(member))
				continue;
			(void)mcast_group_mac(member->ipv6, member->group, entry.mac);
			if (!fn(&entry, data))
				return;
		}
	}
}

bool mcast_has_querier(const struct mcast *mcast, unsigned vid, uint64_t now_ns)
{
	return is_heard(mcast, vid, false, now_ns) || is_heard(mcast, vid, true, now_ns);
}

/* u8 STATE_... of the port, u16 number, then {u16 vid, u8 STATE_..., group 16}; a group of zeros is
 * a router. */
#define STATE_GROUPS  0x01 /* of the port: it exceeds */
#define STATE_ROUTERS 0x02
#define STATE_IPV6    0x01 /* of a membership */
#define STATE_SEVERAL 0x02

void mcast_save_port(const struct mcast *mcast, unsigned port, uint64_t now_ns, struct buf *out)
{
	const struct list *members = &mcast->ports[port].members;
	const struct member *member;
	uint16_t n = 0;

	list_for_each(member, members, in_port)
		n += !is_old(member, now_ns);
	buf_u8(out, (exceeds(&mcast->groups, port, now_ns) ? STATE_GROUPS : 0) |
			    (exceeds(&mcast->routers, port, now_ns) ? STATE_ROUTERS : 0));
	buf_le16(out, n);
	list_for_each(member, members, in_port) {
		if (is_old(member, now_ns))
			continue;
		buf_le16(out, (uint16_t)(member->key >> 48));
		buf_u8(out,
			(member->ipv6 ? STATE_IPV6 : 0) | (member->several ? STATE_SEVERAL : 0));
		buf_bytes(out, member->group, HEADERS_IP_BYTES);
	}
}

static int restore_member(struct mcast *mcast, unsigned port, struct reader *in, uint64_t now_ns)
{
	uint8_t group[HEADERS_IP_BYTES], mac[ETH_ADDR_LEN];
	unsigned vid = reader_le16(in);
	uint8_t flags = reader_u8(in);
	bool ipv6 = flags & STATE_IPV6, several = flags & STATE_SEVERAL;

	reader_bytes(in, group, sizeof(group));
	if (!reader_ok(in) || vid > VLAN_VID_MAX || flags & ~(STATE_IPV6 | STATE_SEVERAL))
		return -EBADMSG;
	if (memcmp(group, router_group, sizeof(group)) == 0) {
		if (several)
			return -EBADMSG;
	} else if (!mcast_group_mac(ipv6, group, mac)) {
		return -EBADMSG;
	} else if (!ipv6 && memcmp(group + 4, router_group, sizeof(group) - 4) != 0) {
		return -EBADMSG;
	}
	join(mcast, vid, port, ipv6, group, several, now_ns);
	return 0;
}

int mcast_restore_port(struct mcast *mcast, unsigned port, struct reader *in, uint64_t now_ns)
{
	uint8_t flags = reader_u8(in);
	unsigned n = reader_le16(in);

	if (!reader_ok(in) || flags & ~(STATE_GROUPS | STATE_ROUTERS) || n > MCAST_PORT_GROUPS)
		return -EBADMSG;
	age(mcast, now_ns);
	if (flags & STATE_GROUPS)
		exceed(&mcast->groups, port, now_ns);
	if (flags & STATE_ROUTERS)
		exceed(&mcast->routers, port, now_ns);
	for (unsigned i = 0; i < n; i++) {
		int error = restore_member(mcast, port, in, now_ns);

		if (error)
			return error;
	}
	return 0;
}
