/* SPDX-License-Identifier: MIT */
#include "fabric/turns.h"

#define MIN_CAPACITY 64

/* ---- the heap of parked ports ---- */

static void put(struct turns *turns, unsigned place, struct vport *port)
{
	turns->parked[place] = port;
	port->parked = place + 1;
}

static void sift_up(struct turns *turns, unsigned place, struct vport *port)
{
	while (place > 0 && turns->parked[(place - 1) / 2]->due_ns > port->due_ns) {
		put(turns, place, turns->parked[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(turns, place, port);
}

static void sift_down(struct turns *turns, unsigned place, struct vport *port)
{
	for (;;) {
		unsigned child = 2 * place + 1;

		if (child + 1 < turns->n_parked &&
			turns->parked[child + 1]->due_ns < turns->parked[child]->due_ns)
			child++;
		if (child >= turns->n_parked || turns->parked[child]->due_ns >= port->due_ns)
			break;
		put(turns, place, turns->parked[child]);
		place = child;
	}
	put(turns, place, port);
}

static void set_wants(struct vport *port, bool wants)
{
	__atomic_store_n(&port->wants, wants, __ATOMIC_RELAXED);
}

static void park(struct turns *turns, struct vport *port, uint64_t due_ns)
{
	turns_idle(port);
	port->due_ns = due_ns;
	sift_up(turns, turns->n_parked++, port);
}

static void unpark(struct turns *turns, struct vport *port)
{
	unsigned place = port->parked - 1;
	struct vport *last = turns->parked[--turns->n_parked];

	port->parked = 0;
	if (last == port)
		return;
	if (last->due_ns < port->due_ns)
		sift_up(turns, place, last);
	else
		sift_down(turns, place, last);
}

/* ---- where ports are ---- */

void turns_init(struct turns *turns)
{
	*turns = (struct turns){0};
	list_init(&turns->round);
}

void turns_fini(struct turns *turns)
{
	free(turns->parked);
}

int turns_reserve(struct turns *turns, unsigned n_ports)
{
	unsigned capacity = MAX(2 * turns->capacity, (unsigned)MIN_CAPACITY);
	struct vport **parked;

	if (n_ports <= turns->capacity)
		return 0;
	capacity = MAX(capacity, n_ports);
	parked = reallocarray(turns->parked, capacity, sizeof(*parked));
	if (!parked)
		return -ENOMEM;
	turns->parked = parked;
	turns->capacity = capacity;
	return 0;
}

int turns_add(struct turns *turns, struct vport *port)
{
	int r = turns_reserve(turns, turns->n_ports + 1);

	if (r < 0)
		return r;
	turns->n_ports++;
	list_init(&port->in_round);
	port->parked = 0;
	return 0;
}

void turns_remove(struct turns *turns, struct vport *port)
{
	if (port->parked)
		unpark(turns, port);
	turns_idle(port);
	turns->n_ports--;
}

void turns_want(struct turns *turns, struct vport *port)
{
	if (port->parked || !list_empty(&port->in_round))
		return;
	list_append(&turns->round, &port->in_round);
	set_wants(port, true);
}

void turns_idle(struct vport *port)
{
	list_remove(&port->in_round);
	set_wants(port, false);
}

/* ---- when ---- */

uint64_t turns_next_ns(const struct turns *turns)
{
	if (!list_empty(&turns->round))
		return TURNS_WORK_AT_HAND;
	return turns->n_parked > 0 ? turns->parked[0]->due_ns : TURNS_NEVER;
}

void turns_begin(struct turns *turns, uint64_t now_ns)
{
	turns->pass++;
	while (turns->n_parked > 0 && turns->parked[0]->due_ns <= now_ns) {
		struct vport *port = turns->parked[0];

		unpark(turns, port);
		turns_want(turns, port);
	}
}

void turns_unpark_all(struct turns *turns)
{
	while (turns->n_parked > 0) {
		struct vport *port = turns->parked[turns->n_parked - 1];

		unpark(turns, port);
		turns_want(turns, port);
	}
}

/* ---- who ---- */

/* A new round of the switch's link, among those that may have a turn. Looking once a pass is
 * enough: what could make a difference are turns. (When several threads have ports of the switch,
 * a number may be another's; then this one looks in its next pass.) */
static bool begin_link_round(const struct turns *turns, struct vswitch *sw, uint64_t now_ns)
{
	struct qos_port *wanting[FWD_MAX_PORTS];
	unsigned n = 0;

	if (sw->looked_pass == turns->pass)
		return false;
	sw->looked_pass = turns->pass;
	for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
		struct vport *port = sw->ports[i];

		if (port && !vport_is_shut(port) && !vport_is_uplink(port) &&
			__atomic_load_n(&port->wants, __ATOMIC_RELAXED))
			wanting[n++] = &port->qos;
	}
	return qos_round(&sw->qos, wanting, n, now_ns);
}

uint32_t turns_ask(struct turns *turns, struct vport *port, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	uint64_t at_ns = 0;
	uint32_t max_bytes;

	if (vport_is_uplink(port) || vport_is_shut(port))
		return IO_NO_LIMIT;
	pthread_mutex_lock(&sw->qos_lock);
	max_bytes = qos_turn(&sw->qos, &port->qos, now_ns, &at_ns);
	if (max_bytes == 0 && at_ns <= now_ns && begin_link_round(turns, sw, now_ns))
		max_bytes = qos_turn(&sw->qos, &port->qos, now_ns, &at_ns);
	pthread_mutex_unlock(&sw->qos_lock);
	if (max_bytes == 0 && at_ns > now_ns)
		park(turns, port, at_ns);
	return max_bytes;
}

void turns_charge(struct vport *port, const struct turn *turn, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;

	if (vport_is_uplink(port))
		return;
	pthread_mutex_lock(&sw->qos_lock);
	qos_charge(&sw->qos, &port->qos, turn->taken_bytes, turn->link_bytes, now_ns);
	pthread_mutex_unlock(&sw->qos_lock);
}
