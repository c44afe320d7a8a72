/* SPDX-License-Identifier: MIT */
#include "node/svc/remote_msg.h"

#include <string.h>

int remote_msg_parse(
	const void *data, size_t size_bytes, uint64_t *ret_id, struct json **ret_request)
{
	_cleanup_json_ struct json *envelope = NULL;
	struct json *request;
	int r;

	if (size_bytes > REMOTE_MAX_REQUEST_BYTES)
		return -EMSGSIZE;
	r = json_parse(data, size_bytes, &envelope);
	if (r < 0)
		return r;
	request = json_get(envelope, "request");
	if (!json_is_object(request) || !json_is_string(json_get(request, "op")) ||
		json_get_int(envelope, "rid", 0) <= 0)
		return -EBADMSG;
	*ret_id = (uint64_t)json_get_int(envelope, "rid", 0);
	*ret_request = json_ref(request);
	return 0;
}

static char *dump(uint64_t id, struct json *answer)
{
	_cleanup_json_ struct json *envelope = json_object_new();

	json_set_int(envelope, "rid", (int64_t)id);
	json_set(envelope, "answer", answer);
	return json_dump(envelope, 0);
}

char *remote_msg_answer(uint64_t id, struct json *answer)
{
	char *text = dump(id, answer);
	struct json *refusal;

	if (!text || strlen(text) <= REMOTE_MAX_ANSWER_BYTES)
		return text;
	free(text);
	refusal = json_object_new();
	json_set_bool(refusal, "ok", false);
	json_set_string(refusal, "code", "failed");
	json_set_string(refusal, "error", "the answer is too large to be sent; ask for less");
	return dump(id, refusal);
}
