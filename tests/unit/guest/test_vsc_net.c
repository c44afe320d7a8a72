/* SPDX-License-Identifier: MIT
 *
 * The synthetic NIC's consumer against a NIC that can be told to misbehave.
 */
#include "fake_nic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct fixture {
	struct fake_host *host;
	struct fake_nic nic;
	struct vsc_net net;
	struct vsc_net_memory *memory;

	unsigned n_received, n_ip_checked, n_transport_checked, n_up, n_down, n_changes;
	size_t last_bytes;
	uint8_t last[1600];
};

static void on_receive(
	void *owner, const void *frame, size_t size_bytes, bool ip_checked, bool transport_checked)
{
	struct fixture *f = owner;

	f->n_received++;
	f->n_ip_checked += ip_checked;
	f->n_transport_checked += transport_checked;
	f->last_bytes = size_bytes;
	memcpy(f->last, frame, MIN_OF(size_bytes, sizeof(f->last)));
}

static void on_link_changed(void *owner, bool up)
{
	struct fixture *f = owner;

	f->n_up += up;
	f->n_down += !up;
}

static void on_network_changed(void *owner)
{
	((struct fixture *)owner)->n_changes++;
}

static const struct vsc_net_ops ops = {
	.receive = on_receive,
	.link_changed = on_link_changed,
	.network_changed = on_network_changed,
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->memory = aligned_alloc(4096, sizeof(*f->memory));
	assert_non_null(f->memory);
	f->host = fake_host_connected();
	fake_nic_init(&f->nic, f->host, 7);
	vsc_bus_poll(&f->host->bus);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fake_host_free(f->host);
	free(f->memory);
	free(f);
	return 0;
}

static int open_nic(struct fixture *f)
{
	return vsc_net_open(&f->net, &f->host->bus, &f->host->bus.offers[0], f->memory, &ops, f);
}

static int set_up_open(void **state)
{
	set_up(state);
	assert_int_equal(open_nic(*state), 0);
	return 0;
}

static void poll(struct fixture *f)
{
	while (vsc_net_poll(&f->net))
		fake_nic_run(&f->nic);
}

static void test_open_and_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_nic(f), 0);
	assert_int_equal(f->net.version, NVSP_VERSION_61);
	assert_memory_equal(f->net.mac, fake_nic_mac, 6);
	assert_int_equal(f->net.mtu, 1500);
	assert_true(f->net.link_up);
	assert_int_equal(f->net.n_send_sections, VSC_NET_SEND_BYTES / 6144);
	assert_true(f->nic.configured && f->nic.initialised && f->nic.offloads_off);
	assert_int_equal(f->nic.ndis_minor, 30);
	assert_int_equal(f->nic.filter, 1 | 4 | 8);
	assert_int_equal(f->net.n_errors, 0);
	/* Every section was given back. */
	fake_nic_run(&f->nic);
	assert_int_equal(f->nic.n_transfers_completed, f->nic.next_section);
	vsc_net_close(&f->net);
	assert_int_equal(f->nic.filter, 0);
	assert_true(f->nic.halted);
	assert_int_equal(f->nic.n_revoked, 2);
	assert_false(f->nic.channel->open);
	for (size_t i = 0; i < FAKE_MAX_GPADLS; i++)
		assert_int_equal(f->host->gpadls[i].id, 0);
	assert_false(vsc_net_send(&f->net, "x", 1));
	assert_false(vsc_net_poll(&f->net));
	/* And once more. */
	f->nic.halted = false;
	assert_int_equal(open_nic(f), 0);
}

static void test_older_versions(void **state)
{
	static const uint32_t known[] = {
		NVSP_VERSION_6, NVSP_VERSION_5, NVSP_VERSION_4, NVSP_VERSION_2, NVSP_VERSION_1};

	tear_down(state);
	for (size_t i = 0; i < N_ELEMENTS(known); i++) {
		struct fixture *f;

		set_up(state);
		f = *state;
		f->nic.newest_version = known[i];
		assert_int_equal(open_nic(f), 0);
		assert_int_equal(f->net.version, known[i]);
		assert_int_equal(f->nic.configured, known[i] >= NVSP_VERSION_2);
		assert_int_equal(f->nic.ndis_minor, known[i] <= NVSP_VERSION_4 ? 1 : 30);
		assert_true(f->nic.offloads_off);
		tear_down(state);
	}
	set_up(state);
	((struct fixture *)*state)->nic.newest_version = 0;
	assert_int_equal(open_nic(*state), -EPROTONOSUPPORT);
}

/* Whatever step fails, everything is closed again and a second try works. */
static void test_failures_clean_up(void **state)
{
	struct fixture *f = *state;
	struct fake_nic good = f->nic;

	for (int i = 0; i < 11; i++) {
		struct fake_nic *nic = &f->nic;
		struct nvsp_recv_section *section = &nic->receive_reply.section;

		switch (i) {
		case 0:
			nic->receive_reply.status = NVSP_STATUS_FAILURE;
			break;
		case 1:
			nic->receive_reply.n_sections = 2;
			break;
		case 2:
			section->offset = 8;
			break;
		case 3:
			section->sub_alloc_size = 67;
			break;
		case 4:
			section->n_sub_allocs++;
			break;
		case 5:
			section->sub_alloc_size = 0x80000000;
			section->n_sub_allocs = 2;
			break;
		case 6:
			nic->send_reply.status = NVSP_STATUS_FAILURE;
			break;
		case 7:
			nic->send_reply.section_size = 1500;
			break;
		case 8:
			nic->send_reply.section_size = VSC_NET_SEND_BYTES + 1;
			break;
		case 9:
			nic->refused_oid = OID_802_3_PERMANENT_ADDRESS;
			break;
		case 10:
			nic->refused_oid = OID_GEN_CURRENT_PACKET_FILTER;
			break;
		}
		assert_true(open_nic(f) < 0);
		assert_false(nic->channel->open);
		for (size_t k = 0; k < FAKE_MAX_GPADLS; k++)
			assert_int_equal(f->host->gpadls[k].id, 0);
		f->nic = good;
		assert_int_equal(open_nic(f), 0);
		vsc_net_close(&f->net);
		f->nic = good;
	}
}

static void test_silent_nic(void **state)
{
	struct fixture *f = *state;

	f->nic.mute = true;
	assert_int_equal(open_nic(f), -ETIMEDOUT);
	assert_false(f->nic.channel->open);
}

static void test_transmit(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[1514];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)i;
	assert_true(vsc_net_send(&f->net, frame, sizeof(frame)));
	assert_true(vsc_net_send(&f->net, frame, 60));
	assert_false(vsc_net_send(&f->net, frame, 6144));
	fake_nic_run(&f->nic);
	assert_int_equal(f->nic.n_frames, 2);
	assert_int_equal(f->nic.frame_bytes[0], 1514);
	assert_memory_equal(f->nic.frames[0], frame, 1514);
	assert_int_equal(f->nic.frame_bytes[1], 60);
}

static void test_sections_run_out(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	f->nic.hold_completions = true;
	while (vsc_net_send(&f->net, "frame", 5))
		n++;
	assert_int_equal(n, f->net.n_send_sections);
	fake_nic_run(&f->nic);
	assert_int_equal(f->nic.n_frames, n);
	assert_false(vsc_net_send(&f->net, "frame", 5));
	fake_nic_release(&f->nic);
	poll(f);
	f->nic.n_frames = 0;
	assert_true(vsc_net_send(&f->net, "frame", 5));
	/* Completions of nothing, or twice, are not harmful. */
	f->nic.held[0] = f->nic.held[1] = 1;
	f->nic.held[2] = 0;
	f->nic.held[3] = 5000;
	f->nic.held[4] = UINT64_MAX;
	f->nic.n_held = 5;
	fake_nic_release(&f->nic);
	poll(f);
	assert_int_equal(f->net.n_errors, 3);
	assert_true(vsc_net_send(&f->net, "frame", 5));
}

static void test_receive(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[1514];
	unsigned before = f->nic.n_transfers_completed;

	memset(frame, 0x5a, sizeof(frame));
	assert_true(fake_nic_frame(&f->nic, frame, sizeof(frame), 0));
	assert_true(fake_nic_frame(&f->nic, frame, 60, RNDIS_RXCSUM_IP_OK));
	assert_true(fake_nic_frame(&f->nic, frame, 61, RNDIS_RXCSUM_IP_OK | RNDIS_RXCSUM_TCP_OK));
	poll(f);
	fake_nic_run(&f->nic);
	assert_int_equal(f->n_received, 3);
	assert_int_equal(f->n_ip_checked, 2);
	assert_int_equal(f->n_transport_checked, 1);
	assert_int_equal(f->last_bytes, 61);
	assert_memory_equal(f->last, frame, 61);
	assert_int_equal(f->nic.n_transfers_completed - before >= 3, 1);
	assert_int_equal(f->net.n_errors, 0);
}

/* More than one poll's share, and more completions than the ring has room for. */
static void test_flood(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (fake_nic_frame(&f->nic, "flood", 5, 0))
		n++;
	assert_true(n > 300);
	assert_true(vsc_net_poll(&f->net));
	assert_true(f->n_received < n);
	poll(f);
	assert_int_equal(f->n_received, n);
}

static void test_no_room_to_answer(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out filler = {
		.type = VMBUS_PACKET_COMPLETION,
		.payload = "",
	};
	unsigned before, n = 0;
	bool signal;

	/* The host stops reading: frames wait until it does again. */
	f->nic.mute = true;
	while (vsc_ring_send(&f->net.channel.out, &filler, &signal) == 0)
		;
	for (n = 0; n < 10; n++)
		fake_nic_frame(&f->nic, "frame", 5, 0);
	vsc_net_poll(&f->net);
	assert_int_equal(f->n_received, 0);
	assert_false(f->net.broken);
	f->nic.mute = false;
	before = f->nic.n_transfers_completed;
	fake_nic_run(&f->nic);
	assert_true(f->nic.n_transfers_completed > before);
	poll(f);
	assert_int_equal(f->n_received, 10);
	assert_int_equal(f->net.channel.in.control[2], 0); /* signals are wanted again */
}

/* The host takes one packet and says what the rules ask of it. False: there is none. */
static bool take_one(struct fixture *f)
{
	struct vsc_packet packet;
	uint8_t buffer[64];
	bool signal = false;
	int r = vsc_ring_receive(&f->nic.channel->in, buffer, sizeof(buffer), &packet, &signal);

	if (signal)
		fake_host_signal(f->host, f->nic.channel);
	return r == 0;
}

/* The room that is waited for goes to a frame of our own first: the host must tell us all the same.
 */
static void test_no_room_and_more_to_send(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out filler = {.type = VMBUS_PACKET_COMPLETION, .payload = ""};
	bool signal;

	f->nic.mute = true;
	while (vsc_ring_send(&f->net.channel.out, &filler, &signal) == 0)
		;
	fake_nic_frame(&f->nic, "frame", 5, 0);
	vsc_net_poll(&f->net);
	assert_true(f->net.stalled);
	while (!vsc_net_send(&f->net, "ours", 4))
		assert_true(take_one(f));
	while (take_one(f))
		vsc_net_poll(&f->net);
	assert_int_equal(f->n_received, 1);
	assert_false(f->net.stalled);
}

static void test_indications(void **state)
{
	struct fixture *f = *state;

	fake_nic_indicate(&f->nic, RNDIS_STATUS_MEDIA_DISCONNECT);
	poll(f);
	assert_false(f->net.link_up);
	assert_false(vsc_net_send(&f->net, "x", 1));
	fake_nic_indicate(&f->nic, RNDIS_STATUS_MEDIA_CONNECT);
	fake_nic_indicate(&f->nic, RNDIS_STATUS_NETWORK_CHANGE);
	fake_nic_indicate(&f->nic, RNDIS_STATUS_LINK_SPEED_CHANGE);
	poll(f);
	assert_true(f->net.link_up);
	assert_true(vsc_net_send(&f->net, "x", 1));
	assert_int_equal(f->n_down, 1);
	assert_int_equal(f->n_up, 1);
	assert_int_equal(f->n_changes, 1);
}

static void test_link_down_at_start(void **state)
{
	struct fixture *f = *state;

	f->nic.media = 1;
	assert_int_equal(open_nic(f), 0);
	assert_false(f->net.link_up);
}

static void test_rescind(void **state)
{
	struct fixture *f = *state;

	fake_host_rescind(f->host, 7);
	vsc_bus_poll(&f->host->bus);
	assert_false(vsc_net_poll(&f->net));
	assert_false(vsc_net_send(&f->net, "x", 1));
	vsc_net_close(&f->net);
}

static void test_broken_ring(void **state)
{
	struct fixture *f = *state;

	f->net.channel.in.control[0] = 12345;
	fake_host_signal(f->host, f->nic.channel);
	vsc_net_poll(&f->net);
	assert_true(f->net.broken);
	assert_false(vsc_net_poll(&f->net));
	assert_false(vsc_net_send(&f->net, "x", 1));
	vsc_net_close(&f->net);
}

/* Transfer packets that point where they must not. */
static void test_bad_transfers(void **state)
{
	struct fixture *f = *state;
	uint32_t used_bytes = f->net.receive_used_bytes;
	struct vmbus_transfer_range bad[] = {{100, used_bytes - 99}, {100, UINT32_MAX},
		{UINT32_MAX, 0}, {FAKE_NIC_RX_SECTION + 1, 0}, {100, used_bytes + 1}, {0, 0}};
	struct vmbus_transfer_range good = {100, 0};
	unsigned n = N_ELEMENTS(bad), before = f->nic.n_transfers_completed;

	for (unsigned i = 0; i < n; i++)
		fake_nic_transfer(&f->nic, NVSP_RECV_BUF_ID, 1, &bad[i], 1);
	fake_nic_transfer(&f->nic, NVSP_RECV_BUF_ID, 2, &good, 1);
	fake_nic_transfer(&f->nic, NVSP_RECV_BUF_ID, UINT32_MAX, &good, 1);
	fake_nic_transfer(&f->nic, 0xbeef, 1, &good, 1);
	poll(f);
	fake_nic_run(&f->nic);
	assert_int_equal(f->n_received, 0);
	assert_int_equal(f->net.n_errors, n + 3);
	assert_int_equal(f->nic.n_transfers_completed - before >= n + 3, 1);
	assert_false(f->net.broken);
}

static void test_bad_rndis(void **state)
{
	struct fixture *f = *state;
	struct rndis_packet good = {.type = RNDIS_PACKET,
				    .length = 60,
				    .data_offset = 36,
				    .data_length = 16},
			    bad;
	uint8_t message[FAKE_NIC_RX_SECTION] = {0};

	memcpy(message, &good, sizeof(good));
	fake_nic_rndis(&f->nic, message, 60);
	poll(f);
	assert_int_equal(f->n_received, 1);
	for (uint32_t n = 0; n < 60; n++)
		fake_nic_rndis(&f->nic, message, n);
	for (int i = 0; i < 8; i++) {
		bad = good;
		switch (i) {
		case 0:
			bad.length = 7;
			break;
		case 1:
			bad.length = 61;
			break;
		case 2:
			bad.data_length = 17;
			break;
		case 3:
			bad.data_length = UINT32_MAX;
			break;
		case 4:
			bad.data_offset = 37;
			break;
		case 5:
			bad.data_offset = UINT32_MAX;
			break;
		case 6:
			bad.ppi_offset = 50;
			bad.ppi_length = 16;
			break;
		case 7:
			bad.ppi_length = UINT32_MAX;
			break;
		}
		memcpy(message, &bad, sizeof(bad));
		fake_nic_rndis(&f->nic, message, 60);
		poll(f);
		fake_nic_run(&f->nic);
	}
	assert_int_equal(f->n_received, 1);
	assert_int_equal(f->net.n_errors, 60 + 8);
}

/* Per-packet information that is not what it says must not trap the walk. */
static void test_bad_ppis(void **state)
{
	static const struct rndis_ppi bad[] = {{0, 0, 12}, {11, 0, 12}, {17, 0, 12}, {16, 0, 13},
		{16, 0, UINT32_MAX}, {UINT32_MAX, 0, 12}, {12, 0, 12}, {12, 1, 12}};
	struct fixture *f = *state;

	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		struct {
			struct rndis_packet rndis;
			struct rndis_ppi ppi;
			uint32_t value;
			uint8_t frame[20];
		} message = {
			.rndis = {.type = RNDIS_PACKET,
				.length = 80,
				.data_offset = 52,
				.data_length = 20,
				.ppi_offset = 36,
				.ppi_length = 16},
			.ppi = bad[i],
			.value = UINT32_MAX,
		};

		fake_nic_rndis(&f->nic, &message, sizeof(message));
	}
	poll(f);
	assert_int_equal(f->n_received, N_ELEMENTS(bad));
	assert_int_equal(f->n_ip_checked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_and_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_versions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures_clean_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_nic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_transmit, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_sections_run_out, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_receive, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_flood, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room_to_answer, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(
			test_no_room_and_more_to_send, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_indications, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_link_down_at_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rescind, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_ring, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_transfers, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_rndis, set_up_open, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_ppis, set_up_open, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
