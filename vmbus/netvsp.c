/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "base/log.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/vmbus_msg.h"

#include <pthread.h>
#include <stdio.h>

#define MTU_MIN_BYTES 576
#define MTU_MAX_BYTES 9000

/* The NIC's index in the last four bytes; a guest knows its NICs by this. */
#define INSTANCE_GUID     VMBUS_GUID(0x7f9c6d2e, 0x3b41, 0x4d5a, 0x8e, 0x17, 0x9a, 0x60, 0, 0, 0, 0)
#define INSTANCE_INDEX_AT 12

struct netvsp {
	unsigned index;
	struct vmbus_channel *channel; /* constant from netvsp_new() on */

	/* The worker keeps it for each work(); the control plane finds the worker standing still.
	 */
	pthread_mutex_t lock;
	struct net_vsp *vsp;
	bool stopped;
};

static int on_open(void *device, struct vmbus_channel *channel)
{
	struct netvsp *nic = device;

	pthread_mutex_lock(&nic->lock);
	net_vsp_open(nic->vsp, channel);
	pthread_mutex_unlock(&nic->lock);
	return 0;
}

static void on_close(void *device, _unused_ struct vmbus_channel *channel)
{
	struct netvsp *nic = device;

	pthread_mutex_lock(&nic->lock);
	net_vsp_close(nic->vsp);
	pthread_mutex_unlock(&nic->lock);
}

static void on_gpadl_gone(void *device, _unused_ struct vmbus_channel *channel, uint32_t gpadl_id)
{
	struct netvsp *nic = device;

	pthread_mutex_lock(&nic->lock);
	net_vsp_gpadl_gone(nic->vsp, gpadl_id);
	pthread_mutex_unlock(&nic->lock);
}

static bool on_work(void *device, _unused_ struct vmbus_channel *channel)
{
	struct netvsp *nic = device;
	bool was_broken, broken, more = false;

	pthread_mutex_lock(&nic->lock);
	was_broken = nic->vsp->broken;
	if (!nic->stopped)
		more = net_vsp_work(nic->vsp);
	broken = nic->vsp->broken;
	pthread_mutex_unlock(&nic->lock);
	if (broken && !was_broken)
		log_debug("netvsp.%u: the guest's rings do not hold together", nic->index);
	return more;
}

static bool on_arm(void *device, _unused_ struct vmbus_channel *channel)
{
	struct netvsp *nic = device;
	bool ready;

	pthread_mutex_lock(&nic->lock);
	ready = !nic->stopped && net_vsp_arm(nic->vsp);
	pthread_mutex_unlock(&nic->lock);
	return ready;
}

static int on_event_fd(void *device)
{
	struct netvsp *nic = device;

	return nic->vsp->port.ops->event_fd(nic->vsp->port.port);
}

static const struct vmbus_device_ops device_ops = {
	.name = "netvsp",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
	.arm = on_arm,
	.event_fd = on_event_fd,
};

static bool is_valid(const struct netvsp_config *config)
{
	static const uint8_t none[ETH_ADDR_LEN];

	return config->mtu_bytes >= MTU_MIN_BYTES && config->mtu_bytes <= MTU_MAX_BYTES &&
	       !(config->mac[0] & 1) && memcmp(config->mac, none, sizeof(none)) != 0;
}

static int offer(struct vmbus *bus, struct netvsp *nic)
{
	struct vmbus_offer nic_offer = {
		.class_guid = VMBUS_GUID_NIC,
		.instance_guid = INSTANCE_GUID,
	};

	store_be32(nic_offer.instance_guid + INSTANCE_INDEX_AT, nic->index);
	return vmbus_offer_add(bus, &nic_offer, &device_ops, nic, &nic->channel);
}

int netvsp_new(struct vmbus *bus, const struct netvsp_config *config, struct netvsp **ret_nic)
{
	struct net_vsp_config vsp_config = {
		.mtu_bytes = config->mtu_bytes,
		.link_up = config->link_up,
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
	pthread_mutex_init(&nic->lock, NULL);
	memcpy(vsp_config.mac, config->mac, sizeof(vsp_config.mac));
	r = net_vsp_new(&vsp_config, &nic->vsp);
	if (r == 0)
		r = offer(bus, nic);
	if (r) {
		net_vsp_free(nic->vsp);
		pthread_mutex_destroy(&nic->lock);
		free(nic);
		return r;
	}
	*ret_nic = nic;
	return 0;
}

void netvsp_free(struct netvsp *nic)
{
	if (!nic)
		return;
	vmbus_offer_remove(nic->channel);
	net_vsp_free(nic->vsp);
	pthread_mutex_destroy(&nic->lock);
	free(nic);
}

static int unit_start(void *opaque)
{
	struct netvsp *nic = opaque;

	pthread_mutex_lock(&nic->lock);
	nic->stopped = false;
	pthread_mutex_unlock(&nic->lock);
	vmbus_channel_kick(nic->channel);
	return 0;
}

/* The bus, and with it the worker, stops later. */
static int unit_stop(void *opaque)
{
	struct netvsp *nic = opaque;

	pthread_mutex_lock(&nic->lock);
	nic->stopped = true;
	pthread_mutex_unlock(&nic->lock);
	return 0;
}

static int unit_save(void *opaque, struct buf *out)
{
	struct netvsp *nic = opaque;

	pthread_mutex_lock(&nic->lock);
	net_vsp_save(nic->vsp, out);
	pthread_mutex_unlock(&nic->lock);
	return out->failed ? -ENOMEM : 0;
}

static int unit_restore(void *opaque, struct reader *in, _unused_ uint32_t version)
{
	struct netvsp *nic = opaque;
	bool open = vmbus_channel_is_open(nic->channel);
	int r;

	pthread_mutex_lock(&nic->lock);
	r = net_vsp_restore(nic->vsp, in, open ? nic->channel : NULL);
	pthread_mutex_unlock(&nic->lock);
	return r;
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
	pthread_mutex_lock(&nic->lock);
	nic->vsp->rndis.link_up = up;
	pthread_mutex_unlock(&nic->lock);
	vmbus_channel_kick(nic->channel);
	return 0;
}

void netvsp_get_info(struct netvsp *nic, struct netvsp_info *ret_info)
{
	const struct net_vsp *vsp = nic->vsp;

	pthread_mutex_lock(&nic->lock);
	*ret_info = (struct netvsp_info){
		.nvsp_version = vsp->version,
		.ready = vsp->rndis.ready,
		.link_up = vsp->rndis.link_up,
		.packet_filter = vsp->rndis.packet_filter,
		.tx_frames = vsp->stats.tx_frames,
		.tx_bytes = vsp->stats.tx_bytes,
		.tx_dropped = vsp->stats.tx_dropped,
		.rx_frames = vsp->stats.rx_frames,
		.rx_bytes = vsp->stats.rx_bytes,
		.rx_dropped = vsp->stats.rx_dropped,
		.n_protocol_errors = vsp->stats.n_protocol_errors,
	};
	pthread_mutex_unlock(&nic->lock);
}
