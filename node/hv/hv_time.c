/* SPDX-License-Identifier: MIT */
#include "node/hv/hv_time.h"
#include "node/hv/hv.h"

#include <time.h>

static uint64_t scaled(const struct hv_time *time, uint64_t guest_tsc)
{
	return (uint64_t)((unsigned __int128)guest_tsc * time->scale >> 64);
}

void hv_time_init(struct hv_time *time, uint64_t tsc_hz)
{
	*time = (struct hv_time){
		.tsc_hz = tsc_hz,
		.scale = (uint64_t)(((unsigned __int128)HV_TIME_TICKS_PER_SEC << 64) / tsc_hz),
	};
}

void hv_time_start(struct hv_time *time, int64_t tsc_offset, uint64_t host_tsc)
{
	time->tsc_offset = tsc_offset;
	time->offset = (int64_t)(time->stopped_at - scaled(time, host_tsc + (uint64_t)tsc_offset));
	time->is_running = true;
}

void hv_time_stop(struct hv_time *time, uint64_t host_tsc)
{
	time->stopped_at = hv_time_at(time, host_tsc);
	time->is_running = false;
}

uint64_t hv_time_at(const struct hv_time *time, uint64_t host_tsc)
{
	if (!time->is_running)
		return time->stopped_at;
	return scaled(time, host_tsc + (uint64_t)time->tsc_offset) + (uint64_t)time->offset;
}

/* A reader that sees a sequence of 0, or another one after than before, asks the MSR or tries
 * again. */
static void page_update_locked(struct hv *hv)
{
	uint8_t *page = hv->tsc_overlay.host;
	uint32_t *sequence = (void *)page; /* the first field */

	if (!page)
		return;
	hv->tsc_sequence++;
	if (hv->tsc_sequence == 0 || hv->tsc_sequence == UINT32_MAX)
		hv->tsc_sequence = 1;
	__atomic_store_n(sequence, 0, __ATOMIC_SEQ_CST);
	store_le64(page + offsetof(struct hv_reference_tsc_page, scale), hv->time.scale);
	store_le64(
		page + offsetof(struct hv_reference_tsc_page, offset), (uint64_t)hv->time.offset);
	__atomic_store_n(sequence, hv->tsc_sequence, __ATOMIC_SEQ_CST);
	gpa_mark_dirty(hv->memory, hv->tsc_overlay.at, GPA_PAGE_SIZE);
}

int hv_write_reference_tsc(struct hv *hv, struct hv_vp *vp _unused_, uint32_t msr _unused_,
	uint64_t value, struct hv_effects *effects _unused_)
{
	int r;

	pthread_mutex_lock(&hv->lock);
	r = hv_overlay_set(&hv->tsc_overlay, hv->memory, value, NULL);
	if (r == 0) {
		hv->reference_tsc = value;
		page_update_locked(hv);
	}
	pthread_mutex_unlock(&hv->lock);
	return r;
}

void hv_start_time(struct hv *hv, int64_t tsc_offset, uint64_t host_tsc)
{
	pthread_mutex_lock(&hv->lock);
	hv_time_start(&hv->time, tsc_offset, host_tsc);
	page_update_locked(hv);
	pthread_mutex_unlock(&hv->lock);
}

void hv_stop_time(struct hv *hv, uint64_t host_tsc)
{
	pthread_mutex_lock(&hv->lock);
	hv_time_stop(&hv->time, host_tsc);
	pthread_mutex_unlock(&hv->lock);
}

uint64_t hv_reference_time(struct hv *hv)
{
	uint64_t now;

	pthread_mutex_lock(&hv->lock);
	now = hv_time_at(&hv->time, hv_time_host_tsc());
	pthread_mutex_unlock(&hv->lock);
	return now;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void hv_runtime_start(struct hv *hv, uint32_t vp_index)
{
	hv->vps[vp_index].run_started_ns = thread_cpu_ns();
	hv->vps[vp_index].is_running = true;
}

void hv_runtime_stop(struct hv *hv, uint32_t vp_index)
{
	struct hv_vp *vp = &hv->vps[vp_index];

	vp->runtime_ns += thread_cpu_ns() - vp->run_started_ns;
	vp->is_running = false;
}

uint64_t hv_runtime_ns(const struct hv_vp *vp)
{
	return vp->runtime_ns + (vp->is_running ? thread_cpu_ns() - vp->run_started_ns : 0);
}
