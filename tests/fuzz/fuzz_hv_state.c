/* SPDX-License-Identifier: MIT
 *
 * fuzz_hv_state.c - the saved state of the Hyper-V interface from a host that lies. What is
 * accepted must run, and be the same whenever it is saved. Input: the state.
 */
#include "node/hv/hv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define RAM_BYTES (16U << 12)
#define N_VPS     2

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

static void on_interrupt(void *data _unused_, uint32_t vp_index, uint8_t vector)
{
	if (vp_index >= N_VPS || vector < HV_SINT_MIN_VECTOR)
		abort();
}

static uint16_t on_post(void *data _unused_, uint32_t connection_id _unused_,
	uint32_t type _unused_, const void *payload _unused_, size_t size_bytes _unused_)
{
	return HV_STATUS_SUCCESS;
}

static uint16_t on_signal(
	void *data _unused_, uint32_t connection_id _unused_, uint16_t flag _unused_)
{
	return HV_STATUS_SUCCESS;
}

static const struct hv_ops ops = {
	.interrupt = on_interrupt,
	.post_message = on_post,
	.signal_event = on_signal,
};

static struct hv *new_hv(struct gpa_space *memory)
{
	struct hv *hv;

	if (hv_new(memory, N_VPS, 1000000000, &ops, NULL, &hv) < 0)
		abort();
	return hv;
}

/* Saved, restored and saved again: the same bytes. */
static void check_round_trip(struct hv *hv, struct gpa_space *memory)
{
	struct hv *second = new_hv(memory);
	struct buf once = {0}, twice = {0};
	struct reader in;

	hv_save(hv, &once);
	in = reader_make(once.data, once.size_bytes);
	if (hv_restore(second, &in) < 0 || !reader_done(&in))
		abort();
	hv_save(second, &twice);
	if (once.size_bytes != twice.size_bytes ||
		memcmp(once.data, twice.data, once.size_bytes) != 0)
		abort();
	buf_fini(&once);
	buf_fini(&twice);
	hv_free(second);
}

static void run(struct hv *hv)
{
	static const uint32_t off[] = {HV_MSR_SCONTROL, HV_MSR_SIMP, HV_MSR_SIEFP,
		HV_MSR_REFERENCE_TSC, HV_MSR_GUEST_OS_ID};
	struct hv_effects effects;
	char text[HV_CRASH_TEXT_MAX_BYTES];
	uint64_t value;

	hv_start_time(hv, 0, hv_time_host_tsc());
	for (uint32_t vp = 0; vp < N_VPS; vp++) {
		for (unsigned sint = 0; sint < HV_N_SINTS; sint++) {
			(void)hv_synic_post(hv, vp, sint, HV_MESSAGE_VMBUS, "message", 8);
			(void)hv_synic_signal(hv, vp, sint, sint * 100);
			(void)hv_msr_read(hv, vp, HV_MSR_SINT0 + sint, &value);
		}
		(void)hv_msr_write(hv, vp, HV_MSR_EOM, 0, &effects);
		for (size_t i = 0; i < ARRAY_LEN(off); i++)
			(void)hv_msr_write(hv, vp, off[i], 0, &effects);
	}
	hv_crash_text(hv, text, sizeof(text));
	hv_stop_time(hv, hv_time_host_tsc());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct gpa_space *memory;
	struct hv *hv;

	if (gpa_space_new(&memory) < 0 || gpa_space_add(memory, gpa(0), RAM_BYTES, ram) < 0)
		abort();
	hv = new_hv(memory);
	if (hv_restore(hv, &in) == 0) {
		check_round_trip(hv, memory);
		run(hv);
	}
	hv_free(hv);
	gpa_space_free(memory);
	return 0;
}
