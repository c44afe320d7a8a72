/* SPDX-License-Identifier: MIT */
#include "node/svc/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/audit.h"
#include "node/svc/events_impl.h"
#include "node/svc/identity.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_EVENTS 10000

struct events_watch {
	struct list link;
	void (*fn)(void *data);
	void *data;
};

static void keep(struct svc *svc, struct event *event)
{
	if (!svc->events)
		return;
	audit_clean(event->text);
	audit_clean(event->object);
	audit_clean(event->who);
	audit_clean(event->from);
	audit_clean(event->request);
	audit_clean(event->outcome);
	event->time_ms = (int64_t)(clock_real_ns() / NS_PER_MS);
	events_db_add(svc->events->db, event);
}

void events_add(struct svc *svc, enum event_level level, const char *id, const char *object,
	const char *format, ...)
{
	struct event event = {.level = level};
	va_list args;

	va_start(args, format);
	vsnprintf(event.text, sizeof(event.text), format, args);
	va_end(args);
	snprintf(event.id, sizeof(event.id), "%s", id);
	snprintf(event.object, sizeof(event.object), "%s", object);
	if (level == EVENT_ERROR)
		log_error("%s: %s (%s)", object, event.text, id);
	else if (level == EVENT_WARNING)
		log_warning("%s: %s (%s)", object, event.text, id);
	else
		log_info("%s: %s (%s)", object, event.text, id);
	keep(svc, &event);
}

void events_add_audit(struct svc *svc, const struct identity *identity, const char *object,
	const char *request, const char *outcome, bool done)
{
	struct event event = {.level = done ? EVENT_INFO : EVENT_WARNING};

	snprintf(event.id, sizeof(event.id), "audit");
	snprintf(event.object, sizeof(event.object), "%s", object);
	snprintf(event.who, sizeof(event.who), "%s", identity->who);
	snprintf(event.from, sizeof(event.from), "%s", identity->from);
	snprintf(event.request, sizeof(event.request), "%s", request);
	snprintf(event.outcome, sizeof(event.outcome), "%s", outcome);
	snprintf(event.text, sizeof(event.text), "%s (%s): %s: %s", event.who, event.from,
		event.request, event.outcome);
	log_info("audit: %s", event.text);
	keep(svc, &event);
}

/* ---- the file ---- */

static void on_written(void *data)
{
	struct svc *svc = data;
	struct events_watch *watch;
	struct list now;

	list_init(&now);
	while ((watch = list_pop(&svc->events->watches, struct events_watch, link)))
		list_append(&now, &watch->link);
	while ((watch = list_pop(&now, struct events_watch, link))) {
		watch->fn(watch->data);
		free(watch);
	}
}

static void on_trouble(const char *text, void *data)
{
	struct svc *svc = data;
	const char *name = svc->cluster ? cluster_local_name(svc->cluster) : NULL;
	char object[SVC_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "node/%s", name && name[0] ? name : "this");
	events_add(svc, EVENT_WARNING, "events.trouble", object, "%s", text);
}

int events_start(struct svc *svc)
{
	static const struct events_db_callbacks callbacks = {
		.written = on_written,
		.trouble = on_trouble,
	};
	struct events *events = calloc(1, sizeof(*events));
	char path[PATH_MAX];
	int r;

	if (!events)
		return -ENOMEM;
	list_init(&events->watches);
	snprintf(path, sizeof(path), "%s/events.db", svc->options.state_dir);
	r = events_db_open(svc->loop, path, MAX_EVENTS, &callbacks, svc, &events->db);
	if (r < 0) {
		free(events);
		return r;
	}
	svc->events = events;
	return 0;
}

void events_stop(struct svc *svc)
{
	struct events *events = take_ptr(svc->events);
	struct events_watch *watch;

	if (!events)
		return;
	events_db_close(events->db);
	while ((watch = list_pop(&events->watches, struct events_watch, link)))
		free(watch);
	free(events);
}

int events_watch(
	struct svc *svc, void (*fn)(void *data), void *data, struct events_watch **ret_watch)
{
	struct events_watch *watch = svc->events ? calloc(1, sizeof(*watch)) : NULL;

	if (!watch)
		return -ENOMEM;
	watch->fn = fn;
	watch->data = data;
	list_append(&svc->events->watches, &watch->link);
	*ret_watch = watch;
	return 0;
}

void events_unwatch(struct events_watch *watch)
{
	if (!watch)
		return;
	list_remove(&watch->link);
	free(watch);
}
