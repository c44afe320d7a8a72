/* SPDX-License-Identifier: MIT
 *
 * link_zmq.c - requests to a cluster over the network (node/svc/remote_msg.h has the messages).
 *
 * All addresses of the file are tried, each a moment after the one before; whichever node has
 * proved its key first is asked, and the others are left. Nothing is sent before, so a request
 * reaches one node, once. There is no second try by itself: whether the first one was carried out
 * is not known when its connection breaks.
 */
#include "node/ctl/link.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#define HEAD_START_MS    150
#define CONNECT_MS       4000
#define REFUSED_WAIT_MS  400 /* for another node that may know the key */
#define MAX_ANSWER_BYTES (2 << 20)

struct attempt {
	void *socket, *monitor;
	const struct remote_endpoint *endpoint;
	bool refused, ended;
};

struct zlink {
	void *context;
	struct attempt way; /* the one that is used */
	int64_t last_id;
};

int zlink_keys(char ret_public[REMOTE_KEY_BYTES], char ret_secret[REMOTE_KEY_BYTES])
{
	return zmq_curve_keypair(ret_public, ret_secret) < 0 ? -EIO : 0;
}

/* The end of watching is told to the watcher, by a send that waits for ever if he has gone first.
 */
static void attempt_close(struct attempt *a)
{
	if (a->socket && a->monitor)
		zmq_socket_monitor(a->socket, NULL, 0);
	if (a->socket)
		zmq_close(a->socket);
	if (a->monitor)
		zmq_close(a->monitor);
	a->socket = a->monitor = NULL;
}

static void set_int(void *socket, int option, int value)
{
	zmq_setsockopt(socket, option, &value, sizeof(value));
}

static int attempt_start(
	struct attempt *a, void *context, const struct remote_file *file, size_t at)
{
	static const int64_t max_bytes = MAX_ANSWER_BYTES;
	char name[48];

	a->endpoint = &file->endpoints[at];
	a->socket = zmq_socket(context, ZMQ_DEALER);
	a->monitor = zmq_socket(context, ZMQ_PAIR);
	if (!a->socket || !a->monitor)
		return -ENOMEM;
	set_int(a->socket, ZMQ_LINGER, 0);
	set_int(a->monitor, ZMQ_LINGER, 0);
	set_int(a->socket, ZMQ_RECONNECT_IVL, -1);
	set_int(a->socket, ZMQ_HANDSHAKE_IVL, CONNECT_MS);
	set_int(a->socket, ZMQ_HEARTBEAT_IVL, 2000);
	set_int(a->socket, ZMQ_HEARTBEAT_TIMEOUT, 6000);
	if (strchr(a->endpoint->endpoint, '['))
		set_int(a->socket, ZMQ_IPV6, 1);
	zmq_setsockopt(a->socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes));
	zmq_setsockopt(a->socket, ZMQ_CURVE_SERVERKEY, a->endpoint->key, REMOTE_KEY_BYTES - 1);
	zmq_setsockopt(a->socket, ZMQ_CURVE_PUBLICKEY, file->public_key, REMOTE_KEY_BYTES - 1);
	zmq_setsockopt(a->socket, ZMQ_CURVE_SECRETKEY, file->secret_key, REMOTE_KEY_BYTES - 1);
	snprintf(name, sizeof(name), "inproc://way-%zu", at);
	if (zmq_socket_monitor(a->socket, name, ZMQ_EVENT_ALL) < 0 ||
		zmq_connect(a->monitor, name) < 0 ||
		zmq_connect(a->socket, a->endpoint->endpoint) < 0)
		return -EINVAL;
	return 0;
}

/* The next thing that happened to the connection, 0: nothing. */
static int next_event(struct attempt *a)
{
	uint8_t frame[6];
	char address[320];
	uint16_t event;

	if (zmq_recv(a->monitor, frame, sizeof(frame), ZMQ_DONTWAIT) != (int)sizeof(frame))
		return 0;
	(void)zmq_recv(a->monitor, address, sizeof(address), ZMQ_DONTWAIT);
	memcpy(&event, frame, sizeof(event));
	return event;
}

/* True: the node has proved its key, and taken ours. */
static bool look_at(struct attempt *a)
{
	int event;

	while ((event = next_event(a))) {
		if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
			return true;
		if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
			a->refused = true;
		if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ||
			event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ||
			event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
			event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED)
			a->ended = true;
	}
	return false;
}

/* One that has got through, or NULL. */
static struct attempt *try_all(
	struct attempt *attempts, void *context, const struct remote_file *file)
{
	uint64_t begin_ns = clock_mono_ns(), refused_ns = 0;
	zmq_pollitem_t items[REMOTE_MAX_ENDPOINTS];
	size_t n = 0;

	for (;;) {
		uint64_t now_ns = clock_mono_ns();
		uint64_t passed_ms = (now_ns - begin_ns) / NS_PER_MS;
		size_t n_ended = 0;

		while (n < file->n && (passed_ms >= n * HEAD_START_MS || n_ended == n)) {
			if (attempt_start(&attempts[n], context, file, n) < 0)
				attempts[n].ended = true;
			n++;
		}
		for (size_t i = 0; i < n; i++) {
			if (attempts[i].monitor && look_at(&attempts[i]))
				return &attempts[i];
			n_ended += attempts[i].ended;
			if (attempts[i].refused && !refused_ns)
				refused_ns = now_ns;
			items[i] = (zmq_pollitem_t){
				.socket = attempts[i].monitor, .events = ZMQ_POLLIN};
		}
		if ((n_ended == file->n) || passed_ms >= CONNECT_MS ||
			(refused_ns && now_ns - refused_ns > REFUSED_WAIT_MS * NS_PER_MS))
			return NULL;
		zmq_poll(items, attempts[n - 1].monitor ? (int)n : 0, 50);
	}
}

static int say_why(const struct remote_file *file, const struct attempt *attempts, char *error,
	size_t size_bytes)
{
	int len;

	for (size_t i = 0; i < file->n; i++) {
		if (!attempts[i].refused)
			continue;
		snprintf(error, size_bytes,
			"%s does not know the key of %s: it was never enrolled in this cluster, or "
			"a new one was since; an administrator sees in 'viaduct admin list'",
			attempts[i].endpoint->node, file->name);
		return EXIT_REFUSED;
	}
	len = snprintf(error, size_bytes, "no node of the cluster answers; tried");
	for (size_t i = 0; i < file->n && i < 4 && len < (int)size_bytes; i++)
		len += snprintf(error + len, size_bytes - (size_t)len, "%s %s at %s", i ? "," : "",
			file->endpoints[i].node, file->endpoints[i].endpoint + strlen("tcp://"));
	if (len < (int)size_bytes)
		snprintf(error + len, size_bytes - (size_t)len,
			"%s: is one of them up, the way open (firewall), and the file of this "
			"cluster?",
			file->n > 4 ? ", ..." : "");
	return EXIT_UNREACHABLE;
}

int zlink_open(
	const struct remote_file *file, struct zlink **ret_link, char *error, size_t size_bytes)
{
	struct attempt attempts[REMOTE_MAX_ENDPOINTS] = {0};
	struct zlink *link = calloc(1, sizeof(*link));
	struct attempt *way;
	int r = EXIT_OK;

	if (!link || !(link->context = zmq_ctx_new())) {
		free(link);
		snprintf(error, size_bytes, "out of memory");
		return EXIT_FAILED;
	}
	way = try_all(attempts, link->context, file);
	if (way) {
		link->way = *way;
		*way = (struct attempt){0};
	} else {
		r = say_why(file, attempts, error, size_bytes);
	}
	for (size_t i = 0; i < file->n; i++)
		attempt_close(&attempts[i]);
	if (r != EXIT_OK) {
		zlink_close(link);
		return r;
	}
	*ret_link = link;
	return EXIT_OK;
}

void zlink_close(struct zlink *link)
{
	if (!link)
		return;
	attempt_close(&link->way);
	zmq_ctx_term(link->context);
	free(link);
}

bool zlink_is_alive(struct zlink *link)
{
	look_at(&link->way);
	return !link->way.ended;
}

static int send_request(struct zlink *link, const struct json *request)
{
	_cleanup_json_ struct json *envelope = json_object_new();
	_cleanup_free_ char *text = NULL;

	json_set_int(envelope, "rid", ++link->last_id);
	json_set(envelope, "request", json_copy(request));
	text = json_dump(envelope, 0);
	if (!text)
		return -ENOMEM;
	return zmq_send(link->way.socket, text, strlen(text), ZMQ_DONTWAIT) < 0 ? -ECONNRESET : 0;
}

/* 0: nothing (of this request) yet. */
static int receive(struct zlink *link, struct json **ret_reply)
{
	_cleanup_json_ struct json *envelope = NULL;
	zmq_msg_t message;
	int r = 0;

	zmq_msg_init(&message);
	if (zmq_msg_recv(&message, link->way.socket, ZMQ_DONTWAIT) < 0)
		r = -EAGAIN;
	else if (json_parse(zmq_msg_data(&message), zmq_msg_size(&message), &envelope) < 0)
		r = -EBADMSG;
	zmq_msg_close(&message);
	if (r < 0 || json_get_int(envelope, "rid", 0) != link->last_id)
		return r;
	*ret_reply = json_ref(json_get(envelope, "answer"));
	return json_is_object(*ret_reply) ? 1 : -EBADMSG;
}

int zlink_call(struct zlink *link, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply)
{
	uint64_t end_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
	int r = send_request(link, request);

	while (r == 0) {
		zmq_pollitem_t items[] = {
			{.socket = link->way.socket, .events = ZMQ_POLLIN},
			{.socket = link->way.monitor, .events = ZMQ_POLLIN},
		};
		uint64_t now_ns = clock_mono_ns();

		if (now_ns >= end_ns)
			return -ETIMEDOUT;
		if (zmq_poll(items, ARRAY_LEN(items), (long)((end_ns - now_ns) / NS_PER_MS) + 1) <
				0 &&
			errno != EINTR)
			return -EIO;
		while ((r = receive(link, ret_reply)) == 0)
			;
		if (r == 1)
			return 0;
		r = r == -EAGAIN ? 0 : r;
		look_at(&link->way);
		if (r == 0 && link->way.ended)
			return -ECONNRESET;
	}
	return r;
}
