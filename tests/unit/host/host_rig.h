/* SPDX-License-Identifier: MIT
 *
 * host_rig.h - pictures of a host that never was, and a folder for its state.
 */
#ifndef VIADUCT_TESTS_HOST_RIG_H
#define VIADUCT_TESTS_HOST_RIG_H

#include "node/host/nic.h"

/* Adapters get the indices 1, 2, ... in the order in which they are added. */
int rig_add_nic(struct host_net *net, const char *name, enum host_nic_kind kind);
/* "10.0.0.1/24" */
void rig_add_address(struct host_net *net, int ifindex, const char *address, uint32_t metric);
/* "0.0.0.0/0" */
void rig_add_route(struct host_net *net, int ifindex, const char *to, uint32_t metric);

/* A new folder under $TMPDIR; free() its path. */
char *rig_folder_new(void);
void rig_folder_remove(char *path);
void rig_write(const char *folder, const char *name, const char *text);

#endif
