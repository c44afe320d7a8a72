/* SPDX-License-Identifier: MIT
 *
 * codec.h - to pack or not to pack: the choice between raw pages and LZ4, made for each chunk by
 * what is scarcer. Pure; one for each sending thread, which tells what things cost it.
 *
 * A byte sent raw costs `wire`; packed it costs `pack` + ratio * `wire`. All three are measured as
 * moving averages over the thread's own chunks. `wire` is what packing can save: the processor's
 * time for sending, waiting for the network, waiting for the bandwidth limit - but not waiting for
 * a receiver that is busy with the pages themselves, which are as many either way. While raw wins,
 * one chunk in CODEC_PROBE_EVERY is packed all the same, to notice when that changes.
 */
#ifndef VIADUCT_MIGRATE_CODEC_H
#define VIADUCT_MIGRATE_CODEC_H

#include "base/err.h"

#define CODEC_PROBE_EVERY 32

enum codec_policy {
	CODEC_RAW,
	CODEC_ADAPTIVE,
	CODEC_LZ4, /* always, where it makes a chunk smaller */
};

struct codec {
	enum codec_policy policy;
	uint64_t wire_fs_per_byte; /* femtoseconds: no fractions, no overflow */
	uint64_t pack_fs_per_byte;
	uint32_t ratio_permille; /* packed / raw */
	bool packed_once, wrote_once;
	uint64_t waited_ns, peer_busy_ns; /* decaying sums */
	unsigned since_probe;
};

void codec_init(struct codec *codec, enum codec_policy policy);
/* Pack the next chunk? `may_probe` false: no experiments, the VM is paused. */
bool codec_choose_lz4(struct codec *codec, bool may_probe);
void codec_note_pack(
	struct codec *codec, uint64_t raw_bytes, uint64_t packed_bytes, uint64_t took_ns);
/* A write waited so long, and meanwhile the peer's full receive buffer was the reason for
 * `peer_busy_ns`, which comes in coarse portions. Returns how much of the waiting is the network's.
 */
uint64_t codec_network_wait_ns(struct codec *codec, uint64_t waited_ns, uint64_t peer_busy_ns);
/* Bytes went out, at the cost of `wire` as above. */
void codec_note_write(struct codec *codec, uint64_t sent_bytes, uint64_t cost_ns);

#endif
