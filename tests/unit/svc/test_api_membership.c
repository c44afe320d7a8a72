/* SPDX-License-Identifier: MIT
 *
 * Invitations, evictions, and what a cluster's file is compared with and changed by.
 */
#include "base/clock.h"
#include "tests/unit/svc/fake_svc.h"

#include "node/svc/conf.h"
#include "node/svc/enroll.h"
#include "tests/unit/base/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static char directory[64];

static const char conf_text[] =
	"totem {\n    cluster_name: c\n    config_version: 7\n}\n"
	"nodelist {\n"
	"    node {\n        nodeid: 1\n        name: host1\n        ring0_addr: "
	"10.10.3.1\n    }\n"
	"    node {\n        nodeid: 2\n        name: host2\n        ring0_addr: "
	"10.10.3.2\n    }\n"
	"}\n";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool file_has(const char *name, const char *text)
{
	char path[128], all[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	if (!file)
		return false;
	all[fread(all, 1, sizeof(all) - 1, file)] = '\0';
	fclose(file);
	return strstr(all, text) != NULL;
}

static int set_up(void **state _unused_)
{
	fake_set_up();
	strcpy(directory, "/tmp/viaduct-node-XXXXXX");
	assert_non_null(mkdtemp(directory));
	fake.svc.options.corosync_dir = fake.svc.options.state_dir = directory;
	write_file("corosync.conf", conf_text);
	return 0;
}

static int tear_down(void **state _unused_)
{
	static const char *const names[] = {
		"corosync.conf", "corosync.conf.bak", "authkey", "authkey.bak", "evicted.json"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(directory), 0);
	fake_tear_down();
	return 0;
}

static const char *error(void)
{
	return json_get_string(fake.answer, "error", "");
}

static void forget_invitations(void)
{
	struct list *link;

	while ((link = fake.svc.invitations.next) != &fake.svc.invitations) {
		list_remove(link);
		free(link); /* its first member */
	}
}

static void invitations(void **state _unused_)
{
	struct enroll_token token;

	assert_string_equal(
		fake_ask("{\"op\":\"node.invite\",\"name\":\"host3\",\"addresses\":[]}"), "usage");
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"-\",\"addresses\":[\"10."
				     "1.0.3\"]}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"node.invite\",\"name\":\"host3\",\"addresses\":[\"x\"]}"),
		"usage");
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host2\",\"addresses\":["
				     "\"10.10.3.3\"]}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host3\",\"addresses\":["
				     "\"10.10.3.2\"]}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host3\",\"id\":1,"
				     "\"addresses\":[\"10.10.3.3\"]}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host3\",\"addresses\":["
				     "\"10.10.3.3\"]}"),
		"ok");
	assert_int_equal(json_get_int(fake.answer, "id", 0), 3);
	assert_int_equal(enroll_token_parse(json_get_string(fake.answer, "token", ""), &token), 0);
	assert_string_equal(token.name, "host3");
	/* Nothing was changed by that, and ids of evicted nodes are not used again. */
	assert_null(fake_stored(CONF_KEY));
	{
		struct json *evicted = json_object_new();

		json_set_int(evicted, "id", 9);
		fake_store("evicted/host9", evicted);
	}
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host4\",\"addresses\":["
				     "\"10.10.3.4\"]}"),
		"ok");
	assert_int_equal(json_get_int(fake.answer, "id", 0), 10);
	fake.quorate = false;
	assert_string_equal(fake_ask("{\"op\":\"node.invite\",\"name\":\"host5\",\"addresses\":["
				     "\"10.10.3.5\"]}"),
		"no-quorum");
	forget_invitations();
}

static void tokens(void **state _unused_)
{
	static const char *const bad[] = {"", "x", "viaduct-join-1:", "viaduct-join-1:!!",
		"viaduct-join-1:e30=", "viaduct-join-2:e30="};
	struct enroll_token token = {.address = "10.10.3.1"}, again;
	char large[ENROLL_TOKEN_MAX + 2];
	_cleanup_free_ char *text = NULL;

	memset(token.server_key, 'k', sizeof(token.server_key) - 1);
	memset(token.public_key, 'p', sizeof(token.public_key) - 1);
	memset(token.secret_key, 's', sizeof(token.secret_key) - 1);
	strcpy(token.name, "host3");
	text = enroll_token_print(&token);
	assert_int_equal(enroll_token_parse(text, &again), 0);
	assert_memory_equal(&token, &again, sizeof(token));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(enroll_token_parse(bad[i], &again), -EBADMSG);
	memset(large, 'A', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	memcpy(large, "viaduct-join-1:", 15);
	assert_int_equal(enroll_token_parse(large, &again), -EBADMSG);
}

static void evicting(void **state _unused_)
{
	struct json *paused = json_object_new();

	assert_string_equal(fake_ask("{\"op\":\"node.evict\",\"name\":\"nobody\"}"), "not-found");
	assert_string_equal(fake_ask("{\"op\":\"node.evict\",\"name\":\"host1\"}"), "refused");
	assert_string_equal(fake_ask("{\"op\":\"node.evict\",\"name\":\"host2\"}"), "refused");
	assert_non_null(strstr(error(), "node pause host2"));
	assert_string_equal(fake_ask("{\"op\":\"vm.create\",\"name\":\"V\",\"node\":\"host2\","
				     "\"kernel\":\"/k\",\"memory_bytes\":16777216}"),
		"ok");
	assert_string_equal(fake_ask("{\"op\":\"node.evict\",\"name\":\"host2\"}"), "refused");
	assert_non_null(strstr(error(), "owns 1 VM (V)"));
	assert_string_equal(fake_ask("{\"op\":\"vm.delete\",\"vm\":\"V\"}"), "ok");
	assert_null(fake_stored("evicted/host2"));
	assert_null(fake_stored(CONF_KEY));
	json_set_string(paused, "state", "paused");
	fake_store("nodestate/host2", paused);
	/* It goes on when corosync has let it go. */
	assert_string_equal(fake_ask("{\"op\":\"node.evict\",\"name\":\"host2\"}"), "waits");
	assert_int_equal(json_get_int(fake_stored("evicted/host2"), "id", 0), 2);
	assert_int_equal(json_get_int(fake_stored(CONF_KEY), "version", 0), 8);
	assert_int_equal(fake.n_reloads, 1);
	assert_true(file_has("corosync.conf", "config_version: 8"));
	assert_false(file_has("corosync.conf", "host2"));
	assert_true(file_has("corosync.conf.bak", "host2"));
	assert_non_null(fake_stored("owner/vm/V")); /* epochs go on */
	assert_non_null(fake_stored("nodestate/host2"));
	fake.is_alone = true;
	for (uint64_t begun_ns = clock_mono_ns(); fake_stored("nodestate/host2");) {
		fake_turn();
		assert_true(clock_mono_ns() < begun_ns + 10 * NS_PER_SEC);
	}
	assert_true(json_get_bool(fake.answer, "ok", false));
}

static void who_is_not_in_the_text_was_evicted(void **state _unused_)
{
	struct json *record = json_object_new();
	char why[256];

	json_set_int(record, "version", 9);
	json_set_string(record, "text",
		"totem {\ncluster_name: c\nconfig_version: 9\n}\nnodelist {\nnode {\nnodeid: 2\n"
		"name: host2\nring0_addr: 10.10.3.2\n}\n}\n");
	fake_store(CONF_KEY, record);
	assert_int_equal(conf_follow(&fake.svc, why, sizeof(why)), 0);
	assert_non_null(fake.svc.evicted);
	assert_true(file_has("corosync.conf", "host1"));
	assert_true(file_has("evicted.json", "host1"));
	assert_string_equal(
		fake_ask("{\"op\":\"vm.create\",\"name\":\"V\",\"kernel\":\"/k\",\"memory_bytes\":"
			 "16777216}"),
		"no-quorum");
	assert_non_null(strstr(error(), "was evicted"));
	conf_forget_evicted(&fake.svc);
	assert_false(file_has("evicted.json", "host1"));
}

static void a_text_of_another_cluster_is_not_followed(void **state _unused_)
{
	struct json *record = json_object_new();
	char why[256];

	json_set_int(record, "version", 9);
	json_set_string(record, "text",
		"totem {\ncluster_name: d\nconfig_version: 9\n}\nnodelist {\nnode {\nnodeid: 1\n"
		"name: host1\nring0_addr: 10.10.3.1\n}\n}\n");
	fake_store(CONF_KEY, record);
	assert_true(conf_follow(&fake.svc, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "cluster d"));
	assert_true(file_has("corosync.conf", "config_version: 7"));
	assert_null(fake.svc.evicted);
}

static void not_called(const char *text _unused_, void *data _unused_)
{
	fail();
}

/* What is written to the store is on members that have it, and only there. */
static void corosync_conf_waits_for_who_gets_the_store(void **state _unused_)
{
	struct corosync_node node = {.id = 3, .name = "host3", .address = {"10.10.3.3"}};
	struct json *message = json_object_new();
	char why[256] = "";

	fake.is_joining = true;
	assert_int_equal(
		conf_change(&fake.svc, &node, NULL, not_called, NULL, why, sizeof(why)), -EAGAIN);
	assert_non_null(strstr(why, "host2 has just joined"));
	assert_null(fake_stored(CONF_KEY));
	json_set_int(message, "version", 8);
	conf_on_peer(&fake.svc, NULL, message);
	assert_non_null(strstr(json_get_string(fake.answer, "error", ""), "not up to date"));
	json_set_int(message, "version", 0);
	conf_on_peer(&fake.svc, NULL, message);
	assert_null(json_get(fake.answer, "error"));
	json_unref(message);
}

static void machines_and_policies_change(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.create\",\"name\":\"V\",\"kernel\":\"/k\","
				     "\"initrd\":\"/i\",\"memory_bytes\":16777216}"),
		"ok");
	assert_string_equal(fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"vps\":65}"), "usage");
	assert_string_equal(fake_ask("{\"op\":\"vm.change\",\"vm\":\"W\",\"vps\":2}"), "not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"vps\":2,\"initrd\":null}"), "ok");
	assert_int_equal(json_get_int(fake_stored("vm/V"), "vps", 0), 2);
	assert_null(json_get(fake_stored("vm/V"), "initrd"));
	assert_string_equal(json_get_string(fake_stored("vm/V"), "kernel", ""), "/k");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"policy\":{\"priority\":\"hihg\"}}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"policy\":{\"possible\":\"h\"}}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"policy\":{\"x\":1}}"), "usage");
	assert_string_equal(fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"policy\":{\"priority\":"
				     "\"high\",\"possible\":[\"host1\"]}}"),
		"ok");
	assert_string_equal(json_get_string(fake_stored("policy/V"), "priority", ""), "high");
	fake_run("V");
	assert_string_equal(fake_ask("{\"op\":\"vm.change\",\"vm\":\"V\",\"vps\":1}"), "conflict");
	assert_non_null(strstr(error(), "stop it first"));
	assert_string_equal(fake_ask("{\"op\":\"cluster.describe\"}"), "ok");
	assert_string_equal(
		json_get_string(json_at(json_get(fake.answer, "vms"), 0), "state", ""), "Running");
	assert_string_equal(
		json_get_string(json_get(json_at(json_get(fake.answer, "vms"), 0), "policy"),
			"priority", ""),
		"high");
	assert_int_equal(json_length(json_get(fake.answer, "nodes")), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(invitations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tokens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(evicting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_is_not_in_the_text_was_evicted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_text_of_another_cluster_is_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			corosync_conf_waits_for_who_gets_the_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(machines_and_policies_change, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
