/* SPDX-License-Identifier: MIT
 *
 * synthinput.h - wire formats of the synthetic keyboard (no pipe header) and of the synthetic mouse
 * (behind the pipe header, vmbus/proto/pipe.h).
 *
 * Sources: linux drivers/input/serio/hyperv-keyboard.c, drivers/hid/hid-hyperv.c; openvmm
 * vm/devices/uidevices/src/{keyboard,mouse}.
 *
 * Freestanding: shared by the host's VSPs, tests and fuzz targets.
 */
#ifndef VIADUCT_VMBUS_PROTO_SYNTHINPUT_H
#define VIADUCT_VMBUS_PROTO_SYNTHINPUT_H

#include "vmbus/proto/wire.h"

/* Keyboard. */

#define SYNTHKBD_VERSION 0x00010000U /* 1.0 */

enum synthkbd_message_type {
	SYNTHKBD_PROTOCOL_REQUEST = 1,
	SYNTHKBD_PROTOCOL_RESPONSE = 2, /* host */
	SYNTHKBD_EVENT = 3,             /* host */
	SYNTHKBD_SET_LEDS = 4,
};

struct synthkbd_protocol_request {
	uint32_t type;
	uint32_t version;
} _wire_;
WIRE_SIZE(struct synthkbd_protocol_request, 8);

#define SYNTHKBD_ACCEPTED 0x1U

struct synthkbd_protocol_response {
	uint32_t type;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct synthkbd_protocol_response, 8);

#define SYNTHKBD_UNICODE 0x1U /* make_code is a UTF-16 unit */
#define SYNTHKBD_BREAK   0x2U
#define SYNTHKBD_E0      0x4U
#define SYNTHKBD_E1      0x8U

struct synthkbd_event {
	uint32_t type;
	uint16_t make_code;
	uint16_t reserved;
	uint32_t info;
} _wire_;
WIRE_SIZE(struct synthkbd_event, 12);

struct synthkbd_set_leds {
	uint32_t type;
	uint32_t leds; /* bit 0 scroll lock, 1 num lock, 2 caps lock */
} _wire_;
WIRE_SIZE(struct synthkbd_set_leds, 8);

/* Mouse. */

#define SYNTHMOUSE_VERSION 0x00020000U /* 2.0 */

enum synthmouse_message_type {
	SYNTHMOUSE_PROTOCOL_REQUEST = 0,
	SYNTHMOUSE_PROTOCOL_RESPONSE = 1, /* host */
	SYNTHMOUSE_DEVICE_INFO = 2,       /* host, right behind an accepting response */
	SYNTHMOUSE_DEVICE_INFO_ACK = 3,
	SYNTHMOUSE_INPUT_REPORT = 4, /* host */
};

struct synthmouse_header {
	uint32_t type;
	uint32_t size; /* without the header; guests take it for the report's size only */
} _wire_;
WIRE_SIZE(struct synthmouse_header, 8);

struct synthmouse_protocol_request {
	struct synthmouse_header header;
	uint32_t version;
} _wire_;
WIRE_SIZE(struct synthmouse_protocol_request, 12);

struct synthmouse_protocol_response {
	struct synthmouse_header header;
	uint32_t version;
	uint8_t approved;
} _wire_;
WIRE_SIZE(struct synthmouse_protocol_response, 13);

struct synthmouse_attributes {
	uint32_t size; /* of this */
	uint16_t vendor, product, version;
	uint16_t reserved[11];
} _wire_;
WIRE_SIZE(struct synthmouse_attributes, 32);

/* USB HID 1.11, 6.2.1 */
struct synthmouse_hid_descriptor {
	uint8_t length;
	uint8_t type;
	uint16_t hid_version;
	uint8_t country;
	uint8_t n_descriptors;
	uint8_t report_type;
	uint16_t report_length;
} _wire_;
WIRE_SIZE(struct synthmouse_hid_descriptor, 9);

#define SYNTHMOUSE_REPORT_DESCRIPTOR_BYTES 67

struct synthmouse_device_info {
	struct synthmouse_header header;
	struct synthmouse_attributes attributes;
	struct synthmouse_hid_descriptor hid;
	uint8_t report_descriptor[SYNTHMOUSE_REPORT_DESCRIPTOR_BYTES];
} _wire_;
WIRE_SIZE(struct synthmouse_device_info, 116);

struct synthmouse_device_info_ack {
	struct synthmouse_header header;
	uint8_t reserved;
} _wire_;
WIRE_SIZE(struct synthmouse_device_info_ack, 9);

struct synthmouse_input_report {
	struct synthmouse_header header;
	uint8_t buttons; /* bit 0 left, 1 right, 2 middle, 3 and 4 more of them */
	uint16_t x, y;   /* 0..32767, absolute */
	int16_t wheel;   /* notches, up positive */
} _wire_;
WIRE_SIZE(struct synthmouse_input_report, 15);

#endif
