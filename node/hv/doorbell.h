/* SPDX-License-Identifier: MIT
 *
 * doorbell.h - connections whose HvSignalEvent becomes a write to an eventfd. KVM does that by
 * itself for the doorbell port; signals that come the slow way are looked up in the same list.
 *
 * Threads: any. Once doorbell_remove() returned, the eventfd is not written any more.
 */
#ifndef VIADUCT_NODE_HV_DOORBELL_H
#define VIADUCT_NODE_HV_DOORBELL_H

#include "base/err.h"

#include <pthread.h>

#define DOORBELLS_MAX 512

struct doorbells {
	pthread_mutex_t lock;
	/* Under lock. */
	unsigned n;
	struct {
		uint32_t connection_id;
		int event_fd;
	} list[DOORBELLS_MAX];
};

void doorbells_init(struct doorbells *bells);
void doorbells_fini(struct doorbells *bells);
/* 0, -EEXIST, -ENOSPC, -EINVAL (an id of more than 24 bits), or KVM's error. */
int doorbell_add(struct doorbells *bells, int vm_fd, uint32_t connection_id, int event_fd);
void doorbell_remove(struct doorbells *bells, int vm_fd, uint32_t connection_id, int event_fd);
/* False: no such doorbell. */
bool doorbell_ring(struct doorbells *bells, uint32_t connection_id);

#endif
