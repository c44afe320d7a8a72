/* SPDX-License-Identifier: MIT */
#include "net_guest.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* What Linux 6.1 puts together at most. */
#define LINUX_RSC_MAX 562

struct guest_rss guest_rss_make(unsigned n_queues)
{
	struct guest_rss rss = {.fixed = {
					.header = {NDIS_OBJECT_RSS_PARAMS, 2, sizeof(rss.fixed)},
					.hash_information = GUEST_HASH_TYPES,
					.table_size = sizeof(rss.table),
					.table_offset = offsetof(struct guest_rss, table),
					.key_size = sizeof(rss.key),
					.key_offset = offsetof(struct guest_rss, key),
				}};

	for (unsigned i = 0; i < ARRAY_LEN(rss.table); i++)
		rss.table[i] = i % n_queues;
	for (unsigned i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)(i * 37 + 11);
	return rss;
}

uint32_t guest_rss_set(struct net_rig *rig, const struct guest_rss *rss)
{
	return rig_set(rig, OID_GEN_RECEIVE_SCALE_PARAMETERS, rss, sizeof(*rss));
}

void guest_request_subs(struct net_rig *rig, unsigned n_wanted, unsigned n_granted)
{
	const struct nvsp_subchannel_request request = {
		NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, n_wanted};
	struct nvsp_subchannel_complete complete;
	uint8_t answer[NVSP_MESSAGE_BYTES];

	rig_exchange(rig, &request, sizeof(request), answer);
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, NVSP_SUBCHANNEL);
	assert_int_equal(complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(complete.n_subchannels, n_granted);
	assert_int_equal(rig->channel->n_offered, n_granted);
}

static void expect_table(struct net_rig *rig)
{
	unsigned n_channels = rig->channel->n_offered + 1;
	struct nvsp_send_indirection_table table;
	struct net_double_packet packet;

	assert_true(net_double_take(rig->channel, &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_INBAND);
	memcpy(&table, packet.payload, sizeof(table));
	assert_int_equal(table.type, NVSP_SEND_INDIRECTION_TABLE);
	assert_int_equal(table.count, 16);
	assert_int_equal(table.offset, 40);
	assert_int_equal(packet.payload_bytes, 40 + 16 * 4);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(load_le32(packet.payload + 40 + i * 4), i % n_channels);
}

void guest_open_subs(struct net_rig *rig)
{
	for (unsigned i = 1; i <= rig->channel->n_offered; i++) {
		struct vmbus_channel *channel = rig_channel(rig, i);

		rig_expect_nothing(rig);
		assert_int_equal(net_queue_open(&rig->vsp->queues[i], channel), 0);
		channel->is_open = true;
		rig_work(rig);
	}
	expect_table(rig);
	rig_expect_nothing(rig);
}

void guest_scale(struct net_rig *rig)
{
	struct guest_rss rss = guest_rss_make(rig->n_queues);

	guest_request_subs(rig, rig->n_queues - 1, rig->n_queues - 1);
	guest_open_subs(rig);
	rss.fixed.flags = NDIS_RSS_FLAG_DISABLE;
	assert_int_equal(guest_rss_set(rig, &rss), RNDIS_STATUS_SUCCESS);
	rss.fixed.flags = 0;
	assert_int_equal(guest_rss_set(rig, &rss), RNDIS_STATUS_SUCCESS);
}

void guest_close_sub(struct net_rig *rig, unsigned queue)
{
	net_queue_close(&rig->vsp->queues[queue]);
	rig_channel(rig, queue)->is_open = false;
}

void guest_coalesce(struct net_rig *rig, uint8_t v4, uint8_t v6)
{
	const struct ndis_offload_params params = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)}, .rsc4 = v4, .rsc6 = v6};

	assert_int_equal(rig_set(rig, OID_TCP_OFFLOAD_PARAMETERS, &params, sizeof(params)),
		RNDIS_STATUS_SUCCESS);
}

bool guest_take(struct net_rig *rig, unsigned queue, struct net_double_packet *ret_packet)
{
	struct nvsp_send_rndis_pkt nvsp;

	if (!net_double_take(rig_channel(rig, queue), ret_packet))
		return false;
	assert_int_equal(ret_packet->type, VMBUS_PACKET_TRANSFER_PAGES);
	memcpy(&nvsp, ret_packet->payload, sizeof(nvsp));
	assert_int_equal(nvsp.channel_type, NVSP_CHANNEL_DATA);
	return true;
}

void guest_give_back(struct net_rig *rig, unsigned queue, const struct net_double_packet *packet)
{
	const struct nvsp_send_rndis_pkt_complete complete = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};

	net_double_push(rig_channel(rig, queue), VMBUS_PACKET_COMPLETION, packet->transaction_id,
		false, &complete, sizeof(complete), NULL, 0);
}

void guest_flow_frame(struct frame *frame, unsigned flow, size_t payload_bytes)
{
	uint8_t *l4;

	frame_make(frame, &(struct frame_spec){.payload_bytes = payload_bytes});
	l4 = frame->bytes + frame->l4_at;
	/* The sum stays what it was. */
	store_be16(l4, (uint16_t)(load_be16(l4) + flow));
	store_be16(l4 + 2, (uint16_t)(load_be16(l4 + 2) - flow));
}

unsigned guest_flow_queue(const struct net_rig *rig, const struct frame *frame)
{
	const struct net_rss *rss = &rig->vsp->rndis.rss;
	struct net_layers layers;
	uint32_t hash;

	assert_int_equal(
		net_layers_find(frame->bytes, frame->size_bytes, NET_LENGTH_OF_IP, &layers), 0);
	assert_true(net_rss_hash(rss, frame->bytes, &layers, &hash));
	return net_rss_queue(rss, hash);
}

/* One range as an RNDIS packet, its PPIs in *part, its data not judged. */
static const uint8_t *find_part(struct net_rig *rig, const struct vmbus_transfer_range *range,
	struct rig_received *part, size_t *ret_bytes)
{
	const uint8_t *message = rig->recv + range->byte_offset;
	struct rndis_packet header;

	assert_true(range->byte_count <= rig->recv_complete.section.sub_alloc_size);
	memcpy(&header, message, sizeof(header));
	assert_int_equal(header.type, RNDIS_PACKET);
	assert_int_equal(header.length, range->byte_count);
	assert_true(header.data_length > 0);
	assert_int_equal(RNDIS_BODY_AT + header.data_offset + header.data_length, header.length);
	rig_take_ppis(message + RNDIS_BODY_AT + header.ppi_offset, header.ppi_length, part);
	*ret_bytes = header.data_length;
	return message + RNDIS_BODY_AT + header.data_offset;
}

unsigned guest_coalesced(
	struct net_rig *rig, const struct net_double_packet *packet, struct rig_received *ret)
{
	static uint8_t bytes[ETH_FRAME_MAX_BYTES + 64];
	unsigned n_frames = 0, n_parts = 0;
	struct rig_received part;
	size_t at = 0;

	assert_true(packet->n_ranges <= 375);
	for (unsigned i = 0; i < packet->n_ranges; i++) {
		struct rndis_packet_id id = {0};
		const uint8_t *data;
		size_t part_bytes;

		part = (struct rig_received){0};
		data = find_part(rig, &packet->ranges[i], &part, &part_bytes);
		memcpy(&id, &part.packet_id, sizeof(id));
		if (!part.has_packet_id || id.flags & RNDIS_PACKET_ID_FIRST_FRAG)
			n_parts = 0;
		if (n_parts == 0) {
			*ret = part;
			at = 0;
			assert_true(!part.has_packet_id || id.flags & RNDIS_PACKET_ID_FIRST_FRAG);
		} else {
			assert_false(part.has_checksum || part.has_vlan || part.has_hash);
		}
		assert_true(!part.has_packet_id || id.flags & RNDIS_PACKET_ID_SUB_ALLOC);
		assert_true(n_parts++ < LINUX_RSC_MAX);
		assert_true(at + part_bytes <= sizeof(bytes));
		memcpy(bytes + at, data, part_bytes);
		at += part_bytes;
		if (part.has_packet_id && !(id.flags & RNDIS_PACKET_ID_LAST_FRAG)) {
			assert_true(i + 1 < packet->n_ranges);
			continue;
		}
		frame_parse(&ret->frame, bytes, at);
		n_parts = 0;
		n_frames++;
	}
	return n_frames;
}
