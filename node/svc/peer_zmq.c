/* SPDX-License-Identifier: MIT */
#include "node/svc/peer.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "node/svc/peer_answers.h"
#include "node/svc/zsock.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PEER_NAME_MAX_LEN 63
#define MAX_PENDING_CALLS 1024
#define MAX_ADDRESSES     64
#define ENDPOINT_BYTES    96
/* A question is asked again when no answer came: it may be on the way, or lost with a connection.
 */
#define ASK_AGAIN_NS (2 * NS_PER_SEC)

struct node {
	struct list link;
	char name[PEER_NAME_MAX_LEN + 1];
	char address[64];
	char key[PEER_KEY_TEXT_BYTES];
	struct peer *peer;
	struct zsock *dealer;
};

struct call {
	struct list link;
	struct peer *peer;
	uint64_t id, timer, again_timer;
	char node[PEER_NAME_MAX_LEN + 1];
	char *text;
	peer_reply_fn fn;
	void *data;
};

struct peer {
	struct loop *loop;
	struct zcontext *context;
	struct zsock *router;
	char endpoints[MAX_ADDRESSES][ENDPOINT_BYTES]; /* bound to */
	size_t n_endpoints;
	struct zkeys keys;
	struct list nodes, calls;
	size_t n_calls;
	uint64_t next_id;
	uint64_t life;        /* random: numbers of calls start anew with each process */
	struct list requests; /* under way */
	struct peer_answers *answers;
	peer_handler_fn handler;
	void *data;
};

struct peer_request {
	struct list link;
	struct peer *peer;
	char from[PEER_NAME_MAX_LEN + 1];
	uint64_t life;
	uint8_t identity[ZIDENTITY_BYTES];
	size_t identity_bytes;
	uint64_t id;
};

static struct node *find_node(struct peer *peer, const char *name)
{
	struct node *node, *next;

	list_for_each_safe(node, next, &peer->nodes, link) {
		if (strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

/* Whose key that is. */
static const char *node_of_key(const char *text, void *data)
{
	struct peer *peer = data;
	struct node *node;

	list_for_each(node, &peer->nodes, link) {
		if (strcmp(node->key, text) == 0)
			return node->name;
	}
	return NULL;
}

/* ---- messages: JSON {"rid": N, "life": N, "body": {...}}; answers have no "life" ---- */

/* Takes over `body`. */
static int make_text(uint64_t id, uint64_t life, struct json *body, char **ret_text)
{
	_cleanup_json_ struct json *envelope = json_object_new();
	_cleanup_free_ char *text = NULL;

	json_set_int(envelope, "rid", (int64_t)id);
	if (life)
		json_set_int(envelope, "life", (int64_t)life);
	json_set(envelope, "body", body);
	text = json_dump(envelope, 0);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > PEER_MAX_BYTES)
		return -EMSGSIZE;
	*ret_text = take_ptr(text);
	return 0;
}

/* It was asked before: it is under way, and its answer goes to the connection of now, or it has
 * been answered. */
static bool is_known(
	struct peer *peer, const struct zmessage *message, const struct peer_question *question)
{
	struct peer_request *request;
	const char *answer;
	size_t size_bytes;

	list_for_each(request, &peer->requests, link) {
		if (request->id != question->id || request->life != question->life ||
			strcmp(request->from, question->from) != 0)
			continue;
		request->identity_bytes = message->identity_bytes;
		memcpy(request->identity, message->identity, request->identity_bytes);
		return true;
	}
	answer = peer_answers_find(peer->answers, question, &size_bytes);
	if (answer)
		zsock_send(peer->router, message->identity, message->identity_bytes, answer,
			size_bytes);
	return answer;
}

static void on_request(const struct zmessage *message, void *data)
{
	_cleanup_json_ struct json *envelope = NULL;
	struct peer *peer = data;
	struct peer_question question = {.from = message->user};
	struct peer_request *request;
	const struct json *body;

	if (!find_node(peer, message->user) ||
		json_parse(message->data, message->size_bytes, &envelope) < 0)
		return;
	body = json_get(envelope, "body");
	if (!json_is_object(body) || json_get_int(envelope, "rid", 0) <= 0 ||
		json_get_int(envelope, "life", 0) <= 0)
		return;
	question.id = (uint64_t)json_get_int(envelope, "rid", 0);
	question.life = (uint64_t)json_get_int(envelope, "life", 0);
	if (is_known(peer, message, &question))
		return;
	request = calloc(1, sizeof(*request));
	if (!request)
		return;
	request->peer = peer;
	request->id = question.id;
	request->life = question.life;
	snprintf(request->from, sizeof(request->from), "%s", question.from);
	request->identity_bytes = message->identity_bytes;
	memcpy(request->identity, message->identity, request->identity_bytes);
	list_append(&peer->requests, &request->link);
	peer->handler(request, message->user, body, peer->data);
}

void peer_reply(struct peer_request *request, struct json *reply)
{
	struct peer *peer = request->peer;
	const struct peer_question question = {request->from, request->life, request->id};
	_cleanup_free_ char *text = NULL;
	int r = make_text(request->id, 0, reply ? reply : json_object_new(), &text);

	if (r == 0 && peer) {
		peer_answers_keep(peer->answers, &question, text, strlen(text));
		r = zsock_send(peer->router, request->identity, request->identity_bytes, text,
			strlen(text));
	}
	if (r < 0)
		log_debug("a peer's reply was lost: %s", strerror(-r));
	if (peer)
		list_remove(&request->link);
	free(request);
}

/* ---- calls ---- */

static void call_stop(struct call *call)
{
	loop_timer_remove(call->peer->loop, call->timer);
	loop_timer_remove(call->peer->loop, call->again_timer);
}

static void call_free(struct call *call)
{
	free(call->text);
	free(call);
}

static void call_end(struct call *call, int error, const struct json *reply)
{
	list_remove(&call->link);
	call->peer->n_calls--;
	call_stop(call);
	call->fn(error, reply, call->data);
	call_free(call);
}

static void on_ask_again(void *data)
{
	struct call *call = data;
	const struct node *node = find_node(call->peer, call->node);

	call->again_timer = 0;
	if (node && node->dealer)
		zsock_send(node->dealer, NULL, 0, call->text, strlen(call->text));
	loop_timer_add(call->peer->loop, ASK_AGAIN_NS, on_ask_again, call, &call->again_timer);
}

static void on_call_timeout(void *data)
{
	struct call *call = data;

	call->timer = 0;
	call_end(call, -ETIMEDOUT, NULL);
}

static void on_reply(const struct zmessage *message, void *data)
{
	_cleanup_json_ struct json *envelope = NULL;
	struct node *node = data;
	struct call *call;
	uint64_t id;

	if (json_parse(message->data, message->size_bytes, &envelope) < 0)
		return;
	id = (uint64_t)json_get_int(envelope, "rid", 0);
	list_for_each(call, &node->peer->calls, link) {
		if (call->id == id && strcmp(call->node, node->name) == 0) {
			call_end(call, 0, json_get(envelope, "body"));
			return;
		}
	}
}

int peer_call(struct peer *peer, const char *name, struct json *message, uint64_t timeout_ns,
	peer_reply_fn fn, void *data)
{
	struct node *node = find_node(peer, name);
	struct call *call;
	int r;

	if (!node || !node->dealer || peer->n_calls >= MAX_PENDING_CALLS) {
		json_unref(message);
		return node && node->dealer ? -EAGAIN : -EHOSTUNREACH;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		json_unref(message);
		return -ENOMEM;
	}
	call->peer = peer;
	call->id = ++peer->next_id;
	call->fn = fn;
	call->data = data;
	strcpy(call->node, node->name);
	r = make_text(call->id, peer->life, message, &call->text);
	if (r == 0)
		r = loop_timer_add(peer->loop, timeout_ns, on_call_timeout, call, &call->timer);
	if (r == 0)
		r = loop_timer_add(
			peer->loop, ASK_AGAIN_NS, on_ask_again, call, &call->again_timer);
	if (r == 0)
		r = zsock_send(node->dealer, NULL, 0, call->text, strlen(call->text));
	if (r < 0) {
		call_stop(call);
		call_free(call);
		return r;
	}
	list_append(&peer->calls, &call->link);
	peer->n_calls++;
	return 0;
}

/* ---- nodes and keys ---- */

static void make_endpoint(const char *address, char endpoint[ENDPOINT_BYTES])
{
	bool is_ipv6 = strchr(address, ':') != NULL;

	snprintf(endpoint, ENDPOINT_BYTES, "tcp://%s%s%s:%d", is_ipv6 ? "[" : "", address,
		is_ipv6 ? "]" : "", PEER_PORT);
}

static int connect_dealer(struct peer *peer, struct node *node)
{
	char endpoint[ENDPOINT_BYTES];

	make_endpoint(node->address, endpoint);
	return zsock_connect(peer->context, endpoint, node->key, &peer->keys, PEER_MAX_BYTES,
		on_reply, node, &node->dealer);
}

static void forget_node(struct node *node)
{
	zsock_close(node->dealer);
	list_remove(&node->link);
	free(node);
}

int peer_set_node(struct peer *peer, const char *name, const char *address, const char *key)
{
	struct node *node = find_node(peer, name);
	uint8_t raw_key[ZKEY_BYTES];
	int r;

	if (node && key && strcmp(node->key, key) == 0 && strcmp(node->address, address) == 0)
		return 0;
	if (node)
		forget_node(node);
	if (!key)
		return 0;
	if (strlen(name) > PEER_NAME_MAX_LEN || strlen(key) != PEER_KEY_TEXT_BYTES - 1 ||
		strlen(address) >= sizeof(node->address))
		return -EINVAL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	strcpy(node->name, name);
	strcpy(node->address, address);
	strcpy(node->key, key);
	node->peer = peer;
	list_append(&peer->nodes, &node->link);
	r = zkey_decode(key, raw_key);
	if (r == 0)
		r = connect_dealer(peer, node);
	if (r < 0)
		forget_node(node);
	return r;
}

int peer_admit(struct peer *peer, const char *name, const char *key)
{
	struct node *node = find_node(peer, name);
	uint8_t raw_key[ZKEY_BYTES];

	if (node && key && strcmp(node->key, key) == 0)
		return 0;
	if (node)
		forget_node(node);
	if (!key)
		return 0;
	if (strlen(name) > PEER_NAME_MAX_LEN || strlen(key) != PEER_KEY_TEXT_BYTES - 1 ||
		zkey_decode(key, raw_key) < 0)
		return -EINVAL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	strcpy(node->name, name);
	strcpy(node->key, key);
	node->peer = peer;
	list_append(&peer->nodes, &node->link);
	return 0;
}

int peer_keypair(char ret_public[PEER_KEY_TEXT_BYTES], char ret_secret[PEER_KEY_TEXT_BYTES])
{
	struct zkeys keys;
	int r = zkeys_make(&keys);

	if (r < 0)
		return r;
	strcpy(ret_public, keys.public_key);
	strcpy(ret_secret, keys.secret_key);
	explicit_bzero(&keys, sizeof(keys));
	return 0;
}

static int open_server(struct peer *peer, const char *address)
{
	char *endpoint = peer->endpoints[0];
	const struct zlisten options = {
		.endpoint = endpoint,
		.keys = &peer->keys,
		.max_bytes = PEER_MAX_BYTES,
		.heartbeat_ms = 200,
		.heartbeat_timeout_ms = 600,
		.handshake_ms = 1000,
		.key = node_of_key,
		.message = on_request,
		.data = peer,
	};

	int r;

	make_endpoint(address, endpoint);
	r = zsock_listen(peer->context, &options, &peer->router);
	peer->n_endpoints = r == 0;
	return r;
}

int peer_listen(struct peer *peer, const char *address)
{
	char endpoint[ENDPOINT_BYTES];
	int r;

	make_endpoint(address, endpoint);
	for (size_t i = 0; i < peer->n_endpoints; i++) {
		if (strcmp(peer->endpoints[i], endpoint) == 0)
			return 0;
	}
	if (peer->n_endpoints == MAX_ADDRESSES)
		return -ENOSPC;
	r = zsock_bind(peer->router, endpoint);
	if (r == 0)
		memcpy(peer->endpoints[peer->n_endpoints++], endpoint, sizeof(endpoint));
	return r;
}

const char *peer_address(const struct peer *peer, const char *name)
{
	const struct node *node;

	list_for_each(node, &peer->nodes, link) {
		if (strcmp(node->name, name) == 0)
			return node->address;
	}
	return NULL;
}

static struct peer *make(struct loop *loop)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->loop = loop;
	list_init(&peer->nodes);
	list_init(&peer->calls);
	list_init(&peer->requests);
	if (getrandom(&peer->life, sizeof(peer->life), 0) == sizeof(peer->life) &&
		peer_answers_new(&peer->answers) == 0 && zcontext_new(loop, &peer->context) == 0) {
		peer->life = peer->life >> 1 | 1; /* fits JSON's integers, and is not 0 */
		return peer;
	}
	peer_answers_free(peer->answers);
	free(peer);
	return NULL;
}

int peer_new_guest(
	struct loop *loop, const char *public_key, const char *secret_key, struct peer **ret_peer)
{
	uint8_t raw[ZKEY_BYTES];
	struct peer *peer;

	if (zkey_decode(public_key, raw) < 0 || zkey_decode(secret_key, raw) < 0)
		return -EINVAL;
	explicit_bzero(raw, sizeof(raw));
	peer = make(loop);
	if (!peer)
		return -ENOMEM;
	strcpy(peer->keys.public_key, public_key);
	strcpy(peer->keys.secret_key, secret_key);
	*ret_peer = peer;
	return 0;
}

int peer_new(struct loop *loop, const char *address, const char *key_file, peer_handler_fn handler,
	void *data, struct peer **ret_peer)
{
	struct peer *peer = make(loop);
	int r;

	if (!peer)
		return -ENOMEM;
	peer->handler = handler;
	peer->data = data;
	r = zkeys_load(key_file, &peer->keys);
	if (r == 0)
		r = open_server(peer, address);
	if (r < 0) {
		peer_free(peer);
		return r;
	}
	*ret_peer = peer;
	return 0;
}

void peer_free(struct peer *peer)
{
	struct node *node, *next_node;
	struct call *call, *next_call;
	struct peer_request *request;

	if (!peer)
		return;
	list_for_each_safe(call, next_call, &peer->calls, link) {
		list_remove(&call->link);
		call_stop(call);
		call_free(call);
	}
	/* Their handlers answer later, to nobody. */
	while ((request = list_pop(&peer->requests, struct peer_request, link)))
		request->peer = NULL;
	list_for_each_safe(node, next_node, &peer->nodes, link)
		forget_node(node);
	zsock_close(peer->router);
	zcontext_free(peer->context);
	peer_answers_free(peer->answers);
	explicit_bzero(&peer->keys, sizeof(peer->keys));
	free(peer);
}

const char *peer_public_key(const struct peer *peer)
{
	return peer->keys.public_key;
}
