/* SPDX-License-Identifier: MIT */
#include "fabric/reach.h"
#include "base/bytes.h"

enum {
	REACH_ETHERTYPE = 0x88b5,
	AT_TYPE = 2 * ETH_ADDR_LEN,
	AT_MAGIC = ETH_HEADER_BYTES,
	AT_TOKEN = AT_MAGIC + 8,
	AT_VID = AT_TOKEN + REACH_TOKEN_BYTES,
	REACH_MIN_BYTES = AT_VID + 2,
};

static const uint8_t magic[8] = {'V', 'D', 'R', 'E', 'A', 'C', 'H', '1'};
/* Locally administered, and a group. */
static const uint8_t group[ETH_ADDR_LEN] = {0x03, 'V', 'D', 'R', 'C', 'H'};

struct trial {
	bool used;
	uint8_t token[REACH_TOKEN_BYTES];
	uint64_t ends_ns;
	uint64_t vids[BITMAP_WORDS(VLAN_N_VIDS)];
};

struct reach {
	struct trial trials[REACH_MAX_TRIALS];
};

int reach_new(struct reach **ret_reach)
{
	struct reach *reach = calloc(1, sizeof(*reach));

	if (!reach)
		return -ENOMEM;
	*ret_reach = reach;
	return 0;
}

void reach_free(struct reach *reach)
{
	free(reach);
}

static struct trial *find(
	struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES], uint64_t now_ns)
{
	for (unsigned i = 0; i < REACH_MAX_TRIALS; i++) {
		struct trial *trial = &reach->trials[i];

		if (trial->used && trial->ends_ns > now_ns &&
			memcmp(trial->token, token, REACH_TOKEN_BYTES) == 0)
			return trial;
	}
	return NULL;
}

int reach_begin(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES], uint64_t now_ns)
{
	if (find(reach, token, now_ns))
		return -EEXIST;
	for (unsigned i = 0; i < REACH_MAX_TRIALS; i++) {
		struct trial *trial = &reach->trials[i];

		if (trial->used && trial->ends_ns > now_ns)
			continue;
		*trial = (struct trial){.used = true, .ends_ns = now_ns + REACH_TRIAL_NS};
		memcpy(trial->token, token, REACH_TOKEN_BYTES);
		return 0;
	}
	return -ENOSPC;
}

int reach_result(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES], uint64_t now_ns,
	uint64_t ret_vids[BITMAP_WORDS(VLAN_N_VIDS)])
{
	const struct trial *trial = find(reach, token, now_ns);

	if (!trial)
		return -ENOENT;
	memcpy(ret_vids, trial->vids, sizeof(trial->vids));
	return 0;
}

void reach_end(struct reach *reach, const uint8_t token[REACH_TOKEN_BYTES])
{
	struct trial *trial = find(reach, token, 0);

	if (trial)
		trial->used = false;
}

void reach_build(
	const uint8_t token[REACH_TOKEN_BYTES], uint16_t vid, uint8_t ret_frame[REACH_FRAME_BYTES])
{
	uint8_t *src = ret_frame + ETH_ADDR_LEN;

	memset(ret_frame, 0, REACH_FRAME_BYTES);
	memcpy(ret_frame, group, sizeof(group));
	memcpy(src, token, ETH_ADDR_LEN);
	src[0] = (uint8_t)((src[0] & ~1) | 2);
	store_be16(ret_frame + AT_TYPE, REACH_ETHERTYPE);
	memcpy(ret_frame + AT_MAGIC, magic, sizeof(magic));
	memcpy(ret_frame + AT_TOKEN, token, REACH_TOKEN_BYTES);
	store_be16(ret_frame + AT_VID, vid);
}

bool reach_is_probe(const uint8_t *frame, size_t size_bytes)
{
	return size_bytes >= REACH_MIN_BYTES && load_be16(frame + AT_TYPE) == REACH_ETHERTYPE &&
	       memcmp(frame + AT_MAGIC, magic, sizeof(magic)) == 0;
}

void reach_take(
	struct reach *reach, unsigned vid, const uint8_t *frame, size_t size_bytes, uint64_t now_ns)
{
	struct trial *trial;

	if (!reach_is_probe(frame, size_bytes) || load_be16(frame + AT_VID) != vid)
		return;
	trial = find(reach, frame + AT_TOKEN, now_ns);
	if (trial)
		bitmap_set(trial->vids, vid);
}
