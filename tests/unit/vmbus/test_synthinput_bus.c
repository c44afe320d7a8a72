/* SPDX-License-Identifier: MIT
 *
 * Keyboard and mouse on the real bus: what is typed and clicked arrives, in order, through rings
 * that are full again and again, and through moves.
 */
#include "ui_bus_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define UP (SYNTHKBD_BREAK << 16)

static struct ui_bus_rig rig;

static int setup(_unused_ void **state)
{
	memset(&rig, 0, sizeof(rig));
	ui_bus_rig_init(&rig);
	return 0;
}

static int teardown(_unused_ void **state)
{
	ui_bus_rig_fini(&rig);
	return 0;
}

static void keys_arrive(_unused_ void **state)
{
	struct synthinput_info info;

	assert_int_equal(synthkbd_key(rig.keyboard, 0x1e, false, true), -ENOTCONN);
	ui_guest_load_keyboard(&rig);
	assert_int_equal(synthkbd_key(rig.keyboard, 0x1e, false, true), 0);
	assert_int_equal(ui_guest_take_key(&rig), 0x1e);
	assert_int_equal(synthkbd_key(rig.keyboard, 0x1e, false, false), 0);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x1e);
	assert_int_equal(synthkbd_key(rig.keyboard, 0x48, true, true), 0);
	assert_int_equal(ui_guest_take_key(&rig), SYNTHKBD_E0 << 16 | 0x48);
	assert_int_equal(synthkbd_key(rig.keyboard, SYNTHKBD_PAUSE, false, true), 0);
	assert_int_equal(ui_guest_take_key(&rig), SYNTHKBD_E1 << 16 | 0x1d);
	assert_int_equal(ui_guest_take_key(&rig), 0x45);
	assert_int_equal(synthkbd_key(rig.keyboard, 0x80, false, true), -EINVAL);
	assert_int_equal(synthkbd_key(rig.keyboard, 0, true, true), -EINVAL);
	assert_int_equal(synthkbd_keysym(rig.keyboard, 'q', true), 0);
	assert_int_equal(ui_guest_take_key(&rig), 0x10);
	synthkbd_release_all(rig.keyboard);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x10);
	assert_int_equal(ui_guest_take_key(&rig), SYNTHKBD_E0 << 16 | UP | 0x48);
	synthkbd_get_info(rig.keyboard, &info);
	assert_true(info.connected);
	assert_int_equal(info.n_protocol_errors, 0);
	assert_int_equal(info.n_refused, 0);
}

static void lamps_are_seen(_unused_ void **state)
{
	const struct synthkbd_set_leds leds = {SYNTHKBD_SET_LEDS, 5};
	const struct synthkbd_protocol_request again = {
		SYNTHKBD_PROTOCOL_REQUEST, SYNTHKBD_VERSION};
	struct synthkbd_protocol_response response;
	struct synthinput_info info;

	ui_guest_load_keyboard(&rig);
	ui_guest_send(&rig, &rig.keyboard_channel, &leds, sizeof(leds));
	ui_guest_send(&rig, &rig.keyboard_channel, &again, sizeof(again));
	ui_guest_take(&rig, &rig.keyboard_channel, &response, sizeof(response));
	synthkbd_get_info(rig.keyboard, &info);
	assert_int_equal(info.leds, 5);
}

/* Much more than the guest's ring holds, and than waits. */
static void text_through_a_full_ring(_unused_ void **state)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog\n";
	size_t typed = 0, n_seen = 0;
	const size_t total = 200 * (sizeof(text) - 1);

	ui_guest_load_keyboard(&rig);
	while (n_seen < 2 * total) {
		while (typed < total) {
			size_t at = typed % (sizeof(text) - 1);
			ssize_t n = synthkbd_type(rig.keyboard, text + at, sizeof(text) - 1 - at);

			assert_true(n >= 0);
			typed += (size_t)n;
			if (n == 0)
				break;
		}
		for (unsigned i = 0; i < 100 && n_seen < 2 * typed; i++, n_seen++)
			assert_int_equal((ui_guest_take_key(&rig) & UP) != 0, n_seen % 2);
	}
}

static void moved_while_keys_wait(_unused_ void **state)
{
	char text[100];

	memset(text, 'z', sizeof(text));
	ui_guest_load_keyboard(&rig);
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(synthkbd_type(rig.keyboard, text, sizeof(text)), sizeof(text));
		assert_int_equal(synthkbd_key(rig.keyboard, 0x2a, false, true), 0);
		ui_bus_rig_save(&rig);
		assert_int_equal(synthkbd_key(rig.keyboard, 0x2a, false, false), -EAGAIN);
		assert_int_equal(synthkbd_type(rig.keyboard, text, 1), -EAGAIN);
		assert_int_equal(synthkbd_keysym(rig.keyboard, 'a', true), -EAGAIN);
		ui_bus_rig_leave(&rig);
		ui_bus_rig_arrive(&rig);
		for (unsigned i = 0; i < sizeof(text); i++) {
			assert_int_equal(ui_guest_take_key(&rig), 0x2c);
			assert_int_equal(ui_guest_take_key(&rig), UP | 0x2c);
		}
		assert_int_equal(ui_guest_take_key(&rig), 0x2a);
		assert_int_equal(ui_guest_take_key(&rig), UP | 0x2a);
	}
}

/* The one who holds a key goes away while the machine stands still. */
static void released_while_stopped(_unused_ void **state)
{
	struct buf before = {0};

	ui_guest_load_keyboard(&rig);
	ui_guest_load_mouse(&rig);
	assert_int_equal(synthkbd_key(rig.keyboard, 0x1d, false, true), 0);
	assert_int_equal(ui_guest_take_key(&rig), 0x1d);
	fake_guest_stop(&rig.guest);
	assert_int_equal(unit_save_all(rig.guest.units, &before), 0);
	synthkbd_release_all(rig.keyboard);
	synthmouse_release_all(rig.mouse);
	ui_bus_rig_save(&rig);
	assert_int_equal(before.size_bytes, rig.saved.size_bytes);
	assert_memory_equal(before.data, rig.saved.data, before.size_bytes);
	fake_guest_start(&rig.guest);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x1d);
	buf_fini(&before);
}

static void the_mouse_arrives(_unused_ void **state)
{
	struct synthmouse_input_report report;
	struct synthinput_info info;

	assert_int_equal(synthmouse_report(rig.mouse, 0, 1, 1, 0), -ENOTCONN);
	ui_guest_load_mouse(&rig);
	/* The driver's word is under way. */
	do
		synthmouse_get_info(rig.mouse, &info);
	while (!info.connected);
	assert_int_equal(synthmouse_report(rig.mouse, 1, 100, 200, 0), 0);
	report = ui_guest_take_report(&rig);
	assert_int_equal(report.buttons, 1);
	assert_int_equal(report.x, 100);
	assert_int_equal(report.y, 200);
	ui_bus_rig_move(&rig);
	report = ui_guest_take_report(&rig);
	assert_int_equal(report.buttons, 0);
	assert_int_equal(report.x, 100);
	assert_int_equal(synthmouse_report(rig.mouse, 0, 300, 200, -2), 0);
	report = ui_guest_take_report(&rig);
	assert_int_equal(report.wheel, -2);
	synthmouse_get_info(rig.mouse, &info);
	assert_true(info.connected);
	assert_int_equal(info.n_protocol_errors, 0);
}

/* A guest that does not look for a while: the ring fills, movements merge, clicks do not. */
static void a_mouse_that_waits(_unused_ void **state)
{
	struct synthmouse_input_report report = {0};
	struct synthinput_info info;
	unsigned n_pressed = 0, n_seen = 0, n_reports = 0;
	uint8_t held = 0;
	int r = 0;

	ui_guest_load_mouse(&rig);
	do
		synthmouse_get_info(rig.mouse, &info);
	while (!info.connected);
	for (unsigned i = 0; i < 20000 && r == 0; i++) {
		uint8_t buttons = i / 10 % 2;

		r = synthmouse_report(rig.mouse, buttons, (uint16_t)(i % 30000), 0, 0);
		n_pressed += r == 0 && buttons && !held;
		held = r == 0 ? buttons : held;
	}
	assert_int_equal(r, -EAGAIN);
	synthmouse_get_info(rig.mouse, &info);
	assert_true(info.n_refused > 0);
	/* A release always has room. */
	if (held)
		assert_int_equal(synthmouse_report(rig.mouse, 0, 5, 5, 0), 0);
	do {
		uint8_t before = report.buttons;

		if (report.y != 7)
			r = synthmouse_report(rig.mouse, 0, 5, 7, 0);
		report = ui_guest_take_report(&rig);
		n_seen += report.buttons && !before;
		n_reports++;
	} while (report.y != 7);
	assert_int_equal(report.buttons, 0);
	assert_int_equal(n_seen, n_pressed);
	assert_true(n_reports < info.n_events);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_arrive),
		TEST(lamps_are_seen),
		TEST(text_through_a_full_ring),
		TEST(moved_while_keys_wait),
		TEST(released_while_stopped),
		TEST(the_mouse_arrives),
		TEST(a_mouse_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
