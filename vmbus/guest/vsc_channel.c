/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_bus.h"

static int send_open(struct vsc_channel *channel, uint32_t n_ring_pages)
{
	struct vsc_bus *bus = channel->bus;
	struct vmbus_msg_open_channel request = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL,
		.relid = channel->relid,
		.open_id = channel->relid,
		.ring_gpadl_id = channel->ring_gpadl_id,
		.downstream_page_offset = n_ring_pages,
	};
	struct vmbus_msg_open_result result;
	int r = vsc_bus_request(
		bus, &request, sizeof(request), VMBUS_MSG_OPEN_CHANNEL_RESULT, channel->relid);

	if (r < 0)
		return r;
	memcpy(&result, bus->answer, sizeof(result));
	return result.status ? -EIO : 0;
}

int vsc_channel_open(struct vsc_channel *channel, struct vsc_bus *bus, struct vsc_offer *offer,
	void *rings, uint32_t n_ring_pages)
{
	uint32_t ring_bytes = n_ring_pages * VMBUS_PAGE_BYTES;
	int r;

	*channel = (struct vsc_channel){
		.bus = bus,
		.relid = offer->relid,
		.connection_id = offer->connection_id,
	};
	memset(rings, 0, 2 * (size_t)ring_bytes);
	vsc_ring_init(&channel->out, rings, n_ring_pages);
	vsc_ring_init(&channel->in, (uint8_t *)rings + ring_bytes, n_ring_pages);
	r = vsc_bus_gpadl_create(
		bus, channel->relid, rings, 2 * ring_bytes, &channel->ring_gpadl_id);
	if (r < 0)
		return r;
	/* The host may signal and even rescind before its answer is read. */
	channel->offer = offer;
	offer->channel = channel;
	r = send_open(channel, n_ring_pages);
	if (r < 0) {
		vsc_bus_gpadl_teardown(bus, channel->relid, channel->ring_gpadl_id);
		offer->channel = NULL;
		channel->offer = NULL;
	}
	return r;
}

void vsc_channel_close(struct vsc_channel *channel)
{
	struct vmbus_msg_relid request = {
		.header.type = VMBUS_MSG_CLOSE_CHANNEL,
		.relid = channel->relid,
	};

	if (!channel->offer)
		return;
	channel->offer->channel = NULL;
	channel->offer = NULL;
	vsc_bus_send(channel->bus, &request, sizeof(request));
	vsc_bus_gpadl_teardown(channel->bus, channel->relid, channel->ring_gpadl_id);
}

bool vsc_channel_is_open(const struct vsc_channel *channel)
{
	return channel->offer;
}

static void signal_host(struct vsc_channel *channel)
{
	channel->bus->ops->signal(channel->bus->host, channel->connection_id);
}

int vsc_channel_send(struct vsc_channel *channel, const struct vsc_packet_out *packet)
{
	bool signal;
	int r = vsc_ring_send(&channel->out, packet, &signal);

	if (r == 0 && signal)
		signal_host(channel);
	return r;
}

int vsc_channel_receive(struct vsc_channel *channel, void *buffer, size_t buffer_bytes,
	struct vsc_packet *ret_packet)
{
	bool signal = false;
	int r = vsc_ring_receive(&channel->in, buffer, buffer_bytes, ret_packet, &signal);

	if (signal)
		signal_host(channel);
	return r;
}

bool vsc_channel_take_event(struct vsc_channel *channel)
{
	return channel->bus->ops->take_event(channel->bus->host, channel->relid);
}
