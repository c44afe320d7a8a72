/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"

/* For the guest's information; the bound that holds is VMBUS_MAX_RANGES. */
#define MAX_MDL_CHAIN_LENGTH 34

enum {
	IN_OPEN = 1 << NET_OPEN,
	IN_NEGOTIATED = 1 << NET_NEGOTIATED,
};

enum {
	ANSWER_EMPTY = 0, /* no payload, if a completion is wanted at all */
	ANSWER_SHORT = 8, /* {type, status} */
	ANSWER_FULL = NVSP_MESSAGE_BYTES,
};

/* The handler finds `answer` zeroed but for its type and a failure in its status. 0; -EINPROGRESS:
 * the packet completes later; anything else is a protocol error. */
struct message_row {
	uint32_t type;
	uint32_t min_bytes;
	uint32_t min_version;
	unsigned phases;
	uint32_t answer_bytes;
	uint32_t answer_type;
	uint32_t status_at;
	int (*handle)(struct net_vsp *vsp, const uint8_t *message, uint8_t *answer);
};

static void set_status(uint8_t *answer, size_t at, enum nvsp_status status)
{
	store_le32(answer + at, status);
}

/* The newest first. */
static const uint32_t versions[] = {NVSP_VERSION_61, NVSP_VERSION_6, NVSP_VERSION_5, NVSP_VERSION_4,
	NVSP_VERSION_2, NVSP_VERSION_1};

bool net_vsp_has_version(uint32_t version)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		if (versions[i] == version)
			return true;
	}
	return false;
}

static int handle_init(struct net_vsp *vsp, const uint8_t *message, uint8_t *answer)
{
	const struct nvsp_init *init = (const void *)message;
	struct nvsp_init_complete *complete = (void *)answer;

	if (init->min_version > init->max_version)
		return -EBADMSG;
	complete->status = init->min_version > NVSP_VERSION_61 ? NVSP_STATUS_PROTOCOL_TOO_NEW
							       : NVSP_STATUS_PROTOCOL_TOO_OLD;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		if (versions[i] < init->min_version || versions[i] > init->max_version)
			continue;
		complete->version = versions[i];
		complete->max_mdl_chain_length = MAX_MDL_CHAIN_LENGTH;
		complete->status = NVSP_STATUS_SUCCESS;
		vsp->version = versions[i];
		vsp->phase = NET_NEGOTIATED;
		break;
	}
	return 0;
}

static int handle_ndis_version(
	struct net_vsp *vsp, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_send_ndis_version *ndis = (const void *)message;

	if (ndis->major > UINT16_MAX || ndis->minor > UINT16_MAX)
		return -EBADMSG;
	vsp->rndis.ndis_version = (ndis->major << 16) + ndis->minor;
	return 0;
}

static int handle_ndis_config(struct net_vsp *vsp, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_send_ndis_config *ndis = (const void *)message;

	vsp->guest_frame_bytes = ndis->mtu;
	vsp->guest_caps = ndis->capabilities;
	return 0;
}

static int handle_recv_buf(struct net_vsp *vsp, const uint8_t *message, uint8_t *answer)
{
	const struct nvsp_send_buf *lend = (const void *)message;
	struct nvsp_send_recv_buf_complete *complete = (void *)answer;
	const struct vmbus_gpadl *gpadl;
	int r;

	if (net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	r = vmbus_channel_gpadl(vsp->channel, lend->gpadl_id, &gpadl);
	if (r)
		return r;
	r = net_recv_buf_set(&vsp->recv, gpadl, lend->gpadl_id, lend->id,
		net_rx_section_bytes(vsp->config.mtu_bytes));
	if (r)
		return r;
	complete->status = NVSP_STATUS_SUCCESS;
	complete->n_sections = 1;
	complete->section.sub_alloc_size = vsp->recv.section_bytes;
	complete->section.n_sub_allocs = vsp->recv.n_sections;
	complete->section.end_offset = vsp->recv.section_bytes * vsp->recv.n_sections;
	return 0;
}

static void drop_recv_buf(struct net_vsp *vsp)
{
	net_recv_buf_clear(&vsp->recv);
	net_rx_drop(&vsp->rx);
}

static int handle_revoke_recv_buf(
	struct net_vsp *vsp, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_revoke_buf *revoke = (const void *)message;

	if (!net_recv_buf_ready(&vsp->recv) || revoke->id != vsp->recv.id)
		return -EBADMSG;
	drop_recv_buf(vsp);
	return 0;
}

static int handle_send_buf(struct net_vsp *vsp, const uint8_t *message, uint8_t *answer)
{
	const struct nvsp_send_buf *lend = (const void *)message;
	struct nvsp_send_send_buf_complete *complete = (void *)answer;
	const struct vmbus_gpadl *gpadl;
	int r;

	if (vsp->send.gpadl)
		return -EBADMSG;
	r = vmbus_channel_gpadl(vsp->channel, lend->gpadl_id, &gpadl);
	if (r)
		return r;
	r = net_send_buf_set(&vsp->send, gpadl, lend->gpadl_id, lend->id, NET_SEND_SECTION_BYTES);
	if (r)
		return r;
	complete->status = NVSP_STATUS_SUCCESS;
	complete->section_size = vsp->send.section_bytes;
	return 0;
}

static int handle_revoke_send_buf(
	struct net_vsp *vsp, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_revoke_buf *revoke = (const void *)message;

	if (!vsp->send.gpadl || revoke->id != vsp->send.id)
		return -EBADMSG;
	net_send_buf_clear(&vsp->send);
	return 0;
}

/* There is no virtual function to switch to. */
static int handle_switch_data_path(
	_unused_ struct net_vsp *vsp, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_switch_data_path *path = (const void *)message;

	return path->active == NVSP_DATA_PATH_SYNTHETIC ? 0 : -EBADMSG;
}

static int handle_subchannel(_unused_ struct net_vsp *vsp, const uint8_t *message, uint8_t *answer)
{
	const struct nvsp_subchannel_request *request = (const void *)message;
	struct nvsp_subchannel_complete *complete = (void *)answer;

	if (request->op != NVSP_SUBCHANNEL_ALLOCATE)
		return -EBADMSG;
	complete->status = NVSP_STATUS_SUCCESS;
	complete->n_subchannels = 0;
	return 0;
}

static struct net_tx_source tx_source(struct net_vsp *vsp)
{
	return (struct net_tx_source){.channel = vsp->channel, .send = &vsp->send};
}

static int handle_control(struct net_vsp *vsp, uint8_t *answer)
{
	const struct net_tx_source source = tx_source(vsp);
	uint8_t message[NET_RNDIS_MAX_BYTES];
	size_t size_bytes;
	int r;

	/* Without a receive buffer there is no way for an answer. */
	if (!net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	r = net_tx_read(&vsp->tx, &source, message, sizeof(message), &size_bytes);
	if (r == 0)
		r = net_rndis_handle(&vsp->rndis, message, size_bytes);
	if (r == -EBUSY)
		set_status(answer, 4, NVSP_STATUS_BUSY);
	else if (r == 0)
		set_status(answer, 4, NVSP_STATUS_SUCCESS);
	return r;
}

static int handle_rndis(struct net_vsp *vsp, const uint8_t *message, uint8_t *answer)
{
	const struct nvsp_send_rndis_pkt *packet = (const void *)message;
	const struct net_tx_source source = tx_source(vsp);
	int r;

	set_status(answer, 4, NVSP_STATUS_INVALID_RNDIS_PKT);
	r = net_tx_begin(&vsp->tx, &source, packet);
	if (r)
		return r;
	if (packet->channel_type == NVSP_CHANNEL_DATA && vsp->rndis.ready)
		return -EINPROGRESS;
	if (packet->channel_type == NVSP_CHANNEL_CONTROL)
		r = handle_control(vsp, answer);
	else
		r = -EBADMSG;
	net_tx_end(&vsp->tx);
	return r;
}

static const struct message_row message_table[] = {
	{NVSP_INIT, sizeof(struct nvsp_init), 0, IN_OPEN, ANSWER_FULL, NVSP_INIT_COMPLETE,
		offsetof(struct nvsp_init_complete, status), handle_init},
	{NVSP_SEND_NDIS_VERSION, sizeof(struct nvsp_send_ndis_version), NVSP_VERSION_1,
		IN_NEGOTIATED, ANSWER_EMPTY, 0, 0, handle_ndis_version},
	{NVSP_SEND_RECV_BUF, sizeof(struct nvsp_send_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SEND_RECV_BUF_COMPLETE,
		offsetof(struct nvsp_send_recv_buf_complete, status), handle_recv_buf},
	{NVSP_REVOKE_RECV_BUF, sizeof(struct nvsp_revoke_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, handle_revoke_recv_buf},
	{NVSP_SEND_SEND_BUF, sizeof(struct nvsp_send_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SEND_SEND_BUF_COMPLETE,
		offsetof(struct nvsp_send_send_buf_complete, status), handle_send_buf},
	{NVSP_REVOKE_SEND_BUF, sizeof(struct nvsp_revoke_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, handle_revoke_send_buf},
	{NVSP_SEND_RNDIS_PKT, sizeof(struct nvsp_send_rndis_pkt), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_SHORT, NVSP_SEND_RNDIS_PKT_COMPLETE,
		offsetof(struct nvsp_send_rndis_pkt_complete, status), handle_rndis},
	{NVSP_SEND_NDIS_CONFIG, sizeof(struct nvsp_send_ndis_config), NVSP_VERSION_2, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, handle_ndis_config},
	{NVSP_SWITCH_DATA_PATH, sizeof(struct nvsp_switch_data_path), NVSP_VERSION_4, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, handle_switch_data_path},
	{NVSP_SUBCHANNEL, sizeof(struct nvsp_subchannel_request), NVSP_VERSION_5, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SUBCHANNEL, offsetof(struct nvsp_subchannel_complete, status),
		handle_subchannel},
};

static const struct message_row *find_row(const uint8_t *message, size_t size_bytes)
{
	if (size_bytes < sizeof(struct nvsp_header))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(message_table); i++) {
		if (message_table[i].type == load_le32(message))
			return &message_table[i];
	}
	return NULL;
}

static bool is_allowed(
	const struct net_vsp *vsp, const struct message_row *row, const struct vmbus_packet *packet)
{
	if (packet->type != VMBUS_PACKET_INBAND &&
		!(packet->type == VMBUS_PACKET_GPA_DIRECT && row->type == NVSP_SEND_RNDIS_PKT))
		return false;
	return packet->payload_bytes >= row->min_bytes && vsp->version >= row->min_version &&
	       row->phases & 1U << vsp->phase;
}

void net_vsp_handle_packet(struct net_vsp *vsp)
{
	struct vmbus_packet *packet = &vsp->tx.packet;
	uint8_t message[NVSP_MESSAGE_BYTES] = {0};
	uint8_t answer[NVSP_MESSAGE_BYTES] = {0};
	const struct message_row *row;
	int r = -EBADMSG;

	if (packet->type == VMBUS_PACKET_COMPLETION) {
		if (net_recv_buf_complete(&vsp->recv, packet->transaction_id))
			vsp->stats.n_protocol_errors++;
		return;
	}
	if (packet->type != VMBUS_PACKET_GPA_DIRECT)
		packet->n_ranges = 0;
	memcpy(message, packet->payload, MIN(packet->payload_bytes, sizeof(message)));
	row = find_row(message, packet->payload_bytes);
	if (row) {
		store_le32(answer, row->answer_type);
		if (row->answer_bytes >= ANSWER_SHORT)
			set_status(answer, row->status_at, NVSP_STATUS_FAILURE);
		if (is_allowed(vsp, row, packet))
			r = row->handle(vsp, message, answer);
	}
	if (r == -EINPROGRESS)
		return;
	if (r)
		vsp->stats.n_protocol_errors++;
	net_vsp_complete(vsp, answer, row ? row->answer_bytes : (size_t)ANSWER_FULL);
}

void net_vsp_complete(struct net_vsp *vsp, const void *answer, size_t size_bytes)
{
	struct net_completion *completion;

	if (!vsp->tx.packet.completion_requested)
		return;
	completion = &vsp->completions[vsp->n_completions++];
	completion->transaction_id = vsp->tx.packet.transaction_id;
	completion->size_bytes = (uint32_t)size_bytes;
	memcpy(completion->bytes, answer, size_bytes);
}

/* Forget everything of the guest's. */
static void reset(struct net_vsp *vsp)
{
	drop_recv_buf(vsp);
	net_send_buf_clear(&vsp->send);
	net_tx_end(&vsp->tx);
	net_rndis_reset(&vsp->rndis);
	vsp->channel = NULL;
	vsp->broken = false;
	vsp->phase = NET_CLOSED;
	vsp->version = 0;
	vsp->guest_frame_bytes = 0;
	vsp->guest_caps = 0;
	vsp->rx_blocked = false;
	vsp->n_completions = 0;
}

void net_vsp_open(struct net_vsp *vsp, struct vmbus_channel *channel)
{
	reset(vsp);
	vsp->channel = channel;
	vsp->phase = NET_OPEN;
}

void net_vsp_close(struct net_vsp *vsp)
{
	reset(vsp);
}

void net_vsp_gpadl_gone(struct net_vsp *vsp, uint32_t gpadl_id)
{
	if (net_recv_buf_ready(&vsp->recv) && vsp->recv.gpadl_id == gpadl_id)
		drop_recv_buf(vsp);
	if (vsp->send.gpadl && vsp->send.gpadl_id == gpadl_id)
		net_send_buf_clear(&vsp->send);
}

int net_vsp_new(const struct net_vsp_config *config, struct net_vsp **ret_vsp)
{
	struct net_vsp *vsp = calloc(1, sizeof(*vsp));

	if (!vsp)
		return -ENOMEM;
	vsp->config = *config;
	vsp->port = (struct net_port){
		.ops = config->eth,
		.port = config->port,
		.caps = config->eth->caps(config->port),
	};
	vsp->tx.port = &vsp->port;
	vsp->tx.stats = &vsp->stats;
	vsp->tx.mtu_bytes = config->mtu_bytes;
	vsp->rx.port = &vsp->port;
	vsp->rx.stats = &vsp->stats;
	vsp->rx.mtu_bytes = config->mtu_bytes;
	memcpy(vsp->rndis.permanent_mac, config->mac, sizeof(config->mac));
	vsp->rndis.mtu_bytes = config->mtu_bytes;
	vsp->rndis.port_caps = vsp->port.caps;
	vsp->rndis.stats = &vsp->stats;
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
	free(vsp);
}
