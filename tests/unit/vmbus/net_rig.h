/* SPDX-License-Identifier: MIT
 *
 * net_rig.h - one NIC under test: the VSP's core, a channel double and a dummy port, and a guest's
 * side of the protocols that asserts what it is owed: one completion for each packet that wants
 * one, padded, and answers in sections it has lent.
 */
#ifndef VIADUCT_TESTS_NET_RIG_H
#define VIADUCT_TESTS_NET_RIG_H

#include "base/eth_dummy.h"
#include "net_double.h"
#include "net_frames.h"
#include "vmbus/net_vsp.h"

#define RIG_ALL_CAPS (ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6)

#define RIG_RECV_GPADL 0xe1e11
#define RIG_SEND_GPADL 0xe1e12
#define RIG_RECV_BYTES (64U * 1728)
#define RIG_SEND_BYTES (8U * 6144)

/* Where the guest puts things in its memory. */
#define RIG_CONTROL_GPA 0x1000U
#define RIG_DATA_GPA    0x8040U

struct net_rig {
	struct eth_dummy *port;
	struct vmbus_channel *channel; /* the primary */
	unsigned n_kicks[NET_MAX_QUEUES];
	struct net_vsp *vsp;
	uint32_t mtu_bytes;
	uint32_t recv_bytes;
	unsigned n_queues;
	bool allow_mac_change;
	bool rsc;             /* the guest says that it knows coalesced packets */
	uint8_t *recv, *send; /* the buffers' memory */
	struct nvsp_send_recv_buf_complete recv_complete;
	uint64_t next_transaction;
	uint32_t next_request;
	uint8_t answer[4096]; /* of RNDIS */
	size_t answer_bytes;
};

/* Everything zero but what the test wants otherwise: mtu_bytes, recv_bytes, n_queues,
 * allow_mac_change, rsc. */
void rig_new(struct net_rig *rig, uint32_t port_caps);
void rig_free(struct net_rig *rig);

struct vmbus_channel *rig_channel(const struct net_rig *rig, unsigned queue);
/* What all queues have counted. */
struct net_stats rig_stats(const struct net_rig *rig);
/* All queues, until the VSP has nothing to do. */
void rig_work(struct net_rig *rig);

/* NVSP: queue an inband message and work. */
uint64_t rig_post(struct net_rig *rig, const void *message, size_t size_bytes, bool completion);
/* The next packet to the guest is the completion of `transaction`. */
void rig_expect_completion(
	struct net_rig *rig, uint64_t transaction, struct net_double_packet *ret_packet);
void rig_expect_nothing(struct net_rig *rig);
/* Post and take the completion, which must have all of NVSP_MESSAGE_BYTES. */
void rig_exchange(struct net_rig *rig, const void *message, size_t size_bytes, void *ret_answer);

/* Steps of initialisation. */
uint32_t rig_init(struct net_rig *rig, uint32_t min_version, uint32_t max_version);
void rig_ndis(struct net_rig *rig, uint32_t version);
void rig_buffers(struct net_rig *rig);
void rig_rndis(struct net_rig *rig);
/* All of them, as Linux does, and the packet filter. */
void rig_up(struct net_rig *rig);

/* A control message; the NVSP status of its completion, and the answer, if any, in rig->answer. */
uint32_t rig_control(struct net_rig *rig, const void *message, size_t size_bytes);
/* RNDIS status; the value is behind the rndis_query_complete in rig->answer. */
uint32_t rig_query(struct net_rig *rig, uint32_t oid, const void *input, size_t input_bytes);
const void *rig_value(const struct net_rig *rig, size_t expected_bytes);
uint32_t rig_set(struct net_rig *rig, uint32_t oid, const void *value, size_t value_bytes);
void rig_set_filter(struct net_rig *rig, uint32_t filter);

/* An RNDIS packet around a frame; returns its size. */
size_t rig_rndis_packet(uint8_t *ret_message, const void *frame, size_t frame_bytes,
	const void *ppi, size_t ppi_bytes);
size_t rig_ppi(uint8_t *ret_ppi, uint32_t type, uint32_t value);
/* Queue a ring packet with this run of bytes: from guest memory, or all of it in a send section. */
uint64_t rig_queue_ranges(struct net_rig *rig, const void *run, size_t size_bytes);
uint64_t rig_queue_section(
	struct net_rig *rig, uint32_t section, const void *run, size_t size_bytes);
/* Queue, work, and the NVSP status of the completion. */
uint32_t rig_transmit(struct net_rig *rig, const void *run, size_t size_bytes);
/* One frame with these PPIs. */
uint32_t rig_transmit_frame(struct net_rig *rig, const void *frame, size_t frame_bytes,
	const void *ppi, size_t ppi_bytes);
/* The next frame at the port. False: none. */
bool rig_at_port(struct net_rig *rig, struct eth_hdr *ret_hdr, struct frame *ret_frame);

/* A frame for the guest. */
void rig_inject(
	struct net_rig *rig, const struct eth_hdr *hdr, const void *frame, size_t size_bytes);
/* The next transfer-page packet; it must be of this channel type and lie inside the buffer. */
void rig_expect_transfer(
	struct net_rig *rig, enum nvsp_channel_type type, struct net_double_packet *ret_packet);
/* One range of it as a frame. Returns the PPIs found. */
struct rig_received {
	struct frame frame;
	bool has_checksum, has_vlan, has_hash, has_packet_id;
	uint32_t checksum, vlan, hash, packet_id;
};
/* The PPIs of a list, which must be exact. */
void rig_take_ppis(const uint8_t *list, size_t left_bytes, struct rig_received *received);
void rig_received(struct net_rig *rig, const struct net_double_packet *packet, unsigned range,
	struct rig_received *ret_received);
/* The guest gives the sections back. */
void rig_complete(struct net_rig *rig, const struct net_double_packet *packet);

#endif
