/* SPDX-License-Identifier: MIT
 *
 * The controller on the real bus: rings, workers, doorbells and signals between a guest and dummy
 * disks, on two channels; in traffic, when it stops with requests under way, in a move, and when
 * guest or owner take things away meanwhile. Every wait is for a signal.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/disk_dummy.h"
#include "fake_guest.h"
#include "vmbus/proto/scsi.h"
#include "vmbus/proto/vstor.h"
#include "vmbus/storvsp.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define N_PAGES     1024
#define DISK_BYTES  (4U << 20)
#define BLOCK_BYTES 512U
#define DATA_PAGES  16U /* of each channel */
#define N_CHANNELS  2U

struct rig {
	struct fake_guest guest;
	struct disk_dummy_backend *backend;
	struct disk_dummy *disk;
	struct storvsp *storvsp;
	struct vmbus_msg_offer_channel offers[N_CHANNELS];
	struct fake_channel channels[N_CHANNELS];
	uint32_t data_page[N_CHANNELS];
	struct buf saved;
};

/* What a channel's guest thread took last. */
struct taken {
	uint8_t bytes[256];
	struct vmbus_packet_descriptor descriptor;
	struct vstor_packet answer;
};

static const struct fake_open usual[N_CHANNELS] = {
	{.gpadl_id = 0xe1e10, .n_ring_pages = 8, .target_vp = 1},
	{.gpadl_id = 0xe1e20, .n_ring_pages = 8, .target_vp = 2, .scattered = true},
};

static void make_controller(struct rig *rig)
{
	const struct storvsp_config config = {
		.n_channels = N_CHANNELS,
		.disk_ops = &disk_dummy_ops,
		.backend = rig->backend,
	};

	assert_int_equal(storvsp_new(rig->guest.bus, &config, &rig->storvsp), 0);
	assert_int_equal(storvsp_register_unit(rig->storvsp, rig->guest.units), 0);
	assert_int_equal(storvsp_attach(rig->storvsp, &(struct storvsp_lun){.disk = rig->disk}), 0);
}

static struct storvsp_info info(struct rig *rig)
{
	struct storvsp_info now;

	storvsp_get_info(rig->storvsp, &now);
	return now;
}

static void take(struct fake_channel *channel, struct taken *ret_taken)
{
	int n = fake_channel_recv(channel, ret_taken->bytes, sizeof(ret_taken->bytes));

	assert_true(n >= (int)(sizeof(ret_taken->descriptor) + sizeof(ret_taken->answer)));
	memcpy(&ret_taken->descriptor, ret_taken->bytes, sizeof(ret_taken->descriptor));
	memcpy(&ret_taken->answer, ret_taken->bytes + ret_taken->descriptor.offset8 * 8U,
		sizeof(ret_taken->answer));
}

static void operate(struct rig *rig, uint32_t operation, uint16_t argument)
{
	struct vstor_packet packet = {.operation = operation, .flags = 1};
	struct taken taken;

	packet.version.version = argument;
	assert_true(fake_channel_try_send(
		&rig->channels[0], VMBUS_PACKET_INBAND, 0x1234, NULL, 0, &packet, sizeof(packet)));
	take(&rig->channels[0], &taken);
	assert_int_equal(taken.descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(taken.descriptor.transaction_id, 0x1234);
	assert_int_equal(taken.answer.operation, VSTOR_COMPLETE_IO);
	assert_int_equal(taken.answer.status, 0);
}

static void initialise(struct rig *rig)
{
	operate(rig, VSTOR_BEGIN_INIT, 0);
	operate(rig, VSTOR_QUERY_VERSION, VSTOR_VERSION_62);
	operate(rig, VSTOR_QUERY_PROPERTIES, 0);
	operate(rig, VSTOR_END_INIT, 0);
}

static int setup(void **state)
{
	static const struct disk_info disk_info = {
		.size_bytes = DISK_BYTES,
		.block_bytes = BLOCK_BYTES,
		.physical_bytes = BLOCK_BYTES,
		.write_cache = true,
	};
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, N_PAGES);
	assert_int_equal(disk_dummy_backend_new(&rig.backend), 0);
	assert_int_equal(disk_dummy_new(rig.backend, &disk_info, &rig.disk), 0);
	make_controller(&rig);
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, rig.offers, 1), 1);
	for (unsigned i = 0; i < N_CHANNELS; i++)
		rig.data_page[i] = fake_guest_alloc(&rig.guest, DATA_PAGES);
	assert_int_equal(
		fake_channel_open(&rig.guest, &rig.offers[0], &usual[0], &rig.channels[0]), 0);
	initialise(&rig);
	operate(&rig, VSTOR_CREATE_SUB_CHANNELS, 1);
	fake_guest_take(&rig.guest, VMBUS_MSG_OFFER_CHANNEL, &rig.offers[1], sizeof(rig.offers[1]));
	assert_int_equal(rig.offers[1].sub_channel_index, 1);
	assert_int_equal(
		fake_channel_open(&rig.guest, &rig.offers[1], &usual[1], &rig.channels[1]), 0);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	disk_dummy_hold(rig->backend, false);
	fake_guest_stop(&rig->guest);
	storvsp_free(rig->storvsp);
	fake_guest_fini(&rig->guest);
	disk_dummy_free(rig->disk);
	disk_dummy_backend_free(rig->backend);
	buf_fini(&rig->saved);
	return 0;
}

static uint8_t *data(struct rig *rig, unsigned channel)
{
	return guest_page(&rig->guest.memory, rig->data_page[channel]);
}

/* READ(10) or WRITE(10) of `n_blocks`, to or from the channel's data from `offset` on. */
static bool try_request(struct rig *rig, unsigned channel, uint64_t id, uint8_t opcode,
	uint32_t lba, uint16_t n_blocks, uint32_t offset)
{
	struct vstor_packet packet = {
		.operation = VSTOR_EXECUTE_SRB,
		.srb = {.length = sizeof(packet.srb),
			.cdb_length = 10,
			.sense_length = VSTOR_SENSE_BYTES,
			.direction = opcode == SCSI_READ_10 ? VSTOR_DATA_IN : VSTOR_DATA_OUT,
			.transfer_bytes = n_blocks * BLOCK_BYTES,
			.cdb = {opcode}},
	};
	struct {
		struct vmbus_gpa_direct_header header;
		struct vmbus_gpa_range range;
		uint64_t pfns[DATA_PAGES];
	} direct = {{0, 1}, {packet.srb.transfer_bytes, offset % 4096}, {0}};
	uint32_t n_pages = (offset % 4096 + packet.srb.transfer_bytes + 4095) / 4096;

	assert_true(offset / 4096 + n_pages <= DATA_PAGES);
	store_be32(packet.srb.cdb + 2, lba);
	store_be16(packet.srb.cdb + 7, n_blocks);
	for (uint32_t i = 0; i < n_pages; i++)
		direct.pfns[i] = guest_pfn(rig->data_page[channel] + offset / 4096 + i);
	return fake_channel_try_send(&rig->channels[channel], VMBUS_PACKET_GPA_DIRECT, id, &direct,
		offsetof(__typeof__(direct), pfns) + n_pages * sizeof(uint64_t), &packet,
		sizeof(packet));
}

static void expect(struct rig *rig, unsigned channel, uint64_t id, uint32_t transfer_bytes)
{
	struct taken taken;

	take(&rig->channels[channel], &taken);
	assert_int_equal(taken.descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(taken.descriptor.transaction_id, id);
	assert_int_equal(taken.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
	assert_int_equal(taken.answer.srb.transfer_bytes, transfer_bytes);
}

#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t _end_ns = clock_mono_ns() + 20 * NS_PER_SEC;                              \
		while (!(condition)) {                                                             \
			assert_true(clock_mono_ns() < _end_ns);                                    \
			sched_yield();                                                             \
		}                                                                                  \
	} while (0)

static void data_moves_on_both_channels(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < N_CHANNELS; i++) {
		uint8_t *at = data(rig, i);

		for (size_t k = 0; k < 8 * BLOCK_BYTES; k++)
			at[100 + k] = (uint8_t)(k * 13 + i);
		assert_true(try_request(rig, i, 7 + i, SCSI_WRITE_10, 100 * i, 8, 100));
		expect(rig, i, 7 + i, 8 * BLOCK_BYTES);
		assert_memory_equal(disk_dummy_bytes(rig->disk) + 100 * i * BLOCK_BYTES, at + 100,
			8 * BLOCK_BYTES);
		assert_true(try_request(rig, i, 17 + i, SCSI_READ_10, 100 * i, 8, 8192 + 512));
		expect(rig, i, 17 + i, 8 * BLOCK_BYTES);
		assert_memory_equal(at + 8192 + 512, at + 100, 8 * BLOCK_BYTES);
	}
	fake_guest_stop(&rig->guest);
	for (unsigned i = 0; i < N_CHANNELS; i++) {
		for (unsigned page = 0; page < DATA_PAGES; page++)
			assert_int_equal(
				guest_page_is_dirty(&rig->guest.memory, rig->data_page[i] + page),
				page == 2 || page == 3);
	}
	fake_guest_start(&rig->guest);
	assert_int_equal(info(rig).n_channels_open, 2);
}

/* One guest thread a channel, as much in the ring as fits. */
struct driver {
	struct rig *rig;
	unsigned channel;
	unsigned n_requests;
	pthread_t thread;
};

static void *drive(void *opaque)
{
	struct driver *driver = opaque;
	unsigned n_sent = 0, n_done = 0;
	struct taken taken;

	while (n_done < driver->n_requests) {
		while (n_sent < driver->n_requests && n_sent - n_done < 400 &&
			try_request(driver->rig, driver->channel, n_sent,
				n_sent % 3 ? SCSI_WRITE_10 : SCSI_READ_10,
				1000 * driver->channel + n_sent % 100, 1 + n_sent % 16,
				n_sent % 16 * 2048))
			n_sent++;
		take(&driver->rig->channels[driver->channel], &taken);
		if (taken.answer.srb.srb_status != VSTOR_SRB_SUCCESS)
			abort();
		n_done++;
	}
	return NULL;
}

static void both_channels_at_once(void **state)
{
	struct driver drivers[N_CHANNELS];
	struct rig *rig = *state;

	for (unsigned i = 0; i < N_CHANNELS; i++) {
		drivers[i] = (struct driver){.rig = rig, .channel = i, .n_requests = 3000};
		assert_int_equal(pthread_create(&drivers[i].thread, NULL, drive, &drivers[i]), 0);
	}
	for (unsigned i = 0; i < N_CHANNELS; i++)
		pthread_join(drivers[i].thread, NULL);
	assert_int_equal(info(rig).n_reads + info(rig).n_writes, 6000);
	assert_int_equal(info(rig).n_in_flight, 0);
}

static void *stop(void *opaque)
{
	struct rig *rig = opaque;

	fake_guest_stop(&rig->guest);
	return NULL;
}

static void queue_held(struct rig *rig, unsigned n)
{
	disk_dummy_hold(rig->backend, true);
	for (unsigned i = 0; i < n; i++)
		assert_true(try_request(
			rig, i % N_CHANNELS, i, SCSI_READ_10, i, 1, i / 2 * BLOCK_BYTES));
	wait_until(disk_dummy_n_held(rig->backend) == n);
}

/* While it waits the backend answers in its own order; all answers are in the rings afterwards. */
static void stopping_waits_for_the_backend(void **state)
{
	struct rig *rig = *state;
	pthread_t stopper;

	queue_held(rig, 20);
	assert_int_equal(pthread_create(&stopper, NULL, stop, rig), 0);
	assert_int_equal(info(rig).n_in_flight, 20);
	while (disk_dummy_n_held(rig->backend))
		assert_true(disk_dummy_release(rig->backend, disk_dummy_n_held(rig->backend) / 2));
	pthread_join(stopper, NULL);
	assert_int_equal(info(rig).n_in_flight, 0);
	disk_dummy_hold(rig->backend, false);
	for (unsigned i = 0; i < 20; i++) {
		struct taken taken;

		take(&rig->channels[i % N_CHANNELS], &taken);
		assert_int_equal(taken.answer.srb.srb_status, VSTOR_SRB_SUCCESS);
		assert_int_equal(taken.descriptor.transaction_id % N_CHANNELS, i % N_CHANNELS);
	}
	fake_guest_start(&rig->guest);
	assert_true(try_request(rig, 0, 99, SCSI_READ_10, 0, 1, 0));
	expect(rig, 0, 99, BLOCK_BYTES);
}

/* What was in the ring when it stopped is served on the other side. */
static void a_busy_guest_moves(void **state)
{
	struct rig *rig = *state;
	struct reader in;

	assert_true(try_request(rig, 0, 1, SCSI_WRITE_10, 5, 3, 0));
	expect(rig, 0, 1, 3 * BLOCK_BYTES);
	fake_guest_stop(&rig->guest);
	assert_true(try_request(rig, 0, 2, SCSI_READ_10, 5, 3, 4096));
	assert_true(try_request(rig, 1, 3, SCSI_READ_10, 5, 3, 4096));
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	storvsp_free(rig->storvsp);
	fake_guest_free_bus(&rig->guest);

	fake_guest_new_bus(&rig->guest);
	make_controller(rig);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	assert_int_equal(unit_restore_all(rig->guest.units, &in, NULL), 0);
	fake_guest_start(&rig->guest);
	expect(rig, 0, 2, 3 * BLOCK_BYTES);
	expect(rig, 1, 3, 3 * BLOCK_BYTES);
	assert_int_equal(info(rig).n_reads, 2);
	assert_int_equal(info(rig).n_writes, 1);
	assert_true(info(rig).ready);
	assert_int_equal(info(rig).n_channels_open, 2);
}

static void *detach(void *opaque)
{
	struct rig *rig = opaque;

	assert_int_equal(storvsp_detach(rig->storvsp, 0), 0);
	return NULL;
}

static void detaching_waits_for_the_disk(void **state)
{
	struct rig *rig = *state;
	struct taken taken;
	pthread_t detacher;

	queue_held(rig, 10);
	assert_int_equal(pthread_create(&detacher, NULL, detach, rig), 0);
	/* It is gone for the guest before it is. */
	wait_until(info(rig).n_luns == 0);
	assert_true(try_request(rig, 1, 50, SCSI_READ_10, 0, 1, 0));
	take(&rig->channels[1], &taken);
	assert_int_equal(taken.descriptor.transaction_id, 50);
	assert_int_equal(taken.answer.srb.srb_status, VSTOR_SRB_INVALID_LUN);
	disk_dummy_hold(rig->backend, false);
	pthread_join(detacher, NULL);
	for (unsigned i = 0; i < 5; i++)
		take(&rig->channels[1], &taken);
	/* Requests and the notice come in either order. */
	for (unsigned i = 0, n_notices = 0; i < 6; i++) {
		take(&rig->channels[0], &taken);
		n_notices += taken.answer.operation == VSTOR_ENUMERATE_BUS;
		assert_true(i < 5 || n_notices == 1);
	}
	assert_int_equal(storvsp_attach(rig->storvsp, &(struct storvsp_lun){.disk = rig->disk}), 0);
	take(&rig->channels[0], &taken);
	assert_int_equal(taken.answer.operation, VSTOR_ENUMERATE_BUS);
}

static void *close_sub_channel(void *opaque)
{
	struct rig *rig = opaque;

	fake_channel_close(&rig->channels[1]);
	return NULL;
}

/* The guest may use its memory for something else when its channel is closed. */
static void closing_waits_for_the_backend(void **state)
{
	struct rig *rig = *state;
	pthread_t closer;

	queue_held(rig, 10);
	assert_int_equal(pthread_create(&closer, NULL, close_sub_channel, rig), 0);
	wait_until(info(rig).n_channels_open == 1);
	disk_dummy_hold(rig->backend, false);
	pthread_join(closer, NULL);
	for (unsigned i = 0; i < 5; i++)
		expect(rig, 0, 2 * i, BLOCK_BYTES);
	assert_int_equal(info(rig).n_in_flight, 0);
	guest_ring_reset(&rig->channels[1].to_host);
	guest_ring_reset(&rig->channels[1].from_host);
	assert_int_equal(fake_channel_reopen(&rig->channels[1]), 0);
	assert_true(try_request(rig, 1, 60, SCSI_READ_10, 0, 1, 0));
	expect(rig, 1, 60, BLOCK_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_moves_on_both_channels),
		TEST(both_channels_at_once),
		TEST(stopping_waits_for_the_backend),
		TEST(a_busy_guest_moves),
		TEST(detaching_waits_for_the_disk),
		TEST(closing_waits_for_the_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
