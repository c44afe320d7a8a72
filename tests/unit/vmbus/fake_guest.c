/* SPDX-License-Identifier: MIT */
#include "fake_guest.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#define PATIENCE_S 20

static void wait_for_change(struct fake_guest *guest)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	if (pthread_cond_timedwait(&guest->changed, &guest->lock, &until) == ETIMEDOUT) {
		print_error("the guest waited in vain\n");
		abort();
	}
}

static int on_post(void *host, uint32_t vp_index, const void *payload, size_t size_bytes)
{
	struct fake_guest *guest = host;
	int err = 0;

	pthread_mutex_lock(&guest->lock);
	if (guest->deaf) {
		err = -ENXIO;
	} else if (guest->slot_used) {
		err = -EAGAIN;
	} else {
		guest->slot_used = true;
		guest->slot_vp = vp_index;
		guest->slot_bytes = size_bytes;
		memcpy(guest->slot, payload, size_bytes);
		pthread_cond_broadcast(&guest->changed);
	}
	pthread_mutex_unlock(&guest->lock);
	return err;
}

static void on_signal(void *host, uint32_t vp_index, uint32_t relid)
{
	struct fake_guest *guest = host;

	if (vp_index >= FAKE_N_VPS)
		return;
	pthread_mutex_lock(&guest->lock);
	guest->flags[vp_index][relid / 64] |= 1ULL << relid % 64;
	guest->flags_ever[vp_index][relid / 64] |= 1ULL << relid % 64;
	guest->n_signals[vp_index]++;
	if (guest->next_signal) {
		guest->next_signal(guest->next_signal_data);
		guest->next_signal = NULL;
	}
	pthread_cond_broadcast(&guest->changed);
	pthread_mutex_unlock(&guest->lock);
}

static int on_doorbell_add(void *host, uint32_t connection_id, int event_fd)
{
	struct fake_guest *guest = host;
	int err = -ENOSPC;

	pthread_mutex_lock(&guest->lock);
	for (size_t i = 0; i < FAKE_MAX_DOORBELLS && err; i++) {
		if (guest->doorbells[i].connection_id)
			continue;
		guest->doorbells[i] = (struct fake_doorbell){connection_id, event_fd};
		err = 0;
	}
	pthread_mutex_unlock(&guest->lock);
	return err;
}

static void on_doorbell_remove(void *host, uint32_t connection_id, int event_fd)
{
	struct fake_guest *guest = host;

	pthread_mutex_lock(&guest->lock);
	for (size_t i = 0; i < FAKE_MAX_DOORBELLS; i++) {
		if (guest->doorbells[i].connection_id == connection_id &&
			guest->doorbells[i].fd == event_fd)
			guest->doorbells[i].connection_id = 0;
	}
	pthread_mutex_unlock(&guest->lock);
}

static const struct vmbus_host_ops fake_host_ops = {
	.post_message = on_post,
	.signal = on_signal,
	.doorbell_add = on_doorbell_add,
	.doorbell_remove = on_doorbell_remove,
};

void fake_guest_init(struct fake_guest *guest, uint32_t n_pages)
{
	memset(guest, 0, sizeof(*guest));
	guest_memory_init(&guest->memory, n_pages);
	pthread_mutex_init(&guest->lock, NULL);
	pthread_cond_init(&guest->changed, NULL);
	fake_guest_new_bus(guest);
}

void fake_guest_new_bus(struct fake_guest *guest)
{
	assert_int_equal(vmbus_new(guest->memory.space, &fake_host_ops, guest, &guest->bus), 0);
	assert_int_equal(unit_registry_new(&guest->units), 0);
	assert_int_equal(vmbus_register_unit(guest->bus, guest->units), 0);
}

void fake_guest_free_bus(struct fake_guest *guest)
{
	unit_registry_free(guest->units);
	vmbus_free(guest->bus);
	guest->units = NULL;
	guest->bus = NULL;
	for (size_t i = 0; i < FAKE_MAX_DOORBELLS; i++)
		assert_int_equal(guest->doorbells[i].connection_id, 0);
}

void fake_guest_fini(struct fake_guest *guest)
{
	if (guest->bus)
		fake_guest_free_bus(guest);
	guest_memory_fini(&guest->memory);
	pthread_cond_destroy(&guest->changed);
	pthread_mutex_destroy(&guest->lock);
}

void fake_guest_start(struct fake_guest *guest)
{
	assert_int_equal(unit_start_all(guest->units), 0);
}

void fake_guest_stop(struct fake_guest *guest)
{
	assert_int_equal(unit_stop_all(guest->units), 0);
}

uint16_t fake_guest_post(struct fake_guest *guest, const void *message, size_t size_bytes)
{
	return vmbus_post(
		guest->bus, VMBUS_CONNECTION_MESSAGES, VMBUS_MESSAGE_TYPE, message, size_bytes);
}

void fake_guest_take(struct fake_guest *guest, uint32_t type, void *ret_message, size_t size_bytes)
{
	uint32_t vp_index;

	pthread_mutex_lock(&guest->lock);
	while (!guest->slot_used)
		wait_for_change(guest);
	assert_int_equal(((struct vmbus_msg_header *)guest->slot)->type, type);
	assert_int_equal(guest->slot_bytes, size_bytes);
	if (ret_message)
		memcpy(ret_message, guest->slot, size_bytes);
	vp_index = guest->slot_vp;
	guest->slot_used = false;
	pthread_mutex_unlock(&guest->lock);
	vmbus_slot_free(guest->bus, vp_index, VMBUS_SINT);
}

void fake_guest_connect(struct fake_guest *guest, uint32_t version)
{
	struct vmbus_msg_initiate_contact m = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = version,
		.v5 = {.sint = VMBUS_SINT},
	};
	struct vmbus_msg_version_response response;

	assert_int_equal(fake_guest_post(guest, &m, sizeof(m)), 0);
	fake_guest_take(guest, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 1);
}

unsigned fake_guest_request_offers(
	struct fake_guest *guest, struct vmbus_msg_offer_channel *ret_offers, unsigned max)
{
	struct vmbus_msg_header m = {.type = VMBUS_MSG_REQUEST_OFFERS};
	unsigned n = 0;

	assert_int_equal(fake_guest_post(guest, &m, sizeof(m)), 0);
	for (;;) {
		struct vmbus_msg_offer_channel offer;
		uint32_t type;

		pthread_mutex_lock(&guest->lock);
		while (!guest->slot_used)
			wait_for_change(guest);
		type = ((struct vmbus_msg_header *)guest->slot)->type;
		pthread_mutex_unlock(&guest->lock);
		if (type == VMBUS_MSG_ALL_OFFERS_DELIVERED)
			break;
		fake_guest_take(guest, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
		if (n < max)
			ret_offers[n] = offer;
		n++;
	}
	fake_guest_take(guest, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(m));
	return n;
}

void fake_guest_unload(struct fake_guest *guest)
{
	struct vmbus_msg_header m = {.type = VMBUS_MSG_UNLOAD};

	assert_int_equal(fake_guest_post(guest, &m, sizeof(m)), 0);
	fake_guest_take(guest, VMBUS_MSG_UNLOAD_RESPONSE, NULL, sizeof(m));
}

uint32_t fake_guest_alloc(struct fake_guest *guest, uint32_t n_pages)
{
	uint32_t first = guest->n_pages_used;

	assert_true(first + n_pages <= guest->memory.n_pages);
	guest->n_pages_used += n_pages;
	return first;
}

uint32_t fake_guest_make_gpadl(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id,
	const uint32_t *pages, uint32_t n_pages)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_header header = {
		.header.type = VMBUS_MSG_GPADL_HEADER,
		.relid = relid,
		.gpadl_id = gpadl_id,
		.range_buffer_bytes = (uint16_t)(8 + 8 * n_pages),
		.range_count = 1,
		.range.byte_count = n_pages * VMBUS_PAGE_BYTES,
	};
	struct vmbus_msg_gpadl_body body = {
		.header.type = VMBUS_MSG_GPADL_BODY,
		.gpadl_id = gpadl_id,
	};
	struct vmbus_msg_gpadl_created created;
	size_t at = sizeof(header), max = VMBUS_GPADL_HEADER_MAX_PFNS;
	uint32_t done = 0;

	memcpy(bytes, &header, sizeof(header));
	while (done < n_pages) {
		size_t n = MIN((size_t)(n_pages - done), max);

		for (size_t i = 0; i < n; i++, done++) {
			uint64_t pfn = guest_pfn(pages[done]);

			memcpy(bytes + at + 8 * i, &pfn, sizeof(pfn));
		}
		assert_int_equal(fake_guest_post(guest, bytes, at + 8 * n), 0);
		memcpy(bytes, &body, sizeof(body));
		at = sizeof(body);
		max = VMBUS_GPADL_BODY_MAX_PFNS;
	}
	fake_guest_take(guest, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.relid, relid);
	assert_int_equal(created.gpadl_id, gpadl_id);
	return created.status;
}

void fake_guest_teardown_gpadl(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id)
{
	struct vmbus_msg_gpadl_teardown m = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = relid,
		.gpadl_id = gpadl_id,
	};
	struct vmbus_msg_gpadl_torndown answer;

	assert_int_equal(fake_guest_post(guest, &m, sizeof(m)), 0);
	fake_guest_take(guest, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
	assert_int_equal(answer.gpadl_id, gpadl_id);
}

uint32_t fake_channel_reopen(struct fake_channel *channel)
{
	struct vmbus_msg_open_channel m = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL,
		.relid = channel->relid,
		.open_id = channel->relid,
		.ring_gpadl_id = channel->gpadl_id,
		.target_vp = channel->target_vp,
		.downstream_page_offset = channel->n_ring_pages,
	};
	struct vmbus_msg_open_result result;

	assert_int_equal(fake_guest_post(channel->guest, &m, sizeof(m)), 0);
	fake_guest_take(channel->guest, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result));
	assert_int_equal(result.relid, channel->relid);
	return result.status;
}

uint32_t fake_channel_open(struct fake_guest *guest, const struct vmbus_msg_offer_channel *offer,
	const struct fake_open *how, struct fake_channel *ret_channel)
{
	uint32_t pages[2 * GUEST_RING_MAX_PAGES];
	uint32_t n = 2 * how->n_ring_pages;
	uint32_t step = how->scattered ? 2 : 1;
	uint32_t first = fake_guest_alloc(guest, n * step);
	struct fake_channel *c = ret_channel;

	*c = (struct fake_channel){
		.guest = guest,
		.relid = offer->relid,
		.connection_id = offer->connection_id,
		.gpadl_id = how->gpadl_id,
		.target_vp = how->target_vp,
		.n_ring_pages = how->n_ring_pages,
		.to_host.n_pages = how->n_ring_pages,
		.from_host.n_pages = how->n_ring_pages,
	};
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *page;

		pages[i] = first + step * i;
		page = guest_page(&guest->memory, pages[i]);
		if (i < how->n_ring_pages)
			c->to_host.pages[i] = page;
		else
			c->from_host.pages[i - how->n_ring_pages] = page;
	}
	guest_ring_reset(&c->to_host);
	guest_ring_reset(&c->from_host);
	assert_int_equal(fake_guest_make_gpadl(guest, offer->relid, how->gpadl_id, pages, n), 0);
	return fake_channel_reopen(c);
}

void fake_channel_close(struct fake_channel *channel)
{
	struct vmbus_msg_relid m = {
		.header.type = VMBUS_MSG_CLOSE_CHANNEL,
		.relid = channel->relid,
	};

	assert_int_equal(fake_guest_post(channel->guest, &m, sizeof(m)), 0);
}

void fake_channel_ring_doorbell(struct fake_channel *channel)
{
	struct fake_guest *guest = channel->guest;

	pthread_mutex_lock(&guest->lock);
	for (size_t i = 0; i < FAKE_MAX_DOORBELLS; i++) {
		if (guest->doorbells[i].connection_id == channel->connection_id)
			eventfd_write(guest->doorbells[i].fd, 1);
	}
	pthread_mutex_unlock(&guest->lock);
}

void fake_channel_wait(struct fake_channel *channel)
{
	struct fake_guest *guest = channel->guest;
	uint64_t *flags = &guest->flags[channel->target_vp][channel->relid / 64];
	uint64_t flag = 1ULL << channel->relid % 64;

	pthread_mutex_lock(&guest->lock);
	while (!(*flags & flag))
		wait_for_change(guest);
	*flags &= ~flag;
	pthread_mutex_unlock(&guest->lock);
}

bool fake_channel_try_send(struct fake_channel *channel, uint16_t type, uint64_t transaction_id,
	const void *header, size_t header_bytes, const void *payload, size_t payload_bytes)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = type,
		.flags = channel->no_completions ? 0 : VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction_id = transaction_id,
	};
	bool signal;

	if (!guest_ring_send(&channel->to_host, descriptor, header, header_bytes, payload,
		    payload_bytes, &signal))
		return false;
	if (signal)
		fake_channel_ring_doorbell(channel);
	return true;
}

void fake_channel_send(struct fake_channel *channel, uint64_t transaction_id, const void *payload,
	size_t payload_bytes)
{
	const uint32_t need = (uint32_t)(16 + ALIGN_UP(payload_bytes, 8) + 8);

	while (!fake_channel_try_send(
		channel, VMBUS_PACKET_INBAND, transaction_id, NULL, 0, payload, payload_bytes)) {
		ring_set(&channel->to_host, pending_send_bytes, need);
		if (fake_channel_try_send(channel, VMBUS_PACKET_INBAND, transaction_id, NULL, 0,
			    payload, payload_bytes))
			break;
		fake_channel_wait(channel);
	}
	ring_set(&channel->to_host, pending_send_bytes, 0);
}

int fake_channel_try_recv(struct fake_channel *channel, uint8_t *ret_packet, size_t capacity)
{
	bool signal = false;
	int n = guest_ring_recv(&channel->from_host, ret_packet, capacity, &signal);

	assert_true(n >= 0);
	if (signal)
		fake_channel_ring_doorbell(channel);
	return n;
}

int fake_channel_recv(struct fake_channel *channel, uint8_t *ret_packet, size_t capacity)
{
	int n;

	while ((n = fake_channel_try_recv(channel, ret_packet, capacity)) == 0)
		fake_channel_wait(channel);
	return n;
}

unsigned fake_guest_n_signals(struct fake_guest *guest, uint32_t vp_index)
{
	unsigned n;

	pthread_mutex_lock(&guest->lock);
	n = guest->n_signals[vp_index];
	pthread_mutex_unlock(&guest->lock);
	return n;
}

bool fake_guest_flag_was_set(struct fake_guest *guest, uint32_t vp_index, uint32_t relid)
{
	bool set;

	pthread_mutex_lock(&guest->lock);
	set = guest->flags_ever[vp_index][relid / 64] >> relid % 64 & 1;
	pthread_mutex_unlock(&guest->lock);
	return set;
}
