/* SPDX-License-Identifier: MIT
 *
 * net_segment.h - cuts a TCP super-frame (up to 64 KiB behind one set of headers) into the frames
 * that a receiver without segment coalescing, or a port without segmentation, can take.
 *
 * Segments are made one at a time and each from the super-frame alone, by number, so the cutting
 * can stop when the receiver is full and go on later, also on another host. Each has its own IP
 * length and identification, sequence number, flags and complete checksums.
 *
 * The super-frame stays the caller's and must not change while segments are made from it.
 */
#ifndef VIADUCT_VMBUS_NET_SEGMENT_H
#define VIADUCT_VMBUS_NET_SEGMENT_H

#include "vmbus/net_packet.h"

/* Smaller segments than any TCP may ask for would turn one frame into tens of thousands. */
#define NET_SEGMENT_MIN_BYTES 8

struct net_segmenter {
	const uint8_t *frame;
	struct net_layers layers;
	uint32_t segment_bytes; /* of TCP payload */
	unsigned n_segments;
};

/* The frame must be TCP, its IP length right. `segment_bytes` is lowered so that no IP packet is
 * larger than `mtu_bytes`. -EINVAL: nothing to segment, or no room for payload. */
int net_segmenter_init(struct net_segmenter *segmenter, const uint8_t *frame,
	const struct net_layers *layers, uint32_t segment_bytes, uint32_t mtu_bytes);

struct net_segment {
	uint8_t header[NET_HEADERS_MAX_BYTES];
	size_t header_bytes;
	const uint8_t *payload; /* inside the super-frame */
	size_t payload_bytes;
};

/* `index` below n_segments. */
void net_segment_make(
	const struct net_segmenter *segmenter, unsigned index, struct net_segment *ret_segment);

#endif
