/* SPDX-License-Identifier: MIT */
#include "node/deploy/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void problem(struct problems *problems, struct place_in_file at, const char *format, ...)
{
	struct problem *p = &problems->list[problems->n];
	va_list args;

	if (problems->n == PROBLEMS_MAX) {
		problems->n_more++;
		return;
	}
	p->at = at;
	va_start(args, format);
	vsnprintf(p->text, sizeof(p->text), format, args);
	va_end(args);
	/* What came from the file stays on its line. */
	for (char *c = p->text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	problems->n++;
}

static int compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;

	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	if (x->at.column != y->at.column)
		return x->at.column < y->at.column ? -1 : 1;
	return strcmp(x->text, y->text);
}

void problems_sort(struct problems *problems)
{
	size_t kept = 0;

	qsort(problems->list, problems->n, sizeof(problems->list[0]), compare);
	for (size_t i = 0; i < problems->n; i++) {
		if (kept == 0 || compare(&problems->list[kept - 1], &problems->list[i]) != 0)
			problems->list[kept++] = problems->list[i];
	}
	problems->n = kept;
}

char *problems_text(const struct problems *problems, const char *file)
{
	char *text = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&text, &size_bytes);

	if (!out)
		return NULL;
	for (size_t i = 0; i < problems->n; i++)
		fprintf(out, "%s:%u:%u: %s\n", file, problems->list[i].at.line,
			problems->list[i].at.column, problems->list[i].text);
	if (problems->n_more)
		fprintf(out, "%s: and %zu more\n", file, problems->n_more);
	fclose(out);
	return text;
}
