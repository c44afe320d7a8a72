/* SPDX-License-Identifier: MIT
 *
 * doc.h - a YAML document in memory: texts, lists and maps, each knowing where it stands.
 *
 * Files are hostile. Their size, depth and number of nodes are bounded; anchors, aliases and tags
 * are refused - nothing here needs them, and they make small files large -, and so are a second
 * document and keys that come twice. What a text means is the schema's business (schema.h).
 *
 * Threads: any, one at a time for a document.
 */
#ifndef VIADUCT_NODE_DEPLOY_DOC_H
#define VIADUCT_NODE_DEPLOY_DOC_H

#include "node/deploy/problems.h"

#define DOC_MAX_BYTES      (1U << 20)
#define DOC_MAX_DEPTH      12
#define DOC_MAX_NODES      50000
#define DOC_MAX_KEYS       128 /* of a map */
#define DOC_MAX_TEXT_BYTES 4096

enum doc_kind { DOC_TEXT, DOC_LIST, DOC_MAP };

struct doc {
	enum doc_kind kind;
	struct place_in_file at;
	bool plain;        /* a text without quotes */
	char *text;        /* of a text; never NULL for one */
	struct doc **keys; /* of a map; as many as values */
	struct doc **values;
	size_t n;
};

/* yaml_read.c: the only user of libyaml. 0 and a document (NULL for an empty file); -EBADMSG: what
 * is wrong stands in `problems`; -ENOMEM. */
int doc_parse(const char *text, size_t len, struct problems *problems, struct doc **ret_doc);
void doc_free(struct doc *doc);

static inline void doc_freep(struct doc **doc)
{
	doc_free(*doc);
}
#define _cleanup_doc_ __attribute__((cleanup(doc_freep)))

/* Total, for NULL and other kinds as well. */
const struct doc *doc_get(const struct doc *map, const char *key); /* NULL: not there */
const char *doc_text(const struct doc *doc);                       /* NULL: no text */
const char *doc_get_text(const struct doc *map, const char *key);
size_t doc_length(const struct doc *list); /* 0: no list */
const struct doc *doc_at(const struct doc *list, size_t at);
const char *doc_kind_name(const struct doc *doc); /* "a text", "a list", "a map" */

#endif
