/* SPDX-License-Identifier: MIT
 *
 * ports.h - the I/O ports of a partition that the chipset (chipset.h) has not. Those of the
 * hypercall page are baked into code that lies in guest memory and migrates with it: they never
 * change.
 */
#ifndef VIADUCT_NODE_HV_PORTS_H
#define VIADUCT_NODE_HV_PORTS_H

#include "vmbus/proto/viaduct_cpuid.h"

#define HV_HYPERCALL_PORT 0xe4 /* OUT of any value: hypercall with RCX, RDX, R8; result in RAX */
#define HV_DOORBELL_PORT  VIADUCT_DOORBELL_PORT /* 32-bit OUT of a connection id; status in RCX */

#define SERIAL_PORT    0x3f8
#define SERIAL_N_PORTS 8
#define SERIAL_IRQ     4

#endif
