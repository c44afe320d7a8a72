/* SPDX-License-Identifier: MIT
 *
 * hv_msr.c - the synthetic MSRs as one table; whatever has no row, or no function for the access,
 * raises #GP.
 */
#include "node/hv/hv.h"

#include <stdio.h>

#define LAPIC_HZ 1000000000ULL /* KVM's local APIC counts nanoseconds */

static uint64_t read_locked(struct hv *hv, const uint64_t *value)
{
	uint64_t v;

	pthread_mutex_lock(&hv->lock);
	v = *value;
	pthread_mutex_unlock(&hv->lock);
	return v;
}

static uint64_t read_guest_os_id(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return read_locked(hv, &hv->guest_os_id);
}

/* A guest that withdraws its identity (kexec) loses the hypercall page with it. */
static int write_guest_os_id(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects _unused_)
{
	pthread_mutex_lock(&hv->lock);
	hv->guest_os_id = value;
	if (!value) {
		hv->hypercall &= ~HV_MSR_PAGE_ENABLE;
		(void)hv_overlay_set(&hv->hypercall_overlay, hv->memory, 0, NULL);
	}
	pthread_mutex_unlock(&hv->lock);
	return 0;
}

static uint64_t read_hypercall(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return read_locked(hv, &hv->hypercall);
}

static int write_hypercall(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects _unused_)
{
	uint8_t code[GPA_PAGE_SIZE];
	int r = 0;

	hv_hypercall_page(code);
	pthread_mutex_lock(&hv->lock);
	if (hv->guest_os_id) {
		value &= ~HV_MSR_HYPERCALL_LOCKED; /* locking is not offered */
		r = hv_overlay_set(&hv->hypercall_overlay, hv->memory, value, code);
		if (r == 0)
			hv->hypercall = value;
	}
	pthread_mutex_unlock(&hv->lock);
	return r;
}

static uint64_t read_vp_index(struct hv *hv _unused_, struct hv_vp *vp, uint32_t msr _unused_)
{
	return vp->index;
}

static uint64_t read_zero(struct hv *hv _unused_, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return 0;
}

static int write_reset(struct hv *hv _unused_, struct hv_vp *vp _unused_, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects)
{
	effects->reset = value & 1;
	return 0;
}

static uint64_t read_vp_runtime(struct hv *hv _unused_, struct hv_vp *vp, uint32_t msr _unused_)
{
	return hv_runtime_ns(vp) / 100;
}

static uint64_t read_time_ref_count(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return hv_reference_time(hv);
}

static uint64_t read_reference_tsc(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return read_locked(hv, &hv->reference_tsc);
}

static uint64_t read_tsc_frequency(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return hv->time.tsc_hz;
}

static uint64_t read_apic_frequency(
	struct hv *hv _unused_, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return LAPIC_HZ;
}

/* Linux writes it on every CPU whether it is offered or not; nothing is ever put into the page. */
static uint64_t read_vp_assist(struct hv *hv _unused_, struct hv_vp *vp, uint32_t msr _unused_)
{
	return vp->vp_assist;
}

static int write_vp_assist(struct hv *hv _unused_, struct hv_vp *vp, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects _unused_)
{
	vp->vp_assist = value;
	return 0;
}

static uint64_t read_crash_parameter(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr)
{
	return read_locked(hv, &hv->crash[msr - HV_MSR_CRASH_P0]);
}

static int write_crash_parameter(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr,
	uint64_t value, struct hv_effects *effects _unused_)
{
	pthread_mutex_lock(&hv->lock);
	hv->crash[msr - HV_MSR_CRASH_P0] = value;
	pthread_mutex_unlock(&hv->lock);
	return 0;
}

static uint64_t read_crash_ctl(
	struct hv *hv _unused_, struct hv_vp *vp _unused_, uint32_t msr _unused_)
{
	return HV_MSR_CRASH_CTL_NOTIFY | HV_MSR_CRASH_CTL_MESSAGE;
}

static int write_crash_ctl(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects)
{
	if (!(value & HV_MSR_CRASH_CTL_NOTIFY))
		return 0;
	pthread_mutex_lock(&hv->lock);
	hv->crash_has_message = value & HV_MSR_CRASH_CTL_MESSAGE;
	pthread_mutex_unlock(&hv->lock);
	effects->crash = true;
	return 0;
}

struct msr_row {
	uint32_t first, n;
	uint64_t (*read)(struct hv *hv, struct hv_vp *vp, uint32_t msr);
	int (*write)(struct hv *hv, struct hv_vp *vp, uint32_t msr, uint64_t value,
		struct hv_effects *effects);
};

static const struct msr_row msr_table[] = {
	{HV_MSR_GUEST_OS_ID, 1, read_guest_os_id, write_guest_os_id},
	{HV_MSR_HYPERCALL, 1, read_hypercall, write_hypercall},
	{HV_MSR_VP_INDEX, 1, read_vp_index, NULL},
	{HV_MSR_RESET, 1, read_zero, write_reset},
	{HV_MSR_VP_RUNTIME, 1, read_vp_runtime, NULL},
	{HV_MSR_TIME_REF_COUNT, 1, read_time_ref_count, NULL},
	{HV_MSR_REFERENCE_TSC, 1, read_reference_tsc, hv_write_reference_tsc},
	{HV_MSR_TSC_FREQUENCY, 1, read_tsc_frequency, NULL},
	{HV_MSR_APIC_FREQUENCY, 1, read_apic_frequency, NULL},
	{HV_MSR_VP_ASSIST_PAGE, 1, read_vp_assist, write_vp_assist},
	{HV_MSR_SCONTROL, 1, hv_synic_read, hv_synic_write},
	{HV_MSR_SVERSION, 1, hv_synic_read, NULL},
	{HV_MSR_SIEFP, 1, hv_synic_read, hv_synic_write},
	{HV_MSR_SIMP, 1, hv_synic_read, hv_synic_write},
	{HV_MSR_EOM, 1, read_zero, hv_synic_write},
	{HV_MSR_SINT0, HV_N_SINTS, hv_synic_read, hv_synic_write},
	{HV_MSR_CRASH_P0, HV_N_CRASH_PARAMETERS, read_crash_parameter, write_crash_parameter},
	{HV_MSR_CRASH_CTL, 1, read_crash_ctl, write_crash_ctl},
};

static const struct msr_row *row_find(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_LEN(msr_table); i++) {
		if (msr >= msr_table[i].first && msr - msr_table[i].first < msr_table[i].n)
			return &msr_table[i];
	}
	return NULL;
}

int hv_msr_read(struct hv *hv, uint32_t vp_index, uint32_t msr, uint64_t *ret_value)
{
	const struct msr_row *row = row_find(msr);

	if (!row)
		return -EPERM;
	*ret_value = row->read(hv, &hv->vps[vp_index], msr);
	return 0;
}

int hv_msr_write(
	struct hv *hv, uint32_t vp_index, uint32_t msr, uint64_t value, struct hv_effects *effects)
{
	const struct msr_row *row = row_find(msr);

	*effects = (struct hv_effects){0};
	if (!row || !row->write || row->write(hv, &hv->vps[vp_index], msr, value, effects) < 0)
		return -EPERM;
	return 0;
}

void hv_crash_text(struct hv *hv, char *text, size_t size_bytes)
{
	uint64_t p[HV_N_CRASH_PARAMETERS];
	bool has_message;
	size_t len, n_bytes;
	int n;

	pthread_mutex_lock(&hv->lock);
	memcpy(p, hv->crash, sizeof(p));
	has_message = hv->crash_has_message;
	pthread_mutex_unlock(&hv->lock);
	n = snprintf(text, size_bytes, "P0 %#llx, P1 %#llx, P2 %#llx, P3 %#llx, P4 %#llx",
		(unsigned long long)p[0], (unsigned long long)p[1], (unsigned long long)p[2],
		(unsigned long long)p[3], (unsigned long long)p[4]);
	len = MIN((size_t)n, size_bytes - 1);
	if (!has_message || len + 2 >= size_bytes)
		return;
	n_bytes = MIN(p[4], (uint64_t)(size_bytes - len - 2));
	if (gpa_read(hv->memory, gpa(p[3]), text + len + 1, n_bytes) < 0)
		return;
	text[len] = '\n';
	for (size_t i = len + 1; i < len + 1 + n_bytes; i++) {
		if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n')
			text[i] = text[i] ? '.' : '\n';
	}
	text[len + 1 + n_bytes] = '\0';
}
