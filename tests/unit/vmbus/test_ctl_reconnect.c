/* SPDX-License-Identifier: MIT
 *
 * A guest that starts over - kexec, a crash kernel, hibernation, a driver loaded again - in
 * whatever state it left the connection, and the life of a connection in every version.
 */
#include "ctl_rig.h"

#define N_DEVICES 3

/* Three devices, the second with two sub-channels. */
struct scene {
	struct ctl_rig r;
	struct ctl_channel *primary, *subs[2];
};

static void add_second(struct scene *s)
{
	s->primary = rig_add(&s->r, 2, 1);
	for (unsigned i = 0; i < ARRAY_LEN(s->subs); i++)
		assert_int_equal(ctl_subchannel_add(s->r.ctl, s->primary, &s->r, &s->subs[i]), 0);
}

static int setup(void **state)
{
	static struct scene s;

	rig_init(&s.r);
	rig_add(&s.r, 3, 1);
	add_second(&s);
	rig_add(&s.r, 1, 1);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&((struct scene *)*state)->r);
	return 0;
}

/* ---- states to leave ---- */

static void only_connected(struct scene *s)
{
	rig_connect(&s->r, VMBUS_VERSION_5_3);
}

static void never_connected(struct scene *s _unused_)
{
}

static void refused(struct scene *s)
{
	assert_int_equal(rig_contact(&s->r, VMBUS_VERSION(6, 0)), 0);
}

static void offers_not_read(struct scene *s)
{
	only_connected(s);
	assert_int_equal(rig_plain(&s->r, VMBUS_MSG_REQUEST_OFFERS), 0);
}

static void offers_read(struct scene *s)
{
	offers_not_read(s);
	rig_drop_messages(&s->r);
}

static void assembling(struct scene *s)
{
	offers_read(s);
	assert_int_equal(rig_gpadl_header(&s->r, 2, 9, 64 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_gpadl_header(&s->r, 3, 10, 64 * VMBUS_PAGE_BYTES, 0, 0), 0);
}

static void gpadls_not_opened(struct scene *s)
{
	offers_read(s);
	rig_make_gpadl(&s->r, 1, 9, 8);
	rig_make_gpadl(&s->r, 2, 10, 500);
}

static void opened(struct scene *s)
{
	gpadls_not_opened(s);
	rig_make_open(&s->r, 1, 20);
	rig_make_open(&s->r, 2, 21);
	rig_make_open(&s->r, 3, 22);
}

static void closed_again(struct scene *s)
{
	opened(s);
	for (uint32_t relid = 1; relid <= 3; relid++)
		assert_int_equal(rig_relid(&s->r, VMBUS_MSG_CLOSE_CHANNEL, relid), 0);
}

static void subs_not_read(struct scene *s)
{
	opened(s);
	ctl_subchannels_offer(s->r.ctl, s->primary, 2);
}

static void subs_open(struct scene *s)
{
	subs_not_read(s);
	rig_drop_messages(&s->r);
	rig_make_open(&s->r, s->subs[1]->relid, 30);
}

static void subs_not_released(struct scene *s)
{
	subs_open(s);
	assert_int_equal(rig_relid(&s->r, VMBUS_MSG_CLOSE_CHANNEL, 2), 0);
}

static void subs_wanted_again(struct scene *s)
{
	subs_not_released(s);
	assert_int_equal(rig_open(&s->r, 2, 21, 4), 0);
	ctl_subchannels_offer(s->r.ctl, s->primary, 2);
}

static void gone_and_back(struct scene *s)
{
	subs_open(s);
	ctl_channel_revoke(s->r.ctl, s->primary);
	add_second(s);
}

static void full_queue(struct scene *s)
{
	subs_open(s);
	while (rig_teardown(&s->r, 1, 99) == HV_STATUS_SUCCESS)
		;
}

static void (*const scenes[])(struct scene *s) = {
	never_connected,
	refused,
	only_connected,
	offers_not_read,
	offers_read,
	assembling,
	gpadls_not_opened,
	opened,
	closed_again,
	subs_not_read,
	subs_open,
	subs_not_released,
	subs_wanted_again,
	gone_and_back,
	full_queue,
};

/* ---- ways to leave it ---- */

static void take_unload_response(struct scene *s)
{
	const struct ctl_message *m;

	/* A guest that asked finds the answer behind what was on its way, if that is still there.
	 */
	assert_int_equal(rig_plain(&s->r, VMBUS_MSG_UNLOAD), HV_STATUS_SUCCESS);
	do {
		m = ctl_message_first(s->r.ctl);
		assert_non_null(m);
		if (load_le32(m->payload) == VMBUS_MSG_UNLOAD_RESPONSE)
			break;
		assert_int_equal(load_le32(m->payload), VMBUS_MSG_VERSION_RESPONSE);
		ctl_message_pop(s->r.ctl, true);
	} while (true);
	assert_int_equal(m->size_bytes, sizeof(struct vmbus_msg_header));
	ctl_message_pop(s->r.ctl, true);
	rig_expect_nothing(&s->r);
}

static void unload(struct scene *s)
{
	take_unload_response(s);
}

static void unload_twice(struct scene *s)
{
	take_unload_response(s);
	take_unload_response(s);
}

static void reset(struct scene *s)
{
	ctl_reset(s->r.ctl);
}

static void contact_only(struct scene *s _unused_)
{
}

static void refused_contact(struct scene *s)
{
	assert_int_equal(rig_contact(&s->r, VMBUS_VERSION(9, 9)), HV_STATUS_SUCCESS);
	assert_int_equal(rig_contact(&s->r, VMBUS_VERSION(6, 0)), HV_STATUS_SUCCESS);
}

static void save_and_contact(struct scene *s)
{
	struct buf saved = {0};
	struct reader in;

	/* Moved in that state, and left on the other side. */
	ctl_save(s->r.ctl, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(ctl_restore(s->r.ctl, &in, CTL_STATE_VERSION), 0);
	buf_fini(&saved);
}

static void (*const exits[])(struct scene *s) = {
	unload, unload_twice, reset, contact_only, refused_contact, save_and_contact};

/* ---- and what is then to be found ---- */

static void expect_contact(struct scene *s, uint32_t version)
{
	const struct ctl_message *m;
	struct vmbus_msg_version_response response;

	assert_int_equal(rig_contact(&s->r, version), HV_STATUS_SUCCESS);
	/* Refusals of before may wait; nothing else does. */
	for (;;) {
		m = ctl_message_first(s->r.ctl);
		assert_non_null(m);
		assert_int_equal(load_le32(m->payload), VMBUS_MSG_VERSION_RESPONSE);
		memcpy(&response, m->payload, sizeof(response));
		ctl_message_pop(s->r.ctl, true);
		if (response.supported)
			break;
	}
	rig_expect_nothing(&s->r);
}

/* As on the first day: the same offers, nothing of the old guest's, everything usable. */
static void check_fresh(struct scene *s)
{
	struct vmbus_msg_offer_channel offer;
	struct vmbus_info info;

	assert_int_equal(s->r.n_open, s->r.n_close);
	assert_int_equal(s->r.n_created, s->r.n_gone);
	assert_int_equal(s->r.ctl->n_gpadls, 0);
	assert_int_equal(s->r.ctl->n_assembling, 0);
	assert_int_equal(s->r.ctl->n_pfns, 0);
	assert_int_equal(s->r.ctl->n_channels, N_DEVICES + ARRAY_LEN(s->subs));
	ctl_get_info(s->r.ctl, &info);
	assert_int_equal(info.n_offers, N_DEVICES);
	assert_int_equal(info.n_open_channels, 0);
	assert_int_equal(rig_plain(&s->r, VMBUS_MSG_REQUEST_OFFERS), 0);
	for (uint32_t i = 1; i <= N_DEVICES; i++) {
		rig_expect(&s->r, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
		assert_int_equal(offer.relid, i);
		assert_int_equal(offer.class_guid[0], i);
		assert_int_equal(offer.sub_channel_index, 0);
	}
	rig_expect(&s->r, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
	rig_expect_nothing(&s->r);
	rig_make_open(&s->r, 2, 9);
	ctl_subchannels_offer(s->r.ctl, s->primary, 2);
	for (uint32_t i = 1; i <= 2; i++) {
		rig_expect(&s->r, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
		assert_int_equal(offer.relid, N_DEVICES + i);
		assert_int_equal(offer.sub_channel_index, i);
	}
	rig_expect_nothing(&s->r);
}

static void test_start_over_in_every_state(void **state)
{
	static const uint32_t next[] = {VMBUS_VERSION_5_3, VMBUS_VERSION_4_0, VMBUS_VERSION_2_4};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		for (size_t j = 0; j < ARRAY_LEN(exits); j++) {
			scenes[i](s);
			exits[j](s);
			expect_contact(s, next[(i + j) % ARRAY_LEN(next)]);
			check_fresh(s);
			ctl_reset(s->r.ctl);
		}
	}
}

static void test_every_version(void **state)
{
	static const struct {
		uint32_t version;
		bool has_modify, has_modify_response, has_sockets, contacts_on_4;
	} rows[] = {
		{VMBUS_VERSION_2_4, false, false, false, false},
		{VMBUS_VERSION_3_0, false, false, false, false},
		{VMBUS_VERSION_4_0, false, false, false, false},
		{VMBUS_VERSION_4_1, true, false, false, false},
		{VMBUS_VERSION_5_0, true, false, true, true},
		{VMBUS_VERSION_5_1, true, false, true, true},
		{VMBUS_VERSION_5_2, true, false, true, true},
		{VMBUS_VERSION_5_3, true, true, true, true},
	};
	struct scene *s = *state;
	struct ctl_rig *r = &s->r;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint8_t sockets[56] = {VMBUS_MSG_TL_CONNECT_REQUEST};
		struct vmbus_msg_modify_response modified;
		unsigned n_retarget = r->n_retarget;
		uint64_t n_errors = rig_errors(r);

		/* rig_contact() posts on connection 4 from 5.0 on, and the rest on 1. */
		expect_contact(s, rows[i].version);
		check_fresh(s);
		assert_int_equal(rig_errors(r), n_errors);

		assert_int_equal(rig_modify(r, 2, 5), 0);
		assert_int_equal(r->n_retarget - n_retarget, rows[i].has_modify);
		if (rows[i].has_modify_response) {
			rig_expect(
				r, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &modified, sizeof(modified));
			assert_int_equal(modified.relid, 2);
			assert_int_equal(modified.status, 0);
		}
		rig_expect_nothing(r);
		n_errors += !rows[i].has_modify;
		assert_int_equal(rig_errors(r), n_errors);

		/* With and without the GUID that 5.2 added. */
		for (size_t size = 40; size <= 56; size += 16) {
			assert_int_equal(rig_send(r, sockets, size), 0);
			if (rows[i].has_sockets)
				rig_expect(r, VMBUS_MSG_TL_CONNECT_RESULT, NULL,
					sizeof(struct vmbus_msg_tl_connect_result));
			rig_expect_nothing(r);
			n_errors += !rows[i].has_sockets;
		}
		assert_int_equal(rig_errors(r), n_errors);

		assert_int_equal(rig_relid(r, VMBUS_MSG_CLOSE_CHANNEL, 2), 0);
		rig_drop_messages(r);
		assert_int_equal(rig_teardown(r, 2, 9), 0);
		rig_expect(
			r, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
		take_unload_response(s);
	}
}

/* Every answer goes to the VP that the last contact named; also that of UNLOAD, after which there
 * is no connection. */
static void test_message_vp(void **state)
{
	struct scene *s = *state;
	struct vmbus_msg_initiate_contact contact = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = VMBUS_VERSION_5_3,
		.v5.sint = VMBUS_SINT,
	};
	const struct ctl_message *m;

	for (uint32_t vp = 0; vp < 70; vp += 23) {
		unsigned n = 0;

		contact.target_vp = vp;
		assert_int_equal(rig_send(&s->r, &contact, sizeof(contact)), 0);
		assert_int_equal(rig_plain(&s->r, VMBUS_MSG_REQUEST_OFFERS), 0);
		assert_int_equal(rig_gpadl_header(&s->r, 2, 9, 8 * VMBUS_PAGE_BYTES, 0, 8), 0);
		assert_int_equal(rig_open(&s->r, 2, 9, 4), 0);
		ctl_subchannels_offer(s->r.ctl, s->primary, 2);
		for (; (m = ctl_message_first(s->r.ctl)); n++) {
			assert_int_equal(m->vp_index, vp);
			ctl_message_pop(s->r.ctl, true);
		}
		assert_int_equal(n, 1 + N_DEVICES + 1 + 2 + 2);
		assert_int_equal(rig_plain(&s->r, VMBUS_MSG_UNLOAD), 0);
		m = ctl_message_first(s->r.ctl);
		assert_int_equal(m->vp_index, vp);
		ctl_message_pop(s->r.ctl, true);
	}
}

/* Linux's driver says farewell first and lets go of its channels then. */
static void test_channels_released_after_unload(void **state)
{
	struct scene *s = *state;
	struct vmbus_info info;

	opened(s);
	assert_int_equal(rig_plain(&s->r, VMBUS_MSG_UNLOAD), 0);
	for (uint32_t relid = 1; relid <= N_DEVICES; relid++)
		assert_int_equal(rig_relid(&s->r, VMBUS_MSG_RELID_RELEASED, relid), 0);
	ctl_get_info(s->r.ctl, &info);
	assert_int_equal(info.n_protocol_errors, 0);
	rig_drop_messages(&s->r);
	offers_read(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start_over_in_every_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_message_vp, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_channels_released_after_unload, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
