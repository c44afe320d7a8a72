/* SPDX-License-Identifier: MIT
 *
 * hv.h - the Hyper-V interface of a partition, wholly in user space and without KVM: synthetic
 * MSRs, hypercalls, SynIC, reference time. Internal to node/hv; vcpu.c feeds it with what the VPs
 * do, and three callbacks lead back out.
 *
 * Overlays: the hypercall, reference TSC, message and event pages are laid over guest RAM. What was
 * below is kept and comes back when the guest disables the page, so that a kexec finds its RAM as
 * it left it. Two overlays on one page are the guest's own mistake and hurt nobody else.
 *
 * Locks: `lock` for the partition's registers, one lock a VP for its SynIC. Only the holder of a
 * VP's lock writes to its message and event pages. No callback but interrupt() is called with a
 * lock held.
 */
#ifndef VIADUCT_NODE_HV_HV_H
#define VIADUCT_NODE_HV_HV_H

#include "base/bytes.h"
#include "base/gpa.h"
#include "node/hv/hv_overlay.h"
#include "node/hv/hv_time.h"
#include "vmbus/proto/synic.h"

#include <pthread.h>

struct hv_ops {
	/* Raise an edge interrupt. Must not call back. */
	void (*interrupt)(void *data, uint32_t vp_index, uint8_t vector);
	/* As in struct partition_ops; signal_event() sees every signal. */
	uint16_t (*post_message)(void *data, uint32_t connection_id, uint32_t message_type,
		const void *payload, size_t size_bytes);
	uint16_t (*signal_event)(void *data, uint32_t connection_id, uint16_t flag);
};

#define HV_N_CRASH_PARAMETERS   5
#define HV_CRASH_TEXT_MAX_BYTES 4352 /* the parameters and a page of message */

struct hv_vp {
	uint32_t index; /* constant */

	pthread_mutex_t lock;
	/* Under lock. */
	uint64_t scontrol, siefp, simp;
	uint64_t sint[HV_N_SINTS];
	uint16_t waiting_sints; /* somebody was refused for an occupied slot */
	struct hv_overlay message_overlay, event_overlay;

	/* The VP's thread; the owner's while the VP is stopped. */
	uint64_t vp_assist;
	uint64_t runtime_ns;     /* up to the last hv_runtime_stop() */
	uint64_t run_started_ns; /* on the thread's CPU clock */
	bool is_running;
};

struct hv {
	/* Constant after hv_new(). */
	struct gpa_space *memory;
	const struct hv_ops *ops;
	void *data;
	unsigned n_vps;
	struct hv_vp *vps;

	pthread_mutex_t lock;
	/* Under lock. */
	uint64_t guest_os_id, hypercall, reference_tsc;
	uint64_t crash[HV_N_CRASH_PARAMETERS];
	bool crash_has_message; /* P3 and P4 say where and how long it is */
	struct hv_overlay hypercall_overlay, tsc_overlay;
	uint32_t tsc_sequence;
	struct hv_time time;
};

/* `memory` stays the caller's and outlives the hv. */
int hv_new(struct gpa_space *memory, unsigned n_vps, uint64_t tsc_hz, const struct hv_ops *ops,
	void *data, struct hv **ret_hv);
void hv_free(struct hv *hv);

/* While nothing runs. Layout: see hv_state.c. */
void hv_save(struct hv *hv, struct buf *out);
int hv_restore(struct hv *hv, struct reader *in);

/* What the writer of an MSR has to see to, with no lock held. */
struct hv_effects {
	bool reset;
	bool crash;           /* hv_crash_text() says more */
	uint16_t freed_sints; /* somebody waits for these slots, and they are free */
};

/* On the VP's thread. -EPERM: raise #GP. */
int hv_msr_read(struct hv *hv, uint32_t vp_index, uint32_t msr, uint64_t *ret_value);
int hv_msr_write(
	struct hv *hv, uint32_t vp_index, uint32_t msr, uint64_t value, struct hv_effects *effects);
/* The crash parameters and the message they point to, printable, always terminated. */
void hv_crash_text(struct hv *hv, char *text, size_t size_bytes);

/* A hypercall with RCX, RDX, R8; returns RAX. */
uint64_t hv_hypercall(struct hv *hv, uint64_t control, uint64_t input, uint64_t output);
/* Fill the page that the guest calls. */
void hv_hypercall_page(uint8_t page[GPA_PAGE_SIZE]);

/* Contracts of partition_post_message() and partition_signal_flag(). */
int hv_synic_post(struct hv *hv, uint32_t vp_index, unsigned sint, uint32_t type,
	const void *payload, size_t size_bytes);
int hv_synic_signal(struct hv *hv, uint32_t vp_index, unsigned sint, unsigned flag);
uint64_t hv_synic_read(struct hv *hv, struct hv_vp *vp, uint32_t msr);
int hv_synic_write(
	struct hv *hv, struct hv_vp *vp, uint32_t msr, uint64_t value, struct hv_effects *effects);
void hv_synic_save(const struct hv_vp *vp, struct buf *out);
int hv_synic_restore(struct hv *hv, struct hv_vp *vp, struct reader *in);

/* Reference time stands still between stop and start; `tsc_offset` is the guest's TSC minus the
 * host's, `host_tsc` is now. Start rewrites an enabled reference TSC page. */
void hv_start_time(struct hv *hv, int64_t tsc_offset, uint64_t host_tsc);
void hv_stop_time(struct hv *hv, uint64_t host_tsc);
uint64_t hv_reference_time(struct hv *hv);
int hv_write_reference_tsc(
	struct hv *hv, struct hv_vp *vp, uint32_t msr, uint64_t value, struct hv_effects *effects);

/* Around each stay of a VP in its run loop, on its thread. */
void hv_runtime_start(struct hv *hv, uint32_t vp_index);
void hv_runtime_stop(struct hv *hv, uint32_t vp_index);
/* On the VP's thread, or while it is stopped. */
uint64_t hv_runtime_ns(const struct hv_vp *vp);

#endif
