/* SPDX-License-Identifier: MIT */
#include "base/ipc.h"
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <qb/qbipcc.h>

#include "tests/unit/base/loop_watchdog.h"

#define CALL_MS 15000

/* The daemon runs on the test's thread, `client` on another one, which stops the loop at its end.
 */
static struct loop *loop;
static struct ipc_server *server;
static char name[40];
static struct thread client_thread;
static void (*client_body)(void);
static struct ipc_request *kept[64];
static unsigned n_kept, max_kept, n_handled;

/* What the client saw; looked at when it is done. */
static int results[32];
static struct json *replies[32];

static void handler(struct ipc_request *request, const struct json *message, void *data)
{
	const char *op = json_get_string(message, "op", "");
	struct json *reply;

	assert_ptr_equal(data, &loop);
	n_handled++;
	if (strcmp(op, "keep") == 0) {
		assert_true(n_kept < ARRAY_LEN(kept));
		kept[n_kept++] = request;
		max_kept = MAX(max_kept, n_kept);
	} else if (strcmp(op, "release") == 0) {
		for (unsigned i = 0; i < n_kept; i++)
			ipc_reply(kept[i], json_copy(message));
		n_kept = 0;
		ipc_reply(request, json_copy(message));
	} else if (strcmp(op, "none") == 0) {
		ipc_reply(request, NULL);
	} else if (strcmp(op, "huge") == 0) {
		char *text = calloc(1, IPC_MAX_BYTES + 1);

		memset(text, 'x', IPC_MAX_BYTES);
		ipc_reply(request, json_string_new(text));
		free(text);
	} else if (strcmp(op, "shutdown") == 0) {
		ipc_reply(request, json_copy(message));
		ipc_server_free(server);
		server = NULL;
	} else {
		reply = json_copy(message);
		json_set_bool(reply, "ok", true);
		ipc_reply(request, reply);
	}
}

static int setup(void **state)
{
	(void)state;
	snprintf(name, sizeof(name), "viaduct-test-%d", (int)getpid());
	memset(results, 0, sizeof(results));
	n_kept = max_kept = n_handled = 0;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(ipc_server_new(loop, name, handler, &loop, &server), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		json_unref(replies[i]);
		replies[i] = NULL;
	}
	ipc_server_free(server);
	server = NULL;
	loop_free(loop);
	return 0;
}

static void client_main(void *data)
{
	(void)data;
	client_body();
	while (loop_wake(loop, loop_stop_job, loop) < 0)
		;
}

/* Serve until the client is done. */
static void serve(void (*body)(void))
{
	client_body = body;
	assert_int_equal(thread_start(&client_thread, "client", client_main, NULL), 0);
	loop_run_watched(loop);
	thread_join(&client_thread);
	loop_settle(loop);
}

static struct json *request_new(const char *op)
{
	struct json *request = json_object_new();

	json_set_string(request, "op", op);
	return request;
}

static int call(struct ipc_client *client, const char *op, unsigned timeout_ms, size_t n)
{
	_cleanup_json_ struct json *request = request_new(op);

	json_set_int(request, "n", (int64_t)n);
	return ipc_call(client, request, timeout_ms, &replies[n]);
}

static void calls_echo(void)
{
	struct ipc_client *client;

	results[0] = ipc_client_new(name, &client);
	if (results[0] < 0)
		return;
	results[1] = call(client, "echo", CALL_MS, 1);
	results[2] = call(client, "echo", CALL_MS, 2);
	results[3] = call(client, "none", CALL_MS, 3);
	ipc_client_free(client);
}

static void test_round_trip(void **state)
{
	(void)state;
	serve(calls_echo);
	for (int i = 0; i < 4; i++)
		assert_int_equal(results[i], 0);
	assert_true(json_get_bool(replies[1], "ok", false));
	assert_int_equal(json_get_int(replies[1], "n", 0), 1);
	assert_int_equal(json_get_int(replies[2], "n", 0), 2);
	assert_false(json_get_bool(replies[3], "ok", true));
	assert_int_equal(json_get_int(replies[3], "errno", 0), ENOMEM);
}

static void calls_out_of_order(void)
{
	struct ipc_client *first, *second;

	results[0] = ipc_client_new(name, &first);
	results[1] = ipc_client_new(name, &second);
	if (results[0] < 0 || results[1] < 0)
		return;
	results[2] = call(first, "keep", 50, 2);
	results[3] = call(second, "release", CALL_MS, 3);
	/* The late answer to the first call comes before the one to this. */
	results[4] = call(first, "echo", CALL_MS, 4);
	ipc_client_free(first);
	ipc_client_free(second);
}

static void test_deferred_reply_and_timeout(void **state)
{
	(void)state;
	serve(calls_out_of_order);
	assert_int_equal(results[0] | results[1] | results[3] | results[4], 0);
	assert_int_equal(results[2], -ETIMEDOUT);
	assert_int_equal(json_get_int(replies[3], "n", 0), 3);
	assert_int_equal(json_get_int(replies[4], "n", 0), 4);
}

static void calls_and_leaves(void)
{
	struct ipc_client *client;

	results[0] = ipc_client_new(name, &client);
	if (results[0] < 0)
		return;
	results[1] = call(client, "keep", 50, 1);
	ipc_client_free(client);
}

static void test_reply_to_a_client_that_left(void **state)
{
	(void)state;
	serve(calls_and_leaves);
	assert_int_equal(results[1], -ETIMEDOUT);
	assert_int_equal(n_kept, 1);
	ipc_reply(kept[0], json_object_new());
}

static void test_reply_after_the_server_is_gone(void **state)
{
	(void)state;
	serve(calls_and_leaves);
	assert_int_equal(n_kept, 1);
	ipc_server_free(server);
	server = NULL;
	ipc_reply(kept[0], json_object_new());
}

static void calls_large(void)
{
	/* {"op":"echo","data":"..."}, and "ok":true in the answer */
	const size_t overhead = 40;
	char *data = calloc(1, IPC_MAX_BYTES + 1);
	_cleanup_json_ struct json *request = request_new("echo");
	struct ipc_client *client;

	results[0] = ipc_client_new(name, &client);
	if (results[0] < 0 || !data)
		return;
	memset(data, 'd', IPC_MAX_BYTES);
	json_set_string(request, "data", data);
	results[1] = ipc_call(client, request, CALL_MS, &replies[1]);
	data[IPC_MAX_BYTES - overhead] = 0;
	json_set_string(request, "data", data);
	results[2] = ipc_call(client, request, CALL_MS, &replies[2]);
	results[3] = call(client, "huge", CALL_MS, 3);
	results[4] = call(client, "echo", CALL_MS, 4);
	free(data);
	ipc_client_free(client);
}

static void test_sizes(void **state)
{
	(void)state;
	serve(calls_large);
	assert_int_equal(results[1], -EMSGSIZE);
	assert_int_equal(results[2], 0);
	assert_int_equal(strlen(json_get_string(replies[2], "data", "")), IPC_MAX_BYTES - 40);
	assert_int_equal(results[3], 0);
	assert_int_equal(json_get_int(replies[3], "errno", 0), EMSGSIZE);
	assert_int_equal(results[4], 0);
	assert_int_equal(json_get_int(replies[4], "n", 0), 4);
}

static void calls_shutdown(void)
{
	struct ipc_client *client, *other;

	results[0] = ipc_client_new(name, &client);
	results[1] = ipc_client_new(name, &other);
	if (results[0] < 0 || results[1] < 0)
		return;
	results[2] = call(client, "shutdown", CALL_MS, 2);
	results[3] = call(client, "echo", CALL_MS, 3);
	results[4] = call(other, "echo", CALL_MS, 4);
	ipc_client_free(client);
	ipc_client_free(other);
	results[5] = ipc_client_new(name, &client);
}

static void test_server_freed_in_a_handler(void **state)
{
	(void)state;
	serve(calls_shutdown);
	assert_int_equal(results[2], 0);
	assert_int_equal(results[3], -ECONNRESET);
	assert_int_equal(results[4], -ECONNRESET);
	assert_int_equal(results[5], -ECONNREFUSED);
}

static void waits_for_shutdown(void)
{
	struct ipc_client *client;

	results[0] = ipc_client_new(name, &client);
	if (results[0] < 0)
		return;
	results[1] = call(client, "keep", CALL_MS, 1);
	ipc_client_free(client);
}

static void free_server_when_kept(void *data)
{
	if (n_kept) {
		ipc_server_free(server);
		server = NULL;
	} else {
		assert_int_equal(
			loop_timer_add(loop, NS_PER_MS, free_server_when_kept, data, NULL), 0);
	}
}

static void test_client_notices_that_the_daemon_left(void **state)
{
	(void)state;
	free_server_when_kept(NULL);
	serve(waits_for_shutdown);
	assert_int_equal(results[1], -ECONNRESET);
	ipc_reply(kept[0], json_object_new());
}

static void test_names(void **state)
{
	struct ipc_server *other = NULL;
	struct ipc_client *client = NULL;
	char long_name[80];

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(ipc_server_new(loop, name, handler, &loop, &other), -EADDRINUSE);
	assert_int_equal(ipc_server_new(loop, "", handler, &loop, &other), -EINVAL);
	assert_int_equal(ipc_server_new(loop, "a/../b", handler, &loop, &other), -EINVAL);
	assert_int_equal(ipc_server_new(loop, long_name, handler, &loop, &other), -EINVAL);
	assert_int_equal(ipc_client_new("no-such-daemon", &client), -ECONNREFUSED);
	assert_int_equal(ipc_client_new("a b", &client), -EINVAL);
	assert_null(other);
	assert_null(client);
	ipc_server_free(NULL);
	ipc_client_free(NULL);
}

static void test_one_loop_a_process(void **state)
{
	struct ipc_server *other = NULL;
	struct loop *other_loop;

	(void)state;
	assert_int_equal(loop_new(&other_loop), 0);
	assert_int_equal(
		ipc_server_new(other_loop, "viaduct-other", handler, &loop, &other), -EBUSY);
	loop_free(other_loop);
}

/* The result of connecting as nobody, or a positive number. */
static int connect_as_nobody(void)
{
	struct ipc_client *client;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		_exit(-ipc_client_new(name, &client) & 0xff);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return -WEXITSTATUS(status);
}

static void connects_as_nobody(void)
{
	results[0] = connect_as_nobody();
}

static void test_other_users_are_refused(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot become somebody else\n");
		skip();
	}
	serve(connects_as_nobody);
	assert_int_equal(results[0], -EACCES);
	assert_int_equal(n_handled, 0);
}

static void test_daemons_of_other_users_are_refused(void **state)
{
	struct ipc_client *client = NULL;
	int ready[2], r = -1;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot become somebody else\n");
		skip();
	}
	ipc_server_free(server);
	server = NULL;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		r = setresuid(65534, 65534, 65534) < 0 ? -errno : 0;
		if (r == 0)
			r = ipc_server_new(loop, name, handler, &loop, &server);
		if (write(ready[1], &r, sizeof(r)) == sizeof(r))
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &r, sizeof(r)), sizeof(r));
	assert_int_equal(r, 0);
	assert_int_equal(ipc_client_new(name, &client), -EACCES);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

/* A client that speaks libqb's protocol but not ours. */

#define HEADER_BYTES ((int32_t)sizeof(struct qb_ipc_request_header))

static qb_ipcc_connection_t *raw;

static int raw_send(const void *data, size_t size_bytes, int32_t id, int32_t claimed_bytes)
{
	struct qb_ipc_request_header header = {.id = id, .size = claimed_bytes};
	struct iovec iov[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)data, .iov_len = size_bytes},
	};

	return (int)qb_ipcc_sendv(raw, iov, 2);
}

/* The errno in the answer to request `id`; below 0 when there is none. */
static int raw_answer(int32_t id)
{
	static char response[IPC_MAX_BYTES + 8192];
	struct qb_ipc_response_header header;
	struct json *reply;
	ssize_t n = qb_ipcc_recv(raw, response, sizeof(response), CALL_MS);
	int error;

	if (n < (ssize_t)sizeof(header))
		return -EIO;
	memcpy(&header, response, sizeof(header));
	if (header.id != id || header.size != n)
		return -EPROTO;
	if (json_parse(response + sizeof(header), (size_t)n - sizeof(header), &reply) < 0)
		return -EBADMSG;
	error = (int)json_get_int(reply, "errno", -EINVAL);
	if (json_get_bool(reply, "ok", true) || !json_get_string(reply, "error", NULL))
		error = -ENODATA;
	json_unref(reply);
	return error;
}

static int raw_text(const char *text, int32_t id)
{
	int r = raw_send(text, strlen(text), id, HEADER_BYTES + (int32_t)strlen(text));

	return r < 0 ? r : raw_answer(id);
}

static void sends_malformed(void)
{
	char *huge = malloc(IPC_MAX_BYTES + 1);
	struct ipc_client *client;

	raw = qb_ipcc_connect(name, IPC_MAX_BYTES);
	if (!raw || !huge)
		return;
	results[0] = raw_text("", 1);
	results[1] = raw_text("{", 2);
	results[2] = raw_text("[]", 3);
	results[3] = raw_text("{} x", 4);
	results[4] = raw_text("\"\xff\"", 5);
	memset(huge, ' ', IPC_MAX_BYTES + 1);
	huge[0] = '{';
	huge[1] = '}';
	raw_send(huge, IPC_MAX_BYTES + 1, 6, HEADER_BYTES + IPC_MAX_BYTES + 1);
	results[5] = raw_answer(6);
	/* Sizes that are not those of the message. */
	raw_send("{}", 2, 7, 0);
	results[6] = raw_answer(7);
	raw_send("{}", 2, 8, -1);
	results[7] = raw_answer(8);
	raw_send("{}", 2, 9, INT32_MAX);
	results[8] = raw_answer(9);
	raw_send("{}", 2, 10, 7);
	results[9] = raw_answer(10);
	qb_ipcc_disconnect(raw);
	free(huge);
	/* The daemon is none the worse for it. */
	results[10] = ipc_client_new(name, &client);
	if (results[10] == 0) {
		results[11] = call(client, "echo", CALL_MS, 11);
		ipc_client_free(client);
	}
}

static void test_malformed_requests(void **state)
{
	(void)state;
	serve(sends_malformed);
	for (int i = 0; i < 5; i++)
		assert_int_equal(results[i], EBADMSG);
	assert_int_equal(results[5], EMSGSIZE);
	assert_int_equal(results[6], EBADMSG);
	assert_int_equal(results[7], EMSGSIZE);
	assert_int_equal(results[8], EMSGSIZE);
	assert_int_equal(results[9], EBADMSG);
	assert_int_equal(results[10], 0);
	assert_int_equal(results[11], 0);
	assert_int_equal(n_handled, 1);
}

static void sends_many(void)
{
	const char *text = "{\"op\":\"keep\"}";
	struct ipc_client *client;

	raw = qb_ipcc_connect(name, IPC_MAX_BYTES);
	if (!raw)
		return;
	for (int i = 0; i < 40; i++)
		raw_send(text, strlen(text), i, HEADER_BYTES + (int32_t)strlen(text));
	results[0] = ipc_client_new(name, &client);
	if (results[0] == 0) {
		results[1] = call(client, "release", CALL_MS, 1);
		ipc_client_free(client);
	}
	results[2] = raw_answer(0) == -ENODATA; /* an answer that is no error */
	qb_ipcc_disconnect(raw);
}

static void test_requests_under_way_are_bounded(void **state)
{
	(void)state;
	serve(sends_many);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], 0);
	assert_true(results[2]);
	for (unsigned i = 0; i < n_kept; i++)
		ipc_reply(kept[i], NULL);
	assert_true(max_kept > 0 && max_kept <= 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deferred_reply_and_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reply_to_a_client_that_left, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_reply_after_the_server_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_freed_in_a_handler, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_client_notices_that_the_daemon_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_loop_a_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_users_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_daemons_of_other_users_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_requests_under_way_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
