/* SPDX-License-Identifier: MIT
 *
 * Properties that hold whatever a guest sends: every request is answered exactly once on its
 * channel, nothing outside the disk is touched (the dummy ends the process), answers stay inside
 * the memory they were asked into, and in the end nothing is under way.
 */
#include "stor_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_ROUNDS 400
#define N_BURST  40

static struct stor_rig rig;
static uint64_t seed;

static int setup(void **state)
{
	(void)state;
	seed = 0x5eed;
	rig_new(&rig, 3);
	rig_initialise(&rig, VSTOR_VERSION_62);
	stor_double_open(rig_channel(&rig, 1));
	stor_double_open(rig_channel(&rig, 2));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_dummy_hold(rig.backend, false);
	rig_free(&rig);
	return 0;
}

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % limit;
}

static const uint8_t known[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28,
	0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a, 0x88, 0x8a, 0x8f, 0x91,
	0x93, 0x9e, 0xa0, 0xa8, 0xaa, 0xbd};

static struct rig_command random_transfer(void)
{
	uint32_t lba = random_below(RIG_DISK_BLOCKS + 10);
	uint16_t n_blocks = (uint16_t)(1 + random_below(100));
	struct rig_command command =
		random_below(2) ? rig_read10(lba, n_blocks) : rig_write10(lba, n_blocks);

	command.channel = random_below(3);
	command.gpa = RIG_DATA_GPA + random_below(STOR_DOUBLE_MEMORY_BYTES / 2);
	return command;
}

/* Of a kind that means something, mostly, so that much gets through; and anything else. */
static struct rig_command random_command(void)
{
	struct rig_command command = {
		.channel = random_below(3),
		.lun = (uint8_t)(random_below(10) ? random_below(2) : random_below(256)),
		.path = (uint8_t)(random_below(50) == 0),
		.direction = random_below(4) % 3,
		.gpa = RIG_DATA_GPA + random_below(STOR_DOUBLE_MEMORY_BYTES),
		.transfer_bytes =
			random_below(4) ? random_below(20) * RIG_BLOCK : random_below(100000),
	};
	uint8_t noise = random_below(4) == 0;

	command.cdb[0] = known[random_below(sizeof(known))];
	if (random_below(8) == 0)
		command.cdb[0] = (uint8_t)random_below(256);
	for (unsigned i = 1; i < sizeof(command.cdb); i++)
		command.cdb[i] = (uint8_t)(noise || random_below(8) == 0 ? random_below(256) : 0);
	command.cdb[8] |= (uint8_t)random_below(20);
	command.cdb[4] |= (uint8_t)random_below(20);
	if (random_below(20) == 0)
		command.cdb_bytes = (uint8_t)random_below(20);
	return command;
}

static void check_answer(void)
{
	const struct vstor_srb *srb = &rig.answer.srb;

	assert_int_equal(rig.packet.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(rig.packet.payload_bytes, 64);
	assert_int_equal(rig.answer.operation, VSTOR_COMPLETE_IO);
	assert_true(srb->srb_status == VSTOR_SRB_SUCCESS ||
		    srb->srb_status == (VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE_VALID) ||
		    srb->srb_status == VSTOR_SRB_INVALID_REQUEST ||
		    srb->srb_status == VSTOR_SRB_INVALID_LUN);
	(void)rig_sense(&rig);
}

static void a_round(bool held)
{
	uint64_t first = rig.next_id;
	struct rig_command commands[N_BURST];
	bool answered[N_BURST] = {false};
	unsigned n_answered = 0;

	disk_dummy_hold(rig.backend, held);
	for (unsigned i = 0; i < N_BURST; i++) {
		commands[i] = random_below(3) ? random_command() : random_transfer();
		rig_queue(&rig, &commands[i]);
	}
	for (unsigned turn = 0; turn < 10 * N_BURST && n_answered < N_BURST; turn++) {
		rig_work(&rig);
		for (unsigned channel = 0; channel < 3; channel++) {
			while (rig_take(&rig, channel)) {
				uint64_t n = rig.packet.transaction_id - first;

				assert_true(n < N_BURST && !answered[n]);
				assert_int_equal(commands[n].channel, channel);
				assert_true(rig.answer.srb.transfer_bytes <=
					    commands[n].transfer_bytes);
				check_answer();
				answered[n] = true;
				n_answered++;
			}
		}
		if (held && disk_dummy_n_held(rig.backend))
			disk_dummy_release(rig.backend,
				random_below((uint32_t)disk_dummy_n_held(rig.backend)));
	}
	assert_int_equal(n_answered, N_BURST);
}

static void every_request_is_answered_once(void **state)
{
	struct storvsp_info info;

	(void)state;
	assert_int_equal(storvsp_set_medium(rig.storvsp, 1, rig.disc, true), 0);
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		rig.bus->scattered = round & 2;
		if (round % 5 == 0)
			disk_dummy_fail(rig.backend, random_below(5), -EIO, random_below(5));
		disk_dummy_set_depth(rig.backend, round % 7);
		a_round(round & 1);
	}
	storvsp_get_info(rig.storvsp, &info);
	assert_int_equal(info.n_in_flight, 0);
	assert_true(info.n_reads > 100 && info.n_writes > 100 && info.n_flushes > 20);
}

/* Reading answers with a canary behind the room that was asked for. */
static void answers_keep_to_their_room(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct rig_command command = random_command();

		command.gpa = RIG_DATA_GPA;
		command.direction = VSTOR_DATA_IN;
		command.transfer_bytes = random_below(600);
		memset(rig_data(&rig) + command.transfer_bytes, 0xc5, 64);
		assert_int_not_equal(rig_execute(&rig, &command), 0);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(rig_data(&rig)[command.transfer_bytes + i], 0xc5);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_request_is_answered_once),
		TEST(answers_keep_to_their_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
