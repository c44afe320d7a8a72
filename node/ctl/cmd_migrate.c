/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS   45000
#define MAX_FAILURES 5
#define POLL_MS      2000
#define BAR_COLUMNS  30

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number _unused_)
{
	interrupted = 1;
}

/* ---- progress ---- */

static void print_progress(const struct json *job, bool terminal)
{
	static char last_phase[32];
	const char *phase = json_get_string(job, "phase", "");
	int percent = (int)json_get_int(job, "percent", 0);
	const struct json *report = json_get(job, "report");
	int filled = percent * BAR_COLUMNS / 100;

	if (!terminal) {
		if (strcmp(phase, last_phase) != 0)
			printf("%s %s: %s\n", json_get_string(job, "kind", ""),
				json_get_string(job, "vm", ""), phase);
		snprintf(last_phase, sizeof(last_phase), "%s", phase);
		fflush(stdout);
		return;
	}
	printf("\r\033[K%s [", json_get_string(job, "vm", ""));
	for (int i = 0; i < BAR_COLUMNS; i++)
		putchar(i < filled ? '#' : '.');
	printf("] %3d %% %-10s", percent, phase);
	if (json_get(report, "sent_bytes"))
		printf(" round %zu, %s sent", json_length(json_get(report, "rounds")),
			format_bytes((uint64_t)json_get_int(report, "sent_bytes", 0)));
	fflush(stdout);
}

static void request_cancel(const struct ctl_args *args, const char *id)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("job.cancel");

	json_set_string(request, "id", id);
	fprintf(stderr, "\nviaduct: cancelling ...\n");
	ctl_call(args, request, TIMEOUT_MS, &reply);
}

int ctl_follow(
	const struct ctl_args *args, const char *id, ctl_progress_fn show, struct json **ret_job)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	bool terminal = isatty(STDOUT_FILENO) && !args->json;
	int64_t sequence = 0;
	unsigned n_failures = 0;

	sigaction(SIGINT, &action, NULL);
	for (;;) {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request("job.show");
		struct json *job;
		int r;

		json_set_string(request, "id", id);
		json_set_int(request, "after", sequence);
		json_set_int(request, "wait_ms", POLL_MS);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		/* The move goes on whether somebody watches or not: an answer that was lost on the
		 * way between two nodes is asked for again. */
		if ((r == EXIT_FAILED || r == EXIT_UNREACHABLE) && ++n_failures < MAX_FAILURES)
			continue;
		if (r)
			return r;
		n_failures = 0;
		job = json_get(reply, "job");
		sequence = json_get_int(job, "sequence", 0);
		if (!args->json)
			(show ? show : print_progress)(job, terminal);
		if (strcmp(json_get_string(job, "state", ""), "running") != 0 &&
			strcmp(json_get_string(job, "state", ""), "queued") != 0) {
			if (terminal)
				putchar('\n');
			*ret_job = json_ref(job);
			return EXIT_OK;
		}
		if (interrupted) {
			interrupted = 0;
			request_cancel(args, id);
		}
	}
}

/* ---- reports ---- */

static void print_rounds(const struct json *rounds)
{
	static const char *const headings[] = {
		"Round", "Pages", "Zero", "LZ4", "Raw", "Memory", "Sent", "Time"};
	static const char *const counts[] = {"pages", "zero", "lz4", "raw"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(rounds); i++) {
		const struct json *round = json_at(rounds, i);

		table_cell(table, "%zu%s", i + 1, i + 1 == json_length(rounds) ? " (paused)" : "");
		for (size_t k = 0; k < ARRAY_LEN(counts); k++)
			table_cell(table, "%lld", (long long)json_get_int(round, counts[k], 0));
		table_cell(
			table, "%s", format_bytes((uint64_t)json_get_int(round, "raw_bytes", 0)));
		table_cell(
			table, "%s", format_bytes((uint64_t)json_get_int(round, "sent_bytes", 0)));
		table_cell(table, "%s", format_ns((uint64_t)json_get_int(round, "duration_ns", 0)));
	}
	table_print(table);
}

static void print_live_report(const struct json *job)
{
	static const struct {
		const char *key, *label;
	} steps[] = {
		{"pause_ns", "pause"},
		{"save_ns", "save"},
		{"sweep_ns", "sweep"},
		{"send_ns", "send"},
		{"target_ready_ns", "target ready"},
		{"mute_ns", "mute"},
		{"commit_ns", "commit"},
		{"start_ns", "start"},
	};
	const struct json *report = json_get(job, "report");
	const struct json *blackout = json_get(report, "blackout");
	const struct json *network = json_get(report, "network");
	const struct json *networks = json_get(report, "networks");
	double raw = json_get_real(report, "raw_bytes", 0),
	       sent = json_get_real(report, "sent_bytes", 0);

	print_rounds(json_get(report, "rounds"));
	printf("\nMoved     %s from %s to %s in %s\n", json_get_string(job, "vm", ""),
		json_get_string(job, "from", ""), json_get_string(job, "to", ""),
		format_ns((uint64_t)json_get_int(job, "elapsed_ms", 0) * 1000000));
	printf("Sent      %s for %s of memory (%.2f)\n", format_bytes((uint64_t)sent),
		format_bytes((uint64_t)raw), raw > 0 ? sent / raw : 0.0);
	printf("Blackout  %s at most (forecast %s):",
		format_ns((uint64_t)json_get_int(blackout, "total_ns", 0)),
		format_ns((uint64_t)json_get_int(blackout, "forecast_ns", 0)));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		printf("%s %s %s", i ? "," : "", steps[i].label,
			format_ns((uint64_t)json_get_int(blackout, steps[i].key, 0)));
	printf("\nPath      %s (%s to %s); bytes sent on each network meanwhile:",
		json_get_string(network, "name", ""), json_get_string(network, "local", ""),
		json_get_string(network, "remote", ""));
	for (size_t i = 0; i < json_length(networks); i++)
		printf("%s %s %s", i ? "," : "", json_get_string(json_at(networks, i), "name", ""),
			format_bytes((uint64_t)json_get_int(json_at(networks, i), "tx_bytes", 0)));
	putchar('\n');
}

static void print_quick_report(const struct json *job)
{
	const struct json *report = json_get(job, "report");

	printf("Moved     %s from %s to %s in %s\n", json_get_string(job, "vm", ""),
		json_get_string(job, "from", ""), json_get_string(job, "to", ""),
		format_ns((uint64_t)json_get_int(job, "elapsed_ms", 0) * 1000000));
	printf("State     %s for %s of memory, on volume %s\n",
		format_bytes((uint64_t)json_get_int(report, "file_bytes", 0)),
		format_bytes((uint64_t)json_get_int(report, "raw_bytes", 0)),
		json_get_string(report, "volume", ""));
	printf("Away      %s: save %s, load %s, commit %s, start %s\n",
		format_ns((uint64_t)json_get_int(report, "away_ns", 0)),
		format_ns((uint64_t)json_get_int(report, "save_ns", 0)),
		format_ns((uint64_t)json_get_int(report, "load_ns", 0)),
		format_ns((uint64_t)json_get_int(report, "commit_ns", 0)),
		format_ns((uint64_t)json_get_int(report, "start_ns", 0)));
}

static int finish(const struct ctl_args *args, const struct json *job, bool quick)
{
	bool done = strcmp(json_get_string(job, "state", ""), "done") == 0;

	if (args->json)
		ctl_print_json(job);
	else if (done && quick)
		print_quick_report(job);
	else if (done)
		print_live_report(job);
	if (done)
		return EXIT_OK;
	return ctl_fail((enum exit_code)ctl_exit_code(json_get_string(job, "code", "")),
		"%s was not moved to %s: %s", json_get_string(job, "vm", ""),
		json_get_string(job, "to", ""), json_get_string(job, "error", ""));
}

static int migrate(const struct ctl_args *args, struct json *request, bool quick)
{
	_cleanup_json_ struct json *reply = NULL;
	_cleanup_json_ struct json *job = NULL;
	const char *id;
	int r;

	json_set_string(request, "vm", args->positional[0]);
	json_set_string(request, "node", args->positional[1]);
	json_set_string(request, "kind", quick ? "quick" : "live");
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	id = json_get_string(reply, "job", "");
	if (ctl_option(args, "no-wait")) {
		if (args->json)
			return ctl_print_json(reply);
		puts(id);
		return EXIT_OK;
	}
	r = ctl_follow(args, id, NULL, &job);
	return r ? r : finish(args, job, quick);
}

int cmd_live_migrate(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.migrate");
	const char *blackout = ctl_option(args, "blackout");
	const char *bandwidth = ctl_option(args, "bandwidth");
	const char *channels = ctl_option(args, "channels");

	if (blackout)
		json_set_int(request, "blackout_ms", strtoll(blackout, NULL, 10));
	if (bandwidth)
		json_set_int(request, "bandwidth_bytes_per_s", strtoll(bandwidth, NULL, 10) << 20);
	if (channels)
		json_set_int(request, "channels", strtoll(channels, NULL, 10));
	json_set_bool(request, "compress", !ctl_option(args, "no-compress"));
	json_set_bool(request, "probe", !ctl_option(args, "no-probe"));
	return migrate(args, request, false);
}

int cmd_quick_migrate(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.migrate");

	if (ctl_option(args, "volume"))
		json_set_string(request, "volume", ctl_option(args, "volume"));
	return migrate(args, request, true);
}

/* ---- jobs ---- */

int cmd_job_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Job", "Kind", "VM", "From", "To", "State", "%", "Phase", "Why"};
	static const char *const keys[] = {"id", "kind", "vm", "from", "to", "state"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *jobs;
	struct table *table;
	int r = ctl_call(args, ctl_request("job.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	jobs = json_get(reply, "jobs");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(jobs); i++) {
		const struct json *job = json_at(jobs, i);

		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			table_cell(table, "%s", json_get_string(job, keys[k], ""));
		table_cell(table, "%lld", (long long)json_get_int(job, "percent", 0));
		table_cell(table, "%s", json_get_string(job, "phase", ""));
		table_cell(table, "%s", json_get_string(job, "error", ""));
	}
	table_print(table);
	return EXIT_OK;
}

int cmd_job_cancel(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("job.cancel");
	int r;

	json_set_string(request, "id", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}
