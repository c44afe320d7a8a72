/* SPDX-License-Identifier: MIT
 *
 * open.h - the privileged half of the switch's packet I/O: opening raw sockets and taps. Run by the
 * node service, which hands the descriptors to viaduct-vswitchd; the switch itself needs no
 * privilege.
 */
#ifndef VIADUCT_FABRIC_OPEN_H
#define VIADUCT_FABRIC_OPEN_H

#include "base/err.h"

/* A raw socket bound to `ifname`, promiscuous, non-blocking, with virtio_net_hdr and auxdata (so
 * that stripped 802.1Q tags are seen), not seeing its own transmissions; brings the interface up.
 * -ENODEV, -EPERM. */
int fabric_open_uplink(const char *ifname, int *ret_fd);

/* Create (or take over) the tap `ifname` with virtio_net_hdr and offloads, up, non-blocking: the
 * management operating system's adapter on an internal or external switch. */
int fabric_open_tap(const char *ifname, const uint8_t mac[6], int *ret_fd);

/* A routing socket, non-blocking, that is told of every change of a link in the network namespace
 * of the caller: for a team of uplinks. */
int fabric_open_link_watch(int *ret_fd);

#endif
