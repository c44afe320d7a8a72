/* SPDX-License-Identifier: MIT
 *
 * nic_state.h - what was taken from adapters and is to be given back: STATE_DIR/nic-bindings.json.
 *
 *   {"version": 1, "nics": {NAME: {
 *     "ipv4": {"addresses": [...], "routes": [...]},
 *     "ipv6": {"addresses": [...], "routes": [...]},
 *     "bridge": {"master": NAME}, "team": {"master": NAME},
 *     "taken": {"switch": NAME, "up": bool, "arp": bool, "components": [...]}}}}
 *
 * A member stands for as long as its component is disabled, "taken" for as long as a switch has the
 * adapter. The file is replaced as a whole (written aside, synced, renamed); it is written before
 * anything is taken away, so a crash in between loses nothing. A file that is not like this is
 * refused as a whole. Threads: one.
 */
#ifndef VIADUCT_NODE_HOST_NIC_STATE_H
#define VIADUCT_NODE_HOST_NIC_STATE_H

#include "base/json.h"

struct nic_state;

/* A missing file is an empty state. -EBADMSG: damaged. */
int nic_state_load(const char *state_dir, struct nic_state **ret_state);
void nic_state_free(struct nic_state *state);
const char *nic_state_path(const struct nic_state *state);

/* Lent; NULL: nothing is remembered. */
const struct json *nic_state_get(const struct nic_state *state, const char *nic, const char *key);
/* Remember (takes over `value`), or forget with NULL; nothing is written yet. */
int nic_state_put(struct nic_state *state, const char *nic, const char *key, struct json *value);
int nic_state_save(struct nic_state *state);
/* Forget what was not saved; what is in memory stays when the file cannot be read. */
void nic_state_reload(struct nic_state *state);

#endif
