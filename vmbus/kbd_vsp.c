/* SPDX-License-Identifier: MIT */
#include "vmbus/kbd_vsp.h"

#define MAKE_CODE_MASK 0x7fU
#define LED_CAPS_LOCK  0x4U

/* Of Pause, which is two keystrokes: E1 1D, 45. */
#define PAUSE_FIRST  0x1d
#define PAUSE_SECOND 0x45

/* A character at its longest: two shifts up, the key down and up, two shifts down. */
#define MAX_STROKES 6

struct stroke {
	unsigned key;
	bool down;
};

struct message_row {
	uint32_t type;
	uint32_t min_bytes;
	unsigned phases;
	void (*handle)(struct kbd_vsp *vsp, const uint8_t *message);
};

enum {
	IN_OPEN = 1 << KBD_OPEN,
	IN_CONNECTED = 1 << KBD_CONNECTED,
};

static void forget_keys(struct kbd_vsp *vsp)
{
	memset(vsp->down, 0, sizeof(vsp->down));
	vsp->first_event = 0;
	vsp->n_events = 0;
	vsp->n_reserved = 0;
	vsp->release_wanted = false;
}

/* A driver that asks again starts anew. */
static void handle_protocol_request(struct kbd_vsp *vsp, const uint8_t *message)
{
	const struct synthkbd_protocol_request *request = (const void *)message;
	struct synthkbd_protocol_response response = {.type = SYNTHKBD_PROTOCOL_RESPONSE};

	forget_keys(vsp);
	vsp->phase = KBD_OPEN;
	if (request->version == SYNTHKBD_VERSION) {
		vsp->phase = KBD_CONNECTED;
		response.status = SYNTHKBD_ACCEPTED;
	}
	pipe_queue_raw(&vsp->out, &response, sizeof(response));
}

static void handle_set_leds(struct kbd_vsp *vsp, const uint8_t *message)
{
	const struct synthkbd_set_leds *set = (const void *)message;

	vsp->leds = set->leds & 0x7;
}

static const struct message_row message_table[] = {
	{SYNTHKBD_PROTOCOL_REQUEST, sizeof(struct synthkbd_protocol_request),
		IN_OPEN | IN_CONNECTED, handle_protocol_request},
	{SYNTHKBD_SET_LEDS, sizeof(struct synthkbd_set_leds), IN_CONNECTED, handle_set_leds},
};

bool kbd_vsp_receive(struct kbd_vsp *vsp, const void *payload, size_t size_bytes)
{
	if (size_bytes < sizeof(uint32_t))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(message_table); i++) {
		const struct message_row *row = &message_table[i];

		if (row->type != load_le32(payload))
			continue;
		if (size_bytes < row->min_bytes || !(row->phases & 1U << vsp->phase))
			return false;
		row->handle(vsp, payload);
		return true;
	}
	return false;
}

bool kbd_vsp_produce(struct kbd_vsp *vsp)
{
	struct synthkbd_event message = {.type = SYNTHKBD_EVENT};
	const struct kbd_event *event;

	if (vsp->release_wanted)
		kbd_vsp_release_all(vsp);
	if (vsp->phase != KBD_CONNECTED || !vsp->n_events)
		return false;
	event = &vsp->events[vsp->first_event];
	message.make_code = event->make_code;
	message.info = event->info;
	pipe_queue_raw(&vsp->out, &message, sizeof(message));
	vsp->first_event = (vsp->first_event + 1) % KBD_MAX_EVENTS;
	vsp->n_events--;
	return true;
}

static void append(struct kbd_vsp *vsp, uint16_t make_code, uint8_t info)
{
	vsp->events[(vsp->first_event + vsp->n_events) % KBD_MAX_EVENTS] =
		(struct kbd_event){make_code, info};
	vsp->n_events++;
	vsp->n_accepted++;
}

/* Events that a key makes when it goes down, or up. */
static unsigned events_of(unsigned key)
{
	return key == KBD_PAUSE ? 2 : 1;
}

static void apply(struct kbd_vsp *vsp, struct stroke stroke)
{
	uint8_t info = stroke.down ? 0 : SYNTHKBD_BREAK;

	if (stroke.down && !vsp->down[stroke.key])
		vsp->n_reserved += events_of(stroke.key);
	else if (!stroke.down)
		vsp->n_reserved -= events_of(stroke.key);
	vsp->down[stroke.key] = stroke.down;
	if (stroke.key == KBD_PAUSE) {
		append(vsp, PAUSE_FIRST, info | SYNTHKBD_E1);
		append(vsp, PAUSE_SECOND, info);
	} else {
		append(vsp, stroke.key & MAKE_CODE_MASK,
			info | (stroke.key & KBD_E0 ? SYNTHKBD_E0 : 0));
	}
}

/* Room for these events, with what is reserved afterwards. */
static bool has_room(const struct kbd_vsp *vsp, unsigned n_events, unsigned n_reserved)
{
	return vsp->n_events + n_events + n_reserved <= KBD_MAX_EVENTS;
}

/* All or nothing. A key goes up only where it is down. */
static bool apply_all(struct kbd_vsp *vsp, const struct stroke *strokes, unsigned n_strokes)
{
	unsigned n_events = 0;

	for (unsigned i = 0; i < n_strokes; i++)
		n_events += events_of(strokes[i].key);
	/* Events and reservations together never become fewer on the way, and in the end one more
	 * key may be down than before. */
	if (!has_room(vsp, n_events, vsp->n_reserved + events_of(strokes[0].key))) {
		vsp->n_refused++;
		return false;
	}
	for (unsigned i = 0; i < n_strokes; i++)
		apply(vsp, strokes[i]);
	return true;
}

int kbd_vsp_key(struct kbd_vsp *vsp, unsigned key, bool down)
{
	const struct stroke stroke = {key, down};

	if (key == 0 || key == KBD_E0 || key >= KBD_N_KEYS)
		return -EINVAL;
	if (vsp->phase != KBD_CONNECTED)
		return -ENOTCONN;
	if (vsp->release_wanted)
		kbd_vsp_release_all(vsp);
	if (!down) {
		if (vsp->down[key])
			apply(vsp, stroke);
		return 0;
	}
	return apply_all(vsp, &stroke, 1) ? 0 : -EAGAIN;
}

/* Append the strokes that bring the shift keys where `shift` wants them, or back. */
static unsigned fix_shift(
	const struct kbd_vsp *vsp, bool shift, bool back, struct stroke *ret_strokes)
{
	static const unsigned shifts[] = {KBD_LEFT_SHIFT, KBD_RIGHT_SHIFT};
	bool is_down = vsp->down[KBD_LEFT_SHIFT] || vsp->down[KBD_RIGHT_SHIFT];
	unsigned n = 0;

	if (is_down == shift)
		return 0;
	if (shift) {
		ret_strokes[n++] = (struct stroke){KBD_LEFT_SHIFT, !back};
		return n;
	}
	for (size_t i = 0; i < ARRAY_LEN(shifts); i++) {
		if (vsp->down[shifts[i]])
			ret_strokes[n++] = (struct stroke){shifts[i], back};
	}
	return n;
}

/* Who sends keysyms sends the shift keys too, but perhaps of another layout: where a character of
 * ours needs another shift, it is given for that moment. Not to letters: caps lock may be meant. */
int kbd_vsp_keysym(struct kbd_vsp *vsp, uint32_t keysym, bool down)
{
	struct stroke strokes[MAX_STROKES];
	struct kbd_stroke stroke;
	unsigned n = 0;

	if (!kbd_map_keysym(keysym, &stroke))
		return -ENOENT;
	if (!down || !stroke.is_char || stroke.is_letter || vsp->phase != KBD_CONNECTED)
		return kbd_vsp_key(vsp, stroke.key, down);
	if (vsp->release_wanted)
		kbd_vsp_release_all(vsp);
	n += fix_shift(vsp, stroke.shift, false, strokes + n);
	strokes[n++] = (struct stroke){stroke.key, true};
	n += fix_shift(vsp, stroke.shift, true, strokes + n);
	return apply_all(vsp, strokes, n) ? 0 : -EAGAIN;
}

static bool type_key(struct kbd_vsp *vsp, const struct kbd_stroke *stroke)
{
	bool caps_lock = stroke->is_letter && vsp->leds & LED_CAPS_LOCK;
	bool shift = stroke->shift != caps_lock;
	struct stroke strokes[MAX_STROKES];
	unsigned n = 0;

	if (stroke->is_char)
		n += fix_shift(vsp, shift, false, strokes + n);
	strokes[n++] = (struct stroke){stroke->key, true};
	strokes[n++] = (struct stroke){stroke->key, false};
	if (stroke->is_char)
		n += fix_shift(vsp, shift, true, strokes + n);
	return apply_all(vsp, strokes, n);
}

static void type_unit(struct kbd_vsp *vsp, uint16_t unit)
{
	append(vsp, unit, SYNTHKBD_UNICODE);
	append(vsp, unit, SYNTHKBD_UNICODE | SYNTHKBD_BREAK);
}

/* As UTF-16. */
static bool type_unicode(struct kbd_vsp *vsp, uint32_t code_point)
{
	bool is_pair = code_point > 0xffff;

	if (!has_room(vsp, is_pair ? 4 : 2, vsp->n_reserved)) {
		vsp->n_refused++;
		return false;
	}
	if (is_pair) {
		type_unit(vsp, (uint16_t)(0xd800 + ((code_point - 0x10000) >> 10)));
		type_unit(vsp, (uint16_t)(0xdc00 + (code_point & 0x3ff)));
	} else {
		type_unit(vsp, (uint16_t)code_point);
	}
	return true;
}

static bool type_code_point(struct kbd_vsp *vsp, uint32_t code_point)
{
	struct kbd_stroke stroke = {0};

	if (code_point == '\n')
		stroke.key = KBD_ENTER;
	else if (code_point == '\t')
		stroke.key = KBD_TAB;
	else if (!kbd_map_char(code_point, &stroke))
		return type_unicode(vsp, code_point);
	return type_key(vsp, &stroke);
}

/* The bytes of the first character; 0: it is none. */
static size_t decode_utf8(const uint8_t *text, size_t size_bytes, uint32_t *ret_code_point)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code_point = text[0];
	size_t n;

	if (code_point < 0x80) {
		*ret_code_point = code_point;
		return 1;
	}
	n = code_point >= 0xf0 ? 4 : code_point >= 0xe0 ? 3 : 2;
	if (code_point < 0xc0 || code_point > 0xf4 || n > size_bytes)
		return 0;
	code_point &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code_point = code_point << 6 | (text[i] & 0x3f);
	}
	if (code_point < smallest[n] || code_point > 0x10ffff ||
		(code_point >= 0xd800 && code_point <= 0xdfff))
		return 0;
	*ret_code_point = code_point;
	return n;
}

/* All of the text is checked before anything of it is typed. */
ssize_t kbd_vsp_type(struct kbd_vsp *vsp, const char *text, size_t size_bytes)
{
	const uint8_t *bytes = (const uint8_t *)text;
	uint32_t code_point;
	size_t at, n;

	if (vsp->phase != KBD_CONNECTED)
		return -ENOTCONN;
	for (at = 0; at < size_bytes; at += n) {
		n = decode_utf8(bytes + at, size_bytes - at, &code_point);
		if (n == 0)
			return -EILSEQ;
	}
	if (vsp->release_wanted)
		kbd_vsp_release_all(vsp);
	for (at = 0; at < size_bytes; at += n) {
		n = decode_utf8(bytes + at, size_bytes - at, &code_point);
		if (!type_code_point(vsp, code_point))
			break;
	}
	return (ssize_t)at;
}

void kbd_vsp_release_all(struct kbd_vsp *vsp)
{
	vsp->release_wanted = false;
	for (unsigned key = 0; key < KBD_N_KEYS; key++) {
		if (vsp->down[key])
			apply(vsp, (struct stroke){key, false});
	}
}

static void forget_guest(struct kbd_vsp *vsp)
{
	pipe_queue_clear(&vsp->out);
	forget_keys(vsp);
	vsp->leds = 0;
}

void kbd_vsp_open(struct kbd_vsp *vsp)
{
	forget_guest(vsp);
	vsp->phase = KBD_OPEN;
}

void kbd_vsp_close(struct kbd_vsp *vsp)
{
	forget_guest(vsp);
	vsp->phase = KBD_CLOSED;
}

/* In this order: counters, phase; then, unless closed, LEDs, waiting events, keys that are down,
 * waiting packets. */
void kbd_vsp_save(const struct kbd_vsp *vsp, struct buf *out)
{
	buf_le64(out, vsp->n_accepted);
	buf_le64(out, vsp->n_refused);
	buf_u8(out, (uint8_t)vsp->phase);
	if (vsp->phase == KBD_CLOSED)
		return;
	buf_le32(out, vsp->leds);
	buf_le32(out, vsp->n_events);
	for (unsigned i = 0; i < vsp->n_events; i++) {
		const struct kbd_event *event =
			&vsp->events[(vsp->first_event + i) % KBD_MAX_EVENTS];

		buf_le16(out, event->make_code);
		buf_u8(out, event->info);
	}
	for (unsigned key = 0; key < KBD_N_KEYS; key++)
		buf_u8(out, vsp->down[key]);
	pipe_queue_save(&vsp->out, out);
}

static void restore_open(struct kbd_vsp *vsp, struct reader *in)
{
	vsp->leds = pipe_read_up_to(in, 0x7);
	vsp->n_events = pipe_read_up_to(in, KBD_MAX_EVENTS);
	for (unsigned i = 0; i < vsp->n_events; i++) {
		vsp->events[i].make_code = reader_le16(in);
		vsp->events[i].info = reader_u8(in);
	}
	for (unsigned key = 0; key < KBD_N_KEYS; key++) {
		vsp->down[key] = pipe_read_bool(in);
		if (vsp->down[key])
			vsp->n_reserved += events_of(key);
	}
	pipe_queue_restore(&vsp->out, in);
	in->failed |= !has_room(vsp, 0, vsp->n_reserved) ||
		      (vsp->phase != KBD_CONNECTED && (vsp->n_events || vsp->n_reserved));
}

int kbd_vsp_restore(struct kbd_vsp *vsp, struct reader *in, bool is_open)
{
	uint64_t n_accepted = reader_le64(in), n_refused = reader_le64(in);
	uint8_t phase = reader_u8(in);

	if (!reader_ok(in) || phase > KBD_CONNECTED || (phase != KBD_CLOSED) != is_open)
		return -EBADMSG;
	if (phase != KBD_CLOSED) {
		vsp->phase = phase;
		restore_open(vsp, in);
	}
	if (!reader_ok(in)) {
		kbd_vsp_close(vsp);
		return -EBADMSG;
	}
	vsp->n_accepted = n_accepted;
	vsp->n_refused = n_refused;
	vsp->release_wanted = vsp->n_reserved != 0;
	return 0;
}
