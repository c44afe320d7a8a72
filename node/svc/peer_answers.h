/* SPDX-License-Identifier: MIT
 *
 * peer_answers.h - answers that were given to other services, kept for a while: a question that is
 * asked again, because its answer may have been lost with the connection, is answered with the same
 * words and not carried out twice.
 *
 * A question is known by who asks, the random number of the asker's process, and its number there.
 * Bounded: the oldest answers make room. Threads: one owner.
 */
#ifndef VIADUCT_NODE_SVC_PEER_ANSWERS_H
#define VIADUCT_NODE_SVC_PEER_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

#define PEER_ANSWERS_MAX       512
#define PEER_ANSWERS_MAX_BYTES (4U << 20)

struct peer_answers;

struct peer_question {
	const char *from;
	uint64_t life, id;
};

/* -ENOMEM */
int peer_answers_new(struct peer_answers **ret_answers);
/* NULL is fine. */
void peer_answers_free(struct peer_answers *answers);
/* Copies the text. What there is no room for is not kept. */
void peer_answers_keep(struct peer_answers *answers, const struct peer_question *question,
	const char *text, size_t size_bytes);
/* Lent until the next call; NULL: there is none. */
const char *peer_answers_find(const struct peer_answers *answers,
	const struct peer_question *question, size_t *ret_size_bytes);

#endif
