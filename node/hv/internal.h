/* SPDX-License-Identifier: MIT
 *
 * internal.h - the partition as the files of node/hv see it. Fields are grouped by who may touch
 * them.
 */
#ifndef VIADUCT_NODE_HV_INTERNAL_H
#define VIADUCT_NODE_HV_INTERNAL_H

#include "base/thread.h"
#include "node/hv/chipset.h"
#include "node/hv/cpuid.h"
#include "node/hv/doorbell.h"
#include "node/hv/hv.h"
#include "node/hv/io_bus.h"
#include "node/hv/kvm.h"
#include "node/hv/partition.h"
#include "node/hv/uart16550.h"

#define MSR_LIST_MAX 256

/* MSRs that make up the state of a VP on this KVM; see vcpu_state.c. */
struct msr_list {
	unsigned n;
	uint32_t indices[MSR_LIST_MAX];
};

enum vp_want {
	VP_WANT_PARK,
	VP_WANT_RUN,
	VP_WANT_QUIT,
};

struct vp {
	/* Constant. */
	struct partition *partition;
	uint32_t index; /* VP index, KVM's vCPU id and APIC id */
	int fd;
	struct kvm_run *run; /* the thread's, but for immediate_exit, which anybody may set */
	struct thread thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under lock. */
	enum vp_want want;
	bool is_parked;

	/* The owner's. */
	uint32_t timer_remaining; /* of the local APIC's timer, while stopped; 0: not counting */
};

/* The clock's interrupts; see alarm.c. */
struct alarm {
	struct thread thread;
	pthread_cond_t changed;
	bool is_running, must_quit;
	bool line;
};

struct partition {
	/* Constant after partition_new(). */
	const struct partition_ops *ops;
	void *data;
	int vm_fd;
	struct kvm_caps caps;
	struct cpuid_table cpuid;
	struct gpa_space *memory; /* region i is KVM's slot i */
	size_t n_ram_regions;     /* the first of them: what a guest finds at its start */
	size_t added_region;      /* what is added lies in it; SIZE_MAX: nothing may be added */
	struct io_bus ports;
	struct hv *hv;
	struct msr_list msrs;
	uint64_t tsc_khz;
	bool tsc_is_raw; /* the guest sees the host's TSC whatever the offset says; see tsc.c */
	unsigned n_vps;
	struct vp *vps;

	/* The owner's. */
	uint64_t *guest_tsc; /* of each VP, while stopped; 0 before the first start */

	pthread_mutex_t memory_lock;
	/* Under memory_lock. */
	uint64_t added_bytes;
	uint64_t **dirty_maps; /* scratch, one a region, while tracking; else NULL */

	pthread_mutex_t serial_lock;
	/* Under serial_lock. */
	struct uart16550 uart;
	bool serial_irq;

	pthread_mutex_t chipset_lock;
	/* Under chipset_lock. */
	struct chipset chipset;
	struct alarm alarm;

	struct doorbells doorbells; /* has its own lock */

	bool has_ended; /* atomic */
};

/* partition.c: from a VP's thread; the first call of a run is reported, and every VP idles. */
void partition_end(struct partition *partition, enum partition_end end, const char *text);

/* lapic_timer.c: with every VP parked, and before anything else starts. */
int lapic_timers_stop(struct partition *partition);
int lapic_timers_start(struct partition *partition);
/* A local APIC's state as it was when the VP stopped; and the other way round, for a restored one.
 */
void lapic_timer_freeze(const struct vp *vp, struct kvm_lapic_state *lapic);
void lapic_timer_note(struct vp *vp, const struct kvm_lapic_state *lapic);

/* mem.c: _locked with memory_lock held. */
int mem_init(struct partition *partition, const struct partition_config *config);
void mem_free(struct gpa_space *memory);
bool mem_has_slot(const struct partition *partition, size_t index);
int mem_restore(struct partition *partition, struct reader *in);
int mem_set_slot(int vm_fd, const struct gpa_space *memory, size_t index, uint32_t flags);

/* dirty.c: give KVM a region that it did not have, logged when the others are. Memory_lock held. */
int dirty_add_slot_locked(struct partition *partition, size_t index);

/* alarm.c: _locked with chipset_lock held, after every change of the chipset. */
int alarm_init(struct partition *partition);
void alarm_fini(struct partition *partition);
void alarm_start(struct partition *partition);
void alarm_stop(struct partition *partition);
void alarm_update_locked(struct partition *partition);
int64_t alarm_utc_ns(void);

/* ports.c */
int ports_init(struct partition *partition);
int ports_restore_serial(struct partition *partition, struct reader *in);
int ports_restore_chipset(struct partition *partition, struct reader *in);

/* vcpu.c: `vp` is zeroed memory; fini also after a failed init. */
int vp_init(struct vp *vp, struct partition *partition, uint32_t index);
int vp_start_thread(struct vp *vp);
void vp_fini(struct vp *vp);
void vp_run(struct vp *vp);
void vp_kick(struct vp *vp); /* have it leave its run loop and look around; any thread */
void vp_ask_to_park(struct vp *vp);
void vp_wait_parked(struct vp *vp);

/* vcpu_state.c: of parked VPs. */
int msr_list_init(struct msr_list *list, int kvm_fd, int vp_fd);
int vp_save(struct vp *vp, struct buf *out);
int vp_restore(struct vp *vp, struct reader *in);

/* irqchip.c: PICs and IOAPIC. */
int irqchip_save(const struct partition *partition, struct buf *out);
int irqchip_restore(const struct partition *partition, struct reader *in);

/* tsc.c: around the time in which VPs may run. */
int tsc_init(struct partition *partition);
int tsc_start(struct partition *partition);
int tsc_stop(struct partition *partition);

#endif
