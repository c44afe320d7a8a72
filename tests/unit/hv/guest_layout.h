/* SPDX-License-Identifier: MIT
 *
 * guest_layout.h - where the test guest and its tests meet in memory.
 */
#ifndef VIADUCT_TESTS_HV_GUEST_LAYOUT_H
#define VIADUCT_TESTS_HV_GUEST_LAYOUT_H

/* The host writes these, the guest looks. */
#define GUEST_GO_GPA   0x400000 /* u64: a request number, counting up */
#define GUEST_STOP_GPA 0x401000 /* u64: not 0 ends the count program */

/* Counters of the count program, one a page. */
#define GUEST_COUNTERS_GPA 0x600000
#define GUEST_N_COUNTERS   64

/* Pages that the dirty program writes, every third. */
#define GUEST_DIRTY_GPA    0x800000
#define GUEST_N_DIRTY      20
#define GUEST_DIRTY_STRIDE 3

/* Frames for the guest's SynIC pages, with a pattern below them. */
#define GUEST_SIMP_GPA  0xa00000
#define GUEST_SIEFP_GPA 0xa01000
#define GUEST_TSC_GPA   0xa02000

/* Where added memory begins: all of the RAM that the guest starts with is below. */
#define GUEST_ADDED_GPA 0x100000000

#define GUEST_SINT          2
#define GUEST_SINT_VECTOR   0x31
#define GUEST_SERIAL_VECTOR 0x24
#define GUEST_RTC_VECTOR    0x28

#endif
