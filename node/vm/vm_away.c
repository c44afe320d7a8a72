/* SPDX-License-Identifier: MIT
 *
 * vm_away.c - the unit "away": how long the guest was not there, over pauses, saves and moves.
 * First of all units, so its time spans everything that a stop takes. Saved: the wall clock at the
 * stop, u64 ns. Start and stop come with the VM's lock held.
 */
#include "node/vm/vm.h"

#include "base/clock.h"

static int away_start(void *opaque)
{
	struct vm_away *away = &((struct vm *)opaque)->away;
	uint64_t now_ns = clock_real_ns();

	/* Clocks of hosts differ: less than nothing is nothing. */
	away->last_ns = away->stopped && now_ns > away->since_ns ? now_ns - away->since_ns : 0;
	away->stopped = false;
	return 0;
}

static int away_stop(void *opaque)
{
	struct vm_away *away = &((struct vm *)opaque)->away;

	away->since_ns = clock_real_ns();
	away->stopped = true;
	return 0;
}

static int away_save(void *opaque, struct buf *out)
{
	buf_le64(out, ((struct vm *)opaque)->away.since_ns);
	return 0;
}

static int away_restore(void *opaque, struct reader *in, uint32_t version _unused_)
{
	struct vm_away *away = &((struct vm *)opaque)->away;

	away->since_ns = reader_le64(in);
	away->stopped = true;
	return reader_ok(in) ? 0 : -EBADMSG;
}

int vm_away_register(struct vm *vm)
{
	static const struct unit_ops ops = {
		.name = "away",
		.version = 1,
		.start = away_start,
		.stop = away_stop,
		.save = away_save,
		.restore = away_restore,
	};

	return unit_register(vm->units, &ops, NULL, vm);
}
