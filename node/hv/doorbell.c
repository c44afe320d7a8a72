/* SPDX-License-Identifier: MIT */
#include "node/hv/doorbell.h"

#include "node/hv/kvm.h"
#include "node/hv/ports.h"
#include "vmbus/proto/hypercall.h"

void doorbells_init(struct doorbells *bells)
{
	pthread_mutex_init(&bells->lock, NULL);
	bells->n = 0;
}

void doorbells_fini(struct doorbells *bells)
{
	pthread_mutex_destroy(&bells->lock);
}

static int ioeventfd(int vm_fd, uint32_t connection_id, int event_fd, uint32_t flags)
{
	struct kvm_ioeventfd request = {
		.addr = HV_DOORBELL_PORT,
		.len = sizeof(connection_id),
		.datamatch = connection_id,
		.fd = event_fd,
		.flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH | flags,
	};

	return kvm_call(vm_fd, KVM_IOEVENTFD, &request);
}

/* The index, or n. */
static unsigned find_locked(const struct doorbells *bells, uint32_t connection_id)
{
	unsigned i = 0;

	while (i < bells->n && bells->list[i].connection_id != connection_id)
		i++;
	return i;
}

int doorbell_add(struct doorbells *bells, int vm_fd, uint32_t connection_id, int event_fd)
{
	int r = 0;

	if (connection_id & ~HV_CONNECTION_ID_MASK)
		return -EINVAL;
	pthread_mutex_lock(&bells->lock);
	if (find_locked(bells, connection_id) < bells->n)
		r = -EEXIST;
	else if (bells->n == DOORBELLS_MAX)
		r = -ENOSPC;
	else
		r = ioeventfd(vm_fd, connection_id, event_fd, 0);
	if (r == 0) {
		bells->list[bells->n].connection_id = connection_id;
		bells->list[bells->n].event_fd = event_fd;
		bells->n++;
	}
	pthread_mutex_unlock(&bells->lock);
	return r;
}

void doorbell_remove(struct doorbells *bells, int vm_fd, uint32_t connection_id, int event_fd)
{
	unsigned i;

	pthread_mutex_lock(&bells->lock);
	i = find_locked(bells, connection_id);
	if (i < bells->n && bells->list[i].event_fd == event_fd) {
		(void)ioeventfd(vm_fd, connection_id, event_fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
		bells->list[i] = bells->list[--bells->n];
	}
	pthread_mutex_unlock(&bells->lock);
}

bool doorbell_ring(struct doorbells *bells, uint32_t connection_id)
{
	uint64_t one = 1;
	bool found;
	unsigned i;

	pthread_mutex_lock(&bells->lock);
	i = find_locked(bells, connection_id);
	found = i < bells->n;
	/* Fails only when the counter is full, and then the reader is called already. */
	if (found && write(bells->list[i].event_fd, &one, sizeof(one)) < 0)
		found = errno == EAGAIN;
	pthread_mutex_unlock(&bells->lock);
	return found;
}
