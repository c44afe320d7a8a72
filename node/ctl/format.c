/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS 12

struct table {
	const char *const *headings;
	unsigned n_columns;
	size_t width[MAX_COLUMNS];
	char **cells;
	size_t n_cells;
};

struct table *table_new(const char *const *headings, unsigned n_columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table || n_columns > MAX_COLUMNS)
		abort();
	table->headings = headings;
	table->n_columns = n_columns;
	for (unsigned i = 0; i < n_columns; i++)
		table->width[i] = strlen(headings[i]);
	return table;
}

void table_cell(struct table *table, const char *format, ...)
{
	unsigned column = (unsigned)(table->n_cells % table->n_columns);
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	table->cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*table->cells));
	if (!table->cells)
		abort();
	if (!text[0]) {
		free(text);
		text = strdup("-");
	}
	table->cells[table->n_cells++] = text;
	table->width[column] = MAX(table->width[column], strlen(text));
}

static void print_row(const struct table *table, const char *const *cells)
{
	for (unsigned i = 0; i < table->n_columns; i++) {
		if (i + 1 == table->n_columns)
			printf("%s\n", cells[i]);
		else
			printf("%-*s  ", (int)table->width[i], cells[i]);
	}
}

void table_print(struct table *table)
{
	print_row(table, table->headings);
	for (size_t at = 0; at + table->n_columns <= table->n_cells; at += table->n_columns)
		print_row(table, (const char *const *)table->cells + at);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

static char *next_text(void)
{
	static char texts[8][32];
	static unsigned at;

	return texts[at++ % ARRAY_LEN(texts)];
}

const char *format_bytes(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	char *text = next_text();
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

const char *format_ns(uint64_t ns)
{
	char *text = next_text();

	if (ns < NS_PER_MS)
		snprintf(text, 32, "%.0f us", (double)ns / NS_PER_US);
	else if (ns < 10 * NS_PER_MS)
		snprintf(text, 32, "%.2f ms", (double)ns / NS_PER_MS);
	else if (ns < NS_PER_SEC)
		snprintf(text, 32, "%.0f ms", (double)ns / NS_PER_MS);
	else
		snprintf(text, 32, "%.2f s", (double)ns / NS_PER_SEC);
	return text;
}
