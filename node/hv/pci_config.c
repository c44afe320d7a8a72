/* SPDX-License-Identifier: MIT */
#include "node/hv/pci_config.h"

#define ADDRESS_ENABLE 0x80000000U
#define ADDRESS_BITS   0x80fffffcU

enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_REVISION = 0x08,
	PCI_SUBCLASS = 0x0a,
	PCI_CLASS = 0x0b,
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_BASE_0 = 0x10,
	PCI_INTERRUPT_LINE = 0x3c,
};

#define COMMAND_MEMORY     0x02
#define COMMAND_BUS_MASTER 0x04
#define BASE_FLAGS         0xfU

enum {
	BRIDGE,
	DISPLAY,
};

static const struct {
	uint8_t device; /* on bus 0, function 0 */
	uint16_t vendor_id, device_id;
	uint8_t class, subclass;
} functions[PCI_N_FUNCTIONS] = {
	[BRIDGE] = {.device = 0, .vendor_id = 0x8086, .device_id = 0x7192, .class = 6},
	[DISPLAY] = {.device = 8, .vendor_id = 0x1414, .device_id = 0x5353, .class = 3},
};

void pci_config_init(struct pci_config *pci, uint64_t window_base, uint64_t window_bytes)
{
	*pci = (struct pci_config){
		.is_present = window_bytes != 0,
		.window_bytes = (uint32_t)window_bytes,
	};
	for (size_t i = 0; i < PCI_N_FUNCTIONS; i++) {
		uint8_t *header = pci->headers[i];

		store_le16(header + PCI_VENDOR, functions[i].vendor_id);
		store_le16(header + PCI_DEVICE, functions[i].device_id);
		header[PCI_COMMAND] = COMMAND_MEMORY | COMMAND_BUS_MASTER;
		header[PCI_SUBCLASS] = functions[i].subclass;
		header[PCI_CLASS] = functions[i].class;
	}
	store_le32(pci->headers[DISPLAY] + PCI_BASE_0, (uint32_t)window_base);
}

/* The bits of a header's byte that can be written. */
static uint8_t writable(const struct pci_config *pci, size_t function, unsigned at)
{
	if (function != DISPLAY)
		return 0;
	switch (at) {
	case PCI_COMMAND:
		return COMMAND_MEMORY | COMMAND_BUS_MASTER;
	case PCI_CACHE_LINE:
	case PCI_LATENCY:
	case PCI_INTERRUPT_LINE:
		return 0xff;
	case PCI_BASE_0 ... PCI_BASE_0 + 3:
		return (uint8_t)((~(pci->window_bytes - 1) & ~BASE_FLAGS) >> 8 * (at - PCI_BASE_0));
	default:
		return 0;
	}
}

/* The function and the register that the address names; false: there is none. */
static bool find_register(
	const struct pci_config *pci, unsigned at, size_t *ret_function, unsigned *ret_reg)
{
	uint32_t bus_device_function = pci->address >> 8 & 0xffff;

	if (!(pci->address & ADDRESS_ENABLE))
		return false;
	for (size_t i = 0; i < PCI_N_FUNCTIONS; i++) {
		if (bus_device_function == (uint32_t)functions[i].device << 3) {
			*ret_function = i;
			*ret_reg = (pci->address & 0xfc) + at;
			return true;
		}
	}
	return false;
}

uint32_t pci_config_address(const struct pci_config *pci)
{
	return pci->address;
}

void pci_config_set_address(struct pci_config *pci, uint32_t address)
{
	pci->address = address & ADDRESS_BITS;
}

uint8_t pci_config_read(const struct pci_config *pci, unsigned at)
{
	size_t function;
	unsigned reg;

	if (!find_register(pci, at, &function, &reg))
		return 0xff;
	return reg < PCI_HEADER_BYTES ? pci->headers[function][reg] : 0;
}

void pci_config_write(struct pci_config *pci, unsigned at, uint8_t value)
{
	size_t function;
	unsigned reg;
	uint8_t mask;

	if (!find_register(pci, at, &function, &reg) || reg >= PCI_HEADER_BYTES)
		return;
	mask = writable(pci, function, reg);
	pci->headers[function][reg] =
		(uint8_t)((pci->headers[function][reg] & ~mask) | (value & mask));
}

void pci_config_save(const struct pci_config *pci, struct buf *out)
{
	if (!pci->is_present)
		return;
	buf_le32(out, pci->address);
	buf_bytes(out, pci->headers, sizeof(pci->headers));
}

/* What cannot be written must be what it is here. */
int pci_config_restore(struct pci_config *pci, struct reader *in)
{
	struct pci_config restored = *pci;

	if (!pci->is_present)
		return 0;
	restored.address = reader_le32(in);
	reader_bytes(in, restored.headers, sizeof(restored.headers));
	if (!reader_ok(in) || restored.address & ~ADDRESS_BITS)
		return -EBADMSG;
	for (size_t i = 0; i < PCI_N_FUNCTIONS; i++) {
		for (unsigned at = 0; at < PCI_HEADER_BYTES; at++) {
			if ((restored.headers[i][at] ^ pci->headers[i][at]) & ~writable(pci, i, at))
				return -EBADMSG;
		}
	}
	*pci = restored;
	return 0;
}
