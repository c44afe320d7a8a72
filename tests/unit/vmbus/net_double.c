/* SPDX-License-Identifier: MIT */
#include "net_double.h"

#include "base/bytes.h"

struct queued {
	struct list link;
	struct vmbus_packet packet;
	uint8_t *payload;
	uint8_t *pfns;
};

struct sent {
	struct list link;
	struct net_double_packet packet;
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

static void queues_init(struct vmbus_channel *channel)
{
	list_init(&channel->queued);
	list_init(&channel->sent);
	channel->room = NET_DOUBLE_NO_LIMIT;
}

struct vmbus_channel *net_double_new(void)
{
	struct vmbus_channel *channel = must(calloc(1, sizeof(*channel)));

	channel->memory = must(calloc(1, NET_DOUBLE_MEMORY_BYTES));
	list_init(&channel->gpadls);
	queues_init(channel);
	return channel;
}

struct vmbus_channel *net_double_sub(struct vmbus_channel *primary)
{
	struct vmbus_channel *channel = must(calloc(1, sizeof(*channel)));

	if (primary->n_subs == NET_DOUBLE_MAX_SUBS)
		abort();
	channel->primary = primary;
	channel->memory = primary->memory;
	list_init(&channel->gpadls);
	queues_init(channel);
	primary->subs[primary->n_subs++] = channel;
	return channel;
}

static void queued_free(struct queued *queued)
{
	if (!queued)
		return;
	free(queued->payload);
	free(queued->pfns);
	free(queued);
}

void net_double_free(struct vmbus_channel *channel)
{
	struct vmbus_gpadl *gpadl;
	struct queued *queued;
	struct sent *sent;

	if (!channel)
		return;
	while ((gpadl = list_pop(&channel->gpadls, struct vmbus_gpadl, link))) {
		free(gpadl->bytes);
		free(gpadl);
	}
	while ((queued = list_pop(&channel->queued, struct queued, link)))
		queued_free(queued);
	while ((sent = list_pop(&channel->sent, struct sent, link)))
		free(sent);
	queued_free(channel->current);
	for (unsigned i = 0; i < channel->n_subs; i++)
		net_double_free(channel->subs[i]);
	if (!channel->primary)
		free(channel->memory);
	free(channel);
}

uint8_t *net_double_gpadl(struct vmbus_channel *channel, uint32_t gpadl_id, uint32_t size_bytes)
{
	struct vmbus_gpadl *gpadl = must(calloc(1, sizeof(*gpadl)));

	gpadl->id = gpadl_id;
	gpadl->size_bytes = size_bytes;
	gpadl->bytes = must(calloc(1, size_bytes));
	list_append(&channel->gpadls, &gpadl->link);
	return gpadl->bytes;
}

void net_double_shrink(struct vmbus_channel *channel, uint32_t gpadl_id, uint32_t size_bytes)
{
	struct vmbus_gpadl *gpadl;

	list_for_each(gpadl, &channel->gpadls, link) {
		if (gpadl->id == gpadl_id)
			gpadl->size_bytes = size_bytes;
	}
}

void net_double_gpadl_drop(struct vmbus_channel *channel, uint32_t gpadl_id)
{
	struct vmbus_gpadl *gpadl, *next;

	list_for_each_safe(gpadl, next, &channel->gpadls, link) {
		if (gpadl->id != gpadl_id)
			continue;
		list_remove(&gpadl->link);
		free(gpadl->bytes);
		free(gpadl);
	}
}

void net_double_push(struct vmbus_channel *channel, uint16_t type, uint64_t transaction_id,
	bool completion_requested, const void *payload, size_t payload_bytes,
	const struct net_double_range *ranges, unsigned n_ranges)
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

bool net_double_take(struct vmbus_channel *channel, struct net_double_packet *ret_packet)
{
	struct sent *sent = list_pop(&channel->sent, struct sent, link);

	if (!sent)
		return false;
	*ret_packet = sent->packet;
	free(sent);
	return true;
}

size_t net_double_n_queued(const struct vmbus_channel *channel)
{
	const struct queued *queued;
	size_t n = 0;

	list_for_each(queued, &channel->queued, link)
		n++;
	return n;
}

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

static int send(struct vmbus_channel *channel, const struct net_double_packet *packet,
	const void *payload, size_t size_bytes)
{
	struct sent *sent;

	if (channel->broken)
		return -EBADMSG;
	if (channel->room == 0)
		return -EAGAIN;
	if (channel->room != NET_DOUBLE_NO_LIMIT)
		channel->room--;
	sent = must(calloc(1, sizeof(*sent)));
	sent->packet = *packet;
	if (size_bytes > sizeof(sent->packet.payload))
		abort();
	if (size_bytes)
		memcpy(sent->packet.payload, payload, size_bytes);
	sent->packet.payload_bytes = size_bytes;
	list_append(&channel->sent, &sent->link);
	return 0;
}

int vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
	bool request_completion, const void *payload, size_t size_bytes)
{
	const struct net_double_packet packet = {
		.type = VMBUS_PACKET_INBAND,
		.transaction_id = transaction_id,
	};

	if (request_completion)
		abort(); /* none of the VSP's inband messages has one */
	return send(channel, &packet, payload, size_bytes);
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction_id,
	const void *payload, size_t size_bytes)
{
	const struct net_double_packet packet = {
		.type = VMBUS_PACKET_COMPLETION,
		.transaction_id = transaction_id,
	};

	return send(channel, &packet, payload, size_bytes);
}

int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint64_t transaction_id,
	uint16_t pageset_id, const struct vmbus_transfer_range *ranges, unsigned n_ranges,
	const void *payload, size_t size_bytes)
{
	struct net_double_packet packet = {
		.type = VMBUS_PACKET_TRANSFER_PAGES,
		.transaction_id = transaction_id,
		.pageset_id = pageset_id,
		.n_ranges = n_ranges,
	};

	if (n_ranges > ARRAY_LEN(packet.ranges))
		abort();
	memcpy(packet.ranges, ranges, n_ranges * sizeof(ranges[0]));
	return send(channel, &packet, payload, size_bytes);
}

void vmbus_channel_kick(struct vmbus_channel *channel)
{
	__atomic_fetch_add(&channel->n_kicks, 1, __ATOMIC_RELAXED);
}

int vmbus_channel_gpadl(
	struct vmbus_channel *channel, uint32_t gpadl_id, const struct vmbus_gpadl **ret_gpadl)
{
	const struct vmbus_gpadl *gpadl;

	list_for_each(gpadl, &(channel->primary ?: channel)->gpadls, link) {
		if (gpadl->id == gpadl_id) {
			*ret_gpadl = gpadl;
			return 0;
		}
	}
	return -ENOENT;
}

uint32_t vmbus_gpadl_size_bytes(const struct vmbus_gpadl *gpadl)
{
	return gpadl->size_bytes;
}

static bool is_inside(const struct vmbus_gpadl *gpadl, uint32_t offset, size_t size_bytes)
{
	return offset <= gpadl->size_bytes && size_bytes <= gpadl->size_bytes - offset;
}

int vmbus_gpadl_read(
	const struct vmbus_gpadl *gpadl, uint32_t offset, void *ret_data, size_t size_bytes)
{
	if (!is_inside(gpadl, offset, size_bytes))
		return -EFAULT;
	memcpy(ret_data, gpadl->bytes + offset, size_bytes);
	return 0;
}

int vmbus_gpadl_write(
	const struct vmbus_gpadl *gpadl, uint32_t offset, const void *data, size_t size_bytes)
{
	if (!is_inside(gpadl, offset, size_bytes))
		return -EFAULT;
	memcpy(gpadl->bytes + offset, data, size_bytes);
	return 0;
}

/* Up to the end of the page. Returns how much, or -EFAULT. */
static ssize_t read_page(const struct vmbus_channel *channel, const struct vmbus_range *range,
	uint32_t offset, uint8_t *ret_data, size_t size_bytes)
{
	uint64_t at = (uint64_t)range->byte_offset + offset;
	uint64_t pfn = load_le64(range->pfns + at / GPA_PAGE_SIZE * sizeof(uint64_t));

	if (pfn >= NET_DOUBLE_MEMORY_BYTES / GPA_PAGE_SIZE)
		return -EFAULT;
	at %= GPA_PAGE_SIZE;
	size_bytes = MIN(size_bytes, (size_t)(GPA_PAGE_SIZE - at));
	memcpy(ret_data, channel->memory + pfn * GPA_PAGE_SIZE + at, size_bytes);
	return (ssize_t)size_bytes;
}

int vmbus_ranges_read(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, void *ret_data, size_t size_bytes)
{
	uint8_t *data = ret_data;

	for (unsigned i = 0; i < n_ranges && size_bytes; i++) {
		while (offset < ranges[i].byte_count && size_bytes) {
			ssize_t n = read_page(channel, &ranges[i], offset, data,
				MIN(size_bytes, (size_t)(ranges[i].byte_count - offset)));

			if (n < 0)
				return (int)n;
			offset += (uint32_t)n;
			data += n;
			size_bytes -= (size_t)n;
		}
		offset -= ranges[i].byte_count;
	}
	return size_bytes ? -EFAULT : 0;
}

int vmbus_offer_add(struct vmbus *bus, const struct vmbus_offer *offer,
	const struct vmbus_device_ops *ops, void *device, struct vmbus_channel **ret_channel)
{
	struct vmbus_channel *channel = (void *)bus;

	channel->offer = *offer;
	channel->ops = ops;
	channel->device = device;
	*ret_channel = channel;
	return 0;
}

int vmbus_subchannel_add(struct vmbus_channel *primary, const struct vmbus_device_ops *ops,
	void *device, struct vmbus_channel **ret_channel)
{
	struct vmbus_channel *channel = net_double_sub(primary);

	channel->ops = ops;
	channel->device = device;
	*ret_channel = channel;
	return 0;
}

int vmbus_subchannels_offer(struct vmbus_channel *primary, unsigned n_channels)
{
	primary->n_offered = n_channels;
	return 0;
}

void vmbus_offer_remove(struct vmbus_channel *channel)
{
	if (channel->is_open)
		channel->ops->close(channel->device, channel);
	channel->is_open = false;
}

bool vmbus_channel_is_open(const struct vmbus_channel *channel)
{
	return channel->is_open;
}
