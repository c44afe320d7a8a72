/* SPDX-License-Identifier: MIT
 *
 * remote_msg.h - pure: the messages of administrators over the network. One frame of JSON:
 *
 *   {"rid": N, "request": {"op": ...}}   to the service; N > 0 is the client's, for the answer
 *   {"rid": N, "answer": {"ok": ...}}    back
 *
 * A request has at most REMOTE_MAX_REQUEST_BYTES; the bytes are hostile.
 */
#ifndef VIADUCT_NODE_SVC_REMOTE_MSG_H
#define VIADUCT_NODE_SVC_REMOTE_MSG_H

#include "base/json.h"

#define REMOTE_MAX_REQUEST_BYTES (256U << 10)
#define REMOTE_MAX_ANSWER_BYTES  (1U << 20)

/* 0; -EMSGSIZE, -EBADMSG, -ENOMEM. The request is the caller's. */
int remote_msg_parse(
	const void *data, size_t size_bytes, uint64_t *ret_id, struct json **ret_request);
/* Takes over `answer`. To free(); NULL: no memory. One that is too large becomes a refusal. */
char *remote_msg_answer(uint64_t id, struct json *answer);

#endif
