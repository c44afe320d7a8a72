/* SPDX-License-Identifier: MIT
 *
 * fake_guest.h - a guest of the bus inside the test's own process: memory, one message slot, event
 * flags of a few VPs, doorbells, and a bus driver that does what Linux does. All waits are bounded
 * and wait for the host's signals only: a signal the host owes and does not send fails the test.
 *
 * Threads: the guest's functions on one thread at a time; several channels may have a thread each
 * for fake_channel_*().
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_FAKE_GUEST_H
#define VIADUCT_TESTS_UNIT_VMBUS_FAKE_GUEST_H

#include "base/unit.h"
#include "guest_ring.h"
#include "vmbus/channel.h"
#include "vmbus/proto/vmbus_msg.h"

#include <pthread.h>

#define FAKE_N_VPS         4
#define FAKE_MAX_DOORBELLS 16

struct fake_doorbell {
	uint32_t connection_id; /* 0: none */
	int fd;
};

struct fake_guest {
	struct guest_memory memory;
	uint32_t n_pages_used;
	struct vmbus *bus;
	struct unit_registry *units;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool slot_used;
	uint32_t slot_vp;
	size_t slot_bytes;
	uint8_t slot[VMBUS_MSG_MAX_BYTES];
	bool deaf; /* the host cannot post at all */
	uint64_t flags[FAKE_N_VPS][(VMBUS_MAX_RELID + 64) / 64];
	uint64_t flags_ever[FAKE_N_VPS][(VMBUS_MAX_RELID + 64) / 64]; /* never cleared */
	unsigned n_signals[FAKE_N_VPS];
	/* Called once by the next signal, on the worker, and then forgotten. */
	void (*next_signal)(void *data);
	void *next_signal_data;
	struct fake_doorbell doorbells[FAKE_MAX_DOORBELLS];
};

void fake_guest_init(struct fake_guest *guest, uint32_t n_pages);
void fake_guest_fini(struct fake_guest *guest);
/* A new bus on the same memory, not started; the old one must be gone. */
void fake_guest_new_bus(struct fake_guest *guest);
void fake_guest_free_bus(struct fake_guest *guest);
void fake_guest_start(struct fake_guest *guest);
void fake_guest_stop(struct fake_guest *guest);

uint16_t fake_guest_post(struct fake_guest *guest, const void *message, size_t size_bytes);
/* Wait for the next message, which must be of this type and size; frees the slot. */
void fake_guest_take(struct fake_guest *guest, uint32_t type, void *ret_message, size_t size_bytes);
void fake_guest_connect(struct fake_guest *guest, uint32_t version);
/* Returns how many; at most `max` are written. */
unsigned fake_guest_request_offers(
	struct fake_guest *guest, struct vmbus_msg_offer_channel *ret_offers, unsigned max);
void fake_guest_unload(struct fake_guest *guest);

/* Pages nobody used yet; the first of them. */
uint32_t fake_guest_alloc(struct fake_guest *guest, uint32_t n_pages);
/* pages[i]: page numbers of the memory. Returns the status of GPADL_CREATED. */
uint32_t fake_guest_make_gpadl(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id,
	const uint32_t *pages, uint32_t n_pages);
void fake_guest_teardown_gpadl(struct fake_guest *guest, uint32_t relid, uint32_t gpadl_id);

struct fake_channel {
	struct fake_guest *guest;
	uint32_t relid;
	uint32_t connection_id;
	uint32_t gpadl_id;
	uint32_t target_vp;
	uint32_t n_ring_pages; /* each way */
	bool no_completions;   /* send packets that do not ask for one */
	struct guest_ring to_host, from_host;
};

struct fake_open {
	uint32_t gpadl_id;
	uint32_t n_ring_pages;
	uint32_t target_vp;
	bool scattered; /* no two pages of the rings are neighbours */
};

/* Makes rings and opens. Returns the status of OPENCHANNEL_RESULT. */
uint32_t fake_channel_open(struct fake_guest *guest, const struct vmbus_msg_offer_channel *offer,
	const struct fake_open *how, struct fake_channel *ret_channel);
/* Open it again on the rings it has. */
uint32_t fake_channel_reopen(struct fake_channel *channel);
void fake_channel_close(struct fake_channel *channel);

/* False: no room now. Rings the doorbell when the rules say so. */
bool fake_channel_try_send(struct fake_channel *channel, uint16_t type, uint64_t transaction_id,
	const void *header, size_t header_bytes, const void *payload, size_t payload_bytes);
/* Send, waiting for room as a guest does that sets pending_send_sz. */
void fake_channel_send(struct fake_channel *channel, uint64_t transaction_id, const void *payload,
	size_t payload_bytes);
/* 0: nothing there. */
int fake_channel_try_recv(struct fake_channel *channel, uint8_t *ret_packet, size_t capacity);
/* Wait for a packet; its length with the descriptor. */
int fake_channel_recv(struct fake_channel *channel, uint8_t *ret_packet, size_t capacity);
void fake_channel_ring_doorbell(struct fake_channel *channel);
/* Wait until the host signals the channel. */
void fake_channel_wait(struct fake_channel *channel);
unsigned fake_guest_n_signals(struct fake_guest *guest, uint32_t vp_index);
/* Did the host ever signal this channel on this VP? */
bool fake_guest_flag_was_set(struct fake_guest *guest, uint32_t vp_index, uint32_t relid);

#endif
