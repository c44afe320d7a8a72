/* SPDX-License-Identifier: MIT
 *
 * pci_config.h - PCI configuration space behind ports 0xcf8 and 0xcfc (mechanism 1), as a pure
 * state machine: bus 0 with a host bridge and the display function that drivers of the synthetic
 * video device take their memory from. Base address 0 is sized and kept like any other, but the
 * memory stays where it is: firmware - which is us - has put it there, and nobody has a reason to
 * move it.
 *
 * Source: PCI Local Bus 3.0, chapter 6.
 */
#ifndef VIADUCT_NODE_HV_PCI_CONFIG_H
#define VIADUCT_NODE_HV_PCI_CONFIG_H

#include "base/bytes.h"

#define PCI_ADDRESS_PORT 0xcf8
#define PCI_DATA_PORT    0xcfc
#define PCI_DATA_BYTES   4

#define PCI_N_FUNCTIONS  2
#define PCI_HEADER_BYTES 64

struct pci_config {
	/* Constant. */
	bool is_present;
	uint32_t window_bytes; /* of base address 0 of the display */

	uint32_t address;
	uint8_t headers[PCI_N_FUNCTIONS][PCI_HEADER_BYTES];
};

/* `window_bytes` 0: no PCI. Otherwise a power of two from 16 on. */
void pci_config_init(struct pci_config *pci, uint64_t window_base, uint64_t window_bytes);

uint32_t pci_config_address(const struct pci_config *pci);
void pci_config_set_address(struct pci_config *pci, uint32_t address);
/* A byte of the data port, `at` 0..3. */
uint8_t pci_config_read(const struct pci_config *pci, unsigned at);
void pci_config_write(struct pci_config *pci, unsigned at, uint8_t value);

/* Saved form: address u32 and the headers; nothing when there is no PCI. */
void pci_config_save(const struct pci_config *pci, struct buf *out);
int pci_config_restore(struct pci_config *pci, struct reader *in);

#endif
