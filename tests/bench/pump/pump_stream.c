/* SPDX-License-Identifier: MIT
 *
 * One bulk stream of TCP: three-way handshake, segments in a fixed window, cumulative
 * acknowledgements, go-back-N after a loss, FIN. No congestion control: what is measured is the
 * switch, and every switch gets the same window.
 *
 * Offsets count bytes of the stream in 64 bits; sequence numbers follow from them. The payload is a
 * pattern of the offset with a prime period, so that the receiver sees every byte that is wrong or
 * in the wrong place.
 */
#include "base/clock.h"
#include "pump_tcp.h"

#include <string.h>

#define FIRST_SEQUENCE   0x76000000U
#define PERIOD_BYTES     65521U
#define MEET_WITHIN_NS   (10 * NS_PER_SEC)
#define PART_WITHIN_NS   (5 * NS_PER_SEC)
#define REPEAT_AFTER_NS  (20 * NS_PER_MS)
#define DUPLICATES       3  /* of an acknowledgement, RFC 5681 */
#define ACK_AFTER_FRAMES 32 /* without a pause in between */
#define ACK_AFTER_BYTES  (128U * 1024)
#define RECEIVER_WINDOW  (4U << 20)

struct stream {
	struct pump *pump;
	const uint8_t *pattern; /* two periods, so that a segment may start anywhere in the first */
	uint8_t data[ETH_FRAME_MAX_BYTES];
	uint64_t una, nxt; /* sender: first byte not acknowledged, next byte to send */
	uint64_t recover;  /* sender: where it was when it went back */
	uint64_t limit;    /* sender: end of the stream, once it is known */
	unsigned n_duplicates;
	uint32_t peer_window_bytes;
	uint64_t n_back; /* times the sender went back */
	/* receiver */
	uint64_t expected;
	unsigned n_unacked_frames;
	uint64_t n_acked;
	uint64_t n_out_of_order, n_bad_csum;
	uint64_t first_ns, last_ns, cpu_ns;
};

static int stream_new(struct pump *pump, struct stream **ret_stream)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	uint8_t *pattern = malloc(2 * PERIOD_BYTES);
	uint32_t x = 1;

	if (!stream || !pattern) {
		free(stream);
		free(pattern);
		return -ENOMEM;
	}
	for (size_t i = 0; i < PERIOD_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		pattern[i] = pattern[i + PERIOD_BYTES] = (uint8_t)(x >> 24);
	}
	stream->pump = pump;
	stream->pattern = pattern;
	*ret_stream = stream;
	return 0;
}

static void stream_free(struct stream *stream)
{
	free((void *)stream->pattern);
	free(stream);
}

/* The SYN takes the first sequence number. */
static uint32_t sequence_of(uint64_t offset)
{
	return FIRST_SEQUENCE + 1 + (uint32_t)offset;
}

/* The offset that `sequence` means, next to `near`. */
static uint64_t offset_of(uint32_t sequence, uint64_t near)
{
	return near + (uint64_t)(int64_t)(int32_t)(sequence - sequence_of(near));
}

static int send_control(struct stream *stream, uint8_t flags, uint32_t sequence, uint32_t ack)
{
	struct segment segment = {
		.sequence = sequence,
		.ack = ack,
		.flags = flags,
		.window_bytes = RECEIVER_WINDOW,
	};
	int r = segment_send(stream->pump, &segment, true);

	stream->pump->port.ops->flush(stream->pump->port.port);
	return r;
}

/* The next segment, sleeping until it comes or `until_ns`. */
static int await(struct stream *stream, uint64_t until_ns, struct segment *ret_segment)
{
	int r;

	while ((r = segment_recv(stream->pump, stream->data, sizeof(stream->data), ret_segment)) ==
		-EAGAIN) {
		r = pump_wait(stream->pump, ETH_FRAMES, until_ns);
		if (r < 0)
			return r;
	}
	return r;
}

/* Say `flags` until a segment with `answer` comes that acknowledges it. */
static int agree(struct stream *stream, uint8_t flags, uint8_t answer, uint32_t sequence,
	uint64_t patience_ns)
{
	uint64_t end_ns = clock_mono_ns() + patience_ns, until_ns;
	struct segment segment;
	int r;

	do {
		r = send_control(
			stream, flags, sequence, flags & TCP_FLAG_ACK ? FIRST_SEQUENCE + 1 : 0);
		until_ns = clock_mono_ns() + REPEAT_AFTER_NS;
		while (r == 0) {
			r = await(stream, until_ns, &segment);
			if (r == 0 && (segment.flags & answer) == answer &&
				segment.ack == sequence + 1) {
				stream->peer_window_bytes = segment.window_bytes;
				return 0;
			}
		}
	} while (r == -ETIMEDOUT && clock_mono_ns() < end_ns);
	return r;
}

static void go_back(struct stream *stream)
{
	stream->recover = MAX(stream->recover, stream->nxt);
	stream->nxt = stream->una;
	stream->n_duplicates = 0;
	stream->n_back++;
}

static void on_ack(struct stream *stream, const struct segment *segment)
{
	uint64_t offset = offset_of(segment->ack, stream->una);

	if (!(segment->flags & TCP_FLAG_ACK) || (segment->flags & TCP_FLAG_SYN))
		return;
	stream->peer_window_bytes = segment->window_bytes;
	if (offset > stream->una && offset <= MAX(stream->nxt, stream->recover)) {
		stream->una = offset;
		/* What was sent before going back may have arrived after all. */
		stream->nxt = MAX(stream->nxt, offset);
		stream->n_duplicates = 0;
	} else if (offset == stream->una && stream->nxt > stream->una &&
		   ++stream->n_duplicates >= DUPLICATES && stream->una >= stream->recover) {
		go_back(stream);
	}
}

/* Returns 1 when there were any. */
static int take_acks(struct stream *stream)
{
	struct segment segment;
	int r, any = 0;

	while ((r = segment_recv(stream->pump, stream->data, sizeof(stream->data), &segment)) ==
		0) {
		on_ack(stream, &segment);
		any = 1;
	}
	return r == -EAGAIN ? any : r;
}

/* As much as the window has room for. Returns 1: no room in the port. */
static int fill_window(struct stream *stream, size_t segment_bytes)
{
	struct pump *pump = stream->pump;
	uint64_t window_bytes = MIN(pump->window_bytes, stream->peer_window_bytes);
	int r = 0;

	while (r == 0 && stream->nxt < stream->limit &&
		stream->nxt - stream->una + segment_bytes <= window_bytes) {
		struct segment segment = {
			.sequence = sequence_of(stream->nxt),
			.ack = FIRST_SEQUENCE + 1,
			.flags = TCP_FLAG_ACK,
			.window_bytes = RECEIVER_WINDOW,
			.payload = stream->pattern + stream->nxt % PERIOD_BYTES,
			.payload_bytes = segment_bytes,
		};

		r = segment_send(pump, &segment, false);
		if (r == 0)
			stream->nxt += segment_bytes;
	}
	pump->port.ops->flush(pump->port.port);
	return r == -EAGAIN ? 1 : r;
}

/* No byte is sent that was not sent before. */
static void end_stream(struct stream *stream)
{
	uint64_t sent = MAX(stream->nxt, stream->recover);

	stream->limit = MIN(stream->limit, sent);
}

static int wait_for_acks(struct stream *stream, bool full)
{
	struct pump *pump = stream->pump;
	int r = pump_wait(
		pump, ETH_FRAMES | (full ? ETH_ROOM : 0), clock_mono_ns() + REPEAT_AFTER_NS);

	if (r == -ETIMEDOUT && clock_mono_ns() < pump->deadline_ns) {
		go_back(stream);
		return 0;
	}
	return r;
}

/* Send for as long as it takes, then wait until all of it is acknowledged. */
static int send_stream(struct stream *stream)
{
	struct pump *pump = stream->pump;
	bool supers = pump->port.ops->caps(pump->port.port) & ETH_CAP_TSO4;
	size_t segment_bytes = supers ? TCP_SUPER_PAYLOAD : TCP_MSS_BYTES;
	uint64_t end_ns = clock_mono_ns() + pump->run_ns;
	bool full;
	int r;

	stream->limit = pump->max_frames ? pump->max_frames * segment_bytes : UINT64_MAX;
	while (stream->una < stream->limit) {
		if (clock_mono_ns() >= end_ns)
			end_stream(stream);
		r = fill_window(stream, segment_bytes);
		if (r < 0)
			return r;
		full = r == 1;
		r = take_acks(stream);
		if (r == 0 && stream->una < stream->limit)
			r = wait_for_acks(stream, full);
		if (r < 0)
			return r;
	}
	return 0;
}

int pump_send(struct pump *pump, struct json *result)
{
	struct stream *stream;
	uint64_t cpu_ns;
	int r = stream_new(pump, &stream);

	if (r < 0)
		return r;
	r = agree(
		stream, TCP_FLAG_SYN, TCP_FLAG_SYN | TCP_FLAG_ACK, FIRST_SEQUENCE, MEET_WITHIN_NS);
	/* The window of a SYN is not scaled. */
	stream->peer_window_bytes >>= TCP_WINDOW_SCALE;
	cpu_ns = pump_cpu_ns();
	if (r == 0)
		r = send_stream(stream);
	if (r == 0) {
		json_set_int(result, "bytes", (int64_t)stream->una);
		json_set_int(result, "went_back", (int64_t)stream->n_back);
		json_set_int(result, "cpu_ns", (int64_t)(pump_cpu_ns() - cpu_ns));
		r = agree(stream, TCP_FLAG_FIN | TCP_FLAG_ACK, TCP_FLAG_FIN | TCP_FLAG_ACK,
			sequence_of(stream->una), PART_WITHIN_NS);
	}
	stream_free(stream);
	return r;
}

static int acknowledge(struct stream *stream, uint8_t flags)
{
	stream->n_unacked_frames = 0;
	stream->n_acked = stream->expected;
	return send_control(stream, TCP_FLAG_ACK | flags, FIRST_SEQUENCE + 1,
		sequence_of(stream->expected + (flags & TCP_FLAG_FIN ? 1 : 0)));
}

/* -EIO: bytes are not what they should be, which no switch may do. */
static int on_payload(struct stream *stream, const struct segment *segment)
{
	uint64_t offset = offset_of(segment->sequence, stream->expected);

	if (offset != stream->expected) {
		stream->n_out_of_order++;
		return acknowledge(stream, 0);
	}
	if (memcmp(segment->payload, stream->pattern + offset % PERIOD_BYTES,
		    segment->payload_bytes) != 0)
		return -EIO;
	stream->last_ns = clock_mono_ns();
	if (offset == 0) {
		stream->first_ns = stream->last_ns;
		stream->cpu_ns = pump_cpu_ns();
	}
	stream->expected += segment->payload_bytes;
	if (++stream->n_unacked_frames >= ACK_AFTER_FRAMES ||
		stream->expected - stream->n_acked >= ACK_AFTER_BYTES)
		return acknowledge(stream, 0);
	return 0;
}

/* Until the FIN. */
static int receive_stream(struct stream *stream)
{
	struct segment segment;
	int r;

	for (;;) {
		r = segment_recv(stream->pump, stream->data, sizeof(stream->data), &segment);
		if (r == -EAGAIN) {
			r = stream->n_unacked_frames ? acknowledge(stream, 0) : 0;
			r = r ?: await(stream, stream->pump->deadline_ns, &segment);
		}
		if (r == -EBADMSG) {
			stream->n_bad_csum++;
			continue;
		}
		if (r < 0)
			return r;
		if (segment.flags & TCP_FLAG_SYN)
			r = send_control(stream, TCP_FLAG_SYN | TCP_FLAG_ACK, FIRST_SEQUENCE,
				FIRST_SEQUENCE + 1);
		else if (segment.payload_bytes)
			r = on_payload(stream, &segment);
		else if ((segment.flags & TCP_FLAG_FIN) &&
			 segment.sequence == sequence_of(stream->expected))
			return acknowledge(stream, TCP_FLAG_FIN);
		if (r < 0)
			return r;
	}
}

int pump_receive(struct pump *pump, struct json *result)
{
	struct stream *stream;
	int r = stream_new(pump, &stream);

	if (r < 0)
		return r;
	r = receive_stream(stream);
	if (r == 0) {
		json_set_int(result, "bytes", (int64_t)stream->expected);
		json_set_int(result, "ns", (int64_t)(stream->last_ns - stream->first_ns));
		json_set_int(result, "out_of_order", (int64_t)stream->n_out_of_order);
		json_set_int(result, "bad_checksums", (int64_t)stream->n_bad_csum);
		json_set_int(result, "cpu_ns",
			stream->expected ? (int64_t)(pump_cpu_ns() - stream->cpu_ns) : 0);
	}
	stream_free(stream);
	return r;
}
