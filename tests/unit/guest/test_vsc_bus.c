/* SPDX-License-Identifier: MIT
 *
 * The guest's end of the bus: connecting, offers, GPADLs, channels, and a host that misbehaves.
 */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t nic_class[] = VMBUS_GUID_NIC;
static const uint8_t scsi_class[] = VMBUS_GUID_SCSI;

static int set_up(void **state)
{
	*state = fake_host_new();
	return 0;
}

static int set_up_connected(void **state)
{
	*state = fake_host_connected();
	return 0;
}

static int tear_down(void **state)
{
	fake_host_free(*state);
	return 0;
}

static int connect(struct fake_host *host)
{
	return vsc_bus_connect(&host->bus, &fake_host_ops, host);
}

static void test_newest_version(void **state)
{
	struct fake_host *host = *state;

	host->message_connection_id = 77;
	assert_int_equal(connect(host), 0);
	assert_int_equal(host->bus.version, VMBUS_VERSION_5_3);
	assert_int_equal(host->bus.message_connection_id, 77);
	assert_int_equal(host->n_contacts, 1);
}

static void test_falls_back(void **state)
{
	static const uint32_t known[] = {VMBUS_VERSION_5_2, VMBUS_VERSION_5_0, VMBUS_VERSION_4_1,
		VMBUS_VERSION_3_0, VMBUS_VERSION_2_4};
	struct fake_host *host = *state;

	for (size_t i = 0; i < N_ELEMENTS(known); i++) {
		host->newest_version = known[i];
		assert_int_equal(connect(host), 0);
		assert_int_equal(host->bus.version, known[i]);
		assert_int_equal(
			host->bus.message_connection_id, known[i] >= VMBUS_VERSION_5_0 ? 4 : 1);
	}
	host->newest_version = 1;
	assert_int_equal(connect(host), -EPROTONOSUPPORT);
}

static void test_refusal_by_status(void **state)
{
	struct fake_host *host = *state;

	host->no_connection_4 = true;
	assert_int_equal(connect(host), 0);
	assert_int_equal(host->bus.version, VMBUS_VERSION_4_1);
	assert_int_equal(host->n_contacts, 1);
}

static void test_busy_and_mute_hosts(void **state)
{
	struct fake_host *host = *state;

	host->n_busy = 50;
	assert_int_equal(connect(host), 0);
	host->n_busy = 1000;
	assert_int_equal(connect(host), -EIO);
	host->n_busy = 0;
	host->mute = true;
	assert_int_equal(connect(host), -ETIMEDOUT);
	assert_true(host->now_ns >= 10 * NS_PER_S);
}

static void test_offers(void **state)
{
	struct fake_host *host = *state;
	struct vsc_offer *offer;

	assert_int_equal(connect(host), 0);
	fake_host_offer(host, 3, scsi_class);
	fake_host_offer(host, 1, nic_class);
	fake_host_offer(host, 2, nic_class);
	fake_host_offer(host, 2, nic_class); /* again */
	fake_host_offer(host, 0, nic_class);
	fake_host_offer(host, 2048, nic_class);
	assert_int_equal(vsc_bus_request_offers(&host->bus), 0);
	offer = vsc_bus_find_offer(&host->bus, nic_class, 0);
	assert_int_equal(offer->relid, 1);
	assert_int_equal(offer->connection_id, FAKE_CONNECTION + 1);
	assert_int_equal(vsc_bus_find_offer(&host->bus, nic_class, 1)->relid, 2);
	assert_null(vsc_bus_find_offer(&host->bus, nic_class, 2));
	/* Later ones are found, too, and what is taken back is forgotten. */
	fake_host_offer(host, 9, nic_class);
	fake_host_rescind(host, 1);
	fake_host_rescind(host, 1);
	fake_host_rescind(host, 500);
	assert_true(vsc_bus_poll(&host->bus));
	assert_false(vsc_bus_poll(&host->bus));
	assert_int_equal(host->n_relids_released, 1);
	assert_int_equal(vsc_bus_find_offer(&host->bus, nic_class, 0)->relid, 2);
	assert_int_equal(vsc_bus_find_offer(&host->bus, nic_class, 1)->relid, 9);
}

static void test_too_many_offers(void **state)
{
	struct fake_host *host = *state;

	for (uint32_t relid = 1; relid <= VSC_MAX_OFFERS + 5; relid++)
		fake_host_offer(host, relid, nic_class);
	vsc_bus_poll(&host->bus);
	assert_non_null(vsc_bus_find_offer(&host->bus, nic_class, VSC_MAX_OFFERS - 1));
	assert_null(vsc_bus_find_offer(&host->bus, nic_class, VSC_MAX_OFFERS));
}

static void test_malformed_messages(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[HV_MESSAGE_PAYLOAD_MAX_BYTES] = {0};

	for (uint32_t type = 0; type < 40; type++) {
		memcpy(data, &type, sizeof(type));
		for (size_t n = 0; n <= sizeof(data); n += 5) {
			fake_host_message(host, data, n);
			vsc_bus_poll(&host->bus);
		}
	}
	fake_host_message(host, data, sizeof(data));
	host->messages[0].type = HV_MESSAGE_TIMER_EXPIRED;
	vsc_bus_poll(&host->bus);
	fake_host_message(host, data, sizeof(data));
	host->messages[0].payload_bytes = 255;
	vsc_bus_poll(&host->bus);
	assert_null(vsc_bus_find_offer(&host->bus, nic_class, 0));
	assert_int_equal(vsc_bus_unload(&host->bus), 0);
}

static void test_gpadls(void **state)
{
	static const uint32_t page_counts[] = {1, 26, 27, 54, 55, 512};
	struct fake_host *host = *state;
	uint8_t *memory = aligned_alloc(VMBUS_PAGE_BYTES, 512 * VMBUS_PAGE_BYTES);
	uint32_t ids[N_ELEMENTS(page_counts)], size_bytes;

	for (size_t i = 0; i < N_ELEMENTS(page_counts); i++) {
		size_bytes = page_counts[i] * VMBUS_PAGE_BYTES;
		assert_int_equal(
			vsc_bus_gpadl_create(&host->bus, 5, memory, size_bytes, &ids[i]), 0);
	}
	for (size_t i = 0; i < N_ELEMENTS(page_counts); i++) {
		assert_ptr_equal(fake_host_gpadl(host, ids[i], &size_bytes), memory);
		assert_int_equal(size_bytes, page_counts[i] * VMBUS_PAGE_BYTES);
		assert_int_equal(vsc_bus_gpadl_teardown(&host->bus, 5, ids[i]), 0);
	}
	host->refuse_gpadls = true;
	assert_int_equal(
		vsc_bus_gpadl_create(&host->bus, 5, memory, VMBUS_PAGE_BYTES, &ids[0]), -EIO);
	host->mute = true;
	assert_int_equal(
		vsc_bus_gpadl_create(&host->bus, 5, memory, VMBUS_PAGE_BYTES, &ids[0]), -ETIMEDOUT);
	free(memory);
}

/* An answer to another request is not taken for ours. */
static void test_foreign_answers(void **state)
{
	struct fake_host *host = *state;
	struct vmbus_msg_gpadl_created created = {
		.header.type = VMBUS_MSG_GPADL_CREATED, .gpadl_id = 1, .status = 0};
	uint8_t *page = aligned_alloc(VMBUS_PAGE_BYTES, VMBUS_PAGE_BYTES);
	uint32_t id;

	host->refuse_gpadls = true;
	fake_host_message(host, &created, sizeof(created));
	assert_int_equal(vsc_bus_gpadl_create(&host->bus, 5, page, VMBUS_PAGE_BYTES, &id), -EIO);
	free(page);
}

static void test_channel(void **state)
{
	struct fake_host *host = *state;
	uint8_t *rings = aligned_alloc(VMBUS_PAGE_BYTES, 8 * VMBUS_PAGE_BYTES);
	struct fake_channel *peer = fake_host_add_channel(host, 6, scsi_class);
	struct vsc_packet_out out = {.type = VMBUS_PACKET_INBAND,
		.transaction_id = 5,
		.payload = "ping",
		.payload_bytes = 4};
	struct vsc_channel channel;
	struct vsc_packet in;
	uint8_t buffer[64];
	bool signal;

	vsc_bus_poll(&host->bus);
	memset(rings, 0xff, 8 * VMBUS_PAGE_BYTES);
	assert_int_equal(vsc_channel_open(&channel, &host->bus,
				 vsc_bus_find_offer(&host->bus, scsi_class, 0), rings, 4),
		0);
	assert_true(peer->open);
	assert_int_equal(vsc_channel_send(&channel, &out), 0);
	assert_int_equal(vsc_channel_send(&channel, &out), 0);
	assert_int_equal(host->n_signals, 1);
	assert_int_equal(vsc_ring_receive(&peer->in, buffer, sizeof(buffer), &in, &signal), 0);
	assert_true(in.transaction_id == 5);
	assert_int_equal(vsc_ring_send(&peer->out, &out, &signal), 0);
	assert_true(signal);
	fake_host_signal(host, peer);
	assert_true(vsc_channel_take_event(&channel));
	assert_false(vsc_channel_take_event(&channel));
	assert_int_equal(vsc_channel_receive(&channel, buffer, sizeof(buffer), &in), 0);
	assert_memory_equal(in.payload, "ping", 4);
	vsc_channel_close(&channel);
	vsc_channel_close(&channel);
	assert_false(peer->open);
	assert_null(fake_host_gpadl(host, peer->gpadl_id, &(uint32_t){0}));
	free(rings);
}

static void test_channel_refused(void **state)
{
	struct fake_host *host = *state;
	uint8_t *rings = aligned_alloc(VMBUS_PAGE_BYTES, 4 * VMBUS_PAGE_BYTES);
	struct vsc_channel channel;
	struct vsc_offer *offer;

	fake_host_add_channel(host, 6, scsi_class);
	vsc_bus_poll(&host->bus);
	offer = vsc_bus_find_offer(&host->bus, scsi_class, 0);
	host->refuse_opens = true;
	assert_int_equal(vsc_channel_open(&channel, &host->bus, offer, rings, 2), -EIO);
	assert_false(vsc_channel_is_open(&channel));
	for (size_t i = 0; i < FAKE_MAX_GPADLS; i++)
		assert_int_equal(host->gpadls[i].id, 0);
	host->refuse_opens = false;
	host->refuse_gpadls = true;
	assert_int_equal(vsc_channel_open(&channel, &host->bus, offer, rings, 2), -EIO);
	host->refuse_gpadls = false;
	assert_int_equal(vsc_channel_open(&channel, &host->bus, offer, rings, 2), 0);
	/* Taken back while open. */
	fake_host_rescind(host, 6);
	vsc_bus_poll(&host->bus);
	assert_false(vsc_channel_is_open(&channel));
	vsc_channel_close(&channel);
	assert_int_equal(host->n_relids_released, 1);
	free(rings);
}

static void test_unload(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(vsc_bus_unload(&host->bus), 0);
	assert_int_equal(host->n_unloads, 1);
	assert_int_equal(vsc_bus_unload(&host->bus), 0);
	assert_int_equal(host->n_unloads, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newest_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_falls_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusal_by_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_busy_and_mute_hosts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_offers, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(
			test_malformed_messages, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(test_gpadls, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_answers, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(test_channel, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(test_channel_refused, set_up_connected, tear_down),
		cmocka_unit_test_setup_teardown(test_unload, set_up_connected, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
