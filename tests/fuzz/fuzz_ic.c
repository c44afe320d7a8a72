/* SPDX-License-Identifier: MIT
 *
 * fuzz_ic.c - a guest that says anything to an integration service, and states that hold anything.
 *
 * Input: a byte - bits 0 to 2: which service; bit 7: the rest is a saved state to begin with, else
 * steps {operation u8, argument u8, size u16, bytes}.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "vmbus/ic_heartbeat.h"
#include "vmbus/ic_shutdown.h"
#include "vmbus/ic_text.h"
#include "vmbus/ic_timesync.h"
#include "vmbus/ic_vss.h"
#include "vmbus/kvp_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define MAX_STEPS 256

static struct ic_heartbeat_core heartbeat;
static struct ic_shutdown_core shutdown_service;
static struct ic_timesync_core timesync;
static struct kvp_core kvp;
static struct ic_vss_core vss;

static struct ic_core *core;
static struct ic_time now;
static uint8_t message[IC_MAX_MESSAGE_BYTES];
static size_t message_bytes; /* of the last request */

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void init_all(unsigned service)
{
	struct ic_core *cores[] = {
		&heartbeat.core, &shutdown_service.core, &timesync.core, &kvp.core, &vss.core};

	ic_heartbeat_init(&heartbeat);
	ic_shutdown_init(&shutdown_service);
	ic_timesync_init(&timesync, true);
	kvp_init(&kvp);
	ic_vss_init(&vss);
	(void)kvp_set_adapters(&kvp, (const uint8_t[2][ETH_ADDR_LEN]){{2, 0, 1}, {2, 0, 2}}, 2);
	core = cores[service % ARRAY_LEN(cores)];
	now = (struct ic_time){.now_ns = NS_PER_SEC};
	message_bytes = 0;
}

static void save(struct buf *out)
{
	ic_core_cancel(core, &now);
	ic_shutdown_cancel(&shutdown_service);
	ic_vss_cancel(&vss);
	kvp_restart_cycle(&kvp, now.now_ns);
	if (core == &heartbeat.core)
		ic_heartbeat_save(&heartbeat, out);
	else if (core == &shutdown_service.core)
		ic_shutdown_save(&shutdown_service, out);
	else if (core == &timesync.core)
		ic_timesync_save(&timesync, out);
	else if (core == &kvp.core)
		kvp_save(&kvp, out);
	else
		ic_vss_save(&vss, out);
}

static int restore(struct reader *in, bool open)
{
	if (core == &heartbeat.core)
		return ic_heartbeat_restore(&heartbeat, in, open);
	if (core == &shutdown_service.core)
		return ic_shutdown_restore(&shutdown_service, in, open);
	if (core == &timesync.core)
		return ic_timesync_restore(&timesync, in, open);
	if (core == &kvp.core)
		return kvp_restore(&kvp, in, open);
	return ic_vss_restore(&vss, in, open);
}

static void on_done(_unused_ int error, void *data)
{
	(*(unsigned *)data)++;
}

/* Whatever can be asked of the service. */
static void ask(uint8_t argument, const uint8_t *bytes, size_t n)
{
	static unsigned n_done;
	const struct ic_ask asked = {.done = on_done, .data = &n_done};
	char text[300] = {0};

	memcpy(text, bytes, MIN(n, sizeof(text) - 1));
	(void)ic_shutdown_ask(&shutdown_service, argument % 3, argument & 4, text, &asked);
	ic_timesync_resync(&timesync, now.now_ns);
	if (argument & 1)
		(void)ic_vss_ask_freeze(&vss, argument * NS_PER_SEC, &asked);
	else
		(void)ic_vss_ask_thaw(&vss, &asked);
	(void)kvp_set_host_item(&kvp, text, argument & 8 ? NULL : text);
	if (argument & 16)
		(void)kvp_set_adapters(
			&kvp, (const uint8_t[2][ETH_ADDR_LEN]){{2, 0, 3}, {2, 0, 4}}, argument % 3);
}

/* The last request as an answer, with `bytes` over its body. */
static void answer(uint8_t argument, const uint8_t *bytes, size_t n)
{
	static const uint32_t statuses[] = {IC_STATUS_OK, IC_STATUS_FAIL, IC_STATUS_NO_MORE, 5};
	struct ic_header header;
	uint8_t *exact;

	if (message_bytes < IC_FRAME_BYTES)
		return;
	memcpy(&header, message + sizeof(struct pipe_header), sizeof(header));
	header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	header.status = statuses[argument % ARRAY_LEN(statuses)];
	header.body_bytes -= MIN((uint16_t)(argument >> 2), header.body_bytes);
	exact = malloc(message_bytes);
	must(exact);
	memcpy(exact, message, message_bytes);
	memcpy(exact + sizeof(struct pipe_header), &header, sizeof(header));
	memcpy(exact + IC_FRAME_BYTES, bytes, MIN(n, message_bytes - IC_FRAME_BYTES));
	ic_core_receive(core, &now, exact, message_bytes);
	free(exact);
}

static void move(void)
{
	bool open = core->phase != IC_CLOSED;
	struct buf saved = {0}, again = {0};
	struct reader in;

	save(&saved);
	in = reader_make(saved.data, saved.size_bytes);
	must(restore(&in, open) == 0 && reader_done(&in));
	save(&again);
	must(saved.size_bytes == again.size_bytes &&
		!memcmp(saved.data, again.data, saved.size_bytes));
	buf_fini(&saved);
	buf_fini(&again);
}

static void send(void)
{
	size_t n;

	ic_core_tick(core, &now);
	n = ic_core_send(core, &now, message);
	must(n <= ic_core_max_message_bytes(core));
	if (n)
		message_bytes = n;
}

static void step(uint8_t operation, uint8_t argument, const uint8_t *bytes, size_t n)
{
	switch (operation % 6) {
	case 0:
		ic_core_receive(core, &now, bytes, n);
		break;
	case 1:
		answer(argument, bytes, n);
		break;
	case 2:
		now.now_ns += argument * NS_PER_SEC;
		break;
	case 3:
		ask(argument, bytes, n);
		break;
	case 4:
		if (core->phase != IC_CLOSED)
			ic_core_close(core);
		else
			ic_core_open(core);
		break;
	case 5:
		move();
		break;
	}
	send();
	for (unsigned i = 0; i < kvp.items.n_items; i++)
		must(ic_text_is_sound(kvp.items.items[i].key) &&
			ic_text_is_sound(kvp.items.items[i].value));
	/* Whoever sleeps until then does not spin. */
	must(ic_core_deadline_ns(core, true) > now.now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	uint8_t begin = reader_u8(&in);

	init_all(begin & 7);
	if (begin & 0x80) {
		if (restore(&in, true) == 0) {
			send();
			move();
		}
		return 0;
	}
	ic_core_open(core);
	send();
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 4; i++) {
		uint8_t operation = reader_u8(&in);
		uint8_t argument = reader_u8(&in);
		size_t n = MIN((size_t)reader_le16(&in), in.left_bytes);

		step(operation, argument, reader_take(&in, n), n);
	}
	return 0;
}
