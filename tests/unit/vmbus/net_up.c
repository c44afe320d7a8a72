/* SPDX-License-Identifier: MIT */
#include "net_up.h"

#include "base/bytes.h"

#define WORK_LIMIT  1000
#define RECV_BYTES  (40U * 1728)
#define SEND_BYTES  (4U * NET_SEND_SECTION_BYTES)
#define CONTROL_GPA 0x1000U

void net_up_new(struct net_up *up, uint32_t port_caps)
{
	struct net_vsp_config config = {
		.mac = {2, 0, 0, 0, 0, 1},
		.mtu_bytes = 1500,
		.link_up = true,
		.eth = &eth_dummy_ops,
	};

	if (eth_dummy_new(port_caps, &up->port))
		abort();
	config.port = up->port;
	up->channel = net_double_new();
	net_double_gpadl(up->channel, NET_UP_RECV_GPADL, RECV_BYTES);
	net_double_gpadl(up->channel, NET_UP_SEND_GPADL, SEND_BYTES);
	if (net_vsp_new(&config, &up->vsp))
		abort();
	net_vsp_open(up->vsp, up->channel);
}

void net_up_free(struct net_up *up)
{
	net_vsp_free(up->vsp);
	net_double_free(up->channel);
	eth_dummy_free(up->port);
}

void net_up_work(struct net_up *up)
{
	static uint8_t frame[ETH_FRAME_MAX_BYTES];
	struct net_double_packet packet;
	struct eth_hdr hdr;
	size_t size_bytes;

	for (unsigned i = 0; i < WORK_LIMIT && net_vsp_work(up->vsp); i++)
		;
	net_vsp_arm(up->vsp);
	while (net_double_take(up->channel, &packet))
		;
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

void net_up_initialise(struct net_up *up)
{
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_61, NVSP_VERSION_61};
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
	post(up, &ndis, sizeof(ndis));
	post(up, &recv, sizeof(recv));
	post(up, &send, sizeof(send));
	control(up, &initialize, sizeof(initialize));
	control(up, &filter, sizeof(filter));
	if (!up->vsp->rndis.packet_filter)
		abort();
}
