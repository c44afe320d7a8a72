/* SPDX-License-Identifier: MIT
 *
 * restarts.c - how often VMs were started again by themselves: restarts/VM, written by the node
 * that does it. The wall clock counts, and decides nothing but how often.
 */
#include "node/svc/failover.h"
#include "node/svc/restart_times.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static const struct json *record_of(struct svc *svc, const char *vm)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *record;

	snprintf(key, sizeof(key), "restarts/%s", vm);
	return cluster_get(svc->cluster, key, &record, NULL) == 0 ? record : NULL;
}

static int64_t now_s(void)
{
	return (int64_t)(clock_real_ns() / NS_PER_SEC);
}

unsigned restarts_count(struct svc *svc, const char *vm, unsigned window_s)
{
	return restart_times_count(json_get(record_of(svc, vm), "times"), now_s(), window_s);
}

static void on_written(int error, uint64_t version _unused_, void *data _unused_)
{
	if (error < 0)
		log_warning("a restart was not recorded: %s", strerror(-error));
}

/* Takes over both. */
static void write_record(struct svc *svc, const char *vm, struct json *times, struct json *last)
{
	struct json *record = json_object_new();
	char key[SVC_NAME_MAX_LEN + 16];

	json_set(record, "times", times);
	if (last)
		json_set(record, "last", last);
	snprintf(key, sizeof(key), "restarts/%s", vm);
	if (cluster_cas(svc->cluster, key, CLUSTER_ANY_VERSION, record, on_written, NULL) < 0)
		log_warning("a restart of %s was not recorded", vm);
}

static struct json *copy_or_null(const struct json *j)
{
	return j ? json_copy(j) : NULL;
}

void restarts_note(struct svc *svc, const char *vm)
{
	const struct json *record = record_of(svc, vm);
	struct json *times = restart_times_with(json_get(record, "times"), now_s());

	write_record(svc, vm, times, copy_or_null(json_get(record, "last")));
}

void restarts_describe(struct svc *svc, const char *vm, struct json *last)
{
	const struct json *times = json_get(record_of(svc, vm), "times");

	write_record(svc, vm, times ? json_copy(times) : json_array_new(), last);
}
