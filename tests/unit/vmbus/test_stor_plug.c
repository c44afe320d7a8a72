/* SPDX-License-Identifier: MIT
 *
 * A controller and its units: absent ones, units and media that come, go and change while the guest
 * runs, resets, and several channels.
 */
#include "stor_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct stor_rig rig;
static struct storvsp_info info;

static const struct rig_command test_unit_0 = {.direction = VSTOR_DATA_NONE};
static const struct rig_command test_unit_1 = {.lun = 1, .direction = VSTOR_DATA_NONE};

static int setup(void **state)
{
	(void)state;
	rig_new(&rig, 3);
	rig_initialise(&rig, VSTOR_VERSION_62);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void expect_notice(void)
{
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.packet.type, VMBUS_PACKET_INBAND);
	assert_int_equal(rig.packet.transaction_id, 0);
	assert_false(rig.packet.completion_requested);
	assert_int_equal(rig.packet.payload_bytes, 64);
	assert_int_equal(rig.answer.operation, VSTOR_ENUMERATE_BUS);
	assert_false(rig_take(&rig, 0));
}

static void expect_sense(const struct rig_command *command, uint32_t sense)
{
	assert_int_equal(rig_execute(&rig, command), VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE_VALID);
	assert_int_equal(rig_sense(&rig), sense);
}

static struct rig_command inquiry(uint8_t lun)
{
	return (struct rig_command){.lun = lun,
		.cdb = {SCSI_INQUIRY, 0, 0, 0, 36},
		.direction = VSTOR_DATA_IN,
		.transfer_bytes = 36};
}

static uint32_t n_listed(void)
{
	const struct rig_command command = {.cdb = {SCSI_REPORT_LUNS, [8] = 0x10},
		.direction = VSTOR_DATA_IN,
		.transfer_bytes = 4096};

	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.transfer_bytes, 8 + load_be32(rig_data(&rig)));
	return load_be32(rig_data(&rig)) / 8;
}

static void absent_units_are_told_apart(void **state)
{
	struct rig_command command = inquiry(9);
	struct rig_command test = test_unit_0;

	(void)state;
	memset(rig_data(&rig), 0xee, 40);
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.scsi_status, 0);
	assert_int_equal(rig.answer.srb.transfer_bytes, 36);
	assert_int_equal(rig_data(&rig)[0], 0x7f);
	assert_int_equal(rig_data(&rig)[36], 0xee);
	test.lun = 9;
	assert_int_equal(rig_execute(&rig, &test), VSTOR_SRB_INVALID_LUN);
	assert_int_equal(rig.answer.srb.scsi_status, 0);
	test.lun = 200;
	assert_int_equal(rig_execute(&rig, &test), VSTOR_SRB_INVALID_LUN);

	/* Other paths and targets have nobody. */
	command = inquiry(0);
	command.path = 3;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_data(&rig)[0], 0x7f);
	command = inquiry(0);
	command.target = 1;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_data(&rig)[0], 0x7f);
	test = test_unit_0;
	test.target = 1;
	assert_int_equal(rig_execute(&rig, &test), VSTOR_SRB_INVALID_LUN);
	assert_int_equal(n_listed(), 2);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_protocol_errors, 0);
}

static void disks_come_and_go(void **state)
{
	const struct storvsp_lun lun = {.lun = 63, .disk = rig.disk};
	struct rig_command command = inquiry(63);
	struct rig_command test = test_unit_0;

	(void)state;
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), 0);
	expect_notice();
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_data(&rig)[0], 0);
	assert_int_equal(n_listed(), 3);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_luns, 3);

	assert_int_equal(storvsp_detach(rig.storvsp, 63), 0);
	expect_notice();
	test.lun = 63;
	assert_int_equal(rig_execute(&rig, &test), VSTOR_SRB_INVALID_LUN);
	assert_int_equal(n_listed(), 2);
	assert_int_equal(storvsp_detach(rig.storvsp, 63), -ENOENT);
	assert_int_equal(storvsp_detach(rig.storvsp, 64), -ENOENT);
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), 0);
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), -EEXIST);
	expect_notice();
}

static void strange_disks_are_refused(void **state)
{
	static const struct {
		uint64_t size_bytes;
		uint32_t block_bytes, physical_bytes;
	} cases[] = {
		{0, 512, 512},
		{512 * 10 + 1, 512, 512},
		{1 << 20, 0, 512},
		{1 << 20, 256, 512},
		{1 << 20, 8192, 8192},
		{768 * 10, 768, 768},
		{1 << 20, 4096, 512},
		{1 << 20, 512, 1536},
	};
	struct storvsp_lun lun = {.lun = 5};

	(void)state;
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct disk_info strange = {.size_bytes = cases[i].size_bytes,
			.block_bytes = cases[i].block_bytes,
			.physical_bytes = cases[i].physical_bytes};
		struct disk_dummy *disk;

		assert_int_equal(disk_dummy_new(rig.backend, &strange, &disk), 0);
		lun.disk = disk;
		assert_int_equal(storvsp_attach(rig.storvsp, &lun), -EINVAL);
		assert_int_equal(storvsp_set_medium(rig.storvsp, 1, disk, false), -EINVAL);
		disk_dummy_free(disk);
	}
	lun.disk = rig.disk;
	lun.lun = 64;
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), -EINVAL);
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
}

/* Its first look is still to come. */
static void a_guest_that_is_not_ready_is_not_told(void **state)
{
	const struct storvsp_lun lun = {.lun = 2, .disk = rig.disk};

	(void)state;
	stor_double_close(rig_channel(&rig, 0));
	assert_int_equal(storvsp_attach(rig.storvsp, &lun), 0);
	rig_initialise(&rig, VSTOR_VERSION_62);
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
}

static void notices_wait_for_room(void **state)
{
	(void)state;
	rig_channel(&rig, 0)->room = 0;
	assert_int_equal(storvsp_detach(rig.storvsp, 1), 0);
	rig_work(&rig);
	assert_int_equal(
		storvsp_attach(rig.storvsp, &(struct storvsp_lun){.lun = 1, .kind = STORVSP_DVD}),
		0);
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	expect_notice(); /* one for both */
}

static void sizes_change(void **state)
{
	const struct rig_command capacity = {
		.cdb = {SCSI_READ_CAPACITY_10}, .direction = VSTOR_DATA_IN, .transfer_bytes = 8};
	struct rig_command read = rig_read10(RIG_DISK_BLOCKS / 2, 1);

	(void)state;
	disk_dummy_resize(rig.disk, rig_disk_info.size_bytes / 2);
	assert_int_equal(storvsp_resized(rig.storvsp, 0), 0);
	expect_notice();
	expect_sense(&test_unit_0, SCSI_CAPACITY_CHANGED);
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_execute(&rig, &capacity), VSTOR_SRB_SUCCESS);
	assert_int_equal(load_be32(rig_data(&rig)), RIG_DISK_BLOCKS / 2 - 1);
	expect_sense(&read, SCSI_LBA_OUT_OF_RANGE);
	assert_int_equal(storvsp_resized(rig.storvsp, 30), -ENOENT);
	assert_int_equal(storvsp_resized(rig.storvsp, 70), -ENOENT);
}

/* The disk shrank and nobody said so: the backend refuses, the guest is told. */
static void a_disk_that_shrinks_unnoticed_fails(void **state)
{
	struct rig_command read = rig_read10(RIG_DISK_BLOCKS - 1, 1);

	(void)state;
	disk_dummy_resize(rig.disk, rig_disk_info.size_bytes / 2);
	expect_sense(&read, SCSI_READ_ERROR);
}

static void media_are_changed(void **state)
{
	struct rig_command read = {.lun = 1,
		.cdb = {SCSI_READ_10, 0, 0, 0, 0, 5, 0, 0, 1},
		.direction = VSTOR_DATA_IN,
		.transfer_bytes = 2048};
	struct rig_command lock = {
		.lun = 1, .cdb = {SCSI_PREVENT_ALLOW, 0, 0, 0, 1}, .direction = VSTOR_DATA_NONE};

	(void)state;
	expect_sense(&test_unit_1, SCSI_NO_MEDIUM_TRAY_CLOSED);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, rig.disc, false), 0);
	expect_notice();
	expect_sense(&test_unit_1, SCSI_MEDIUM_CHANGED);
	assert_int_equal(rig_execute(&rig, &read), VSTOR_SRB_SUCCESS);
	assert_memory_equal(rig_data(&rig), disk_dummy_bytes(rig.disc) + 5 * 2048, 2048);

	assert_int_equal(rig_execute(&rig, &lock), VSTOR_SRB_SUCCESS);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, NULL, false), -EBUSY);
	assert_int_equal(rig_execute(&rig, &read), VSTOR_SRB_SUCCESS);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, NULL, true), 0);
	expect_notice();
	expect_sense(&read, SCSI_NO_MEDIUM_TRAY_CLOSED);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, rig.disc, false), 0);
	expect_notice();

	assert_int_equal(storvsp_set_medium(rig.storvsp, 0, rig.disc, true), -EINVAL);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 2, rig.disc, true), -ENOENT);
	assert_int_equal(storvsp_set_medium(rig.storvsp, 64, rig.disc, true), -ENOENT);
}

static void resets_are_answered_and_noticed(void **state)
{
	const struct vstor_packet reset = {.operation = VSTOR_RESET_LUN, .srb.lun = 1};

	(void)state;
	assert_int_equal(rig_operate(&rig, VSTOR_RESET_BUS, 0), 0);
	expect_sense(&test_unit_0, SCSI_RESET_OCCURRED);
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
	expect_sense(&test_unit_1, SCSI_RESET_OCCURRED);
	assert_int_equal(rig_operate(&rig, VSTOR_RESET_ADAPTER, 0), 0);
	expect_sense(&test_unit_0, SCSI_RESET_OCCURRED);
	expect_sense(&test_unit_1, SCSI_RESET_OCCURRED);
	rig_post(&rig, &reset, sizeof(reset));
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.answer.status, 0);
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
	expect_sense(&test_unit_1, SCSI_RESET_OCCURRED);
}

/* What was under way completes by itself, before or after. */
static void resets_lose_nothing(void **state)
{
	struct rig_command read = rig_read10(0, 1);
	uint64_t id = rig_queue(&rig, &read);

	(void)state;
	disk_dummy_hold(rig.backend, true);
	rig_work(&rig);
	assert_int_equal(rig_operate(&rig, VSTOR_RESET_BUS, 0), 0);
	disk_dummy_hold(rig.backend, false);
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.packet.transaction_id, id);
	assert_int_equal(rig.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
}

static void sub_channels_are_offered_after_the_answer(void **state)
{
	struct vstor_packet create = {.operation = VSTOR_CREATE_SUB_CHANNELS, .n_sub_channels = 2};

	(void)state;
	rig_channel(&rig, 0)->room = 0;
	rig_post(&rig, &create, sizeof(create));
	rig_work(&rig);
	assert_int_equal(rig.bus->n_offered, 0);
	rig_channel(&rig, 0)->room = 1;
	rig_work(&rig);
	assert_int_equal(rig.bus->n_offered, 2);
	assert_int_equal(rig.bus->n_sent_at_offer, 1);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.answer.status, 0);
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	assert_int_equal(
		rig_operate(&rig, VSTOR_CREATE_SUB_CHANNELS, 3), VSTOR_STATUS_INVALID_PARAMETER);
	assert_int_equal(rig_operate(&rig, VSTOR_CREATE_SUB_CHANNELS, 0), 0);
}

static void completions_go_where_requests_came_from(void **state)
{
	(void)state;
	assert_int_equal(rig_operate(&rig, VSTOR_CREATE_SUB_CHANNELS, 2), 0);
	stor_double_open(rig_channel(&rig, 1));
	stor_double_open(rig_channel(&rig, 2));
	disk_dummy_hold(rig.backend, true);
	for (unsigned i = 0; i < 9; i++) {
		struct rig_command read = rig_read10(i, 1);

		read.channel = i % 3;
		read.gpa = RIG_DATA_GPA + i * RIG_BLOCK;
		rig_queue(&rig, &read);
	}
	rig_work(&rig);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_channels_open, 3);
	assert_int_equal(info.n_in_flight, 9);
	disk_dummy_hold(rig.backend, false);
	rig_work(&rig);
	for (unsigned channel = 0; channel < 3; channel++) {
		uint64_t previous = 0;

		assert_int_equal(stor_double_n_sent(rig_channel(&rig, channel)), 3);
		while (rig_take(&rig, channel)) {
			assert_true(rig.packet.transaction_id > previous);
			previous = rig.packet.transaction_id;
			assert_int_equal(rig.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
		}
	}
	assert_memory_equal(rig_data(&rig), disk_dummy_bytes(rig.disk), 9 * RIG_BLOCK);
	/* One closes, the others go on. */
	stor_double_close(rig_channel(&rig, 2));
	assert_int_equal(rig_execute(&rig, &test_unit_0), VSTOR_SRB_SUCCESS);
}

static void configurations_are_checked(void **state)
{
	struct storvsp_config config = {
		.n_channels = 0, .disk_ops = &disk_dummy_ops, .backend = rig.backend};
	struct storvsp *none;

	(void)state;
	assert_int_equal(storvsp_new((void *)rig.bus, &config, &none), -EINVAL);
	config.n_channels = STORVSP_MAX_CHANNELS + 1;
	assert_int_equal(storvsp_new((void *)rig.bus, &config, &none), -EINVAL);
}

static void info_follows_the_guest(void **state)
{
	(void)state;
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.version, VSTOR_VERSION_62);
	assert_true(info.ready);
	assert_int_equal(info.n_channels_open, 1);
	assert_int_equal(info.n_luns, 2);
	stor_double_close(rig_channel(&rig, 0));
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.version, 0);
	assert_false(info.ready);
	assert_int_equal(info.n_channels_open, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(absent_units_are_told_apart),
		TEST(disks_come_and_go),
		TEST(strange_disks_are_refused),
		TEST(a_guest_that_is_not_ready_is_not_told),
		TEST(notices_wait_for_room),
		TEST(sizes_change),
		TEST(a_disk_that_shrinks_unnoticed_fails),
		TEST(media_are_changed),
		TEST(resets_are_answered_and_noticed),
		TEST(resets_lose_nothing),
		TEST(sub_channels_are_offered_after_the_answer),
		TEST(completions_go_where_requests_came_from),
		TEST(configurations_are_checked),
		TEST(info_follows_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
