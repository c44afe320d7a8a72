/* SPDX-License-Identifier: MIT
 *
 * switch.h - the record of a virtual switch, switch/NODE/NAME:
 *
 *   type            "external", "internal" or "private"
 *   uplinks         [network adapter] of an external switch; `uplink` instead when there is one
 *   team            {mode: "standby" | "hash"}, of several uplinks
 *   bandwidth_mode  "none", "weight" or "absolute": what a port's minimum means
 *   link_bps        what the uplink carries; absent: unknown
 *   static          [{mac, vlan}]: addresses behind the uplink; VLAN 0: without a tag
 *   logical         what the switch is called on all nodes
 *   management      the VLAN (0: none) of the host's only adapter, called like the switch; absent:
 *                   an internal switch has one without a VLAN, an external one has none
 *   adapters        instead of that: [{name, ifname, lease, [mac], policy as in nic.h}], the host's
 *                   adapters: interface `ifname`, address leased as `lease`
 *   renamed_from    this switch takes over from the one of that name, whose record goes soon
 *
 * Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_SVC_SWITCH_H
#define VIADUCT_NODE_SVC_SWITCH_H

#include "node/svc/nic.h"

#define SWITCH_MAX_UPLINKS    8
#define SWITCH_MAX_ADAPTERS   8
#define SWITCH_IFNAME_MAX_LEN 15
#define SWITCH_MAX_STATICS    256

/* `old` (NULL: a switch that is to be made; `changes` names its type) with the settings `uplink` or
 * `uplinks`, `team`, `bandwidth_mode`, `link_bps`, `management`, `logical`, `add_static` and
 * `remove_static` ({mac, [vlan]}) of a request, whose other keys are ignored. 0, or -EINVAL with a
 * sentence. */
int switch_record_change(const struct json *old, const struct json *changes,
	struct json **ret_record, struct nic_error *error);

/* New references. */
struct json *switch_uplinks(const struct json *record);
struct json *switch_adapters(const struct json *record, const char *node, const char *name);
/* What the switch process is told of its link, {uplinks, team} without one of one uplink, and of
 * its bandwidth, {bandwidth_mode, link_bps}; and of static addresses, {static}. */
struct json *switch_link(const struct json *record);
struct json *switch_bandwidth(const struct json *record);
struct json *switch_statics(const struct json *record);

/* An adapter from a request {name, [mac], policy}; `adapters` are those that the node's switches
 * have, and it must not be among them. 0, -EINVAL or -EEXIST with a sentence. */
int switch_adapter_make(const struct json *wanted, const char *node, const char *name,
	const struct json *adapters, struct json **ret_adapter, struct nic_error *error);
/* The adapter of that interface among `adapters`, or NULL. */
const struct json *switch_adapter_find(
	const struct json *adapters, const char *key, const char *value);

#endif
