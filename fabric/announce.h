/* SPDX-License-Identifier: MIT
 *
 * announce.h - telling the network where an address lives now. After a port was opened, the switch
 * sends a few broadcasts in its name: RARP requests (RFC 903, "what is my own protocol address?"),
 * which nobody has to answer, but from whose source address every switch on the way learns.
 *
 * A port is announced in each VLAN it carries, round after round. A trunk may carry thousands; a
 * step therefore sends a bounded number of frames, and the next one goes on where it ended.
 */
#ifndef VIADUCT_FABRIC_ANNOUNCE_H
#define VIADUCT_FABRIC_ANNOUNCE_H

#include "fabric/datapath.h"

#define ANNOUNCE_ROUNDS        3
#define ANNOUNCE_ROUND_NS      (100 * NS_PER_MS)
#define ANNOUNCE_STEP_NS       (5 * NS_PER_MS)
#define ANNOUNCE_FRAMES_A_STEP 64
#define ANNOUNCE_FRAME_BYTES   ETH_MIN_FRAME_BYTES

/* The frame, without a tag. */
void announce_build(const uint8_t mac[ETH_ADDR_LEN], uint8_t ret_frame[ANNOUNCE_FRAME_BYTES]);

/* Begin with `port`; the first frames leave with the next announce_step(). */
void announce_start(struct vport *port, uint64_t now_ns);
/* The same for every open port of a switch. */
void announce_switch(struct vswitch *sw, uint64_t now_ns);
/* Send what is due. Returns when to call again, or 0 when nobody is being announced. */
uint64_t announce_step(struct fabric *fabric, struct datapath *dp, uint64_t now_ns);

#endif
