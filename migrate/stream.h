/* SPDX-License-Identifier: MIT
 *
 * stream.h - frames of the control connection and of files: bounded, checksummed, and allowed only
 * where a table says so.
 *
 * The parser proper is pure. Around it are a sender and a receiver for links; files bring their own
 * I/O. A `why` is static text, set when an error is returned.
 */
#ifndef VIADUCT_MIGRATE_STREAM_H
#define VIADUCT_MIGRATE_STREAM_H

#include "base/bytes.h"
#include "migrate/link.h"
#include "migrate/mig_proto.h"

struct frame {
	uint16_t type;
	uint32_t size_bytes;
	uint32_t crc;
	const uint8_t *payload;
};

/* What a peer may send, and when; a column of each end's table of frames. */
struct frame_rule {
	uint16_t type;
	uint32_t min_bytes, max_bytes;
	uint32_t states; /* bits: 1 << state */
};

/* The header for a payload in up to two parts. */
void frame_header_encode(uint16_t type, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct mig_frame_header *ret_header);
/* All but the payload, which stays NULL. -EBADMSG: no frame, or larger than `max_bytes`. */
int frame_header_parse(const struct mig_frame_header *header, uint32_t max_bytes,
	struct frame *ret_frame, const char **ret_why);
/* With the payload in place: -EBADMSG for a wrong checksum. */
int frame_verify(const struct frame *frame, const char **ret_why);
/* Is this frame allowed in `state`, and of a size its type can have? `rule` NULL: its type has
 * none. */
int frame_check(const struct frame_rule *rule, unsigned state, const struct frame *frame,
	const char **ret_why);

int stream_send(struct link *link, uint16_t type, const void *head, size_t head_bytes,
	const void *tail, size_t tail_bytes);
/* ABORT with `text` cut to what fits; `error` is a -errno. */
int stream_send_abort(struct link *link, int error, const char *text);
/* The opposite; nothing of a peer's text is kept but printable ASCII. Returns its -errno. */
int stream_parse_abort(const struct frame *frame, char ret_text[MIG_MAX_ERROR_LEN + 1]);

/* Collects frames from a link as bytes arrive. */
struct stream_in {
	struct link *link;
	uint32_t max_bytes;
	uint8_t *payload; /* max_bytes */
	struct mig_frame_header header;
	size_t have_bytes; /* of header and payload */
	struct frame frame;
};

int stream_in_init(struct stream_in *in, struct link *link, uint32_t max_bytes);
void stream_in_fini(struct stream_in *in);
/* The next frame, lent until the next call; -EAGAIN when it is not all there yet. Never waits. */
int stream_in_pull(struct stream_in *in, struct frame *ret_frame, const char **ret_why);

#endif
