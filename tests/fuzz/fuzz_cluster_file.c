/* SPDX-License-Identifier: MIT
 *
 * fuzz_cluster_file.c - the description of a cluster, of any bytes. What is refused has a reason
 * with a place in the text; what is taken is taken again, and to the same values.
 */
#include "node/deploy/cluster_file.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static unsigned count_lines(const uint8_t *data, size_t size_bytes)
{
	unsigned n = 2;

	/* libyaml also ends lines by CR, NEL, LS and PS. */
	for (size_t i = 0; i < size_bytes; i++)
		n += data[i] == '\n' || data[i] == '\r' || data[i] >= 0x80;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct problems problems;
	struct json *values = NULL, *again = NULL;
	char *text;
	int r;

	memset(&problems, 0, sizeof(problems));
	r = cluster_file_read((const char *)data, size_bytes, &problems, &values);
	check(r == 0 || r == -EBADMSG, "an error that is none of the file's");
	check((r == 0) == (values != NULL) && (r == 0) == (problems.n == 0), "half an answer");
	for (size_t i = 0; i < problems.n; i++) {
		check(problems.list[i].at.line >= 1 && problems.list[i].at.column >= 1, "no place");
		check(problems.list[i].at.line <= count_lines(data, size_bytes), "beyond the end");
		check(problems.list[i].text[0], "no reason");
	}
	text = problems_text(&problems, "f");
	check(text != NULL, "no text");
	free(text);
	if (values) {
		check(cluster_file_read((const char *)data, size_bytes, &problems, &again) == 0 &&
				json_is_equal(values, again),
			"another outcome");
	}
	json_unref(values);
	json_unref(again);
	return 0;
}
