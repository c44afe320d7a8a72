/* SPDX-License-Identifier: MIT
 *
 * rs.h - the replicated store: a state machine that every member of the CPG group runs over the
 * same messages in the same order. No descriptor, no clock, no thread, no corosync: what happens
 * comes in through functions, what is to be done goes out through struct rs_ops, so that a test or
 * a simulator runs as many of them as it likes.
 *
 * WHAT HAS TO HOLD
 *
 *   1. Members that are synced in the same epoch and have applied equally many of its writes have
 * equal stores.
 *   2. A write that was reported done is in every store that a quorum agrees on from then on.
 *   3. A key's version is never used for two different contents.
 *
 * WHAT CPG GIVES, AND WHAT IT DOES NOT
 *
 * Members that stay together get the same messages and membership changes in the same order. But:
 *   - The order is AGREED, not SAFE. The sender gets its own message first; if it is cut off then,
 * the others may never see that message. Two halves of a split may each have got messages that the
 *     other has not, at the same place in the order.
 *   - A message may have been sent in one membership and be delivered in the next.
 *   - Quorum is announced through another socket. It comes before or after the membership change
 * that belongs to it, at each node differently.
 *
 * So nothing that members must agree on is taken from the quorum callback or from "what I have
 * got". Both are said in messages, and everybody concludes from the same messages.
 *
 * EPOCHS
 *
 * An epoch is a membership that has agreed on one store. Every membership change ends it, and so
 * does every SYNC_START; the next one needs a sync:
 *
 *   lowest id  --- SYNC_START {epoch, participants} --->  everybody
 *   everybody  --- STATE {accepted?, generation, version, digest, votes} --->  everybody
 *   (all have got all STATEs: the same function over the same input decides at each of them)
 *   leader     --- UPDATE ... UPDATE_COMPLETE {digest} --->  those whose digest differs, if any
 *   everybody  --- ACK {0}, as soon as its store is the epoch's --->  everybody
 *
 * The generation in the epoch is a promise, as in Paxos: a member accepts a SYNC_START only if its
 * generation is higher than all it accepted before, and has that on its disk before it answers. If
 * one refuses, the initiator starts again with a higher one. Hence at most one epoch with a quorum
 * has a given generation, and whoever accepted a later one can no longer take part in an earlier
 * one.
 *
 * Quorum is counted over the participants, by the votes in their STATEs (how many are needed is in
 * their HELLOs, as that is without a quorum device's), and corosync must have
 * told each of them that there is quorum. A node whose corosync runs but whose daemon does not has
 * a vote in corosync's quorum but no copy of the store; counting it would let two sets of daemons
 * that never met both write. Without quorum the sync ends here: stores stay as they are and are
 * only read.
 *
 * With quorum, the leader is the participant with the highest (generation of its store, version),
 * of equals the lowest node id. Its store becomes everybody's, with the epoch's generation. Members
 * that have it already go on at once; the others collect the leader's snapshot, queue the writes
 * that are delivered meanwhile, replace their store in one transaction when the digest is right,
 * and replay.
 *
 * WRITES
 *
 * A WRITE carries the epoch it was sent in. Members of that epoch apply it when it is delivered:
 * the n-th write of an epoch is the same one for all of them, and compare-and-set has the same
 * outcome.
 *
 * Members confirm what they have applied and saved: how many writes of the epoch, and a hash over
 * which ones in which order (ACK). The sender reports a write done when *all* participants that
 * count have confirmed it in the order it knows. That makes 2 true, without any further assumption
 * about what CPG delivers: those who count are a quorum, so a later one shares a member with them;
 * that member had applied the write before it answered the later SYNC_START (after it, it would not
 * have confirmed it); and no store of a lower generation can lead, nor one of the same generation
 * that is not as far. It costs one more turn of the token than reporting on one's own delivery,
 * which loses writes: the sender may have been cut off before anybody else got the message.
 *
 * Who is behind - its digest is not the leader's - does not count until its first ACK is delivered,
 * if the votes of the others are a quorum alone: so a node that joins a large store holds up
 * nobody. The STATEs say who that is, so all agree. Where the others are no quorum everybody
 * counts; and so does who is behind once an epoch has gone RS_AHEAD_MAX writes on without it, as it
 * queues all of them.
 *
 * In that epoch it does not take the epoch's generation for its store either, but that which the
 * leader's had: so it does not lead any of those who counted all the time, one of whom is in every
 * quorum. It takes it in the next epoch, or once a check (below) has shown that all count it.
 *
 * From its first ACK on it counts, but others take it for synced only when it has confirmed what
 * was delivered before that ACK: writes may have been done without it up to there. It takes itself
 * for synced when that ACK has come back to it, behind those. So whoever is synced has all that was
 * done, and reads it.
 *
 * If an epoch ends while a write is applied but not confirmed, the next decision tells: if this
 * member's store is the leader's, by content and by the version of its last change, the write is in
 * it and is done when everybody has that store; if it is another one, or there is no quorum, it
 * ends with -EIO - it may or may not be there. (Equal content alone would not do: of two halves of
 * a split each may have deleted a key for a writer of its own.) A write that comes back after its
 * epoch ended is void for everybody who knows of that end, but perhaps not for all. The same
 * decision tells: if this member's store is the leader's, the write is not in it and is sent again
 * in the new epoch, so that callers do not notice; else -EIO.
 *
 * A version is {generation, position in the epoch, participant that wrote}: a store that lost in a
 * split may have a version at the same position as the winner's, but never the same version.
 *
 * VERSIONS OF THE PROTOCOL
 *
 * Each participant says in HELLO, before its STATE, which versions it speaks and which is the
 * lowest that its store allows (the floor, RS_PROTOCOL_KEY; who says nothing speaks version 1).
 * With the STATEs everybody has all HELLOs too, and concludes: the floor is the highest of those
 * said; the epoch speaks the highest version that all speak who reach the floor. So a newer member
 * talks down to older ones, and when the last of those is updated the next epoch speaks the newer
 * version.
 *
 * Who does not reach the floor, or has forgotten the version that the rest settles on, cannot take
 * part: everybody marks it, it marks itself (RS_OUTDATED), and the lowest id of the others starts a
 * sync without it. A speaker of version 1 cannot conclude that; it is told with a message of the
 * floor's version, which it does not speak either. For a moment it may believe to be in the epoch
 * that the others have given up. That is harmless: nobody else confirms what it writes, and its
 * store is one of the leader's.
 *
 * The floor only rises, when an administrator asks for it and all configured nodes have said that
 * they reach it.
 *
 * SILENCE
 *
 * A process that hangs stays in the membership and would hold up everybody. What a member waits for
 * it waits for rs_config.silence_ns; then it counts whoever failed to answer as silent, and the
 * lowest id that is not starts a sync without them. A silent member that wakes up sees a sync
 * without itself and asks for another one (SYNC_REQUEST). As quorum is counted over participants
 * this is safe; so it is when somebody else says that a member does not answer (rs_suspect()).
 *
 * A member whose disk does not answer is silent in the same way: it confirms and promises nothing
 * meanwhile. It counts nobody else as silent because of that, and asks to be taken in again when
 * everything is saved.
 *
 * CHECKS
 *
 * That all members have the same store follows from the protocol; memory that forgets, or a mistake
 * in this program, can make it untrue. So in an epoch of version 3 the lowest id sends CHECK now
 * and then (rs_check()). At its place in the order everybody takes a view of its store, hashes that
 * anew, and says what came out as soon as it is saved, too. Whose digest is not that of most - of
 * two halves, that of the epoch's leader - declares its store worthless, says so on its disk, and
 * asks for a sync, in which it gets the store again.
 *
 * Until then its promises and its vote count, its store does not: it cannot lead; and where nobody
 * has a good store of its generation or a later one, there is no quorum, as what only these two had
 * confirmed could be missing.
 *
 * LIMITS
 *
 *   - Reads are of what is applied here, which may not be confirmed. Whoever wants to do something
 *     irreversible because of a record makes a write of its own - usually the record - and waits
 * until that is done: then everything it has read before is confirmed too.
 *   - Members confirm what they have in a transaction, which is not synced to the disk: it survives
 * the death of any number of processes. If all nodes lose power at once, the last writes may be
 *     gone everywhere (the promise never is: it is synced).
 *   - A disk that is lost takes its promises along. Such a node may come back with an empty store
 * while a quorum of the others lives; not when it is needed for one.
 *   - A quorum device has votes and no copy of the store, so it does not count here: between a
 * quorum that needed it and the next one there might be no member in common, and for a moment it
 * may have lent its vote to both halves of a split. A majority of the nodes' votes is needed
 *     (rs_votes.nodes_needed), whatever the device says. Epochs of version 1 of the protocol still
 *     count it, as its speakers do.
 *   - Two quorums must overlap. They do unless corosync is told otherwise while there is a split:
 *     lowered expected votes, last_man_standing, two_node without wait_for_all.
 *   - Members are trusted to follow the protocol (corosync authenticates them). Their bytes are not
 *     trusted: what does not hold together or does not fit the mode is counted and dropped.
 *   - One member per node.
 *
 * Threads: one owner. Callbacks may call rs_write() and the getters, nothing else.
 */
#ifndef VIADUCT_CLUSTER_RS_H
#define VIADUCT_CLUSTER_RS_H

#include "cluster/rs_proto.h"
#include "cluster/store.h"

#define RS_ANY_VERSION      UINT64_MAX
#define RS_MAX_WRITES       1024       /* of this member, not yet reported */
#define RS_MAX_WRITES_BYTES (4U << 20) /* keys and values of those */
#define RS_SILENCE_NS       3000000000ULL
/* A key's version is generation << 32 | position << 8 | index of the participant; << 5 in epochs of
 * version 1 of the protocol. Both grow, as an epoch has one of them. */
#define RS_WRITER_BITS    8
#define RS_WRITER_BITS_V1 5
#define RS_MAX_POSITION   ((1ULL << (32 - RS_WRITER_BITS)) - 1)
/* {"floor": N}: versions below N are not spoken any more. */
#define RS_PROTOCOL_KEY "cluster/protocol"

/* What is hashed, and how many entries are reported, in one piece. */
#define RS_WORK_BYTES (128U << 10)
#define RS_WORK_KEYS  500

struct rs;

enum rs_mode {
	RS_DOWN,      /* not in a group */
	RS_GATHER,    /* waits for a SYNC_START that includes us */
	RS_EXCHANGE,  /* waits for the STATE of every participant */
	RS_UPDATE,    /* waits for the leader's store, queues writes */
	RS_SYNCED,    /* has the epoch's store, applies writes */
	RS_NO_QUORUM, /* the participants have no quorum; reads only */
	RS_OUTDATED,  /* the others speak a version that this member does not (rs_needed()) */
};

/* What is kept on disk beside the entries. */
struct rs_meta {
	uint64_t generation; /* of a quorate epoch: all that was done in it is there; 0: none */
	uint64_t promised;   /* highest generation accepted; not below `generation` */
	uint64_t version;    /* of the last write */
	/* Others have had something else at the same place: the entries are not that generation's.
	 */
	bool is_worthless;
};

/* What votequorum says at this node. */
struct rs_votes {
	bool quorate;
	uint32_t votes;        /* of this node */
	uint32_t quorum_votes; /* needed; 0 while unknown */
	uint32_t device_votes; /* what the quorum device casts now */
	uint32_t nodes_needed; /* of that, if there is a device: a majority of the nodes' votes */
};

struct rs_ops {
	/* Have `bytes` delivered to every member, this one included, after what was given before.
	 * The bytes are copied. If that fails, rs_disconnect() has to follow. */
	void (*multicast)(const void *bytes, size_t size_bytes, void *data);
	/* An entry of the store changed; NULL: deleted, in the write with that version. What is not
	 * in a store that is taken over is reported with the last version of that store, 0 if
	 * nobody ever wrote to it. */
	void (*applied)(
		const char *key, const struct store_entry *entry, uint64_t version, void *data);
	/* Mode, participants or who of them is synced changed. */
	void (*changed)(void *data);

	/* May be NULL. A check has found that the store of that member is not what it should be: it
	 * is fetched anew. Said at every member. */
	void (*differs)(uint32_t id, void *data);

	/* Persistence: done later, in the order of these calls, and reported by rs_saved(). If
	 * something cannot be saved, nothing after it counts as saved either: rs_disconnect(), and
	 * all of the store is saved again before the next rs_connect().
	 *
	 * save_entry() joins the transaction that ends with the turn. save_meta() is one of its
	 * own, synced to the disk. */
	void (*save_entry)(const char *key, const struct store_entry *entry, void *data);
	/* May be NULL. Whole entries of a store that comes in pieces, in order, as their bytes in a
	 * snapshot; NULL: it begins. Then save_store() is given the store that has just these, or
	 * another one begins. */
	void (*stage)(const void *bytes, size_t size_bytes, void *data);
	void (*save_store)(const struct store *store, const struct rs_meta *meta, void *data);
	void (*save_meta)(const struct rs_meta *meta, void *data);
};

struct rs_config {
	uint64_t silence_ns;   /* 0 for RS_SILENCE_NS */
	uint64_t max_position; /* writes in an epoch; 0 for as many as there is room for */
	uint32_t nonce;        /* random at each start of the process */
	size_t work_bytes;     /* of a piece of work; 0 for RS_WORK_BYTES, _KEYS */
	unsigned work_keys;
	uint16_t oldest; /* versions of the protocol; 0 for RS_WIRE_OLDEST, _NEWEST */
	uint16_t newest;
};

/* Takes over `store`, which was saved together with `meta`. -EINVAL: meta contradicts itself. */
int rs_new(const struct rs_config *config, const struct rs_ops *ops, void *data,
	struct store *store, const struct rs_meta *meta, struct rs **ret_rs);
/* Drops pending writes without reporting them. */
void rs_free(struct rs *rs);

/* Inputs; `now_ns` never goes back. */
void rs_connect(struct rs *rs, uint32_t local_id);
/* The connection to the group is lost: what was sent and not reported ends with -EIO. */
void rs_disconnect(struct rs *rs);
/* A membership change, in its place between deliveries. Ids ascend. */
void rs_confchg(struct rs *rs, const uint32_t *members, size_t n_members, uint64_t now_ns);
void rs_deliver(
	struct rs *rs, uint32_t sender, const void *bytes, size_t size_bytes, uint64_t now_ns);
void rs_set_votes(struct rs *rs, const struct rs_votes *votes, uint64_t now_ns);
/* At the end of each turn in which something came in, the transaction is ended with rs_meta() in it
 * and goes to the disk. When it and all before it are there - at once, or some turns later -
 * rs_saved() is told what rs_mark() was then: only now others hear of it. Marks never go back. */
uint64_t rs_mark(const struct rs *rs);
void rs_saved(struct rs *rs, uint64_t mark, uint64_t now_ns);
/* What would take too long at once - hashing, reporting, freeing a large store - is done in pieces:
 * while rs_has_work(), call rs_work() soon, and end a turn after it. */
bool rs_has_work(const struct rs *rs);
void rs_work(struct rs *rs, uint64_t now_ns);
/* Now and then: if it is ours to do, have everybody's stores compared. */
void rs_check(struct rs *rs, uint64_t now_ns);
/* That member is known not to answer: nothing waits for it any more. If that is not true it costs a
 * sync or two. */
void rs_suspect(struct rs *rs, uint32_t id, uint64_t now_ns);
/* When rs_deadline() has come. */
void rs_tick(struct rs *rs, uint64_t now_ns);
/* 0: nothing to wait for. */
uint64_t rs_deadline(const struct rs *rs);

/* Write `value` (JSON text; NULL deletes) if the key's version is `expected`. Returns 0, and `done`
 * is called exactly once, later; -EHOSTDOWN: no quorum; -EINVAL, -EMSGSIZE; -ENOBUFS: too many
 * under way; -ENOMEM. What `done` gets: 0 and the key's new version (0 once deleted); -ESTALE and
 * its version; -ENOSPC: the store is full; -EBADMSG: not JSON; -EHOSTDOWN: quorum was lost, nothing
 * happened; -EIO: it may or may not have happened. */
typedef void (*rs_done_fn)(int error, uint64_t version, void *data);
int rs_write(struct rs *rs, const char *key, uint64_t expected, const char *value,
	size_t value_bytes, rs_done_fn done, void *data, uint64_t now_ns);

enum rs_mode rs_mode(const struct rs *rs);
/* RS_OUTDATED: the version that the cluster speaks and this member does not. */
uint16_t rs_needed(const struct rs *rs);
/* What the epoch speaks, 0 outside of one; what the store allows at least; the newest that a member
 * has said to speak, 0 while it has not. */
uint16_t rs_protocol(const struct rs *rs);
uint16_t rs_floor(const struct rs *rs);
uint16_t rs_member_newest(const struct rs *rs, uint32_t id);
const struct store *rs_store(const struct rs *rs);
/* The entries of now, for whoever saves all of them; -ENOMEM. */
int rs_view(struct rs *rs, struct store_view **ret_view);
const struct rs_meta *rs_meta(const struct rs *rs);
int rs_digest(struct rs *rs, uint8_t ret_digest[RS_DIGEST_BYTES]);
/* The same, if that does not take long. */
bool rs_known_digest(struct rs *rs, uint8_t ret_digest[RS_DIGEST_BYTES]);
/* In the group; and, as far as is known here, with the store of the epoch we are synced in, and in
 * it all that was reported done. */
bool rs_has_member(const struct rs *rs, uint32_t id);
bool rs_member_is_synced(const struct rs *rs, uint32_t id);
/* The same of this member. */
bool rs_is_synced(const struct rs *rs);
/* All participants of our epoch have its store. */
bool rs_is_complete(const struct rs *rs);
/* Writes of the current epoch applied here; for tests of invariant 1, with rs_epoch_generation().
 */
uint64_t rs_position(const struct rs *rs);
uint64_t rs_epoch_generation(const struct rs *rs);

struct rs_stats {
	uint64_t n_syncs;     /* SYNC_STARTs delivered */
	uint64_t n_updates;   /* stores taken over from a leader */
	uint64_t n_applied;   /* writes, failed comparisons included */
	uint64_t n_void;      /* own writes that had to be sent again */
	uint64_t n_malformed; /* messages that did not hold together */
	uint64_t n_ignored;   /* messages of another epoch, or not for this mode */
	uint64_t n_silent;    /* times a member was counted as silent */
	uint64_t n_ahead;     /* own writes done before everybody was synced */
	uint64_t n_checks;    /* stores of all members compared */
	uint64_t n_differing; /* members whose store was found to be another */
};
const struct rs_stats *rs_stats(const struct rs *rs);

#endif
