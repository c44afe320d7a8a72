/* SPDX-License-Identifier: MIT
 *
 * The integration services on the real bus: five channels, their workers and timers, and a guest
 * that answers as Linux' drivers do. Nothing waits for time to pass; what periods and patience do
 * is tested where time is simulated.
 */
#include "channel_rig.h"
#include "vmbus/ic.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/ic.h"
#include "vmbus/proto/kvp.h"
#include "vmbus/proto/vss.h"

enum { HEARTBEAT, SHUTDOWN, TIMESYNC, KVP, VSS, N_SERVICES };

#define WALL_CLOCK 133000000000000000ULL
#define REFERENCE  77777ULL

struct rig {
	struct fake_guest guest;
	struct ic *ic;
	struct fake_channel channels[N_SERVICES];
	struct buf saved;

	/* The request taken last. */
	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
	struct ic_header header;
	uint8_t *body;

	/* Told by callbacks, atomic. */
	unsigned n_heartbeats, n_items, n_done;
	int heartbeat, error;
};

static const uint8_t mac[1][ETH_ADDR_LEN] = {{0x02, 0x15, 0x5d, 0xab, 0xcd, 0xef}};

static void on_heartbeat(void *data, enum ic_heartbeat state)
{
	struct rig *rig = data;

	__atomic_store_n(&rig->heartbeat, (int)state, __ATOMIC_RELEASE);
	__atomic_add_fetch(&rig->n_heartbeats, 1, __ATOMIC_ACQ_REL);
}

static void on_items(void *data)
{
	struct rig *rig = data;

	__atomic_add_fetch(&rig->n_items, 1, __ATOMIC_ACQ_REL);
}

static void on_done(int error, void *data)
{
	struct rig *rig = data;

	__atomic_store_n(&rig->error, error, __ATOMIC_RELEASE);
	__atomic_add_fetch(&rig->n_done, 1, __ATOMIC_ACQ_REL);
}

static uint64_t wall_clock(_unused_ void *data)
{
	return WALL_CLOCK;
}

static uint64_t reference_time(_unused_ void *data)
{
	return REFERENCE;
}

static const struct ic_ops ops = {.heartbeat = on_heartbeat, .guest_items = on_items};

static void new_ic(struct rig *rig)
{
	const struct ic_config config = {
		.ops = &ops,
		.data = rig,
		.wall_clock = wall_clock,
		.reference_time = reference_time,
	};

	assert_int_equal(ic_new(rig->guest.bus, &config, &rig->ic), 0);
	assert_int_equal(ic_register_unit(rig->ic, rig->guest.units), 0);
	assert_int_equal(ic_set_adapters(rig->ic, mac, 1), 0);
}

static struct ic_info info(struct rig *rig)
{
	struct ic_info now;

	ic_get_info(rig->ic, &now);
	return now;
}

/* The next message on a channel. */
static void take(struct rig *rig, unsigned service, uint16_t type)
{
	int n = fake_channel_recv(&rig->channels[service], rig->packet, sizeof(rig->packet));
	struct vmbus_packet_descriptor descriptor;
	struct pipe_header pipe;

	assert_true(n >= (int)(sizeof(descriptor) + IC_FRAME_BYTES));
	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_INBAND);
	assert_int_equal(descriptor.flags, 0);
	memcpy(&pipe, rig->packet + sizeof(descriptor), sizeof(pipe));
	memcpy(&rig->header, rig->packet + sizeof(descriptor) + sizeof(pipe), sizeof(rig->header));
	rig->body = rig->packet + sizeof(descriptor) + IC_FRAME_BYTES;
	assert_int_equal(pipe.size_bytes, sizeof(rig->header) + rig->header.body_bytes);
	assert_int_equal(rig->header.type, type);
	assert_int_equal(rig->header.flags, IC_FLAG_TRANSACTION | IC_FLAG_REQUEST);
}

/* Send what is in hand back, as it now is, in its full length. */
static void answer(struct rig *rig, unsigned service, uint32_t status)
{
	uint8_t *payload = rig->packet + sizeof(struct vmbus_packet_descriptor);
	struct pipe_header pipe;

	rig->header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	rig->header.status = status;
	memcpy(&pipe, payload, sizeof(pipe));
	memcpy(payload + sizeof(pipe), &rig->header, sizeof(rig->header));
	assert_true(fake_channel_try_send(&rig->channels[service], VMBUS_PACKET_INBAND, 0, NULL, 0,
		payload, ALIGN_UP(sizeof(pipe) + pipe.size_bytes, 8UL)));
}

static void negotiate(struct rig *rig, unsigned service)
{
	struct ic_version frame = {3, 0}, message;

	take(rig, service, IC_MESSAGE_NEGOTIATE);
	memcpy(&message, rig->body + sizeof(struct ic_negotiate) + 2 * sizeof(message),
		sizeof(message));
	store_le16(rig->body, 1);
	store_le16(rig->body + 2, 1);
	memcpy(rig->body + 8, &frame, sizeof(frame));
	memcpy(rig->body + 12, &message, sizeof(message));
	rig->header.body_bytes = 16;
	answer(rig, service, IC_STATUS_OK);
}

static void connect(struct rig *rig)
{
	static const uint8_t classes[N_SERVICES][16] = {VMBUS_GUID_HEARTBEAT, VMBUS_GUID_SHUTDOWN,
		VMBUS_GUID_TIMESYNC, VMBUS_GUID_KVP, VMBUS_GUID_VSS};
	struct vmbus_msg_offer_channel offers[N_SERVICES];

	fake_guest_connect(&rig->guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig->guest, offers, N_SERVICES), N_SERVICES);
	for (unsigned i = 0; i < N_SERVICES; i++) {
		const struct fake_open how = {
			.gpadl_id = 0xe1e10 + i, .n_ring_pages = 4, .target_vp = 1};
		unsigned k = 0;

		while (memcmp(offers[k].class_guid, classes[i], sizeof(classes[i])))
			assert_true(++k < N_SERVICES);
		assert_int_equal(
			fake_channel_open(&rig->guest, &offers[k], &how, &rig->channels[i]), 0);
		rig->channels[i].no_completions = true;
		negotiate(rig, i);
	}
}

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, 256);
	new_ic(&rig);
	fake_guest_start(&rig.guest);
	connect(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	ic_free(rig->ic);
	fake_guest_fini(&rig->guest);
	buf_fini(&rig->saved);
	return 0;
}

static void wait_done(struct rig *rig, unsigned n, int error)
{
	wait_until(__atomic_load_n(&rig->n_done, __ATOMIC_ACQUIRE) == n);
	assert_int_equal(rig->error, error);
}

static void test_connected(void **state)
{
	static const struct {
		const char *name;
		uint16_t major, minor;
	} expected[N_SERVICES] = {{"heartbeat", 3, 0}, {"shutdown", 3, 2}, {"timesync", 4, 0},
		{"kvp", 4, 0}, {"vss", 5, 0}};
	struct rig *rig = *state;

	take(rig, HEARTBEAT, IC_MESSAGE_HEARTBEAT);
	answer(rig, HEARTBEAT, IC_STATUS_OK);
	wait_until(info(rig).services[HEARTBEAT].n_answers == 2);
	wait_until(__atomic_load_n(&rig->n_heartbeats, __ATOMIC_ACQUIRE) == 1);
	assert_int_equal(rig->heartbeat, IC_HEARTBEAT_OK);
	assert_int_equal(ic_heartbeat_state(rig->ic), IC_HEARTBEAT_OK);
	assert_string_equal(ic_heartbeat_name(IC_HEARTBEAT_LOST), "lost");
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct ic_info now;

		wait_until(info(rig).services[i].connected);
		now = info(rig);
		assert_string_equal(now.services[i].name, expected[i].name);
		assert_int_equal(now.services[i].major, expected[i].major);
		assert_int_equal(now.services[i].minor, expected[i].minor);
		assert_int_equal(now.services[i].n_protocol_errors, 0);
	}
}

static void expect_sync(struct rig *rig)
{
	struct ic_timesync_reference_body body;

	take(rig, TIMESYNC, IC_MESSAGE_TIMESYNC);
	memcpy(&body, rig->body, sizeof(body));
	assert_int_equal(body.wall_clock, WALL_CLOCK);
	assert_int_equal(body.reference, REFERENCE);
	assert_int_equal(body.flags, IC_TIMESYNC_SYNC);
}

static void test_time(void **state)
{
	struct rig *rig = *state;

	expect_sync(rig);
	answer(rig, TIMESYNC, IC_STATUS_OK);
	for (unsigned i = 0; i < 3; i++) {
		wait_until(info(rig).services[TIMESYNC].n_answers == i + 2);
		ic_sync_time(rig->ic);
		expect_sync(rig);
		answer(rig, TIMESYNC, IC_STATUS_OK);
	}
	/* The clock is wrong after it stood still. */
	wait_until(info(rig).services[TIMESYNC].n_answers == 5);
	fake_guest_stop(&rig->guest);
	fake_guest_start(&rig->guest);
	expect_sync(rig);
}

static void test_shutdown(void **state)
{
	struct rig *rig = *state;

	wait_until(info(rig).services[SHUTDOWN].connected);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_REBOOT, true, "why", on_done, rig), 0);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, true, "", on_done, rig), -EBUSY);
	take(rig, SHUTDOWN, IC_MESSAGE_SHUTDOWN);
	assert_int_equal(rig->header.body_bytes, sizeof(struct ic_shutdown_body));
	assert_int_equal(load_le32(rig->body + 8), IC_SHUTDOWN_RESTART | IC_SHUTDOWN_FORCE);
	answer(rig, SHUTDOWN, IC_STATUS_OK);
	wait_done(rig, 1, 0);
	/* It does: the kernel goes without a word. */
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), 0);
	vmbus_reset(rig->guest.bus);
	wait_done(rig, 2, -ECANCELED);
	assert_int_equal(ic_heartbeat_state(rig->ic), IC_HEARTBEAT_NO_CONTACT);
	assert_int_equal(rig->heartbeat, IC_HEARTBEAT_NO_CONTACT);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), -ENOTCONN);
	assert_int_equal(ic_vss_freeze(rig->ic, 0, on_done, rig), -ENOTCONN);
	/* The next one. */
	rig->guest.n_pages_used = 0;
	connect(rig);
	take(rig, HEARTBEAT, IC_MESSAGE_HEARTBEAT);
	answer(rig, HEARTBEAT, IC_STATUS_OK);
	wait_until(ic_heartbeat_state(rig->ic) == IC_HEARTBEAT_OK);
}

static void expect_enumerate(struct rig *rig, uint8_t pool, uint32_t index)
{
	take(rig, KVP, IC_MESSAGE_KVP);
	assert_int_equal(rig->header.body_bytes, sizeof(struct kvp_enumerate));
	assert_int_equal(rig->body[0], KVP_ENUMERATE);
	assert_int_equal(rig->body[1], pool);
	assert_int_equal(load_le32(rig->body + 4), index);
}

static void test_kvp(void **state)
{
	const struct kvp_item os = {.value_type = KVP_STRING, .key_bytes = 14, .value_bytes = 14};
	struct rig *rig = *state;
	struct ic_item items[2];
	char text[64];

	assert_int_equal(ic_guest_items(rig->ic, items, 2), 0);
	assert_int_equal(ic_guest_addresses(rig->ic, mac[0], text, sizeof(text)), -ENOENT);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	memcpy(rig->body + 8, &os, 12);
	memcpy(rig->body + 20, u"OSName", 14);
	memcpy(rig->body + 20 + KVP_KEY_BYTES, u"Debian", 14);
	answer(rig, KVP, IC_STATUS_OK);
	expect_enumerate(rig, KVP_POOL_AUTO, 1);
	answer(rig, KVP, IC_STATUS_NO_MORE);
	expect_enumerate(rig, KVP_POOL_GUEST, 0);
	assert_int_equal(ic_host_item(rig->ic, "owner", "us"), 0);
	answer(rig, KVP, IC_STATUS_NO_MORE);
	take(rig, KVP, IC_MESSAGE_KVP);
	assert_int_equal(rig->body[0], KVP_SET);
	assert_int_equal(rig->body[1], KVP_POOL_EXTERNAL);
	assert_memory_equal(rig->body + 16, u"owner", 12);
	answer(rig, KVP, IC_STATUS_OK);
	take(rig, KVP, IC_MESSAGE_KVP);
	assert_int_equal(rig->body[0], KVP_GET_IP_INFO);
	assert_memory_equal(rig->body + 2, u"02:15:5D:AB:CD:EF", 36);
	memcpy(rig->body + 260, u"10.1.2.3;fe80::1", 34);
	answer(rig, KVP, IC_STATUS_OK);

	wait_until(__atomic_load_n(&rig->n_items, __ATOMIC_ACQUIRE) >= 1);
	wait_until(ic_guest_addresses(rig->ic, mac[0], text, sizeof(text)) == 0);
	assert_string_equal(text, "10.1.2.3;fe80::1");
	assert_int_equal(ic_guest_items(rig->ic, items, 2), 1);
	assert_string_equal(items[0].key, "OSName");
	assert_string_equal(items[0].value, "Debian");
	assert_int_equal(ic_guest_items(rig->ic, NULL, 0), 1);
}

static void vss_step(struct rig *rig, uint8_t operation, uint32_t status)
{
	take(rig, VSS, IC_MESSAGE_VSS);
	assert_int_equal(rig->body[0], operation);
	answer(rig, VSS, status);
}

static void test_vss(void **state)
{
	struct rig *rig = *state;

	wait_until(info(rig).services[VSS].connected);
	assert_int_equal(ic_vss_thaw(rig->ic, on_done, rig), -EALREADY);
	assert_int_equal(ic_vss_freeze(rig->ic, 3600 * NS_PER_SEC, on_done, rig), 0);
	assert_int_equal(ic_vss_freeze(rig->ic, 0, on_done, rig), -EBUSY);
	vss_step(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	vss_step(rig, VSS_HOT_BACKUP, IC_STATUS_OK);
	vss_step(rig, VSS_FREEZE, IC_STATUS_OK);
	wait_done(rig, 1, 0);
	assert_int_equal(ic_vss_thaw(rig->ic, on_done, rig), 0);
	vss_step(rig, VSS_THAW, IC_STATUS_OK);
	wait_done(rig, 2, 0);
	/* The limit, which is over at once. */
	assert_int_equal(ic_vss_freeze(rig->ic, 1, on_done, rig), 0);
	vss_step(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	vss_step(rig, VSS_HOT_BACKUP, IC_STATUS_OK);
	vss_step(rig, VSS_FREEZE, IC_STATUS_OK);
	vss_step(rig, VSS_THAW, IC_STATUS_OK);
	wait_done(rig, 3, 0);
}

/* To a new bus on the same memory; not started. */
static int move(struct rig *rig)
{
	struct reader in;

	fake_guest_stop(&rig->guest);
	buf_reset(&rig->saved);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	ic_free(rig->ic);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
	fake_guest_new_bus(&rig->guest);
	new_ic(rig);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	return unit_restore_all(rig->guest.units, &in, NULL);
}

static void test_move(void **state)
{
	struct rig *rig = *state;

	expect_sync(rig);
	answer(rig, TIMESYNC, IC_STATUS_OK);
	for (unsigned i = 0; i < N_SERVICES; i++)
		wait_until(info(rig).services[i].connected);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), 0);
	take(rig, SHUTDOWN, IC_MESSAGE_SHUTDOWN);
	assert_int_equal(move(rig), 0);
	wait_done(rig, 1, -ECANCELED);
	fake_guest_start(&rig->guest);
	expect_sync(rig);
	answer(rig, TIMESYNC, IC_STATUS_OK);
	for (unsigned i = 0; i < N_SERVICES; i++)
		assert_true(info(rig).services[i].connected);
	assert_int_equal(ic_heartbeat_state(rig->ic), IC_HEARTBEAT_OK);
	/* The answer to the source is nobody's. */
	answer(rig, SHUTDOWN, IC_STATUS_OK);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), 0);
	take(rig, SHUTDOWN, IC_MESSAGE_SHUTDOWN);
	assert_int_equal(rig->n_done, 1);
	answer(rig, SHUTDOWN, IC_STATUS_FAIL);
	wait_done(rig, 2, -EREMOTEIO);
	assert_int_equal(info(rig).services[SHUTDOWN].n_protocol_errors, 0);
}

/* Whoever still waits is told. */
static void test_freed(void **state)
{
	struct rig *rig = *state;

	wait_until(info(rig).services[SHUTDOWN].connected);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), 0);
	fake_guest_stop(&rig->guest);
	ic_free(rig->ic);
	rig->ic = NULL;
	assert_int_equal(rig->n_done, 1);
	assert_int_equal(rig->error, -ECANCELED);
	assert_int_equal(rig->heartbeat, IC_HEARTBEAT_NO_CONTACT);
}

static void test_broken_ring(void **state)
{
	struct rig *rig = *state;

	wait_until(info(rig).services[SHUTDOWN].connected);
	ring_set(&rig->channels[KVP].to_host, write_index, 0x10000000);
	fake_channel_ring_doorbell(&rig->channels[KVP]);
	assert_true(fake_channel_try_send(
		&rig->channels[SHUTDOWN], VMBUS_PACKET_COMPLETION, 1, NULL, 0, "no answer", 9));
	wait_until(info(rig).services[SHUTDOWN].n_protocol_errors == 1);
	assert_int_equal(ic_shutdown(rig->ic, IC_POWER_OFF, false, "", on_done, rig), 0);
	take(rig, SHUTDOWN, IC_MESSAGE_SHUTDOWN);
	answer(rig, SHUTDOWN, IC_STATUS_OK);
	wait_done(rig, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_connected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kvp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_ring, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
