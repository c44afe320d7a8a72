/* SPDX-License-Identifier: MIT */
#include "node/deploy/doc.h"

#include <string.h>

void doc_free(struct doc *doc)
{
	if (!doc)
		return;
	for (size_t i = 0; i < doc->n; i++) {
		if (doc->keys)
			doc_free(doc->keys[i]);
		doc_free(doc->values[i]);
	}
	free(doc->keys);
	free(doc->values);
	free(doc->text);
	free(doc);
}

const struct doc *doc_get(const struct doc *map, const char *key)
{
	if (!map || map->kind != DOC_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->values[i];
	}
	return NULL;
}

const char *doc_text(const struct doc *doc)
{
	return doc && doc->kind == DOC_TEXT ? doc->text : NULL;
}

const char *doc_get_text(const struct doc *map, const char *key)
{
	return doc_text(doc_get(map, key));
}

size_t doc_length(const struct doc *list)
{
	return list && list->kind == DOC_LIST ? list->n : 0;
}

const struct doc *doc_at(const struct doc *list, size_t at)
{
	return at < doc_length(list) ? list->values[at] : NULL;
}

const char *doc_kind_name(const struct doc *doc)
{
	static const char *const names[] = {"a text", "a list", "a map"};

	return names[doc->kind];
}
