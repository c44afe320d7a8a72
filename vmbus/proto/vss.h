/* SPDX-License-Identifier: MIT
 *
 * vss.h - volume snapshots: bodies of integration service messages (ic.h).
 *
 * Source: linux include/uapi/linux/hyperv.h, drivers/hv/hv_snapshot.c.
 *
 * Freestanding: shared by the host's VSPs and by guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_VSS_H
#define VIADUCT_VMBUS_PROTO_VSS_H

#include "vmbus/proto/wire.h"

enum vss_operation {
	VSS_CREATE = 0,
	VSS_DELETE = 1,
	VSS_HOT_BACKUP = 2, /* can the guest be backed up while it runs? */
	VSS_GET_DM_INFO = 3,
	VSS_BACKUP_COMPLETE = 4,
	VSS_FREEZE = 5,
	VSS_THAW = 6,
	VSS_AUTO_RECOVER = 7,
};

struct vss_body {
	uint8_t operation;
	uint8_t reserved[7];
	uint32_t flags; /* in answers to VSS_HOT_BACKUP and VSS_GET_DM_INFO */
} _wire_;
WIRE_SIZE(struct vss_body, 12);

#endif
