/* SPDX-License-Identifier: MIT
 *
 * fuzz_vmbus_msg.c - the control plane under a hostile guest and a hostile saved state.
 *
 * The input is a list of steps: a byte that says what, and what that wants. Messages of the guest
 * are {length u8, bytes}, padded with zeros up to what their type needs at least so that few inputs
 * end at the first check; the rest are things the host does in between.
 */
#include "vmbus/ctl_internal.h"

#define N_CHANNELS 3
#define N_SUBS     2 /* of every channel */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum step {
	STEP_MESSAGE,
	STEP_SHORT_MESSAGE, /* not padded */
	STEP_TAKE,          /* the guest reads its messages */
	STEP_MOVE,          /* save, restore elsewhere, go on there */
	STEP_REVOKE,
	STEP_ADD,
	STEP_RESTORE, /* bytes that nobody saved */
	STEP_OFFER_SUBS,
	N_STEPS,
};

struct host {
	struct ctl *ctl;
	unsigned n_open, n_created;
	unsigned n_added;
	bool refuse;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int on_open(void *data, struct ctl_channel *channel, bool restoring)
{
	struct host *host = data;

	check(ctl_open_is_valid(channel, &channel->open));
	if (host->refuse && !restoring)
		return -EIO;
	host->n_open++;
	return 0;
}

static void on_close(void *data, struct ctl_channel *channel)
{
	struct host *host = data;

	check(channel->state == CTL_CHANNEL_OPEN && host->n_open > 0);
	host->n_open--;
}

static void on_retarget(void *data _unused_, struct ctl_channel *channel)
{
	check(channel->state == CTL_CHANNEL_OPEN);
}

static int on_created(void *data, struct ctl_gpadl *gpadl)
{
	struct host *host = data;

	check(ctl_gpadl_is_complete(gpadl) && gpadl->n_pfns <= CTL_MAX_GPADL_PFNS);
	check(gpadl->words.size_bytes == 8 * ((size_t)gpadl->n_pfns + gpadl->n_ranges));
	if (host->refuse)
		return -EFAULT;
	host->n_created++;
	return 0;
}

static void on_gone(void *data, struct ctl_gpadl *gpadl)
{
	struct host *host = data;

	check(gpadl->created && host->n_created > 0);
	host->n_created--;
}

static const struct ctl_ops host_ops = {
	.channel_open = on_open,
	.channel_close = on_close,
	.channel_retarget = on_retarget,
	.gpadl_created = on_created,
	.gpadl_gone = on_gone,
};

static void add_channel(struct host *host, uint8_t instance_byte)
{
	struct vmbus_offer offer = {.class_guid = VMBUS_GUID_NIC};
	struct ctl_channel *channel, *sub;

	offer.instance_guid[0] = instance_byte;
	if (ctl_channel_add(host->ctl, &offer, host, &channel))
		return;
	host->n_added++;
	for (unsigned i = 0; i < N_SUBS; i++)
		check(ctl_subchannel_add(host->ctl, channel, host, &sub) == 0);
}

/* The nth channel of the order that has sub-channels, or NULL. */
static struct ctl_channel *nth_primary(struct host *host, unsigned n)
{
	struct ctl_channel *channel = NULL;

	while ((channel = ctl_channel_next(host->ctl, channel))) {
		if (!channel->primary && n-- == 0)
			return channel;
	}
	return NULL;
}

static struct ctl *new_ctl(struct host *host)
{
	struct ctl *ctl = NULL;

	check(ctl_new(&host_ops, host, &ctl) == 0);
	return ctl;
}

static void message(struct host *host, struct reader *in, bool pad)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES] = {0};
	size_t size = MIN((size_t)reader_u8(in), sizeof(bytes));
	const struct ctl_row *row;

	size = MIN(size, in->left_bytes);
	reader_bytes(in, bytes, size);
	row = ctl_table_find(load_le32(bytes));
	if (pad && row)
		size = MAX(size, (size_t)row->min_bytes);
	ctl_receive(host->ctl, VMBUS_CONNECTION_MESSAGES, VMBUS_MESSAGE_TYPE, bytes, size);
}

static void take_messages(struct host *host)
{
	const struct ctl_message *m;

	while ((m = ctl_message_first(host->ctl))) {
		check(m->size_bytes >= sizeof(struct vmbus_msg_header));
		check(m->size_bytes <= VMBUS_MSG_MAX_BYTES);
		ctl_message_pop(host->ctl, true);
	}
}

/* The same offers in a new control plane must take what was saved, and save the same. */
static void move(struct host *host)
{
	struct ctl *from = host->ctl, *to = new_ctl(host);
	const struct ctl_channel *channel = NULL;
	struct buf saved = {0}, again = {0};
	struct ctl_channel *added = NULL, *sub;
	struct reader in;
	bool refuse = host->refuse;

	while ((channel = ctl_channel_next(from, channel))) {
		if (!channel->primary)
			check(ctl_channel_add(to, &channel->offer, host, &added) == 0);
		else
			check(ctl_subchannel_add(to, added, host, &sub) == 0);
	}
	ctl_save(from, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	host->refuse = false;
	check(ctl_restore(to, &in, CTL_STATE_VERSION) == 0);
	host->refuse = refuse;
	ctl_save(to, &again);
	check(saved.size_bytes == again.size_bytes &&
		memcmp(saved.data, again.data, saved.size_bytes) == 0);
	ctl_free(from);
	host->ctl = to;
	buf_fini(&saved);
	buf_fini(&again);
}

static void restore_bytes(struct host *host, struct reader *in)
{
	size_t size = MIN((size_t)reader_le16(in), in->left_bytes);
	const void *bytes = reader_take(in, size);
	struct reader state = reader_make(bytes, bytes ? size : 0);
	struct ctl *to = new_ctl(host);
	struct ctl *from = host->ctl;

	host->ctl = to;
	for (uint8_t i = 0; i < N_CHANNELS; i++)
		add_channel(host, i);
	ctl_free(from);
	(void)ctl_restore(to, &state, CTL_STATE_VERSION);
}

static void do_step(struct host *host, struct reader *in)
{
	uint8_t what = reader_u8(in);
	struct ctl_channel *channel;

	switch ((enum step)(what % N_STEPS)) {
	case STEP_MESSAGE:
		message(host, in, true);
		break;
	case STEP_SHORT_MESSAGE:
		message(host, in, false);
		break;
	case STEP_TAKE:
		host->refuse = what >= 128;
		take_messages(host);
		break;
	case STEP_MOVE:
		move(host);
		break;
	case STEP_REVOKE:
		channel = nth_primary(host, what / N_STEPS % N_CHANNELS);
		if (channel)
			ctl_channel_revoke(host->ctl, channel);
		break;
	case STEP_ADD:
		if (host->n_added < 64)
			add_channel(host, what);
		break;
	case STEP_RESTORE:
		restore_bytes(host, in);
		break;
	case STEP_OFFER_SUBS:
		channel = nth_primary(host, what / N_STEPS % N_CHANNELS);
		if (channel)
			ctl_subchannels_offer(host->ctl, channel, what / 64U);
		break;
	case N_STEPS:
		break;
	}
}

/* Whatever happened: sub-channels belong to open channels, one place has one relid. */
static void check_offers(const struct ctl *ctl)
{
	const struct ctl_channel *channel, *last = NULL;

	list_for_each(channel, &ctl->channels, link) {
		bool offered =
			channel->state == CTL_CHANNEL_CLOSED || channel->state == CTL_CHANNEL_OPEN;

		check(!channel->relid == (channel->state == CTL_CHANNEL_UNOFFERED));
		check(channel->owner || channel->state == CTL_CHANNEL_REVOKED);
		check(!ctl_channel_is_due(ctl, channel) && (!offered || channel->wanted));
		if (channel->primary && channel->wanted)
			check(channel->primary->state == CTL_CHANNEL_OPEN);
		if (last &&
			ctl_channel_compare(last, &channel->offer, channel->sub_channel_index) == 0)
			check(!last->owner && channel->state == CTL_CHANNEL_UNOFFERED);
		last = channel;
	}
	check(ctl->queue.n_slots >= ctl->queue.n_used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct host host = {0};

	host.ctl = new_ctl(&host);
	for (uint8_t i = 0; i < N_CHANNELS; i++)
		add_channel(&host, i);
	while (in.left_bytes && reader_ok(&in)) {
		do_step(&host, &in);
		check_offers(host.ctl);
	}
	check(host.ctl->n_gpadls <= CTL_MAX_GPADLS);
	check(host.ctl->n_assembling <= CTL_MAX_ASSEMBLING);
	check(host.ctl->n_pfns <= CTL_MAX_PFNS);
	ctl_free(host.ctl);
	check(host.n_open == 0 && host.n_created == 0);
	return 0;
}
