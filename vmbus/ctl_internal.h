/* SPDX-License-Identifier: MIT
 *
 * ctl_internal.h - what the files of the control plane share: its object, its table and the
 * handlers the table names.
 */
#ifndef VIADUCT_VMBUS_CTL_INTERNAL_H
#define VIADUCT_VMBUS_CTL_INTERNAL_H

#include "vmbus/ctl.h"

enum ctl_connection_state {
	CTL_DISCONNECTED,
	CTL_CONNECTED,
};

/* Room that is spare whenever the bus does not handle a message: an offer of a sub-channel and a
 * rescind a channel, so that offering them and revoking need not ask for any. */
#define CTL_QUEUE_SPARE(n_channels) (2 * (size_t)(n_channels))

/* Grows only in ctl_queue_reserve(). */
struct ctl_queue {
	struct ctl_message *slots;
	size_t first, n_used, n_slots;
};

struct ctl {
	const struct ctl_ops *ops;
	void *host;

	enum ctl_connection_state state;
	uint32_t version;    /* 0 when disconnected */
	uint32_t message_vp; /* where answers go; stays after UNLOAD for its answer */
	bool offers_sent;

	struct list channels;
	unsigned n_channels;
	struct ctl_channel *by_relid[VMBUS_MAX_RELID + 1];

	struct list assembling; /* struct ctl_gpadl */
	unsigned n_assembling;
	unsigned n_gpadls;
	uint32_t n_pfns;

	struct ctl_queue queue;
	uint64_t n_messages_in, n_messages_out, n_protocol_errors;
	const char *last_error; /* static text */
};

/* The message table. */
struct ctl_row {
	uint32_t type;
	const char *name;
	uint16_t min_bytes;
	uint32_t min_version; /* of the connection; 0: any */
	unsigned states;      /* bits 1 << enum ctl_connection_state */
	bool resets;          /* drops the queue of a connected guest: never pushed back then */
	void (*handle)(struct ctl *ctl, const void *message, size_t size_bytes);
};

extern const struct ctl_row ctl_table[];
extern const size_t ctl_table_len;

const struct ctl_row *ctl_table_find(uint32_t type);

void ctl_handle_initiate_contact(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_request_offers(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_unload(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_tl_connect(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_open(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_close(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_modify(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_relid_released(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_gpadl_header(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_gpadl_body(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_handle_gpadl_teardown(struct ctl *ctl, const void *message, size_t size_bytes);

/* ctl.c */
bool ctl_version_supported(uint32_t version);
/* The guest did what it may not; `why` is static text. */
void ctl_error(struct ctl *ctl, const char *why);
/* Have room for `n` messages more. */
int ctl_queue_reserve(struct ctl *ctl, size_t n);
/* Room is there: queue a message to the guest's message VP. */
void ctl_send(struct ctl *ctl, const void *message, size_t size_bytes);
void ctl_send_plain(struct ctl *ctl, enum vmbus_msg_type type);

/* ctl_channel.c */
struct ctl_channel *ctl_channel_by_relid(const struct ctl *ctl, uint32_t relid);
/* The primary channel of these that is ours. */
struct ctl_channel *ctl_channel_by_guids(const struct ctl *ctl, const struct vmbus_offer *offer);
/* Memory and a place in the order, before that node; NULL: too many, or no memory. */
struct ctl_channel *ctl_channel_insert(
	struct ctl *ctl, const struct vmbus_offer *offer, struct list *before);
void ctl_channel_free(struct ctl *ctl, struct ctl_channel *channel);
void ctl_channel_free_gpadls(struct ctl *ctl, struct ctl_channel *channel);
void ctl_channel_set_relid(struct ctl *ctl, struct ctl_channel *channel, uint32_t relid);
/* Does `open` describe two rings in a GPADL of this channel? */
bool ctl_open_is_valid(const struct ctl_channel *channel, const struct ctl_open *open);
/* No longer OPEN, and nothing else. */
void ctl_channel_shut(struct ctl *ctl, struct ctl_channel *channel);
/* No longer OPEN, its sub-channels rescinded. */
void ctl_channel_close(struct ctl *ctl, struct ctl_channel *channel);
/* Shut before: UNOFFERED again, nothing of the guest's left; freed when it is nobody's. */
void ctl_channel_reset(struct ctl *ctl, struct ctl_channel *channel);

/* ctl_offer.c */
int ctl_offer_compare(const struct vmbus_offer *a, const struct vmbus_offer *b);
/* The order of channels: class, instance, index. */
int ctl_channel_compare(const struct ctl_channel *channel, const struct vmbus_offer *offer,
	uint16_t sub_channel_index);
/* Is it time to offer it? */
bool ctl_channel_is_due(const struct ctl *ctl, const struct ctl_channel *channel);
void ctl_channel_offer_due(struct ctl *ctl);
/* They are dormant, those that were offered as soon as the guest releases them. */
void ctl_subchannels_rescind(struct ctl *ctl, struct ctl_channel *primary);

/* ctl_gpadl.c */
/* A GPADL without its range list yet. NULL: its id is in use, a limit, or no memory. */
struct ctl_gpadl *ctl_gpadl_add(
	struct ctl *ctl, struct ctl_channel *channel, uint32_t gpadl_id, uint16_t n_ranges);
/* The same, under assembly: what is to come will name it by its id alone. */
struct ctl_gpadl *ctl_gpadl_begin(
	struct ctl *ctl, struct ctl_channel *channel, uint32_t gpadl_id, uint16_t n_ranges);
/* Take words of the range list, no more than are missing. 0, -EINVAL (a range of nothing), -E2BIG,
 * -ENOMEM. */
int ctl_gpadl_feed(struct ctl *ctl, struct ctl_gpadl *gpadl, const uint8_t *words, size_t n_words);
bool ctl_gpadl_is_complete(const struct ctl_gpadl *gpadl);
/* Complete: hand it to the host. */
int ctl_gpadl_finish(struct ctl *ctl, struct ctl_gpadl *gpadl);
/* In whatever state it is. */
void ctl_gpadl_free(struct ctl *ctl, struct ctl_gpadl *gpadl);

#endif
