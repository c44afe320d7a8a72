/* SPDX-License-Identifier: MIT
 *
 * work.h - the memory workload: a working set whose pages are touched in order at a set rate, every
 * one of them with content that can be checked.
 *
 * A page is 64 lines of 64 bytes. Line 0 holds the header: which page this is and how often it was
 * touched, and a mix of that. Lines 1 to 32 are pseudo-random (no compressor finds anything), lines
 * 33 to 63 repeat. The n-th touch checks the header, checks and rewrites random line 1 + n % 32,
 * and writes the next header; so every touch changes 80 bytes of a page, and 32 touches all that
 * can. work_verify checks every byte.
 */
#ifndef VIADUCT_VMBUS_GUEST_WORK_H
#define VIADUCT_VMBUS_GUEST_WORK_H

#include "vmbus/guest/mem.h"

#define WORK_PAGE_BYTES 4096

enum work_state {
	WORK_IDLE,    /* no working set, or rate 0 */
	WORK_FILLING, /* the first content is being written */
	WORK_TOUCHING,
};

struct work {
	uint8_t *base;
	size_t max_pages;

	enum work_state state;
	size_t n_pages;
	uint32_t rate; /* pages a second */
	uint64_t n_touched;
	uint64_t n_bad;
	size_t cursor;       /* next page to fill or touch */
	uint32_t pass;       /* touches of the page under the cursor */
	uint64_t started_ns; /* of touching at this rate */
	uint64_t n_at_rate;  /* touched since */

	bool verifying;
	size_t verify_cursor;
	uint64_t verify_bad;
	uint32_t verify_crc;
};

void work_init(struct work *work, void *base, size_t size_bytes);
/* -ENOMEM: the working set does not fit. The same size keeps the content, another one starts anew.
 */
int work_set(struct work *work, uint32_t pages_per_s, uint32_t size_mb, uint64_t now_ns);
/* Do a share of what is due, some microseconds' worth. False: nothing is due now. */
bool work_run(struct work *work, uint64_t now_ns);
/* True while the workload wants the CPU to itself: polling keeps the rate even and shows gaps. */
bool work_is_busy(const struct work *work);

/* Check all of it, a share at a time; touching rests meanwhile. -EBUSY while filling or verifying.
 */
int work_verify_start(struct work *work);
/* True: done; verify_bad and verify_crc (CRC-32 as zlib has it, of the whole working set) are
 * final. */
bool work_verify_step(struct work *work, uint64_t now_ns);

/* One page, for tests. pass: touches so far, 0 after filling. */
void work_page_fill(uint8_t *page, uint32_t index);
bool work_page_touch(uint8_t *page, uint32_t index, uint32_t pass);
bool work_page_verify(const uint8_t *page, uint32_t index, uint32_t pass);

#endif
