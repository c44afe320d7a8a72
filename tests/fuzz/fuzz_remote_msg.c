/* SPDX-License-Identifier: MIT
 *
 * What an administrator's client may send over the network: the message, and what is written down
 * of the request in it.
 */
#include "node/svc/audit.h"
#include "node/svc/remote_msg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct json *request = NULL, *shown;
	char text[400], object[96];
	uint64_t id = 0;

	if (remote_msg_parse(data, size_bytes, &id, &request) < 0) {
		if (request)
			abort();
		return 0;
	}
	if (id == 0 || id > INT64_MAX || !json_is_object(request))
		abort();
	audit_request(request, text, sizeof(text));
	audit_object(request, object, sizeof(object));
	audit_clean(text);
	audit_clean(object);
	/* One line that every JSON can carry. */
	shown = json_string_new(text);
	if (!shown || strpbrk(text, "\r\n\x1b"))
		abort();
	json_unref(shown);
	shown = json_string_new(object);
	if (!shown)
		abort();
	json_unref(shown);
	json_unref(request);
	return 0;
}
