/* SPDX-License-Identifier: MIT
 *
 * fuzz_synthinput.c - guests that say anything to keyboard and mouse, people who press anything,
 * and saved states of a host that lies. What is down must always have room to come up.
 *
 * Input: a byte - 0 and 1: a saved state of the keyboard, of the mouse follows, which when accepted
 * is the same when it is saved again; else both are open, and connected when bit 2 is set - then
 * steps {operation u8, size u8, bytes}.
 */
#include "vmbus/kbd_vsp.h"
#include "vmbus/mouse_vsp.h"
#include "vmbus/proto/pipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define MAX_STEPS 256

enum operation {
	KEYBOARD_MESSAGE,
	MOUSE_MESSAGE,
	KEY,
	KEYSYM,
	TYPE,
	REPORT,
	KEYBOARD_ROOM, /* the guest's rings take some of what waits */
	MOUSE_ROOM,
	RELEASE,
	REOPEN,
	N_OPERATIONS,
};

static struct kbd_vsp keyboard;
static struct mouse_vsp mouse;

static void take_from_keyboard(size_t n)
{
	pipe_queue_clear(&keyboard.out);
	for (size_t i = 0; i < n && kbd_vsp_produce(&keyboard); i++)
		pipe_queue_pop(&keyboard.out);
}

static void take_from_mouse(size_t n)
{
	pipe_queue_clear(&mouse.out);
	for (size_t i = 0; i < n && mouse_vsp_produce(&mouse); i++)
		pipe_queue_pop(&mouse.out);
}

static void check(void)
{
	unsigned n_reserved = 0;

	for (unsigned key = 0; key < KBD_N_KEYS; key++)
		n_reserved += keyboard.down[key] * (key == KBD_PAUSE ? 2U : 1U);
	if (n_reserved != keyboard.n_reserved || keyboard.n_events + n_reserved > KBD_MAX_EVENTS ||
		mouse.n_reports + (unsigned)__builtin_popcount(mouse.last.buttons) >
			MOUSE_MAX_REPORTS)
		abort();
}

static void send_to_mouse(const void *message, size_t size_bytes)
{
	const struct pipe_header header = {PIPE_DATA, (uint32_t)size_bytes};
	_cleanup_free_ uint8_t *payload = malloc(sizeof(header) + size_bytes);

	if (!payload)
		return;
	memcpy(payload, &header, sizeof(header));
	if (size_bytes)
		memcpy(payload + sizeof(header), message, size_bytes);
	pipe_queue_clear(&mouse.out);
	mouse_vsp_receive(&mouse, payload, sizeof(header) + size_bytes);
}

static void connect(void)
{
	const struct synthkbd_protocol_request keyboard_request = {
		SYNTHKBD_PROTOCOL_REQUEST, SYNTHKBD_VERSION};
	const struct synthmouse_protocol_request mouse_request = {
		{SYNTHMOUSE_PROTOCOL_REQUEST, 4}, SYNTHMOUSE_VERSION};
	const struct synthmouse_device_info_ack ack = {{SYNTHMOUSE_DEVICE_INFO_ACK, 1}, 0};

	pipe_queue_clear(&keyboard.out);
	kbd_vsp_receive(&keyboard, &keyboard_request, sizeof(keyboard_request));
	send_to_mouse(&mouse_request, sizeof(mouse_request));
	send_to_mouse(&ack, sizeof(ack));
}

static void open_both(void)
{
	memset(&keyboard, 0, sizeof(keyboard));
	memset(&mouse, 0, sizeof(mouse));
	kbd_vsp_open(&keyboard);
	mouse_vsp_open(&mouse);
}

static void assert_same(const struct buf *again, const uint8_t *data, size_t size_bytes)
{
	if (again->size_bytes != size_bytes || memcmp(again->data, data, size_bytes) != 0)
		abort();
}

static void restore(bool is_mouse, const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct buf again = {0};
	int r;

	memset(&keyboard, 0, sizeof(keyboard));
	memset(&mouse, 0, sizeof(mouse));
	r = is_mouse ? mouse_vsp_restore(&mouse, &in, true) : kbd_vsp_restore(&keyboard, &in, true);
	if (r == 0) {
		if (is_mouse)
			mouse_vsp_save(&mouse, &again);
		else
			kbd_vsp_save(&keyboard, &again);
		assert_same(&again, data, size_bytes - in.left_bytes);
		check();
		take_from_keyboard(SIZE_MAX);
		take_from_mouse(SIZE_MAX);
		if (keyboard.n_reserved || mouse.last.buttons)
			abort();
	}
	buf_fini(&again);
}

static void message_to_keyboard(const uint8_t *bytes, size_t n)
{
	pipe_queue_clear(&keyboard.out);
	kbd_vsp_receive(&keyboard, bytes, n);
}

static void type(const uint8_t *bytes, size_t n)
{
	ssize_t typed = kbd_vsp_type(&keyboard, (const char *)bytes, n);

	if (typed > (ssize_t)n)
		abort();
}

static void step(uint8_t operation, const uint8_t *bytes, size_t n)
{
	uint8_t four[8] = {0};

	if (n)
		memcpy(four, bytes, MIN(n, sizeof(four)));
	switch (operation % N_OPERATIONS) {
	case KEYBOARD_MESSAGE:
		message_to_keyboard(bytes, n);
		break;
	case MOUSE_MESSAGE:
		send_to_mouse(bytes, n);
		break;
	case KEY:
		kbd_vsp_key(&keyboard, load_le16(four), four[2] & 1);
		break;
	case KEYSYM:
		kbd_vsp_keysym(&keyboard, load_le32(four), four[4] & 1);
		break;
	case TYPE:
		type(bytes, n);
		break;
	case REPORT:
		mouse_vsp_report(&mouse, four[0], load_le16(four + 1), load_le16(four + 3),
			(int16_t)load_le16(four + 5));
		break;
	case KEYBOARD_ROOM:
		take_from_keyboard(n);
		break;
	case MOUSE_ROOM:
		take_from_mouse(n);
		break;
	case RELEASE:
		kbd_vsp_release_all(&keyboard);
		mouse.release_wanted = true;
		break;
	case REOPEN:
		kbd_vsp_open(&keyboard);
		mouse_vsp_open(&mouse);
		break;
	}
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	uint8_t start = reader_u8(&in);

	if (start < 2) {
		restore(start == 1, in.at, in.left_bytes);
		return 0;
	}
	open_both();
	if (start & 4)
		connect();
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 2; i++) {
		uint8_t operation = reader_u8(&in);
		size_t n = MIN((size_t)reader_u8(&in), in.left_bytes);

		step(operation, reader_take(&in, n), n);
	}
	return 0;
}
