/* SPDX-License-Identifier: MIT
 *
 * kvm.h - what the KVM at hand can do, and the one way to call it. Internal to node/hv.
 */
#ifndef VIADUCT_NODE_HV_KVM_H
#define VIADUCT_NODE_HV_KVM_H

#include "base/err.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

struct kvm_caps {
	size_t run_bytes;   /* of the mapping of a VP */
	size_t xsave_bytes; /* of an XSAVE area, at least sizeof(struct kvm_xsave) */
	unsigned max_vps;
	bool has_xcrs;
	bool has_tsc_control;
	bool can_disable_pmu;
};

/* -ENOTSUP with the name of what is missing. */
int kvm_check(int kvm_fd, struct kvm_caps *ret_caps, const char **ret_missing);

/* The ioctl's own result, or -errno. `arg` is a pointer or a number. */
static inline int kvm_call(int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

#define kvm_call_number(fd, request, number) kvm_call(fd, request, (void *)(uintptr_t)(number))

int kvm_enable(int fd, uint32_t capability, uint64_t argument);

#endif
