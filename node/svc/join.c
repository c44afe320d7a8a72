/* SPDX-License-Identifier: MIT
 *
 * join.c - node.join, on a machine that is to become a node: corosync does not run here yet, so
 * viaductd asks as a guest of the member that invited it.
 */
#include "node/svc/conf.h"
#include "node/svc/conf_file.h"
#include "node/svc/corosync_service.h"
#include "node/svc/enroll.h"

#include "base/base64.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define MEMBER           "member"
#define HELLO_TIMEOUT_NS (8 * NS_PER_SEC) /* a key that is refused is not told so */
#define JOIN_TIMEOUT_NS  (45 * NS_PER_SEC)

struct join {
	struct api_call *call;
	struct peer *peer;
	char name[SVC_NAME_MAX_LEN + 1], address[64];
};

static void on_later(void *data)
{
	struct join *join = data;

	peer_free(join->peer);
	free(join);
}

static void install(struct join *join, const struct json *reply)
{
	struct api_call *call = join->call;
	const char *text = json_get_string(reply, "conf", "");
	const char *cluster = json_get_string(reply, "cluster", "");
	struct corosync_conf *conf = NULL;
	struct buf key = {0};
	char error[320], why[200];
	struct json *result;
	int r = corosync_conf_parse(text, strlen(text), &conf, why, sizeof(why));

	if (r < 0)
		snprintf(error, sizeof(error), "the corosync.conf that came makes no sense: %s",
			why);
	if (r == 0 && !corosync_conf_find(conf, join->name)) {
		r = -EBADMSG;
		snprintf(error, sizeof(error), "the corosync.conf that came has no node %s",
			join->name);
	}
	if (r == 0 && base64_decode(json_get_string(reply, "key", ""), &key) < 0) {
		r = -EBADMSG;
		snprintf(error, sizeof(error), "the key that came makes no sense");
	}
	if (r == 0)
		r = conf_install(call->svc, text, key.data, key.size_bytes, error, sizeof(error));
	if (key.data)
		explicit_bzero(key.data, key.size_bytes);
	buf_fini(&key);
	corosync_conf_free(conf);
	if (r < 0) {
		api_fail(call, API_FAILED, "%s", error);
		return;
	}
	conf_forget_evicted(call->svc);
	result = json_object_new();
	json_set_string(result, "node", join->name);
	json_set_string(result, "cluster", cluster);
	json_set_stringf(result, "note", "This machine is node %s of cluster %s. %s", join->name,
		cluster,
		corosync_service_restart(call->svc) == 0
			? "corosync is being started; 'viaduct cluster status' shows when the "
			  "others "
			  "are met"
			: "Start corosync now: systemctl restart corosync");
	api_reply(call, result);
}

static void on_answer(int error, const struct json *reply, void *data)
{
	struct join *join = data;
	struct api_call *call = join->call;
	struct svc *svc = call->svc;
	const char *why = json_get_string(reply, "error", NULL);

	if (error < 0)
		api_fail(call, API_UNREACHABLE,
			"%s port %d does not answer to this invitation: it is not reached, or the "
			"invitation is over (15 minutes, or viaductd there was restarted); make "
			"another with 'viaduct node invite'",
			join->address, PEER_PORT);
	else if (why)
		api_fail(call, API_REFUSED, "the cluster did not take %s in: %s", join->name, why);
	else
		install(join, reply);
	/* The peer's own callback is still running. */
	svc->join = NULL;
	loop_job_add(svc->loop, on_later, join);
}

static void on_hello(int error, const struct json *reply, void *data)
{
	struct join *join = data;
	struct json *message;
	int r = error;

	if (r == 0 && !json_get(reply, "error")) {
		message = json_object_new();
		json_set_string(message, "op", "join");
		r = peer_call(join->peer, MEMBER, message, JOIN_TIMEOUT_NS, on_answer, join);
		if (r == 0)
			return;
	}
	on_answer(r, reply, join);
}

static bool conf_is_example(const struct buf *text)
{
	struct corosync_conf *conf = NULL;
	char why[200];
	bool is_example;

	if (corosync_conf_parse(
		    (const char *)text->data, text->size_bytes, &conf, why, sizeof(why)) < 0)
		return false;
	is_example = corosync_conf_is_example(conf);
	corosync_conf_free(conf);
	return is_example;
}

/* Is there a cluster that this machine would leave? False: the call has been failed. */
static bool is_no_node(struct api_call *call, bool force)
{
	struct svc *svc = call->svc;
	struct buf text = {0};
	bool is_example;
	char path[300];
	int r;

	if (cluster_is_connected(svc->cluster)) {
		api_fail(call, API_CONFLICT,
			"corosync runs here, so this machine is node %s of a cluster already; a "
			"node "
			"is taken out with 'viaduct node evict' on another one",
			cluster_local_name(svc->cluster));
		return false;
	}
	snprintf(path, sizeof(path), "%s/corosync.conf", svc->options.corosync_dir);
	r = conf_file_read(path, COROSYNC_CONF_MAX_BYTES, &text);
	is_example = r == 0 && conf_is_example(&text);
	buf_fini(&text);
	if (r == -ENOENT || is_example || force || svc->evicted)
		return true;
	api_fail(call, API_REFUSED,
		"%s is there already, of another cluster or a former life; look at it, and say "
		"--force to replace it (a copy is kept)",
		path);
	return false;
}

/* {token, [force]} -> {node, cluster, note} */
void api_node_join(struct api_call *call)
{
	struct svc *svc = call->svc;
	struct enroll_token token = {0};
	struct json *message;
	struct join *join;
	int r;

	if (enroll_token_parse(json_get_string(call->message, "token", ""), &token) < 0) {
		api_fail(call, API_USAGE,
			"that is no token; 'viaduct node invite' on a node of the cluster prints "
			"one, "
			"one word that begins with viaduct-join-");
		return;
	}
	if (svc->join) {
		api_fail(call, API_CONFLICT, "this machine is joining already");
		return;
	}
	if (!is_no_node(call, json_get_bool(call->message, "force", false)))
		return;
	join = calloc(1, sizeof(*join));
	r = join ? peer_new_guest(svc->loop, token.public_key, token.secret_key, &join->peer)
		 : -ENOMEM;
	if (r == 0)
		r = peer_set_node(join->peer, MEMBER, token.address, token.server_key);
	if (r == 0) {
		join->call = call;
		snprintf(join->name, sizeof(join->name), "%s", token.name);
		snprintf(join->address, sizeof(join->address), "%s", token.address);
		message = json_object_new();
		json_set_string(message, "op", "hello");
		r = peer_call(join->peer, MEMBER, message, HELLO_TIMEOUT_NS, on_hello, join);
	}
	explicit_bzero(&token, sizeof(token));
	if (r < 0) {
		if (join)
			peer_free(join->peer);
		free(join);
		api_fail(call, API_FAILED, "the cluster cannot be asked: %s",
			r == -EINVAL ? "the token is damaged" : strerror(-r));
		return;
	}
	svc->join = join;
}
