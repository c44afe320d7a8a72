/* SPDX-License-Identifier: MIT */
#include "tests/sim/fleet.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/list.h"
#include "tests/sim/history.h"
#include "tests/sim/seen.h"
#include "tests/sim/sim_cluster.h"

#define N_OBJECTS     4
#define NAME_MAX_LEN  31
#define CONFIRM_VALUE "true"

enum what {
	HERE_NOT,
	HERE_STARTING,
	HERE_RUNNING,
	HERE_LEAVING, /* paused: the change of owner is under way */
	HERE_UNSURE,  /* paused: the change may have happened; a trustworthy read decides */
	HERE_READING, /* read, and waiting for a write of our own to confirm what was read */
};

/* One object at one node. */
struct place {
	struct object *object;
	uint32_t id;
	enum what what;
	uint64_t epoch;    /* that it runs with, or is paused with */
	struct op *op;     /* that it waits for */
	uint64_t until_ns; /* with leases: then it ends, wherever it is in all this */
};

/* A write that was asked for because the record was `was`. */
struct op {
	struct list siblings;
	struct place *place;
	struct cluster_owner was;
	uint32_t to;
};

struct object {
	struct fleet *fleet;
	char name[NAME_MAX_LEN + 1];
	struct place places[BUS_MAX_NODES + 1];
	struct seen owners;      /* epoch: node */
	struct seen takeovers;   /* (epoch, node) that asked to take over with it */
	uint64_t epoch, version; /* the highest epoch anybody was told, and its record */
	uint64_t fence_epoch; /* taken over with it: whoever runs it with less is for the fence */
};

struct fleet {
	struct sim *sim;
	struct cluster clusters[BUS_MAX_NODES + 1];
	struct object objects[N_OBJECTS];
	struct list ops; /* all there ever were: some are never answered */
};

struct fleet *fleet_new(struct sim *sim)
{
	static const char *const names[N_OBJECTS] = {"vm/VM1", "vm/VM2", "volume/V1", "volume/V2"};
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet)
		abort();
	fleet->sim = sim;
	list_init(&fleet->ops);
	for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++)
		fleet->clusters[id] = (struct cluster){sim, id};
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		struct object *object = &fleet->objects[i];

		object->fleet = fleet;
		snprintf(object->name, sizeof(object->name), "%s", names[i]);
		for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++)
			object->places[id] = (struct place){.object = object, .id = id};
	}
	return fleet;
}

void fleet_free(struct fleet *fleet)
{
	struct op *op;

	while ((op = list_pop(&fleet->ops, struct op, siblings)))
		free(op);
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		seen_fini(&fleet->objects[i].owners);
		seen_fini(&fleet->objects[i].takeovers);
	}
	free(fleet);
}

static struct sim *sim_of(const struct place *place)
{
	return place->object->fleet->sim;
}

static struct cluster *cluster_of(const struct place *place)
{
	return &place->object->fleet->clusters[place->id];
}

static struct op *begin(
	struct place *place, enum what what, const struct cluster_owner *was, uint32_t to)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		abort();
	*op = (struct op){.place = place, .was = *was, .to = to};
	list_append(&place->object->fleet->ops, &op->siblings);
	place->op = op;
	place->what = what;
	return op;
}

/* Somebody was told that the record is {id, epoch} with that version. */
static void check_owner(struct object *object, uint32_t id, uint64_t epoch, uint64_t version)
{
	struct sim *sim = object->fleet->sim;

	if (!seen_agrees(&object->owners, epoch, id))
		sim_violated(sim, "%s has two owners at epoch %" PRIu64 ", one is node %u",
			object->name, epoch, id);
	if ((version > object->version) != (epoch > object->epoch) && version != object->version)
		sim_violated(sim,
			"the epoch of %s is %" PRIu64 " at version %s, and %" PRIu64
			" at version %s",
			object->name, epoch, journal_version(version), object->epoch,
			journal_version(object->version));
	if (version > object->version) {
		object->version = version;
		object->epoch = epoch;
	}
}

static struct lease *lease_of(const struct place *place)
{
	return bus_lease(sim_of(place)->bus, place->id);
}

/* Its process lives: paused or not, it ends with its lease. */
static bool lives(const struct place *place)
{
	return place->what != HERE_NOT && place->what != HERE_STARTING &&
	       (!place->until_ns || place->until_ns > bus_now_ns(sim_of(place)->bus));
}

/* Without leases nobody knows what a dead node still does. */
static bool runs(const struct place *place)
{
	return place->what == HERE_RUNNING && lives(place) &&
	       (place->until_ns || place->epoch >= place->object->fence_epoch);
}

static void stop(struct place *place)
{
	sim_log(sim_of(place), place->id, "does not run %s any more", place->object->name);
	place->what = HERE_NOT;
	place->op = NULL;
}

/* It starts, or goes on; a process that has ended meanwhile cannot. */
static void run(struct place *place, uint64_t epoch)
{
	struct object *object = place->object;
	struct sim *sim = sim_of(place);
	bool goes_on = place->epoch == epoch && place->until_ns;

	if (lease_of(place) && !goes_on)
		place->until_ns = lease_until_ns(lease_of(place));
	if (lease_of(place) && place->until_ns <= bus_now_ns(sim->bus)) {
		place->epoch = epoch;
		stop(place);
		return;
	}
	place->what = HERE_RUNNING;
	place->epoch = epoch;
	place->op = NULL;
	sim_log(sim, place->id, "runs %s, epoch %" PRIu64, object->name, epoch);
	for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++) {
		if (id != place->id && runs(place) && runs(&object->places[id]))
			sim_violated(sim,
				"%s runs on node %u, epoch %" PRIu64
				", and on node %u, epoch %" PRIu64,
				object->name, place->id, epoch, id, object->places[id].epoch);
	}
}

static bool is_takeover(const struct place *place, const struct cluster_owner *was)
{
	return was->node_id && was->node_id != place->id;
}

/* We had asked to take it over and were not told that we have; now the record says so. What follows
 * from such a record is no different. */
static bool was_taken_over(const struct place *place, uint64_t epoch)
{
	uint64_t id;

	return seen_find(&place->object->takeovers, seen_mix(epoch) + place->id, &id);
}

/* By its record, as it is here and now. */
static bool owns(const struct place *place, uint64_t epoch)
{
	struct cluster_owner owner;

	return cluster_owner_get(cluster_of(place), place->object->name, &owner) == 0 &&
	       owner.node_id == place->id && owner.epoch == epoch;
}

static void on_started(int error, uint64_t version, void *data)
{
	struct op *op = data;
	struct place *place = op->place;
	uint64_t epoch = op->was.epoch + 1;

	if (error) {
		if (place->op == op)
			stop(place);
		return;
	}
	check_owner(place->object, place->id, epoch, version);
	if (is_takeover(place, &op->was)) {
		sim_of(place)->stats.n_taken_over++;
		sim_of(place)->stats.n_leased_takeovers += lease_of(place) != NULL;
	} else {
		sim_of(place)->stats.n_started++;
	}
	if (is_takeover(place, &op->was) || was_taken_over(place, op->was.epoch))
		place->object->fence_epoch = MAX(place->object->fence_epoch, epoch);
	if (epoch > place->epoch && owns(place, epoch))
		run(place, epoch);
	else if (place->op == op)
		stop(place);
}

static void start(struct place *place, const struct cluster_owner *owner)
{
	struct op *op = begin(place, HERE_STARTING, owner, place->id);

	if (is_takeover(place, owner) || was_taken_over(place, owner->epoch))
		seen_agrees(&place->object->takeovers, seen_mix(owner->epoch + 1) + place->id,
			place->id);
	if (cluster_owner_cas(
		    cluster_of(place), place->object->name, owner, place->id, on_started, op) < 0)
		place->what = HERE_NOT;
}

static void decide(struct place *place, const struct cluster_owner *owner)
{
	if (owner->node_id == place->id && owner->epoch == place->epoch)
		run(place, place->epoch);
	else
		stop(place);
}

/* Our own write is done: so is what we had read before it, if nothing came in between. */
static void on_confirmed(int error, uint64_t version _unused_, void *data)
{
	struct op *op = data;
	struct place *place = op->place;
	struct cluster_owner now;

	if (place->op != op)
		return;
	place->what = HERE_UNSURE;
	if (error || cluster_owner_get(cluster_of(place), place->object->name, &now) < 0)
		return;
	if (now.version == op->was.version)
		decide(place, &now);
}

/* Paused, and not told: the record decides, once what is read of it can be relied on. */
static void read_record(struct place *place)
{
	struct sim *sim = sim_of(place);
	struct cluster_owner owner;
	struct op *op;
	char key[32];

	if (!rs_is_synced(bus_rs(sim->bus, place->id)))
		return;
	if (cluster_owner_get(cluster_of(place), place->object->name, &owner) < 0)
		return;
	snprintf(key, sizeof(key), "confirm/%u", place->id);
	op = begin(place, HERE_READING, &owner, 0);
	if (history_write(sim->history, place->id, key, RS_ANY_VERSION, CONFIRM_VALUE, on_confirmed,
		    op) < 0)
		place->what = HERE_UNSURE;
}

/* The source says so; it has been told that its write is done. That may be long ago: what counts is
 * the record as it is here. */
static void arrive(struct place *place, uint64_t epoch)
{
	/* Nobody there to be told, or it has helped itself from the record before. */
	if (!bus_is_running(sim_of(place)->bus, place->id) || place->epoch >= epoch)
		return;
	if (owns(place, epoch))
		run(place, epoch);
}

static void on_left(int error, uint64_t version, void *data)
{
	struct op *op = data;
	struct place *place = op->place;
	struct object *object = place->object;
	uint64_t epoch = op->was.epoch + 1;

	if (error == 0)
		check_owner(object, op->to, epoch, version);
	if (place->op != op) /* it has come back already */
		return;
	if (error) {
		place->what = HERE_UNSURE;
		read_record(place);
		return;
	}
	sim_of(place)->stats.n_moved++;
	stop(place);
	if (op->to)
		arrive(&object->places[op->to], epoch);
}

static void leave(struct place *place, const struct cluster_owner *owner, uint32_t to)
{
	struct op *op = begin(place, HERE_LEAVING, owner, to);

	sim_log(sim_of(place), place->id, "pauses %s, epoch %" PRIu64, place->object->name,
		place->epoch);
	if (cluster_owner_cas(cluster_of(place), place->object->name, owner, to, on_left, op) < 0)
		place->what = HERE_UNSURE;
}

/* Of another owner: only one that is gone, as far as can be known. */
static bool may_take_over(const struct place *place, uint32_t owner)
{
	struct bus *bus = sim_of(place)->bus;

	if (lease_of(place) && bus_mutation_of(bus) != BUS_WAITS_FOR_NO_LEASE)
		return lease_is_gone(lease_of(place), owner);
	return !rs_has_member(bus_rs(bus, place->id), owner);
}

static void act_on_record(struct place *place, const struct cluster_owner *owner)
{
	struct bus *bus = sim_of(place)->bus;
	uint32_t other = 1 + (uint32_t)bus_random(bus, bus_n_nodes(bus));
	bool is_mine = owner->node_id == place->id && owner->epoch == place->epoch;

	if (place->what == HERE_RUNNING && is_mine)
		leave(place, owner, bus_random(bus, 5) && other != place->id ? other : 0);
	else if (place->what != HERE_RUNNING &&
		 (owner->node_id == 0 || owner->node_id == place->id ||
			 may_take_over(place, owner->node_id)))
		start(place, owner);
}

static void act(struct place *place)
{
	struct cluster_owner owner;
	int r;

	/* Its process has ended by itself. */
	if (place->what == HERE_RUNNING && !lives(place))
		stop(place);
	if (place->what == HERE_UNSURE) {
		read_record(place);
		return;
	}
	if (place->what != HERE_NOT && place->what != HERE_RUNNING)
		return;
	r = cluster_owner_get(cluster_of(place), place->object->name, &owner);
	if (r < 0)
		sim_violated(sim_of(place), "the owner record of %s makes no sense",
			place->object->name);
	else
		act_on_record(place, &owner);
}

void fleet_act(struct fleet *fleet, uint32_t id)
{
	unsigned number = (unsigned)bus_random(fleet->sim->bus, N_OBJECTS);

	if (bus_is_running(fleet->sim->bus, id))
		act(&fleet->objects[number].places[id]);
}

void fleet_applied(struct fleet *fleet, uint32_t id, const char *key)
{
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		struct place *place = &fleet->objects[i].places[id];

		if (place->what != HERE_RUNNING || strncmp(key, "owner/", 6) != 0 ||
			strcmp(key + 6, place->object->name) != 0)
			continue;
		if (!owns(place, place->epoch))
			stop(place);
	}
}

void fleet_renewed(struct fleet *fleet, uint32_t id, uint64_t until_ns)
{
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		struct place *place = &fleet->objects[i].places[id];

		if (lives(place) && place->until_ns)
			place->until_ns = until_ns;
	}
}

void fleet_died(struct fleet *fleet, uint32_t id)
{
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		struct object *object = &fleet->objects[i];

		object->places[id] = (struct place){.object = object, .id = id};
	}
}

static struct place *find_place(struct fleet *fleet, uint32_t id, const char *name)
{
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		if (strcmp(fleet->objects[i].name, name) == 0)
			return &fleet->objects[i].places[id];
	}
	return NULL;
}

void fleet_claim(struct fleet *fleet, uint32_t id, const char *object)
{
	struct place *place = find_place(fleet, id, object);
	struct cluster_owner owner;

	if (place && cluster_owner_get(cluster_of(place), object, &owner) == 0)
		start(place, &owner);
}

void fleet_move(struct fleet *fleet, uint32_t id, const char *object, uint32_t to)
{
	struct place *place = find_place(fleet, id, object);
	struct cluster_owner owner;

	if (place && cluster_owner_get(cluster_of(place), object, &owner) == 0)
		leave(place, &owner, to);
}

void fleet_look(struct fleet *fleet, uint32_t id, const char *object)
{
	struct place *place = find_place(fleet, id, object);

	if (place && place->what == HERE_UNSURE)
		read_record(place);
}
