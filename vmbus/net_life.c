/* SPDX-License-Identifier: MIT
 *
 * The NIC as an object: made, opened and closed queue by queue, stopped, and its sums.
 */
#include "vmbus/net_vsp.h"

static void add_traffic(struct net_traffic *sum, const struct net_traffic *traffic)
{
	sum->frames += traffic->frames;
	sum->bytes += traffic->bytes;
	sum->multicast_frames += traffic->multicast_frames;
	sum->multicast_bytes += traffic->multicast_bytes;
	sum->broadcast_frames += traffic->broadcast_frames;
	sum->broadcast_bytes += traffic->broadcast_bytes;
	sum->dropped += traffic->dropped;
}

void net_vsp_sum_stats(struct net_vsp *vsp)
{
	vsp->total = (struct net_stats){0};
	for (unsigned i = 0; i < vsp->config.n_queues; i++) {
		const struct net_stats *stats = &vsp->queues[i].stats;

		add_traffic(&vsp->total.tx, &stats->tx);
		add_traffic(&vsp->total.rx, &stats->rx);
		vsp->total.n_protocol_errors += stats->n_protocol_errors;
	}
}

/* Forget everything of the guest's on one queue. */
static void reset_queue(struct net_queue *queue)
{
	net_rx_queue_drop(&queue->rx, &queue->vsp->recv);
	net_tx_end(&queue->tx);
	queue->channel = NULL;
	queue->rx.channel = NULL;
	queue->rx.broken = false;
	queue->broken = false;
	queue->message_waits = false;
	queue->wants_room = false;
	queue->n_completions = 0;
}

static void reset(struct net_vsp *vsp)
{
	net_vsp_drop_recv_buf(vsp);
	net_send_buf_clear(&vsp->send);
	for (unsigned i = 0; i < vsp->config.n_queues; i++)
		reset_queue(&vsp->queues[i]);
	net_rndis_reset(&vsp->rndis);
	vsp->phase = NET_CLOSED;
	vsp->version = 0;
	vsp->guest_frame_bytes = 0;
	vsp->guest_caps = 0;
	vsp->n_granted = 0;
	vsp->offer_due = false;
	vsp->table_due = false;
}

static bool all_are_open(const struct net_vsp *vsp)
{
	for (unsigned i = 0; i <= vsp->n_granted; i++) {
		if (!vsp->queues[i].channel)
			return false;
	}
	return true;
}

static int open_sub_channel(struct net_queue *queue, struct vmbus_channel *channel)
{
	struct net_vsp *vsp = queue->vsp;

	if (queue->index > vsp->n_granted || vsp->offer_due)
		return -EINVAL;
	reset_queue(queue);
	queue->channel = channel;
	queue->rx.channel = channel;
	if (all_are_open(vsp)) {
		vsp->table_due = true;
		vmbus_channel_kick(vsp->queues[0].channel);
	}
	return 0;
}

int net_queue_open(struct net_queue *queue, struct vmbus_channel *channel)
{
	struct net_vsp *vsp = queue->vsp;
	int r = 0;

	pthread_rwlock_wrlock(&vsp->lock);
	if (queue->index) {
		r = open_sub_channel(queue, channel);
	} else {
		reset(vsp);
		queue->channel = channel;
		queue->rx.channel = channel;
		vsp->phase = NET_OPEN;
	}
	pthread_rwlock_unlock(&vsp->lock);
	return r;
}

/* Nobody completes what its guest still has. */
static void close_sub_channel(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;

	reset_queue(queue);
	if (net_recv_buf_ready(&vsp->recv))
		(void)net_recv_buf_reclaim(&vsp->recv, queue->index);
	vsp->table_due = false;
	if (vsp->queues[0].channel)
		vmbus_channel_kick(vsp->queues[0].channel);
}

void net_queue_close(struct net_queue *queue)
{
	struct net_vsp *vsp = queue->vsp;

	pthread_rwlock_wrlock(&vsp->lock);
	if (queue->index)
		close_sub_channel(queue);
	else
		reset(vsp);
	pthread_rwlock_unlock(&vsp->lock);
}

void net_vsp_gpadl_gone(struct net_vsp *vsp, uint32_t gpadl_id)
{
	pthread_rwlock_wrlock(&vsp->lock);
	if (net_recv_buf_ready(&vsp->recv) && vsp->recv.gpadl_id == gpadl_id)
		net_vsp_drop_recv_buf(vsp);
	if (vsp->send.gpadl && vsp->send.gpadl_id == gpadl_id)
		net_send_buf_clear(&vsp->send);
	pthread_rwlock_unlock(&vsp->lock);
}

void net_vsp_start(struct net_vsp *vsp)
{
	pthread_rwlock_wrlock(&vsp->lock);
	vsp->stopped = false;
	pthread_rwlock_unlock(&vsp->lock);
}

void net_vsp_stop(struct net_vsp *vsp)
{
	pthread_mutex_lock(&vsp->turn);
	pthread_rwlock_wrlock(&vsp->lock);
	vsp->stopped = true;
	pthread_rwlock_unlock(&vsp->lock);
	pthread_mutex_unlock(&vsp->turn);
}

void net_vsp_set_link(struct net_vsp *vsp, bool up)
{
	pthread_rwlock_wrlock(&vsp->lock);
	vsp->rndis.link_up = up;
	pthread_rwlock_unlock(&vsp->lock);
}

/* A writer must not starve while workers keep each other company. */
static void lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

static void queue_init(struct net_vsp *vsp, unsigned index)
{
	struct net_queue *queue = &vsp->queues[index];

	queue->vsp = vsp;
	queue->index = index;
	queue->tx.port = &vsp->port;
	queue->tx.traffic = &queue->stats.tx;
	queue->tx.mtu_bytes = vsp->config.mtu_bytes;
	net_rx_queue_init(&queue->rx, index, &queue->stats.rx);
	vsp->rx.sink.queues[index] = &queue->rx;
}

int net_vsp_new(const struct net_vsp_config *config, struct net_vsp **ret_vsp)
{
	struct net_vsp *vsp = calloc(1, sizeof(*vsp) + config->n_queues * sizeof(vsp->queues[0]));

	if (!vsp)
		return -ENOMEM;
	vsp->config = *config;
	vsp->port.ops = config->eth;
	vsp->port.port = config->port;
	vsp->port.caps = config->eth->caps(config->port);
	pthread_mutex_init(&vsp->port.lock, NULL);
	pthread_mutex_init(&vsp->turn, NULL);
	lock_init(&vsp->lock);
	net_recv_buf_init(&vsp->recv);
	vsp->rx.port = &vsp->port;
	vsp->rx.sink.recv = &vsp->recv;
	vsp->rx.sink.rndis = &vsp->rndis;
	vsp->rx.mtu_bytes = config->mtu_bytes;
	for (unsigned i = 0; i < config->n_queues; i++)
		queue_init(vsp, i);
	memcpy(vsp->rndis.permanent_mac, config->mac, sizeof(config->mac));
	vsp->rndis.mtu_bytes = config->mtu_bytes;
	vsp->rndis.port_caps = net_offload_withhold(vsp->port.caps, config->withheld);
	vsp->rndis.withheld = config->withheld;
	vsp->rndis.n_queues = config->n_queues;
	vsp->rndis.allow_mac_change = config->allow_mac_change;
	vsp->rndis.stats = &vsp->total;
	vsp->rndis.link_up = config->link_up;
	reset(vsp);
	*ret_vsp = vsp;
	return 0;
}

void net_vsp_free(struct net_vsp *vsp)
{
	if (!vsp)
		return;
	reset(vsp);
	for (unsigned i = 0; i < vsp->config.n_queues; i++)
		net_rx_queue_fini(&vsp->queues[i].rx);
	net_recv_buf_fini(&vsp->recv);
	pthread_rwlock_destroy(&vsp->lock);
	pthread_mutex_destroy(&vsp->turn);
	pthread_mutex_destroy(&vsp->port.lock);
	free(vsp);
}
