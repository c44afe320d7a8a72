/* SPDX-License-Identifier: MIT
 *
 * dynmem_core.h - dynamic memory as a state machine: the protocol, what is ballooned out, what was
 * added, and one operation at a time towards the target. Internal to vmbus/.
 *
 * CLOSED -channel opened-> VERSION -> CAPABILITIES -> READY, or REFUSED when the guest's last
 * version is none of ours. Every message of the guest goes through one table of {type, smallest
 * size, phase, handler}.
 *
 * Operations: BALLOON (ask, then responses until one says that it is the last), UNBALLOON (as many
 * messages as it takes, one response), HOT_ADD (memory is made, offered, and taken or not). A guest
 * is free to do less than it was asked for; it is left alone for a while then. The pressure that it
 * reports while an operation is under way mixes before and after, and is not acted upon.
 *
 * Memory that was made but is not (any more) the guest's - it refused, or started anew - is offered
 * before more is made.
 *
 * Time is handed in. Threads: none; the caller's lock. The core calls nothing but is_ram(); what is
 * to be released and made is fetched by the caller, done without the lock, and reported.
 */
#ifndef VIADUCT_VMBUS_DYNMEM_CORE_H
#define VIADUCT_VMBUS_DYNMEM_CORE_H

#include "base/bytes.h"
#include "vmbus/dynmem_policy.h"
#include "vmbus/dynmem_runs.h"
#include "vmbus/proto/dynmem.h"

#define DYNMEM_HOT_ADD_BYTES  (128ULL << 20)
#define DYNMEM_MAX_HOT_RANGES 256
#define DYNMEM_NEVER          UINT64_MAX

enum dynmem_phase {
	DYNMEM_CLOSED,
	DYNMEM_AT_VERSION,
	DYNMEM_AT_CAPABILITIES,
	DYNMEM_READY,
	DYNMEM_REFUSED,
};

enum dynmem_operation {
	DYNMEM_IDLE,
	DYNMEM_BALLOON,
	DYNMEM_UNBALLOON,
	DYNMEM_HOT_ADD,
};

/* Memory that was made. */
struct dynmem_hot_range {
	uint64_t first; /* page number */
	uint64_t n_pages;
	uint64_t n_accepted; /* of them the guest took */
};

struct dynmem_core_config {
	uint64_t start_bytes;
	struct dynmem_limits limits;
	/* Is all of it RAM of the guest? */
	bool (*is_ram)(void *data, uint64_t first_page, uint64_t n_pages);
	void *data;
};

struct dynmem_core {
	struct dynmem_core_config config;
	struct dynmem_limits limits;
	uint64_t manual_bytes; /* 0: by the policy */
	uint64_t target_bytes; /* 0: none yet */
	struct dynmem_policy policy;

	enum dynmem_phase phase;
	uint32_t version;
	uint64_t capabilities;
	uint32_t answers_to; /* enum dynmem_type that waits for its answer; 0: none */
	uint32_t answer_id;  /* its transaction id */
	bool accepted;       /* the answer */
	bool tell_maximum;
	uint32_t transaction_id;

	uint64_t committed_pages, available_pages; /* as last reported, the balloon included */

	enum dynmem_operation operation;
	bool sent;          /* all of its request */
	uint64_t n_pages;   /* asked for; UNBALLOON: still to be given back */
	uint64_t n_done;    /* BALLOON: of them the guest gave */
	unsigned hot_range; /* HOT_ADD: which one is offered */
	uint64_t balloon_rest_ns, hot_add_rest_ns; /* no such operation before */

	struct dynmem_runs ballooned;
	struct dynmem_hot_range hot_ranges[DYNMEM_MAX_HOT_RANGES];
	unsigned n_hot_ranges;

	/* Of the last message: pages that are the host's now. */
	struct dynmem_run released[DYNMEM_MAX_RANGES];
	size_t n_released;

	uint64_t n_protocol_errors;
};

void dynmem_core_init(struct dynmem_core *core, const struct dynmem_core_config *config);
void dynmem_core_fini(struct dynmem_core *core);

void dynmem_core_open(struct dynmem_core *core);
void dynmem_core_close(struct dynmem_core *core);

/* -EINVAL, as dynmem_set_limits() and dynmem_set_target(). */
int dynmem_core_set_limits(struct dynmem_core *core, const struct dynmem_limits *limits);
int dynmem_core_set_target(struct dynmem_core *core, uint64_t target_bytes);

/* A packet of the guest; core->released says what to give back to the host. */
void dynmem_core_receive(
	struct dynmem_core *core, uint64_t now_ns, const void *payload, size_t size_bytes);
/* Write the next message into ret_message (DYNMEM_MAX_MESSAGE_BYTES), which must then be sent.
 * Returns its size; 0: there is none now. */
size_t dynmem_core_send(struct dynmem_core *core, uint64_t now_ns, uint8_t *ret_message);
/* When there may be one though nothing came in. */
uint64_t dynmem_core_deadline_ns(const struct dynmem_core *core, uint64_t now_ns);

/* How much memory has to be made before something can be sent; 0: none. Then, once: what became of
 * it (`first_page` when error is 0). */
uint64_t dynmem_core_wants_bytes(const struct dynmem_core *core, uint64_t now_ns);
void dynmem_core_made(struct dynmem_core *core, uint64_t now_ns, int error, uint64_t first_page,
	uint64_t n_pages);

/* What seemed to be RAM when the guest gave it is none: out of the balloon. */
void dynmem_core_not_ram(struct dynmem_core *core, const struct dynmem_run *run);

uint64_t dynmem_core_assigned_bytes(const struct dynmem_core *core);
uint64_t dynmem_core_added_bytes(const struct dynmem_core *core);

/* State; what was added before is RAM when it is restored. -EBADMSG, -ENOMEM. */
void dynmem_core_save(const struct dynmem_core *core, struct buf *out);
int dynmem_core_restore(struct dynmem_core *core, struct reader *in, bool open);

#endif
