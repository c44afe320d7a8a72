/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rx_queue.h"

void net_rx_queue_init(struct net_rx_queue *queue, unsigned index, struct net_traffic *traffic)
{
	queue->index = index;
	queue->traffic = traffic;
	pthread_mutex_init(&queue->lock, NULL);
}

void net_rx_queue_fini(struct net_rx_queue *queue)
{
	pthread_mutex_destroy(&queue->lock);
}

bool net_rx_queue_has_room(struct net_rx_queue *queue, unsigned n_entries)
{
	bool has_room;

	pthread_mutex_lock(&queue->lock);
	has_room = n_entries <= NET_RX_QUEUE_MAX - queue->n_entries;
	queue->awaited |= !has_room;
	pthread_mutex_unlock(&queue->lock);
	return has_room;
}

/* A queue that broke in the meantime keeps the sections until it is closed. */
void net_rx_queue_put(
	struct net_rx_queue *queue, const struct net_rx_entry *entries, unsigned n_entries)
{
	pthread_mutex_lock(&queue->lock);
	for (unsigned i = 0; i < n_entries; i++) {
		unsigned slot = (queue->first + queue->n_entries++) % NET_RX_QUEUE_MAX;

		queue->entries[slot] = entries[i];
	}
	pthread_mutex_unlock(&queue->lock);
}

/* Copy what makes the next packet: one frame in parts, or whole frames up to the next such. */
static unsigned next_packet(
	struct net_rx_queue *queue, struct net_rx_entry ret_entries[static NET_PACKET_MAX_SECTIONS])
{
	unsigned n = 0, limit = NET_PACKET_MAX_SECTIONS;

	pthread_mutex_lock(&queue->lock);
	while (n < queue->n_entries && n < limit) {
		const struct net_rx_entry *entry =
			&queue->entries[(queue->first + n) % NET_RX_QUEUE_MAX];

		if (entry->n_parts > 1) {
			if (n > 0)
				break;
			limit = entry->n_parts;
		}
		ret_entries[n++] = *entry;
	}
	pthread_mutex_unlock(&queue->lock);
	return n;
}

static void pop(struct net_rx_queue *queue, unsigned n_entries, bool *awaited)
{
	pthread_mutex_lock(&queue->lock);
	queue->first = (queue->first + n_entries) % NET_RX_QUEUE_MAX;
	queue->n_entries -= n_entries;
	*awaited |= queue->awaited;
	queue->awaited = false;
	pthread_mutex_unlock(&queue->lock);
}

int net_rx_queue_send(struct net_rx_queue *queue, struct net_recv_buf *recv, bool *awaited)
{
	struct net_rx_entry entries[NET_PACKET_MAX_SECTIONS];
	unsigned n;

	while ((n = next_packet(queue, entries))) {
		int r = net_rx_send_sections(
			queue->channel, queue->index, recv, NVSP_CHANNEL_DATA, entries, n);

		if (r)
			return r;
		pop(queue, n, awaited);
	}
	return 0;
}

static void forget(struct net_rx_queue *queue, struct net_recv_buf *recv)
{
	for (unsigned i = 0; net_recv_buf_ready(recv) && i < queue->n_entries; i++) {
		unsigned slot = (queue->first + i) % NET_RX_QUEUE_MAX;

		net_recv_buf_put_back(recv, &queue->entries[slot].section, 1);
	}
	queue->first = 0;
	queue->n_entries = 0;
}

void net_rx_queue_drop(struct net_rx_queue *queue, struct net_recv_buf *recv)
{
	forget(queue, recv);
	queue->awaited = false;
}

void net_rx_queue_break(struct net_rx_queue *queue, struct net_recv_buf *recv, bool *awaited)
{
	__atomic_store_n(&queue->broken, true, __ATOMIC_RELEASE);
	pthread_mutex_lock(&queue->lock);
	forget(queue, recv);
	*awaited |= queue->awaited;
	queue->awaited = false;
	pthread_mutex_unlock(&queue->lock);
	if (net_recv_buf_ready(recv) && net_recv_buf_reclaim(recv, queue->index))
		*awaited = true;
}

int net_rx_send_sections(struct vmbus_channel *channel, unsigned queue, struct net_recv_buf *recv,
	enum nvsp_channel_type type, const struct net_rx_entry *entries, unsigned n_entries)
{
	const struct nvsp_send_rndis_pkt message = {
		.type = NVSP_SEND_RNDIS_PKT,
		.channel_type = type,
		.send_section_index = NVSP_NO_SECTION,
	};
	struct vmbus_transfer_range ranges[NET_PACKET_MAX_SECTIONS];
	uint32_t sections[NET_PACKET_MAX_SECTIONS];
	int r;

	for (unsigned i = 0; i < n_entries; i++) {
		sections[i] = entries[i].section;
		ranges[i] = (struct vmbus_transfer_range){
			.byte_count = entries[i].size_bytes,
			.byte_offset = entries[i].section * recv->section_bytes,
		};
	}
	r = vmbus_channel_send_transfer(channel, net_recv_buf_transaction(recv, sections[0]),
		recv->id, ranges, n_entries, &message, sizeof(message));
	if (r)
		return r;
	net_recv_buf_give(recv, queue, sections, n_entries);
	return 0;
}
