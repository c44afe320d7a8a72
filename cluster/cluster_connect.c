/* SPDX-License-Identifier: MIT
 *
 * The connection to corosync: opened by a thread, all links together, and given up together.
 */
#include "base/clock.h"
#include "cluster/cluster_impl.h"
#include "cluster/corosync_conf.h"

#include <string.h>

#define GROUP          "viaduct-store"
#define CONNECT_MIN_NS (50 * NS_PER_MS)
#define CONNECT_MAX_NS (1 * NS_PER_SEC)

/* What the thread opens, and reads. */
struct cluster_attempt {
	struct worker_job job;
	struct worker *worker;
	struct cluster *cluster; /* the loop's */
	bool is_cancelled;
	struct quorum_link *quorum;
	struct cmap_link *cmap;
	struct cfg_link *cfg;
	struct cpg_link *lease_group, *group;
	struct cmap_config config;
	int error;
};

/* What is configured is read anew. */
struct cluster_reread {
	struct worker_job job;
	struct cluster *cluster;
	bool is_due; /* again */
	struct cmap_config config;
	int error;
};

static void connect_later(struct cluster *cluster);

/* ---- what corosync says ---- */

static void take_quorum(struct cluster *cluster)
{
	const struct quorum_info *info = quorum_link_info(cluster->quorum);
	struct rs_votes votes = {
		.quorate = info->quorate,
		.votes = info->local_votes,
		.quorum_votes = info->quorum_votes,
		.device_votes = info->device_votes,
		.nodes_needed = info->nodes_needed,
	};

	member_set_present(&cluster->members, info->members, info->n_members);
	rs_set_votes(cluster->rs, &votes, clock_mono_ns());
	cluster_lease_votes(cluster, &votes);
	cluster_note_news(cluster);
}

static void on_quorum_changed(void *data)
{
	struct cluster *cluster = data;

	if (cluster->connected)
		take_quorum(cluster);
	cluster_turn_end(cluster);
}

static const struct quorum_link_ops quorum_ops = {
	.changed = on_quorum_changed,
	.lost = cluster_on_lost,
};

static int take_config(struct cluster *cluster, const struct cmap_config *config)
{
	const struct quorum_info *info = quorum_link_info(cluster->quorum);

	if (config->n_nodes == 1 && corosync_is_alone(config->nodes[0].ring_addr[0]))
		return -EADDRNOTAVAIL;
	member_configure(&cluster->members, config->nodes, config->n_nodes);
	memcpy(cluster->link_priority, config->priority, sizeof(cluster->link_priority));
	member_set_present(&cluster->members, info->members, info->n_members);
	cluster_note_news(cluster);
	return 0;
}

static void reread_job(struct worker_job *job)
{
	struct cluster_reread *reread = container_of(job, struct cluster_reread, job);

	reread->error = cmap_read(&reread->config);
}

static void reread_now(struct cluster *cluster)
{
	struct cluster_reread *reread = cluster->reread;

	reread->is_due = worker_has(&reread->job);
	if (!reread->is_due)
		worker_do(cluster->worker, &reread->job);
}

static void on_reread(struct worker_job *job)
{
	struct cluster_reread *reread = container_of(job, struct cluster_reread, job);
	struct cluster *cluster = reread->cluster;
	int r = reread->error;

	if (!cluster->connected)
		return;
	if (reread->is_due)
		reread_now(cluster);
	if (r == 0)
		r = take_config(cluster, &reread->config);
	if (r < 0)
		cluster_on_lost(r, cluster);
	else
		cluster_turn_end(cluster);
}

static void drop_reread(struct worker_job *job)
{
	free(container_of(job, struct cluster_reread, job));
}

static void on_cmap_changed(void *data)
{
	struct cluster *cluster = data;

	if (cluster->connected)
		reread_now(cluster);
}

static const struct cmap_link_ops cmap_ops = {
	.changed = on_cmap_changed,
	.lost = cluster_on_lost,
};

/* ---- opening: the thread ---- */

static void attempt_close(struct worker_job *job)
{
	struct cluster_attempt *attempt = container_of(job, struct cluster_attempt, job);

	cpg_link_close(attempt->group);
	cpg_link_close(attempt->lease_group);
	cfg_link_close(attempt->cfg);
	cmap_link_close(attempt->cmap);
	quorum_link_close(attempt->quorum);
	free(attempt);
}

static void attempt_open(struct worker_job *job)
{
	struct cluster_attempt *attempt = container_of(job, struct cluster_attempt, job);
	struct worker *worker = attempt->worker;
	int r = quorum_link_open(worker, &attempt->quorum);

	if (r == 0)
		r = cmap_link_open(worker, &attempt->cmap);
	if (r == 0)
		r = cmap_read(&attempt->config);
	if (r == 0)
		r = cfg_link_open(worker, &attempt->cfg);
	if (r == 0)
		r = cpg_link_open(worker, CLUSTER_LEASE_GROUP, &attempt->lease_group);
	if (r == 0)
		r = cpg_link_open(worker, GROUP, &attempt->group);
	attempt->error = r;
}

/* ---- the loop ---- */

/* What comes in before the last one is started is no loss: that takes everything as it is then. */
static int start_links(struct cluster *cluster, struct cluster_attempt *attempt)
{
	int r;

	cluster->quorum = take_ptr(attempt->quorum);
	cluster->cmap = take_ptr(attempt->cmap);
	cluster->cfg = take_ptr(attempt->cfg);
	cluster->cpg = take_ptr(attempt->group);
	r = quorum_link_start(cluster->quorum, cluster->loop, &quorum_ops, cluster);
	if (r == 0)
		r = cmap_link_start(cluster->cmap, cluster->loop, &cmap_ops, cluster);
	if (r == 0)
		r = take_config(cluster, &attempt->config);
	if (r == 0)
		r = cluster_lease_connect(cluster, take_ptr(attempt->lease_group));
	if (r == 0)
		r = cpg_link_start(cluster->cpg, cluster->loop, &cluster_cpg_ops, cluster);
	if (r < 0)
		return r;
	cfg_link_start(cluster->cfg, &cluster_cfg_ops, cluster);
	cluster->connected = true;
	cluster->connect_after_ns = CONNECT_MIN_NS;
	cluster->local_id = cpg_link_local_id(cluster->cpg);
	rs_connect(cluster->rs, cluster->local_id);
	take_quorum(cluster);
	cluster_poll_start(cluster);
	return 0;
}

static void on_opened(struct worker_job *job)
{
	struct cluster_attempt *attempt = container_of(job, struct cluster_attempt, job);
	struct cluster *cluster = attempt->cluster;
	int r = attempt->is_cancelled ? -ECANCELED : attempt->error;

	cluster->attempt = NULL;
	if (r == 0)
		r = start_links(cluster, attempt);
	if (r < 0 && !attempt->is_cancelled)
		cluster_on_lost(r, cluster);
	else
		cluster_turn_end(cluster);
	/* What nobody has taken. */
	*job = (struct worker_job){.work = attempt_close};
	worker_do(cluster->worker, job);
}

static int attempt_begin(struct cluster *cluster)
{
	struct cluster_attempt *attempt = calloc(1, sizeof(*attempt));

	if (!attempt)
		return -ENOMEM;
	attempt->cluster = cluster;
	attempt->worker = cluster->worker;
	attempt->job =
		(struct worker_job){.work = attempt_open, .done = on_opened, .drop = attempt_close};
	cluster->attempt = attempt;
	worker_do(cluster->worker, &attempt->job);
	return 0;
}

static void save_all(struct cluster *cluster)
{
	struct store_view *view;

	if (cluster->is_saving_all || rs_view(cluster->rs, &view) < 0)
		return;
	cluster->is_saving_all = store_writer_save_all(cluster->writer, view, rs_meta(cluster->rs),
					 rs_mark(cluster->rs)) == 0;
}

static void on_connect(void *data)
{
	struct cluster *cluster = data;
	int r;

	cluster->connect_timer = 0;
	/* One that was given up has not ended yet. */
	if (cluster->attempt) {
		connect_later(cluster);
		return;
	}
	/* The disk first: without it this node must not promise anything. */
	if (cluster->db_error < 0)
		save_all(cluster);
	r = cluster->db_error < 0 ? cluster->db_error : attempt_begin(cluster);
	if (r < 0)
		cluster_on_lost(r, cluster);
	else
		cluster_turn_end(cluster);
}

static void connect_later(struct cluster *cluster)
{
	if (cluster->connect_timer)
		return;
	loop_timer_add(cluster->loop, cluster->connect_after_ns, on_connect, cluster,
		&cluster->connect_timer);
	cluster->connect_after_ns = MIN(cluster->connect_after_ns * 2, CONNECT_MAX_NS);
}

bool cluster_is_connecting(const struct cluster *cluster)
{
	return cluster->connected || (cluster->attempt && !cluster->attempt->is_cancelled);
}

void cluster_disconnect(struct cluster *cluster)
{
	const struct rs_votes none = {};

	if (cluster->attempt)
		cluster->attempt->is_cancelled = true;
	cluster_poll_stop(cluster);
	cluster_lease_disconnect(cluster);
	cpg_link_free(take_ptr(cluster->cpg));
	cfg_link_free(take_ptr(cluster->cfg));
	cmap_link_free(take_ptr(cluster->cmap));
	quorum_link_free(take_ptr(cluster->quorum));
	member_set_present(&cluster->members, NULL, 0);
	if (cluster->connected)
		cluster_note_news(cluster);
	cluster->connected = false;
	rs_disconnect(cluster->rs);
	rs_set_votes(cluster->rs, &none, clock_mono_ns());
	cluster_lease_votes(cluster, &none);
	loop_timer_remove(cluster->loop, cluster->connect_timer);
	cluster->connect_timer = 0;
	connect_later(cluster);
}

void cluster_on_lost(int error, void *data)
{
	struct cluster *cluster = data;

	cluster->connect_error = error;
	cluster_disconnect(cluster);
	cluster_turn_end(cluster);
}

int cluster_connect_new(struct cluster *cluster)
{
	int r;

	cluster->reread = calloc(1, sizeof(*cluster->reread));
	if (!cluster->reread)
		return -ENOMEM;
	cluster->reread->cluster = cluster;
	cluster->reread->job =
		(struct worker_job){.work = reread_job, .done = on_reread, .drop = drop_reread};
	r = worker_new(cluster->loop, "corosync", &cluster->worker);
	if (r < 0) {
		free(take_ptr(cluster->reread));
		return r;
	}
	connect_later(cluster); /* at once */
	cluster->connect_after_ns = CONNECT_MIN_NS;
	return cluster->connect_timer ? 0 : -ENOMEM;
}

void cluster_connect_free(struct cluster *cluster)
{
	bool is_rereading = worker_has(&cluster->reread->job);

	cluster_disconnect(cluster);
	cluster_demands_end(cluster);
	loop_timer_remove(cluster->loop, cluster->connect_timer);
	worker_free(cluster->worker);
	/* Else the thread frees it. */
	if (!is_rereading)
		free(cluster->reread);
}
