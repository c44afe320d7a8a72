/* SPDX-License-Identifier: MIT
 *
 * send_chan.h - one channel of the source: a thread that pulls dirty pages out of the round,
 * encodes them and writes the chunks to its connection.
 */
#ifndef VIADUCT_MIGRATE_SEND_CHAN_H
#define VIADUCT_MIGRATE_SEND_CHAN_H

#include "base/thread.h"
#include "migrate/pace.h"
#include "migrate/send_round.h"

struct send_chan {
	/* Constant while the thread runs. */
	struct send_round *round;
	struct pace *pace;
	struct link *link;
	unsigned index; /* from 1, as in the handshake */
	struct thread thread;
	/* The thread's own. */
	struct encoder encoder;
	bool paused;           /* the VM stands still: the bandwidth limit is off */
	uint64_t paced_ns;     /* of this round */
	uint64_t peer_busy_ns; /* as the link said last */
	struct send_run runs[SEND_BATCH_MAX_PAGES];
};

int send_chan_start(struct send_chan *c, struct send_round *round, struct pace *pace,
	struct link *link, unsigned index, enum codec_policy policy);
/* Waits for the thread: send_round_stop() and link_cut() come first. Harmless when not started. */
void send_chan_join(struct send_chan *c);

#endif
