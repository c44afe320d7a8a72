/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cluster/backup.h"

struct row {
	const char *key, *value;
};

/* Versions count from 1. Rows end with a NULL key. */
static struct backup *make(const struct row *rows)
{
	struct backup *backup = calloc(1, sizeof(*backup));
	struct json *value;

	assert_non_null(backup);
	backup->generation = 7;
	backup->store_version = 7ULL << 32 | 5 << 8;
	backup->quorate = true;
	snprintf(backup->node, sizeof(backup->node), "host1");
	for (size_t i = 0; rows[i].key; i++) {
		assert_int_equal(json_parse(rows[i].value, strlen(rows[i].value), &value), 0);
		assert_int_equal(backup_add(backup, rows[i].key, i + 1, value), 0);
	}
	return backup;
}

static struct buf written(const struct row *rows)
{
	struct backup *backup = make(rows);
	struct buf out = {};

	assert_int_equal(backup_write(backup, &out), 0);
	backup_free(backup);
	return out;
}

static const struct row some[] = {
	{"net/10.0.0.0", "{\"name\":\"lan\"}"},
	{"vm/VM1", "{\"vps\":2,\"nics\":[{\"mac\":\"00:15:5d:00:00:01\",\"switch\":\"lan\"}]}"},
	{"vm/VM2", "null"},
	{},
};

static void what_is_written_is_read(void **state)
{
	struct buf out = written(some), again = {};
	struct backup_error error;
	struct backup *backup;

	(void)state;
	assert_int_equal(backup_parse(out.data, out.size_bytes, &backup, &error), 0);
	assert_int_equal(backup->n_entries, 3);
	assert_int_equal(backup->generation, 7);
	assert_true(backup->quorate);
	assert_string_equal(backup->node, "host1");
	assert_int_equal(backup_find(backup, "vm/VM1")->version, 2);
	assert_null(backup_find(backup, "vm/VM3"));
	/* The same store is the same bytes. */
	assert_int_equal(backup_write(backup, &again), 0);
	assert_int_equal(again.size_bytes, out.size_bytes);
	assert_memory_equal(again.data, out.data, out.size_bytes);
	backup_free(backup);
	buf_fini(&out);
	buf_fini(&again);
}

static void an_empty_store_has_a_backup(void **state)
{
	struct buf out = written(&(struct row){});
	struct backup_error error;
	struct backup *backup;

	(void)state;
	assert_int_equal(backup_parse(out.data, out.size_bytes, &backup, &error), 0);
	assert_int_equal(backup->n_entries, 0);
	backup_free(backup);
	buf_fini(&out);
}

static size_t line_of(const struct buf *out, size_t at)
{
	size_t line = 1;

	for (size_t i = 0; i < at; i++)
		line += out->data[i] == '\n';
	return line;
}

/* Every byte, changed: refused, and the line is that of the byte, or the next one when what was
 * changed is the end of a line. */
static void damage_is_found_with_its_line(void **state)
{
	struct buf out = written(some);
	struct backup_error error;
	struct backup *backup;

	(void)state;
	for (size_t at = 0; at < out.size_bytes; at++) {
		size_t line = line_of(&out, at);

		out.data[at] ^= 1;
		assert_int_equal(backup_parse(out.data, out.size_bytes, &backup, &error), -EBADMSG);
		assert_true(error.line == line);
		assert_true(error.text[0]);
		out.data[at] ^= 1;
	}
	buf_fini(&out);
}

static void cut_files_are_refused(void **state)
{
	struct buf out = written(some);
	struct backup_error error;
	struct backup *backup;

	(void)state;
	for (size_t size = 0; size < out.size_bytes; size++) {
		/* A copy of that size: reading further is seen. */
		void *copy = malloc(size ? size : 1);

		assert_non_null(copy);
		memcpy(copy, out.data, size);
		assert_int_equal(backup_parse(copy, size, &backup, &error), -EBADMSG);
		free(copy);
	}
	buf_u8(&out, '\n');
	assert_int_equal(backup_parse(out.data, out.size_bytes, &backup, &error), -EBADMSG);
	assert_string_equal(error.text, "there is more behind the end");
	buf_fini(&out);
}

static uint8_t *next_line(const struct buf *out, uint8_t *line)
{
	uint8_t *end = memchr(line, '\n', out->size_bytes - (size_t)(line - out->data));

	assert_non_null(end);
	return end + 1;
}

static void lines_must_not_be_left_out_or_swapped(void **state)
{
	struct buf out = written(some), other = {};
	uint8_t *line2 = next_line(&out, out.data), *line3 = next_line(&out, line2);
	uint8_t *line4 = next_line(&out, line3);
	uint8_t *end = out.data + out.size_bytes;
	struct backup_error error;
	struct backup *backup;

	(void)state;
	buf_bytes(&other, out.data, (size_t)(line2 - out.data));
	buf_bytes(&other, line3, (size_t)(end - line3));
	assert_int_equal(backup_parse(other.data, other.size_bytes, &backup, &error), -EBADMSG);
	buf_reset(&other);
	buf_bytes(&other, out.data, (size_t)(line2 - out.data));
	buf_bytes(&other, line3, (size_t)(line4 - line3));
	buf_bytes(&other, line2, (size_t)(line3 - line2));
	buf_bytes(&other, line4, (size_t)(end - line4));
	assert_int_equal(backup_parse(other.data, other.size_bytes, &backup, &error), -EBADMSG);
	assert_int_equal(error.line, 3);
	buf_fini(&out);
	buf_fini(&other);
}

/* What a restore does with one key. */
struct expectation {
	const char *key;
	enum restore_action action;
};

static void assert_plan(
	const struct row *then_rows, const struct row *now_rows, const struct expectation *expected)
{
	struct backup *then = make(then_rows), *now = make(now_rows);
	struct restore_plan *plan;
	size_t n = 0;

	assert_int_equal(restore_plan_new(then, now, &plan), 0);
	for (; expected[n].key; n++) {
		assert_true(n < plan->n_steps);
		assert_string_equal(plan->steps[n].key, expected[n].key);
		assert_int_equal(plan->steps[n].action, expected[n].action);
		assert_int_equal(
			plan->steps[n].action == RESTORE_LEAVE, plan->steps[n].reason[0] != 0);
	}
	assert_int_equal(plan->n_steps, n);
	restore_plan_free(plan);
	backup_free(then);
	backup_free(now);
}

static void settings_are_added_changed_and_removed_in_order(void **state)
{
	static const struct row then[] = {
		{"net/10.0.0.0", "{\"name\":\"lan\"}"},
		{"switch/host1/lan", "{}"},
		{"vm/VM1", "{\"vps\":2}"},
		{"vm/VM2", "{\"vps\":2}"},
		{"vm/VM3", "{\"vps\":2}"},
		{},
	};
	static const struct row now[] = {
		{"net/10.0.0.0", "{\"name\":\"LAN\"}"},
		{"policy/VM4", "{}"},
		{"switch/host1/old", "{}"},
		{"vm/VM1", "{\"vps\":2}"},
		{"vm/VM2", "{\"vps\":4}"},
		{"vm/VM4", "{}"},
		{},
	};

	(void)state;
	assert_plan(then, now,
		(const struct expectation[]){
			{"net/10.0.0.0", RESTORE_CHANGE},
			{"switch/host1/lan", RESTORE_ADD},
			{"vm/VM2", RESTORE_CHANGE},
			{"vm/VM3", RESTORE_ADD},
			{"policy/VM4", RESTORE_REMOVE},
			{"vm/VM4", RESTORE_REMOVE},
			{"switch/host1/old", RESTORE_REMOVE},
			{},
		});
	assert_plan(then, then, (const struct expectation[]){{}});
}

static void what_is_true_now_is_not_touched(void **state)
{
	static const struct row then[] = {
		{"cluster/protocol", "{\"floor\":1}"},
		{"links/host1", "1"},
		{"netif/host1", "1"},
		{"node/host1", "1"},
		{"nodestate/host1", "1"},
		{"owner/vm/VM1", "{\"node\":1,\"epoch\":3}"},
		{"peer/host1", "1"},
		{"something/else", "1"},
		{"vmstate/VM1", "{\"state\":\"Running\"}"},
		{},
	};
	static const struct row now[] = {
		{"cluster/protocol", "{\"floor\":2}"},
		{"node/host2", "2"},
		{"owner/vm/VM1", "{\"node\":2,\"epoch\":9}"},
		{"peer/host1", "2"},
		{},
	};

	(void)state;
	assert_plan(then, now, (const struct expectation[]){{}});
}

static void epochs_go_on_where_there_are_none(void **state)
{
	static const struct row then_rows[] = {{"owner/vm/VM1", "{\"node\":1,\"epoch\":3}"}, {}};
	struct backup *then = make(then_rows), *now = make(&(struct row){});
	struct restore_plan *plan;

	(void)state;
	assert_int_equal(restore_plan_new(then, now, &plan), 0);
	assert_int_equal(plan->n_steps, 1);
	assert_int_equal(plan->steps[0].action, RESTORE_ADD);
	assert_int_equal(json_get_int(plan->steps[0].value, "node", -1), 0);
	assert_int_equal(json_get_int(plan->steps[0].value, "epoch", -1), 3);
	assert_null(restore_refusal("owner/vm/VM1", 0, plan->steps[0].value, NULL));
	restore_plan_free(plan);
	backup_free(then);
	backup_free(now);
}

static void living_vms_and_their_addresses_are_left_alone(void **state)
{
	static const struct row then[] = {
		{"mac/00:15:5d:00:00:01", "{\"owner\":\"vm/VM1/nic0\"}"},
		{"mac/00:15:5d:00:00:02", "{\"owner\":\"vm/VM2/nic0\"}"},
		{"maclease/vm/VM1/nic0", "{\"mac\":\"00:15:5d:00:00:01\"}"},
		{"maclease/vm/VM2/nic0", "{\"mac\":\"00:15:5d:00:00:02\"}"},
		{"vm/VM1", "{\"nics\":[{\"mac\":\"00:15:5d:00:00:01\"}]}"},
		{"vm/VM2", "{\"nics\":[{\"mac\":\"00:15:5d:00:00:02\"}]}"},
		{"vm/VM3", "{\"vps\":1}"},
		{},
	};
	static const struct row now[] = {
		{"mac/00:15:5d:00:00:01", "{\"owner\":\"vm/NEW/nic0\"}"}, /* given away */
		{"switch/host1/lan", "{}"},
		{"vm/NEW", "{\"nics\":[{\"mac\":\"00:15:5d:00:00:01\",\"switch\":\"lan\"}]}"},
		{"vm/VM3", "{\"vps\":2}"},
		{"vmstate/NEW", "{\"state\":\"Running\"}"},
		{"vmstate/VM3", "{\"state\":\"Paused\"}"},
		{},
	};

	(void)state;
	assert_plan(then, now,
		(const struct expectation[]){
			{"switch/host1/lan", RESTORE_LEAVE},
			{"mac/00:15:5d:00:00:02", RESTORE_ADD},
			{"maclease/vm/VM1/nic0", RESTORE_LEAVE},
			{"maclease/vm/VM2/nic0", RESTORE_ADD},
			{"vm/NEW", RESTORE_LEAVE},
			{"vm/VM1", RESTORE_LEAVE},
			{"vm/VM2", RESTORE_ADD},
			{"vm/VM3", RESTORE_LEAVE},
			{},
		});
}

static void nodes_check_each_step(void **state)
{
	struct json *owner = json_object_new();

	(void)state;
	json_set_int(owner, "node", 1);
	json_set_int(owner, "epoch", 4);
	assert_non_null(restore_refusal("owner/vm/VM1", 0, owner, NULL));
	json_set_int(owner, "node", 0);
	assert_null(restore_refusal("owner/vm/VM1", 0, owner, NULL));
	assert_non_null(restore_refusal("owner/vm/VM1", 5, owner, NULL));
	assert_non_null(restore_refusal("owner/vm/VM1", 0, NULL, NULL));
	assert_non_null(restore_refusal("vmstate/VM1", 0, owner, NULL));
	assert_non_null(restore_refusal("volume/V1", 5, NULL, NULL));
	assert_non_null(restore_refusal("vm/VM1", 5, owner, "Running"));
	assert_null(restore_refusal("vm/VM1", 5, owner, "Off"));
	assert_null(restore_refusal("vm/VM1", 5, NULL, NULL));
	assert_string_equal(restore_vm_of("vm/VM1"), "VM1");
	assert_null(restore_vm_of("net/VM1"));
	json_unref(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(an_empty_store_has_a_backup),
		cmocka_unit_test(damage_is_found_with_its_line),
		cmocka_unit_test(cut_files_are_refused),
		cmocka_unit_test(lines_must_not_be_left_out_or_swapped),
		cmocka_unit_test(settings_are_added_changed_and_removed_in_order),
		cmocka_unit_test(what_is_true_now_is_not_touched),
		cmocka_unit_test(epochs_go_on_where_there_are_none),
		cmocka_unit_test(living_vms_and_their_addresses_are_left_alone),
		cmocka_unit_test(nodes_check_each_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
