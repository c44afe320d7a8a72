/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_net.h"

#define MAX_TRANSFER_BYTES 0x4000

#define MEDIA_CONNECTED 0

/* --- from the host --- */

/* The checksum flags in the per-packet information, 0 without any. */
static uint32_t checksum_info(const uint8_t *ppis, size_t size_bytes)
{
	struct rndis_ppi ppi;
	uint32_t value;

	while (size_bytes >= sizeof(ppi)) {
		memcpy(&ppi, ppis, sizeof(ppi));
		if (ppi.size < sizeof(ppi) || ppi.size > size_bytes)
			break;
		if (ppi.type == RNDIS_PPI_CHECKSUM && ppi.offset <= ppi.size &&
			ppi.size - ppi.offset >= sizeof(value)) {
			memcpy(&value, ppis + ppi.offset, sizeof(value));
			return value;
		}
		ppis += ppi.size;
		size_bytes -= ppi.size;
	}
	return 0;
}

/* [offset, offset + length), counted from the body, lies in a message of `size_bytes`. */
static bool body_range_is_sound(uint32_t offset, uint32_t length, size_t size_bytes)
{
	return (uint64_t)RNDIS_BODY_AT + offset + length <= size_bytes;
}

static void on_packet(struct vsc_net *net, const uint8_t *message, size_t size_bytes)
{
	struct rndis_packet packet;
	uint32_t checksum = 0;

	if (size_bytes < sizeof(packet)) {
		net->n_errors++;
		return;
	}
	memcpy(&packet, message, sizeof(packet));
	if (!body_range_is_sound(packet.data_offset, packet.data_length, size_bytes) ||
		!body_range_is_sound(packet.ppi_offset, packet.ppi_length, size_bytes)) {
		net->n_errors++;
		return;
	}
	if (packet.ppi_length)
		checksum = checksum_info(
			message + RNDIS_BODY_AT + packet.ppi_offset, packet.ppi_length);
	net->ops->receive(net->owner, message + RNDIS_BODY_AT + packet.data_offset,
		packet.data_length, checksum & RNDIS_RXCSUM_IP_OK,
		checksum & (RNDIS_RXCSUM_TCP_OK | RNDIS_RXCSUM_UDP_OK));
}

static void on_status(struct vsc_net *net, const uint8_t *message, size_t size_bytes)
{
	struct rndis_indicate_status indication;

	if (size_bytes < sizeof(indication)) {
		net->n_errors++;
		return;
	}
	memcpy(&indication, message, sizeof(indication));
	switch (indication.status) {
	case RNDIS_STATUS_MEDIA_CONNECT:
	case RNDIS_STATUS_MEDIA_DISCONNECT:
		net->link_up = indication.status == RNDIS_STATUS_MEDIA_CONNECT;
		net->link_indicated = true;
		net->ops->link_changed(net->owner, net->link_up);
		break;
	case RNDIS_STATUS_NETWORK_CHANGE:
		net->ops->network_changed(net->owner);
		break;
	default:
		break;
	}
}

static void on_completion(struct vsc_net *net, const uint8_t *message, size_t size_bytes)
{
	struct rndis_set_complete completion; /* the part that all completions share */

	if (size_bytes < sizeof(completion)) {
		net->n_errors++;
		return;
	}
	memcpy(&completion, message, sizeof(completion));
	if (net->awaited_request_id == 0 || completion.request_id != net->awaited_request_id)
		return;
	net->answer_bytes = MIN_OF(size_bytes, sizeof(net->answer));
	memset(net->answer, 0, sizeof(net->answer));
	memcpy(net->answer, message, net->answer_bytes);
	net->answered = true;
}

void vsc_rndis_input(struct vsc_net *net, const uint8_t *message, size_t size_bytes)
{
	struct rndis_header header;

	if (size_bytes < sizeof(header)) {
		net->n_errors++;
		return;
	}
	memcpy(&header, message, sizeof(header));
	if (header.length < sizeof(header) || header.length > size_bytes) {
		net->n_errors++;
		return;
	}
	switch (header.type) {
	case RNDIS_PACKET:
		on_packet(net, message, header.length);
		break;
	case RNDIS_INDICATE_STATUS:
		on_status(net, message, header.length);
		break;
	case RNDIS_INITIALIZE_COMPLETE:
	case RNDIS_QUERY_COMPLETE:
	case RNDIS_SET_COMPLETE:
		on_completion(net, message, header.length);
		break;
	default:
		break;
	}
}

/* --- to the host --- */

/* Sends the message in the control page. */
static int control_send(struct vsc_net *net, uint32_t size_bytes)
{
	struct nvsp_send_rndis_pkt nvsp = {
		.type = NVSP_SEND_RNDIS_PKT,
		.channel_type = NVSP_CHANNEL_CONTROL,
		.send_section_index = NVSP_NO_SECTION,
	};
	uint8_t payload[NVSP_MESSAGE_BYTES] = {0};
	struct {
		struct vmbus_gpa_direct_header gpa;
		struct vmbus_gpa_range range;
		uint64_t pfn;
	} header = {
		.gpa.range_count = 1,
		.range.byte_count = size_bytes,
		.pfn = (uintptr_t)net->memory->control / VMBUS_PAGE_BYTES,
	};
	struct vsc_packet_out packet = {
		.type = VMBUS_PACKET_GPA_DIRECT,
		.request_completion = true,
		.transaction_id = net->next_transaction_id++,
		.header = &header,
		.header_bytes = sizeof(header),
		.payload = payload,
		.payload_bytes = sizeof(payload),
	};

	memcpy(payload, &nvsp, sizeof(nvsp));
	return vsc_channel_send(&net->channel, &packet);
}

/* Sends the request in the control page and waits for its completion. */
static int control_request(struct vsc_net *net, uint32_t size_bytes, uint32_t request_id)
{
	struct rndis_set_complete completion;
	int r;

	net->answered = false;
	net->awaited_request_id = request_id;
	r = control_send(net, size_bytes);
	if (r == 0)
		r = vsc_net_wait(net);
	net->awaited_request_id = 0;
	if (r < 0)
		return r;
	memcpy(&completion, net->answer, sizeof(completion));
	return completion.status == RNDIS_STATUS_SUCCESS ? 0 : -EOPNOTSUPP;
}

static int initialize(struct vsc_net *net)
{
	struct rndis_initialize *request = (struct rndis_initialize *)net->memory->control;
	uint32_t id = net->next_request_id++;

	*request = (struct rndis_initialize){
		.type = RNDIS_INITIALIZE,
		.length = sizeof(*request),
		.request_id = id,
		.major = RNDIS_MAJOR_VERSION,
		.minor = RNDIS_MINOR_VERSION,
		.max_transfer_size = MAX_TRANSFER_BYTES,
	};
	return control_request(net, sizeof(*request), id);
}

/* Query with `data` NULL asks for nothing but the answer. */
static int oid_request(
	struct vsc_net *net, uint32_t type, uint32_t oid, const void *data, uint32_t data_bytes)
{
	struct rndis_oid_request *request = (struct rndis_oid_request *)net->memory->control;
	uint32_t id = net->next_request_id++;

	*request = (struct rndis_oid_request){
		.type = type,
		.length = sizeof(*request) + data_bytes,
		.request_id = id,
		.oid = oid,
		.buffer_length = data_bytes,
		.buffer_offset = sizeof(*request) - RNDIS_BODY_AT,
	};
	if (data_bytes)
		memcpy(request + 1, data, data_bytes);
	return control_request(net, sizeof(*request) + data_bytes, id);
}

/* The value must be exactly that long. */
static int query(struct vsc_net *net, uint32_t oid, void *ret_value, uint32_t value_bytes)
{
	struct rndis_query_complete reply;
	int r = oid_request(net, RNDIS_QUERY, oid, NULL, 0);

	if (r < 0)
		return r;
	memcpy(&reply, net->answer, sizeof(reply));
	if (reply.buffer_length != value_bytes ||
		!body_range_is_sound(reply.buffer_offset, value_bytes, net->answer_bytes))
		return -EPROTO;
	memcpy(ret_value, net->answer + RNDIS_BODY_AT + reply.buffer_offset, value_bytes);
	return 0;
}

static int set(struct vsc_net *net, uint32_t oid, const void *value, uint32_t value_bytes)
{
	return oid_request(net, RNDIS_SET, oid, value, value_bytes);
}

static int set_packet_filter(struct vsc_net *net, uint32_t filter)
{
	return set(net, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter));
}

static int switch_offloads_off(struct vsc_net *net)
{
	struct ndis_offload_params params = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)},
		.ip4_csum = NDIS_CSUM_OFF,
		.tcp4_csum = NDIS_CSUM_OFF,
		.udp4_csum = NDIS_CSUM_OFF,
		.tcp6_csum = NDIS_CSUM_OFF,
		.udp6_csum = NDIS_CSUM_OFF,
		.lso_v1 = NDIS_SEGMENT_OFF,
		.lso4 = NDIS_SEGMENT_OFF,
		.lso6 = NDIS_SEGMENT_OFF,
	};
	uint32_t size_bytes = sizeof(params);

	if (net->version <= NVSP_VERSION_4) {
		size_bytes = NDIS_OFFLOAD_PARAMS_MIN_BYTES;
		params.header.size = NDIS_OFFLOAD_PARAMS_MIN_BYTES;
	}
	return set(net, OID_TCP_OFFLOAD_PARAMETERS, &params, size_bytes);
}

int vsc_rndis_start(struct vsc_net *net)
{
	uint32_t media = !MEDIA_CONNECTED;
	int r = initialize(net);

	if (r == 0)
		r = query(net, OID_802_3_PERMANENT_ADDRESS, net->mac, sizeof(net->mac));
	if (r == 0)
		r = query(net, OID_GEN_MAXIMUM_FRAME_SIZE, &net->mtu, sizeof(net->mtu));
	if (r == 0)
		r = switch_offloads_off(net);
	net->link_indicated = false;
	if (r == 0)
		r = query(net, OID_GEN_MEDIA_CONNECT_STATUS, &media, sizeof(media));
	/* An indication that overtook the answer is newer. */
	if (r == 0 && !net->link_indicated)
		net->link_up = media == MEDIA_CONNECTED;
	if (r == 0)
		r = set_packet_filter(net, NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST |
						   NDIS_PACKET_TYPE_ALL_MULTICAST);
	return r;
}

void vsc_rndis_stop(struct vsc_net *net)
{
	struct rndis_halt *halt = (struct rndis_halt *)net->memory->control;

	if (!net->send_gpadl_id || set_packet_filter(net, 0))
		return;
	*halt = (struct rndis_halt){
		.type = RNDIS_HALT,
		.length = sizeof(*halt),
		.request_id = net->next_request_id++,
	};
	control_send(net, sizeof(*halt));
}
