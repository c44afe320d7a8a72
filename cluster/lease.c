/* SPDX-License-Identifier: MIT */
#include "cluster/lease.h"

#include "base/bytes.h"

#define TICKS_PER_DURATION 5
#define N_SENT             64 /* ticks whose time is remembered; older ones make no lease */
#define URGENT_GAP_NS      10000000ULL

struct lease_node {
	uint32_t id;
	bool is_present;
	uint32_t votes;
	uint32_t life;      /* 0: no tick of it was delivered in this membership */
	uint64_t number;    /* of its newest tick */
	uint64_t heard_ns;  /* when that was, or when it joined */
	uint64_t acked;     /* our newest tick that it has got, in this membership */
	uint64_t denied;    /* the REVOKE that it has not answered; 0 for none */
	uint64_t parted_ns; /* since when its ticks are not acknowledged; 0: they are */
	uint64_t duration_ns;
	bool was_gone, was_parted; /* as reported last */
};

struct lease {
	struct lease_ops ops;
	void *data;
	uint64_t duration_ns;
	uint32_t life, local_id; /* 0: not connected */
	struct lease_votes votes;
	struct lease_node nodes[LEASE_MAX_NODES];
	size_t n_nodes;
	bool is_in_group;
	uint64_t strangers_parted_ns; /* the same for nodes that were never met */

	uint64_t number; /* of the last tick sent */
	uint64_t sent_ns[N_SENT];
	uint64_t void_below; /* ticks up to this one make no lease */
	uint64_t answer;
	uint64_t confirmed;    /* the number of the newest confirmed one */
	uint64_t confirmed_ns; /* when it was sent */
	uint64_t next_tick_ns; /* 0: not in the group */
	uint64_t last_tick_ns;
	uint64_t random;
};

int lease_new(uint64_t duration_ns, uint32_t life, const struct lease_ops *ops, void *data,
	struct lease **ret_lease)
{
	struct lease *lease;

	if (duration_ns < LEASE_DURATION_MIN_NS || duration_ns > LEASE_DURATION_MAX_NS || !life)
		return -EINVAL;
	lease = calloc(1, sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	lease->ops = *ops;
	lease->data = data;
	lease->duration_ns = duration_ns;
	lease->life = life;
	lease->random = (uint64_t)life << 32 | life;
	*ret_lease = lease;
	return 0;
}

void lease_free(struct lease *lease)
{
	free(lease);
}

/* ---- the table of nodes ---- */

static struct lease_node *find(const struct lease *lease, uint32_t id)
{
	for (size_t i = 0; i < lease->n_nodes; i++) {
		if (lease->nodes[i].id == id)
			return (struct lease_node *)&lease->nodes[i];
	}
	return NULL;
}

/* NULL when there are too many: then one that is not there makes room. */
static struct lease_node *find_or_add(struct lease *lease, uint32_t id)
{
	struct lease_node *node = find(lease, id);

	if (node)
		return node;
	if (lease->n_nodes < LEASE_MAX_NODES)
		node = &lease->nodes[lease->n_nodes++];
	for (size_t i = 0; !node && i < lease->n_nodes; i++) {
		if (!lease->nodes[i].is_present)
			node = &lease->nodes[i];
	}
	if (node)
		*node = (struct lease_node){
			.id = id,
			.duration_ns = lease->duration_ns,
			.parted_ns = lease->strangers_parted_ns,
		};
	return node;
}

/* With a little for clocks that do not run alike. */
static uint64_t patience(uint64_t duration_ns)
{
	return duration_ns + duration_ns / 64;
}

static uint64_t gone_at_ns(const struct lease_node *node)
{
	return node->parted_ns ? node->parted_ns + patience(node->duration_ns) : 0;
}

static bool node_is_gone(const struct lease *lease, const struct lease_node *node)
{
	return node->id != lease->local_id && node->parted_ns &&
	       lease->confirmed_ns >= gone_at_ns(node);
}

static void report_news(struct lease *lease)
{
	bool is_news = false;

	for (size_t i = 0; i < lease->n_nodes; i++) {
		struct lease_node *node = &lease->nodes[i];
		bool gone = node_is_gone(lease, node);
		bool parted = node->parted_ns != 0;

		is_news = is_news || gone != node->was_gone || parted != node->was_parted;
		node->was_gone = gone;
		node->was_parted = parted;
	}
	if (is_news)
		lease->ops.changed(lease->data);
}

/* ---- ticks of our own ---- */

static uint64_t tick_ns(const struct lease *lease)
{
	return lease->duration_ns / TICKS_PER_DURATION;
}

static void put_header(struct buf *out, enum lease_wire_type type)
{
	buf_le32(out, LEASE_WIRE_MAGIC);
	buf_le16(out, LEASE_WIRE_VERSION);
	buf_le16(out, (uint16_t)type);
}

static void send(struct lease *lease, struct buf *out)
{
	if (!out->failed)
		lease->ops.multicast(out->data, out->size_bytes, lease->data);
	buf_fini(out);
}

static bool is_acknowledged(const struct lease_node *node)
{
	return node->is_present && node->life && !node->denied;
}

static void send_tick(struct lease *lease, bool urgent, uint64_t now_ns)
{
	struct buf out = {};
	uint32_t n_acks = 0;

	for (size_t i = 0; i < lease->n_nodes; i++)
		n_acks += is_acknowledged(&lease->nodes[i]);
	put_header(&out, LEASE_WIRE_TICK);
	buf_le32(&out, lease->life);
	buf_le32(&out, lease->votes.votes);
	buf_le64(&out, ++lease->number);
	buf_le64(&out, lease->answer);
	buf_le32(&out, urgent ? LEASE_TICK_URGENT : 0);
	buf_le32(&out, n_acks);
	for (size_t i = 0; i < lease->n_nodes; i++) {
		const struct lease_node *node = &lease->nodes[i];

		if (!is_acknowledged(node))
			continue;
		buf_le32(&out, node->id);
		buf_le32(&out, node->life);
		buf_le64(&out, node->number);
	}
	lease->sent_ns[lease->number % N_SENT] = now_ns;
	lease->last_tick_ns = now_ns;
	lease->next_tick_ns = now_ns + tick_ns(lease);
	send(lease, &out);
}

/* The newest tick that members with a quorum of votes have got. */
static uint64_t confirmed_by_quorum(const struct lease *lease)
{
	uint64_t best = 0;

	for (size_t i = 0; i < lease->n_nodes; i++) {
		uint64_t number = lease->nodes[i].acked;
		uint64_t votes = lease->votes.device_votes;

		for (size_t j = 0; j < lease->n_nodes; j++) {
			const struct lease_node *node = &lease->nodes[j];

			if (node->is_present && node->acked >= number)
				votes += node->votes;
		}
		if (number > best && votes >= lease->votes.quorum_votes)
			best = number;
	}
	return best;
}

static void take_confirmed(struct lease *lease)
{
	uint64_t number;

	if (!lease->votes.quorate || !lease->votes.quorum_votes)
		return;
	number = confirmed_by_quorum(lease);
	if (number <= lease->confirmed || number <= lease->void_below ||
		number + N_SENT <= lease->number)
		return;
	lease->confirmed = number;
	lease->confirmed_ns = lease->sent_ns[number % N_SENT];
	lease->ops.renewed(lease->confirmed_ns + lease->duration_ns, lease->data);
}

/* ---- inputs ---- */

void lease_connect(struct lease *lease, uint32_t local_id)
{
	lease->local_id = local_id;
}

void lease_disconnect(struct lease *lease)
{
	for (size_t i = 0; i < lease->n_nodes; i++) {
		lease->nodes[i].is_present = false;
		lease->nodes[i].parted_ns = 0;
	}
	lease->strangers_parted_ns = 0;
	lease->is_in_group = false;
	lease->next_tick_ns = 0;
	report_news(lease);
}

static bool contains(const uint32_t *ids, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static void join(struct lease_node *node, uint64_t now_ns)
{
	node->is_present = true;
	node->life = 0;
	node->denied = 0;
	node->parted_ns = 0;
	node->heard_ns = now_ns;
}

void lease_confchg(struct lease *lease, const uint32_t *members, size_t n_members, uint64_t now_ns)
{
	bool is_joined = !lease->is_in_group;

	for (size_t i = 0; i < n_members; i++) {
		struct lease_node *node = find_or_add(lease, members[i]);

		if (node && !node->is_present) {
			join(node, now_ns);
			is_joined = true;
		}
	}
	for (size_t i = 0; i < lease->n_nodes; i++) {
		struct lease_node *node = &lease->nodes[i];
		bool is_member = contains(members, n_members, node->id);

		node->acked = 0; /* what is said in this membership counts */
		if (!is_member && (node->is_present || is_joined))
			node->parted_ns = now_ns;
		node->is_present = is_member;
		/* Who was revoked, and stays so, may have been with the newcomer as well. */
		if (node->denied && is_joined)
			node->parted_ns = now_ns;
	}
	if (is_joined)
		lease->strangers_parted_ns = now_ns;
	lease->is_in_group = true;
	send_tick(lease, true, now_ns);
	report_news(lease);
}

static void on_ack(struct lease *lease, struct lease_node *from, struct reader *in)
{
	uint32_t id = reader_le32(in), life = reader_le32(in);
	uint64_t number = reader_le64(in);

	if (id == lease->local_id && life == lease->life && number <= lease->number)
		from->acked = MAX(from->acked, number);
}

struct tick {
	uint32_t life, votes, flags, n_acks;
	uint64_t number, answer;
};

static void take_tick(struct lease *lease, struct lease_node *node, const struct tick *tick,
	struct reader *in, uint64_t now_ns)
{
	if (node->denied && node->denied == tick->answer) {
		node->denied = 0;
		node->parted_ns = 0;
	}
	node->life = tick->life;
	node->number = tick->number;
	node->votes = tick->votes;
	node->heard_ns = now_ns;
	for (uint32_t i = 0; i < tick->n_acks; i++)
		on_ack(lease, node, in);
	if (node->id == lease->local_id && tick->life == lease->life)
		node->acked = MAX(node->acked, tick->number);
	take_confirmed(lease);
	if (tick->flags & LEASE_TICK_URGENT && node->id != lease->local_id)
		lease->next_tick_ns = MIN(lease->next_tick_ns, lease->last_tick_ns + URGENT_GAP_NS);
}

static bool parse_tick(struct reader *in, struct tick *tick)
{
	struct reader acks;

	tick->life = reader_le32(in);
	tick->votes = reader_le32(in);
	tick->number = reader_le64(in);
	tick->answer = reader_le64(in);
	tick->flags = reader_le32(in);
	tick->n_acks = reader_le32(in);
	if (!reader_ok(in) || !tick->life || tick->n_acks > LEASE_MAX_NODES ||
		tick->flags & ~(uint32_t)LEASE_TICK_URGENT)
		return false;
	acks = *in;
	reader_take(&acks, tick->n_acks * sizeof(struct lease_wire_ack));
	return reader_done(&acks);
}

static void on_revoke(struct lease *lease, struct reader *in, uint64_t now_ns)
{
	uint32_t id = reader_le32(in), reserved = reader_le32(in);
	uint64_t token = reader_le64(in);
	struct lease_node *node = find(lease, id);

	if (!reader_done(in) || reserved || !token || !node || !node->is_present)
		return;
	if (id == lease->local_id) {
		lease->void_below = lease->number;
		lease->answer = token;
		send_tick(lease, true, now_ns);
		return;
	}
	node->denied = token;
	node->parted_ns = now_ns;
}

void lease_deliver(
	struct lease *lease, uint32_t sender, const void *bytes, size_t size_bytes, uint64_t now_ns)
{
	struct reader in = reader_make(bytes, size_bytes);
	struct lease_node *node = find(lease, sender);
	uint32_t magic = reader_le32(&in);
	uint16_t version = reader_le16(&in), type = reader_le16(&in);
	struct tick tick;

	/* Of a node that has left, there is nothing more to learn. */
	if (!reader_ok(&in) || magic != LEASE_WIRE_MAGIC || version != LEASE_WIRE_VERSION ||
		!lease->is_in_group || !node || !node->is_present)
		return;
	if (type == LEASE_WIRE_TICK && parse_tick(&in, &tick))
		take_tick(lease, node, &tick, &in, now_ns);
	else if (type == LEASE_WIRE_REVOKE)
		on_revoke(lease, &in, now_ns);
	report_news(lease);
}

void lease_set_votes(struct lease *lease, const struct lease_votes *votes, uint64_t now_ns)
{
	bool is_news = votes->votes != lease->votes.votes;

	lease->votes = *votes;
	if (is_news && lease->is_in_group)
		lease->next_tick_ns = now_ns;
	take_confirmed(lease);
	report_news(lease);
}

void lease_set_duration(struct lease *lease, uint32_t node, uint64_t duration_ns)
{
	struct lease_node *found = find_or_add(lease, node);

	duration_ns = MAX(duration_ns, LEASE_DURATION_MIN_NS);
	if (found && node != lease->local_id)
		found->duration_ns = MIN(duration_ns, LEASE_DURATION_MAX_NS);
}

/* ---- time ---- */

/* The first present member that is heard of asks first; the others, one after the other, in case
 * that one has a problem of its own. */
static uint64_t revoke_at_ns(const struct lease *lease, const struct lease_node *node)
{
	uint64_t rank = 0;

	if (!node->is_present || node->denied || node->id == lease->local_id)
		return 0;
	for (size_t i = 0; i < lease->n_nodes; i++)
		rank += lease->nodes[i].is_present && lease->nodes[i].id < lease->local_id &&
			lease->nodes[i].id != node->id;
	return node->heard_ns + node->duration_ns + rank * tick_ns(lease);
}

static void send_revoke(struct lease *lease, const struct lease_node *node)
{
	struct buf out = {};

	/* As good as random: two processes never have the same one (xorshift64). */
	lease->random ^= lease->random << 13;
	lease->random ^= lease->random >> 7;
	lease->random ^= lease->random << 17;
	put_header(&out, LEASE_WIRE_REVOKE);
	buf_le32(&out, node->id);
	buf_le32(&out, 0);
	buf_le64(&out, lease->random);
	send(lease, &out);
}

/* When a tick of our own would settle that it is gone; 0: no need. */
static uint64_t settle_at_ns(const struct lease *lease, const struct lease_node *node)
{
	uint64_t at_ns = gone_at_ns(node);

	return node->id != lease->local_id && at_ns > lease->last_tick_ns ? at_ns : 0;
}

void lease_tick(struct lease *lease, uint64_t now_ns)
{
	bool is_due, is_urgent = false;

	if (!lease->is_in_group)
		return;
	is_due = lease->next_tick_ns <= now_ns;
	for (size_t i = 0; i < lease->n_nodes; i++) {
		struct lease_node *node = &lease->nodes[i];
		uint64_t settle_ns = settle_at_ns(lease, node);
		uint64_t revoke_ns = revoke_at_ns(lease, node);

		is_urgent = is_urgent || (settle_ns && settle_ns <= now_ns);
		if (revoke_ns && revoke_ns <= now_ns) {
			send_revoke(lease, node);
			node->heard_ns = now_ns; /* again in a while, should it not arrive */
		}
	}
	if (is_due || is_urgent)
		send_tick(lease, is_urgent, now_ns);
}

static void sooner(uint64_t *deadline_ns, uint64_t at_ns)
{
	if (at_ns && (!*deadline_ns || at_ns < *deadline_ns))
		*deadline_ns = at_ns;
}

uint64_t lease_deadline(const struct lease *lease)
{
	uint64_t deadline_ns = lease->next_tick_ns;

	if (!lease->is_in_group)
		return 0;
	for (size_t i = 0; i < lease->n_nodes; i++) {
		sooner(&deadline_ns, settle_at_ns(lease, &lease->nodes[i]));
		sooner(&deadline_ns, revoke_at_ns(lease, &lease->nodes[i]));
	}
	return deadline_ns;
}

uint64_t lease_until_ns(const struct lease *lease)
{
	return lease->confirmed_ns ? lease->confirmed_ns + lease->duration_ns : 0;
}

bool lease_is_gone(const struct lease *lease, uint32_t node)
{
	const struct lease_node *found = find(lease, node);

	if (found)
		return node_is_gone(lease, found);
	return node != lease->local_id && lease->strangers_parted_ns &&
	       lease->confirmed_ns >= lease->strangers_parted_ns + patience(lease->duration_ns);
}

uint64_t lease_parted_ns(const struct lease *lease, uint32_t node)
{
	const struct lease_node *found = find(lease, node);

	return found ? found->parted_ns : lease->strangers_parted_ns;
}
