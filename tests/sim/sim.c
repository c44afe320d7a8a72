/* SPDX-License-Identifier: MIT */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "cluster/rs_core.h"
#include "tests/sim/fleet.h"
#include "tests/sim/history.h"

static void on_violated(const char *what, void *data)
{
	sim_violated(data, "%s", what);
}

static void on_log(uint32_t id, const char *what, void *data)
{
	sim_log(data, id, "%s", what);
}

static void on_sent(uint32_t id, const void *bytes, size_t size_bytes, void *data)
{
	struct sim *sim = data;

	sim->stats.n_messages++;
	journal_sent(sim, id, bytes, size_bytes);
}

static void on_membership(uint32_t id _unused_, size_t n_members _unused_, void *data)
{
	struct sim *sim = data;

	sim->stats.n_memberships++;
}

static void on_changed(uint32_t id, void *data)
{
	struct sim *sim = data;

	journal_changed(sim, id);
	if (rs_mode(bus_rs(sim->bus, id)) == RS_SYNCED)
		history_changed(sim->history, id);
}

static void on_applied(uint32_t id, const char *key, const struct store_entry *entry,
	uint64_t version _unused_, void *data)
{
	struct sim *sim = data;

	journal_applied(sim, id, key, entry);
	fleet_applied(sim->fleet, id, key);
}

static void on_renewed(uint32_t id, uint64_t until_ns, void *data)
{
	struct sim *sim = data;

	sim->stats.n_renewals++;
	fleet_renewed(sim->fleet, id, until_ns);
}

static const struct bus_watch watch = {
	.violated = on_violated,
	.log = on_log,
	.membership = on_membership,
	.sent = on_sent,
	.changed = on_changed,
	.applied = on_applied,
	.renewed = on_renewed,
};

struct sim *sim_new(unsigned n_nodes, uint64_t seed, bool is_logged)
{
	struct bus_watch mine = watch;
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		abort();
	sim->is_logged = is_logged;
	if (!is_logged)
		mine.log = NULL;
	sim->bus = bus_new(n_nodes, seed);
	bus_set_watch(sim->bus, &mine, sim);
	sim->history = history_new(sim);
	sim->fleet = fleet_new(sim);
	return sim;
}

void sim_free(struct sim *sim)
{
	fleet_free(sim->fleet);
	history_free(sim->history);
	bus_free(sim->bus);
	buf_fini(&sim->log);
	free(sim);
}

void sim_violated(struct sim *sim, const char *format, ...)
{
	char text[sizeof(sim->violation)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sim_log(sim, 0, "VIOLATION: %s", text);
	if (sim->violation[0])
		return;
	memcpy(sim->violation, text, sizeof(text));
	sim->violated_ns = bus_now_ns(sim->bus);
}

void sim_start(struct sim *sim, uint32_t id)
{
	sim->lives[id]++;
	sim->stats.n_starts++;
	sim->modes[id] = RS_DOWN;
	sim->complete[id] = false;
	sim->tickets[id] = 0;
	bus_start(sim->bus, id);
}

static void count(struct sim *sim, const struct rs_stats *stats)
{
	sim->stats.n_epochs += stats->n_syncs;
	sim->stats.n_handovers += stats->n_updates;
	sim->stats.n_resent += stats->n_void;
	sim->stats.n_silent += stats->n_silent;
	sim->stats.n_ahead += stats->n_ahead;
	sim->stats.n_checks += stats->n_checks;
}

void sim_count(struct sim *sim, uint32_t id)
{
	count(sim, rs_stats(bus_rs(sim->bus, id)));
}

void sim_kill(struct sim *sim, uint32_t id)
{
	sim_count(sim, id);
	sim->stats.n_crashes++;
	bus_kill(sim->bus, id);
	sim->lives[id]++;
	fleet_died(sim->fleet, id);
}

bool sim_lives(const struct sim *sim, uint32_t id, uint64_t life)
{
	return bus_is_running(sim->bus, id) && sim->lives[id] == life;
}
