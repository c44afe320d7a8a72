/* SPDX-License-Identifier: MIT
 *
 * ic_rig.h - the guest's side of one integration service, without a channel and with a time of its
 * own: messages are fetched, looked at, and sent back with an answer, as Linux' driver does.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_IC_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_IC_RIG_H

#include "base/clock.h"
#include "vmbus/ic_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct ic_rig {
	struct ic_core *core;
	struct ic_time time;

	/* What the host asked last. */
	uint8_t message[IC_MAX_MESSAGE_BYTES];
	size_t size_bytes;
	struct ic_header header;
	const uint8_t *body;

	/* What ic_rig_done() was told. */
	unsigned n_done;
	int error;
};

void ic_rig_init(struct ic_rig *rig, struct ic_core *core);
void ic_rig_pass(struct ic_rig *rig, uint64_t ns);
/* False: the host has nothing to ask now. */
bool ic_rig_fetch(struct ic_rig *rig);
/* Fetch, and it must be a request of the service. */
void ic_rig_expect(struct ic_rig *rig);
/* Send the message in hand back, its body replaced by `body` unless that is NULL. */
void ic_rig_answer(struct ic_rig *rig, uint32_t status, const void *body, size_t size_bytes);
/* Any payload, in memory of just its size. */
void ic_rig_push(struct ic_rig *rig, const void *payload, size_t size_bytes);
/* Answer the negotiation in hand. */
void ic_rig_choose(struct ic_rig *rig, struct ic_version frame, struct ic_version message);
/* Open the channel and negotiate the best that the host offers. */
void ic_rig_up(struct ic_rig *rig);

void ic_rig_done(int error, void *data);
/* Tell whoever is to be told. */
void ic_rig_tell(struct ic_ask *finished);

#endif
