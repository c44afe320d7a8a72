/* SPDX-License-Identifier: MIT
 *
 * acpi.h - the ACPI tables of a partition: RSDP, XSDT, FADT, FACS, MADT and DSDT at BOOT_ACPI_GPA,
 * where systems also look by themselves.
 *
 * Source: ACPI 6.4, chapter 5.
 */
#ifndef VIADUCT_NODE_HV_ACPI_H
#define VIADUCT_NODE_HV_ACPI_H

#include "base/gpa.h"

#define ACPI_SCI_IRQ 9

/* `has_video`: the DSDT with a PCI bus. */
int acpi_write_tables(struct gpa_space *memory, unsigned n_vps, bool has_video);

#endif
