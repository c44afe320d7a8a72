/* SPDX-License-Identifier: MIT
 *
 * A holder of a lease among two members that send whatever they like.
 *
 * The input is a script: one byte says what happens, a message with two bytes of length and the
 * bytes, a membership, time. What is checked: the lease never reaches further than its duration
 * beyond now, and nobody is gone who is in the group and was not revoked.
 */
#include "base/bytes.h"
#include "cluster/lease.h"

#define DURATION_NS LEASE_DURATION_MIN_NS

enum action { ACTION_TWO, ACTION_THREE, ACTION_OWN, ACTION_MEMBERS, ACTION_TIME, N_ACTIONS };

struct world {
	struct lease *lease;
	struct buf own; /* our last message */
	uint64_t now_ns;
};

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct world *world = data;

	buf_fini(&world->own);
	world->own = (struct buf){};
	buf_bytes(&world->own, bytes, size_bytes);
}

static void on_renewed(uint64_t until_ns, void *data)
{
	const struct world *world = data;

	if (until_ns > world->now_ns + DURATION_NS)
		abort();
}

static void on_changed(void *data)
{
	(void)data;
}

static void members(struct world *world, uint8_t which)
{
	uint32_t ids[3] = {1};
	size_t n = 1;

	if (which & 1)
		ids[n++] = 2;
	if (which & 2)
		ids[n++] = 3;
	lease_confchg(world->lease, ids, n, world->now_ns);
}

static void message(struct world *world, uint32_t sender, struct reader *in)
{
	size_t size_bytes = reader_le16(in);
	const void *bytes;

	size_bytes = MIN(size_bytes, in->left_bytes);
	bytes = reader_take(in, size_bytes);
	lease_deliver(world->lease, sender, bytes, size_bytes, world->now_ns);
}

static void act(struct world *world, struct reader *in)
{
	uint8_t action = reader_u8(in);
	uint64_t deadline_ns;

	switch (action % N_ACTIONS) {
	case ACTION_TWO:
	case ACTION_THREE:
		message(world, action % N_ACTIONS == ACTION_TWO ? 2 : 3, in);
		break;
	case ACTION_OWN:
		if (world->own.size_bytes) {
			struct buf copy = world->own;

			world->own = (struct buf){};
			lease_deliver(world->lease, 1, copy.data, copy.size_bytes, world->now_ns);
			buf_fini(&copy);
		}
		break;
	case ACTION_MEMBERS:
		members(world, action / N_ACTIONS);
		break;
	default:
		world->now_ns += (uint64_t)reader_u8(in) << 22;
		deadline_ns = lease_deadline(world->lease);
		if (deadline_ns && deadline_ns <= world->now_ns)
			lease_tick(world->lease, world->now_ns);
	}
	if (lease_is_gone(world->lease, 1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes)
{
	static const struct lease_ops ops = {on_multicast, on_renewed, on_changed};
	const struct lease_votes votes = {.quorate = true, .votes = 1, .quorum_votes = 2};
	struct reader in = reader_make(bytes, size_bytes);
	struct world world = {.now_ns = 1000};

	if (lease_new(DURATION_NS, 1, &ops, &world, &world.lease) < 0)
		abort();
	lease_connect(world.lease, 1);
	lease_set_votes(world.lease, &votes, world.now_ns);
	members(&world, 3);
	while (reader_ok(&in) && in.left_bytes > 0)
		act(&world, &in);
	lease_free(world.lease);
	buf_fini(&world.own);
	return 0;
}
