/* SPDX-License-Identifier: MIT
 *
 * Texts as numbers: a table that is searched by FNV-1a with open addressing, and doubled when it is
 * half full.
 */
#include "cluster/place_impl.h"

#include <string.h>

#define FIRST_SLOTS 64

static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL;
	return h ^ (h >> 32);
}

/* The slot where the text is or belongs. */
static size_t find_slot(char *const *known, const uint32_t *slots, size_t n_slots, const char *text)
{
	size_t at = hash(text) & (n_slots - 1);

	while (slots[at] && strcmp(known[slots[at]], text) != 0)
		at = (at + 1) & (n_slots - 1);
	return at;
}

int place_texts_init(struct place_texts *texts)
{
	texts->slots = calloc(FIRST_SLOTS, sizeof(*texts->slots));
	texts->texts = calloc(FIRST_SLOTS / 2, sizeof(*texts->texts));
	if (!texts->slots || !texts->texts)
		return -ENOMEM;
	texts->n_slots = FIRST_SLOTS;
	texts->texts[0] = strdup("");
	texts->n = 1;
	return texts->texts[0] ? 0 : -ENOMEM;
}

void place_texts_fini(struct place_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		free(texts->texts[i]);
	free(texts->texts);
	free(texts->slots);
}

static int grow(struct place_texts *texts)
{
	size_t n_slots = texts->n_slots * 2;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));
	char **larger = reallocarray(texts->texts, n_slots / 2, sizeof(*larger));

	if (larger)
		texts->texts = larger;
	if (!slots || !larger) {
		free(slots);
		return -ENOMEM;
	}
	for (uint32_t i = 1; i < texts->n; i++)
		slots[find_slot(larger, slots, n_slots, larger[i])] = i;
	free(texts->slots);
	texts->slots = slots;
	texts->n_slots = n_slots;
	return 0;
}

int place_intern(struct place_texts *texts, const char *text, uint32_t *ret_number)
{
	size_t at;
	char *copy;

	if (!text || !text[0]) {
		*ret_number = 0;
		return 0;
	}
	at = find_slot(texts->texts, texts->slots, texts->n_slots, text);
	if (!texts->slots[at]) {
		if (texts->n == texts->n_slots / 2) {
			if (grow(texts) < 0)
				return -ENOMEM;
			at = find_slot(texts->texts, texts->slots, texts->n_slots, text);
		}
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		texts->texts[texts->n] = copy;
		texts->slots[at] = (uint32_t)texts->n++;
	}
	*ret_number = texts->slots[at];
	return 0;
}

uint32_t place_lookup(const struct place_texts *texts, const char *text)
{
	if (!text || !text[0])
		return 0;
	return texts->slots[find_slot(texts->texts, texts->slots, texts->n_slots, text)];
}
