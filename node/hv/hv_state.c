/* SPDX-License-Identifier: MIT
 *
 * hv_state.c - life of the Hyper-V interface, and its saved form:
 *
 *	n_vps u32
 *	guest_os_id, hypercall, reference_tsc, crash[5] u64
 *	reference time u64, tsc_sequence u32
 *	overlays: hypercall page, reference TSC page
 *	for each VP: scontrol, siefp, simp, sint[16] u64, waiting_sints u16,
 *	             overlays: message page, event page
 *	             vp_assist, runtime_ns u64
 *
 * An overlay is kind u8 (0 none, 1 over zeros, 2 over the 4096 bytes that follow).
 */
#include "node/hv/hv.h"

int hv_new(struct gpa_space *memory, unsigned n_vps, uint64_t tsc_hz, const struct hv_ops *ops,
	void *data, struct hv **ret_hv)
{
	struct hv *hv = calloc(1, sizeof(*hv));

	if (!hv)
		return -ENOMEM;
	hv->vps = calloc(n_vps, sizeof(*hv->vps));
	if (!hv->vps) {
		free(hv);
		return -ENOMEM;
	}
	hv->memory = memory;
	hv->ops = ops;
	hv->data = data;
	hv->n_vps = n_vps;
	pthread_mutex_init(&hv->lock, NULL);
	hv_time_init(&hv->time, tsc_hz);
	for (unsigned i = 0; i < n_vps; i++) {
		struct hv_vp *vp = &hv->vps[i];

		vp->index = i;
		pthread_mutex_init(&vp->lock, NULL);
		for (unsigned sint = 0; sint < HV_N_SINTS; sint++)
			vp->sint[sint] = HV_SINT_RESET_VALUE;
	}
	*ret_hv = hv;
	return 0;
}

void hv_free(struct hv *hv)
{
	if (!hv)
		return;
	for (unsigned i = 0; i < hv->n_vps; i++)
		pthread_mutex_destroy(&hv->vps[i].lock);
	pthread_mutex_destroy(&hv->lock);
	free(hv->vps);
	free(hv);
}

void hv_save(struct hv *hv, struct buf *out)
{
	buf_le32(out, hv->n_vps);
	pthread_mutex_lock(&hv->lock);
	buf_le64(out, hv->guest_os_id);
	buf_le64(out, hv->hypercall);
	buf_le64(out, hv->reference_tsc);
	for (unsigned i = 0; i < HV_N_CRASH_PARAMETERS; i++)
		buf_le64(out, hv->crash[i]);
	buf_le64(out, hv_time_at(&hv->time, hv_time_host_tsc()));
	buf_le32(out, hv->tsc_sequence);
	hv_overlay_save(&hv->hypercall_overlay, out);
	hv_overlay_save(&hv->tsc_overlay, out);
	pthread_mutex_unlock(&hv->lock);
	for (unsigned i = 0; i < hv->n_vps; i++) {
		hv_synic_save(&hv->vps[i], out);
		buf_le64(out, hv->vps[i].vp_assist);
		buf_le64(out, hv->vps[i].runtime_ns);
	}
}

static int restore_partition(struct hv *hv, struct reader *in)
{
	int r;

	hv->guest_os_id = reader_le64(in);
	hv->hypercall = reader_le64(in);
	hv->reference_tsc = reader_le64(in);
	for (unsigned i = 0; i < HV_N_CRASH_PARAMETERS; i++)
		hv->crash[i] = reader_le64(in);
	hv->time.stopped_at = reader_le64(in);
	hv->tsc_sequence = reader_le32(in);
	if (!hv->guest_os_id && hv->hypercall & HV_MSR_PAGE_ENABLE)
		return -EBADMSG;
	r = hv_overlay_restore(&hv->hypercall_overlay, hv->memory, hv->hypercall, in);
	return r < 0 ? r : hv_overlay_restore(&hv->tsc_overlay, hv->memory, hv->reference_tsc, in);
}

int hv_restore(struct hv *hv, struct reader *in)
{
	int r;

	if (reader_le32(in) != hv->n_vps)
		return -EBADMSG;
	pthread_mutex_lock(&hv->lock);
	r = restore_partition(hv, in);
	pthread_mutex_unlock(&hv->lock);
	for (unsigned i = 0; r == 0 && i < hv->n_vps; i++) {
		r = hv_synic_restore(hv, &hv->vps[i], in);
		hv->vps[i].vp_assist = reader_le64(in);
		hv->vps[i].runtime_ns = reader_le64(in);
	}
	return r == 0 && !reader_ok(in) ? -EBADMSG : r;
}
