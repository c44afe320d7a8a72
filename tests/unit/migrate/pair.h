/* SPDX-License-Identifier: MIT
 *
 * pair.h - both ends of a migration in one process, with an owner on each side that takes notes.
 */
#ifndef VIADUCT_TESTS_PAIR_H
#define VIADUCT_TESTS_PAIR_H

#include "fake_vm.h"

#define PAIR_MAX_LINKS  9
#define PAIR_PATIENCE_S 30

enum pair_transport {
	PAIR_SOCKETPAIR,
	PAIR_LOOPBACK,
};

struct pair {
	struct fake_vm source_vm, target_vm;
	struct mig_params source_params, target_params;
	struct mig_source *source;
	struct mig_target *target;
	unsigned n_links;
	int source_fds[PAIR_MAX_LINKS],
		target_fds[PAIR_MAX_LINKS]; /* handed over by pair_start() */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under `lock`. */
	unsigned n_source_ready, n_done, n_target_ready, n_failed, n_progress;
	int done_error, failed_error;
	char done_text[256], failed_text[256];
};

/* Two equal VMs, the source's filled with FAKE_MIXED, and the same parameters for both. */
void pair_init(struct pair *p, size_t low_bytes, size_t high_bytes);
void pair_fini(struct pair *p);
void pair_connect(struct pair *p, enum pair_transport transport, unsigned n_links);
void pair_start_source(struct pair *p);
void pair_start_target(struct pair *p);
void pair_start(struct pair *p);
/* Wait until the counter is at least 1; fails the test when it takes too long. */
void pair_wait(struct pair *p, const unsigned *counter);
unsigned pair_read(struct pair *p, const unsigned *counter);
/* Wait for the source to be ready or done: true when it is ready. */
bool pair_wait_outcome(struct pair *p);
/* After `done`: free both. */
void pair_end(struct pair *p);
/* The source gave up: its VM runs, nothing is left behind. */
void pair_check_source_unharmed(struct pair *p);

/* A connected stream pair. */
void pair_sockets(enum pair_transport transport, int ret_fds[2]);

#endif
