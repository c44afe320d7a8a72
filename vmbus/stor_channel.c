/* SPDX-License-Identifier: MIT */
#include "vmbus/stor_channel.h"

#include "base/bytes.h"
#include "base/clock.h"

#include <sys/eventfd.h>

#define REAP_BURST 32

int stor_channel_init(struct stor_channel *channel, struct stor_luns *luns, void *backend,
	unsigned index, unsigned n_channels)
{
	int r;

	channel->luns = luns;
	channel->index = index;
	channel->vstor.is_sub_channel = index > 0;
	channel->vstor.max_sub_channels = n_channels - 1;
	channel->vstor.max_transfer_bytes = STOR_MAX_TRANSFER_BYTES;
	pthread_mutex_init(&channel->lock, NULL);
	list_init(&channel->free);
	list_init(&channel->waiting);
	list_init(&channel->finished);
	channel->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->event_fd < 0) {
		r = -errno;
		goto fail;
	}
	channel->pool = calloc(STOR_MAX_REQUESTS, sizeof(channel->pool[0]));
	if (!channel->pool) {
		r = -ENOMEM;
		goto fail;
	}
	for (unsigned i = 0; i < STOR_MAX_REQUESTS; i++)
		list_append(&channel->free, &channel->pool[i].link);
	r = luns->ops->queue_new(backend, channel->event_fd, &channel->queue);
	if (r == 0)
		return 0;
fail:
	free(take_ptr(channel->pool));
	channel->event_fd = close_fd(channel->event_fd);
	pthread_mutex_destroy(&channel->lock);
	return r;
}

void stor_channel_fini(struct stor_channel *channel)
{
	channel->luns->ops->queue_free(channel->queue);
	free(channel->pool);
	close_fd(channel->event_fd);
	pthread_mutex_destroy(&channel->lock);
}

/* ---- the end of a request ---- */

static void release(struct stor_channel *channel, struct stor_request *request)
{
	list_append(&channel->free, &request->link);
}

/* The packet is the answer. */
static void finish(struct stor_channel *channel, struct stor_request *request)
{
	if (request->wants_answer && !request->is_orphan && !channel->broken)
		list_append(&channel->finished, &request->link);
	else
		release(channel, request);
}

static void fill_srb(
	struct vstor_packet *packet, uint8_t srb_status, uint32_t sense, uint32_t transfer_bytes)
{
	struct vstor_srb *srb = &packet->srb;

	packet->operation = VSTOR_COMPLETE_IO;
	packet->flags = 0;
	packet->status = VSTOR_STATUS_SUCCESS;
	srb->srb_status = srb_status;
	srb->scsi_status = SCSI_STATUS_GOOD;
	srb->transfer_bytes = transfer_bytes;
	srb->sense_length = 0;
	memset(srb->sense, 0, sizeof(srb->sense));
	if (sense != SCSI_NO_SENSE) {
		srb->srb_status = VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE_VALID;
		srb->scsi_status = SCSI_STATUS_CHECK_CONDITION;
		srb->transfer_bytes = 0;
		srb->sense_length = (uint8_t)scsi_sense_data(sense, srb->sense);
	}
}

static void finish_srb(struct stor_channel *channel, struct stor_request *request,
	uint8_t srb_status, uint32_t sense, uint32_t transfer_bytes)
{
	fill_srb(&request->packet, srb_status, sense, transfer_bytes);
	finish(channel, request);
}

/* No memory now: the guest tries again. */
static void finish_busy(struct stor_channel *channel, struct stor_request *request)
{
	fill_srb(&request->packet, VSTOR_SRB_ERROR, SCSI_NO_SENSE, 0);
	request->packet.srb.scsi_status = SCSI_STATUS_BUSY;
	finish(channel, request);
}

static void refuse_srb(struct stor_channel *channel, struct stor_request *request)
{
	channel->stats.n_protocol_errors++;
	finish_srb(channel, request, VSTOR_SRB_INVALID_REQUEST, SCSI_NO_SENSE, 0);
}

/* ---- blocks ---- */

static void count_success(struct stor_stats *stats, const struct stor_request *request)
{
	switch (request->io.op) {
	case DISK_READ:
		stats->n_reads++;
		stats->read_bytes += request->moved_bytes;
		break;
	case DISK_WRITE:
	case DISK_WRITE_ZEROES:
		stats->n_writes++;
		stats->written_bytes += request->moved_bytes;
		break;
	case DISK_FLUSH:
		stats->n_flushes++;
		break;
	case DISK_DISCARD:
		stats->n_discards++;
		break;
	}
}

/* How much of the guest's data the command has moved. */
static uint32_t transferred_bytes(const struct stor_request *request)
{
	if (request->pieces)
		return (uint32_t)request->moved_bytes;
	return request->io.op == DISK_FLUSH ? 0 : request->packet.srb.transfer_bytes;
}

static void end_blocks(struct stor_channel *channel, struct stor_request *request, int result)
{
	uint32_t transfer_bytes = transferred_bytes(request);
	uint32_t sense = scsi_sense_of_error(request->io.op, result);

	/* What the backend wrote before it failed counts as well. */
	if (request->io.op == DISK_READ)
		vmbus_iov_mark_dirty(channel->channel, request->pieces, request->n_pieces);
	if (result)
		channel->stats.n_errors++;
	else if (!request->is_orphan)
		count_success(&channel->stats, request);
	stor_request_end(request);
	channel->n_under_way--;
	stor_lun_put(channel->luns, take_ptr(request->lun));
	finish_srb(channel, request, VSTOR_SRB_SUCCESS, sense, transfer_bytes);
}

/* -EAGAIN: the queue is full. */
static int submit(struct stor_channel *channel, struct stor_request *request)
{
	int r;

	request->io.data = request;
	r = channel->luns->ops->submit(channel->queue, request->disk, &request->io);
	if (r == 0)
		channel->n_submitted++;
	return r;
}

/* The next part, or the end. Whoever waits already goes first. */
static void run_blocks(struct stor_channel *channel, struct stor_request *request)
{
	int r;

	if (!stor_request_next(request)) {
		end_blocks(channel, request, 0);
		return;
	}
	r = list_empty(&channel->waiting) ? submit(channel, request) : -EAGAIN;
	if (r == -EAGAIN)
		list_append(&channel->waiting, &request->link);
	else if (r)
		end_blocks(channel, request, r);
}

static void run_waiting(struct stor_channel *channel)
{
	struct stor_request *request, *next;

	list_for_each_safe(request, next, &channel->waiting, link) {
		int r = submit(channel, request);

		if (r == -EAGAIN)
			return;
		list_remove(&request->link);
		if (r)
			end_blocks(channel, request, r);
	}
}

/* Returns how many parts have ended. */
static unsigned reap(struct stor_channel *channel)
{
	const struct disk_ops *ops = channel->luns->ops;
	struct disk_request *done[REAP_BURST];
	unsigned n, n_total = 0;

	while ((n = ops->reap(channel->queue, done, REAP_BURST))) {
		n_total += n;
		for (unsigned i = 0; i < n; i++) {
			struct stor_request *request = done[i]->data;

			if (done[i]->result) {
				end_blocks(channel, request, done[i]->result);
				continue;
			}
			stor_request_advance(request);
			/* A closed channel's guest wants nothing more. */
			if (request->is_orphan)
				end_blocks(channel, request, 0);
			else
				run_blocks(channel, request);
		}
	}
	if (n_total)
		run_waiting(channel);
	return n_total;
}

static void flush(struct stor_channel *channel)
{
	if (channel->n_submitted)
		channel->luns->ops->flush(channel->queue);
	channel->n_submitted = 0;
}

/* ---- packets ---- */

static uint64_t ranges_bytes(const struct vmbus_packet *packet)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < packet->n_ranges; i++)
		n += packet->ranges[i].byte_count;
	return n;
}

/* Where the guest's data is. 0, -EFAULT, -ENOMEM. */
static int find_pieces(
	struct stor_channel *channel, struct stor_request *request, uint64_t size_bytes)
{
	const struct vmbus_packet *packet = &channel->packet;
	unsigned max = 0;
	struct iovec *room;
	int n;

	for (unsigned i = 0; i < packet->n_ranges; i++)
		max += packet->ranges[i].n_pfns;
	/* Neighbours are merged, so that most fit although they are many pages. */
	room = stor_request_room(request, MIN(max, (unsigned)DISK_MAX_IOV), size_bytes);
	if (!room)
		return -ENOMEM;
	n = vmbus_ranges_iov(channel->channel, packet->ranges, packet->n_ranges, 0, size_bytes,
		room, MIN(max, (unsigned)DISK_MAX_IOV));
	if (n == -E2BIG) {
		stor_request_end(request);
		room = stor_request_room(request, MAX(max, DISK_MAX_IOV + 1U), size_bytes);
		if (!room)
			return -ENOMEM;
		n = vmbus_ranges_iov(channel->channel, packet->ranges, packet->n_ranges, 0,
			size_bytes, room, max);
	}
	if (n < 0)
		return -EFAULT;
	request->n_pieces = (unsigned)n;
	return 0;
}

static void begin_blocks(
	struct stor_channel *channel, struct stor_request *request, const uint8_t *parameters)
{
	const struct scsi_result *result = &channel->result;
	int r = 0;

	channel->n_under_way++;
	if ((result->op == DISK_READ || result->op == DISK_WRITE) && !result->repeats_block)
		r = find_pieces(channel, request, result->extents[0].size_bytes);
	if (r == 0)
		r = stor_request_begin(request, result, parameters);
	if (r == 0) {
		run_blocks(channel, request);
		return;
	}
	stor_request_end(request);
	channel->n_under_way--;
	stor_lun_put(channel->luns, take_ptr(request->lun));
	if (r == -EFAULT)
		refuse_srb(channel, request);
	else
		finish_busy(channel, request);
}

static bool is_contradictory(enum scsi_direction direction, const struct vstor_srb *srb)
{
	if (srb->transfer_bytes == 0)
		return false;
	return (direction == SCSI_DATA_IN && srb->direction == VSTOR_DATA_OUT) ||
	       (direction == SCSI_DATA_OUT && srb->direction == VSTOR_DATA_IN);
}

static void answer(struct stor_channel *channel, struct stor_request *request)
{
	const struct scsi_result *result = &channel->result;
	const struct vmbus_packet *packet = &channel->packet;
	uint32_t size_bytes = MIN(result->answer_bytes, request->packet.srb.transfer_bytes);

	if (size_bytes && vmbus_ranges_write(channel->channel, packet->ranges, packet->n_ranges, 0,
				  result->answer, size_bytes))
		refuse_srb(channel, request);
	else
		finish_srb(channel, request, VSTOR_SRB_SUCCESS, result->sense, size_bytes);
}

static void execute(struct stor_channel *channel, struct stor_request *request)
{
	const struct vstor_srb *srb = &request->packet.srb;
	const struct stor_address address = {srb->path, srb->target, srb->lun};
	const struct vmbus_packet *packet = &channel->packet;
	struct scsi_command command = {
		.cdb_bytes = srb->cdb_length,
		.transfer_bytes = srb->transfer_bytes,
	};
	struct stor_data_needs needs;

	if (srb->cdb_length == 0 || srb->cdb_length > sizeof(command.cdb) ||
		srb->transfer_bytes > ranges_bytes(packet)) {
		refuse_srb(channel, request);
		return;
	}
	memcpy(command.cdb, srb->cdb, srb->cdb_length);
	needs = stor_luns_data_needs(channel->luns, address, &command);
	command.n_parameter_bytes = MIN(needs.parameter_bytes, srb->transfer_bytes);
	if (is_contradictory(needs.direction, srb) ||
		vmbus_ranges_read(channel->channel, packet->ranges, packet->n_ranges, 0,
			channel->parameters, command.n_parameter_bytes)) {
		refuse_srb(channel, request);
		return;
	}
	command.parameters = channel->parameters;
	if (!stor_luns_execute(channel->luns, address, &command, &channel->result, &request->lun,
		    &request->disk, &request->block_bytes))
		finish_srb(channel, request, VSTOR_SRB_INVALID_LUN, SCSI_NO_SENSE, 0);
	else if (channel->result.sense == SCSI_NO_SENSE && channel->result.has_blocks)
		begin_blocks(
			channel, request, command.n_parameter_bytes ? channel->parameters : NULL);
	else
		answer(channel, request);
}

static void handle_packet(struct stor_channel *channel)
{
	struct vmbus_packet *packet = &channel->packet;
	struct stor_request *request;
	bool moves_data = packet->type == VMBUS_PACKET_GPA_DIRECT;
	unsigned argument = 0;

	if (packet->type != VMBUS_PACKET_INBAND && !moves_data) {
		channel->stats.n_protocol_errors++;
		return;
	}
	if (!moves_data)
		packet->n_ranges = 0;
	request = list_pop(&channel->free, struct stor_request, link);
	request->transaction_id = packet->transaction_id;
	request->wants_answer = packet->completion_requested;
	request->is_orphan = false;
	request->n_offered = 0;
	request->answer_bytes =
		(uint32_t)vstor_answer_bytes(&channel->vstor, packet->payload_bytes);
	switch (vstor_handle(&channel->vstor, packet->payload, packet->payload_bytes, moves_data,
		&request->packet, &argument)) {
	case VSTOR_EXECUTE:
		execute(channel, request);
		return;
	case VSTOR_REFUSED:
		channel->stats.n_protocol_errors++;
		break;
	case VSTOR_RESET:
		stor_luns_reset(channel->luns, argument);
		break;
	case VSTOR_OFFER:
		request->n_offered = (uint16_t)argument;
		break;
	case VSTOR_ANSWER:
		break;
	}
	finish(channel, request);
}

/* 0: no more of them now; -EINPROGRESS: a burst is done; -ENOBUFS: every request is taken;
 * -EBADMSG. */
static int run_ring(struct stor_channel *channel)
{
	for (unsigned n = 0; n < STOR_RING_BURST; n++) {
		int r;

		if (list_empty(&channel->free))
			return -ENOBUFS;
		r = vmbus_channel_recv(channel->channel, &channel->packet);
		if (r)
			return r == -EAGAIN ? 0 : r;
		handle_packet(channel);
	}
	return -EINPROGRESS;
}

/* ---- to the guest ---- */

static int send_notice(struct stor_channel *channel)
{
	const struct vstor_packet packet = {.operation = VSTOR_ENUMERATE_BUS};
	int r;

	if (!channel->notify)
		return 0;
	r = vmbus_channel_send_inband(
		channel->channel, 0, false, &packet, vstor_answer_bytes(&channel->vstor, 0));
	if (r == 0)
		channel->notify = false;
	return r;
}

/* 0: all are sent; -EAGAIN; -EBADMSG. */
static int send_finished(struct stor_channel *channel)
{
	struct stor_request *request, *next;

	list_for_each_safe(request, next, &channel->finished, link) {
		int r = vmbus_channel_complete(channel->channel, request->transaction_id,
			&request->packet, request->answer_bytes);

		if (r)
			return r;
		/* -EINVAL cannot be: the protocol checked how many there are. */
		if (request->n_offered)
			(void)vmbus_subchannels_offer(channel->channel, request->n_offered);
		list_remove(&request->link);
		release(channel, request);
	}
	return send_notice(channel);
}

static void forget_finished(struct stor_channel *channel)
{
	struct stor_request *request;

	while ((request = list_pop(&channel->finished, struct stor_request, link)))
		release(channel, request);
}

/* The channel failed for good: say so once, then only collect what is under way, until the guest
 * opens it anew. */
static void set_broken(struct stor_channel *channel)
{
	channel->broken = true;
	channel->stats.n_protocol_errors++;
	forget_finished(channel);
}

static bool work(struct stor_channel *channel)
{
	int received = 0, sent;

	reap(channel);
	if (channel->broken) {
		flush(channel);
		return false;
	}
	if (!channel->draining)
		received = run_ring(channel);
	flush(channel);
	/* A backend that answers at once has done so by now. */
	if (reap(channel))
		flush(channel);
	sent = send_finished(channel);
	if (received == -EBADMSG || sent == -EBADMSG) {
		set_broken(channel);
		return false;
	}
	return received == -EINPROGRESS || (received == -ENOBUFS && !list_empty(&channel->free));
}

bool stor_channel_work(struct stor_channel *channel)
{
	bool more = false;

	pthread_mutex_lock(&channel->lock);
	if (channel->state == STOR_OPEN && !channel->stopped)
		more = work(channel);
	pthread_mutex_unlock(&channel->lock);
	return more;
}

/* ---- opening and closing ---- */

void stor_channel_open(struct stor_channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	channel->state = STOR_OPEN;
	channel->broken = false;
	channel->notify = false;
	vstor_open(&channel->vstor);
	pthread_mutex_unlock(&channel->lock);
}

/* What the backend has not seen yet it will not see. */
static void cancel_waiting(struct stor_channel *channel)
{
	struct stor_request *request;

	while ((request = list_pop(&channel->waiting, struct stor_request, link))) {
		request->is_orphan = true;
		end_blocks(channel, request, 0);
	}
}

static void make_orphans(struct stor_channel *channel)
{
	for (unsigned i = 0; i < STOR_MAX_REQUESTS; i++)
		channel->pool[i].is_orphan = true;
}

/* False: the deadline has passed. */
static bool wait_for_backend(const struct stor_channel *channel, uint64_t deadline_ns)
{
	struct pollfd fd = {.fd = channel->event_fd, .events = POLLIN};
	uint64_t now_ns = clock_mono_ns();
	eventfd_t count;

	if (now_ns >= deadline_ns)
		return false;
	if (poll(&fd, 1, (int)((deadline_ns - now_ns) / NS_PER_MS + 1)) > 0)
		(void)eventfd_read(channel->event_fd, &count);
	return true;
}

void stor_channel_close(struct stor_channel *channel, uint64_t deadline_ns)
{
	bool in_time = true;

	pthread_mutex_lock(&channel->lock);
	channel->state = STOR_CLOSING;
	make_orphans(channel);
	cancel_waiting(channel);
	forget_finished(channel);
	flush(channel);
	reap(channel);
	while (channel->n_under_way && in_time) {
		pthread_mutex_unlock(&channel->lock);
		in_time = wait_for_backend(channel, deadline_ns);
		pthread_mutex_lock(&channel->lock);
		reap(channel);
	}
	channel->state = STOR_CLOSED;
	channel->broken = false;
	channel->notify = false;
	vstor_close(&channel->vstor);
	pthread_mutex_unlock(&channel->lock);
}

unsigned stor_channel_collect(struct stor_channel *channel)
{
	eventfd_t count;
	unsigned n;

	pthread_mutex_lock(&channel->lock);
	if (channel->state == STOR_CLOSED && channel->n_under_way) {
		(void)eventfd_read(channel->event_fd, &count);
		reap(channel);
	}
	n = channel->n_under_way;
	pthread_mutex_unlock(&channel->lock);
	return n;
}

struct pollfd stor_channel_pollfd(struct stor_channel *channel)
{
	struct pollfd fd = {.fd = -1, .events = POLLIN};

	pthread_mutex_lock(&channel->lock);
	if (channel->state == STOR_CLOSED && channel->n_under_way)
		fd.fd = channel->event_fd;
	pthread_mutex_unlock(&channel->lock);
	return fd;
}
