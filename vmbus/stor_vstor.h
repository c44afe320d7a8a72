/* SPDX-License-Identifier: MIT
 *
 * stor_vstor.h - the storage protocol of one channel as a pure state machine: which packet may come
 * when, and what is answered to those that are not about a unit. Internal to vmbus/.
 *
 * Primary: CLOSED -opened-> OPEN -BEGIN_INIT-> BEGUN -version agreed-> VERSIONED
 * -QUERY_PROPERTIES-> DESCRIBED -END_INIT-> READY. A sub-channel is READY once it is open.
 * Everything goes through one table (stor_vstor.c) of {operation, smallest size, lowest version,
 * phases, handler}; what it or a handler refuses changes nothing and is answered with a status that
 * says so.
 */
#ifndef VIADUCT_VMBUS_STOR_VSTOR_H
#define VIADUCT_VMBUS_STOR_VSTOR_H

#include "base/err.h"
#include "vmbus/proto/vstor.h"

enum vstor_phase {
	VSTOR_CLOSED,
	VSTOR_OPEN,
	VSTOR_BEGUN,
	VSTOR_VERSIONED,
	VSTOR_DESCRIBED,
	VSTOR_READY,
};

struct vstor {
	bool is_sub_channel;
	unsigned max_sub_channels;
	uint32_t max_transfer_bytes;

	enum vstor_phase phase;
	uint16_t version; /* 0 until agreed; VSTOR_VERSION_51 on sub-channels */
};

enum vstor_action {
	VSTOR_ANSWER,  /* the packet is the answer */
	VSTOR_REFUSED, /* so it is, and the guest is to blame */
	VSTOR_EXECUTE, /* the packet is an SRB to carry out */
	VSTOR_RESET,   /* the answer; *ret_argument: the unit to reset, or VSTOR_ALL_UNITS */
	VSTOR_OFFER,   /* the answer, then *ret_argument sub-channels */
};

#define VSTOR_ALL_UNITS UINT32_MAX

void vstor_open(struct vstor *vstor);
void vstor_close(struct vstor *vstor);

/* `payload` is the copy of a packet from the ring, `moves_data` whether it came with ranges of
 * guest memory. *ret_packet is filled in any case. */
enum vstor_action vstor_handle(struct vstor *vstor, const void *payload, size_t payload_bytes,
	bool moves_data, struct vstor_packet *ret_packet, unsigned *ret_argument);

/* How long an answer to a packet of this size is; with 0, a packet nobody asked for. */
size_t vstor_answer_bytes(const struct vstor *vstor, size_t payload_bytes);
bool vstor_has_version(uint16_t version);

#endif
