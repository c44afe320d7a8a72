/* SPDX-License-Identifier: MIT */
#include "tests/sim/bus.h"

#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/bus_impl.h"

#define SETTLE_MAX_STEPS 4000000

const char *bus_mutation_name(enum bus_mutation mutation)
{
	static const char *const names[BUS_N_MUTATIONS] = {
		[BUS_AS_IT_IS] = "none",
		[BUS_FORGETS_WRITES] = "forgets-writes",
		[BUS_FORGETS_PROMISES] = "forgets-promises",
		[BUS_CONFIRMS_EARLY] = "confirms-early",
		[BUS_CONFIRMS_UNSAVED] = "confirms-unsaved",
		[BUS_SWAPS_MESSAGES] = "swaps-messages",
		[BUS_LOSES_MESSAGES] = "loses-messages",
		[BUS_COUNTS_NO_VOTES] = "counts-no-votes",
		[BUS_WAITS_FOR_NO_LEASE] = "waits-for-no-lease",
		[BUS_COUNTS_DEVICE] = "counts-device",
		[BUS_LOSES_HELLOS] = "loses-hellos",
	};

	return mutation < BUS_N_MUTATIONS ? names[mutation] : NULL;
}

uint64_t bus_random(struct bus *bus, uint64_t n)
{
	bus->random = seen_mix(bus->random);
	return bus->random % n;
}

bool bus_chance(struct bus *bus, uint64_t n)
{
	return bus->pace == BUS_PACE_RANDOM && bus_random(bus, n) == 0;
}

void bus_log(struct bus *bus, uint32_t id, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!bus->watch.log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	bus->watch.log(id, text, bus->watch_data);
}

void bus_violated(struct bus *bus, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (bus->watch.violated) {
		bus->watch.violated(text, bus->watch_data);
		return;
	}
	fprintf(stderr, "what the replicated store promises does not hold: %s\n", text);
	abort();
}

void bus_set_device_votes(struct bus *bus, uint32_t votes)
{
	bus->device_votes = votes;
	for (uint32_t id = 1; id <= bus->n_nodes; id++)
		bus->nodes[id].votes_are_news = true;
}

void bus_set_device_side(struct bus *bus, uint32_t id)
{
	bus->device_side = id;
	for (uint32_t other = 1; other <= bus->n_nodes; other++)
		bus->nodes[other].votes_are_news = true;
}

void bus_set_max_position(struct bus *bus, uint64_t max_position)
{
	bus->max_position = max_position;
}

void bus_set_work(struct bus *bus, unsigned keys)
{
	bus->work_keys = keys;
}

void bus_set_speaks(struct bus *bus, uint32_t id, uint16_t oldest, uint16_t newest)
{
	bus->nodes[id].oldest = oldest;
	bus->nodes[id].newest = newest;
}

struct bus *bus_new(unsigned n_nodes, uint64_t seed)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus || n_nodes > BUS_MAX_NODES)
		abort();
	bus->random = seen_mix(seed);
	bus->n_nodes = n_nodes;
	bus->now_ns = 1;
	bus->silence_ns = BUS_SILENCE_NS;
	pace_init(bus);
	for (uint32_t id = 1; id <= n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		node->bus = bus;
		node->id = id;
		node->together = UINT64_MAX;
		node->slowness = 1;
		list_init(&node->outbox);
		list_init(&node->inbox);
		process_init(node);
	}
	bus_heal(bus);
	return bus;
}

void bus_free(struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		process_fini(node);
		ring_unref(node->ring);
	}
	seen_fini(&bus->versions);
	seen_fini(&bus->digests);
	seen_fini(&bus->epochs);
	seen_fini(&bus->promises);
	free(bus);
}

void bus_set_watch(struct bus *bus, const struct bus_watch *watch, void *data)
{
	bus->watch = *watch;
	bus->watch_data = data;
}

void bus_set_pace(struct bus *bus, enum bus_pace pace)
{
	bus->pace = pace;
}

void bus_set_mutation(struct bus *bus, enum bus_mutation mutation)
{
	bus->mutation = mutation;
}

void bus_set_silence(struct bus *bus, uint64_t silence_ns)
{
	bus->silence_ns = silence_ns;
}

void bus_set_lean(struct bus *bus)
{
	bus->is_lean = true;
}

unsigned bus_n_nodes(const struct bus *bus)
{
	return bus->n_nodes;
}

void bus_connect(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];

	if (!process_connect(node))
		return;
	node->votes_are_news = true;
	node->life++;
	node_join(node);
}

/* The node's side of the end of a connection. */
void bus_lose_process(struct node *node)
{
	if (!node->connected)
		return;
	node_send_some(node, node->ring, 2);
	items_drop(&node->outbox);
	items_drop(&node->inbox);
	node->connected = false;
	node->joined = false;
	node->view = 0;
	ring_add(node->ring, item_new(ITEM_LEAVE, node->id, NULL, 0), node->bus->now_ns);
}

void bus_disconnect(struct bus *bus, uint32_t id)
{
	bus_log(bus, id, "loses its connection to corosync");
	process_disconnect(&bus->nodes[id]);
}

bool bus_is_connected(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].connected;
}

void bus_start(struct bus *bus, uint32_t id)
{
	bus_log(bus, id, "starts");
	process_start(&bus->nodes[id]);
	bus_connect(bus, id);
}

void bus_kill(struct bus *bus, uint32_t id)
{
	bus_log(bus, id, "crashes");
	bus_lose_process(&bus->nodes[id]);
	process_kill(&bus->nodes[id]);
}

bool bus_is_running(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].rs;
}

void bus_hang(struct bus *bus, uint32_t id, bool hung)
{
	if (bus->nodes[id].hung != hung)
		bus_log(bus, id, hung ? "hangs" : "wakes up");
	bus->nodes[id].hung = hung;
}

bool bus_is_hung(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].hung;
}

void bus_slow(struct bus *bus, uint32_t id, unsigned factor)
{
	bus->nodes[id].slowness = factor;
}

void bus_lag(struct bus *bus, uint32_t id, uint64_t lag_ns)
{
	bus->nodes[id].lag_ns = lag_ns;
}

void bus_fail_disk(struct bus *bus, uint32_t id, bool fails)
{
	bus->nodes[id].disk.fails = fails;
}

void bus_stall_disk(struct bus *bus, uint32_t id, bool stalls)
{
	bus->nodes[id].disk.stalls = stalls;
}

bool bus_are_in_one_ring(const struct bus *bus, uint32_t a, uint32_t b)
{
	return bus->nodes[a].ring == bus->nodes[b].ring;
}

bool bus_is_busy(const struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		const struct node *node = &bus->nodes[id];

		if (!list_empty(&node->outbox) || node->taken < node->ring->n_items ||
			(!node->hung && !list_empty(&node->inbox)))
			return true;
	}
	return false;
}

static void do_action(struct node *node, enum action action)
{
	switch (action) {
	case ACTION_TAKE:
		node_take_next(node);
		break;
	case ACTION_SEND:
		node_send(node);
		break;
	case ACTION_HAND:
		process_take(node);
		break;
	case ACTION_VOTES:
		process_hear_votes(node);
		break;
	case ACTION_TURN_END:
		process_turn_end(node);
		break;
	case ACTION_TICK:
		process_tick(node);
		break;
	case ACTION_WORK:
		process_work(node);
		break;
	case ACTION_DISK:
		disk_act(node);
		break;
	case ACTION_SAVED:
		process_hear_disk(node);
		break;
	case N_ACTIONS:
		break;
	}
	check_step(node);
}

static bool step_until(struct bus *bus, uint64_t at_ns)
{
	enum action action;
	struct node *node;
	uint64_t due_ns;

	if (!pace_next(bus, &node, &action))
		return false;
	due_ns = node->due_ns[action];
	if (due_ns > at_ns)
		return false;
	bus->now_ns = MAX(bus->now_ns, due_ns);
	node->due_ns[action] = 0;
	do_action(node, action);
	return true;
}

bool bus_step(struct bus *bus)
{
	return step_until(bus, UINT64_MAX);
}

void bus_run_until(struct bus *bus, uint64_t at_ns)
{
	while (step_until(bus, at_ns))
		continue;
	bus->now_ns = MAX(bus->now_ns, at_ns);
}

void bus_settle(struct bus *bus)
{
	for (unsigned i = 0; i < SETTLE_MAX_STEPS; i++) {
		if (!bus_step(bus))
			return;
	}
	bus_violated(bus, "the cluster does not come to rest");
}
