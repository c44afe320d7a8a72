/* SPDX-License-Identifier: MIT
 *
 * The switch process follows the store: what it is asked for, and what its answers bring.
 */
#include "node/svc/switchd_internal.h"

#include "fabric/open.h"
#include "tests/unit/base/cmocka_all.h"
#include "tests/unit/svc/fake_svc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MAX_ASKED 32

/* Requests to the switch process, which are answered when the test says so. */
static struct {
	struct json *message; /* with its "op" */
	size_t n_fds;
	chan_reply_fn fn;
	void *data;
} asked[MAX_ASKED];
static unsigned n_asked, n_answered;
static bool uplinks_are_there;
static struct switchd sw;

int chan_call(struct chan *chan _unused_, const char *op, struct json *message,
	const int *fds _unused_, size_t n_fds, uint64_t timeout_ns _unused_, chan_reply_fn fn,
	void *data)
{
	assert_true(n_asked < MAX_ASKED);
	asked[n_asked].message = message ? message : json_object_new();
	json_set_string(asked[n_asked].message, "op", op);
	asked[n_asked].n_fds = n_fds;
	asked[n_asked].fn = fn;
	asked[n_asked++].data = data;
	return 0;
}

int fabric_open_uplink(const char *ifname _unused_, int *ret_fd)
{
	if (!uplinks_are_there)
		return -ENODEV;
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

int fabric_open_link_watch(int *ret_fd)
{
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

int fabric_open_tap(const char *ifname _unused_, const uint8_t mac[6] _unused_, int *ret_fd)
{
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static void store(const char *key, const char *text)
{
	struct json *value = NULL;

	assert_int_equal(json_parse(text, strlen(text), &value), 0);
	fake_store(key, value);
}

/* The next request is `op` about `key` = `value`; it is answered. */
static const struct json *answer(const char *op, const char *key, const char *value, int error)
{
	static struct json *last;
	unsigned at = n_answered++;

	if (at >= n_asked)
		fail_msg("nothing was asked where %s was expected", op);
	json_unref(last);
	last = asked[at].message;
	assert_string_equal(json_get_string(last, "op", ""), op);
	assert_string_equal(json_get_string(last, key, ""), value);
	asked[at].fn(error, NULL, NULL, 0, asked[at].data);
	return last;
}

static void expect_nothing(void)
{
	switchd_sync(&sw);
	if (n_asked != n_answered)
		fail_msg("asked: %s", json_get_string(asked[n_answered].message, "op", ""));
}

static int set_up(void **state _unused_)
{
	fake_set_up();
	sw = (struct switchd){.svc = &fake.svc, .chan = (struct chan *)&fake};
	list_init(&sw.known);
	n_asked = n_answered = 0;
	uplinks_are_there = true;
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7}");
	store("switch/host2/Z", "{\"type\":\"private\"}");
	switchd_sync(&sw);
	answer("switch.create", "name", "A", 0);
	assert_int_equal(asked[0].n_fds, 1);
	answer("port.add_tap", "port", "management/vs-A", 0);
	expect_nothing();
	return 0;
}

static int tear_down(void **state _unused_)
{
	const struct json *none = NULL;

	/* Every answer still to come finds what it needs, or that it is gone. */
	known_switches_forget(&sw);
	sw.chan = NULL;
	for (; n_answered < n_asked; n_answered++) {
		asked[n_answered].fn(-EPIPE, none, NULL, 0, asked[n_answered].data);
		json_unref(asked[n_answered].message);
	}
	fake_tear_down();
	return 0;
}

static void changes_are_asked_for_once(void **state _unused_)
{
	const struct json *message;

	store("switch/host1/A", "{\"type\":\"external\",\"uplinks\":[\"e1\",\"e2\"],\"management\":"
				"7,\"team\":{\"mode\":\"hash\"},\"bandwidth_mode\":\"weight\"}");
	switchd_sync(&sw);
	switchd_sync(&sw);
	assert_int_equal(n_asked - n_answered, 2);
	message = answer("switch.set", "bandwidth_mode", "weight", 0);
	assert_string_equal(json_get_string(message, "name", ""), "A");
	assert_int_equal(asked[n_answered].n_fds, 3); /* two sockets, and what tells of links */
	message = answer("switch.rebind", "name", "A", 0);
	assert_int_equal(json_length(json_get(message, "uplinks")), 2);
	assert_string_equal(json_get_string(json_get(message, "team"), "mode", ""), "hash");
	expect_nothing();
}

static void static_addresses_follow(void **state _unused_)
{
	const struct json *message;

	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7,"
				"\"static\":[{\"mac\":\"00:15:5d:00:00:01\",\"vlan\":7}]}");
	switchd_sync(&sw);
	message = answer("fdb.set", "switch", "A", 0);
	assert_int_equal(json_length(json_get(message, "static")), 1);
	expect_nothing();
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7}");
	switchd_sync(&sw);
	message = answer("fdb.set", "switch", "A", 0);
	assert_int_equal(json_length(json_get(message, "static")), 0);
	expect_nothing();
}

static void what_was_refused_is_not_asked_again(void **state _unused_)
{
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7,"
				"\"bandwidth_mode\":\"absolute\"}");
	switchd_sync(&sw);
	answer("switch.set", "bandwidth_mode", "absolute", -EINVAL);
	expect_nothing();
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7,"
				"\"bandwidth_mode\":\"weight\"}");
	switchd_sync(&sw);
	answer("switch.set", "bandwidth_mode", "weight", 0);
	/* An uplink that is not there is not looked for at every change either. */
	uplinks_are_there = false;
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e9\",\"management\":7,"
				"\"bandwidth_mode\":\"weight\"}");
	expect_nothing();
}

static void a_new_name_keeps_the_switch(void **state _unused_)
{
	const struct json *message;

	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e1\",\"renamed_from\":\"A\","
				"\"adapters\":[{\"name\":\"A\",\"ifname\":\"vs-A\",\"lease\":"
				"\"switch/host1/A\",\"mode\":\"access\",\"vid\":7}]}");
	switchd_sync(&sw);
	message = answer("switch.rename", "to", "B", 0);
	assert_string_equal(json_get_string(message, "name", ""), "A");
	expect_nothing(); /* the old record is superseded, the adapter the same */
	fake_store("switch/host1/A", NULL);
	expect_nothing();
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e1\",\"bandwidth_mode\":"
				"\"weight\",\"adapters\":[{\"name\":\"A\",\"ifname\":\"vs-A\","
				"\"lease\":\"switch/host1/A\",\"mode\":\"access\",\"vid\":7}]}");
	switchd_sync(&sw);
	answer("switch.set", "name", "B", 0);
	expect_nothing();
}

static void a_refused_name_goes_back(void **state _unused_)
{
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e1\",\"renamed_from\":\"A\"}");
	switchd_sync(&sw);
	/* What was asked for behind it fails as well. */
	while (n_answered < n_asked)
		answer(json_get_string(asked[n_answered].message, "op", ""), "none", "", -EINVAL);
	fake_store("switch/host1/B", NULL);
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7,"
				"\"bandwidth_mode\":\"weight\"}");
	switchd_sync(&sw);
	answer("switch.set", "name", "A", 0);
}

static void adapters_follow_their_record(void **state _unused_)
{
	const struct json *message;

	store("switch/host1/A",
		"{\"type\":\"external\",\"uplink\":\"e1\",\"adapters\":[{\"name\":"
		"\"A\",\"ifname\":\"vs-A\",\"lease\":\"switch/host1/A\",\"mode\":"
		"\"access\",\"vid\":8},{\"name\":\"b\",\"ifname\":\"vs-b\",\"lease\":"
		"\"switch/host1/A/b\",\"mirror\":\"source\"}]}");
	switchd_sync(&sw);
	message = answer("port.set", "port", "management/vs-A", 0);
	assert_int_equal(json_get_int(message, "vid", 0), 8);
	assert_null(json_get(message, "mirror"));
	message = answer("port.add_tap", "port", "management/vs-b", 0);
	assert_string_equal(json_get_string(message, "mirror", ""), "source");
	assert_string_equal(json_get_string(message, "switch", ""), "A");
	expect_nothing();
	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"adapters\":[]}");
	switchd_sync(&sw);
	answer("port.remove", "port", "management/vs-A", 0);
	answer("port.remove", "port", "management/vs-b", 0);
	expect_nothing();
}

static void a_switch_goes_after_its_ports(void **state _unused_)
{
	store("switch/host1/A",
		"{\"type\":\"external\",\"uplink\":\"e1\",\"adapters\":[{\"name\":"
		"\"A\",\"ifname\":\"vs-A\",\"lease\":\"switch/host1/A\",\"mode\":"
		"\"access\",\"vid\":7},{\"name\":\"b\",\"ifname\":\"vs-b\",\"lease\":"
		"\"switch/host1/A/b\"}]}");
	switchd_sync(&sw);
	assert_int_equal(n_asked - n_answered, 1); /* vs-b is coming */
	fake_store("switch/host1/A", NULL);
	switchd_sync(&sw);
	answer("port.add_tap", "port", "management/vs-b", 0);
	answer("port.remove", "port", "management/vs-A", 0);
	answer("port.remove", "port", "management/vs-b", 0);
	answer("switch.delete", "name", "A", 0);
	expect_nothing();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(changes_are_asked_for_once),
		T(static_addresses_follow),
		T(what_was_refused_is_not_asked_again),
		T(a_new_name_keeps_the_switch),
		T(a_refused_name_goes_back),
		T(adapters_follow_their_record),
		T(a_switch_goes_after_its_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
