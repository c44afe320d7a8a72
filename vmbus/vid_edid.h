/* SPDX-License-Identifier: MIT
 *
 * vid_edid.h - what the virtual monitor says of itself: an EDID 1.4 block whose preferred mode is
 * the one that the VM is configured with. Internal to vmbus/.
 *
 * Sources: VESA E-EDID release A, revision 2; VESA CVT 1.2, reduced blanking.
 */
#ifndef VIADUCT_VMBUS_VID_EDID_H
#define VIADUCT_VMBUS_VID_EDID_H

#include "vmbus/proto/synthvid.h"

/* 640 <= width <= 4095, 480 <= height <= 4095. */
void vid_edid_fill(uint8_t ret_edid[SYNTHVID_EDID_BYTES], uint32_t width, uint32_t height);

#endif
