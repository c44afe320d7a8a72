/* SPDX-License-Identifier: MIT
 *
 * client.h - a VM process's end of a shared-memory switch port, as eth_ops (base/eth_ops.h).
 *
 * The switch made the port: a sealed memfd with two rings of frames and two eventfds (fabric/shm_port.h
 * has the layout). Both ends treat the other as hostile: records are copied once, then checked; a ring
 * that does not hold together shuts the port (the switch keeps the reason), nothing else.
 *
 * Threads: as eth_ops says - one worker.
 */
#ifndef VIADUCT_FABRIC_CLIENT_H
#define VIADUCT_FABRIC_CLIENT_H

#include "base/eth_ops.h"

struct fabric_client;

/* Takes over the three descriptors, also on failure. -EINVAL: not such a memfd. */
int fabric_client_new(int memory_fd, int kick_switch_fd, int kick_vm_fd,
	struct fabric_client **ret_client);
void fabric_client_free(struct fabric_client *client);
/* For netvsp_config: ops and the port they take. */
const struct eth_ops *fabric_client_eth_ops(void);

#endif
