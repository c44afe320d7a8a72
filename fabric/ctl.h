/* SPDX-License-Identifier: MIT
 *
 * ctl.h - the control interface of the switch process: JSON requests over a base/chan channel,
 * served between two rounds of the workers. [keys] may be left out.
 *
 *   switch.create {name, type, [UPLINK], [bandwidth_mode], [link_bps]} + UPLINK's descriptors
 *   switch.delete {name}                -EBUSY while it has ports
 *   switch.rename {name, to}
 *   switch.set {name, [bandwidth_mode], [link_bps]}
 *   switch.rebind {name, [UPLINK]} + UPLINK's descriptors
 *                                       without adapters the switch becomes internal
 *   switch.list {[from]}                -> {switches, [next]}
 *   port.add {switch, port, mac, VLAN, POLICY, [muted], [ring_bytes]}
 *                                       -> {port, ring_bytes} + the VM's ends: memory, the eventfd
 *                                       that kicks the switch, the pipe that kicks the VM
 *   port.add_tap {switch, port, mac, VLAN, POLICY, [muted]} + tap
 *                                       never on private switches
 *   port.set {port, VLAN, POLICY}       for ports in use; keys that are absent change nothing
 *   port.remove {port}
 *   port.mute {port}                    what the VM had sent before is forwarded first
 *   port.open {port}                    and announces the address
 *   port.stats {port}                   -> {port: as in switch.list}
 *   port.export {port}                  -> {state}: what travels with the port (port_state.h)
 *   port.import {port, state}           into a muted port
 *   port.trace {port, frame}            -> {steps, out}: what would become of it (trace.h)
 *   capture.start {port, [ring_bytes], [snap_bytes]}
 *   capture.read {port}                 -> {data, lost}: pcapng; one nobody reads for 30 s ends
 *   capture.stop {port}
 *   fdb.show {switch, [from]}           -> {entries, [next]}
 *   fdb.set {switch, static: [{mac, [vlan]}]}
 *                                       the addresses that are behind the uplink in any case, in
 *                                       place of those before; own ports' go first
 *   groups.show {switch, [from]}        -> {entries, [next]}
 *   workers.show {}                     -> {workers: [{ports, busy_permille}]}: the threads that
 * move frames; busy in the last tenth of a second reach.begin {switch, token}         expect VLAN
 * probes of this trial (reach.h) reach.send {switch, token, [vids], [untagged]} reach.result
 * {switch, token}        -> {vids, untagged}: what has arrived reach.end {switch, token}
 *
 *   event port.shut {port, reason}      the port is beyond use until it is removed
 *   event address.duplicate {port, switch, uplink}
 *                                       frames under the port's address come in by the uplink: it
 *                                       is at two places; told every ten seconds
 *   event uplink.moved {port, reason}   other members of a team carry the uplink's frames, or none
 *                                       does; addresses are being announced
 *
 * UPLINK stands for the keys uplink (one adapter) or uplinks (a list) and team {mode}: "standby"
 * (the default) or "hash". One adapter comes with its raw socket; several with theirs and one more,
 * the socket that tells of links (open.h). External switches have an uplink, others none.
 * bandwidth_mode: "weight" (the default), "absolute", "none": what minimums of ports mean (qos.h);
 * link_bps: what the uplink carries, 0 for unknown.
 *
 * VLAN stands for the keys mode, vid, native, allowed, primary, secondary, secondaries: mode
 * "untagged" (the default), or "access" with vid 1..4094, or "trunk" with allowed, as in "2-4,7",
 * and native (0..4094; 0, the default, leaves untagged frames untagged), or "isolated" or
 * "community" with primary and secondary, or "promiscuous" with primary and secondaries. Keys of
 * another mode are refused unless 0, empty or null.
 *
 * POLICY stands for
 *   spoofing    true or false
 *   guards      {dhcp, router, addresses: true or false; ips: a list of IP addresses} (guard.h)
 *   acl         a list of rules (acl.h) {action: "allow", "deny", "meter"; direction: "in", "out",
 *               "both"; [weight, protocol, local, remote, local_ports, remote_ports, stateful,
 *               idle_s]}
 *   bandwidth   {max_bps, min_bps, weight, storm_fps} (qos.h)
 *   mirror      "none", "source", "destination"
 *
 * switches: [{name, type, uplink, [team], bandwidth_mode, link_bps, ports}]; team: {mode, members:
 * [{name, up, active, changes, rx_frames, tx_frames, reason}]}. Of each port: id, kind
 * ("vm", "tap", "uplink"), vm, mac, VLAN's and POLICY's keys (of rules frames and bytes), muted,
 * state ("up", "muted", "shut"), reason, rx_frames, rx_bytes, tx_frames, tx_bytes, duplicates,
 * conversations, dropped ({reason: n}, the reasons of drop.h that occurred). rx is what the switch
 * received from the port. entries of fdb.show: [{vlan, mac, port, static, age_s}]; vlan is null for
 * a trunk's own address. Of groups.show: [{vlan, mac, port, age_s}].
 *
 * token, frame, state and data are base64; a token is 16 bytes.
 *
 * A reply that would be too long ends with `next`: ask again with `from` set to it. A switch's
 * ports may be spread over replies, its name and type are in each.
 *
 * A refused request changes nothing; the reply has errno and one sentence. The VM's end of a port
 * is hostile, and so are the descriptors: they are checked for being what they should be.
 *
 * Threads: the loop's thread. Callers ignore SIGPIPE.
 */
#ifndef VIADUCT_FABRIC_CTL_H
#define VIADUCT_FABRIC_CTL_H

#include "base/loop.h"

struct fabric_ctl;

/* The channel is gone, `error` says why; the switches still work. Called once, from the loop. */
typedef void (*fabric_ctl_close_fn)(int error, void *data);

/* Serve `chan_fd`, which is taken over, also on failure. Starts the crew. */
int fabric_ctl_new(struct loop *loop, int chan_fd, fabric_ctl_close_fn on_close, void *data,
	struct fabric_ctl **ret_ctl);
/* Frees all switches and ports. NULL is fine. */
void fabric_ctl_free(struct fabric_ctl *ctl);

#endif
