/* SPDX-License-Identifier: MIT */
#include "node/svc/audit.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define MAX_MEMBER_LEN 120
#define MAX_DEPTH      8
#define SITTING_NS     (60 * NS_PER_SEC)

/* Wherever they stand in a request: what is typed, sent, or handed to a guest. */
static const char *const secrets[] = {"text", "data", "send", "value", "secret", "password",
	"passphrase", "token", "chap_secret"};

static bool is_secret(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		if (strcmp(secrets[i], key) == 0)
			return true;
	}
	return false;
}

/* A copy without what is secret, at whatever depth. */
static struct json *redacted(const struct json *value, unsigned depth)
{
	struct json *copy, *member;
	const char *key;
	void *at = NULL;

	if (depth == MAX_DEPTH)
		return json_string_new("...");
	if (json_is_array(value)) {
		copy = json_array_new();
		for (size_t i = 0; i < json_length(value); i++)
			json_append(copy, redacted(json_at(value, i), depth + 1));
		return copy;
	}
	if (!json_is_object(value))
		return json_copy(value);
	copy = json_object_new();
	while (json_next(value, &at, &key, &member))
		json_set(copy, key,
			is_secret(key) ? json_string_new("...") : redacted(member, depth + 1));
	return copy;
}

static void append_member(char *text, size_t size_bytes, const char *key, const struct json *value)
{
	_cleanup_free_ char *dumped =
		json_is_string(value) ? strdup(json_string(value, "")) : json_dump(value, 0);
	size_t len = strlen(text);

	if (!dumped)
		return;
	snprintf(text + len, size_bytes - len, " %.60s=%.*s%s", key, MAX_MEMBER_LEN, dumped,
		strlen(dumped) > MAX_MEMBER_LEN ? "..." : "");
}

/* How many bytes the character at `text` has; 0: it is none. */
static size_t character_bytes(const unsigned char *text)
{
	size_t n = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

	if (text[0] < 0x20 || text[0] == 0x7f || (text[0] >= 0x80 && text[0] < 0xc2) ||
		text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Longer than needed, halves of pairs, beyond the last one. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] >= 0xa0) ||
		(text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] >= 0x90))
		return 0;
	return n;
}

void audit_clean(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at;) {
		size_t n = character_bytes(at);

		if (!n)
			*at = '?';
		at += n ? n : 1;
	}
}

void audit_request(const struct json *message, char *text, size_t size_bytes)
{
	_cleanup_json_ struct json *shown = redacted(message, 0);
	struct json *value;
	const char *key;
	void *at = NULL;

	snprintf(text, size_bytes, "%.60s", json_get_string(message, "op", "?"));
	while (json_next(shown, &at, &key, &value)) {
		if (strcmp(key, "op") != 0)
			append_member(text, size_bytes, key, value);
	}
}

void audit_object(const struct json *message, char *text, size_t size_bytes)
{
	static const char *const kinds[] = {"vm", "switch", "volume", "network", "nic", "job"};
	const char *op = json_get_string(message, "op", "");
	const char *dot = strchr(op, '.');
	const char *name = json_get_string(message, "name", json_get_string(message, "id", NULL));

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *value = json_get_string(message, kinds[i], NULL);

		if (value && (i == 0 || strncmp(op, kinds[i], strlen(kinds[i])) == 0)) {
			snprintf(text, size_bytes, "%s/%.63s", kinds[i], value);
			return;
		}
	}
	if (name && dot)
		snprintf(text, size_bytes, "%.*s/%.63s", (int)MIN(dot - op, 20), op, name);
	else if (json_get_string(message, "node", NULL))
		snprintf(text, size_bytes, "node/%.63s", json_get_string(message, "node", ""));
	else
		snprintf(text, size_bytes, "cluster");
}

bool audit_outcome(const struct json *answer, char *text, size_t size_bytes)
{
	const struct json *member = json_get(answer, "job");
	const char *job = json_string(member, json_get_string(member, "id", NULL));

	if (json_get_bool(answer, "ok", false)) {
		if (job)
			snprintf(text, size_bytes, "begun as %s", job);
		else
			snprintf(text, size_bytes, "done");
		return true;
	}
	snprintf(text, size_bytes, "%s: %s", json_get_string(answer, "code", "failed"),
		json_get_string(answer, "error", "no reason given"));
	return false;
}

bool audit_is_news(struct sittings *sittings, const char *who, const char *op, const char *object,
	uint64_t now_ns)
{
	size_t oldest = 0;
	char what[256];

	snprintf(what, sizeof(what), "%.90s %.60s %.95s", who, op, object);
	for (size_t i = 0; i < ARRAY_LEN(sittings->entries); i++) {
		if (strcmp(sittings->entries[i].what, what) == 0) {
			if (now_ns - sittings->entries[i].last_ns < SITTING_NS)
				return false;
			sittings->entries[i].last_ns = now_ns;
			return true;
		}
		if (sittings->entries[i].last_ns < sittings->entries[oldest].last_ns)
			oldest = i;
	}
	memcpy(sittings->entries[oldest].what, what, sizeof(what));
	sittings->entries[oldest].last_ns = now_ns;
	return true;
}
