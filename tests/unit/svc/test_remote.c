/* SPDX-License-Identifier: MIT
 *
 * Administrators over a real socket on loopback, with a store in memory and requests that are
 * answered at once: which keys are heard, what of a hostile client's is, and how much of it.
 */
#include "node/svc/remote.h"

#include "node/svc/admins.h"
#include "node/svc/events.h"
#include "node/svc/remote_limit.h"
#include "node/svc/svc.h"
#include "node/svc/zsock.h"
#include "tests/unit/base/loop_watchdog.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WHERE "127.0.0.3:5799"

static struct env {
	struct svc svc;
	struct zcontext *context;
	struct zsock *client;
	struct zkeys keys, server;
	char directory[40];
	struct json *record; /* admin/anna, or NULL */
	unsigned n_handled, n_answers, n_events;
	unsigned n_handled_wanted;
	unsigned n_wanted;   /* answers that end the loop */
	bool stop_at_lookup; /* so does the question whose key that is */
	char who[96], error[400];
} env;

/* ---- around it ---- */

int cluster_for_each(const struct cluster *cluster _unused_, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data),
	void *data)
{
	if (env.stop_at_lookup)
		loop_stop(env.svc.loop);
	return env.record && strcmp(prefix, "admin/") == 0 ? fn("admin/anna", env.record, 1, data)
							   : 0;
}

const char *cluster_local_name(const struct cluster *cluster _unused_)
{
	return "host1";
}

const char *api_code_name(enum api_code code _unused_)
{
	return "refused";
}

void events_add(struct svc *svc _unused_, enum event_level level _unused_, const char *id _unused_,
	const char *object _unused_, const char *format _unused_, ...)
{
	env.n_events++;
}

void api_on_remote(struct svc *svc _unused_, struct remote_request *request,
	const struct json *message _unused_, const struct identity *identity)
{
	struct json *answer = json_object_new();

	if (++env.n_handled == env.n_handled_wanted)
		loop_stop(env.svc.loop);
	snprintf(env.who, sizeof(env.who), "%s", identity->who);
	json_set_bool(answer, "ok", true);
	remote_reply(request, answer);
}

static void on_answer(const struct zmessage *message, void *data _unused_)
{
	_cleanup_json_ struct json *envelope = NULL;

	assert_int_equal(json_parse(message->data, message->size_bytes, &envelope), 0);
	snprintf(env.error, sizeof(env.error), "%s",
		json_get_string(json_get(envelope, "answer"), "error", ""));
	if (++env.n_answers == env.n_wanted)
		loop_stop(env.svc.loop);
}

static void enroll(const char *role, int64_t expires_s, int64_t revoked_s)
{
	json_unref(env.record);
	env.record = json_object_new();
	json_set_string(env.record, "key", env.keys.public_key);
	json_set_string(env.record, "role", role);
	json_set_int(env.record, "expires", expires_s);
	json_set_int(env.record, "revoked", revoked_s);
}

static void load_keys(const char *name, struct zkeys *keys)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", env.directory, name);
	assert_int_equal(zkeys_load(path, keys), 0);
}

static int set_up(void **state _unused_)
{
	char path[80];

	memset(&env, 0, sizeof(env));
	strcpy(env.directory, "/tmp/viaduct-remote-XXXXXX");
	assert_non_null(mkdtemp(env.directory));
	assert_int_equal(loop_new(&env.svc.loop), 0);
	load_keys("server", &env.server);
	load_keys("client", &env.keys);
	enroll("operate", 0, 0);
	snprintf(path, sizeof(path), "%s/server", env.directory);
	assert_int_equal(remote_new(&env.svc, WHERE, path, &env.svc.remote), 0);
	assert_int_equal(zcontext_new(env.svc.loop, &env.context), 0);
	assert_int_equal(zsock_connect(env.context, "tcp://" WHERE, env.server.public_key,
				 &env.keys, 1 << 20, on_answer, NULL, &env.client),
		0);
	return 0;
}

static int tear_down(void **state _unused_)
{
	static const char *const names[] = {"server", "client"};

	zsock_close(env.client);
	zcontext_free(env.context);
	remote_free(env.svc.remote);
	loop_free(env.svc.loop);
	json_unref(env.record);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[80];

		snprintf(path, sizeof(path), "%s/%s", env.directory, names[i]);
		unlink(path);
	}
	return rmdir(env.directory);
}

static void send_text(const char *text)
{
	assert_int_equal(zsock_send(env.client, NULL, 0, text, strlen(text)), 0);
}

static void wait_answers(unsigned n)
{
	env.n_wanted = env.n_answers + n;
	loop_run_watched(env.svc.loop);
}

#define REQUEST "{\"rid\":1,\"request\":{\"op\":\"vm.list\"}}"

/* ---- tests ---- */

static void an_enrolled_key_is_heard(void **state _unused_)
{
	send_text(REQUEST);
	wait_answers(1);
	assert_int_equal(env.n_handled, 1);
	assert_string_equal(env.who, "key anna");
	assert_string_equal(env.error, "");
}

static void keys_that_ended_hear_why(void **state _unused_)
{
	enroll("operate", 1, 0);
	send_text(REQUEST);
	wait_answers(1);
	assert_non_null(strstr(env.error, "expired at"));
	/* On the same connection: the record counts, as it is now. */
	enroll("operate", 0, 1);
	send_text(REQUEST);
	wait_answers(1);
	assert_non_null(strstr(env.error, "was revoked at"));
	json_unref(take_ptr(env.record));
	send_text(REQUEST);
	wait_answers(1);
	assert_non_null(strstr(env.error, "not enrolled any more"));
	assert_int_equal(env.n_handled, 0);
	/* Once a minute, for the key. */
	assert_int_equal(env.n_events, 1);
	enroll("operate", 0, 0);
	send_text(REQUEST);
	wait_answers(1);
	assert_int_equal(env.n_handled, 1);
}

static void an_unknown_key_is_not_heard(void **state _unused_)
{
	json_unref(take_ptr(env.record));
	send_text(REQUEST);
	env.stop_at_lookup = true;
	loop_run_watched(env.svc.loop);
	loop_settle(env.svc.loop);
	assert_int_equal(env.n_answers, 0);
	assert_int_equal(env.n_handled, 0);
}

static void rubbish_of_a_known_key_is_dropped(void **state _unused_)
{
	static const char *const texts[] = {"", "x", "{}", "[[[[", "{\"rid\":1}",
		"{\"rid\":1,\"request\":7}", "\xff\xfe", "{\"rid\":-3,\"request\":{\"op\":\"x\"}}"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		send_text(texts[i]);
	send_text(REQUEST);
	wait_answers(1);
	assert_int_equal(env.n_handled, 1);
}

/* Answers may be lost on the way to somebody who does not read them as fast; so what counts is what
 * was done for him. */
static void a_flood_is_cut_off(void **state _unused_)
{
	uint64_t begin_ns = clock_mono_ns();
	unsigned n_sent = 0, n_allowed;

	env.n_handled_wanted = REMOTE_BURST;
	for (unsigned i = 0; i < 900; i++)
		n_sent += zsock_send(env.client, NULL, 0, REQUEST, strlen(REQUEST)) == 0;
	assert_true(n_sent > 2 * REMOTE_BURST);
	loop_run_watched(env.svc.loop);
	loop_settle(env.svc.loop);
	n_allowed = REMOTE_BURST + 1 +
		    (unsigned)((clock_mono_ns() - begin_ns) * REMOTE_PER_SECOND / NS_PER_SEC);
	assert_true(env.n_handled >= REMOTE_BURST);
	assert_true(env.n_handled <= n_allowed);
}

/* What it has of them then is dropped, and nothing of it is kept (the leak checker looks). */
static void it_may_end_with_requests_waiting(void **state _unused_)
{
	unsigned n_sent = 0;

	env.n_handled_wanted = 1;
	for (unsigned i = 0; i < 400; i++)
		n_sent += zsock_send(env.client, NULL, 0, REQUEST, strlen(REQUEST)) == 0;
	loop_run_watched(env.svc.loop);
	assert_true(env.n_handled >= 1);
	assert_true(env.n_handled < n_sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_enrolled_key_is_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_that_ended_hear_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unknown_key_is_not_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			rubbish_of_a_known_key_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_flood_is_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			it_may_end_with_requests_waiting, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
