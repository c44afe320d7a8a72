/* SPDX-License-Identifier: MIT
 *
 * dynmem_rig.h - the guest's side of dynamic memory, without a channel and with a time of its own,
 * and a host that makes memory as it is wanted. One guest at a time.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_DYNMEM_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_DYNMEM_RIG_H

#include "base/clock.h"
#include "vmbus/dynmem_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MIB          (1ULL << 20)
#define MIB_PAGES    256U
#define DM_RAM_PAGES (1024U * MIB_PAGES)
#define DM_HOT_FIRST (4096ULL * MIB_PAGES)

/* Linux'. */
#define DM_CAPABILITIES (DYNMEM_CAP_BALLOON | DYNMEM_CAP_HOT_ADD | 7U << DYNMEM_CAP_ALIGNMENT_SHIFT)

extern struct dynmem_core dm_core;
extern const struct dynmem_core_config dm_config; /* 256 MiB, 1 GiB, 4 GiB */
extern uint64_t dm_now_ns;
extern uint64_t dm_hot_pages; /* that the host made */

/* What the host said last. */
extern uint8_t dm_message[DYNMEM_MAX_MESSAGE_BYTES];
extern struct dynmem_header dm_header;

int dm_setup(void **state);
int dm_teardown(void **state);

/* Any payload, in memory of just its size. */
void dm_push(const void *bytes, size_t size_bytes);
void dm_say(uint16_t type, const void *body, size_t body_bytes);
void dm_say_version(uint32_t version, bool is_last);
/* A second later. What is in the balloon is added to what is committed, as guests do. */
void dm_say_status(uint64_t committed_bytes, uint64_t available_bytes);
void dm_say_ballooned(bool more, const uint64_t *ranges, uint32_t n_ranges);

/* False: the host has nothing to say now. */
bool dm_fetch(void);
void dm_expect(uint16_t type);
void dm_quiet(void);
void dm_expect_response(uint16_t type, uint64_t accepted);
/* Returns the pages that are asked for. */
uint32_t dm_expect_balloon(void);

/* Open the channel and negotiate. */
void dm_up_with(uint64_t capabilities);
/* Be asked for these many pages, and give just them. */
void dm_balloon(uint64_t first, uint32_t n_pages);
/* Be offered memory. */
void dm_answer_hot_add(uint32_t n_pages, uint32_t result);

#endif
