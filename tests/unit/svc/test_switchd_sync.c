/* SPDX-License-Identifier: MIT
 *
 * The switch process follows the store: what it is asked for, and what its answers bring.
 */
#include "node/svc/switchd_internal.h"

#include "fabric/open.h"
#include "tests/unit/base/cmocka_all.h"
#include "tests/unit/svc/fake_svc.h"

#include <fcntl.h>
#include <net/if.h>
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
static unsigned ifindexes[10]; /* of e0 to e9; 0: there is none */
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

unsigned if_nametoindex(const char *ifname)
{
	assert_int_equal(ifname[0], 'e');
	return ifindexes[ifname[1] - '0'];
}

int fabric_open_uplink(const char *ifname, int *ret_fd)
{
	assert_int_not_equal(if_nametoindex(ifname), 0);
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

/* The next request is `op` about `key` = `value`; it is answered, refused if there is a reason. */
static const struct json *answer_why(
	const char *op, const char *key, const char *value, int error, const char *why)
{
	_cleanup_json_ struct json *reply = json_object_new();
	static struct json *last;
	unsigned at = n_answered++;

	if (at >= n_asked)
		fail_msg("nothing was asked where %s was expected", op);
	json_unref(last);
	last = asked[at].message;
	assert_string_equal(json_get_string(last, "op", ""), op);
	assert_string_equal(json_get_string(last, key, ""), value);
	if (why)
		json_set_string(reply, "error", why);
	asked[at].fn(error, why ? reply : NULL, NULL, 0, asked[at].data);
	return last;
}

static const struct json *answer(const char *op, const char *key, const char *value, int error)
{
	return answer_why(op, key, value, error, NULL);
}

/* The state of a switch of this node; why, in part, NULL: nothing is to be said. What is said is in
 * the store as well. */
static void expect_state(const char *name, const char *state, const char *why)
{
	const struct json *record, *published;
	char key[80], text[SWITCHD_WHY_BYTES];

	snprintf(key, sizeof(key), "switch/host1/%s", name);
	record = fake_stored(key);
	assert_string_equal(known_switch_state(&sw, name, record, text, sizeof(text)), state);
	if (why ? !strstr(text, why) : text[0])
		fail_msg("%s is %s because '%s', not '%s'", name, state, text, why ? why : "");
	assert_null(strchr(text, '\n'));
	snprintf(key, sizeof(key), "switchstate/host1/%s", name);
	published = fake_stored(key);
	assert_string_equal(json_get_string(published, "state", "up"), why ? state : "up");
	assert_string_equal(json_get_string(published, "reason", ""), text);
}

/* As the service does when it is told that adapters come or go. */
static void look(bool expected)
{
	assert_int_equal(known_uplinks_changed(&sw), expected);
	if (expected)
		switchd_sync(&sw);
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
	for (unsigned i = 0; i < ARRAY_LEN(ifindexes); i++)
		ifindexes[i] = 10 + i;
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
	ifindexes[9] = 0;
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

/* ---- what a switch does not have ---- */

#define SWITCH(uplink) "{\"type\":\"external\",\"uplink\":\"" uplink "\",\"management\":7}"

static void a_missing_uplink_is_waited_for(void **state _unused_)
{
	ifindexes[2] = 0;
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e2\"}");
	expect_nothing();
	expect_state("B", "not bound", "there is no network adapter 'e2'");
	expect_state("A", "up", NULL);
	look(false);
	ifindexes[2] = 50;
	look(true);
	answer("switch.create", "name", "B", 0);
	expect_nothing();
	expect_state("B", "up", NULL);
}

static void another_record_is_another_attempt(void **state _unused_)
{
	ifindexes[2] = 0;
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e2\"}");
	expect_nothing();
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e3\"}");
	switchd_sync(&sw);
	answer("switch.create", "uplink", "e3", 0);
	expect_nothing();
	expect_state("B", "up", NULL);
}

static void what_never_was_goes_without_a_word(void **state _unused_)
{
	ifindexes[2] = 0;
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e2\"}");
	expect_nothing();
	fake_store("switch/host1/B", NULL);
	expect_nothing();
	assert_null(fake_stored("switchstate/host1/B"));
}

static void the_uplink_before_is_kept(void **state _unused_)
{
	ifindexes[2] = 0;
	store("switch/host1/A", SWITCH("e2"));
	expect_nothing();
	expect_state("A", "not bound", "there is no network adapter 'e2'; it still has e1");
	store("switch/host1/A", SWITCH("e1"));
	expect_nothing();
	expect_state("A", "up", NULL);
	store("switch/host1/A", SWITCH("e2"));
	ifindexes[2] = 50;
	switchd_sync(&sw);
	answer("switch.rebind", "name", "A", 0);
	expect_nothing();
	expect_state("A", "up", NULL);
}

/* What comes back under the same name is another adapter. */
static void an_uplink_that_went_is_bound_when_it_is_back(void **state _unused_)
{
	ifindexes[1] = 0;
	look(true);
	expect_nothing();
	expect_state("A", "not bound", "there is no network adapter 'e1'");
	look(false);
	ifindexes[1] = 50;
	look(true);
	answer("switch.rebind", "name", "A", 0);
	expect_nothing();
	expect_state("A", "up", NULL);
	/* It went and came while nobody looked, and again while the answer was awaited. */
	ifindexes[1] = 51;
	look(true);
	ifindexes[1] = 52;
	look(false);
	answer("switch.rebind", "name", "A", 0);
	answer("switch.rebind", "name", "A", 0);
	expect_nothing();
	expect_state("A", "up", NULL);
}

static void what_another_switch_has_is_had_when_it_lets_go(void **state _unused_)
{
	static const char why[] = "e1 is the uplink of switch A already";

	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e1\"}");
	store("switch/host1/C", "{\"type\":\"external\",\"uplink\":\"e3\"}");
	switchd_sync(&sw);
	answer_why("switch.create", "name", "B", -EBUSY, why);
	answer("switch.create", "name", "C", 0);
	expect_nothing();
	expect_state("B", "not bound", why);
	store("switch/host1/C", "{\"type\":\"external\",\"uplink\":\"e1\"}");
	switchd_sync(&sw);
	answer_why("switch.rebind", "name", "C", -EBUSY, why);
	expect_nothing();
	expect_state("C", "not bound", "switch A already; it still has e3");
	fake_store("switch/host1/A", NULL);
	switchd_sync(&sw);
	answer("port.remove", "port", "management/vs-A", 0);
	answer("switch.delete", "name", "A", 0);
	answer("switch.create", "name", "B", 0);
	answer_why("switch.rebind", "name", "C", -EBUSY, "e1 is the uplink of switch B already");
	expect_nothing();
	expect_state("B", "up", NULL);
	expect_state("C", "not bound", "switch B already; it still has e3");
	store("switch/host1/B", "{\"type\":\"external\",\"uplink\":\"e2\"}");
	switchd_sync(&sw);
	answer("switch.rebind", "name", "B", 0);
	answer("switch.rebind", "name", "C", 0);
	expect_nothing();
	expect_state("C", "up", NULL);
}

static void other_refusals_are_told_as_well(void **state _unused_)
{
	char why[SWITCHD_WHY_BYTES];

	store("switch/host1/A", "{\"type\":\"external\",\"uplink\":\"e1\",\"management\":7,"
				"\"bandwidth_mode\":\"absolute\"}");
	store("switch/host1/P", "{\"type\":\"private\"}");
	switchd_sync(&sw);
	answer_why("switch.set", "name", "A", -EINVAL, "port X stands in the way");
	answer_why("switch.create", "name", "P", -ENOSPC, "64 switches are all");
	expect_nothing();
	expect_state("A", "up", "port X stands in the way");
	expect_state("P", "not made", "64 switches are all");
	sw.chan = NULL;
	known_switches_forget(&sw);
	assert_string_equal(
		known_switch_state(&sw, "A", fake_stored("switch/host1/A"), why, sizeof(why)),
		"not bound");
	assert_non_null(strstr(why, "does not run"));
}

static void without_quorum_nothing_is_published(void **state _unused_)
{
	ifindexes[1] = 0;
	fake.quorate = false;
	look(true);
	expect_nothing();
	assert_null(fake_stored("switchstate/host1/A"));
	fake.quorate = true;
	expect_nothing();
	expect_state("A", "not bound", "there is no network adapter 'e1'");
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
		T(a_missing_uplink_is_waited_for),
		T(another_record_is_another_attempt),
		T(what_never_was_goes_without_a_word),
		T(the_uplink_before_is_kept),
		T(an_uplink_that_went_is_bound_when_it_is_back),
		T(what_another_switch_has_is_had_when_it_lets_go),
		T(other_refusals_are_told_as_well),
		T(without_quorum_nothing_is_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
