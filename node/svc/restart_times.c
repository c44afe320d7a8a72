/* SPDX-License-Identifier: MIT */
#include "node/svc/restart_times.h"

static bool is_possible(int64_t time_s, int64_t now_s)
{
	return time_s <= now_s + RESTART_TIMES_AHEAD_S;
}

unsigned restart_times_count(const struct json *times, int64_t now_s, unsigned window_s)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_length(times); i++) {
		int64_t time_s = json_int(json_at(times, i), 0);

		n += time_s > now_s - (int64_t)window_s && is_possible(time_s, now_s);
	}
	return n;
}

struct json *restart_times_with(const struct json *times, int64_t now_s)
{
	struct json *result = json_array_new();
	size_t n_possible = 0, n_skip;

	for (size_t i = 0; i < json_length(times); i++)
		n_possible += is_possible(json_int(json_at(times, i), 0), now_s);
	n_skip = n_possible >= RESTART_TIMES_MAX ? n_possible - RESTART_TIMES_MAX + 1 : 0;
	for (size_t i = 0; i < json_length(times); i++) {
		int64_t time_s = json_int(json_at(times, i), 0);

		if (!is_possible(time_s, now_s))
			continue;
		if (n_skip)
			n_skip--;
		else
			json_append(result, json_int_new(time_s));
	}
	json_append(result, json_int_new(now_s));
	return result;
}
