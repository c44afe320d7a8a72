/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/command.h"
#include "vmbus/guest/config.h"
#include "vmbus/guest/text.h"

#define MAX_TIMEOUT_MS 60000

static bool scan_u32(const char **at, uint32_t max, uint32_t *ret_value)
{
	uint64_t v;

	if (!scan_u64(at, max, &v))
		return false;
	*ret_value = (uint32_t)v;
	return true;
}

static bool parse_nothing(const char **at, struct command *command)
{
	(void)at;
	(void)command;
	return true;
}

static bool parse_ping(const char **at, struct command *command)
{
	return scan_ipv4(at, &command->ip) &&
	       scan_u32(at, COMMAND_MAX_COUNT, &command->ping.count) &&
	       scan_u32(at, MAX_TIMEOUT_MS, &command->ping.timeout_ms) && command->ping.count;
}

static bool parse_arp(const char **at, struct command *command)
{
	return scan_ipv4(at, &command->ip);
}

static bool parse_bcast(const char **at, struct command *command)
{
	uint32_t nic = 0;

	if (!scan_u32(at, COMMAND_MAX_COUNT, &command->bcast.count))
		return false;
	if (**at && !scan_u32(at, MAX_NICS - 1, &nic))
		return false;
	command->bcast.nic = nic;
	return true;
}

static bool parse_udp(const char **at, struct command *command)
{
	uint32_t port;

	if (!scan_ipv4(at, &command->ip) || !scan_u32(at, UINT16_MAX, &port) || port == 0)
		return false;
	command->udp.port = (uint16_t)port;
	command->udp.text = *at;
	*at += strlen(*at);
	return true;
}

static bool parse_dirty(const char **at, struct command *command)
{
	return scan_u32(at, UINT32_MAX, &command->dirty.pages_per_s) &&
	       scan_u32(at, UINT32_MAX, &command->dirty.size_mb);
}

static const struct {
	const char *name;
	enum command_kind kind;
	bool (*parse)(const char **at, struct command *command);
	const char *usage;
} commands[] = {
	{"ping", COMMAND_PING, parse_ping, "ping IP COUNT TIMEOUT_MS"},
	{"arp", COMMAND_ARP, parse_arp, "arp IP"},
	{"bcast", COMMAND_BCAST, parse_bcast, "bcast COUNT [NIC]"},
	{"udp", COMMAND_UDP, parse_udp, "udp IP PORT TEXT"},
	{"dirty", COMMAND_DIRTY, parse_dirty, "dirty PAGES_PER_S MB"},
	{"verify", COMMAND_VERIFY, parse_nothing, "verify"},
	{"status", COMMAND_STATUS, parse_nothing, "status"},
	{"gap", COMMAND_GAP, parse_nothing, "gap"},
	{"net", COMMAND_NET, parse_nothing, "net"},
	{"poweroff", COMMAND_POWEROFF, parse_nothing, "poweroff"},
	{"crash", COMMAND_CRASH, parse_nothing, "crash"},
};

int command_parse(const char *line, struct command *ret_command, const char **ret_usage)
{
	const char *at = line, *word;
	size_t length;

	if (!scan_word(&at, &word, &length))
		return -ENOENT;
	for (size_t i = 0; i < N_ELEMENTS(commands); i++) {
		struct command command = {
			.kind = commands[i].kind,
			.name = commands[i].name,
		};

		if (!word_is(word, length, commands[i].name))
			continue;
		if (!commands[i].parse(&at, &command) || *at) {
			*ret_usage = commands[i].usage;
			return -EINVAL;
		}
		*ret_command = command;
		return 0;
	}
	return -ENOENT;
}
