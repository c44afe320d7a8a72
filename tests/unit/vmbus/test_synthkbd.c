/* SPDX-License-Identifier: MIT
 *
 * The keyboard: its protocol, which keystrokes come of keys, keysyms and text, and that no key
 * stays down for want of room.
 */
#include "vmbus/kbd_vsp.h"

#include "ui_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct kbd_vsp vsp;

static bool receive(void *core, const void *payload, size_t size_bytes)
{
	return kbd_vsp_receive(core, payload, size_bytes);
}

static int restore(void *core, struct reader *in, bool is_open)
{
	return kbd_vsp_restore(core, in, is_open);
}

#define SEND(message) ui_send_raw(receive, &vsp, &(message), sizeof(message))

static bool connect(uint32_t version)
{
	const struct synthkbd_protocol_request request = {SYNTHKBD_PROTOCOL_REQUEST, version};
	struct synthkbd_protocol_response response;

	assert_true(SEND(request));
	ui_take_raw(&vsp.out, &response, sizeof(response));
	assert_int_equal(response.type, SYNTHKBD_PROTOCOL_RESPONSE);
	return response.status & SYNTHKBD_ACCEPTED;
}

static int setup_open(_unused_ void **state)
{
	memset(&vsp, 0, sizeof(vsp));
	kbd_vsp_open(&vsp);
	return 0;
}

static int setup(void **state)
{
	setup_open(state);
	return connect(SYNTHKBD_VERSION) ? 0 : -1;
}

/* The next keystroke as `info << 16 | make_code`; -1: none. */
static int32_t stroke(void)
{
	struct synthkbd_event event;

	if (!kbd_vsp_produce(&vsp))
		return -1;
	ui_take_raw(&vsp.out, &event, sizeof(event));
	assert_int_equal(event.type, SYNTHKBD_EVENT);
	assert_int_equal(event.reserved, 0);
	return (int32_t)(event.info << 16 | event.make_code);
}

#define UP     (SYNTHKBD_BREAK << 16)
#define E0     (SYNTHKBD_E0 << 16)
#define E1     (SYNTHKBD_E1 << 16)
#define U      (SYNTHKBD_UNICODE << 16)
#define LSHIFT 0x2a
#define RSHIFT 0x36

#define EXPECT(...)                                                                                \
	do {                                                                                       \
		const int32_t expected_[] = {__VA_ARGS__};                                         \
		for (size_t i_ = 0; i_ < ARRAY_LEN(expected_); i_++)                               \
			assert_int_equal(stroke(), expected_[i_]);                                 \
		assert_int_equal(stroke(), -1);                                                    \
	} while (0)

static void versions(_unused_ void **state)
{
	assert_false(connect(0x00020000));
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), -ENOTCONN);
	assert_false(connect(0));
	assert_true(connect(SYNTHKBD_VERSION));
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), 0);
	EXPECT(0x1e);
	/* A driver that starts over knows of no key. */
	assert_true(connect(SYNTHKBD_VERSION));
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, false), 0);
	assert_int_equal(stroke(), -1);
}

static void nobody_listens(_unused_ void **state)
{
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), -ENOTCONN);
	assert_int_equal(kbd_vsp_keysym(&vsp, 'a', true), -ENOTCONN);
	assert_int_equal(kbd_vsp_keysym(&vsp, '!', true), -ENOTCONN);
	assert_int_equal(kbd_vsp_type(&vsp, "a", 1), -ENOTCONN);
	kbd_vsp_release_all(&vsp);
	assert_int_equal(stroke(), -1);
}

static void keys(_unused_ void **state)
{
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), 0);
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), 0); /* repeats */
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, false), 0);
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, false), 0); /* is up */
	assert_int_equal(kbd_vsp_key(&vsp, KBD_E0 | 0x48, true), 0);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_E0 | 0x48, false), 0);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_PAUSE, true), 0);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_PAUSE, false), 0);
	EXPECT(0x1e, 0x1e, UP | 0x1e, E0 | 0x48, E0 | UP | 0x48, E1 | 0x1d, 0x45, E1 | UP | 0x1d,
		UP | 0x45);
	assert_int_equal(kbd_vsp_key(&vsp, 0, true), -EINVAL);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_E0, true), -EINVAL);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_N_KEYS, true), -EINVAL);
	assert_int_equal(kbd_vsp_key(&vsp, UINT32_MAX, true), -EINVAL);
}

static void keysyms(_unused_ void **state)
{
	static const struct {
		uint32_t keysym;
		int32_t stroke;
	} cases[] = {
		{'a', 0x1e}, {'Z', 0x2c}, {' ', 0x39}, {0xff0d, 0x1c}, {0xff1b, 0x01},
		{0xff51, E0 | 0x4b}, {0xffbe, 0x3b}, {0xffc9, 0x58}, {0xffff, E0 | 0x53},
		{0xffe4, E0 | 0x1d}, {0xfe03, E0 | 0x38}, {0xff8d, E0 | 0x1c}, {0xffb5, 0x4c},
		{0x01000061, 0x1e}, /* Unicode a */
	};
	static const uint32_t none[] = {0, 1, 0x7f, 0xe4, 0xff00, 0x20ac, 0x010020ac, 0x01000000,
		0xffffffff, 0xfe50, 0x1000ff0d};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(kbd_vsp_keysym(&vsp, cases[i].keysym, true), 0);
		assert_int_equal(kbd_vsp_keysym(&vsp, cases[i].keysym, false), 0);
		EXPECT(cases[i].stroke, UP | cases[i].stroke);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_int_equal(kbd_vsp_keysym(&vsp, none[i], true), -ENOENT);
		assert_int_equal(kbd_vsp_keysym(&vsp, none[i], false), -ENOENT);
	}
	assert_int_equal(stroke(), -1);
}

/* Every printable character has a key, and no key two of them without shift. */
static void the_layout_is_whole(_unused_ void **state)
{
	bool seen[2][128] = {{false}};

	for (uint32_t c = ' '; c <= '~'; c++) {
		struct kbd_stroke s;

		assert_true(kbd_map_char(c, &s));
		assert_in_range(s.key, 1, 0x7f);
		assert_false(seen[s.shift][s.key]);
		seen[s.shift][s.key] = true;
		assert_int_equal(s.is_letter, (c | 0x20) >= 'a' && (c | 0x20) <= 'z');
	}
	for (unsigned key = 1; key < 128; key++)
		assert_true(seen[0][key] || !seen[1][key]);
}

/* The sender has another layout: the shift it holds is not the one our character needs. */
static void keysyms_of_other_layouts(_unused_ void **state)
{
	assert_int_equal(kbd_vsp_keysym(&vsp, 0xffe1, true), 0);
	assert_int_equal(kbd_vsp_keysym(&vsp, '!', true), 0); /* as here */
	assert_int_equal(kbd_vsp_keysym(&vsp, '!', false), 0);
	EXPECT(LSHIFT, 0x02, UP | 0x02);
	assert_int_equal(kbd_vsp_keysym(&vsp, '/', true), 0); /* on a German 7 */
	assert_int_equal(kbd_vsp_keysym(&vsp, '/', false), 0);
	EXPECT(UP | LSHIFT, 0x35, LSHIFT, UP | 0x35);
	assert_int_equal(kbd_vsp_keysym(&vsp, 0xffe2, true), 0);
	assert_int_equal(kbd_vsp_keysym(&vsp, '/', true), 0);
	EXPECT(RSHIFT, UP | LSHIFT, UP | RSHIFT, 0x35, LSHIFT, RSHIFT);
	kbd_vsp_release_all(&vsp);
	EXPECT(UP | LSHIFT, UP | 0x35, UP | RSHIFT);
	assert_int_equal(kbd_vsp_keysym(&vsp, '!', true), 0); /* on a French key without shift */
	assert_int_equal(kbd_vsp_keysym(&vsp, '!', false), 0);
	EXPECT(LSHIFT, 0x02, UP | LSHIFT, UP | 0x02);
	/* Caps lock may be on: letters are left alone. */
	assert_int_equal(kbd_vsp_keysym(&vsp, 'A', true), 0);
	EXPECT(0x1e);
}

static void text(_unused_ void **state)
{
	assert_int_equal(kbd_vsp_type(&vsp, "aB1!\n\t", 6), 6);
	EXPECT(0x1e, UP | 0x1e, LSHIFT, 0x30, UP | 0x30, UP | LSHIFT, 0x02, UP | 0x02, LSHIFT, 0x02,
		UP | 0x02, UP | LSHIFT, 0x1c, UP | 0x1c, 0x0f, UP | 0x0f);
	assert_int_equal(kbd_vsp_type(&vsp, "", 0), 0);
	assert_int_equal(stroke(), -1);
}

static void text_under_other_hands(_unused_ void **state)
{
	const struct synthkbd_set_leds caps = {SYNTHKBD_SET_LEDS, 4};

	/* Somebody holds shift, and the key too. */
	assert_int_equal(kbd_vsp_key(&vsp, RSHIFT, true), 0);
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), 0);
	assert_int_equal(kbd_vsp_type(&vsp, "aA", 2), 2);
	EXPECT(RSHIFT, 0x1e, UP | RSHIFT, 0x1e, UP | 0x1e, RSHIFT, 0x1e, UP | 0x1e);
	assert_int_equal(kbd_vsp_key(&vsp, RSHIFT, false), 0);
	EXPECT(UP | RSHIFT);
	/* Caps lock turns letters round, and nothing else. */
	assert_true(SEND(caps));
	assert_int_equal(kbd_vsp_type(&vsp, "aA1!", 4), 4);
	EXPECT(LSHIFT, 0x1e, UP | 0x1e, UP | LSHIFT, 0x1e, UP | 0x1e, 0x02, UP | 0x02, LSHIFT, 0x02,
		UP | 0x02, UP | LSHIFT);
}

static void text_that_no_key_has(_unused_ void **state)
{
	/* a umlaut, euro, a face */
	assert_int_equal(kbd_vsp_type(&vsp, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9), 9);
	EXPECT(U | 0xe4, U | UP | 0xe4, U | 0x20ac, U | UP | 0x20ac, U | 0xd83d, U | UP | 0xd83d,
		U | 0xde00, U | UP | 0xde00);
}

static void text_that_is_none(_unused_ void **state)
{
	static const char *const bad[] = {
		"a\x80",
		"a\xc3",
		"\xc0\xaf",
		"\xe2\x82",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf0\x80\x80\xaf",
		"\xff",
		"\xc3(",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_free_ char *exact = malloc(strlen(bad[i]));

		assert_non_null(exact);
		memcpy(exact, bad[i], strlen(bad[i]));
		assert_int_equal(kbd_vsp_type(&vsp, exact, strlen(bad[i])), -EILSEQ);
	}
	assert_int_equal(stroke(), -1);
}

/* Typed piece by piece as the guest takes it, nothing is lost or half. */
static void text_longer_than_the_queue(_unused_ void **state)
{
	char long_text[1000];
	size_t typed = 0, seen = 0;

	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = i % 3 ? 'x' : 'X';
	while (typed < sizeof(long_text)) {
		ssize_t n = kbd_vsp_type(&vsp, long_text + typed, sizeof(long_text) - typed);
		int32_t s;

		assert_true(n > 0);
		typed += (size_t)n;
		assert_int_equal(vsp.n_reserved, 0);
		assert_true(vsp.n_events <= KBD_MAX_EVENTS);
		for (unsigned i = 0; i < 50 && (s = stroke()) >= 0; i++)
			seen += s == 0x2d;
	}
	while (vsp.n_events)
		seen += stroke() == 0x2d;
	assert_int_equal(seen, sizeof(long_text));
	assert_true(vsp.n_refused > 0);
}

/* Press all there are until no more go in: all of them come up again. */
static void releases_have_room(_unused_ void **state)
{
	unsigned n_down = 0, n_up = 0;
	int32_t s;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned key = 1; key < KBD_N_KEYS; key++) {
			int r = key == KBD_E0 ? 0 : kbd_vsp_key(&vsp, key, true);

			assert_true(r == 0 || r == -EAGAIN);
			assert_true(vsp.n_events + vsp.n_reserved <= KBD_MAX_EVENTS);
		}
	}
	assert_true(kbd_vsp_keysym(&vsp, '!', true) == -EAGAIN);
	assert_int_equal(kbd_vsp_type(&vsp, "A", 1), 0);
	assert_int_equal(kbd_vsp_type(&vsp, "\xc3\xa4", 2), 0);
	for (unsigned key = 1; key < KBD_N_KEYS; key++)
		n_down += vsp.down[key];
	assert_true(n_down > 100);
	kbd_vsp_release_all(&vsp);
	assert_int_equal(vsp.n_reserved, 0);
	while ((s = stroke()) >= 0)
		n_up += (s & UP) != 0;
	assert_int_equal(n_up, n_down);
}

static void hostile_messages(_unused_ void **state)
{
	const struct synthkbd_set_leds leds = {SYNTHKBD_SET_LEDS, 0xffffffff};
	uint8_t bytes[16] = {0};

	assert_true(SEND(leds));
	assert_int_equal(vsp.leds, 7);
	for (uint32_t type = 0; type < 100; type++) {
		store_le32(bytes, type);
		if (type == SYNTHKBD_PROTOCOL_REQUEST || type == SYNTHKBD_SET_LEDS) {
			for (size_t n = 0; n < 8; n++)
				assert_false(ui_send_raw(receive, &vsp, bytes, n));
		} else {
			assert_false(ui_send_raw(receive, &vsp, bytes, sizeof(bytes)));
		}
	}
	assert_int_equal(vsp.phase, KBD_CONNECTED);
	kbd_vsp_open(&vsp);
	assert_false(SEND(leds));
	assert_null(pipe_queue_head(&vsp.out));
}

static void save(struct buf *saved)
{
	buf_reset(saved);
	kbd_vsp_save(&vsp, saved);
	assert_false(saved->failed);
}

static int restore_state(const struct buf *saved, bool is_open)
{
	struct reader in = reader_make(saved->data, saved->size_bytes);
	int r;

	memset(&vsp, 0, sizeof(vsp));
	r = kbd_vsp_restore(&vsp, &in, is_open);
	if (r == 0)
		assert_true(reader_done(&in));
	return r;
}

/* What waited arrives, and what was held is let go of. */
static void goes_on_elsewhere(_unused_ void **state)
{
	struct buf saved = {0}, again = {0};

	assert_int_equal(kbd_vsp_key(&vsp, 0x1d, true), 0);
	assert_int_equal(stroke(), 0x1d);
	assert_int_equal(kbd_vsp_key(&vsp, KBD_E0 | 0x53, true), 0);
	assert_int_equal(kbd_vsp_type(&vsp, "\xe2\x82\xac", 3), 3);
	save(&saved);
	assert_int_equal(restore_state(&saved, true), 0);
	save(&again);
	assert_int_equal(again.size_bytes, saved.size_bytes);
	assert_memory_equal(again.data, saved.data, saved.size_bytes);
	EXPECT(E0 | 0x53, U | 0x20ac, U | UP | 0x20ac, UP | 0x1d, E0 | UP | 0x53);
	assert_int_equal(kbd_vsp_key(&vsp, 0x1e, true), 0);
	EXPECT(0x1e);
	assert_int_equal(restore_state(&saved, false), -EBADMSG);
	kbd_vsp_close(&vsp);
	save(&saved);
	assert_int_equal(restore_state(&saved, false), 0);
	assert_int_equal(restore_state(&saved, true), -EBADMSG);
	buf_fini(&saved);
	buf_fini(&again);
}

static void spoiled_states(_unused_ void **state)
{
	static const struct kbd_vsp fresh;
	struct buf saved = {0};

	assert_int_equal(kbd_vsp_key(&vsp, 0x1d, true), 0);
	assert_int_equal(kbd_vsp_type(&vsp, "ab", 2), 2);
	assert_true(kbd_vsp_produce(&vsp));
	save(&saved);
	ui_spoil_state(restore, sizeof(fresh), &fresh, &saved);
	buf_fini(&saved);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(versions, setup_open),
		cmocka_unit_test_setup(nobody_listens, setup_open),
		TEST(keys),
		TEST(keysyms),
		TEST(the_layout_is_whole),
		TEST(keysyms_of_other_layouts),
		TEST(text),
		TEST(text_under_other_hands),
		TEST(text_that_no_key_has),
		TEST(text_that_is_none),
		TEST(text_longer_than_the_queue),
		TEST(releases_have_room),
		TEST(hostile_messages),
		TEST(goes_on_elsewhere),
		TEST(spoiled_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
