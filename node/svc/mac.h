/* SPDX-License-Identifier: MIT
 *
 * mac.h - MAC addresses (api_mac.c): requests, and sentences about who has one or why there is
 * none. Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_MAC_H
#define VIADUCT_NODE_SVC_MAC_H

#include "node/svc/svc.h"

/* Requests. */
void api_mac_list(struct api_call *call);
void api_mac_pool_list(struct api_call *call);
void api_mac_pool_add(struct api_call *call);
void api_mac_pool_set(struct api_call *call);
void api_mac_pool_remove(struct api_call *call);

/* "adapter 0 of VM1", "adapter Blue of switch S on host1"; "nobody". */
void mac_holder(struct svc *svc, const char *mac, char *text, size_t size_bytes);
/* Fail the call for what cluster_mac_lease() said; `what` was being attempted. */
void mac_fail(struct api_call *call, int error, const char *mac, const char *what);
/* May the VM start with these addresses? False, with a sentence, when one belongs to somebody else:
 * it is a copy of another VM, or its lease was given away while it was nowhere. An address that is
 * nobody's is leased again. */
bool mac_may_start(
	struct svc *svc, const char *vm, const struct json *config, char *text, size_t size_bytes);

#endif
