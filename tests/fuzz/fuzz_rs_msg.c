/* SPDX-License-Identifier: MIT
 *
 * A member of the replicated store among two that send whatever they like.
 *
 * The input is a script: one byte says what happens, most of them "a message of node 2 or 3", with
 * two bytes of length and the bytes. The epochs in messages are replaced by the current one when
 * the script asks for it, as nobody guesses 16 bytes; our own messages come back when the script
 * says so.
 */
#include "base/bytes.h"
#include "cluster/rs.h"
#include "cluster/rs_wire.h"

#define MAX_QUEUED 256

enum action {
	ACTION_FOREIGN, /* as it is */
	ACTION_CURRENT, /* with the current epoch */
	ACTION_OWN,     /* the oldest of our messages comes back */
	ACTION_WRITE,
	ACTION_MEMBERS,
	ACTION_TIME,
	ACTION_VOTES,
	ACTION_DISK,
	N_ACTIONS,
};

struct world {
	struct rs *rs;
	struct buf queue[MAX_QUEUED];
	size_t n_queued, n_delivered;
	struct rs_wire_epoch epoch; /* of the last message we sent or saw begin one */
	uint64_t now_ns;
	bool disk_stalls;
};

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct world *world = data;

	memcpy(&world->epoch, (const uint8_t *)bytes + offsetof(struct rs_wire_header, epoch),
		sizeof(world->epoch));
	if (world->n_queued < MAX_QUEUED)
		buf_bytes(&world->queue[world->n_queued++], bytes, size_bytes);
}

static void on_applied(
	const char *key, const struct store_entry *entry, uint64_t version, void *data)
{
	(void)data;
	if (!rs_key_is_valid(key, strlen(key)) || version == 0 || (entry && entry->version == 0))
		abort();
}

static void on_changed(void *data)
{
	(void)data;
}

static void on_save_entry(const char *key, const struct store_entry *entry, void *data)
{
	(void)key;
	(void)entry;
	(void)data;
}

static void on_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	(void)store;
	(void)data;
	if (meta->generation > meta->promised)
		abort();
}

static void on_save_meta(const struct rs_meta *meta, void *data)
{
	on_save_store(NULL, meta, data);
}

static const struct rs_ops ops = {
	.multicast = on_multicast,
	.applied = on_applied,
	.changed = on_changed,
	.save_entry = on_save_entry,
	.save_store = on_save_store,
	.save_meta = on_save_meta,
};

static void deliver(struct world *world, uint32_t sender, const void *bytes, size_t size_bytes)
{
	/* A copy of that size: reading further is found out. */
	void *copy = malloc(size_bytes ? size_bytes : 1);

	if (!copy)
		return;
	memcpy(copy, bytes, size_bytes);
	rs_deliver(world->rs, sender, copy, size_bytes, ++world->now_ns);
	free(copy);
	for (unsigned i = 0; rs_has_work(world->rs) && i < 100; i++)
		rs_work(world->rs, world->now_ns);
	if (!world->disk_stalls)
		rs_saved(world->rs, rs_mark(world->rs), world->now_ns);
}

static void deliver_foreign(struct world *world, struct reader *in, bool is_current)
{
	uint32_t sender = 2 + (reader_u8(in) & 1);
	size_t size_bytes = MIN((size_t)reader_le16(in), in->left_bytes);
	const void *bytes = reader_take(in, size_bytes);
	struct buf message = {};

	if (!bytes)
		return;
	buf_bytes(&message, bytes, size_bytes);
	if (is_current && size_bytes >= sizeof(struct rs_wire_header)) {
		store_le32(message.data, RS_WIRE_MAGIC);
		store_le16(message.data + 4, 1 + message.data[4] % 3);
		memcpy(message.data + offsetof(struct rs_wire_header, epoch), &world->epoch,
			sizeof(world->epoch));
		/* An initiator starts under its own name. */
		if (load_le16(message.data + 6) == RS_WIRE_SYNC_START)
			store_le32(message.data + 16, sender);
	}
	deliver(world, sender, message.data, message.size_bytes);
	buf_fini(&message);
}

static void deliver_own(struct world *world)
{
	const struct buf *message = &world->queue[world->n_delivered];

	if (world->n_delivered == world->n_queued)
		return;
	world->n_delivered++;
	deliver(world, 1, message->data, message->size_bytes);
}

static void change_members(struct world *world, unsigned which)
{
	uint32_t ids[3];
	size_t n = 0;

	for (uint32_t id = 1; id <= 3; id++) {
		if (which & 1U << id || id == 1)
			ids[n++] = id;
	}
	rs_confchg(world->rs, ids, n, ++world->now_ns);
}

static void act(struct world *world, struct reader *in)
{
	struct rs_votes votes = {.votes = 1};
	uint8_t argument;

	switch (reader_u8(in) % N_ACTIONS) {
	case ACTION_FOREIGN:
		deliver_foreign(world, in, false);
		break;
	case ACTION_CURRENT:
		deliver_foreign(world, in, true);
		break;
	case ACTION_OWN:
		deliver_own(world);
		break;
	case ACTION_WRITE:
		argument = reader_u8(in);
		rs_write(world->rs, argument & 1 ? "a" : "b", RS_ANY_VERSION,
			argument & 2 ? "1" : NULL, argument & 2 ? 1 : 0, NULL, NULL,
			++world->now_ns);
		break;
	case ACTION_MEMBERS:
		change_members(world, reader_u8(in));
		break;
	case ACTION_TIME:
		world->now_ns += 1000ULL * reader_u8(in);
		rs_tick(world->rs, world->now_ns);
		break;
	case ACTION_VOTES:
		argument = reader_u8(in);
		votes.quorate = argument & 1;
		votes.quorum_votes = argument >> 1 & 3;
		rs_set_votes(world->rs, &votes, ++world->now_ns);
		break;
	case ACTION_DISK:
		world->disk_stalls = !world->disk_stalls;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	const struct rs_votes votes = {.quorate = true, .votes = 1, .quorum_votes = 1};
	const struct rs_config config = {.silence_ns = 50000, .max_position = 20};
	const struct rs_meta meta = {.generation = 1, .promised = 1};
	struct reader in = reader_make(data, size_bytes);
	struct world *world = calloc(1, sizeof(*world));
	struct store *store;

	if (!world || store_new(&store) < 0 ||
		rs_new(&config, &ops, world, store, &meta, &world->rs) < 0)
		abort();
	rs_connect(world->rs, 1);
	rs_set_votes(world->rs, &votes, 0);
	change_members(world, 0xff);
	while (reader_ok(&in) && in.left_bytes > 0)
		act(world, &in);
	rs_disconnect(world->rs);
	rs_free(world->rs);
	for (size_t i = 0; i < world->n_queued; i++)
		buf_fini(&world->queue[i]);
	free(world);
	return 0;
}
