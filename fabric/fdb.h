/* SPDX-License-Identifier: MIT
 *
 * fdb.h - the forwarding database: behind which port of a switch an address of a VLAN lives.
 *
 * Three kinds of entries. *Pinned* ones say where the switch's own ports are: the administrator
 * gave a port its address, so nothing has to be learned, nobody can steal it and it does not age.
 * *Static* ones say what is behind a port; they are like pinned ones, and give way to them.
 * *Learned* ones come from the source addresses of frames; they move with their address, age, and
 * the table of them is bounded.
 *
 * Complications:
 *   - A trunk port owns its address in every VLAN it carries. It is pinned once, under
 *     FDB_ANY_VLAN; whether that pin counts in a given VLAN is the caller's to decide (forward.c).
 *   - When the table is full, the entry that goes is the oldest one of the port that has most of
 *     them. A port that floods the switch with made-up addresses thus evicts only its own.
 *   - Addresses are chosen by strangers, so the hash has a random seed.
 *
 * Time is a parameter. Threads: what takes a const table may be called by several at once.
 */
#ifndef VIADUCT_FABRIC_FDB_H
#define VIADUCT_FABRIC_FDB_H

#include "base/clock.h"
#include "base/err.h"
#include "base/eth_ops.h"

#define FDB_MAX_PORTS       256 /* ports are numbered below this */
#define FDB_AGE_NS          (300 * NS_PER_SEC)
#define FDB_REFRESH_NS      NS_PER_SEC /* an address that is heard again is not older than that */
#define FDB_DEFAULT_ENTRIES 8192
#define FDB_ANY_VLAN        4095
#define FDB_MAX_STATIC      256U

struct fdb;

struct fdb_entry {
	uint16_t vid;
	uint8_t mac[ETH_ADDR_LEN];
	uint16_t port;
	bool pinned;     /* or static */
	uint64_t age_ns; /* 0 for pinned ones */
};

struct fdb_static {
	uint16_t vid;
	uint8_t mac[ETH_ADDR_LEN];
};

/* Room for `max_learned` learned entries, and one pin a port. */
int fdb_new(unsigned max_learned, uint64_t seed, struct fdb **ret_fdb);
void fdb_free(struct fdb *fdb);

/* The port, or -ENOENT. */
int fdb_lookup(
	const struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], uint64_t now_ns);
/* What the table says about a source address. */
enum fdb_source {
	FDB_NEWS,   /* to be learned, or learned again */
	FDB_KNOWN,  /* behind that port, and heard of a moment ago */
	FDB_PINNED, /* or static: nothing to learn */
};

/* The source address `mac` was seen at `port`; `ret_owner` is where it is pinned if it is. */
enum fdb_source fdb_source(const struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN],
	unsigned port, uint64_t now_ns, unsigned *ret_owner);
/* Learn that. Pinned addresses stay where they are. */
void fdb_learn(struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], unsigned port,
	uint64_t now_ns);
/* The one address of `port`; what was learned of it before, in `vid` (in all VLANs for
 * FDB_ANY_VLAN), is forgotten. -EADDRINUSE: pinned to another port; -EBUSY: the port has a pin
 * already. */
int fdb_pin(struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], unsigned port);
/* What is static behind `port`, in place of all that was static before. An address that a port has
 * pinned is left out, and one that is pinned later is no longer static. At most FDB_MAX_STATIC. */
void fdb_set_static(
	struct fdb *fdb, const struct fdb_static *entries, unsigned n_entries, unsigned port);
/* Forget everything behind `port`, its pin included. */
void fdb_forget_port(struct fdb *fdb, unsigned port);
/* Free the entries that have aged out. Nothing else sees them in any case, and a full table does it
 * by itself. */
void fdb_age(struct fdb *fdb, uint64_t now_ns);

unsigned fdb_n_learned(const struct fdb *fdb);
/* Port by port, then what is static; `fn` returns false to end it. */
typedef bool (*fdb_visit_fn)(const struct fdb_entry *entry, void *data);
void fdb_for_each(const struct fdb *fdb, uint64_t now_ns, fdb_visit_fn fn, void *data);

#endif
