/* SPDX-License-Identifier: MIT
 *
 * ctl.h - the control interface of the switch process: JSON requests over a base/chan channel,
 *served between two rounds of the worker.
 *
 *	op             request                                  reply
 *	switch.create  name, type, uplink; fd: raw socket       -
 *	               (uplink and fd: external only)
 *	switch.delete  name                                     -            -EBUSY with ports
 *	switch.list    [from]                                   switches, [next]
 *	port.add       switch, port, mac, VLAN keys, [muted],   port, ring_bytes; fds: memory,
 *eventfd [spoofing], [ring_bytes]                 that kicks the switch, pipe that kicks the VM
 *	port.add_tap   switch, port, mac, VLAN keys,            -            never on private
 *switches [spoofing]; fd: tap port.set       port, VLAN keys, [spoofing]              - VLANs of a
 *port in use port.remove    port                                     - port.mute      port - what
 *the VM had sent before is forwarded first port.open      port -            and announces the
 *address port.stats     port                                     port: as in switch.list fdb.show
 *switch, [from]                           entries, [next]
 *
 *	event          content
 *	port.shut      port, reason                             the port is beyond use until removed
 *
 * VLAN keys: mode "untagged" (the default) | "access" with vid 1..4094 | "trunk" with allowed
 * ("2-4,7") and native (0..4094, default 0: untagged frames stay untagged). Keys of another mode
 *are refused unless 0, empty or null.
 *
 * switches: [{name, type, uplink, ports: [{id, kind: "vm"|"tap"|"uplink", vm, mac, mode, vid,
 *native, allowed, spoofing, muted, state: "up"|"muted"|"shut", reason, rx_frames, rx_bytes,
 *tx_frames, tx_bytes, dropped: {reason: n}}]}]. rx is what the switch received from the port;
 *`dropped` has the reasons of drop.h that occurred. entries: [{vlan, mac, port, static, age_s}];
 *vlan is null for a trunk's own address.
 *
 * A reply that would be too long ends with `next`: ask again with `from` set to it. A switch's
 *ports may be spread over replies, its name and type are in each.
 *
 * A refused request changes nothing; the reply has errno and one sentence. The VM's end of a port
 *is hostile, and so are the descriptors: they are checked for being what they should be.
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
