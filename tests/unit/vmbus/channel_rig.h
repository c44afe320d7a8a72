/* SPDX-License-Identifier: MIT
 *
 * channel_rig.h - a guest connected to a bus with two echo devices, and a channel to the first.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_CHANNEL_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_CHANNEL_RIG_H

#include "base/clock.h"
#include "echo_device.h"
#include "fake_guest.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define CHANNEL_RIG_DEVICES 2

struct channel_rig {
	struct fake_guest guest;
	struct echo_device echo[CHANNEL_RIG_DEVICES];
	struct vmbus_msg_offer_channel offers[CHANNEL_RIG_DEVICES];
	struct fake_channel channel;
	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
};

int channel_rig_setup(void **state);
int channel_rig_teardown(void **state);

/* Four pages of data each way, interrupts on VP 1. */
extern const struct fake_open channel_rig_rings;

void channel_rig_open(struct channel_rig *rig, const struct fake_open *how);
/* Wait for the completion that carries these bytes. */
void channel_rig_expect_echo(struct channel_rig *rig, uint64_t id, const void *payload, size_t n);
/* Send a packet and wait for its completion. */
void channel_rig_echo(struct channel_rig *rig, uint64_t id);

/* Spin, bounded, until the condition of another thread holds. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t _end_ns = clock_mono_ns() + 20 * NS_PER_SEC;                              \
		while (!(condition)) {                                                             \
			assert_true(clock_mono_ns() < _end_ns);                                    \
			sched_yield();                                                             \
		}                                                                                  \
	} while (0)

#endif
