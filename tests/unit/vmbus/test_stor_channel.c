/* SPDX-License-Identifier: MIT
 *
 * A disk on one channel: data in and out, parts, errors, full rings, full queues, and that every
 * request is answered once.
 */
#include "stor_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct stor_rig rig;
static struct storvsp_info info;
static struct disk_dummy_stats stats;

static int setup(void **state)
{
	(void)state;
	rig_new(&rig, 1);
	rig_initialise(&rig, VSTOR_VERSION_62);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_dummy_hold(rig.backend, false);
	rig_free(&rig);
	return 0;
}

static uint8_t *disk_block(uint32_t lba)
{
	return disk_dummy_bytes(rig.disk) + (size_t)lba * RIG_BLOCK;
}

static void fill(uint8_t *at, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(seed + 7 * i + i / 251);
}

static void blocks_are_read_into_guest_memory(void **state)
{
	struct rig_command command = rig_read10(9, 20);

	(void)state;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.packet.payload_bytes, 64);
	assert_int_equal(rig.answer.srb.scsi_status, 0);
	assert_int_equal(rig.answer.srb.transfer_bytes, 20 * RIG_BLOCK);
	assert_memory_equal(rig_data(&rig), disk_block(9), 20 * RIG_BLOCK);
	assert_false(rig.bus->dirty[RIG_DATA_GPA / 4096 - 1]);
	assert_true(rig.bus->dirty[RIG_DATA_GPA / 4096]);
	assert_true(rig.bus->dirty[RIG_DATA_GPA / 4096 + 2]);
	assert_false(rig.bus->dirty[RIG_DATA_GPA / 4096 + 3]);
}

static void blocks_are_written_from_guest_memory(void **state)
{
	struct rig_command command = rig_write10(100, 3);

	(void)state;
	command.gpa = RIG_DATA_GPA + 0x222;
	fill(rig.bus->memory + command.gpa, 3 * RIG_BLOCK, 1);
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.transfer_bytes, 3 * RIG_BLOCK);
	assert_memory_equal(rig.bus->memory + command.gpa, disk_block(100), 3 * RIG_BLOCK);
	assert_false(rig.bus->dirty[RIG_DATA_GPA / 4096]);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_writes, 1);
	assert_int_equal(info.written_bytes, 3 * RIG_BLOCK);
	assert_int_equal(info.n_in_flight, 0);
	disk_dummy_get_stats(rig.backend, &stats);
	assert_int_equal(stats.n_fua, 0);

	command.cdb[1] = 8;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	disk_dummy_get_stats(rig.backend, &stats);
	assert_int_equal(stats.n_fua, 1);
}

/* 1 MiB in pieces of a page, neighbours not merged: more than the backend takes at once. */
static void many_pieces_go_in_parts(void **state)
{
	const uint32_t n_bytes = 1U << 20;
	struct rig_command write = rig_write10(8, (uint16_t)(n_bytes / RIG_BLOCK));
	struct rig_command read = rig_read10(8, (uint16_t)(n_bytes / RIG_BLOCK));

	(void)state;
	rig.bus->scattered = true;
	write.gpa = read.gpa = RIG_DATA_GPA + 0x88;
	fill(rig.bus->memory + write.gpa, n_bytes, 2);
	assert_int_equal(rig_execute(&rig, &write), VSTOR_SRB_SUCCESS);
	assert_memory_equal(rig.bus->memory + write.gpa, disk_block(8), n_bytes);
	disk_dummy_get_stats(rig.backend, &stats);
	assert_true(stats.n_requests[DISK_WRITE] >= 3);

	memset(rig.bus->memory + write.gpa, 0, n_bytes);
	assert_int_equal(rig_execute(&rig, &read), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.transfer_bytes, n_bytes);
	assert_memory_equal(rig.bus->memory + write.gpa, disk_block(8), n_bytes);
}

/* A block of 512 bytes in 256 pieces of 2 bytes has to go through the buffer. */
static void tiny_pieces_go_through_a_buffer(void **state)
{
	struct stor_double_range ranges[512];
	struct vstor_packet packet = {
		.operation = VSTOR_EXECUTE_SRB,
		.srb = {.length = 52, .cdb_length = 10, .transfer_bytes = 2 * RIG_BLOCK},
	};
	struct rig_command read = rig_read10(5, 2);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
		ranges[i] = (struct stor_double_range){RIG_DATA_GPA + 10 * i, 2};
	memcpy(packet.srb.cdb, read.cdb, 10);
	packet.srb.direction = VSTOR_DATA_IN;
	stor_double_push(rig_channel(&rig, 0), VMBUS_PACKET_GPA_DIRECT, 4711, true, &packet,
		sizeof(packet), ranges, ARRAY_LEN(ranges));
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
	for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
		assert_memory_equal(rig.bus->memory + ranges[i].gpa, disk_block(5) + 2 * i, 2);

	packet.srb.cdb[0] = SCSI_WRITE_10;
	packet.srb.cdb[5] = 50;
	packet.srb.direction = VSTOR_DATA_OUT;
	stor_double_push(rig_channel(&rig, 0), VMBUS_PACKET_GPA_DIRECT, 4712, true, &packet,
		sizeof(packet), ranges, ARRAY_LEN(ranges));
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
	assert_memory_equal(disk_block(50), disk_block(5), 2 * RIG_BLOCK);
}

static void flushes_reach_the_backend(void **state)
{
	const struct rig_command command = {
		.cdb = {SCSI_SYNCHRONIZE_CACHE_10}, .direction = VSTOR_DATA_NONE};

	(void)state;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.transfer_bytes, 0);
	disk_dummy_get_stats(rig.backend, &stats);
	assert_int_equal(stats.n_requests[DISK_FLUSH], 1);
}

static void errors_of_the_backend_become_sense(void **state)
{
	static const struct {
		enum disk_op op;
		int err;
		uint32_t sense;
	} cases[] = {
		{DISK_READ, -EIO, SCSI_READ_ERROR},
		{DISK_WRITE, -EIO, SCSI_WRITE_ERROR},
		{DISK_WRITE, -ENOSPC, SCSI_SPACE_ALLOCATION_FAILED},
		{DISK_WRITE, -EROFS, SCSI_WRITE_PROTECTED},
		{DISK_READ, -EINVAL, SCSI_TARGET_FAILURE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig_command command =
			cases[i].op == DISK_READ ? rig_read10(0, 8) : rig_write10(0, 8);

		disk_dummy_fail(rig.backend, cases[i].op, cases[i].err, 1);
		assert_int_equal(
			rig_execute(&rig, &command), VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE_VALID);
		assert_int_equal(rig_sense(&rig), cases[i].sense);
		assert_int_equal(rig.answer.srb.transfer_bytes, 0);
	}
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_errors, ARRAY_LEN(cases));
	assert_int_equal(info.n_protocol_errors, 0);
}

/* Whatever order the backend has, everybody gets his answer. */
static void requests_complete_in_any_order(void **state)
{
	uint64_t ids[10];

	(void)state;
	disk_dummy_hold(rig.backend, true);
	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		struct rig_command command = rig_read10(i, 1);

		command.gpa = RIG_DATA_GPA + i * RIG_BLOCK;
		ids[i] = rig_queue(&rig, &command);
	}
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_in_flight, ARRAY_LEN(ids));
	for (unsigned i = ARRAY_LEN(ids); i-- > 0;) {
		assert_true(disk_dummy_release(rig.backend, i));
		rig_work(&rig);
		assert_true(rig_take(&rig, 0));
		assert_int_equal(rig.packet.transaction_id, ids[i]);
		assert_false(rig_take(&rig, 0));
	}
	assert_memory_equal(rig_data(&rig), disk_block(0), ARRAY_LEN(ids) * RIG_BLOCK);
}

static void completions_wait_for_the_ring(void **state)
{
	uint64_t first = rig.next_id;

	(void)state;
	rig_channel(&rig, 0)->room = 2;
	for (unsigned i = 0; i < 6; i++) {
		struct rig_command command = rig_read10(i, 1);

		rig_queue(&rig, &command);
	}
	rig_work(&rig);
	assert_int_equal(stor_double_n_sent(rig_channel(&rig, 0)), 2);
	rig_channel(&rig, 0)->room = 3;
	rig_work(&rig);
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	rig_work(&rig);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(rig_take(&rig, 0));
		assert_int_equal(rig.packet.transaction_id, first + i);
	}
	assert_false(rig_take(&rig, 0));
}

/* More than there are requests for: the rest stays in the ring, and nothing is lost. */
static void requests_are_bounded(void **state)
{
	bool seen[600] = {false};
	uint64_t first = rig.next_id;

	(void)state;
	disk_dummy_hold(rig.backend, true);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		struct rig_command command = rig_read10(i, 1);

		rig_queue(&rig, &command);
	}
	rig_work(&rig);
	assert_int_equal(disk_dummy_n_held(rig.backend), 256);
	assert_int_equal(stor_double_n_queued(rig_channel(&rig, 0)), ARRAY_LEN(seen) - 256);
	disk_dummy_hold(rig.backend, false);
	rig_work(&rig);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		assert_true(rig_take(&rig, 0));
		assert_false(seen[rig.packet.transaction_id - first]);
		seen[rig.packet.transaction_id - first] = true;
	}
	assert_false(rig_take(&rig, 0));
}

static void a_full_queue_is_tried_again(void **state)
{
	(void)state;
	disk_dummy_set_depth(rig.backend, 2);
	disk_dummy_hold(rig.backend, true);
	for (unsigned i = 0; i < 7; i++) {
		struct rig_command command = rig_write10(i, 1);

		rig_queue(&rig, &command);
	}
	for (unsigned i = 0; i < 7; i++) {
		rig_work(&rig);
		assert_int_equal(disk_dummy_n_held(rig.backend), MIN(2U, 7 - i));
		assert_true(disk_dummy_release(rig.backend, 0));
	}
	rig_work(&rig);
	assert_int_equal(stor_double_n_sent(rig_channel(&rig, 0)), 7);
}

static void memory_that_is_not_there_is_refused(void **state)
{
	struct rig_command command = rig_read10(0, 16);

	(void)state;
	command.gpa = STOR_DOUBLE_MEMORY_BYTES - 4096;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	command.cdb[0] = SCSI_WRITE_10;
	command.direction = VSTOR_DATA_OUT;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	command.cdb[0] = SCSI_INQUIRY;
	command.cdb[4] = 36;
	command.gpa = STOR_DOUBLE_MEMORY_BYTES;
	command.direction = VSTOR_DATA_IN;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_protocol_errors, 3);
	assert_int_equal(info.n_in_flight, 0);
	disk_dummy_get_stats(rig.backend, &stats);
	assert_int_equal(stats.n_requests[DISK_READ] + stats.n_requests[DISK_WRITE], 0);
}

static void contradictions_are_refused(void **state)
{
	struct rig_command command = rig_read10(0, 8);

	(void)state;
	command.inband = true; /* a length, and no memory */
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	command = rig_read10(0, 8);
	command.direction = VSTOR_DATA_OUT;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	command = rig_write10(0, 8);
	command.direction = VSTOR_DATA_IN;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	command = rig_read10(0, 8);
	command.cdb_bytes = 17;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_INVALID_REQUEST);
	/* The descriptor asks for more than the guest has room for. */
	command = rig_read10(0, 8);
	command.transfer_bytes -= 1;
	assert_int_not_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig_sense(&rig), SCSI_INVALID_FIELD_IN_CDB);
	/* More room than needed is fine. */
	command = rig_read10(0, 8);
	command.transfer_bytes += 4096;
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
	assert_int_equal(rig.answer.srb.transfer_bytes, 8 * RIG_BLOCK);
}

/* A guest that closes its channel gets nothing more, and its memory is left alone. */
static void closing_waits_for_the_backend(void **state)
{
	struct rig_command command = rig_read10(0, 8);

	(void)state;
	rig_queue(&rig, &command);
	rig_queue(&rig, &command);
	rig_work(&rig);
	stor_double_close(rig_channel(&rig, 0));
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_in_flight, 0);
	assert_int_equal(info.version, 0);
	rig_initialise(&rig, VSTOR_VERSION_60);
	assert_false(rig_take(&rig, 0));
	assert_int_equal(rig_execute(&rig, &command), VSTOR_SRB_SUCCESS);
}

static void broken_rings_are_reported_once(void **state)
{
	(void)state;
	rig_channel(&rig, 0)->broken = true;
	rig_work(&rig);
	rig_work(&rig);
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_protocol_errors, 1);
}

/* Completions of the guest's, transfer pages and other packets mean nothing here. */
static void strange_packets_are_ignored(void **state)
{
	const struct vstor_packet packet = {.operation = VSTOR_RESET_BUS};

	(void)state;
	stor_double_push(rig_channel(&rig, 0), VMBUS_PACKET_COMPLETION, 1, false, &packet,
		sizeof(packet), NULL, 0);
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_protocol_errors, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_are_read_into_guest_memory),
		TEST(blocks_are_written_from_guest_memory),
		TEST(many_pieces_go_in_parts),
		TEST(tiny_pieces_go_through_a_buffer),
		TEST(flushes_reach_the_backend),
		TEST(errors_of_the_backend_become_sense),
		TEST(requests_complete_in_any_order),
		TEST(completions_wait_for_the_ring),
		TEST(requests_are_bounded),
		TEST(a_full_queue_is_tried_again),
		TEST(memory_that_is_not_there_is_refused),
		TEST(contradictions_are_refused),
		TEST(closing_waits_for_the_backend),
		TEST(broken_rings_are_reported_once),
		TEST(strange_packets_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
