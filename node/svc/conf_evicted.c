/* SPDX-License-Identifier: MIT
 *
 * The end of being a node: a note of it, and leaving.
 */
#include "node/svc/conf.h"
#include "node/svc/conf_file.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_AFTER_NS    (3 * NS_PER_SEC)
#define EVICTED_MAX_BYTES 4096

static void evicted_path(const struct svc *svc, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s/evicted.json", svc->options.state_dir);
}

static void on_stopped(int error, void *data _unused_)
{
	if (error < 0)
		log_debug("corosync was not stopped: %s", strerror(-error));
}

static void on_leave(void *data)
{
	struct svc *svc = data;
	char path[300], aside[320];
	int r;

	if (!svc->evicted)
		return;
	snprintf(path, sizeof(path), "%s/corosync.conf", svc->options.corosync_dir);
	snprintf(aside, sizeof(aside), "%s.evicted", path);
	if (rename(path, aside) == 0)
		log_info("%s is %s now, so that corosync does not start with it", path, aside);
	r = cluster_stop_corosync(svc->cluster, on_stopped, NULL);
	if (r < 0)
		on_stopped(r, NULL);
}

void conf_evicted(struct svc *svc, const char *by)
{
	_cleanup_free_ char *text = NULL;
	char path[300];

	if (svc->evicted)
		return;
	svc->evicted = json_object_new();
	json_set_string(svc->evicted, "node", cluster_local_name(svc->cluster));
	json_set_string(svc->evicted, "by", by);
	json_set_int(svc->evicted, "at", (int64_t)time(NULL));
	log_error("this node, %s, was evicted from the cluster (%s says so); it leaves. 'viaduct "
		  "node join --token' makes it a node again",
		cluster_local_name(svc->cluster), by);
	evicted_path(svc, path, sizeof(path));
	text = json_dump(svc->evicted, 0);
	if (!text || conf_file_write(path, text, strlen(text), 0600, false) < 0)
		log_warning("%s cannot be written; after a restart this is not known", path);
	loop_timer_add(svc->loop, LEAVE_AFTER_NS, on_leave, svc, NULL);
}

void conf_load_evicted(struct svc *svc)
{
	struct buf text = {0};
	char path[300];

	evicted_path(svc, path, sizeof(path));
	if (conf_file_read(path, EVICTED_MAX_BYTES, &text) == 0 &&
		json_parse((const char *)text.data, text.size_bytes, &svc->evicted) == 0) {
		log_warning("this node was evicted from the cluster; 'viaduct node join --token' "
			    "makes it a node again");
		/* Whoever started corosync with an old file after all. */
		loop_timer_add(svc->loop, LEAVE_AFTER_NS, on_leave, svc, NULL);
	}
	buf_fini(&text);
}

void conf_forget_evicted(struct svc *svc)
{
	char path[300];

	evicted_path(svc, path, sizeof(path));
	unlink(path);
	json_unref(take_ptr(svc->evicted));
}
