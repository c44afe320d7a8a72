/* SPDX-License-Identifier: MIT
 *
 * yaml_read.c - bytes to a document; the only user of libyaml. It is used for its events: a
 * document that it would load by itself could be larger than its text.
 */
#include "node/deploy/doc.h"

#include <string.h>
#include <yaml.h>

struct reading {
	yaml_parser_t parser;
	struct problems *problems;
	struct doc *root;
	struct doc *open[DOC_MAX_DEPTH]; /* lists and maps that are not complete */
	struct doc *key;                 /* of the innermost map, waiting for its value */
	size_t depth, n_nodes;
	bool ended;
};

static struct place_in_file place_of(const yaml_mark_t *mark)
{
	return (struct place_in_file){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static int refuse(struct reading *r, struct place_in_file at, const char *text)
{
	problem(r->problems, at, "%s", text);
	return -EBADMSG;
}

static struct doc *node_new(struct reading *r, const yaml_event_t *event, enum doc_kind kind)
{
	struct doc *doc = r->n_nodes++ < DOC_MAX_NODES ? calloc(1, sizeof(*doc)) : NULL;

	if (doc) {
		doc->kind = kind;
		doc->at = place_of(&event->start_mark);
	}
	return doc;
}

/* Room for one more, doubled each time. */
static int grow(struct doc ***list, size_t n)
{
	struct doc **larger;

	if (n & (n - 1))
		return 0;
	larger = reallocarray(*list, n ? 2 * n : 1, sizeof(**list));
	if (!larger)
		return -ENOMEM;
	*list = larger;
	return 0;
}

static int take_key(struct reading *r, const struct doc *map, struct doc *key)
{
	int error = 0;

	if (key->kind != DOC_TEXT)
		error = refuse(r, key->at,
			"the name of a setting must be a text; YAML allows others, this file does "
			"not");
	else if (map->n == DOC_MAX_KEYS)
		error = refuse(r, key->at, "this map has more settings than any may have");
	else if (doc_get(map, key->text)) {
		problem(r->problems, key->at,
			"'%.60s' comes twice in this map, first in line %u; remove one", key->text,
			doc_get(map, key->text)->at.line);
		error = -EBADMSG;
	}
	if (error < 0)
		doc_free(key);
	else
		r->key = key;
	return error;
}

/* Put a node where it belongs; it is taken over. */
static int take_node(struct reading *r, struct doc *doc)
{
	struct doc *parent = r->depth ? r->open[r->depth - 1] : NULL;

	if (!parent) {
		r->root = doc;
		return 0;
	}
	if (parent->kind == DOC_MAP && !r->key)
		return take_key(r, parent, doc);
	if (grow(&parent->values, parent->n) < 0 ||
		(parent->kind == DOC_MAP && grow(&parent->keys, parent->n) < 0)) {
		doc_free(doc);
		return -ENOMEM;
	}
	if (parent->kind == DOC_MAP)
		parent->keys[parent->n] = take_ptr(r->key);
	parent->values[parent->n++] = doc;
	return 0;
}

static int on_scalar(struct reading *r, const yaml_event_t *event)
{
	size_t len = event->data.scalar.length;
	const char *value = (const char *)event->data.scalar.value;
	struct place_in_file at = place_of(&event->start_mark);
	struct doc *doc;

	if (event->data.scalar.anchor || event->data.scalar.tag)
		return refuse(r, at,
			"anchors (&) and tags (!) are not used in this file; write the value "
			"itself");
	if (len > DOC_MAX_TEXT_BYTES)
		return refuse(r, at, "this text is longer than 4096 bytes; nothing here needs it");
	if (memchr(value, '\0', len))
		return refuse(r, at, "there is a NUL character in this text; remove it");
	doc = node_new(r, event, DOC_TEXT);
	if (!doc)
		return r->n_nodes > DOC_MAX_NODES ? refuse(r, at, "the file has too many values")
						  : -ENOMEM;
	doc->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	doc->text = strndup(value, len);
	if (!doc->text) {
		doc_free(doc);
		return -ENOMEM;
	}
	return take_node(r, doc);
}

static int on_open(struct reading *r, const yaml_event_t *event, enum doc_kind kind)
{
	const void *decoration = kind == DOC_LIST ? (const void *)event->data.sequence_start.anchor
						  : (const void *)event->data.mapping_start.anchor;
	const void *tag = kind == DOC_LIST ? (const void *)event->data.sequence_start.tag
					   : (const void *)event->data.mapping_start.tag;
	struct place_in_file at = place_of(&event->start_mark);
	struct doc *doc;
	int error;

	if (decoration || tag)
		return refuse(r, at,
			"anchors (&) and tags (!) are not used in this file; write the value "
			"itself");
	if (r->depth == DOC_MAX_DEPTH)
		return refuse(r, at, "this is nested deeper than anything in this file may be");
	doc = node_new(r, event, kind);
	if (!doc)
		return r->n_nodes > DOC_MAX_NODES ? refuse(r, at, "the file has too many values")
						  : -ENOMEM;
	error = take_node(r, doc);
	/* As a key it was refused. */
	if (error == 0)
		r->open[r->depth++] = doc;
	return error;
}

static int on_event(struct reading *r, const yaml_event_t *event)
{
	struct place_in_file at = place_of(&event->start_mark);

	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		r->ended = true;
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		return r->root ? refuse(r, at,
					 "a second document begins here ('---'); a cluster has one")
			       : 0;
	case YAML_ALIAS_EVENT:
		return refuse(
			r, at, "aliases (*) are not used in this file; write the value itself");
	case YAML_SCALAR_EVENT:
		return on_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(r, event, DOC_LIST);
	case YAML_MAPPING_START_EVENT:
		return on_open(r, event, DOC_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	default:
		return 0;
	}
}

static int on_error(struct reading *r)
{
	struct place_in_file at = place_of(&r->parser.problem_mark);
	const char *text = r->parser.problem ? r->parser.problem : "cannot be read";

	if (r->parser.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (r->parser.error == YAML_READER_ERROR)
		problem(r->problems, at, "this is no text in UTF-8: %s; save it as such", text);
	else
		problem(r->problems, at,
			"this is no YAML: %s; look at the indentation, and quote texts with : or "
			"#",
			text);
	return -EBADMSG;
}

int doc_parse(const char *text, size_t len, struct problems *problems, struct doc **ret_doc)
{
	struct reading r = {.problems = problems};
	int error = 0;

	if (len > DOC_MAX_BYTES) {
		problem(problems, (struct place_in_file){1, 1},
			"the file is larger than 1 MiB; no cluster is described by so much");
		return -EBADMSG;
	}
	if (!yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	while (error == 0 && !r.ended) {
		yaml_event_t event;

		if (!yaml_parser_parse(&r.parser, &event)) {
			error = on_error(&r);
			break;
		}
		error = on_event(&r, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&r.parser);
	doc_free(r.key);
	if (error < 0)
		doc_free(r.root);
	else
		*ret_doc = r.root;
	return error;
}
