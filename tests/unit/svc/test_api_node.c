/* SPDX-License-Identifier: MIT
 *
 * Nodes paused, drained and resumed, and the queue of moves, around a store in memory: two nodes,
 * this one ("host1") has the VMs.
 */
#include "tests/unit/svc/fake_svc.h"

#include "node/svc/node.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define FACTS                                                                                      \
	"{\"vm_memory_bytes\":1073741824,\"kvm\":true,\"cpus\":2,\"cpu_digest\":\"\","             \
	"\"volumes\":{},\"version\":\"1.2\"}"
#define DRAIN "{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true}"
#define MOVE  "{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"host2\"}"

static void store(const char *key, const char *text)
{
	struct json *value;

	assert_int_equal(json_parse(text, strlen(text), &value), 0);
	fake_store(key, value);
}

static void create(const char *name, int64_t mib)
{
	char text[200];

	snprintf(text, sizeof(text),
		"{\"op\":\"vm.create\",\"name\":\"%s\",\"kernel\":\"/k\",\"memory_bytes\":%lld,"
		"\"nics\":[]}",
		name, (long long)mib << 20);
	assert_string_equal(fake_ask(text), "ok");
}

/* VM1, VM2 and VM3, the larger first. */
static int set_up(void **state _unused_)
{
	fake_set_up();
	fake.moves = true;
	store("node/host1", FACTS);
	store("node/host2", FACTS);
	create("VM1", 256);
	create("VM2", 128);
	create("VM3", 64);
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static void run_all(void)
{
	fake_run("VM1");
	fake_run("VM2");
	fake_run("VM3");
}

static const char *state_of(const char *key)
{
	return json_get_string(fake_stored("nodestate/host1"), key, "?");
}

static const struct job *job_of(const char *vm)
{
	const struct job *job;

	list_for_each_reverse(job, &fake.svc.jobs, link) {
		if (strcmp(job->vm, vm) == 0)
			return job;
	}
	return NULL;
}

static const char *job_state(const char *vm)
{
	return job_of(vm) ? job_state_name(job_of(vm)->state) : "none";
}

/* Of the step of the drain that is, or was, the last job without a VM. */
static const char *step(unsigned n, const char *key)
{
	return json_get_string(json_at(json_get(job_of("")->report, "steps"), n), key, "?");
}

static const char *planned(unsigned n, const char *key)
{
	const struct json *steps = json_get(json_get(fake.answer, "plan"), "steps");

	return json_get_string(json_at(steps, n), key, "?");
}

static void nonsense_is_refused(void **state _unused_)
{
	static const struct {
		const char *request, *code;
	} cases[] = {
		{"{\"op\":\"node.pause\"}", "not-found"},
		{"{\"op\":\"node.pause\",\"node\":\"nobody\"}", "not-found"},
		{"{\"op\":\"node.pause\",\"node\":7,\"drain\":true}", "not-found"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"dry_run\":true}", "usage"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"force\":true}", "usage"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"target\":\"host2\"}", "usage"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true,\"target\":\"x\"}",
			"not-found"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true,\"target\":\"host1\"}",
			"usage"},
		{"{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true,\"expect\":\"0\"}",
			"conflict"},
		{"{\"op\":\"node.resume\",\"node\":\"nobody\"}", "not-found"},
		{"{\"op\":\"node.resume\",\"node\":\"host1\",\"failback\":\"maybe\"}", "usage"},
		{"{\"op\":\"node.list\",\"node\":\"nobody\"}", "not-found"},
		{"{\"op\":\"node.set\",\"max_vms\":1}", "not-found"},
		{"{\"op\":\"node.set\",\"node\":\"host1\"}", "usage"},
		{"{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":0}", "usage"},
		{"{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":257}", "usage"},
		{"{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":\"1\"}", "usage"},
		{"{\"op\":\"cluster.set\"}", "usage"},
		{"{\"op\":\"vm.take\",\"vm\":\"nobody\"}", "not-found"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (strcmp(fake_ask(cases[i].request), cases[i].code) != 0)
			fail_msg("%s is not %s", cases[i].request, cases[i].code);
	}
	assert_null(fake_stored("nodestate/host1"));
}

static void nothing_changes_without_quorum(void **state _unused_)
{
	fake.quorate = false;
	assert_string_equal(fake_ask(DRAIN), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"node.pause\",\"node\":\"host1\"}"), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"node.resume\",\"node\":\"host1\"}"), "no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"cluster.set\",\"parallel_migrations\":2}"), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"node.list\"}"), "ok");
	assert_string_equal(
		json_get_string(json_at(json_get(fake.answer, "nodes"), 0), "state", ""),
		"isolated");
}

static void the_list_says_what_nodes_have(void **state _unused_)
{
	const struct json *node;

	fake_run("VM1");
	assert_string_equal(fake_ask("{\"op\":\"node.list\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "nodes")), 2);
	node = json_at(json_get(fake.answer, "nodes"), 0);
	assert_string_equal(json_get_string(node, "name", ""), "host1");
	assert_string_equal(json_get_string(node, "state", ""), "up");
	assert_string_equal(json_get_string(node, "version", ""), "1.2");
	assert_int_equal(json_get_int(node, "running", 0), 1);
	assert_int_equal(json_get_int(node, "used_bytes", 0), 256 << 20);
	assert_int_equal(json_length(json_get(node, "vms")), 3);
}

static void a_paused_node_takes_nothing(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"node.pause\",\"node\":\"host1\"}"), "ok");
	assert_string_equal(state_of("state"), "paused");
	assert_string_equal(state_of("drain"), "none");
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "refused");
	assert_string_equal(fake_ask("{\"op\":\"vm.take\",\"vm\":\"VM1\"}"), "conflict");
	assert_string_equal(fake_ask("{\"op\":\"node.resume\",\"node\":\"host1\"}"), "ok");
	assert_string_equal(state_of("state"), "up");
	assert_int_equal(fake.n_started, 0);
	fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}");
	assert_int_equal(fake.n_started, 1);
}

static void a_full_node_starts_no_more(void **state _unused_)
{
	const struct json *node;

	fake_run("VM1"); /* which the fake keeps for itself */
	fake_run("VM2");
	assert_string_equal(
		fake_ask("{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":1}"), "ok");
	assert_string_equal(fake_ask("{\"op\":\"node.list\",\"node\":\"host1\"}"), "ok");
	node = json_at(json_get(fake.answer, "nodes"), 0);
	assert_int_equal(json_get_int(node, "max_vms", 0), 1);
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM3\"}"), "full");
	assert_non_null(strstr(json_get_string(fake.answer, "error", ""),
		"host1 runs 1 VM already, and 1 is its limit"));
	assert_int_equal(fake.n_started, 0);
	fake.quorate = false;
	assert_string_equal(
		fake_ask("{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":null}"), "no-quorum");
	fake.quorate = true;
	for (unsigned i = 0; i < 2; i++) /* the second time it is so already */
		assert_string_equal(
			fake_ask("{\"op\":\"node.set\",\"node\":\"host1\",\"max_vms\":null}"),
			"ok");
	assert_null(fake_stored("nodepolicy/host1"));
	assert_string_equal(fake_ask("{\"op\":\"node.list\",\"node\":\"host1\"}"), "ok");
	assert_true(json_is_null(json_get(json_at(json_get(fake.answer, "nodes"), 0), "max_vms")));
	fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM3\"}");
	assert_int_equal(fake.n_started, 1);
}

static void other_nodes_are_asked_themselves(void **state _unused_)
{
	fake_ask("{\"op\":\"node.pause\",\"node\":\"host2\",\"drain\":true}");
	assert_string_equal(fake.forwarded, "host2");
	fake_ask("{\"op\":\"node.resume\",\"node\":\"host2\"}");
	assert_string_equal(fake.forwarded, "host2");
	fake_ask("{\"op\":\"job.list\",\"node\":\"host2\"}");
	assert_string_equal(fake.forwarded, "host2");
	assert_null(fake_stored("nodestate/host2"));
}

static void a_dry_run_does_nothing(void **state _unused_)
{
	char digest[32];

	run_all();
	assert_string_equal(fake_ask_with(DRAIN, "dry_run", json_bool_new(true)), "ok");
	assert_string_equal(planned(0, "vm"), "VM1");
	assert_string_equal(planned(0, "kind"), "live");
	assert_string_equal(planned(2, "to"), "host2");
	snprintf(digest, sizeof(digest), "%s",
		json_get_string(json_get(fake.answer, "plan"), "digest", ""));
	assert_null(fake_stored("nodestate/host1"));
	assert_int_equal(fake.n_moving, 0);
	assert_true(list_empty(&fake.svc.jobs));
	/* The very same plan is the one that is followed. */
	assert_string_equal(fake_ask_with(DRAIN, "expect", json_string_new(digest)), "ok");
	assert_string_equal(json_get_string(json_get(fake.answer, "plan"), "digest", ""), digest);
	assert_int_equal(fake.n_moving, 1);
	for (unsigned i = 0; i < fake.n_moving; i++)
		fake_end_move(i, NULL);
	assert_int_equal(fake.n_moving, 3);
}

static void a_drain_goes_step_by_step(void **state _unused_)
{
	const struct json *moved;

	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	assert_string_equal(state_of("state"), "paused");
	assert_string_equal(state_of("drain"), "running");
	assert_string_equal(job_state("VM1"), "running");
	assert_string_equal(job_state("VM2"), "queued");
	assert_string_equal(step(0, "state"), "moving");
	assert_string_equal(step(1, "state"), "queued");
	assert_string_equal(fake_ask(DRAIN), "conflict");
	fake_end_move(0, NULL);
	assert_string_equal(step(0, "state"), "done");
	assert_string_equal(step(1, "state"), "moving");
	assert_string_equal(step(2, "state"), "queued");
	moved = json_get(fake_stored("nodestate/host1"), "moved");
	assert_int_equal(json_length(moved), 1);
	assert_string_equal(json_get_string(json_at(moved, 0), "to", ""), "host2");
	fake_end_move(1, NULL);
	assert_int_equal(job_of("")->state, JOB_RUNNING);
	fake_end_move(2, NULL);
	assert_int_equal(job_of("")->state, JOB_DONE);
	assert_string_equal(state_of("drain"), "done");
	assert_null(drain_job(&fake.svc));
}

static void a_move_that_fails_is_said_and_the_others_go_on(void **state _unused_)
{
	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	fake_end_move(0, "the network broke");
	fake_end_move(1, NULL);
	fake_end_move(2, NULL);
	assert_int_equal(job_of("")->state, JOB_FAILED);
	assert_string_equal(step(0, "state"), "failed");
	assert_string_equal(step(0, "why"), "the network broke");
	assert_string_equal(state_of("drain"), "failed");
	assert_string_equal(state_of("state"), "paused");
	assert_non_null(strstr(state_of("reason"), "1 of 3 VMs are still here: VM1"));
	assert_int_equal(json_length(json_get(fake_stored("nodestate/host1"), "moved")), 2);
}

static void what_became_impossible_is_not_done_otherwise(void **state _unused_)
{
	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	vmproc_find(&fake.svc, "VM2")->state = VMPROC_PAUSED;
	fake_end_move(0, NULL);
	assert_string_equal(step(1, "state"), "failed");
	assert_string_equal(step(1, "why"), "no longer possible: it is not running");
	store("nodestate/host2", "{\"state\":\"paused\"}");
	fake_end_move(1, "the network broke");
	assert_string_equal(job_state("VM3"), "failed");
	assert_int_equal(fake.n_moving, 2);
	assert_int_equal(job_of("")->state, JOB_FAILED);
}

static void a_cancelled_drain_lets_go_on_what_moves(void **state _unused_)
{
	char text[100];

	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	snprintf(text, sizeof(text), "{\"op\":\"job.cancel\",\"id\":\"%s\"}",
		drain_job(&fake.svc)->id);
	assert_string_equal(fake_ask(text), "ok");
	fake_turn();
	assert_string_equal(step(0, "state"), "moving");
	assert_string_equal(step(1, "state"), "cancelled");
	assert_int_equal(job_of("")->state, JOB_RUNNING);
	fake_end_move(0, NULL);
	assert_int_equal(fake.n_moving, 1);
	assert_int_equal(job_of("")->state, JOB_CANCELLED);
	assert_string_equal(state_of("drain"), "failed");
	assert_non_null(strstr(state_of("reason"), "cancelled; 2 of 3"));
}

static void a_resumed_node_is_not_drained(void **state _unused_)
{
	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"node.resume\",\"node\":\"host1\",\"failback\":\"policy\"}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"node.resume\",\"node\":\"host1\"}"), "ok");
	fake_end_move(0, NULL);
	assert_string_equal(state_of("state"), "up");
	assert_string_equal(state_of("drain"), "none");
	assert_null(json_get(fake_stored("nodestate/host1"), "moved"));
	assert_string_equal(job_state("VM2"), "cancelled");
}

static void vms_that_do_not_run_get_another_owner(void **state _unused_)
{
	assert_string_equal(fake_ask(DRAIN), "ok");
	assert_string_equal(planned(0, "kind"), "owner");
	fake_turn();
	assert_string_equal(fake.forwarded, "host2");
	assert_int_equal(job_of("")->state, JOB_DONE);
	assert_string_equal(state_of("drain"), "done");
}

static void what_cannot_move_is_blocked_or_stopped_by_force(void **state _unused_)
{
	fake_run("VM1");
	fake.vm->state = VMPROC_PAUSED;
	assert_string_equal(fake_ask_with(DRAIN, "dry_run", json_bool_new(true)), "ok");
	assert_string_equal(planned(0, "kind"), "blocked");
	assert_string_equal(
		fake_ask_with(
			"{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true,\"force\":true}",
			"dry_run", json_bool_new(true)),
		"ok");
	assert_string_equal(planned(0, "kind"), "stop");
	assert_string_equal(planned(0, "to"), "host2");
	/* One that is being changed is not even stopped. */
	fake.vm->n_changes = 1;
	assert_string_equal(
		fake_ask_with(
			"{\"op\":\"node.pause\",\"node\":\"host1\",\"drain\":true,\"force\":true}",
			"dry_run", json_bool_new(true)),
		"ok");
	assert_string_equal(planned(0, "kind"), "blocked");
}

static void without_a_way_all_are_blocked(void **state _unused_)
{
	run_all();
	fake.moves = false;
	assert_string_equal(fake_ask(DRAIN), "ok");
	assert_string_equal(planned(0, "kind"), "blocked");
	fake_turn();
	assert_int_equal(job_of("")->state, JOB_FAILED);
	assert_string_equal(state_of("drain"), "failed");
	assert_non_null(strstr(state_of("reason"), "no cluster network"));
}

static void a_drain_of_a_former_life_has_failed(void **state _unused_)
{
	store("nodestate/host1", "{\"state\":\"paused\",\"drain\":\"running\","
				 "\"moved\":[{\"vm\":\"VM9\",\"to\":\"host2\"}]}");
	node_state_keep(&fake.svc);
	assert_string_equal(state_of("drain"), "failed");
	assert_string_equal(state_of("state"), "paused");
	assert_non_null(strstr(state_of("reason"), "restarted"));
	assert_int_equal(json_length(json_get(fake_stored("nodestate/host1"), "moved")), 1);
}

static void what_could_not_be_written_is_written_later(void **state _unused_)
{
	fake_run("VM1");
	assert_string_equal(fake_ask(DRAIN), "ok");
	fake_turn();
	fake.quorate = false;
	fake_end_move(0, "the network broke");
	assert_string_equal(state_of("drain"), "running");
	node_state_keep(&fake.svc);
	assert_string_equal(state_of("drain"), "running");
	fake.quorate = true;
	node_state_keep(&fake.svc);
	assert_string_equal(state_of("drain"), "failed");
	assert_non_null(strstr(state_of("reason"), "the network broke"));
	assert_null(fake.svc.nodestate);
}

static void only_what_is_still_there_comes_back(void **state _unused_)
{
	/* VM1 was moved away, and by somebody back again; VM9 was deleted. */
	store("nodestate/host1",
		"{\"state\":\"paused\",\"drain\":\"done\",\"moved\":["
		"{\"vm\":\"VM1\",\"to\":\"host2\"},{\"vm\":\"VM9\",\"to\":\"host2\"}]}");
	assert_string_equal(
		fake_ask("{\"op\":\"node.resume\",\"node\":\"host1\",\"failback\":\"immediate\"}"),
		"ok");
	assert_int_equal(json_length(json_get(json_get(fake.answer, "plan"), "steps")), 0);
	assert_string_equal(state_of("state"), "up");
}

static void policies_say_what_comes_back(void **state _unused_)
{
	static const char resume[] =
		"{\"op\":\"node.resume\",\"node\":\"host1\",\"failback\":\"policy\"}";

	run_all();
	assert_string_equal(fake_ask(DRAIN), "ok");
	fake_end_move(0, NULL);
	fake_end_move(1, NULL);
	fake_end_move(2, NULL);
	store("policy/VM2", "{\"failback\":\"immediate\"}");
	assert_string_equal(fake_ask(resume), "ok");
	assert_int_equal(json_length(json_get(json_get(fake.answer, "plan"), "steps")), 1);
	assert_string_equal(planned(0, "vm"), "VM2");
	assert_string_equal(planned(0, "from"), "host2");
	assert_string_equal(planned(0, "to"), "host1");
	fake_turn();
}

static void moves_wait_for_their_turn(void **state _unused_)
{
	char text[100];

	run_all();
	assert_string_equal(fake_ask(MOVE), "ok");
	assert_string_equal(json_get_string(fake.answer, "state", ""), "running");
	assert_string_equal(fake_ask(MOVE), "conflict");
	assert_string_equal(fake_ask_with(MOVE, "vm", json_string_new("VM2")), "ok");
	assert_string_equal(json_get_string(fake.answer, "state", ""), "queued");
	assert_string_equal(fake_ask_with(MOVE, "vm", json_string_new("VM2")), "conflict");
	assert_string_equal(fake_ask_with(MOVE, "vm", json_string_new("VM3")), "ok");
	snprintf(text, sizeof(text), "{\"op\":\"job.cancel\",\"id\":\"%s\"}", job_of("VM2")->id);
	assert_string_equal(fake_ask(text), "ok");
	assert_string_equal(job_state("VM2"), "cancelled");
	assert_string_equal(fake_ask(text), "conflict");
	fake_end_move(0, "it broke");
	assert_string_equal(job_state("VM3"), "running");
	assert_string_equal(fake_ask("{\"op\":\"job.list\"}"), "ok");
	fake_end_move(1, NULL);
	assert_string_equal(job_state("VM3"), "done");
}

static void the_limit_is_the_clusters(void **state _unused_)
{
	run_all();
	assert_int_equal(moves_limit(&fake.svc), 1);
	assert_string_equal(fake_ask("{\"op\":\"cluster.set\",\"parallel_migrations\":99}"), "ok");
	assert_int_equal(moves_limit(&fake.svc), 8);
	assert_string_equal(fake_ask("{\"op\":\"cluster.set\",\"parallel_migrations\":0}"), "ok");
	assert_int_equal(moves_limit(&fake.svc), 1);
	assert_string_equal(fake_ask(MOVE), "ok");
	assert_string_equal(fake_ask_with(MOVE, "vm", json_string_new("VM2")), "ok");
	assert_string_equal(job_state("VM2"), "queued");
	/* More of them at once: what waits begins. */
	assert_string_equal(fake_ask("{\"op\":\"cluster.set\",\"parallel_migrations\":2}"), "ok");
	fake_turn();
	assert_string_equal(job_state("VM2"), "running");
	assert_string_equal(fake_ask_with(MOVE, "vm", json_string_new("VM3")), "ok");
	assert_string_equal(job_state("VM3"), "queued");
	fake_end_move(1, NULL);
	assert_string_equal(job_state("VM3"), "running");
}

static void a_vm_that_is_off_is_taken_as_it_is(void **state _unused_)
{
	store("owner/vm/VM1", "{\"node\":2,\"epoch\":4}");
	store("vmstate/VM1", "{\"epoch\":4,\"state\":\"Running\"}");
	assert_string_equal(fake_ask("{\"op\":\"vm.take\",\"vm\":\"VM1\"}"), "conflict");
	store("vmstate/VM1", "{\"epoch\":4,\"state\":\"Off\"}");
	assert_string_equal(fake_ask("{\"op\":\"vm.take\",\"vm\":\"VM1\"}"), "ok");
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "node", 0), 1);
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "epoch", 0), 5);
	/* Once more changes nothing. */
	store("vmstate/VM1", "{\"epoch\":5,\"state\":\"Off\"}");
	assert_string_equal(fake_ask("{\"op\":\"vm.take\",\"vm\":\"VM1\"}"), "ok");
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "epoch", 0), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nonsense_is_refused),
		TEST(nothing_changes_without_quorum),
		TEST(the_list_says_what_nodes_have),
		TEST(a_paused_node_takes_nothing),
		TEST(a_full_node_starts_no_more),
		TEST(other_nodes_are_asked_themselves),
		TEST(a_dry_run_does_nothing),
		TEST(a_drain_goes_step_by_step),
		TEST(a_move_that_fails_is_said_and_the_others_go_on),
		TEST(what_became_impossible_is_not_done_otherwise),
		TEST(a_cancelled_drain_lets_go_on_what_moves),
		TEST(a_resumed_node_is_not_drained),
		TEST(vms_that_do_not_run_get_another_owner),
		TEST(what_cannot_move_is_blocked_or_stopped_by_force),
		TEST(without_a_way_all_are_blocked),
		TEST(a_drain_of_a_former_life_has_failed),
		TEST(what_could_not_be_written_is_written_later),
		TEST(only_what_is_still_there_comes_back),
		TEST(policies_say_what_comes_back),
		TEST(moves_wait_for_their_turn),
		TEST(the_limit_is_the_clusters),
		TEST(a_vm_that_is_off_is_taken_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
