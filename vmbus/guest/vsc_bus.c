/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_bus.h"

#define ANSWER_TIMEOUT_NS (10 * NS_PER_S)
#define POST_TRIES        100
#define FIRST_GPADL_ID    0x10001

/* Newest first. */
static const uint32_t versions[] = {
	VMBUS_VERSION_5_3,
	VMBUS_VERSION_5_2,
	VMBUS_VERSION_5_1,
	VMBUS_VERSION_5_0,
	VMBUS_VERSION_4_1,
	VMBUS_VERSION_4_0,
	VMBUS_VERSION_3_0,
	VMBUS_VERSION_2_4,
};

/* A host that has no room now may have in a moment. */
static uint16_t post(struct vsc_bus *bus, uint32_t connection_id, const void *message,
	size_t size_bytes, bool connection_is_known)
{
	uint16_t status = HV_STATUS_INSUFFICIENT_BUFFERS;

	for (int i = 0; i < POST_TRIES; i++) {
		status = bus->ops->post_message(bus->host, connection_id, message, size_bytes);
		if (status != HV_STATUS_INSUFFICIENT_BUFFERS &&
			status != HV_STATUS_INSUFFICIENT_MEMORY &&
			!(status == HV_STATUS_INVALID_CONNECTION_ID && connection_is_known))
			break;
		bus->ops->wait(bus->host);
	}
	return status;
}

int vsc_bus_send(struct vsc_bus *bus, const void *message, size_t size_bytes)
{
	return post(bus, bus->message_connection_id, message, size_bytes, true) ? -EIO : 0;
}

/* --- messages from the host --- */

static struct vsc_offer *offer_of_relid(struct vsc_bus *bus, uint32_t relid)
{
	for (size_t i = 0; i < VSC_MAX_OFFERS; i++) {
		if (bus->offers[i].relid == relid)
			return &bus->offers[i];
	}
	return NULL;
}

static void on_offer(struct vsc_bus *bus, const void *data)
{
	const struct vmbus_msg_offer_channel *message = data;
	struct vsc_offer *offer;

	if (message->relid == 0 || message->relid > VMBUS_MAX_RELID ||
		offer_of_relid(bus, message->relid))
		return;
	offer = offer_of_relid(bus, 0);
	if (!offer)
		return;
	memcpy(offer->class_guid, message->class_guid, VMBUS_GUID_BYTES);
	memcpy(offer->instance_guid, message->instance_guid, VMBUS_GUID_BYTES);
	offer->relid = message->relid;
	offer->connection_id = message->connection_id;
	offer->sub_channel_index = message->sub_channel_index;
	offer->channel = NULL;
}

static void on_rescind(struct vsc_bus *bus, const void *data)
{
	const struct vmbus_msg_relid *message = data;
	struct vmbus_msg_relid released = {
		.header.type = VMBUS_MSG_RELID_RELEASED,
		.relid = message->relid,
	};
	struct vsc_offer *offer = message->relid ? offer_of_relid(bus, message->relid) : NULL;

	if (!offer)
		return;
	if (offer->channel)
		offer->channel->offer = NULL;
	memset(offer, 0, sizeof(*offer));
	vsc_bus_send(bus, &released, sizeof(released));
}

static void on_all_offers(struct vsc_bus *bus, const void *data)
{
	(void)data;
	bus->offers_complete = true;
}

#define NO_ID SIZE_MAX

/* What may come: the smallest size, and either a handler or the place of the number that says which
 * request this answers. */
static const struct message_kind {
	uint32_t type;
	size_t min_bytes;
	void (*handle)(struct vsc_bus *bus, const void *data);
	size_t id_offset;
} message_kinds[] = {
	{VMBUS_MSG_OFFER_CHANNEL, sizeof(struct vmbus_msg_offer_channel), on_offer, NO_ID},
	{VMBUS_MSG_RESCIND_OFFER, sizeof(struct vmbus_msg_relid), on_rescind, NO_ID},
	{VMBUS_MSG_ALL_OFFERS_DELIVERED, sizeof(struct vmbus_msg_header), on_all_offers, NO_ID},
	{VMBUS_MSG_OPEN_CHANNEL_RESULT, sizeof(struct vmbus_msg_open_result), NULL,
		offsetof(struct vmbus_msg_open_result, relid)},
	{VMBUS_MSG_GPADL_CREATED, sizeof(struct vmbus_msg_gpadl_created), NULL,
		offsetof(struct vmbus_msg_gpadl_created, gpadl_id)},
	{VMBUS_MSG_GPADL_TORNDOWN, sizeof(struct vmbus_msg_gpadl_torndown), NULL,
		offsetof(struct vmbus_msg_gpadl_torndown, gpadl_id)},
	{VMBUS_MSG_VERSION_RESPONSE,
		offsetof(struct vmbus_msg_version_response, message_connection_id), NULL, NO_ID},
	{VMBUS_MSG_UNLOAD_RESPONSE, sizeof(struct vmbus_msg_header), NULL, NO_ID},
};

static uint32_t id_of(const struct message_kind *kind, const uint8_t *payload)
{
	uint32_t id = 0;

	if (kind->id_offset != NO_ID)
		memcpy(&id, payload + kind->id_offset, sizeof(id));
	return id;
}

static void dispatch(struct vsc_bus *bus, const struct hv_message *message)
{
	struct vmbus_msg_header header;

	if (message->type != VMBUS_MESSAGE_TYPE || message->payload_bytes < sizeof(header) ||
		message->payload_bytes > sizeof(message->payload))
		return;
	memcpy(&header, message->payload, sizeof(header));
	for (size_t i = 0; i < N_ELEMENTS(message_kinds); i++) {
		const struct message_kind *kind = &message_kinds[i];

		if (kind->type != header.type || message->payload_bytes < kind->min_bytes)
			continue;
		if (kind->handle) {
			kind->handle(bus, message->payload);
		} else if (bus->awaited_type == header.type &&
			   bus->awaited_id == id_of(kind, message->payload)) {
			memcpy(bus->answer, message->payload, sizeof(bus->answer));
			bus->answered = true;
			bus->awaited_type = 0;
		}
		return;
	}
}

bool vsc_bus_poll(struct vsc_bus *bus)
{
	struct hv_message message;
	bool any = false;

	while (bus->ops->take_message(bus->host, &message)) {
		dispatch(bus, &message);
		any = true;
	}
	return any;
}

/* --- requests --- */

/* Say first what is awaited: the answer may be there before the request's hypercall returns. */
static void await(struct vsc_bus *bus, uint32_t type, uint32_t id)
{
	bus->answered = false;
	bus->awaited_type = type;
	bus->awaited_id = id;
	memset(bus->answer, 0, sizeof(bus->answer));
}

static int wait_until(struct vsc_bus *bus, const bool *condition)
{
	uint64_t deadline_ns = bus->ops->now_ns(bus->host) + ANSWER_TIMEOUT_NS;

	for (;;) {
		vsc_bus_poll(bus);
		if (*condition)
			return 0;
		if (bus->ops->now_ns(bus->host) > deadline_ns)
			return -ETIMEDOUT;
		bus->ops->wait(bus->host);
	}
}

int vsc_bus_request(struct vsc_bus *bus, const void *message, size_t size_bytes,
	uint32_t answer_type, uint32_t id)
{
	int r;

	await(bus, answer_type, id);
	r = vsc_bus_send(bus, message, size_bytes);
	return r < 0 ? r : wait_until(bus, &bus->answered);
}

/* -EPROTONOSUPPORT: the host does not speak this version. */
static int initiate_contact(struct vsc_bus *bus, uint32_t version)
{
	struct vmbus_msg_initiate_contact request = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = version,
	};
	bool is_v5 = version >= VMBUS_VERSION_5_0;
	uint32_t connection_id = is_v5 ? VMBUS_CONNECTION_MESSAGES_V5 : VMBUS_CONNECTION_MESSAGES;
	struct vmbus_msg_version_response response;
	uint16_t status;
	int r;

	if (is_v5)
		request.v5.sint = VMBUS_SINT;
	await(bus, VMBUS_MSG_VERSION_RESPONSE, 0);
	status = post(bus, connection_id, &request, sizeof(request), false);
	if (status == HV_STATUS_INVALID_CONNECTION_ID)
		return -EPROTONOSUPPORT;
	if (status)
		return -EIO;
	r = wait_until(bus, &bus->answered);
	if (r < 0)
		return r;
	memcpy(&response, bus->answer, sizeof(response));
	if (!response.supported)
		return -EPROTONOSUPPORT;
	if (response.connection_state != VMBUS_CONNECTION_OK)
		return -EIO;
	bus->version = version;
	bus->message_connection_id =
		is_v5 ? response.message_connection_id : VMBUS_CONNECTION_MESSAGES;
	return 0;
}

int vsc_bus_connect(struct vsc_bus *bus, const struct vsc_host_ops *ops, void *host)
{
	int r = -EPROTONOSUPPORT;

	memset(bus, 0, sizeof(*bus));
	bus->ops = ops;
	bus->host = host;
	bus->next_gpadl_id = FIRST_GPADL_ID;
	for (size_t i = 0; i < N_ELEMENTS(versions) && r == -EPROTONOSUPPORT; i++)
		r = initiate_contact(bus, versions[i]);
	return r;
}

int vsc_bus_request_offers(struct vsc_bus *bus)
{
	struct vmbus_msg_header request = {.type = VMBUS_MSG_REQUEST_OFFERS};
	int r = vsc_bus_send(bus, &request, sizeof(request));

	return r < 0 ? r : wait_until(bus, &bus->offers_complete);
}

struct vsc_offer *vsc_bus_find_offer(
	struct vsc_bus *bus, const uint8_t class_guid[VMBUS_GUID_BYTES], unsigned index)
{
	for (size_t i = 0; i < VSC_MAX_OFFERS; i++) {
		struct vsc_offer *offer = &bus->offers[i];

		if (offer->relid && offer->sub_channel_index == 0 &&
			memcmp(offer->class_guid, class_guid, VMBUS_GUID_BYTES) == 0 &&
			index-- == 0)
			return offer;
	}
	return NULL;
}

int vsc_bus_unload(struct vsc_bus *bus)
{
	struct vmbus_msg_header request = {.type = VMBUS_MSG_UNLOAD};
	int r;

	if (!bus->version)
		return 0;
	r = vsc_bus_request(bus, &request, sizeof(request), VMBUS_MSG_UNLOAD_RESPONSE, 0);
	bus->version = 0;
	return r;
}

/* --- GPADLs --- */

static void fill_pfns(uint8_t *pfns, uint64_t first_pfn, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t pfn = first_pfn + i;

		memcpy(pfns + i * sizeof(pfn), &pfn, sizeof(pfn));
	}
}

static int send_gpadl_bodies(struct vsc_bus *bus, uint32_t gpadl_id, uint64_t pfn, uint32_t n_pages)
{
	struct {
		struct vmbus_msg_gpadl_body body;
		uint8_t pfns[VMBUS_GPADL_BODY_MAX_PFNS * sizeof(uint64_t)];
	} message = {.body = {.header.type = VMBUS_MSG_GPADL_BODY, .gpadl_id = gpadl_id}};
	int r = 0;

	while (n_pages && r == 0) {
		uint32_t n = MIN_OF(n_pages, (uint32_t)VMBUS_GPADL_BODY_MAX_PFNS);

		message.body.message_number++;
		fill_pfns(message.pfns, pfn, n);
		r = vsc_bus_send(bus, &message, sizeof(message.body) + n * sizeof(uint64_t));
		pfn += n;
		n_pages -= n;
	}
	return r;
}

int vsc_bus_gpadl_create(struct vsc_bus *bus, uint32_t relid, const void *memory,
	uint32_t size_bytes, uint32_t *ret_gpadl_id)
{
	uint32_t n_pages = size_bytes / VMBUS_PAGE_BYTES, gpadl_id = bus->next_gpadl_id++;
	uint32_t n = MIN_OF(n_pages, (uint32_t)VMBUS_GPADL_HEADER_MAX_PFNS);
	uint64_t pfn = (uintptr_t)memory / VMBUS_PAGE_BYTES;
	struct {
		struct vmbus_msg_gpadl_header header;
		uint8_t pfns[VMBUS_GPADL_HEADER_MAX_PFNS * sizeof(uint64_t)];
	} message = {
		.header =
			{
				.header.type = VMBUS_MSG_GPADL_HEADER,
				.relid = relid,
				.gpadl_id = gpadl_id,
				.range_buffer_bytes = (uint16_t)((n_pages + 1) * sizeof(uint64_t)),
				.range_count = 1,
				.range.byte_count = size_bytes,
			},
	};
	struct vmbus_msg_gpadl_created created;
	int r;

	await(bus, VMBUS_MSG_GPADL_CREATED, gpadl_id);
	fill_pfns(message.pfns, pfn, n);
	r = vsc_bus_send(bus, &message, sizeof(message.header) + n * sizeof(uint64_t));
	if (r == 0)
		r = send_gpadl_bodies(bus, gpadl_id, pfn + n, n_pages - n);
	if (r == 0)
		r = wait_until(bus, &bus->answered);
	if (r < 0)
		return r;
	memcpy(&created, bus->answer, sizeof(created));
	if (created.status)
		return -EIO;
	*ret_gpadl_id = gpadl_id;
	return 0;
}

int vsc_bus_gpadl_teardown(struct vsc_bus *bus, uint32_t relid, uint32_t gpadl_id)
{
	struct vmbus_msg_gpadl_teardown request = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = relid,
		.gpadl_id = gpadl_id,
	};

	return vsc_bus_request(bus, &request, sizeof(request), VMBUS_MSG_GPADL_TORNDOWN, gpadl_id);
}
