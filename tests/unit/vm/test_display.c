/* SPDX-License-Identifier: MIT
 *
 * The display between a guest that does what Linux's drivers do and viewers over a socket: what the
 * guest draws is seen, what people press arrives, and viewers who behave badly hurt nobody else.
 */
#include "node/vm/display.h"

#include "tests/unit/vmbus/ui_bus_rig.h"
#include "vnc_viewer.h"

#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <cmocka.h>

#define UP (SYNTHKBD_BREAK << 16)

static struct ui_bus_rig rig;
static struct display *display;
static struct vnc_viewer viewer, other;

static int setup(_unused_ void **state)
{
	memset(&rig, 0, sizeof(rig));
	ui_bus_rig_init(&rig);
	return display_new(rig.video, rig.keyboard, rig.mouse, "VM \"one\"", &display);
}

static int teardown(_unused_ void **state)
{
	display_free(display);
	vnc_viewer_fini(&viewer);
	vnc_viewer_fini(&other);
	ui_bus_rig_fini(&rig);
	return 0;
}

static void attach(struct vnc_viewer *new_viewer)
{
	int fd = vnc_viewer_init(new_viewer);

	assert_int_equal(display_add_client(display, fd), 0);
	vnc_viewer_connect(new_viewer);
}

static void load_video(uint32_t width, uint32_t height)
{
	ui_guest_load_video(&rig, width, height);
	ui_guest_expect_features(&rig, false);
}

static void paint(uint32_t x, uint32_t y, uint32_t width, uint32_t colour)
{
	store_le32(ui_guest_vram(&rig) + 4UL * ((size_t)y * width + x), colour | 0xaa000000);
}

static void what_the_guest_draws_is_seen(_unused_ void **state)
{
	load_video(800, 600);
	paint(0, 0, 800, 0x112233);
	paint(799, 599, 800, 0x445566);
	attach(&viewer);
	ui_guest_expect_features(&rig, true);
	assert_string_equal(viewer.title, "VM \"one\"");
	vnc_viewer_await_size(&viewer, 800, 600);
	vnc_viewer_await_pixel(&viewer, 799, 599, 0x445566);
	vnc_viewer_await_pixel(&viewer, 0, 0, 0x112233);
	for (uint32_t i = 1; i < 50; i++) {
		paint(100 + i, 5 * i, 800, 0x010101 * i);
		ui_guest_dirt(&rig, 0, (int32_t)(5 * i), 800, (int32_t)(5 * i) + 1);
		vnc_viewer_await_pixel(&viewer, 100 + i, 5 * i, 0x010101 * i);
	}
	/* And asked for no longer when nobody looks. */
	vnc_viewer_fini(&viewer);
	ui_guest_expect_features(&rig, false);
}

/* What is drawn travels, not what the guest says is touched. */
static void only_changes_travel(_unused_ void **state)
{
	uint64_t n_before;

	load_video(800, 600);
	paint(799, 599, 800, 0x445566);
	attach(&viewer);
	vnc_viewer_await_pixel(&viewer, 799, 599, 0x445566);
	n_before = viewer.n_pixels;
	paint(400, 300, 800, 0x777777);
	ui_guest_dirt(&rig, 0, 0, 800, 600);
	vnc_viewer_await_pixel(&viewer, 400, 300, 0x777777);
	assert_true(viewer.n_pixels - n_before <= 16);
}

/* A driver that never says what it touched. */
static void a_guest_that_tells_nothing(_unused_ void **state)
{
	load_video(640, 480);
	attach(&viewer);
	for (uint32_t i = 1; i <= 3; i++) {
		paint(i, i, 640, 0x808080 + i);
		vnc_viewer_await_pixel(&viewer, i, i, 0x808080 + i);
	}
}

static void modes_change_under_viewers(_unused_ void **state)
{
	static const struct {
		uint32_t width, height;
	} modes[] = {{800, 600}, {1024, 768}, {640, 480}, {1024, 1000}, {1366, 760}};

	attach(&viewer);
	assert_int_equal(viewer.width, 640);
	assert_int_equal(viewer.height, 480);
	vnc_viewer_await_pixel(&viewer, 5, 5, 0);
	ui_guest_load_video(&rig, 640, 480);
	ui_guest_expect_features(&rig, true);
	for (uint32_t i = 0; i < ARRAY_LEN(modes); i++) {
		uint32_t w = modes[i].width, h = modes[i].height;

		memset(ui_guest_vram(&rig), 0, UI_VRAM_BYTES);
		paint(w - 1, h - 1, w, 0xc0ffee + i);
		ui_guest_set_mode(&rig, w, h);
		vnc_viewer_await_size(&viewer, w, h);
		vnc_viewer_await_pixel(&viewer, w - 1, h - 1, 0xc0ffee + i);
	}
	/* The driver is unloaded: black, in the size that was. */
	fake_channel_close(&rig.video_channel);
	vnc_viewer_await_pixel(&viewer, 1365, 759, 0);
	assert_int_equal(viewer.width, 1366);
}

/* The size changes after the viewer was told one, and before it says that it can change. */
static void a_mode_that_changes_in_the_handshake(_unused_ void **state)
{
	static const uint8_t none = 1;
	int fd = vnc_viewer_init(&viewer);

	assert_int_equal(display_add_client(display, fd), 0);
	assert_true(vnc_viewer_offers(&viewer, none));
	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, true);
	vnc_viewer_send(&viewer, &none, 1);
	vnc_viewer_begin(&viewer);
	attach(&other);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t width = i ? 640 : 1024;

		ui_guest_set_mode(&rig, width, 480);
		vnc_viewer_await_size(&other, width, 480);
	}
	vnc_viewer_set_up(&viewer);
	vnc_viewer_await_size(&viewer, 640, 480);
}

static void keys_arrive(_unused_ void **state)
{
	load_video(640, 480);
	ui_guest_load_keyboard(&rig);
	attach(&viewer);
	vnc_viewer_key(&viewer, 'a', true);
	vnc_viewer_key(&viewer, 'a', false);
	assert_int_equal(ui_guest_take_key(&rig), 0x1e);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x1e);
	vnc_viewer_key(&viewer, 0x20ac, true); /* no such key */
	vnc_viewer_key(&viewer, 0xff0d, true);
	assert_int_equal(ui_guest_take_key(&rig), 0x1c);
	vnc_viewer_key(&viewer, 0xffe3, true);
	assert_int_equal(ui_guest_take_key(&rig), 0x1d);
	/* Gone with fingers on the keys. */
	vnc_viewer_fini(&viewer);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x1c);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x1d);
}

static void more_keys_than_fingers(_unused_ void **state)
{
	unsigned n_up = 0;

	ui_guest_load_keyboard(&rig);
	attach(&viewer);
	for (uint32_t c = 'a'; c <= 'z'; c++)
		vnc_viewer_key(&viewer, c, true);
	for (uint32_t c = '0'; c <= '9'; c++)
		vnc_viewer_key(&viewer, c, true);
	for (unsigned i = 0; i < 36; i++)
		assert_true(ui_guest_take_key(&rig) < UP);
	vnc_viewer_fini(&viewer);
	while (n_up < 36)
		n_up += (ui_guest_take_key(&rig) & UP) != 0;
}

static struct synthmouse_input_report await_buttons(uint8_t buttons, int16_t wheel)
{
	struct synthmouse_input_report report;

	do
		report = ui_guest_take_report(&rig);
	while (report.buttons != buttons || report.wheel != wheel);
	return report;
}

static void the_pointer_arrives(_unused_ void **state)
{
	struct synthmouse_input_report report;
	struct synthinput_info info;

	load_video(800, 600);
	ui_guest_load_mouse(&rig);
	do
		synthmouse_get_info(rig.mouse, &info);
	while (!info.connected);
	attach(&viewer);
	vnc_viewer_await_size(&viewer, 800, 600);
	vnc_viewer_pointer(&viewer, 0, 799, 599);
	report = await_buttons(0, 0);
	assert_int_equal(report.x, SYNTHMOUSE_MAX_POSITION);
	assert_int_equal(report.y, SYNTHMOUSE_MAX_POSITION);
	vnc_viewer_pointer(&viewer, 1, 0, 0);
	report = await_buttons(1, 0);
	assert_int_equal(report.x, 0);
	vnc_viewer_pointer(&viewer, 4, 65535, 65535); /* the right one, far out */
	report = await_buttons(2, 0);
	assert_int_equal(report.x, SYNTHMOUSE_MAX_POSITION);
	vnc_viewer_pointer(&viewer, 0x0c, 400, 300); /* and a notch up */
	await_buttons(2, 1);
	vnc_viewer_pointer(&viewer, 0x04, 400, 300);
	vnc_viewer_pointer(&viewer, 0x16, 400, 300); /* middle too, a notch down */
	await_buttons(6, -1);
	vnc_viewer_fini(&viewer);
	await_buttons(0, 0);
}

static void several_viewers(_unused_ void **state)
{
	struct vnc_viewer many[DISPLAY_MAX_CLIENTS];
	int pair[2];

	load_video(640, 480);
	for (unsigned i = 0; i < DISPLAY_MAX_CLIENTS; i++)
		attach(&many[i]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(display_add_client(display, pair[1]), -EBUSY);
	assert_int_equal(recv(pair[0], pair, 1, 0), 0); /* closed */
	close(pair[0]);
	paint(320, 240, 640, 0x00ff00);
	for (unsigned i = 0; i < DISPLAY_MAX_CLIENTS; i++)
		vnc_viewer_await_pixel(&many[i], 320, 240, 0x00ff00);
	for (unsigned i = 0; i < DISPLAY_MAX_CLIENTS; i++)
		vnc_viewer_fini(&many[i]);
}

/* One that asks for pictures and takes none keeps nobody else waiting. */
static void a_viewer_that_does_not_read(_unused_ void **state)
{
	load_video(1024, 768);
	attach(&other);
	for (unsigned i = 0; i < 20; i++)
		vnc_viewer_request(&other, false);
	attach(&viewer);
	for (uint32_t i = 1; i < 5; i++) {
		paint(i, i, 1024, 0x123450 + i);
		vnc_viewer_await_pixel(&viewer, i, i, 0x123450 + i);
	}
}

/* Bad manners end the viewer, and nothing else. */
static void messages_that_end_a_viewer(_unused_ void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x07\x01\0\0\0\0\0\0\0\0\0\0", 12},                 /* file transfer */
		{"\x08\x02\0\0", 4},                                  /* scaling */
		{"\x0b\0\0\0\0\0\0\4text", 12},                       /* chat */
		{"\xfb\0\2\0\2\0\1\0", 8},                            /* another size, please */
		{"\xfa\0\1\2", 4},                                    /* shut down */
		{"\xff\0\0\0", 4}, {"\x06\0\0\0\x7f\xff\xff\xff", 8}, /* two gigabytes of text */
		{"\x06\0\0\0\x80\0\0\0", 8},                          /* compressed */
		{"\0\0\0\0\x07\x18\0\1\0\1\0\1\0\1\0\0\0\0\0\0", 20}, /* seven bits a pixel */
	};

	load_video(640, 480);
	attach(&other);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		attach(&viewer);
		vnc_viewer_send(&viewer, bad[i].bytes, bad[i].n);
		vnc_viewer_await_end(&viewer);
		vnc_viewer_fini(&viewer);
	}
	paint(9, 9, 640, 0x0000ff);
	vnc_viewer_await_pixel(&other, 9, 9, 0x0000ff);
}

/* The library would take the first bytes of a new viewer for HTTP, or TLS. */
static void greetings_of_other_protocols(_unused_ void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nSec-WebSocket-Key: c\r\n\r\n", 60},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", 12},
		{"RFB 004.000\n", 12},
		{"RFB 999.999\n", 12},
		{"\n\n\n\n\n\n\n\n\n\n\n\n", 12},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int fd = vnc_viewer_init(&viewer);

		vnc_viewer_send(&viewer, bad[i].bytes, bad[i].n);
		assert_int_equal(display_add_client(display, fd), 0);
		vnc_viewer_await_end(&viewer);
		vnc_viewer_fini(&viewer);
	}
	attach(&viewer);
	vnc_viewer_await_pixel(&viewer, 0, 0, 0);
}

/* Half a message keeps nobody waiting, and the other half may come. */
static void messages_in_pieces(_unused_ void **state)
{
	static const uint8_t key[] = {4, 1, 0, 0, 0, 0, 0, 'q'};

	load_video(640, 480);
	ui_guest_load_keyboard(&rig);
	attach(&viewer);
	attach(&other);
	for (size_t i = 0; i < sizeof(key); i++) {
		vnc_viewer_send(&viewer, key + i, 1);
		paint((uint32_t)i, 7, 640, 0x300000 + (uint32_t)i);
		vnc_viewer_await_pixel(&other, (uint32_t)i, 7, 0x300000 + (uint32_t)i);
	}
	assert_int_equal(ui_guest_take_key(&rig), 0x10);
	vnc_viewer_send(&viewer, key, 3);
	vnc_viewer_fini(&viewer);
	assert_int_equal(ui_guest_take_key(&rig), UP | 0x10);
}

static void clipboards_are_read_over(_unused_ void **state)
{
	uint8_t message[8 + 10000] = {6};

	ui_guest_load_keyboard(&rig);
	attach(&viewer);
	store_be32(message + 4, 10000);
	memset(message + 8, 4, 10000); /* looks like keys */
	vnc_viewer_send(&viewer, message, sizeof(message));
	store_be32(message + 4, (uint32_t)-10000);
	vnc_viewer_send(&viewer, message, sizeof(message));
	store_be32(message + 4, 0);
	vnc_viewer_send(&viewer, message, 8);
	vnc_viewer_key(&viewer, 'q', true);
	assert_int_equal(ui_guest_take_key(&rig), 0x10);
}

static void passwords(_unused_ void **state)
{
	static const uint8_t vnc_authentication = 2;
	uint8_t answer[16] = {0}, challenge[16];
	int fd;

	display_set_password(display, "secret");
	/* Taken over before what follows it. */
	fd = vnc_viewer_init(&viewer);
	assert_int_equal(display_add_client(display, fd), 0);
	assert_true(vnc_viewer_offers(&viewer, vnc_authentication));
	vnc_viewer_send(&viewer, &vnc_authentication, 1);
	assert_int_equal(recv(viewer.fd, challenge, 16, MSG_WAITALL), 16);
	vnc_viewer_send(&viewer, answer, sizeof(answer));
	assert_int_equal(recv(viewer.fd, challenge, 4, MSG_WAITALL), 4);
	assert_int_equal(load_be32(challenge), 1);
	vnc_viewer_await_end(&viewer);
	vnc_viewer_fini(&viewer);
	display_set_password(display, "");
	attach(&viewer);
}

static void freed_under_viewers(_unused_ void **state)
{
	load_video(1024, 768);
	attach(&viewer);
	attach(&other);
	for (unsigned i = 0; i < 20; i++)
		vnc_viewer_request(&other, false);
	vnc_viewer_request(&viewer, false);
	vnc_viewer_update(&viewer);
	display_free(display);
	vnc_viewer_await_end(&viewer);
	vnc_viewer_await_end(&other);
	assert_int_equal(display_new(rig.video, rig.keyboard, rig.mouse, "again", &display), 0);
	vnc_viewer_fini(&viewer);
	attach(&viewer);
	assert_string_equal(viewer.title, "again");
}

static void screenshots(_unused_ void **state)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	_cleanup_free_ uint8_t *pixels = malloc(800 * 600 * 3);
	struct buf png = {0};

	assert_non_null(pixels);
	assert_int_equal(display_screenshot(display, &png), -ENODATA);
	load_video(800, 600);
	paint(10, 20, 800, 0x102030);
	assert_int_equal(display_screenshot(display, &png), 0);
	assert_true(png_image_begin_read_from_memory(&image, png.data, png.size_bytes));
	assert_int_equal(image.width, 800);
	image.format = PNG_FORMAT_RGB;
	assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	assert_int_equal(pixels[3 * (20 * 800 + 10)], 0x10);
	assert_int_equal(pixels[3 * (20 * 800 + 10) + 2], 0x30);
	buf_fini(&png);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_guest_draws_is_seen),
		TEST(only_changes_travel),
		TEST(a_guest_that_tells_nothing),
		TEST(modes_change_under_viewers),
		TEST(a_mode_that_changes_in_the_handshake),
		TEST(keys_arrive),
		TEST(more_keys_than_fingers),
		TEST(the_pointer_arrives),
		TEST(several_viewers),
		TEST(a_viewer_that_does_not_read),
		TEST(messages_that_end_a_viewer),
		TEST(greetings_of_other_protocols),
		TEST(messages_in_pieces),
		TEST(clipboards_are_read_over),
		TEST(passwords),
		TEST(freed_under_viewers),
		TEST(screenshots),
	};

	viewer.fd = other.fd = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
