/* SPDX-License-Identifier: MIT
 *
 * rndis.h - wire format of Remote NDIS as synthetic NICs use it: messages, object identifiers, the
 * NDIS objects behind them, and per-packet information (PPI). Sources: include/linux/rndis.h and
 * drivers/net/hyperv of Linux 6.1 and the rndisprot definitions of OpenVMM, restated.
 *
 * Freestanding: shared by the host's VSP and by guests without a C library.
 *
 * Offsets in requests, completions and packets count from the first byte after the message header
 * {type, length}, i.e. from the request id or data_offset field: RNDIS_BODY_AT.
 */
#ifndef VIADUCT_VMBUS_PROTO_RNDIS_H
#define VIADUCT_VMBUS_PROTO_RNDIS_H

#include "vmbus/proto/wire.h"

#define RNDIS_COMPLETION 0x80000000U /* ored into the type of the request */

enum rndis_message_type {
	RNDIS_PACKET = 1,
	RNDIS_INITIALIZE = 2,
	RNDIS_HALT = 3, /* no completion */
	RNDIS_QUERY = 4,
	RNDIS_SET = 5,
	RNDIS_RESET = 6,
	RNDIS_INDICATE_STATUS = 7,
	RNDIS_KEEPALIVE = 8,
};
#define RNDIS_INITIALIZE_COMPLETE (RNDIS_COMPLETION | RNDIS_INITIALIZE)
#define RNDIS_QUERY_COMPLETE      (RNDIS_COMPLETION | RNDIS_QUERY)
#define RNDIS_SET_COMPLETE        (RNDIS_COMPLETION | RNDIS_SET)
#define RNDIS_RESET_COMPLETE      (RNDIS_COMPLETION | RNDIS_RESET)
#define RNDIS_KEEPALIVE_COMPLETE  (RNDIS_COMPLETION | RNDIS_KEEPALIVE)

#define RNDIS_STATUS_SUCCESS           0x00000000U
#define RNDIS_STATUS_MEDIA_CONNECT     0x4001000BU /* indications */
#define RNDIS_STATUS_MEDIA_DISCONNECT  0x4001000CU
#define RNDIS_STATUS_LINK_SPEED_CHANGE 0x40010013U
#define RNDIS_STATUS_NETWORK_CHANGE    0x40010018U
#define RNDIS_STATUS_FAILURE           0xC0000001U
#define RNDIS_STATUS_NOT_SUPPORTED     0xC00000BBU
#define RNDIS_STATUS_INVALID_LENGTH    0xC0010014U
#define RNDIS_STATUS_INVALID_DATA      0xC0010015U

#define RNDIS_MAJOR_VERSION 1
#define RNDIS_MINOR_VERSION 0

#define RNDIS_BODY_AT 8 /* where offsets count from */

struct rndis_header {
	uint32_t type;
	uint32_t length; /* of the whole message */
} _wire_;
WIRE_SIZE(struct rndis_header, 8);

struct rndis_packet {
	uint32_t type;
	uint32_t length;
	uint32_t data_offset;
	uint32_t data_length;
	uint32_t oob_offset;
	uint32_t oob_length;
	uint32_t n_oob;
	uint32_t ppi_offset;
	uint32_t ppi_length;
	uint32_t vc_handle;
	uint32_t reserved;
} _wire_;
WIRE_SIZE(struct rndis_packet, 44);
WIRE_OFFSET(struct rndis_packet, ppi_offset, 28);

struct rndis_initialize {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t major;
	uint32_t minor;
	uint32_t max_transfer_size;
} _wire_;
WIRE_SIZE(struct rndis_initialize, 24);

#define RNDIS_DEVICE_CONNECTIONLESS 1
#define RNDIS_MEDIUM_802_3          0

struct rndis_initialize_complete {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t status;
	uint32_t major;
	uint32_t minor;
	uint32_t device_flags;
	uint32_t medium;
	uint32_t max_packets_per_message;
	uint32_t max_transfer_size;
	uint32_t packet_alignment_factor; /* log2 */
	uint32_t af_list_offset;
	uint32_t af_list_size;
} _wire_;
WIRE_SIZE(struct rndis_initialize_complete, 52);
WIRE_OFFSET(struct rndis_initialize_complete, max_packets_per_message, 32);

struct rndis_halt {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
} _wire_;
WIRE_SIZE(struct rndis_halt, 12);

/* RNDIS_QUERY and RNDIS_SET. */
struct rndis_oid_request {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t oid;
	uint32_t buffer_length;
	uint32_t buffer_offset; /* from request_id */
	uint32_t vc_handle;
} _wire_;
WIRE_SIZE(struct rndis_oid_request, 28);

struct rndis_query_complete {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t status;
	uint32_t buffer_length;
	uint32_t buffer_offset; /* from request_id; RNDIS_QUERY_BUFFER_OFFSET or more, even without
				   data */
} _wire_;
WIRE_SIZE(struct rndis_query_complete, 24);
#define RNDIS_QUERY_BUFFER_OFFSET 16

struct rndis_set_complete {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct rndis_set_complete, 16);

struct rndis_reset {
	uint32_t type;
	uint32_t length;
	uint32_t reserved;
} _wire_;
WIRE_SIZE(struct rndis_reset, 12);

struct rndis_reset_complete {
	uint32_t type;
	uint32_t length;
	uint32_t status;
	uint32_t addressing_reset;
} _wire_;
WIRE_SIZE(struct rndis_reset_complete, 16);

struct rndis_indicate_status {
	uint32_t type;
	uint32_t length;
	uint32_t status;
	uint32_t buffer_length;
	uint32_t buffer_offset; /* from status */
} _wire_;
WIRE_SIZE(struct rndis_indicate_status, 20);

struct rndis_keepalive {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
} _wire_;
WIRE_SIZE(struct rndis_keepalive, 12);

struct rndis_keepalive_complete {
	uint32_t type;
	uint32_t length;
	uint32_t request_id;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct rndis_keepalive_complete, 16);

/* Object identifiers. */
#define OID_GEN_SUPPORTED_LIST                0x00010101U
#define OID_GEN_HARDWARE_STATUS               0x00010102U /* u32, 0 ready */
#define OID_GEN_MEDIA_SUPPORTED               0x00010103U /* u32, RNDIS_MEDIUM_802_3 */
#define OID_GEN_MEDIA_IN_USE                  0x00010104U
#define OID_GEN_MAXIMUM_FRAME_SIZE            0x00010106U /* u32, IP MTU */
#define OID_GEN_LINK_SPEED                    0x00010107U /* u32, in 100 bit/s */
#define OID_GEN_TRANSMIT_BLOCK_SIZE           0x0001010AU
#define OID_GEN_RECEIVE_BLOCK_SIZE            0x0001010BU
#define OID_GEN_VENDOR_ID                     0x0001010CU
#define OID_GEN_VENDOR_DESCRIPTION            0x0001010DU
#define OID_GEN_CURRENT_PACKET_FILTER         0x0001010EU /* u32, NDIS_PACKET_TYPE_* */
#define OID_GEN_CURRENT_LOOKAHEAD             0x0001010FU
#define OID_GEN_MAXIMUM_TOTAL_SIZE            0x00010111U /* u32, IP MTU + 14 */
#define OID_GEN_MAXIMUM_LOOKAHEAD             0x00010105U
#define OID_GEN_MEDIA_CONNECT_STATUS          0x00010114U /* u32, 0 connected, 1 not */
#define OID_GEN_MAXIMUM_SEND_PACKETS          0x00010115U
#define OID_GEN_RECEIVE_SCALE_CAPABILITIES    0x00010203U /* struct ndis_rss_caps */
#define OID_GEN_RECEIVE_SCALE_PARAMETERS      0x00010204U /* struct ndis_rss_params */
#define OID_GEN_XMIT_OK                       0x00020101U /* u32 counters */
#define OID_GEN_RCV_OK                        0x00020102U
#define OID_GEN_XMIT_ERROR                    0x00020103U
#define OID_GEN_RCV_ERROR                     0x00020104U
#define OID_GEN_RCV_NO_BUFFER                 0x00020105U
#define OID_GEN_STATISTICS                    0x00020106U /* struct ndis_statistics */
#define OID_GEN_DIRECTED_BYTES_XMIT           0x00020201U /* u32 counters */
#define OID_GEN_DIRECTED_FRAMES_XMIT          0x00020202U
#define OID_GEN_MULTICAST_BYTES_XMIT          0x00020203U
#define OID_GEN_MULTICAST_FRAMES_XMIT         0x00020204U
#define OID_GEN_BROADCAST_BYTES_XMIT          0x00020205U
#define OID_GEN_BROADCAST_FRAMES_XMIT         0x00020206U
#define OID_GEN_DIRECTED_BYTES_RCV            0x00020207U
#define OID_GEN_DIRECTED_FRAMES_RCV           0x00020208U
#define OID_GEN_MULTICAST_BYTES_RCV           0x00020209U
#define OID_GEN_MULTICAST_FRAMES_RCV          0x0002020AU
#define OID_GEN_BROADCAST_BYTES_RCV           0x0002020BU
#define OID_GEN_BROADCAST_FRAMES_RCV          0x0002020CU
#define OID_GEN_FRIENDLY_NAME                 0x00020216U
#define OID_GEN_RNDIS_CONFIG_PARAMETER        0x0001021BU /* struct rndis_config_parameter */
#define OID_802_3_PERMANENT_ADDRESS           0x01010101U /* 6 bytes */
#define OID_802_3_CURRENT_ADDRESS             0x01010102U
#define OID_802_3_MULTICAST_LIST              0x01010103U /* n times 6 bytes */
#define OID_802_3_MAXIMUM_LIST_SIZE           0x01010104U
#define OID_TCP_OFFLOAD_CURRENT_CONFIG        0xFC01020BU /* struct ndis_offload */
#define OID_TCP_OFFLOAD_PARAMETERS            0xFC01020CU /* struct ndis_offload_params */
#define OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES 0xFC01020DU /* struct ndis_offload */
#define OID_OFFLOAD_ENCAPSULATION             0x0101010AU

#define NDIS_PACKET_TYPE_DIRECTED      0x01U
#define NDIS_PACKET_TYPE_MULTICAST     0x02U
#define NDIS_PACKET_TYPE_ALL_MULTICAST 0x04U
#define NDIS_PACKET_TYPE_BROADCAST     0x08U
#define NDIS_PACKET_TYPE_PROMISCUOUS   0x20U

/* The value of OID_GEN_RNDIS_CONFIG_PARAMETER: name and value are UTF-16LE, offsets from here. */
struct rndis_config_parameter {
	uint32_t name_offset;
	uint32_t name_length; /* bytes */
	uint32_t type;        /* RNDIS_CONFIG_* */
	uint32_t value_offset;
	uint32_t value_length;
} _wire_;
WIRE_SIZE(struct rndis_config_parameter, 20);
#define RNDIS_CONFIG_INTEGER 0
#define RNDIS_CONFIG_STRING  2

#define NDIS_OBJECT_DEFAULT    0x80
#define NDIS_OBJECT_RSS_CAPS   0x88
#define NDIS_OBJECT_RSS_PARAMS 0x89
#define NDIS_OBJECT_OFFLOAD    0xA7

struct ndis_object_header {
	uint8_t type; /* NDIS_OBJECT_* */
	uint8_t revision;
	uint16_t size;
} _wire_;
WIRE_SIZE(struct ndis_object_header, 4);

/* Checksum capabilities. */
#define NDIS_CSUM4_IP_OPTIONS    0x001U
#define NDIS_CSUM4_TCP_OPTIONS   0x004U
#define NDIS_CSUM4_TCP           0x010U
#define NDIS_CSUM4_UDP           0x040U
#define NDIS_CSUM4_IP_HEADER     0x100U
#define NDIS_CSUM6_EXT_HEADERS   0x001U
#define NDIS_CSUM6_TCP_OPTIONS   0x004U
#define NDIS_CSUM6_TCP           0x010U
#define NDIS_CSUM6_UDP           0x040U
#define NDIS_LSO6_EXT_HEADERS    0x001U
#define NDIS_LSO6_TCP_OPTIONS    0x004U
#define NDIS_ENCAPSULATION_NONE  0
#define NDIS_ENCAPSULATION_802_3 2

#define NDIS_OFFLOAD_BYTES_6_0  112 /* revision 1 */
#define NDIS_OFFLOAD_BYTES_6_1  144 /* revision 2 */
#define NDIS_OFFLOAD_BYTES_6_30 156 /* revision 3 */

struct ndis_offload {
	struct ndis_object_header header;
	uint32_t csum4_tx_encapsulation;
	uint32_t csum4_tx;
	uint32_t csum4_rx_encapsulation;
	uint32_t csum4_rx;
	uint32_t csum6_tx_encapsulation;
	uint32_t csum6_tx;
	uint32_t csum6_rx_encapsulation;
	uint32_t csum6_rx;
	uint8_t lso_v1[16];
	uint8_t ipsec_v1[28];
	uint32_t lso4_encapsulation;
	uint32_t lso4_max_bytes;
	uint32_t lso4_min_segments;
	uint32_t lso6_encapsulation;
	uint32_t lso6_max_bytes;
	uint32_t lso6_min_segments;
	uint32_t lso6_options;
	uint8_t flags;
	uint8_t reserved[3];
	uint8_t ipsec_v2[32]; /* from revision 2 */
	uint8_t rsc4;         /* from revision 3 */
	uint8_t rsc6;
	uint8_t reserved_rsc[2];
	uint32_t gre_flags;
	uint32_t gre_max_header_bytes;
} _wire_;
WIRE_SIZE(struct ndis_offload, NDIS_OFFLOAD_BYTES_6_30);
WIRE_OFFSET(struct ndis_offload, lso4_encapsulation, 80);
WIRE_OFFSET(struct ndis_offload, lso6_options, 104);
WIRE_OFFSET(struct ndis_offload, ipsec_v2, NDIS_OFFLOAD_BYTES_6_0);
WIRE_OFFSET(struct ndis_offload, rsc4, NDIS_OFFLOAD_BYTES_6_1);
WIRE_OFFSET(struct ndis_offload, gre_flags, 148);

#define NDIS_STATISTICS_REVISION 1

/* The value of OID_GEN_STATISTICS. */
struct ndis_statistics {
	struct ndis_object_header header; /* NDIS_OBJECT_DEFAULT */
	uint32_t supported;               /* NDIS_STATISTICS_* */
	uint64_t rx_discards;
	uint64_t rx_errors;
	uint64_t rx_bytes;
	uint64_t rx_unicast_frames;
	uint64_t rx_multicast_frames;
	uint64_t rx_broadcast_frames;
	uint64_t tx_bytes;
	uint64_t tx_unicast_frames;
	uint64_t tx_multicast_frames;
	uint64_t tx_broadcast_frames;
	uint64_t tx_errors;
	uint64_t tx_discards;
	uint64_t rx_unicast_bytes;
	uint64_t rx_multicast_bytes;
	uint64_t rx_broadcast_bytes;
	uint64_t tx_unicast_bytes;
	uint64_t tx_multicast_bytes;
	uint64_t tx_broadcast_bytes;
} _wire_;
WIRE_SIZE(struct ndis_statistics, 152);
WIRE_OFFSET(struct ndis_statistics, tx_discards, 96);
#define NDIS_STATISTICS_ALL 0x3FFFFU /* a bit for each counter */

/* Values of the checksum fields, and of the LSO and RSC fields, of ndis_offload_params. */
#define NDIS_OFFLOAD_NO_CHANGE 0
#define NDIS_CSUM_OFF          1
#define NDIS_CSUM_TX           2
#define NDIS_CSUM_RX           3
#define NDIS_CSUM_BOTH         4
#define NDIS_SEGMENT_OFF       1
#define NDIS_SEGMENT_ON        2

/* Guests of NVSP up to 4 send only the first NDIS_OFFLOAD_PARAMS_MIN_BYTES. */
#define NDIS_OFFLOAD_PARAMS_MIN_BYTES 22

struct ndis_offload_params {
	struct ndis_object_header header;
	uint8_t ip4_csum;
	uint8_t tcp4_csum;
	uint8_t udp4_csum;
	uint8_t tcp6_csum;
	uint8_t udp6_csum;
	uint8_t lso_v1;
	uint8_t ipsec_v1;
	uint8_t lso4;
	uint8_t lso6;
	uint8_t tcp_connection4;
	uint8_t tcp_connection6;
	uint8_t reserved;
	uint32_t flags;
	uint8_t ipsec_v2;
	uint8_t ipsec_v2_ip4;
	uint8_t rsc4;
	uint8_t rsc6;
	uint8_t encapsulated_task;
	uint8_t encapsulation_types;
	uint8_t reserved_end[2];
} _wire_;
WIRE_SIZE(struct ndis_offload_params, 28);
WIRE_OFFSET(struct ndis_offload_params, lso4, 11);
WIRE_OFFSET(struct ndis_offload_params, flags, 16);
WIRE_OFFSET(struct ndis_offload_params, rsc4, NDIS_OFFLOAD_PARAMS_MIN_BYTES);

#define NDIS_RSS_CAPS_REVISION 2
#define NDIS_RSS_CAPS_TOEPLITZ 0x0001U
#define NDIS_RSS_CAPS_TCP_IPV4 0x0100U /* not the numbers of NDIS_HASH_* */
#define NDIS_RSS_CAPS_TCP_IPV6 0x0200U
#define NDIS_RSS_CAPS_UDP_IPV4 0x0800U
#define NDIS_RSS_CAPS_UDP_IPV6 0x1000U

struct ndis_rss_caps {
	struct ndis_object_header header;
	uint32_t capabilities;
	uint32_t n_messages;
	uint32_t n_receive_queues;
	uint16_t n_table_entries; /* revision 2 */
} _wire_;
WIRE_SIZE(struct ndis_rss_caps, 18);

#define NDIS_HASH_FUNCTION_MASK           0x0FFU
#define NDIS_HASH_TOEPLITZ                0x001U
#define NDIS_HASH_IPV4                    0x100U
#define NDIS_HASH_TCP_IPV4                0x200U
#define NDIS_HASH_IPV6                    0x400U
#define NDIS_HASH_TCP_IPV6                0x1000U
#define NDIS_HASH_UDP_IPV4                0x4000U
#define NDIS_HASH_UDP_IPV6                0x8000U
#define NDIS_RSS_FLAG_BASE_CPU_UNCHANGED  0x01U
#define NDIS_RSS_FLAG_HASH_INFO_UNCHANGED 0x02U
#define NDIS_RSS_FLAG_TABLE_UNCHANGED     0x04U
#define NDIS_RSS_FLAG_KEY_UNCHANGED       0x08U
#define NDIS_RSS_FLAG_DISABLE             0x10U
#define NDIS_RSS_TABLE_MAX_ENTRIES        128
#define NDIS_RSS_KEY_MAX_BYTES            40

/* Revision 1 ends before the processor masks. */
#define NDIS_RSS_PARAMS_MIN_BYTES 28

/* Followed by the table (u32 queue numbers) and the key, at these offsets from here. */
struct ndis_rss_params {
	struct ndis_object_header header;
	uint16_t flags;
	uint16_t base_cpu;
	uint32_t hash_information;
	uint16_t table_size; /* bytes */
	uint16_t reserved;
	uint32_t table_offset;
	uint16_t key_size;
	uint16_t reserved_key;
	uint32_t key_offset;
	uint8_t processor_masks[12];
} _wire_;
WIRE_SIZE(struct ndis_rss_params, 40);
WIRE_OFFSET(struct ndis_rss_params, table_offset, 16);
WIRE_OFFSET(struct ndis_rss_params, key_offset, 24);

/* Per-packet information: this header, then the data at `offset` from its start. `size` counts both
 * and must be exact, a multiple of 4 and never 0: guests walk the list by it. */
struct rndis_ppi {
	uint32_t size;
	uint32_t type; /* enum rndis_ppi_type, or'ed with RNDIS_PPI_INTERNAL */
	uint32_t offset;
} _wire_;
WIRE_SIZE(struct rndis_ppi, 12);

#define RNDIS_PPI_INTERNAL 0x80000000U

enum rndis_ppi_type {
	RNDIS_PPI_CHECKSUM = 0,
	RNDIS_PPI_IPSEC = 1,
	RNDIS_PPI_LSO = 2,
	RNDIS_PPI_CLASSIFICATION = 3,
	RNDIS_PPI_SG_LIST = 5,
	RNDIS_PPI_8021Q = 6,
	RNDIS_PPI_ORIGINAL_PACKET = 7,
	RNDIS_PPI_HASH_VALUE = 8,
	RNDIS_PPI_ORIGINAL_NBL = 9,
	RNDIS_PPI_CACHED_NBL = 10,
};

/* One u32 of data behind the header: checksum, LSO, 802.1Q, hash value. */
struct rndis_ppi_u32 {
	struct rndis_ppi header;
	uint32_t value;
} _wire_;
WIRE_SIZE(struct rndis_ppi_u32, 16);

/* Checksum value towards the host. */
#define RNDIS_TXCSUM_IPV4             (1U << 0)
#define RNDIS_TXCSUM_IPV6             (1U << 1)
#define RNDIS_TXCSUM_TCP              (1U << 2)
#define RNDIS_TXCSUM_UDP              (1U << 3)
#define RNDIS_TXCSUM_IP_HEADER        (1U << 4)
#define RNDIS_TXCSUM_TCP_OFFSET_SHIFT 16
#define RNDIS_TXCSUM_TCP_OFFSET_MASK  0x3FFU

/* Checksum value towards the guest. */
#define RNDIS_RXCSUM_TCP_FAILED        (1U << 0)
#define RNDIS_RXCSUM_UDP_FAILED        (1U << 1)
#define RNDIS_RXCSUM_IP_FAILED         (1U << 2)
#define RNDIS_RXCSUM_TCP_OK            (1U << 3)
#define RNDIS_RXCSUM_UDP_OK            (1U << 4)
#define RNDIS_RXCSUM_IP_OK             (1U << 5)
#define RNDIS_RXCSUM_LOOPBACK          (1U << 6)
#define RNDIS_RXCSUM_TCP_VALUE_INVALID (1U << 7)
#define RNDIS_RXCSUM_IP_VALUE_INVALID  (1U << 8)

/* Large send offload, version 2. The guest leaves the IPv4 total length (IPv6 payload length) and
 * the IPv4 header checksum 0, and the TCP pseudo-header checksum without the length. */
#define RNDIS_LSO_MSS_MASK         0xFFFFFU
#define RNDIS_LSO_TCP_OFFSET_SHIFT 20
#define RNDIS_LSO_TCP_OFFSET_MASK  0x3FFU
#define RNDIS_LSO_V2               (1U << 30)
#define RNDIS_LSO_IPV6             (1U << 31)

/* 802.1Q: not the order of the tag on a wire. */
#define RNDIS_8021Q_PRIORITY_MASK 0x7U
#define RNDIS_8021Q_CFI           (1U << 3)
#define RNDIS_8021Q_VID_SHIFT     4
#define RNDIS_8021Q_VID_MASK      0xFFFU

/* RNDIS_PPI_INTERNAL | 1: which frame of a coalesced packet this is. */
#define RNDIS_PPI_PACKET_ID (RNDIS_PPI_INTERNAL | 1U)

struct rndis_packet_id {
	uint8_t version;
	uint8_t flags; /* RNDIS_PACKET_ID_* */
	uint16_t id;
} _wire_;
WIRE_SIZE(struct rndis_packet_id, 4);
#define RNDIS_PACKET_ID_SUB_ALLOC  (1U << 0)
#define RNDIS_PACKET_ID_FIRST_FRAG (1U << 1)
#define RNDIS_PACKET_ID_LAST_FRAG  (1U << 2)
#define RNDIS_PACKET_ID_VERSION    1

#endif
