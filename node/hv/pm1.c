/* SPDX-License-Identifier: MIT */
#include "node/hv/pm1.h"

/* Timer, bus master, global lock, power and sleep button, RTC, PCI Express wake. */
#define ENABLE_BITS  0x4721
#define CONTROL_BITS 0x1c03 /* SCI_EN, BM_RLD, SLP_TYP */

void pm1_init(struct pm1 *pm1)
{
	*pm1 = (struct pm1){.control = PM1_CONTROL_SCI_ENABLE};
}

uint8_t pm1_read(const struct pm1 *pm1, unsigned at)
{
	uint16_t value = 0;

	if ((at & ~1U) == PM1_ENABLE)
		value = pm1->enable;
	else if ((at & ~1U) == PM1_CONTROL)
		value = pm1->control;
	return (uint8_t)(at & 1 ? value >> 8 : value);
}

static uint16_t with_byte(uint16_t old, unsigned at, uint8_t value)
{
	return (uint16_t)(at & 1 ? (old & 0x00ff) | value << 8 : (old & 0xff00) | value);
}

bool pm1_write(struct pm1 *pm1, unsigned at, uint8_t value)
{
	uint16_t control;

	if ((at & ~1U) == PM1_ENABLE)
		pm1->enable = with_byte(pm1->enable, at, value) & ENABLE_BITS;
	if ((at & ~1U) != PM1_CONTROL)
		return false;
	control = with_byte(pm1->control, at, value);
	pm1->control = (control & CONTROL_BITS) | PM1_CONTROL_SCI_ENABLE;
	return control & PM1_CONTROL_SLEEP_ENABLE;
}

void pm1_save(const struct pm1 *pm1, struct buf *out)
{
	buf_le16(out, pm1->enable);
	buf_le16(out, pm1->control);
}

int pm1_restore(struct pm1 *pm1, struct reader *in)
{
	pm1->enable = reader_le16(in);
	pm1->control = reader_le16(in);
	if (!reader_ok(in) || pm1->enable & ~ENABLE_BITS || pm1->control & ~CONTROL_BITS ||
		!(pm1->control & PM1_CONTROL_SCI_ENABLE)) {
		pm1_init(pm1);
		return -EBADMSG;
	}
	return 0;
}
