/* SPDX-License-Identifier: MIT */
#include "node/hv/chipset.h"

#define PCI_N_PORTS (PCI_DATA_PORT + PCI_DATA_BYTES - PCI_ADDRESS_PORT)

const struct chipset_range chipset_ranges[CHIPSET_N_RANGES] = {
	{KEYBOARD_PORT, 1},
	{RTC_PORT, RTC_N_PORTS},
	{PM1_PORT, PM1_N_PORTS},
	{PCI_ADDRESS_PORT, PCI_N_PORTS},
};

void chipset_init(struct chipset *chipset, uint64_t window_base, uint64_t window_bytes)
{
	pm1_init(&chipset->pm1);
	rtc_init(&chipset->rtc);
	pci_config_init(&chipset->pci, window_base, window_bytes);
}

static bool is_within(uint16_t port, uint16_t first, uint16_t n_ports)
{
	return port >= first && port - first < n_ports;
}

static uint8_t read_byte(struct chipset *chipset, uint16_t port, int64_t now_ns)
{
	if (is_within(port, RTC_PORT, RTC_N_PORTS))
		return rtc_read(&chipset->rtc, port - RTC_PORT, now_ns);
	if (is_within(port, PM1_PORT, PM1_N_PORTS))
		return pm1_read(&chipset->pm1, port - PM1_PORT);
	if (port == RESET_PORT)
		return 0;
	if (chipset->pci.is_present && is_within(port, PCI_DATA_PORT, PCI_DATA_BYTES))
		return pci_config_read(&chipset->pci, port - PCI_DATA_PORT);
	return 0xff;
}

static enum chipset_event write_byte(
	struct chipset *chipset, uint16_t port, uint8_t value, int64_t now_ns)
{
	if (port == KEYBOARD_PORT && value == KEYBOARD_PULSE_INIT)
		return CHIPSET_RESET;
	if (port == RESET_PORT && value & RESET_CPU)
		return CHIPSET_RESET;
	if (is_within(port, RTC_PORT, RTC_N_PORTS))
		rtc_write(&chipset->rtc, port - RTC_PORT, value, now_ns);
	else if (chipset->pci.is_present && is_within(port, PCI_DATA_PORT, PCI_DATA_BYTES))
		pci_config_write(&chipset->pci, port - PCI_DATA_PORT, value);
	else if (is_within(port, PM1_PORT, PM1_N_PORTS) &&
		 pm1_write(&chipset->pm1, port - PM1_PORT, value))
		return CHIPSET_POWEROFF;
	return CHIPSET_NONE;
}

/* The address register takes 32-bit accesses only; narrower ones go to what lies there too. */
static bool is_pci_address(const struct chipset *chipset, const struct io_access *access)
{
	return chipset->pci.is_present && access->port == PCI_ADDRESS_PORT &&
	       access->size_bytes == sizeof(uint32_t);
}

enum chipset_event chipset_access(struct chipset *chipset, struct io_access *access, int64_t now_ns)
{
	enum chipset_event event = CHIPSET_NONE;

	if (is_pci_address(chipset, access)) {
		if (access->is_write)
			pci_config_set_address(&chipset->pci, access->value);
		else
			access->value = pci_config_address(&chipset->pci);
		return CHIPSET_NONE;
	}
	/* A wide access to the address port of a bus that is not there resets nothing. */
	if (access->port == PCI_ADDRESS_PORT && access->size_bytes == sizeof(uint32_t))
		return CHIPSET_NONE;
	for (unsigned i = 0; i < access->size_bytes; i++) {
		uint16_t port = (uint16_t)(access->port + i);

		if (access->is_write) {
			enum chipset_event one = write_byte(
				chipset, port, (uint8_t)(access->value >> 8 * i), now_ns);

			event = one == CHIPSET_NONE ? event : one;
		} else {
			access->value &= ~(0xffU << 8 * i);
			access->value |= (uint32_t)read_byte(chipset, port, now_ns) << 8 * i;
		}
	}
	return event;
}

void chipset_save(const struct chipset *chipset, struct buf *out)
{
	pm1_save(&chipset->pm1, out);
	rtc_save(&chipset->rtc, out);
	pci_config_save(&chipset->pci, out);
}

int chipset_restore(struct chipset *chipset, struct reader *in)
{
	int r = pm1_restore(&chipset->pm1, in);

	if (r == 0)
		r = rtc_restore(&chipset->rtc, in);
	return r == 0 ? pci_config_restore(&chipset->pci, in) : r;
}
