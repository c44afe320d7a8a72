/* SPDX-License-Identifier: MIT
 *
 * vcpu_state.c - everything that a VP is, in KVM's own fixed structures. Saved form: for each
 * group, in the order of the table below, tag u32, length u32, bytes. MSRs are {index u32, value
 * u64} each.
 *
 * The order matters twice. KVM checks later groups against earlier ones (the local APIC's mode
 * against SREGS, XSAVE against XCR0), and setting some disturbs others (events and run state follow
 * the APIC, general registers come last).
 *
 * Not saved: the paravirtual clock and KVM's own MSRs, which the guest cannot reach, and the TSC
 * (tsc.c).
 */
#include "node/hv/internal.h"

#define MSR_TSC 0x10

/* Ranges of MSRs that are not a VP's own state. */
static const struct {
	uint32_t first, last;
} foreign_msrs[] = {
	{MSR_TSC, MSR_TSC},
	{0x40000000, 0x4fffffff}, /* Hyper-V: ours, whatever KVM thinks of them */
	{0x4b564d00, 0x4b564dff}, /* KVM's paravirtual MSRs: not offered */
};

/* State that KVM keeps but does not list: MTRRs and TSC_AUX. */
static const struct {
	uint32_t first, last;
} unlisted_msrs[] = {
	{0x200, 0x20f},
	{0x250, 0x250},
	{0x258, 0x259},
	{0x268, 0x26f},
	{0x2ff, 0x2ff},
	{0xc0000103, 0xc0000103},
};

/* struct kvm_msrs and struct kvm_msr_list with room. */
struct msr_batch {
	uint32_t n;
	uint32_t padding;
	struct kvm_msr_entry entries[MSR_LIST_MAX];
};
static_assert_offset(struct msr_batch, entries, offsetof(struct kvm_msrs, entries));

struct msr_indices {
	uint32_t n;
	uint32_t indices[2 * MSR_LIST_MAX];
};
static_assert_offset(struct msr_indices, indices, offsetof(struct kvm_msr_list, indices));

static bool is_foreign(uint32_t index)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign_msrs); i++) {
		if (index >= foreign_msrs[i].first && index <= foreign_msrs[i].last)
			return true;
	}
	return false;
}

static bool msr_list_has(const struct msr_list *list, uint32_t index)
{
	for (unsigned i = 0; i < list->n; i++) {
		if (list->indices[i] == index)
			return true;
	}
	return false;
}

/* Some that KVM lists can be read but not written back, and some neither. */
static void msr_list_try(struct msr_list *list, int vp_fd, uint32_t index)
{
	struct msr_batch one = {.n = 1, .entries[0].index = index};

	if (list->n < MSR_LIST_MAX && !is_foreign(index) && !msr_list_has(list, index) &&
		kvm_call(vp_fd, KVM_GET_MSRS, &one) == 1 &&
		kvm_call(vp_fd, KVM_SET_MSRS, &one) == 1)
		list->indices[list->n++] = index;
}

int msr_list_init(struct msr_list *list, int kvm_fd, int vp_fd)
{
	struct msr_indices known = {.n = 2 * MSR_LIST_MAX};
	int r = kvm_call(kvm_fd, KVM_GET_MSR_INDEX_LIST, &known);

	if (r < 0)
		return r;
	list->n = 0;
	for (uint32_t i = 0; i < known.n; i++)
		msr_list_try(list, vp_fd, known.indices[i]);
	for (size_t i = 0; i < ARRAY_LEN(unlisted_msrs); i++) {
		for (uint32_t msr = unlisted_msrs[i].first; msr <= unlisted_msrs[i].last; msr++)
			msr_list_try(list, vp_fd, msr);
	}
	return list->n < MSR_LIST_MAX ? 0 : -E2BIG;
}

static int save_msrs(struct vp *vp, struct buf *out)
{
	const struct msr_list *list = &vp->partition->msrs;
	struct msr_batch batch = {.n = list->n};
	int n;

	for (unsigned i = 0; i < list->n; i++)
		batch.entries[i].index = list->indices[i];
	n = kvm_call(vp->fd, KVM_GET_MSRS, &batch);
	if (n < 0 || (unsigned)n != list->n)
		return n < 0 ? n : -EIO;
	for (unsigned i = 0; i < list->n; i++) {
		buf_le32(out, batch.entries[i].index);
		buf_le64(out, batch.entries[i].data);
	}
	return 0;
}

/* An MSR that refuses what it already holds (a host's constant) is fine. */
static bool msr_holds(struct vp *vp, const struct kvm_msr_entry *wanted)
{
	struct msr_batch one = {.n = 1, .entries[0].index = wanted->index};

	return kvm_call(vp->fd, KVM_GET_MSRS, &one) == 1 && one.entries[0].data == wanted->data;
}

static int restore_msrs(struct vp *vp, struct reader *in)
{
	const size_t entry_bytes = sizeof(uint32_t) + sizeof(uint64_t);
	struct msr_batch batch = {0};
	size_t n = in->left_bytes / entry_bytes;

	if (in->left_bytes % entry_bytes || n > MSR_LIST_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		batch.entries[i].index = reader_le32(in);
		batch.entries[i].data = reader_le64(in);
		if (!msr_list_has(&vp->partition->msrs, batch.entries[i].index))
			return -EBADMSG;
	}
	for (size_t done = 0; done < n;) {
		struct msr_batch rest = {.n = (uint32_t)(n - done)};
		int r;

		memcpy(rest.entries, batch.entries + done, (n - done) * sizeof(rest.entries[0]));
		r = kvm_call(vp->fd, KVM_SET_MSRS, &rest);
		if (r < 0)
			return r;
		done += (size_t)r;
		if (done < n && !msr_holds(vp, &batch.entries[done++]))
			return -EBADMSG;
	}
	return 0;
}

enum group_kind {
	GROUP_FIXED, /* one structure of `size_bytes` */
	GROUP_XCRS,  /* the same, where the CPU has XSAVE */
	GROUP_XSAVE, /* as many bytes as KVM says */
	GROUP_MSRS,
};

/* `tag` is part of the saved form: never reused, never changed. */
static const struct group {
	uint32_t tag;
	enum group_kind kind;
	uint32_t size_bytes;
	unsigned long get, set;
} groups[] = {
	{1, GROUP_FIXED, sizeof(struct kvm_sregs), KVM_GET_SREGS, KVM_SET_SREGS},
	{2, GROUP_XCRS, sizeof(struct kvm_xcrs), KVM_GET_XCRS, KVM_SET_XCRS},
	{3, GROUP_XSAVE, 0, KVM_GET_XSAVE2, KVM_SET_XSAVE},
	{4, GROUP_MSRS, 0, KVM_GET_MSRS, KVM_SET_MSRS},
	{5, GROUP_FIXED, sizeof(struct kvm_lapic_state), KVM_GET_LAPIC, KVM_SET_LAPIC},
	{6, GROUP_FIXED, sizeof(struct kvm_vcpu_events), KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS},
	{7, GROUP_FIXED, sizeof(struct kvm_debugregs), KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS},
	{8, GROUP_FIXED, sizeof(struct kvm_mp_state), KVM_GET_MP_STATE, KVM_SET_MP_STATE},
	{9, GROUP_FIXED, sizeof(struct kvm_regs), KVM_GET_REGS, KVM_SET_REGS},
};

static bool group_exists(const struct vp *vp, const struct group *group)
{
	return group->kind != GROUP_XCRS || vp->partition->caps.has_xcrs;
}

static uint32_t group_bytes(const struct vp *vp, const struct group *group)
{
	return group->kind == GROUP_XSAVE ? (uint32_t)vp->partition->caps.xsave_bytes
					  : group->size_bytes;
}

static unsigned long group_get(const struct vp *vp, const struct group *group)
{
	/* The older call knows one size only, but is the only one where there is nothing else. */
	bool is_plain = vp->partition->caps.xsave_bytes == sizeof(struct kvm_xsave);

	return group->kind == GROUP_XSAVE && is_plain ? KVM_GET_XSAVE : group->get;
}

static int save_group(struct vp *vp, const struct group *group, struct buf *out)
{
	size_t start;
	void *at;
	int r;

	buf_le32(out, group->tag);
	buf_le32(out, 0);
	start = out->size_bytes;
	if (group->kind == GROUP_MSRS) {
		r = save_msrs(vp, out);
	} else {
		at = buf_extend(out, group_bytes(vp, group));
		if (!at)
			return -ENOMEM;
		memset(at, 0, group_bytes(vp, group));
		r = kvm_call(vp->fd, group_get(vp, group), at);
		if (group->get == KVM_GET_LAPIC)
			lapic_timer_freeze(vp, at);
	}
	if (r < 0)
		return r;
	if (out->failed)
		return -ENOMEM;
	store_le32(out->data + start - sizeof(uint32_t), (uint32_t)(out->size_bytes - start));
	return 0;
}

int vp_save(struct vp *vp, struct buf *out)
{
	struct kvm_mp_state settled;
	/* KVM acts on a pending INIT or SIPI here, which changes other groups: before they are
	 * read. */
	int r = kvm_call(vp->fd, KVM_GET_MP_STATE, &settled);

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(groups); i++) {
		if (group_exists(vp, &groups[i]))
			r = save_group(vp, &groups[i], out);
	}
	return r < 0 ? r : 0;
}

static int restore_group(struct vp *vp, const struct group *group, struct reader *in)
{
	uint32_t tag = reader_le32(in);
	uint32_t size_bytes = reader_le32(in);
	void *bytes = (void *)reader_take(in, size_bytes); /* KVM only reads it */
	struct reader msrs;

	if (!reader_ok(in) || tag != group->tag)
		return -EBADMSG;
	if (group->kind == GROUP_MSRS) {
		msrs = reader_make(bytes, size_bytes);
		return restore_msrs(vp, &msrs);
	}
	if (size_bytes != group_bytes(vp, group))
		return -EBADMSG;
	if (group->set == KVM_SET_LAPIC)
		lapic_timer_note(vp, bytes);
	/* What KVM refuses is no state that a VP can have. */
	return kvm_call(vp->fd, group->set, bytes) < 0 ? -EBADMSG : 0;
}

int vp_restore(struct vp *vp, struct reader *in)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(groups); i++) {
		if (group_exists(vp, &groups[i]))
			r = restore_group(vp, &groups[i], in);
	}
	return r;
}
