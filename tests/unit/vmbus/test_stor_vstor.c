/* SPDX-License-Identifier: MIT
 *
 * The storage protocol: which packet may come when, in which size, and what is answered; guests of
 * every version.
 */
#include "stor_rig.h"
#include "vmbus/stor_vstor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct vstor vstor;
static struct vstor_packet answer;
static unsigned argument;

static int setup(void **state)
{
	(void)state;
	vstor = (struct vstor){.max_sub_channels = 3, .max_transfer_bytes = 1U << 19};
	vstor_open(&vstor);
	return 0;
}

static enum vstor_action send_bytes(const struct vstor_packet *packet, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
	enum vstor_action action;

	memcpy(exact, packet, size_bytes);
	argument = 0;
	action = vstor_handle(&vstor, exact, size_bytes, false, &answer, &argument);
	free(exact);
	return action;
}

static enum vstor_action operate(uint32_t operation, uint16_t value)
{
	struct vstor_packet packet = {.operation = operation, .flags = 1};

	packet.version.version = value;
	return send_bytes(&packet, sizeof(packet));
}

static void go_to(enum vstor_phase phase, uint16_t version)
{
	vstor_open(&vstor);
	if (phase >= VSTOR_BEGUN)
		assert_int_equal(operate(VSTOR_BEGIN_INIT, 0), VSTOR_ANSWER);
	if (phase >= VSTOR_VERSIONED)
		assert_int_equal(operate(VSTOR_QUERY_VERSION, version), VSTOR_ANSWER);
	if (phase >= VSTOR_DESCRIBED)
		assert_int_equal(operate(VSTOR_QUERY_PROPERTIES, 0), VSTOR_ANSWER);
	if (phase >= VSTOR_READY)
		assert_int_equal(operate(VSTOR_END_INIT, 0), VSTOR_ANSWER);
	assert_int_equal(vstor.phase, phase);
}

static void a_guest_initialises(void **state)
{
	(void)state;
	assert_int_equal(operate(VSTOR_BEGIN_INIT, 0), VSTOR_ANSWER);
	assert_int_equal(answer.operation, VSTOR_COMPLETE_IO);
	assert_int_equal(answer.status, 0);
	assert_int_equal(operate(VSTOR_QUERY_VERSION, 0x0700), VSTOR_ANSWER);
	assert_int_equal(answer.status, VSTOR_STATUS_REVISION_MISMATCH);
	assert_int_equal(operate(VSTOR_QUERY_VERSION, VSTOR_VERSION_62), VSTOR_ANSWER);
	assert_int_equal(answer.status, 0);
	assert_int_equal(vstor.version, VSTOR_VERSION_62);
	assert_int_equal(operate(VSTOR_QUERY_PROPERTIES, 0), VSTOR_ANSWER);
	assert_int_equal(answer.status, 0);
	assert_int_equal(answer.properties.max_sub_channels, 3);
	assert_int_equal(answer.properties.flags, VSTOR_PROPERTY_MULTI_CHANNEL);
	assert_int_equal(answer.properties.max_transfer_bytes, 1U << 19);
	assert_int_equal(operate(VSTOR_END_INIT, 0), VSTOR_ANSWER);
	assert_int_equal(answer.status, 0);
	assert_int_equal(vstor.phase, VSTOR_READY);
	assert_int_equal(operate(VSTOR_CREATE_SUB_CHANNELS, 2), VSTOR_OFFER);
	assert_int_equal(argument, 2);
	assert_int_equal(answer.status, 0);
}

static void one_channel_is_no_multi_channel(void **state)
{
	(void)state;
	vstor.max_sub_channels = 0;
	go_to(VSTOR_DESCRIBED, VSTOR_VERSION_62);
	assert_int_equal(answer.properties.flags, 0);
	assert_int_equal(answer.properties.max_sub_channels, 0);
	assert_int_equal(operate(VSTOR_END_INIT, 0), VSTOR_ANSWER);
	assert_int_equal(operate(VSTOR_CREATE_SUB_CHANNELS, 1), VSTOR_REFUSED);
	assert_int_equal(answer.status, VSTOR_STATUS_INVALID_PARAMETER);
}

static void old_guests_have_one_channel(void **state)
{
	(void)state;
	go_to(VSTOR_DESCRIBED, VSTOR_VERSION_42);
	assert_int_equal(answer.properties.flags, 0);
	go_to(VSTOR_READY, VSTOR_VERSION_20);
	assert_int_equal(operate(VSTOR_CREATE_SUB_CHANNELS, 1), VSTOR_REFUSED);
}

/* Everything in every phase: only its own lets it through. */
static void the_order_is_kept(void **state)
{
	static const enum vstor_phase right[] = {
		[VSTOR_EXECUTE_SRB] = VSTOR_READY,
		[VSTOR_RESET_LUN] = VSTOR_READY,
		[VSTOR_RESET_ADAPTER] = VSTOR_READY,
		[VSTOR_RESET_BUS] = VSTOR_READY,
		[VSTOR_BEGIN_INIT] = VSTOR_OPEN,
		[VSTOR_END_INIT] = VSTOR_DESCRIBED,
		[VSTOR_QUERY_VERSION] = VSTOR_BEGUN,
		[VSTOR_QUERY_PROPERTIES] = VSTOR_VERSIONED,
		[VSTOR_CREATE_SUB_CHANNELS] = VSTOR_READY,
		[VSTOR_EVENT_NOTIFICATION + 1] = VSTOR_CLOSED,
	};

	(void)state;
	for (uint32_t operation = 0; operation < ARRAY_LEN(right); operation++) {
		for (enum vstor_phase phase = VSTOR_OPEN; phase <= VSTOR_READY; phase++) {
			uint16_t value = operation == VSTOR_QUERY_VERSION ? VSTOR_VERSION_62 : 1;
			enum vstor_action action;

			go_to(phase, VSTOR_VERSION_62);
			action = operate(operation, value);
			if (right[operation] == phase) {
				assert_int_not_equal(action, VSTOR_REFUSED);
				continue;
			}
			assert_int_equal(action, VSTOR_REFUSED);
			assert_int_equal(answer.operation, VSTOR_COMPLETE_IO);
			assert_int_not_equal(answer.status, 0);
			assert_int_equal(vstor.phase, phase);
		}
	}
}

static void sizes_are_minimums(void **state)
{
	static const struct {
		uint32_t operation;
		enum vstor_phase phase;
		size_t min_bytes;
	} cases[] = {
		{VSTOR_BEGIN_INIT, VSTOR_OPEN, 12},
		{VSTOR_QUERY_VERSION, VSTOR_BEGUN, 16},
		{VSTOR_QUERY_PROPERTIES, VSTOR_VERSIONED, 12},
		{VSTOR_END_INIT, VSTOR_DESCRIBED, 12},
		{VSTOR_EXECUTE_SRB, VSTOR_READY, 48},
		{VSTOR_RESET_LUN, VSTOR_READY, 48},
		{VSTOR_RESET_BUS, VSTOR_READY, 12},
		{VSTOR_CREATE_SUB_CHANNELS, VSTOR_READY, 14},
	};
	struct vstor_packet packet = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		packet.operation = cases[i].operation;
		packet.version.version =
			cases[i].operation == VSTOR_QUERY_VERSION ? VSTOR_VERSION_60 : 1;
		if (cases[i].operation == VSTOR_RESET_LUN)
			packet.version.version = 0;
		for (size_t n = 0; n <= sizeof(packet); n++) {
			go_to(cases[i].phase, VSTOR_VERSION_62);
			if (n < cases[i].min_bytes)
				assert_int_equal(send_bytes(&packet, n), VSTOR_REFUSED);
			else
				assert_int_not_equal(send_bytes(&packet, n), VSTOR_REFUSED);
		}
	}
}

/* Longer than the union: the rest is not looked at. */
static void longer_packets_are_fine(void **state)
{
	uint8_t bytes[500] = {VSTOR_BEGIN_INIT};

	(void)state;
	assert_int_equal(vstor_handle(&vstor, bytes, sizeof(bytes), false, &answer, &argument),
		VSTOR_ANSWER);
}

static void only_commands_move_data(void **state)
{
	const struct vstor_packet reset = {.operation = VSTOR_RESET_BUS};
	const struct vstor_packet execute = {.operation = VSTOR_EXECUTE_SRB};

	(void)state;
	go_to(VSTOR_READY, VSTOR_VERSION_62);
	assert_int_equal(vstor_handle(&vstor, &reset, sizeof(reset), true, &answer, &argument),
		VSTOR_REFUSED);
	assert_int_equal(vstor_handle(&vstor, &execute, sizeof(execute), true, &answer, &argument),
		VSTOR_EXECUTE);
	assert_memory_equal(&answer, &execute, sizeof(execute));
}

static void sub_channels_are_ready_at_once(void **state)
{
	(void)state;
	vstor.is_sub_channel = true;
	vstor_open(&vstor);
	assert_int_equal(operate(VSTOR_EXECUTE_SRB, 0), VSTOR_EXECUTE);
	assert_int_equal(operate(VSTOR_RESET_BUS, 0), VSTOR_RESET);
	assert_int_equal(operate(VSTOR_BEGIN_INIT, 0), VSTOR_REFUSED);
	assert_int_equal(operate(VSTOR_CREATE_SUB_CHANNELS, 1), VSTOR_REFUSED);
}

static void resets_name_their_unit(void **state)
{
	struct vstor_packet packet = {.operation = VSTOR_RESET_LUN, .srb.lun = 5};

	(void)state;
	go_to(VSTOR_READY, VSTOR_VERSION_62);
	assert_int_equal(send_bytes(&packet, sizeof(packet)), VSTOR_RESET);
	assert_int_equal(argument, 5);
	packet.srb.path = 1;
	assert_int_equal(send_bytes(&packet, sizeof(packet)), VSTOR_REFUSED);
	packet.operation = VSTOR_RESET_ADAPTER;
	assert_int_equal(send_bytes(&packet, sizeof(packet)), VSTOR_RESET);
	assert_int_equal(argument, VSTOR_ALL_UNITS);
}

/* A guest of before 5.1 has no room for more than it sent. */
static void answers_fit_the_guest(void **state)
{
	(void)state;
	go_to(VSTOR_READY, VSTOR_VERSION_62);
	assert_int_equal(vstor_answer_bytes(&vstor, 64), 64);
	assert_int_equal(vstor_answer_bytes(&vstor, 100), 64);
	assert_int_equal(vstor_answer_bytes(&vstor, 12), 64);
	assert_int_equal(vstor_answer_bytes(&vstor, 48), 48);
	assert_int_equal(vstor_answer_bytes(&vstor, 0), 64);
	go_to(VSTOR_READY, VSTOR_VERSION_42);
	assert_int_equal(vstor_answer_bytes(&vstor, 48), 48);
	assert_int_equal(vstor_answer_bytes(&vstor, 0), 48);
}

static struct stor_rig rig;

static int rig_setup(void **state)
{
	(void)state;
	rig_new(&rig, 1);
	return 0;
}

static int rig_teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* Nothing is left without an answer, and answers are as long as guests want them. */
static void everything_is_answered(void **state)
{
	static const size_t sizes[] = {0, 1, 4, 11, 12, 16, 47, 48, 63, 64, 65};

	(void)state;
	stor_double_open(rig_channel(&rig, 0));
	for (uint32_t operation = 0; operation < 20; operation++) {
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			uint8_t bytes[65] = {(uint8_t)operation};
			uint64_t id = rig_post(&rig, bytes, sizes[i]);

			rig_work(&rig);
			assert_true(rig_take(&rig, 0));
			assert_int_equal(rig.packet.transaction_id, id);
			assert_int_equal(rig.answer.operation, VSTOR_COMPLETE_IO);
			assert_int_equal(rig.packet.payload_bytes,
				sizes[i] >= 48 && sizes[i] < 64 ? 48 : 64);
			assert_false(rig_take(&rig, 0));
		}
	}
}

static void nothing_is_answered_unasked(void **state)
{
	const struct vstor_packet packet = {.operation = VSTOR_BEGIN_INIT};

	(void)state;
	stor_double_open(rig_channel(&rig, 0));
	stor_double_push(rig_channel(&rig, 0), VMBUS_PACKET_INBAND, 1, false, &packet,
		sizeof(packet), NULL, 0);
	rig_work(&rig);
	assert_false(rig_take(&rig, 0));
	assert_int_equal(rig_operate(&rig, VSTOR_QUERY_VERSION, VSTOR_VERSION_60), 0);
}

static void an_old_guest_is_served(void **state)
{
	struct vstor_packet packet = {
		.operation = VSTOR_EXECUTE_SRB, .srb = {.length = 36, .cdb_length = 6}};
	uint64_t id;

	(void)state;
	rig_initialise(&rig, VSTOR_VERSION_42);
	id = rig_post(&rig, &packet, VSTOR_OLD_PACKET_BYTES);
	rig_work(&rig);
	assert_true(rig_take(&rig, 0));
	assert_int_equal(rig.packet.transaction_id, id);
	assert_int_equal(rig.packet.payload_bytes, VSTOR_OLD_PACKET_BYTES);
	assert_int_equal(rig.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
}

#define TEST(name)     cmocka_unit_test_setup(name, setup)
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_initialises),
		TEST(one_channel_is_no_multi_channel),
		TEST(old_guests_have_one_channel),
		TEST(the_order_is_kept),
		TEST(sizes_are_minimums),
		TEST(longer_packets_are_fine),
		TEST(only_commands_move_data),
		TEST(sub_channels_are_ready_at_once),
		TEST(resets_name_their_unit),
		TEST(answers_fit_the_guest),
		RIG_TEST(everything_is_answered),
		RIG_TEST(nothing_is_answered_unasked),
		RIG_TEST(an_old_guest_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
