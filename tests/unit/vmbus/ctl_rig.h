/* SPDX-License-Identifier: MIT
 *
 * ctl_rig.h - a control plane with a recording host behind it, and the guest's messages as
 * functions.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_CTL_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_CTL_RIG_H

#include "vmbus/ctl_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct ctl_rig {
	struct ctl *ctl;
	int refuse_open;  /* what channel_open() returns */
	int refuse_gpadl; /* what gpadl_created() returns */
	unsigned n_open, n_close, n_retarget, n_created, n_gone, n_restored;
	struct ctl_channel *last_open, *last_close;
};

void rig_init(struct ctl_rig *rig);
void rig_fini(struct ctl_rig *rig);

/* An offer whose class and instance are filled with these bytes. */
struct vmbus_offer rig_offer(uint8_t class_byte, uint8_t instance_byte);
struct ctl_channel *rig_add(struct ctl_rig *rig, uint8_t class_byte, uint8_t instance_byte);

/* The guest's side; each returns the hypercall's status. */
uint16_t rig_send(struct ctl_rig *rig, const void *message, size_t size_bytes);
uint16_t rig_contact(struct ctl_rig *rig, uint32_t version);
uint16_t rig_plain(struct ctl_rig *rig, uint32_t type);
uint16_t rig_relid(struct ctl_rig *rig, uint32_t type, uint32_t relid);
uint16_t rig_open(struct ctl_rig *rig, uint32_t relid, uint32_t ring_gpadl_id,
	uint32_t downstream_page_offset);
uint16_t rig_teardown(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id);
uint16_t rig_modify(struct ctl_rig *rig, uint32_t relid, uint32_t target_vp);
/* A header of one range with the first `n_now` PFNs, 100, 101... */
uint16_t rig_gpadl_header(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id,
	uint32_t byte_count, uint32_t byte_offset, unsigned n_now);
/* A body of `n` PFNs, `first`, first + 1... */
uint16_t rig_gpadl_body(struct ctl_rig *rig, uint32_t gpadl_id, uint64_t first, unsigned n);

/* The guest takes a message: it must be of this type and as large as `size_bytes`. */
void rig_expect(struct ctl_rig *rig, uint32_t type, void *ret_message, size_t size_bytes);
void rig_expect_nothing(struct ctl_rig *rig);
void rig_drop_messages(struct ctl_rig *rig);

/* Shortcuts that check every answer on the way. */
void rig_connect(struct ctl_rig *rig, uint32_t version);
void rig_connect_with_offers(struct ctl_rig *rig, uint32_t version);
/* A GPADL of whole pages, with as many bodies as it needs. */
void rig_make_gpadl(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id, unsigned n_pages);
/* GPADL of 8 pages, downstream at 4, and an open channel. */
void rig_make_open(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id);

uint64_t rig_errors(const struct ctl_rig *rig);

#endif
