/* SPDX-License-Identifier: MIT
 *
 * network_watch.c - networks and interfaces whose state changes are events. What became of a
 * network is told by one node, the lowest that is in sync; what became of an interface by the node
 * that has it. All nodes keep the states, so that whoever becomes the lowest knows them.
 *
 * When the network that a node is asked over fails, the next one takes over.
 *
 * A state counts once it has lasted a moment: the reports that a cut causes come one by one.
 */
#include "node/svc/network.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"

#include <stdio.h>
#include <string.h>

#define SETTLE_NS (500 * NS_PER_MS)

struct seen {
	char subnet[64];
	int net_state, interface_state; /* as told last */
	int net_next, interface_next;   /* as seen last */
	uint64_t net_ns, interface_ns;  /* since when that is so */
	bool is_there;
};

struct network_watch {
	struct seen seen[CLUSTER_MAX_NETS];
	uint64_t timer;
};

static struct seen *find_seen(struct network_watch *watch, const char *subnet)
{
	struct seen *empty = NULL;

	for (size_t i = 0; i < ARRAY_LEN(watch->seen); i++) {
		if (strcmp(watch->seen[i].subnet, subnet) == 0)
			return &watch->seen[i];
		if (!watch->seen[i].subnet[0] && !empty)
			empty = &watch->seen[i];
	}
	if (empty) {
		*empty = (struct seen){.net_state = CLUSTER_NET_UNKNOWN,
			.interface_state = -1,
			.net_next = CLUSTER_NET_UNKNOWN,
			.interface_next = -1};
		snprintf(empty->subnet, sizeof(empty->subnet), "%s", subnet);
	}
	return empty;
}

static void tell_network(struct svc *svc, const struct cluster_net *net, int before)
{
	static const struct {
		enum event_level level;
		const char *id, *text;
	} events[] = {
		[CLUSTER_NET_UNAVAILABLE] = {EVENT_WARNING, "network.unavailable", "unavailable"},
		[CLUSTER_NET_DOWN] = {EVENT_ERROR, "network.down", "down"},
		[CLUSTER_NET_PARTITIONED] = {EVENT_WARNING, "network.partitioned", "partitioned"},
		[CLUSTER_NET_UP] = {EVENT_INFO, "network.up", "up again"},
	};
	char object[CLUSTER_NAME_MAX_LEN + 16];

	/* That it was found is no news, unless it was found broken. */
	if (net->state == CLUSTER_NET_UNKNOWN ||
		(net->state == CLUSTER_NET_UP && before == CLUSTER_NET_UNKNOWN))
		return;
	snprintf(object, sizeof(object), "network/%s", net->name);
	events_add(svc, events[net->state].level, events[net->state].id, object,
		"network %s (%s) is %s%s%s", net->name, net->subnet, events[net->state].text,
		net->reason[0] ? ": " : "", net->reason);
}

static void tell_interface(
	struct svc *svc, const struct cluster_net *net, const char *ifname, int state, int before)
{
	static const struct {
		enum event_level level;
		const char *id, *text;
	} events[] = {
		[0] = {EVENT_WARNING, "interface.unavailable", "is unavailable"},
		[1] = {EVENT_ERROR, "interface.failed", "has failed: it reaches no other node"},
		[2] = {EVENT_WARNING, "interface.unreachable", "does not reach all other nodes"},
		[3] = {EVENT_INFO, "interface.up", "reaches all other nodes again"},
	};
	const char *node = cluster_local_name(svc->cluster);
	char object[SVC_NAME_MAX_LEN + 64];

	if (state < 0 || (state == 3 && before < 0))
		return;
	snprintf(object, sizeof(object), "interface/%s/%s", node, ifname);
	events_add(svc, events[state].level, events[state].id, object, "%s of %s on network %s %s",
		ifname, node, net->name, events[state].text);
}

/* ---- the way to the other node services ---- */

/* Requests are taken on all networks that the cluster uses: whoever asks finds one that works. */
static void listen_everywhere(struct svc *svc, const struct cluster_net *nets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *address = network_address_of(&nets[i], cluster_local_id(svc->cluster));
		int r = nets[i].role != CLUSTER_ROLE_NONE && address[0]
				? peer_listen(svc->peer, address)
				: 0;

		if (r < 0)
			log_debug("no requests are taken on %s yet: %s", address, strerror(-r));
	}
}

/* Answers that are under way over a connection are lost with it, so one that works is kept. */
static void move_peer(struct svc *svc, const struct cluster_node *node)
{
	const char *now = peer_address(svc->peer, node->name);
	struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	const struct cluster_net *first = NULL;
	char key[SVC_NAME_MAX_LEN + 8];
	const struct json *record;
	size_t n, at;

	if (!now || !node->is_member || !node->has_service)
		return;
	n = cluster_paths(svc->cluster, CLUSTER_CLASS_MANAGEMENT, cluster_local_id(svc->cluster),
		node->id, nets, paths);
	at = network_of_address(nets, n, node->id, now);
	for (size_t i = 0; i < n; i++) {
		if (paths[i].is_usable && paths[i].net == at)
			return;
		if (paths[i].is_usable && !first)
			first = &nets[paths[i].net];
	}
	snprintf(key, sizeof(key), "peer/%s", node->name);
	if (!first || cluster_get(svc->cluster, key, &record, NULL) < 0)
		return;
	log_info("%s is asked over network %s from now on", node->name, first->name);
	(void)peer_set_node(svc->peer, node->name, network_address_of(first, node->id),
		json_get_string(record, "key", NULL));
}

static void follow_networks(struct svc *svc, const struct cluster_net *nets, size_t n)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	bool all_up = true;

	if (!svc->peer)
		return;
	listen_everywhere(svc, nets, n);
	for (size_t i = 0; i < n; i++)
		all_up &= nets[i].state == CLUSTER_NET_UP;
	for (size_t i = 0; i < n_nodes && !all_up; i++) {
		if (nodes[i].id != cluster_local_id(svc->cluster))
			move_peer(svc, &nodes[i]);
	}
}

/* ---- what changed ---- */

/* True when the state has just settled to something else than was told. */
static bool settles(
	int state, int *told, int *next, uint64_t *since_ns, uint64_t now_ns, bool *ret_is_open)
{
	if (state != *next) {
		*next = state;
		*since_ns = now_ns;
	}
	if (state == *told)
		return false;
	if (now_ns - *since_ns < SETTLE_NS) {
		*ret_is_open = true;
		return false;
	}
	*told = state;
	return true;
}

static void look_at_interface(struct svc *svc, const struct cluster_net *net, struct seen *seen,
	uint64_t now_ns, bool *ret_is_open)
{
	for (size_t i = 0; i < net->n_interfaces; i++) {
		int before = seen->interface_state, state = net->interfaces[i].state;

		if (net->interfaces[i].node_id == cluster_local_id(svc->cluster) &&
			settles(state, &seen->interface_state, &seen->interface_next,
				&seen->interface_ns, now_ns, ret_is_open))
			tell_interface(svc, net, net->interfaces[i].ifname, state, before);
	}
}

static void look(void *data)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct svc *svc = data;
	struct network_watch *watch = svc->network_watch;
	uint64_t now_ns = clock_mono_ns();
	bool is_open = false, tells;
	size_t n;

	watch->timer = 0;
	/* Without quorum nothing of what the others say is current. */
	if (!cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster))
		return;
	tells = cluster_acts_for_all(svc->cluster);
	n = cluster_nets(svc->cluster, nets, ARRAY_LEN(nets));
	follow_networks(svc, nets, n);
	for (size_t i = 0; i < ARRAY_LEN(watch->seen); i++)
		watch->seen[i].is_there = false;
	for (size_t i = 0; i < n; i++) {
		struct seen *seen = find_seen(watch, nets[i].subnet);
		int before;

		if (!seen)
			continue;
		seen->is_there = true;
		before = seen->net_state;
		if (settles(nets[i].state, &seen->net_state, &seen->net_next, &seen->net_ns, now_ns,
			    &is_open) &&
			tells)
			tell_network(svc, &nets[i], before);
		look_at_interface(svc, &nets[i], seen, now_ns, &is_open);
	}
	for (size_t i = 0; i < ARRAY_LEN(watch->seen); i++) {
		if (!watch->seen[i].is_there)
			watch->seen[i].subnet[0] = '\0';
	}
	if (is_open)
		loop_timer_add(svc->loop, SETTLE_NS / 4, look, svc, &watch->timer);
}

void network_watch_note(struct svc *svc, const char *key)
{
	if (key && strncmp(key, "links/", 6) != 0 && strncmp(key, "netif/", 6) != 0)
		return;
	if (!svc->network_watch)
		svc->network_watch = calloc(1, sizeof(*svc->network_watch));
	if (svc->network_watch && !svc->network_watch->timer)
		loop_timer_add(svc->loop, 20 * NS_PER_MS, look, svc, &svc->network_watch->timer);
}

void network_watch_free(struct svc *svc)
{
	if (svc->network_watch)
		loop_timer_remove(svc->loop, svc->network_watch->timer);
	free(take_ptr(svc->network_watch));
}
