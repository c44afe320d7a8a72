/* SPDX-License-Identifier: MIT */
#include "cluster/cluster.h"
#include "base/clock.h"
#include "cluster/cluster_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(CLUSTER_MAX_NODES == RS_MAX_MEMBERS, "every node can take part");
_Static_assert(CLUSTER_KEY_MAX_LEN == RS_KEY_MAX_LEN, "keys are the same");
_Static_assert(CLUSTER_VALUE_MAX_BYTES == RS_VALUE_MAX_BYTES, "values are the same");
_Static_assert(CLUSTER_ANY_VERSION == RS_ANY_VERSION, "versions are the same");

#define DATABASE "store.sqlite"
#define CHECK_NS (60 * NS_PER_SEC)

void cluster_note_news(struct cluster *cluster)
{
	cluster->is_news = true;
	cluster_net_note(cluster, NULL);
}

/* Outputs of the replicated store. */

static void on_rs_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct cluster *cluster = data;

	if (cluster->cpg)
		cpg_link_multicast(cluster->cpg, bytes, size_bytes);
}

static void on_rs_applied(
	const char *key, const struct store_entry *entry, uint64_t version, void *data)
{
	struct cluster *cluster = data;

	if (strncmp(key, "lease/", 6) == 0)
		cluster_note_news(cluster);
	cluster_net_note(cluster, key);
	if (cluster->callbacks.store_changed)
		cluster->callbacks.store_changed(key, entry != NULL, version, cluster->data);
}

static void on_rs_changed(void *data)
{
	cluster_note_news(data);
}

static void on_rs_differs(uint32_t id, void *data)
{
	struct cluster *cluster = data;

	if (id == cluster->local_id && cluster->callbacks.copy_differs)
		cluster->callbacks.copy_differs(cluster->data);
}

static void on_rs_save_entry(const char *key, const struct store_entry *entry, void *data)
{
	struct cluster *cluster = data;

	store_writer_put(cluster->writer, key, entry);
}

static void on_rs_stage(const void *bytes, size_t size_bytes, void *data)
{
	struct cluster *cluster = data;

	store_writer_stage(cluster->writer, bytes, size_bytes);
}

static void on_rs_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	struct cluster *cluster = data;

	(void)store; /* it has been staged */
	store_writer_use_staged(cluster->writer, meta);
}

static void on_rs_save_meta(const struct rs_meta *meta, void *data)
{
	struct cluster *cluster = data;

	store_writer_promise(cluster->writer, meta);
}

static const struct rs_ops rs_ops = {
	.multicast = on_rs_multicast,
	.applied = on_rs_applied,
	.changed = on_rs_changed,
	.differs = on_rs_differs,
	.save_entry = on_rs_save_entry,
	.stage = on_rs_stage,
	.save_store = on_rs_save_store,
	.save_meta = on_rs_save_meta,
};

/* Turns. */

/* What is too long for one turn goes on in the next ones, with whatever else there is in between.
 */
static void on_work(void *data)
{
	struct cluster *cluster = data;

	cluster->work_timer = 0;
	rs_work(cluster->rs, clock_mono_ns());
	cluster_turn_end(cluster);
}

static void work_later(struct cluster *cluster)
{
	if (rs_has_work(cluster->rs) && cluster->work_timer == 0)
		loop_timer_add(cluster->loop, 0, on_work, cluster, &cluster->work_timer);
}

static void on_check(void *data)
{
	struct cluster *cluster = data;

	loop_timer_add(cluster->loop, cluster->check_ns, on_check, cluster, &cluster->check_timer);
	rs_check(cluster->rs, clock_mono_ns());
	cluster_turn_end(cluster);
}

static void on_tick(void *data)
{
	struct cluster *cluster = data;

	cluster->tick_timer = 0;
	cluster->tick_at_ns = 0;
	rs_tick(cluster->rs, clock_mono_ns());
	cluster_turn_end(cluster);
}

/* A timer that is too early is left alone: deadlines move all the time, and mostly away. */
static void tick_update(struct cluster *cluster)
{
	uint64_t at_ns = rs_deadline(cluster->rs), now_ns;

	if (at_ns == 0 || (cluster->tick_timer && cluster->tick_at_ns <= at_ns))
		return;
	now_ns = clock_mono_ns();
	loop_timer_remove(cluster->loop, cluster->tick_timer);
	cluster->tick_timer = 0;
	if (loop_timer_add(cluster->loop, at_ns > now_ns ? at_ns - now_ns : 0, on_tick, cluster,
		    &cluster->tick_timer) == 0)
		cluster->tick_at_ns = at_ns;
}

/* A store that nobody has written to: whoever takes part speaks the same, and there is no version
 * that anybody would go back to. The first one's word stands. */
static void found(struct cluster *cluster)
{
	struct json *record;

	if (cluster->is_founded || !cluster_is_synced(cluster))
		return;
	cluster->is_founded = true;
	if (store_n_keys(rs_store(cluster->rs)) > 0 || rs_protocol(cluster->rs) < 2)
		return;
	record = json_object_new();
	json_set_int(record, "floor", rs_protocol(cluster->rs));
	cluster_cas(cluster, RS_PROTOCOL_KEY, 0, record, NULL, NULL);
}

void cluster_turn_end(struct cluster *cluster)
{
	if (cluster->db_error == 0)
		store_writer_commit(cluster->writer, rs_meta(cluster->rs), rs_mark(cluster->rs));
	tick_update(cluster);
	work_later(cluster);
	if (cluster->is_news) {
		cluster->is_news = false;
		found(cluster);
		cluster_lease_look(cluster);
		if (cluster->callbacks.changed)
			cluster->callbacks.changed(cluster->data);
	}
}

/* What the disk says, some turns later. */

static void on_saved(uint64_t mark, void *data)
{
	struct cluster *cluster = data;

	if (cluster->is_saving_all && mark == rs_mark(cluster->rs)) {
		cluster->is_saving_all = false;
		cluster->db_error = 0;
	}
	rs_saved(cluster->rs, mark, clock_mono_ns());
	cluster_turn_end(cluster);
}

static void on_save_failed(int error, void *data)
{
	struct cluster *cluster = data;

	cluster->is_saving_all = false;
	cluster->db_error = error;
	cluster_note_news(cluster);
	if (cluster_is_connecting(cluster))
		cluster_disconnect(cluster);
	cluster_turn_end(cluster);
}

static const struct store_writer_ops writer_ops = {
	.saved = on_saved,
	.failed = on_save_failed,
};

/* Inputs from corosync. */

static void on_cpg_confchg(const uint32_t *ids, size_t n_ids, void *data)
{
	struct cluster *cluster = data;

	cluster->connect_error = 0;
	rs_confchg(cluster->rs, ids, n_ids, clock_mono_ns());
}

static void on_cpg_deliver(uint32_t sender, const void *bytes, size_t size_bytes, void *data)
{
	struct cluster *cluster = data;

	cluster_net_heard(cluster);
	rs_deliver(cluster->rs, sender, bytes, size_bytes, clock_mono_ns());
}

static void on_cpg_turn_end(void *data)
{
	cluster_turn_end(data);
}

const struct cpg_link_ops cluster_cpg_ops = {
	.confchg = on_cpg_confchg,
	.deliver = on_cpg_deliver,
	.turn_end = on_cpg_turn_end,
	.lost = cluster_on_lost,
};

static int make_rs(struct cluster *cluster, const char *state_dir)
{
	struct rs_config config = {.newest = (uint16_t)cluster->protocol_newest};
	char path[PATH_MAX];
	struct rs_meta meta;
	struct store *store;
	int r;

	if (snprintf(path, sizeof(path), "%s/" DATABASE, state_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (getrandom(&config.nonce, sizeof(config.nonce), 0) != sizeof(config.nonce))
		return -errno;
	r = store_writer_open(
		path, cluster->loop, &writer_ops, cluster, &cluster->writer, &store, &meta);
	if (r < 0)
		return r;
	r = rs_new(&config, &rs_ops, cluster, store, &meta, &cluster->rs);
	if (r < 0)
		store_free(store);
	return r;
}

int cluster_new(struct loop *loop, const struct cluster_config *config,
	const struct cluster_callbacks *callbacks, void *data, struct cluster **ret_cluster)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	int r;

	if (!cluster)
		return -ENOMEM;
	cluster->loop = loop;
	list_init(&cluster->demands);
	cluster->callbacks = *callbacks;
	cluster->data = data;
	cluster->protocol_newest =
		config->protocol_newest ? config->protocol_newest : RS_WIRE_NEWEST;
	cluster->check_ns = config->check_ns ? config->check_ns : CHECK_NS;
	r = make_rs(cluster, config->state_dir);
	if (r == 0)
		r = loop_timer_add(
			loop, cluster->check_ns, on_check, cluster, &cluster->check_timer);
	if (r == 0)
		r = cluster_lease_new(cluster, config->lease_ns);
	if (r == 0)
		r = cluster_net_new(cluster);
	if (r == 0)
		r = cluster_connect_new(cluster);
	if (r < 0) {
		loop_timer_remove(loop, cluster->check_timer);
		cluster_net_free(cluster);
		cluster_lease_free(cluster);
		rs_free(cluster->rs);
		store_writer_free(cluster->writer);
		free(cluster);
		return r;
	}
	*ret_cluster = cluster;
	return 0;
}

void cluster_free(struct cluster *cluster)
{
	if (!cluster)
		return;
	cluster->callbacks = (struct cluster_callbacks){};
	cluster_connect_free(cluster);
	loop_timer_remove(cluster->loop, cluster->tick_timer);
	loop_timer_remove(cluster->loop, cluster->work_timer);
	loop_timer_remove(cluster->loop, cluster->check_timer);
	if (cluster->db_error == 0)
		store_writer_commit(cluster->writer, rs_meta(cluster->rs), rs_mark(cluster->rs));
	cluster_lease_free(cluster);
	cluster_net_free(cluster);
	store_writer_free(cluster->writer);
	rs_free(cluster->rs);
	free(cluster);
}

int cluster_cas(struct cluster *cluster, const char *key, uint64_t expected, struct json *value,
	cluster_done_fn done, void *data)
{
	_cleanup_json_ struct json *record = value;
	_cleanup_free_ char *text = NULL;

	if (record) {
		text = json_dump(record, 0);
		if (!text)
			return -ENOMEM;
	}
	return rs_write(cluster->rs, key, expected, text, text ? strlen(text) : 0, done, data,
		clock_mono_ns());
}
