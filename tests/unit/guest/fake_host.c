/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

void fake_host_message(struct fake_host *host, const void *payload, size_t size_bytes)
{
	struct hv_message *message = &host->messages[host->n_messages];

	if (host->mute)
		return;
	assert_true(host->n_messages < FAKE_MAX_MESSAGES);
	host->n_messages++;
	memset(message, 0, sizeof(*message));
	message->type = VMBUS_MESSAGE_TYPE;
	message->payload_bytes = (uint8_t)size_bytes;
	memcpy(message->payload, payload, size_bytes);
}

void fake_host_offer(
	struct fake_host *host, uint32_t relid, const uint8_t class_guid[VMBUS_GUID_BYTES])
{
	struct vmbus_msg_offer_channel offer = {
		.header.type = VMBUS_MSG_OFFER_CHANNEL,
		.relid = relid,
		.is_dedicated_interrupt = 1,
		.connection_id = FAKE_CONNECTION + relid,
	};

	memcpy(offer.class_guid, class_guid, VMBUS_GUID_BYTES);
	fake_host_message(host, &offer, sizeof(offer));
}

struct fake_channel *fake_host_add_channel(
	struct fake_host *host, uint32_t relid, const uint8_t class_guid[VMBUS_GUID_BYTES])
{
	for (size_t i = 0; i < FAKE_MAX_CHANNELS; i++) {
		if (host->channels[i].relid)
			continue;
		host->channels[i].relid = relid;
		fake_host_offer(host, relid, class_guid);
		return &host->channels[i];
	}
	fail();
	return NULL;
}

void fake_host_rescind(struct fake_host *host, uint32_t relid)
{
	struct vmbus_msg_relid message = {.header.type = VMBUS_MSG_RESCIND_OFFER, .relid = relid};

	fake_host_message(host, &message, sizeof(message));
}

void fake_host_signal(struct fake_host *host, const struct fake_channel *channel)
{
	host->events[channel->relid / 64] |= 1ULL << channel->relid % 64;
}

static struct fake_gpadl *gpadl_find(struct fake_host *host, uint32_t id)
{
	for (size_t i = 0; i < FAKE_MAX_GPADLS; i++) {
		if (host->gpadls[i].id == id)
			return &host->gpadls[i];
	}
	return NULL;
}

void *fake_host_gpadl(struct fake_host *host, uint32_t id, uint32_t *ret_size_bytes)
{
	struct fake_gpadl *gpadl = id ? gpadl_find(host, id) : NULL;

	if (!gpadl || gpadl->n_known != gpadl->n_pages)
		return NULL;
	*ret_size_bytes = gpadl->n_pages * VMBUS_PAGE_BYTES;
	return (void *)(uintptr_t)(gpadl->first_pfn * VMBUS_PAGE_BYTES);
}

static void gpadl_pages(
	struct fake_host *host, struct fake_gpadl *gpadl, const uint8_t *pfns, size_t size_bytes)
{
	struct vmbus_msg_gpadl_created created = {
		.header.type = VMBUS_MSG_GPADL_CREATED,
		.relid = gpadl->relid,
		.gpadl_id = gpadl->id,
		.status = host->refuse_gpadls,
	};

	assert_int_equal(size_bytes % 8, 0);
	for (; size_bytes; size_bytes -= 8, pfns += 8) {
		uint64_t pfn;

		memcpy(&pfn, pfns, 8);
		if (gpadl->n_known == 0)
			gpadl->first_pfn = pfn;
		assert_true(pfn == gpadl->first_pfn + gpadl->n_known);
		gpadl->n_known++;
	}
	assert_true(gpadl->n_known <= gpadl->n_pages);
	if (gpadl->n_known < gpadl->n_pages)
		return;
	if (host->refuse_gpadls)
		gpadl->id = 0;
	fake_host_message(host, &created, sizeof(created));
}

static void on_gpadl_header(struct fake_host *host, const uint8_t *data, size_t size_bytes)
{
	const struct vmbus_msg_gpadl_header *message = (const void *)data;
	struct fake_gpadl *gpadl = gpadl_find(host, 0);

	assert_non_null(gpadl);
	assert_null(gpadl_find(host, message->gpadl_id));
	assert_int_equal(message->range_count, 1);
	assert_int_equal(message->range.byte_offset, 0);
	assert_int_equal(message->range.byte_count % VMBUS_PAGE_BYTES, 0);
	*gpadl = (struct fake_gpadl){
		.id = message->gpadl_id,
		.relid = message->relid,
		.n_pages = message->range.byte_count / VMBUS_PAGE_BYTES,
	};
	assert_int_equal(message->range_buffer_bytes, 8 * (gpadl->n_pages + 1));
	gpadl_pages(host, gpadl, data + sizeof(*message), size_bytes - sizeof(*message));
}

static void on_gpadl_body(struct fake_host *host, const uint8_t *data, size_t size_bytes)
{
	const struct vmbus_msg_gpadl_body *message = (const void *)data;
	struct fake_gpadl *gpadl = gpadl_find(host, message->gpadl_id);

	assert_non_null(gpadl);
	gpadl_pages(host, gpadl, data + sizeof(*message), size_bytes - sizeof(*message));
}

static void on_gpadl_teardown(struct fake_host *host, const uint8_t *data)
{
	const struct vmbus_msg_gpadl_teardown *message = (const void *)data;
	struct fake_gpadl *gpadl = gpadl_find(host, message->gpadl_id);
	struct vmbus_msg_gpadl_torndown reply = {
		.header.type = VMBUS_MSG_GPADL_TORNDOWN, .gpadl_id = message->gpadl_id};

	assert_non_null(gpadl);
	assert_int_equal(gpadl->relid, message->relid);
	gpadl->id = 0;
	fake_host_message(host, &reply, sizeof(reply));
}

static struct fake_channel *channel_find(struct fake_host *host, uint32_t relid)
{
	for (size_t i = 0; i < FAKE_MAX_CHANNELS; i++) {
		if (host->channels[i].relid == relid)
			return &host->channels[i];
	}
	fail();
	return NULL;
}

static void on_open(struct fake_host *host, const uint8_t *data)
{
	const struct vmbus_msg_open_channel *message = (const void *)data;
	struct fake_channel *channel = channel_find(host, message->relid);
	uint32_t n_pages = message->downstream_page_offset, size_bytes;
	uint8_t *rings = fake_host_gpadl(host, message->ring_gpadl_id, &size_bytes);
	struct vmbus_msg_open_result result = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL_RESULT,
		.relid = message->relid,
		.open_id = message->open_id,
		.status = host->refuse_opens ? 0xc0000001 : 0,
	};

	assert_non_null(rings);
	assert_int_equal(size_bytes, 2 * n_pages * VMBUS_PAGE_BYTES);
	assert_int_equal(message->target_vp, 0);
	vsc_ring_init(&channel->in, rings, n_pages);
	vsc_ring_init(&channel->out, rings + n_pages * VMBUS_PAGE_BYTES, n_pages);
	channel->gpadl_id = message->ring_gpadl_id;
	channel->open = !host->refuse_opens;
	fake_host_message(host, &result, sizeof(result));
}

static void on_contact(struct fake_host *host, uint32_t connection_id, const uint8_t *data)
{
	const struct vmbus_msg_initiate_contact *message = (const void *)data;
	struct vmbus_msg_version_response response = {
		.header.type = VMBUS_MSG_VERSION_RESPONSE,
		.supported = message->version <= host->newest_version,
		.message_connection_id = host->message_connection_id,
	};

	assert_int_equal(connection_id, message->version >= VMBUS_VERSION_5_0 ? 4 : 1);
	assert_int_equal(message->target_vp, 0);
	if (message->version >= VMBUS_VERSION_5_0)
		assert_int_equal(message->v5.sint, VMBUS_SINT);
	host->n_contacts++;
	fake_host_message(host, &response, sizeof(response));
}

static void on_request_offers(struct fake_host *host)
{
	struct vmbus_msg_header done = {.type = VMBUS_MSG_ALL_OFFERS_DELIVERED};

	fake_host_message(host, &done, sizeof(done));
}

static void on_unload(struct fake_host *host)
{
	struct vmbus_msg_header done = {.type = VMBUS_MSG_UNLOAD_RESPONSE};

	host->n_unloads++;
	memset(host->gpadls, 0, sizeof(host->gpadls));
	fake_host_message(host, &done, sizeof(done));
}

static void on_message(
	struct fake_host *host, uint32_t connection_id, const uint8_t *data, size_t size_bytes)
{
	const struct vmbus_msg_header *header = (const void *)data;

	if (header->type != VMBUS_MSG_INITIATE_CONTACT)
		assert_int_equal(connection_id, host->bus.message_connection_id);
	switch (header->type) {
	case VMBUS_MSG_INITIATE_CONTACT:
		on_contact(host, connection_id, data);
		break;
	case VMBUS_MSG_REQUEST_OFFERS:
		on_request_offers(host);
		break;
	case VMBUS_MSG_GPADL_HEADER:
		on_gpadl_header(host, data, size_bytes);
		break;
	case VMBUS_MSG_GPADL_BODY:
		on_gpadl_body(host, data, size_bytes);
		break;
	case VMBUS_MSG_GPADL_TEARDOWN:
		on_gpadl_teardown(host, data);
		break;
	case VMBUS_MSG_OPEN_CHANNEL:
		on_open(host, data);
		break;
	case VMBUS_MSG_CLOSE_CHANNEL:
		channel_find(host, ((const struct vmbus_msg_relid *)header)->relid)->open = false;
		break;
	case VMBUS_MSG_RELID_RELEASED:
		host->n_relids_released++;
		break;
	case VMBUS_MSG_UNLOAD:
		on_unload(host);
		break;
	default:
		fail();
	}
}

static uint16_t post_message(
	void *data, uint32_t connection_id, const void *payload, size_t size_bytes)
{
	struct fake_host *host = data;

	assert_true(size_bytes <= HV_MESSAGE_PAYLOAD_MAX_BYTES);
	if (connection_id == VMBUS_CONNECTION_MESSAGES_V5 && host->no_connection_4)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (host->n_busy) {
		host->n_busy--;
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	}
	on_message(host, connection_id, payload, size_bytes);
	return HV_STATUS_SUCCESS;
}

static void on_signal(void *data, uint32_t connection_id)
{
	struct fake_host *host = data;
	struct fake_channel *channel = channel_find(host, connection_id - FAKE_CONNECTION);

	host->n_signals++;
	if (channel->open && channel->signalled)
		channel->signalled(channel, channel->device);
}

static bool take_message(void *data, struct hv_message *ret_message)
{
	struct fake_host *host = data;

	if (host->n_messages == 0)
		return false;
	*ret_message = host->messages[0];
	host->n_messages--;
	memmove(host->messages, host->messages + 1, host->n_messages * sizeof(host->messages[0]));
	return true;
}

static bool take_event(void *data, uint32_t relid)
{
	struct fake_host *host = data;
	uint64_t bit = 1ULL << relid % 64;
	bool set = host->events[relid / 64] & bit;

	host->events[relid / 64] &= ~bit;
	return set;
}

static void wait(void *data)
{
	((struct fake_host *)data)->now_ns += NS_PER_MS;
}

static uint64_t now_ns(void *data)
{
	return ((struct fake_host *)data)->now_ns;
}

const struct vsc_host_ops fake_host_ops = {
	.post_message = post_message,
	.signal = on_signal,
	.take_message = take_message,
	.take_event = take_event,
	.wait = wait,
	.now_ns = now_ns,
};

struct fake_host *fake_host_new(void)
{
	struct fake_host *host = calloc(1, sizeof(*host));

	assert_non_null(host);
	host->newest_version = VMBUS_VERSION_5_3;
	host->message_connection_id = VMBUS_CONNECTION_MESSAGES_V5;
	return host;
}

struct fake_host *fake_host_connected(void)
{
	struct fake_host *host = fake_host_new();

	assert_int_equal(vsc_bus_connect(&host->bus, &fake_host_ops, host), 0);
	assert_int_equal(vsc_bus_request_offers(&host->bus), 0);
	return host;
}

void fake_host_free(struct fake_host *host)
{
	free(host);
}
