/* SPDX-License-Identifier: MIT */
#include "node/svc/peer_answers.h"

#include "base/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct answer {
	struct list link;
	uint64_t life, id;
	const char *from; /* behind the text */
	size_t size_bytes, total_bytes;
	char text[];
};

struct peer_answers {
	struct list list; /* the oldest first */
	size_t n, bytes;
};

int peer_answers_new(struct peer_answers **ret_answers)
{
	struct peer_answers *answers = calloc(1, sizeof(*answers));

	if (!answers)
		return -ENOMEM;
	list_init(&answers->list);
	*ret_answers = answers;
	return 0;
}

static void drop_oldest(struct peer_answers *answers)
{
	struct answer *oldest = list_pop(&answers->list, struct answer, link);

	answers->n--;
	answers->bytes -= oldest->total_bytes;
	free(oldest);
}

void peer_answers_free(struct peer_answers *answers)
{
	if (!answers)
		return;
	while (answers->n)
		drop_oldest(answers);
	free(answers);
}

void peer_answers_keep(struct peer_answers *answers, const struct peer_question *question,
	const char *text, size_t size_bytes)
{
	size_t from_bytes = strlen(question->from) + 1;
	size_t total_bytes = size_bytes + from_bytes;
	struct answer *answer;

	if (total_bytes > PEER_ANSWERS_MAX_BYTES)
		return;
	answer = malloc(sizeof(*answer) + total_bytes);
	if (!answer)
		return;
	while (answers->n == PEER_ANSWERS_MAX ||
		answers->bytes + total_bytes > PEER_ANSWERS_MAX_BYTES)
		drop_oldest(answers);
	answer->life = question->life;
	answer->id = question->id;
	answer->size_bytes = size_bytes;
	answer->total_bytes = total_bytes;
	memcpy(answer->text, text, size_bytes);
	answer->from = memcpy(answer->text + size_bytes, question->from, from_bytes);
	list_append(&answers->list, &answer->link);
	answers->n++;
	answers->bytes += total_bytes;
}

const char *peer_answers_find(const struct peer_answers *answers,
	const struct peer_question *question, size_t *ret_size_bytes)
{
	const struct answer *answer;

	list_for_each(answer, &answers->list, link) {
		if (answer->id == question->id && answer->life == question->life &&
			strcmp(answer->from, question->from) == 0) {
			*ret_size_bytes = answer->size_bytes;
			return answer->text;
		}
	}
	return NULL;
}
