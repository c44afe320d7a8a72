/* SPDX-License-Identifier: MIT
 *
 * synthvid.h - wire format of the synthetic video protocol: what travels behind the pipe header
 * (vmbus/proto/pipe.h) on the video channel.
 *
 * Every message starts with a synthvid_header. Its size counts the header in some guests and does
 * not in others, and nobody looks at it: the pipe header says how long the message is.
 *
 * Sources: linux drivers/video/fbdev/hyperv_fb.c; openvmm vm/devices/uidevices/src/video.
 *
 * Freestanding: shared by the host's VSP, tests and fuzz targets.
 */
#ifndef VIADUCT_VMBUS_PROTO_SYNTHVID_H
#define VIADUCT_VMBUS_PROTO_SYNTHVID_H

#include "vmbus/proto/wire.h"

/* Versions, in order. */
#define SYNTHVID_VERSION(major, minor) ((uint32_t)(minor) << 16 | (uint32_t)(major))
#define SYNTHVID_VERSION_3_0           SYNTHVID_VERSION(3, 0)
#define SYNTHVID_VERSION_3_2           SYNTHVID_VERSION(3, 2)
#define SYNTHVID_VERSION_3_3           SYNTHVID_VERSION(3, 3)
#define SYNTHVID_VERSION_3_4           SYNTHVID_VERSION(3, 4)
#define SYNTHVID_VERSION_3_5           SYNTHVID_VERSION(3, 5)

enum synthvid_message_type {
	SYNTHVID_VERSION_REQUEST = 1,
	SYNTHVID_VERSION_RESPONSE = 2,
	SYNTHVID_VRAM_LOCATION = 3,
	SYNTHVID_VRAM_LOCATION_ACK = 4,
	SYNTHVID_SITUATION_UPDATE = 5,
	SYNTHVID_SITUATION_UPDATE_ACK = 6,
	SYNTHVID_POINTER_POSITION = 7,
	SYNTHVID_POINTER_SHAPE = 8,
	SYNTHVID_FEATURE_CHANGE = 9, /* host */
	SYNTHVID_DIRT = 10,
	SYNTHVID_BIOS_INFO_REQUEST = 11, /* version 3.3 */
	SYNTHVID_BIOS_INFO_RESPONSE = 12,
	SYNTHVID_RESOLUTION_REQUEST = 13, /* version 3.4 */
	SYNTHVID_RESOLUTION_RESPONSE = 14,
	SYNTHVID_CAPABILITY_REQUEST = 15, /* version 3.5 */
	SYNTHVID_CAPABILITY_RESPONSE = 16,
};

struct synthvid_header {
	uint32_t type;
	uint32_t size;
} _wire_;
WIRE_SIZE(struct synthvid_header, 8);

struct synthvid_version_request {
	struct synthvid_header header;
	uint32_t version;
} _wire_;
WIRE_SIZE(struct synthvid_version_request, 12);

#define SYNTHVID_ACCEPTED 2 /* the version in the response is the host's */

struct synthvid_version_response {
	struct synthvid_header header;
	uint32_t version;
	uint8_t accepted; /* 0: no */
	uint8_t max_outputs;
} _wire_;
WIRE_SIZE(struct synthvid_version_response, 14);

struct synthvid_vram_location {
	struct synthvid_header header;
	uint64_t context;
	uint8_t is_specified;
	uint64_t address; /* guest-physical */
} _wire_;
WIRE_SIZE(struct synthvid_vram_location, 25);
WIRE_OFFSET(struct synthvid_vram_location, address, 17);

struct synthvid_output {
	uint8_t active;
	uint32_t vram_offset;
	uint8_t depth_bits;
	uint32_t width;
	uint32_t height;
	uint32_t pitch_bytes;
} _wire_;
WIRE_SIZE(struct synthvid_output, 18);

struct synthvid_situation_update {
	struct synthvid_header header;
	uint64_t context;
	uint8_t n_outputs; /* so many synthvid_output follow */
} _wire_;
WIRE_SIZE(struct synthvid_situation_update, 17);

/* VRAM_LOCATION_ACK, SITUATION_UPDATE_ACK */
struct synthvid_ack {
	struct synthvid_header header;
	uint64_t context; /* the request's */
} _wire_;
WIRE_SIZE(struct synthvid_ack, 16);

struct synthvid_pointer_position {
	struct synthvid_header header;
	uint8_t is_visible;
	uint8_t output;
	int32_t x, y;
} _wire_;
WIRE_SIZE(struct synthvid_pointer_position, 18);

#define SYNTHVID_POINTER_MAX 96 /* pixels, each way */

struct synthvid_pointer_shape {
	struct synthvid_header header;
	uint8_t part; /* from 0; 0xff: the last one, or the only */
	uint8_t is_argb;
	uint32_t width, height;
	uint32_t hot_x, hot_y;
	/* pixels follow */
} _wire_;
WIRE_SIZE(struct synthvid_pointer_shape, 26);

/* What the host wants to be told. */
struct synthvid_feature_change {
	struct synthvid_header header;
	uint8_t dirt;
	uint8_t pointer_position;
	uint8_t pointer_shape;
	uint8_t situation;
} _wire_;
WIRE_SIZE(struct synthvid_feature_change, 12);

struct synthvid_dirt_rect {
	int32_t x1, y1;
	int32_t x2, y2; /* exclusive */
} _wire_;
WIRE_SIZE(struct synthvid_dirt_rect, 16);

struct synthvid_dirt {
	struct synthvid_header header;
	uint8_t output;
	uint8_t n_rects; /* so many synthvid_dirt_rect follow */
} _wire_;
WIRE_SIZE(struct synthvid_dirt, 10);

struct synthvid_bios_info {
	struct synthvid_header header;
	uint32_t can_stop;
	uint8_t reserved[12];
} _wire_;
WIRE_SIZE(struct synthvid_bios_info, 24);

struct synthvid_resolution_request {
	struct synthvid_header header;
	uint8_t max_count;
} _wire_;
WIRE_SIZE(struct synthvid_resolution_request, 9);

#define SYNTHVID_EDID_BYTES      128
#define SYNTHVID_MAX_RESOLUTIONS 64

struct synthvid_resolution {
	uint16_t width, height;
} _wire_;
WIRE_SIZE(struct synthvid_resolution, 4);

struct synthvid_resolution_response {
	struct synthvid_header header;
	uint8_t edid[SYNTHVID_EDID_BYTES];
	uint8_t count; /* so many synthvid_resolution follow */
	uint8_t default_index;
	uint8_t is_standard;
} _wire_;
WIRE_SIZE(struct synthvid_resolution_response, 139);

struct synthvid_capability {
	struct synthvid_header header;
	uint32_t lock_on_disconnect;
	uint32_t reserved[15];
} _wire_;
WIRE_SIZE(struct synthvid_capability, 72);

#endif
