/* SPDX-License-Identifier: MIT
 *
 * The controller moves: what waits and what was to be told arrives, hostile states do not.
 */
#include "stor_rig.h"
#include "vmbus/stor_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct stor_rig rig;
static struct storvsp_info info;
static struct buf saved;

static int setup(void **state)
{
	(void)state;
	rig_new(&rig, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	buf_fini(&saved);
	saved = (struct buf){0};
	return 0;
}

static void save(void)
{
	buf_reset(&saved);
	assert_int_equal(unit_stop_all(rig.units), 0);
	assert_int_equal(unit_save_all(rig.units, &saved), 0);
}

static int restore_bytes(const uint8_t *bytes, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
	struct reader in;
	int r;

	memcpy(exact, bytes, size_bytes);
	in = reader_make(exact, size_bytes);
	r = unit_restore_all(rig.units, &in, NULL);
	if (r == 0 && !reader_done(&in))
		r = -EBADMSG;
	free(exact);
	return r;
}

/* A new controller; the bus has its channels open as they were. */
static void replace(void)
{
	bool open[2] = {rig_channel(&rig, 0)->is_open, rig_channel(&rig, 1)->is_open};

	rig_replace(&rig, 2);
	for (unsigned i = 0; i < 2; i++)
		rig_channel(&rig, i)->is_open = open[i];
}

static void move(void)
{
	save();
	replace();
	assert_int_equal(restore_bytes(saved.data, saved.size_bytes), 0);
	assert_int_equal(unit_start_all(rig.units), 0);
}

static const struct rig_command test_unit_0 = {.direction = VSTOR_DATA_NONE};
static const struct rig_command test_unit_1 = {.lun = 1, .direction = VSTOR_DATA_NONE};

static void a_closed_controller_moves(void **state)
{
	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	move();
	rig_initialise(&rig, VSTOR_VERSION_62);
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
}

static void a_guest_in_the_middle_goes_on(void **state)
{
	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	stor_double_open(rig_channel(&rig, 0));
	move();
	assert_int_equal(rig_operate(&rig, VSTOR_BEGIN_INIT, 0), 0);
	move();
	assert_int_equal(rig_operate(&rig, VSTOR_QUERY_VERSION, VSTOR_VERSION_60), 0);
	move();
	assert_int_equal(rig_operate(&rig, VSTOR_QUERY_PROPERTIES, 0), 0);
	move();
	assert_int_equal(rig_operate(&rig, VSTOR_END_INIT, 0), 0);
	stor_double_open(rig_channel(&rig, 1));
	move();
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.version, VSTOR_VERSION_60);
	assert_true(info.ready);
	assert_int_equal(info.n_channels_open, 2);
}

static void what_is_to_be_told_is_told_there(void **state)
{
	const struct rig_command eject = {
		.lun = 1, .cdb = {SCSI_START_STOP_UNIT, 0, 0, 0, 2}, .direction = VSTOR_DATA_NONE};
	const struct rig_command lock = {
		.lun = 1, .cdb = {SCSI_PREVENT_ALLOW, 0, 0, 0, 1}, .direction = VSTOR_DATA_NONE};

	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	assert_int_equal(rig_execute(&rig, &eject), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_execute(&rig, &lock), VSTOR_SRB_SUCCESS);
	rig_channel(&rig, 0)->room = 0;
	assert_int_equal(storvsp_resized(rig.storvsp, 0), 0);
	rig_work(&rig);
	move();
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.answer.operation, VSTOR_ENUMERATE_BUS);
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_ERROR | 0x80);
	assert_int_equal(rig_sense(&rig), SCSI_CAPACITY_CHANGED);
	assert_int_equal(rig_execute(&rig, &test_unit_1), VSTOR_SRB_ERROR | 0x80);
	assert_int_equal(rig_sense(&rig), SCSI_NO_MEDIUM_TRAY_OPEN);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, rig.disc, false), -EBUSY);
}

static void waiting_completions_move(void **state)
{
	const struct vstor_packet create = {
		.operation = VSTOR_CREATE_SUB_CHANNELS, .n_sub_channels = 1};
	struct rig_command read;
	uint64_t first;

	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	stor_double_open(rig_channel(&rig, 1));
	rig_channel(&rig, 0)->room = 0;
	rig_channel(&rig, 1)->room = 0;
	first = rig.next_id;
	for (unsigned i = 0; i < 10; i++) {
		read = rig_read10(i, 2);
		read.channel = i / 5;
		rig_queue(&rig, &read);
	}
	rig_post(&rig, &create, sizeof(create));
	rig_work(&rig);
	move();
	assert_int_equal(rig.bus->n_offered, 0);
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	rig_channel(&rig, 1)->room = STOR_DOUBLE_NO_LIMIT;
	rig_work(&rig);
	/* What needs no backend was there first. */
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.packet.transaction_id, first + 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(rig_take(&rig, i / 5));
		assert_int_equal(rig.packet.transaction_id, first + i);
		assert_int_equal(rig.answer.srb.transfer_bytes, 2 * RIG_BLOCK);
	}
	assert_int_equal(rig.bus->n_offered, 1);
	assert_false(rig_take(&rig, 0));
	assert_false(rig_take(&rig, 1));
}

/* After stop() nothing changes, though the bus's workers may still call. */
static void stopped_means_stopped(void **state)
{
	struct buf again = {0};
	struct rig_command read = rig_read10(0, 1);

	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	save();
	rig_queue(&rig, &read);
	rig_work(&rig);
	assert_int_equal(stor_double_n_queued(rig_channel(&rig, 0)), 1);
	assert_int_equal(unit_save_all(rig.units, &again), 0);
	assert_int_equal(saved.size_bytes, again.size_bytes);
	assert_memory_equal(saved.data, again.data, again.size_bytes);
	buf_fini(&again);
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
}

/* Everything there is in a state. */
static void save_a_full_one(void)
{
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	stor_double_open(rig_channel(&rig, 1));
	rig_channel(&rig, 0)->room = 0;
	for (unsigned i = 0; i < 3; i++) {
		struct rig_command read = rig_read10(i, 2);

		rig_queue(&rig, &read);
	}
	assert_int_equal(storvsp_resized(rig.storvsp, 0), 0);
	rig_work(&rig);
	save();
}

static void shortened_states_are_refused(void **state)
{
	(void)state;
	save_a_full_one();
	for (size_t n = 0; n < saved.size_bytes; n++) {
		replace();
		assert_int_not_equal(restore_bytes(saved.data, n), 0);
	}
}

/* Whatever is accepted has to work. */
static void spoiled_states_do_no_harm(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};

	(void)state;
	save_a_full_one();
	for (size_t n = 0; n < saved.size_bytes; n++) {
		uint8_t mask = masks[n % ARRAY_LEN(masks)];

		replace();
		saved.data[n] ^= mask;
		if (restore_bytes(saved.data, saved.size_bytes) == 0) {
			rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
			assert_int_equal(unit_start_all(rig.units), 0);
			rig_work(&rig);
			while (rig_take(&rig, 0))
				;
			assert_int_equal(unit_stop_all(rig.units), 0);
		}
		saved.data[n] ^= mask;
	}
}

static int restore_luns(const struct buf *bytes)
{
	static struct stor_luns luns;
	struct stor_progress progress = {.event_fd = -1};
	struct reader in = reader_make(bytes->data, bytes->size_bytes);
	int r;

	memset(&luns, 0, sizeof(luns));
	stor_luns_init(&luns, &disk_dummy_ops, &progress);
	assert_int_equal(stor_luns_attach(&luns, 0, SCSI_KIND_DISK, NULL, 4096, rig.disk), 0);
	r = stor_luns_restore(&luns, &in);
	stor_luns_fini(&luns);
	return r;
}

static void units_must_be_the_same(void **state)
{
	struct buf bytes = {0};

	(void)state;
	buf_le64(&bytes, 1);
	buf_u8(&bytes, SCSI_KIND_DISK);
	buf_le32(&bytes, SCSI_ATTENTION_RESET);
	buf_u8(&bytes, 0);
	buf_u8(&bytes, 0);
	buf_u8(&bytes, 0);
	assert_int_equal(restore_luns(&bytes), 0);
	bytes.data[0] = 3;
	assert_int_equal(restore_luns(&bytes), -EBADMSG);
	bytes.data[0] = 1;
	bytes.data[8] = SCSI_KIND_DVD;
	assert_int_equal(restore_luns(&bytes), -EBADMSG);
	bytes.data[8] = SCSI_KIND_DISK;
	bytes.data[9] = 8; /* no such attention */
	assert_int_equal(restore_luns(&bytes), -EBADMSG);
	bytes.data[9] = 0;
	for (unsigned i = 13; i < 16; i++) { /* disks have no trays */
		bytes.data[i] = i == 13 ? 2 : 1;
		assert_int_equal(restore_luns(&bytes), -EBADMSG);
		bytes.data[i] = 0;
	}
	assert_int_equal(restore_luns(&bytes), 0);
	buf_fini(&bytes);
}

static void channels_must_be_the_same(void **state)
{
	(void)state;
	assert_int_equal(unit_start_all(rig.units), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	save();
	rig_replace(&rig, 2); /* the bus says that no channel is open */
	assert_int_equal(restore_bytes(saved.data, saved.size_bytes), -EBADMSG);
	rig_replace(&rig, 3);
	rig_channel(&rig, 0)->is_open = true;
	assert_int_equal(restore_bytes(saved.data, saved.size_bytes), -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_closed_controller_moves),
		TEST(a_guest_in_the_middle_goes_on),
		TEST(what_is_to_be_told_is_told_there),
		TEST(waiting_completions_move),
		TEST(stopped_means_stopped),
		TEST(shortened_states_are_refused),
		TEST(spoiled_states_do_no_harm),
		TEST(units_must_be_the_same),
		TEST(channels_must_be_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
