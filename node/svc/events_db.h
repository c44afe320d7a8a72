/* SPDX-License-Identifier: MIT
 *
 * events_db.h - a node's events on disk (SQLite underneath; events_db.c is its only user here).
 *
 * A thread has the file to itself: neither a slow disk nor moving the log to the database, which
 * waits for the disk, is felt by the loop. Whatever came while it wrote is its next transaction, so
 * there is no timer that an event waits for: an event is with the kernel within milliseconds, and
 * what the death of the process can take is what was added in those. WAL, synchronous=NORMAL: a
 * loss of power may take the last transactions, but only from the end.
 *
 * Bounded: the file has at most `max_events`, the oldest go. What cannot be written (a full disk)
 * waits in memory, EVENTS_MAX_WAITING of them at most, and is tried again each second.
 *
 * A file that is damaged, at the start or later, is moved to PATH.damaged (with its log, over an
 * earlier one) and another one is begun. If there can be no file at all, events are kept in memory.
 * `trouble` hears of either.
 *
 * Sequences begin at 1 in each file; a file has a random name inside of it, so that whoever goes on
 * reading notices another one. Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_EVENTS_DB_H
#define VIADUCT_NODE_SVC_EVENTS_DB_H

#include "base/json.h"
#include "base/list.h"
#include "base/loop.h"
#include "node/svc/events.h"

#define EVENTS_MAX_WAITING 2000
#define EVENTS_FILE_LEN    16

struct event {
	struct list link;
	int64_t time_ms; /* wall clock */
	enum event_level level;
	char id[32], object[128], text[512];
	/* Of "audit" alone: who asked, from where, for what, and what came of it. */
	char who[96], from[128], request[400], outcome[320];
};

enum events_which { EVENTS_ALL, EVENTS_WITHOUT_AUDIT, EVENTS_AUDIT };

struct events_query {
	char file[EVENTS_FILE_LEN + 1]; /* what `after` is of; another one: from its beginning */
	uint64_t after;
	bool forward; /* the first ones behind `after`; else the last ones */
	unsigned limit;
	int64_t since_ms;
	enum event_level level; /* at least */
	enum events_which which;
	char object[128]; /* "": all */
};

struct events_db;

struct events_db_callbacks {
	void (*written)(void *data); /* there is something new to read */
	/* One sentence; not for each event, but when things change. */
	void (*trouble)(const char *text, void *data);
};
/* `rows`: lent, oldest first, objects {sequence, time_ms, level, id, object, text} and of audit
 * {who, from, request, outcome}. `last`: the last sequence that was looked at. */
typedef void (*events_read_fn)(
	const char *file, uint64_t last, const struct json *rows, void *data);

int events_db_open(struct loop *loop, const char *path, unsigned max_events,
	const struct events_db_callbacks *callbacks, void *data, struct events_db **ret_db);
/* Writes what waits. Reads that were not answered never are. NULL is fine. */
void events_db_close(struct events_db *db);
void events_db_add(struct events_db *db, const struct event *event);
/* 0, then `fn` follows from the loop. */
int events_db_read(
	struct events_db *db, const struct events_query *query, events_read_fn fn, void *data);

const char *event_level_name(enum event_level level);
int event_level_from_name(const char *name, enum event_level *ret_level);

#endif
