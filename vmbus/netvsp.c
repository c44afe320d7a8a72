/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "base/log.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/vmbus_msg.h"

#include <stdio.h>

#define MTU_MIN_BYTES 576
#define MTU_MAX_BYTES 9000

/* The NIC's index in the last four bytes; a guest knows its NICs by this. */
#define INSTANCE_GUID     VMBUS_GUID(0x7f9c6d2e, 0x3b41, 0x4d5a, 0x8e, 0x17, 0x9a, 0x60, 0, 0, 0, 0)
#define INSTANCE_INDEX_AT 12

_Static_assert(NETVSP_MAX_CHANNELS == NET_MAX_QUEUES, "a queue for each channel");

struct netvsp {
	unsigned index;
	/* Constant from netvsp_new() on; the primary is the first. */
	struct vmbus_channel *channels[NETVSP_MAX_CHANNELS];
	struct net_vsp *vsp;
};

static int on_open(void *device, struct vmbus_channel *channel)
{
	return net_queue_open(device, channel);
}

static void on_close(void *device, _unused_ struct vmbus_channel *channel)
{
	net_queue_close(device);
}

static void on_gpadl_gone(void *device, _unused_ struct vmbus_channel *channel, uint32_t gpadl_id)
{
	struct net_queue *queue = device;

	/* The buffers are the primary's; a sub-channel has nothing but its rings. */
	if (queue->index == 0)
		net_vsp_gpadl_gone(queue->vsp, gpadl_id);
}

static bool on_work(void *device, _unused_ struct vmbus_channel *channel)
{
	struct net_queue *queue = device;
	bool was_broken = queue->broken;
	bool more = net_queue_work(queue);

	if (queue->broken && !was_broken)
		log_debug("netvsp: the rings of queue %u do not hold together", queue->index);
	return more;
}

static bool on_arm(void *device, _unused_ struct vmbus_channel *channel)
{
	return net_queue_arm(device);
}

static int on_event_fd(void *device)
{
	const struct net_queue *queue = device;
	const struct net_port *port = &queue->vsp->port;

	return port->ops->event_fd(port->port);
}

static const struct vmbus_device_ops primary_ops = {
	.name = "netvsp",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
	.arm = on_arm,
	.event_fd = on_event_fd,
};

/* The primary waits on the port for all. */
static const struct vmbus_device_ops sub_ops = {
	.name = "netvsp",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
};

static bool is_valid(const struct netvsp_config *config)
{
	static const uint8_t none[ETH_ADDR_LEN];

	return config->mtu_bytes >= MTU_MIN_BYTES && config->mtu_bytes <= MTU_MAX_BYTES &&
	       config->n_channels <= NETVSP_MAX_CHANNELS && !(config->mac[0] & 1) &&
	       memcmp(config->mac, none, sizeof(none)) != 0;
}

static int offer(struct vmbus *bus, struct netvsp *nic)
{
	struct vmbus_offer nic_offer = {
		.class_guid = VMBUS_GUID_NIC,
		.instance_guid = INSTANCE_GUID,
	};
	struct net_vsp *vsp = nic->vsp;
	int r;

	store_be32(nic_offer.instance_guid + INSTANCE_INDEX_AT, nic->index);
	r = vmbus_offer_add(bus, &nic_offer, &primary_ops, &vsp->queues[0], &nic->channels[0]);
	for (unsigned i = 1; r == 0 && i < vsp->config.n_queues; i++)
		r = vmbus_subchannel_add(
			nic->channels[0], &sub_ops, &vsp->queues[i], &nic->channels[i]);
	return r;
}

int netvsp_new(struct vmbus *bus, const struct netvsp_config *config, struct netvsp **ret_nic)
{
	struct net_vsp_config vsp_config = {
		.mtu_bytes = config->mtu_bytes,
		.n_queues = MAX(config->n_channels, 1U),
		.link_up = config->link_up,
		.allow_mac_change = config->allow_mac_change,
		.withheld = config->withheld,
		.eth = config->eth,
		.port = config->port,
	};
	struct netvsp *nic;
	int r;

	if (!is_valid(config))
		return -EINVAL;
	nic = calloc(1, sizeof(*nic));
	if (!nic)
		return -ENOMEM;
	nic->index = config->index;
	memcpy(vsp_config.mac, config->mac, sizeof(vsp_config.mac));
	r = net_vsp_new(&vsp_config, &nic->vsp);
	if (r == 0)
		r = offer(bus, nic);
	if (r) {
		netvsp_free(nic);
		return r;
	}
	*ret_nic = nic;
	return 0;
}

void netvsp_free(struct netvsp *nic)
{
	if (!nic)
		return;
	if (nic->channels[0])
		vmbus_offer_remove(nic->channels[0]);
	net_vsp_free(nic->vsp);
	free(nic);
}

static int unit_start(void *opaque)
{
	struct netvsp *nic = opaque;

	net_vsp_start(nic->vsp);
	for (unsigned i = 0; i < nic->vsp->config.n_queues; i++)
		vmbus_channel_kick(nic->channels[i]);
	return 0;
}

/* The bus, and with it the workers, stops later. */
static int unit_stop(void *opaque)
{
	struct netvsp *nic = opaque;

	net_vsp_stop(nic->vsp);
	return 0;
}

static int unit_save(void *opaque, struct buf *out)
{
	struct netvsp *nic = opaque;

	net_vsp_save(nic->vsp, out);
	return out->failed ? -ENOMEM : 0;
}

static int unit_restore(void *opaque, struct reader *in, uint32_t version)
{
	struct vmbus_channel *open[NETVSP_MAX_CHANNELS] = {NULL};
	struct netvsp *nic = opaque;

	if (version != NET_STATE_VERSION)
		return -EBADMSG;
	for (unsigned i = 0; i < nic->vsp->config.n_queues; i++) {
		if (vmbus_channel_is_open(nic->channels[i]))
			open[i] = nic->channels[i];
	}
	return net_vsp_restore(nic->vsp, in, open);
}

static const struct unit_ops unit_ops = {
	.name = "netvsp",
	.version = NET_STATE_VERSION,
	.start = unit_start,
	.stop = unit_stop,
	.save = unit_save,
	.restore = unit_restore,
};

int netvsp_register_unit(struct netvsp *nic, struct unit_registry *registry)
{
	char instance[12];

	snprintf(instance, sizeof(instance), "%u", nic->index);
	return unit_register(registry, &unit_ops, instance, nic);
}

int netvsp_set_link(struct netvsp *nic, bool up)
{
	net_vsp_set_link(nic->vsp, up);
	vmbus_channel_kick(nic->channels[0]);
	return 0;
}

static struct netvsp_traffic traffic_of(const struct net_traffic *traffic)
{
	return (struct netvsp_traffic){
		.frames = traffic->frames,
		.bytes = traffic->bytes,
		.multicast_frames = traffic->multicast_frames,
		.multicast_bytes = traffic->multicast_bytes,
		.broadcast_frames = traffic->broadcast_frames,
		.broadcast_bytes = traffic->broadcast_bytes,
		.dropped = traffic->dropped,
	};
}

static void describe(struct net_vsp *vsp, struct netvsp_info *info)
{
	const struct net_rndis *rndis = &vsp->rndis;
	const struct net_stats *total = &vsp->total;

	net_vsp_sum_stats(vsp);
	*info = (struct netvsp_info){
		.nvsp_version = vsp->version,
		.ready = rndis->ready,
		.link_up = rndis->link_up,
		.mtu_bytes = vsp->config.mtu_bytes,
		.scales = rndis->rss.enabled,
		.coalesces = rndis->offload.rsc4 || rndis->offload.rsc6,
		.packet_filter = rndis->packet_filter,
		.tx_frames = total->tx.frames,
		.tx_bytes = total->tx.bytes,
		.tx_dropped = total->tx.dropped,
		.rx_frames = total->rx.frames,
		.rx_bytes = total->rx.bytes,
		.rx_dropped = total->rx.dropped,
		.tx = traffic_of(&total->tx),
		.rx = traffic_of(&total->rx),
		.n_queues = vsp->config.n_queues,
		.n_protocol_errors = total->n_protocol_errors,
	};
	memcpy(info->mac, rndis->mac, sizeof(info->mac));
	if (vsp->guest_frame_bytes > ETH_HEADER_BYTES)
		info->mtu_bytes = vsp->guest_frame_bytes - ETH_HEADER_BYTES;
	for (unsigned i = 0; i < info->n_queues; i++) {
		const struct net_queue *queue = &vsp->queues[i];

		info->queues[i].open = queue->channel != NULL;
		info->queues[i].tx = traffic_of(&queue->stats.tx);
		info->queues[i].rx = traffic_of(&queue->stats.rx);
	}
}

void netvsp_get_info(struct netvsp *nic, struct netvsp_info *ret_info)
{
	pthread_rwlock_wrlock(&nic->vsp->lock);
	describe(nic->vsp, ret_info);
	pthread_rwlock_unlock(&nic->vsp->lock);
}
