/* SPDX-License-Identifier: MIT
 *
 * place_impl.h - the picture, as the files of place.h see it.
 *
 * Every text is interned: two texts are equal when their numbers are, and 0 is "". VMs, lists of
 * VLANs and anti-affinity classes have tables of their own, whose numbers are places in arrays.
 */
#ifndef VIADUCT_CLUSTER_PLACE_IMPL_H
#define VIADUCT_CLUSTER_PLACE_IMPL_H

#include "cluster/place.h"

#include "fabric/vlan.h"

/* Texts in the order in which they came, and where to find them. */
struct place_texts {
	char **texts;    /* [0] is "" */
	uint32_t *slots; /* open addressing; 0: free */
	size_t n, n_slots;
};

struct place_vlans {
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)];
};

struct place_net {
	uint32_t name, logical, state;
	bool reaches_all; /* or no limit is known */
	uint32_t vlans;
};

struct place_reach {
	uint32_t name, why_not;
};

struct place_host {
	uint32_t id, name, cpu_digest, why_not;
	bool is_up, is_paused, has_kvm;
	uint64_t memory_bytes, numa_memory_bytes;
	unsigned cpus, numa_cpus, max_vms;
	struct place_net *nets; /* by name */
	size_t n_nets;
	struct place_reach *reach;
	size_t n_reach;
	/* of the VMs that run on it */
	uint64_t used_bytes, used_vps;
	unsigned n_running;
};

struct place_guest {
	uint32_t name, node_id, cpu_digest, class;
	bool is_running;
	uint64_t memory_bytes;
	unsigned vps;
	enum place_priority priority;
	struct {
		uint32_t name, vlans;
	} nics[PLACE_MAX_NICS];
	uint32_t volumes[PLACE_MAX_VOLUMES];
	uint32_t *preferred, *possible;
	size_t n_nics, n_volumes, n_preferred, n_possible;
};

struct place {
	struct place_texts words;  /* nodes, switches, volumes, processors, states */
	struct place_texts names;  /* of VMs: guests[number - 1] */
	struct place_texts vids;   /* vlans[number]; [0]: none */
	struct place_texts groups; /* anti-affinity classes: apart[number * n_hosts + host] */
	struct place_host *hosts;  /* by id */
	size_t n_hosts;
	struct place_guest *guests;
	struct place_vlans *vlans;
	unsigned *apart; /* running VMs of the class on the host */
	size_t n_guests, guests_room, vlans_room, apart_room;
};

static inline const char *place_word(const struct place *place, uint32_t number)
{
	return place->words.texts[number];
}

struct place_host *place_find_host(const struct place *place, uint32_t id);
struct place_guest *place_find_guest(const struct place *place, const char *name);
/* Running VMs of the guest's class on that host, itself left out. */
unsigned place_n_apart(
	const struct place *place, const struct place_guest *guest, const struct place_host *host);

static inline bool place_runs_on(const struct place_guest *guest, const struct place_host *host)
{
	return guest->is_running && guest->node_id == host->id;
}

/* What the host's other VMs leave. */
static inline uint64_t place_free_bytes(
	const struct place_guest *guest, const struct place_host *host)
{
	uint64_t used = host->used_bytes - (place_runs_on(guest, host) ? guest->memory_bytes : 0);

	return used < host->memory_bytes ? host->memory_bytes - used : 0;
}

/* place_check.c: is there anything against it? */
bool place_fits(
	const struct place *place, const struct place_guest *guest, const struct place_host *host);

/* place_text.c: 0 or -ENOMEM */
int place_texts_init(struct place_texts *texts);
void place_texts_fini(struct place_texts *texts);
int place_intern(struct place_texts *texts, const char *text, uint32_t *ret_number);
uint32_t place_lookup(const struct place_texts *texts, const char *text); /* 0: not there */

#endif
