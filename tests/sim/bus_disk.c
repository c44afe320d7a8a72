/* SPDX-License-Identifier: MIT
 *
 * The disk of a node: what its process wants saved waits in a queue, as with store_writer.c, and
 * becomes true one transaction after another. The process hears of it later. A crash loses the
 * queue.
 */
#include <stdio.h>

#include "tests/sim/bus_impl.h"

enum job_type {
	JOB_CHANGE, /* of an entry; joins the next of the others, which each end a transaction */
	JOB_STORE,
	JOB_PROMISE,
	JOB_COMMIT,
};

struct job {
	struct list siblings;
	enum job_type type;
	uint64_t at_ns;
	char *key;
	char *value; /* NULL: deleted */
	size_t value_bytes;
	uint64_t version;
	struct store *store; /* JOB_STORE; NULL when nobody looks at it */
	struct rs_meta meta;
	uint64_t mark;
};

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "%s: %d\n", what, r);
	abort();
}

static void job_free(struct job *job)
{
	if (!job)
		return;
	free(job->key);
	free(job->value);
	store_free(job->store);
	free(job);
}

static struct job *add(struct node *node, enum job_type type, const struct rs_meta *meta)
{
	struct disk *disk = &node->disk;
	struct job *job = calloc(1, sizeof(*job));

	must(job ? 0 : -ENOMEM, "a disk's queue");
	job->type = type;
	job->at_ns = MAX(node->bus->now_ns, node->busy_until_ns);
	if (meta)
		job->meta = *meta;
	list_append(&disk->jobs, &job->siblings);
	disk->n_transactions += type != JOB_CHANGE;
	return job;
}

static void drop_jobs(struct disk *disk)
{
	struct job *job;

	while ((job = list_pop(&disk->jobs, struct job, siblings)))
		job_free(job);
	disk->n_transactions = 0;
}

struct store *disk_copy(const struct store *store)
{
	struct buf snapshot = {};
	struct store *copy;

	store_snapshot(store, &snapshot);
	must(store_from_snapshot(snapshot.data, snapshot.size_bytes, &copy), "copy of a store");
	buf_fini(&snapshot);
	return copy;
}

void disk_put(struct node *node, const char *key, const struct store_entry *entry)
{
	struct job *job;

	if (node->bus->is_lean)
		return;
	job = add(node, JOB_CHANGE, NULL);
	job->key = strdup(key);
	if (!entry)
		return;
	job->value = strndup(entry->value, entry->value_bytes);
	job->value_bytes = entry->value_bytes;
	job->version = entry->version;
}

void disk_promise(struct node *node, const struct rs_meta *meta)
{
	add(node, JOB_PROMISE, meta);
}

void disk_replace(struct node *node, const struct store *store, const struct rs_meta *meta)
{
	struct job *job = add(node, JOB_STORE, meta);

	if (!node->bus->is_lean)
		job->store = disk_copy(store);
}

void disk_commit(struct node *node)
{
	uint64_t mark = rs_mark(node->rs);

	if (mark == node->disk.given)
		return;
	node->disk.given = mark;
	add(node, JOB_COMMIT, rs_meta(node->rs))->mark = mark;
}

void disk_save_all(struct node *node)
{
	struct disk *disk = &node->disk;

	drop_jobs(disk);
	store_free(disk->store);
	disk->store = disk_copy(rs_store(node->rs));
	disk->meta = *rs_meta(node->rs);
	disk->given = disk->mark = disk->heard = rs_mark(node->rs);
	disk->error = 0;
	rs_saved(node->rs, disk->mark, node->bus->now_ns);
}

static void write_change(struct disk *disk, const struct job *job)
{
	if (job->value)
		must(store_put(disk->store, job->key, strlen(job->key), job->value,
			     job->value_bytes, job->version),
			"write to the disk");
	else
		must(store_delete(disk->store, job->key), "delete on the disk");
}

static void write_job(struct node *node, struct job *job)
{
	struct disk *disk = &node->disk;
	bool forgets = node->bus->mutation == BUS_FORGETS_WRITES;

	if (job->type == JOB_CHANGE) {
		if (!forgets)
			write_change(disk, job);
		return;
	}
	if (job->store && !forgets) {
		store_free(disk->store);
		disk->store = take_ptr(job->store);
	}
	if (!forgets) {
		disk->meta.generation = job->meta.generation;
		disk->meta.version = job->meta.version;
		disk->meta.is_worthless = job->meta.is_worthless;
	}
	if (node->bus->mutation != BUS_FORGETS_PROMISES)
		disk->meta.promised = job->meta.promised;
	disk->meta.promised = MAX(disk->meta.promised, disk->meta.generation);
	disk->mark = MAX(disk->mark, job->mark);
}

void disk_act(struct node *node)
{
	struct disk *disk = &node->disk;
	enum job_type type = JOB_CHANGE;
	struct job *job;

	disk->free_ns = node->bus->now_ns;
	/* After an error nothing is done until everything is saved again. */
	if (disk->fails || disk->error || node->disk_error) {
		if (!node->disk_error)
			disk->error = -EIO;
		drop_jobs(disk);
		return;
	}
	while (type == JOB_CHANGE && (job = list_pop(&disk->jobs, struct job, siblings))) {
		type = job->type;
		write_job(node, job);
		job_free(job);
	}
	disk->n_transactions--;
}

bool disk_is_busy(const struct node *node)
{
	return node->rs && node->disk.n_transactions > 0 && !node->disk.stalls;
}

bool disk_is_synced_next(const struct node *node, uint64_t *ret_at_ns)
{
	const struct job *job = NULL;

	list_for_each(job, &node->disk.jobs, siblings) {
		if (job->type != JOB_CHANGE)
			break;
	}
	*ret_at_ns = MAX(node->disk.free_ns, job->at_ns);
	return job->type == JOB_PROMISE;
}

bool disk_has_news(const struct node *node)
{
	return node->disk.mark != node->disk.heard || node->disk.error;
}

void disk_reset(struct node *node)
{
	struct disk *disk = &node->disk;

	drop_jobs(disk);
	disk->given = disk->mark = disk->heard = 0;
	disk->error = 0;
}

void disk_init(struct node *node)
{
	list_init(&node->disk.jobs);
	must(store_new(&node->disk.store), "disk");
}

void disk_fini(struct node *node)
{
	drop_jobs(&node->disk);
	store_free(node->disk.store);
}
