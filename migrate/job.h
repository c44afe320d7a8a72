/* SPDX-License-Identifier: MIT
 *
 * job.h - what the two ends of a live migration have in common: the job's wake-ups, its first
 * error, and the report.
 *
 * Every wait of a job ends: the job's thread sleeps in job_wait() only, its channel threads in link
 * I/O and on conditions that job_fail()'s caller or a cut link ends.
 *
 * Threads: job_cancel(), job_signal() and job_snapshot() from any; the rest from the job's thread.
 */
#ifndef VIADUCT_MIGRATE_JOB_H
#define VIADUCT_MIGRATE_JOB_H

#include "migrate/link.h"
#include "migrate/migrate.h"

#include <pthread.h>

/* When params leave it open. */
#define JOB_STALL_NS          (10 * 1000000000ULL)
#define JOB_BLACKOUT_NS       (10 * 1000000ULL)
#define JOB_BLACKOUT_LIMIT_NS (3 * 1000000000ULL)
/* Slower than that, a chunk takes so long that it looks like a stall. */
#define JOB_MIN_BANDWIDTH_BYTES_PER_S (1ULL << 18)
/* For a last frame to a peer that may not be reading any more. */
#define JOB_PARTING_NS (1 * 1000000000ULL)

struct job {
	/* Constant after job_init(). */
	int cancel_fd; /* eventfd, readable for good once cancelled */
	int event_fd;  /* eventfd, drained by job_wait() */
	uint64_t started_ns;

	pthread_mutex_t lock;
	/* Under `lock`. */
	bool cancelled;
	bool ready; /* from here on only the owner decides */
	struct mig_report report;
};

/* What the owner gave, with every 0 replaced by its default. -EINVAL when something is missing. */
int job_params(const struct mig_params *params, unsigned n_fds, struct mig_params *ret_params);

int job_init(struct job *job, uint64_t ram_bytes, unsigned n_channels);
void job_fini(struct job *job);

/* -EBUSY once the job is ready. */
int job_cancel(struct job *job);
bool job_cancelled(struct job *job);
/* False: it was cancelled before. */
bool job_become_ready(struct job *job);
/* Ready or not, the owner wants no more of it. */
void job_abandon(struct job *job);
/* Something happened that the job's thread wants to look at. */
void job_signal(struct job *job);
/* Sleep until `control` (may be NULL) has something to read, job_signal() or `timeout_ns` (0 = no
 * limit). 0 (look at everything), -ETIMEDOUT, -ECANCELED. */
int job_wait(struct job *job, const struct link *control, uint64_t timeout_ns);

/* Keep the first error and its text; returns the first error. */
int job_fail(struct job *job, int error, const char *format, ...) _printf_(3, 4);
/* The same for `what` went wrong at `who` ("source: ", or ""): adds what the error means where that
 * is news, and says just "cancelled" for -ECANCELED. */
int job_fail_why(struct job *job, int error, const char *who, const char *what);
/* Copies, for callbacks. */
int job_error(struct job *job, char ret_text[160]);

/* Edit the report under the lock. */
struct mig_report *job_report_begin(struct job *job);
void job_report_end(struct job *job);
/* Never goes back. */
void job_report_percent(struct mig_report *report, uint64_t percent);
void job_set_phase(struct job *job, enum mig_phase phase, uint8_t percent);
void job_snapshot(struct job *job, struct mig_report *ret_report);

#endif
