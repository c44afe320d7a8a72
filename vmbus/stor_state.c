/* SPDX-License-Identifier: MIT */
#include "vmbus/stor_state.h"

static bool read_bool(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > 1;
	return v == 1;
}

/* What of a unit moves with the guest. */
struct lun_state {
	uint32_t attentions;
	uint8_t media_event;
	bool locked, tray_open;
};

void stor_luns_save(struct stor_luns *luns, struct buf *out)
{
	uint64_t present = __atomic_load_n(&luns->present, __ATOMIC_ACQUIRE);

	buf_le64(out, present);
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++) {
		const struct scsi_unit *unit = &luns->luns[i].unit;

		if (!(present & 1ULL << i))
			continue;
		pthread_mutex_lock(&luns->luns[i].lock);
		buf_u8(out, (uint8_t)unit->kind);
		buf_le32(out, unit->attentions);
		buf_u8(out, unit->media_event);
		buf_u8(out, unit->locked);
		buf_u8(out, unit->tray_open);
		pthread_mutex_unlock(&luns->luns[i].lock);
	}
}

static void read_lun(struct reader *in, enum scsi_kind kind, struct lun_state *ret_state)
{
	bool is_dvd = kind == SCSI_KIND_DVD;

	in->failed |= reader_u8(in) != (uint8_t)kind;
	ret_state->attentions = reader_le32(in);
	ret_state->media_event = reader_u8(in);
	ret_state->locked = read_bool(in);
	ret_state->tray_open = read_bool(in);
	in->failed |= (ret_state->attentions & ~(uint32_t)SCSI_ATTENTIONS) != 0;
	in->failed |= ret_state->media_event != SCSI_MEDIA_NO_CHANGE &&
		      ret_state->media_event != SCSI_MEDIA_NEW &&
		      ret_state->media_event != SCSI_MEDIA_REMOVED;
	if (!is_dvd && (ret_state->media_event || ret_state->locked || ret_state->tray_open))
		in->failed = true;
}

int stor_luns_restore(struct stor_luns *luns, struct reader *in)
{
	uint64_t present = __atomic_load_n(&luns->present, __ATOMIC_ACQUIRE);
	struct lun_state states[STOR_MAX_LUNS];

	if (reader_le64(in) != present)
		return -EBADMSG;
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++) {
		if (present & 1ULL << i)
			read_lun(in, luns->luns[i].unit.kind, &states[i]);
	}
	if (!reader_ok(in))
		return -EBADMSG;
	for (unsigned i = 0; i < STOR_MAX_LUNS; i++) {
		struct scsi_unit *unit = &luns->luns[i].unit;

		if (!(present & 1ULL << i))
			continue;
		pthread_mutex_lock(&luns->luns[i].lock);
		unit->attentions = states[i].attentions;
		unit->media_event = states[i].media_event;
		unit->locked = states[i].locked;
		unit->tray_open = states[i].tray_open;
		pthread_mutex_unlock(&luns->luns[i].lock);
	}
	return 0;
}

static void save_stats(const struct stor_stats *stats, struct buf *out)
{
	buf_le64(out, stats->n_reads);
	buf_le64(out, stats->n_writes);
	buf_le64(out, stats->n_flushes);
	buf_le64(out, stats->n_discards);
	buf_le64(out, stats->read_bytes);
	buf_le64(out, stats->written_bytes);
	buf_le64(out, stats->n_errors);
	buf_le64(out, stats->n_protocol_errors);
}

static void restore_stats(struct stor_stats *stats, struct reader *in)
{
	stats->n_reads = reader_le64(in);
	stats->n_writes = reader_le64(in);
	stats->n_flushes = reader_le64(in);
	stats->n_discards = reader_le64(in);
	stats->read_bytes = reader_le64(in);
	stats->written_bytes = reader_le64(in);
	stats->n_errors = reader_le64(in);
	stats->n_protocol_errors = reader_le64(in);
}

static void save_finished(const struct stor_channel *channel, struct buf *out)
{
	const struct stor_request *request;
	uint16_t n = 0;

	list_for_each(request, &channel->finished, link)
		n++;
	buf_le16(out, n);
	list_for_each(request, &channel->finished, link) {
		buf_le64(out, request->transaction_id);
		buf_le16(out, request->n_offered);
		buf_u8(out, (uint8_t)request->answer_bytes);
		buf_bytes(out, &request->packet, request->answer_bytes);
	}
}

static void save(const struct stor_channel *channel, struct buf *out)
{
	save_stats(&channel->stats, out);
	buf_u8(out, (uint8_t)channel->vstor.phase);
	if (channel->vstor.phase == VSTOR_CLOSED)
		return;
	buf_le16(out, channel->vstor.version);
	buf_u8(out, channel->broken);
	buf_u8(out, channel->notify);
	save_finished(channel, out);
}

void stor_channel_save(struct stor_channel *channel, struct buf *out)
{
	pthread_mutex_lock(&channel->lock);
	save(channel, out);
	pthread_mutex_unlock(&channel->lock);
}

static bool is_consistent(const struct stor_channel *channel)
{
	const struct vstor *vstor = &channel->vstor;

	if (vstor->is_sub_channel)
		return vstor->phase == VSTOR_READY && vstor->version == VSTOR_VERSION_51 &&
		       !channel->notify;
	if (vstor->phase < VSTOR_VERSIONED)
		return vstor->version == 0 && !channel->notify;
	return vstor_has_version(vstor->version) &&
	       (!channel->notify || vstor->phase == VSTOR_READY);
}

static int restore_finished(struct stor_channel *channel, struct reader *in)
{
	uint16_t n = reader_le16(in);

	if (n > STOR_MAX_REQUESTS || (n && channel->broken))
		return -EBADMSG;
	for (; n; n--) {
		struct stor_request *request =
			list_entry(channel->free.next, struct stor_request, link);

		memset(&request->packet, 0, sizeof(request->packet));
		request->is_orphan = false;
		request->wants_answer = true;
		request->transaction_id = reader_le64(in);
		request->n_offered = reader_le16(in);
		request->answer_bytes = reader_u8(in);
		if ((request->answer_bytes != sizeof(request->packet) &&
			    request->answer_bytes != VSTOR_OLD_PACKET_BYTES) ||
			request->n_offered > channel->vstor.max_sub_channels ||
			(request->n_offered && channel->vstor.is_sub_channel))
			return -EBADMSG;
		reader_bytes(in, &request->packet, request->answer_bytes);
		if (!reader_ok(in))
			return -EBADMSG;
		list_remove(&request->link);
		list_append(&channel->finished, &request->link);
	}
	return reader_ok(in) ? 0 : -EBADMSG;
}

static int restore_open(struct stor_channel *channel, struct reader *in)
{
	channel->vstor.version = reader_le16(in);
	channel->broken = read_bool(in);
	channel->notify = read_bool(in);
	if (!reader_ok(in) || !is_consistent(channel))
		return -EBADMSG;
	return restore_finished(channel, in);
}

int stor_channel_restore(struct stor_channel *channel, struct reader *in, bool open)
{
	struct stor_stats stats;
	uint8_t phase;
	int r = 0;

	restore_stats(&stats, in);
	phase = reader_u8(in);
	if (!reader_ok(in) || phase > VSTOR_READY || (phase != VSTOR_CLOSED) != open)
		return -EBADMSG;
	if (open) {
		stor_channel_open(channel);
		pthread_mutex_lock(&channel->lock);
		channel->vstor.phase = phase;
		r = restore_open(channel, in);
		pthread_mutex_unlock(&channel->lock);
	}
	if (r)
		stor_channel_close(channel, 0);
	else
		channel->stats = stats;
	return r;
}
