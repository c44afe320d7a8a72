/* SPDX-License-Identifier: MIT
 *
 * pm1.h - ACPI's fixed power management registers: status, enable and control of block 1a. There is
 * no source of events, so status stays clear and no interrupt is raised; what a guest enables is
 * kept. ACPI mode is always on. Every sleep is the last one: S5 is all that the DSDT names.
 *
 * Source: ACPI 6.4, 4.8.3.
 */
#ifndef VIADUCT_NODE_HV_PM1_H
#define VIADUCT_NODE_HV_PM1_H

#include "base/bytes.h"

#define PM1_STATUS        0
#define PM1_ENABLE        2
#define PM1_CONTROL       4
#define PM1_EVENT_BYTES   4
#define PM1_CONTROL_BYTES 2
#define PM1_N_PORTS       6

#define PM1_CONTROL_SCI_ENABLE   0x0001 /* reads as set */
#define PM1_CONTROL_SLEEP_ENABLE 0x2000 /* reads as clear */

struct pm1 {
	uint16_t enable;
	uint16_t control;
};

void pm1_init(struct pm1 *pm1);
/* One byte at `at` (0..PM1_N_PORTS - 1). */
uint8_t pm1_read(const struct pm1 *pm1, unsigned at);
/* True: the guest powers off. */
bool pm1_write(struct pm1 *pm1, unsigned at, uint8_t value);

/* Saved form: enable, control u16. */
void pm1_save(const struct pm1 *pm1, struct buf *out);
int pm1_restore(struct pm1 *pm1, struct reader *in);

#endif
