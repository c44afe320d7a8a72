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
	bool any_queue; /* else the primary's */
	int (*handle)(struct net_queue *queue, const uint8_t *message, uint8_t *answer);
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

static int handle_init(struct net_queue *queue, const uint8_t *message, uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
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
	struct net_queue *queue, const uint8_t *message, _unused_ uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_send_ndis_version *ndis = (const void *)message;

	if (ndis->major > UINT16_MAX || ndis->minor > UINT16_MAX)
		return -EBADMSG;
	vsp->rndis.ndis_version = (ndis->major << 16) + ndis->minor;
	return 0;
}

static int handle_ndis_config(
	struct net_queue *queue, const uint8_t *message, _unused_ uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_send_ndis_config *ndis = (const void *)message;

	vsp->guest_frame_bytes = ndis->mtu;
	vsp->guest_caps = ndis->capabilities;
	net_rndis_understands_rsc(&vsp->rndis,
		vsp->version >= NVSP_VERSION_61 && ndis->capabilities & NVSP_NDIS_CAP_RSC);
	return 0;
}

static int handle_recv_buf(struct net_queue *queue, const uint8_t *message, uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_send_buf *lend = (const void *)message;
	struct nvsp_send_recv_buf_complete *complete = (void *)answer;
	const struct vmbus_gpadl *gpadl;
	int r;

	if (net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	r = vmbus_channel_gpadl(queue->channel, lend->gpadl_id, &gpadl);
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

void net_vsp_drop_recv_buf(struct net_vsp *vsp)
{
	net_recv_buf_clear(&vsp->recv);
	net_rx_drop(&vsp->rx);
	vsp->rx_blocked = false;
	if (vsp->link_transaction_id)
		net_rndis_link_taken(&vsp->rndis);
	vsp->link_transaction_id = 0;
}

static int handle_revoke_recv_buf(
	struct net_queue *queue, const uint8_t *message, _unused_ uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_revoke_buf *revoke = (const void *)message;

	if (!net_recv_buf_ready(&vsp->recv) || revoke->id != vsp->recv.id)
		return -EBADMSG;
	net_vsp_drop_recv_buf(vsp);
	return 0;
}

static int handle_send_buf(struct net_queue *queue, const uint8_t *message, uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_send_buf *lend = (const void *)message;
	struct nvsp_send_send_buf_complete *complete = (void *)answer;
	const struct vmbus_gpadl *gpadl;
	int r;

	if (vsp->send.gpadl)
		return -EBADMSG;
	r = vmbus_channel_gpadl(queue->channel, lend->gpadl_id, &gpadl);
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
	struct net_queue *queue, const uint8_t *message, _unused_ uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_revoke_buf *revoke = (const void *)message;

	if (!vsp->send.gpadl || revoke->id != vsp->send.id)
		return -EBADMSG;
	net_send_buf_clear(&vsp->send);
	return 0;
}

/* There is no virtual function to switch to. */
static int handle_switch_data_path(
	_unused_ struct net_queue *queue, const uint8_t *message, _unused_ uint8_t *answer)
{
	const struct nvsp_switch_data_path *path = (const void *)message;

	return path->active == NVSP_DATA_PATH_SYNTHETIC ? 0 : -EBADMSG;
}

static int handle_subchannel(struct net_queue *queue, const uint8_t *message, uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	const struct nvsp_subchannel_request *request = (const void *)message;
	struct nvsp_subchannel_complete *complete = (void *)answer;

	if (request->op != NVSP_SUBCHANNEL_ALLOCATE || vsp->n_granted)
		return -EBADMSG;
	vsp->n_granted = MIN(request->n_subchannels, vsp->config.n_queues - 1);
	vsp->offer_due = vsp->n_granted > 0;
	complete->status = NVSP_STATUS_SUCCESS;
	complete->n_subchannels = vsp->n_granted;
	return 0;
}

static int handle_control(
	struct net_queue *queue, const struct net_tx_source *source, uint8_t *answer)
{
	struct net_vsp *vsp = queue->vsp;
	uint8_t message[NET_RNDIS_MAX_BYTES];
	size_t size_bytes;
	int r;

	/* Without a receive buffer there is no way for an answer. */
	if (queue->index || !net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	r = net_tx_read(&queue->tx, source, message, sizeof(message), &size_bytes);
	if (r == 0) {
		net_vsp_sum_stats(vsp);
		r = net_rndis_handle(&vsp->rndis, message, size_bytes);
	}
	if (r == -EBUSY)
		set_status(answer, 4, NVSP_STATUS_BUSY);
	else if (r == 0)
		set_status(answer, 4, NVSP_STATUS_SUCCESS);
	return r;
}

static int handle_rndis(struct net_queue *queue, const uint8_t *message, uint8_t *answer)
{
	const struct net_tx_source source = {queue->channel, &queue->vsp->send};
	const struct nvsp_send_rndis_pkt *packet = (const void *)message;
	int r;

	set_status(answer, 4, NVSP_STATUS_INVALID_RNDIS_PKT);
	r = net_tx_begin(&queue->tx, &source, packet);
	if (r)
		return r;
	if (packet->channel_type == NVSP_CHANNEL_DATA && queue->vsp->rndis.ready)
		return -EINPROGRESS;
	if (packet->channel_type == NVSP_CHANNEL_CONTROL)
		r = handle_control(queue, &source, answer);
	else
		r = -EBADMSG;
	net_tx_end(&queue->tx);
	return r;
}

static const struct message_row message_table[] = {
	{NVSP_INIT, sizeof(struct nvsp_init), 0, IN_OPEN, ANSWER_FULL, NVSP_INIT_COMPLETE,
		offsetof(struct nvsp_init_complete, status), false, handle_init},
	{NVSP_SEND_NDIS_VERSION, sizeof(struct nvsp_send_ndis_version), NVSP_VERSION_1,
		IN_NEGOTIATED, ANSWER_EMPTY, 0, 0, false, handle_ndis_version},
	{NVSP_SEND_RECV_BUF, sizeof(struct nvsp_send_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SEND_RECV_BUF_COMPLETE,
		offsetof(struct nvsp_send_recv_buf_complete, status), false, handle_recv_buf},
	{NVSP_REVOKE_RECV_BUF, sizeof(struct nvsp_revoke_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, false, handle_revoke_recv_buf},
	{NVSP_SEND_SEND_BUF, sizeof(struct nvsp_send_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SEND_SEND_BUF_COMPLETE,
		offsetof(struct nvsp_send_send_buf_complete, status), false, handle_send_buf},
	{NVSP_REVOKE_SEND_BUF, sizeof(struct nvsp_revoke_buf), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, false, handle_revoke_send_buf},
	{NVSP_SEND_RNDIS_PKT, sizeof(struct nvsp_send_rndis_pkt), NVSP_VERSION_1, IN_NEGOTIATED,
		ANSWER_SHORT, NVSP_SEND_RNDIS_PKT_COMPLETE,
		offsetof(struct nvsp_send_rndis_pkt_complete, status), true, handle_rndis},
	{NVSP_SEND_NDIS_CONFIG, sizeof(struct nvsp_send_ndis_config), NVSP_VERSION_2, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, false, handle_ndis_config},
	{NVSP_SWITCH_DATA_PATH, sizeof(struct nvsp_switch_data_path), NVSP_VERSION_4, IN_NEGOTIATED,
		ANSWER_EMPTY, 0, 0, false, handle_switch_data_path},
	{NVSP_SUBCHANNEL, sizeof(struct nvsp_subchannel_request), NVSP_VERSION_5, IN_NEGOTIATED,
		ANSWER_FULL, NVSP_SUBCHANNEL, offsetof(struct nvsp_subchannel_complete, status),
		false, handle_subchannel},
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

static bool is_allowed(const struct net_queue *queue, const struct message_row *row,
	const struct vmbus_packet *packet)
{
	const struct net_vsp *vsp = queue->vsp;

	if (packet->type != VMBUS_PACKET_INBAND &&
		!(packet->type == VMBUS_PACKET_GPA_DIRECT && row->type == NVSP_SEND_RNDIS_PKT))
		return false;
	return packet->payload_bytes >= row->min_bytes && vsp->version >= row->min_version &&
	       row->phases & 1U << vsp->phase && (row->any_queue || queue->index == 0);
}

/* What a sub-channel brings changes nothing but its queue, as does a frame. */
bool net_queue_is_shared(const struct net_queue *queue)
{
	const struct vmbus_packet *packet = &queue->tx.packet;
	struct nvsp_send_rndis_pkt message;

	if (queue->index || packet->type == VMBUS_PACKET_COMPLETION)
		return true;
	if (packet->payload_bytes < sizeof(message))
		return false;
	memcpy(&message, packet->payload, sizeof(message));
	return message.type == NVSP_SEND_RNDIS_PKT && message.channel_type == NVSP_CHANNEL_DATA;
}

/* The guest gives sections back. */
static void take_completion(struct net_queue *queue, uint64_t transaction_id)
{
	struct net_vsp *vsp = queue->vsp;
	int r = -ENOENT;

	if (net_recv_buf_ready(&vsp->recv))
		r = net_recv_buf_complete(&vsp->recv, queue->index, transaction_id);
	if (r < 0) {
		queue->stats.n_protocol_errors++;
		return;
	}
	if (r && queue->index)
		vmbus_channel_kick(vsp->queues[0].channel);
	if (queue->index == 0 && transaction_id == vsp->link_transaction_id) {
		vsp->link_transaction_id = 0;
		net_rndis_link_taken(&vsp->rndis);
	}
}

void net_queue_handle_packet(struct net_queue *queue)
{
	struct vmbus_packet *packet = &queue->tx.packet;
	uint8_t message[NVSP_MESSAGE_BYTES] = {0};
	uint8_t answer[NVSP_MESSAGE_BYTES] = {0};
	const struct message_row *row;
	int r = -EBADMSG;

	if (packet->type == VMBUS_PACKET_COMPLETION) {
		take_completion(queue, packet->transaction_id);
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
		if (is_allowed(queue, row, packet))
			r = row->handle(queue, message, answer);
	}
	if (r == -EINPROGRESS)
		return;
	if (r)
		queue->stats.n_protocol_errors++;
	net_queue_complete(queue, answer, row ? row->answer_bytes : (size_t)ANSWER_FULL);
}

void net_queue_complete(struct net_queue *queue, const void *answer, size_t size_bytes)
{
	struct net_completion *completion;

	if (!queue->tx.packet.completion_requested)
		return;
	completion = &queue->completions[queue->n_completions++];
	completion->transaction_id = queue->tx.packet.transaction_id;
	completion->size_bytes = (uint32_t)size_bytes;
	memcpy(completion->bytes, answer, size_bytes);
}
