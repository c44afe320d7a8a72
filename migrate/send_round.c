/* SPDX-License-Identifier: MIT */
#include "migrate/send_round.h"
#include "base/bitmap.h"
#include "base/clock.h"
#include "migrate/page.h"

static size_t region_pages(const struct send_round *r, size_t i)
{
	return gpa_space_region(r->memory, i)->size_bytes / GPA_PAGE_SIZE;
}

int send_round_init(
	struct send_round *r, struct job *job, struct gpa_space *memory, unsigned n_channels)
{
	pthread_condattr_t attr;
	int error = 0;

	*r = (struct send_round){
		.job = job,
		.memory = memory,
		.n_channels = n_channels,
		.number = UINT32_MAX,
	};
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < gpa_space_n_regions(memory); i++) {
		r->bitmaps[i] = calloc(BITMAP_WORDS(region_pages(r, i)), sizeof(uint64_t));
		if (!r->bitmaps[i])
			error = -ENOMEM;
	}
	if (error)
		send_round_fini(r);
	return error;
}

void send_round_fini(struct send_round *r)
{
	for (size_t i = 0; i < GPA_MAX_REGIONS; i++)
		free(r->bitmaps[i]);
	send_round_forget_untouched(r);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

uint64_t send_round_count(const struct send_round *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < gpa_space_n_regions(r->memory); i++)
		n += bitmap_count(r->bitmaps[i], BITMAP_WORDS(region_pages(r, i)));
	return n;
}

void send_round_fill(struct send_round *r)
{
	for (size_t i = 0; i < gpa_space_n_regions(r->memory); i++) {
		size_t n_pages = region_pages(r, i);

		memset(r->bitmaps[i], 0xff, n_pages / 64 * sizeof(uint64_t));
		for (size_t page = n_pages / 64 * 64; page < n_pages; page++)
			bitmap_set(r->bitmaps[i], page);
	}
}

void send_round_find_untouched(struct send_round *r)
{
	for (size_t i = 0; i < gpa_space_n_regions(r->memory); i++) {
		r->untouched[i] = calloc(BITMAP_WORDS(region_pages(r, i)), sizeof(uint64_t));
		/* Without it pages are looked at one by one: slower, not wrong. */
		if (r->untouched[i])
			page_find_untouched(gpa_space_region(r->memory, i), false, r->untouched[i]);
	}
}

void send_round_forget_untouched(struct send_round *r)
{
	for (size_t i = 0; i < GPA_MAX_REGIONS; i++)
		free(take_ptr(r->untouched[i]));
}

void send_round_begin(struct send_round *r, uint32_t number, bool paused)
{
	uint64_t n_left = send_round_count(r);

	pthread_mutex_lock(&r->lock);
	r->number = number;
	r->paused = paused;
	r->region = 0;
	r->word = 0;
	r->n_left = n_left;
	r->n_arrived = 0;
	r->result = (struct send_result){0};
	r->running = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

int send_round_finished(struct send_round *r, struct send_result *ret_result, unsigned *ret_channel)
{
	int finished = 0;

	pthread_mutex_lock(&r->lock);
	if (r->error) {
		*ret_channel = r->error_channel;
		finished = r->error;
	} else if (r->n_arrived == r->n_channels) {
		*ret_result = r->result;
		ret_result->paced_ns /= r->n_channels;
		finished = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return finished;
}

uint64_t send_round_left(struct send_round *r)
{
	uint64_t n_left;

	pthread_mutex_lock(&r->lock);
	n_left = r->n_left;
	pthread_mutex_unlock(&r->lock);
	return n_left;
}

void send_round_stop(struct send_round *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

bool send_round_wait(struct send_round *r, uint32_t *number, bool *ret_paused)
{
	bool go_on;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && r->number == *number)
		pthread_cond_wait(&r->changed, &r->lock);
	go_on = !r->stop;
	*number = r->number;
	*ret_paused = r->paused;
	pthread_mutex_unlock(&r->lock);
	return go_on;
}

/* The first run of ones in `*word`, at most `max` long; taken out of it. */
static unsigned word_take(uint64_t *word, unsigned max, unsigned *ret_first)
{
	unsigned first = (unsigned)__builtin_ctzll(*word);
	uint64_t shifted = ~(*word >> first);
	unsigned n = shifted ? (unsigned)__builtin_ctzll(shifted) : 64;
	uint64_t mask;

	n = MIN(n, max);
	mask = (n == 64 ? ~0ULL : (1ULL << n) - 1) << first;
	*word &= ~mask;
	*ret_first = first;
	return n;
}

/* Append to the last run or begin a new one; false when there is no room. */
static bool run_add(struct send_run *runs, unsigned *n_runs, unsigned max_runs, size_t region,
	size_t page, unsigned n_pages)
{
	struct send_run *last = *n_runs ? &runs[*n_runs - 1] : NULL;

	if (last && last->region == region && last->first_page + last->n_pages == page) {
		last->n_pages += n_pages;
		return true;
	}
	if (*n_runs == max_runs)
		return false;
	runs[(*n_runs)++] = (struct send_run){region, page, n_pages};
	return true;
}

static unsigned pull_locked(struct send_round *r, struct send_run *runs, unsigned max_runs)
{
	uint64_t fair_share = MAX(r->n_left / (2ULL * r->n_channels), 1ULL * SEND_BATCH_MIN_PAGES);
	unsigned want = (unsigned)MIN(fair_share, 1ULL * SEND_BATCH_MAX_PAGES);
	unsigned n_runs = 0, first, n;

	for (; r->region < gpa_space_n_regions(r->memory); r->region++, r->word = 0) {
		size_t n_words = BITMAP_WORDS(region_pages(r, r->region));

		for (; r->word < n_words; r->word++) {
			uint64_t *word = &r->bitmaps[r->region][r->word];

			while (*word) {
				uint64_t before = *word;

				n = want ? word_take(word, want, &first) : 0;
				if (!n || !run_add(runs, &n_runs, max_runs, r->region,
						  r->word * 64 + first, n)) {
					*word = before;
					return n_runs;
				}
				want -= n;
				r->n_left -= n;
			}
		}
	}
	return n_runs;
}

unsigned send_round_pull(struct send_round *r, struct send_run *ret_runs, unsigned max_runs)
{
	unsigned n_runs = 0;

	pthread_mutex_lock(&r->lock);
	if (!r->stop && !r->error)
		n_runs = pull_locked(r, ret_runs, max_runs);
	pthread_mutex_unlock(&r->lock);
	return n_runs;
}

void send_round_arrive(struct send_round *r, unsigned channel, int error,
	const struct encode_counts *counts, uint64_t paced_ns)
{
	struct encode_counts *sum = &r->result.counts;
	bool tell;

	pthread_mutex_lock(&r->lock);
	if (error && !r->error) {
		r->error = error;
		r->error_channel = channel;
	}
	sum->n_zero += counts->n_zero;
	sum->n_lz4 += counts->n_lz4;
	sum->n_raw += counts->n_raw;
	sum->sent_bytes += counts->sent_bytes;
	r->result.paced_ns += paced_ns;
	r->result.arrived_ns = clock_mono_ns();
	r->n_arrived++;
	tell = r->error || r->n_arrived == r->n_channels;
	pthread_mutex_unlock(&r->lock);
	if (tell)
		job_signal(r->job);
}

int send_round_sleep(struct send_round *r, uint64_t duration_ns)
{
	uint64_t until_ns = clock_mono_ns() + duration_ns;
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_SEC),
		.tv_nsec = (long)(until_ns % NS_PER_SEC),
	};
	int error = 0;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	error = r->stop ? -ECANCELED : 0;
	pthread_mutex_unlock(&r->lock);
	return error;
}
