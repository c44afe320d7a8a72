/* SPDX-License-Identifier: MIT
 *
 * fake_svc.h - everything around the service's requests, in memory: a store, two nodes (this one,
 * "host1", and "host2"), a switch process, VM processes that never are but for one made by the
 * test, and the last answer given.
 */
#ifndef VIADUCT_TESTS_FAKE_SVC_H
#define VIADUCT_TESTS_FAKE_SVC_H

#include "node/svc/svc.h"

struct fake {
	struct svc svc;
	bool quorate;
	struct json *answer;       /* of the last request; NULL while it waits */
	char forwarded[64];        /* the node that the last request was sent on to */
	unsigned n_started;        /* VM processes asked for */
	struct json *started_with; /* the offloads of the last one; NULL: its configuration's */

	/* The switch process: gone, or it answers at once. */
	bool switch_is_gone;
	bool break_store;           /* no quorum from its next answer on */
	char known_switch[64];      /* switchd_knows() */
	const char *switch_refusal; /* NULL: it does what it is asked */
	struct json *switch_port;   /* in its answers */
	struct json *to_switch;     /* the last request, with its "op" */

	enum api_role role; /* of whoever asks */
	char event[32];     /* the id of the last event */
	unsigned n_audits;
	char audit[1200]; /* the last one: who|from|object|request|outcome */

	unsigned n_reloads; /* of corosync.conf */
	bool is_alone;      /* host2 is not configured any more */
	bool is_joining;    /* host2 does not have the store yet */

	struct vmproc *vm; /* the first one that runs here, or NULL; others are in svc.vms */

	bool moves;             /* live migrations begin, and end when fake_end_move() says so */
	struct job *moving[16]; /* those that have begun, in order; NULL: over */
	unsigned n_moving;
};

extern struct fake fake;

void fake_set_up(void);
void fake_tear_down(void);
/* Ask with this text and return the code of the answer: "ok", "usage", ... or "waits". */
const char *fake_ask(const char *text);
/* The same, with a change in the request: key = value (takes over value). */
const char *fake_ask_with(const char *text, const char *key, struct json *value);
const struct json *fake_stored(const char *key);
/* Whatever is there. Takes over `value`. */
void fake_store(const char *key, struct json *value);
/* A VM of the store runs here, with the configuration and the owner it has there. */
void fake_run(const char *vm);
/* The n-th move that began is over: the VM is on host2 now, or stays for a reason. */
void fake_end_move(unsigned n, const char *error);
/* What was to be done in the next turns of the loop. */
void fake_turn(void);

#endif
