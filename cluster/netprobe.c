/* SPDX-License-Identifier: MIT */
#include "cluster/netprobe.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define MAGIC       0x31504e56U /* "VNP1" */
#define NONCE_BYTES 16
#define MAX_ANSWERS 8 /* to one peer on one path, between two requests */
#define STALL_NS    (3 * NETPROBE_TICK_NS)

enum kind { KIND_REQUEST = 1, KIND_ANSWER = 2 };
enum state { STATE_NEW, STATE_REACHED, STATE_LOST };

struct message {
	uint8_t kind;
	uint32_t from, to;
	uint8_t nonce[NONCE_BYTES];
};

struct watched {
	struct netprobe_path path;
	enum state state;
	uint64_t heard_ns; /* the last answer, or when it was added */
	unsigned n_in_a_row;
	unsigned n_answers; /* given to the peer since our last request */
	struct {
		bool is_open; /* not answered yet */
		uint8_t nonce[NONCE_BYTES];
	} requests[2]; /* the last one, the one before */
};

struct netprobe {
	uint32_t self;
	struct netprobe_ops ops;
	void *data;
	struct watched *watched;
	size_t n_watched;
	unsigned n_ticks;
	uint64_t tick_ns; /* the last one */
};

int netprobe_new(
	uint32_t self, const struct netprobe_ops *ops, void *data, struct netprobe **ret_probe)
{
	struct netprobe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return -ENOMEM;
	probe->self = self;
	probe->ops = *ops;
	probe->data = data;
	*ret_probe = probe;
	return 0;
}

void netprobe_free(struct netprobe *probe)
{
	if (!probe)
		return;
	free(probe->watched);
	free(probe);
}

static void encode(const struct message *message, uint8_t bytes[NETPROBE_BYTES])
{
	memset(bytes, 0, NETPROBE_BYTES);
	store_le32(bytes, MAGIC);
	bytes[4] = message->kind;
	store_le32(bytes + 8, message->from);
	store_le32(bytes + 12, message->to);
	memcpy(bytes + 16, message->nonce, NONCE_BYTES);
}

static bool decode(const void *data, size_t size_bytes, struct message *ret_message)
{
	uint8_t bytes[NETPROBE_BYTES];

	if (size_bytes != NETPROBE_BYTES)
		return false;
	memcpy(bytes, data, sizeof(bytes));
	if (load_le32(bytes) != MAGIC || bytes[5] || bytes[6] || bytes[7] ||
		(bytes[4] != KIND_REQUEST && bytes[4] != KIND_ANSWER))
		return false;
	ret_message->kind = bytes[4];
	ret_message->from = load_le32(bytes + 8);
	ret_message->to = load_le32(bytes + 12);
	memcpy(ret_message->nonce, bytes + 16, NONCE_BYTES);
	return true;
}

static bool paths_equal(const struct netprobe_path *a, const struct netprobe_path *b)
{
	return a->peer == b->peer && a->has_link == b->has_link &&
	       net_subnet_compare(&a->subnet, &b->subnet) == 0 &&
	       net_addr_compare(&a->local, &b->local) == 0 &&
	       net_addr_compare(&a->remote, &b->remote) == 0 && strcmp(a->ifname, b->ifname) == 0;
}

static const struct watched *find_path(
	const struct netprobe *probe, const struct netprobe_path *path)
{
	for (size_t i = 0; i < probe->n_watched; i++) {
		if (paths_equal(&probe->watched[i].path, path))
			return &probe->watched[i];
	}
	return NULL;
}

int netprobe_set_paths(
	struct netprobe *probe, const struct netprobe_path *paths, size_t n_paths, uint64_t now_ns)
{
	size_t n = MIN(n_paths, (size_t)NETPROBE_MAX_PATHS), n_kept = 0;
	struct watched *watched = calloc(n + 1, sizeof(*watched));
	bool is_news;

	if (!watched)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct watched *old = find_path(probe, &paths[i]);

		n_kept += old != NULL;
		watched[i] = old ? *old : (struct watched){.path = paths[i], .heard_ns = now_ns};
	}
	is_news = n_kept != probe->n_watched;
	free(probe->watched);
	probe->watched = watched;
	probe->n_watched = n;
	if (is_news)
		probe->ops.changed(probe->data);
	return 0;
}

static void send_message(struct netprobe *probe, const struct watched *watched, enum kind kind,
	const uint8_t nonce[NONCE_BYTES])
{
	struct message message = {
		.kind = (uint8_t)kind, .from = probe->self, .to = watched->path.peer};
	uint8_t bytes[NETPROBE_BYTES];

	memcpy(message.nonce, nonce, NONCE_BYTES);
	encode(&message, bytes);
	probe->ops.send(&watched->path, bytes, sizeof(bytes), probe->data);
}

static void ask(struct netprobe *probe, struct watched *watched)
{
	if (watched->requests[0].is_open)
		watched->n_in_a_row = 0;
	watched->n_answers = 0;
	watched->requests[1] = watched->requests[0];
	watched->requests[0].is_open = true;
	probe->ops.random(watched->requests[0].nonce, NONCE_BYTES, probe->data);
	send_message(probe, watched, KIND_REQUEST, watched->requests[0].nonce);
}

/* Over any path: all are asked at the same time. */
static bool peer_answers(const struct netprobe *probe, uint32_t peer, uint64_t now_ns)
{
	for (size_t i = 0; i < probe->n_watched; i++) {
		const struct watched *watched = &probe->watched[i];

		if (watched->path.peer == peer && watched->state == STATE_REACHED &&
			now_ns <= watched->heard_ns + NETPROBE_LOST_NS / 2)
			return true;
	}
	return false;
}

static bool is_overdue(const struct netprobe *probe, const struct watched *watched, uint64_t now_ns)
{
	uint64_t patience_ns = watched->state == STATE_NEW ? NETPROBE_GRACE_NS : NETPROBE_LOST_NS;

	if (watched->state == STATE_LOST || now_ns <= watched->heard_ns + patience_ns)
		return false;
	return !watched->path.has_link ||
	       (watched->state == STATE_REACHED && peer_answers(probe, watched->path.peer, now_ns));
}

void netprobe_tick(struct netprobe *probe, uint64_t now_ns)
{
	uint64_t since_ns = probe->tick_ns && now_ns > probe->tick_ns ? now_ns - probe->tick_ns : 0;
	bool is_news = false;

	probe->tick_ns = now_ns;
	for (size_t i = 0; i < probe->n_watched; i++) {
		struct watched *watched = &probe->watched[i];

		if (since_ns > STALL_NS)
			watched->heard_ns = MIN(watched->heard_ns + since_ns, now_ns);
		if (is_overdue(probe, watched, now_ns)) {
			watched->state = STATE_LOST;
			watched->n_in_a_row = 0;
			is_news = true;
		}
		if (probe->n_ticks % 2 == 0)
			ask(probe, watched);
	}
	probe->n_ticks++;
	if (is_news)
		probe->ops.changed(probe->data);
}

static void take_answer(struct netprobe *probe, struct watched *watched,
	const uint8_t nonce[NONCE_BYTES], uint64_t now_ns)
{
	for (size_t i = 0; i < ARRAY_LEN(watched->requests); i++) {
		if (!watched->requests[i].is_open ||
			memcmp(watched->requests[i].nonce, nonce, NONCE_BYTES) != 0)
			continue;
		watched->requests[i].is_open = false;
		watched->heard_ns = now_ns;
		watched->n_in_a_row++;
		if (watched->state == STATE_NEW ||
			(watched->state == STATE_LOST && watched->n_in_a_row >= 2)) {
			watched->state = STATE_REACHED;
			probe->ops.changed(probe->data);
		}
		return;
	}
}

void netprobe_receive(struct netprobe *probe, const struct net_addr *local,
	const struct net_addr *remote, const void *bytes, size_t size_bytes, uint64_t now_ns)
{
	struct message message;

	if (!decode(bytes, size_bytes, &message) || message.to != probe->self)
		return;
	for (size_t i = 0; i < probe->n_watched; i++) {
		struct watched *watched = &probe->watched[i];

		if (watched->path.peer != message.from ||
			net_addr_compare(&watched->path.remote, remote) != 0 ||
			net_addr_compare(&watched->path.local, local) != 0)
			continue;
		if (message.kind == KIND_ANSWER)
			take_answer(probe, watched, message.nonce, now_ns);
		else if (watched->n_answers++ < MAX_ANSWERS)
			send_message(probe, watched, KIND_ANSWER, message.nonce);
		return;
	}
}

void netprobe_fill_row(const struct netprobe *probe, struct net_row *row)
{
	row->n_probed = 0;
	for (size_t i = 0; i < probe->n_watched && row->n_probed < NET_MAX_PROBED; i++) {
		const struct watched *watched = &probe->watched[i];

		if (watched->state == STATE_NEW)
			continue;
		row->probed[row->n_probed].subnet = watched->path.subnet;
		row->probed[row->n_probed].id = watched->path.peer;
		row->probed[row->n_probed++].is_lost = watched->state == STATE_LOST;
	}
}

/* The first usable interface of a node in a subnet, as net.c takes it. */
static const struct net_interface *find_interface(
	const struct net_input *in, size_t node, const struct net_subnet *subnet)
{
	for (size_t i = 0; i < in->n_interfaces; i++) {
		const struct net_interface *interface = &in->interfaces[i];

		if (interface->node == node && !interface->is_down &&
			interface->prefix_len == subnet->prefix_len &&
			net_subnet_has(subnet, &interface->address))
			return interface;
	}
	return NULL;
}

static size_t add_peers(const struct net_input *in, size_t self,
	const struct net_interface *interface, struct netprobe_path *ret_paths, size_t max)
{
	const struct net_subnet subnet = net_subnet_of(&interface->address, interface->prefix_len);
	size_t n = 0;

	/* A second address in the same subnet adds nothing. */
	if (find_interface(in, self, &subnet) != interface)
		return 0;
	for (size_t peer = 0; peer < in->n_nodes && n < max; peer++) {
		const struct net_interface *other = find_interface(in, peer, &subnet);
		struct netprobe_path *path = &ret_paths[n];

		if (peer == self || !other || !in->nodes[peer].is_member ||
			!in->nodes[peer].is_reporting)
			continue;
		*path = (struct netprobe_path){
			.subnet = subnet,
			.local = interface->address,
			.remote = other->address,
			.peer = in->nodes[peer].id,
			.has_link = net_pair_link(in, &subnet, self, peer) >= 0,
		};
		snprintf(path->ifname, sizeof(path->ifname), "%s", interface->ifname);
		n++;
	}
	return n;
}

size_t netprobe_find_paths(
	const struct net_input *in, size_t self, struct netprobe_path *ret_paths, size_t max)
{
	size_t n = 0, n_subnets = 0;
	struct net_subnet last = {};

	for (size_t i = 0; i < in->n_interfaces && n_subnets < CLUSTER_MAX_NETS; i++) {
		struct net_subnet subnet =
			net_subnet_of(&in->interfaces[i].address, in->interfaces[i].prefix_len);
		size_t n_added;

		if (in->interfaces[i].node != self || in->interfaces[i].is_down)
			continue;
		n_added = add_peers(in, self, &in->interfaces[i], ret_paths + n, max - n);
		n_subnets += n_added > 0 && net_subnet_compare(&subnet, &last) != 0;
		if (n_added > 0)
			last = subnet;
		n += n_added;
	}
	return n;
}
