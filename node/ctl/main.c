/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define OPTION_END                                                                                 \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

static const struct ctl_option no_options[] = {OPTION_END};
static const struct ctl_option network_set_options[] = {
	{"role", "ROLE", "None, Cluster or ClusterAndClient"},
	{"metric", "N", "smaller is preferred for cluster traffic; 'auto' for the automatic one"},
	{"migration-order", "N", "1 is tried first for migrations; 0 by metric; -1 never"},
	{"rename", "NAME", "a new name"},
	OPTION_END,
};
static const struct ctl_option switch_create_options[] = {
	{"type", "TYPE", "external, internal or private"},
	{"uplink", "ADAPTER", "the network adapter an external switch is bound to"},
	{"management", "VLAN",
		"give the host an adapter in this VLAN, 0 for none (internal switches: always)"},
	{"logical", "NAME", "what the switch is called on all nodes, for VMs that move"},
	{"node", "NODE", "the node it is on (this one)"},
	OPTION_END,
};
static const struct ctl_option node_option[] = {
	{"node", "NODE", "the node (this one, or the VM's owner)"},
	OPTION_END,
};
static const struct ctl_option volume_create_options[] = {
	{"path", "PATH", "a directory that all nodes reach under the same path"},
	OPTION_END,
};
static const struct ctl_option vm_create_options[] = {
	{"kernel", "FILE", "a Linux bzImage, a PVH kernel or another 64-bit ELF"},
	{"initrd", "FILE", "its initial RAM disk"},
	{"cmdline", "TEXT", "the kernel's command line"},
	{"memory", "SIZE", "128M, 2G, ... (128M)"},
	{"min-memory", "SIZE", "how little it may become while it runs (as --memory)"},
	{"max-memory", "SIZE", "how much it may become while it runs (as --memory)"},
	{"disk", "SPEC", "FILE[,lun=N][,serial=TEXT][,read-only=on]; repeatable"},
	{"dvd", "SPEC", "IMAGE[,lun=N], or '' for an empty drive; repeatable"},
	{"video", "SIZE", "video memory (8M)"},
	{"no-video", NULL, "no screen, keyboard and mouse"},
	{"vps", "N", "virtual processors (1)"},
	{"nic", "SPEC", "switch=NAME[,vlan=N|trunk=LIST[,native=N]][,mac=MAC][,mtu=N]; repeatable"},
	{"node", "NODE", "the node that owns it first (this one)"},
	OPTION_END,
};
static const struct ctl_option serial_options[] = {
	{"send", "TEXT", "type this line"},
	{"until", "TEXT", "print what comes until a line begins with TEXT (or one of TEXT|TEXT)"},
	{"timeout", "SECONDS", "give up after that long (10)"},
	OPTION_END,
};
static const struct ctl_option console_options[] = {
	{"escape", "KEY", "the key that leaves, as ^A (^])"},
	OPTION_END,
};
static const struct ctl_option power_options[] = {
	{"force", NULL, "also when programs in the guest object"},
	{"reason", "TEXT", "what the guest is told"},
	OPTION_END,
};
static const struct ctl_option save_options[] = {
	{"volume", "NAME", "the shared volume that holds the state (the first one)"},
	OPTION_END,
};
static const struct ctl_option type_options[] = {
	{"no-enter", NULL, "do not press Enter behind the text"},
	OPTION_END,
};
static const struct ctl_option memory_options[] = {
	{"min", "SIZE", "how little it may become"},
	{"max", "SIZE", "how much it may become; for a running VM not more than it started with"},
	{"start", "SIZE", "what it starts with the next time"},
	{"buffer", "PERCENT", "kept free beyond what the guest needs (20)"},
	OPTION_END,
};
static const struct ctl_option item_options[] = {
	{"value", "TEXT", "the item's value; without it the item is taken away"},
	OPTION_END,
};
static const struct ctl_option freeze_options[] = {
	{"limit", "SECONDS", "thaw by itself after that long (10)"},
	OPTION_END,
};
static const struct ctl_option disk_add_options[] = {
	{"dvd", NULL, "a DVD drive; FILE is the image in it"},
	OPTION_END,
};
static const struct ctl_option force_option[] = {
	{"force", NULL, "also when the guest has locked the tray"},
	OPTION_END,
};
static const struct ctl_option live_options[] = {
	{"blackout", "MS", "how long the guest may stand still (10)"},
	{"bandwidth", "MIB/S", "send no faster than this"},
	{"channels", "N", "parallel connections, 1 to 8 (2)"},
	{"no-compress", NULL, "send pages as they are"},
	{"no-wait", NULL, "print the job and return at once"},
	OPTION_END,
};
static const struct ctl_option quick_options[] = {
	{"volume", "NAME", "the shared volume that holds the state (the first one)"},
	{"no-wait", NULL, "print the job and return at once"},
	OPTION_END,
};

static const struct ctl_command commands[] = {
	{"live-migrate", "VM NODE", 2, "move a running VM without stopping it", cmd_live_migrate,
		live_options},
	{"quick-migrate", "VM NODE", 2, "save a VM, move it, go on there", cmd_quick_migrate,
		quick_options},
	{"vm list", "", 0, "all VMs of the cluster", cmd_vm_list, no_options},
	{"vm show", "VM", 1, "one VM in detail", cmd_vm_show, no_options},
	{"vm create", "VM", 1, "make a VM", cmd_vm_create, vm_create_options},
	{"vm delete", "VM", 1, "delete a VM that is off", cmd_vm_delete, no_options},
	{"vm start", "VM", 1, "start a VM", cmd_vm_start, node_option},
	{"vm stop", "VM", 1, "turn a VM off, as by its power switch", cmd_vm_stop, no_options},
	{"vm shutdown", "VM", 1, "have the guest shut itself down", cmd_vm_shutdown, power_options},
	{"vm restart", "VM", 1, "have the guest restart itself", cmd_vm_restart, power_options},
	{"vm pause", "VM", 1, "let a VM stand still", cmd_vm_pause, no_options},
	{"vm resume", "VM", 1, "let a paused VM go on", cmd_vm_resume, no_options},
	{"vm save", "VM", 1, "save a VM's state to a shared volume; 'vm start' goes on from it",
		cmd_vm_save, save_options},
	{"vm discard", "VM", 1, "throw a saved state away", cmd_vm_discard, no_options},
	{"vm console", "VM", 1, "make this terminal the VM's serial port", cmd_vm_console,
		console_options},
	{"vm type", "VM TEXT", 2, "type on the VM's keyboard", cmd_vm_type, type_options},
	{"vm screenshot", "VM FILE", 2, "the VM's screen as a PNG file", cmd_vm_screenshot,
		no_options},
	{"vm memory", "VM", 1, "between what limits a VM's memory follows its need", cmd_vm_memory,
		memory_options},
	{"vm disk add", "VM FILE", 2, "attach a disk, FILE[,lun=N]...; also while it runs",
		cmd_disk_add, disk_add_options},
	{"vm disk remove", "VM LUN", 2, "detach a disk; also while it runs", cmd_disk_remove,
		no_options},
	{"vm disk insert", "VM LUN FILE", 3, "put an image into a DVD drive", cmd_disk_insert,
		force_option},
	{"vm disk eject", "VM LUN", 2, "empty a DVD drive", cmd_disk_eject, force_option},
	{"vm disk resized", "VM LUN", 2, "tell the guest that a disk's file was enlarged",
		cmd_disk_resized, no_options},
	{"vm item", "VM KEY", 2, "hand the guest a key-value item (KVP)", cmd_vm_item,
		item_options},
	{"vm freeze", "VM", 1, "flush and freeze the guest's file systems (VSS)", cmd_vm_freeze,
		freeze_options},
	{"vm thaw", "VM", 1, "thaw them", cmd_vm_thaw, no_options},
	{"vm serial", "VM", 1, "type on, and read from, the serial port", cmd_vm_serial,
		serial_options},
	{"cluster status", "", 0, "members, quorum, store", cmd_cluster_status, no_options},
	{"cluster network list", "", 0, "the cluster's networks", cmd_network_list, no_options},
	{"cluster network set", "NETWORK", 1, "change a network's role, metric, name",
		cmd_network_set, network_set_options},
	{"switch list", "", 0, "the virtual switches and their ports", cmd_switch_list,
		node_option},
	{"switch create", "SWITCH", 1, "make a virtual switch", cmd_switch_create,
		switch_create_options},
	{"switch delete", "SWITCH", 1, "delete a virtual switch without VMs", cmd_switch_delete,
		node_option},
	{"volume list", "", 0, "the shared volumes", cmd_volume_list, no_options},
	{"volume create", "VOLUME", 1, "make a directory a shared volume", cmd_volume_create,
		volume_create_options},
	{"job list", "", 0, "migrations of this node, past and present", cmd_job_list, no_options},
	{"job cancel", "JOB", 1, "cancel a migration", cmd_job_cancel, no_options},
};

/* The names that administrators of the original know. A parameter becomes a positional argument
 * ("1", "2") or an option. */
static const struct alias {
	const char *name;
	const char *words;
	struct {
		const char *parameter, *becomes;
	} parameters[6];
} aliases[] = {
	{"Get-VM", "vm list", {{0}}},
	{"Get-ClusterNetwork", "cluster network list", {{0}}},
	{"Get-ClusterNode", "cluster status", {{0}}},
	{"Get-VMSwitch", "switch list", {{"-ComputerName", "node"}}},
	{"Get-ClusterSharedVolume", "volume list", {{0}}},
	{"Start-VM", "vm start", {{"-Name", "1"}, {"-ComputerName", "node"}}},
	{"Stop-VM", "vm stop", {{"-Name", "1"}}},
	{"Remove-VM", "vm delete", {{"-Name", "1"}}},
	{"Suspend-VM", "vm pause", {{"-Name", "1"}}},
	{"Resume-VM", "vm resume", {{"-Name", "1"}}},
	{"Save-VM", "vm save", {{"-Name", "1"}}},
	{"Remove-VMSavedState", "vm discard", {{"-VMName", "1"}}},
	{"Restart-VM", "vm restart", {{"-Name", "1"}}},
	{"Set-VMMemory", "vm memory",
		{{"-VMName", "1"}, {"-MinimumBytes", "min"}, {"-MaximumBytes", "max"},
			{"-StartupBytes", "start"}, {"-Buffer", "buffer"}}},
	{"Add-VMHardDiskDrive", "vm disk add", {{"-VMName", "1"}, {"-Path", "2"}}},
	{"Move-ClusterVirtualMachineRole", "live-migrate",
		{{"-Name", "1"}, {"-Node", "2"}, {"-MigrationType", "type"}}},
};

/* ---- help ---- */

static void print_commands(FILE *to)
{
	fputs("usage: viaduct COMMAND [--json] [options]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %s %-*s %s\n", commands[i].words,
			(int)(31 - strlen(commands[i].words)), commands[i].positional,
			commands[i].help);
	fputs("\n'viaduct COMMAND --help' shows a command's options. These names work too:\n ", to);
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		fprintf(to, " %s", aliases[i].name);
	fputs("\n", to);
}

static void print_command(FILE *to, const struct ctl_command *command)
{
	fprintf(to, "usage: viaduct %s %s [--json]%s\n\n%s\n", command->words, command->positional,
		command->options[0].name ? " [options]" : "", command->help);
	if (command->options[0].name)
		fputs("\n", to);
	for (const struct ctl_option *o = command->options; o->name; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s %s", o->name, o->value ? o->value : "");
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

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
	const char *ipc_name = getenv("VIADUCT_IPC_NAME");
	struct ctl_args args = {.ipc_name = ipc_name ? ipc_name : "viaduct"};

	for (int i = 0; i < argc; i++) {
		int r = 0;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_command(stdout, command);
			return EXIT_OK;
		}
		if (strncmp(argv[i], "--", 2) == 0)
			r = parse_option(command, argc, argv, &i, &args);
		else if (args.n_positional == command->n_positional)
			r = ctl_fail(EXIT_USAGE,
				"'%s' is one argument too many; usage: viaduct %s %s", argv[i],
				command->words, command->positional);
		else
			args.positional[args.n_positional++] = argv[i];
		if (r)
			return r;
	}
	if (args.n_positional < command->n_positional)
		return ctl_fail(EXIT_USAGE, "an argument is missing; usage: viaduct %s %s",
			command->words, command->positional);
	return command->run(&args);
}

/* The command whose words are the first arguments; the longest one wins. */
static const struct ctl_command *find_command(int argc, char **argv, int *ret_n_words)
{
	const struct ctl_command *found = NULL;
	char text[128] = "";

	for (int n = 1; n <= 3 && n <= argc; n++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", n > 1 ? " " : "", argv[n - 1]);
		for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
			if (strcmp(commands[i].words, text) == 0) {
				found = &commands[i];
				*ret_n_words = n;
			}
		}
	}
	return found;
}

static const struct ctl_command *command_by_words(const char *words)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].words, words) == 0)
			return &commands[i];
	}
	return NULL;
}

/* ---- aliases: rewritten into a command's own arguments ---- */

static const char *alias_target(const struct alias *alias, const char *parameter)
{
	for (size_t i = 0; i < ARRAY_LEN(alias->parameters); i++) {
		if (alias->parameters[i].parameter &&
			strcasecmp(alias->parameters[i].parameter, parameter) == 0)
			return alias->parameters[i].becomes;
	}
	return NULL;
}

static int run_alias(const struct alias *alias, int argc, char **argv)
{
	const struct ctl_command *command = command_by_words(alias->words);
	char *positional[CTL_MAX_POSITIONAL] = {NULL};
	char *rewritten[2 * CTL_MAX_OPTIONS + CTL_MAX_POSITIONAL];
	char dashes[CTL_MAX_OPTIONS][32];
	unsigned n = 0, n_positional = 0;

	for (int i = 0; i < argc; i++) {
		const char *becomes = argv[i][0] == '-' ? alias_target(alias, argv[i]) : NULL;

		if (n + 2 > 2 * CTL_MAX_OPTIONS - 2)
			return ctl_fail(EXIT_USAGE, "too many arguments");
		if (argv[i][0] == '-' && !becomes && strncmp(argv[i], "--", 2) != 0)
			return ctl_fail(EXIT_USAGE, "%s has no parameter %s", alias->name, argv[i]);
		if (becomes && i + 1 >= argc)
			return ctl_fail(EXIT_USAGE, "%s needs a value", argv[i]);
		if (!becomes && strncmp(argv[i], "--", 2) == 0) {
			rewritten[n++] = argv[i];
		} else if (!becomes) {
			if (n_positional < CTL_MAX_POSITIONAL)
				positional[n_positional++] = argv[i];
		} else if (becomes[0] == '1' || becomes[0] == '2') {
			positional[becomes[0] - '1'] = argv[++i];
		} else if (strcmp(becomes, "type") == 0) {
			i++;
			if (strcasecmp(argv[i], "Quick") == 0)
				command = command_by_words("quick-migrate");
			else if (strcasecmp(argv[i], "Live") != 0)
				return ctl_fail(EXIT_USAGE, "-MigrationType is Live or Quick");
		} else {
			snprintf(dashes[n / 2], sizeof(dashes[0]), "--%s", becomes);
			rewritten[n] = dashes[n / 2];
			rewritten[n + 1] = argv[++i];
			n += 2;
		}
	}
	for (unsigned i = 0; i < CTL_MAX_POSITIONAL && positional[i]; i++)
		rewritten[n++] = positional[i];
	return run_command(command, (int)n, rewritten);
}

int main(int argc, char **argv)
{
	const struct ctl_command *command;
	int n_words = 0;

	if (argc < 2) {
		print_commands(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
		strcmp(argv[1], "-h") == 0) {
		print_commands(stdout);
		return EXIT_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcasecmp(aliases[i].name, argv[1]) == 0)
			return run_alias(&aliases[i], argc - 2, argv + 2);
	}
	command = find_command(argc - 1, argv + 1, &n_words);
	if (!command)
		return ctl_fail(EXIT_USAGE,
			"there is no command '%s%s%s'; 'viaduct --help' lists them", argv[1],
			argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
	return run_command(command, argc - 1 - n_words, argv + 1 + n_words);
}
