/* SPDX-License-Identifier: MIT
 *
 * cmd_deploy.c - `cluster plan` and `cluster apply`: one file that describes a cluster, compared
 * with the cluster that runs, and done step by step.
 */
#include "node/ctl/ctl.h"
#include "node/ctl/deploy_file.h"
#include "node/deploy/differ.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 60000

static const struct {
	const char *action;
	char sign;
} signs[] = {{"create", '+'}, {"change", '~'}, {"remove", '-'}, {"wait", '!'}};

static char sign_of(const struct json *step)
{
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (strcmp(signs[i].action, json_get_string(step, "action", "")) == 0)
			return signs[i].sign;
	}
	return '?';
}

static bool waits(const struct json *step)
{
	return strcmp(json_get_string(step, "action", ""), "wait") == 0;
}

static void print_step(const struct json *step)
{
	const struct json *details = json_get(step, "details");

	printf("%c %s\n", sign_of(step), json_get_string(step, "object", ""));
	for (size_t i = 0; i < json_length(details); i++)
		printf("      %s\n", json_string(json_at(details, i), ""));
	if (waits(step))
		printf("      not now: %s\n", json_get_string(step, "why", ""));
	else if (json_get(step, "disruptive"))
		printf("      (!) %s\n", json_get_string(step, "disruptive", ""));
}

static void print_plan(const struct json *steps)
{
	size_t n_waiting = differ_count(steps, "wait");

	for (size_t i = 0; i < json_length(steps); i++)
		print_step(json_at(steps, i));
	if (json_length(steps) > 0)
		printf("\n%zu to create, %zu to change, %zu to remove",
			differ_count(steps, "create"), differ_count(steps, "change"),
			differ_count(steps, "remove"));
	if (n_waiting > 0)
		printf("; %zu cannot be done now", n_waiting);
	if (json_length(steps) > 0)
		puts("");
	else
		puts("The cluster is as the file says: nothing to do.");
}

/* The file, compared. EXIT_OK or an exit code. */
static int make_plan(const struct ctl_args *args, struct json **ret_steps)
{
	_cleanup_json_ struct json *file = NULL, *cluster = NULL;
	int code = deploy_file_read(args->positional[0], &file);

	if (code == EXIT_OK)
		code = ctl_call(args, ctl_request("cluster.describe"), TIMEOUT_MS, &cluster);
	if (code != EXIT_OK)
		return code;
	*ret_steps = differ_plan(file, cluster, ctl_option(args, "prune") != NULL);
	return EXIT_OK;
}

int cmd_cluster_plan(const struct ctl_args *args)
{
	_cleanup_json_ struct json *steps = NULL, *result = NULL;
	int code = make_plan(args, &steps);

	if (code != EXIT_OK)
		return code;
	if (args->json) {
		result = json_object_new();
		json_set(result, "steps", json_ref(steps));
		ctl_print_json(result);
	} else {
		print_plan(steps);
	}
	return ctl_option(args, "exit-code") && json_length(steps) > 0 ? EXIT_DIFFERS : EXIT_OK;
}

/* ---- apply ---- */

static bool agrees(void)
{
	char answer[16] = "";

	printf("\nDo this? [y/N] ");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) &&
	       (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0);
}

/* What --json says of a step that was tried. */
static void set_result(struct json *step, int code)
{
	json_set_string(step, "result", code == EXIT_OK ? "done" : "failed");
}

/* The steps that were not done. */
static void print_rest(const struct json *steps, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < json_length(steps); i++) {
		if (!waits(json_at(steps, i)))
			n++;
	}
	if (n == 0)
		return;
	fprintf(stderr, "\nNot done:\n");
	for (size_t i = from; i < json_length(steps); i++) {
		if (!waits(json_at(steps, i)))
			fprintf(stderr, "  %c %s\n", sign_of(json_at(steps, i)),
				json_get_string(json_at(steps, i), "object", ""));
	}
	fprintf(stderr,
		"What was done stays. Cure the cause, then apply the file again: it does the "
		"rest.\n");
}

/* In order, until one fails. */
static int run_steps(const struct ctl_args *args, const struct json *steps)
{
	size_t n_done = 0, n = json_length(steps) - differ_count(steps, "wait");

	for (size_t i = 0; i < json_length(steps); i++) {
		struct json *step = json_at(steps, i);
		_cleanup_json_ struct json *reply = NULL;
		int code;

		if (waits(step))
			continue;
		if (!args->json) {
			printf("[%zu/%zu] %c %s ... ", n_done + 1, n, sign_of(step),
				json_get_string(step, "object", ""));
			fflush(stdout);
		}
		code = ctl_call(args, json_copy(json_get(step, "request")), TIMEOUT_MS, &reply);
		set_result(step, code);
		if (!args->json)
			puts(code == EXIT_OK ? "done" : "FAILED");
		if (code != EXIT_OK) {
			fflush(stdout);
			print_rest(steps, i);
			return code;
		}
		n_done++;
	}
	return EXIT_OK;
}

static int finish(const struct ctl_args *args, struct json *steps, int code)
{
	_cleanup_json_ struct json *result = NULL;
	size_t n_waiting = differ_count(steps, "wait");

	if (args->json) {
		result = json_object_new();
		json_set(result, "steps", json_ref(steps));
		ctl_print_json(result);
	}
	if (code != EXIT_OK || n_waiting == 0)
		return code;
	return ctl_fail(EXIT_CONFLICT,
		"%zu difference%s could not be cured now and remain%s; the plan above says what "
		"they "
		"wait for",
		n_waiting, n_waiting == 1 ? "" : "s", n_waiting == 1 ? "s" : "");
}

int cmd_cluster_apply(const struct ctl_args *args)
{
	_cleanup_json_ struct json *steps = NULL;
	int code = make_plan(args, &steps);
	size_t n_waiting;

	if (code != EXIT_OK)
		return code;
	n_waiting = differ_count(steps, "wait");
	if (!args->json)
		print_plan(steps);
	if (json_length(steps) > n_waiting) {
		if (!ctl_option(args, "yes") && args->json)
			return ctl_fail(EXIT_USAGE, "--json does not ask; give --yes too");
		if (!ctl_option(args, "yes") && !agrees())
			return ctl_fail(EXIT_CANCELLED, "nothing was done");
		if (!args->json)
			puts("");
		code = run_steps(args, steps);
	}
	return finish(args, steps, code);
}
