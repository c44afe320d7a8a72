/* SPDX-License-Identifier: MIT
 *
 * shell.h - carries out console commands: one at a time, each answered by exactly one line that
 * begins with "ok " or "err ". What takes time goes on in steps while the guest does its other
 * work.
 */
#ifndef VIADUCT_VMBUS_GUEST_SHELL_H
#define VIADUCT_VMBUS_GUEST_SHELL_H

#include "vmbus/guest/command.h"
#include "vmbus/guest/config.h"
#include "vmbus/guest/gap.h"
#include "vmbus/guest/net.h"
#include "vmbus/guest/text.h"
#include "vmbus/guest/work.h"

struct shell_nic_facts {
	bool link_up;
	uint32_t nvsp_version;
	uint32_t mtu;
	uint64_t n_errors; /* of the protocol below */
};

/* What the shell needs of the machine. */
struct shell_ops {
	void (*print)(const char *line);
	uint64_t (*tsc_to_us)(uint64_t tsc);
	uint64_t (*irq_count)(void);
	/* NULL: there is no such NIC. */
	struct net *(*nic)(unsigned index, struct shell_nic_facts *ret_facts);
	void (*power_off)(void);
	void (*crash)(void);
};

struct shell {
	const struct shell_ops *ops;
	const char *name;
	struct work *work;
	struct gap *gap;
	uint64_t last_second_gap_tsc;

	bool busy;
	struct command command;
	struct net *net; /* of the command under way */
	uint64_t deadline_ns;
	uint32_t n_sent, n_received;
	uint64_t rtt_sum_ns;
};

/* -EBUSY while a command is under way. */
int shell_start(struct shell *shell, const char *line, uint64_t now_ns);
void shell_step(struct shell *shell, uint64_t now_ns);
/* When shell_step() has something to do at the latest. */
uint64_t shell_deadline(const struct shell *shell);
/* "t_ms=... ", as the status command and the periodic line have it. */
void shell_status(const struct shell *shell, struct text *text, uint64_t now_ns);

#endif
