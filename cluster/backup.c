/* SPDX-License-Identifier: MIT */
#include "cluster/backup.h"
#include "cluster/rs_wire.h"
#include "cluster/sha256.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LINE_BYTES (8U * RS_VALUE_MAX_BYTES)
#define MAX_ENTRIES    (1U << 20)
#define SUM_LEN        8
#define SHA_LEN        (2 * SHA256_BYTES)

void backup_free(struct backup *backup)
{
	if (!backup)
		return;
	for (size_t i = 0; i < backup->n_entries; i++) {
		free(backup->entries[i].key);
		json_unref(backup->entries[i].value);
	}
	free(backup->entries);
	free(backup);
}

static int grow(struct backup *backup)
{
	size_t capacity = MAX(backup->capacity * 2, (size_t)64);
	struct backup_entry *entries;

	if (backup->n_entries < backup->capacity)
		return 0;
	entries = reallocarray(backup->entries, capacity, sizeof(entries[0]));
	if (!entries)
		return -ENOMEM;
	backup->entries = entries;
	backup->capacity = capacity;
	return 0;
}

int backup_add(struct backup *backup, const char *key, uint64_t version, struct json *value)
{
	_cleanup_json_ struct json *owned = value;
	const char *last = NULL;
	char *copy;
	int r;

	if (!value)
		return -ENOMEM;
	if (backup->n_entries > 0)
		last = backup->entries[backup->n_entries - 1].key;
	if (last && strcmp(last, key) >= 0)
		return -EINVAL;
	r = grow(backup);
	if (r < 0)
		return r;
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	backup->entries[backup->n_entries++] =
		(struct backup_entry){.key = copy, .version = version, .value = take_ptr(owned)};
	return 0;
}

const struct backup_entry *backup_find(const struct backup *backup, const char *key)
{
	size_t low = 0, high = backup->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(backup->entries[middle].key, key);

		if (order == 0)
			return &backup->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int hash(const void *bytes, size_t size_bytes, char ret_hex[SHA_LEN + 1])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *sha;
	int r;

	r = sha256_new(&sha);
	if (r < 0)
		return r;
	sha256_begin(sha);
	sha256_add(sha, bytes, size_bytes);
	r = sha256_end(sha, digest);
	sha256_free(sha);
	for (size_t i = 0; r == 0 && i < sizeof(digest); i++)
		snprintf(&ret_hex[2 * i], 3, "%02x", digest[i]);
	return r;
}

/* Of a line that has no sum in it. */
static int sum_of(const struct json *line, char ret_sum[SHA_LEN + 1])
{
	_cleanup_free_ char *text = json_dump(line, 0);
	int r;

	if (!text)
		return -ENOMEM;
	r = hash(text, strlen(text), ret_sum);
	if (r == 0)
		ret_sum[SUM_LEN] = '\0';
	return r;
}

/* Writing. */

static int put_line(struct buf *out, struct json *line, bool has_sum)
{
	_cleanup_free_ char *text = NULL;
	char sum[SHA_LEN + 1];
	int r = 0;

	if (has_sum)
		r = sum_of(line, sum);
	if (r == 0 && has_sum)
		r = json_set_string(line, "sum", sum);
	if (r < 0)
		return r;
	text = json_dump(line, 0);
	if (!text)
		return -ENOMEM;
	buf_bytes(out, text, strlen(text));
	buf_u8(out, '\n');
	return out->failed ? -ENOMEM : 0;
}

static int put_header(struct buf *out, const struct backup *backup)
{
	_cleanup_json_ struct json *line = json_object_new();

	json_set_int(line, "viaduct_backup", BACKUP_FORMAT);
	json_set_string(line, "node", backup->node);
	json_set_bool(line, "quorate", backup->quorate);
	json_set_int(line, "generation", (int64_t)backup->generation);
	json_set_int(line, "store_version", (int64_t)backup->store_version);
	if (json_set_int(line, "keys", (int64_t)backup->n_entries) < 0)
		return -ENOMEM;
	return put_line(out, line, true);
}

static int put_entry(struct buf *out, const struct backup_entry *entry)
{
	_cleanup_json_ struct json *line = json_object_new();

	json_set_string(line, "key", entry->key);
	json_set_int(line, "version", (int64_t)entry->version);
	if (json_set(line, "value", json_ref(entry->value)) < 0)
		return -ENOMEM;
	return put_line(out, line, true);
}

int backup_write(const struct backup *backup, struct buf *out)
{
	_cleanup_json_ struct json *line = json_object_new();
	char sha[SHA_LEN + 1];
	int r;

	r = put_header(out, backup);
	for (size_t i = 0; r == 0 && i < backup->n_entries; i++)
		r = put_entry(out, &backup->entries[i]);
	if (r == 0)
		r = hash(out->data, out->size_bytes, sha);
	if (r == 0)
		r = json_set_int(line, "end", (int64_t)backup->n_entries);
	if (r == 0)
		r = json_set_string(line, "sha256", sha);
	return r == 0 ? put_line(out, line, false) : r;
}

/* Parsing. */

struct parser {
	const char *bytes;
	size_t size_bytes, at;
	size_t line;
	size_t n_keys; /* as the first line says */
	struct backup *backup;
	struct backup_error *error;
};

static int bad(struct parser *parser, const char *format, ...) _printf_(2, 3);

static int bad(struct parser *parser, const char *format, ...)
{
	va_list args;

	parser->error->line = parser->line;
	va_start(args, format);
	vsnprintf(parser->error->text, sizeof(parser->error->text), format, args);
	va_end(args);
	return -EBADMSG;
}

static int next_line(struct parser *parser, struct json **ret_line)
{
	const char *begin = parser->bytes + parser->at, *end;
	size_t left_bytes = parser->size_bytes - parser->at, len;
	struct json *line;
	int r;

	parser->line++;
	if (left_bytes == 0)
		return bad(parser, "the file ends here, before its end");
	end = memchr(begin, '\n', MIN(left_bytes, (size_t)MAX_LINE_BYTES));
	if (!end)
		return bad(parser, left_bytes < MAX_LINE_BYTES
					   ? "the line is cut off"
					   : "the line is longer than any of a backup");
	len = (size_t)(end - begin);
	r = json_parse(begin, len, &line);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || !json_is_object(line)) {
		if (r == 0)
			json_unref(line);
		return bad(parser, parser->line == 1 ? "this is no backup of Viaduct"
						     : "the line is no JSON object");
	}
	parser->at += len + 1;
	*ret_line = line;
	return 0;
}

static int check_sum(struct parser *parser, struct json *line)
{
	char said[SUM_LEN + 1], is[SHA_LEN + 1];
	int r;

	if (strlen(json_get_string(line, "sum", "")) != SUM_LEN)
		return bad(parser, "the line has no checksum");
	snprintf(said, sizeof(said), "%s", json_get_string(line, "sum", ""));
	json_delete(line, "sum");
	r = sum_of(line, is);
	if (r < 0)
		return r;
	return strcmp(said, is) == 0
		       ? 0
		       : bad(parser, "the line is not as it was written: its checksum differs");
}

static int parse_header(struct parser *parser)
{
	_cleanup_json_ struct json *line = NULL;
	struct backup *backup = parser->backup;
	int64_t format, n_keys, generation, version;
	int r;

	r = next_line(parser, &line);
	if (r < 0)
		return r;
	format = json_get_int(line, "viaduct_backup", 0);
	if (format <= 0)
		return bad(parser, "this is no backup of Viaduct");
	if (format > BACKUP_FORMAT)
		return bad(parser,
			"the backup is of format %lld, and this program knows %d: use a newer one",
			(long long)format, BACKUP_FORMAT);
	r = check_sum(parser, line);
	if (r < 0)
		return r;
	n_keys = json_get_int(line, "keys", -1);
	generation = json_get_int(line, "generation", -1);
	version = json_get_int(line, "store_version", -1);
	if (n_keys < 0 || n_keys > MAX_ENTRIES || generation < 0 || version < 0)
		return bad(parser, "the first line does not say how many keys there are, of which "
				   "version of the store");
	parser->n_keys = (size_t)n_keys;
	backup->generation = (uint64_t)generation;
	backup->store_version = (uint64_t)version;
	backup->quorate = json_get_bool(line, "quorate", false);
	snprintf(backup->node, sizeof(backup->node), "%s", json_get_string(line, "node", ""));
	return 0;
}

static int parse_entry(struct parser *parser)
{
	_cleanup_json_ struct json *line = NULL;
	const char *key;
	int64_t version;
	int r;

	r = next_line(parser, &line);
	if (r == 0)
		r = check_sum(parser, line);
	if (r < 0)
		return r;
	key = json_get_string(line, "key", "");
	version = json_get_int(line, "version", 0);
	if (!rs_key_is_valid(key, strlen(key)))
		return bad(parser, "'key' is missing, or no key");
	if (version <= 0)
		return bad(parser, "'version' of %s is missing, or no version", key);
	if (!json_get(line, "value"))
		return bad(parser, "%s has no 'value'", key);
	r = backup_add(parser->backup, key, (uint64_t)version, json_ref(json_get(line, "value")));
	return r == -EINVAL ? bad(parser, "%s does not come after the key before it", key) : r;
}

static int parse_end(struct parser *parser)
{
	_cleanup_json_ struct json *line = NULL;
	size_t content_bytes = parser->at;
	char sha[SHA_LEN + 1];
	int r;

	r = next_line(parser, &line);
	if (r < 0)
		return r;
	if (json_get_int(line, "end", -1) != (int64_t)parser->n_keys)
		return bad(parser,
			"the end is missing: the first line says that there are %zu keys",
			parser->n_keys);
	r = hash(parser->bytes, content_bytes, sha);
	if (r < 0)
		return r;
	if (strcmp(json_get_string(line, "sha256", ""), sha) != 0)
		return bad(parser, "the file is not as it was written: its checksum differs");
	if (parser->at == parser->size_bytes)
		return 0;
	parser->line++;
	return bad(parser, "there is more behind the end");
}

int backup_parse(const void *bytes, size_t size_bytes, struct backup **ret_backup,
	struct backup_error *ret_error)
{
	struct backup *backup = calloc(1, sizeof(*backup));
	struct parser parser = {
		.bytes = bytes,
		.size_bytes = size_bytes,
		.backup = backup,
		.error = ret_error,
	};
	int r;

	if (!backup)
		return -ENOMEM;
	r = parse_header(&parser);
	for (size_t i = 0; r == 0 && i < parser.n_keys; i++)
		r = parse_entry(&parser);
	if (r == 0)
		r = parse_end(&parser);
	if (r < 0) {
		backup_free(backup);
		return r;
	}
	*ret_backup = backup;
	return 0;
}
