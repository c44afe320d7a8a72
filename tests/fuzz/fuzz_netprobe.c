/* SPDX-License-Identifier: MIT
 *
 * Probes of networks as anybody can send them. The input is a script: a byte says whether time
 * passes, a datagram comes from the peer or from elsewhere, or one of ours is sent back, changed.
 */
#include "cluster/netprobe.h"

#include <string.h>

struct world {
	uint64_t now_ns;
	uint8_t last[NETPROBE_BYTES];
	unsigned n_sent, n_random;
};

static void on_send(
	const struct netprobe_path *path, const void *bytes, size_t size_bytes, void *data)
{
	struct world *world = data;

	if (size_bytes != NETPROBE_BYTES || path->peer == 0)
		abort();
	memcpy(world->last, bytes, size_bytes);
	world->n_sent++;
}

static void on_random(void *bytes, size_t size_bytes, void *data)
{
	struct world *world = data;

	memset(bytes, (int)++world->n_random, size_bytes);
}

static void on_changed(void *data)
{
	(void)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct netprobe_ops ops = {
		.send = on_send, .random = on_random, .changed = on_changed};
	static struct net_row row;
	struct netprobe_path path = {.peer = 2};
	struct world world = {.now_ns = 1};
	struct netprobe *probe;
	struct net_addr other;
	size_t n_datagrams = 0, n_ticks = 0;

	if (netprobe_new(1, &ops, &world, &probe) < 0)
		return 0;
	net_subnet_parse("10.4.0.0/24", &path.subnet);
	net_addr_parse("10.4.0.1", &path.local);
	net_addr_parse("10.4.0.2", &path.remote);
	net_addr_parse("10.4.0.3", &other);
	netprobe_set_paths(probe, &path, 1, world.now_ns);
	while (size >= 2) {
		uint8_t action = data[0] % 4, argument = data[1];
		uint8_t changed[NETPROBE_BYTES];
		size_t n = argument % 64;

		data += 2;
		size -= 2;
		n = n < size ? n : size;
		switch (action) {
		case 0:
			world.now_ns += argument * 10000000ULL;
			netprobe_tick(probe, world.now_ns);
			n_ticks++;
			continue;
		case 1:
		case 2:
			netprobe_receive(probe, &path.local, action == 1 ? &path.remote : &other,
				data, n, world.now_ns);
			break;
		default:
			/* As the peer would answer, with a few bytes exchanged. */
			memcpy(changed, world.last, sizeof(changed));
			changed[4] = 2;
			changed[8] = 2;
			changed[12] = 1;
			for (size_t i = 0; i < n; i++)
				changed[data[i] % NETPROBE_BYTES] ^= data[i];
			netprobe_receive(probe, &path.local, &path.remote, changed, sizeof(changed),
				world.now_ns);
			break;
		}
		n_datagrams++;
		data += n;
		size -= n;
	}
	/* Never more datagrams than came, and never more than a few between two requests. */
	if (world.n_sent > n_ticks + n_datagrams || world.n_sent > n_ticks + 8 * (n_ticks + 1))
		abort();
	netprobe_fill_row(probe, &row);
	if (row.n_probed > 1)
		abort();
	netprobe_free(probe);
	return 0;
}
