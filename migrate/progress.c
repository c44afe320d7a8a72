/* SPDX-License-Identifier: MIT */
#include "migrate/migrate.h"

static struct json *round_json(const struct mig_round *round)
{
	struct json *j = json_object_new();

	json_set_int(j, "pages", round->n_pages);
	json_set_int(j, "zero", round->n_zero);
	json_set_int(j, "lz4", round->n_lz4);
	json_set_int(j, "raw", round->n_raw);
	json_set_int(j, "raw_bytes", (int64_t)round->raw_bytes);
	json_set_int(j, "sent_bytes", (int64_t)round->sent_bytes);
	json_set_int(j, "duration_ns", (int64_t)round->duration_ns);
	return j;
}

/* "commit_ns" and "start_ns" are the owner's to add, and the sum with them. */
static struct json *blackout_json(const struct mig_report *report)
{
	struct json *j = json_object_new();

	json_set_int(j, "forecast_ns", (int64_t)report->forecast_blackout_ns);
	json_set_int(j, "pause_ns", (int64_t)report->pause_ns);
	json_set_int(j, "save_ns", (int64_t)report->save_ns);
	json_set_int(j, "sweep_ns", (int64_t)report->sweep_ns);
	json_set_int(j, "send_ns", (int64_t)report->send_ns);
	json_set_int(j, "target_ready_ns", (int64_t)report->target_ready_ns);
	json_set_int(j, "restore_ns", (int64_t)report->restore_ns);
	return j;
}

static const char *phase_name(enum mig_phase phase)
{
	static const char *const names[] = {
		[MIG_PHASE_BEGIN] = "begin",
		[MIG_PHASE_PERFORM] = "perform",
		[MIG_PHASE_SWITCHOVER] = "switchover",
		[MIG_PHASE_READY] = "ready",
		[MIG_PHASE_DONE] = "done",
	};

	return phase < ARRAY_LEN(names) ? names[phase] : "unknown";
}

struct json *mig_report_json(const struct mig_report *report)
{
	struct json *j = json_object_new(), *rounds = json_array_new();

	for (unsigned i = 0; i < report->n_rounds && i < ARRAY_LEN(report->rounds); i++)
		json_append(rounds, round_json(&report->rounds[i]));
	json_set_string(j, "phase", phase_name(report->phase));
	json_set_int(j, "percent", report->percent);
	json_set_int(j, "error", report->error);
	json_set_string(j, "error_text", report->error ? report->error_text : NULL);
	json_set_string(j, "path", NULL); /* which networks it took: the owner knows */
	json_set_int(j, "channels", report->n_channels);
	json_set_int(j, "ram_bytes", (int64_t)report->ram_bytes);
	json_set_int(j, "raw_bytes", (int64_t)report->raw_bytes);
	json_set_int(j, "sent_bytes", (int64_t)report->sent_bytes);
	json_set_real(j, "ratio",
		report->raw_bytes ? (double)report->sent_bytes / (double)report->raw_bytes : 1.0);
	json_set_int(j, "state_bytes", (int64_t)report->state_bytes);
	json_set_int(j, "remaining_pages", report->remaining_pages);
	json_set_int(j, "total_ns", (int64_t)report->total_ns);
	json_set(j, "rounds", rounds);
	json_set(j, "blackout", blackout_json(report));
	return j;
}
