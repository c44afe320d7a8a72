/* SPDX-License-Identifier: MIT */
#include "node/svc/peer.h"

#include "base/clock.h"
#include "tests/unit/base/loop_watchdog.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>

/* Two nodes on loopback. */
struct env {
	struct loop *loop;
	struct peer *a, *b;
	char directory[32];
	char from[64]; /* who b last heard */
	unsigned n_heard;
	int error; /* of the last reply */
	int64_t echoed;
	bool answer; /* b answers at once */
	bool stop_when_heard;
	struct peer_request *unanswered;
};

static void on_request(
	struct peer_request *request, const char *from, const struct json *message, void *data)
{
	struct env *env = data;
	struct json *reply = json_object_new();

	snprintf(env->from, sizeof(env->from), "%s", from);
	env->n_heard++;
	json_set_int(reply, "echo", json_get_int(message, "n", -1));
	if (env->answer)
		peer_reply(request, reply);
	else
		env->unanswered = request;
	if (!env->answer)
		json_unref(reply);
	if (env->stop_when_heard)
		loop_stop(env->loop);
}

static void on_reply(int error, const struct json *reply, void *data)
{
	struct env *env = data;

	env->error = error;
	env->echoed = json_get_int(reply, "echo", -1);
	loop_stop(env->loop);
}

static struct peer *make(struct env *env, const char *name, const char *address)
{
	struct peer *peer = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", env->directory, name);
	assert_int_equal(peer_new(env->loop, address, path, on_request, env, &peer), 0);
	return peer;
}

static int set_up(void **state)
{
	struct env *env = calloc(1, sizeof(*env));

	strcpy(env->directory, "/tmp/viaduct-peer-XXXXXX");
	assert_non_null(mkdtemp(env->directory));
	assert_int_equal(loop_new(&env->loop), 0);
	env->answer = true;
	env->a = make(env, "a", "127.0.0.1");
	env->b = make(env, "b", "127.0.0.2");
	*state = env;
	return 0;
}

static int tear_down(void **state)
{
	struct env *env = *state;
	char path[64];

	peer_free(env->a);
	peer_free(env->b);
	loop_settle(env->loop);
	loop_free(env->loop);
	snprintf(path, sizeof(path), "%s/a", env->directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s/b", env->directory);
	unlink(path);
	rmdir(env->directory);
	free(env);
	return 0;
}

static void introduce(struct env *env)
{
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.2", peer_public_key(env->b)), 0);
	assert_int_equal(peer_set_node(env->b, "a", "127.0.0.1", peer_public_key(env->a)), 0);
}

static int ask(struct env *env, int64_t n, uint64_t timeout_ns)
{
	struct json *message = json_object_new();
	int r;

	json_set_int(message, "n", n);
	r = peer_call(env->a, "b", message, timeout_ns, on_reply, env);
	if (r == 0)
		loop_run_watched(env->loop);
	return r ? r : env->error;
}

static void nodes_that_know_each_other_talk(void **state)
{
	struct env *env = *state;

	introduce(env);
	for (int64_t n = 0; n < 200; n++) {
		assert_int_equal(ask(env, n, 5 * NS_PER_SEC), 0);
		assert_int_equal(env->echoed, n);
	}
	assert_string_equal(env->from, "a");
}

/* The other network of a node: it listens there too, and whoever asks goes there. */
static void a_node_is_asked_over_another_address(void **state)
{
	struct env *env = *state;

	introduce(env);
	assert_null(peer_address(env->a, "c"));
	assert_int_equal(ask(env, 1, 5 * NS_PER_SEC), 0);
	assert_int_equal(peer_listen(env->b, "127.0.0.2"), 0);
	assert_int_equal(peer_listen(env->b, "127.0.0.3"), 0);
	assert_int_equal(peer_listen(env->b, "127.0.0.3"), 0);
	assert_int_equal(peer_listen(env->b, "192.0.2.1"), -EADDRNOTAVAIL);
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.3", peer_public_key(env->b)), 0);
	assert_string_equal(peer_address(env->a, "b"), "127.0.0.3");
	assert_int_equal(ask(env, 2, 5 * NS_PER_SEC), 0);
	assert_int_equal(env->echoed, 2);
	assert_string_equal(env->from, "a");
}

static void a_stranger_is_not_heard(void **state)
{
	struct env *env = *state;

	/* b does not know a's key. */
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.2", peer_public_key(env->b)), 0);
	assert_int_equal(ask(env, 1, NS_PER_SEC), -ETIMEDOUT);
	assert_int_equal(env->n_heard, 0);
}

static void a_stranger_is_heard_once_it_is_known(void **state)
{
	struct env *env = *state;

	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.2", peer_public_key(env->b)), 0);
	assert_int_equal(ask(env, 1, NS_PER_SEC), -ETIMEDOUT);
	assert_int_equal(peer_set_node(env->b, "a", "127.0.0.1", peer_public_key(env->a)), 0);
	assert_int_equal(ask(env, 2, 5 * NS_PER_SEC), 0);
	assert_int_equal(env->echoed, 2);
}

static void a_name_goes_with_its_key(void **state)
{
	struct env *env = *state;

	/* b knows a's key as that of "c": whatever a says, it is c. */
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.2", peer_public_key(env->b)), 0);
	assert_int_equal(peer_set_node(env->b, "c", "127.0.0.1", peer_public_key(env->a)), 0);
	assert_int_equal(ask(env, 1, 5 * NS_PER_SEC), 0);
	assert_string_equal(env->from, "c");
}

static void silence_is_a_timeout(void **state)
{
	struct env *env = *state;

	introduce(env);
	env->answer = false;
	assert_int_equal(ask(env, 1, NS_PER_SEC / 2), -ETIMEDOUT);
	assert_int_equal(env->n_heard, 1);
	/* An answer that comes too late harms nobody. */
	peer_reply(env->unanswered, NULL);
	env->answer = true;
	assert_int_equal(ask(env, 2, 5 * NS_PER_SEC), 0);
	assert_int_equal(env->echoed, 2);
}

/* a asks, b hears it, and the connection is another one from then on. */
static void ask_and_reconnect(struct env *env)
{
	introduce(env);
	assert_int_equal(peer_listen(env->b, "127.0.0.3"), 0);
	env->answer = false;
	env->stop_when_heard = true;
	assert_int_equal(
		peer_call(env->a, "b", json_object_new(), 20 * NS_PER_SEC, on_reply, env), 0);
	loop_run_watched(env->loop);
	assert_int_equal(env->n_heard, 1);
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.3", peer_public_key(env->b)), 0);
	loop_settle(env->loop);
}

static struct json *answer_of_7(void)
{
	struct json *reply = json_object_new();

	json_set_int(reply, "echo", 7);
	return reply;
}

static void an_answer_that_is_lost_with_its_connection_is_given_again(void **state)
{
	struct env *env = *state;

	ask_and_reconnect(env);
	peer_reply(env->unanswered, answer_of_7());
	loop_run_watched(env->loop);
	assert_int_equal(env->error, 0);
	assert_int_equal(env->echoed, 7);
	assert_int_equal(env->n_heard, 1);
}

static void on_late(void *data)
{
	struct env *env = data;

	peer_reply(env->unanswered, answer_of_7());
}

/* Longer than until the question is asked again: the answer goes where that came from. */
static void what_takes_long_is_done_once(void **state)
{
	struct env *env = *state;
	uint64_t timer;

	ask_and_reconnect(env);
	assert_int_equal(loop_timer_add(env->loop, 5 * NS_PER_SEC, on_late, env, &timer), 0);
	loop_run_watched(env->loop);
	assert_int_equal(env->error, 0);
	assert_int_equal(env->echoed, 7);
	assert_int_equal(env->n_heard, 1);
}

static void an_answer_after_the_end_harms_nobody(void **state)
{
	struct env *env = *state;

	ask_and_reconnect(env);
	peer_free(take_ptr(env->b));
	peer_reply(env->unanswered, answer_of_7());
}

static void unknown_nodes_and_bad_keys_are_refused(void **state)
{
	struct env *env = *state;

	assert_int_equal(ask(env, 1, NS_PER_SEC), -EHOSTUNREACH);
	assert_int_equal(peer_set_node(env->a, "b", "127.0.0.2", "short"), -EINVAL);
	assert_int_equal(
		peer_set_node(env->a, "b", "127.0.0.2", "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!~~~~"),
		-EINVAL);
	assert_int_equal(ask(env, 1, NS_PER_SEC), -EHOSTUNREACH);
}

static void oversized_messages_are_not_sent(void **state)
{
	struct env *env = *state;
	struct json *message = json_object_new();
	char *text = malloc(PEER_MAX_BYTES + 2);

	introduce(env);
	memset(text, 'x', PEER_MAX_BYTES + 1);
	text[PEER_MAX_BYTES + 1] = '\0';
	json_set_string(message, "text", text);
	free(text);
	assert_int_equal(peer_call(env->a, "b", message, NS_PER_SEC, on_reply, env), -EMSGSIZE);
}

static void garbage_on_the_port_harms_nobody(void **state)
{
	struct env *env = *state;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PEER_PORT)};
	char garbage[4096];

	inet_pton(AF_INET, "127.0.0.2", &to.sin_addr);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 37);
	for (int i = 0; i < 8; i++) {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(s, (struct sockaddr *)&to, sizeof(to)), 0);
		assert_int_not_equal(send(s, garbage, sizeof(garbage), MSG_NOSIGNAL), -1);
		close(s);
	}
	introduce(env);
	assert_int_equal(ask(env, 5, 5 * NS_PER_SEC), 0);
	assert_int_equal(env->echoed, 5);
}

static void keys_are_kept(void **state)
{
	struct env *env = *state;
	char before[PEER_KEY_TEXT_BYTES];

	strcpy(before, peer_public_key(env->b));
	peer_free(env->b);
	env->b = make(env, "b", "127.0.0.2");
	assert_string_equal(before, peer_public_key(env->b));
}

static void a_broken_key_file_is_refused(void **state)
{
	struct env *env = *state;
	struct peer *peer = NULL;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/broken", env->directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "no keys\n", 8), 8);
	close(fd);
	assert_int_equal(peer_new(env->loop, "127.0.0.3", path, on_request, env, &peer), -EBADMSG);
	unlink(path);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(nodes_that_know_each_other_talk),
		T(a_node_is_asked_over_another_address),
		T(a_stranger_is_not_heard),
		T(a_stranger_is_heard_once_it_is_known),
		T(a_name_goes_with_its_key),
		T(silence_is_a_timeout),
		T(an_answer_that_is_lost_with_its_connection_is_given_again),
		T(what_takes_long_is_done_once),
		T(an_answer_after_the_end_harms_nobody),
		T(unknown_nodes_and_bad_keys_are_refused),
		T(oversized_messages_are_not_sent),
		T(garbage_on_the_port_harms_nobody),
		T(keys_are_kept),
		T(a_broken_key_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
