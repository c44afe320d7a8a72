/* SPDX-License-Identifier: MIT */
#include "vmbus/dynmem_runs.h"

#include <string.h>

/* The numbers of pages that a 64-bit address can have. */
#define MAX_PAGE (1ULL << 52)

void dynmem_runs_fini(struct dynmem_runs *runs)
{
	free(runs->runs);
	*runs = (struct dynmem_runs){0};
}

static int by_first(const void *a, const void *b)
{
	const struct dynmem_run *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static uint64_t end_of(const struct dynmem_run *run)
{
	return run->first + run->n_pages;
}

static bool is_valid(const struct dynmem_run *run)
{
	return run->n_pages && run->n_pages <= MAX_PAGE && run->first <= MAX_PAGE - run->n_pages;
}

/* One more behind those that are there, in order. */
static int append(struct dynmem_runs *to, const struct dynmem_run *run)
{
	struct dynmem_run *last = to->n_runs ? &to->runs[to->n_runs - 1] : NULL;

	if (last && run->first < end_of(last))
		return -EEXIST;
	if (last && run->first == end_of(last)) {
		last->n_pages += run->n_pages;
	} else {
		to->runs[to->n_runs++] = *run;
	}
	to->n_pages += run->n_pages;
	return 0;
}

static int merge(const struct dynmem_runs *runs, const struct dynmem_run *added, size_t n_added,
	struct dynmem_runs *ret_merged)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < runs->n_runs || k < n_added)) {
		if (k == n_added || (i < runs->n_runs && runs->runs[i].first < added[k].first))
			r = append(ret_merged, &runs->runs[i++]);
		else
			r = append(ret_merged, &added[k++]);
	}
	return r;
}

int dynmem_runs_add(struct dynmem_runs *runs, struct dynmem_run *added, size_t n_added)
{
	struct dynmem_runs merged = {.capacity = runs->n_runs + n_added};
	int r;

	if (n_added == 0)
		return 0;
	for (size_t i = 0; i < n_added; i++) {
		if (!is_valid(&added[i]))
			return -EINVAL;
	}
	qsort(added, n_added, sizeof(*added), by_first);
	merged.runs = calloc(merged.capacity, sizeof(*merged.runs));
	if (!merged.runs)
		return -ENOMEM;
	r = merge(runs, added, n_added, &merged);
	if (r == 0 && merged.n_runs > DYNMEM_MAX_RUNS)
		r = -ENOSPC;
	if (r) {
		dynmem_runs_fini(&merged);
		return r;
	}
	dynmem_runs_fini(runs);
	*runs = merged;
	return 0;
}

static struct dynmem_run *find(struct dynmem_runs *runs, const struct dynmem_run *inside)
{
	size_t low = 0, high = runs->n_runs;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (end_of(&runs->runs[middle]) <= inside->first)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == runs->n_runs || runs->runs[low].first > inside->first ||
		end_of(&runs->runs[low]) < end_of(inside))
		return NULL;
	return &runs->runs[low];
}

/* Room for one more run behind `run`. */
static int split(struct dynmem_runs *runs, struct dynmem_run **run)
{
	size_t index = (size_t)(*run - runs->runs);

	if (runs->n_runs == DYNMEM_MAX_RUNS)
		return -ENOSPC;
	if (runs->n_runs == runs->capacity) {
		size_t capacity = runs->capacity + 16;
		void *grown = realloc(runs->runs, capacity * sizeof(*runs->runs));

		if (!grown)
			return -ENOMEM;
		runs->runs = grown;
		runs->capacity = capacity;
	}
	memmove(&runs->runs[index + 1], &runs->runs[index],
		(runs->n_runs - index) * sizeof(*runs->runs));
	runs->n_runs++;
	*run = &runs->runs[index];
	return 0;
}

int dynmem_runs_remove(struct dynmem_runs *runs, const struct dynmem_run *removed)
{
	struct dynmem_run *run;
	struct dynmem_run behind;
	int r = 0;

	if (!is_valid(removed))
		return -ENOENT;
	run = find(runs, removed);
	if (!run)
		return -ENOENT;
	behind = (struct dynmem_run){end_of(removed), end_of(run) - end_of(removed)};
	if (run->first < removed->first && behind.n_pages) {
		r = split(runs, &run);
		if (r)
			return r;
		run[1] = behind;
		run->n_pages = removed->first - run->first;
	} else if (run->first < removed->first) {
		run->n_pages -= removed->n_pages;
	} else if (behind.n_pages) {
		*run = behind;
	} else {
		runs->n_runs--;
		memmove(run, run + 1, (size_t)(runs->runs + runs->n_runs - run) * sizeof(*run));
	}
	runs->n_pages -= removed->n_pages;
	return 0;
}

size_t dynmem_runs_take(struct dynmem_runs *runs, uint64_t max_pages, uint64_t max_run_pages,
	struct dynmem_run *ret_taken, size_t max_taken)
{
	size_t n_taken = 0;

	while (runs->n_runs && max_pages && n_taken < max_taken) {
		struct dynmem_run *last = &runs->runs[runs->n_runs - 1];
		uint64_t most = MIN(max_pages, max_run_pages);
		uint64_t n = MIN(last->n_pages, most);

		last->n_pages -= n;
		ret_taken[n_taken++] = (struct dynmem_run){end_of(last), n};
		if (last->n_pages == 0)
			runs->n_runs--;
		runs->n_pages -= n;
		max_pages -= n;
	}
	return n_taken;
}
