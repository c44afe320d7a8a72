/* SPDX-License-Identifier: MIT
 *
 * What corosync is told to do by hand: it answers after some 10 ms, so the thread waits for that.
 */
#include "cluster/cluster_impl.h"

struct demand {
	struct worker_job job;
	struct list siblings; /* the cluster's */
	int (*what)(void);
	int error;
	cluster_told_fn fn; /* NULL: nobody listens */
	void *data;
};

static void demand_job(struct worker_job *job)
{
	struct demand *demand = container_of(job, struct demand, job);

	demand->error = demand->what();
}

static void demand_end(struct demand *demand, int error)
{
	list_remove(&demand->siblings);
	if (demand->fn)
		demand->fn(error, demand->data);
}

static void on_demanded(struct worker_job *job)
{
	struct demand *demand = container_of(job, struct demand, job);

	demand_end(demand, demand->error);
	free(demand);
}

/* It was ended before. */
static void drop_demand(struct worker_job *job)
{
	free(container_of(job, struct demand, job));
}

static int tell(struct cluster *cluster, int (*what)(void), cluster_told_fn fn, void *data)
{
	struct demand *demand;

	if (!cluster->connected)
		return -EHOSTDOWN;
	demand = calloc(1, sizeof(*demand));
	if (!demand)
		return -ENOMEM;
	demand->job =
		(struct worker_job){.work = demand_job, .done = on_demanded, .drop = drop_demand};
	demand->what = what;
	demand->fn = fn;
	demand->data = data;
	list_append(&cluster->demands, &demand->siblings);
	worker_do(cluster->worker, &demand->job);
	return 0;
}

void cluster_demands_end(struct cluster *cluster)
{
	struct demand *demand, *after;

	list_for_each_safe(demand, after, &cluster->demands, siblings)
		demand_end(demand, -ECANCELED);
}

int cluster_reload_config(struct cluster *cluster, cluster_told_fn fn, void *data)
{
	return tell(cluster, cfg_reload, fn, data);
}

int cluster_stop_corosync(struct cluster *cluster, cluster_told_fn fn, void *data)
{
	return tell(cluster, cfg_shutdown, fn, data);
}
