/* SPDX-License-Identifier: MIT
 *
 * egress.h - sending, as one thread does it in a turn of a port: to whichever ports of that port's
 * switch, under their locks, with one flush for each at the end.
 *
 * The lock of a port is held on to until another port's is needed. So a batch that goes to one port
 * takes it once, and as never two are held, no order among ports matters.
 *
 * A port whose I/O turns out to be beyond use is shut when the turn ends.
 *
 * Threads: one owner; several may send to the same ports.
 */
#ifndef VIADUCT_FABRIC_EGRESS_H
#define VIADUCT_FABRIC_EGRESS_H

#include "base/bitmap.h"
#include "fabric/switch.h"

#define EGRESS_MAX_UNKICKED 32

typedef void (*egress_shut_fn)(struct vport *port, void *data);

struct egress {
	struct vswitch *sw;
	struct vport *held; /* whose lock we have, or NULL */
	uint64_t unflushed[BITMAP_WORDS(FWD_MAX_PORTS)];
	uint64_t failed[BITMAP_WORDS(FWD_MAX_PORTS)];
	unsigned n_unkicked;
	struct io *unkicked[EGRESS_MAX_UNKICKED];
	uint64_t link_bytes; /* sent to the uplink in this turn, taken by it or not */
	uint32_t scratch_used_bytes;
	uint8_t *scratch; /* segments wait here until they are flushed */
	uint8_t *whole;   /* a super-frame, while it is cut */
};

int egress_init(struct egress *egress); /* -ENOMEM */
void egress_fini(struct egress *egress);

/* A turn: `sw` is locked for reading from here on... */
void egress_begin(struct egress *egress, struct vswitch *sw);
/* ... until here; everything is flushed, and ports that failed are shut and told. */
void egress_end(struct egress *egress, egress_shut_fn on_shut, void *data);

/* Wake those that were sent something in the turns since the last time. */
void egress_kick(struct egress *egress);

/* Within a turn: hold the lock of `port` and of no other; let go of the one that is held. */
void egress_hold(struct egress *egress, struct vport *port);
/* Within a turn: lock the switch for writing instead of reading, and back. No lock of a port is
 * held afterwards; meanwhile others may have changed what they may change under that lock. */
void egress_begin_write(struct egress *egress);
void egress_end_write(struct egress *egress);

/* Send `frame`, which is in normal form, by `to`; its bytes last until egress_end(). What the port
 * cannot take whole is cut up. */
void egress_send(
	struct egress *egress, struct vport *to, struct frame *frame, bool tagged, uint16_t tci);
/* The port is beyond use. */
void egress_fail(struct egress *egress, const struct vport *port);
/* Its frames are recorded if somebody asked for that; the lock of `port` is held. */
void egress_record(struct vport *port, enum capture_direction direction, const struct iovec *iov,
	unsigned n_iov);

#endif
