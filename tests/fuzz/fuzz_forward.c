/* SPDX-License-Identifier: MIT
 *
 * fuzz_forward.c - a switch of random ports is given random frames; what leaves it must obey the
 * VLAN rules (tests/unit/fabric/forward_check.h), and tag edits, checksums and segments stay in
 * bounds.
 *
 * Input: a byte with the number of ports, 4 bytes a port {mode, VID, allowed VLANs, flags}, then
 * frames {port, flags, tci u16, eth_hdr, size u16, bytes}.
 */
#include "base/bytes.h"
#include "fabric/forward.h"
#include "fabric/frame.h"
#include "fabric/offload.h"
#include "fabric/pvlan.h"
#include "tests/unit/fabric/forward_check.h"

#include <stdio.h>

#define MAX_PORTS  8
#define MAX_FRAMES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* Ports 0 and 1 have the addresses 02:00:...:00 and ...:01, and so on; flags: muted, spoofing. */
static void read_port(struct reader *in, struct fwd_switch *sw, unsigned index)
{
	struct fwd_port *port = &sw->ports[index];
	uint8_t mode = reader_u8(in), vid = reader_u8(in), vids = reader_u8(in);
	uint8_t flags = reader_u8(in);
	uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	unsigned other_vid, other;

	for (unsigned bit = 0; bit < 8; bit++) {
		if (vids >> bit & 1)
			bitmap_set(allowed, bit + 1);
	}
	*port = (struct fwd_port){
		.present = true,
		.muted = flags & 1,
		.spoofing = flags & 2,
		.mac = {2, 0, 0, 0, 0, (uint8_t)index},
	};
	vlan_policy_untagged(&port->vlan);
	if (mode % 8 == 1)
		(void)vlan_policy_access(&port->vlan, vid);
	else if (mode % 8 == 2)
		(void)vlan_policy_trunk(&port->vlan, vid, allowed);
	else if (mode % 8 == 3)
		vlan_policy_uplink(&port->vlan);
	else if (mode % 8 == 4)
		(void)vlan_policy_isolated(&port->vlan, vid, vids);
	else if (mode % 8 == 5)
		(void)vlan_policy_community(&port->vlan, vid, vids);
	else if (mode % 8 == 6)
		(void)vlan_policy_promiscuous(&port->vlan, vid, allowed);
	if (pvlan_conflicts(sw, index, &port->vlan, &other_vid, &other))
		vlan_policy_untagged(&port->vlan);
	pvlan_map(sw);
	if (!port->muted)
		(void)fdb_pin(sw->fdb, fwd_pin_vid(port), port->mac, index);
}

/* Every segment, in memory of exactly its size. */
static void cut(const struct frame *frame)
{
	struct eth_hdr hdr;
	struct gso gso;
	size_t got;

	gso_begin(&gso, &frame->hdr, frame->data, frame->size_bytes);
	do {
		uint8_t *segment = malloc(gso_segment_max_bytes(&gso));

		check(segment, "no memory");
		got = gso_next(&gso, &hdr, segment);
		if (got)
			offload_finish_csum(&hdr, segment, got);
		free(segment);
	} while (got);
}

static void check_copy(struct frame *frame, const struct fwd_result *result, bool tagged)
{
	struct iovec iov[FRAME_MAX_PIECES];
	struct eth_hdr hdr;
	size_t total_bytes = 0;
	unsigned n_iov = frame_pieces(frame, tagged, result->tci, &hdr, iov);

	for (unsigned i = 0; i < n_iov; i++)
		total_bytes += iov[i].iov_len;
	check(total_bytes == frame_bytes(frame) + (tagged ? ETH_TAG_BYTES : 0U), "size of a copy");
	if (hdr.flags & ETH_HDR_NEEDS_CSUM)
		check(hdr.csum_start + hdr.csum_offset + 2U <= total_bytes,
			"checksum out of bounds");
}

static void handle(struct fwd_switch *sw, unsigned in_port, struct frame *frame, uint64_t now_ns)
{
	static struct fwd_result result;
	struct fwd_key key;
	enum drop drop;
	const char *wrong;

	if (frame_normalise(frame))
		return;
	key = (struct fwd_key){
		.tagged = frame->tagged, .inner_tag = frame->inner_tag, .tci = frame->tci};
	memcpy(key.dst, frame->data, ETH_ADDR_LEN);
	memcpy(key.src, frame->data + ETH_ADDR_LEN, ETH_ADDR_LEN);
	drop = forward(sw, in_port, &key, now_ns, &result);
	wrong = check_decision(sw, in_port, &key, drop, &result);
	check(!wrong, wrong);
	if (result.learn)
		fdb_learn(sw->fdb, result.fid, key.src, in_port, now_ns);
	for (unsigned i = 0; i < result.n_out; i++)
		check_copy(frame, &result, result.out[i].tagged);
	if (frame->hdr.gso_type != ETH_GSO_NONE)
		cut(frame);
	else if (frame->hdr.flags & ETH_HDR_NEEDS_CSUM)
		offload_finish_csum(&frame->hdr, frame->data, frame->size_bytes);
}

static void read_frame(struct reader *in, struct fwd_switch *sw, uint64_t now_ns)
{
	unsigned in_port = reader_u8(in) % sw->n_slots;
	uint8_t flags = reader_u8(in);
	struct frame frame = {.tagged = flags & 1, .tci = reader_le16(in)};
	size_t frame_bytes;
	uint8_t *copy;

	reader_bytes(in, &frame.hdr, sizeof(frame.hdr));
	frame_bytes = MIN((size_t)reader_le16(in), in->left_bytes);
	copy = malloc(frame_bytes ? frame_bytes : 1);
	check(copy, "no memory");
	reader_bytes(in, copy, frame_bytes);
	frame.data = copy;
	frame.size_bytes = (uint32_t)frame_bytes;
	handle(sw, in_port, &frame, now_ns);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static struct fwd_switch sw;
	struct reader in = reader_make(data, size_bytes);

	sw = (struct fwd_switch){.n_slots = 2 + reader_u8(&in) % (MAX_PORTS - 1)};
	check(fdb_new(16, 1, &sw.fdb) == 0, "no memory");
	for (unsigned i = 0; i < sw.n_slots; i++)
		read_port(&in, &sw, i);
	for (unsigned i = 0; i < MAX_FRAMES && reader_ok(&in) && in.left_bytes; i++)
		read_frame(&in, &sw, (i + 1) * 60 * NS_PER_SEC);
	fdb_free(sw.fdb);
	return 0;
}
