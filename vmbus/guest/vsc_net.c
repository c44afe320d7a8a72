/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_net.h"

#define POLL_BUDGET       64
#define ANSWER_TIMEOUT_NS (5 * NS_PER_S)

/* Transactions that are not send sections count up from here. */
#define FIRST_TRANSACTION_ID 0x10000

static const uint32_t versions[] = {
	NVSP_VERSION_61,
	NVSP_VERSION_6,
	NVSP_VERSION_5,
	NVSP_VERSION_4,
	NVSP_VERSION_2,
	NVSP_VERSION_1,
};

/* --- messages out --- */

static int send_inband(struct vsc_net *net, const void *message, size_t size_bytes,
	uint64_t transaction_id, bool request_completion)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = {0};
	struct vsc_packet_out packet = {
		.type = VMBUS_PACKET_INBAND,
		.request_completion = request_completion,
		.transaction_id = transaction_id,
		.payload = padded,
		.payload_bytes = sizeof(padded),
	};

	memcpy(padded, message, size_bytes);
	return vsc_channel_send(&net->channel, &packet);
}

int vsc_net_nvsp_send(struct vsc_net *net, const void *message, size_t size_bytes)
{
	return send_inband(net, message, size_bytes, net->next_transaction_id++, false);
}

int vsc_net_wait(struct vsc_net *net)
{
	struct vsc_bus *bus = net->channel.bus;
	uint64_t deadline_ns = bus->ops->now_ns(bus->host) + ANSWER_TIMEOUT_NS;

	while (!net->answered) {
		if (net->broken || !vsc_channel_is_open(&net->channel))
			return -ENODEV;
		if (bus->ops->now_ns(bus->host) > deadline_ns)
			return -ETIMEDOUT;
		vsc_bus_poll(bus);
		if (!vsc_net_poll(net))
			bus->ops->wait(bus->host);
	}
	return 0;
}

int vsc_net_nvsp_request(struct vsc_net *net, const void *message, size_t size_bytes)
{
	int r;

	net->answered = false;
	net->awaited_transaction_id = net->next_transaction_id++;
	r = send_inband(net, message, size_bytes, net->awaited_transaction_id, true);
	if (r == 0)
		r = vsc_net_wait(net);
	net->awaited_transaction_id = 0;
	return r;
}

static int section_take(struct vsc_net *net, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < net->n_send_sections; i++) {
		uint64_t bit = 1ULL << i % 64;

		if (!(net->busy_sections[i / 64] & bit)) {
			net->busy_sections[i / 64] |= bit;
			*ret_index = i;
			return 0;
		}
	}
	return -EAGAIN;
}

static void section_put(struct vsc_net *net, uint32_t index)
{
	net->busy_sections[index / 64] &= ~(1ULL << index % 64);
}

bool vsc_net_send(struct vsc_net *net, const void *frame, size_t size_bytes)
{
	struct rndis_packet *rndis;
	struct nvsp_send_rndis_pkt message = {
		.type = NVSP_SEND_RNDIS_PKT,
		.channel_type = NVSP_CHANNEL_DATA,
		.send_section_size = (uint32_t)(sizeof(*rndis) + size_bytes),
	};
	uint32_t section;

	if (net->broken || !net->link_up || !vsc_channel_is_open(&net->channel) ||
		message.send_section_size > net->send_section_bytes || section_take(net, &section))
		return false;
	message.send_section_index = section;
	rndis = (struct rndis_packet *)(net->memory->send +
					(size_t)section * net->send_section_bytes);
	*rndis = (struct rndis_packet){
		.type = RNDIS_PACKET,
		.length = message.send_section_size,
		.data_offset = sizeof(*rndis) - RNDIS_BODY_AT,
		.data_length = (uint32_t)size_bytes,
	};
	memcpy(rndis + 1, frame, size_bytes);
	if (send_inband(net, &message, sizeof(message), section + 1ULL, true)) {
		section_put(net, section);
		return false;
	}
	return true;
}

/* --- messages in --- */

static void on_completion(struct vsc_net *net, const struct vsc_packet *packet)
{
	uint64_t id = packet->transaction_id;

	if (id >= 1 && id <= net->n_send_sections) {
		section_put(net, (uint32_t)(id - 1));
		return;
	}
	if (id != net->awaited_transaction_id || id == 0) {
		/* The completion of a control request says only that its page is free again. */
		if (id < FIRST_TRANSACTION_ID || id >= net->next_transaction_id)
			net->n_errors++;
		return;
	}
	net->answer_bytes = MIN_OF(packet->payload_bytes, sizeof(net->answer));
	memset(net->answer, 0, sizeof(net->answer));
	memcpy(net->answer, packet->payload, net->answer_bytes);
	net->answered = true;
}

static void complete_transfer(struct vsc_net *net, uint64_t transaction_id)
{
	struct nvsp_send_rndis_pkt_complete done = {
		.type = NVSP_SEND_RNDIS_PKT_COMPLETE,
		.status = NVSP_STATUS_SUCCESS,
	};
	struct vsc_packet_out packet = {
		.type = VMBUS_PACKET_COMPLETION,
		.transaction_id = transaction_id,
		.payload = &done,
		.payload_bytes = sizeof(done),
	};

	/* Room was made sure of before the packet was taken. */
	if (vsc_channel_send(&net->channel, &packet))
		net->broken = true;
}

static void receive_ranges(struct vsc_net *net, const uint8_t *ranges, uint32_t n_ranges)
{
	for (uint32_t i = 0; i < n_ranges; i++) {
		struct vmbus_transfer_range range;

		memcpy(&range, ranges + i * sizeof(range), sizeof(range));
		if (range.byte_count > net->receive_section_bytes ||
			range.byte_offset > net->receive_used_bytes ||
			range.byte_count > net->receive_used_bytes - range.byte_offset) {
			net->n_errors++;
			continue;
		}
		vsc_rndis_input(net, net->memory->receive + range.byte_offset, range.byte_count);
	}
}

static void on_transfer(struct vsc_net *net, const struct vsc_packet *packet)
{
	struct vmbus_transfer_header header = {0};
	size_t ranges_bytes = 0;

	if (packet->header_bytes >= sizeof(header)) {
		memcpy(&header, packet->header, sizeof(header));
		ranges_bytes = packet->header_bytes - sizeof(header);
	}
	if (header.pageset_id == NVSP_RECV_BUF_ID &&
		header.range_count <= ranges_bytes / sizeof(struct vmbus_transfer_range))
		receive_ranges(net, packet->header + sizeof(header), header.range_count);
	else
		net->n_errors++;
	/* Whatever was in it, the host wants its sections back. */
	if (packet->completion_requested)
		complete_transfer(net, packet->transaction_id);
}

/* -EAGAIN: nothing to do, or no room to answer what there is. */
static int poll_one(struct vsc_net *net)
{
	uint32_t answer_bytes =
		vsc_ring_packet_bytes(0, sizeof(struct nvsp_send_rndis_pkt_complete));
	struct vsc_packet packet;
	int r;

	if (!vsc_ring_has_room(&net->channel.out, answer_bytes)) {
		net->stalled = true;
		if (!vsc_ring_want_room(&net->channel.out, answer_bytes))
			return -EAGAIN;
	}
	if (net->stalled) {
		net->stalled = false;
		vsc_ring_want_room(&net->channel.out, 0);
	}
	r = vsc_channel_receive(&net->channel, net->packet, sizeof(net->packet), &packet);
	if (r == -EMSGSIZE)
		net->n_errors++;
	if (r < 0)
		return r == -EMSGSIZE ? 0 : r;
	if (packet.type == VMBUS_PACKET_COMPLETION)
		on_completion(net, &packet);
	else if (packet.type == VMBUS_PACKET_TRANSFER_PAGES)
		on_transfer(net, &packet);
	/* Inband ones are about VFs and queue tables, neither of which this NIC has. */
	return 0;
}

bool vsc_net_poll(struct vsc_net *net)
{
	unsigned n = 0;
	int r = 0;

	if (net->broken || !vsc_channel_is_open(&net->channel))
		return false;
	if (!vsc_channel_take_event(&net->channel) && !net->more)
		return false;
	vsc_ring_mask(&net->channel.in, true);
	while (n < POLL_BUDGET && vsc_channel_is_open(&net->channel)) {
		r = poll_one(net);
		if (r < 0)
			break;
		n++;
	}
	net->broken |= r == -EBADMSG;
	net->more = n == POLL_BUDGET;
	if (net->more)
		return true;
	/* When stalled, the ring stays masked: room, not data, is what is waited for. */
	if (!net->stalled) {
		vsc_ring_mask(&net->channel.in, false);
		net->more = !vsc_ring_is_empty(&net->channel.in);
	}
	return true;
}

/* --- set-up --- */

static int negotiate(struct vsc_net *net)
{
	for (size_t i = 0; i < N_ELEMENTS(versions); i++) {
		struct nvsp_init request = {NVSP_INIT, versions[i], versions[i]};
		struct nvsp_init_complete reply;
		int r = vsc_net_nvsp_request(net, &request, sizeof(request));

		if (r < 0)
			return r;
		memcpy(&reply, net->answer, sizeof(reply));
		if (reply.type != NVSP_INIT_COMPLETE)
			return -EPROTO;
		if (reply.status == NVSP_STATUS_SUCCESS) {
			net->version = versions[i];
			return 0;
		}
	}
	return -EPROTONOSUPPORT;
}

static int send_configuration(struct vsc_net *net)
{
	struct nvsp_send_ndis_config config = {
		.type = NVSP_SEND_NDIS_CONFIG,
		.mtu = VSC_NET_MTU + 14,
		.capabilities = NVSP_NDIS_CAP_8021Q,
	};
	struct nvsp_send_ndis_version version = {
		.type = NVSP_SEND_NDIS_VERSION,
		.major = 6,
		.minor = net->version <= NVSP_VERSION_4 ? 1 : 30,
	};
	int r = 0;

	if (net->version >= NVSP_VERSION_2)
		r = vsc_net_nvsp_send(net, &config, sizeof(config));
	return r < 0 ? r : vsc_net_nvsp_send(net, &version, sizeof(version));
}

static int share_receive_buffer(struct vsc_net *net)
{
	struct nvsp_send_buf request = {.type = NVSP_SEND_RECV_BUF, .id = NVSP_RECV_BUF_ID};
	struct nvsp_send_recv_buf_complete reply;
	uint64_t used_bytes;
	int r = vsc_bus_gpadl_create(net->channel.bus, net->channel.relid, net->memory->receive,
		sizeof(net->memory->receive), &net->receive_gpadl_id);

	if (r < 0)
		return r;
	request.gpadl_id = net->receive_gpadl_id;
	r = vsc_net_nvsp_request(net, &request, sizeof(request));
	if (r < 0)
		return r;
	memcpy(&reply, net->answer, sizeof(reply));
	used_bytes = (uint64_t)reply.section.sub_alloc_size * reply.section.n_sub_allocs;
	if (reply.type != NVSP_SEND_RECV_BUF_COMPLETE || reply.status != NVSP_STATUS_SUCCESS ||
		reply.n_sections != 1 || reply.section.offset != 0 ||
		reply.section.sub_alloc_size < NVSP_MIN_SECTION_BYTES ||
		used_bytes > sizeof(net->memory->receive))
		return -EPROTO;
	net->receive_section_bytes = reply.section.sub_alloc_size;
	net->receive_used_bytes = (uint32_t)used_bytes;
	return 0;
}

static int share_send_buffer(struct vsc_net *net)
{
	struct nvsp_send_buf request = {.type = NVSP_SEND_SEND_BUF, .id = NVSP_SEND_BUF_ID};
	struct nvsp_send_send_buf_complete reply;
	int r = vsc_bus_gpadl_create(net->channel.bus, net->channel.relid, net->memory->send,
		sizeof(net->memory->send), &net->send_gpadl_id);

	if (r < 0)
		return r;
	request.gpadl_id = net->send_gpadl_id;
	r = vsc_net_nvsp_request(net, &request, sizeof(request));
	if (r < 0)
		return r;
	memcpy(&reply, net->answer, sizeof(reply));
	if (reply.type != NVSP_SEND_SEND_BUF_COMPLETE || reply.status != NVSP_STATUS_SUCCESS ||
		reply.section_size < sizeof(struct rndis_packet) + VSC_NET_MTU + 14)
		return -EPROTO;
	net->send_section_bytes = reply.section_size;
	net->n_send_sections = MIN_OF(
		VSC_NET_SEND_BYTES / net->send_section_bytes, (uint32_t)VSC_NET_MAX_SECTIONS);
	return net->n_send_sections ? 0 : -EPROTO;
}

int vsc_net_open(struct vsc_net *net, struct vsc_bus *bus, struct vsc_offer *offer,
	struct vsc_net_memory *memory, const struct vsc_net_ops *ops, void *owner)
{
	int r;

	memset(net, 0, sizeof(*net));
	net->memory = memory;
	net->ops = ops;
	net->owner = owner;
	net->next_transaction_id = FIRST_TRANSACTION_ID;
	net->next_request_id = 1;
	r = vsc_channel_open(&net->channel, bus, offer, memory->rings, VSC_NET_RING_PAGES);
	if (r < 0)
		return r;
	r = negotiate(net);
	if (r == 0)
		r = send_configuration(net);
	if (r == 0)
		r = share_receive_buffer(net);
	if (r == 0)
		r = share_send_buffer(net);
	if (r == 0)
		r = vsc_rndis_start(net);
	if (r < 0)
		vsc_net_close(net);
	return r;
}

void vsc_net_close(struct vsc_net *net)
{
	struct nvsp_revoke_buf revoke = {.type = NVSP_REVOKE_RECV_BUF, .id = NVSP_RECV_BUF_ID};
	struct vsc_bus *bus = net->channel.bus;

	if (!vsc_channel_is_open(&net->channel))
		return;
	vsc_rndis_stop(net);
	net->link_up = false;
	if (net->receive_gpadl_id)
		vsc_net_nvsp_send(net, &revoke, sizeof(revoke));
	revoke = (struct nvsp_revoke_buf){.type = NVSP_REVOKE_SEND_BUF, .id = NVSP_SEND_BUF_ID};
	if (net->send_gpadl_id)
		vsc_net_nvsp_send(net, &revoke, sizeof(revoke));
	vsc_channel_close(&net->channel);
	if (net->receive_gpadl_id)
		vsc_bus_gpadl_teardown(bus, net->channel.relid, net->receive_gpadl_id);
	if (net->send_gpadl_id)
		vsc_bus_gpadl_teardown(bus, net->channel.relid, net->send_gpadl_id);
}
