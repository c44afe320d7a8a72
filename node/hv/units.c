/* SPDX-License-Identifier: MIT
 *
 * units.c - the two state units of a partition. Saved forms:
 *
 *	"hv"  the Hyper-V interface (hv_state.c), the TSC of each VP u64, interrupt controllers
 *	      (irqchip.c), serial port (uart16550.h); since version 2 chipset (chipset.h) and
 *	      added memory in bytes u64
 *	"vp"  CPUID digest u64, n_vps u32, each VP (vcpu_state.c)
 */
#include "node/hv/internal.h"

#define VERSION_CHIPSET 2

static int hv_unit_start(void *opaque)
{
	int r = lapic_timers_start(opaque);

	if (r == 0)
		r = tsc_start(opaque);
	if (r == 0)
		alarm_start(opaque);
	return r;
}

static int hv_unit_stop(void *opaque)
{
	alarm_stop(opaque);
	return tsc_stop(opaque);
}

static int hv_unit_save(void *opaque, struct buf *out)
{
	struct partition *partition = opaque;
	int r;

	hv_save(partition->hv, out);
	for (unsigned i = 0; i < partition->n_vps; i++)
		buf_le64(out, partition->guest_tsc[i]);
	r = irqchip_save(partition, out);
	uart16550_save(&partition->uart, out);
	chipset_save(&partition->chipset, out);
	buf_le64(out, partition->added_bytes);
	return r;
}

static int hv_unit_restore(void *opaque, struct reader *in, uint32_t version)
{
	struct partition *partition = opaque;
	int r = hv_restore(partition->hv, in);

	for (unsigned i = 0; i < partition->n_vps; i++)
		partition->guest_tsc[i] = reader_le64(in);
	if (r == 0)
		r = irqchip_restore(partition, in);
	if (r == 0)
		r = ports_restore_serial(partition, in);
	if (r == 0 && version >= VERSION_CHIPSET)
		r = ports_restore_chipset(partition, in);
	if (r == 0 && version >= VERSION_CHIPSET)
		r = mem_restore(partition, in);
	return r;
}

static int vp_unit_start(void *opaque)
{
	struct partition *partition = opaque;

	__atomic_store_n(&partition->has_ended, false, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < partition->n_vps; i++)
		vp_run(&partition->vps[i]);
	return 0;
}

static int vp_unit_stop(void *opaque)
{
	struct partition *partition = opaque;

	for (unsigned i = 0; i < partition->n_vps; i++)
		vp_ask_to_park(&partition->vps[i]);
	for (unsigned i = 0; i < partition->n_vps; i++)
		vp_wait_parked(&partition->vps[i]);
	return lapic_timers_stop(partition);
}

static int vp_unit_save(void *opaque, struct buf *out)
{
	struct partition *partition = opaque;
	int r = 0;

	buf_le64(out, partition_cpuid_digest(partition));
	buf_le32(out, partition->n_vps);
	for (unsigned i = 0; r == 0 && i < partition->n_vps; i++)
		r = vp_save(&partition->vps[i], out);
	return r;
}

static int vp_unit_restore(void *opaque, struct reader *in, uint32_t version _unused_)
{
	struct partition *partition = opaque;
	uint64_t digest = reader_le64(in);
	uint32_t n_vps = reader_le32(in);
	int r = 0;

	if (!reader_ok(in) || digest != partition_cpuid_digest(partition) ||
		n_vps != partition->n_vps)
		return -EBADMSG;
	for (unsigned i = 0; r == 0 && i < partition->n_vps; i++)
		r = vp_restore(&partition->vps[i], in);
	return r;
}

int partition_register_hv_unit(struct partition *partition, struct unit_registry *registry)
{
	static const struct unit_ops ops = {
		.name = "hv",
		.version = VERSION_CHIPSET,
		.start = hv_unit_start,
		.stop = hv_unit_stop,
		.save = hv_unit_save,
		.restore = hv_unit_restore,
	};

	return unit_register(registry, &ops, NULL, partition);
}

int partition_register_vp_unit(struct partition *partition, struct unit_registry *registry)
{
	static const struct unit_ops ops = {
		.name = "vp",
		.version = 1,
		.start = vp_unit_start,
		.stop = vp_unit_stop,
		.save = vp_unit_save,
		.restore = vp_unit_restore,
	};

	return unit_register(registry, &ops, NULL, partition);
}
