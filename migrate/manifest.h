/* SPDX-License-Identifier: MIT
 *
 * manifest.h - what both ends, or a file and the VM it is loaded into, must agree about before any
 * page moves: the VM's name, what CPUID shows it, and where its RAM lies.
 */
#ifndef VIADUCT_MIGRATE_MANIFEST_H
#define VIADUCT_MIGRATE_MANIFEST_H

#include "base/bytes.h"
#include "base/gpa.h"
#include "migrate/mig_proto.h"

#define MANIFEST_MAX_BYTES                                                                         \
	(sizeof(struct mig_manifest) + MIG_MAX_REGIONS * sizeof(struct mig_region) +               \
		MIG_MAX_NAME_LEN)

struct manifest {
	const char *vm_name; /* 1..MIG_MAX_NAME_LEN characters */
	uint64_t cpuid_digest;
	struct gpa_space *memory;
};

/* Appends to `out`; check out->failed. */
void manifest_encode(const struct manifest *ours, struct buf *out);
/* Is the encoded, hostile one the same? -EBADMSG: it makes no sense; -ESTALE: another VM, -ENOTSUP:
 * other CPU; -EMSGSIZE: other memory. *ret_why is static text. */
int manifest_check(
	const struct manifest *ours, const void *data, size_t size_bytes, const char **ret_why);
/* Does the VM fit the protocol at all (pages with 32-bit numbers, a name)? */
bool manifest_possible(const struct manifest *ours);

#endif
