/* SPDX-License-Identifier: MIT
 *
 * audit.h - pure: what is written down of a request that changes something. Texts may be cut in the
 * midst of a character: audit_clean() comes last.
 */
#ifndef VIADUCT_NODE_SVC_AUDIT_H
#define VIADUCT_NODE_SVC_AUDIT_H

#include "base/json.h"

/* "vm.start vm=VM1 node=host2": the operation and its members, what may be secret as "...", what is
 * long cut short. Secret is what people type or hand to a guest, and keys. */
void audit_request(const struct json *message, char *text, size_t size_bytes);
/* "vm/VM1", "switch/A", ...: what it is about; "cluster" if it says nothing of that. */
void audit_object(const struct json *message, char *text, size_t size_bytes);
/* "done", "queued as JOB", "refused (conflict): why". True: done. */
bool audit_outcome(const struct json *answer, char *text, size_t size_bytes);
/* Requests that come by the dozen - a console's, a capture's - are one event a minute and sitting:
 * the same person, operation and object. True: now. */
struct sittings {
	struct {
		char what[256];
		uint64_t last_ns;
	} entries[16];
};
bool audit_is_news(struct sittings *sittings, const char *who, const char *op, const char *object,
	uint64_t now_ns);
/* In place: one line of UTF-8; what is not becomes '?'. */
void audit_clean(char *text);

#endif
