/* SPDX-License-Identifier: MIT
 *
 * send.h - the source of a live migration, inside: send.c is its life from start to free,
 * send_live.c what it does to the VM (rounds, switchover), send_control.c how it listens to the
 * target meanwhile.
 *
 * Threads: one thread for the job (all VM ops and callbacks, the control connection) and one for
 * each channel.
 */
#ifndef VIADUCT_MIGRATE_SEND_H
#define VIADUCT_MIGRATE_SEND_H

#include "migrate/converge.h"
#include "migrate/handshake.h"
#include "migrate/send_chan.h"
#include "migrate/stream.h"

#define MAX_LINKS (1 + MIG_MAX_CHANNELS)
_Static_assert(MAX_LINKS == HANDSHAKE_MAX_LINKS, "one handshake for each connection");

/* What the source expects from the target; columns of the table in send_control.c. */
enum send_state {
	SEND_HANDSHAKE, /* the peer is a stranger: no frames */
	SEND_BEGIN,
	SEND_PERFORM,
	SEND_SWITCHOVER,
	SEND_N_STATES,
};

enum send_verdict {
	VERDICT_NONE,
	VERDICT_COMMIT,
	VERDICT_REFUSE,
};

/* How fast pages really travel: decaying sums over the rounds. */
struct send_measure {
	uint64_t raw_bytes, wire_bytes, busy_ns;
	uint64_t collected_at_ns; /* the dirty log was last read */
	uint64_t collect_ns;      /* that took so long */
	uint64_t round_trip_ns;   /* shortest seen between a barrier and its answer */
};

struct mig_source {
	/* Constant after start. */
	struct mig_params params;
	char vm_name[MIG_MAX_NAME_LEN + 1];
	struct mig_vm_ops ops;
	void *vm;
	struct gpa_space *memory;
	struct mig_source_callbacks callbacks;
	void *data;
	unsigned n_links;
	struct link links[MAX_LINKS];
	struct thread thread;
	struct job job;

	/* Under job.lock. */
	enum send_verdict verdict;

	/* The job's thread. */
	enum send_state state;
	struct stream_in control;
	bool accepted, awaits_ack; /* heard from the target; awaited */
	uint64_t ready_ns;         /* when it said that it is ready, 0 before */
	uint64_t sent_ns;          /* when it had been sent all */
	uint32_t n_rounds;         /* begun */
	uint64_t told_ns;          /* last progress callback */
	struct send_round round;
	struct pace pace;
	struct send_chan channels[MIG_MAX_CHANNELS];
	struct converge converge;
	struct send_measure measure;
	bool tracking; /* dirty_start was called */
	bool paused;   /* pause was called */
	struct buf units;
};

/* send_control.c */

/* Sleep and serve the control connection until `condition` says 1, or an error, which is then
 * recorded: condition's own, the target's, -ECANCELED, -ETIMEDOUT after `timeout_ns` (0 = no
 * limit). */
int source_await(struct mig_source *s, int (*condition)(struct mig_source *s), uint64_t timeout_ns);
int source_send(struct mig_source *s, uint16_t type, const void *head, size_t head_bytes,
	const void *tail, size_t tail_bytes);
/* A connection broke: the target's ABORT, if one is on its way, is the better reason. Records and
 * returns the error. */
int source_fail_link(struct mig_source *s, int error, const char *what);

/* send_live.c; errors are recorded with job_fail(). */

int source_precopy(struct mig_source *s);
int source_switchover(struct mig_source *s);

#endif
