/* SPDX-License-Identifier: MIT
 *
 * complete.c - what could stand where the cursor is, for shells: `viaduct complete WORD...`, the
 * last word being the one that is typed. Everything comes from the table of commands; names of
 * VMs, nodes and so on are asked for.
 *
 * One candidate a line, behind a tab what it is for. A line ":files" asks the shell for names of
 * files.
 */
#include "node/ctl/ctl.h"

#include <string.h>

#define TIMEOUT_MS 1000

/* What the help calls a name, and where such names come from. */
static const struct source {
	const char *label, *op, *list, *key;
} sources[] = {
	{"VM", "vm.list", "vms", "name"},
	{"NODE", "cluster.status", "nodes", "name"},
	{"SWITCH", "switch.list", "switches", "name"},
	{"NETWORK", "network.list", "networks", "name"},
	{"VOLUME", "volume.list", "volumes", "name"},
	{"JOB", "job.list", "jobs", "id"},
};
static const char *const files[] = {"FILE", "PATH", "IMAGE", "SPEC"};

struct completion {
	const char *typed;
	size_t typed_len;
};

static void offer(const struct completion *c, const char *text, size_t len, const char *help)
{
	if (len < c->typed_len || strncmp(text, c->typed, c->typed_len) != 0)
		return;
	printf("%.*s%s%s\n", (int)len, text, help ? "\t" : "", help ? help : "");
}

/* ---- values ---- */

static void offer_names(const struct completion *c, const struct source *source)
{
	const char *ipc_name = getenv("VIADUCT_IPC_NAME");
	const struct ctl_args args = {.ipc_name = ipc_name ? ipc_name : "viaduct"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *list;

	/* Nobody wants to read why there are none while he types. */
	if (!freopen("/dev/null", "w", stderr) ||
		ctl_call(&args, ctl_request(source->op), TIMEOUT_MS, &reply))
		return;
	list = json_get(reply, source->list);
	for (size_t i = 0; i < json_length(list); i++) {
		const char *name = json_get_string(json_at(list, i), source->key, "");

		offer(c, name, strlen(name), NULL);
	}
}

static void offer_words(const struct completion *c, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "|");

		offer(c, text, len, NULL);
		text += len + (text[len] == '|');
	}
}

/* What the help calls it, up to `len`: "VM", "[VM]", "on|off", "FILE". */
static void offer_value(const struct completion *c, const char *label, size_t len)
{
	char text[64];

	while (len > 0 && *label == '[')
		label++, len--;
	snprintf(text, sizeof(text), "%.*s", (int)len, label);
	text[strcspn(text, "]")] = '\0';
	if (strchr(text, '|')) {
		offer_words(c, text);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (strcmp(sources[i].label, text) == 0)
			offer_names(c, &sources[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (strcmp(files[i], text) == 0)
			puts(":files");
	}
}

/* ---- a command's arguments ---- */

static void offer_options(const struct completion *c, const struct ctl_command *command)
{
	char text[64];

	for (const struct ctl_option *o = command->options; o->name; o++) {
		int len = snprintf(text, sizeof(text), "--%s", o->name);

		offer(c, text, (size_t)len, o->help);
	}
	offer(c, "--json", 6, "the answer as JSON, for scripts");
	offer(c, "--help", 6, "what the options are");
}

/* The option whose value comes behind `word`, or NULL. */
static const struct ctl_option *takes_value(const struct ctl_command *command, const char *word)
{
	for (const struct ctl_option *o = command->options; o->name; o++) {
		bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0;
		bool is_short = o->letter && word[0] == '-' && word[1] == o->letter && !word[2];

		if (o->value && (is_long || is_short))
			return o;
	}
	return NULL;
}

static void offer_positional(
	const struct completion *c, const struct ctl_command *command, unsigned n_before)
{
	const char *label = command->positional;

	for (; n_before > 0 && *label; n_before--) {
		label += strcspn(label, " ");
		label += strspn(label, " ");
	}
	if (*label)
		offer_value(c, label, strcspn(label, " "));
}

/* `words` are those behind the command's own, the typed one not among them. */
static void complete_arguments(
	const struct completion *c, const struct ctl_command *command, int n, char **words)
{
	const struct ctl_option *option = NULL;
	unsigned n_positional = 0;

	for (int i = 0; i < n; i++) {
		if (option)
			option = NULL;
		else if (words[i][0] == '-')
			option = takes_value(command, words[i]);
		else
			n_positional++;
	}
	if (option)
		offer_value(c, option->value, strlen(option->value));
	else if (c->typed[0] == '-')
		offer_options(c, command);
	else
		offer_positional(c, command, n_positional);
}

/* ---- words of commands ---- */

static bool is_first(size_t command, const char *word, size_t at, size_t len)
{
	for (size_t i = 0; i < command; i++) {
		const char *other = ctl_commands[i].words;

		if (strncmp(other, word, at + len) == 0 &&
			(!other[at + len] || other[at + len] == ' '))
			return false;
	}
	return true;
}

/* What can follow the words `prefix`, which end with a blank or are none. */
static void offer_commands(const struct completion *c, const char *prefix)
{
	size_t at = strlen(prefix);

	for (size_t i = 0; i < ctl_n_commands; i++) {
		const char *words = ctl_commands[i].words;
		size_t len;

		if (strncmp(words, prefix, at) != 0)
			continue;
		len = strcspn(words + at, " ");
		if (!is_first(i, words, at, len))
			continue;
		offer(c, words + at, len, words[at + len] ? NULL : ctl_commands[i].help);
	}
}

int ctl_complete(int argc, char **argv)
{
	struct completion c = {.typed = argc > 0 ? argv[argc - 1] : ""};
	int n_before = argc > 0 ? argc - 1 : 0, n_words = 0;
	const struct ctl_command *command = ctl_find(n_before, argv, &n_words);
	char prefix[128] = "";

	c.typed_len = strlen(c.typed);
	if (command)
		complete_arguments(&c, command, n_before - n_words, argv + n_words);
	for (int i = 0; i < n_before; i++) {
		size_t len = strlen(prefix);

		snprintf(prefix + len, sizeof(prefix) - len, "%s ", argv[i]);
	}
	offer_commands(&c, prefix);
	if (n_before == 0)
		ctl_complete_alias(c.typed);
	else if (!command && c.typed[0] == '-')
		ctl_complete_parameter(argv[0], c.typed);
	return EXIT_OK;
}
