/* SPDX-License-Identifier: MIT
 *
 * Saving and restoring the control plane: every state there and back, and bytes nobody saved.
 */
#include "ctl_rig.h"

/* A source, and a fresh destination with the same offers. */
struct pair {
	struct ctl_rig from, to;
};

static int setup(void **state)
{
	static struct pair pair;

	rig_init(&pair.from);
	rig_init(&pair.to);
	for (uint8_t i = 1; i <= 3; i++) {
		rig_add(&pair.from, i, 1);
		rig_add(&pair.to, i, 1);
	}
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	rig_fini(&pair->from);
	rig_fini(&pair->to);
	return 0;
}

static int restore(struct ctl_rig *rig, const void *bytes, size_t size_bytes)
{
	struct reader in = reader_make(bytes, size_bytes);

	return ctl_restore(rig->ctl, &in, CTL_STATE_VERSION);
}

static void revoke_class(struct ctl_rig *rig, uint8_t class_byte)
{
	struct vmbus_offer offer = rig_offer(class_byte, 1);

	ctl_channel_revoke(rig->ctl, ctl_channel_by_guids(rig->ctl, &offer));
}

/* Save, restore, save again: the same bytes. */
static void move(struct pair *pair)
{
	struct buf first = {0}, second = {0};

	ctl_save(pair->from.ctl, &first);
	assert_false(first.failed);
	assert_int_equal(restore(&pair->to, first.data, first.size_bytes), 0);
	ctl_save(pair->to.ctl, &second);
	assert_int_equal(first.size_bytes, second.size_bytes);
	assert_memory_equal(first.data, second.data, first.size_bytes);
	buf_fini(&first);
	buf_fini(&second);
}

static void test_disconnected(void **state)
{
	struct pair *pair = *state;

	move(pair);
	rig_connect_with_offers(&pair->to, VMBUS_VERSION_5_3);
}

static void test_answer_of_refused_contact(void **state)
{
	struct pair *pair = *state;
	struct vmbus_msg_version_response response;

	assert_int_equal(rig_contact(&pair->from, VMBUS_VERSION(9, 0)), 0);
	move(pair);
	rig_expect(&pair->to, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 0);
}

/* The guest must not get offers it has not asked for. */
static void test_between_contact_and_offers(void **state)
{
	struct pair *pair = *state;

	rig_connect(&pair->from, VMBUS_VERSION_4_1);
	move(pair);
	rig_expect_nothing(&pair->to);
	assert_int_equal(rig_plain(&pair->to, VMBUS_MSG_REQUEST_OFFERS), 0);
	for (unsigned i = 0; i < 3; i++)
		rig_expect(&pair->to, VMBUS_MSG_OFFER_CHANNEL, NULL,
			sizeof(struct vmbus_msg_offer_channel));
	rig_expect(
		&pair->to, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
}

static void test_amid_the_offers(void **state)
{
	struct pair *pair = *state;
	struct vmbus_msg_offer_channel offer;

	rig_connect(&pair->from, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(&pair->from, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect(&pair->from, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	move(pair);
	rig_expect(&pair->to, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 2);
	rig_expect(&pair->to, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 3);
	rig_expect(
		&pair->to, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
}

static void make_everything(struct ctl_rig *rig)
{
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	rig_make_open(rig, 1, 9);
	rig_make_gpadl(rig, 1, 10, 300);
	/* One under assembly, one rescinded, one answer not yet taken. */
	assert_int_equal(rig_gpadl_header(rig, 2, 11, 80 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_gpadl_body(rig, 11, 700, 28), 0);
	ctl_channel_revoke(rig->ctl, ctl_channel_by_relid(rig->ctl, 3));
	assert_int_equal(rig_teardown(rig, 2, 99), 0);
}

static void test_everything(void **state)
{
	struct pair *pair = *state;
	struct ctl_rig *to = &pair->to;
	struct vmbus_msg_gpadl_torndown torndown;
	struct vmbus_msg_gpadl_created created;

	make_everything(&pair->from);
	/* The rescinded device is not there any more. */
	revoke_class(to, 3);
	move(pair);
	assert_int_equal(to->n_open, 1);
	assert_int_equal(to->n_restored, 1);
	assert_int_equal(to->n_created, 2);
	assert_int_equal(to->last_open->relid, 1);
	assert_int_equal(to->last_open->open.open_id, 101);
	assert_int_equal(to->last_open->open.user_data[0], 0x77);

	rig_expect(to, VMBUS_MSG_RESCIND_OFFER, NULL, sizeof(struct vmbus_msg_relid));
	rig_expect(to, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown));
	assert_int_equal(torndown.gpadl_id, 99);
	/* Assembly goes on where it was. */
	assert_int_equal(rig_gpadl_body(to, 11, 728, 26), 0);
	rig_expect(to, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.relid, 2);
	assert_int_equal(created.status, 0);
	assert_int_equal(rig_relid(to, VMBUS_MSG_RELID_RELEASED, 3), 0);
	assert_int_equal(rig_relid(to, VMBUS_MSG_CLOSE_CHANNEL, 1), 0);
	assert_int_equal(rig_errors(to), 0);
	assert_int_equal(to->n_close, 1);
}

/* Only what is under assembly must have an id of its own, and be few: the whole GPADL of the second
 * channel was made before all that the first, which is saved before it, has begun since. */
static void test_whole_gpadl_behind_assemblies(void **state)
{
	struct pair *pair = *state;
	struct ctl_rig *from = &pair->from, *to = &pair->to;
	struct vmbus_msg_gpadl_created created;

	rig_connect_with_offers(from, VMBUS_VERSION_5_3);
	rig_make_gpadl(from, 2, 10, 5);
	for (uint32_t id = 10; id < 10 + CTL_MAX_ASSEMBLING; id++)
		assert_int_equal(rig_gpadl_header(from, 1, id, 30 * VMBUS_PAGE_BYTES, 0, 26), 0);
	move(pair);
	assert_int_equal(to->n_created, 1);
	assert_int_equal(rig_gpadl_body(to, 10, 500, 4), 0);
	rig_expect(to, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.relid, 1);
	assert_int_equal(created.status, 0);
	assert_int_equal(rig_errors(to), 0);
}

/* Bytes nobody saved: a channel has no id twice, whole or not. */
static void test_gpadl_id_twice(void **state)
{
	static const uint8_t second[] = {1, 0, 0, 0, 11, 0, 0, 0}; /* relid, id */
	struct pair *pair = *state;
	struct buf saved = {0};

	rig_connect_with_offers(&pair->from, VMBUS_VERSION_5_3);
	rig_make_gpadl(&pair->from, 1, 10, 5);
	for (unsigned whole = 0; whole <= 1; whole++) {
		uint8_t *at;

		if (whole)
			assert_int_equal(rig_gpadl_body(&pair->from, 11, 500, 4), 0);
		else
			assert_int_equal(
				rig_gpadl_header(&pair->from, 1, 11, 30 * VMBUS_PAGE_BYTES, 0, 26),
				0);
		buf_reset(&saved);
		ctl_save(pair->from.ctl, &saved);
		assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), 0);
		at = memmem(saved.data, saved.size_bytes, second, sizeof(second));
		assert_non_null(at);
		at[4] = 10;
		assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	}
	buf_fini(&saved);
}

static void test_revoking_after_restore_has_room(void **state)
{
	struct pair *pair = *state;

	rig_connect_with_offers(&pair->from, VMBUS_VERSION_5_3);
	move(pair);
	for (uint32_t relid = 1; relid <= 3; relid++)
		ctl_channel_revoke(pair->to.ctl, ctl_channel_by_relid(pair->to.ctl, relid));
	for (uint32_t relid = 1; relid <= 3; relid++)
		rig_expect(
			&pair->to, VMBUS_MSG_RESCIND_OFFER, NULL, sizeof(struct vmbus_msg_relid));
}

static void test_other_offers(void **state)
{
	struct pair *pair = *state;
	struct buf saved = {0};

	rig_connect_with_offers(&pair->from, VMBUS_VERSION_5_3);
	ctl_save(pair->from.ctl, &saved);
	rig_add(&pair->to, 4, 1); /* one more */
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	revoke_class(&pair->to, 3); /* another */
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	rig_add(&pair->to, 3, 1);
	revoke_class(&pair->to, 4);
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), 0);
	buf_fini(&saved);
}

static void test_offer_changed(void **state)
{
	struct pair *pair = *state;
	struct buf saved = {0};

	ctl_channel_next(pair->to.ctl, NULL)->offer.user_defined[3] ^= 1;
	ctl_save(pair->from.ctl, &saved);
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	buf_fini(&saved);
}

static void test_host_refuses(void **state)
{
	struct pair *pair = *state;
	struct buf saved = {0};

	rig_connect_with_offers(&pair->from, VMBUS_VERSION_5_3);
	rig_make_open(&pair->from, 1, 9);
	ctl_save(pair->from.ctl, &saved);
	pair->to.refuse_gpadl = -EFAULT;
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	assert_int_equal(pair->to.n_created, 0);
	pair->to.refuse_gpadl = 0;
	pair->to.refuse_open = -EIO;
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	assert_int_equal(pair->to.n_created, 1);
	assert_int_equal(pair->to.n_gone, 1);
	buf_fini(&saved);
}

static void test_newer_version(void **state)
{
	struct pair *pair = *state;
	struct reader in = reader_make("", 0);

	assert_int_equal(ctl_restore(pair->to.ctl, &in, CTL_STATE_VERSION + 1), -EPROTONOSUPPORT);
}

static void test_truncated(void **state)
{
	struct pair *pair = *state;
	struct buf saved = {0};

	make_everything(&pair->from);
	revoke_class(&pair->to, 3);
	ctl_save(pair->from.ctl, &saved);
	for (size_t size = 0; size < saved.size_bytes; size++)
		assert_int_equal(restore(&pair->to, saved.data, size), -EBADMSG);
	buf_u8(&saved, 0); /* and one byte too many */
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes), -EBADMSG);
	assert_int_equal(pair->to.n_open, pair->to.n_close);
	assert_int_equal(pair->to.n_created, pair->to.n_gone);
	assert_int_equal(restore(&pair->to, saved.data, saved.size_bytes - 1), 0);
	buf_fini(&saved);
}

/* Whatever a flipped bit does, the result is refused or is a state that works. */
static void test_flipped_bits(void **state)
{
	struct pair *pair = *state;
	struct ctl_rig *to = &pair->to;
	struct buf saved = {0};

	make_everything(&pair->from);
	revoke_class(to, 3);
	ctl_save(pair->from.ctl, &saved);
	for (size_t bit = 0; bit < saved.size_bytes * 8; bit++) {
		saved.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		if (restore(to, saved.data, saved.size_bytes) == 0) {
			struct vmbus_info info;

			ctl_get_info(to->ctl, &info);
			assert_int_equal(info.n_offers, 2);
			assert_int_equal(info.n_open_channels, to->n_open - to->n_close);
		}
		saved.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	ctl_reset(to->ctl);
	rig_connect_with_offers(to, VMBUS_VERSION_5_3);
	rig_make_open(to, 1, 9);
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disconnected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_of_refused_contact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_between_contact_and_offers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_amid_the_offers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_whole_gpadl_behind_assemblies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gpadl_id_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_revoking_after_restore_has_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_offers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offer_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_bits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
