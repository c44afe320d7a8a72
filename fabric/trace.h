/* SPDX-License-Identifier: MIT
 *
 * trace.h - what would happen to a frame, and why: the steps of the data path told one by one,
 * without a frame being sent, an address learned, a meter or limit moved.
 *
 * The answer is JSON, for the control interface:
 *   steps  [{step, ok, text}]   in the order in which they are taken; the last one that is not ok
 *                               is why the frame goes nowhere
 *   out    [{port, vlan, tagged, mirror}]   where copies leave
 *
 * Threads: within crew_call().
 */
#ifndef VIADUCT_FABRIC_TRACE_H
#define VIADUCT_FABRIC_TRACE_H

#include "base/json.h"
#include "fabric/datapath.h"

/* The frame is as it would come from the port's owner: tags in line; its bytes are changed. 0 or
 * -ENOMEM. */
int trace_frame(const struct vport *port, uint8_t *data, size_t size_bytes, uint64_t now_ns,
	struct json *reply);

#endif
