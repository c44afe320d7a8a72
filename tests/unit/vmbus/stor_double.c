/* SPDX-License-Identifier: MIT */
#include "stor_double.h"

#include "base/bytes.h"

struct queued {
	struct list link;
	struct vmbus_packet packet;
	uint8_t *payload;
	uint8_t *pfns;
};

struct sent {
	struct list link;
	struct stor_double_packet packet;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void *copy_exact(const void *data, size_t size_bytes)
{
	uint8_t *copy = must(malloc(size_bytes ? size_bytes : 1));

	if (size_bytes)
		memcpy(copy, data, size_bytes);
	return copy;
}

struct stor_double *stor_double_new(void)
{
	struct stor_double *bus = must(calloc(1, sizeof(*bus)));

	bus->memory = must(calloc(1, STOR_DOUBLE_MEMORY_BYTES));
	for (unsigned i = 0; i < STOR_DOUBLE_MAX_CHANNELS; i++) {
		bus->channels[i].bus = bus;
		list_init(&bus->channels[i].queued);
		list_init(&bus->channels[i].sent);
		bus->channels[i].room = STOR_DOUBLE_NO_LIMIT;
	}
	return bus;
}

static void queued_free(struct queued *queued)
{
	if (!queued)
		return;
	free(queued->payload);
	free(queued->pfns);
	free(queued);
}

static void forget_packets(struct vmbus_channel *channel)
{
	struct queued *queued;
	struct sent *sent;

	while ((queued = list_pop(&channel->queued, struct queued, link)))
		queued_free(queued);
	while ((sent = list_pop(&channel->sent, struct sent, link)))
		free(sent);
	queued_free(take_ptr(channel->current));
}

void stor_double_free(struct stor_double *bus)
{
	if (!bus)
		return;
	for (unsigned i = 0; i < STOR_DOUBLE_MAX_CHANNELS; i++)
		forget_packets(&bus->channels[i]);
	free(bus->memory);
	free(bus);
}

void stor_double_push(struct vmbus_channel *channel, uint16_t type, uint64_t transaction_id,
	bool completion_requested, const void *payload, size_t payload_bytes,
	const struct stor_double_range *ranges, unsigned n_ranges)
{
	struct queued *queued = must(calloc(1, sizeof(*queued)));
	struct buf pfns = {0};
	size_t at = 0;

	queued->payload = copy_exact(payload, payload_bytes);
	queued->packet.type = type;
	queued->packet.completion_requested = completion_requested;
	queued->packet.transaction_id = transaction_id;
	queued->packet.payload = queued->payload;
	queued->packet.payload_bytes = payload_bytes;
	queued->packet.n_ranges = n_ranges;
	for (unsigned i = 0; i < n_ranges; i++) {
		struct vmbus_range *range = &queued->packet.ranges[i];

		range->byte_count = ranges[i].byte_count;
		range->byte_offset = ranges[i].gpa % GPA_PAGE_SIZE;
		range->n_pfns = (uint32_t)(((uint64_t)range->byte_offset + range->byte_count +
						   GPA_PAGE_SIZE - 1) /
					   GPA_PAGE_SIZE);
		for (uint32_t k = 0; k < range->n_pfns; k++)
			buf_le64(&pfns, ranges[i].gpa / GPA_PAGE_SIZE + k);
	}
	queued->pfns = copy_exact(pfns.data, pfns.size_bytes);
	for (unsigned i = 0; i < n_ranges; i++) {
		queued->packet.ranges[i].pfns = queued->pfns + at;
		at += queued->packet.ranges[i].n_pfns * sizeof(uint64_t);
	}
	buf_fini(&pfns);
	list_append(&channel->queued, &queued->link);
}

bool stor_double_take(struct vmbus_channel *channel, struct stor_double_packet *ret_packet)
{
	struct sent *sent = list_pop(&channel->sent, struct sent, link);

	if (!sent)
		return false;
	*ret_packet = sent->packet;
	free(sent);
	return true;
}

static size_t count(const struct list *head)
{
	size_t n = 0;

	for (const struct list *at = head->next; at != head; at = at->next)
		n++;
	return n;
}

size_t stor_double_n_queued(const struct vmbus_channel *channel)
{
	return count(&channel->queued);
}

size_t stor_double_n_sent(const struct vmbus_channel *channel)
{
	return count(&channel->sent);
}

void stor_double_open(struct vmbus_channel *channel)
{
	channel->is_open = true;
	if (channel->ops->open(channel->device, channel))
		abort();
}

void stor_double_close(struct vmbus_channel *channel)
{
	channel->ops->close(channel->device, channel);
	channel->is_open = false;
	forget_packets(channel);
}

bool stor_double_work(struct vmbus_channel *channel)
{
	return channel->is_open && channel->ops->work(channel->device, channel);
}

/* ---- channel.h ---- */

int vmbus_channel_recv(struct vmbus_channel *channel, struct vmbus_packet *ret_packet)
{
	if (channel->broken)
		return -EBADMSG;
	if (list_empty(&channel->queued))
		return -EAGAIN;
	queued_free(channel->current);
	channel->current = list_pop(&channel->queued, struct queued, link);
	*ret_packet = ((struct queued *)channel->current)->packet;
	return 0;
}

static int put(struct vmbus_channel *channel, const struct stor_double_packet *packet,
	const void *payload, size_t size_bytes)
{
	struct sent *sent;

	if (channel->broken)
		return -EBADMSG;
	if (channel->room == 0)
		return -EAGAIN;
	if (channel->room != STOR_DOUBLE_NO_LIMIT)
		channel->room--;
	sent = must(calloc(1, sizeof(*sent)));
	sent->packet = *packet;
	if (size_bytes > sizeof(sent->packet.payload))
		abort();
	memcpy(sent->packet.payload, payload, size_bytes);
	sent->packet.payload_bytes = size_bytes;
	list_append(&channel->sent, &sent->link);
	return 0;
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction_id,
	const void *payload, size_t size_bytes)
{
	const struct stor_double_packet packet = {
		.type = VMBUS_PACKET_COMPLETION,
		.transaction_id = transaction_id,
	};

	return put(channel, &packet, payload, size_bytes);
}

int vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
	bool request_completion, const void *payload, size_t size_bytes)
{
	const struct stor_double_packet packet = {
		.type = VMBUS_PACKET_INBAND,
		.transaction_id = transaction_id,
		.completion_requested = request_completion,
	};

	return put(channel, &packet, payload, size_bytes);
}

void vmbus_channel_kick(struct vmbus_channel *channel)
{
	channel->n_kicks++;
}

bool vmbus_channel_is_open(const struct vmbus_channel *channel)
{
	return channel->is_open;
}

/* Where byte `offset` of the ranges is, and how many bytes of that page belong to them. NULL. */
static uint8_t *locate(const struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint64_t offset, size_t *ret_bytes)
{
	for (unsigned i = 0; i < n_ranges; i++) {
		uint64_t at, pfn;

		if (offset >= ranges[i].byte_count) {
			offset -= ranges[i].byte_count;
			continue;
		}
		at = ranges[i].byte_offset + offset;
		pfn = load_le64(ranges[i].pfns + at / GPA_PAGE_SIZE * sizeof(uint64_t));
		if (pfn >= STOR_DOUBLE_PAGES)
			return NULL;
		*ret_bytes = MIN((size_t)(GPA_PAGE_SIZE - at % GPA_PAGE_SIZE),
			(size_t)(ranges[i].byte_count - offset));
		return channel->bus->memory + pfn * GPA_PAGE_SIZE + at % GPA_PAGE_SIZE;
	}
	return NULL;
}

static void mark_dirty(struct stor_double *bus, const uint8_t *at, size_t size_bytes)
{
	size_t first = (size_t)(at - bus->memory) / GPA_PAGE_SIZE;
	size_t last = (size_t)(at - bus->memory + size_bytes - 1) / GPA_PAGE_SIZE;

	for (size_t i = first; i <= last; i++)
		bus->dirty[i] = true;
}

int vmbus_ranges_read(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, void *ret_data, size_t size_bytes)
{
	uint8_t *data = ret_data;

	while (size_bytes) {
		size_t n;
		const uint8_t *at = locate(channel, ranges, n_ranges, offset, &n);

		if (!at)
			return -EFAULT;
		n = MIN(n, size_bytes);
		memcpy(data, at, n);
		data += n;
		offset += (uint32_t)n;
		size_bytes -= n;
	}
	return 0;
}

int vmbus_ranges_write(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, const void *bytes, size_t size_bytes)
{
	const uint8_t *data = bytes;

	while (size_bytes) {
		size_t n;
		uint8_t *at = locate(channel, ranges, n_ranges, offset, &n);

		if (!at)
			return -EFAULT;
		n = MIN(n, size_bytes);
		memcpy(at, data, n);
		mark_dirty(channel->bus, at, n);
		data += n;
		offset += (uint32_t)n;
		size_bytes -= n;
	}
	return 0;
}

int vmbus_ranges_iov(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, size_t size_bytes, struct iovec *ret_iov,
	unsigned max_iov)
{
	unsigned n_iov = 0;

	while (size_bytes) {
		struct iovec *last = n_iov ? &ret_iov[n_iov - 1] : NULL;
		size_t n;
		uint8_t *at = locate(channel, ranges, n_ranges, offset, &n);

		if (!at)
			return -EFAULT;
		n = MIN(n, size_bytes);
		if (last && !channel->bus->scattered &&
			(uint8_t *)last->iov_base + last->iov_len == at) {
			last->iov_len += n;
		} else {
			if (n_iov == max_iov)
				return -E2BIG;
			ret_iov[n_iov++] = (struct iovec){at, n};
		}
		offset += (uint32_t)n;
		size_bytes -= n;
	}
	return (int)n_iov;
}

void vmbus_iov_mark_dirty(struct vmbus_channel *channel, const struct iovec *iov, unsigned n_iov)
{
	for (unsigned i = 0; i < n_iov; i++)
		mark_dirty(channel->bus, iov[i].iov_base, iov[i].iov_len);
}

static void add(struct stor_double *bus, const struct vmbus_device_ops *ops, void *device,
	struct vmbus_channel **ret_channel)
{
	struct vmbus_channel *channel = &bus->channels[bus->n_channels++];

	channel->ops = ops;
	channel->device = device;
	*ret_channel = channel;
}

int vmbus_offer_add(struct vmbus *vmbus, const struct vmbus_offer *offer,
	const struct vmbus_device_ops *ops, void *device, struct vmbus_channel **ret_channel)
{
	struct stor_double *bus = (void *)vmbus;

	bus->offer = *offer;
	add(bus, ops, device, ret_channel);
	return 0;
}

int vmbus_subchannel_add(struct vmbus_channel *primary, const struct vmbus_device_ops *ops,
	void *device, struct vmbus_channel **ret_channel)
{
	add(primary->bus, ops, device, ret_channel);
	return 0;
}

int vmbus_subchannels_offer(struct vmbus_channel *primary, unsigned n_channels)
{
	struct stor_double *bus = primary->bus;

	if (n_channels >= bus->n_channels)
		return -EINVAL;
	bus->n_offered = MAX(bus->n_offered, n_channels);
	bus->n_sent_at_offer = stor_double_n_sent(primary);
	return 0;
}

void vmbus_offer_remove(struct vmbus_channel *primary)
{
	struct stor_double *bus = primary->bus;

	for (unsigned i = bus->n_channels; i-- > 0;) {
		if (bus->channels[i].is_open)
			stor_double_close(&bus->channels[i]);
	}
	bus->n_channels = 0;
	bus->n_offered = 0;
}
