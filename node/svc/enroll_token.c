/* SPDX-License-Identifier: MIT
 *
 * enroll_token.c - what `node invite` prints and `node join` takes: one word.
 */
#include "node/svc/enroll.h"

#include "base/base64.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "viaduct-join-1:"

char *enroll_token_print(const struct enroll_token *token)
{
	_cleanup_json_ struct json *j = json_object_new();
	_cleanup_free_ char *text = NULL, *word = NULL;
	char *out;

	json_set_string(j, "a", token->address);
	json_set_string(j, "k", token->server_key);
	json_set_string(j, "p", token->public_key);
	json_set_string(j, "s", token->secret_key);
	json_set_string(j, "n", token->name);
	text = json_dump(j, 0);
	word = text ? base64_encode(text, strlen(text)) : NULL;
	if (!word || asprintf(&out, PREFIX "%s", word) < 0)
		return NULL;
	explicit_bzero(text, strlen(text));
	explicit_bzero(word, strlen(word));
	return out;
}

static bool take(const struct json *j, const char *key, char *to, size_t size_bytes)
{
	const char *text = json_get_string(j, key, "");

	if (!text[0] || strlen(text) >= size_bytes)
		return false;
	strcpy(to, text);
	return true;
}

int enroll_token_parse(const char *text, struct enroll_token *ret_token)
{
	_cleanup_json_ struct json *j = NULL;
	struct enroll_token token = {0};
	struct buf bytes = {0};
	int r = -EBADMSG;

	if (strlen(text) <= ENROLL_TOKEN_MAX && strncmp(text, PREFIX, strlen(PREFIX)) == 0)
		r = base64_decode(text + strlen(PREFIX), &bytes);
	if (r == 0)
		r = json_parse((const char *)bytes.data, bytes.size_bytes, &j);
	if (r == 0 && (!take(j, "a", token.address, sizeof(token.address)) ||
			      !take(j, "k", token.server_key, sizeof(token.server_key)) ||
			      !take(j, "p", token.public_key, sizeof(token.public_key)) ||
			      !take(j, "s", token.secret_key, sizeof(token.secret_key)) ||
			      !take(j, "n", token.name, sizeof(token.name)) ||
			      !svc_name_is_valid(token.name)))
		r = -EBADMSG;
	buf_fini(&bytes);
	if (r == 0)
		*ret_token = token;
	explicit_bzero(&token, sizeof(token));
	return r < 0 ? -EBADMSG : 0;
}
