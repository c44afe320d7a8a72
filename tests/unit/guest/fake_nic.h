/* SPDX-License-Identifier: MIT
 *
 * fake_nic.h - the NVSP and RNDIS end of a NIC on a fake host, as strict about the guest as a test
 * should be, and as wrong as the test asks for.
 */
#ifndef VIADUCT_TESTS_GUEST_FAKE_NIC_H
#define VIADUCT_TESTS_GUEST_FAKE_NIC_H

#include "fake_host.h"
#include "vmbus/guest/vsc_net.h"

#define FAKE_NIC_RX_SECTION 1728
#define FAKE_NIC_MAX_FRAMES 256

struct fake_nic {
	struct fake_host *host;
	struct fake_channel *channel;

	/* What the test wants. */
	uint32_t newest_version;
	struct nvsp_send_recv_buf_complete receive_reply;
	struct nvsp_send_send_buf_complete send_reply;
	uint32_t refused_oid, media;
	bool hold_completions; /* transmitted frames are kept unanswered */
	bool mute;

	/* What the guest did. */
	uint32_t version, ndis_minor, filter;
	bool configured, initialised, halted, offloads_off;
	uint8_t *receive, *send;
	uint32_t receive_bytes, send_bytes;
	unsigned n_frames, n_held, n_transfers_completed, n_revoked;
	size_t frame_bytes[FAKE_NIC_MAX_FRAMES];
	uint8_t frames[FAKE_NIC_MAX_FRAMES][1600];
	uint64_t held[FAKE_NIC_MAX_FRAMES];

	uint32_t next_section;
	uint64_t next_transaction_id;
};

extern const uint8_t fake_nic_mac[6];

/* Offers the NIC. */
void fake_nic_init(struct fake_nic *nic, struct fake_host *host, uint32_t relid);
/* Handle what the guest wrote; done by itself when it signals. */
void fake_nic_run(struct fake_nic *nic);
/* An RNDIS message in a receive section of its own. False: no room in the ring. */
bool fake_nic_rndis(struct fake_nic *nic, const void *message, uint32_t size_bytes);
/* A frame; csum != 0 adds that checksum information. */
bool fake_nic_frame(struct fake_nic *nic, const void *frame, uint32_t size_bytes, uint32_t csum);
/* Any transfer-page packet. */
bool fake_nic_transfer(struct fake_nic *nic, uint16_t pageset_id, uint32_t n_ranges_claimed,
	const struct vmbus_transfer_range *ranges, uint32_t n_ranges);
void fake_nic_indicate(struct fake_nic *nic, uint32_t status);
/* Complete what was held. */
void fake_nic_release(struct fake_nic *nic);

#endif
