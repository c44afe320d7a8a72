/* SPDX-License-Identifier: MIT */
#include "tests/sim/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define MAX_STEPS 1000000 /* until what a script waits for has to be there */

void script_fail(struct script *script, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("%s:%u: %s\n", script->path, script->line, text);
	if (script->sim)
		sim_log(script->sim, 0, "NOT AS EXPECTED: %s", text);
	script->failed = true;
}

static bool read_file(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "re");
	char chunk[4096];
	size_t n;

	if (!file)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		buf_bytes(out, chunk, n);
	fclose(file);
	return !out->failed;
}

static size_t split_words(char *line, char **words)
{
	char *rest = NULL, *word;
	size_t n = 0;

	line[strcspn(line, "#")] = '\0';
	for (word = strtok_r(line, " \t\r", &rest); word && n < SCRIPT_MAX_WORDS;
		word = strtok_r(NULL, " \t\r", &rest))
		words[n++] = word;
	return n;
}

static void begin(struct script *script, const char *word)
{
	unsigned n_nodes = (unsigned)strtoul(word, NULL, 10);

	if (script->sim || n_nodes < 1 || n_nodes > BUS_MAX_NODES) {
		script_fail(script, "'nodes' stands once, with a number of nodes");
		return;
	}
	script->sim = sim_new(n_nodes, 1, true);
	bus_set_pace(script->sim->bus, BUS_PACE_LAN);
	bus_set_silence(script->sim->bus, RS_SILENCE_NS);
}

/* Seconds with up to six digits after the point. */
static bool parse_time(const char *word, uint64_t *ret_ns)
{
	char *end;
	double seconds = strtod(word, &end);

	if (*end || end == word || seconds < 0 || seconds > 1e6)
		return false;
	*ret_ns = (uint64_t)(seconds * 1e6 + 0.5) * NS_PER_US;
	return true;
}

static void at(struct script *script, char *const *words, size_t n_words)
{
	uint64_t at_ns;

	if (!parse_time(words[1], &at_ns) || at_ns + 1 < bus_now_ns(script->sim->bus)) {
		script_fail(script, "'%s' is no time, or one that has passed", words[1]);
		return;
	}
	bus_run_until(script->sim->bus, at_ns);
	script_command(script, words + 2, n_words - 2);
}

/* "when NODE MODE ...": as soon as that node is in that mode. */
static void when(struct script *script, char *const *words, size_t n_words)
{
	uint32_t id = script_node(script, words[1]);
	struct bus *bus = script->sim->bus;
	enum rs_mode mode;

	if (!id || n_words < 4 || !script_mode(words[2], &mode) || !bus_is_running(bus, id)) {
		script_fail(script, "'when' wants a running node, a mode and a command");
		return;
	}
	for (unsigned i = 0; i < MAX_STEPS && rs_mode(bus_rs(bus, id)) != mode; i++) {
		if (!bus_step(bus))
			break;
	}
	if (rs_mode(bus_rs(bus, id)) != mode)
		script_fail(script, "node %u does not get into mode '%s'", id, words[2]);
	else
		script_command(script, words + 3, n_words - 3);
}

static void run_line(struct script *script, char *line)
{
	char *words[SCRIPT_MAX_WORDS];
	size_t n_words = split_words(line, words);

	if (n_words == 0)
		return;
	if (n_words == 2 && strcmp(words[0], "nodes") == 0)
		begin(script, words[1]);
	else if (!script->sim)
		script_fail(script, "the first line has to be 'nodes N'");
	else if (n_words > 2 && strcmp(words[0], "at") == 0)
		at(script, words, n_words);
	else if (n_words > 2 && strcmp(words[0], "when") == 0)
		when(script, words, n_words);
	else
		script_fail(script, "a line begins with 'at TIME' or 'when NODE MODE'");
}

static void run(struct script *script, char *text)
{
	char *rest = NULL;

	/* strsep() and not strtok_r(): empty lines count. */
	for (rest = text; rest && !script->failed;) {
		char *line = strsep(&rest, "\n");

		script->line++;
		run_line(script, line);
	}
	if (!script->sim || script->failed)
		return;
	bus_settle(script->sim->bus);
	sim_log(script->sim, 0, "nothing more happens");
	if (script->sim->violation[0])
		script_fail(script, "violation: %s", script->sim->violation);
}

static bool write_expected(const char *path, const struct buf *log)
{
	FILE *file = fopen(path, "we");
	bool ok = file && fwrite(log->data, 1, log->size_bytes, file) == log->size_bytes;

	if (file && fclose(file) != 0)
		ok = false;
	if (!ok)
		printf("%s: cannot be written\n", path);
	return ok;
}

static size_t line_length(const char *text, const char *end)
{
	const char *newline = memchr(text, '\n', (size_t)(end - text));

	return newline ? (size_t)(newline - text) : (size_t)(end - text);
}

/* The first line in which they differ is what people want to see. */
static bool compare(const char *path, const struct buf *expected, const struct buf *log)
{
	const char *a = (const char *)expected->data, *a_end = a + expected->size_bytes;
	const char *b = (const char *)log->data, *b_end = b + log->size_bytes;

	for (unsigned line = 1; a < a_end || b < b_end; line++) {
		size_t a_len = line_length(a, a_end), b_len = line_length(b, b_end);

		if (a_len != b_len || memcmp(a, b, a_len) != 0) {
			printf("%s:%u: expected  %.*s\n%s:%u: and got   %.*s\n", path, line,
				(int)a_len, a, path, line, (int)b_len, b);
			printf("if that is right: viaduct-sim --case FOLDER --update\n");
			return false;
		}
		a += MIN(a_len + 1, (size_t)(a_end - a));
		b += MIN(b_len + 1, (size_t)(b_end - b));
	}
	return true;
}

bool script_run_case(const char *folder, bool update)
{
	char script_path[512], expected_path[512];
	struct script script = {.path = script_path};
	struct buf text = {}, expected = {};
	bool ok = false;

	snprintf(script_path, sizeof(script_path), "%s/script", folder);
	snprintf(expected_path, sizeof(expected_path), "%s/expected", folder);
	if (!read_file(script_path, &text)) {
		printf("%s: cannot be read\n", script_path);
		buf_fini(&text);
		return false;
	}
	buf_bytes(&text, "", 1);
	run(&script, (char *)text.data);
	if (!script.sim || script.failed)
		printf("%s: failed\n", folder);
	else if (update)
		ok = write_expected(expected_path, &script.sim->log);
	else if (!read_file(expected_path, &expected))
		printf("%s: cannot be read\n", expected_path);
	else
		ok = compare(expected_path, &expected, &script.sim->log);
	if (script.sim && !ok)
		fwrite(script.sim->log.data, 1, script.sim->log.size_bytes, stdout);
	if (script.sim)
		sim_free(script.sim);
	buf_fini(&expected);
	buf_fini(&text);
	return ok;
}
