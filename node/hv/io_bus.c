/* SPDX-License-Identifier: MIT */
#include "node/hv/io_bus.h"

#include <string.h>

int io_bus_add(
	struct io_bus *bus, uint16_t first, uint16_t n_ports, io_handler_fn handler, void *opaque)
{
	if (!n_ports || first + n_ports > 0x10000)
		return -EINVAL;
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct io_range *range = &bus->ranges[i];

		if (first < range->first + range->n_ports && range->first < first + n_ports)
			return -EEXIST;
	}
	if (bus->n_ranges == IO_BUS_MAX_RANGES)
		return -ENOSPC;
	bus->ranges[bus->n_ranges++] = (struct io_range){first, n_ports, handler, opaque};
	return 0;
}

void io_bus_access(const struct io_bus *bus, struct vp *vp, struct io_access *access)
{
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct io_range *range = &bus->ranges[i];

		if (access->port >= range->first && access->port - range->first < range->n_ports) {
			range->handler(range->opaque, vp, access);
			return;
		}
	}
}

void io_bus_accesses(const struct io_bus *bus, struct vp *vp, uint16_t port, bool is_write,
	uint8_t size_bytes, uint32_t n, void *data)
{
	uint8_t *at = data;

	for (uint32_t i = 0; i < n; i++, at += size_bytes) {
		struct io_access access = {
			.port = port,
			.size_bytes = size_bytes,
			.is_write = is_write,
			.value = UINT32_MAX,
		};

		if (is_write) {
			access.value = 0;
			memcpy(&access.value, at, size_bytes);
		}
		io_bus_access(bus, vp, &access);
		if (!is_write)
			memcpy(at, &access.value, size_bytes);
	}
}
