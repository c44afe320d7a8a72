/* SPDX-License-Identifier: MIT */
#include "vmbus/channel.h"
#include "vmbus/bus.h"
#include "vmbus/ranges.h"

#include <poll.h>
#include <stdio.h>

/* A guest that does not signal room is looked at this often while room is wanted. */
#define ROOM_POLL_MS 1

/* What is consumed or produced becomes visible at the end of each work(), and in between whenever
 * this share of the ring has gathered, so that the guest can go on meanwhile. */
#define PUBLISH_SHARE 4

int channel_new(struct vmbus *bus, const struct vmbus_device_ops *ops, void *device,
	struct vmbus_channel **ret_channel)
{
	struct vmbus_channel *channel = calloc(1, sizeof(*channel));
	int err;

	if (!channel)
		return -ENOMEM;
	err = worker_init(&channel->worker);
	if (err) {
		free(channel);
		return err;
	}
	channel->bus = bus;
	channel->ops = ops;
	channel->device = device;
	list_init(&channel->gpadls);
	list_init(&channel->subs);
	list_init(&channel->sub_link);
	pthread_mutex_init(&channel->gpadl_lock, NULL);
	*ret_channel = channel;
	return 0;
}

void channel_free(struct vmbus_channel *channel)
{
	struct vmbus_channel *sub, *after;

	list_for_each_safe(sub, after, &channel->subs, sub_link)
		channel_free(sub);
	list_remove(&channel->sub_link);
	worker_fini(&channel->worker);
	pthread_mutex_destroy(&channel->gpadl_lock);
	free(channel);
}

static void signal_guest(struct vmbus_channel *channel)
{
	uint32_t vp_index = __atomic_load_n(&channel->target_vp, __ATOMIC_ACQUIRE);
	const struct vmbus *bus = channel->bus;

	if (vp_index != VMBUS_OPEN_NO_INTERRUPTS)
		bus->ops->signal(bus->host, vp_index, channel->relid);
}

static void publish(struct vmbus_channel *channel)
{
	bool room_made = ring_in_publish(&channel->in);
	bool data_made = ring_out_publish(&channel->out);

	if (room_made || data_made)
		signal_guest(channel);
	if (channel->n_asked) {
		/* Only now: what the device said about them is visible. */
		__atomic_store_n(&channel->n_wished, channel->n_asked, __ATOMIC_RELEASE);
		channel->n_asked = 0;
		worker_wake(&channel->bus->offerer);
	}
}

/* Before work(): the worker looks by itself, nobody needs to call it. */
static void disarm(struct vmbus_channel *channel)
{
	channel->drained = false;
	channel->wanted_bytes = 0;
	if (channel->broken)
		return;
	if (!channel->in_masked) {
		ring_in_mask(&channel->in, true);
		channel->in_masked = true;
	}
	if (channel->room_requested) {
		ring_out_want_room(&channel->out, 0);
		channel->room_requested = false;
	}
}

/* Have the guest signal what the device waits for, then look once more. A device that left packets
 * in the ring waits for something else, and is not called for what it knows of. */
static bool arm_rings(struct vmbus_channel *channel)
{
	uint32_t available;

	if (channel->drained) {
		ring_in_mask(&channel->in, false);
		channel->in_masked = false;
		if (ring_in_available(&channel->in, &available) || available)
			return true;
	}
	if (channel->wanted_bytes) {
		ring_out_want_room(&channel->out, channel->wanted_bytes);
		channel->room_requested = true;
		if (ring_out_room(&channel->out, channel->wanted_bytes) != -EAGAIN)
			return true;
	}
	return false;
}

static bool arm(struct vmbus_channel *channel)
{
	if (!channel->broken && arm_rings(channel))
		return true;
	return channel->ops->arm && channel->ops->arm(channel->device, channel);
}

static void sleep_until_woken(struct vmbus_channel *channel)
{
	int device_fd = channel->ops->event_fd ? channel->ops->event_fd(channel->device) : -1;
	struct pollfd fds[] = {
		{.fd = channel->worker.wake_fd, .events = POLLIN},
		{.fd = device_fd, .events = POLLIN},
	};
	bool must_look = channel->room_requested && !ring_out_room_is_signalled(&channel->out);
	uint64_t count;

	if (poll(fds, ARRAY_LEN(fds), must_look ? ROOM_POLL_MS : -1) <= 0)
		return;
	if (fds[0].revents)
		worker_drain(&channel->worker);
	if (fds[1].revents)
		(void)!read(device_fd, &count, sizeof(count));
}

static void channel_body(void *data)
{
	struct vmbus_channel *channel = data;

	while (worker_checkpoint(&channel->worker)) {
		bool again;

		disarm(channel);
		again = channel->ops->work(channel->device, channel);
		publish(channel);
		if (!again && !arm(channel))
			sleep_until_woken(channel);
	}
}

static const struct vmbus_gpadl *find_gpadl(struct vmbus_channel *channel, uint32_t gpadl_id)
{
	const struct vmbus_gpadl *gpadl, *found = NULL;

	pthread_mutex_lock(&channel->gpadl_lock);
	list_for_each(gpadl, &channel->gpadls, link) {
		if (gpadl->id == gpadl_id) {
			found = gpadl;
			break;
		}
	}
	pthread_mutex_unlock(&channel->gpadl_lock);
	return found;
}

static int open_rings(struct vmbus_channel *channel, const struct ctl_open *open)
{
	const struct vmbus_gpadl *gpadl = find_gpadl(channel, open->ring_gpadl_id);
	uint32_t downstream = open->downstream_page_offset;
	int err;

	if (!gpadl)
		return -ENOENT;
	err = ring_in_open(&channel->in, gpadl, 0, downstream);
	if (!err)
		err = ring_out_open(&channel->out, gpadl, downstream, gpadl->n_pages - downstream);
	return err;
}

static void forget_open(struct vmbus_channel *channel)
{
	__atomic_store_n(&channel->open, false, __ATOMIC_RELEASE);
	__atomic_store_n(&channel->relid, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&channel->n_wished, 0, __ATOMIC_RELEASE);
	channel->in = channel->out = (struct ring){0};
	free(take_ptr(channel->packet));
}

int channel_open(struct vmbus_channel *channel, const struct ctl_open *open, bool restoring)
{
	struct vmbus *bus = channel->bus;
	uint32_t connection_id = ctl_event_connection(channel->ctl);
	char name[16];
	int err;

	channel->broken = false;
	channel->in_masked = false;
	channel->room_requested = false;
	channel->n_asked = 0;
	channel->rings_stale = restoring;
	channel->packet = malloc(VMBUS_MAX_PACKET_BYTES);
	if (!channel->packet)
		return -ENOMEM;
	__atomic_store_n(&channel->relid, channel->ctl->relid, __ATOMIC_RELEASE);
	__atomic_store_n(&channel->target_vp, open->target_vp, __ATOMIC_RELEASE);
	err = restoring ? 0 : open_rings(channel, open);
	if (err)
		goto fail;
	err = bus->ops->doorbell_add(bus->host, connection_id, channel->worker.wake_fd);
	if (err)
		goto fail;
	__atomic_store_n(&channel->open, true, __ATOMIC_RELEASE);
	err = restoring ? 0 : channel->ops->open(channel->device, channel);
	if (err)
		goto fail_doorbell;
	snprintf(name, sizeof(name), "vmbus-%u", channel->relid);
	err = worker_start(&channel->worker, name, !bus->running, channel_body, channel);
	if (!err)
		return 0;
	channel->ops->close(channel->device, channel);
fail_doorbell:
	bus->ops->doorbell_remove(bus->host, connection_id, channel->worker.wake_fd);
fail:
	forget_open(channel);
	return err;
}

void channel_close(struct vmbus_channel *channel)
{
	struct vmbus *bus = channel->bus;

	worker_stop(&channel->worker);
	bus->ops->doorbell_remove(
		bus->host, ctl_event_connection(channel->ctl), channel->worker.wake_fd);
	channel->ops->close(channel->device, channel);
	forget_open(channel);
}

/* Nothing interrupts the old VP once the guest has our answer: the worker may be signalling it now.
 */
void channel_retarget(struct vmbus_channel *channel, uint32_t target_vp)
{
	worker_park(&channel->worker);
	__atomic_store_n(&channel->target_vp, target_vp, __ATOMIC_RELEASE);
	worker_unpark(&channel->worker);
	signal_guest(channel);
}

/* One range is a run of bytes; several have no use here: a guest may describe them, and that is
 * all. */
int channel_gpadl_created(struct vmbus_channel *channel, struct ctl_gpadl *gpadl)
{
	const uint8_t *words = gpadl->words.data;
	struct vmbus_gpa_range range;
	struct vmbus_gpadl *mapped;
	int err;

	if (gpadl->n_ranges != 1)
		return 0;
	memcpy(&range, words, sizeof(range));
	err = gpadl_new(channel->bus->memory, gpadl->id, range, words + sizeof(range), &mapped);
	if (err)
		return err;
	pthread_mutex_lock(&channel->gpadl_lock);
	list_append(&channel->gpadls, &mapped->link);
	pthread_mutex_unlock(&channel->gpadl_lock);
	gpadl->mapping = mapped;
	return 0;
}

/* A device uses the buffers of its primary channel on all its channels. */
static void for_family(struct vmbus_channel *channel, void (*fn)(struct worker *worker))
{
	struct vmbus_channel *sub;

	fn(&channel->worker);
	list_for_each(sub, &channel->subs, sub_link)
		fn(&sub->worker);
}

void channel_gpadl_gone(struct vmbus_channel *channel, struct ctl_gpadl *gpadl)
{
	struct vmbus_gpadl *mapped = gpadl->mapping;

	if (!mapped)
		return;
	for_family(channel, worker_park);
	if (channel->open)
		channel->ops->gpadl_gone(channel->device, channel, gpadl->id);
	pthread_mutex_lock(&channel->gpadl_lock);
	list_remove(&mapped->link);
	pthread_mutex_unlock(&channel->gpadl_lock);
	for_family(channel, worker_unpark);
	gpadl_free(mapped);
}

/* Signals may have been lost on the way here, in both directions. */
void channel_resume(struct vmbus_channel *channel)
{
	if (channel->rings_stale) {
		channel->rings_stale = false;
		/* A guest that broke its rings moves with them broken. */
		channel->broken = open_rings(channel, &channel->ctl->open) != 0;
	}
	worker_unpark(&channel->worker);
	signal_guest(channel);
}

void channel_pause(struct vmbus_channel *channel)
{
	worker_park(&channel->worker);
}

int vmbus_channel_recv(struct vmbus_channel *channel, struct vmbus_packet *ret_packet)
{
	struct ring *in = &channel->in;
	int err;

	if (channel->broken)
		return -EBADMSG;
	if (ring_unpublished_bytes(in) >= in->data_bytes / PUBLISH_SHARE && ring_in_publish(in))
		signal_guest(channel);
	err = packet_take(in, channel->packet, ret_packet);
	channel->drained = err == -EAGAIN;
	channel->broken = err == -EBADMSG;
	return err;
}

/* What becomes of a packet or a question for room. */
static int note_room(struct vmbus_channel *channel, int err, size_t ring_bytes)
{
	if (err == -EBADMSG)
		channel->broken = true;
	if (err == -EAGAIN && (!channel->wanted_bytes || ring_bytes < channel->wanted_bytes))
		channel->wanted_bytes = (uint32_t)ring_bytes;
	return err;
}

static int send_packet(struct vmbus_channel *channel, struct vmbus_packet_descriptor descriptor,
	const struct packet_header *headers, unsigned n_headers, const void *payload,
	size_t size_bytes)
{
	struct ring *out = &channel->out;
	size_t headers_bytes = 0;
	int err;

	if (channel->broken)
		return -EBADMSG;
	for (unsigned i = 0; i < n_headers; i++)
		headers_bytes += headers[i].size_bytes;
	err = packet_put(out, descriptor, headers, n_headers, payload, size_bytes);
	if (ring_unpublished_bytes(out) >= out->data_bytes / PUBLISH_SHARE && ring_out_publish(out))
		signal_guest(channel);
	return note_room(channel, err, packet_ring_bytes(headers_bytes, size_bytes));
}

int vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
	bool request_completion, const void *payload, size_t size_bytes)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_INBAND,
		.flags = request_completion ? VMBUS_PACKET_FLAG_COMPLETION_REQUESTED : 0,
		.transaction_id = transaction_id,
	};

	return send_packet(channel, descriptor, NULL, 0, payload, size_bytes);
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction_id,
	const void *payload, size_t size_bytes)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_COMPLETION,
		.transaction_id = transaction_id,
	};

	return send_packet(channel, descriptor, NULL, 0, payload, size_bytes);
}

int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint64_t transaction_id,
	uint16_t pageset_id, const struct vmbus_transfer_range *ranges, unsigned n_ranges,
	const void *payload, size_t size_bytes)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_TRANSFER_PAGES,
		.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction_id = transaction_id,
	};
	struct vmbus_transfer_header header = {
		.pageset_id = pageset_id,
		.range_count = n_ranges,
	};
	struct packet_header headers[] = {
		{&header, sizeof(header)},
		{ranges, n_ranges * sizeof(*ranges)},
	};

	return send_packet(channel, descriptor, headers, ARRAY_LEN(headers), payload, size_bytes);
}

bool vmbus_channel_has_room(struct vmbus_channel *channel, size_t payload_bytes, unsigned n_ranges)
{
	size_t headers_bytes =
		n_ranges ? sizeof(struct vmbus_transfer_header) +
				   (size_t)n_ranges * sizeof(struct vmbus_transfer_range)
			 : 0;
	size_t ring_bytes = packet_ring_bytes(headers_bytes, payload_bytes);

	if (channel->broken || ring_bytes > UINT32_MAX)
		return false;
	return note_room(channel, ring_out_room(&channel->out, (uint32_t)ring_bytes), ring_bytes) ==
	       0;
}

void vmbus_channel_kick(struct vmbus_channel *channel)
{
	worker_wake(&channel->worker);
}

int vmbus_channel_gpadl(
	struct vmbus_channel *channel, uint32_t gpadl_id, const struct vmbus_gpadl **ret_gpadl)
{
	const struct vmbus_gpadl *gpadl = find_gpadl(channel, gpadl_id);

	if (!gpadl)
		return -ENOENT;
	*ret_gpadl = gpadl;
	return 0;
}

int vmbus_ranges_read(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, void *ret_data, size_t size_bytes)
{
	return ranges_read(channel->bus->memory, ranges, n_ranges, offset, ret_data, size_bytes);
}

int vmbus_ranges_write(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, const void *data, size_t size_bytes)
{
	return ranges_write(channel->bus->memory, ranges, n_ranges, offset, data, size_bytes);
}

int vmbus_ranges_iov(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, size_t size_bytes, struct iovec *ret_iov,
	unsigned max_iov)
{
	return ranges_iov(
		channel->bus->memory, ranges, n_ranges, offset, size_bytes, ret_iov, max_iov);
}

void vmbus_iov_mark_dirty(struct vmbus_channel *channel, const struct iovec *iov, unsigned n_iov)
{
	for (unsigned i = 0; i < n_iov; i++)
		gpa_mark_dirty_host(channel->bus->memory, iov[i].iov_base, iov[i].iov_len);
}

int vmbus_subchannels_offer(struct vmbus_channel *primary, unsigned n_channels)
{
	if (n_channels > primary->n_subs)
		return -EINVAL;
	n_channels = MAX(n_channels, __atomic_load_n(&primary->n_wished, __ATOMIC_ACQUIRE));
	primary->n_asked = MAX(primary->n_asked, n_channels);
	return 0;
}

bool vmbus_channel_is_open(const struct vmbus_channel *channel)
{
	return __atomic_load_n(&channel->open, __ATOMIC_ACQUIRE);
}

uint32_t vmbus_channel_relid(const struct vmbus_channel *channel)
{
	return __atomic_load_n(&channel->relid, __ATOMIC_ACQUIRE);
}

uint32_t vmbus_channel_target_vp(const struct vmbus_channel *channel)
{
	return __atomic_load_n(&channel->target_vp, __ATOMIC_ACQUIRE);
}
