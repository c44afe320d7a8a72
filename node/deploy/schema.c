/* SPDX-License-Identifier: MIT */
#include "node/deploy/schema.h"

#include <stdio.h>
#include <string.h>

#define GUESS_MAX_LEN 40

/* ---- what was meant ---- */

/* How many letters must be changed, added, left out to get from one to the other. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[GUESS_MAX_LEN + 1], before, above;

	for (size_t k = 0; k <= b_len; k++)
		row[k] = k;
	for (size_t i = 1; i <= a_len; i++) {
		before = row[0];
		row[0] = i;
		for (size_t k = 1; k <= b_len; k++) {
			above = row[k];
			row[k]++;
			row[k] = MIN(row[k], row[k - 1] + 1);
			row[k] = MIN(row[k], before + (a[i - 1] != b[k - 1]));
			before = above;
		}
	}
	return row[b_len];
}

const char *schema_guess(const char *text, const char *words)
{
	static char guess[GUESS_MAX_LEN + 32];
	size_t len = strlen(text), best = 3, d;

	guess[0] = '\0';
	if (len < 2 || len > GUESS_MAX_LEN)
		return guess;
	for (const char *word = words; *word;) {
		size_t word_len = strcspn(word, "|");

		if (word_len <= GUESS_MAX_LEN) {
			d = distance(text, len, word, word_len);
			if (d < best && d < MAX(len, word_len) && d * 2 <= MAX(len, word_len)) {
				best = d;
				snprintf(guess, sizeof(guess), "; did you mean '%.*s'?",
					(int)word_len, word);
			}
		}
		word += word_len + (word[word_len] == '|');
	}
	return guess;
}

/* ---- maps by their schema ---- */

static const struct field *find_field(const struct schema *schema, const char *key)
{
	for (size_t i = 0; i < schema->n; i++) {
		if (strcmp(schema->fields[i].key, key) == 0)
			return &schema->fields[i];
	}
	return NULL;
}

static void unknown_key(
	const struct schema *schema, const struct doc *key, struct problems *problems)
{
	char keys[1024] = "";

	for (size_t i = 0; i < schema->n; i++) {
		size_t len = strlen(keys);

		snprintf(keys + len, sizeof(keys) - len, "%s%s", i ? "|" : "",
			schema->fields[i].key);
	}
	if (schema_guess(key->text, keys)[0]) {
		problem(problems, key->at, "%s has no setting '%.60s'%s", schema->what, key->text,
			schema_guess(key->text, keys));
		return;
	}
	for (char *c = keys; *c; c++) {
		if (*c == '|')
			*c = ' ';
	}
	problem(problems, key->at, "%s has no setting '%.60s'; it has: %s", schema->what, key->text,
		keys);
}

/* "guards.dhcp" within the values. Takes over `value`. */
static void set_at(struct json *values, const struct field *field, struct json *value)
{
	const char *path = field->to ? field->to : field->key;
	const char *dot = strchr(path, '.');
	char key[64];

	snprintf(key, sizeof(key), "%.*s", dot ? (int)(dot - path) : (int)sizeof(key) - 1, path);
	for (char *c = key; *c; c++) {
		if (*c == '-')
			*c = '_';
	}
	if (!dot) {
		json_set(values, key, value);
		return;
	}
	if (!json_get(values, key))
		json_set(values, key, json_object_new());
	json_set(json_get(values, key), dot + 1, value);
}

static void wrong_kind(const struct field *field, const struct doc *doc, const char *wanted,
	struct problems *problems)
{
	problem(problems, doc->at, "'%s' must be %s, and this is %s; see docs/cluster-file.md",
		field->key, wanted, doc_kind_name(doc));
}

static bool is_nothing(const struct doc *doc)
{
	return doc->kind == DOC_TEXT && doc->plain && !doc->text[0];
}

static struct json *read_list(
	const struct field *field, const struct doc *doc, struct problems *problems)
{
	struct json *list;

	if (doc->kind != DOC_LIST && !(is_nothing(doc) && field->of)) {
		wrong_kind(field, doc, field->of ? "a list of maps" : "a list", problems);
		return NULL;
	}
	if (field->max && (int64_t)doc_length(doc) > field->max)
		problem(problems, doc->at, "'%s' has %zu entries, and can have %lld at most",
			field->key, doc_length(doc), (long long)field->max);
	list = json_array_new();
	for (size_t i = 0; i < doc_length(doc); i++) {
		const struct doc *item = doc_at(doc, i);
		struct json *value =
			field->of ? schema_read(field->of, item, problems)
				  : schema_value(field, field->item, field->key, item, problems);

		if (value)
			json_append(list, value);
	}
	return list;
}

static struct json *read_names(
	const struct field *field, const struct doc *doc, struct problems *problems)
{
	struct json *object;

	if (doc->kind != DOC_MAP) {
		wrong_kind(field, doc, "a map of names and values", problems);
		return NULL;
	}
	object = json_object_new();
	for (size_t i = 0; i < doc->n; i++) {
		struct json *value = schema_value(
			field, field->item, doc->keys[i]->text, doc->values[i], problems);

		if (value)
			json_set(object, doc->keys[i]->text, value);
	}
	return object;
}

static struct json *read_field(
	const struct field *field, const struct doc *doc, struct problems *problems)
{
	if (field->type == FIELD_LIST)
		return read_list(field, doc, problems);
	if (field->type == FIELD_MAP)
		return field->of ? schema_read(field->of, doc, problems)
				 : read_names(field, doc, problems);
	return schema_value(field, field->type, field->key, doc, problems);
}

struct json *schema_read(
	const struct schema *schema, const struct doc *doc, struct problems *problems)
{
	struct json *values = json_object_new();
	size_t before = problems->n + problems->n_more;

	if (doc->kind != DOC_MAP) {
		problem(problems, doc->at,
			"%s must be a map of settings and values, and this is %s; see "
			"docs/cluster-file.md",
			schema->what, doc_kind_name(doc));
		return values;
	}
	for (size_t i = 0; i < doc->n; i++) {
		const struct field *field = find_field(schema, doc->keys[i]->text);
		struct json *value = NULL;

		if (!field)
			unknown_key(schema, doc->keys[i], problems);
		else
			value = read_field(field, doc->values[i], problems);
		if (value)
			set_at(values, field, value);
	}
	for (size_t i = 0; i < schema->n; i++) {
		const struct field *field = &schema->fields[i];

		if (field->required && !doc_get(doc, field->key))
			problem(problems, doc->at, "%s needs '%s'%s%s", schema->what, field->key,
				field->help ? ", " : "", field->help ? field->help : "");
	}
	if (schema->after)
		values = schema->after(
			doc, values, problems->n + problems->n_more == before, problems);
	return values;
}
