/* SPDX-License-Identifier: MIT */
#include "channel_rig.h"

const struct fake_open channel_rig_rings = {
	.gpadl_id = 0xe1e10,
	.n_ring_pages = 5,
	.target_vp = 1,
};

int channel_rig_setup(void **state)
{
	static struct channel_rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, 512);
	for (uint8_t i = 0; i < CHANNEL_RIG_DEVICES; i++) {
		echo_init(&rig.echo[i]);
		echo_offer(&rig.echo[i], rig.guest.bus, (uint8_t)(i + 1));
	}
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, rig.offers, CHANNEL_RIG_DEVICES),
		CHANNEL_RIG_DEVICES);
	*state = &rig;
	return 0;
}

int channel_rig_teardown(void **state)
{
	struct channel_rig *rig = *state;

	fake_guest_stop(&rig->guest);
	for (unsigned i = 0; i < CHANNEL_RIG_DEVICES; i++) {
		if (rig->echo[i].channel)
			vmbus_offer_remove(rig->echo[i].channel);
		assert_int_equal(rig->echo[i].n_open, rig->echo[i].n_close);
	}
	fake_guest_fini(&rig->guest);
	return 0;
}

void channel_rig_open(struct channel_rig *rig, const struct fake_open *how)
{
	struct vmbus_channel *channel = rig->echo[0].channel;

	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[0], how, &rig->channel), 0);
	assert_true(vmbus_channel_is_open(channel));
	assert_int_equal(vmbus_channel_relid(channel), rig->offers[0].relid);
}

void channel_rig_expect_echo(struct channel_rig *rig, uint64_t id, const void *payload, size_t n)
{
	int got = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));
	struct vmbus_packet_descriptor descriptor;

	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(descriptor.transaction_id, id);
	assert_int_equal(got, 16 + ALIGN_UP(n, 8));
	assert_memory_equal(rig->packet + 16, payload, n);
}

void channel_rig_echo(struct channel_rig *rig, uint64_t id)
{
	uint8_t payload[100];

	memset(payload, (int)id + 1, sizeof(payload));
	fake_channel_send(&rig->channel, id, payload, sizeof(payload));
	channel_rig_expect_echo(rig, id, payload, sizeof(payload));
}
