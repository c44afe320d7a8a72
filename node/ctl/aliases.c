/* SPDX-License-Identifier: MIT
 *
 * aliases.c - the names that administrators of the original know, rewritten into a command's own
 * arguments. What a parameter becomes: a positional argument ("1", "2"), an option with the value
 * that follows ("vlan"), or, behind a '=', an argument without one ("=--untagged"; "=" for one that
 * says nothing).
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define MAX_PARAMETERS 16
#define ONLY_ADAPTER   "only"

#define RULE_PARAMETERS                                                                            \
	{                                                                                          \
		{"-VMName", "1"}, {"-VMNetworkAdapterName", "2"}, {"-Action", "action"},           \
			{"-Direction", "direction"}, {"-LocalIPAddress", "local"},                 \
			{"-RemoteIPAddress", "remote"}, {"-LocalMacAddress", "local"},             \
			{"-RemoteMacAddress", "remote"}, {"-LocalPort", "local-ports"},            \
			{"-RemotePort", "remote-ports"}, {"-Protocol", "protocol"},                \
			{"-Weight", "weight"}, {"-Stateful", "stateful"},                          \
			{"-IdleSessionTimeout", "idle"},                                           \
	}

static const struct alias {
	const char *name;
	const char *words;
	struct {
		const char *parameter, *becomes;
	} parameters[MAX_PARAMETERS];
	const char *second; /* the second positional argument, when none is given */
} aliases[] = {
	{"Get-VM", "vm list", {{0}}},
	{"Get-ClusterLog", "event list", {{"-Node", "node"}}},
	{"Get-WinEvent", "event list", {{"-ComputerName", "node"}, {"-MaxEvents", "limit"}}},
	{"Get-ClusterNetwork", "cluster network list", {{0}}},
	{"Get-ClusterNode", "node list", {{0}}},
	{"Suspend-ClusterNode", "node pause",
		{{"-Name", "1"}, {"-Drain", "=--drain"}, {"-ForceDrain", "=--force"},
			{"-TargetNode", "target"}, {"-Wait", "=--wait"}}},
	{"Resume-ClusterNode", "node resume", {{"-Name", "1"}, {"-Failback", "failback"}}},
	{"Remove-ClusterNode", "node evict", {{"-Name", "1"}}},
	{"Get-ClusterNetworkInterface", "cluster network interface list", {{0}}},
	{"Set-VMMigrationNetwork", "cluster network migration", {{"-Subnet", "order"}}},
	{"Get-VMMigrationNetwork", "cluster network migration", {{0}}},
	{"Set-VMHost", "mac pool set",
		{{"-ComputerName", "node"}, {"-MacAddressMinimum", "first"},
			{"-MacAddressMaximum", "last"}}},
	{"Get-VMSwitch", "switch list", {{"-ComputerName", "node"}}},
	{"Get-NetAdapter", "nic list", {{"-CimSession", "node"}}},
	{"Get-NetAdapterBinding", "nic bindings", {{"-Name", "nic"}, {"-CimSession", "node"}}},
	{"Get-NetOffloadGlobalSetting", "offload show", {{"-CimSession", "node"}}},
	{"Set-NetOffloadGlobalSetting", "offload set",
		{{"-Chimney", "chimney"}, {"-CimSession", "node"}}},
	{"Rename-VMSwitch", "switch rename", {{"-Name", "1"}, {"-NewName", "2"}}},
	{"Get-ClusterSharedVolume", "volume list", {{0}}},
	{"Start-VM", "vm start", {{"-Name", "1"}, {"-ComputerName", "node"}}},
	{"Stop-VM", "vm stop", {{"-Name", "1"}}},
	{"Remove-VM", "vm delete", {{"-Name", "1"}}},
	{"Suspend-VM", "vm pause", {{"-Name", "1"}}},
	{"Resume-VM", "vm resume", {{"-Name", "1"}}},
	{"Save-VM", "vm save", {{"-Name", "1"}}},
	{"Get-ClusterOwnerNode", "vm policy", {{"-Group", "1"}}},
	{"Set-ClusterOwnerNode", "vm policy", {{"-Group", "1"}, {"-Owners", "preferred"}}},
	{"Get-ClusterGroup", "vm policy", {{"-Name", "1"}}},
	{"Remove-VMSavedState", "vm discard", {{"-VMName", "1"}}},
	{"Restart-VM", "vm restart", {{"-Name", "1"}}},
	{"Set-VMMemory", "vm memory",
		{{"-VMName", "1"}, {"-MinimumBytes", "min"}, {"-MaximumBytes", "max"},
			{"-StartupBytes", "start"}, {"-Buffer", "buffer"}}},
	{"Add-VMHardDiskDrive", "vm disk add", {{"-VMName", "1"}, {"-Path", "2"}}},
	{"Get-VMNetworkAdapter", "vm nic list", {{"-VMName", "1"}}},
	{"Get-VMNetworkAdapterVlan", "vm nic list", {{"-VMName", "1"}}},
	{"Set-VMNetworkAdapterVlan", "vm nic set",
		{{"-VMName", "1"}, {"-VMNetworkAdapterName", "2"}, {"-Untagged", "=--untagged"},
			{"-Access", "="}, {"-VlanId", "vlan"}, {"-Trunk", "="},
			{"-AllowedVlanIdList", "trunk"}, {"-NativeVlanId", "native"},
			{"-Isolated", "=--private=isolated"},
			{"-Community", "=--private=community"},
			{"-Promiscuous", "=--private=promiscuous"}, {"-PrimaryVlanId", "primary"},
			{"-SecondaryVlanId", "secondary"}, {"-SecondaryVlanIdList", "secondary"}},
		ONLY_ADAPTER},
	{"Set-VMNetworkAdapter", "vm nic set",
		{{"-VMName", "1"}, {"-Name", "2"}, {"-MacAddressSpoofing", "spoofing"},
			{"-DhcpGuard", "dhcp-guard"}, {"-RouterGuard", "router-guard"},
			{"-PortMirroring", "mirror"}, {"-StormLimit", "storm-limit"},
			{"-MaximumBandwidth", "max-bandwidth"},
			{"-MinimumBandwidthAbsolute", "min-bandwidth"},
			{"-MinimumBandwidthWeight", "weight"}},
		ONLY_ADAPTER},
	{"Remove-VMNetworkAdapter", "vm nic remove",
		{{"-VMName", "1"}, {"-VMNetworkAdapterName", "2"}, {"-Name", "2"}}, ONLY_ADAPTER},
	{"Get-VMNetworkAdapterAcl", "vm nic acl list",
		{{"-VMName", "1"}, {"-VMNetworkAdapterName", "2"}}, ONLY_ADAPTER},
	{"Add-VMNetworkAdapterAcl", "vm nic acl add", RULE_PARAMETERS, ONLY_ADAPTER},
	{"Add-VMNetworkAdapterExtendedAcl", "vm nic acl add", RULE_PARAMETERS, ONLY_ADAPTER},
	{"Move-ClusterVirtualMachineRole", "live-migrate",
		{{"-Name", "1"}, {"-Node", "2"}, {"-MigrationType", "type"}}},
};

void ctl_print_aliases(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		fprintf(to, " %s", aliases[i].name);
}

void ctl_complete_alias(const char *typed)
{
	/* They come into question when somebody types a capital letter. */
	for (size_t i = 0; i < ARRAY_LEN(aliases) && *typed; i++) {
		if (strncasecmp(aliases[i].name, typed, strlen(typed)) == 0 && typed[0] < 'a')
			printf("%s\tviaduct %s\n", aliases[i].name, aliases[i].words);
	}
}

void ctl_complete_parameter(const char *name, const char *typed)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcasecmp(aliases[i].name, name) != 0)
			continue;
		for (size_t k = 0; k < MAX_PARAMETERS && aliases[i].parameters[k].parameter; k++) {
			if (strncasecmp(aliases[i].parameters[k].parameter, typed, strlen(typed)) ==
				0)
				puts(aliases[i].parameters[k].parameter);
		}
	}
}

/* NULL: the alias has no such parameter. */
static const char *target_of(const struct alias *alias, const char *parameter)
{
	for (size_t i = 0; i < MAX_PARAMETERS && alias->parameters[i].parameter; i++) {
		if (strcasecmp(alias->parameters[i].parameter, parameter) == 0)
			return alias->parameters[i].becomes;
	}
	return NULL;
}

struct rewriting {
	const char *words;
	char *positional[CTL_MAX_POSITIONAL];
	unsigned n_positional;
	char *arguments[2 * CTL_MAX_OPTIONS + CTL_MAX_POSITIONAL];
	unsigned n;
	char texts[CTL_MAX_OPTIONS][32]; /* arguments that were not given in this form */
	unsigned n_texts;
};

static int rewrite_value(struct rewriting *r, const char *becomes, char *value)
{
	if (becomes[0] == '1' || becomes[0] == '2') {
		r->positional[becomes[0] - '1'] = value;
		return EXIT_OK;
	}
	if (strcmp(becomes, "type") == 0) {
		if (strcasecmp(value, "Quick") == 0)
			r->words = "quick-migrate";
		else if (strcasecmp(value, "Live") != 0)
			return ctl_fail(EXIT_USAGE, "-MigrationType is Live or Quick");
		return EXIT_OK;
	}
	snprintf(r->texts[r->n_texts], sizeof(r->texts[0]), "--%s", becomes);
	r->arguments[r->n++] = r->texts[r->n_texts++];
	r->arguments[r->n++] = value;
	return EXIT_OK;
}

/* argv[*at], and what belongs to it. */
static int rewrite(const struct alias *alias, int argc, char **argv, int *at, struct rewriting *r)
{
	char *argument = argv[*at];
	const char *becomes = argument[0] == '-' ? target_of(alias, argument) : NULL;

	if (r->n_texts == CTL_MAX_OPTIONS || r->n + 2 > 2 * CTL_MAX_OPTIONS)
		return ctl_fail(EXIT_USAGE, "too many arguments");
	if (argument[0] == '-' && !becomes && strncmp(argument, "--", 2) != 0)
		return ctl_fail(EXIT_USAGE, "%s has no parameter %s", alias->name, argument);
	if (!becomes && argument[0] == '-') {
		r->arguments[r->n++] = argument;
	} else if (!becomes) {
		if (r->n_positional < CTL_MAX_POSITIONAL)
			r->positional[r->n_positional++] = argument;
	} else if (becomes[0] == '=') {
		if (!becomes[1])
			return EXIT_OK;
		snprintf(r->texts[r->n_texts], sizeof(r->texts[0]), "%s", becomes + 1);
		r->arguments[r->n++] = r->texts[r->n_texts++];
	} else if (*at + 1 >= argc) {
		return ctl_fail(EXIT_USAGE, "%s needs a value", argument);
	} else {
		return rewrite_value(r, becomes, argv[++*at]);
	}
	return EXIT_OK;
}

static int run(const struct alias *alias, int argc, char **argv)
{
	static struct rewriting r;
	char second[16];

	r.words = alias->words;
	for (int i = 0; i < argc; i++) {
		int code = rewrite(alias, argc, argv, &i, &r);

		if (code)
			return code;
	}
	if (alias->second && !r.positional[1]) {
		snprintf(second, sizeof(second), "%s", alias->second);
		r.positional[1] = second;
	}
	for (unsigned i = 0; i < CTL_MAX_POSITIONAL && r.positional[i]; i++)
		r.arguments[r.n++] = r.positional[i];
	return ctl_run(r.words, (int)r.n, r.arguments);
}

bool ctl_run_alias(const char *name, int argc, char **argv, int *ret_code)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcasecmp(aliases[i].name, name) == 0) {
			*ret_code = run(&aliases[i], argc, argv);
			return true;
		}
	}
	return false;
}
