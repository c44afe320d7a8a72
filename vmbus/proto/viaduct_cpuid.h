/* SPDX-License-Identifier: MIT
 *
 * viaduct_cpuid.h - what a Viaduct partition offers beyond the Hyper-V interface, found by CPUID in
 *a leaf group of its own, behind the group at 0x40000000.
 *
 * The doorbell: HvSignalEvent without the hypercall page. Writing a connection id (flag number 0)
 *to the doorbell port, as one 32-bit OUT, rings that connection. It works at any privilege level
 *that the guest's IOPL or I/O permission map lets reach the port, so a ring-3 driver rings at the
 *price of one intercept that never leaves the kernel:
 *
 *	xor %ecx, %ecx		ECX = HV_STATUS_SUCCESS
 *	out %eax, %dx		EAX = connection id, DX = port
 *
 * Afterwards ECX is an enum hv_status: untouched when a doorbell took the signal, otherwise RCX is
 *set to the status (HV_STATUS_INVALID_CONNECTION_ID for an unknown connection). RCX must therefore
 *count as clobbered. The hypercall page's own fast path is made of the same instructions.
 *
 * Freestanding, usable from assembly: constants only.
 */
#ifndef VIADUCT_VMBUS_PROTO_VIADUCT_CPUID_H
#define VIADUCT_VMBUS_PROTO_VIADUCT_CPUID_H

/* EAX: highest leaf of the group; EBX, ECX, EDX: "ViaductFabrc". */
#define VIADUCT_CPUID_SIGNATURE     0x40000100
#define VIADUCT_CPUID_SIGNATURE_EBX 0x64616956 /* "Viad" */
#define VIADUCT_CPUID_SIGNATURE_ECX 0x46746375 /* "uctF" */
#define VIADUCT_CPUID_SIGNATURE_EDX 0x63726261 /* "abrc" */

/* EAX: I/O port of the doorbell; EBX, ECX, EDX reserved, 0. */
#define VIADUCT_CPUID_DOORBELL 0x40000101

#define VIADUCT_CPUID_MAX_LEAF VIADUCT_CPUID_DOORBELL

/* What VIADUCT_CPUID_DOORBELL says today, for tests; guests ask. */
#define VIADUCT_DOORBELL_PORT 0xe5

#endif
