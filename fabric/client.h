/* SPDX-License-Identifier: MIT
 *
 * client.h - a VM process's end of a shared-memory switch port, as eth_ops (base/eth_ops.h).
 *
 * The switch made the port: a sealed memfd with two rings of frames (fabric/shm_port.h has the
 * layout), an eventfd that kicks the switch, and a pipe that kicks the VM - a pipe, because its
 * write end is the switch's alone, while a shared eventfd could be made to block the switch. It
 * holds eight bytes a kick and so reads like an eventfd.
 *
 * Both ends treat the other as hostile: records are copied once, then checked; a ring that does not
 * hold together shuts the port (the switch keeps the reason), nothing else. A dead port receives
 * nothing and refuses what is sent with -EINVAL, so that a VSP completes it instead of waiting.
 *
 * Threads: as eth_ops says - one for each of the two sides; the rest any.
 */
#ifndef VIADUCT_FABRIC_CLIENT_H
#define VIADUCT_FABRIC_CLIENT_H

#include "base/eth_ops.h"

struct fabric_client;

/* Takes over the three descriptors, also on failure. -EINVAL: not such a memfd. */
int fabric_client_new(
	int memory_fd, int kick_switch_fd, int kick_vm_fd, struct fabric_client **ret_client);
void fabric_client_free(struct fabric_client *client);
/* For netvsp_config: ops and the port they take. */
const struct eth_ops *fabric_client_eth_ops(void);

/* What the receiver takes as it is, enum eth_cap bits: frames whose checksum is still to be
 * finished, TCP super-frames. At first nothing: the switch then finishes and cuts. Any thread. */
void fabric_client_set_rx_caps(struct fabric_client *client, uint32_t caps);

struct fabric_client_info {
	bool dead;
	const char *reason;    /* static text, NULL while it lives */
	uint64_t n_rx_dropped; /* larger than the receiver's buffer, or malformed */
};
void fabric_client_get_info(
	const struct fabric_client *client, struct fabric_client_info *ret_info);

#endif
