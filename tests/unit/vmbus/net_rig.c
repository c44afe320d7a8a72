/* SPDX-License-Identifier: MIT */
#include "net_rig.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define WORK_LIMIT 10000

void rig_new(struct net_rig *rig, uint32_t port_caps)
{
	struct net_vsp_config config = {.link_up = true, .eth = &eth_dummy_ops};

	if (!rig->mtu_bytes)
		rig->mtu_bytes = 1500;
	if (!rig->recv_bytes)
		rig->recv_bytes = RIG_RECV_BYTES;
	if (!rig->n_queues)
		rig->n_queues = 1;
	rig->next_transaction = 1;
	rig->next_request = 100;
	assert_int_equal(eth_dummy_new(port_caps, &rig->port), 0);
	rig->channel = net_double_new();
	memcpy(config.mac, frame_dst, sizeof(config.mac));
	for (unsigned i = 1; i < rig->n_queues; i++)
		net_double_sub(rig->channel);
	config.mtu_bytes = rig->mtu_bytes;
	config.port = rig->port;
	config.n_queues = rig->n_queues;
	config.allow_mac_change = rig->allow_mac_change;
	assert_int_equal(net_vsp_new(&config, &rig->vsp), 0);
	rig->recv = net_double_gpadl(rig->channel, RIG_RECV_GPADL, rig->recv_bytes);
	rig->send = net_double_gpadl(rig->channel, RIG_SEND_GPADL, RIG_SEND_BYTES);
	net_queue_open(rig->vsp->queues, rig->channel);
}

void rig_free(struct net_rig *rig)
{
	net_vsp_free(rig->vsp);
	net_double_free(rig->channel);
	eth_dummy_free(rig->port);
}

struct vmbus_channel *rig_channel(const struct net_rig *rig, unsigned queue)
{
	return queue ? rig->channel->subs[queue - 1] : rig->channel;
}

/* Since it was asked last. */
static bool rig_was_kicked(struct net_rig *rig, unsigned queue)
{
	unsigned n_kicks = rig_channel(rig, queue)->n_kicks;
	bool was = n_kicks != rig->n_kicks[queue];

	rig->n_kicks[queue] = n_kicks;
	return was;
}

struct net_stats rig_stats(const struct net_rig *rig)
{
	net_vsp_sum_stats(rig->vsp);
	return rig->vsp->total;
}

void rig_work(struct net_rig *rig)
{
	for (unsigned i = 0; i < WORK_LIMIT; i++) {
		bool more = false;

		for (unsigned k = 0; k < rig->n_queues; k++)
			more |= net_queue_work(&rig->vsp->queues[k]);
		for (unsigned k = 0; k < rig->n_queues; k++)
			more |= rig_was_kicked(rig, k);
		if (!more)
			return;
	}
	fail_msg("the VSP does not come to rest");
}

uint64_t rig_post(struct net_rig *rig, const void *message, size_t size_bytes, bool completion)
{
	uint64_t transaction = rig->next_transaction++;

	net_double_push(rig->channel, VMBUS_PACKET_INBAND, transaction, completion, message,
		size_bytes, NULL, 0);
	rig_work(rig);
	return transaction;
}

void rig_expect_completion(
	struct net_rig *rig, uint64_t transaction, struct net_double_packet *ret_packet)
{
	assert_true(net_double_take(rig->channel, ret_packet));
	assert_int_equal(ret_packet->type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(ret_packet->transaction_id, transaction);
}

void rig_expect_nothing(struct net_rig *rig)
{
	struct net_double_packet packet;

	assert_false(net_double_take(rig->channel, &packet));
}

void rig_exchange(struct net_rig *rig, const void *message, size_t size_bytes, void *ret_answer)
{
	struct net_double_packet packet;

	rig_expect_completion(rig, rig_post(rig, message, size_bytes, true), &packet);
	assert_int_equal(packet.payload_bytes, NVSP_MESSAGE_BYTES);
	memcpy(ret_answer, packet.payload, NVSP_MESSAGE_BYTES);
	rig_expect_nothing(rig);
}

/* As guests do: every message has the size of the union. */
struct padded {
	uint8_t bytes[NVSP_MESSAGE_BYTES];
};

static struct padded pad(const void *message, size_t size_bytes)
{
	struct padded padded = {0};

	memcpy(padded.bytes, message, size_bytes);
	return padded;
}

uint32_t rig_init(struct net_rig *rig, uint32_t min_version, uint32_t max_version)
{
	const struct nvsp_init init = {NVSP_INIT, min_version, max_version};
	struct padded message = pad(&init, sizeof(init));
	struct nvsp_init_complete complete;
	struct padded answer;

	rig_exchange(rig, &message, sizeof(message), &answer);
	memcpy(&complete, &answer, sizeof(complete));
	assert_int_equal(complete.type, NVSP_INIT_COMPLETE);
	if (complete.status == NVSP_STATUS_SUCCESS)
		assert_int_equal(rig->vsp->version, complete.version);
	return complete.status;
}

void rig_ndis(struct net_rig *rig, uint32_t version)
{
	const struct nvsp_send_ndis_config config = {
		.type = NVSP_SEND_NDIS_CONFIG,
		.mtu = rig->mtu_bytes + 14,
		.capabilities = NVSP_NDIS_CAP_8021Q | (rig->rsc ? NVSP_NDIS_CAP_RSC : 0),
	};
	const struct nvsp_send_ndis_version ndis = {
		NVSP_SEND_NDIS_VERSION, 6, version <= NVSP_VERSION_4 ? 1 : 30};
	struct padded message;

	if (version >= NVSP_VERSION_2) {
		message = pad(&config, sizeof(config));
		rig_post(rig, &message, sizeof(message), false);
	}
	message = pad(&ndis, sizeof(ndis));
	rig_post(rig, &message, sizeof(message), false);
	rig_expect_nothing(rig);
}

void rig_buffers(struct net_rig *rig)
{
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, RIG_RECV_GPADL, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf send = {NVSP_SEND_SEND_BUF, RIG_SEND_GPADL, NVSP_SEND_BUF_ID};
	struct padded message = pad(&recv, sizeof(recv));
	struct nvsp_send_send_buf_complete complete;
	const struct nvsp_recv_section *section = &rig->recv_complete.section;
	struct padded answer;

	rig_exchange(rig, &message, sizeof(message), &answer);
	memcpy(&rig->recv_complete, &answer, sizeof(rig->recv_complete));
	assert_int_equal(rig->recv_complete.type, NVSP_SEND_RECV_BUF_COMPLETE);
	assert_int_equal(rig->recv_complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(rig->recv_complete.n_sections, 1);
	assert_int_equal(section->offset, 0);
	assert_true(section->sub_alloc_size >= NVSP_MIN_SECTION_BYTES);
	assert_true((uint64_t)section->sub_alloc_size * section->n_sub_allocs <= rig->recv_bytes);
	assert_int_equal(section->end_offset, section->sub_alloc_size * section->n_sub_allocs);

	message = pad(&send, sizeof(send));
	rig_exchange(rig, &message, sizeof(message), &answer);
	memcpy(&complete, &answer, sizeof(complete));
	assert_int_equal(complete.type, NVSP_SEND_SEND_BUF_COMPLETE);
	assert_int_equal(complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(complete.section_size, NET_SEND_SECTION_BYTES);
}

/* The RNDIS message in the one section of a control packet, which goes back at once. */
static void take_answer(struct net_rig *rig)
{
	struct net_double_packet packet;

	rig_expect_transfer(rig, NVSP_CHANNEL_CONTROL, &packet);
	assert_int_equal(packet.n_ranges, 1);
	rig->answer_bytes = packet.ranges[0].byte_count;
	assert_true(rig->answer_bytes >= sizeof(struct rndis_header));
	assert_true(rig->answer_bytes <= sizeof(rig->answer));
	memcpy(rig->answer, rig->recv + packet.ranges[0].byte_offset, rig->answer_bytes);
	assert_int_equal(load_le32(rig->answer + 4), rig->answer_bytes);
	rig_complete(rig, &packet);
}

uint32_t rig_control(struct net_rig *rig, const void *message, size_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {RIG_CONTROL_GPA, (uint32_t)size_bytes};
	struct padded payload = pad(&nvsp, sizeof(nvsp));
	uint64_t transaction = rig->next_transaction++;
	struct nvsp_send_rndis_pkt_complete complete;
	struct net_double_packet packet;

	rig->answer_bytes = 0;
	memcpy(rig->channel->memory + RIG_CONTROL_GPA, message, size_bytes);
	net_double_push(rig->channel, VMBUS_PACKET_GPA_DIRECT, transaction, true, &payload,
		sizeof(payload), &range, 1);
	rig_work(rig);
	rig_expect_completion(rig, transaction, &packet);
	assert_true(packet.payload_bytes >= sizeof(complete));
	memcpy(&complete, packet.payload, sizeof(complete));
	assert_int_equal(complete.type, NVSP_SEND_RNDIS_PKT_COMPLETE);
	if (!list_empty(&rig->channel->sent))
		take_answer(rig);
	return complete.status;
}

void rig_rndis(struct net_rig *rig)
{
	const struct rndis_initialize initialize = {
		.type = RNDIS_INITIALIZE,
		.length = sizeof(initialize),
		.request_id = rig->next_request++,
		.major = 1,
		.max_transfer_size = 0x4000,
	};
	struct rndis_initialize_complete complete;

	assert_int_equal(rig_control(rig, &initialize, sizeof(initialize)), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig->answer_bytes, sizeof(complete));
	memcpy(&complete, rig->answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_INITIALIZE_COMPLETE);
	assert_int_equal(complete.request_id, initialize.request_id);
	assert_int_equal(complete.status, RNDIS_STATUS_SUCCESS);
	assert_true(complete.max_packets_per_message >= 1);
}

void rig_up(struct net_rig *rig)
{
	assert_int_equal(rig_init(rig, NVSP_VERSION_61, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	rig_ndis(rig, NVSP_VERSION_61);
	rig_buffers(rig);
	rig_rndis(rig);
	rig_set_filter(rig, NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST |
				    NDIS_PACKET_TYPE_ALL_MULTICAST);
}

static size_t oid_request(struct net_rig *rig, uint32_t type, uint32_t oid, const void *value,
	size_t value_bytes, uint8_t *ret_message)
{
	const struct rndis_oid_request request = {
		.type = type,
		.length = (uint32_t)(sizeof(request) + value_bytes),
		.request_id = rig->next_request++,
		.oid = oid,
		.buffer_length = (uint32_t)value_bytes,
		.buffer_offset = sizeof(request) - RNDIS_BODY_AT,
	};

	memcpy(ret_message, &request, sizeof(request));
	if (value_bytes)
		memcpy(ret_message + sizeof(request), value, value_bytes);
	return request.length;
}

uint32_t rig_query(struct net_rig *rig, uint32_t oid, const void *input, size_t input_bytes)
{
	struct rndis_query_complete complete;
	uint8_t message[2048];
	size_t size_bytes = oid_request(rig, RNDIS_QUERY, oid, input, input_bytes, message);

	assert_int_equal(rig_control(rig, message, size_bytes), NVSP_STATUS_SUCCESS);
	assert_true(rig->answer_bytes >= sizeof(complete));
	memcpy(&complete, rig->answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_QUERY_COMPLETE);
	assert_int_equal(complete.request_id, rig->next_request - 1);
	assert_int_equal(complete.buffer_offset, RNDIS_QUERY_BUFFER_OFFSET);
	assert_int_equal(complete.buffer_length, rig->answer_bytes - sizeof(complete));
	return complete.status;
}

const void *rig_value(const struct net_rig *rig, size_t expected_bytes)
{
	assert_int_equal(rig->answer_bytes, sizeof(struct rndis_query_complete) + expected_bytes);
	return rig->answer + sizeof(struct rndis_query_complete);
}

uint32_t rig_set(struct net_rig *rig, uint32_t oid, const void *value, size_t value_bytes)
{
	struct rndis_set_complete complete;
	uint8_t message[2048];
	size_t size_bytes = oid_request(rig, RNDIS_SET, oid, value, value_bytes, message);

	assert_int_equal(rig_control(rig, message, size_bytes), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig->answer_bytes, sizeof(complete));
	memcpy(&complete, rig->answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_SET_COMPLETE);
	assert_int_equal(complete.request_id, rig->next_request - 1);
	return complete.status;
}

void rig_set_filter(struct net_rig *rig, uint32_t filter)
{
	assert_int_equal(rig_set(rig, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter)),
		RNDIS_STATUS_SUCCESS);
}

size_t rig_rndis_packet(uint8_t *ret_message, const void *frame, size_t frame_bytes,
	const void *ppi, size_t ppi_bytes)
{
	const struct rndis_packet packet = {
		.type = RNDIS_PACKET,
		.length = (uint32_t)(sizeof(packet) + ppi_bytes + frame_bytes),
		.data_offset = (uint32_t)(sizeof(packet) + ppi_bytes) - RNDIS_BODY_AT,
		.data_length = (uint32_t)frame_bytes,
		.ppi_offset = ppi_bytes ? sizeof(packet) - RNDIS_BODY_AT : 0,
		.ppi_length = (uint32_t)ppi_bytes,
	};

	memcpy(ret_message, &packet, sizeof(packet));
	if (ppi_bytes)
		memcpy(ret_message + sizeof(packet), ppi, ppi_bytes);
	memcpy(ret_message + sizeof(packet) + ppi_bytes, frame, frame_bytes);
	return packet.length;
}

size_t rig_ppi(uint8_t *ret_ppi, uint32_t type, uint32_t value)
{
	const struct rndis_ppi_u32 ppi = {{sizeof(ppi), type, sizeof(ppi.header)}, value};

	memcpy(ret_ppi, &ppi, sizeof(ppi));
	return sizeof(ppi);
}

uint64_t rig_queue_ranges(struct net_rig *rig, const void *run, size_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {RIG_DATA_GPA, (uint32_t)size_bytes};
	struct padded payload = pad(&nvsp, sizeof(nvsp));
	uint64_t transaction = rig->next_transaction++;

	memcpy(rig->channel->memory + RIG_DATA_GPA, run, size_bytes);
	net_double_push(rig->channel, VMBUS_PACKET_GPA_DIRECT, transaction, true, &payload,
		sizeof(payload), &range, 1);
	return transaction;
}

uint64_t rig_queue_section(
	struct net_rig *rig, uint32_t section, const void *run, size_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, section, (uint32_t)size_bytes};
	struct padded payload = pad(&nvsp, sizeof(nvsp));
	uint64_t transaction = rig->next_transaction++;

	memcpy(rig->send + section * NET_SEND_SECTION_BYTES, run, size_bytes);
	net_double_push(rig->channel, VMBUS_PACKET_INBAND, transaction, true, &payload,
		sizeof(payload), NULL, 0);
	return transaction;
}

uint32_t rig_transmit(struct net_rig *rig, const void *run, size_t size_bytes)
{
	uint64_t transaction = rig_queue_ranges(rig, run, size_bytes);
	struct nvsp_send_rndis_pkt_complete complete;
	struct net_double_packet packet;

	rig_work(rig);
	rig_expect_completion(rig, transaction, &packet);
	memcpy(&complete, packet.payload, sizeof(complete));
	assert_int_equal(complete.type, NVSP_SEND_RNDIS_PKT_COMPLETE);
	rig_expect_nothing(rig);
	return complete.status;
}

uint32_t rig_transmit_frame(struct net_rig *rig, const void *frame, size_t frame_bytes,
	const void *ppi, size_t ppi_bytes)
{
	static uint8_t message[70000];

	return rig_transmit(
		rig, message, rig_rndis_packet(message, frame, frame_bytes, ppi, ppi_bytes));
}

bool rig_at_port(struct net_rig *rig, struct eth_hdr *ret_hdr, struct frame *ret_frame)
{
	size_t size_bytes;

	if (eth_dummy_take(
		    rig->port, ret_hdr, ret_frame->bytes, sizeof(ret_frame->bytes), &size_bytes))
		return false;
	frame_parse(ret_frame, ret_frame->bytes, size_bytes);
	return true;
}

void rig_inject(
	struct net_rig *rig, const struct eth_hdr *hdr, const void *frame, size_t size_bytes)
{
	static const struct eth_hdr plain;

	assert_int_equal(eth_dummy_inject(rig->port, hdr ? hdr : &plain, frame, size_bytes), 0);
}

void rig_expect_transfer(
	struct net_rig *rig, enum nvsp_channel_type type, struct net_double_packet *ret_packet)
{
	const struct nvsp_recv_section *section = &rig->recv_complete.section;
	struct nvsp_send_rndis_pkt nvsp;

	assert_true(net_double_take(rig->channel, ret_packet));
	assert_int_equal(ret_packet->type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(ret_packet->pageset_id, NVSP_RECV_BUF_ID);
	assert_true(ret_packet->n_ranges > 0);
	for (unsigned i = 0; i < ret_packet->n_ranges; i++) {
		const struct vmbus_transfer_range *range = &ret_packet->ranges[i];

		assert_true(range->byte_count <= section->sub_alloc_size);
		assert_int_equal(range->byte_offset % section->sub_alloc_size, 0);
		assert_true(range->byte_offset / section->sub_alloc_size < section->n_sub_allocs);
	}
	memcpy(&nvsp, ret_packet->payload, sizeof(nvsp));
	assert_int_equal(nvsp.type, NVSP_SEND_RNDIS_PKT);
	assert_int_equal(nvsp.channel_type, type);
	assert_int_equal(nvsp.send_section_index, NVSP_NO_SECTION);
	assert_int_equal(nvsp.send_section_size, 0);
}

static void take_ppi(bool *has, uint32_t *value, uint32_t found)
{
	assert_false(*has);
	*has = true;
	*value = found;
}

/* Walks the list as Linux does. */
void rig_take_ppis(const uint8_t *list, size_t left_bytes, struct rig_received *received)
{
	while (left_bytes) {
		struct rndis_ppi_u32 ppi;

		assert_true(left_bytes >= sizeof(ppi));
		memcpy(&ppi, list, sizeof(ppi));
		assert_int_equal(ppi.header.size, sizeof(ppi));
		assert_int_equal(ppi.header.offset, sizeof(ppi.header));
		switch (ppi.header.type) {
		case RNDIS_PPI_CHECKSUM:
			take_ppi(&received->has_checksum, &received->checksum, ppi.value);
			break;
		case RNDIS_PPI_8021Q:
			take_ppi(&received->has_vlan, &received->vlan, ppi.value);
			break;
		case RNDIS_PPI_HASH_VALUE:
			take_ppi(&received->has_hash, &received->hash, ppi.value);
			break;
		case RNDIS_PPI_PACKET_ID:
			take_ppi(&received->has_packet_id, &received->packet_id, ppi.value);
			break;
		default:
			fail_msg("per-packet information of kind %x", ppi.header.type);
		}
		list += ppi.header.size;
		left_bytes -= ppi.header.size;
	}
}

void rig_received(struct net_rig *rig, const struct net_double_packet *packet, unsigned range,
	struct rig_received *ret_received)
{
	const struct vmbus_transfer_range *where = &packet->ranges[range];
	const uint8_t *message = rig->recv + where->byte_offset;
	struct rndis_packet header;

	memset(ret_received, 0, sizeof(*ret_received));
	memcpy(&header, message, sizeof(header));
	assert_int_equal(header.type, RNDIS_PACKET);
	assert_int_equal(header.length, where->byte_count);
	assert_true(RNDIS_BODY_AT + header.data_offset + header.data_length == header.length);
	assert_true(header.data_length >= ETH_MIN_FRAME_BYTES);
	if (header.ppi_length)
		rig_take_ppis(message + RNDIS_BODY_AT + header.ppi_offset, header.ppi_length,
			ret_received);
	frame_parse(&ret_received->frame, message + RNDIS_BODY_AT + header.data_offset,
		header.data_length);
}

void rig_complete(struct net_rig *rig, const struct net_double_packet *packet)
{
	const struct nvsp_send_rndis_pkt_complete complete = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};
	struct padded payload = pad(&complete, sizeof(complete));

	net_double_push(rig->channel, VMBUS_PACKET_COMPLETION, packet->transaction_id, false,
		&payload, sizeof(payload), NULL, 0);
	rig_work(rig);
}
