/* SPDX-License-Identifier: MIT */
#include "base/chan.h"
#include "base/chan_wire.h"
#include "base/list.h"

#include <string.h>
#include <sys/socket.h>

/* Per turn of the loop, so that one busy child does not starve the others. */
#define CHAN_BURST_DATAGRAMS 16
#define CHAN_MAX_ERRNO       4095

struct call {
	struct list siblings;
	struct chan *chan;
	uint64_t id;
	uint64_t timer_id;
	chan_reply_fn on_reply;
	void *data;
};

struct chan {
	struct loop *loop;
	int fd; /* -1 once closed */
	chan_message_fn on_message;
	chan_close_fn on_close;
	void *data;

	uint64_t last_id;
	struct list calls;
	struct chan_queue queue;

	unsigned n_entered; /* callbacks that are under way; the last one frees */
	bool freed;
	char received[CHAN_MAX_BYTES];
};

struct message {
	struct json *json;
	int fds[CHAN_MAX_FDS];
	size_t n_fds;
};

static void chan_ready(int fd, short revents, void *data);

int chan_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

int chan_new(struct loop *loop, int fd, chan_message_fn on_message, chan_close_fn on_close,
	void *data, struct chan **ret_chan)
{
	struct chan *chan = calloc(1, sizeof(*chan));
	int send_buffer_bytes = 2 * CHAN_MAX_BYTES;
	int r;

	if (!chan) {
		close_fd(fd);
		return -ENOMEM;
	}
	chan->loop = loop;
	chan->fd = fd;
	chan->on_message = on_message;
	chan->on_close = on_close;
	chan->data = data;
	list_init(&chan->calls);
	chan_queue_init(&chan->queue);
	/* The default has room for one message of CHAN_MAX_BYTES, unless somebody lowered it. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof(send_buffer_bytes));
	r = loop_fd_add(loop, fd, POLLIN, chan_ready, chan);
	if (r < 0) {
		close_fd(fd);
		free(chan);
		return r;
	}
	*ret_chan = chan;
	return 0;
}

static void chan_enter(struct chan *chan)
{
	chan->n_entered++;
}

static void chan_leave(struct chan *chan)
{
	if (--chan->n_entered == 0 && chan->freed)
		free(chan);
}

static void chan_disconnect(struct chan *chan)
{
	if (chan->fd < 0)
		return;
	loop_fd_remove(chan->loop, chan->fd);
	chan->fd = close_fd(chan->fd);
	chan_queue_clear(&chan->queue);
}

static void call_free(struct call *call)
{
	list_remove(&call->siblings);
	loop_timer_remove(call->chan->loop, call->timer_id);
	free(call);
}

/* The caller has entered the channel. */
static void call_complete(struct call *call, int error, struct message *reply)
{
	chan_reply_fn on_reply = call->on_reply;
	void *data = call->data;

	call_free(call);
	on_reply(error, reply ? reply->json : NULL, reply ? reply->fds : NULL,
		reply ? reply->n_fds : 0, data);
}

void chan_free(struct chan *chan)
{
	struct call *call, *next;

	if (!chan)
		return;
	chan_disconnect(chan);
	list_for_each_safe(call, next, &chan->calls, siblings)
		call_free(call);
	if (chan->n_entered)
		chan->freed = true;
	else
		free(chan);
}

/* The caller has entered the channel. */
static void chan_fail(struct chan *chan, int error)
{
	struct call *call;

	chan_disconnect(chan);
	while (!list_empty(&chan->calls)) {
		call = list_entry(chan->calls.next, struct call, siblings);
		call_complete(call, error, NULL);
	}
	if (!chan->freed)
		chan->on_close(chan, error, chan->data);
}

static struct call *call_find(struct chan *chan, uint64_t id)
{
	struct call *call;

	list_for_each(call, &chan->calls, siblings) {
		if (call->id == id)
			return call;
	}
	return NULL;
}

/* The result that a reply carries: 0 or -errno; -EBADMSG when it carries neither. */
static int reply_parse(const struct json *json, int *ret_result)
{
	int64_t error = json_get_int(json, "errno", 0);

	if (json_get_bool(json, "ok", false) && !json_get(json, "errno")) {
		*ret_result = 0;
		return 0;
	}
	if (error < 1 || error > CHAN_MAX_ERRNO)
		return -EBADMSG;
	*ret_result = (int)-error;
	return 0;
}

static int message_dispatch(struct chan *chan, struct message *message)
{
	const char *op = json_get_string(message->json, "op", NULL);
	int64_t id = json_get_int(message->json, "id", 0);
	struct call *call;
	int result, r;

	if (!json_is_object(message->json) || (json_get(message->json, "id") && id < 1))
		return -EBADMSG;
	if (op) {
		chan->on_message(chan, (uint64_t)id, op, message->json, message->fds,
			message->n_fds, chan->data);
		return 0;
	}
	if (id == 0 || json_get(message->json, "op"))
		return -EBADMSG;
	r = reply_parse(message->json, &result);
	if (r < 0)
		return r;
	/* A reply that nobody waits for comes after a timeout. */
	call = call_find(chan, (uint64_t)id);
	if (call)
		call_complete(call, result, message);
	return 0;
}

/* Receive and handle one datagram; -EAGAIN when there is none. */
static int chan_receive(struct chan *chan)
{
	struct message message = {};
	size_t size_bytes;
	int r;

	r = chan_wire_recv(chan->fd, chan->received, sizeof(chan->received), &size_bytes,
		message.fds, &message.n_fds);
	if (r < 0)
		return r;
	r = json_parse(chan->received, size_bytes, &message.json);
	if (r == 0)
		r = message_dispatch(chan, &message);
	chan_wire_close_fds(message.fds, message.n_fds);
	json_unref(message.json);
	return r;
}

static int chan_flush(struct chan *chan)
{
	int r = chan_queue_flush(&chan->queue, chan->fd);

	if (r == 0)
		r = loop_fd_modify(chan->loop, chan->fd, POLLIN);
	/* A peer that is gone may have left messages to read; reading finds out. */
	return r == -EAGAIN || r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static void chan_ready(int fd, short revents, void *data)
{
	struct chan *chan = data;
	int r = 0;

	(void)fd;
	chan_enter(chan);
	if (revents & POLLOUT)
		r = chan_flush(chan);
	for (int i = 0; r == 0 && chan->fd >= 0 && i < CHAN_BURST_DATAGRAMS; i++)
		r = chan_receive(chan);
	if (r < 0 && r != -EAGAIN && chan->fd >= 0)
		chan_fail(chan, r);
	chan_leave(chan);
}

/* Takes over `message`. */
static int chan_send(struct chan *chan, struct json *message, const int *fds, size_t n_fds)
{
	_cleanup_json_ struct json *owned = message;
	_cleanup_free_ char *text = json_dump(owned, 0);
	size_t size_bytes;
	int r;

	if (!text)
		return -ENOMEM;
	if (chan->fd < 0)
		return -EPIPE;
	size_bytes = strlen(text);
	if (size_bytes > CHAN_MAX_BYTES)
		return -EMSGSIZE;
	if (chan->queue.n_datagrams)
		return chan_queue_add(&chan->queue, text, size_bytes, fds, n_fds);
	r = chan_wire_send(chan->fd, text, size_bytes, fds, n_fds);
	if (r != -EAGAIN)
		return r == -ECONNRESET ? -EPIPE : r;
	r = chan_queue_add(&chan->queue, text, size_bytes, fds, n_fds);
	return r < 0 ? r : loop_fd_modify(chan->loop, chan->fd, POLLIN | POLLOUT);
}

static void call_timed_out(void *data)
{
	struct call *call = data;
	struct chan *chan = call->chan;

	call->timer_id = 0;
	chan_enter(chan);
	call_complete(call, -ETIMEDOUT, NULL);
	chan_leave(chan);
}

int chan_call(struct chan *chan, const char *op, struct json *message, const int *fds, size_t n_fds,
	uint64_t timeout_ns, chan_reply_fn on_reply, void *data)
{
	_cleanup_json_ struct json *request = message ? message : json_object_new();
	struct call *call;
	int r;

	r = json_set_string(request, "op", op);
	if (r == 0)
		r = json_set_int(request, "id", (int64_t)(chan->last_id + 1));
	if (r < 0)
		return r;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct call){
		.chan = chan, .id = ++chan->last_id, .on_reply = on_reply, .data = data};
	list_append(&chan->calls, &call->siblings);
	if (timeout_ns)
		r = loop_timer_add(chan->loop, timeout_ns, call_timed_out, call, &call->timer_id);
	if (r == 0)
		r = chan_send(chan, take_ptr(request), fds, n_fds);
	if (r < 0)
		call_free(call);
	return r;
}

int chan_event(
	struct chan *chan, const char *op, struct json *message, const int *fds, size_t n_fds)
{
	_cleanup_json_ struct json *event = message ? message : json_object_new();
	int r = json_set_string(event, "op", op);

	return r < 0 ? r : chan_send(chan, take_ptr(event), fds, n_fds);
}

int chan_reply(struct chan *chan, uint64_t id, int error, const char *text, struct json *message,
	const int *fds, size_t n_fds)
{
	_cleanup_json_ struct json *reply = message ? message : json_object_new();
	int r = error > 0 ? -EINVAL : json_set_int(reply, "id", (int64_t)id);

	if (r == 0 && error == 0)
		r = json_set_bool(reply, "ok", true);
	if (r == 0 && error < 0)
		r = json_set_int(reply, "errno", -error);
	if (r == 0 && error < 0)
		r = json_set_string(reply, "error", text ? text : strerror(-error));
	return r < 0 ? r : chan_send(chan, take_ptr(reply), fds, n_fds);
}
