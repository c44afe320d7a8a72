/* SPDX-License-Identifier: MIT
 *
 * ctl.h - the control interface of the switch process: JSON requests over a base/chan channel,
 * served between two rounds of the worker. [keys] may be left out.
 *
 *   switch.create {name, type, uplink} + raw socket (uplink and socket: external switches only)
 *   switch.delete {name}                -EBUSY while it has ports
 *   switch.list {[from]}                -> {switches, [next]}
 *   port.add {switch, port, mac, VLAN, [muted], [spoofing], [ring_bytes]}
 *                                       -> {port, ring_bytes} + the VM's ends: memory, the eventfd
 *                                       that kicks the switch, the pipe that kicks the VM
 *   port.add_tap {switch, port, mac, VLAN, [muted], [spoofing]} + tap
 *                                       never on private switches
 *   port.set {port, VLAN, [spoofing]}   for ports in use
 *   port.remove {port}
 *   port.mute {port}                    what the VM had sent before is forwarded first
 *   port.open {port}                    and announces the address
 *   port.stats {port}                   -> {port: as in switch.list}
 *   fdb.show {switch, [from]}           -> {entries, [next]}
 *
 *   event port.shut {port, reason}      the port is beyond use until it is removed
 *
 * VLAN stands for the keys mode, vid, native, allowed: mode "untagged" (the default), or "access"
 * with vid 1..4094, or "trunk" with allowed, as in "2-4,7", and native (0..4094; 0, the default,
 * leaves untagged frames untagged). Keys of another mode are refused unless 0, empty or null.
 *
 * switches: [{name, type, uplink, ports}], and of each port: id, kind ("vm", "tap", "uplink"), vm,
 * mac, mode, vid, native, allowed, spoofing, muted, state ("up", "muted", "shut"), reason,
 * rx_frames, rx_bytes, tx_frames, tx_bytes, dropped ({reason: n}, the reasons of drop.h that
 * occurred). rx is what the switch received from the port.
 * entries: [{vlan, mac, port, static, age_s}]; vlan is null for a trunk's own address.
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

/* Serve `chan_fd`, which is taken over, also on failure. Starts the worker. */
int fabric_ctl_new(struct loop *loop, int chan_fd, fabric_ctl_close_fn on_close, void *data,
	struct fabric_ctl **ret_ctl);
/* Frees all switches and ports. NULL is fine. */
void fabric_ctl_free(struct fabric_ctl *ctl);

#endif
