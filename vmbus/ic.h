/* SPDX-License-Identifier: MIT
 *
 * ic.h - the integration services of one VM: heartbeat, orderly shutdown, time synchronisation,
 * key-value pairs (KVP) and volume snapshots (VSS), each a channel of its own with one framework
 * under them (negotiation, transactions, patience).
 *
 * Over a save and restore the negotiated versions stay, transactions that were under way are
 * reported as -ECANCELED to whoever asked, and answers to them are ignored when they come. After
 * every start that follows a stop the guest's clock is set, once the driver listens, and again a
 * few seconds later.
 *
 * Hostile: the guest's texts are bounded, cut at the first NUL, converted from UTF-16 with bad
 * sequences replaced, and control characters are replaced too.
 *
 * Threads: the owner calls everything; callbacks come on workers, without locks of this module.
 * When the guest closes a channel, is reset or the services are freed or saved, they come from that
 * call, which may hold the bus: they take note and return, and call neither this nor vmbus.h. The
 * clocks of the configuration are read with a lock held.
 *
 * Source: linux drivers/hv/{hv_util,hv_kvp,hv_snapshot}.c, tools/hv (the guest's half).
 */
#ifndef VIADUCT_VMBUS_IC_H
#define VIADUCT_VMBUS_IC_H

#include "vmbus/vmbus.h"

struct ic;

enum ic_heartbeat {
	IC_HEARTBEAT_NO_CONTACT, /* the driver has not said anything since the guest started */
	IC_HEARTBEAT_OK,
	IC_HEARTBEAT_LOST, /* it did, and has been silent for 15 s of running time */
};
const char *ic_heartbeat_name(enum ic_heartbeat state); /* "no contact", "ok", "lost" */

enum ic_power { IC_POWER_OFF, IC_POWER_REBOOT, IC_POWER_HIBERNATE };

/* The result of something that was asked of the guest: 0, -ETIMEDOUT, -EREMOTEIO (the guest said
 * no), -ECANCELED (saved, closed, reset or freed meanwhile). A call that itself returns an error,
 * -ENOTCONN when the guest's driver is not there, has no result. */
typedef void (*ic_done_fn)(int error, void *data);

struct ic_ops {
	/* The heartbeat's state changed. May be NULL. */
	void (*heartbeat)(void *data, enum ic_heartbeat state);
	/* Something that the guest says of itself changed. May be NULL. */
	void (*guest_items)(void *data);
};

struct ic_config {
	const struct ic_ops *ops; /* may be NULL */
	void *data;
	/* 100 ns units since 1601, what the guest's clock shall show; NULL: the host's clock. */
	uint64_t (*wall_clock)(void *data);
	/* Partition reference time; NULL: time synchronisation 4.0 is not offered. */
	uint64_t (*reference_time)(void *data);
};

/* Offers all five services. */
int ic_new(struct vmbus *bus, const struct ic_config *config, struct ic **ret_ic);
void ic_free(struct ic *ic);
/* "ic": all services in one section. */
int ic_register_unit(struct ic *ic, struct unit_registry *registry);

enum ic_heartbeat ic_heartbeat_state(struct ic *ic);

/* Ask the guest's system to shut down. `done` when it agreed or did not: the end itself is seen as
 * the partition's. -EBUSY: asked already. */
int ic_shutdown(struct ic *ic, enum ic_power power, bool force, const char *reason, ic_done_fn done,
	void *data);

/* Set the guest's clock now. */
void ic_sync_time(struct ic *ic);

/* KVP. A guest item, as UTF-8. */
#define IC_KVP_KEY_MAX_LEN   255
#define IC_KVP_VALUE_MAX_LEN 1023
#define IC_KVP_MAX_ITEMS     64

struct ic_item {
	char key[IC_KVP_KEY_MAX_LEN + 1];
	char value[IC_KVP_VALUE_MAX_LEN + 1];
};
/* What the guest's daemon says of itself (OSName, OSVersion, FullyQualifiedDomainName,
 * NetworkAddressIPv4, ...): pools 2 and 1; fetched again every 30 s and at connection. Returns how
 * many there are; copies at most `max`. */
unsigned ic_guest_items(struct ic *ic, struct ic_item *ret_items, unsigned max);
/* The IP configuration of one adapter, as the guest reports it for its MAC: addresses separated by
 * ';', NUL-terminated; refreshed with the items. -ENOENT: not known. */
int ic_guest_addresses(
	struct ic *ic, const uint8_t mac[ETH_ADDR_LEN], char *ret_text, size_t size_bytes);
/* Which adapters to ask for: those of the VM. At most 8. */
int ic_set_adapters(struct ic *ic, const uint8_t (*macs)[ETH_ADDR_LEN], unsigned n_macs);
/* Hand an item to the guest (pool 0, "external"); value NULL deletes. Kept and sent again after the
 * guest restarted. -EINVAL: too long, empty, or not clean UTF-8; -ENOSPC. */
int ic_host_item(struct ic *ic, const char *key, const char *value);

/* VSS: have the guest's file systems flushed and frozen. `done` when they are or are not. Thawed by
 * ic_vss_thaw(), or by itself after `limit_ns` (0: 10 s) or when it was saved meanwhile. -EBUSY. */
int ic_vss_freeze(struct ic *ic, uint64_t limit_ns, ic_done_fn done, void *data);
/* -EALREADY: they are not frozen (any more); -EBUSY: not yet. */
int ic_vss_thaw(struct ic *ic, ic_done_fn done, void *data);

struct ic_info {
	struct {
		const char *name; /* "heartbeat", ... */
		bool connected;
		uint16_t major, minor; /* negotiated message version */
		uint64_t n_requests, n_answers, n_protocol_errors;
	} services[5];
};
void ic_get_info(struct ic *ic, struct ic_info *ret_info);

#endif
