/* SPDX-License-Identifier: MIT
 *
 * kvp_core.h - key-value pairs of the guest and for the guest. Internal to vmbus/.
 *
 * What the host has to tell goes first; then, in a cycle every 30 s, all that the guest says of
 * itself is asked for item by item, and the addresses of each adapter. A cycle that failed changes
 * nothing: the items before it stay until a whole one came through.
 *
 * Linux' driver answers the negotiation after 55 s when its daemon is not there, and every request
 * then fails at once; that is a failed cycle like any other.
 */
#ifndef VIADUCT_VMBUS_KVP_CORE_H
#define VIADUCT_VMBUS_KVP_CORE_H

#include "vmbus/ic_core.h"

#define KVP_MAX_ADAPTERS 8

/* What the request under way is, or the next one will be. */
enum kvp_step {
	KVP_WAITING, /* for the next cycle */
	KVP_AUTO_ITEMS,
	KVP_GUEST_ITEMS,
	KVP_ADDRESSES,
};

struct kvp_items {
	unsigned n_items;
	struct ic_item items[IC_KVP_MAX_ITEMS];
};

struct kvp_adapter {
	uint8_t mac[ETH_ADDR_LEN];
	bool known;
	char addresses[IC_KVP_VALUE_MAX_LEN + 1];
};

/* An item of the host's, in `items[0..n_host_items)`. */
struct kvp_host_item {
	struct ic_item item;
	bool deleted; /* in the guest; then it goes from here too */
	bool pending; /* the guest does not know yet */
	bool tried;   /* in this cycle, in vain */
	bool changed; /* since it was sent */
};

struct kvp_core {
	struct ic_core core;

	enum kvp_step step;
	bool failed;        /* this cycle */
	uint32_t next;      /* index of item or adapter */
	int sent_host_item; /* the request under way is this one; -1: it belongs to the cycle */
	uint64_t due_ns;

	struct kvp_items items;
	struct kvp_items gathered; /* by this cycle */
	struct kvp_adapter adapters[KVP_MAX_ADAPTERS];
	unsigned n_adapters;
	struct kvp_host_item host_items[IC_KVP_MAX_ITEMS];
	unsigned n_host_items;
	unsigned n_changes; /* of what the guest says of itself */
};

void kvp_init(struct kvp_core *kvp);
/* -EINVAL: too many. */
int kvp_set_adapters(struct kvp_core *kvp, const uint8_t (*macs)[ETH_ADDR_LEN], unsigned n_macs);
/* -ENOENT. */
int kvp_addresses(const struct kvp_core *kvp, const uint8_t mac[ETH_ADDR_LEN], char *ret_text,
	size_t size_bytes);
/* As ic_host_item(). */
int kvp_set_host_item(struct kvp_core *kvp, const char *key, const char *value);
/* Begin the cycle anew. */
void kvp_restart_cycle(struct kvp_core *kvp, uint64_t now_ns);

/* What the guest said, and what it is to be told; not which adapters there are, nor their
 * addresses, which are asked for at once. */
void kvp_save(const struct kvp_core *kvp, struct buf *out);
int kvp_restore(struct kvp_core *kvp, struct reader *in, bool open);

#endif
