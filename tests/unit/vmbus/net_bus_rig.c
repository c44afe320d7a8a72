/* SPDX-License-Identifier: MIT */
#include "net_bus_rig.h"

#include "vmbus/net_rss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_PAGES    2048
#define RECV_GPADL 0xe1e11
#define SEND_GPADL 0xe1e12
#define RING_GPADL 0xe1e20
#define SEND_PAGES (BUS_RIG_MAX_QUEUES * BUS_RIG_SECTIONS * BUS_RIG_SEND_SECTION / VMBUS_PAGE_BYTES)

static struct fake_open how_to_open(unsigned queue)
{
	return (struct fake_open){
		.gpadl_id = RING_GPADL + queue, .n_ring_pages = 8, .target_vp = queue % FAKE_N_VPS};
}

static void offer_nic(struct bus_rig *rig)
{
	struct netvsp_config config = {
		.mtu_bytes = 1500,
		.n_channels = rig->n_queues,
		.link_up = true,
		.eth = &eth_dummy_ops,
		.port = rig->port,
	};

	memcpy(config.mac, frame_dst, sizeof(config.mac));
	assert_int_equal(netvsp_new(rig->guest.bus, &config, &rig->nic), 0);
	assert_int_equal(netvsp_register_unit(rig->nic, rig->guest.units), 0);
}

struct netvsp_info bus_rig_info(struct bus_rig *rig)
{
	struct netvsp_info now;

	netvsp_get_info(rig->nic, &now);
	return now;
}

void bus_take(struct bus_queue *queue)
{
	int n = fake_channel_recv(&queue->channel, queue->packet, sizeof(queue->packet));

	assert_true(n >= (int)sizeof(queue->descriptor));
	memcpy(&queue->descriptor, queue->packet, sizeof(queue->descriptor));
	queue->payload = queue->packet + queue->descriptor.offset8 * 8U;
}

void bus_take_completion(struct bus_queue *queue, uint64_t transaction)
{
	bus_take(queue);
	assert_int_equal(queue->descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(queue->descriptor.transaction_id, transaction);
}

uint64_t bus_send_inband(struct bus_queue *queue, const void *message, size_t size_bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = {0};
	uint64_t transaction = queue->next_transaction++;

	memcpy(padded, message, size_bytes);
	assert_true(fake_channel_try_send(&queue->channel, VMBUS_PACKET_INBAND, transaction, NULL,
		0, padded, sizeof(padded)));
	return transaction;
}

static void exchange(struct bus_rig *rig, const void *message, size_t size_bytes, size_t status_at)
{
	struct bus_queue *queue = &rig->queues[0];

	bus_take_completion(queue, bus_send_inband(queue, message, size_bytes));
	assert_int_equal(load_le32(queue->payload + status_at), NVSP_STATUS_SUCCESS);
}

static void make_buffer(struct bus_rig *rig, uint32_t gpadl_id, uint32_t first, uint32_t n_pages)
{
	uint32_t pages[256];

	for (uint32_t i = 0; i < n_pages; i++)
		pages[i] = first + i;
	assert_int_equal(fake_guest_make_gpadl(&rig->guest, rig->queues[0].channel.relid, gpadl_id,
				 pages, n_pages),
		0);
}

void bus_give_back(struct bus_queue *queue)
{
	const struct nvsp_send_rndis_pkt_complete complete = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};

	queue->channel.no_completions = true;
	assert_true(fake_channel_try_send(&queue->channel, VMBUS_PACKET_COMPLETION,
		queue->descriptor.transaction_id, NULL, 0, &complete, sizeof(complete)));
	queue->channel.no_completions = false;
}

const uint8_t *bus_section(struct bus_queue *queue, unsigned n, uint32_t *ret_bytes)
{
	const uint8_t *at = queue->packet + sizeof(queue->descriptor);
	struct vmbus_transfer_header header;
	struct vmbus_transfer_range range;

	assert_int_equal(queue->descriptor.type, VMBUS_PACKET_TRANSFER_PAGES);
	memcpy(&header, at, sizeof(header));
	assert_int_equal(header.pageset_id, NVSP_RECV_BUF_ID);
	if (n >= header.range_count)
		return NULL;
	memcpy(&range, at + sizeof(header) + n * sizeof(range), sizeof(range));
	assert_true(range.byte_offset + range.byte_count <= BUS_RIG_RECV_PAGES * VMBUS_PAGE_BYTES);
	*ret_bytes = range.byte_count;
	return guest_page(&queue->rig->guest.memory, queue->rig->recv_page) + range.byte_offset;
}

uint32_t bus_control(struct bus_rig *rig, const void *message, uint32_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct {
		struct vmbus_gpa_direct_header header;
		struct vmbus_gpa_range range;
		uint64_t pfn;
	} direct = {{0, 1}, {size_bytes, 64}, guest_pfn(rig->control_page)};
	struct bus_queue *queue = &rig->queues[0];
	uint64_t transaction = queue->next_transaction++;
	uint32_t answer_bytes, status;

	memcpy(guest_page(&rig->guest.memory, rig->control_page) + 64, message, size_bytes);
	assert_true(fake_channel_try_send(&queue->channel, VMBUS_PACKET_GPA_DIRECT, transaction,
		&direct, sizeof(direct), &nvsp, sizeof(nvsp)));
	bus_take_completion(queue, transaction);
	assert_int_equal(load_le32(queue->payload + 4), NVSP_STATUS_SUCCESS);
	bus_take(queue);
	assert_int_equal(load_le32(queue->payload + 4), NVSP_CHANNEL_CONTROL);
	status = load_le32(bus_section(queue, 0, &answer_bytes) + 12);
	bus_give_back(queue);
	return status;
}

void bus_rig_initialise(struct bus_rig *rig)
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
	make_buffer(rig, RECV_GPADL, rig->recv_page, BUS_RIG_RECV_PAGES);
	exchange(rig, &recv, sizeof(recv), 4);
	make_buffer(rig, SEND_GPADL, rig->send_page, SEND_PAGES);
	exchange(rig, &send, sizeof(send), 4);
	assert_int_equal(bus_control(rig, &initialize, sizeof(initialize)), RNDIS_STATUS_SUCCESS);
	assert_int_equal(bus_control(rig, &filter, sizeof(filter)), RNDIS_STATUS_SUCCESS);
}

/* Ask, hear how many, see as many offered, open them, and hear where to send. */
static void open_sub_channels(struct bus_rig *rig)
{
	const struct nvsp_subchannel_request request = {
		NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, rig->n_queues - 1};
	struct vmbus_msg_offer_channel offers[BUS_RIG_MAX_QUEUES];

	exchange(rig, &request, sizeof(request), 4);
	assert_int_equal(load_le32(rig->queues[0].payload + 8), rig->n_queues - 1);
	for (unsigned i = 1; i < rig->n_queues; i++) {
		fake_guest_take(
			&rig->guest, VMBUS_MSG_OFFER_CHANNEL, &offers[i], sizeof(offers[i]));
		assert_int_equal(offers[i].sub_channel_index, i);
	}
	for (unsigned i = 1; i < rig->n_queues; i++) {
		struct fake_open how = how_to_open(i);

		assert_int_equal(
			fake_channel_open(&rig->guest, &offers[i], &how, &rig->queues[i].channel),
			0);
	}
	bus_take(&rig->queues[0]);
	assert_int_equal(rig->queues[0].descriptor.type, VMBUS_PACKET_INBAND);
	assert_int_equal(load_le32(rig->queues[0].payload), NVSP_SEND_INDIRECTION_TABLE);
}

static void make_key(uint8_t key[static 40])
{
	for (unsigned i = 0; i < 40; i++)
		key[i] = (uint8_t)(i * 37 + 11);
}

void bus_rig_scale(struct bus_rig *rig)
{
	struct {
		struct rndis_oid_request request;
		struct ndis_rss_params params;
		uint32_t table[128];
		uint8_t key[40];
	} rss = {{RNDIS_SET, sizeof(rss), 3, OID_GEN_RECEIVE_SCALE_PARAMETERS, sizeof(rss) - 28, 20,
			 0},
		{.header = {NDIS_OBJECT_RSS_PARAMS, 2, sizeof(rss.params)},
			.hash_information =
				NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 | NDIS_HASH_UDP_IPV4,
			.table_size = sizeof(rss.table),
			.table_offset = sizeof(rss.params),
			.key_size = sizeof(rss.key),
			.key_offset = sizeof(rss.params) + sizeof(rss.table)}};

	open_sub_channels(rig);
	for (unsigned i = 0; i < ARRAY_LEN(rss.table); i++)
		rss.table[i] = i % rig->n_queues;
	make_key(rss.key);
	assert_int_equal(bus_control(rig, &rss, sizeof(rss)), RNDIS_STATUS_SUCCESS);
}

/* As Linux goes: first the sub-channels, which are then rescinded and released. */
void bus_rig_close_all(struct bus_rig *rig)
{
	fake_guest_teardown_gpadl(&rig->guest, rig->queues[0].channel.relid, RECV_GPADL);
	fake_guest_teardown_gpadl(&rig->guest, rig->queues[0].channel.relid, SEND_GPADL);
	for (unsigned i = rig->n_queues - 1; i > 0; i--) {
		fake_channel_close(&rig->queues[i].channel);
		fake_guest_teardown_gpadl(
			&rig->guest, rig->queues[i].channel.relid, RING_GPADL + i);
	}
	fake_channel_close(&rig->queues[0].channel);
	for (unsigned i = 1; i < rig->n_queues; i++) {
		struct vmbus_msg_relid rescind;

		fake_guest_take(&rig->guest, VMBUS_MSG_RESCIND_OFFER, &rescind, sizeof(rescind));
		rescind.header.type = VMBUS_MSG_RELID_RELEASED;
		assert_int_equal(fake_guest_post(&rig->guest, &rescind, sizeof(rescind)), 0);
	}
	guest_ring_reset(&rig->queues[0].channel.to_host);
	guest_ring_reset(&rig->queues[0].channel.from_host);
}

void bus_rig_init(struct bus_rig *rig, unsigned n_queues)
{
	struct fake_open how = how_to_open(0);

	memset(rig, 0, sizeof(*rig));
	rig->n_queues = n_queues;
	for (unsigned i = 0; i < n_queues; i++)
		rig->queues[i] = (struct bus_queue){.rig = rig, .index = i, .next_transaction = 1};
	fake_guest_init(&rig->guest, N_PAGES);
	assert_int_equal(eth_dummy_new(ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6, &rig->port), 0);
	offer_nic(rig);
	fake_guest_start(&rig->guest);
	fake_guest_connect(&rig->guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig->guest, &rig->offer, 1), 1);
	rig->recv_page = fake_guest_alloc(&rig->guest, BUS_RIG_RECV_PAGES);
	rig->send_page = fake_guest_alloc(&rig->guest, SEND_PAGES);
	rig->control_page = fake_guest_alloc(&rig->guest, 1);
	assert_int_equal(
		fake_channel_open(&rig->guest, &rig->offer, &how, &rig->queues[0].channel), 0);
	bus_rig_initialise(rig);
}

void bus_rig_fini(struct bus_rig *rig)
{
	fake_guest_stop(&rig->guest);
	netvsp_free(rig->nic);
	fake_guest_fini(&rig->guest);
	eth_dummy_free(rig->port);
	buf_fini(&rig->saved);
}

void bus_rig_move(struct bus_rig *rig)
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

/* Its ports tell the flow, its first bytes both. The sum of the ports stays. */
static void make_frame(struct frame *frame, uint32_t flow, uint32_t number)
{
	uint8_t *l4;

	frame_make(frame, &(struct frame_spec){.udp = true, .payload_bytes = 64});
	l4 = frame->bytes + frame->l4_at;
	store_be16(l4, (uint16_t)(load_be16(l4) + flow));
	store_be16(l4 + 2, (uint16_t)(load_be16(l4 + 2) - flow));
	store_le32(frame->bytes + frame->payload_at, flow);
	store_le32(frame->bytes + frame->payload_at + 4, number);
}

uint64_t bus_send_frame(struct bus_queue *queue, uint32_t flow, uint32_t number)
{
	uint32_t section = queue->index * BUS_RIG_SECTIONS + number % BUS_RIG_SECTIONS;
	uint8_t *at = guest_page(&queue->rig->guest.memory, queue->rig->send_page) +
		      section * BUS_RIG_SEND_SECTION;
	struct rndis_packet packet = {.type = RNDIS_PACKET, .data_offset = 36};
	struct nvsp_send_rndis_pkt nvsp = {NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, section, 0};
	struct frame frame;

	make_frame(&frame, flow, number);
	packet.data_length = (uint32_t)frame.size_bytes;
	packet.length = (uint32_t)(sizeof(packet) + frame.size_bytes);
	nvsp.send_section_size = packet.length;
	memcpy(at, &packet, sizeof(packet));
	memcpy(at + sizeof(packet), frame.bytes, frame.size_bytes);
	return bus_send_inband(queue, &nvsp, sizeof(nvsp));
}

bool bus_at_port(struct bus_rig *rig, uint32_t *ret_flow, uint32_t *ret_number)
{
	struct frame frame;
	struct eth_hdr hdr;
	size_t size_bytes;

	if (eth_dummy_take(rig->port, &hdr, frame.bytes, sizeof(frame.bytes), &size_bytes))
		return false;
	frame_parse(&frame, frame.bytes, size_bytes);
	*ret_flow = load_le32(frame.bytes + frame.payload_at);
	*ret_number = load_le32(frame.bytes + frame.payload_at + 4);
	return true;
}

void bus_inject(struct bus_rig *rig, uint32_t flow, uint32_t number)
{
	static const struct eth_hdr hdr;
	struct frame frame;

	make_frame(&frame, flow, number);
	assert_int_equal(eth_dummy_inject(rig->port, &hdr, frame.bytes, frame.size_bytes), 0);
}

unsigned bus_queue_of(const struct bus_rig *rig, uint32_t flow)
{
	struct net_rss rss = {
		.enabled = true,
		.hash_information = NDIS_HASH_TOEPLITZ | NDIS_HASH_UDP_IPV4,
	};
	struct net_layers layers;
	struct frame frame;
	uint32_t hash;

	make_frame(&frame, flow, 0);
	make_key(rss.key);
	net_rss_prepare(&rss);
	assert_int_equal(
		net_layers_find(frame.bytes, frame.size_bytes, NET_LENGTH_OF_IP, &layers), 0);
	assert_true(net_rss_hash(&rss, frame.bytes, &layers, &hash));
	return hash % 128 % rig->n_queues;
}
