/* SPDX-License-Identifier: MIT */
#include "node/svc/conf.h"
#include "node/svc/conf_file.h"
#include "node/svc/corosync_service.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TAKE_TIMEOUT_NS (10 * NS_PER_SEC)
#define PATIENCE        4 /* rounds of housekeeping before corosync is told again */

static int refuse(char *error, size_t size_bytes, int r, const char *format, ...) _printf_(4, 5);

static int refuse(char *error, size_t size_bytes, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size_bytes, format, args);
	va_end(args);
	return r;
}

static void path_of(const struct svc *svc, const char *name, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s/%s", svc->options.corosync_dir, name);
}

/* ---- reading ---- */

static int load_file(struct svc *svc, struct corosync_conf **ret_conf, char *error, size_t size)
{
	struct buf text = {0};
	char path[300], why[200];
	int r;

	path_of(svc, "corosync.conf", path, sizeof(path));
	r = conf_file_read(path, COROSYNC_CONF_MAX_BYTES, &text);
	if (r < 0) {
		refuse(error, size, r, "%s cannot be read: %s", path, strerror(-r));
	} else {
		r = corosync_conf_parse(
			(const char *)text.data, text.size_bytes, ret_conf, why, sizeof(why));
		if (r < 0)
			refuse(error, size, r, "%s makes no sense: %s", path,
				r == -EBADMSG ? why : strerror(-r));
	}
	buf_fini(&text);
	return r;
}

/* The record of the store; -ENOENT. */
static int load_record(struct svc *svc, struct corosync_conf **ret_conf, const char **ret_text,
	uint64_t *ret_version, char *error, size_t size)
{
	const struct json *record;
	const char *text;
	char why[200];
	int r = cluster_get(svc->cluster, CONF_KEY, &record, ret_version);

	if (r < 0) {
		*ret_version = 0;
		return r;
	}
	text = json_get_string(record, "text", "");
	r = corosync_conf_parse(text, strlen(text), ret_conf, why, sizeof(why));
	if (r < 0)
		return refuse(error, size, r, "the store's corosync.conf makes no sense: %s",
			r == -EBADMSG ? why : strerror(-r));
	if (ret_text)
		*ret_text = text;
	return 0;
}

int conf_load(struct svc *svc, struct corosync_conf **ret_conf, char *error, size_t size)
{
	struct corosync_conf *record = NULL, *file = NULL;
	uint64_t version;
	int r = load_record(svc, &record, NULL, &version, error, size);

	if (r < 0 && r != -ENOENT)
		return r;
	r = load_file(svc, &file, error, size);
	if (r < 0 && !record)
		return r;
	if (record && (!file || corosync_conf_version(record) >= corosync_conf_version(file))) {
		corosync_conf_free(file);
		*ret_conf = record;
	} else {
		corosync_conf_free(record);
		*ret_conf = file;
	}
	return 0;
}

/* ---- following ---- */

static int write_conf(struct svc *svc, const char *text, char *error, size_t size)
{
	char path[300];
	int r;

	path_of(svc, "corosync.conf", path, sizeof(path));
	r = conf_file_write(path, text, strlen(text), 0644, true);
	return r < 0 ? refuse(error, size, r, "%s cannot be written: %s", path, strerror(-r)) : 0;
}

/* Is this node in it, as itself? */
static bool names_this_node(const struct svc *svc, const struct corosync_conf *conf)
{
	const struct corosync_node *self =
		corosync_conf_find(conf, cluster_local_name(svc->cluster));

	return self && self->id == cluster_local_id(svc->cluster);
}

int conf_follow(struct svc *svc, char *error, size_t size)
{
	struct corosync_conf *record = NULL, *file = NULL;
	const char *text;
	uint64_t version;
	char ignored[256];
	int r;

	if (svc->evicted || !cluster_local_id(svc->cluster))
		return 0;
	r = load_record(svc, &record, &text, &version, error, size);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (load_file(svc, &file, ignored, sizeof(ignored)) == 0 &&
		corosync_conf_version(file) >= corosync_conf_version(record)) {
		r = 0;
	} else if (file && corosync_conf_name(file)[0] &&
		   strcmp(corosync_conf_name(file), corosync_conf_name(record)) != 0) {
		r = refuse(error, size, -EBADMSG,
			"the store's corosync.conf is of cluster %s, and this node's of %s",
			corosync_conf_name(record), corosync_conf_name(file));
	} else if (!names_this_node(svc, record)) {
		conf_evicted(svc, "the cluster");
		r = 0;
	} else {
		r = write_conf(svc, text, error, size);
		if (r == 0)
			log_info("corosync.conf has version %llu now, with %zu nodes",
				(unsigned long long)corosync_conf_version(record),
				corosync_conf_n_nodes(record));
	}
	corosync_conf_free(record);
	corosync_conf_free(file);
	return r;
}

/* Does corosync have the nodes of the file? */
static bool corosync_has(struct svc *svc, const struct corosync_conf *conf)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));

	if (n != corosync_conf_n_nodes(conf))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!corosync_conf_find(conf, nodes[i].name))
			return false;
	}
	return true;
}

void conf_housekeeping(struct svc *svc)
{
	struct corosync_conf *record = NULL, *file = NULL;
	uint64_t version;
	char error[256];

	if (svc->evicted || svc->conf_change || !cluster_is_connected(svc->cluster) ||
		!cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster))
		return;
	if (conf_follow(svc, error, sizeof(error)) < 0) {
		log_warning("corosync.conf is not as the cluster's: %s", error);
		return;
	}
	if (load_record(svc, &record, NULL, &version, error, sizeof(error)) < 0)
		return;
	/* A later file is somebody's own work. */
	if (load_file(svc, &file, error, sizeof(error)) < 0 ||
		corosync_conf_version(file) != corosync_conf_version(record) ||
		corosync_has(svc, record)) {
		svc->conf_patience = 0;
	} else if (++svc->conf_patience >= PATIENCE) {
		svc->conf_patience = 0;
		log_info("corosync has other nodes than corosync.conf; it is told to read it");
		cluster_reload_config(svc->cluster, NULL, NULL);
	}
	corosync_conf_free(record);
	corosync_conf_free(file);
}

/* Of the record as it is here; 0: there is none. */
static int64_t record_version(struct svc *svc)
{
	const struct json *record;

	return cluster_get(svc->cluster, CONF_KEY, &record, NULL) == 0
		       ? json_get_int(record, "version", 0)
		       : 0;
}

void conf_on_peer(struct svc *svc, struct peer_request *request, const struct json *message)
{
	struct json *reply = json_object_new();
	char error[256] = "";

	/* What is written is there on members that are synced only. */
	if (record_version(svc) < json_get_int(message, "version", 0))
		json_set_string(reply, "error",
			"its copy of the store is not up to date yet; wait until 'viaduct node "
			"list' shows it as Up");
	else if (conf_follow(svc, error, sizeof(error)) < 0)
		json_set_string(reply, "error", error);
	peer_reply(request, reply);
}

/* ---- whoever was away: its corosync has other nodes than the others', and they do not meet ----
 */

struct json *conf_hello(struct svc *svc)
{
	struct corosync_conf *file = NULL;
	struct json *message = json_object_new();
	char error[256];

	json_set_string(message, "op", "hello");
	if (load_file(svc, &file, error, sizeof(error)) == 0)
		json_set_int(message, "version", (int64_t)corosync_conf_version(file));
	corosync_conf_free(file);
	return message;
}

struct json *conf_hello_reply(struct svc *svc, const struct json *message)
{
	struct json *reply = json_object_new();
	const struct json *record;

	if (cluster_is_quorate(svc->cluster) && cluster_is_synced(svc->cluster) &&
		cluster_get(svc->cluster, CONF_KEY, &record, NULL) == 0 &&
		json_get_int(record, "version", 0) > json_get_int(message, "version", INT64_MAX))
		json_set_string(reply, "conf", json_get_string(record, "text", ""));
	return reply;
}

void conf_on_hello_reply(struct svc *svc, const struct json *reply)
{
	const char *text = json_get_string(reply, "conf", NULL);
	struct corosync_conf *new = NULL, *file = NULL;
	char error[320] = "";

	if (!text || corosync_conf_parse(text, strlen(text), &new, error, sizeof(error)) < 0)
		return;
	if (load_file(svc, &file, error, sizeof(error)) == 0 &&
		corosync_conf_version(new) > corosync_conf_version(file) &&
		strcmp(corosync_conf_name(new), corosync_conf_name(file)) == 0 &&
		names_this_node(svc, new) && write_conf(svc, text, error, sizeof(error)) == 0) {
		log_info("corosync.conf was changed while this node was away; it has version %llu "
			 "now",
			(unsigned long long)corosync_conf_version(new));
		/* It would read it while it runs, and not meet the others all the same: they do not
		 * answer it with its old nodes. Without quorum nothing is lost by a restart. */
		if (corosync_service_restart(svc) < 0)
			log_warning("restart corosync on this node, so that it meets the others "
				    "(systemctl restart corosync)");
	}
	corosync_conf_free(new);
	corosync_conf_free(file);
}

/* ---- changing ---- */

struct conf_change {
	struct svc *svc;
	conf_fn fn;
	void *data;
	char removed[SVC_NAME_MAX_LEN + 1];
	char error[320]; /* the first one */
	size_t n_waiting;
};

struct asking {
	struct conf_change *change;
	char node[SVC_NAME_MAX_LEN + 1];
};

static void change_end(struct conf_change *change, const char *error)
{
	change->svc->conf_change = NULL;
	change->fn(error, change->data);
	free(change);
}

static void on_reloaded(int error, void *data)
{
	struct conf_change *change = data;

	if (error < 0)
		snprintf(change->error, sizeof(change->error),
			"corosync did not read the new corosync.conf (%s); 'corosync-cfgtool -R' "
			"tries again",
			strerror(-error));
	change_end(change, error < 0 ? change->error : NULL);
}

static void all_have_it(struct conf_change *change)
{
	int r;

	if (change->error[0]) {
		change_end(change, change->error);
		return;
	}
	r = cluster_reload_config(change->svc->cluster, on_reloaded, change);
	if (r < 0)
		on_reloaded(r, change);
}

static void note_error(struct conf_change *change, const char *node, const char *why)
{
	if (!change->error[0])
		snprintf(change->error, sizeof(change->error),
			"%s does not have the new corosync.conf: %.200s. corosync goes on with the "
			"old one; cure that, then try again",
			node, why);
}

static void on_taken(int error, const struct json *reply, void *data)
{
	_cleanup_free_ struct asking *asking = data;
	struct conf_change *change = asking->change;
	const char *why = json_get_string(reply, "error", NULL);

	if (error < 0 || why)
		note_error(change, asking->node, error < 0 ? strerror(-error) : why);
	if (--change->n_waiting == 0)
		all_have_it(change);
}

static void ask_node(struct conf_change *change, const char *node)
{
	struct asking *asking = calloc(1, sizeof(*asking));
	struct json *message = json_object_new();
	int r;

	json_set_string(message, "op", "conf.take");
	json_set_int(message, "version", record_version(change->svc));
	if (!asking) {
		json_unref(message);
		note_error(change, node, "out of memory");
		return;
	}
	asking->change = change;
	snprintf(asking->node, sizeof(asking->node), "%s", node);
	change->n_waiting++;
	r = peer_call(change->svc->peer, node, message, TAKE_TIMEOUT_NS, on_taken, asking);
	if (r < 0) {
		change->n_waiting--;
		note_error(change, node, strerror(-r));
		free(asking);
	}
}

static void on_recorded(int error, uint64_t version _unused_, void *data)
{
	struct conf_change *change = data;
	struct svc *svc = change->svc;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	char why[256];

	if (error < 0) {
		snprintf(why, sizeof(why), "corosync.conf was not changed: %s",
			error == -ESTALE ? "somebody else changes it; try again"
					 : strerror(-error));
		change_end(change, why);
		return;
	}
	change->n_waiting = 1; /* this node */
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id != cluster_local_id(svc->cluster) && nodes[i].is_member &&
			strcmp(nodes[i].name, change->removed) != 0)
			ask_node(change, nodes[i].name);
	}
	if (conf_follow(svc, why, sizeof(why)) < 0)
		note_error(change, cluster_local_name(svc->cluster), why);
	if (--change->n_waiting == 0)
		all_have_it(change);
}

/* corosync itself must be answered for by a viaductd on every node that is up, with the store. */
static int refuse_without_service(
	struct svc *svc, const char *removed, char *error, size_t size_bytes)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].is_member || strcmp(nodes[i].name, removed) == 0)
			continue;
		if (!nodes[i].has_service)
			return refuse(error, size_bytes, -EHOSTUNREACH,
				"viaductd does not run on %s, which is up; start it, so that it "
				"gets the new corosync.conf",
				nodes[i].name);
		if (!nodes[i].is_synced)
			return refuse(error, size_bytes, -EAGAIN,
				"%s has just joined and does not have the store yet; try again in "
				"a moment",
				nodes[i].name);
	}
	return 0;
}

static int make_text(struct svc *svc, const struct corosync_node *add, const char *remove,
	struct json **ret_record, uint64_t *ret_version, char *error, size_t size)
{
	struct corosync_conf *conf = NULL, *record = NULL;
	_cleanup_free_ char *text = NULL;
	int r = load_record(svc, &record, NULL, ret_version, error, size);

	corosync_conf_free(record);
	if (r < 0 && r != -ENOENT)
		return r;
	r = conf_load(svc, &conf, error, size);
	if (r < 0)
		return r;
	r = add ? corosync_conf_add(conf, add) : corosync_conf_remove(conf, remove);
	if (r < 0)
		refuse(error, size, r, "%s",
			r == -EEXIST   ? "its name, id or an address belongs to another node"
			: r == -EINVAL ? "each node has one address for each link of corosync"
			: r == -ENOENT ? "corosync.conf does not have it"
			: r == -ENOSPC ? "corosync.conf has as many nodes as there can be"
				       : strerror(-r));
	text = r == 0 ? corosync_conf_print(conf) : NULL;
	if (r == 0 && !text)
		r = refuse(error, size, -ENOMEM, "out of memory");
	if (r == 0 && strlen(text) > COROSYNC_CONF_MAX_BYTES)
		r = refuse(error, size, -ENOSPC, "corosync.conf would be too large");
	if (r == 0) {
		*ret_record = json_object_new();
		json_set_int(*ret_record, "version", (int64_t)corosync_conf_version(conf));
		json_set_string(*ret_record, "text", text);
	}
	corosync_conf_free(conf);
	return r;
}

int conf_change(struct svc *svc, const struct corosync_node *add, const char *remove, conf_fn fn,
	void *data, char *error, size_t size)
{
	struct conf_change *change;
	struct json *record = NULL;
	uint64_t version;
	int r;

	if (svc->conf_change)
		return refuse(error, size, -EBUSY,
			"another node is joining or being evicted; try again in a moment");
	r = refuse_without_service(svc, remove ? remove : "", error, size);
	if (r < 0)
		return r;
	r = make_text(svc, add, remove, &record, &version, error, size);
	if (r < 0)
		return r;
	change = calloc(1, sizeof(*change));
	if (!change) {
		json_unref(record);
		return refuse(error, size, -ENOMEM, "out of memory");
	}
	*change = (struct conf_change){.svc = svc, .fn = fn, .data = data};
	snprintf(change->removed, sizeof(change->removed), "%s", remove ? remove : "");
	svc->conf_change = change;
	r = cluster_cas(svc->cluster, CONF_KEY, version, record, on_recorded, change);
	if (r < 0) {
		svc->conf_change = NULL;
		free(change);
		return refuse(error, size, r, "corosync.conf was not changed: %s", strerror(-r));
	}
	return 0;
}

/* ---- joining ---- */

int conf_install(struct svc *svc, const char *text, const void *key, size_t key_bytes, char *error,
	size_t size)
{
	char path[300];
	int r;

	if (key_bytes < COROSYNC_KEY_MIN_BYTES || key_bytes > COROSYNC_KEY_MAX_BYTES)
		return refuse(error, size, -EBADMSG, "the key that came is no key of corosync");
	path_of(svc, "authkey", path, sizeof(path));
	r = conf_file_write(path, key, key_bytes, 0400, true);
	if (r < 0)
		return refuse(error, size, r, "%s cannot be written: %s", path, strerror(-r));
	return write_conf(svc, text, error, size);
}

int conf_read_key(struct svc *svc, struct buf *out, char *error, size_t size)
{
	char path[300];
	int r;

	path_of(svc, "authkey", path, sizeof(path));
	r = conf_file_read(path, COROSYNC_KEY_MAX_BYTES, out);
	return r < 0 ? refuse(error, size, r, "%s cannot be read: %s", path, strerror(-r)) : 0;
}
