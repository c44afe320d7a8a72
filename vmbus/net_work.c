/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"

static void kick_primary(struct net_vsp *vsp)
{
	if (vsp->queues[0].channel)
		vmbus_channel_kick(vsp->queues[0].channel);
}

/* The channel failed for good: say so once, then do nothing until the guest opens it anew. */
static void set_broken(struct net_queue *queue)
{
	bool awaited = false;

	queue->broken = true;
	queue->stats.n_protocol_errors++;
	net_rx_queue_break(&queue->rx, &queue->vsp->recv, &awaited);
	if (awaited && queue->index)
		kick_primary(queue->vsp);
}

/* 0: all are sent; -EAGAIN; -EBADMSG. */
static int send_completions(struct net_queue *queue)
{
	unsigned n_sent = 0;
	int r = 0;

	for (; n_sent < queue->n_completions; n_sent++) {
		const struct net_completion *completion = &queue->completions[n_sent];

		r = vmbus_channel_complete(queue->channel, completion->transaction_id,
			completion->bytes, completion->size_bytes);
		if (r)
			break;
	}
	queue->n_completions -= n_sent;
	memmove(queue->completions, queue->completions + n_sent,
		queue->n_completions * sizeof(queue->completions[0]));
	return r;
}

/* The port is full: its keeper has the room watched, and calls. */
static void wait_for_room(struct net_queue *queue)
{
	if (!__atomic_exchange_n(&queue->wants_room, true, __ATOMIC_ACQ_REL) && queue->index)
		kick_primary(queue->vsp);
}

/* 0: the packet is done; -EAGAIN: the port is full. */
static int continue_tx(struct net_queue *queue)
{
	const struct net_tx_source source = {queue->channel, &queue->vsp->send};
	struct nvsp_send_rndis_pkt_complete answer = {
		.type = NVSP_SEND_RNDIS_PKT_COMPLETE,
		.status = NVSP_STATUS_SUCCESS,
	};
	int r;

	r = net_tx_run(&queue->tx, &source, queue->vsp->rndis.link_up);
	if (r == -EAGAIN) {
		wait_for_room(queue);
		return r;
	}
	if (r) {
		answer.status = NVSP_STATUS_INVALID_RNDIS_PKT;
		queue->stats.n_protocol_errors++;
	}
	net_queue_complete(queue, &answer, sizeof(answer));
	net_tx_end(&queue->tx);
	return 0;
}

/* Packets of the guest. 0: no more of them now; -EINPROGRESS: a burst is done and there may be
 * more; -EAGAIN: the port or the ring is full; -EBADMSG. */
static int run_ring(struct net_queue *queue)
{
	for (unsigned n = 0; n < NET_RING_BURST; n++) {
		int r = 0;

		/* Room for the completion of what comes next. */
		if (queue->n_completions == NET_MAX_COMPLETIONS)
			r = send_completions(queue);
		if (r == 0 && !queue->tx.busy) {
			r = vmbus_channel_recv(queue->channel, &queue->tx.packet);
			if (r == -EAGAIN)
				return 0;
			if (r == 0 && !net_queue_is_shared(queue)) {
				queue->message_waits = true;
				return -EINPROGRESS;
			}
			if (r == 0)
				net_queue_handle_packet(queue);
		}
		if (r == 0 && queue->tx.busy)
			r = continue_tx(queue);
		if (r)
			return r;
	}
	return -EINPROGRESS;
}

/* 0: all are sent, or there is no buffer for them; -EAGAIN; -EBADMSG. */
static int send_answers(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;

	while (net_recv_buf_ready(&vsp->recv)) {
		const struct net_rndis_answer *answer = net_rndis_answer(&vsp->rndis);
		uint64_t transaction_id;
		int r;

		if (!answer)
			return 0;
		r = net_rx_send_answer(&vsp->rx, answer, &transaction_id);
		if (r == -EAGAIN || r == -EBADMSG)
			return r;
		if (answer->is_link && r == 0)
			vsp->link_transaction_id = transaction_id;
		else if (answer->is_link)
			net_rndis_link_taken(&vsp->rndis);
		net_rndis_answer_sent(&vsp->rndis);
	}
	return 0;
}

/* Sub-channels are offered when the guest has been told how many. 0, -EAGAIN, -EBADMSG. */
static int offer_sub_channels(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;

	if (!vsp->offer_due || queue->n_completions)
		return 0;
	if (vmbus_subchannels_offer(queue->channel, vsp->n_granted))
		return -EBADMSG;
	vsp->offer_due = false;
	return 0;
}

/* Where the guest shall send, when all sub-channels are open. 0, -EAGAIN, -EBADMSG. */
static int send_table(struct net_queue *queue)
{
	const struct nvsp_send_indirection_table header = {
		.type = NVSP_SEND_INDIRECTION_TABLE,
		.count = NVSP_INDIRECTION_ENTRIES,
		.offset = NVSP_INDIRECTION_TABLE_AT,
	};
	uint8_t message[NVSP_INDIRECTION_TABLE_AT + NVSP_INDIRECTION_ENTRIES * sizeof(uint32_t)] = {
		0};
	struct net_vsp *vsp = queue->vsp;
	int r;

	if (!vsp->table_due)
		return 0;
	memcpy(message, &header, sizeof(header));
	for (unsigned i = 0; i < NVSP_INDIRECTION_ENTRIES; i++)
		store_le32(message + NVSP_INDIRECTION_TABLE_AT + i * sizeof(uint32_t),
			i % (vsp->n_granted + 1));
	r = vmbus_channel_send_inband(queue->channel, 0, false, message, sizeof(message));
	if (r == 0)
		vsp->table_due = false;
	return r;
}

/* Frames for all queues. */
static int run_port(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;
	int r;

	r = net_rx_run(&vsp->rx, NET_PORT_BURST);
	vsp->rx_blocked = r == -EAGAIN;
	for (unsigned i = 1; i < vsp->config.n_queues; i++) {
		if (vsp->rx.touched & 1U << i && vsp->queues[i].channel)
			vmbus_channel_kick(vsp->queues[i].channel);
	}
	vsp->rx.touched = 0;
	return r;
}

/* What the receiver put into this queue. */
static int send_received(struct net_queue *queue)
{
	bool awaited = false;
	int r = net_rx_queue_send(&queue->rx, &queue->vsp->recv, &awaited);

	if (awaited)
		kick_primary(queue->vsp);
	return r;
}

typedef int step_fn(struct net_queue *queue);

static step_fn *const primary_steps[] = {
	run_ring,
	send_completions,
	offer_sub_channels,
	send_table,
	send_answers,
	run_port,
	NULL,
};
static step_fn *const sub_steps[] = {
	run_ring,
	send_completions,
	send_received,
	NULL,
};

/* With the NIC's lock shared. */
static bool run_steps(struct net_queue *queue)
{
	step_fn *const *step = queue->index ? sub_steps : primary_steps;
	uint64_t n_tx_before = queue->stats.tx.frames;
	struct net_port *port = &queue->vsp->port;
	bool more = false;

	if (!queue->channel || queue->broken || queue->vsp->stopped)
		return false;
	for (; *step && !queue->broken; step++) {
		int r = (*step)(queue);

		if (r == -EINPROGRESS)
			more = true;
		else if (r && r != -EAGAIN)
			set_broken(queue);
	}
	if (queue->stats.tx.frames != n_tx_before) {
		pthread_mutex_lock(&port->lock);
		port->ops->flush(port->port);
		pthread_mutex_unlock(&port->lock);
	}
	return more && !queue->broken;
}

static bool work(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;
	bool more;

	pthread_rwlock_rdlock(&vsp->lock);
	more = run_steps(queue);
	pthread_rwlock_unlock(&vsp->lock);
	if (queue->message_waits) {
		pthread_rwlock_wrlock(&vsp->lock);
		queue->message_waits = false;
		net_queue_handle_packet(queue);
		pthread_rwlock_unlock(&vsp->lock);
	}
	return more;
}

bool net_queue_work(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;
	bool more;

	if (queue->index)
		return work(queue);
	pthread_mutex_lock(&vsp->turn);
	more = work(queue);
	pthread_mutex_unlock(&vsp->turn);
	return more;
}

/* There is room: call those who wait for it. True: the primary is one of them. */
static bool call_for_room(struct net_vsp *vsp)
{
	bool own = false;

	for (unsigned i = 0; i < vsp->config.n_queues; i++) {
		struct net_queue *queue = &vsp->queues[i];

		if (!__atomic_exchange_n(&queue->wants_room, false, __ATOMIC_ACQ_REL))
			continue;
		if (i == 0)
			own = true;
		else if (queue->channel)
			vmbus_channel_kick(queue->channel);
	}
	return own;
}

static bool arm_port(struct net_vsp *vsp)
{
	struct net_port *port = &vsp->port;
	uint32_t events = 0, ready;

	/* Frames that have nowhere to go must not keep the worker awake: the guest's next
	 * completion, or room in the ring, will. */
	if (!vsp->rx_blocked)
		events |= ETH_FRAMES;
	for (unsigned i = 0; i < vsp->config.n_queues; i++) {
		if (__atomic_load_n(&vsp->queues[i].wants_room, __ATOMIC_ACQUIRE))
			events |= ETH_ROOM;
	}
	if (!events)
		return false;
	if (events & ETH_ROOM)
		pthread_mutex_lock(&port->lock);
	ready = port->ops->arm(port->port, events);
	if (events & ETH_ROOM)
		pthread_mutex_unlock(&port->lock);
	return (ready & ETH_ROOM && call_for_room(vsp)) || ready & ETH_FRAMES;
}

bool net_queue_arm(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;
	bool ready = false;

	if (queue->index)
		return false;
	pthread_rwlock_rdlock(&vsp->lock);
	if (queue->channel && !queue->broken && !vsp->stopped)
		ready = arm_port(vsp);
	pthread_rwlock_unlock(&vsp->lock);
	return ready;
}
