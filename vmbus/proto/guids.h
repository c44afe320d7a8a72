/* SPDX-License-Identifier: MIT
 *
 * guids.h - the device classes of the VMBus as they travel: mixed-endian, the first three fields
 * little-endian, the last eight bytes in order. Each macro is the initialiser of a uint8_t[16].
 *
 * Source: linux include/linux/hyperv.h, the HV_*_GUID table.
 */
#ifndef VIADUCT_VMBUS_PROTO_GUIDS_H
#define VIADUCT_VMBUS_PROTO_GUIDS_H

#include "vmbus/proto/wire.h"

#define VMBUS_GUID_BYTES 16

#define VMBUS_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                        \
	{                                                                                          \
		(uint8_t)(a), (uint8_t)((a) >> 8), (uint8_t)((a) >> 16), (uint8_t)((a) >> 24),     \
			(uint8_t)(b), (uint8_t)((b) >> 8), (uint8_t)(c), (uint8_t)((c) >> 8), d0,  \
			d1, d2, d3, d4, d5, d6, d7                                                 \
	}

/* f8615163-df3e-46c5-913f-f2d2f965ed0e */
#define VMBUS_GUID_NIC                                                                             \
	VMBUS_GUID(0xf8615163, 0xdf3e, 0x46c5, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e)
/* ba6163d9-04a1-4d29-b605-72e2ffb1dc7f */
#define VMBUS_GUID_SCSI                                                                            \
	VMBUS_GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f)
/* 32412632-86cb-44a2-9b5c-50d1417354f5 */
#define VMBUS_GUID_IDE                                                                             \
	VMBUS_GUID(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c, 0x50, 0xd1, 0x41, 0x73, 0x54, 0xf5)
/* da0a7802-e377-4aac-8e77-0558eb1073f8 */
#define VMBUS_GUID_VIDEO                                                                           \
	VMBUS_GUID(0xda0a7802, 0xe377, 0x4aac, 0x8e, 0x77, 0x05, 0x58, 0xeb, 0x10, 0x73, 0xf8)
/* cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a */
#define VMBUS_GUID_MOUSE                                                                           \
	VMBUS_GUID(0xcfa8b69e, 0x5b4a, 0x4cc0, 0xb9, 0x8b, 0x8b, 0xa1, 0xa1, 0xf3, 0xf9, 0x5a)
/* f912ad6d-2b17-48ea-bd65-f927a61c7684 */
#define VMBUS_GUID_KEYBOARD                                                                        \
	VMBUS_GUID(0xf912ad6d, 0x2b17, 0x48ea, 0xbd, 0x65, 0xf9, 0x27, 0xa6, 0x1c, 0x76, 0x84)
/* 57164f39-9115-4e78-ab55-382f3bd5422d */
#define VMBUS_GUID_HEARTBEAT                                                                       \
	VMBUS_GUID(0x57164f39, 0x9115, 0x4e78, 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d)
/* a9a0f4e7-5a45-4d96-b827-8a841e8c03e6 */
#define VMBUS_GUID_KVP                                                                             \
	VMBUS_GUID(0xa9a0f4e7, 0x5a45, 0x4d96, 0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6)
/* 0e0b6031-5213-4934-818b-38d90ced39db */
#define VMBUS_GUID_SHUTDOWN                                                                        \
	VMBUS_GUID(0x0e0b6031, 0x5213, 0x4934, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb)
/* 9527e630-d0ae-497b-adce-e80ab0175caf */
#define VMBUS_GUID_TIMESYNC                                                                        \
	VMBUS_GUID(0x9527e630, 0xd0ae, 0x497b, 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf)
/* 35fa2e29-ea23-4236-96ae-3a6ebacba440 */
#define VMBUS_GUID_VSS                                                                             \
	VMBUS_GUID(0x35fa2e29, 0xea23, 0x4236, 0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40)

#endif
