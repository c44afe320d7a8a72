/* SPDX-License-Identifier: MIT */
#include "node/ctl/top_frame.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct json *parse(const char *text)
{
	struct json *json = NULL;

	assert_int_equal(json_parse(text, strlen(text), &json), 0);
	return json;
}

struct answers {
	struct json *status, *networks, *top;
};

static int set_up(void **state)
{
	struct answers *a = calloc(1, sizeof(*a));

	a->status =
		parse("{\"quorate\":true,\"synced\":true,\"total_votes\":3,\"expected_votes\":3,"
		      "\"nodes\":[{\"name\":\"host1\",\"state\":\"Up\",\"vms\":2},"
		      "{\"name\":\"host2\",\"state\":\"Down\",\"vms\":0}]}");
	a->networks =
		parse("{\"networks\":[{\"name\":\"Cluster\",\"state\":\"Partitioned\","
		      "\"role\":\"Cluster\",\"subnet\":\"10.0.0.0/24\",\"reason\":\"cut\"}]}");
	a->top = parse("{\"n_vms\":3,\"nodes\":[{\"name\":\"host1\",\"vm_memory_bytes\":1073741824,"
		       "\"used_bytes\":268435456}],"
		       "\"vms\":[{\"name\":\"B\",\"state\":\"Running\",\"node\":\"host1\","
		       "\"memory_bytes\":134217728,\"heartbeat\":\"ok\"},"
		       "{\"name\":\"A\",\"state\":\"Failed\",\"node\":\"host2\",\"memory_bytes\":"
		       "67108864},"
		       "{\"name\":\"C\",\"state\":\"Running\",\"node\":\"host1\","
		       "\"memory_bytes\":268435456,\"heartbeat\":\"lost\"}],"
		       "\"moves\":[{\"vm\":\"B\",\"kind\":\"live-migrate\",\"from\":\"host1\","
		       "\"to\":\"host2\",\"percent\":50,\"phase\":\"memory\"}]}");
	*state = a;
	return 0;
}

static int tear_down(void **state)
{
	struct answers *a = *state;

	json_unref(a->status);
	json_unref(a->networks);
	json_unref(a->top);
	free(a);
	return 0;
}

static struct top_frame *make(const struct answers *a, struct top_view *view)
{
	struct top_frame *frame = top_frame_make(a->status, a->networks, a->top, view);

	assert_non_null(frame);
	return frame;
}

/* The first line that has it, or NULL. */
static const struct top_line *find(const struct top_frame *frame, const char *text)
{
	for (size_t i = 0; i < frame->n; i++) {
		if (strstr(frame->lines[i].text, text))
			return &frame->lines[i];
	}
	return NULL;
}

/* The first letters of the last `n` lines: the VMs. */
static void vms_of(const struct top_frame *frame, size_t n, char *letters)
{
	for (size_t i = 0; i < n; i++)
		letters[i] = frame->lines[frame->n - n + i].text[0];
	letters[n] = '\0';
}

static void a_frame_has_everything(void **state)
{
	struct top_view view = {.width = 160, .clock = "12:00:00"};
	_cleanup_free_ struct top_frame *frame = make(*state, &view);
	char letters[8];

	assert_non_null(strstr(frame->lines[0].text,
		"12:00:00  nodes 1 of 2 up  quorum yes  store in sync  VMs 3, 2 running"));
	assert_non_null(strstr(find(frame, "host1 ")->text, "256 MiB"));
	assert_non_null(strstr(find(frame, "host1 ")->text, "25%"));
	assert_int_equal(find(frame, "host2 ")->style, TOP_WARNING);
	assert_non_null(strstr(find(frame, "Partitioned")->text, "cut"));
	assert_non_null(strstr(find(frame, "live-migrate")->text, "##########.......... "
								  " 50%  memory"));
	vms_of(frame, 3, letters);
	assert_string_equal(letters, "ABC");
	assert_int_equal(find(frame, "Failed")->style, TOP_WARNING);
	assert_int_equal(find(frame, "lost")->style, TOP_WARNING);
}

static void each_key_sorts(void **state)
{
	static const char *const orders[] = {
		[TOP_BY_NAME] = "ABC",
		[TOP_BY_STATE] = "ABC",
		[TOP_BY_NODE] = "BCA",
		[TOP_BY_MEMORY] = "CBA",
		[TOP_BY_HEARTBEAT] = "ACB",
	};

	for (int sort = 0; sort < TOP_N_SORTS; sort++) {
		for (int reversed = 0; reversed < 2; reversed++) {
			struct top_view view = {
				.width = 160, .sort = (enum top_sort)sort, .reversed = reversed};
			_cleanup_free_ struct top_frame *frame = make(*state, &view);
			char letters[8];

			vms_of(frame, 3, letters);
			for (size_t i = 0; i < 3; i++)
				assert_int_equal(letters[i], orders[sort][reversed ? 2 - i : i]);
		}
	}
}

static void it_fits_every_window(void **state)
{
	struct answers *a = *state;
	struct json *vms = json_get(a->top, "vms");

	for (int i = 0; i < 200; i++) {
		struct json *vm = json_object_new();

		json_set_stringf(vm, "name", "Z%03d\xc3\xa9\xc3\xa9\xc3\xa9", i);
		json_append(vms, vm);
	}
	for (unsigned height = 1; height < 60; height++) {
		for (unsigned width = 1; width < 200; width += 7) {
			struct top_view view = {
				.width = width, .height = height, .first = SIZE_MAX / 2};
			_cleanup_free_ struct top_frame *frame = make(a, &view);
			_cleanup_json_ struct json *text = NULL;

			assert_true(frame->n <= height);
			for (size_t i = 0; i < frame->n; i++) {
				assert_true(strlen(frame->lines[i].text) <= width);
				json_unref(text);
				text = json_string_new(frame->lines[i].text);
				assert_non_null(text); /* not cut in the midst of a character */
			}
			assert_true(view.first <= 203);
			if (frame->n_vms_shown)
				assert_int_equal(view.first + frame->n_vms_shown, 203);
		}
	}
}

static void what_is_missing_is_left_out(void **state)
{
	struct top_view view = {.width = 100, .trouble = "viaductd went away"};
	_cleanup_free_ struct top_frame *frame = top_frame_make(NULL, NULL, NULL, &view);

	(void)state;
	assert_non_null(frame);
	assert_non_null(find(frame, "what follows is old: viaductd went away"));
}

static void lost_quorum_is_said(void **state)
{
	struct answers *a = *state;
	struct top_view view = {.width = 160};
	_cleanup_free_ struct top_frame *frame = NULL;

	json_set_bool(a->status, "quorate", false);
	frame = make(a, &view);
	assert_int_equal(find(frame, "no quorum: nothing may be changed")->style, TOP_WARNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_frame_has_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_key_sorts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_fits_every_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_missing_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lost_quorum_is_said, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
