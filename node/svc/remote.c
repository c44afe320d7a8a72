/* SPDX-License-Identifier: MIT */
#include "node/svc/remote.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/admins.h"
#include "node/svc/events.h"
#include "node/svc/remote_limit.h"
#include "node/svc/remote_msg.h"
#include "node/svc/svc.h"
#include "node/svc/zsock.h"

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_MS         2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define HANDSHAKE_MS         2000
#define MAX_QUEUED           32
#define MAX_OPEN             256 /* requests being answered, of all keys */
#define REFUSED_SILENCE_NS   (60 * NS_PER_SEC)

struct caller {
	struct list link;
	char key[ZKEY_TEXT_BYTES];
	struct remote_limit limit;
	uint64_t last_refused_ns; /* and that was an event */
};

struct remote {
	struct svc *svc;
	struct zcontext *context;
	struct zsock *socket;
	struct zkeys keys;
	struct list callers; /* as many as there are keys */
	unsigned n_open;
	char user[ZKEY_TEXT_BYTES]; /* lent to zsock */
};

struct remote_request {
	struct remote *remote;
	struct caller *caller;
	uint64_t id;
	uint8_t identity[ZIDENTITY_BYTES];
	size_t identity_bytes;
};

static struct caller *find_caller(struct remote *remote, const char *key)
{
	struct caller *caller;

	list_for_each(caller, &remote->callers, link) {
		if (strcmp(caller->key, key) == 0)
			return caller;
	}
	caller = calloc(1, sizeof(*caller));
	if (!caller)
		return NULL;
	snprintf(caller->key, sizeof(caller->key), "%s", key);
	list_append(&remote->callers, &caller->link);
	return caller;
}

/* The user of a connection is its key: a name may get another key. */
static const char *user_of_key(const char *text, void *data)
{
	struct remote *remote = data;
	struct admin admin;

	if (admin_of_key(remote->svc->cluster, text, &admin) < 0) {
		log_debug("an unknown key was refused");
		return NULL;
	}
	snprintf(remote->user, sizeof(remote->user), "%s", text);
	return remote->user;
}

static void send_answer(struct remote *remote, const void *identity, size_t identity_bytes,
	uint64_t id, struct json *answer)
{
	_cleanup_free_ char *text = remote_msg_answer(id, answer);

	if (text && zsock_send(remote->socket, identity, identity_bytes, text, strlen(text)) < 0)
		log_debug("an administrator's answer was lost");
}

static struct json *refusal(const char *text)
{
	struct json *answer = json_object_new();

	json_set_bool(answer, "ok", false);
	json_set_string(answer, "code", api_code_name(API_REFUSED));
	json_set_string(answer, "error", text);
	return answer;
}

void remote_reply(struct remote_request *request, struct json *reply)
{
	struct remote *remote = request->remote;

	send_answer(remote, request->identity, request->identity_bytes, request->id,
		reply ? reply : json_object_new());
	remote_limit_done(&request->caller->limit);
	remote->n_open--;
	free(request);
}

/* True: it was refused, and that was answered. */
static bool refuse_key(struct remote *remote, struct caller *caller, const struct zmessage *message,
	uint64_t id, const struct admin *admin)
{
	uint64_t now_ns = clock_mono_ns();
	char text[320], object[96];

	if (!admin_refusal(admin, (int64_t)(clock_real_ns() / NS_PER_SEC), text, sizeof(text)))
		return false;
	if (!caller->last_refused_ns || now_ns - caller->last_refused_ns > REFUSED_SILENCE_NS) {
		caller->last_refused_ns = now_ns;
		snprintf(object, sizeof(object), "admin/%s", admin->name);
		events_add(remote->svc, EVENT_WARNING, "admin.refused", object, "from %s: %s",
			message->address, text);
	}
	send_answer(remote, message->identity, message->identity_bytes, id, refusal(text));
	return true;
}

static void handle(struct remote *remote, struct caller *caller, const struct zmessage *message,
	uint64_t id, const struct json *request)
{
	struct remote_request *r;
	struct identity identity;
	struct admin admin;

	/* Its record may be gone while the connection still is. */
	if (admin_of_key(remote->svc->cluster, caller->key, &admin) < 0) {
		remote_limit_done(&caller->limit);
		send_answer(remote, message->identity, message->identity_bytes, id,
			refusal("this key is not enrolled any more"));
		return;
	}
	r = refuse_key(remote, caller, message, id, &admin) ? NULL : calloc(1, sizeof(*r));
	if (!r) {
		remote_limit_done(&caller->limit);
		return;
	}
	r->remote = remote;
	r->caller = caller;
	r->id = id;
	r->identity_bytes = message->identity_bytes;
	memcpy(r->identity, message->identity, message->identity_bytes);
	remote->n_open++;
	identity.role = admin.role;
	snprintf(identity.who, sizeof(identity.who), "key %s", admin.name);
	snprintf(identity.from, sizeof(identity.from), "%.60s at %.60s", message->address,
		cluster_local_name(remote->svc->cluster));
	api_on_remote(remote->svc, r, request, &identity);
}

static void on_message(const struct zmessage *message, void *data)
{
	_cleanup_json_ struct json *request = NULL;
	struct remote *remote = data;
	struct caller *caller = find_caller(remote, message->user);
	enum remote_verdict verdict;
	uint64_t id;

	if (!caller)
		return;
	/* Before a byte is looked at. */
	verdict = remote_limit_ask(&caller->limit, clock_mono_ns());
	if (verdict == REMOTE_DROP)
		return;
	if (remote_msg_parse(message->data, message->size_bytes, &id, &request) < 0) {
		if (verdict == REMOTE_TAKE)
			remote_limit_done(&caller->limit);
		return;
	}
	if (verdict == REMOTE_TAKE && remote->n_open < MAX_OPEN) {
		handle(remote, caller, message, id, request);
		return;
	}
	if (verdict == REMOTE_TAKE)
		remote_limit_done(&caller->limit);
	send_answer(remote, message->identity, message->identity_bytes, id,
		refusal("too many requests at once; ask more slowly"));
}

int remote_new(struct svc *svc, const char *where, const char *key_file, struct remote **ret_remote)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	char endpoint[128];
	struct zlisten options = {
		.endpoint = endpoint,
		.refuses_for_good = true,
		.max_bytes = REMOTE_MAX_REQUEST_BYTES,
		.heartbeat_ms = HEARTBEAT_MS,
		.heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS,
		.handshake_ms = HANDSHAKE_MS,
		.max_queued = MAX_QUEUED,
		.key = user_of_key,
		.message = on_message,
		.data = remote,
	};
	int r;

	if (!remote)
		return -ENOMEM;
	remote->svc = svc;
	list_init(&remote->callers);
	options.keys = &remote->keys;
	snprintf(endpoint, sizeof(endpoint), "tcp://%s", where);
	r = zcontext_new(svc->loop, &remote->context);
	if (r == 0)
		r = zkeys_load(key_file, &remote->keys);
	if (r == 0)
		r = zsock_listen(remote->context, &options, &remote->socket);
	if (r < 0) {
		remote_free(remote);
		return r;
	}
	*ret_remote = remote;
	return 0;
}

void remote_free(struct remote *remote)
{
	struct caller *caller;

	if (!remote)
		return;
	zsock_close(remote->socket);
	zcontext_free(remote->context);
	while ((caller = list_pop(&remote->callers, struct caller, link)))
		free(caller);
	explicit_bzero(&remote->keys, sizeof(remote->keys));
	free(remote);
}
