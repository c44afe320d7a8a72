/* SPDX-License-Identifier: MIT
 *
 * reach.h - does a VLAN reach from one host's uplink to another's? One switch sends a probe in each
 * VLAN, the other notes the ones that arrive; the hosts compare over their control network, so a
 * probe is never answered on the wire.
 *
 * A probe is a frame of the local experimental EtherType 1 (IEEE 802, 88-B5) to a group address
 * that bridges flood, with a token that the two hosts agreed on for one trial. A switch takes every
 * probe that comes in by its uplink off the wire, known token or not: VMs never see them. Whoever
 * reads the token on the way can only make a VLAN seem to reach.
 *
 * Bounded: REACH_MAX_TRIALS at a time, each for REACH_TRIAL_NS. Time is a parameter. Threads: one
 * owner.
 */
#ifndef VIADUCT_FABRIC_REACH_H
#define VIADUCT_FABRIC_REACH_H

#include "base/bitmap.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/eth_ops.h"
#include "fabric/vlan.h"

#define REACH_TOKEN_BYTES 16
#define REACH_MAX_TRIALS  16
#define REACH_TRIAL_NS    (30 * NS_PER_SEC)
#define REACH_FRAME_BYTES ETH_MIN_FRAME_BYTES

struct reach;

int reach_new(struct reach **ret_reach);
void reach_free(struct reach *reach); /* NULL is fine */

/* Expect probes of this trial. -ENOSPC: too many at once; -EEXIST: it is expected already. */
int reach_begin(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES], uint64_t now_ns);
/* VLANs in which its probes were seen (0: without a tag). -ENOENT: it is over, or never began. */
int reach_result(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES], uint64_t now_ns,
	uint64_t ret_vids[BITMAP_WORDS(VLAN_N_VIDS)]);
void reach_end(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES]);

/* The probe of a VLAN, in normal form and without its tag. Its source is an address made from the
 * token, which no adapter has. */
void reach_build(
	const uint8_t token[REACH_TOKEN_BYTES], uint16_t vid, uint8_t ret_frame[REACH_FRAME_BYTES]);
/* Is this frame, in normal form, a probe? */
bool reach_is_probe(const uint8_t *frame, size_t size_bytes);
/* A probe came in by the uplink in `vid`. One that says that it left in another VLAN counts for
 * nothing: somebody on the way translates. */
void reach_take(struct reach *reach, unsigned vid, const uint8_t *frame, size_t size_bytes,
	uint64_t now_ns);

#endif
