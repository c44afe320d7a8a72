/* SPDX-License-Identifier: MIT
 *
 * The leases of the running cluster: lease.c over a process group of its own, so that ticks do not
 * wait behind a store that is being handed over. Each node's duration stands in the store
 * ("lease/NODE"), and a node has no lease before its own does: whoever takes over from it then
 * knows how long to wait.
 */
#include "base/clock.h"
#include "cluster/cluster_impl.h"
#include "cluster/lease.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX "lease/"

_Static_assert(CLUSTER_LEASE_NS == LEASE_DURATION_NS, "leases are the same");
_Static_assert(CLUSTER_LEASE_MIN_NS == LEASE_DURATION_MIN_NS, "leases are the same");
_Static_assert(CLUSTER_LEASE_MAX_NS == LEASE_DURATION_MAX_NS, "leases are the same");

struct cluster_lease {
	struct cluster *cluster;
	struct lease *lease;
	struct cpg_link *cpg; /* NULL while disconnected */
	uint64_t duration_ns;
	uint64_t timer, timer_at_ns;
	struct publisher publisher;
};

/* Milliseconds of a node's record; 0: it has none that makes sense. */
static uint64_t recorded_ns(const struct cluster *cluster, const char *node)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct json *record;
	int64_t ms;

	snprintf(key, sizeof(key), PREFIX "%s", node);
	if (cluster_get(cluster, key, &record, NULL) < 0)
		return 0;
	ms = json_get_int(record, "ms", 0);
	return ms > 0 && (uint64_t)ms <= LEASE_DURATION_MAX_NS / NS_PER_MS
		       ? (uint64_t)ms * NS_PER_MS
		       : 0;
}

static void take_durations(struct cluster_lease *cl)
{
	const struct member_table *members = &cl->cluster->members;

	for (size_t i = 0; i < members->n_nodes; i++) {
		uint64_t ns = recorded_ns(cl->cluster, members->nodes[i].name);

		if (ns)
			lease_set_duration(cl->lease, members->nodes[i].id, ns);
	}
}

/* ---- time ---- */

static void update_timer(struct cluster_lease *cl);

static void on_timer(void *data)
{
	struct cluster_lease *cl = data;

	cl->timer = 0;
	lease_tick(cl->lease, clock_boot_ns());
	update_timer(cl);
	cluster_turn_end(cl->cluster);
}

static void update_timer(struct cluster_lease *cl)
{
	struct loop *loop = cl->cluster->loop;
	uint64_t at_ns = lease_deadline(cl->lease), now_ns;

	if (cl->timer && at_ns == cl->timer_at_ns)
		return;
	loop_timer_remove(loop, cl->timer);
	cl->timer = 0;
	if (at_ns == 0)
		return;
	now_ns = clock_boot_ns();
	cl->timer_at_ns = at_ns;
	loop_timer_add(loop, at_ns > now_ns ? at_ns - now_ns : 0, on_timer, cl, &cl->timer);
}

/* ---- outputs ---- */

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct cluster_lease *cl = data;

	if (cl->cpg)
		cpg_link_multicast(cl->cpg, bytes, size_bytes);
}

static void on_renewed(uint64_t until_ns _unused_, void *data)
{
	struct cluster_lease *cl = data;
	struct cluster *cluster = cl->cluster;
	uint64_t mine_ns = cluster_lease_until_ns(cluster);

	if (mine_ns && cluster->callbacks.lease_renewed)
		cluster->callbacks.lease_renewed(mine_ns, cluster->data);
}

/* Who has not answered for so long will not answer the store either, which need not find out anew.
 */
static void on_changed(void *data)
{
	struct cluster_lease *cl = data;
	const struct member_table *members = &cl->cluster->members;

	for (size_t i = 0; i < members->n_nodes; i++) {
		if (lease_is_gone(cl->lease, members->nodes[i].id))
			rs_suspect(cl->cluster->rs, members->nodes[i].id, clock_mono_ns());
	}
	cluster_note_news(cl->cluster);
}

static const struct lease_ops lease_ops = {
	.multicast = on_multicast,
	.renewed = on_renewed,
	.changed = on_changed,
};

/* ---- inputs ---- */

static void on_confchg(const uint32_t *ids, size_t n_ids, void *data)
{
	struct cluster_lease *cl = data;

	lease_confchg(cl->lease, ids, n_ids, clock_boot_ns());
}

static void on_deliver(uint32_t sender, const void *bytes, size_t size_bytes, void *data)
{
	struct cluster_lease *cl = data;

	cluster_net_heard(cl->cluster);
	lease_deliver(cl->lease, sender, bytes, size_bytes, clock_boot_ns());
}

static void on_turn_end(void *data)
{
	struct cluster_lease *cl = data;

	update_timer(cl);
	cluster_turn_end(cl->cluster);
}

static void on_lost(int error, void *data)
{
	struct cluster_lease *cl = data;

	cluster_on_lost(error, cl->cluster);
}

static const struct cpg_link_ops cpg_ops = {
	.confchg = on_confchg,
	.deliver = on_deliver,
	.turn_end = on_turn_end,
	.lost = on_lost,
};

int cluster_lease_new(struct cluster *cluster, uint64_t duration_ns)
{
	struct cluster_lease *cl = calloc(1, sizeof(*cl));
	uint32_t life = 0;
	int r;

	if (!cl)
		return -ENOMEM;
	cl->cluster = cluster;
	cl->duration_ns = duration_ns ? duration_ns : LEASE_DURATION_NS;
	r = getrandom(&life, sizeof(life), 0) == sizeof(life) ? 0 : -EIO;
	if (r == 0)
		r = lease_new(cl->duration_ns, life | 1, &lease_ops, cl, &cl->lease);
	if (r < 0) {
		free(cl);
		return r;
	}
	cluster->lease = cl;
	return 0;
}

void cluster_lease_free(struct cluster *cluster)
{
	struct cluster_lease *cl = cluster->lease;

	if (!cl)
		return;
	cluster_lease_disconnect(cluster);
	lease_free(cl->lease);
	free(cl);
	cluster->lease = NULL;
}

int cluster_lease_connect(struct cluster *cluster, struct cpg_link *cpg)
{
	struct cluster_lease *cl = cluster->lease;

	cl->cpg = cpg;
	lease_connect(cl->lease, cpg_link_local_id(cpg));
	take_durations(cl);
	return cpg_link_start(cpg, cluster->loop, &cpg_ops, cl);
}

void cluster_lease_disconnect(struct cluster *cluster)
{
	struct cluster_lease *cl = cluster->lease;

	cpg_link_free(cl->cpg);
	cl->cpg = NULL;
	lease_disconnect(cl->lease);
	update_timer(cl);
}

void cluster_lease_votes(struct cluster *cluster, const struct rs_votes *votes)
{
	struct cluster_lease *cl = cluster->lease;
	const struct lease_votes mine = {
		.quorate = votes->quorate,
		.votes = votes->votes,
		.quorum_votes = votes->quorum_votes,
		.device_votes = votes->device_votes,
	};

	lease_set_votes(cl->lease, &mine, clock_boot_ns());
	update_timer(cl);
}

void cluster_lease_look(struct cluster *cluster)
{
	struct cluster_lease *cl = cluster->lease;
	struct json *record;

	take_durations(cl);
	update_timer(cl);
	if (!cluster_is_synced(cluster) || !cluster_local_name(cluster)[0])
		return;
	record = json_object_new();
	json_set_int(record, "ms", (int64_t)(cl->duration_ns / NS_PER_MS));
	publish(&cl->publisher, cluster, PREFIX, record);
}

uint64_t cluster_lease_until_ns(const struct cluster *cluster)
{
	const struct cluster_lease *cl = cluster->lease;
	uint64_t until_ns = lease_until_ns(cl->lease);

	/* While the record says something else, or is not confirmed, others might wait too short.
	 */
	if (!until_ns || cl->publisher.under_way ||
		recorded_ns(cluster, cluster_local_name(cluster)) != cl->duration_ns)
		return 0;
	return until_ns;
}

bool cluster_node_is_gone(const struct cluster *cluster, uint32_t id)
{
	return cluster_is_quorate(cluster) && cluster_is_synced(cluster) &&
	       lease_is_gone(cluster->lease->lease, id);
}

uint64_t cluster_node_parted_ns(const struct cluster *cluster, uint32_t id)
{
	return lease_parted_ns(cluster->lease->lease, id);
}
