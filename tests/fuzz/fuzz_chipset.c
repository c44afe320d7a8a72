/* SPDX-License-Identifier: MIT
 *
 * fuzz_chipset.c - the chipset with a state from a host that lies and a guest that does what it
 * likes. What is accepted must be the same whenever it is saved, also after the guest had its turn.
 *
 * Input: flags u8 (1: with video), state size u16, the state (0: none), then accesses of 12 bytes:
 * range u8, offset u8, size u8, is_write u8, value u32, seconds u32.
 */
#include "node/hv/chipset.h"
#include "node/hv/partition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static struct chipset fresh(bool has_video)
{
	struct chipset chipset;

	chipset_init(&chipset, PARTITION_VRAM_GPA, has_video ? 8U << 20 : 0);
	return chipset;
}

static void check_round_trip(const struct chipset *chipset)
{
	struct chipset second = fresh(chipset->pci.is_present);
	struct buf once = {0}, twice = {0};
	struct reader in;

	chipset_save(chipset, &once);
	in = reader_make(once.data, once.size_bytes);
	if (chipset_restore(&second, &in) < 0 || !reader_done(&in))
		abort();
	chipset_save(&second, &twice);
	if (once.size_bytes != twice.size_bytes ||
		memcmp(once.data, twice.data, once.size_bytes) != 0)
		abort();
	buf_fini(&once);
	buf_fini(&twice);
}

static void one_access(struct chipset *chipset, struct reader *in)
{
	const struct chipset_range *range = &chipset_ranges[reader_u8(in) % CHIPSET_N_RANGES];
	struct io_access access = {
		.port = (uint16_t)(range->first + reader_u8(in) % range->n_ports)};

	int64_t now_ns;

	access.size_bytes = (uint8_t)(1U << reader_u8(in) % 3);
	access.is_write = reader_u8(in) & 1;
	access.value = reader_le32(in);
	now_ns = reader_le32(in) * 1000000000LL;
	(void)chipset_access(chipset, &access, now_ns);
	rtc_tick(&chipset->rtc, now_ns + 1000000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct chipset chipset = fresh(reader_u8(&in) & 1);
	uint16_t state_bytes = reader_le16(&in);
	const void *state = reader_take(&in, state_bytes);
	struct reader saved = reader_make(state, state_bytes);

	if (!reader_ok(&in))
		return 0;
	if (state_bytes && chipset_restore(&chipset, &saved) < 0)
		return 0;
	check_round_trip(&chipset);
	while (reader_ok(&in) && in.left_bytes)
		one_access(&chipset, &in);
	check_round_trip(&chipset);
	return 0;
}
