/* SPDX-License-Identifier: MIT
 *
 * What rs.h promises about stores, checked at each step:
 *
 *   - processes that know to be in one membership and are equally far in its epoch have equal
 *     stores; and whoever comes to the same place of the same order, at any time, has had the same
 *     store there;
 *   - a version of a key never has two contents;
 *   - a generation has one epoch with quorum, and a member promises it once, crashes or not;
 *   - what a process reports as applied is what its store has; with nothing under way, its disk
 * too.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cluster/rs_core.h"
#include "tests/sim/bus_impl.h"

static uint64_t epoch_hash(const struct rs_epoch *epoch)
{
	return seen_mix(seen_mix(epoch->generation + (uint64_t)epoch->initiator) + epoch->nonce);
}

void check_applied(
	struct node *node, const char *key, const struct store_entry *entry, uint64_t version)
{
	struct bus *bus = node->bus;

	/* Nobody else has written anything: what only this node had applied goes without a version.
	 */
	bool nothing_was = !entry && rs_meta(node->rs)->version == 0;

	if ((version == 0 && !nothing_was) || (entry && entry->version != version))
		bus_violated(bus, "node %u reports key %s without its version", node->id, key);
	if (bus->is_lean)
		return;
	if (!entry) {
		if (store_delete(node->mirror, key) < 0)
			bus_violated(bus, "node %u reports that %s is gone, which was not there",
				node->id, key);
		return;
	}
	if (store_put(node->mirror, key, entry->key_len, entry->value, entry->value_bytes,
		    version) < 0)
		bus_violated(bus, "node %u reports what is no entry: %s", node->id, key);
	if (!seen_agrees(&bus->versions, seen_hash(key, strlen(key), version),
		    seen_hash(entry->value, entry->value_bytes, 7)))
		bus_violated(bus, "a version of %s has two contents", key);
}

/* A promise that was forgotten in a crash can be given to another epoch. */
void check_sent(struct node *node, const void *bytes, size_t size_bytes)
{
	struct bus *bus = node->bus;
	struct rs_msg msg;
	uint16_t version;

	if (rs_wire_parse(bytes, size_bytes, RS_WIRE_ANY_VERSION, &msg, &version) < 0) {
		bus_violated(bus, "node %u sends what cannot be parsed", node->id);
		return;
	}
	if (msg.type == RS_WIRE_STATE && msg.state.accepted &&
		!seen_agrees(&bus->promises, seen_mix(msg.epoch.generation) + node->id,
			epoch_hash(&msg.epoch)))
		bus_violated(bus, "node %u promises generation %" PRIu64 " twice", node->id,
			msg.epoch.generation);
}

static uint64_t digest_of(struct bus *bus, struct store *store)
{
	uint8_t digest[RS_DIGEST_BYTES];

	if (store_digest(store, digest) < 0)
		bus_violated(bus, "no digest");
	return load_le64(digest);
}

/* The place in the order that a process has come to. */
static void check_place(struct node *node)
{
	struct rs *rs = node->rs;
	uint64_t chain = rs->applied ? rs->chain[rs->applied % RS_CHAIN_LENGTH] : 0;
	uint64_t place = seen_mix(seen_mix(epoch_hash(&rs->epoch) + rs->applied) + chain);

	if (place == node->checked || node->bus->is_lean)
		return;
	node->checked = place;
	if (!seen_agrees(&node->bus->epochs, rs->epoch.generation, epoch_hash(&rs->epoch)))
		bus_violated(node->bus, "two epochs with quorum have generation %" PRIu64,
			rs->epoch.generation);
	if (!seen_agrees(&node->bus->digests, place, digest_of(node->bus, rs->store)))
		bus_violated(node->bus,
			"node %u has another store than others had after write %" PRIu64
			" of generation %" PRIu64,
			node->id, rs->applied, rs->epoch.generation);
}

/* Whether two processes know that they are in one membership, so that the first rule speaks of
 * them. */
static bool are_together(const struct node *x, const struct node *y)
{
	return x->rs && y->rs && x->ring == y->ring && x->heard_ring == x->ring->serial &&
	       y->heard_ring == y->ring->serial && rs_mode(x->rs) == RS_SYNCED &&
	       rs_mode(y->rs) == RS_SYNCED && rs_epoch_equal(&x->rs->epoch, &y->rs->epoch) &&
	       rs_position(x->rs) == rs_position(y->rs);
}

static void check_others(struct node *node)
{
	struct bus *bus = node->bus;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *other = &bus->nodes[id];

		if (other != node && !other->is_corrupt && are_together(node, other) &&
			digest_of(bus, node->rs->store) != digest_of(bus, other->rs->store))
			bus_violated(bus, "nodes %u and %u have got equally far and differ",
				node->id, id);
	}
}

void check_step(struct node *node)
{
	if (!node->rs || rs_mode(node->rs) != RS_SYNCED || node->bus->is_lean || node->is_corrupt)
		return;
	check_place(node);
	check_others(node);
}

void bus_check_invariants(struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++)
		check_step(&bus->nodes[id]);
}

static void check_settled(struct node *node, struct rs *first)
{
	struct bus *bus = node->bus;
	const struct rs_meta *meta = rs_meta(node->rs), *disk = &node->disk.meta;
	uint64_t digest = digest_of(bus, node->rs->store);

	if (rs_mode(node->rs) != RS_SYNCED || !rs_is_complete(node->rs))
		bus_violated(bus, "node %u is not synced with everybody", node->id);
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (rs_member_is_synced(node->rs, id) != (bus->nodes[id].rs != NULL))
			bus_violated(bus, "node %u is wrong about node %u", node->id, id);
	}
	if (digest != digest_of(bus, first->store))
		bus_violated(bus, "node %u has another store", node->id);
	if (digest != digest_of(bus, node->mirror))
		bus_violated(bus, "node %u did not report all changes", node->id);
	if (digest != digest_of(bus, node->disk.store) && bus->mutation == BUS_AS_IT_IS)
		bus_violated(bus, "node %u has something else on its disk", node->id);
	if ((meta->generation != disk->generation || meta->promised != disk->promised ||
		    meta->version != disk->version || meta->is_worthless != disk->is_worthless) &&
		bus->mutation == BUS_AS_IT_IS)
		bus_violated(bus, "node %u is elsewhere than its disk says", node->id);
	if (rs_epoch_generation(node->rs) != rs_epoch_generation(first) ||
		meta->generation > rs_epoch_generation(first) ||
		(meta->generation < rs_epoch_generation(first) &&
			!rs_peer_find(node->rs, node->id)->is_behind) ||
		meta->version != rs_meta(first)->version)
		bus_violated(bus, "node %u has another generation or version", node->id);
}

void bus_check_agreement(struct bus *bus)
{
	struct rs *first = NULL;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!node->rs)
			continue;
		first = first ? first : node->rs;
		check_settled(node, first);
	}
}
