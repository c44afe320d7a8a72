/* SPDX-License-Identifier: MIT
 *
 * shm_port.h - layout of the memory that a switch port and a VM process share. Freestanding.
 *
 * One memfd, sealed against shrinking and growing, made by the switch:
 *
 *   0                               struct shm_port
 *   SHM_PORT_DATA_AT                ring VM -> switch, ring_bytes
 *   SHM_PORT_DATA_AT + ring_bytes   ring switch -> VM, ring_bytes
 *
 * A ring is a single-producer single-consumer queue of bytes. `head` and `tail` run freely (modulo
 * 2^32) and count bytes; a byte's place is its index modulo ring_bytes. Records start at multiples
 * of SHM_RECORD_ALIGN and may wrap anywhere. Each index is written by one side only, and that side
 * works from a private copy: what the other side does to it has no effect.
 *
 * Wake-ups: a consumer about to sleep sets want_data, looks at head once more and sleeps; a
 * producer that published head and finds want_data set takes it (exchange with 0) and kicks.
 * want_space is the same for a producer that found no room: it is kicked when the ring is at most
 * half full, which has room for any record. These stores and looks are sequentially consistent.
 *
 * Byte order: that of the machine; both sides run on it.
 */
#ifndef VIADUCT_FABRIC_SHM_PORT_H
#define VIADUCT_FABRIC_SHM_PORT_H

#include <stddef.h>
#include <stdint.h>

#define SHM_PORT_MAGIC          0x3154504d48534456ULL /* "VDSHMPT1" */
#define SHM_PORT_VERSION        1
#define SHM_PORT_DATA_AT        4096U
#define SHM_PORT_RING_MIN_BYTES (256U * 1024)
#define SHM_PORT_RING_MAX_BYTES (16U * 1024 * 1024)
#define SHM_RECORD_ALIGN        8U

enum shm_port_state {
	SHM_PORT_LIVE = 1,
	SHM_PORT_SHUT = 2, /* the switch no longer serves this port */
};

struct shm_ring_ctl {
	uint32_t head; /* producer's: end of the last record written */
	uint32_t want_space;
	uint8_t reserved1[56];
	uint32_t tail; /* consumer's: end of the last record taken */
	uint32_t want_data;
	uint8_t reserved2[56];
};

struct shm_port {
	/* Set by the switch before it hands the memory out. */
	uint64_t magic;
	uint32_t version;
	uint32_t ring_bytes;   /* of each ring; a power of two */
	uint32_t switch_state; /* enum shm_port_state; the one field here that changes */
	uint8_t reserved1[44];
	/* The VM's: enum eth_cap bits it takes on received frames. */
	uint32_t vm_caps;
	uint8_t reserved2[60];
	struct shm_ring_ctl to_switch;
	struct shm_ring_ctl to_vm;
};

struct shm_record {
	uint32_t frame_bytes;
	uint16_t reserved;   /* 0 */
	uint8_t eth_hdr[10]; /* struct eth_hdr; the frame follows */
};

_Static_assert(sizeof(struct shm_record) == 16, "struct shm_record must be 16 bytes");
_Static_assert(offsetof(struct shm_record, eth_hdr) == 6, "eth_hdr must be at 6");
_Static_assert(sizeof(struct shm_ring_ctl) == 128, "each side has a cache line of its own");
_Static_assert(offsetof(struct shm_ring_ctl, tail) == 64, "tail must be at 64");
_Static_assert(offsetof(struct shm_port, vm_caps) == 64, "vm_caps must be at 64");
_Static_assert(offsetof(struct shm_port, to_switch) == 128, "to_switch must be at 128");
_Static_assert(offsetof(struct shm_port, to_vm) == 256, "to_vm must be at 256");
_Static_assert(sizeof(struct shm_port) <= SHM_PORT_DATA_AT, "the rings start behind");

#endif
