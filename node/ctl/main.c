/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include "node/ctl/nvsp_args.h"

#include <stdio.h>
#include <string.h>

/* Tools of the original with switches of their own. */
static const struct tool {
	const char *name, *words, *usage;
	int (*rewrite)(int argc, char **argv, struct nvsp_args *ret_args, char *error,
		size_t error_size_bytes);
} tools[] = {
	{"nvspbind", "nic bindings", nvspbind_usage, nvspbind_rewrite},
	{"nvspscrub", "network scrub", nvspscrub_usage, nvspscrub_rewrite},
};

/* ---- help ---- */

static void print_commands(FILE *to)
{
	fputs("usage: viaduct [--remote FILE] COMMAND [--json] [options]\n\n", to);
	for (size_t i = 0; i < ctl_n_commands; i++)
		fprintf(to, "  %s %-*s %s\n", ctl_commands[i].words,
			(int)(31 - strlen(ctl_commands[i].words)), ctl_commands[i].positional,
			ctl_commands[i].help);
	fputs("\n'viaduct COMMAND --help' shows a command's options. These names work too:\n ", to);
	ctl_print_aliases(to);
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		fprintf(to, " %s", tools[i].name);
	fputs("\n", to);
}

static void print_command(FILE *to, const struct ctl_command *command)
{
	fprintf(to, "usage: viaduct %s%s%s [--json]%s\n\n%s\n", command->words,
		*command->positional ? " " : "", command->positional,
		command->options[0].name ? " [options]" : "", command->help);
	if (command->options[0].name)
		fputs("\n", to);
	for (const struct ctl_option *o = command->options; o->name; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s %s", o->name, o->value ? o->value : "");
		if (o->letter)
			snprintf(text, sizeof(text), "-%c, --%s %s", o->letter, o->name,
				o->value ? o->value : "");
		fprintf(to, "  %-26s %s\n", text, o->help);
	}
}

/* ---- arguments ---- */

const char *ctl_option_at(const struct ctl_args *args, const char *name, unsigned n)
{
	for (unsigned i = 0; i < args->n_options; i++) {
		if (strcmp(args->options[i].name, name) == 0 && n-- == 0)
			return args->options[i].value;
	}
	return NULL;
}

const char *ctl_option(const struct ctl_args *args, const char *name)
{
	return ctl_option_at(args, name, 0);
}

static const struct ctl_option *find_option(
	const struct ctl_command *command, const char *name, size_t len)
{
	for (const struct ctl_option *o = command->options; o->name; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

/* One "--name", "--name value" or "--name=value"; `*at` moves past it. 0 or an exit code. */
static int parse_option(
	const struct ctl_command *command, int argc, char **argv, int *at, struct ctl_args *args)
{
	const char *name = argv[*at] + 2;
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct ctl_option *option = find_option(command, name, len);
	const char *value = equals ? equals + 1 : "";

	if (len == 4 && strncmp(name, "json", 4) == 0 && !equals) {
		args->json = true;
		return 0;
	}
	if (!option)
		return ctl_fail(EXIT_USAGE, "'%s' has no option '%s'; see 'viaduct %s --help'",
			command->words, argv[*at], command->words);
	if (option->value && !equals) {
		if (*at + 1 >= argc)
			return ctl_fail(
				EXIT_USAGE, "--%s needs a value: %s", option->name, option->value);
		value = argv[++*at];
	} else if (!option->value && equals) {
		return ctl_fail(EXIT_USAGE, "--%s takes no value", option->name);
	}
	if (args->n_options == CTL_MAX_OPTIONS)
		return ctl_fail(EXIT_USAGE, "too many options");
	args->options[args->n_options].name = option->name;
	args->options[args->n_options++].value = value;
	return 0;
}

/* "-n" as "--name", where the command has that letter. */
static bool long_form(
	const struct ctl_command *command, const char *text, char *ret_text, size_t size_bytes)
{
	for (const struct ctl_option *o = command->options; o->name; o++) {
		if (text[0] == '-' && o->letter && text[1] == o->letter && !text[2]) {
			snprintf(ret_text, size_bytes, "--%s", o->name);
			return true;
		}
	}
	return false;
}

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
	const char *ipc_name = getenv("VIADUCT_IPC_NAME");
	struct ctl_args args = {.ipc_name = ipc_name ? ipc_name : "viaduct"};

	for (int i = 0; i < argc; i++) {
		char dashes[40];
		int r = 0;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_command(stdout, command);
			return EXIT_OK;
		}
		if (long_form(command, argv[i], dashes, sizeof(dashes)))
			argv[i] = dashes;
		if (strncmp(argv[i], "--", 2) == 0)
			r = parse_option(command, argc, argv, &i, &args);
		else if (args.n_positional == command->n_positional)
			r = ctl_fail(EXIT_USAGE,
				"'%s' is one argument too many; see 'viaduct %s --help'", argv[i],
				command->words);
		else
			args.positional[args.n_positional++] = argv[i];
		if (r)
			return r;
	}
	if (args.n_positional < command->n_positional - command->n_optional)
		return ctl_fail(EXIT_USAGE, "an argument is missing; usage: viaduct %s %s",
			command->words, command->positional);
	return command->run(&args);
}

const struct ctl_command *ctl_find(int argc, char **argv, int *ret_n_words)
{
	const struct ctl_command *found = NULL;
	char text[128] = "";

	for (int n = 1; n <= CTL_MAX_WORDS && n <= argc; n++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", n > 1 ? " " : "", argv[n - 1]);
		for (size_t i = 0; i < ctl_n_commands; i++) {
			if (strcmp(ctl_commands[i].words, text) == 0) {
				found = &ctl_commands[i];
				*ret_n_words = n;
			}
		}
	}
	return found;
}

int ctl_run(const char *words, int argc, char **argv)
{
	for (size_t i = 0; i < ctl_n_commands; i++) {
		if (strcmp(ctl_commands[i].words, words) == 0)
			return run_command(&ctl_commands[i], argc, argv);
	}
	return ctl_fail(EXIT_USAGE, "there is no command '%s'", words);
}

static int run_tool(const struct tool *tool, int argc, char **argv)
{
	struct nvsp_args args;
	char error[256];
	int r;

	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		r = 1;
	else
		r = tool->rewrite(argc, argv, &args, error, sizeof(error));
	if (r < 0)
		return ctl_fail(EXIT_USAGE, "%s: %s", tool->name, error);
	if (r > 0) {
		fputs(tool->usage, stdout);
		return EXIT_OK;
	}
	return ctl_run(tool->words, args.argc, args.argv);
}

/* "--remote FILE" or "--remote=FILE" before the command. */
static int take_remote(int *argc, char ***argv)
{
	const char *first = (*argv)[1];
	bool equals = first[8] == '=';

	if ((first[8] && !equals) || (!equals && *argc < 3))
		return ctl_fail(EXIT_USAGE, "say --remote FILE COMMAND...; 'viaduct admin enroll' "
					    "makes such a file");
	setenv("VIADUCT_REMOTE", equals ? first + 9 : (*argv)[2], 1);
	*argc -= equals ? 1 : 2;
	*argv += equals ? 1 : 2;
	return 0;
}

int main(int argc, char **argv)
{
	const struct ctl_command *command;
	int n_words = 0, code;

	if (argc > 1 && strncmp(argv[1], "--remote", 8) == 0) {
		code = take_remote(&argc, &argv);
		if (code)
			return code;
	}
	if (argc < 2) {
		print_commands(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
		strcmp(argv[1], "-h") == 0) {
		print_commands(stdout);
		return EXIT_OK;
	}
	if (ctl_run_alias(argv[1], argc - 2, argv + 2, &code))
		return code;
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		if (strcmp(tools[i].name, argv[1]) == 0)
			return run_tool(&tools[i], argc - 2, argv + 2);
	}
	if (strcmp(argv[1], "complete") == 0)
		return ctl_complete(argc - 2, argv + 2);
	if (strcmp(argv[1], "manual") == 0)
		return ctl_manual();
	command = ctl_find(argc - 1, argv + 1, &n_words);
	if (!command)
		return ctl_fail(EXIT_USAGE,
			"there is no command '%s%s%s'; 'viaduct --help' lists them", argv[1],
			argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
	return run_command(command, argc - 1 - n_words, argv + 1 + n_words);
}
