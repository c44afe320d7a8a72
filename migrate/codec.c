/* SPDX-License-Identifier: MIT */
#include "migrate/codec.h"

#define FS_PER_NS 1000000ULL
/* Chunks smaller than this say more about system calls than about bytes. */
#define MIN_SAMPLE_BYTES 16384

static uint64_t average(bool first, uint64_t old, uint64_t sample)
{
	return first ? sample : (old * 7 + sample) / 8;
}

static uint64_t fs_per_byte(uint64_t bytes, uint64_t took_ns)
{
	/* An hour for a chunk is as good as forever. */
	return MIN(took_ns, 3600000000000ULL) * FS_PER_NS / bytes;
}

void codec_init(struct codec *codec, enum codec_policy policy)
{
	*codec = (struct codec){.policy = policy, .ratio_permille = 1000};
}

bool codec_choose_lz4(struct codec *codec, bool may_probe)
{
	uint64_t packed_cost;

	if (codec->policy != CODEC_ADAPTIVE)
		return codec->policy == CODEC_LZ4;
	if (!codec->packed_once || !codec->wrote_once)
		return may_probe && !codec->packed_once;
	packed_cost =
		codec->pack_fs_per_byte + codec->wire_fs_per_byte * codec->ratio_permille / 1000;
	if (packed_cost < codec->wire_fs_per_byte)
		return true;
	if (!may_probe || ++codec->since_probe < CODEC_PROBE_EVERY)
		return false;
	codec->since_probe = 0;
	return true;
}

void codec_note_pack(
	struct codec *codec, uint64_t raw_bytes, uint64_t packed_bytes, uint64_t took_ns)
{
	if (raw_bytes < MIN_SAMPLE_BYTES)
		return;
	codec->pack_fs_per_byte = average(
		!codec->packed_once, codec->pack_fs_per_byte, fs_per_byte(raw_bytes, took_ns));
	codec->ratio_permille = (uint32_t)average(
		!codec->packed_once, codec->ratio_permille, packed_bytes * 1000 / raw_bytes);
	codec->packed_once = true;
}

uint64_t codec_network_wait_ns(struct codec *codec, uint64_t waited_ns, uint64_t peer_busy_ns)
{
	codec->waited_ns = codec->waited_ns - codec->waited_ns / 64 + waited_ns;
	codec->peer_busy_ns = codec->peer_busy_ns - codec->peer_busy_ns / 64 + peer_busy_ns;
	return codec->peer_busy_ns > codec->waited_ns / 2 ? 0 : waited_ns;
}

void codec_note_write(struct codec *codec, uint64_t sent_bytes, uint64_t cost_ns)
{
	if (sent_bytes < MIN_SAMPLE_BYTES)
		return;
	codec->wire_fs_per_byte = average(
		!codec->wrote_once, codec->wire_fs_per_byte, fs_per_byte(sent_bytes, cost_ns));
	codec->wrote_once = true;
}
