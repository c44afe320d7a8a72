/* SPDX-License-Identifier: MIT
 *
 * chipset.h - what answers at a PC's ports besides the serial port, as one pure state machine:
 * power management, clock, PCI configuration and the two ways to reset.
 *
 * Threads: one caller at a time. Saved form: pm1.h, rtc.h, pci_config.h, in this order.
 */
#ifndef VIADUCT_NODE_HV_CHIPSET_H
#define VIADUCT_NODE_HV_CHIPSET_H

#include "node/hv/io_bus.h"
#include "node/hv/pci_config.h"
#include "node/hv/pm1.h"
#include "node/hv/rtc.h"

#define KEYBOARD_PORT       0x64
#define KEYBOARD_PULSE_INIT 0xfe /* pulse the line that resets the CPU */
#define RTC_PORT            0x70
#define RTC_N_PORTS         2
#define RTC_IRQ             8
#define RESET_PORT          0xcf9 /* between PCI's, which are wider */
#define RESET_SYSTEM        0x02
#define RESET_CPU           0x04 /* do it now */
/* Where QEMU's machines have it: guests without ACPI know the place. */
#define PM1_PORT 0x600

#define CHIPSET_N_RANGES 4

struct chipset {
	struct pm1 pm1;
	struct rtc rtc;
	struct pci_config pci;
};

enum chipset_event {
	CHIPSET_NONE,
	CHIPSET_POWEROFF,
	CHIPSET_RESET,
};

/* As pci_config_init(). */
void chipset_init(struct chipset *chipset, uint64_t window_base, uint64_t window_bytes);

struct chipset_range {
	uint16_t first, n_ports;
};
extern const struct chipset_range chipset_ranges[CHIPSET_N_RANGES];

/* An access to one of its ranges; `now_ns` is UTC since 1970. */
enum chipset_event chipset_access(
	struct chipset *chipset, struct io_access *access, int64_t now_ns);

void chipset_save(const struct chipset *chipset, struct buf *out);
int chipset_restore(struct chipset *chipset, struct reader *in);

#endif
