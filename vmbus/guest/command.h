/* SPDX-License-Identifier: MIT
 *
 * command.h - the lines that can be typed at the console, as a table and a parser. README.md
 * describes them; shell.h carries them out.
 */
#ifndef VIADUCT_VMBUS_GUEST_COMMAND_H
#define VIADUCT_VMBUS_GUEST_COMMAND_H

#include "vmbus/guest/mem.h"

enum command_kind {
	COMMAND_PING,
	COMMAND_ARP,
	COMMAND_BCAST,
	COMMAND_UDP,
	COMMAND_DIRTY,
	COMMAND_VERIFY,
	COMMAND_STATUS,
	COMMAND_GAP,
	COMMAND_NET,
	COMMAND_POWEROFF,
	COMMAND_CRASH,
};

#define COMMAND_MAX_COUNT 1000000

struct command {
	enum command_kind kind;
	const char *name; /* static */
	uint32_t ip;
	union {
		struct {
			uint32_t count;
			uint32_t timeout_ms;
		} ping;
		struct {
			uint32_t count;
			unsigned nic;
		} bcast;
		struct {
			uint16_t port;
			const char *text; /* the rest of the line */
		} udp;
		struct {
			uint32_t pages_per_s;
			uint32_t size_mb;
		} dirty;
	};
};

/* 0; -ENOENT: no such command; -EINVAL: *ret_usage (static) says how it goes. */
int command_parse(const char *line, struct command *ret_command, const char **ret_usage);

#endif
