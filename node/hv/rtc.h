/* SPDX-License-Identifier: MIT
 *
 * rtc.h - the CMOS clock of a PC (MC146818 with a century byte) as a pure state machine: the
 * world's time (UTC, nanoseconds since 1970) is given with each access. A guest that sets its clock
 * moves it against the world's, and that difference is what is kept.
 *
 * Modelled: time in BCD or binary, 12 or 24 hours; SET; "update in progress" before each second;
 * alarm and update interrupts; battery-backed bytes. Not modelled: periodic interrupts, which have
 * a rate that nobody should want of a virtual machine, daylight saving, the divider.
 *
 * Saved form: index, reg_a, reg_b, reg_c u8, offset_s s64, bytes[128].
 */
#ifndef VIADUCT_NODE_HV_RTC_H
#define VIADUCT_NODE_HV_RTC_H

#include "base/bytes.h"

#define RTC_N_BYTES 128
#define RTC_CENTURY 0x32

struct rtc {
	uint8_t index; /* of the byte that the data port is */
	uint8_t reg_a, reg_b;
	uint8_t reg_c;    /* interrupts that came; reading it settles them */
	int64_t offset_s; /* the guest's clock minus the world's */
	/* Time registers only while SET is on; registers A to D never. */
	uint8_t bytes[RTC_N_BYTES];
};

void rtc_init(struct rtc *rtc);
/* `at` 0: index port, 1: data port. */
uint8_t rtc_read(struct rtc *rtc, unsigned at, int64_t now_ns);
void rtc_write(struct rtc *rtc, unsigned at, uint8_t value, int64_t now_ns);

/* Whether the guest waits for interrupts: then rtc_tick() is called when a second has begun. */
bool rtc_wants_ticks(const struct rtc *rtc);
void rtc_tick(struct rtc *rtc, int64_t now_ns);
/* The state of the interrupt line; to be looked at after every call. */
bool rtc_irq(const struct rtc *rtc);

void rtc_save(const struct rtc *rtc, struct buf *out);
int rtc_restore(struct rtc *rtc, struct reader *in);

#endif
