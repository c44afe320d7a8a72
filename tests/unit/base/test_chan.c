/* SPDX-License-Identifier: MIT */
#include "base/chan.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/unit/base/loop_watchdog.h"

/* One end of a channel, and what it saw. */
struct end {
	struct chan *chan;
	uint64_t id;
	char op[32];
	struct json *message;
	int fds[CHAN_MAX_FDS];
	size_t n_fds;
	unsigned n_messages, n_closes, n_replies;
	int close_error, reply_error;
	bool keeps_fds, frees_on_message, frees_on_close, frees_on_reply, calls_on_close;
};

static struct loop *loop;
static struct end a, b;
static int raw_fd; /* the other end of `a` for hostile peers */

static void end_free(struct end *end)
{
	chan_free(end->chan);
	end->chan = NULL;
}

static void on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data)
{
	struct end *end = data;

	assert_ptr_equal(chan, end->chan);
	end->n_messages++;
	end->id = id;
	snprintf(end->op, sizeof(end->op), "%s", op);
	json_unref(end->message);
	end->message = json_copy(message);
	end->n_fds = n_fds;
	for (size_t i = 0; i < n_fds; i++) {
		end->fds[i] = fds[i];
		if (end->keeps_fds)
			fds[i] = -1;
	}
	if (end->frees_on_message)
		end_free(end);
}

static void on_reply(int error, const struct json *reply, int *fds, size_t n_fds, void *data)
{
	struct end *end = data;

	end->n_replies++;
	end->reply_error = error;
	json_unref(end->message);
	end->message = reply ? json_copy(reply) : NULL;
	end->n_fds = n_fds;
	for (size_t i = 0; i < n_fds; i++) {
		end->fds[i] = fds[i];
		if (end->keeps_fds)
			fds[i] = -1;
	}
	if (end->frees_on_reply)
		end_free(end);
}

static void on_close(struct chan *chan, int error, void *data)
{
	struct end *end = data;

	assert_ptr_equal(chan, end->chan);
	end->n_closes++;
	end->close_error = error;
	if (end->calls_on_close)
		assert_int_equal(chan_call(chan, "late", NULL, NULL, 0, 0, on_reply, end), -EPIPE);
	if (end->frees_on_close)
		end_free(end);
	loop_stop(loop);
}

static int setup(void **state)
{
	int fds[2];

	(void)state;
	a = b = (struct end){};
	raw_fd = -1;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_new(loop, fds[0], on_message, on_close, &a, &a.chan), 0);
	assert_int_equal(chan_new(loop, fds[1], on_message, on_close, &b, &b.chan), 0);
	return 0;
}

static int setup_raw(void **state)
{
	int fds[2];

	(void)state;
	a = b = (struct end){};
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_new(loop, fds[0], on_message, on_close, &a, &a.chan), 0);
	raw_fd = fds[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_free(&a);
	end_free(&b);
	json_unref(a.message);
	json_unref(b.message);
	close_fd(raw_fd);
	loop_free(loop);
	return 0;
}

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static size_t count_open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fd_is_open(fd);
	return n;
}

static void test_call_and_reply(void **state)
{
	struct json *message = json_object_new();

	(void)state;
	assert_int_equal(json_set_int(message, "vcpus", 4), 0);
	assert_int_equal(chan_call(a.chan, "start", message, NULL, 0, 0, on_reply, &a), 0);
	loop_settle(loop);
	assert_int_equal(b.n_messages, 1);
	assert_true(b.id != 0);
	assert_string_equal(b.op, "start");
	assert_int_equal(json_get_int(b.message, "vcpus", 0), 4);
	assert_int_equal(a.n_replies, 0);

	message = json_object_new();
	assert_int_equal(json_set_string(message, "state", "running"), 0);
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, message, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(a.n_replies, 1);
	assert_int_equal(a.reply_error, 0);
	assert_string_equal(json_get_string(a.message, "state", ""), "running");

	/* A second answer is nobody's. */
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(a.n_replies, 1);
	assert_int_equal(a.n_closes, 0);
}

static void test_error_replies(void **state)
{
	(void)state;
	assert_int_equal(chan_call(a.chan, "x", NULL, NULL, 0, 0, on_reply, &a), 0);
	loop_settle(loop);
	assert_int_equal(chan_reply(b.chan, b.id, EIO, NULL, NULL, NULL, 0), -EINVAL);
	assert_int_equal(chan_reply(b.chan, b.id, -ENOSPC, "disk is full", NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(a.reply_error, -ENOSPC);
	assert_string_equal(json_get_string(a.message, "error", ""), "disk is full");

	assert_int_equal(chan_call(a.chan, "x", NULL, NULL, 0, 0, on_reply, &a), 0);
	loop_settle(loop);
	assert_int_equal(chan_reply(b.chan, b.id, -ENOSPC, NULL, NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_string_equal(json_get_string(a.message, "error", ""), strerror(ENOSPC));
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(chan_event(b.chan, "heartbeat", NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(a.n_messages, 1);
	assert_int_equal(a.id, 0);
	assert_string_equal(a.op, "heartbeat");
}

static void test_descriptors_travel(void **state)
{
	int fds[CHAN_MAX_FDS + 1];
	uint64_t count = 0;
	size_t n_open;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = eventfd((unsigned)i + 1, EFD_CLOEXEC | EFD_NONBLOCK);
	n_open = count_open_fds();
	b.keeps_fds = true;
	assert_int_equal(chan_event(a.chan, "many", NULL, fds, ARRAY_LEN(fds)), -EINVAL);
	assert_int_equal(chan_event(a.chan, "fds", NULL, fds, CHAN_MAX_FDS), 0);
	loop_settle(loop);
	assert_int_equal(b.n_fds, CHAN_MAX_FDS);
	assert_int_equal(read(b.fds[7], &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 8);
	assert_true(fcntl(b.fds[7], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(count_open_fds(), n_open + CHAN_MAX_FDS);
	for (size_t i = 0; i < CHAN_MAX_FDS; i++)
		close(b.fds[i]);

	/* What the callback does not keep is closed. */
	b.keeps_fds = false;
	assert_int_equal(chan_event(a.chan, "fds", NULL, fds, 2), 0);
	loop_settle(loop);
	assert_int_equal(b.n_fds, 2);
	assert_int_equal(count_open_fds(), n_open);

	/* With replies, kept and not. */
	assert_int_equal(chan_call(a.chan, "get", NULL, NULL, 0, 0, on_reply, &a), 0);
	loop_settle(loop);
	a.keeps_fds = true;
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, fds, 1), 0);
	loop_settle(loop);
	assert_int_equal(a.n_fds, 1);
	assert_true(fd_is_open(a.fds[0]));
	close(a.fds[0]);
	/* A late reply's are closed. */
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, fds, 1), 0);
	loop_settle(loop);
	assert_int_equal(count_open_fds(), n_open);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void stop_when_replied(void *data)
{
	struct end *end = data;

	if (end->n_replies)
		loop_stop(loop);
	else
		assert_int_equal(loop_timer_add(loop, NS_PER_MS, stop_when_replied, end, NULL), 0);
}

static void test_timeout_and_late_reply(void **state)
{
	(void)state;
	assert_int_equal(chan_call(a.chan, "slow", NULL, NULL, 0, NS_PER_MS, on_reply, &a), 0);
	stop_when_replied(&a);
	loop_run_watched(loop);
	assert_int_equal(a.reply_error, -ETIMEDOUT);
	loop_settle(loop);
	assert_int_equal(b.n_messages, 1);
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(a.n_replies, 1);
	assert_int_equal(a.n_closes, 0);
}

static void test_replies_come_in_any_order(void **state)
{
	struct end first = {}, second = {};
	uint64_t first_id;

	(void)state;
	assert_int_equal(chan_call(a.chan, "1", NULL, NULL, 0, NS_PER_SEC, on_reply, &first), 0);
	loop_settle(loop);
	first_id = b.id;
	assert_int_equal(chan_call(a.chan, "2", NULL, NULL, 0, NS_PER_SEC, on_reply, &second), 0);
	loop_settle(loop);
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(first.n_replies, 0);
	assert_int_equal(second.n_replies, 1);
	assert_int_equal(chan_reply(b.chan, first_id, -EIO, NULL, NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(first.reply_error, -EIO);
	json_unref(first.message);
	json_unref(second.message);
}

static void test_close_completes_calls(void **state)
{
	(void)state;
	a.calls_on_close = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			chan_call(a.chan, "x", NULL, NULL, 0, NS_PER_SEC, on_reply, &a), 0);
	/* Said before leaving: still delivered. */
	assert_int_equal(chan_event(b.chan, "bye", NULL, NULL, 0), 0);
	end_free(&b);
	loop_run_watched(loop);
	assert_string_equal(a.op, "bye");
	assert_int_equal(a.n_replies, 3);
	assert_int_equal(a.reply_error, -EPIPE);
	assert_int_equal(a.n_closes, 1);
	assert_int_equal(a.close_error, -EPIPE);
	assert_int_equal(chan_event(a.chan, "x", NULL, NULL, 0), -EPIPE);
	assert_int_equal(chan_reply(a.chan, 1, 0, NULL, json_object_new(), NULL, 0), -EPIPE);
	loop_settle(loop);
	assert_int_equal(a.n_closes, 1);
}

static void test_freed_in_message_callback(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	b.frees_on_message = true;
	assert_int_equal(chan_event(a.chan, "1", NULL, &fd, 1), 0);
	assert_int_equal(chan_event(a.chan, "2", NULL, &fd, 1), 0);
	loop_run_watched(loop); /* until a sees the end */
	assert_int_equal(b.n_messages, 1);
	assert_int_equal(b.n_closes, 0);
	assert_int_equal(a.close_error, -EPIPE);
	close(fd);
}

static void test_freed_in_reply_callback(void **state)
{
	(void)state;
	a.frees_on_reply = true;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			chan_call(a.chan, "x", NULL, NULL, 0, NS_PER_SEC, on_reply, &a), 0);
	loop_settle(loop);
	assert_int_equal(chan_reply(b.chan, b.id, 0, NULL, NULL, NULL, 0), 0);
	loop_run_watched(loop);
	assert_int_equal(a.n_replies, 1);
	assert_int_equal(b.n_closes, 1);
}

static void test_freed_while_closing(void **state)
{
	(void)state;
	a.frees_on_reply = true;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			chan_call(a.chan, "x", NULL, NULL, 0, NS_PER_SEC, on_reply, &a), 0);
	end_free(&b);
	loop_settle(loop);
	/* The first callback freed the channel: no other one is called. */
	assert_int_equal(a.n_replies, 1);
	assert_int_equal(a.n_closes, 0);
	assert_null(a.chan);
}

static void test_freed_in_close_callback(void **state)
{
	(void)state;
	a.frees_on_close = true;
	end_free(&b);
	loop_run_watched(loop);
	assert_int_equal(a.n_closes, 1);
	assert_null(a.chan);
}

static void test_full_socket_queues_in_order(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), r = 0, n_sent = 0;
	size_t n_open = count_open_fds();
	struct json *message;

	(void)state;
	/* Nobody reads meanwhile: first the socket fills up, then the queue. */
	for (;;) {
		message = json_object_new();
		assert_int_equal(json_set_int(message, "n", n_sent), 0);
		r = chan_event(a.chan, "x", message, &fd, 1);
		if (r < 0)
			break;
		n_sent++;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(n_sent >= 256);
	assert_true(count_open_fds() > n_open);
	while (b.n_messages < (unsigned)n_sent) {
		loop_settle(loop);
		assert_int_equal(json_get_int(b.message, "n", -1), b.n_messages - 1);
	}
	assert_int_equal(count_open_fds(), n_open);
	/* It works on as before. */
	assert_int_equal(chan_event(a.chan, "after", NULL, NULL, 0), 0);
	loop_settle(loop);
	assert_string_equal(b.op, "after");
	close(fd);
}

static void test_freed_with_a_full_queue(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	size_t n_open;

	(void)state;
	n_open = count_open_fds();
	while (chan_event(a.chan, "x", NULL, &fd, 1) == 0)
		;
	end_free(&a);
	assert_int_equal(count_open_fds(), n_open - 1);
	close(fd);
}

static void test_large_messages(void **state)
{
	/* {"data":"...","op":"x"} */
	const size_t overhead = 20;
	char *data = malloc(CHAN_MAX_BYTES + 1);
	struct json *message = json_object_new();

	(void)state;
	assert_non_null(data);
	memset(data, 'd', CHAN_MAX_BYTES);
	data[CHAN_MAX_BYTES - overhead] = 0;
	assert_int_equal(json_set_string(message, "data", data), 0);
	assert_int_equal(chan_event(a.chan, "x", json_ref(message), NULL, 0), 0);
	loop_settle(loop);
	assert_int_equal(strlen(json_get_string(b.message, "data", "")), strlen(data));
	data[CHAN_MAX_BYTES - overhead] = 'd';
	data[CHAN_MAX_BYTES - overhead + 1] = 0;
	assert_int_equal(json_set_string(message, "data", data), 0);
	assert_int_equal(chan_event(a.chan, "x", message, NULL, 0), -EMSGSIZE);
	free(data);
}

static void raw_send(const void *data, size_t size_bytes, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size_bytes};
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(raw_fd, &message, MSG_NOSIGNAL), size_bytes);
}

static void assert_closes(const char *text, int error)
{
	setup_raw(NULL);
	assert_int_equal(chan_call(a.chan, "x", NULL, NULL, 0, NS_PER_SEC, on_reply, &a), 0);
	raw_send(text, strlen(text), NULL, 0);
	raw_send("{\"op\":\"after\"}", 14, NULL, 0);
	loop_run_watched(loop);
	assert_int_equal(a.n_closes, 1);
	assert_int_equal(a.close_error, error);
	assert_int_equal(a.reply_error, error);
	assert_int_equal(a.n_messages, 0);
	teardown(NULL);
}

static void test_malformed_messages_close(void **state)
{
	static const char *const bad[] = {"x", "{", "[]", "1", "null", "{}", "{\"id\":1}",
		"{\"id\":0,\"op\":\"x\"}", "{\"id\":-1,\"op\":\"x\"}",
		"{\"id\":\"1\",\"op\":\"x\"}", "{\"id\":1.5,\"op\":\"x\"}", "{\"id\":1,\"op\":5}",
		"{\"op\":null}", "{\"id\":1,\"ok\":false}", "{\"id\":1,\"ok\":1}",
		"{\"id\":1,\"errno\":0}", "{\"id\":1,\"errno\":-5}", "{\"id\":1,\"errno\":4096}",
		"{\"id\":1,\"ok\":true,\"errno\":99999999999}", "{\"id\":1,\"errno\":\"5\"}",
		"{\"ok\":true}", "{\"id\":9223372036854775808,\"op\":\"x\"}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_closes(bad[i], -EBADMSG);
}

static void test_oversized_message_closes(void **state)
{
	char *data = calloc(1, CHAN_MAX_BYTES + 1);
	int fd = eventfd(0, EFD_CLOEXEC), fds[2] = {fd, fd};
	size_t n_open = count_open_fds();

	(void)state;
	assert_non_null(data);
	memset(data, ' ', CHAN_MAX_BYTES + 1);
	memcpy(data, "{\"op\":\"x\"}", 10);
	raw_send(data, CHAN_MAX_BYTES, NULL, 0);
	loop_settle(loop);
	assert_int_equal(a.n_messages, 1);
	raw_send(data, CHAN_MAX_BYTES + 1, fds, 2);
	loop_run_watched(loop);
	assert_int_equal(a.n_messages, 1);
	assert_int_equal(a.close_error, -EMSGSIZE);
	assert_int_equal(count_open_fds(), n_open - 1); /* the channel's own */
	free(data);
	close(fd);
}

static void test_surplus_descriptors_close(void **state)
{
	int fds[CHAN_MAX_FDS + 8];
	size_t n_open;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	n_open = count_open_fds();
	raw_send("{\"op\":\"x\"}", 10, fds, CHAN_MAX_FDS);
	loop_settle(loop);
	assert_int_equal(a.n_messages, 1);
	assert_int_equal(a.n_fds, CHAN_MAX_FDS);
	raw_send("{\"op\":\"x\"}", 10, fds, ARRAY_LEN(fds));
	loop_run_watched(loop);
	assert_int_equal(a.n_messages, 1);
	assert_int_equal(a.close_error, -EBADMSG);
	assert_int_equal(count_open_fds(), n_open - 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void test_unknown_replies_are_ignored(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	size_t n_open = count_open_fds();

	(void)state;
	raw_send("{\"id\":77,\"ok\":true}", 19, &fd, 1);
	raw_send("{\"id\":9223372036854775807,\"errno\":5}", 36, NULL, 0);
	loop_settle(loop);
	assert_int_equal(a.n_closes, 0);
	assert_int_equal(a.n_replies, 0);
	assert_int_equal(count_open_fds(), n_open);
	close(fd);
}

static void test_empty_datagram_closes(void **state)
{
	(void)state;
	raw_send("", 0, NULL, 0);
	loop_run_watched(loop);
	assert_int_equal(a.close_error, -EPIPE);
}

static void test_not_a_socket(void **state)
{
	struct chan *chan = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	/* Not something to wait for; it is closed nevertheless. */
	assert_true(chan_new(loop, fd, on_message, on_close, NULL, &chan) < 0);
	assert_null(chan);
	assert_false(fd_is_open(fd));
	chan_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call_and_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_travel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout_and_late_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replies_come_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_completes_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_in_message_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_in_reply_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_while_closing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_in_close_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_socket_queues_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_with_a_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_messages, setup, teardown),
		cmocka_unit_test(test_malformed_messages_close),
		cmocka_unit_test_setup_teardown(test_oversized_message_closes, setup_raw, teardown),
		cmocka_unit_test_setup_teardown(
			test_surplus_descriptors_close, setup_raw, teardown),
		cmocka_unit_test_setup_teardown(
			test_unknown_replies_are_ignored, setup_raw, teardown),
		cmocka_unit_test_setup_teardown(test_empty_datagram_closes, setup_raw, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_socket, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
