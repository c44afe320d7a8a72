/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/clock.h"
#include "vmbus/guest/cpu.h"
#include "vmbus/guest/vsc_hv.h"

#define LAPIC_LVT_TIMER     0x320
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_CURRENT_COUNT 0x390
#define LAPIC_DIVIDE        0x3e0
#define LAPIC_DIVIDE_BY_1   0xb
#define LAPIC_MASKED        0x10000

/* KVM's local APIC counts nanoseconds, whatever lies below; a Hyper-V interface tells. */
#define LAPIC_DEFAULT_HZ NS_PER_S

#define CALIBRATION_NS   (20 * NS_PER_MS)
#define MAX_SLEEP_NS     NS_PER_S
#define FIXED_POINT_BITS 32

static uint64_t tsc_khz, tsc_at_start, ns_per_tsc; /* the last in 1 / 2^32 */
static uint64_t lapic_hz = LAPIC_DEFAULT_HZ;
static uint64_t last_ns;
static uint64_t armed_ns, armed_at_count = UINT64_MAX;

static volatile uint32_t *lapic(uint32_t at)
{
	return (volatile uint32_t *)(uintptr_t)(LAPIC_BASE + at);
}

/* TSC ticks while the local APIC's timer counts off CALIBRATION_NS. A reading that took long,
 * because the host was elsewhere, says little about the moment: read again. */
static uint64_t lapic_remaining(uint64_t *ret_tsc)
{
	uint64_t best_span = UINT64_MAX, remaining = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t before = cpu_tsc();
		uint32_t count = *lapic(LAPIC_CURRENT_COUNT);
		uint64_t span = cpu_tsc() - before;

		if (span < best_span) {
			best_span = span;
			remaining = count;
			*ret_tsc = before + span / 2;
		}
	}
	return remaining;
}

static uint64_t measure_tsc_khz(void)
{
	uint64_t count0, count1, tsc0, tsc1;

	*lapic(LAPIC_LVT_TIMER) = LAPIC_MASKED | VECTOR_TIMER;
	*lapic(LAPIC_INITIAL_COUNT) = UINT32_MAX;
	count0 = lapic_remaining(&tsc0);
	do {
		cpu_pause();
		count1 = lapic_remaining(&tsc1);
	} while (count0 - count1 < CALIBRATION_NS * lapic_hz / NS_PER_S);
	*lapic(LAPIC_INITIAL_COUNT) = 0;
	return (tsc1 - tsc0) * (lapic_hz / 1000) / (count0 - count1);
}

void clock_init(uint64_t configured_khz)
{
	uint64_t tsc_hz = 0;

	vsc_hv_frequencies(&tsc_hz, &lapic_hz);
	*lapic(LAPIC_DIVIDE) = LAPIC_DIVIDE_BY_1;
	tsc_khz = configured_khz ? configured_khz : tsc_hz / 1000;
	if (tsc_khz == 0)
		tsc_khz = measure_tsc_khz();
	ns_per_tsc = (1000000ULL << FIXED_POINT_BITS) / tsc_khz;
	tsc_at_start = cpu_tsc();
	*lapic(LAPIC_LVT_TIMER) = VECTOR_TIMER;
}

uint64_t clock_ns(void)
{
	uint64_t now;

	if (!vsc_hv_reference_ns(&now))
		now = (uint64_t)((unsigned __int128)(cpu_tsc() - tsc_at_start) * ns_per_tsc >>
				 FIXED_POINT_BITS);
	if (now > last_ns)
		last_ns = now;
	return last_ns;
}

uint64_t clock_tsc_khz(void)
{
	return tsc_khz;
}

uint64_t clock_tsc_to_us(uint64_t tsc)
{
	return tsc / 1000 * 1000000 / tsc_khz;
}

void clock_wake_at(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t delay_ns;

	if (deadline_ns == NEVER_NS)
		return;
	/* Writing the timer costs an exit: one that will fire early enough may stay. Whether it has
	 * fired is not for the clock to say, which may have stood still on the way here. */
	if (timer_count == armed_at_count && armed_ns > now_ns && armed_ns <= deadline_ns)
		return;
	delay_ns = deadline_ns > now_ns ? MIN_OF(deadline_ns - now_ns, MAX_SLEEP_NS) : 1;
	armed_ns = now_ns + delay_ns;
	armed_at_count = timer_count;
	*lapic(LAPIC_INITIAL_COUNT) = (uint32_t)MAX_OF(delay_ns * lapic_hz / NS_PER_S, 1ULL);
}
