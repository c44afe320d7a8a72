/* SPDX-License-Identifier: MIT
 *
 * dynmem.h - dynamic memory: the VM's memory follows its need between a minimum and a maximum.
 *
 * The guest's driver reports pressure every second; a pure policy (dynmem_policy.h) turns minimum,
 * maximum, buffer and pressure into a target; the device takes pages away (balloon), gives them
 * back, and adds memory above what the guest started with (hot add).
 *
 * Hostile: a guest may name any pages in its balloon. Only whole pages inside its RAM are accepted,
 * each once; they are given back to the host and read as zeroes from then on, which harms nobody
 * but the guest that lied.
 *
 * Threads: the owner calls everything; ops come on the worker, without locks of this module.
 *
 * Source: linux drivers/hv/hv_balloon.c (the guest's half).
 */
#ifndef VIADUCT_VMBUS_DYNMEM_H
#define VIADUCT_VMBUS_DYNMEM_H

#include "vmbus/vmbus.h"

struct dynmem;

struct dynmem_ops {
	/* Give these pages' memory back to the host; they read as zeroes afterwards. -EINVAL: not
	 * all of it is RAM, and the guest lied; otherwise 0 or -errno. */
	int (*release)(void *data, gpa_t first, uint64_t size_bytes);
	/* Make `size_bytes` (multiple of 128 MiB) more memory exist behind what was added before;
	 * *ret_first says where. -ENOSPC: at the maximum. */
	int (*hot_add)(void *data, uint64_t size_bytes, gpa_t *ret_first);
};

struct dynmem_limits {
	uint64_t min_bytes, max_bytes; /* min <= start <= max; equal: memory does not change */
	unsigned buffer_percent;       /* kept free beyond the need, 5..200; 0: 20 */
};

struct dynmem_config {
	uint64_t start_bytes; /* what the guest booted with */
	struct dynmem_limits limits;
	const struct dynmem_ops *ops;
	void *data;
};

int dynmem_new(struct vmbus *bus, const struct dynmem_config *config, struct dynmem **ret_dynmem);
void dynmem_free(struct dynmem *dynmem);
/* "dynmem": protocol, balloon, hot-added ranges. After the partition's unit, which brings the added
 * memory itself back: ops->hot_add is not called for it again. What is in the balloon is released
 * again. */
int dynmem_register_unit(struct dynmem *dynmem, struct unit_registry *registry);

/* -EINVAL: out of order, or a maximum beyond what can be added to this VM. */
int dynmem_set_limits(struct dynmem *dynmem, const struct dynmem_limits *limits);
/* Set the target by hand, 0: by the policy again. */
int dynmem_set_target(struct dynmem *dynmem, uint64_t target_bytes);

struct dynmem_info {
	bool connected;
	uint64_t assigned_bytes; /* start + added - ballooned */
	uint64_t demand_bytes;   /* what the guest says it has committed; 0: unknown */
	uint64_t available_bytes;
	uint64_t target_bytes;
	uint64_t ballooned_bytes, added_bytes;
	uint64_t n_protocol_errors;
};
void dynmem_get_info(struct dynmem *dynmem, struct dynmem_info *ret_info);

#endif
