/* SPDX-License-Identifier: MIT
 *
 * io_bus.h - who answers at which I/O port. Filled while the partition is made, constant
 * afterwards, so that VPs look things up without a lock.
 */
#ifndef VIADUCT_NODE_HV_IO_BUS_H
#define VIADUCT_NODE_HV_IO_BUS_H

#include "base/err.h"

#define IO_BUS_MAX_RANGES 16

struct vp;

struct io_access {
	uint16_t port;
	uint8_t size_bytes; /* 1, 2 or 4 */
	bool is_write;
	uint32_t value; /* written; or to be answered, all ones beforehand */
};

/* On the thread of `vp`. */
typedef void (*io_handler_fn)(void *opaque, struct vp *vp, struct io_access *access);

struct io_range {
	uint16_t first, n_ports;
	io_handler_fn handler;
	void *opaque;
};

struct io_bus {
	unsigned n_ranges;
	struct io_range ranges[IO_BUS_MAX_RANGES];
};

/* 0, -EINVAL (beyond 64 Ki), -EEXIST (overlap), -ENOSPC. */
int io_bus_add(
	struct io_bus *bus, uint16_t first, uint16_t n_ports, io_handler_fn handler, void *opaque);

/* Nobody there: reads give all ones, writes are lost, as on a PC. */
void io_bus_access(const struct io_bus *bus, struct vp *vp, struct io_access *access);

/* All accesses of one KVM_EXIT_IO: `n` times `size_bytes` at `data`, all of them to one port. */
void io_bus_accesses(const struct io_bus *bus, struct vp *vp, uint16_t port, bool is_write,
	uint8_t size_bytes, uint32_t n, void *data);

#endif
