/* SPDX-License-Identifier: MIT
 *
 * rs_core.h - the replicated store as its own files see it: rs.c (inputs, dispatch), rs_sync.c (who
 * takes part, with which store), rs_version.c (which protocol they speak), rs_update.c (handing the
 * store over), rs_write.c (writes and their confirmation), rs_check.c (whether all have the same
 * store). The algorithm is in rs.h.
 */
#ifndef VIADUCT_CLUSTER_RS_CORE_H
#define VIADUCT_CLUSTER_RS_CORE_H

#include "base/list.h"
#include "cluster/rs.h"
#include "cluster/rs_wire.h"

struct rs_member {
	uint32_t id;
	bool is_silent;   /* did not answer in time; cleared by any message from it */
	bool is_outdated; /* cannot speak what the others do; cleared when it asks for a sync */
	uint16_t newest;  /* what it has said to speak; 0: nothing yet */
};

/* A participant of the epoch. */
struct rs_peer {
	uint32_t id;
	bool has_state;
	/* Has another store than the leader, and the others are a quorum: writes do not wait for it
	 * until it is ready. */
	bool is_behind;
	bool is_ready; /* has confirmed to have the epoch's store */
	uint64_t confirmed;
	/* What was done without it comes up to here. */
	uint64_t caught_up_at;
	bool has_checked; /* and this is what it has found */
	uint8_t checked[RS_DIGEST_BYTES];
	struct rs_hello hello;
	struct rs_state state;
};

enum rs_pending_state {
	RS_PENDING_QUEUED,   /* to be sent in the next epoch or when there is one */
	RS_PENDING_SENT,     /* not delivered yet */
	RS_PENDING_APPLIED,  /* outcome known, not confirmed by all */
	RS_PENDING_DOUBTFUL, /* delivered after its epoch ended here */
};

/* What may, and what cannot, have been applied by somebody. */
#define RS_PENDING_UNCERTAIN (1U << RS_PENDING_APPLIED | 1U << RS_PENDING_DOUBTFUL)
#define RS_PENDING_UNSENT    (1U << RS_PENDING_QUEUED)

/* Who is behind has all of an epoch's writes to catch up with: after so many, they wait for it. */
#define RS_AHEAD_MAX       16384
#define RS_AHEAD_MAX_BYTES (64U << 20)
/* More writes than this are never between the last one confirmed by all and the last one delivered.
 */
#define RS_CHAIN_LENGTH (RS_AHEAD_MAX + RS_MAX_MEMBERS * RS_MAX_WRITES)

struct rs_pending {
	struct list siblings;
	enum rs_pending_state state;
	uint64_t ticket;
	uint64_t expected;
	bool is_delete;
	bool was_sent; /* in whichever epoch: nobody can say any more that it did not happen */
	uint16_t key_len;
	uint32_t value_bytes;
	rs_done_fn done;
	void *data;
	int error; /* from here on: once applied */
	uint64_t version;
	uint64_t position; /* in the epoch; 0: of an earlier one */
	char bytes[];      /* key, value */
};

struct rs_replay {
	struct list siblings;
	uint32_t sender;
	size_t size_bytes;
	uint8_t bytes[];
};

struct rs {
	const struct rs_ops *ops;
	void *data;
	uint64_t silence_ns;
	size_t work_bytes;
	unsigned work_keys;
	uint64_t max_position; /* as configured; 0: what the protocol has room for */
	uint32_t local_id;
	uint32_t nonce;
	uint16_t oldest, newest; /* that we speak */
	uint16_t needed;         /* what the cluster speaks and we do not; RS_OUTDATED */
	struct store *store;
	struct rs_meta meta;
	struct rs_stats stats;
	struct buf out; /* scratch for one message; as large as the largest */

	enum rs_mode mode;
	uint64_t now_ns;
	uint64_t deadline_ns;
	struct rs_votes votes;
	struct rs_votes votes_sent; /* in the last STATE */
	struct rs_member members[RS_MAX_MEMBERS];
	size_t n_members;

	/* Sync. */
	uint64_t proposed;  /* highest generation we know to have been proposed */
	bool state_is_due;  /* our STATE waits: for the digest, for the disk */
	bool is_hashing;    /* for the digest */
	bool accepted;      /* what it will say */
	bool ask_is_due;    /* a sync that leaves us out: when all is saved, we ask for another */
	bool start_pending; /* our SYNC_START is on its way */
	bool asked;         /* we rely on the coordinator to start a sync */
	struct rs_epoch epoch; /* of the last SYNC_START in this membership */
	uint16_t protocol;     /* of the epoch, once it is decided */
	struct rs_peer peers[RS_MAX_MEMBERS];
	size_t n_peers;
	size_t leader; /* index into peers; valid in RS_UPDATE and RS_SYNCED */

	/* Hand-over of the store: what the leader sends, what others receive. */
	bool handover_done; /* nobody needed one, or UPDATE_COMPLETE was delivered */
	struct store_view *snapshot;
	size_t snapshot_at;        /* the next entry */
	struct buf snapshot_ahead; /* bytes of entries before it that are not sent */
	size_t snapshot_bytes, snapshot_sent_bytes;
	struct store *incoming; /* what has come, as far as it is whole entries */
	struct buf incoming_rest;
	size_t incoming_bytes;
	/* A store that was taken over is reported in pieces, and the one before it freed. */
	struct store *replaced;
	size_t replaced_at, reported_at;
	bool is_reporting;
	struct list replay; /* struct rs_replay */
	size_t replay_bytes;

	/* Writes of the epoch. */
	uint64_t delivered;
	uint64_t delivered_bytes; /* keys and values */
	uint32_t last_writer;
	uint64_t last_other; /* the last one that somebody else wrote */
	uint64_t applied;
	uint64_t *chain; /* RS_CHAIN_LENGTH, by number of writes delivered: hash over those */
	bool has_confirmed;
	uint64_t confirmed;  /* that we have said to have; valid if has_confirmed */
	uint64_t to_confirm; /* the last one that somebody else waits for */

	/* What is to be saved, and is, in the order of changes; see rs_mark(). In RS_SYNCED all
	 * that was applied in the epoch comes behind epoch_mark. */
	uint64_t mark, saved;
	uint64_t promise_mark;
	uint64_t epoch_mark;

	/* A check of everybody's store is under way; ours is not hashed yet. */
	bool is_checking;
	struct store_view *check_view;
	uint64_t check_position;
	uint64_t check_mark; /* our answer waits until that is saved; 0: no answer is due */
	uint8_t check_digest[RS_DIGEST_BYTES];

	struct list pending; /* struct rs_pending, by ticket */
	size_t n_pending;
	size_t pending_bytes;
	uint64_t last_ticket;
};

/* rs.c */
void rs_enter(struct rs *rs, enum rs_mode mode);
/* Somebody we wait for made progress. */
void rs_arm(struct rs *rs);
void rs_send(struct rs *rs, const struct rs_msg *msg);
struct rs_member *rs_member_find(const struct rs *rs, uint32_t id);
struct rs_peer *rs_peer_find(const struct rs *rs, uint32_t id);
/* It has the epoch's store, and all that was done before it counted. */
bool rs_peer_is_synced(const struct rs_peer *peer);
/* The epoch is over, for all of its members. */
void rs_epoch_leave(struct rs *rs);
/* Only this member cannot go on in it (no memory, a store that does not fit its digest): it stops
 * answering and asks for a sync after a while. */
void rs_withdraw(struct rs *rs);

/* Not to go on beside members whose protocol we do not know: that could split the store. */
void rs_refuse(struct rs *rs, uint16_t needed);

/* rs_version.c */
void rs_hello_send(struct rs *rs);
void rs_on_hello(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
/* All STATEs are here: which version the participants speak. False: some cannot take part, and are
 * marked. */
bool rs_version_settle(struct rs *rs);
/* Members that cannot take part are told. */
void rs_version_tell(struct rs *rs);
/* The version of a key that is written at the current place in the epoch; how many there are. */
uint64_t rs_version_make(const struct rs *rs, size_t writer);
uint64_t rs_version_max_position(const struct rs *rs);
/* For one more key; depends on nothing but the store. */
bool rs_version_has_room(const struct rs *rs);
/* Our own store asks for what we do not speak. */
bool rs_version_is_past(const struct rs *rs);

/* rs_sync.c */
void rs_start_sync(struct rs *rs);
void rs_ask_sync(struct rs *rs);
bool rs_is_waiting(const struct rs *rs);
void rs_silence(struct rs *rs);
/* A sync without that member, if it takes part or could. */
void rs_leave_out(struct rs *rs, uint32_t id);
/* Our STATE, when the digest is known and the promise on the disk. */
void rs_state_send(struct rs *rs);
void rs_on_sync_request(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_on_sync_start(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_on_state(struct rs *rs, uint32_t sender, const struct rs_msg *msg);

/* rs_update.c */
void rs_handover_reset(struct rs *rs);
void rs_handover_start(struct rs *rs);
/* Some of what is left to report; all of it. */
void rs_report_some(struct rs *rs);
void rs_report_rest(struct rs *rs);
void rs_on_update(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_on_update_complete(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_replay_add(struct rs *rs, uint32_t sender, const struct rs_msg *msg);

/* rs_check.c */
void rs_check_reset(struct rs *rs);
/* Some of what is left to hash. */
void rs_check_some(struct rs *rs);
/* Our answer, once what was hashed is saved. */
void rs_check_answer(struct rs *rs);
void rs_on_check(struct rs *rs, uint32_t sender, const struct rs_msg *msg);

/* rs_write.c */
void rs_on_write(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_on_ack(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
void rs_apply(struct rs *rs, uint32_t sender, const struct rs_write *write);
/* The store of now is the epoch's; what is applied from here on counts as its writes. */
void rs_epoch_begin(struct rs *rs);
/* Nothing is left to be done before: take the epoch's generation, let writes flow. */
void rs_become_synced(struct rs *rs);
/* What is saved by now is confirmed to the others and to ourselves. */
void rs_confirm(struct rs *rs);
/* The epoch ended: what is applied here waits for the next decision. */
void rs_pending_carry(struct rs *rs);
/* The decision is that our store goes on: what is doubtful is not in it, and can be sent again. */
void rs_pending_resolve(struct rs *rs);
/* End all pending writes that are in one of the states of `mask` (1 << state). */
void rs_pending_fail(struct rs *rs, unsigned mask, int error);
void rs_pending_send(struct rs *rs);
void rs_pending_confirm(struct rs *rs);
/* Does a write have to be confirmed by that participant? */
bool rs_peer_counts(const struct rs *rs, const struct rs_peer *peer);
bool rs_pending_is_unconfirmed(const struct rs *rs);
/* Of the oldest unconfirmed write. A member confirms others' writes, not what it wrote itself
 * after. */
uint64_t rs_pending_first_position(const struct rs *rs);

#endif
