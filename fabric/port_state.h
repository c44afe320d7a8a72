/* SPDX-License-Identifier: MIT
 *
 * port_state.h - what travels with a port when its VM moves to another switch: counters, the
 * conversations and counters of its access list, bandwidth credit, multicast memberships. Its
 * configuration travels elsewhere and is there already.
 *
 * The bytes are hostile: they come from another node. What does not fit - another number of rules,
 * say - is left out rather than guessed at.
 *
 * Threads: within crew_call().
 */
#ifndef VIADUCT_FABRIC_PORT_STATE_H
#define VIADUCT_FABRIC_PORT_STATE_H

#include "base/bytes.h"
#include "fabric/switch.h"

void port_state_save(const struct vport *port, uint64_t now_ns, struct buf *out);
/* Into a port that is muted. 0, -EBADMSG (the port is as if new), -ENOMEM. */
int port_state_restore(struct vport *port, struct reader *in, uint64_t now_ns);

#endif
