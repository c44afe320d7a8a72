/* SPDX-License-Identifier: MIT */
#include "vmbus/ctl.h"
#include "vmbus/ctl_internal.h"

/* Answers a message may cause besides one offer or rescind a channel. */
#define MAX_ANSWERS 8

static const uint32_t supported_versions[] = {
	VMBUS_VERSION_2_4,
	VMBUS_VERSION_3_0,
	VMBUS_VERSION_4_0,
	VMBUS_VERSION_4_1,
	VMBUS_VERSION_5_0,
	VMBUS_VERSION_5_1,
	VMBUS_VERSION_5_2,
	VMBUS_VERSION_5_3,
};

bool ctl_version_supported(uint32_t version)
{
	for (size_t i = 0; i < ARRAY_LEN(supported_versions); i++) {
		if (supported_versions[i] == version)
			return true;
	}
	return false;
}

int ctl_new(const struct ctl_ops *ops, void *host, struct ctl **ret_ctl)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));

	if (!ctl)
		return -ENOMEM;
	ctl->ops = ops;
	ctl->host = host;
	list_init(&ctl->channels);
	list_init(&ctl->assembling);
	*ret_ctl = ctl;
	return 0;
}

void ctl_free(struct ctl *ctl)
{
	struct ctl_channel *channel, *after;

	if (!ctl)
		return;
	ctl_reset(ctl);
	list_for_each_safe(channel, after, &ctl->channels, link)
		ctl_channel_free(ctl, channel);
	free(ctl->queue.slots);
	free(ctl);
}

void ctl_error(struct ctl *ctl, const char *why)
{
	ctl->n_protocol_errors++;
	ctl->last_error = why;
}

int ctl_queue_reserve(struct ctl *ctl, size_t n)
{
	struct ctl_queue *queue = &ctl->queue;
	struct ctl_message *slots;
	size_t n_slots;

	if (queue->n_slots - queue->n_used >= n)
		return 0;
	n_slots = MAX(queue->n_used + n, 2 * queue->n_slots);
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < queue->n_used; i++)
		slots[i] = queue->slots[(queue->first + i) % queue->n_slots];
	free(queue->slots);
	*queue = (struct ctl_queue){.slots = slots, .n_used = queue->n_used, .n_slots = n_slots};
	return 0;
}

void ctl_send(struct ctl *ctl, const void *message, size_t size_bytes)
{
	struct ctl_queue *queue = &ctl->queue;
	struct ctl_message *slot = &queue->slots[(queue->first + queue->n_used) % queue->n_slots];

	slot->vp_index = ctl->message_vp;
	slot->size_bytes = (uint8_t)size_bytes;
	memcpy(slot->payload, message, size_bytes);
	queue->n_used++;
}

void ctl_send_plain(struct ctl *ctl, enum vmbus_msg_type type)
{
	struct vmbus_msg_header message = {.type = type};

	ctl_send(ctl, &message, sizeof(message));
}

const struct ctl_message *ctl_message_first(const struct ctl *ctl)
{
	return ctl->queue.n_used ? &ctl->queue.slots[ctl->queue.first] : NULL;
}

void ctl_message_pop(struct ctl *ctl, bool delivered)
{
	struct ctl_queue *queue = &ctl->queue;

	queue->first = (queue->first + 1) % queue->n_slots;
	queue->n_used--;
	if (delivered)
		ctl->n_messages_out++;
}

void ctl_get_info(const struct ctl *ctl, struct vmbus_info *ret_info)
{
	const struct ctl_channel *channel;

	*ret_info = (struct vmbus_info){
		.connected = ctl->state == CTL_CONNECTED,
		.version = ctl->version,
		.n_messages_in = ctl->n_messages_in,
		.n_messages_out = ctl->n_messages_out,
		.n_protocol_errors = ctl->n_protocol_errors,
		.last_protocol_error = ctl->last_error,
	};
	list_for_each(channel, &ctl->channels, link) {
		ret_info->n_offers += channel->wanted;
		ret_info->n_open_channels += channel->state == CTL_CHANNEL_OPEN;
	}
}

/* May the message be handled? If not, *ret_status is the answer of the hypercall: a message that
 * the bus ignores was delivered all the same. */
static bool admit(
	struct ctl *ctl, const struct ctl_row *row, size_t size_bytes, uint16_t *ret_status)
{
	*ret_status = HV_STATUS_SUCCESS;
	if (!row) {
		ctl_error(ctl, "a message of unknown type");
		return false;
	}
	if (size_bytes < row->min_bytes) {
		ctl_error(ctl, "a message shorter than its type");
		*ret_status = HV_STATUS_INVALID_PARAMETER;
		return false;
	}
	if (!(row->states & 1U << ctl->state)) {
		ctl_error(ctl, "a message before contact");
		return false;
	}
	if (ctl->version < row->min_version) {
		ctl_error(ctl, "a message of a later version");
		return false;
	}
	if (ctl->queue.n_used >= CTL_QUEUE_PUSHBACK &&
		!(row->resets && ctl->state == CTL_CONNECTED)) {
		*ret_status = HV_STATUS_INSUFFICIENT_BUFFERS;
		return false;
	}
	/* What it causes itself, at most a message a channel, and what is then to be spare. */
	if (ctl_queue_reserve(
		    ctl, CTL_QUEUE_SPARE(ctl->n_channels) + ctl->n_channels + MAX_ANSWERS)) {
		*ret_status = HV_STATUS_INSUFFICIENT_MEMORY;
		return false;
	}
	return true;
}

uint16_t ctl_receive(struct ctl *ctl, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes)
{
	uint8_t message[VMBUS_MSG_MAX_BYTES];
	const struct ctl_row *row;
	uint16_t status;

	if (connection_id != VMBUS_CONNECTION_MESSAGES &&
		connection_id != VMBUS_CONNECTION_MESSAGES_V5)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (message_type != VMBUS_MESSAGE_TYPE || size_bytes < sizeof(struct vmbus_msg_header) ||
		size_bytes > sizeof(message)) {
		ctl_error(ctl, "not a message of the bus");
		return HV_STATUS_INVALID_PARAMETER;
	}
	memcpy(message, payload, size_bytes);
	row = ctl_table_find(load_le32(message));
	if (!admit(ctl, row, size_bytes, &status))
		return status;
	ctl->n_messages_in++;
	row->handle(ctl, message, size_bytes);
	return HV_STATUS_SUCCESS;
}

void ctl_reset(struct ctl *ctl)
{
	struct ctl_channel *channel, *after;

	/* Sub-channels before their primaries, which the order has first. */
	list_for_each_reverse(channel, &ctl->channels, link)
		ctl_channel_shut(ctl, channel);
	list_for_each_safe(channel, after, &ctl->channels, link)
		ctl_channel_reset(ctl, channel);
	ctl->queue.first = 0;
	ctl->queue.n_used = 0;
	ctl->state = CTL_DISCONNECTED;
	ctl->version = 0;
	ctl->offers_sent = false;
}

/* From 5.0 on the guest says where it listens; there is one such place. */
static bool contact_is_acceptable(const struct vmbus_msg_initiate_contact *contact)
{
	if (!ctl_version_supported(contact->version))
		return false;
	return contact->version < VMBUS_VERSION_5_0 ||
	       (contact->v5.sint == VMBUS_SINT && contact->v5.vtl == 0);
}

void ctl_handle_initiate_contact(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_initiate_contact *contact = message;
	struct vmbus_msg_version_response response = {
		.header.type = VMBUS_MSG_VERSION_RESPONSE,
		.connection_state = VMBUS_CONNECTION_OK,
	};

	if (ctl->state == CTL_CONNECTED)
		ctl_reset(ctl);
	ctl->message_vp = contact->target_vp;
	if (contact_is_acceptable(contact)) {
		ctl->state = CTL_CONNECTED;
		ctl->version = contact->version;
		response.supported = 1;
		response.message_connection_id = contact->version < VMBUS_VERSION_5_0
							 ? contact->version
							 : VMBUS_CONNECTION_MESSAGES;
	}
	ctl_send(ctl, &response, sizeof(response));
}

void ctl_handle_request_offers(
	struct ctl *ctl, const void *message _unused_, size_t size_bytes _unused_)
{
	if (ctl->offers_sent) {
		ctl_error(ctl, "offers requested twice");
		return;
	}
	ctl->offers_sent = true;
	ctl_channel_offer_due(ctl);
	ctl_send_plain(ctl, VMBUS_MSG_ALL_OFFERS_DELIVERED);
}

void ctl_handle_unload(struct ctl *ctl, const void *message _unused_, size_t size_bytes _unused_)
{
	ctl_reset(ctl);
	ctl_send_plain(ctl, VMBUS_MSG_UNLOAD_RESPONSE);
}

/* No sockets between guest and host here: say so, a guest without an answer would wait. */
void ctl_handle_tl_connect(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_tl_connect_request *request = message;
	struct vmbus_msg_tl_connect_result result = {
		.header.type = VMBUS_MSG_TL_CONNECT_RESULT,
		.status = CTL_STATUS_REFUSED,
	};

	memcpy(result.endpoint_guid, request->endpoint_guid, sizeof(result.endpoint_guid));
	memcpy(result.service_guid, request->service_guid, sizeof(result.service_guid));
	ctl_send(ctl, &result, sizeof(result));
}
