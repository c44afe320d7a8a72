/* SPDX-License-Identifier: MIT
 *
 * nvsp.h - wire format of the Network Virtualization Service Provider protocol: what travels in the
 * payload of the VMBus packets of a synthetic NIC. Sources: drivers/net/hyperv/hyperv_net.h of
 * Linux 6.1 and the netvsp protocol definitions of OpenVMM, restated.
 *
 * Freestanding: shared by the host's VSP and by guests without a C library.
 *
 * Every message starts with its type (u32). A guest may send more bytes than the structure has (the
 * usual size is NVSP_MESSAGE_BYTES for all); fewer make it malformed. Completions of initialisation
 * requests are padded with zeros to NVSP_MESSAGE_BYTES, because guests copy the whole union.
 */
#ifndef VIADUCT_VMBUS_PROTO_NVSP_H
#define VIADUCT_VMBUS_PROTO_NVSP_H

#include "vmbus/proto/wire.h"

#define NVSP_MESSAGE_BYTES     40 /* size of the union since version 2 */
#define NVSP_MESSAGE_MIN_BYTES 28 /* size of the union in the oldest form */

/* Versions, in order. */
#define NVSP_VERSION_1  0x00000002U
#define NVSP_VERSION_2  0x00030002U
#define NVSP_VERSION_4  0x00040000U
#define NVSP_VERSION_5  0x00050000U
#define NVSP_VERSION_6  0x00060000U
#define NVSP_VERSION_61 0x00060001U

enum nvsp_message_type {
	NVSP_INIT = 1, /* guest, completed with INIT_COMPLETE */
	NVSP_INIT_COMPLETE = 2,
	NVSP_SEND_NDIS_VERSION = 100, /* guest, no completion */
	NVSP_SEND_RECV_BUF = 101,     /* guest, completed with ..._COMPLETE */
	NVSP_SEND_RECV_BUF_COMPLETE = 102,
	NVSP_REVOKE_RECV_BUF = 103, /* guest, no completion */
	NVSP_SEND_SEND_BUF = 104,   /* guest, completed with ..._COMPLETE */
	NVSP_SEND_SEND_BUF_COMPLETE = 105,
	NVSP_REVOKE_SEND_BUF = 106, /* guest, no completion */
	NVSP_SEND_RNDIS_PKT = 107,  /* both, completed with ..._COMPLETE */
	NVSP_SEND_RNDIS_PKT_COMPLETE = 108,
	/* 109 to 124: TCP chimney and VMQ, not used */
	NVSP_SEND_NDIS_CONFIG = 125,    /* guest, no completion, version 2 */
	NVSP_SEND_VF_ASSOCIATION = 128, /* host, version 4 */
	NVSP_SWITCH_DATA_PATH = 129,    /* guest, completed without payload, version 4 */
	NVSP_SWITCH_DATA_PATH_COMPLETE = 130,
	NVSP_OID_QUERY_EX = 131,
	NVSP_OID_QUERY_EX_COMPLETE = 132,
	NVSP_SUBCHANNEL = 133,             /* guest, completed by itself, version 5 */
	NVSP_SEND_INDIRECTION_TABLE = 134, /* host, version 5 */
	NVSP_PD_API = 135,                 /* version 6 */
	NVSP_PD_BATCH = 136,
};

enum nvsp_status {
	NVSP_STATUS_NONE = 0,
	NVSP_STATUS_SUCCESS = 1,
	NVSP_STATUS_FAILURE = 2,
	NVSP_STATUS_PROTOCOL_TOO_NEW = 3,
	NVSP_STATUS_PROTOCOL_TOO_OLD = 4,
	NVSP_STATUS_INVALID_RNDIS_PKT = 5,
	NVSP_STATUS_BUSY = 6,
	NVSP_STATUS_UNSUPPORTED = 7,
};

struct nvsp_header {
	uint32_t type;
} _wire_;
WIRE_SIZE(struct nvsp_header, 4);

struct nvsp_init {
	uint32_t type;
	uint32_t min_version;
	uint32_t max_version;
} _wire_;
WIRE_SIZE(struct nvsp_init, 12);

struct nvsp_init_complete {
	uint32_t type;
	uint32_t version;
	uint32_t max_mdl_chain_length;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct nvsp_init_complete, 16);
WIRE_OFFSET(struct nvsp_init_complete, status, 12);

struct nvsp_send_ndis_version {
	uint32_t type;
	uint32_t major;
	uint32_t minor;
} _wire_;
WIRE_SIZE(struct nvsp_send_ndis_version, 12);

#define NVSP_RECV_BUF_ID 0xCAFE
#define NVSP_SEND_BUF_ID 0

/* NVSP_SEND_RECV_BUF and NVSP_SEND_SEND_BUF. */
struct nvsp_send_buf {
	uint32_t type;
	uint32_t gpadl_id;
	uint16_t id;
} _wire_;
WIRE_SIZE(struct nvsp_send_buf, 10);
WIRE_OFFSET(struct nvsp_send_buf, id, 8);

/* NVSP_REVOKE_RECV_BUF and NVSP_REVOKE_SEND_BUF. */
struct nvsp_revoke_buf {
	uint32_t type;
	uint16_t id;
} _wire_;
WIRE_SIZE(struct nvsp_revoke_buf, 6);

struct nvsp_recv_section {
	uint32_t offset;
	uint32_t sub_alloc_size;
	uint32_t n_sub_allocs;
	uint32_t end_offset;
} _wire_;
WIRE_SIZE(struct nvsp_recv_section, 16);

/* The protocol allows several sections; guests take exactly one, at offset 0. */
struct nvsp_send_recv_buf_complete {
	uint32_t type;
	uint32_t status;
	uint32_t n_sections;
	struct nvsp_recv_section section;
} _wire_;
WIRE_SIZE(struct nvsp_send_recv_buf_complete, 28);
WIRE_OFFSET(struct nvsp_send_recv_buf_complete, section, 12);

struct nvsp_send_send_buf_complete {
	uint32_t type;
	uint32_t status;
	uint32_t section_size;
} _wire_;
WIRE_SIZE(struct nvsp_send_send_buf_complete, 12);

enum nvsp_channel_type {
	NVSP_CHANNEL_DATA = 0,
	NVSP_CHANNEL_CONTROL = 1,
};

#define NVSP_NO_SECTION 0xFFFFFFFFU

struct nvsp_send_rndis_pkt {
	uint32_t type;
	uint32_t channel_type;       /* enum nvsp_channel_type */
	uint32_t send_section_index; /* or NVSP_NO_SECTION */
	uint32_t send_section_size;  /* bytes used of the section */
} _wire_;
WIRE_SIZE(struct nvsp_send_rndis_pkt, 16);

struct nvsp_send_rndis_pkt_complete {
	uint32_t type;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct nvsp_send_rndis_pkt_complete, 8);

#define NVSP_NDIS_CAP_VMQ            (1ULL << 0)
#define NVSP_NDIS_CAP_CHIMNEY        (1ULL << 1)
#define NVSP_NDIS_CAP_SRIOV          (1ULL << 2)
#define NVSP_NDIS_CAP_8021Q          (1ULL << 3)
#define NVSP_NDIS_CAP_CORRELATION_ID (1ULL << 4)
#define NVSP_NDIS_CAP_TEAMING        (1ULL << 5)
#define NVSP_NDIS_CAP_VIRTUAL_SUBNET (1ULL << 6)
#define NVSP_NDIS_CAP_RSC            (1ULL << 7)

struct nvsp_send_ndis_config {
	uint32_t type;
	uint32_t mtu; /* IP MTU + 14 */
	uint32_t reserved;
	uint64_t capabilities;
} _wire_;
WIRE_SIZE(struct nvsp_send_ndis_config, 20);
WIRE_OFFSET(struct nvsp_send_ndis_config, capabilities, 12);

struct nvsp_send_vf_association {
	uint32_t type;
	uint32_t allocated;
	uint32_t serial;
} _wire_;
WIRE_SIZE(struct nvsp_send_vf_association, 12);

enum nvsp_data_path {
	NVSP_DATA_PATH_SYNTHETIC = 0,
	NVSP_DATA_PATH_VF = 1,
};

struct nvsp_switch_data_path {
	uint32_t type;
	uint32_t active; /* enum nvsp_data_path */
} _wire_;
WIRE_SIZE(struct nvsp_switch_data_path, 8);

#define NVSP_SUBCHANNEL_ALLOCATE 1

struct nvsp_subchannel_request {
	uint32_t type;
	uint32_t op;
	uint32_t n_subchannels;
} _wire_;
WIRE_SIZE(struct nvsp_subchannel_request, 12);

struct nvsp_subchannel_complete {
	uint32_t type;
	uint32_t status;
	uint32_t n_subchannels; /* granted; exactly so many offers follow */
} _wire_;
WIRE_SIZE(struct nvsp_subchannel_complete, 12);

#define NVSP_INDIRECTION_ENTRIES 16
/* Where guests of version 6 and older look for the table, whatever the message says. */
#define NVSP_INDIRECTION_TABLE_AT 40

struct nvsp_send_indirection_table {
	uint32_t type;
	uint32_t count;  /* NVSP_INDIRECTION_ENTRIES */
	uint32_t offset; /* of the u32 entries, from the start of the message */
} _wire_;
WIRE_SIZE(struct nvsp_send_indirection_table, 12);

/* Guests refuse smaller sections. */
#define NVSP_MIN_SECTION_BYTES 68

#endif
