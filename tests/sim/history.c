/* SPDX-License-Identifier: MIT */
#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/list.h"
#include "cluster/rs_core.h"
#include "tests/sim/seen.h"

#define N_COUNTERS 3
#define N_FLICKERS 2

struct key {
	struct list siblings;
	char name[RS_KEY_MAX_LEN + 1];
	bool is_deleted_at_times;
	uint64_t done_version;    /* the highest that somebody was told */
	uint64_t done_generation; /* of the epoch whose members all had it then */
	uint64_t n_made;          /* comparisons with "does not exist" that succeeded */
	uint64_t n_deleted;       /* or may have been */
	uint64_t n_done, n_maybe;
	struct seen replaced; /* versions */
	struct seen given;
};

struct write {
	struct list siblings;
	struct history *history;
	struct key *key;
	uint32_t id;
	uint64_t life;
	uint64_t expected;
	bool is_delete;
	uint64_t floor_version; /* what somebody had been told of this key before */
	unsigned n_done;
	int error;
	uint64_t version;
	rs_done_fn done;
	void *data;
};

struct history {
	struct sim *sim;
	struct list keys;
	struct list writes;
	unsigned n_once;
};

struct history *history_new(struct sim *sim)
{
	struct history *history = calloc(1, sizeof(*history));

	if (!history)
		abort();
	history->sim = sim;
	list_init(&history->keys);
	list_init(&history->writes);
	return history;
}

void history_free(struct history *history)
{
	struct write *write;
	struct key *key;

	while ((write = list_pop(&history->writes, struct write, siblings)))
		free(write);
	while ((key = list_pop(&history->keys, struct key, siblings))) {
		seen_fini(&key->replaced);
		seen_fini(&key->given);
		free(key);
	}
	free(history);
}

static struct key *find_key(struct history *history, const char *name)
{
	struct key *key;

	list_for_each(key, &history->keys, siblings) {
		if (strcmp(key->name, name) == 0)
			return key;
	}
	key = calloc(1, sizeof(*key));
	if (!key)
		abort();
	snprintf(key->name, sizeof(key->name), "%s", name);
	list_append(&history->keys, &key->siblings);
	return key;
}

/* Whether a store that has to have it has it. A later one will do: replaced since, but never taken
 * back. Of keys that are deleted at times there is nothing to say. */
static void check_has(struct history *history, uint32_t id, const struct key *key)
{
	struct rs *rs = bus_rs(history->sim->bus, id);
	uint64_t version = bus_version(history->sim->bus, id, key->name);

	if (key->is_deleted_at_times || key->done_version <= version)
		return;
	/* Told in an epoch that this node has still to hear of. */
	if (key->done_generation > rs_epoch_generation(rs))
		return;
	sim_violated(history->sim,
		"%s was done with version %s, and node %u has version %s in generation %" PRIu64,
		key->name, journal_version(key->done_version), id, journal_version(version),
		rs_epoch_generation(rs));
}

/* Does `id` know that `other` has all that was done in the epoch they share? */
static bool relies_on(struct history *history, uint32_t id, uint32_t other)
{
	struct bus *bus = history->sim->bus;
	struct rs *rs = bus_rs(bus, id), *theirs;

	if (!bus_is_running(bus, other) || !rs_member_is_synced(rs, other))
		return false;
	theirs = bus_rs(bus, other);
	return rs_epoch_equal(&rs->epoch, &theirs->epoch) && rs_mode(theirs) == RS_SYNCED;
}

void history_changed(struct history *history, uint32_t id)
{
	struct key *key;

	for (uint32_t other = 1; other <= bus_n_nodes(history->sim->bus); other++) {
		if (!relies_on(history, id, other))
			continue;
		list_for_each(key, &history->keys, siblings)
			check_has(history, other, key);
	}
}

static void check_comparison(struct history *history, struct write *write)
{
	struct key *key = write->key;

	if (write->expected == RS_ANY_VERSION)
		return;
	if (write->expected == 0 && !write->is_delete && key->n_made++ > 0 &&
		key->n_deleted + 1 < key->n_made)
		sim_violated(history->sim, "%s was made %" PRIu64 " times and deleted %" PRIu64,
			key->name, key->n_made, key->n_deleted);
	if (write->expected &&
		!seen_agrees(&key->replaced, write->expected, (uint64_t)(uintptr_t)write))
		sim_violated(history->sim, "version %s of %s was replaced twice",
			journal_version(write->expected), key->name);
	if (!write->is_delete && write->version <= write->expected)
		sim_violated(history->sim, "%s went from version %s back to %s", key->name,
			journal_version(write->expected), journal_version(write->version));
}

static void check_done(struct history *history, struct write *write)
{
	struct sim *sim = history->sim;
	struct key *key = write->key;
	unsigned n_saved = 0;

	key->n_done++;
	check_comparison(history, write);
	if (write->is_delete)
		return;
	if (!seen_agrees(&key->given, write->version, (uint64_t)(uintptr_t)write))
		sim_violated(sim, "two writers of %s were told version %s", key->name,
			journal_version(write->version));
	if (write->version <= write->floor_version)
		sim_violated(sim, "%s got version %s after somebody was told %s", key->name,
			journal_version(write->version), journal_version(write->floor_version));
	if (write->version > key->done_version) {
		key->done_version = write->version;
		key->done_generation = rs_epoch_generation(bus_rs(sim->bus, write->id));
	}
	for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++) {
		if (bus_is_running(sim->bus, id) && rs_is_synced(bus_rs(sim->bus, id)))
			check_has(history, id, key);
		n_saved += bus_disk_version(sim->bus, id, key->name) >= write->version;
	}
	/* Versions of the protocol before count the votes of a quorum device as copies. */
	if (rs_protocol(bus_rs(sim->bus, write->id)) > 1 && !key->is_deleted_at_times &&
		2 * n_saved <= bus_n_nodes(sim->bus))
		sim_violated(sim, "%s was done with version %s, and %u of %u disks have it",
			key->name, journal_version(write->version), n_saved, bus_n_nodes(sim->bus));
}

static const char *result_name(int error)
{
	switch (error) {
	case 0:
		return "done";
	case -ESTALE:
		return "not done: another version is there";
	case -EIO:
		return "perhaps done: the membership broke";
	case -EHOSTDOWN:
		return "not done: no quorum";
	default:
		return strerror(-error);
	}
}

static void log_result(const struct write *write)
{
	uint64_t version = write->version;

	if (sim_is_quiet(write->key->name) && write->error == 0)
		return;
	sim_log(write->history->sim, write->id, "%s %s: %s%s%s",
		write->is_delete ? "delete" : "write", write->key->name, result_name(write->error),
		version ? ", version " : "", version ? journal_version(version) : "");
}

static void log_request(
	struct sim *sim, uint32_t id, const char *key, uint64_t expected, const char *value)
{
	if (sim_is_quiet(key))
		return;
	sim_log(sim, id, "%s %s%s%s, where version %s is", value ? "writes" : "deletes", key,
		value ? " = " : "", value ? value : "",
		expected == RS_ANY_VERSION ? "any" : journal_version(expected));
}

static void on_done(int error, uint64_t version, void *data)
{
	struct write *write = data;
	struct history *history = write->history;
	struct sim *sim = history->sim;
	struct key *key = write->key;

	write->n_done++;
	write->error = error;
	write->version = version;
	log_result(write);
	if (write->n_done > 1)
		sim_violated(sim, "a write of %s was reported twice", key->name);
	if (error == 0) {
		sim->stats.n_done++;
		check_done(history, write);
	} else if (error == -ESTALE) {
		sim->stats.n_stale++;
		if (version < write->floor_version && !key->is_deleted_at_times)
			sim_violated(sim, "%s is said to have version %s after %s was told",
				key->name, journal_version(version),
				journal_version(write->floor_version));
	} else if (error == -EIO) {
		sim->stats.n_unknown++;
		key->n_maybe++;
	} else {
		sim->stats.n_refused++;
	}
	if (write->done && sim_lives(sim, write->id, write->life))
		write->done(error, version, write->data);
}

int history_write(struct history *history, uint32_t id, const char *key, uint64_t expected,
	const char *value, rs_done_fn done, void *data)
{
	struct write *write = calloc(1, sizeof(*write));
	struct sim *sim = history->sim;
	int r;

	if (!write)
		abort();
	*write = (struct write){
		.history = history,
		.key = find_key(history, key),
		.id = id,
		.life = sim->lives[id],
		.expected = expected,
		.is_delete = !value,
		.done = done,
		.data = data,
	};
	write->floor_version = write->key->done_version;
	if (!value) {
		write->key->is_deleted_at_times = true;
		write->key->n_deleted++;
	}
	r = bus_write_cb(sim->bus, id, key, expected, value, on_done, write);
	if (r < 0) {
		sim_log(sim, id, "%s %s: %s", value ? "write" : "delete", key, result_name(r));
		sim->stats.n_refused++;
		free(write);
		return r;
	}
	log_request(sim, id, key, expected, value);
	sim->stats.n_writes++;
	list_append(&history->writes, &write->siblings);
	return 0;
}

static void write_counter(struct history *history, uint32_t id)
{
	struct bus *bus = history->sim->bus;
	char name[32], value[32];

	snprintf(name, sizeof(name), "counter/%u", (unsigned)bus_random(bus, N_COUNTERS));
	snprintf(value, sizeof(value), "%lu", strtoul(bus_get(bus, id, name), NULL, 10) + 1);
	history_write(history, id, name, bus_version(bus, id, name), value, NULL, NULL);
}

static void write_once(struct history *history, uint32_t id)
{
	struct bus *bus = history->sim->bus;
	unsigned number = history->n_once;
	char name[32];

	/* At times two nodes make the same one. */
	if (number > 0 && bus_random(bus, 4) == 0)
		number--;
	else
		history->n_once++;
	snprintf(name, sizeof(name), "once/%u", number);
	history_write(history, id, name, 0, "[\"here\"]", NULL, NULL);
}

static void write_flicker(struct history *history, uint32_t id)
{
	struct bus *bus = history->sim->bus;
	uint64_t version;
	char name[32];

	snprintf(name, sizeof(name), "flicker/%u", (unsigned)bus_random(bus, N_FLICKERS));
	version = bus_version(bus, id, name);
	history_write(history, id, name, version, version ? NULL : "true", NULL, NULL);
}

void history_write_something(struct history *history, uint32_t id)
{
	switch (bus_random(history->sim->bus, 4)) {
	case 0:
		write_once(history, id);
		break;
	case 1:
		write_flicker(history, id);
		break;
	default:
		write_counter(history, id);
	}
}

static void check_write_end(struct history *history, const struct write *write)
{
	struct sim *sim = history->sim;

	if (write->n_done == 0 && sim_lives(sim, write->id, write->life))
		sim_violated(sim, "a write of %s at node %u was never reported", write->key->name,
			write->id);
	if (write->n_done == 0)
		write->key->n_maybe++;
}

static void check_key_end(struct history *history, const struct key *key)
{
	struct sim *sim = history->sim;
	unsigned long count = strtoul(bus_get(sim->bus, 1, key->name), NULL, 10);
	bool is_there = bus_version(sim->bus, 1, key->name);

	check_has(history, 1, key);
	if (is_there && key->n_done + key->n_maybe == 0)
		sim_violated(sim, "%s is there, though no write of it happened", key->name);
	if (strncmp(key->name, "counter/", 8) == 0 &&
		(count < key->n_done || count > key->n_done + key->n_maybe))
		sim_violated(sim, "%s is %lu after %" PRIu64 " increments and perhaps %" PRIu64,
			key->name, count, key->n_done, key->n_maybe);
}

void history_check_end(struct history *history)
{
	struct write *write;
	struct key *key;

	list_for_each(write, &history->writes, siblings)
		check_write_end(history, write);
	list_for_each(key, &history->keys, siblings)
		check_key_end(history, key);
}
