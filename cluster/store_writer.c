/* SPDX-License-Identifier: MIT */
#include "cluster/store_writer.h"
#include "base/list.h"
#include "base/thread.h"
#include "cluster/store_db.h"

#include <string.h>

enum work_type {
	WORK_PUT,
	WORK_PROMISE,
	WORK_STAGE,
	WORK_USE_STAGED,
	WORK_COMMIT,
	WORK_SAVE_ALL,
};

struct work {
	struct list siblings;
	enum work_type type;
	struct rs_meta meta;
	uint64_t mark;
	char *key;                 /* of an entry that is deleted */
	struct store_entry *entry; /* a copy; NULL: deleted */
	void *bytes;               /* entries of a snapshot; NULL: staging begins */
	size_t size_bytes;
};

struct store_writer {
	const struct store_writer_ops *ops;
	void *data;
	struct list given; /* in the turn that is not at its end */
	uint64_t given_mark;
	int error; /* no memory for what was given */
	/* What is saved after an error; made and freed here, read by the thread. */
	struct store_view *all;

	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	struct loop_event *done; /* there is something to hear of */
	/* Under `lock`. */
	struct list queue;
	bool is_ending;
	uint64_t saved_mark;
	int failed;
	bool all_is_done;

	/* The thread's. */
	struct store_db *db;
	bool has_failed;
};

static void work_free(struct work *work)
{
	if (!work)
		return;
	free(work->key);
	free(work->entry);
	free(work->bytes);
	free(work);
}

static void drop(struct list *list)
{
	struct work *work;

	while ((work = list_pop(list, struct work, siblings)))
		work_free(work);
}

static void move_all(struct list *from, struct list *to)
{
	struct work *work;

	while ((work = list_pop(from, struct work, siblings)))
		list_append(to, &work->siblings);
}

/* ---- the thread ---- */

static void tell(struct store_writer *writer, int r, const struct work *work)
{
	pthread_mutex_lock(&writer->lock);
	if (r == 0)
		writer->saved_mark = MAX(writer->saved_mark, work->mark);
	else
		writer->failed = r;
	writer->all_is_done = writer->all_is_done || work->type == WORK_SAVE_ALL;
	pthread_mutex_unlock(&writer->lock);
	loop_event_raise(writer->done);
}

/* Something follows that ends the same transaction as well. */
static bool is_joined(const struct list *works, const struct work *work)
{
	const struct work *next;

	if (work->type != WORK_COMMIT || list_empty(works))
		return false;
	next = list_entry(works->next, struct work, siblings);
	return next->type == WORK_PUT || next->type == WORK_COMMIT;
}

/* They were parsed before: all of them are whole. */
static void stage(struct store_writer *writer, const struct work *work)
{
	union {
		struct store_entry entry;
		char room[sizeof(struct store_entry) + RS_KEY_MAX_LEN + 1];
	} next;
	struct reader in = reader_make(work->bytes, work->size_bytes);

	if (!work->bytes)
		store_db_stage(writer->db, NULL);
	while (work->bytes && store_entry_read(&in, &next.entry))
		store_db_stage(writer->db, &next.entry);
}

static int do_work(struct store_writer *writer, const struct work *work)
{
	switch (work->type) {
	case WORK_PUT:
		store_db_put(writer->db, work->entry ? work->entry->key : work->key, work->entry);
		return 0;
	case WORK_STAGE:
		stage(writer, work);
		return 0;
	case WORK_PROMISE:
		return store_db_save_meta(writer->db, &work->meta);
	case WORK_USE_STAGED:
		return store_db_save_staged(writer->db, &work->meta);
	case WORK_COMMIT:
		return store_db_commit(writer->db, &work->meta);
	case WORK_SAVE_ALL:
		return store_db_save_view(writer->db, writer->all, &work->meta);
	}
	return 0;
}

static void do_works(struct store_writer *writer, struct list *works)
{
	struct work *work;
	int r;

	while ((work = list_pop(works, struct work, siblings))) {
		writer->has_failed = writer->has_failed && work->type != WORK_SAVE_ALL;
		if (!writer->has_failed && !is_joined(works, work)) {
			r = do_work(writer, work);
			writer->has_failed = r < 0;
			if (r < 0 || work->type == WORK_COMMIT || work->type == WORK_SAVE_ALL)
				tell(writer, r, work);
		}
		work_free(work);
	}
}

static void write_thread(void *data)
{
	struct store_writer *writer = data;
	bool has_rest = true;
	struct list works;

	list_init(&works);
	pthread_mutex_lock(&writer->lock);
	for (;;) {
		if (list_empty(&writer->queue) && writer->is_ending)
			break;
		if (list_empty(&writer->queue) && !has_rest) {
			pthread_cond_wait(&writer->wakeup, &writer->lock);
			continue;
		}
		move_all(&writer->queue, &works);
		pthread_mutex_unlock(&writer->lock);
		if (list_empty(&works))
			store_db_tidy(writer->db);
		do_works(writer, &works);
		has_rest = !writer->has_failed && store_db_has_rest(writer->db);
		pthread_mutex_lock(&writer->lock);
	}
	pthread_mutex_unlock(&writer->lock);
}

/* ---- the loop ---- */

static void on_done(void *data)
{
	struct store_writer *writer = data;
	bool all_is_done;
	uint64_t mark;
	int failed;

	pthread_mutex_lock(&writer->lock);
	mark = writer->saved_mark;
	failed = writer->failed;
	all_is_done = writer->all_is_done;
	writer->failed = 0;
	writer->all_is_done = false;
	pthread_mutex_unlock(&writer->lock);
	if (all_is_done)
		store_view_free(take_ptr(writer->all));
	if (failed < 0)
		writer->ops->failed(failed, writer->data);
	else
		writer->ops->saved(mark, writer->data);
}

int store_writer_open(const char *path, struct loop *loop, const struct store_writer_ops *ops,
	void *data, struct store_writer **ret_writer, struct store **ret_store,
	struct rs_meta *ret_meta)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	struct store *store = NULL;
	int r;

	if (!writer)
		return -ENOMEM;
	writer->ops = ops;
	writer->data = data;
	list_init(&writer->given);
	list_init(&writer->queue);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->wakeup, NULL);
	r = store_db_open(path, &writer->db, &store, ret_meta);
	if (r == 0)
		r = loop_event_new(loop, on_done, writer, &writer->done);
	if (r == 0)
		r = thread_start(&writer->thread, "store", write_thread, writer);
	if (r < 0) {
		store_free(store);
		store_writer_free(writer);
		return r;
	}
	*ret_writer = writer;
	*ret_store = store;
	return 0;
}

void store_writer_free(struct store_writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->is_ending = true;
	pthread_cond_signal(&writer->wakeup);
	pthread_mutex_unlock(&writer->lock);
	thread_join(&writer->thread);
	loop_event_free(writer->done);
	drop(&writer->given);
	drop(&writer->queue);
	store_view_free(writer->all);
	store_db_close(writer->db);
	pthread_mutex_destroy(&writer->lock);
	pthread_cond_destroy(&writer->wakeup);
	free(writer);
}

static struct work *give(
	struct store_writer *writer, enum work_type type, const struct rs_meta *meta)
{
	struct work *work = calloc(1, sizeof(*work));

	if (!work) {
		writer->error = -ENOMEM;
		return NULL;
	}
	work->type = type;
	if (meta)
		work->meta = *meta;
	list_append(&writer->given, &work->siblings);
	return work;
}

void store_writer_put(struct store_writer *writer, const char *key, const struct store_entry *entry)
{
	struct work *work = give(writer, WORK_PUT, NULL);

	if (!work)
		return;
	if (entry)
		work->entry = store_entry_copy(entry);
	else
		work->key = strdup(key);
	if (!work->entry && !work->key)
		writer->error = -ENOMEM;
}

void store_writer_stage(struct store_writer *writer, const void *bytes, size_t size_bytes)
{
	struct work *work = give(writer, WORK_STAGE, NULL);

	if (!work || !bytes)
		return;
	work->bytes = malloc(size_bytes);
	if (!work->bytes) {
		writer->error = -ENOMEM;
		return;
	}
	memcpy(work->bytes, bytes, size_bytes);
	work->size_bytes = size_bytes;
}

void store_writer_promise(struct store_writer *writer, const struct rs_meta *meta)
{
	give(writer, WORK_PROMISE, meta);
}

void store_writer_use_staged(struct store_writer *writer, const struct rs_meta *meta)
{
	give(writer, WORK_USE_STAGED, meta);
}

static void hand_over(struct store_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	move_all(&writer->given, &writer->queue);
	pthread_cond_signal(&writer->wakeup);
	pthread_mutex_unlock(&writer->lock);
}

void store_writer_commit(struct store_writer *writer, const struct rs_meta *meta, uint64_t mark)
{
	struct work *work;

	if (list_empty(&writer->given) && mark == writer->given_mark && writer->error == 0)
		return;
	work = give(writer, WORK_COMMIT, meta);
	if (writer->error < 0) {
		drop(&writer->given);
		writer->ops->failed(writer->error, writer->data);
		return;
	}
	work->mark = writer->given_mark = mark;
	hand_over(writer);
}

int store_writer_save_all(struct store_writer *writer, struct store_view *view,
	const struct rs_meta *meta, uint64_t mark)
{
	struct work *work;

	if (writer->all) {
		store_view_free(view);
		return -EBUSY;
	}
	drop(&writer->given);
	writer->error = 0;
	work = give(writer, WORK_SAVE_ALL, meta);
	if (!work) {
		store_view_free(view);
		return -ENOMEM;
	}
	writer->all = view;
	work->mark = writer->given_mark = mark;
	hand_over(writer);
	return 0;
}
