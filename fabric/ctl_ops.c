/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"

#include <string.h>

static const struct ctl_op *find(const char *name)
{
	const struct ctl_op *const tables[] = {ctl_switch_ops, ctl_port_ops, ctl_observe_ops};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct ctl_op *op = tables[i]; op->name; op++) {
			if (strcmp(op->name, name) == 0)
				return op;
		}
	}
	return NULL;
}

static int find_and_run(struct ctl_call *call)
{
	const struct ctl_op *op = find(call->op);

	return op ? op->run(call)
		  : refuse(&call->why, -EOPNOTSUPP, "the switch knows no request %.60s", call->op);
}

void ctl_run(struct ctl_call *call)
{
	/* The one cause of failures that have no sentence of their own. */
	why_set(&call->why, "out of memory");
	call->reply = json_object_new();
	call->error = call->reply ? find_and_run(call) : -ENOMEM;
}
