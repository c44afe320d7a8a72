/* SPDX-License-Identifier: MIT
 *
 * differ_impl.h - what the differ's files share.
 */
#ifndef VIADUCT_NODE_DEPLOY_DIFFER_IMPL_H
#define VIADUCT_NODE_DEPLOY_DIFFER_IMPL_H

#include "node/deploy/differ.h"
#include "node/svc/nic.h"

/* A new step at the end of the list, lent. */
struct json *step_add(struct json *steps, const char *action, const char *format, ...)
	_printf_(3, 4);
/* One more line of its details. */
void step_detail(struct json *step, const char *format, ...) _printf_(2, 3);
/* Its request, lent, to be filled in. */
struct json *step_request(struct json *step, const char *op);
/* It cannot be done now. */
void step_waits(struct json *step, const char *format, ...) _printf_(2, 3);

/* The entry whose `key` is `value`; NULL. */
const struct json *list_find(const struct json *list, const char *key, const char *value);
/* "old -> new" of one setting, where both have their default when it is absent; true: it differs.
 * Values as people write them. */
bool value_differs(struct json *step_or_null, const char *name, const struct json *old,
	const struct json *new);

/* differ_nic.c: from `old` (NULL: all defaults) to `new`, both as in nic.h: into `changes`, a
 * request's settings, and `lines`, sentences. False: they are the same. */
bool nic_diff(const struct json *old, const struct json *new, enum nic_kind kind,
	struct json *changes, struct json *lines);
/* "VLAN access 2, switch A" */
void nic_describe(const struct json *nic, char *text, size_t size_bytes);

/* differ_network.c, differ_switch.c, differ_vm.c */
void diff_networks(const struct json *file, const struct json *cluster, struct json *steps);
void diff_switches(const struct json *file, const struct json *cluster, struct json *steps);
void prune_switches(const struct json *file, const struct json *cluster, struct json *steps);
void diff_vms(const struct json *file, const struct json *cluster, bool prune, struct json *steps);
void prune_vms(const struct json *file, const struct json *cluster, struct json *steps);

#endif
