/* SPDX-License-Identifier: MIT
 *
 * nic.h - the settings of a network adapter, of a VM (vm/NAME nics[i]) or of a host
 * (switch/NODE/NAME adapters[i]). Everything but "switch" is optional.
 *
 *   switch    name or logical name            VMs only, as are mac, mtu and offload
 *   mac       its own address; leased when absent
 *   mtu       576 to 9000
 *   mode      "untagged" (the default)
 *             "access" with vid
 *             "trunk" with allowed ("2-4,7") and native (0: untagged frames have no VLAN)
 *             "isolated", "community" with primary, secondary
 *             "promiscuous" with primary, secondaries ("201-203,210")
 *   spoofing  true: other source addresses than its own may be used
 *   guards    {dhcp, router, addresses: bool, ips: ["10.0.0.5", ...]}
 *   acl       [rule]; a rule is {action: "allow" | "deny" | "meter", direction: "in" | "out" |
 *             "both", weight, protocol: "tcp" | "udp" | "icmp" | "icmpv6" | "0".."255",
 *             local, remote: "ADDRESS[/LENGTH]" | "MAC[/LENGTH]" | "*",
 *             local_ports, remote_ports: "80-90", stateful, idle_s}
 *   bandwidth {max_bps, min_bps, weight, storm_fps}; 0: none
 *   mirror    "none", "source" or "destination"
 *   offload   {csum: "off" | "tx" | "rx" | "both", lso, rsc, rss: bool}
 *
 * From mode to mirror they are the policy of a port and travel to the switch process in this form
 * (fabric/ctl.h). A VM's configuration also holds `lease`, by which its MAC is known in the
 * cluster.
 *
 * Requests are hostile: an unknown key, a value of a wrong type and settings that contradict each
 * other are refused with one sentence. The switch has the last word.
 *
 * Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_SVC_NIC_H
#define VIADUCT_NODE_SVC_NIC_H

#include "base/json.h"

#define NIC_MAX_RULES      256
#define NIC_MAX_IPS        16
#define NIC_MAX_WEIGHT     100
#define NIC_MIN_RATE_BPS   1000000LL
#define NIC_MAX_RATE_BPS   1000000000000LL
#define NIC_LIST_MAX_BYTES 10240 /* of a list of VLANs: every second one */

/* Where a refusal's sentence goes. */
struct nic_error {
	char text[256];
};

enum nic_kind {
	NIC_OF_VM,
	NIC_OF_HOST, /* policy only; other members of the configuration are left alone */
};

/* `old` (NULL: nothing yet) with `changes`. A null value takes a setting back to its default; the
 * VLAN settings are one group, given with their mode; guards, bandwidth and offload change member
 * by member, acl as a whole. 0, or -EINVAL with a sentence. */
int nic_config_change(const struct json *old, const struct json *changes, enum nic_kind kind,
	struct json **ret_config, struct nic_error *error);

/* The policy, for port.add or port.add_tap: into `message`. */
void nic_policy_set(const struct json *config, struct json *message);
/* The groups of the policy that differ, complete, for port.set: into `message`. False: none. */
bool nic_policy_diff(const struct json *old, const struct json *config, struct json *message);
/* Does this setting differ? */
bool nic_setting_differs(const struct json *old, const struct json *config, const char *key);

/* nic_acl.c: a rule as it is kept, or a refusal. */
int nic_rule_make(const struct json *wanted, struct json **ret_rule, struct nic_error *error);

/* nic_offload.c: one offload of {csum, lso, rsc, rss}, where what is left out is on; large sends
 * and coalescing need the checksums of their direction. */
enum nic_offload { NIC_CSUM_TX, NIC_CSUM_RX, NIC_LSO, NIC_RSC, NIC_RSS };
bool nic_offload_has(const struct json *offload, enum nic_offload what);
/* Those of an adapter's configuration with nothing left out, and a list of these for all adapters
 * of a VM's: what its process gets when it starts. */
struct json *nic_offload_complete(const struct json *nic);
struct json *nic_offloads(const struct json *config);
/* From another node or the store: is it such a list, for the adapters of this configuration? */
bool nic_offloads_are_valid(const struct json *offloads, const struct json *config);

/* "1-4,7" of VLANs from 1 to 4094; `without` is not among them (0: nothing). NULL, or what is wrong
 * with it, a static text that completes "... is". */
const char *nic_vlan_list_error(const char *text, int64_t without);
/* "00:15:5d:00:00:01", of one machine: neither a group's nor zero. */
bool nic_mac_parse(const char *text, unsigned char ret_mac[6]);
/* -EINVAL with the sentence. */
int nic_refuse(struct nic_error *error, const char *format, ...) _printf_(2, 3);

#endif
