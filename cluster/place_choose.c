/* SPDX-License-Identifier: MIT
 *
 * Which of the nodes that can take a VM is the best: what counts, in the order in which it counts.
 */
#include "cluster/place_impl.h"

struct rank {
	size_t preferred; /* place in the list; those that are not on it come after it */
	unsigned n_apart;
	bool spans_numa;
	uint64_t left_bytes, vps;
	unsigned cpus;
};

static bool fits_numa(const struct place_guest *guest, const struct place_host *host)
{
	return (!host->numa_memory_bytes || guest->memory_bytes <= host->numa_memory_bytes) &&
	       (!host->numa_cpus || guest->vps <= host->numa_cpus);
}

static struct rank rank(
	const struct place *place, const struct place_guest *guest, const struct place_host *host)
{
	uint64_t free_bytes = place_free_bytes(guest, host);
	struct rank rank = {
		.n_apart = place_n_apart(place, guest, host),
		.spans_numa = !fits_numa(guest, host),
		.left_bytes =
			free_bytes > guest->memory_bytes ? free_bytes - guest->memory_bytes : 0,
		.vps = host->used_vps - (place_runs_on(guest, host) ? guest->vps : 0),
		.cpus = host->cpus ? host->cpus : 1,
	};

	while (rank.preferred < guest->n_preferred &&
		guest->preferred[rank.preferred] != host->name)
		rank.preferred++;
	return rank;
}

/* Nodes are looked at by id, so the lower one stays when nothing is better. */
static bool is_better(const struct rank *a, const struct rank *b)
{
	if (a->preferred != b->preferred)
		return a->preferred < b->preferred;
	if (a->n_apart != b->n_apart)
		return a->n_apart < b->n_apart;
	if (a->spans_numa != b->spans_numa)
		return b->spans_numa;
	if (a->left_bytes != b->left_bytes)
		return a->left_bytes > b->left_bytes;
	return a->vps * b->cpus < b->vps * a->cpus;
}

uint32_t place_choose(const struct place *place, const char *vm, uint32_t except)
{
	const struct place_guest *guest = place_find_guest(place, vm);
	struct rank best = {0}, next;
	uint32_t chosen = 0;

	if (!guest)
		return 0;
	for (size_t i = 0; i < place->n_hosts; i++) {
		const struct place_host *host = &place->hosts[i];

		if (host->id == except || !place_fits(place, guest, host))
			continue;
		next = rank(place, guest, host);
		if (!chosen || is_better(&next, &best)) {
			best = next;
			chosen = host->id;
		}
	}
	return chosen;
}
