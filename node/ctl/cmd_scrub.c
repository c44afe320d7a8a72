/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 45000

const struct ctl_option scrub_options[] = {
	{"disabled", NULL, "delete the management adapters that are disabled", 'v'},
	{"name", "NIC", "delete the management adapter of that name", 'n'},
	{"purge", NULL, "delete all management adapters and switches, unbind all adapters", 'p'},
	{"dry-run", NULL, "show the steps, change nothing"},
	{"undo", "FILE", "put back what the scrub that wrote this file removed"},
	{"undo-file", "FILE", "where to write the way back (a file in the state folder)"},
	{"force", NULL, "also while VMs use the switches: they lose their network"},
	{"node", "NODE", "the node (this one)"},
	{NULL, NULL, NULL},
};

static struct json *request_for(const struct ctl_args *args, const char *op)
{
	struct json *request = ctl_request(op);

	json_set_bool(request, "force", ctl_option(args, "force"));
	return request;
}

/* ---- what there is ---- */

static void print_survey(const struct json *survey)
{
	const struct json *list = json_get(survey, "adapters");

	puts("Management adapters:");
	for (size_t i = 0; i < json_length(list); i++)
		printf("   %-15s switch %s, %s\n", json_get_string(json_at(list, i), "name", ""),
			json_get_string(json_at(list, i), "switch", ""),
			json_get_string(json_at(list, i), "state", ""));
	puts(json_length(list) ? "" : "   none\n");
	list = json_get(survey, "switches");
	puts("Switches:");
	for (size_t i = 0; i < json_length(list); i++)
		printf("   %-15s %s\n", json_get_string(json_at(list, i), "name", ""),
			json_get_string(json_at(list, i), "type", ""));
	puts(json_length(list) ? "" : "   none\n");
	list = json_get(survey, "bound");
	puts("Bound adapters:");
	for (size_t i = 0; i < json_length(list); i++)
		printf("   %-15s switch %s\n", json_get_string(json_at(list, i), "nic", ""),
			json_get_string(json_at(list, i), "switch", ""));
	if (!json_length(list))
		puts("   none");
}

/* ---- steps, one after the other ---- */

static const char *heading(const char *kind)
{
	return strcmp(kind, "adapter") == 0  ? "Management adapters"
	       : strcmp(kind, "switch") == 0 ? "Switches"
	       : strcmp(kind, "unbind") == 0 ? "Bound adapters"
	       : strcmp(kind, "bind") == 0   ? "Adapters"
					     : "Switches";
}

/* A failed step ends it: what follows may depend on it. EXIT_OK or its exit code. */
static int run_steps(const struct ctl_args *args, const struct json *steps, bool dry)
{
	const char *last = "";

	for (size_t i = 0; i < json_length(steps); i++) {
		struct json *step = json_at(steps, i), *request, *reply = NULL;
		const char *kind = json_get_string(step, "kind", "");
		int r;

		if (!args->json && strcmp(last, heading(kind)) != 0)
			printf("%s:\n", heading(kind));
		last = heading(kind);
		if (!args->json)
			printf("   [%zu/%zu] %s", i + 1, json_length(steps),
				json_get_string(step, "text", ""));
		fflush(stdout);
		if (!dry) {
			request = request_for(args, "scrub.step");
			json_set(request, "step", json_copy(step));
			r = ctl_call(args, request, TIMEOUT_MS, &reply);
			json_unref(reply);
			if (!args->json)
				puts(r ? ": failed" : ": done");
			if (r)
				return r;
		} else if (!args->json) {
			puts("");
		}
	}
	return EXIT_OK;
}

static int finish(const struct ctl_args *args, struct json *plan, bool dry)
{
	const struct json *steps = json_get(plan, "steps"), *kept = json_get(plan, "kept");
	const char *undo_file = json_get_string(plan, "undo_file", NULL);
	int r;

	for (size_t i = 0; i < json_length(kept) && !args->json; i++)
		printf("kept: %s\n", json_string(json_at(kept, i), ""));
	if (undo_file && !args->json)
		printf("the way back: viaduct network scrub --undo %s\n", undo_file);
	r = run_steps(args, steps, dry);
	if (args->json) {
		json_set_bool(plan, "finished", r == EXIT_OK && !dry);
		ctl_print_json(plan);
	} else if (r == EXIT_OK) {
		puts(dry ? "finished: dry run, nothing was changed" : "finished");
	}
	return r;
}

/* ---- the command ---- */

static int undo(const struct ctl_args *args, bool dry)
{
	_cleanup_json_ struct json *plan = NULL;
	struct json *request = request_for(args, "scrub.undo");
	int r;

	json_set_string(request, "file", ctl_option(args, "undo"));
	r = ctl_call(args, request, TIMEOUT_MS, &plan);
	return r ? r : finish(args, plan, dry);
}

int cmd_scrub(const struct ctl_args *args)
{
	const char *name = ctl_option(args, "name"), *purge = ctl_option(args, "purge");
	const char *disabled = ctl_option(args, "disabled");
	bool dry = ctl_option(args, "dry-run"), list = !name && !purge && !disabled;
	_cleanup_json_ struct json *plan = NULL;
	struct json *request;
	int r;

	if (!!name + !!purge + !!disabled + !!ctl_option(args, "undo") > 1)
		return ctl_fail(EXIT_USAGE, "one of --purge, --disabled, --name and --undo");
	if (ctl_option(args, "undo"))
		return undo(args, dry);
	request = request_for(args, "scrub.begin");
	json_set_string(request, "mode",
		purge      ? "purge"
		: disabled ? "disabled"
		: name     ? "name"
			   : "list");
	json_set_bool(request, "dry_run", dry);
	if (name)
		json_set_string(request, "nic", name);
	if (ctl_option(args, "undo-file"))
		json_set_string(request, "undo_file", ctl_option(args, "undo-file"));
	r = ctl_call(args, request, TIMEOUT_MS, &plan);
	if (r)
		return r;
	if (!list)
		return finish(args, plan, dry);
	if (args->json)
		return ctl_print_json(plan);
	print_survey(plan);
	return EXIT_OK;
}
