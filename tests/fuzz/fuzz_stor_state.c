/* SPDX-License-Identifier: MIT
 *
 * fuzz_stor_state.c - the saved state of a controller from a host that lies. What is accepted must
 * run, and be the same when it is saved again. Input: a byte, bit n: channel n is open as the bus
 * says; then the state.
 */
#include "tests/unit/vmbus/stor_rig.h"
#include "vmbus/stor_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define N_CHANNELS 2U
/* Of the section around it: {n u32, name length u8, name, version u32, size u32}. */
#define NAME "storvsp.7"

static void put_header(struct buf *out, size_t size_bytes)
{
	buf_le32(out, 1);
	buf_u8(out, sizeof(NAME) - 1);
	buf_bytes(out, NAME, sizeof(NAME) - 1);
	buf_le32(out, STOR_STATE_VERSION);
	buf_le32(out, (uint32_t)size_bytes);
}

static void run(struct stor_rig *rig)
{
	if (unit_start_all(rig->units))
		abort();
	rig_work(rig);
	if (unit_stop_all(rig->units))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct buf whole = {0}, again = {0};
	struct stor_rig rig;
	struct reader in;

	if (size_bytes < 1)
		return 0;
	rig_new_blank(&rig, N_CHANNELS);
	for (unsigned i = 0; i < N_CHANNELS; i++)
		rig_channel(&rig, i)->is_open = data[0] >> i & 1;
	put_header(&whole, size_bytes - 1);
	buf_bytes(&whole, data + 1, size_bytes - 1);
	in = reader_make(whole.data, whole.size_bytes);
	if (unit_restore_all(rig.units, &in, NULL) == 0) {
		if (unit_save_all(rig.units, &again) || again.size_bytes != whole.size_bytes ||
			memcmp(again.data, whole.data, again.size_bytes) != 0)
			abort();
		run(&rig);
	}
	buf_fini(&again);
	buf_fini(&whole);
	rig_free(&rig);
	return 0;
}
