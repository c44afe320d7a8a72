/* SPDX-License-Identifier: MIT */
#include "fabric/pcapng.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	SECTION_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_IF_NAME = 2,
	OPTION_IF_TSRESOL = 9,
	OPTION_PACKET_FLAGS = 2,
	OPTION_DROPPED = 5, /* isb_ifdrop: for want of room */
	TSRESOL_NS = 9,     /* 10^-9 s */
	FLAG_INBOUND = 1,
	FLAG_OUTBOUND = 2,
	/* What a packet block has beyond the frame, and what a loss adds. */
	PACKET_EXTRA_BYTES = 12 + 20 + 3 + 12,
	STATISTICS_BYTES = 12 + 12 + 16,
};

#define NAME_MAX_LEN 127

struct record {
	uint64_t real_ns;
	uint32_t captured_bytes, original_bytes;
	uint32_t flags;
	uint32_t reserved;
};

struct capture {
	char name[NAME_MAX_LEN + 1];
	uint32_t ring_bytes, snap_bytes;
	uint32_t head, used_bytes; /* where the next record goes; the rest is behind it */
	uint64_t n_lost, n_lost_told;
	uint64_t last_ns;
	bool began;
	uint8_t ring[];
};

int capture_new(
	const char *name, uint32_t ring_bytes, uint32_t snap_bytes, struct capture **ret_capture)
{
	struct capture *capture = calloc(1, sizeof(*capture) + ring_bytes);

	if (!capture)
		return -ENOMEM;
	memcpy(capture->name, name, MIN(strlen(name), (size_t)NAME_MAX_LEN));
	capture->ring_bytes = ring_bytes;
	capture->snap_bytes = snap_bytes;
	*ret_capture = capture;
	return 0;
}

void capture_free(struct capture *capture)
{
	free(capture);
}

uint64_t capture_lost(const struct capture *capture)
{
	return capture->n_lost;
}

/* ---- the ring ---- */

static void ring_put(struct capture *capture, const void *data, size_t size_bytes)
{
	size_t first_bytes = MIN(size_bytes, (size_t)(capture->ring_bytes - capture->head));

	memcpy(capture->ring + capture->head, data, first_bytes);
	memcpy(capture->ring, (const uint8_t *)data + first_bytes, size_bytes - first_bytes);
	capture->head = (uint32_t)((capture->head + size_bytes) % capture->ring_bytes);
	capture->used_bytes += (uint32_t)size_bytes;
}

/* The oldest `size_bytes` from `skip_bytes` on; they stay. */
static void ring_look(
	const struct capture *capture, size_t skip_bytes, void *data, size_t size_bytes)
{
	size_t at =
		(capture->head + (size_t)capture->ring_bytes - capture->used_bytes + skip_bytes) %
		capture->ring_bytes;
	size_t first_bytes = MIN(size_bytes, capture->ring_bytes - at);

	memcpy(data, capture->ring + at, first_bytes);
	memcpy((uint8_t *)data + first_bytes, capture->ring, size_bytes - first_bytes);
}

void capture_frame(struct capture *capture, enum capture_direction direction,
	const struct iovec *iov, unsigned n_iov, uint64_t real_ns)
{
	struct record record = {
		.real_ns = real_ns,
		.flags = direction == CAPTURE_TO_PORT ? FLAG_INBOUND : FLAG_OUTBOUND,
	};
	uint32_t left_bytes;

	for (unsigned i = 0; i < n_iov; i++)
		record.original_bytes += (uint32_t)iov[i].iov_len;
	record.captured_bytes = MIN(record.original_bytes, capture->snap_bytes);
	capture->last_ns = real_ns;
	if (sizeof(record) + record.captured_bytes > capture->ring_bytes - capture->used_bytes) {
		capture->n_lost++;
		return;
	}
	ring_put(capture, &record, sizeof(record));
	left_bytes = record.captured_bytes;
	for (unsigned i = 0; i < n_iov && left_bytes; i++) {
		uint32_t piece_bytes = (uint32_t)MIN(iov[i].iov_len, (size_t)left_bytes);

		ring_put(capture, iov[i].iov_base, piece_bytes);
		left_bytes -= piece_bytes;
	}
}

/* ---- blocks ---- */

/* A block's length stands at both of its ends; the first is filled in when it is known. */
static size_t block_begin(struct buf *out, uint32_t type)
{
	size_t at = out->size_bytes;

	buf_le32(out, type);
	buf_le32(out, 0);
	return at;
}

static void block_end(struct buf *out, size_t at)
{
	uint32_t size_bytes = (uint32_t)(out->size_bytes - at) + 4;

	buf_le32(out, size_bytes);
	if (!out->failed)
		store_le32(out->data + at + 4, size_bytes);
}

static void pad(struct buf *out, size_t size_bytes)
{
	static const uint8_t zeros[4];

	buf_bytes(out, zeros, ALIGN_UP(size_bytes, 4U) - size_bytes);
}

static void option(struct buf *out, uint16_t code, const void *value, uint16_t size_bytes)
{
	buf_le16(out, code);
	buf_le16(out, size_bytes);
	buf_bytes(out, value, size_bytes);
	pad(out, size_bytes);
}

static void time_stamp(struct buf *out, uint64_t real_ns)
{
	buf_le32(out, (uint32_t)(real_ns >> 32));
	buf_le32(out, (uint32_t)real_ns);
}

static void begin_stream(const struct capture *capture, struct buf *out)
{
	const uint8_t resolution = TSRESOL_NS;
	size_t at = block_begin(out, BLOCK_SECTION);

	buf_le32(out, SECTION_MAGIC);
	buf_le16(out, 1); /* version 1.0 */
	buf_le16(out, 0);
	buf_le64(out, UINT64_MAX); /* how long it gets is not known */
	block_end(out, at);
	at = block_begin(out, BLOCK_INTERFACE);
	buf_le16(out, LINKTYPE_ETHERNET);
	buf_le16(out, 0);
	buf_le32(out, capture->snap_bytes);
	option(out, OPTION_IF_NAME, capture->name, (uint16_t)strlen(capture->name));
	option(out, OPTION_IF_TSRESOL, &resolution, 1);
	option(out, OPTION_END, NULL, 0);
	block_end(out, at);
}

static void packet(struct capture *capture, const struct record *record, struct buf *out)
{
	size_t at = block_begin(out, BLOCK_PACKET);
	uint8_t flags[4], *data;

	buf_le32(out, 0); /* the interface */
	time_stamp(out, record->real_ns);
	buf_le32(out, record->captured_bytes);
	buf_le32(out, record->original_bytes);
	data = buf_extend(out, record->captured_bytes);
	if (data)
		ring_look(capture, sizeof(*record), data, record->captured_bytes);
	pad(out, record->captured_bytes);
	store_le32(flags, record->flags);
	option(out, OPTION_PACKET_FLAGS, flags, sizeof(flags));
	option(out, OPTION_END, NULL, 0);
	block_end(out, at);
	capture->used_bytes -= (uint32_t)sizeof(*record) + record->captured_bytes;
}

static void tell_loss(struct capture *capture, struct buf *out)
{
	size_t at = block_begin(out, BLOCK_STATISTICS);
	uint8_t n_lost[8];

	buf_le32(out, 0);
	time_stamp(out, capture->last_ns);
	store_le64(n_lost, capture->n_lost);
	option(out, OPTION_DROPPED, n_lost, sizeof(n_lost));
	option(out, OPTION_END, NULL, 0);
	block_end(out, at);
	capture->n_lost_told = capture->n_lost;
}

void capture_read(struct capture *capture, struct buf *out, size_t max_bytes)
{
	size_t begin = out->size_bytes;
	struct record record;

	if (!capture->began)
		begin_stream(capture, out);
	capture->began = true;
	while (capture->used_bytes) {
		ring_look(capture, 0, &record, sizeof(record));
		if (out->size_bytes - begin + PACKET_EXTRA_BYTES + record.captured_bytes >
			max_bytes)
			return;
		packet(capture, &record, out);
	}
	if (capture->n_lost > capture->n_lost_told &&
		out->size_bytes - begin + STATISTICS_BYTES <= max_bytes)
		tell_loss(capture, out);
}
