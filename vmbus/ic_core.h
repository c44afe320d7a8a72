/* SPDX-License-Identifier: MIT
 *
 * ic_core.h - what the integration services share, as a state machine: negotiation, one transaction
 * at a time, patience. Each service is a row (struct ic_service) and a struct that begins with its
 * struct ic_core. Internal to vmbus/.
 *
 * CLOSED -channel opened-> NEGOTIATING -versions chosen-> READY; REFUSED when no version suits
 * both.
 *
 * Messages come in by ic_core_receive() and are fetched by ic_core_send(); ic_core_deadline() says
 * when to come again. Nothing is sent twice: a guest's driver answers late, but it answers, some
 * only after a minute. A request without an answer within its service's patience is given up; its
 * answer, should it come, carries an old transaction id and is ignored.
 *
 * Hostile: an answer is looked at only when its frame, type, flags, id, version and size hold
 * together; whatever does not is counted and changes nothing.
 *
 * Time is handed in. Threads: none; the caller's lock.
 */
#ifndef VIADUCT_VMBUS_IC_CORE_H
#define VIADUCT_VMBUS_IC_CORE_H

#include "base/bytes.h"
#include "vmbus/ic.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/ic.h"

#define IC_MAX_VERSIONS      4
#define IC_MAX_BODY_BYTES    7428 /* the longest, KVP's IP information */
#define IC_MAX_MESSAGE_BYTES (IC_FRAME_BYTES + IC_MAX_BODY_BYTES)

#define IC_NEVER UINT64_MAX

/* The moment at which something is done. */
struct ic_time {
	uint64_t now_ns; /* running time: it stands still while the VM does */
	uint64_t wall_clock;
	uint64_t reference; /* both as time synchronisation has them */
};

/* An answer that somebody waits for: called, without locks, once it is known. */
struct ic_ask {
	ic_done_fn done; /* NULL: nobody */
	void *data;
	int error;
};

struct ic_core;

struct ic_service {
	const char *name;
	uint8_t class_guid[VMBUS_GUID_BYTES];
	uint8_t instance_guid[VMBUS_GUID_BYTES];
	uint16_t message_type; /* enum ic_message_type */
	uint16_t max_body_bytes;
	uint64_t patience_ns; /* IC_NEVER: for a request that waits as long as it takes */
	struct ic_version versions[IC_MAX_VERSIONS]; /* the best first */
	unsigned n_versions;

	/* The guest's driver can be asked from now on. May be NULL, as all of these but request and
	 * answer. */
	void (*ready)(struct ic_core *core, const struct ic_time *time);
	/* Write a request; returns its size, 0 when there is nothing to ask now. */
	size_t (*request)(struct ic_core *core, const struct ic_time *time, uint8_t *ret_body);
	/* The guest answered the request. -EBADMSG: it makes no sense; it is then given up. */
	int (*answer)(struct ic_core *core, const struct ic_time *time, uint32_t status,
		const uint8_t *body, size_t size_bytes);
	/* There is no answer to the request: patience is over (-ETIMEDOUT), it is forgotten
	 * (-ECANCELED), or what came made no sense (-EREMOTEIO). */
	void (*given_up)(struct ic_core *core, const struct ic_time *time, int error);
	/* The guest is gone, whatever was under way with it. */
	void (*closed)(struct ic_core *core);
	/* When request() has something to ask, if nothing is under way. NULL: always now. */
	uint64_t (*request_due_ns)(const struct ic_core *core);
	/* What happens by itself as time goes by, and when it does next. */
	void (*tick)(struct ic_core *core, const struct ic_time *time);
	uint64_t (*tick_due_ns)(const struct ic_core *core);
};

enum ic_phase {
	IC_CLOSED,
	IC_NEGOTIATING,
	IC_READY,
	IC_REFUSED,
};

struct ic_core {
	const struct ic_service *service;
	unsigned first_version; /* of service->versions, that is offered */
	enum ic_phase phase;
	struct ic_version frame_version, message_version;
	uint8_t transaction_id; /* of the last message sent */
	bool asked;             /* it is not answered yet */
	uint64_t patience_end_ns;
	uint64_t n_requests, n_answers, n_protocol_errors;
};

void ic_core_init(struct ic_core *core, const struct ic_service *service);

void ic_core_open(struct ic_core *core);
void ic_core_close(struct ic_core *core);
/* Forget what is under way, for whoever asked; a negotiation goes on. */
void ic_core_cancel(struct ic_core *core, const struct ic_time *time);

/* The payload of a packet of the guest. */
void ic_core_receive(
	struct ic_core *core, const struct ic_time *time, const void *payload, size_t size_bytes);
/* Let time pass. */
void ic_core_tick(struct ic_core *core, const struct ic_time *time);
/* Write the next message into ret_message (IC_MAX_MESSAGE_BYTES), which must then be sent. Returns
 * its size; 0: there is none now. */
size_t ic_core_send(struct ic_core *core, const struct ic_time *time, uint8_t *ret_message);
/* The largest message that the service ever sends. */
size_t ic_core_max_message_bytes(const struct ic_core *core);
/* When ic_core_tick(), or ic_core_send() if `can_send`, has something to do again if nothing comes
 * in before. */
uint64_t ic_core_deadline_ns(const struct ic_core *core, bool can_send);

/* State of the frame, without the service's own. Only a core with nothing under way but a
 * negotiation can be saved. `open`: what the restored channel is. */
void ic_core_save(const struct ic_core *core, struct buf *out);
int ic_core_restore(struct ic_core *core, struct reader *in, bool open);

/* Give an answer to whoever waits for it: it becomes one of those to be delivered. */
static inline struct ic_ask ic_ask_take(struct ic_ask *ask, int error)
{
	struct ic_ask taken = {ask->done, ask->data, error};

	*ask = (struct ic_ask){0};
	return taken;
}

#endif
