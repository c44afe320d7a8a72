/* SPDX-License-Identifier: MIT */
#include "migrate/job.h"
#include "base/clock.h"
#include "migrate/mig_proto.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>

int job_params(const struct mig_params *params, unsigned n_fds, struct mig_params *ret_params)
{
	size_t name_len = params->vm_name ? strnlen(params->vm_name, MIG_MAX_NAME_LEN + 1) : 0;
	unsigned max_rounds = params->max_rounds ? params->max_rounds : MIG_MAX_ROUNDS;

	if (n_fds < 2 || n_fds > 1 + MIG_MAX_CHANNELS || !name_len || name_len > MIG_MAX_NAME_LEN ||
		params->compress > MIG_COMPRESS_ALWAYS)
		return -EINVAL;
	*ret_params = *params;
	ret_params->max_rounds = MIN(max_rounds, (unsigned)MIG_MAX_ROUNDS);
	if (!params->blackout_budget_ns)
		ret_params->blackout_budget_ns = JOB_BLACKOUT_NS;
	if (!params->blackout_limit_ns)
		ret_params->blackout_limit_ns = JOB_BLACKOUT_LIMIT_NS;
	if (params->bandwidth_bytes_per_s)
		ret_params->bandwidth_bytes_per_s =
			MAX(params->bandwidth_bytes_per_s, JOB_MIN_BANDWIDTH_BYTES_PER_S);
	if (!params->stall_timeout_ns)
		ret_params->stall_timeout_ns = JOB_STALL_NS;
	return 0;
}

int job_init(struct job *job, uint64_t ram_bytes, unsigned n_channels)
{
	*job = (struct job){
		.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.started_ns = clock_mono_ns(),
		.report = {.ram_bytes = ram_bytes, .n_channels = n_channels},
	};
	pthread_mutex_init(&job->lock, NULL);
	if (job->cancel_fd >= 0 && job->event_fd >= 0)
		return 0;
	job_fini(job);
	return -EMFILE;
}

void job_fini(struct job *job)
{
	job->cancel_fd = close_fd(job->cancel_fd);
	job->event_fd = close_fd(job->event_fd);
	pthread_mutex_destroy(&job->lock);
}

int job_cancel(struct job *job)
{
	bool ready;

	pthread_mutex_lock(&job->lock);
	ready = job->ready;
	job->cancelled = job->cancelled || !ready;
	pthread_mutex_unlock(&job->lock);
	if (ready)
		return -EBUSY;
	(void)eventfd_write(job->cancel_fd, 1);
	return 0;
}

bool job_become_ready(struct job *job)
{
	bool ready;

	pthread_mutex_lock(&job->lock);
	ready = job->ready = !job->cancelled;
	pthread_mutex_unlock(&job->lock);
	return ready;
}

void job_abandon(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	job->cancelled = true;
	pthread_mutex_unlock(&job->lock);
	(void)eventfd_write(job->cancel_fd, 1);
}

bool job_cancelled(struct job *job)
{
	bool cancelled;

	pthread_mutex_lock(&job->lock);
	cancelled = job->cancelled;
	pthread_mutex_unlock(&job->lock);
	return cancelled;
}

void job_signal(struct job *job)
{
	(void)eventfd_write(job->event_fd, 1);
}

int job_wait(struct job *job, const struct link *control, uint64_t timeout_ns)
{
	struct pollfd fds[] = {
		{.fd = job->cancel_fd, .events = POLLIN},
		{.fd = job->event_fd, .events = POLLIN},
		{.fd = control ? control->fd : -1, .events = POLLIN},
	};
	uint64_t timeout_ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
	eventfd_t drained;
	int n;

	do {
		n = poll(fds, ARRAY_LEN(fds),
			timeout_ns ? (int)MIN(timeout_ms, (uint64_t)INT_MAX) : -1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (fds[0].revents)
		return -ECANCELED;
	(void)eventfd_read(job->event_fd, &drained);
	return 0;
}

int job_fail(struct job *job, int error, const char *format, ...)
{
	struct mig_report *report = job_report_begin(job);
	va_list args;

	if (!report->error) {
		report->error = error;
		va_start(args, format);
		(void)vsnprintf(report->error_text, sizeof(report->error_text), format, args);
		va_end(args);
	}
	error = report->error;
	job_report_end(job);
	return error;
}

int job_fail_why(struct job *job, int error, const char *who, const char *what)
{
	if (error == -ECANCELED)
		return job_fail(job, error, "cancelled");
	if (error == -EBADMSG || error == -EACCES)
		return job_fail(job, error, "%s%s", who, what);
	return job_fail(job, error, "%s%s: %s", who, what, strerror(-error));
}

int job_error(struct job *job, char ret_text[160])
{
	struct mig_report *report = job_report_begin(job);
	int error = report->error;

	memcpy(ret_text, report->error_text, sizeof(report->error_text));
	job_report_end(job);
	return error;
}

struct mig_report *job_report_begin(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	return &job->report;
}

void job_report_end(struct job *job)
{
	pthread_mutex_unlock(&job->lock);
}

void job_report_percent(struct mig_report *report, uint64_t percent)
{
	if (percent > report->percent)
		report->percent = (uint8_t)MIN(percent, (uint64_t)100);
}

void job_set_phase(struct job *job, enum mig_phase phase, uint8_t percent)
{
	struct mig_report *report = job_report_begin(job);

	report->phase = phase;
	job_report_percent(report, percent);
	job_report_end(job);
}

void job_snapshot(struct job *job, struct mig_report *ret_report)
{
	*ret_report = *job_report_begin(job);
	job_report_end(job);
}
