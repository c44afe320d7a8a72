/* SPDX-License-Identifier: MIT */
#include "net_up.h"

#include "base/bytes.h"

#define WORK_LIMIT  1000
#define RECV_BYTES  (70U * 1728)
#define SEND_BYTES  (4U * NET_SEND_SECTION_BYTES)
#define CONTROL_GPA 0x1000U

void net_up_new(struct net_up *up, uint32_t port_caps)
{
	struct net_vsp_config config = {
		.mac = {2, 0, 0, 0, 0, 1},
		.mtu_bytes = 1500,
		.n_queues = NET_UP_QUEUES,
		.link_up = true,
		.eth = &eth_dummy_ops,
	};

	if (eth_dummy_new(port_caps, &up->port))
		abort();
	config.port = up->port;
	up->channel = net_double_new();
	net_double_gpadl(up->channel, NET_UP_RECV_GPADL, RECV_BYTES);
	net_double_gpadl(up->channel, NET_UP_SEND_GPADL, SEND_BYTES);
	for (unsigned i = 1; i < NET_UP_QUEUES; i++)
		net_double_sub(up->channel);
	if (net_vsp_new(&config, &up->vsp))
		abort();
	net_queue_open(up->vsp->queues, up->channel);
}

void net_up_free(struct net_up *up)
{
	net_vsp_free(up->vsp);
	net_double_free(up->channel);
	eth_dummy_free(up->port);
}

struct vmbus_channel *net_up_channel(const struct net_up *up, unsigned queue)
{
	return queue ? up->channel->subs[queue - 1] : up->channel;
}

static bool work_once(struct net_up *up)
{
	bool more = false;

	for (unsigned i = 0; i < NET_UP_QUEUES; i++)
		more |= net_queue_work(&up->vsp->queues[i]);
	return more;
}

void net_up_open_sub(struct net_up *up, unsigned queue)
{
	if (queue <= up->channel->n_offered &&
		net_queue_open(&up->vsp->queues[queue], net_up_channel(up, queue)) == 0)
		net_up_channel(up, queue)->is_open = true;
	net_up_work(up);
}

void net_up_work(struct net_up *up)
{
	static uint8_t frame[ETH_FRAME_MAX_BYTES];
	struct net_double_packet packet;
	struct eth_hdr hdr;
	size_t size_bytes;

	for (unsigned i = 0; i < WORK_LIMIT && work_once(up); i++)
		;
	net_queue_arm(up->vsp->queues);
	for (unsigned i = 0; i < NET_UP_QUEUES; i++) {
		while (net_double_take(net_up_channel(up, i), &packet))
			;
	}
	while (eth_dummy_take(up->port, &hdr, frame, sizeof(frame), &size_bytes) == 0)
		;
}

static void post(struct net_up *up, const void *message, size_t size_bytes)
{
	net_double_push(up->channel, VMBUS_PACKET_INBAND, 1, true, message, size_bytes, NULL, 0);
	net_up_work(up);
}

static void control(struct net_up *up, const void *message, size_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {CONTROL_GPA, (uint32_t)size_bytes};

	memcpy(up->channel->memory + CONTROL_GPA, message, size_bytes);
	net_double_push(
		up->channel, VMBUS_PACKET_GPA_DIRECT, 1, true, &nvsp, sizeof(nvsp), &range, 1);
	net_up_work(up);
}

static void scale_and_coalesce(struct net_up *up)
{
	struct {
		struct rndis_oid_request request;
		struct ndis_rss_params params;
		uint32_t table[4];
		uint8_t key[40];
	} rss = {{RNDIS_SET, sizeof(rss), 3, OID_GEN_RECEIVE_SCALE_PARAMETERS, sizeof(rss) - 28, 20,
			 0},
		{.header = {NDIS_OBJECT_RSS_PARAMS, 2, sizeof(rss.params)},
			.hash_information = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 |
					    NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6,
			.table_size = sizeof(rss.table),
			.table_offset = sizeof(rss.params),
			.key_size = sizeof(rss.key),
			.key_offset = sizeof(rss.params) + sizeof(rss.table)},
		{0, 1, 2, 1}, {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2}};
	const struct {
		struct rndis_oid_request request;
		struct ndis_offload_params params;
	} offload = {{RNDIS_SET, sizeof(offload), 4, OID_TCP_OFFLOAD_PARAMETERS,
			     sizeof(offload.params), 20, 0},
		{.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(offload.params)},
			.rsc4 = NDIS_SEGMENT_ON,
			.rsc6 = NDIS_SEGMENT_ON}};

	control(up, &rss, sizeof(rss));
	control(up, &offload, sizeof(offload));
	if (!up->vsp->rndis.rss.enabled || !up->vsp->rndis.offload.rsc4)
		abort();
}

void net_up_initialise(struct net_up *up)
{
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_61, NVSP_VERSION_61};
	const struct nvsp_send_ndis_config config = {
		NVSP_SEND_NDIS_CONFIG, 1514, 0, NVSP_NDIS_CAP_8021Q | NVSP_NDIS_CAP_RSC};
	const struct nvsp_subchannel_request subs = {
		NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, NET_UP_QUEUES - 1};
	const struct nvsp_send_ndis_version ndis = {NVSP_SEND_NDIS_VERSION, 6, 30};
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, NET_UP_RECV_GPADL, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf send = {NVSP_SEND_SEND_BUF, NET_UP_SEND_GPADL, NVSP_SEND_BUF_ID};
	const struct rndis_initialize initialize = {
		RNDIS_INITIALIZE, sizeof(initialize), 1, 1, 0, 0};
	const struct {
		struct rndis_oid_request request;
		uint32_t filter;
	} filter = {{RNDIS_SET, sizeof(filter), 2, OID_GEN_CURRENT_PACKET_FILTER, 4, 20, 0},
		NDIS_PACKET_TYPE_PROMISCUOUS};

	post(up, &init, sizeof(init));
	post(up, &config, sizeof(config));
	post(up, &ndis, sizeof(ndis));
	post(up, &recv, sizeof(recv));
	post(up, &send, sizeof(send));
	control(up, &initialize, sizeof(initialize));
	control(up, &filter, sizeof(filter));
	post(up, &subs, sizeof(subs));
	for (unsigned i = 1; i < NET_UP_QUEUES; i++)
		net_up_open_sub(up, i);
	scale_and_coalesce(up);
	if (!up->vsp->rndis.packet_filter)
		abort();
}
