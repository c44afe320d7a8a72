/* SPDX-License-Identifier: MIT
 *
 * The NIC on the real bus: rings, worker, doorbells and signals between a guest and a dummy port,
 * in traffic, in a move and when the guest takes things away. Every wait is for a signal.
 */
#include "base/bytes.h"
#include "base/eth_dummy.h"
#include "fake_guest.h"
#include "net_frames.h"
#include "vmbus/proto/nvsp.h"
#include "vmbus/proto/rndis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_PAGES      1024
#define RECV_GPADL   0xe1e11
#define SEND_GPADL   0xe1e12
#define RECV_PAGES   32U
#define SEND_PAGES   16U
#define SEND_SECTION 6144U

struct rig {
	struct fake_guest guest;
	struct eth_dummy *port;
	struct netvsp *nic;
	struct vmbus_msg_offer_channel offer;
	struct fake_channel channel;
	uint32_t recv_page, send_page, control_page;
	uint64_t next_transaction;
	struct buf saved;

	/* The packet taken last from the ring. */
	uint8_t packet[8192];
	struct vmbus_packet_descriptor descriptor;
	const uint8_t *payload;
};

static const struct fake_open usual = {.gpadl_id = 0xe1e10, .n_ring_pages = 8, .target_vp = 1};

static void offer_nic(struct rig *rig)
{
	struct netvsp_config config = {
		.mtu_bytes = 1500,
		.link_up = true,
		.eth = &eth_dummy_ops,
		.port = rig->port,
	};

	memcpy(config.mac, frame_dst, sizeof(config.mac));
	assert_int_equal(netvsp_new(rig->guest.bus, &config, &rig->nic), 0);
	assert_int_equal(netvsp_register_unit(rig->nic, rig->guest.units), 0);
}

static struct netvsp_info info(struct rig *rig)
{
	struct netvsp_info now;

	netvsp_get_info(rig->nic, &now);
	return now;
}

/* The next packet of the host. */
static void take(struct rig *rig)
{
	int n = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));

	assert_true(n >= (int)sizeof(rig->descriptor));
	memcpy(&rig->descriptor, rig->packet, sizeof(rig->descriptor));
	rig->payload = rig->packet + rig->descriptor.offset8 * 8U;
}

static void take_completion(struct rig *rig, uint64_t transaction)
{
	take(rig);
	assert_int_equal(rig->descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(rig->descriptor.transaction_id, transaction);
}

static uint64_t send_inband(struct rig *rig, const void *message, size_t size_bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = {0};
	uint64_t transaction = rig->next_transaction++;

	memcpy(padded, message, size_bytes);
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_INBAND, transaction, NULL, 0, padded, sizeof(padded)));
	return transaction;
}

static void exchange(struct rig *rig, const void *message, size_t size_bytes, size_t status_at)
{
	take_completion(rig, send_inband(rig, message, size_bytes));
	assert_int_equal(load_le32(rig->payload + status_at), NVSP_STATUS_SUCCESS);
}

static void make_buffer(struct rig *rig, uint32_t gpadl_id, uint32_t first, uint32_t n_pages)
{
	uint32_t pages[64];

	for (uint32_t i = 0; i < n_pages; i++)
		pages[i] = first + i;
	assert_int_equal(
		fake_guest_make_gpadl(&rig->guest, rig->channel.relid, gpadl_id, pages, n_pages),
		0);
}

/* Give the sections of the transfer packet in rig->packet back. */
static void give_back(struct rig *rig)
{
	const struct nvsp_send_rndis_pkt_complete complete = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};

	rig->channel.no_completions = true;
	assert_true(fake_channel_try_send(&rig->channel, VMBUS_PACKET_COMPLETION,
		rig->descriptor.transaction_id, NULL, 0, &complete, sizeof(complete)));
	rig->channel.no_completions = false;
}

/* The nth section of the transfer packet in rig->packet. */
static const uint8_t *section(struct rig *rig, unsigned n, uint32_t *ret_bytes)
{
	struct vmbus_transfer_header header;
	struct vmbus_transfer_range range;

	assert_int_equal(rig->descriptor.type, VMBUS_PACKET_TRANSFER_PAGES);
	memcpy(&header, rig->packet + sizeof(rig->descriptor), sizeof(header));
	assert_int_equal(header.pageset_id, NVSP_RECV_BUF_ID);
	if (n >= header.range_count)
		return NULL;
	memcpy(&range, rig->packet + sizeof(rig->descriptor) + sizeof(header) + n * sizeof(range),
		sizeof(range));
	assert_true(range.byte_offset + range.byte_count <= RECV_PAGES * VMBUS_PAGE_BYTES);
	*ret_bytes = range.byte_count;
	return guest_page(&rig->guest.memory, rig->recv_page) + range.byte_offset;
}

/* An RNDIS request in a page of its own, its completion, and the status in its answer. */
static uint32_t control(struct rig *rig, const void *message, uint32_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct {
		struct vmbus_gpa_direct_header header;
		struct vmbus_gpa_range range;
		uint64_t pfn;
	} direct = {{0, 1}, {size_bytes, 64}, guest_pfn(rig->control_page)};
	uint64_t transaction = rig->next_transaction++;
	uint32_t answer_bytes, status;

	memcpy(guest_page(&rig->guest.memory, rig->control_page) + 64, message, size_bytes);
	assert_true(fake_channel_try_send(&rig->channel, VMBUS_PACKET_GPA_DIRECT, transaction,
		&direct, sizeof(direct), &nvsp, sizeof(nvsp)));
	take_completion(rig, transaction);
	assert_int_equal(load_le32(rig->payload + 4), NVSP_STATUS_SUCCESS);
	take(rig);
	assert_int_equal(load_le32(rig->payload + 4), NVSP_CHANNEL_CONTROL);
	status = load_le32(section(rig, 0, &answer_bytes) + 12);
	give_back(rig);
	return status;
}

static void initialise(struct rig *rig)
{
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_61, NVSP_VERSION_61};
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, RECV_GPADL, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf send = {NVSP_SEND_SEND_BUF, SEND_GPADL, NVSP_SEND_BUF_ID};
	const struct rndis_initialize initialize = {
		RNDIS_INITIALIZE, sizeof(initialize), 1, 1, 0, 0};
	const struct {
		struct rndis_oid_request request;
		uint32_t filter;
	} filter = {{RNDIS_SET, sizeof(filter), 2, OID_GEN_CURRENT_PACKET_FILTER, 4, 20, 0},
		NDIS_PACKET_TYPE_DIRECTED};

	exchange(rig, &init, sizeof(init), 12);
	make_buffer(rig, RECV_GPADL, rig->recv_page, RECV_PAGES);
	exchange(rig, &recv, sizeof(recv), 4);
	make_buffer(rig, SEND_GPADL, rig->send_page, SEND_PAGES);
	exchange(rig, &send, sizeof(send), 4);
	assert_int_equal(control(rig, &initialize, sizeof(initialize)), RNDIS_STATUS_SUCCESS);
	assert_int_equal(control(rig, &filter, sizeof(filter)), RNDIS_STATUS_SUCCESS);
}

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.next_transaction = 1;
	fake_guest_init(&rig.guest, N_PAGES);
	assert_int_equal(eth_dummy_new(ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6, &rig.port), 0);
	offer_nic(&rig);
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, &rig.offer, 1), 1);
	rig.recv_page = fake_guest_alloc(&rig.guest, RECV_PAGES);
	rig.send_page = fake_guest_alloc(&rig.guest, SEND_PAGES);
	rig.control_page = fake_guest_alloc(&rig.guest, 1);
	assert_int_equal(fake_channel_open(&rig.guest, &rig.offer, &usual, &rig.channel), 0);
	initialise(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	netvsp_free(rig->nic);
	fake_guest_fini(&rig->guest);
	eth_dummy_free(rig->port);
	buf_fini(&rig->saved);
	return 0;
}

/* A frame of a number, in send section number % 8. */
static uint64_t send_frame(struct rig *rig, uint32_t number)
{
	uint8_t *at = guest_page(&rig->guest.memory, rig->send_page) + number % 8 * SEND_SECTION;
	static struct frame frame;
	struct rndis_packet packet = {.type = RNDIS_PACKET, .data_offset = 36};
	struct nvsp_send_rndis_pkt nvsp = {NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, number % 8, 0};

	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 64});
	store_le32(frame.bytes + frame.payload_at, number);
	packet.data_length = (uint32_t)frame.size_bytes;
	packet.length = (uint32_t)(sizeof(packet) + frame.size_bytes);
	nvsp.send_section_size = packet.length;
	memcpy(at, &packet, sizeof(packet));
	memcpy(at + sizeof(packet), frame.bytes, frame.size_bytes);
	return send_inband(rig, &nvsp, sizeof(nvsp));
}

static uint32_t number_at_port(struct rig *rig)
{
	static struct frame frame;
	struct eth_hdr hdr;
	size_t size_bytes;

	assert_int_equal(
		eth_dummy_take(rig->port, &hdr, frame.bytes, sizeof(frame.bytes), &size_bytes), 0);
	frame_parse(&frame, frame.bytes, size_bytes);
	return load_le32(frame.bytes + frame.payload_at);
}

static void inject(struct rig *rig, uint32_t number)
{
	static struct frame frame;
	const struct eth_hdr hdr = {0};

	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 64});
	store_le32(frame.bytes + frame.payload_at, number);
	assert_int_equal(eth_dummy_inject(rig->port, &hdr, frame.bytes, frame.size_bytes), 0);
}

/* The frames of the transfer packet in rig->packet count on from `next`. */
static uint32_t check_numbers(struct rig *rig, uint32_t next)
{
	const uint8_t *at;
	uint32_t bytes;

	assert_int_equal(load_le32(rig->payload + 4), NVSP_CHANNEL_DATA);
	for (unsigned i = 0; (at = section(rig, i, &bytes)); i++) {
		static struct frame frame;
		struct rndis_packet packet;

		memcpy(&packet, at, sizeof(packet));
		frame_parse(&frame, at + RNDIS_BODY_AT + packet.data_offset, packet.data_length);
		assert_int_equal(load_le32(frame.bytes + frame.payload_at), next++);
	}
	return next;
}

static void frames_go_out(void **state)
{
	struct rig *rig = *state;

	for (uint32_t i = 0; i < 500; i++) {
		take_completion(rig, send_frame(rig, i));
		assert_int_equal(load_le32(rig->payload + 4), NVSP_STATUS_SUCCESS);
		assert_int_equal(number_at_port(rig), i);
	}
	assert_int_equal(info(rig).tx_frames, 500);
	assert_int_equal(info(rig).n_protocol_errors, 0);
}

static void frames_come_in(void **state)
{
	struct rig *rig = *state;
	uint32_t n_in = 0, n_seen = 0;

	/* More than there are sections, unread: they come as sections come back. */
	for (; n_in < 300; n_in++)
		inject(rig, n_in);
	while (n_seen < 2000) {
		take(rig);
		n_seen = check_numbers(rig, n_seen);
		give_back(rig);
		while (n_in < 2000 && n_in < n_seen + 250)
			inject(rig, n_in++);
	}
	assert_int_equal(info(rig).rx_frames, 2000);
	assert_int_equal(info(rig).rx_dropped, 0);
}

/* Both ways at once through a port that is full again and again. */
static void both_ways_through_a_narrow_port(void **state)
{
	struct rig *rig = *state;
	uint32_t n_out = 0, n_done = 0, n_seen = 0, n_in = 0;
	uint64_t first = rig->next_transaction;

	eth_dummy_set_room(rig->port, 0);
	while (n_done < 400 || n_seen < 400) {
		while (n_out < 400 && n_out < n_done + 8) {
			assert_int_equal(send_frame(rig, n_out), first + n_out);
			n_out++;
		}
		while (n_in < 400 && n_in < n_seen + 50)
			inject(rig, n_in++);
		eth_dummy_set_room(rig->port, 3);
		take(rig);
		if (rig->descriptor.type == VMBUS_PACKET_TRANSFER_PAGES) {
			n_seen = check_numbers(rig, n_seen);
			give_back(rig);
		} else {
			assert_int_equal(rig->descriptor.transaction_id, first + n_done);
			assert_int_equal(number_at_port(rig), n_done++);
		}
	}
	assert_int_equal(info(rig).tx_dropped + info(rig).rx_dropped, 0);
}

static void move(struct rig *rig)
{
	struct reader in;

	fake_guest_stop(&rig->guest);
	buf_reset(&rig->saved);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	netvsp_free(rig->nic);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
	fake_guest_new_bus(&rig->guest);
	offer_nic(rig);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	assert_int_equal(unit_restore_all(rig->guest.units, &in, NULL), 0);
	fake_guest_start(&rig->guest);
}

/* Again and again in the middle of it: every frame once, every packet completed once. */
static void moved_amid_traffic(void **state)
{
	struct rig *rig = *state;
	uint32_t n_out = 0, n_done = 0, n_port = 0;
	uint64_t first = rig->next_transaction;

	for (unsigned round = 0; round < 30; round++) {
		eth_dummy_set_room(rig->port, round % 4);
		for (; n_out < n_done + 8; n_out++)
			send_frame(rig, n_out);
		move(rig);
		while (eth_dummy_n_sent(rig->port))
			assert_int_equal(number_at_port(rig), n_port++);
		eth_dummy_set_room(rig->port, ETH_DUMMY_UNLIMITED);
		while (n_done < n_out)
			take_completion(rig, first + n_done++);
		while (eth_dummy_n_sent(rig->port))
			assert_int_equal(number_at_port(rig), n_port++);
		assert_int_equal(n_port, n_done);
	}
	assert_int_equal(info(rig).n_protocol_errors, 0);
}

/* The guest still holds sections that the old host gave it. */
static void moved_with_sections_out(void **state)
{
	struct rig *rig = *state;
	uint32_t n_seen = 0;

	for (uint32_t i = 0; i < 40; i++)
		inject(rig, i);
	take(rig);
	n_seen = check_numbers(rig, n_seen);
	move(rig);
	give_back(rig);
	while (n_seen < 40) {
		take(rig);
		n_seen = check_numbers(rig, n_seen);
		give_back(rig);
	}
	inject(rig, 40);
	take(rig);
	assert_int_equal(check_numbers(rig, 40), 41);
	assert_int_equal(info(rig).n_protocol_errors, 0);
}

static void a_link_change_is_indicated(void **state)
{
	static const uint32_t expected[] = {
		RNDIS_STATUS_MEDIA_DISCONNECT, RNDIS_STATUS_MEDIA_CONNECT};
	struct rig *rig = *state;
	uint32_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(netvsp_set_link(rig->nic, i), 0);
		take(rig);
		assert_int_equal(load_le32(rig->payload + 4), NVSP_CHANNEL_CONTROL);
		assert_int_equal(load_le32(section(rig, 0, &bytes) + 8), expected[i]);
		give_back(rig);
	}
}

/* A guest that pulls its buffers away under way, and closes, and comes again. */
static void buffers_pulled_away(void **state)
{
	struct rig *rig = *state;

	for (unsigned round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 100; i++)
			inject(rig, i);
		send_frame(rig, round);
		fake_guest_teardown_gpadl(&rig->guest, rig->channel.relid, RECV_GPADL);
		fake_guest_teardown_gpadl(&rig->guest, rig->channel.relid, SEND_GPADL);
		fake_channel_close(&rig->channel);
		assert_int_equal(info(rig).nvsp_version, 0);
		guest_ring_reset(&rig->channel.to_host);
		guest_ring_reset(&rig->channel.from_host);
		assert_int_equal(fake_channel_reopen(&rig->channel), 0);
		initialise(rig);
	}
	while (eth_dummy_n_sent(rig->port))
		number_at_port(rig);
	take_completion(rig, send_frame(rig, 77));
	assert_int_equal(number_at_port(rig), 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_go_out),
		TEST(frames_come_in),
		TEST(both_ways_through_a_narrow_port),
		TEST(moved_amid_traffic),
		TEST(moved_with_sections_out),
		TEST(a_link_change_is_indicated),
		TEST(buffers_pulled_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
