/* SPDX-License-Identifier: MIT
 *
 * eth_ops.h - the Ethernet waist: what a network VSP asks of whatever carries its frames, and the
 * frame header both sides share.
 *
 * A frame is an Ethernet frame without FCS, 14 to ETH_FRAME_MAX_BYTES bytes, 802.1Q tags in line,
 * preceded by struct eth_hdr. eth_hdr has the layout of struct virtio_net_hdr (virtio 1.2, 5.1.6,
 * without num_buffers), so it can be handed to TAP and AF_PACKET as it is. csum_start counts from
 * the first byte of the frame, tags included.
 *
 * Threads: a port has a sending side (send, flush, arm for room) and a receiving side (recv, arm
 * for frames). The two may be used at the same time, each by one thread at a time; who has several
 * threads serialises them. A backend may run others behind.
 */
#ifndef VIADUCT_BASE_ETH_OPS_H
#define VIADUCT_BASE_ETH_OPS_H

#include "base/err.h"

#include <sys/uio.h>

#define ETH_ADDR_LEN        6
#define ETH_HEADER_BYTES    14
#define ETH_TAG_BYTES       4
#define ETH_MIN_FRAME_BYTES 60    /* on a wire, without FCS */
#define ETH_FRAME_MAX_BYTES 65562 /* 64 KiB of IP behind an Ethernet header and two tags */

enum {
	ETH_HDR_NEEDS_CSUM = 1, /* flags: checksum at csum_start + csum_offset is still partial */
	ETH_HDR_DATA_VALID = 2, /* flags: receiver may trust the checksums */
};

enum {
	ETH_GSO_NONE = 0,
	ETH_GSO_TCPV4 = 1,
	ETH_GSO_UDP = 3,
	ETH_GSO_TCPV6 = 4,
	ETH_GSO_ECN = 0x80, /* ored in */
};

struct eth_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;  /* bytes to copy for each segment; a hint, never trusted */
	uint16_t gso_size; /* bytes of payload a segment, 0 without GSO */
	uint16_t csum_start;
	uint16_t csum_offset;
};
static_assert_size(struct eth_hdr, 10);

enum eth_cap {
	ETH_CAP_CSUM = 1 << 0, /* takes ETH_HDR_NEEDS_CSUM frames */
	ETH_CAP_TSO4 = 1 << 1,
	ETH_CAP_TSO6 = 1 << 2,
};

/* What arm() asks for and answers with. */
enum eth_event {
	ETH_FRAMES = 1 << 0, /* received frames */
	ETH_ROOM = 1 << 1,   /* room to send */
};

struct eth_ops {
	/* enum eth_cap bits, constant. */
	uint32_t (*caps)(void *port);
	/* Queue one frame; the bytes are copied before return. 0; -EAGAIN when full (wait on
	 * event_fd, then try again); -EMSGSIZE, -EINVAL: this frame can never be sent. */
	int (*send)(void *port, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov);
	/* After a burst of send(): let the other side know. */
	void (*flush)(void *port);
	/* Take one frame into `data`. 0; -EAGAIN when there is none. A frame larger than
	 * `capacity_bytes` is dropped and counted, and the next one is tried. */
	int (*recv)(void *port, struct eth_hdr *ret_hdr, void *data, size_t capacity_bytes,
		size_t *ret_size_bytes);
	/* Before sleeping on event_fd: ask to be woken for these events, enum eth_event bits.
	 * Returns those of them that are there already (do not sleep then); 0: the first that comes
	 * wakes, and now and then something older does. */
	uint32_t (*arm)(void *port, uint32_t events);
	/* Reads like an eventfd; readable after arm() when there is something to do; the caller
	 * reads it empty. */
	int (*event_fd)(void *port);
};

#endif
