/* SPDX-License-Identifier: MIT
 *
 * Where implementations of the bus have fallen before, part one: what can be seen from the guest's
 * messages, rings and memory. The numbers are those of the list that docs and reviews go by; what
 * needs a SynIC is in test_pitfalls_synic.c.
 */
#include "channel_rig.h"
#include "ctl_rig.h"

/* ---- by messages alone ---- */

static int setup_ctl(void **state)
{
	static struct ctl_rig rig;

	rig_init(&rig);
	*state = &rig;
	return 0;
}

static int teardown_ctl(void **state)
{
	rig_fini(*state);
	return 0;
}

static uint16_t contact_on(struct ctl_rig *rig, uint32_t connection_id, uint32_t version)
{
	struct vmbus_msg_initiate_contact m = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = version,
		.target_vp = 7,
		.v5.sint = VMBUS_SINT,
	};

	return ctl_receive(rig->ctl, connection_id, VMBUS_MESSAGE_TYPE, &m, sizeof(m));
}

/* The guest waits without end for either. */
static void pitfall_1_every_contact_and_offer_request_is_answered(void **state)
{
	static const uint32_t connections[] = {
		VMBUS_CONNECTION_MESSAGES, VMBUS_CONNECTION_MESSAGES_V5};
	struct ctl_rig *rig = *state;
	struct vmbus_msg_version_response response;
	unsigned n_supported = 0;

	for (size_t c = 0; c < ARRAY_LEN(connections); c++) {
		for (uint32_t major = 0; major < 8; major++) {
			for (uint32_t minor = 0; minor < 16; minor++) {
				assert_int_equal(contact_on(rig, connections[c],
							 VMBUS_VERSION(major, minor)),
					HV_STATUS_SUCCESS);
				rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response,
					sizeof(response));
				rig_expect_nothing(rig);
				n_supported += response.supported;
			}
		}
	}
	assert_int_equal(n_supported, 2 * 8);
	/* No device at all, or some: the list always ends. */
	for (uint8_t n = 0; n < 3; n++) {
		rig_connect(rig, VMBUS_VERSION_5_3);
		assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
		for (uint8_t i = 0; i < n; i++)
			rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, NULL,
				sizeof(struct vmbus_msg_offer_channel));
		rig_expect(
			rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
		rig_expect_nothing(rig);
		rig_add(rig, n, 1);
		rig_drop_messages(rig);
	}
}

/* Without the one the guest takes the shared interrupt page, with the other it waits for somebody
 * to poll its monitor page; there is nobody to do either. */
static void pitfall_3_dedicated_interrupt_and_no_monitor(void **state)
{
	struct ctl_rig *rig = *state;
	struct ctl_channel *primary, *sub;
	struct vmbus_msg_offer_channel offer;

	for (uint8_t i = 1; i < 4; i++)
		rig_add(rig, i, 1);
	primary = rig_add(rig, 0, 1);
	assert_int_equal(ctl_subchannel_add(rig->ctl, primary, rig, &sub), 0);
	rig_connect(rig, VMBUS_VERSION_2_4);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	for (unsigned i = 0; i < 5; i++) {
		rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
		assert_int_equal(offer.is_dedicated_interrupt, 1);
		assert_int_equal(offer.monitor_allocated, 0);
		assert_int_equal(offer.monitor_id, 0);
		if (i != 3)
			continue;
		rig_drop_messages(rig);
		rig_make_open(rig, primary->relid, 9);
		ctl_subchannels_offer(rig->ctl, primary, 1);
	}
	rig_expect_nothing(rig);
}

static void pitfall_9_gpadls_are_made_while_the_guest_probes(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_gpadl_created created;

	/* Offered, and the guest has not even read the offer; nor opened anything. */
	for (uint8_t i = 1; i < 10; i++)
		rig_add(rig, i, 1);
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	for (uint32_t relid = 1; relid < 10; relid++)
		assert_int_equal(rig_gpadl_header(rig, relid, relid, 4 * 4096, 0, 4), 0);
	for (uint32_t relid = 1; relid < 10; relid++)
		rig_expect(
			rig, VMBUS_MSG_OFFER_CHANNEL, NULL, sizeof(struct vmbus_msg_offer_channel));
	rig_expect(rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
	for (uint32_t relid = 1; relid < 10; relid++) {
		rig_expect(rig, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
		assert_int_equal(created.relid, relid);
		assert_int_equal(created.status, 0);
	}
	assert_int_equal(rig_errors(rig), 0);
}

/* A device that comes and goes as fast as its host can: the guest sees one offer, one rescind, and
 * nothing more until it has caught up. */
static void pitfall_9_no_burst_of_offers_and_rescinds(void **state)
{
	struct ctl_rig *rig = *state;
	struct ctl_channel *channel;
	struct vmbus_msg_relid rescind;

	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	channel = rig_add(rig, 1, 1);
	for (unsigned i = 0; i < 1000; i++) {
		ctl_channel_revoke(rig->ctl, channel);
		channel = rig_add(rig, 1, 1);
	}
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, NULL, sizeof(struct vmbus_msg_offer_channel));
	rig_expect(rig, VMBUS_MSG_RESCIND_OFFER, &rescind, sizeof(rescind));
	rig_expect_nothing(rig);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, rescind.relid), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, NULL, sizeof(struct vmbus_msg_offer_channel));
	rig_expect_nothing(rig);
}

static void pitfall_13_relids_are_released_before_they_return(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;

	/* The order of boots and hosts is that of the devices, not of the calls. */
	for (unsigned boot = 0; boot < 3; boot++) {
		for (unsigned i = 0; i < 5; i++)
			rig_add(rig, (uint8_t)((i * (boot + 1) + boot) % 5 + 1), 1);
		rig_connect(rig, VMBUS_VERSION_5_3);
		assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
		for (uint32_t relid = 1; relid <= 5; relid++) {
			rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
			assert_int_equal(offer.relid, relid);
			assert_int_equal(offer.class_guid[0], relid);
		}
		rig_drop_messages(rig);
		if (boot == 2)
			break;
		ctl_reset(rig->ctl);
		while (ctl_channel_next(rig->ctl, NULL))
			ctl_channel_revoke(rig->ctl, ctl_channel_next(rig->ctl, NULL));
	}
	/* 3 is rescinded: the next one gets 6, and 3 only when it is back. */
	ctl_channel_revoke(rig->ctl, ctl_channel_by_relid(rig->ctl, 3));
	rig_drop_messages(rig);
	rig_add(rig, 7, 1);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 6);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 3), 0);
	rig_add(rig, 8, 1);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 3);
}

/* ---- on the whole bus ---- */

/* From empty to not empty always signals; a packet that came while the host did not want to be told
 * is found when it wants to be; a start looks at everything. */
static void pitfall_5_no_signal_is_lost(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;

	channel_rig_open(rig, &channel_rig_rings);
	for (uint64_t id = 1; id <= 3000; id++)
		channel_rig_echo(rig, id); /* each waits for the host's signal, and fails without */

	/* Nothing in the rings, and told all the same: the guest's flag may not have moved. */
	fake_guest_stop(guest);
	memset(guest->flags, 0, sizeof(guest->flags));
	fake_guest_start(guest);
	fake_channel_wait(&rig->channel);

	/* The worker sleeps; nobody rings, as when the doorbell was lost on a move. */
	for (uint64_t id = 1; id <= 20; id++) {
		struct vmbus_packet_descriptor descriptor = {
			.type = VMBUS_PACKET_INBAND,
			.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
			.transaction_id = id,
		};
		bool signal;

		wait_until(ring_get(&rig->channel.to_host, interrupt_mask) == 0);
		assert_true(guest_ring_send(
			&rig->channel.to_host, descriptor, NULL, 0, &id, sizeof(id), &signal));
		assert_true(signal);
		fake_guest_stop(guest);
		fake_guest_start(guest);
		channel_rig_expect_echo(rig, id, &id, sizeof(id));
	}
}

/* The guest wrote while the mask was set and so did not signal: unmasking must look again. */
static void pitfall_5_the_ring_is_looked_at_after_unmasking(void **state)
{
	struct channel_rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];

	channel_rig_open(rig, &channel_rig_rings);
	for (uint64_t round = 0; round < 300; round++) {
		/* Packets all the time: some always meet the host between its last look and its
		 * unmasking. Only what the rules ask for rings the doorbell. */
		for (uint64_t id = 1; id <= 8; id++)
			fake_channel_send(&rig->channel, id, &id, sizeof(id));
		for (uint64_t id = 1; id <= 8; id++)
			channel_rig_expect_echo(rig, id, &id, sizeof(id));
	}
	assert_int_equal(echo_count(&echo->n_echoed), 2400);
}

static uint32_t take_created(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id)
{
	struct vmbus_msg_gpadl_created created;

	fake_guest_take(guest, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.relid, relid);
	assert_int_equal(created.gpadl_id, gpadl_id);
	return created.status;
}

/* A header of one range that says nothing of how many messages follow. */
static void begin_gpadl(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id,
	struct vmbus_gpa_range range, const uint64_t *pfns, unsigned n_pfns)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_header header = {
		.header.type = VMBUS_MSG_GPADL_HEADER,
		.relid = relid,
		.gpadl_id = gpadl_id,
		.range_buffer_bytes = 8, /* fewer than follow */
		.range_count = 1,
		.range = range,
	};

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), pfns, 8 * n_pfns);
	assert_int_equal(fake_guest_post(guest, bytes, sizeof(header) + 8 * n_pfns), 0);
}

static void add_to_gpadl(
	struct fake_guest *guest, uint32_t gpadl_id, const uint64_t *pfns, unsigned n_pfns)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_body body = {
		.header.type = VMBUS_MSG_GPADL_BODY,
		.gpadl_id = gpadl_id,
	};

	memcpy(bytes, &body, sizeof(body));
	memcpy(bytes + sizeof(body), pfns, 8 * n_pfns);
	assert_int_equal(fake_guest_post(guest, bytes, sizeof(body) + 8 * n_pfns), 0);
}

/* Two channels' GPADLs interleaved, bodies that name no channel, headers that announce too little,
 * a range that begins and ends inside pages: all of them usable. */
static void pitfall_6_gpadls_of_every_shape(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	const struct vmbus_gpa_range whole = {.byte_count = 5 * 4096};
	const struct vmbus_gpa_range inside = {.byte_count = 2 * 4096, .byte_offset = 100};
	uint64_t a[5], b[3];
	const struct vmbus_gpadl *gpadl;
	uint32_t first;

	channel_rig_open(rig, &channel_rig_rings);
	first = fake_guest_alloc(guest, 16);
	for (unsigned i = 0; i < 5; i++)
		a[i] = guest_pfn(first + 2 * i);
	for (unsigned i = 0; i < 3; i++)
		b[i] = guest_pfn(first + 15 - 2 * i);
	begin_gpadl(guest, rig->offers[0].relid, 50, whole, a, 0);
	begin_gpadl(guest, rig->offers[1].relid, 51, inside, b, 1);
	add_to_gpadl(guest, 50, a, 2);
	add_to_gpadl(guest, 51, b + 1, 2);
	assert_int_equal(take_created(guest, rig->offers[1].relid, 51), 0);
	add_to_gpadl(guest, 50, a + 2, 3);
	assert_int_equal(take_created(guest, rig->offers[0].relid, 50), 0);

	assert_int_equal(vmbus_channel_gpadl(rig->echo[0].channel, 50, &gpadl), 0);
	assert_int_equal(vmbus_gpadl_write(gpadl, 4 * 4096 - 2, "abcd", 4), 0);
	assert_memory_equal(guest_page(&guest->memory, first + 6) + 4094, "ab", 2);
	assert_memory_equal(guest_page(&guest->memory, first + 8), "cd", 2);
	assert_int_equal(vmbus_channel_gpadl(rig->echo[0].channel, 51, &gpadl), -ENOENT);
	assert_int_equal(vmbus_channel_gpadl(rig->echo[1].channel, 51, &gpadl), 0);
	assert_int_equal(vmbus_gpadl_size_bytes(gpadl), 2 * 4096);
	assert_int_equal(vmbus_gpadl_write(gpadl, 3994, "wxyz", 4), 0);
	assert_memory_equal(guest_page(&guest->memory, first + 15) + 4094, "wx", 2);
	assert_memory_equal(guest_page(&guest->memory, first + 13), "yz", 2);
	assert_int_equal(vmbus_gpadl_write(gpadl, 2 * 4096, "x", 1), -EFAULT);
}

static void make_everything(struct channel_rig *rig)
{
	struct fake_guest *guest = &rig->guest;
	uint32_t pages[40], first;

	guest->n_pages_used = 0;
	channel_rig_open(rig, &channel_rig_rings);
	first = fake_guest_alloc(guest, ARRAY_LEN(pages));
	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = first + i;
	assert_int_equal(
		fake_guest_make_gpadl(guest, rig->offers[0].relid, 77, pages, ARRAY_LEN(pages)), 0);
	channel_rig_echo(rig, 1);
}

static void let_go(struct channel_rig *rig, unsigned how)
{
	struct fake_guest *guest = &rig->guest;

	switch (how) {
	case 0:
		fake_guest_unload(guest);
		break;
	case 1:
		vmbus_reset(guest->bus);
		break;
	default: /* contact is enough */
		fake_guest_connect(guest, VMBUS_VERSION_5_3);
		break;
	}
}

/* After UNLOAD the memory is another kernel's. */
static void pitfall_7_unload_lets_go_of_the_guests_memory(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	const size_t n_bytes = guest->memory.n_pages * GPA_PAGE_SIZE;
	uint8_t *copy = malloc(n_bytes);
	const struct vmbus_gpadl *gpadl;

	assert_non_null(copy);
	for (unsigned how = 0; how < 3; how++) {
		make_everything(rig);
		let_go(rig, how);
		assert_int_equal(vmbus_channel_gpadl(rig->echo[0].channel, 77, &gpadl), -ENOENT);
		memset(guest->memory.host, 0x5a, n_bytes);
		memcpy(copy, guest->memory.host, n_bytes);
		guest_clean_pages(&guest->memory);
		vmbus_channel_kick(rig->echo[0].channel);
		fake_channel_ring_doorbell(&rig->channel);
		fake_guest_stop(guest);
		fake_guest_start(guest);
		assert_memory_equal(guest->memory.host, copy, n_bytes);
		for (uint32_t page = 0; page < guest->memory.n_pages; page++)
			assert_false(guest_page_is_dirty(&guest->memory, page));
		fake_guest_connect(guest, VMBUS_VERSION_5_3);
		assert_int_equal(fake_guest_request_offers(guest, rig->offers, 2), 2);
	}
	free(copy);
}

/* The pages that INITIATE_CONTACT names, the interrupt page of old and two monitor pages, are not
 * touched, neither before UNLOAD nor after. */
static void pitfall_7_interrupt_and_monitor_pages_are_not_touched(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	uint32_t first = guest->memory.n_pages - 3;
	struct vmbus_msg_initiate_contact contact = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = VMBUS_VERSION_4_0,
		.interrupt_page = guest_pfn(first) * GPA_PAGE_SIZE,
		.parent_to_child_monitor_page = guest_pfn(first + 1) * GPA_PAGE_SIZE,
		.child_to_parent_monitor_page = guest_pfn(first + 2) * GPA_PAGE_SIZE,
	};

	for (unsigned how = 0; how < 3; how++) {
		memset(guest_page(&guest->memory, first), 0xa5, 3 * GPA_PAGE_SIZE);
		assert_int_equal(fake_guest_post(guest, &contact, sizeof(contact)), 0);
		fake_guest_take(guest, VMBUS_MSG_VERSION_RESPONSE, NULL,
			sizeof(struct vmbus_msg_version_response));
		assert_int_equal(fake_guest_request_offers(guest, rig->offers, 2), 2);
		guest_clean_pages(&guest->memory);
		make_everything(rig);
		for (uint64_t id = 1; id < 20; id++)
			channel_rig_echo(rig, id);
		let_go(rig, how);
		for (uint32_t page = first; page < first + 3; page++) {
			assert_false(guest_page_is_dirty(&guest->memory, page));
			for (size_t i = 0; i < GPA_PAGE_SIZE; i++)
				assert_int_equal(guest_page(&guest->memory, page)[i], 0xa5);
		}
	}
	fake_guest_connect(guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(guest, rig->offers, 2), 2);
}

static void save_and_renew(struct channel_rig *rig, struct buf *ret_saved)
{
	struct fake_guest *guest = &rig->guest;

	fake_guest_stop(guest);
	buf_reset(ret_saved);
	assert_int_equal(unit_save_all(guest->units, ret_saved), 0);
	for (unsigned i = 0; i < CHANNEL_RIG_DEVICES; i++)
		vmbus_offer_remove(rig->echo[i].channel);
	fake_guest_free_bus(guest);
	fake_guest_new_bus(guest);
	for (unsigned i = 0; i < CHANNEL_RIG_DEVICES; i++) {
		echo_init(&rig->echo[i]);
		echo_offer(&rig->echo[i], guest->bus, (uint8_t)(i + 1));
	}
}

static int restore(struct channel_rig *rig, const struct buf *saved)
{
	struct reader in = reader_make(saved->data, saved->size_bytes);

	return unit_restore_all(rig->guest.units, &in, NULL);
}

/* Between contact and REQUESTOFFERS: no offers that nobody asked for, on either side. */
static void pitfall_8_a_move_between_contact_and_offers(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	struct buf saved = {0};

	fake_guest_unload(guest);
	fake_guest_connect(guest, VMBUS_VERSION_5_3);
	save_and_renew(rig, &saved);
	assert_int_equal(restore(rig, &saved), 0);
	fake_guest_start(guest);
	assert_false(guest->slot_used);
	assert_int_equal(fake_guest_request_offers(guest, rig->offers, 2), 2);
	buf_fini(&saved);
}

/* What is owed while the SynIC is being saved waits until the bus runs. */
static void pitfall_8_a_stopped_bus_posts_nothing(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	struct vmbus_msg_relid rescind;

	fake_guest_stop(guest);
	vmbus_offer_remove(take_ptr(rig->echo[1].channel));
	vmbus_slot_free(guest->bus, 0, VMBUS_SINT);
	assert_false(guest->slot_used);
	fake_guest_start(guest);
	fake_guest_take(guest, VMBUS_MSG_RESCIND_OFFER, &rescind, sizeof(rescind));
	assert_int_equal(rescind.relid, rig->offers[1].relid);
}

/* A version that this host does not speak, or a layout from the future, is not taken over. */
static void pitfall_8_a_newer_version_is_refused(void **state)
{
	struct ctl_rig *rig = *state;
	struct buf saved = {0};
	struct reader in;

	rig_connect(rig, VMBUS_VERSION_5_3);
	ctl_save(rig->ctl, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(ctl_restore(rig->ctl, &in, CTL_STATE_VERSION + 1), -EPROTONOSUPPORT);
	store_le32(saved.data + 1, VMBUS_VERSION(6, 0));
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(ctl_restore(rig->ctl, &in, CTL_STATE_VERSION), -EBADMSG);
	store_le32(saved.data + 1, VMBUS_VERSION_5_2);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(ctl_restore(rig->ctl, &in, CTL_STATE_VERSION), 0);
	buf_fini(&saved);
}

/* The device refuses, or takes its time: a reset right behind leaves nothing half open. */
static void pitfall_8_a_reset_while_a_channel_opens(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;

	for (unsigned round = 1; round <= 10; round++) {
		struct vmbus_info info;

		guest->n_pages_used = 0;
		rig->echo[0].refuse_open = round % 2 ? -EIO : 0;
		(void)fake_channel_open(guest, &rig->offers[0], &channel_rig_rings, &rig->channel);
		vmbus_reset(guest->bus);
		vmbus_get_info(guest->bus, &info);
		assert_int_equal(info.n_open_channels, 0);
		assert_int_equal(rig->echo[0].n_open, rig->echo[0].n_close);
		fake_guest_connect(guest, VMBUS_VERSION_5_3);
		assert_int_equal(fake_guest_request_offers(guest, rig->offers, 2), 2);
	}
	rig->echo[0].refuse_open = 0;
}

/* The guest sees nothing of a move: no rescind, no offer, the relids it has. */
static void pitfall_9_a_move_rescinds_nothing(void **state)
{
	struct channel_rig *rig = *state;
	struct fake_guest *guest = &rig->guest;
	struct buf saved = {0};

	channel_rig_open(rig, &channel_rig_rings);
	for (uint64_t round = 1; round <= 5; round++) {
		save_and_renew(rig, &saved);
		assert_int_equal(restore(rig, &saved), 0);
		fake_guest_start(guest);
		channel_rig_echo(rig, round);
		assert_false(guest->slot_used);
		assert_int_equal(vmbus_channel_relid(rig->echo[0].channel), rig->offers[0].relid);
	}
	rig->echo[0].n_open++; /* at the source */
	buf_fini(&saved);
}

int main(void)
{
#define on_ctl(name) cmocka_unit_test_setup_teardown(name, setup_ctl, teardown_ctl)
#define on_bus(name) cmocka_unit_test_setup_teardown(name, channel_rig_setup, channel_rig_teardown)
	const struct CMUnitTest tests[] = {
		on_ctl(pitfall_1_every_contact_and_offer_request_is_answered),
		on_ctl(pitfall_3_dedicated_interrupt_and_no_monitor),
		on_bus(pitfall_5_no_signal_is_lost),
		on_bus(pitfall_5_the_ring_is_looked_at_after_unmasking),
		on_bus(pitfall_6_gpadls_of_every_shape),
		on_bus(pitfall_7_unload_lets_go_of_the_guests_memory),
		on_bus(pitfall_7_interrupt_and_monitor_pages_are_not_touched),
		on_bus(pitfall_8_a_move_between_contact_and_offers),
		on_bus(pitfall_8_a_stopped_bus_posts_nothing),
		on_ctl(pitfall_8_a_newer_version_is_refused),
		on_bus(pitfall_8_a_reset_while_a_channel_opens),
		on_ctl(pitfall_9_gpadls_are_made_while_the_guest_probes),
		on_ctl(pitfall_9_no_burst_of_offers_and_rescinds),
		on_bus(pitfall_9_a_move_rescinds_nothing),
		on_ctl(pitfall_13_relids_are_released_before_they_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
