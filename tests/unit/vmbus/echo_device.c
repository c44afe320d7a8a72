/* SPDX-License-Identifier: MIT */
#include "echo_device.h"
#include "vmbus/proto/vmbus_msg.h"

#include <string.h>

#define BUDGET 16

static void count(unsigned *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

unsigned echo_count(const unsigned *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static int echo_open(void *device, struct vmbus_channel *channel)
{
	struct echo_device *echo = device;

	if (echo->refuse_open)
		return echo->refuse_open;
	if (!vmbus_channel_is_open(channel))
		abort();
	count(&echo->n_open);
	return 0;
}

static void echo_close(void *device, struct vmbus_channel *channel _unused_)
{
	struct echo_device *echo = device;

	echo->pending = false;
	count(&echo->n_close);
}

static void echo_gpadl_gone(void *device, struct vmbus_channel *channel _unused_, uint32_t gpadl_id)
{
	struct echo_device *echo = device;

	echo->last_gpadl_gone = gpadl_id;
	if (echo->on_gpadl_gone)
		echo->on_gpadl_gone(echo->hook_data);
	count(&echo->n_gpadl_gone);
}

static void offer_subchannels(struct echo_device *echo, struct vmbus_channel *channel)
{
	unsigned n = (unsigned)(echo->pending_id & 0xff);

	if (echo->on_offer)
		echo->on_offer(echo->hook_data);
	__atomic_store_n(&echo->offer_error, vmbus_subchannels_offer(channel, n), __ATOMIC_SEQ_CST);
}

static bool complete(struct echo_device *echo, struct vmbus_channel *channel)
{
	int err =
		vmbus_channel_complete(channel, echo->pending_id, echo->bytes, echo->pending_bytes);

	echo->pending = err == -EAGAIN;
	if (err)
		return false;
	count(&echo->n_echoed);
	if ((echo->pending_id & ~0xffULL) == ECHO_OFFER_SUBCHANNELS)
		offer_subchannels(echo, channel);
	return true;
}

static void take_bytes(struct echo_device *echo, struct vmbus_channel *channel)
{
	const struct vmbus_packet *packet = &echo->packet;

	echo->pending_id = packet->transaction_id;
	echo->pending_bytes = packet->payload_bytes;
	memcpy(echo->bytes, packet->payload, packet->payload_bytes);
	if (packet->type == VMBUS_PACKET_GPA_DIRECT) {
		echo->pending_bytes = 0;
		for (unsigned i = 0; i < packet->n_ranges; i++)
			echo->pending_bytes += packet->ranges[i].byte_count;
		if (vmbus_ranges_read(channel, packet->ranges, packet->n_ranges, 0, echo->bytes,
			    echo->pending_bytes))
			echo->pending_bytes = 0;
	}
}

static bool flood(struct echo_device *echo, struct vmbus_channel *channel)
{
	uint64_t end = __atomic_load_n(&echo->flood_end, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < BUDGET && echo->flood_next < end; i++) {
		uint64_t payload[ECHO_FLOOD_BYTES / 8] = {echo->flood_next};

		if (vmbus_channel_send_inband(channel, 0, false, payload, sizeof(payload)))
			return false;
		echo->flood_next++;
	}
	return echo->flood_next < end;
}

static bool echo_work(void *device, struct vmbus_channel *channel)
{
	struct echo_device *echo = device;
	bool more;

	count(&echo->n_work);
	more = flood(echo, channel);
	if (echo->pending && !complete(echo, channel))
		return false;
	for (unsigned i = 0; i < BUDGET; i++) {
		int err = vmbus_channel_recv(channel, &echo->packet);

		if (err == -EBADMSG)
			count(&echo->n_broken);
		if (err)
			return more && err == -EAGAIN;
		count(&echo->n_taken);
		if (!echo->packet.completion_requested)
			continue;
		take_bytes(echo, channel);
		if (!complete(echo, channel))
			return false;
	}
	return true;
}

static int echo_event_fd(void *device)
{
	return ((struct echo_device *)device)->event_fd;
}

const struct vmbus_device_ops echo_ops = {
	.name = "echo",
	.open = echo_open,
	.close = echo_close,
	.gpadl_gone = echo_gpadl_gone,
	.work = echo_work,
	.event_fd = echo_event_fd,
};

void echo_init(struct echo_device *echo)
{
	memset(echo, 0, sizeof(*echo));
	echo->event_fd = -1;
}

void echo_offer(struct echo_device *echo, struct vmbus *bus, uint8_t instance_byte)
{
	struct vmbus_offer offer = {.class_guid = VMBUS_GUID_HEARTBEAT};

	memset(offer.instance_guid, instance_byte, sizeof(offer.instance_guid));
	if (vmbus_offer_add(bus, &offer, &echo_ops, echo, &echo->channel))
		abort();
}
