/* SPDX-License-Identifier: MIT
 *
 * dynmem.h - messages of dynamic memory: inband packets without completions and without a pipe
 * header. Pages are of 4 KiB.
 *
 * Source: linux drivers/hv/hv_balloon.c.
 *
 * Freestanding: shared by the host's VSPs and by guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_DYNMEM_H
#define VIADUCT_VMBUS_PROTO_DYNMEM_H

#include "vmbus/proto/wire.h"

enum dynmem_type {
	DYNMEM_VERSION_REQUEST = 1, /* from the guest, as are capabilities, status and responses */
	DYNMEM_VERSION_RESPONSE = 2,
	DYNMEM_CAPABILITIES = 3,
	DYNMEM_CAPABILITIES_RESPONSE = 4,
	DYNMEM_STATUS = 5,
	DYNMEM_BALLOON_REQUEST = 6,
	DYNMEM_BALLOON_RESPONSE = 7,
	DYNMEM_UNBALLOON_REQUEST = 8,
	DYNMEM_UNBALLOON_RESPONSE = 9,
	DYNMEM_HOT_ADD_REQUEST = 10,
	DYNMEM_HOT_ADD_RESPONSE = 11,
	DYNMEM_INFO = 12, /* from version 1.0 */
};

#define DYNMEM_VERSION_0_3 0x00000003U
#define DYNMEM_VERSION_1_0 0x00010000U
#define DYNMEM_VERSION_2_0 0x00020000U

/* No message is longer, in either direction: guests have a page for it. */
#define DYNMEM_MAX_MESSAGE_BYTES 4096U

struct dynmem_header {
	uint16_t type;
	uint16_t size_bytes; /* of the message, with this */
	uint32_t transaction_id;
} _wire_;
WIRE_SIZE(struct dynmem_header, 8);

struct dynmem_version_request {
	struct dynmem_header header;
	uint32_t version;
	uint32_t flags; /* bit 0: the last attempt */
} _wire_;
WIRE_SIZE(struct dynmem_version_request, 16);

/* To the version and to the capabilities. */
struct dynmem_response {
	struct dynmem_header header;
	uint64_t accepted; /* bit 0 */
} _wire_;
WIRE_SIZE(struct dynmem_response, 16);

#define DYNMEM_CAP_BALLOON         0x1U
#define DYNMEM_CAP_HOT_ADD         0x2U
#define DYNMEM_CAP_ALIGNMENT_SHIFT 2 /* of hot-added ranges: log2 of MiB, four bits */
#define DYNMEM_CAP_ALIGNMENT_MASK  0xfU

struct dynmem_capabilities {
	struct dynmem_header header;
	uint64_t capabilities;
	uint64_t min_pages;
	uint64_t max_page_number;
} _wire_;
WIRE_SIZE(struct dynmem_capabilities, 32);

/* Once a second. */
struct dynmem_status {
	struct dynmem_header header;
	uint64_t available_pages;
	uint64_t committed_pages; /* what is in the balloon counts as committed */
	uint64_t page_file_pages;
	uint64_t zero_free_pages;
	uint32_t page_file_writes;
	uint32_t io_difference;
} _wire_;
WIRE_SIZE(struct dynmem_status, 48);

struct dynmem_balloon_request {
	struct dynmem_header header;
	uint32_t n_pages; /* in steps of 2 MiB */
	uint32_t reserved;
} _wire_;
WIRE_SIZE(struct dynmem_balloon_request, 16);

/* A range of pages: number of the first in the lower bits, how many in the upper. */
#define DYNMEM_RANGE_FIRST_BITS 40
#define DYNMEM_RANGE_MAX_PAGES  0xffffffU

static inline uint64_t dynmem_range(uint64_t first, uint32_t n_pages)
{
	return first | (uint64_t)n_pages << DYNMEM_RANGE_FIRST_BITS;
}

static inline uint64_t dynmem_range_first(uint64_t range)
{
	return range & ((1ULL << DYNMEM_RANGE_FIRST_BITS) - 1);
}

static inline uint32_t dynmem_range_n_pages(uint64_t range)
{
	return (uint32_t)(range >> DYNMEM_RANGE_FIRST_BITS);
}

struct dynmem_balloon_response {
	struct dynmem_header header;
	uint32_t reserved;
	uint32_t more_and_n_ranges; /* bit 0: more messages follow; the rest: how many ranges */
	uint64_t ranges[];
} _wire_;
WIRE_SIZE(struct dynmem_balloon_response, 16);

struct dynmem_unballoon_request {
	struct dynmem_header header;
	uint32_t more; /* bit 0 */
	uint32_t n_ranges;
	uint64_t ranges[];
} _wire_;
WIRE_SIZE(struct dynmem_unballoon_request, 16);

/* Once, to the request without `more`. */
struct dynmem_unballoon_response {
	struct dynmem_header header;
} _wire_;

#define DYNMEM_MAX_RANGES                                                                          \
	((DYNMEM_MAX_MESSAGE_BYTES - sizeof(struct dynmem_unballoon_request)) / sizeof(uint64_t))

struct dynmem_hot_add_request {
	struct dynmem_header header;
	uint64_t range;
} _wire_;
WIRE_SIZE(struct dynmem_hot_add_request, 16);

/* None added: result 0 means not now, 1 never. */
struct dynmem_hot_add_response {
	struct dynmem_header header;
	uint32_t n_pages;
	uint32_t result;
} _wire_;
WIRE_SIZE(struct dynmem_hot_add_response, 16);

#define DYNMEM_INFO_MAX_PAGES 0U

struct dynmem_info_message {
	struct dynmem_header header;
	uint32_t reserved;
	uint32_t info_bytes; /* of what follows */
	uint32_t type;       /* DYNMEM_INFO_* */
	uint32_t data_bytes;
	uint64_t data;
} _wire_;
WIRE_SIZE(struct dynmem_info_message, 32);

#endif
