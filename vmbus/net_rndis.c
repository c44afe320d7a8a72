/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rndis.h"

#include "base/bytes.h"
#include "vmbus/net_oid.h"

/* What a guest is told it may send at once; the bound that holds is net_tx.h's. */
#define MAX_TRANSFER_BYTES 0xEFFFFFFFU

enum {
	NOT_READY = 1,
	READY = 2,
	ANY = NOT_READY | READY,
};

/* `message` has at least the row's size; `size_bytes` is the length its header says. */
struct message_row {
	uint32_t type;
	uint32_t min_bytes;
	unsigned states;
	uint32_t answer_bytes; /* of the completion's fixed part; 0: it has none */
	void (*handle)(struct net_rndis *rndis, const uint8_t *message, uint32_t size_bytes);
};

void net_rndis_reset(struct net_rndis *rndis)
{
	rndis->ndis_version = 0;
	rndis->rsc = false;
	rndis->ready = false;
	rndis->link_told = rndis->link_up;
	rndis->link_repeat = false;
	rndis->link_with_guest = false;
	rndis->packet_filter = 0;
	memcpy(rndis->mac, rndis->permanent_mac, sizeof(rndis->mac));
	rndis->offload = net_offload_capable(rndis->port_caps);
	rndis->rss = (struct net_rss){0};
	rndis->has_multicast_list = false;
	rndis->n_multicast = 0;
	rndis->first_answer = 0;
	rndis->n_answers = 0;
}

void net_rndis_understands_rsc(struct net_rndis *rndis, bool understands)
{
	rndis->rsc = understands;
	rndis->offload.rsc4 &= understands;
	rndis->offload.rsc6 &= understands;
}

/* The caller made sure that there is room. */
static void queue_answer(struct net_rndis *rndis, const void *fixed, size_t fixed_bytes,
	const void *value, size_t value_bytes)
{
	unsigned slot = (rndis->first_answer + rndis->n_answers++) % NET_RNDIS_MAX_ANSWERS;
	struct net_rndis_answer *answer = &rndis->answers[slot];

	answer->is_link = false;
	memcpy(answer->bytes, fixed, fixed_bytes);
	if (value_bytes)
		memcpy(answer->bytes + fixed_bytes, value, value_bytes);
	answer->size_bytes = (uint32_t)(fixed_bytes + value_bytes);
}

static void handle_initialize(
	struct net_rndis *rndis, const uint8_t *message, _unused_ uint32_t size_bytes)
{
	const struct rndis_initialize *request = (const void *)message;
	struct rndis_initialize_complete answer = {
		.type = RNDIS_INITIALIZE_COMPLETE,
		.length = sizeof(answer),
		.request_id = request->request_id,
		.status = RNDIS_STATUS_SUCCESS,
		.major = RNDIS_MAJOR_VERSION,
		.minor = RNDIS_MINOR_VERSION,
		.device_flags = RNDIS_DEVICE_CONNECTIONLESS,
		.medium = RNDIS_MEDIUM_802_3,
		.max_packets_per_message = NET_RNDIS_PACKETS_PER_MESSAGE,
		.max_transfer_size = MAX_TRANSFER_BYTES,
		.packet_alignment_factor = NET_RNDIS_ALIGNMENT_FACTOR,
	};

	if (request->major == RNDIS_MAJOR_VERSION) {
		rndis->ready = true;
		rndis->packet_filter = 0;
		rndis->link_told = rndis->link_up;
		rndis->link_repeat = false;
	} else {
		answer.status = RNDIS_STATUS_NOT_SUPPORTED;
	}
	queue_answer(rndis, &answer, sizeof(answer), NULL, 0);
}

static void handle_halt(
	struct net_rndis *rndis, _unused_ const uint8_t *message, _unused_ uint32_t size_bytes)
{
	rndis->ready = false;
	rndis->packet_filter = 0;
	rndis->rss.enabled = false;
	rndis->n_answers = 0;
	rndis->link_with_guest = false;
}

/* The value a request names lies inside the message, behind the fixed part or not at all. */
static bool find_value(const uint8_t *message, uint32_t size_bytes, const uint8_t **ret_value)
{
	const struct rndis_oid_request *request = (const void *)message;
	uint64_t at = (uint64_t)RNDIS_BODY_AT + request->buffer_offset;

	*ret_value = message;
	if (request->buffer_length == 0)
		return true;
	if (at < sizeof(*request) || at + request->buffer_length > size_bytes)
		return false;
	*ret_value = message + at;
	return true;
}

static void handle_query(struct net_rndis *rndis, const uint8_t *message, uint32_t size_bytes)
{
	const struct rndis_oid_request *request = (const void *)message;
	struct rndis_query_complete answer = {
		.type = RNDIS_QUERY_COMPLETE,
		.request_id = request->request_id,
		.status = RNDIS_STATUS_INVALID_DATA,
		.buffer_offset = RNDIS_QUERY_BUFFER_OFFSET,
	};
	uint8_t value[NET_OID_VALUE_MAX_BYTES];
	size_t value_bytes = 0;
	const uint8_t *input;

	if (find_value(message, size_bytes, &input))
		answer.status = net_oid_query(
			rndis, request->oid, input, request->buffer_length, value, &value_bytes);
	answer.buffer_length = (uint32_t)value_bytes;
	answer.length = (uint32_t)(sizeof(answer) + value_bytes);
	queue_answer(rndis, &answer, sizeof(answer), value, value_bytes);

	if (request->oid == OID_GEN_MEDIA_CONNECT_STATUS)
		rndis->link_told = rndis->link_up;
}

static void handle_set(struct net_rndis *rndis, const uint8_t *message, uint32_t size_bytes)
{
	const struct rndis_oid_request *request = (const void *)message;
	struct rndis_set_complete answer = {
		.type = RNDIS_SET_COMPLETE,
		.length = sizeof(answer),
		.request_id = request->request_id,
		.status = RNDIS_STATUS_INVALID_DATA,
	};
	const uint8_t *value;

	if (find_value(message, size_bytes, &value))
		answer.status = net_oid_set(rndis, request->oid, value, request->buffer_length);
	queue_answer(rndis, &answer, sizeof(answer), NULL, 0);
}

static void handle_reset(
	struct net_rndis *rndis, _unused_ const uint8_t *message, _unused_ uint32_t size_bytes)
{
	const struct rndis_reset_complete answer = {
		.type = RNDIS_RESET_COMPLETE,
		.length = sizeof(answer),
		.status = RNDIS_STATUS_SUCCESS,
		.addressing_reset = 1, /* the packet filter is to be set again */
	};

	rndis->packet_filter = 0;
	queue_answer(rndis, &answer, sizeof(answer), NULL, 0);
}

static void handle_keepalive(
	struct net_rndis *rndis, const uint8_t *message, _unused_ uint32_t size_bytes)
{
	const struct rndis_keepalive *request = (const void *)message;
	const struct rndis_keepalive_complete answer = {
		.type = RNDIS_KEEPALIVE_COMPLETE,
		.length = sizeof(answer),
		.request_id = request->request_id,
		.status = RNDIS_STATUS_SUCCESS,
	};

	queue_answer(rndis, &answer, sizeof(answer), NULL, 0);
}

static const struct message_row message_table[] = {
	{RNDIS_INITIALIZE, sizeof(struct rndis_initialize), ANY,
		sizeof(struct rndis_initialize_complete), handle_initialize},
	{RNDIS_HALT, sizeof(struct rndis_halt), ANY, 0, handle_halt},
	{RNDIS_QUERY, sizeof(struct rndis_oid_request), READY, sizeof(struct rndis_query_complete),
		handle_query},
	{RNDIS_SET, sizeof(struct rndis_oid_request), READY, sizeof(struct rndis_set_complete),
		handle_set},
	{RNDIS_RESET, sizeof(struct rndis_reset), READY, sizeof(struct rndis_reset_complete),
		handle_reset},
	{RNDIS_KEEPALIVE, sizeof(struct rndis_keepalive), ANY,
		sizeof(struct rndis_keepalive_complete), handle_keepalive},
};

static const struct message_row *find_row(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(message_table); i++) {
		if (message_table[i].type == type)
			return &message_table[i];
	}
	return NULL;
}

/* Answer a request that came in the wrong state. Request id and status, where a completion has
 * them, are at the same place in all but RESET's; a query's answer needs its offset even so. */
static int refuse(struct net_rndis *rndis, const struct message_row *row, const uint8_t *message)
{
	uint8_t bytes[NET_RNDIS_ANSWER_MAX_BYTES] = {0};
	struct rndis_query_complete *answer = (void *)bytes;

	if (row->answer_bytes == 0)
		return -EBADMSG;
	answer->type = RNDIS_COMPLETION | row->type;
	answer->length = row->answer_bytes;
	if (row->type == RNDIS_RESET) {
		((struct rndis_reset_complete *)(void *)bytes)->status = RNDIS_STATUS_FAILURE;
	} else {
		answer->request_id =
			((const struct rndis_keepalive *)(const void *)message)->request_id;
		answer->status = RNDIS_STATUS_FAILURE;
	}
	if (row->type == RNDIS_QUERY)
		answer->buffer_offset = RNDIS_QUERY_BUFFER_OFFSET;
	queue_answer(rndis, bytes, row->answer_bytes, NULL, 0);
	return 0;
}

int net_rndis_handle(struct net_rndis *rndis, const void *message, size_t size_bytes)
{
	const struct message_row *row;
	struct rndis_header header;

	if (size_bytes < sizeof(header))
		return -EBADMSG;
	memcpy(&header, message, sizeof(header));
	row = find_row(header.type);
	if (!row || header.length < row->min_bytes || header.length > size_bytes)
		return -EBADMSG;
	/* One place stays free for the link. */
	if (rndis->n_answers >= NET_RNDIS_MAX_ANSWERS - 1)
		return -EBUSY;
	if (!(row->states & (rndis->ready ? READY : NOT_READY)))
		return refuse(rndis, row, message);
	row->handle(rndis, message, header.length);
	return 0;
}

static void indicate_link(struct net_rndis *rndis)
{
	const struct rndis_indicate_status indication = {
		.type = RNDIS_INDICATE_STATUS,
		.length = sizeof(indication),
		.status =
			rndis->link_up ? RNDIS_STATUS_MEDIA_CONNECT : RNDIS_STATUS_MEDIA_DISCONNECT,
	};
	bool repeat = rndis->link_repeat && rndis->packet_filter;

	if (!rndis->ready || (rndis->link_told == rndis->link_up && !repeat) ||
		rndis->link_with_guest || rndis->n_answers == NET_RNDIS_MAX_ANSWERS)
		return;
	rndis->link_told = rndis->link_up;
	rndis->link_repeat = rndis->packet_filter == 0;
	queue_answer(rndis, &indication, sizeof(indication), NULL, 0);
	rndis->answers[(rndis->first_answer + rndis->n_answers - 1) % NET_RNDIS_MAX_ANSWERS]
		.is_link = true;
	rndis->link_with_guest = true;
}

void net_rndis_link_taken(struct net_rndis *rndis)
{
	rndis->link_with_guest = false;
}

const struct net_rndis_answer *net_rndis_answer(struct net_rndis *rndis)
{
	indicate_link(rndis);
	return rndis->n_answers ? &rndis->answers[rndis->first_answer] : NULL;
}

void net_rndis_answer_sent(struct net_rndis *rndis)
{
	rndis->first_answer = (rndis->first_answer + 1) % NET_RNDIS_MAX_ANSWERS;
	rndis->n_answers--;
}

static bool is_listed(const struct net_rndis *rndis, const uint8_t *destination)
{
	for (uint32_t i = 0; i < rndis->n_multicast; i++) {
		if (memcmp(destination, rndis->multicast[i], ETH_ADDR_LEN) == 0)
			return true;
	}
	return !rndis->has_multicast_list;
}

bool net_rndis_accepts(
	const struct net_rndis *rndis, const uint8_t destination[static ETH_ADDR_LEN])
{
	uint32_t wanted = 0;

	if (memcmp(destination, rndis->mac, ETH_ADDR_LEN) == 0) {
		wanted = NDIS_PACKET_TYPE_DIRECTED;
	} else if (net_is_broadcast(destination)) {
		wanted = NDIS_PACKET_TYPE_BROADCAST;
	} else if (destination[0] & 1) {
		wanted = NDIS_PACKET_TYPE_ALL_MULTICAST;
		if (rndis->packet_filter & NDIS_PACKET_TYPE_MULTICAST &&
			is_listed(rndis, destination))
			wanted |= NDIS_PACKET_TYPE_MULTICAST;
	}
	return rndis->packet_filter & (wanted | NDIS_PACKET_TYPE_PROMISCUOUS);
}
