/* SPDX-License-Identifier: MIT
 *
 * chan.h - the private control channel between viaductd and the processes it supervises: JSON
 * messages with descriptors over an AF_UNIX SEQPACKET socket pair.
 *
 * One datagram is one JSON object. A request carries "id" (non-zero) and "op"; its reply carries
 * the same "id" and either "ok": true or "errno" (positive) with "error" (text). A message without
 * "id" is an event and has no reply. At most CHAN_MAX_FDS descriptors travel with a message.
 *
 * Hostile: a child is not trusted by its parent. Messages over CHAN_MAX_BYTES, malformed JSON and
 * surplus descriptors close the channel (on_close with the reason); surplus descriptors are closed.
 *
 * Ownership: a received message is lent to the callback. Received descriptors belong to the
 * callback, which sets the entries it keeps to -1; the rest are closed after it returns.
 * Descriptors given to chan_send() stay the caller's (they are duplicated by the kernel). Threads:
 * the loop's thread only. The channel may be freed inside its own callbacks.
 */
#ifndef VIADUCT_BASE_CHAN_H
#define VIADUCT_BASE_CHAN_H

#include "base/json.h"
#include "base/loop.h"

#define CHAN_MAX_BYTES 131072
#define CHAN_MAX_FDS   16

struct chan;

/* A request (`id` != 0) or an event (`id` == 0) arrived. Answer requests with chan_reply(), now or
 * later. */
typedef void (*chan_message_fn)(struct chan *chan, uint64_t id, const char *op,
	const struct json *message, int *fds, size_t n_fds, void *data);
/* The peer is gone (-EPIPE) or broke the rules (-EBADMSG, -EMSGSIZE). Pending calls have already
 * been completed with that error. Called once. */
typedef void (*chan_close_fn)(struct chan *chan, int error, void *data);
/* The reply to a call: `error` is 0, the peer's -errno, -ETIMEDOUT or the reason of a close;
 * `reply` is the peer's message or NULL. */
typedef void (*chan_reply_fn)(
	int error, const struct json *reply, int *fds, size_t n_fds, void *data);

/* Takes over `fd`. */
int chan_new(struct loop *loop, int fd, chan_message_fn on_message, chan_close_fn on_close,
	void *data, struct chan **ret_chan);
/* Drops pending calls without calling their callbacks. NULL is fine. */
void chan_free(struct chan *chan);

/* Send a request; takes over `message` (an object, or NULL for none) and adds "op" and "id".
 * `timeout_ns` 0 means no limit. Returns 0 or -errno; then on_reply is not called. */
int chan_call(struct chan *chan, const char *op, struct json *message, const int *fds, size_t n_fds,
	uint64_t timeout_ns, chan_reply_fn on_reply, void *data);
/* Send an event; takes over `message`. */
int chan_event(
	struct chan *chan, const char *op, struct json *message, const int *fds, size_t n_fds);
/* Answer request `id`; takes over `message` (may be NULL). `error` 0 or -errno; `text` explains an
 * error (NULL for strerror). */
int chan_reply(struct chan *chan, uint64_t id, int error, const char *text, struct json *message,
	const int *fds, size_t n_fds);

/* A connected SEQPACKET pair, close-on-exec. */
int chan_pair(int ret_fds[2]);

#endif
