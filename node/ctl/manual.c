/* SPDX-License-Identifier: MIT
 *
 * manual.c - the manual page viaduct(1), made from the table of commands: `viaduct manual`.
 */
#include "node/ctl/ctl.h"

#include <string.h>

static const struct {
	enum exit_code code;
	const char *meaning;
} exit_codes[] = {
	{EXIT_OK, "done"},
	{EXIT_FAILED, "it was tried and did not work"},
	{EXIT_USAGE, "the command line makes no sense"},
	{EXIT_NOT_FOUND, "there is no such VM, node, switch, ..."},
	{EXIT_NO_DAEMON, "the node service does not run here, or you may not talk to it"},
	{EXIT_NO_QUORUM, "the cluster has no quorum, so nothing can be changed"},
	{EXIT_FULL, "there is no room: memory, addresses, ports"},
	{EXIT_CONFLICT, "it is in use, or somebody was faster"},
	{EXIT_REFUSED, "it could be done and should not be; the message says why"},
	{EXIT_CANCELLED, "cancelled"},
	{EXIT_UNREACHABLE, "a node or network does not answer"},
};

/* What would mean something to troff does not. */
static void print(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (c == text && (*c == '.' || *c == '\''))
			fputs("\\&", stdout);
		if (*c == '\\')
			fputs("\\e", stdout);
		else if (*c == '-')
			fputs("\\-", stdout);
		else
			putchar(*c);
	}
}

static void print_option(const struct ctl_option *option)
{
	fputs(".TP 26\n.B ", stdout);
	if (option->letter)
		printf("\\-%c, ", option->letter);
	fputs("\\-\\-", stdout);
	print(option->name);
	if (option->value) {
		fputs(" \\fI", stdout);
		print(option->value);
		fputs("\\fR", stdout);
	}
	putchar('\n');
	print(option->help);
	putchar('\n');
}

static void print_command(const struct ctl_command *command)
{
	fputs(".SS \"viaduct ", stdout);
	print(command->words);
	if (*command->positional) {
		putchar(' ');
		print(command->positional);
	}
	fputs("\"\n", stdout);
	print(command->help);
	fputs(".\n", stdout);
	for (const struct ctl_option *o = command->options; o->name; o++)
		print_option(o);
}

int ctl_manual(void)
{
	puts(".TH VIADUCT 1 \"\" \"Viaduct\" \"Viaduct\"\n.ad l\n"
	     ".SH NAME\nviaduct \\- administer a cluster of Hyper\\-V\\-class virtual machines\n"
	     ".SH SYNOPSIS\n.B viaduct\n[\\fB\\-\\-remote\\fR \\fIFILE\\fR] \\fICOMMAND\\fR "
	     "[\\fB\\-\\-json\\fR] [\\fIoptions\\fR]\n"
	     ".SH DESCRIPTION\nEvery command asks the node service of this host, which asks others "
	     "where it must.\nWith \\fB\\-\\-json\\fR the answer is printed as JSON.\n"
	     ".SH COMMANDS");
	for (size_t i = 0; i < ctl_n_commands; i++)
		print_command(&ctl_commands[i]);
	puts(".SH OTHER NAMES\nThese work, too, with the parameters that they have where they come "
	     "from:\n.nh\n.cflags 0 -"); /* a name stays in one line */
	ctl_print_aliases(stdout);
	puts("\n.cflags 4 -\n.SH EXIT STATUS");
	for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++) {
		printf(".TP 4\n.B %d\n", (int)exit_codes[i].code);
		print(exit_codes[i].meaning);
		putchar('\n');
	}
	puts(".SH ENVIRONMENT\n.TP\n.B VIADUCT_IPC_NAME\nthe name under which the node service is "
	     "reached (viaduct)\n.TP\n.B VIADUCT_REMOTE\nthe file of an enrolled key: the cluster "
	     "is "
	     "asked over the network, as with \\fB\\-\\-remote\\fR");
	return EXIT_OK;
}
