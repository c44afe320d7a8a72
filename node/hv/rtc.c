/* SPDX-License-Identifier: MIT */
#include "node/hv/rtc.h"

enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
};

#define INDEX_BITS 0x7f /* the highest bit of the port masks NMIs, of which there are none */

#define A_UPDATING 0x80
#define A_DEFAULT  0x26 /* 32 768 Hz */
#define B_24_HOURS 0x02
#define B_BINARY   0x04
#define B_UPDATE   0x10 /* interrupts enabled */
#define B_ALARM    0x20
#define B_SET      0x80
#define B_BITS     (B_SET | B_ALARM | B_UPDATE | B_BINARY | B_24_HOURS | 0x09)
#define C_IRQ      0x80
#define C_CAUSES   (B_ALARM | B_UPDATE) /* flags stand where their enable bits do */
#define D_VALID    0x80                 /* the battery is good */
#define HOURS_PM   0x80
#define ALARM_ANY  0xc0 /* an alarm byte from here on matches every value */

#define NS_PER_SEC     1000000000
#define UPDATE_NS      244000                  /* UIP is up so long before the time changes */
#define OFFSET_LIMIT_S (30000LL * 366 * 86400) /* further than the registers reach */

void rtc_init(struct rtc *rtc)
{
	*rtc = (struct rtc){.reg_a = A_DEFAULT, .reg_b = B_24_HOURS};
}

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
	return (uint8_t)(rtc->reg_b & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->reg_b & B_BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hours(const struct rtc *rtc, unsigned hours)
{
	if (rtc->reg_b & B_24_HOURS)
		return encode(rtc, hours);
	return encode(rtc, (hours + 11) % 12 + 1) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t value)
{
	if (rtc->reg_b & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The Gregorian calendar, with years that begin in March: the leap day is their last. By hand,
 * because the C library's functions look for the time zone's file when they are first called, and
 * VPs run where there are no files. */
#define DAYS_BEFORE_1970    719468 /* since 1 March of the year 0 */
#define DAYS_IN_400_YEARS   146097
#define SECONDS_IN_DAY      86400
#define DAYS_TO_MONTH(from) ((153 * (from) + 2) / 5) /* months since March */

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
	int64_t era, of_era;

	year += floor_div(month - 3, 12);
	month -= 3 + floor_div(month - 3, 12) * 12;
	era = floor_div(year, 400);
	of_era = year - era * 400;
	return era * DAYS_IN_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 +
	       DAYS_TO_MONTH(month) + day - 1 - DAYS_BEFORE_1970;
}

static void date_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t era = floor_div(days + DAYS_BEFORE_1970, DAYS_IN_400_YEARS);
	int64_t of_era = days + DAYS_BEFORE_1970 - era * DAYS_IN_400_YEARS;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (year * 365 + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*ret_day = (unsigned)(of_year - DAYS_TO_MONTH(month) + 1);
	*ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
	*ret_year = era * 400 + year + (month >= 10);
}

static void time_to_bytes(struct rtc *rtc, int64_t now_ns)
{
	int64_t now = floor_div(now_ns, NS_PER_SEC) + rtc->offset_s, year;
	int64_t days = floor_div(now, SECONDS_IN_DAY);
	unsigned of_day = (unsigned)(now - days * SECONDS_IN_DAY), month, day, year_shown;

	date_from_days(days, &year, &month, &day);
	year_shown = (unsigned)(year - floor_div(year, 10000) * 10000);
	rtc->bytes[RTC_SECONDS] = encode(rtc, of_day % 60);
	rtc->bytes[RTC_MINUTES] = encode(rtc, of_day / 60 % 60);
	rtc->bytes[RTC_HOURS] = encode_hours(rtc, of_day / 3600);
	rtc->bytes[RTC_WEEKDAY] =
		encode(rtc, (unsigned)(days + 4 - floor_div(days + 4, 7) * 7) + 1);
	rtc->bytes[RTC_DAY] = encode(rtc, day);
	rtc->bytes[RTC_MONTH] = encode(rtc, month);
	rtc->bytes[RTC_YEAR] = encode(rtc, year_shown % 100);
	rtc->bytes[RTC_CENTURY] = encode(rtc, year_shown / 100);
}

/* What no calendar has is carried over. */
static void time_from_bytes(struct rtc *rtc, int64_t now_ns)
{
	const uint8_t *bytes = rtc->bytes;
	int64_t days =
		days_from_date(decode(rtc, bytes[RTC_CENTURY]) * 100 + decode(rtc, bytes[RTC_YEAR]),
			decode(rtc, bytes[RTC_MONTH]), decode(rtc, bytes[RTC_DAY]));

	rtc->offset_s = days * SECONDS_IN_DAY + decode_hours(rtc, bytes[RTC_HOURS]) * 3600 +
			decode(rtc, bytes[RTC_MINUTES]) * 60 + decode(rtc, bytes[RTC_SECONDS]) -
			floor_div(now_ns, NS_PER_SEC);
}

static bool is_time(uint8_t index)
{
	switch (index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

static bool alarm_matches(const struct rtc *rtc, uint8_t alarm_index, uint8_t index)
{
	uint8_t alarm = rtc->bytes[alarm_index];

	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == rtc->bytes[index];
}

static bool has_cause(const struct rtc *rtc)
{
	return rtc->reg_c & rtc->reg_b & C_CAUSES;
}

static void update_irq(struct rtc *rtc)
{
	rtc->reg_c = (uint8_t)((rtc->reg_c & C_CAUSES) | (has_cause(rtc) ? C_IRQ : 0));
}

bool rtc_wants_ticks(const struct rtc *rtc)
{
	return rtc->reg_b & C_CAUSES && !(rtc->reg_b & B_SET);
}

void rtc_tick(struct rtc *rtc, int64_t now_ns)
{
	if (!rtc_wants_ticks(rtc))
		return;
	time_to_bytes(rtc, now_ns);
	rtc->reg_c |= B_UPDATE;
	if (alarm_matches(rtc, RTC_SECONDS_ALARM, RTC_SECONDS) &&
		alarm_matches(rtc, RTC_MINUTES_ALARM, RTC_MINUTES) &&
		alarm_matches(rtc, RTC_HOURS_ALARM, RTC_HOURS))
		rtc->reg_c |= B_ALARM;
	update_irq(rtc);
}

bool rtc_irq(const struct rtc *rtc)
{
	return rtc->reg_c & C_IRQ;
}

static uint8_t read_reg_c(struct rtc *rtc)
{
	uint8_t value = rtc->reg_c;

	rtc->reg_c = 0;
	return value;
}

static uint8_t read_reg_a(const struct rtc *rtc, int64_t now_ns)
{
	int64_t into_second_ns = now_ns - floor_div(now_ns, NS_PER_SEC) * NS_PER_SEC;
	bool updating = !(rtc->reg_b & B_SET) && into_second_ns >= NS_PER_SEC - UPDATE_NS;

	return rtc->reg_a | (updating ? A_UPDATING : 0);
}

uint8_t rtc_read(struct rtc *rtc, unsigned at, int64_t now_ns)
{
	if (at == 0)
		return 0xff; /* the index port is write-only */
	switch (rtc->index) {
	case RTC_A:
		return read_reg_a(rtc, now_ns);
	case RTC_B:
		return rtc->reg_b;
	case RTC_C:
		return read_reg_c(rtc);
	case RTC_D:
		return D_VALID;
	default:
		if (is_time(rtc->index) && !(rtc->reg_b & B_SET))
			time_to_bytes(rtc, now_ns);
		return rtc->bytes[rtc->index];
	}
}

static void write_reg_b(struct rtc *rtc, uint8_t value, int64_t now_ns)
{
	uint8_t old = rtc->reg_b;

	if (value & B_SET && !(old & B_SET))
		time_to_bytes(rtc, now_ns);
	/* SET stops the update interrupt for good. */
	rtc->reg_b = value & B_BITS & (value & B_SET ? (uint8_t)~B_UPDATE : 0xff);
	update_irq(rtc);
	if (!(value & B_SET) && old & B_SET)
		time_from_bytes(rtc, now_ns);
}

static void write_byte(struct rtc *rtc, uint8_t value, int64_t now_ns)
{
	bool runs = is_time(rtc->index) && !(rtc->reg_b & B_SET);

	if (runs)
		time_to_bytes(rtc, now_ns);
	rtc->bytes[rtc->index] = value;
	if (runs)
		time_from_bytes(rtc, now_ns);
}

void rtc_write(struct rtc *rtc, unsigned at, uint8_t value, int64_t now_ns)
{
	if (at == 0) {
		rtc->index = value & INDEX_BITS;
		return;
	}
	switch (rtc->index) {
	case RTC_A:
		rtc->reg_a = value & (uint8_t)~A_UPDATING;
		break;
	case RTC_B:
		write_reg_b(rtc, value, now_ns);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		write_byte(rtc, value, now_ns);
		break;
	}
}

void rtc_save(const struct rtc *rtc, struct buf *out)
{
	buf_u8(out, rtc->index);
	buf_u8(out, rtc->reg_a);
	buf_u8(out, rtc->reg_b);
	buf_u8(out, rtc->reg_c);
	buf_le64(out, (uint64_t)rtc->offset_s);
	buf_bytes(out, rtc->bytes, sizeof(rtc->bytes));
}

int rtc_restore(struct rtc *rtc, struct reader *in)
{
	rtc->index = reader_u8(in);
	rtc->reg_a = reader_u8(in);
	rtc->reg_b = reader_u8(in);
	rtc->reg_c = reader_u8(in);
	rtc->offset_s = (int64_t)reader_le64(in);
	reader_bytes(in, rtc->bytes, sizeof(rtc->bytes));
	if (!reader_ok(in) || rtc->index & ~INDEX_BITS || rtc->reg_a & A_UPDATING ||
		rtc->reg_b & ~B_BITS || rtc->reg_c & ~(C_IRQ | C_CAUSES) ||
		rtc_irq(rtc) != has_cause(rtc) || rtc->offset_s > OFFSET_LIMIT_S ||
		rtc->offset_s < -OFFSET_LIMIT_S) {
		rtc_init(rtc);
		return -EBADMSG;
	}
	return 0;
}
