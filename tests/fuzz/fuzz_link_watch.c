/* SPDX-License-Identifier: MIT
 *
 * fuzz_link_watch.c - what a routing socket is given, as reports about links.
 *
 * Input: a datagram.
 */
#include "fabric/link_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct seen {
	size_t n;
	unsigned n_wrong;
};

static void on_link(int ifindex, enum link_event event, void *data)
{
	struct seen *seen = data;

	(void)ifindex;
	seen->n++;
	seen->n_wrong += event != LINK_UP && event != LINK_DOWN && event != LINK_GONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	/* A header and a number are the least that a report takes. */
	const size_t report_min_bytes = 16 + 4;
	struct seen seen = {0};

	link_parse(data, size_bytes, on_link, &seen);
	if (seen.n_wrong || seen.n > (size_bytes + 3) / report_min_bytes)
		abort();
	return 0;
}
