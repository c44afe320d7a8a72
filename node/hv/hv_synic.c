/* SPDX-License-Identifier: MIT
 *
 * hv_synic.c - the synthetic interrupt controller: its registers, message slots and event flags.
 *
 * A slot is the host's while its type is 0. The host fills it and writes the type last; the guest
 * copies the message, clears the type, and writes EOM when the pending flag was set. A poster that
 * finds the slot taken sets that flag and, behind a full barrier, looks again: either it sees the
 * slot free, or the guest sees the flag.
 */
#include "node/hv/hv.h"

/* Polling is not offered; the rest is reserved. */
#define SINT_BITS (HV_SINT_VECTOR_MASK | HV_SINT_MASKED | HV_SINT_AUTO_EOI)

static bool sint_is_masked(const struct hv_vp *vp, unsigned sint)
{
	return vp->sint[sint] & HV_SINT_MASKED;
}

static bool takes_messages(const struct hv_vp *vp, unsigned sint)
{
	return vp->scontrol & HV_SCONTROL_ENABLE && vp->message_overlay.host &&
	       !sint_is_masked(vp, sint);
}

static bool takes_events(const struct hv_vp *vp, unsigned sint)
{
	return vp->scontrol & HV_SCONTROL_ENABLE && vp->event_overlay.host &&
	       !sint_is_masked(vp, sint);
}

static void raise_sint(struct hv *hv, const struct hv_vp *vp, unsigned sint)
{
	hv->ops->interrupt(hv->data, vp->index, (uint8_t)(vp->sint[sint] & HV_SINT_VECTOR_MASK));
}

static uint8_t *slot_of(const struct hv_vp *vp, unsigned sint)
{
	return vp->message_overlay.host + sint * sizeof(struct hv_message);
}

static uint32_t *slot_type(uint8_t *slot)
{
	return (void *)(slot + offsetof(struct hv_message, type));
}

/* Every access to a slot that the guest uses too is ordered with all others. */
static bool slot_is_taken(uint8_t *slot)
{
	return __atomic_load_n(slot_type(slot), __ATOMIC_SEQ_CST) != HV_MESSAGE_NONE;
}

static int post_locked(struct hv *hv, struct hv_vp *vp, unsigned sint, uint32_t type,
	const void *payload, size_t size_bytes)
{
	gpa_t at = gpa_add(vp->message_overlay.at, sint * sizeof(struct hv_message));
	struct hv_message message = {.payload_bytes = (uint8_t)size_bytes};
	uint8_t *slot;

	if (!takes_messages(vp, sint))
		return -ENXIO;
	slot = slot_of(vp, sint);
	if (slot_is_taken(slot)) {
		__atomic_fetch_or(slot + offsetof(struct hv_message, flags), HV_MESSAGE_PENDING,
			__ATOMIC_SEQ_CST);
		if (slot_is_taken(slot)) {
			vp->waiting_sints |= 1U << sint;
			gpa_mark_dirty(hv->memory, at, sizeof(message));
			return -EAGAIN;
		}
	}
	/* Whoever waits for this slot still does: it takes an EOM to wake him. */
	message.flags = vp->waiting_sints & 1U << sint ? HV_MESSAGE_PENDING : 0;
	memcpy(message.payload, payload, size_bytes);
	memcpy(slot + sizeof(message.type), (const uint8_t *)&message + sizeof(message.type),
		sizeof(message) - sizeof(message.type));
	__atomic_store_n(slot_type(slot), type, __ATOMIC_SEQ_CST);
	gpa_mark_dirty(hv->memory, at, sizeof(message));
	raise_sint(hv, vp, sint);
	return 0;
}

int hv_synic_post(struct hv *hv, uint32_t vp_index, unsigned sint, uint32_t type,
	const void *payload, size_t size_bytes)
{
	struct hv_vp *vp;
	int r;

	if (vp_index >= hv->n_vps || sint >= HV_N_SINTS || type == HV_MESSAGE_NONE ||
		size_bytes > HV_MESSAGE_PAYLOAD_MAX_BYTES)
		return -EINVAL;
	vp = &hv->vps[vp_index];
	pthread_mutex_lock(&vp->lock);
	r = post_locked(hv, vp, sint, type, payload, size_bytes);
	pthread_mutex_unlock(&vp->lock);
	return r;
}

static void signal_locked(struct hv *hv, struct hv_vp *vp, unsigned sint, unsigned flag)
{
	size_t at_bytes = sint * (HV_EVENT_FLAGS_PER_SINT / 8) + flag / 64 * sizeof(uint64_t);
	uint64_t *word = (void *)(vp->event_overlay.host + at_bytes);
	uint64_t bit = 1ULL << flag % 64;

	if (__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit)
		return;
	gpa_mark_dirty(hv->memory, gpa_add(vp->event_overlay.at, at_bytes), sizeof(*word));
	raise_sint(hv, vp, sint);
}

int hv_synic_signal(struct hv *hv, uint32_t vp_index, unsigned sint, unsigned flag)
{
	struct hv_vp *vp;
	int r = -ENXIO;

	if (vp_index >= hv->n_vps || sint >= HV_N_SINTS || flag >= HV_EVENT_FLAGS_PER_SINT)
		return -EINVAL;
	vp = &hv->vps[vp_index];
	pthread_mutex_lock(&vp->lock);
	if (takes_events(vp, sint)) {
		signal_locked(hv, vp, sint, flag);
		r = 0;
	}
	pthread_mutex_unlock(&vp->lock);
	return r;
}

static uint64_t *register_of(struct hv_vp *vp, uint32_t msr)
{
	switch (msr) {
	case HV_MSR_SCONTROL:
		return &vp->scontrol;
	case HV_MSR_SIEFP:
		return &vp->siefp;
	case HV_MSR_SIMP:
		return &vp->simp;
	default:
		return &vp->sint[msr - HV_MSR_SINT0];
	}
}

uint64_t hv_synic_read(struct hv *hv _unused_, struct hv_vp *vp, uint32_t msr)
{
	uint64_t value;

	if (msr == HV_MSR_SVERSION)
		return HV_SYNIC_VERSION;
	pthread_mutex_lock(&vp->lock);
	value = *register_of(vp, msr);
	pthread_mutex_unlock(&vp->lock);
	return value;
}

/* An interrupt raised by a message-signalled interrupt cannot end itself, hence no AutoEOI; the
 * guest was told so (HV_HINT_DEPRECATE_AUTOEOI). */
static bool sint_is_valid(uint64_t value)
{
	if (value & ~SINT_BITS)
		return false;
	if (value & HV_SINT_MASKED)
		return true;
	return !(value & HV_SINT_AUTO_EOI) && (value & HV_SINT_VECTOR_MASK) >= HV_SINT_MIN_VECTOR;
}

static int write_locked(struct hv *hv, struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	int r = 0;

	switch (msr) {
	case HV_MSR_EOM:
		return 0;
	case HV_MSR_SCONTROL:
		value &= HV_SCONTROL_ENABLE;
		break;
	case HV_MSR_SIEFP:
		r = hv_overlay_set(&vp->event_overlay, hv->memory, value, NULL);
		break;
	case HV_MSR_SIMP:
		r = hv_overlay_set(&vp->message_overlay, hv->memory, value, NULL);
		break;
	default: /* SINTs; the table lets nothing else through */
		value &= SINT_BITS;
		r = sint_is_valid(value) ? 0 : -EPERM;
		break;
	}
	if (r == 0)
		*register_of(vp, msr) = value;
	return r;
}

/* The slots that somebody waits for and that are free, or that will never be: the poster's next try
 * says which. */
static uint16_t take_freed_locked(struct hv_vp *vp)
{
	uint16_t freed = 0;

	for (unsigned sint = 0; sint < HV_N_SINTS; sint++) {
		if (vp->waiting_sints & 1U << sint &&
			(!takes_messages(vp, sint) || !slot_is_taken(slot_of(vp, sint))))
			freed |= (uint16_t)(1U << sint);
	}
	vp->waiting_sints &= (uint16_t)~freed;
	return freed;
}

int hv_synic_write(
	struct hv *hv, struct hv_vp *vp, uint32_t msr, uint64_t value, struct hv_effects *effects)
{
	int r;

	pthread_mutex_lock(&vp->lock);
	r = write_locked(hv, vp, msr, value);
	effects->freed_sints = take_freed_locked(vp);
	pthread_mutex_unlock(&vp->lock);
	return r;
}

void hv_synic_save(const struct hv_vp *vp, struct buf *out)
{
	buf_le64(out, vp->scontrol);
	buf_le64(out, vp->siefp);
	buf_le64(out, vp->simp);
	for (unsigned sint = 0; sint < HV_N_SINTS; sint++)
		buf_le64(out, vp->sint[sint]);
	buf_le16(out, vp->waiting_sints);
	hv_overlay_save(&vp->message_overlay, out);
	hv_overlay_save(&vp->event_overlay, out);
}

int hv_synic_restore(struct hv *hv, struct hv_vp *vp, struct reader *in)
{
	int r;

	vp->scontrol = reader_le64(in);
	vp->siefp = reader_le64(in);
	vp->simp = reader_le64(in);
	for (unsigned sint = 0; sint < HV_N_SINTS; sint++) {
		vp->sint[sint] = reader_le64(in);
		if (!sint_is_valid(vp->sint[sint]))
			return -EBADMSG;
	}
	vp->waiting_sints = reader_le16(in);
	if (vp->scontrol & ~HV_SCONTROL_ENABLE)
		return -EBADMSG;
	r = hv_overlay_restore(&vp->message_overlay, hv->memory, vp->simp, in);
	return r < 0 ? r : hv_overlay_restore(&vp->event_overlay, hv->memory, vp->siefp, in);
}
