/* SPDX-License-Identifier: MIT
 *
 * unit.h - state units: every component that a guest can observe registers one under a unique name;
 * migration, quick migration and save use the same units in the same order.
 *
 * Order: start in order of registration, stop in the reverse order; save and restore in order of
 * registration. After stop() returns, the component touches no guest memory and changes no state
 * until start(). save() is called only while stopped; restore() only before the first start()
 * (otherwise -EBUSY).
 *
 * A saved unit is {name, version, bytes}. restore() is given exactly the bytes that save() wrote
 * and treats them as hostile: -EBADMSG for anything that does not hold together, and the component
 * is then unusable; bytes that it leaves unread are -EBADMSG too. Units are matched by name; a
 * section without a unit, a missing section of a unit and a newer version than the unit's own are
 * refused (-ENOENT, -ENODATA, -EPROTONOSUPPORT).
 *
 * Threads: all calls come from the owner of the registry (one thread).
 */
#ifndef VIADUCT_BASE_UNIT_H
#define VIADUCT_BASE_UNIT_H

#include "base/bytes.h"

#define UNIT_NAME_MAX_LEN    63
#define UNIT_STATE_MAX_BYTES (64U << 20)

struct unit_ops {
	const char *name; /* unique; at most UNIT_NAME_MAX_LEN characters */
	uint32_t version; /* of the bytes that save() writes, from 1 */
	int (*start)(void *opaque);
	int (*stop)(void *opaque);
	int (*save)(void *opaque, struct buf *out);
	int (*restore)(void *opaque, struct reader *in, uint32_t version);
};

struct unit_registry;

int unit_registry_new(struct unit_registry **ret_registry);
void unit_registry_free(struct unit_registry *registry);

/* `instance` is appended to ops->name ("netvsp" + "0" -> "netvsp.0") when it is not NULL.
 * Returns 0, -EEXIST, -EINVAL, -ENOMEM. `ops` must outlive the registry. Any of start, stop may be
 * NULL; save, restore and a version above 0 are required. */
int unit_register(struct unit_registry *registry, const struct unit_ops *ops, const char *instance,
	void *opaque);

/* Start those that do not run, stop those that run. When one fails to start, all are stopped again;
 * when one fails to stop, it counts as running, the others are stopped and the first error is
 * returned. */
int unit_start_all(struct unit_registry *registry);
int unit_stop_all(struct unit_registry *registry);

/* Append the whole saved state: {n u32, then per unit: name length u8, name, version u32, size u32,
 * bytes}. -EBUSY when one runs, -EFBIG for a state over UNIT_STATE_MAX_BYTES. */
int unit_save_all(struct unit_registry *registry, struct buf *out);
/* Nothing is restored unless the layout as a whole is sound and matches the units. What follows the
 * last section is left in `in`. On error *ret_culprit (may be NULL) names the unit, a pointer into
 * the registry or static text. */
int unit_restore_all(struct unit_registry *registry, struct reader *in, const char **ret_culprit);

#endif
