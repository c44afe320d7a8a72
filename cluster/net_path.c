/* SPDX-License-Identifier: MIT */
#include "cluster/net_path.h"

#include <stdio.h>
#include <string.h>

struct plan {
	const struct net_input *in;
	const struct cluster_net *nets;
	size_t n_nets;
	enum cluster_class class;
	uint32_t from, to;
	const struct cluster_net *lowest; /* metric; migrations leave it alone if they can */
};

static bool is_clustered(const struct cluster_net *net)
{
	return net->role == CLUSTER_ROLE_CLUSTER || net->role == CLUSTER_ROLE_CLUSTER_AND_CLIENT;
}

static const struct cluster_net *find_lowest(const struct cluster_net *nets, size_t n_nets)
{
	const struct cluster_net *lowest = NULL;

	for (size_t i = 0; i < n_nets; i++) {
		if (is_clustered(&nets[i]) && (!lowest || nets[i].metric < lowest->metric))
			lowest = &nets[i];
	}
	return lowest;
}

static bool has_interface(const struct cluster_net *net, uint32_t node_id)
{
	for (size_t i = 0; i < net->n_interfaces; i++) {
		if (net->interfaces[i].node_id == node_id)
			return true;
	}
	return false;
}

static const char *name_of(const struct plan *plan, uint32_t id)
{
	size_t at = net_find_node(plan->in, id);

	return at < plan->in->n_nodes ? plan->in->nodes[at].name : "?";
}

/* The corosync link of both over that network; -1: none. */
static int link_of(const struct plan *plan, const struct cluster_net *net)
{
	size_t a = net_find_node(plan->in, plan->from), b = net_find_node(plan->in, plan->to);
	struct net_subnet subnet;

	if (a == plan->in->n_nodes || b == plan->in->n_nodes ||
		!net_subnet_parse(net->subnet, &subnet))
		return -1;
	return net_pair_link(plan->in, &subnet, a, b);
}

/* By what people have set: NULL, or why not. */
static const char *forbidden(const struct plan *plan, const struct cluster_net *net)
{
	if (plan->class == CLUSTER_CLASS_HEARTBEAT)
		return link_of(plan, net) < 0 ? "no corosync link runs over it" : NULL;
	if (plan->class != CLUSTER_CLASS_MIGRATION)
		return is_clustered(net) ? NULL : "its role is None";
	if (net->migration_order < 0)
		return "it is excluded from migrations";
	if (net->migration_order > 0)
		return NULL;
	if (plan->in->migration.strict)
		return "strict mode: it is not in the migration order";
	return is_clustered(net) ? NULL : "its role is None";
}

/* By how things are. */
static bool works(const struct plan *plan, const struct cluster_net *net, char *why, size_t size)
{
	enum net_talk talk;

	for (size_t i = 0; i < 2; i++) {
		uint32_t id = i == 0 ? plan->from : plan->to;
		size_t at = net_find_node(plan->in, id);

		if (at < plan->in->n_nodes && !plan->in->nodes[at].is_member) {
			snprintf(why, size, "%.40s is down", name_of(plan, id));
			return false;
		}
		if (!has_interface(net, id)) {
			snprintf(why, size, "%.40s has no interface on it", name_of(plan, id));
			return false;
		}
	}
	talk = net_talk(plan->in, net, plan->from, plan->to);
	if (talk == NET_TALK_YES)
		return true;
	if (talk == NET_TALK_NO)
		snprintf(why, size, "%.40s cannot reach %.40s on it", name_of(plan, plan->from),
			name_of(plan, plan->to));
	else
		snprintf(why, size, "it is not known whether %.40s reaches %.40s on it",
			name_of(plan, plan->from), name_of(plan, plan->to));
	return false;
}

/* Whether migrations rather take `a` than `b`. */
static bool is_better_for_migration(
	const struct plan *plan, const struct cluster_net *a, const struct cluster_net *b)
{
	if ((a->migration_order > 0) != (b->migration_order > 0))
		return a->migration_order > 0;
	if (a->migration_order != b->migration_order)
		return a->migration_order < b->migration_order;
	if (a->migration_order == 0 && (a == plan->lowest || b == plan->lowest))
		return b == plan->lowest;
	if (a->role != b->role)
		return a->role < b->role;
	return a->metric < b->metric;
}

static bool is_better_for_heartbeat(
	const struct plan *plan, const struct cluster_net *a, const struct cluster_net *b)
{
	int x = link_of(plan, a), y = link_of(plan, b);

	if (plan->in->link_priority[x] != plan->in->link_priority[y])
		return plan->in->link_priority[x] > plan->in->link_priority[y];
	return x < y;
}

static bool is_better(
	const struct plan *plan, const struct cluster_net *a, const struct cluster_net *b)
{
	switch (plan->class) {
	case CLUSTER_CLASS_MIGRATION:
		return is_better_for_migration(plan, a, b);
	case CLUSTER_CLASS_HEARTBEAT:
		return is_better_for_heartbeat(plan, a, b);
	case CLUSTER_CLASS_MANAGEMENT:
		if (a->role != b->role)
			return a->role > b->role;
		return a->metric < b->metric;
	default:
		return a->metric < b->metric;
	}
}

/* Why a network that works stands where it does. */
static void explain(const struct plan *plan, const struct cluster_net *net, char *why, size_t size)
{
	if (plan->class == CLUSTER_CLASS_HEARTBEAT)
		snprintf(why, size, "corosync's link %d", link_of(plan, net));
	else if (plan->class == CLUSTER_CLASS_MIGRATION && net->migration_order > 0)
		snprintf(why, size, "number %d of the migration order", net->migration_order);
	else if (plan->class == CLUSTER_CLASS_MIGRATION && net == plan->lowest)
		snprintf(why, size,
			"metric %u, the lowest: left to the cluster if there is another",
			net->metric);
	else if (plan->class == CLUSTER_CLASS_MANAGEMENT &&
		 net->role == CLUSTER_ROLE_CLUSTER_AND_CLIENT)
		snprintf(why, size, "for clients too, metric %u", net->metric);
	else if (net->role == CLUSTER_ROLE_CLUSTER)
		snprintf(why, size, "for the cluster only, metric %u", net->metric);
	else
		snprintf(why, size, "metric %u", net->metric);
}

static struct cluster_path judge(const struct plan *plan, size_t at)
{
	const struct cluster_net *net = &plan->nets[at];
	struct cluster_path path = {.net = at};
	const char *why = forbidden(plan, net);

	path.is_allowed = !why;
	if (why)
		snprintf(path.why, sizeof(path.why), "%s", why);
	else if (works(plan, net, path.why, sizeof(path.why)))
		path.is_usable = true;
	/* What a node does not have is missed only where people asked for it. */
	if (!path.is_usable && net->migration_order <= 0 &&
		(!has_interface(net, plan->from) || !has_interface(net, plan->to)))
		path.is_allowed = false;
	if (path.is_usable)
		explain(plan, net, path.why, sizeof(path.why));
	return path;
}

/* Allowed before not allowed; allowed ones as they are preferred. */
static bool comes_before(
	const struct plan *plan, const struct cluster_path *a, const struct cluster_path *b)
{
	if (a->is_allowed != b->is_allowed)
		return a->is_allowed;
	return a->is_allowed && is_better(plan, &plan->nets[a->net], &plan->nets[b->net]);
}

size_t net_path_plan(const struct net_input *in, const struct cluster_net *nets, size_t n_nets,
	enum cluster_class class, uint32_t from, uint32_t to, struct cluster_path *ret_paths)
{
	const struct plan plan = {
		.in = in,
		.nets = nets,
		.n_nets = n_nets,
		.class = class,
		.from = from,
		.to = to,
		.lowest = find_lowest(nets, n_nets),
	};

	for (size_t i = 0; i < n_nets; i++) {
		struct cluster_path path = judge(&plan, i);
		size_t at = i;

		for (; at > 0 && comes_before(&plan, &path, &ret_paths[at - 1]); at--)
			ret_paths[at] = ret_paths[at - 1];
		ret_paths[at] = path;
	}
	return n_nets;
}
