/* SPDX-License-Identifier: MIT
 *
 * fake_host.h - for tests of the VSC library: a host in the same process that can be told to
 * misbehave. It answers when it is called, so nothing runs beside the test; waiting moves its
 * clock. A GPA is an address of this process.
 */
#ifndef VIADUCT_TESTS_GUEST_FAKE_HOST_H
#define VIADUCT_TESTS_GUEST_FAKE_HOST_H

#include "vmbus/guest/vsc_bus.h"

#define FAKE_MAX_MESSAGES 64
#define FAKE_MAX_GPADLS   16
#define FAKE_MAX_PAGES    1024
#define FAKE_MAX_CHANNELS 4
#define FAKE_CONNECTION   0x2000 /* + relid */

struct fake_gpadl {
	uint32_t id; /* 0: free */
	uint32_t relid;
	uint32_t n_pages, n_known;
	uint64_t first_pfn;
};

struct fake_channel {
	uint32_t relid; /* 0: free */
	bool open;
	uint32_t gpadl_id;
	/* As the host sees them; the code of rings is the same for both sides. */
	struct vsc_ring in, out;
	/* The guest signalled: there may be packets in `in`. */
	void (*signalled)(struct fake_channel *channel, void *device);
	void *device;
};

struct fake_host {
	struct vsc_bus bus; /* the guest's */

	/* What the host puts up with. */
	uint32_t newest_version; /* larger ones are refused in the answer */
	bool no_connection_4;    /* and by status */
	unsigned n_busy;         /* so many posts get "insufficient buffers" */
	bool refuse_gpadls, refuse_opens, mute;
	uint32_t message_connection_id;

	struct hv_message messages[FAKE_MAX_MESSAGES];
	size_t n_messages;
	struct fake_gpadl gpadls[FAKE_MAX_GPADLS];
	struct fake_channel channels[FAKE_MAX_CHANNELS];
	uint64_t events[2048 / 64];
	uint64_t now_ns;
	unsigned n_contacts, n_unloads, n_relids_released, n_signals, n_errors;
};

extern const struct vsc_host_ops fake_host_ops;

struct fake_host *fake_host_new(void);
/* Connected, with all offers delivered. */
struct fake_host *fake_host_connected(void);
void fake_host_free(struct fake_host *host);

/* A channel to be offered, before or after the guest asked for offers. */
struct fake_channel *fake_host_add_channel(
	struct fake_host *host, uint32_t relid, const uint8_t class_guid[VMBUS_GUID_BYTES]);
void fake_host_offer(
	struct fake_host *host, uint32_t relid, const uint8_t class_guid[VMBUS_GUID_BYTES]);
void fake_host_rescind(struct fake_host *host, uint32_t relid);
/* Any message, of any size. */
void fake_host_message(struct fake_host *host, const void *payload, size_t size_bytes);
/* Set the channel's event flag. */
void fake_host_signal(struct fake_host *host, const struct fake_channel *channel);
/* NULL: no such GPADL, or not all of its pages are known. */
void *fake_host_gpadl(struct fake_host *host, uint32_t id, uint32_t *ret_size_bytes);

#endif
