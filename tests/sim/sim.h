/* SPDX-License-Identifier: MIT
 *
 * sim.h - one simulated cluster with everything that looks at it: the bus, the history of all
 * writes (history.h), what nodes own (fleet.h), the log (journal.c). Schedules, scripts and
 * measurements make one each.
 */
#ifndef VIADUCT_TESTS_SIM_SIM_H
#define VIADUCT_TESTS_SIM_SIM_H

#include "base/bytes.h"
#include "tests/sim/bus.h"

struct history;
struct fleet;

struct sim_stats {
	uint64_t n_writes, n_done, n_stale, n_unknown, n_refused;
	uint64_t n_memberships, n_epochs, n_handovers, n_resent, n_silent;
	uint64_t n_crashes, n_stalls, n_starts, n_disconnects, n_disk_errors, n_splits, n_hangs,
		n_suspicions;
	uint64_t n_started, n_moved, n_taken_over; /* VMs and volumes */
	uint64_t n_renewals, n_leased_takeovers;
	uint64_t n_raised;
	uint64_t n_ahead;
	uint64_t n_checks, n_corrupted;
	uint64_t n_messages, n_steps;
	uint64_t longest_recovery_ns;
};

struct sim {
	struct bus *bus;
	struct history *history;
	struct fleet *fleet;
	struct sim_stats stats;
	uint16_t newest[BUS_MAX_NODES + 1]; /* versions that processes speak; 0: all there are */
	uint64_t lives[BUS_MAX_NODES + 1];  /* of the processes; with them, answers die */

	char violation[256]; /* the first one; "" for none */
	uint64_t violated_ns;

	/* The log, if it is wanted. */
	bool is_logged;
	struct buf log;
	enum rs_mode modes[BUS_MAX_NODES + 1]; /* as logged last */
	bool complete[BUS_MAX_NODES + 1];
	uint64_t tickets[BUS_MAX_NODES + 1]; /* the highest sent */
};

struct sim *sim_new(unsigned n_nodes, uint64_t seed, bool is_logged);
void sim_free(struct sim *sim);

void sim_violated(struct sim *sim, const char *format, ...) _printf_(2, 3);

/* What happens to processes, counted and told to the others in the simulation. */
void sim_start(struct sim *sim, uint32_t id);
void sim_kill(struct sim *sim, uint32_t id);
/* Whether the process runs, and its answers are not those of an earlier one. */
bool sim_lives(const struct sim *sim, uint32_t id, uint64_t life);
/* The sums over all processes, before they go. */
void sim_count(struct sim *sim, uint32_t id);

/* Keys of which the log says nothing. */
#define SIM_QUIET_PREFIX "fill/"
bool sim_is_quiet(const char *key);

/* journal.c: a line of what node `id` (0: nobody) did, at this time. */
void sim_log(struct sim *sim, uint32_t id, const char *format, ...) _printf_(3, 4);
void journal_changed(struct sim *sim, uint32_t id);
void journal_sent(struct sim *sim, uint32_t id, const void *bytes, size_t size_bytes);
void journal_applied(
	struct sim *sim, uint32_t id, const char *key, const struct store_entry *entry);
/* "generation.position.writer", as people read it. Of the last four calls. */
const char *journal_version(uint64_t version);

#endif
