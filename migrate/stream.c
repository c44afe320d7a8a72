/* SPDX-License-Identifier: MIT */
#include "migrate/stream.h"
#include "migrate/crc32c.h"

#define CRC_AT offsetof(struct mig_frame_header, crc)

void frame_header_encode(uint16_t type, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct mig_frame_header *ret_header)
{
	uint32_t crc;

	*ret_header = (struct mig_frame_header){
		.type = htole16(type),
		.size_bytes = htole32((uint32_t)(head_bytes + tail_bytes)),
	};
	crc = crc32c(0, ret_header, CRC_AT);
	crc = crc32c(crc, head, head_bytes);
	ret_header->crc = htole32(crc32c(crc, tail, tail_bytes));
}

int frame_header_parse(const struct mig_frame_header *header, uint32_t max_bytes,
	struct frame *ret_frame, const char **ret_why)
{
	struct frame frame = {
		.type = le16toh(header->type),
		.size_bytes = le32toh(header->size_bytes),
		.crc = le32toh(header->crc),
	};

	if (header->reserved || frame.type == 0 || frame.type > MIG_FRAME_END) {
		*ret_why = "not a frame";
		return -EBADMSG;
	}
	if (frame.size_bytes > max_bytes) {
		*ret_why = "a frame larger than any may be";
		return -EBADMSG;
	}
	*ret_frame = frame;
	return 0;
}

int frame_verify(const struct frame *frame, const char **ret_why)
{
	struct mig_frame_header header = {
		.type = htole16(frame->type),
		.size_bytes = htole32(frame->size_bytes),
	};
	uint32_t crc = crc32c(0, &header, CRC_AT);

	if (crc32c(crc, frame->payload, frame->size_bytes) == frame->crc)
		return 0;
	*ret_why = "a frame with a wrong checksum";
	return -EBADMSG;
}

int frame_check(const struct frame_rule *rule, unsigned state, const struct frame *frame,
	const char **ret_why)
{
	if (!rule)
		*ret_why = "a frame that this end does not take";
	else if (!(rule->states & 1U << state))
		*ret_why = "a frame out of order";
	else if (frame->size_bytes < rule->min_bytes || frame->size_bytes > rule->max_bytes)
		*ret_why = "a frame of impossible size";
	else
		return 0;
	return -EBADMSG;
}

int stream_send(struct link *link, uint16_t type, const void *head, size_t head_bytes,
	const void *tail, size_t tail_bytes)
{
	struct mig_frame_header header;
	struct iovec iov[] = {
		{&header, sizeof(header)},
		{(void *)head, head_bytes},
		{(void *)tail, tail_bytes},
	};

	frame_header_encode(type, head, head_bytes, tail, tail_bytes, &header);
	return link_write(link, iov, ARRAY_LEN(iov));
}

int stream_send_abort(struct link *link, int error, const char *text)
{
	struct mig_abort abort_head = {.error = htole32((uint32_t)-error)};

	return stream_send(link, MIG_FRAME_ABORT, &abort_head, sizeof(abort_head), text,
		strnlen(text, MIG_MAX_ERROR_LEN));
}

int stream_parse_abort(const struct frame *frame, char ret_text[MIG_MAX_ERROR_LEN + 1])
{
	struct reader r = reader_make(frame->payload, frame->size_bytes);
	uint32_t error = reader_le32(&r);
	size_t n = 0;

	(void)reader_le32(&r);
	while (r.left_bytes && n < MIG_MAX_ERROR_LEN) {
		uint8_t c = reader_u8(&r);

		ret_text[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	ret_text[n] = '\0';
	return error > 0 && error < 4096 ? -(int)error : -EREMOTEIO;
}

int stream_in_init(struct stream_in *in, struct link *link, uint32_t max_bytes)
{
	*in = (struct stream_in){
		.link = link, .max_bytes = max_bytes, .payload = malloc(max_bytes)};
	return in->payload ? 0 : -ENOMEM;
}

void stream_in_fini(struct stream_in *in)
{
	free(in->payload);
	in->payload = NULL;
}

/* Read towards `want_bytes` of what starts at `at`, of which `*have_bytes` are there. */
static int pull_towards(struct stream_in *in, void *at, size_t already_bytes, size_t want_bytes)
{
	while (in->have_bytes - already_bytes < want_bytes) {
		size_t have_bytes = in->have_bytes - already_bytes;
		struct iovec iov = {(uint8_t *)at + have_bytes, want_bytes - have_bytes};
		ssize_t n = link_try_read(in->link, &iov, 1);

		if (n < 0)
			return (int)n;
		in->have_bytes += (size_t)n;
	}
	return 0;
}

int stream_in_pull(struct stream_in *in, struct frame *ret_frame, const char **ret_why)
{
	const size_t header_bytes = sizeof(in->header);
	int r;

	*ret_why = "the control connection broke";
	if (in->have_bytes < header_bytes) {
		r = pull_towards(in, &in->header, 0, header_bytes);
		if (r == 0)
			r = frame_header_parse(&in->header, in->max_bytes, &in->frame, ret_why);
		if (r < 0)
			return r;
	}
	r = pull_towards(in, in->payload, header_bytes, in->frame.size_bytes);
	if (r < 0)
		return r;
	in->have_bytes = 0;
	in->frame.payload = in->payload;
	r = frame_verify(&in->frame, ret_why);
	if (r < 0)
		return r;
	*ret_frame = in->frame;
	return 0;
}
