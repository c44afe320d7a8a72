/* SPDX-License-Identifier: MIT */
#include "node/svc/peer.h"

#include "base/list.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define PEER_NAME_MAX_LEN 63
#define KEY_BYTES         32
#define DRAIN_BURST       64
#define MAX_PENDING_CALLS 1024
#define MAX_ADDRESSES     64
#define ENDPOINT_BYTES    96

/* ZeroMQ's descriptor is edge-triggered and any send or receive may eat the edge, so ZMQ_EVENTS is
 * read again after each of them, and what is left is drained by a job of the loop. */
struct zsock {
	struct peer *peer;
	void *socket;
	int fd;
	void (*drain)(struct zsock *zs);
	struct node *node; /* of a DEALER */
	bool scheduled, dead;
};

struct node {
	struct list link;
	char name[PEER_NAME_MAX_LEN + 1];
	char address[64];
	char key[PEER_KEY_TEXT_BYTES];
	uint8_t raw_key[KEY_BYTES];
	struct zsock *dealer;
};

struct call {
	struct list link;
	struct peer *peer;
	uint64_t id, timer;
	char node[PEER_NAME_MAX_LEN + 1];
	peer_reply_fn fn;
	void *data;
};

struct peer {
	struct loop *loop;
	void *context;
	struct zsock *router, *zap;
	char endpoints[MAX_ADDRESSES][ENDPOINT_BYTES]; /* bound to */
	size_t n_endpoints;
	char public_key[PEER_KEY_TEXT_BYTES], secret_key[PEER_KEY_TEXT_BYTES];
	struct list nodes, calls;
	size_t n_calls;
	uint64_t next_id;
	peer_handler_fn handler;
	void *data;
};

struct peer_request {
	struct peer *peer;
	uint8_t identity[256];
	size_t identity_bytes;
	uint64_t id;
};

static void zsock_job(void *data);

static bool zsock_readable(struct zsock *zs)
{
	int events = 0;
	size_t size = sizeof(events);

	zmq_getsockopt(zs->socket, ZMQ_EVENTS, &events, &size);
	return events & ZMQ_POLLIN;
}

static void zsock_touch(struct zsock *zs)
{
	if (!zs->scheduled && !zs->dead && zsock_readable(zs) &&
		loop_job_add(zs->peer->loop, zsock_job, zs) == 0)
		zs->scheduled = true;
}

static void zsock_job(void *data)
{
	struct zsock *zs = data;

	zs->scheduled = false;
	if (zs->dead) {
		free(zs);
		return;
	}
	zs->drain(zs);
	if (!zs->dead)
		zsock_touch(zs);
	else if (!zs->scheduled)
		free(zs);
}

static void on_zsock_fd(int fd _unused_, short revents _unused_, void *data)
{
	zsock_touch(data);
}

static void zsock_close(struct zsock *zs)
{
	if (!zs)
		return;
	loop_fd_remove(zs->peer->loop, zs->fd);
	zmq_close(zs->socket);
	zs->dead = true;
	if (!zs->scheduled)
		free(zs);
}

static int zsock_new(struct peer *peer, int type, void (*drain)(struct zsock *), struct zsock **ret)
{
	static const int zero = 0, heartbeat_ms = 200, heartbeat_timeout_ms = 600, retry_ms = 100,
			 handshake_ms = 1000, retry_max_ms = 1000;
	static const int one = 1;
	static const int64_t max_bytes = PEER_MAX_BYTES;
	struct zsock *zs = calloc(1, sizeof(*zs));
	size_t size = sizeof(zs->fd);

	if (!zs)
		return -ENOMEM;
	zs->peer = peer;
	zs->drain = drain;
	zs->socket = zmq_socket(peer->context, type);
	if (!zs->socket || zmq_getsockopt(zs->socket, ZMQ_FD, &zs->fd, &size) < 0) {
		if (zs->socket)
			zmq_close(zs->socket);
		free(zs);
		return -EIO;
	}
	zmq_setsockopt(zs->socket, ZMQ_LINGER, &zero, sizeof(zero));
	zmq_setsockopt(zs->socket, ZMQ_IPV6, &one, sizeof(one));
	zmq_setsockopt(zs->socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes));
	if (type != ZMQ_REP) {
		zmq_setsockopt(zs->socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof(int));
		zmq_setsockopt(
			zs->socket, ZMQ_HEARTBEAT_TIMEOUT, &heartbeat_timeout_ms, sizeof(int));
		/* A refused handshake (see zap_answer()) ends by this limit only. */
		zmq_setsockopt(zs->socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof(int));
		zmq_setsockopt(zs->socket, ZMQ_RECONNECT_IVL, &retry_ms, sizeof(int));
		zmq_setsockopt(zs->socket, ZMQ_RECONNECT_IVL_MAX, &retry_max_ms, sizeof(int));
	}
	if (loop_fd_add(peer->loop, zs->fd, POLLIN, on_zsock_fd, zs) < 0) {
		zmq_close(zs->socket);
		free(zs);
		return -EIO;
	}
	*ret = zs;
	return 0;
}

/* ---- ZAP (RFC 27): which keys may connect, and what node they are ---- */

static struct node *find_node(struct peer *peer, const char *name)
{
	struct node *node, *next;

	list_for_each_safe(node, next, &peer->nodes, link) {
		if (strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

static const char *node_of_key(struct peer *peer, const void *key, size_t size_bytes)
{
	struct node *node, *next;

	if (size_bytes != KEY_BYTES)
		return NULL;
	list_for_each_safe(node, next, &peer->nodes, link) {
		if (node->key[0] && memcmp(node->raw_key, key, KEY_BYTES) == 0)
			return node->name;
	}
	return NULL;
}

/* A key that is not known may be known in a moment: 300 (RFC 27) drops the connection and lets the
 * other side try again. After a 400 its ZeroMQ would give up for good. */
static void zap_answer(struct zsock *zs, const void *id, size_t id_bytes, const char *name)
{
	const char *status = name ? "200" : "300";
	const char *text = name ? "OK" : "unknown key";

	zmq_send(zs->socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, id, id_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, name ? name : "", name ? strlen(name) : 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, "", 0, ZMQ_DONTWAIT);
}

static void zap_drain(struct zsock *zs)
{
	/* version, request id, domain, address, identity, mechanism, credentials */
	enum { ZAP_ID = 1, ZAP_MECHANISM = 5, ZAP_KEY = 6, ZAP_FRAMES = 7 };
	uint8_t frame[ZAP_FRAMES][256];
	size_t size[ZAP_FRAMES] = {0};
	unsigned n = 0;
	int more = 1;

	while (more) {
		size_t option_size = sizeof(more);
		uint8_t *to = frame[MIN(n, (unsigned)ZAP_FRAMES - 1)];
		int r = zmq_recv(zs->socket, to, sizeof(frame[0]), ZMQ_DONTWAIT);

		if (r < 0)
			return;
		if (n < ZAP_FRAMES)
			size[n] = MIN((size_t)r, sizeof(frame[0]));
		n++;
		zmq_getsockopt(zs->socket, ZMQ_RCVMORE, &more, &option_size);
	}
	if (n != ZAP_FRAMES || size[ZAP_MECHANISM] != 5 ||
		memcmp(frame[ZAP_MECHANISM], "CURVE", 5) != 0)
		zap_answer(zs, frame[ZAP_ID], size[ZAP_ID], NULL);
	else
		zap_answer(zs, frame[ZAP_ID], size[ZAP_ID],
			node_of_key(zs->peer, frame[ZAP_KEY], size[ZAP_KEY]));
}

/* ---- messages: one JSON frame {"rid": N, "body": {...}}, behind the identity on the ROUTER ----
 */

static int send_json(struct zsock *zs, const void *identity, size_t identity_bytes, uint64_t id,
	struct json *body)
{
	_cleanup_json_ struct json *envelope = json_object_new();
	_cleanup_free_ char *text = NULL;
	int r = 0;

	json_set_int(envelope, "rid", (int64_t)id);
	json_set(envelope, "body", body);
	text = json_dump(envelope, 0);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > PEER_MAX_BYTES)
		return -EMSGSIZE;
	if (identity_bytes &&
		zmq_send(zs->socket, identity, identity_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		r = -EAGAIN;
	if (r == 0 && zmq_send(zs->socket, text, strlen(text), ZMQ_DONTWAIT) < 0)
		r = -EAGAIN;
	zsock_touch(zs);
	return r;
}

static void router_message(struct peer *peer, zmq_msg_t *identity, zmq_msg_t *payload)
{
	const char *from = zmq_msg_gets(payload, "User-Id");
	_cleanup_json_ struct json *envelope = NULL;
	struct peer_request *request;
	const struct json *body;

	if (!from || !find_node(peer, from) || zmq_msg_size(identity) > sizeof(request->identity) ||
		json_parse(zmq_msg_data(payload), zmq_msg_size(payload), &envelope) < 0)
		return;
	body = json_get(envelope, "body");
	if (!json_is_object(body) || json_get_int(envelope, "rid", 0) <= 0)
		return;
	request = calloc(1, sizeof(*request));
	if (!request)
		return;
	request->peer = peer;
	request->id = (uint64_t)json_get_int(envelope, "rid", 0);
	request->identity_bytes = zmq_msg_size(identity);
	memcpy(request->identity, zmq_msg_data(identity), request->identity_bytes);
	peer->handler(request, from, body, peer->data);
}

static void router_drain(struct zsock *zs)
{
	for (unsigned i = 0; i < DRAIN_BURST; i++) {
		zmq_msg_t frame[2];
		unsigned n = 0;
		bool more = true;

		zmq_msg_init(&frame[0]);
		zmq_msg_init(&frame[1]);
		while (more) {
			/* Surplus frames land in the last one and spoil it: such a message is no
			 * request. */
			if (zmq_msg_recv(&frame[MIN(n, 1U)], zs->socket, ZMQ_DONTWAIT) < 0)
				break;
			more = zmq_msg_more(&frame[MIN(n, 1U)]);
			n++;
		}
		if (n == 2)
			router_message(zs->peer, &frame[0], &frame[1]);
		zmq_msg_close(&frame[0]);
		zmq_msg_close(&frame[1]);
		if (n == 0)
			return;
	}
}

void peer_reply(struct peer_request *request, struct json *reply)
{
	int r = send_json(request->peer->router, request->identity, request->identity_bytes,
		request->id, reply ? reply : json_object_new());

	if (r < 0)
		log_debug("a peer's reply was lost: %s", strerror(-r));
	free(request);
}

/* ---- calls ---- */

static void call_end(struct call *call, int error, const struct json *reply)
{
	list_remove(&call->link);
	call->peer->n_calls--;
	loop_timer_remove(call->peer->loop, call->timer);
	call->fn(error, reply, call->data);
	free(call);
}

static void on_call_timeout(void *data)
{
	struct call *call = data;

	call->timer = 0;
	call_end(call, -ETIMEDOUT, NULL);
}

static void dealer_drain(struct zsock *zs)
{
	struct peer *peer = zs->peer;

	for (unsigned i = 0; i < DRAIN_BURST && !zs->dead; i++) {
		_cleanup_json_ struct json *envelope = NULL;
		struct call *call, *next;
		zmq_msg_t frame;
		uint64_t id;
		int r;

		zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, zs->socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&frame);
			return;
		}
		r = json_parse(zmq_msg_data(&frame), zmq_msg_size(&frame), &envelope);
		zmq_msg_close(&frame);
		if (r < 0)
			continue;
		id = (uint64_t)json_get_int(envelope, "rid", 0);
		list_for_each_safe(call, next, &peer->calls, link) {
			if (call->id == id && strcmp(call->node, zs->node->name) == 0) {
				call_end(call, 0, json_get(envelope, "body"));
				break;
			}
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
	r = loop_timer_add(peer->loop, timeout_ns, on_call_timeout, call, &call->timer);
	if (r == 0) {
		r = send_json(node->dealer, NULL, 0, call->id, take_ptr(message));
		if (r < 0)
			loop_timer_remove(peer->loop, call->timer);
	}
	json_unref(message);
	if (r < 0) {
		free(call);
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
	int r = zsock_new(peer, ZMQ_DEALER, dealer_drain, &node->dealer);

	if (r < 0)
		return r;
	node->dealer->node = node;
	make_endpoint(node->address, endpoint);
	zmq_setsockopt(node->dealer->socket, ZMQ_CURVE_SERVERKEY, node->key, strlen(node->key));
	zmq_setsockopt(node->dealer->socket, ZMQ_CURVE_PUBLICKEY, peer->public_key,
		strlen(peer->public_key));
	zmq_setsockopt(node->dealer->socket, ZMQ_CURVE_SECRETKEY, peer->secret_key,
		strlen(peer->secret_key));
	if (zmq_connect(node->dealer->socket, endpoint) < 0) {
		zsock_close(take_ptr(node->dealer));
		return -EINVAL;
	}
	zsock_touch(node->dealer);
	return 0;
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
	list_append(&peer->nodes, &node->link);
	r = zmq_z85_decode(node->raw_key, key) ? connect_dealer(peer, node) : -EINVAL;
	if (r < 0)
		forget_node(node);
	return r;
}

static int load_keys(struct peer *peer, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[2 * PEER_KEY_TEXT_BYTES];
	ssize_t n;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text));
		if (n != sizeof(text) || text[PEER_KEY_TEXT_BYTES - 1] != '\n' ||
			text[sizeof(text) - 1] != '\n')
			return -EBADMSG;
		memcpy(peer->public_key, text, PEER_KEY_TEXT_BYTES - 1);
		memcpy(peer->secret_key, text + PEER_KEY_TEXT_BYTES, PEER_KEY_TEXT_BYTES - 1);
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	if (zmq_curve_keypair(peer->public_key, peer->secret_key) < 0)
		return -EIO;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n%s\n", peer->public_key, peer->secret_key) < 0 || fsync(fd) < 0)
		return -EIO;
	return 0;
}

static int open_server(struct peer *peer, const char *address)
{
	static const int one = 1;
	int r = zsock_new(peer, ZMQ_REP, zap_drain, &peer->zap);

	if (r < 0)
		return r;
	if (zmq_bind(peer->zap->socket, "inproc://zeromq.zap.01") < 0)
		return -EIO;
	r = zsock_new(peer, ZMQ_ROUTER, router_drain, &peer->router);
	if (r < 0)
		return r;
	zmq_setsockopt(peer->router->socket, ZMQ_CURVE_SERVER, &one, sizeof(one));
	zmq_setsockopt(peer->router->socket, ZMQ_CURVE_SECRETKEY, peer->secret_key,
		strlen(peer->secret_key));
	zmq_setsockopt(peer->router->socket, ZMQ_ZAP_DOMAIN, "viaduct", 7);
	zsock_touch(peer->zap);
	return peer_listen(peer, address);
}

int peer_listen(struct peer *peer, const char *address)
{
	char *endpoint = peer->endpoints[MIN(peer->n_endpoints, (size_t)MAX_ADDRESSES - 1)];

	if (peer->n_endpoints == MAX_ADDRESSES)
		return -ENOSPC;
	make_endpoint(address, endpoint);
	for (size_t i = 0; i < peer->n_endpoints; i++) {
		if (strcmp(peer->endpoints[i], endpoint) == 0)
			return 0;
	}
	if (zmq_bind(peer->router->socket, endpoint) < 0)
		return errno == EADDRINUSE ? -EADDRINUSE : -EADDRNOTAVAIL;
	peer->n_endpoints++;
	zsock_touch(peer->router);
	return 0;
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

int peer_new(struct loop *loop, const char *address, const char *key_file, peer_handler_fn handler,
	void *data, struct peer **ret_peer)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;
	peer->loop = loop;
	peer->handler = handler;
	peer->data = data;
	list_init(&peer->nodes);
	list_init(&peer->calls);
	peer->context = zmq_ctx_new();
	r = peer->context ? load_keys(peer, key_file) : -ENOMEM;
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

	if (!peer)
		return;
	list_for_each_safe(call, next_call, &peer->calls, link) {
		loop_timer_remove(peer->loop, call->timer);
		list_remove(&call->link);
		free(call);
	}
	list_for_each_safe(node, next_node, &peer->nodes, link)
		forget_node(node);
	zsock_close(peer->router);
	zsock_close(peer->zap);
	if (peer->context)
		zmq_ctx_term(peer->context);
	explicit_bzero(peer->secret_key, sizeof(peer->secret_key));
	free(peer);
}

const char *peer_public_key(const struct peer *peer)
{
	return peer->public_key;
}
