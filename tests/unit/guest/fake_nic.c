/* SPDX-License-Identifier: MIT */
#include "fake_nic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

const uint8_t fake_nic_mac[6] = {0x00, 0x15, 0x5d, 1, 2, 3};

static const uint8_t nic_class[] = VMBUS_GUID_NIC;

static void send(struct fake_nic *nic, const struct vsc_packet_out *packet)
{
	bool signal;

	assert_int_equal(vsc_ring_send(&nic->channel->out, packet, &signal), 0);
	if (signal)
		fake_host_signal(nic->host, nic->channel);
}

static void complete(struct fake_nic *nic, uint64_t id, const void *payload, uint32_t size_bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = {0};
	struct vsc_packet_out packet = {
		.type = VMBUS_PACKET_COMPLETION,
		.transaction_id = id,
		.payload = padded,
		.payload_bytes = sizeof(padded),
	};

	memcpy(padded, payload, size_bytes);
	send(nic, &packet);
}

bool fake_nic_transfer(struct fake_nic *nic, uint16_t pageset_id, uint32_t n_ranges_claimed,
	const struct vmbus_transfer_range *ranges, uint32_t n_ranges)
{
	struct {
		struct vmbus_transfer_header header;
		struct vmbus_transfer_range ranges[8];
	} header = {.header = {.pageset_id = pageset_id, .range_count = n_ranges_claimed}};
	struct nvsp_send_rndis_pkt message = {
		.type = NVSP_SEND_RNDIS_PKT, .send_section_index = NVSP_NO_SECTION};
	struct vsc_packet_out packet = {
		.type = VMBUS_PACKET_TRANSFER_PAGES,
		.request_completion = true,
		.transaction_id = nic->next_transaction_id,
		.header = &header,
		.header_bytes = (uint32_t)(sizeof(header.header) + n_ranges * sizeof(*ranges)),
		.payload = &message,
		.payload_bytes = sizeof(message),
	};
	bool signal;

	memcpy(header.ranges, ranges, n_ranges * sizeof(*ranges));
	if (vsc_ring_send(&nic->channel->out, &packet, &signal))
		return false;
	nic->next_transaction_id++;
	if (signal)
		fake_host_signal(nic->host, nic->channel);
	return true;
}

bool fake_nic_rndis(struct fake_nic *nic, const void *message, uint32_t size_bytes)
{
	uint32_t n_sections = nic->receive_reply.section.n_sub_allocs;
	struct vmbus_transfer_range range = {
		size_bytes, nic->next_section++ % n_sections * FAKE_NIC_RX_SECTION};

	assert_true(size_bytes <= FAKE_NIC_RX_SECTION);
	memcpy(nic->receive + range.byte_offset, message, size_bytes);
	return fake_nic_transfer(nic, NVSP_RECV_BUF_ID, 1, &range, 1);
}

bool fake_nic_frame(struct fake_nic *nic, const void *frame, uint32_t size_bytes, uint32_t csum)
{
	struct {
		struct rndis_packet rndis;
		struct rndis_ppi_u32 ppi;
		uint8_t frame[1600];
	} message = {
		.rndis = {.type = RNDIS_PACKET,
			.data_length = size_bytes,
			.data_offset = 44 - 8 + 16,
			.ppi_offset = 44 - 8,
			.ppi_length = 16,
			.length = 44 + 16 + size_bytes},
		.ppi = {{16, RNDIS_PPI_CHECKSUM, 12}, csum},
	};

	if (!csum)
		message.ppi.header.type = RNDIS_PPI_HASH_VALUE;
	memcpy(message.frame, frame, size_bytes);
	return fake_nic_rndis(nic, &message, message.rndis.length);
}

void fake_nic_indicate(struct fake_nic *nic, uint32_t status)
{
	struct rndis_indicate_status message = {
		.type = RNDIS_INDICATE_STATUS, .length = sizeof(message), .status = status};

	fake_nic_rndis(nic, &message, sizeof(message));
}

void fake_nic_release(struct fake_nic *nic)
{
	struct nvsp_send_rndis_pkt_complete done = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};

	for (unsigned i = 0; i < nic->n_held; i++)
		complete(nic, nic->held[i], &done, sizeof(done));
	nic->n_held = 0;
}

/* --- RNDIS --- */

static void answer_query(struct fake_nic *nic, const struct rndis_oid_request *request)
{
	struct {
		struct rndis_query_complete reply;
		uint8_t value[8];
	} message = {.reply = {.type = RNDIS_QUERY_COMPLETE,
			     .request_id = request->request_id,
			     .buffer_offset = RNDIS_QUERY_BUFFER_OFFSET}};
	uint32_t mtu = 1500;

	if (request->oid == nic->refused_oid) {
		message.reply.status = RNDIS_STATUS_NOT_SUPPORTED;
	} else if (request->oid == OID_802_3_PERMANENT_ADDRESS) {
		memcpy(message.value, fake_nic_mac, 6);
		message.reply.buffer_length = 6;
	} else if (request->oid == OID_GEN_MAXIMUM_FRAME_SIZE) {
		memcpy(message.value, &mtu, 4);
		message.reply.buffer_length = 4;
	} else {
		assert_int_equal(request->oid, OID_GEN_MEDIA_CONNECT_STATUS);
		memcpy(message.value, &nic->media, 4);
		message.reply.buffer_length = 4;
	}
	message.reply.length = sizeof(message.reply) + message.reply.buffer_length;
	fake_nic_rndis(nic, &message, message.reply.length);
}

static void answer_set(struct fake_nic *nic, const struct rndis_oid_request *request)
{
	struct rndis_set_complete reply = {.type = RNDIS_SET_COMPLETE,
		.length = sizeof(reply),
		.request_id = request->request_id};
	const uint8_t *value = (const uint8_t *)request + RNDIS_BODY_AT + request->buffer_offset;
	const struct ndis_offload_params *params = (const void *)value;

	assert_int_equal(request->length, sizeof(*request) + request->buffer_length);
	if (request->oid == nic->refused_oid)
		reply.status = RNDIS_STATUS_NOT_SUPPORTED;
	else if (request->oid == OID_GEN_CURRENT_PACKET_FILTER)
		memcpy(&nic->filter, value, 4);
	else if (request->oid == OID_TCP_OFFLOAD_PARAMETERS)
		nic->offloads_off = params->tcp4_csum == NDIS_CSUM_OFF && params->lso4 == 1 &&
				    params->header.size == request->buffer_length;
	else
		fail();
	fake_nic_rndis(nic, &reply, sizeof(reply));
}

static void on_control(struct fake_nic *nic, const uint8_t *message)
{
	const struct rndis_oid_request *request = (const void *)message;
	struct rndis_initialize_complete reply = {
		.type = RNDIS_INITIALIZE_COMPLETE,
		.length = sizeof(reply),
		.request_id = request->request_id,
		.major = 1,
	};

	switch (request->type) {
	case RNDIS_INITIALIZE:
		nic->initialised = true;
		fake_nic_rndis(nic, &reply, sizeof(reply));
		break;
	case RNDIS_QUERY:
		answer_query(nic, request);
		break;
	case RNDIS_SET:
		answer_set(nic, request);
		break;
	case RNDIS_HALT:
		nic->halted = true;
		break;
	default:
		fail();
	}
}

static void on_frame(struct fake_nic *nic, const struct nvsp_send_rndis_pkt *message)
{
	const struct rndis_packet *rndis =
		(const void *)(nic->send +
			       (size_t)message->send_section_index * nic->send_reply.section_size);

	assert_true((message->send_section_index + 1) * nic->send_reply.section_size <=
		    nic->send_bytes);
	assert_int_equal(rndis->type, RNDIS_PACKET);
	assert_int_equal(rndis->length, message->send_section_size);
	assert_int_equal(rndis->data_offset + rndis->data_length + 8, rndis->length);
	assert_true(nic->n_frames < FAKE_NIC_MAX_FRAMES);
	nic->frame_bytes[nic->n_frames] = rndis->data_length;
	memcpy(nic->frames[nic->n_frames++], (const uint8_t *)rndis + 8 + rndis->data_offset,
		rndis->data_length);
}

static void on_rndis(struct fake_nic *nic, const struct vsc_packet *packet)
{
	const struct nvsp_send_rndis_pkt *message = (const void *)packet->payload;
	struct nvsp_send_rndis_pkt_complete done = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};
	uint64_t pfn;

	assert_true(packet->completion_requested);
	if (packet->type == VMBUS_PACKET_GPA_DIRECT) {
		assert_int_equal(message->channel_type, NVSP_CHANNEL_CONTROL);
		assert_int_equal(message->send_section_index, NVSP_NO_SECTION);
		assert_int_equal(packet->header_bytes, 24);
		memcpy(&pfn, packet->header + 16, sizeof(pfn));
		complete(nic, packet->transaction_id, &done, sizeof(done));
		on_control(nic, (const uint8_t *)(uintptr_t)(pfn * VMBUS_PAGE_BYTES));
		return;
	}
	on_frame(nic, message);
	if (nic->hold_completions)
		nic->held[nic->n_held++] = packet->transaction_id;
	else
		complete(nic, packet->transaction_id, &done, sizeof(done));
}

/* --- NVSP --- */

static void on_init(struct fake_nic *nic, const struct vsc_packet *packet)
{
	const struct nvsp_init *request = (const void *)packet->payload;
	struct nvsp_init_complete reply = {NVSP_INIT_COMPLETE, request->max_version, 34,
		request->max_version <= nic->newest_version ? NVSP_STATUS_SUCCESS
							    : NVSP_STATUS_PROTOCOL_TOO_NEW};

	assert_int_equal(request->min_version, request->max_version);
	nic->version = request->max_version;
	complete(nic, packet->transaction_id, &reply, sizeof(reply));
}

static void on_buffer(struct fake_nic *nic, const struct vsc_packet *packet, bool is_receive)
{
	const struct nvsp_send_buf *request = (const void *)packet->payload;
	uint32_t size_bytes = 0;
	uint8_t *memory = fake_host_gpadl(nic->host, request->gpadl_id, &size_bytes);

	assert_non_null(memory);
	if (is_receive) {
		nic->receive = memory;
		nic->receive_bytes = size_bytes;
		complete(nic, packet->transaction_id, &nic->receive_reply,
			sizeof(nic->receive_reply));
	} else {
		nic->send = memory;
		nic->send_bytes = size_bytes;
		complete(nic, packet->transaction_id, &nic->send_reply, sizeof(nic->send_reply));
	}
}

static void on_packet(struct fake_nic *nic, const struct vsc_packet *packet)
{
	const struct nvsp_send_ndis_version *message = (const void *)packet->payload;

	if (packet->type == VMBUS_PACKET_COMPLETION) {
		nic->n_transfers_completed++;
		return;
	}
	assert_true(packet->payload_bytes >= NVSP_MESSAGE_BYTES);
	switch (message->type) {
	case NVSP_INIT:
		on_init(nic, packet);
		break;
	case NVSP_SEND_NDIS_CONFIG:
		nic->configured = true;
		break;
	case NVSP_SEND_NDIS_VERSION:
		nic->ndis_minor = message->minor;
		break;
	case NVSP_SEND_RECV_BUF:
	case NVSP_SEND_SEND_BUF:
		on_buffer(nic, packet, message->type == NVSP_SEND_RECV_BUF);
		break;
	case NVSP_REVOKE_RECV_BUF:
	case NVSP_REVOKE_SEND_BUF:
		nic->n_revoked++;
		break;
	case NVSP_SEND_RNDIS_PKT:
		on_rndis(nic, packet);
		break;
	default:
		fail();
	}
}

void fake_nic_run(struct fake_nic *nic)
{
	uint8_t buffer[4096] __attribute__((aligned(8)));
	struct vsc_packet packet;
	bool signal;

	while (!nic->mute && nic->channel->open &&
		vsc_ring_receive(&nic->channel->in, buffer, sizeof(buffer), &packet, &signal) ==
			0) {
		if (signal)
			fake_host_signal(nic->host, nic->channel);
		on_packet(nic, &packet);
	}
}

static void on_signal(struct fake_channel *channel, void *device)
{
	(void)channel;
	fake_nic_run(device);
}

void fake_nic_init(struct fake_nic *nic, struct fake_host *host, uint32_t relid)
{
	memset(nic, 0, sizeof(*nic));
	nic->host = host;
	nic->newest_version = NVSP_VERSION_61;
	nic->next_transaction_id = 0x7000;
	nic->receive_reply = (struct nvsp_send_recv_buf_complete){
		.type = NVSP_SEND_RECV_BUF_COMPLETE,
		.status = NVSP_STATUS_SUCCESS,
		.n_sections = 1,
		.section = {0, FAKE_NIC_RX_SECTION, VSC_NET_RECEIVE_BYTES / FAKE_NIC_RX_SECTION, 0},
	};
	nic->send_reply = (struct nvsp_send_send_buf_complete){
		NVSP_SEND_SEND_BUF_COMPLETE, NVSP_STATUS_SUCCESS, 6144};
	nic->channel = fake_host_add_channel(host, relid, nic_class);
	nic->channel->signalled = on_signal;
	nic->channel->device = nic;
}
