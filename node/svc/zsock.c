/* SPDX-License-Identifier: MIT */
#include "node/svc/zsock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define DRAIN_BURST 64

struct zcontext {
	struct loop *loop;
	void *context;
	struct zsock *zap;
	bool zap_refuses_for_good;
	zkey_fn key;
	void *key_data;
};

/* ZeroMQ's descriptor is edge-triggered and any send or receive may eat the edge, so ZMQ_EVENTS is
 * read again after each of them, and what is left is drained in a turn of its own. */
struct zsock {
	struct zcontext *context;
	void *socket;
	int fd;
	void (*drain)(struct zsock *zs);
	zmessage_fn message;
	void *data;
	struct loop_event *turn;
	bool is_draining, dead; /* who drains it frees it */
};

/* ---- keys ---- */

int zkey_decode(const char *text, uint8_t ret_key[ZKEY_BYTES])
{
	return strlen(text) == ZKEY_TEXT_BYTES - 1 && zmq_z85_decode(ret_key, text) ? 0 : -EINVAL;
}

int zkeys_make(struct zkeys *ret_keys)
{
	return zmq_curve_keypair(ret_keys->public_key, ret_keys->secret_key) < 0 ? -EIO : 0;
}

int zkeys_load(const char *path, struct zkeys *ret_keys)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[2 * ZKEY_TEXT_BYTES];
	struct zkeys keys = {0};
	ssize_t n;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text));
		if (n != sizeof(text) || text[ZKEY_TEXT_BYTES - 1] != '\n' ||
			text[sizeof(text) - 1] != '\n')
			return -EBADMSG;
		memcpy(keys.public_key, text, ZKEY_TEXT_BYTES - 1);
		memcpy(keys.secret_key, text + ZKEY_TEXT_BYTES, ZKEY_TEXT_BYTES - 1);
		*ret_keys = keys;
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	if (zkeys_make(&keys) < 0)
		return -EIO;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n%s\n", keys.public_key, keys.secret_key) < 0 || fsync(fd) < 0)
		return -EIO;
	*ret_keys = keys;
	return 0;
}

/* ---- a socket on the loop ---- */

static bool is_readable(struct zsock *zs)
{
	int events = 0;
	size_t size = sizeof(events);

	zmq_getsockopt(zs->socket, ZMQ_EVENTS, &events, &size);
	return events & ZMQ_POLLIN;
}

static void touch(struct zsock *zs)
{
	if (!zs->dead && is_readable(zs))
		loop_event_raise(zs->turn);
}

static void on_turn(void *data)
{
	struct zsock *zs = data;

	zs->is_draining = true;
	zs->drain(zs);
	zs->is_draining = false;
	if (zs->dead)
		free(zs);
	else
		touch(zs);
}

static void on_fd(int fd _unused_, short revents _unused_, void *data)
{
	touch(data);
}

void zsock_close(struct zsock *zs)
{
	if (!zs)
		return;
	loop_fd_remove(zs->context->loop, zs->fd);
	loop_event_free(zs->turn);
	zmq_close(zs->socket);
	zs->dead = true;
	if (!zs->is_draining)
		free(zs);
}

static void set_int(struct zsock *zs, int option, int value)
{
	zmq_setsockopt(zs->socket, option, &value, sizeof(value));
}

static int zsock_new(struct zcontext *context, int type, void (*drain)(struct zsock *),
	struct zsock **ret_socket)
{
	struct zsock *zs = calloc(1, sizeof(*zs));
	size_t size = sizeof(zs->fd);

	if (!zs)
		return -ENOMEM;
	zs->context = context;
	zs->drain = drain;
	zs->socket = zmq_socket(context->context, type);
	if (!zs->socket || zmq_getsockopt(zs->socket, ZMQ_FD, &zs->fd, &size) < 0 ||
		loop_event_new(context->loop, on_turn, zs, &zs->turn) < 0 ||
		loop_fd_add(context->loop, zs->fd, POLLIN, on_fd, zs) < 0) {
		loop_event_free(zs->turn);
		if (zs->socket)
			zmq_close(zs->socket);
		free(zs);
		return -EIO;
	}
	set_int(zs, ZMQ_LINGER, 0);
	*ret_socket = zs;
	return 0;
}

/* ---- ZAP (RFC 27): which keys may connect, and whose they are ---- */

/* A key that is not known may be known in a moment: 300 (RFC 27) drops the connection and lets the
 * other side try again. After a 400 its ZeroMQ gives up for good. */
static void zap_answer(struct zsock *zs, const void *id, size_t id_bytes, const char *name)
{
	const char *refusal = zs->context->zap_refuses_for_good ? "400" : "300";
	const char *status = name ? "200" : refusal;
	const char *text = name ? "OK" : "unknown key";

	zmq_send(zs->socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, id, id_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, name ? name : "", name ? strlen(name) : 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(zs->socket, "", 0, ZMQ_DONTWAIT);
}

static const char *name_of_key(struct zcontext *context, const uint8_t *key, size_t size_bytes)
{
	char text[ZKEY_TEXT_BYTES];

	if (size_bytes != ZKEY_BYTES || !zmq_z85_encode(text, key, ZKEY_BYTES))
		return NULL;
	return context->key(text, context->key_data);
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
			name_of_key(zs->context, frame[ZAP_KEY], size[ZAP_KEY]));
}

/* ---- messages ---- */

static void hand_over(struct zsock *zs, zmq_msg_t *identity, zmq_msg_t *payload)
{
	const char *user = zmq_msg_gets(payload, "User-Id");
	const char *address = zmq_msg_gets(payload, "Peer-Address");
	const struct zmessage message = {
		.identity = zmq_msg_data(identity),
		.identity_bytes = zmq_msg_size(identity),
		.user = user,
		.address = address ? address : "",
		.data = zmq_msg_data(payload),
		.size_bytes = zmq_msg_size(payload),
	};

	if (user && message.identity_bytes <= ZIDENTITY_BYTES)
		zs->message(&message, zs->data);
}

static void router_drain(struct zsock *zs)
{
	for (unsigned i = 0; i < DRAIN_BURST && !zs->dead; i++) {
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
			hand_over(zs, &frame[0], &frame[1]);
		zmq_msg_close(&frame[0]);
		zmq_msg_close(&frame[1]);
		if (n == 0)
			return;
	}
}

static void dealer_drain(struct zsock *zs)
{
	for (unsigned i = 0; i < DRAIN_BURST && !zs->dead; i++) {
		zmq_msg_t frame;
		bool received;

		zmq_msg_init(&frame);
		received = zmq_msg_recv(&frame, zs->socket, ZMQ_DONTWAIT) >= 0;
		if (received)
			zs->message(&(const struct zmessage){.address = "",
					    .data = zmq_msg_data(&frame),
					    .size_bytes = zmq_msg_size(&frame)},
				zs->data);
		zmq_msg_close(&frame);
		if (!received)
			return;
	}
}

int zsock_send(struct zsock *zs, const void *identity, size_t identity_bytes, const void *data,
	size_t size_bytes)
{
	int r = 0;

	if (identity &&
		zmq_send(zs->socket, identity, identity_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		r = -EAGAIN;
	if (r == 0 && zmq_send(zs->socket, data, size_bytes, ZMQ_DONTWAIT) < 0)
		r = -EAGAIN;
	touch(zs);
	return r;
}

/* ---- both ends ---- */

static void set_limits(struct zsock *zs, int64_t max_bytes, int heartbeat_ms,
	int heartbeat_timeout_ms, int handshake_ms)
{
	zmq_setsockopt(zs->socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes));
	set_int(zs, ZMQ_HEARTBEAT_IVL, heartbeat_ms);
	set_int(zs, ZMQ_HEARTBEAT_TIMEOUT, heartbeat_timeout_ms);
	/* A refused handshake (see zap_answer()) ends by this limit only. */
	set_int(zs, ZMQ_HANDSHAKE_IVL, handshake_ms);
}

/* Of the next endpoint: callers over IPv4 keep the addresses that people know them by. */
static void set_family(struct zsock *zs, const char *endpoint)
{
	set_int(zs, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
}

static int open_zap(struct zcontext *context, const struct zlisten *options)
{
	int r = zsock_new(context, ZMQ_REP, zap_drain, &context->zap);

	if (r < 0)
		return r;
	context->zap_refuses_for_good = options->refuses_for_good;
	context->key = options->key;
	context->key_data = options->data;
	if (zmq_bind(context->zap->socket, "inproc://zeromq.zap.01") < 0)
		return -EIO;
	touch(context->zap);
	return 0;
}

int zsock_listen(struct zcontext *context, const struct zlisten *options, struct zsock **ret_socket)
{
	struct zsock *zs;
	int r = open_zap(context, options);

	if (r == 0)
		r = zsock_new(context, ZMQ_ROUTER, router_drain, &zs);
	if (r < 0)
		return r;
	zs->message = options->message;
	zs->data = options->data;
	set_limits(zs, (int64_t)options->max_bytes, options->heartbeat_ms,
		options->heartbeat_timeout_ms, options->handshake_ms);
	if (options->max_queued) {
		set_int(zs, ZMQ_RCVHWM, options->max_queued);
		set_int(zs, ZMQ_SNDHWM, options->max_queued);
	}
	set_int(zs, ZMQ_CURVE_SERVER, 1);
	zmq_setsockopt(zs->socket, ZMQ_CURVE_SECRETKEY, options->keys->secret_key,
		strlen(options->keys->secret_key));
	zmq_setsockopt(zs->socket, ZMQ_ZAP_DOMAIN, "viaduct", 7);
	r = zsock_bind(zs, options->endpoint);
	if (r < 0) {
		zsock_close(zs);
		return r;
	}
	*ret_socket = zs;
	return 0;
}

int zsock_bind(struct zsock *zs, const char *endpoint)
{
	set_family(zs, endpoint);
	if (zmq_bind(zs->socket, endpoint) < 0)
		return errno == EADDRINUSE ? -EADDRINUSE : -EADDRNOTAVAIL;
	touch(zs);
	return 0;
}

int zsock_connect(struct zcontext *context, const char *endpoint, const char *server_key,
	const struct zkeys *keys, size_t max_bytes, zmessage_fn message, void *data,
	struct zsock **ret_socket)
{
	enum { HEARTBEAT_MS = 200, HEARTBEAT_TIMEOUT_MS = 600, HANDSHAKE_MS = 1000 };
	struct zsock *zs;
	int r = zsock_new(context, ZMQ_DEALER, dealer_drain, &zs);

	if (r < 0)
		return r;
	zs->message = message;
	zs->data = data;
	set_limits(zs, (int64_t)max_bytes, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, HANDSHAKE_MS);
	set_int(zs, ZMQ_RECONNECT_IVL, 100);
	set_int(zs, ZMQ_RECONNECT_IVL_MAX, 1000);
	zmq_setsockopt(zs->socket, ZMQ_CURVE_SERVERKEY, server_key, strlen(server_key));
	zmq_setsockopt(zs->socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, strlen(keys->public_key));
	zmq_setsockopt(zs->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, strlen(keys->secret_key));
	set_family(zs, endpoint);
	if (zmq_connect(zs->socket, endpoint) < 0) {
		zsock_close(zs);
		return -EINVAL;
	}
	touch(zs);
	*ret_socket = zs;
	return 0;
}

int zcontext_new(struct loop *loop, struct zcontext **ret_context)
{
	struct zcontext *context = calloc(1, sizeof(*context));

	if (!context)
		return -ENOMEM;
	context->loop = loop;
	context->context = zmq_ctx_new();
	if (!context->context) {
		free(context);
		return -ENOMEM;
	}
	*ret_context = context;
	return 0;
}

void zcontext_free(struct zcontext *context)
{
	if (!context)
		return;
	zsock_close(context->zap);
	zmq_ctx_term(context->context);
	free(context);
}
