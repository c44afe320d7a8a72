/* SPDX-License-Identifier: MIT
 *
 * sandbox_rules.h - the system calls of a VM's process, as data. Internal to the sandbox.
 */
#ifndef VIADUCT_NODE_VM_SANDBOX_RULES_H
#define VIADUCT_NODE_VM_SANDBOX_RULES_H

#include "base/err.h"

enum sandbox_phase {
	SANDBOX_SETUP = 1, /* until the VM is complete */
	SANDBOX_RUN = 2,
};

#define SANDBOX_MAX_CONDITIONS 2

/* Holds when (argument & mask) == value. A mask of 0 stands for no condition. */
struct sandbox_condition {
	unsigned argument;
	uint64_t mask, value;
};

struct sandbox_rule {
	int call;
	unsigned phases;
	int error; /* 0: allowed; otherwise what it fails with */
	struct sandbox_condition conditions[SANDBOX_MAX_CONDITIONS];
};

extern const struct sandbox_rule sandbox_rules[];
extern const size_t sandbox_n_rules;

#endif
