/* SPDX-License-Identifier: MIT */
#include "vmbus/kvp_core.h"

#include "base/clock.h"
#include "vmbus/kvp_wire.h"

#define PERIOD_NS (30 * NS_PER_SEC)
/* Linux' driver itself gives its daemon 30 s. */
#define PATIENCE_NS (60 * NS_PER_SEC)

static struct kvp_core *kvp_of(struct ic_core *core)
{
	return container_of(core, struct kvp_core, core);
}

void kvp_restart_cycle(struct kvp_core *kvp, uint64_t now_ns)
{
	kvp->step = KVP_WAITING;
	kvp->due_ns = now_ns;
}

static void begin_cycle(struct kvp_core *kvp)
{
	kvp->step = KVP_AUTO_ITEMS;
	kvp->next = 0;
	kvp->failed = false;
	kvp->gathered.n_items = 0;
	for (unsigned i = 0; i < kvp->n_host_items; i++)
		kvp->host_items[i].tried = false;
}

static bool same_items(const struct kvp_items *a, const struct kvp_items *b)
{
	if (a->n_items != b->n_items)
		return false;
	for (unsigned i = 0; i < a->n_items; i++) {
		if (strcmp(a->items[i].key, b->items[i].key) ||
			strcmp(a->items[i].value, b->items[i].value))
			return false;
	}
	return true;
}

static void end_cycle(struct kvp_core *kvp, const struct ic_time *time)
{
	if (!kvp->failed && !same_items(&kvp->items, &kvp->gathered)) {
		kvp->items = kvp->gathered;
		kvp->n_changes++;
	}
	kvp->step = KVP_WAITING;
	kvp->due_ns = time->now_ns + PERIOD_NS;
}

static void next_step(struct kvp_core *kvp, const struct ic_time *time)
{
	bool has_addresses = kvp->core.message_version.major >= 4 && kvp->n_adapters;

	kvp->step++;
	kvp->next = 0;
	if (kvp->step > KVP_ADDRESSES || (kvp->step == KVP_ADDRESSES && !has_addresses))
		end_cycle(kvp, time);
}

static void next_adapter(struct kvp_core *kvp, const struct ic_time *time)
{
	if (++kvp->next >= kvp->n_adapters)
		end_cycle(kvp, time);
}

/* The next item for the guest, or -1. */
static int find_pending(const struct kvp_core *kvp)
{
	for (unsigned i = 0; i < kvp->n_host_items; i++) {
		if (kvp->host_items[i].pending && !kvp->host_items[i].tried)
			return (int)i;
	}
	return -1;
}

static size_t request_host_item(struct kvp_core *kvp, uint8_t *ret_body)
{
	struct kvp_host_item *item = &kvp->host_items[kvp->sent_host_item];

	item->changed = false;
	if (item->deleted)
		return kvp_write_delete(KVP_POOL_EXTERNAL, item->item.key, ret_body);
	return kvp_write_set(KVP_POOL_EXTERNAL, &item->item, ret_body);
}

static size_t on_request(struct ic_core *core, const struct ic_time *time, uint8_t *ret_body)
{
	struct kvp_core *kvp = kvp_of(core);

	if (kvp->step == KVP_WAITING && time->now_ns >= kvp->due_ns)
		begin_cycle(kvp);
	kvp->sent_host_item = find_pending(kvp);
	if (kvp->sent_host_item >= 0)
		return request_host_item(kvp, ret_body);
	switch (kvp->step) {
	case KVP_AUTO_ITEMS:
		return kvp_write_enumerate(KVP_POOL_AUTO, kvp->next, ret_body);
	case KVP_GUEST_ITEMS:
		return kvp_write_enumerate(KVP_POOL_GUEST, kvp->next, ret_body);
	case KVP_ADDRESSES:
		return kvp_write_get_ip_info(kvp->adapters[kvp->next].mac, ret_body);
	case KVP_WAITING:
		break;
	}
	return 0;
}

static void remove_host_item(struct kvp_core *kvp, unsigned i)
{
	kvp->n_host_items--;
	memmove(&kvp->host_items[i], &kvp->host_items[i + 1],
		(kvp->n_host_items - i) * sizeof(kvp->host_items[0]));
}

static void host_item_answered(struct kvp_core *kvp, uint32_t status)
{
	unsigned i = (unsigned)kvp->sent_host_item;
	struct kvp_host_item *item = &kvp->host_items[i];

	/* It is something else by now, and goes again. */
	if (item->changed)
		return;
	/* There is no such item: it is as good as deleted. */
	if (item->deleted && status == IC_STATUS_NO_MORE)
		status = IC_STATUS_OK;
	if (status != IC_STATUS_OK) {
		item->tried = true;
		return;
	}
	item->pending = false;
	if (item->deleted)
		remove_host_item(kvp, i);
}

static bool has_item(const struct kvp_items *items, const char *key)
{
	for (unsigned i = 0; i < items->n_items; i++) {
		if (!strcmp(items->items[i].key, key))
			return true;
	}
	return false;
}

static int items_answered(struct kvp_core *kvp, const struct ic_time *time, uint32_t status,
	const uint8_t *body, size_t size_bytes)
{
	struct kvp_items *gathered = &kvp->gathered;
	struct ic_item item;

	if (status != IC_STATUS_OK) {
		kvp->failed |= status != IC_STATUS_NO_MORE;
		next_step(kvp, time);
		return 0;
	}
	if (kvp_read_enumerated(body, size_bytes, &item))
		return -EBADMSG;
	/* The system's own items come first, and others do not replace them. */
	if (gathered->n_items < IC_KVP_MAX_ITEMS && item.key[0] && !has_item(gathered, item.key))
		gathered->items[gathered->n_items++] = item;
	/* More than anybody has is not listened to, nor an enumeration without end. */
	if (gathered->n_items == IC_KVP_MAX_ITEMS || ++kvp->next == IC_KVP_MAX_ITEMS)
		next_step(kvp, time);
	return 0;
}

static int addresses_answered(struct kvp_core *kvp, const struct ic_time *time, uint32_t status,
	const uint8_t *body, size_t size_bytes)
{
	struct kvp_adapter *adapter = &kvp->adapters[kvp->next], now = *adapter;

	now.known = status == IC_STATUS_OK;
	now.addresses[0] = '\0';
	if (now.known && kvp_read_addresses(body, size_bytes, now.addresses, sizeof(now.addresses)))
		return -EBADMSG;
	if (now.known != adapter->known || strcmp(now.addresses, adapter->addresses))
		kvp->n_changes++;
	*adapter = now;
	next_adapter(kvp, time);
	return 0;
}

static int on_answer(struct ic_core *core, const struct ic_time *time, uint32_t status,
	const uint8_t *body, size_t size_bytes)
{
	struct kvp_core *kvp = kvp_of(core);

	if (kvp->sent_host_item >= 0) {
		host_item_answered(kvp, status);
		return 0;
	}
	if (kvp->step == KVP_ADDRESSES)
		return addresses_answered(kvp, time, status, body, size_bytes);
	if (kvp->step != KVP_WAITING)
		return items_answered(kvp, time, status, body, size_bytes);
	return 0;
}

static void on_given_up(struct ic_core *core, const struct ic_time *time, _unused_ int error)
{
	struct kvp_core *kvp = kvp_of(core);

	if (kvp->sent_host_item >= 0)
		kvp->host_items[kvp->sent_host_item].tried =
			!kvp->host_items[kvp->sent_host_item].changed;
	kvp->failed = true;
	if (kvp->step != KVP_WAITING)
		end_cycle(kvp, time);
}

static void on_ready(struct ic_core *core, const struct ic_time *time)
{
	kvp_restart_cycle(kvp_of(core), time->now_ns);
}

static void on_closed(struct ic_core *core)
{
	struct kvp_core *kvp = kvp_of(core);

	kvp->n_changes += kvp->items.n_items != 0;
	kvp->items.n_items = 0;
	kvp->step = KVP_WAITING;
	kvp->sent_host_item = -1;
	for (unsigned i = 0; i < kvp->n_adapters; i++)
		kvp->adapters[i].known = false;
	for (unsigned i = 0; i < kvp->n_host_items; i++) {
		kvp->host_items[i].pending = true;
		kvp->host_items[i].tried = false;
	}
}

static uint64_t request_due_ns(const struct ic_core *core)
{
	const struct kvp_core *kvp = container_of(core, struct kvp_core, core);

	return kvp->step != KVP_WAITING || find_pending(kvp) >= 0 ? 0 : kvp->due_ns;
}

static const struct ic_service service = {
	.name = "kvp",
	.class_guid = VMBUS_GUID_KVP,
	.instance_guid = VMBUS_INSTANCE_KVP,
	.message_type = IC_MESSAGE_KVP,
	.max_body_bytes = sizeof(struct kvp_ip_info),
	.patience_ns = PATIENCE_NS,
	.versions = {{4, 0}, {3, 0}, {1, 0}},
	.n_versions = 3,
	.ready = on_ready,
	.request = on_request,
	.answer = on_answer,
	.given_up = on_given_up,
	.closed = on_closed,
	.request_due_ns = request_due_ns,
};

void kvp_init(struct kvp_core *kvp)
{
	*kvp = (struct kvp_core){.sent_host_item = -1};
	ic_core_init(&kvp->core, &service);
}

/* The request under way may be for one of the old ones: its answer is for nobody. */
int kvp_set_adapters(struct kvp_core *kvp, const uint8_t (*macs)[ETH_ADDR_LEN], unsigned n_macs)
{
	if (n_macs > KVP_MAX_ADAPTERS)
		return -EINVAL;
	if (kvp->step == KVP_ADDRESSES)
		kvp->step = KVP_WAITING;
	kvp->due_ns = 0;
	memset(kvp->adapters, 0, sizeof(kvp->adapters));
	kvp->n_adapters = n_macs;
	for (unsigned i = 0; i < n_macs; i++)
		memcpy(kvp->adapters[i].mac, macs[i], ETH_ADDR_LEN);
	return 0;
}

/* What does not fit is left out by whole addresses. */
static void copy_addresses(const char *addresses, char *ret_text, size_t size_bytes)
{
	size_t n = strnlen(addresses, size_bytes);

	if (n == size_bytes) {
		n--;
		while (n && addresses[n] != ';')
			n--;
	}
	memcpy(ret_text, addresses, n);
	ret_text[n] = '\0';
}

int kvp_addresses(const struct kvp_core *kvp, const uint8_t mac[ETH_ADDR_LEN], char *ret_text,
	size_t size_bytes)
{
	for (unsigned i = 0; i < kvp->n_adapters; i++) {
		const struct kvp_adapter *adapter = &kvp->adapters[i];

		if (!adapter->known || memcmp(adapter->mac, mac, ETH_ADDR_LEN))
			continue;
		copy_addresses(adapter->addresses, ret_text, size_bytes);
		return 0;
	}
	return -ENOENT;
}

static struct kvp_host_item *find_host_item(struct kvp_core *kvp, const char *key)
{
	for (unsigned i = 0; i < kvp->n_host_items; i++) {
		if (!strcmp(kvp->host_items[i].item.key, key))
			return &kvp->host_items[i];
	}
	return NULL;
}

int kvp_set_host_item(struct kvp_core *kvp, const char *key, const char *value)
{
	struct kvp_host_item *item;

	if (!kvp_fits(key, value))
		return -EINVAL;
	item = find_host_item(kvp, key);
	if (!item) {
		if (kvp->n_host_items == IC_KVP_MAX_ITEMS)
			return -ENOSPC;
		item = &kvp->host_items[kvp->n_host_items++];
	}
	*item = (struct kvp_host_item){.deleted = !value, .pending = true, .changed = true};
	strcpy(item->item.key, key);
	strcpy(item->item.value, value ? value : "");
	return 0;
}

static void save_item(const struct ic_item *item, struct buf *out)
{
	buf_le16(out, (uint16_t)strlen(item->key));
	buf_bytes(out, item->key, strlen(item->key));
	buf_le16(out, (uint16_t)strlen(item->value));
	buf_bytes(out, item->value, strlen(item->value));
}

static void restore_text(char *ret_text, size_t capacity_bytes, struct reader *in)
{
	uint16_t n = reader_le16(in);

	in->failed |= n >= capacity_bytes;
	if (in->failed)
		n = 0;
	reader_bytes(in, ret_text, n);
	ret_text[n] = '\0';
	in->failed |= strlen(ret_text) != n;
}

static void restore_item(struct ic_item *item, struct reader *in)
{
	restore_text(item->key, sizeof(item->key), in);
	restore_text(item->value, sizeof(item->value), in);
	in->failed |= !kvp_fits(item->key, item->value);
}

void kvp_save(const struct kvp_core *kvp, struct buf *out)
{
	ic_core_save(&kvp->core, out);
	buf_u8(out, (uint8_t)kvp->items.n_items);
	for (unsigned i = 0; i < kvp->items.n_items; i++)
		save_item(&kvp->items.items[i], out);
	buf_u8(out, (uint8_t)kvp->n_host_items);
	for (unsigned i = 0; i < kvp->n_host_items; i++) {
		save_item(&kvp->host_items[i].item, out);
		buf_u8(out, kvp->host_items[i].deleted);
		buf_u8(out, kvp->host_items[i].pending);
	}
}

static void restore_host_item(struct kvp_host_item *item, struct reader *in)
{
	uint8_t deleted, pending;

	*item = (struct kvp_host_item){0};
	restore_item(&item->item, in);
	deleted = reader_u8(in);
	pending = reader_u8(in);
	in->failed |= deleted > 1 || pending > 1 || (deleted && !pending);
	item->deleted = deleted;
	item->pending = pending;
}

int kvp_restore(struct kvp_core *kvp, struct reader *in, bool open)
{
	int r = ic_core_restore(&kvp->core, in, open);

	kvp->items.n_items = reader_u8(in);
	if (r || kvp->items.n_items > IC_KVP_MAX_ITEMS)
		return -EBADMSG;
	for (unsigned i = 0; i < kvp->items.n_items; i++)
		restore_item(&kvp->items.items[i], in);
	kvp->n_host_items = reader_u8(in);
	if (kvp->n_host_items > IC_KVP_MAX_ITEMS)
		return -EBADMSG;
	for (unsigned i = 0; i < kvp->n_host_items; i++)
		restore_host_item(&kvp->host_items[i], in);
	kvp->n_changes += kvp->items.n_items != 0;
	return reader_ok(in) ? 0 : -EBADMSG;
}
