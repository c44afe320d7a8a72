/* SPDX-License-Identifier: MIT
 *
 * nic.h - the NICs of this guest: each a VSC with an IPv4 host on top. NICs may come and go while
 * the guest runs.
 */
#ifndef VIADUCT_VMBUS_GUEST_NIC_H
#define VIADUCT_VMBUS_GUEST_NIC_H

#include "vmbus/guest/config.h"
#include "vmbus/guest/shell.h"

/* Connect to the bus and open what NICs it offers. `print` hears about each. Without a bus all of
 * this does nothing. */
void nics_init(const struct config *config, void (*print)(const char *line));
/* False: nothing happened. */
bool nics_poll(void);
/* Timers, and what waits to be sent. */
void nics_run(uint64_t now_ns);
uint64_t nics_deadline(void);
/* As shell_ops.nic. */
struct net *nics_get(unsigned index, struct shell_nic_facts *ret_facts);
/* Close everything and unload the bus. */
void nics_fini(void);

/* 0: no bus. */
uint32_t nics_bus_version(void);

#endif
