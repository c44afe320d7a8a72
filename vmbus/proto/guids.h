/* SPDX-License-Identifier: MIT
 *
 * guids.h - the device classes of the VMBus, and the instances of those there is one of, as they
 * travel: mixed-endian, the first three fields little-endian, the last eight bytes in order. Each
 * macro is the initialiser of a uint8_t[16].
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
/* 2f9bcc4a-0069-4af3-b76b-6fd0be528cda */
#define VMBUS_GUID_FC                                                                              \
	VMBUS_GUID(0x2f9bcc4a, 0x0069, 0x4af3, 0xb7, 0x6b, 0x6f, 0xd0, 0xbe, 0x52, 0x8c, 0xda)
/* 34d14be3-dee4-41c8-9ae7-6b174977c192 */
#define VMBUS_GUID_FCOPY                                                                           \
	VMBUS_GUID(0x34d14be3, 0xdee4, 0x41c8, 0x9a, 0xe7, 0x6b, 0x17, 0x49, 0x77, 0xc1, 0x92)
/* 525074dc-8985-46e2-8057-a307dc18a502 */
#define VMBUS_GUID_DYNAMIC_MEMORY                                                                  \
	VMBUS_GUID(0x525074dc, 0x8985, 0x46e2, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02)
/* 44c4f61d-4444-4400-9d52-802e27ede19f */
#define VMBUS_GUID_PCI                                                                             \
	VMBUS_GUID(0x44c4f61d, 0x4444, 0x4400, 0x9d, 0x52, 0x80, 0x2e, 0x27, 0xed, 0xe1, 0x9f)

/* The instances that Hyper-V offers once in every partition. NICs and storage controllers have an
 * instance of their own each. */

/* 5620e0c7-8062-4dce-aeb7-520c7ef76171 */
#define VMBUS_INSTANCE_VIDEO                                                                       \
	VMBUS_GUID(0x5620e0c7, 0x8062, 0x4dce, 0xae, 0xb7, 0x52, 0x0c, 0x7e, 0xf7, 0x61, 0x71)
/* 58f75a6d-d949-4320-99e1-a2a2576d581c */
#define VMBUS_INSTANCE_MOUSE                                                                       \
	VMBUS_GUID(0x58f75a6d, 0xd949, 0x4320, 0x99, 0xe1, 0xa2, 0xa2, 0x57, 0x6d, 0x58, 0x1c)
/* d34b2567-b9b6-42b9-8778-0a4ec0b955bf */
#define VMBUS_INSTANCE_KEYBOARD                                                                    \
	VMBUS_GUID(0xd34b2567, 0xb9b6, 0x42b9, 0x87, 0x78, 0x0a, 0x4e, 0xc0, 0xb9, 0x55, 0xbf)
/* fd149e91-82e0-4a7d-afa6-2a4166cbd7c0 */
#define VMBUS_INSTANCE_HEARTBEAT                                                                   \
	VMBUS_GUID(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0)
/* 242ff919-07db-4180-9c2e-b86cb68c8c55 */
#define VMBUS_INSTANCE_KVP                                                                         \
	VMBUS_GUID(0x242ff919, 0x07db, 0x4180, 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55)
/* b6650ff7-33bc-4840-8048-e0676786f393 */
#define VMBUS_INSTANCE_SHUTDOWN                                                                    \
	VMBUS_GUID(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93)
/* 2dd1ce17-079e-403c-b352-a1921ee207ee */
#define VMBUS_INSTANCE_TIMESYNC                                                                    \
	VMBUS_GUID(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee)
/* 2450ee40-33bf-4fbd-892e-9fb06e9214cf */
#define VMBUS_INSTANCE_VSS                                                                         \
	VMBUS_GUID(0x2450ee40, 0x33bf, 0x4fbd, 0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf)
/* eb765408-105f-49b6-b4aa-c123b64d17d4 */
#define VMBUS_INSTANCE_FCOPY                                                                       \
	VMBUS_GUID(0xeb765408, 0x105f, 0x49b6, 0xb4, 0xaa, 0xc1, 0x23, 0xb6, 0x4d, 0x17, 0xd4)
/* 1eccfd72-4b41-45ef-b73a-4a6e44c12924 */
#define VMBUS_INSTANCE_DYNAMIC_MEMORY                                                              \
	VMBUS_GUID(0x1eccfd72, 0x4b41, 0x45ef, 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24)

#endif
