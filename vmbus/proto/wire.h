/* SPDX-License-Identifier: MIT
 *
 * wire.h - how the headers of this folder describe bytes: packed structs of fixed-width integers,
 * sizes and offsets proved when they are compiled. All integers are little-endian, as is every CPU
 * that can run a partition; whoever wants a field of a byte string copies the struct out first.
 *
 * Freestanding: shared by the host, the guest library, the tests and the fuzz targets.
 */
#ifndef VIADUCT_VMBUS_PROTO_WIRE_H
#define VIADUCT_VMBUS_PROTO_WIRE_H

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire structs are little-endian");

#define _wire_ __attribute__((packed))

#define WIRE_SIZE(type, size_bytes)                                                                \
	_Static_assert(sizeof(type) == (size_bytes), #type " must be " #size_bytes " bytes")
#define WIRE_OFFSET(type, member, at)                                                              \
	_Static_assert(offsetof(type, member) == (at), #type "." #member " must be at " #at)

#endif
