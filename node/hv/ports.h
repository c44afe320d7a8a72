/* SPDX-License-Identifier: MIT
 *
 * ports.h - the I/O ports of a partition. Those of the hypercall page are baked into code that lies
 * in guest memory and migrates with it: they never change.
 */
#ifndef VIADUCT_NODE_HV_PORTS_H
#define VIADUCT_NODE_HV_PORTS_H

#include "vmbus/proto/viaduct_cpuid.h"

#define HV_HYPERCALL_PORT 0xe4 /* OUT of any value: hypercall with RCX, RDX, R8; result in RAX */
#define HV_DOORBELL_PORT  VIADUCT_DOORBELL_PORT /* 32-bit OUT of a connection id; status in RCX */

#define SERIAL_PORT    0x3f8
#define SERIAL_N_PORTS 8
#define SERIAL_IRQ     4

/* Where ACPI's PM1a control register is on QEMU's machines: guests without ACPI know the place. */
#define POWER_PORT         0x604
#define POWER_SLEEP_ENABLE 0x2000 /* 16-bit OUT with this bit set powers off */

#endif
