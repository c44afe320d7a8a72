/* SPDX-License-Identifier: MIT
 *
 * The video VSP on the real bus: pictures out of guest memory, changes, who watches, moves, and a
 * guest that breaks its rings.
 */
#include "ui_bus_rig.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct ui_bus_rig rig;

/* What the video says, awaited. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned n_damages;
static struct synthvid_rect last_rect;
static struct synthvid_mode last_mode;

static void on_mode(_unused_ void *data, const struct synthvid_mode *mode)
{
	pthread_mutex_lock(&lock);
	last_mode = *mode;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void on_damage(_unused_ void *data, const struct synthvid_rect *rects, unsigned n)
{
	pthread_mutex_lock(&lock);
	last_rect = rects[n - 1];
	n_damages++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static const struct synthvid_ops ops = {.mode_changed = on_mode, .damaged = on_damage};

static void wait_for_damage(unsigned n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&lock);
	while (n_damages < n)
		assert_int_equal(pthread_cond_timedwait(&changed, &lock, &until), 0);
	pthread_mutex_unlock(&lock);
}

static int setup(_unused_ void **state)
{
	memset(&rig, 0, sizeof(rig));
	n_damages = 0;
	rig.ops = &ops;
	ui_bus_rig_init(&rig);
	return 0;
}

static int teardown(_unused_ void **state)
{
	ui_bus_rig_fini(&rig);
	return 0;
}

static uint32_t pixel(uint32_t x, uint32_t y)
{
	return x * 2654435761U ^ y * 40503U;
}

static void paint(uint32_t width, uint32_t height)
{
	uint8_t *vram = ui_guest_vram(&rig);

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++)
			store_le32(vram + 4 * (y * width + x), pixel(x, y));
	}
}

static void pictures(_unused_ void **state)
{
	_cleanup_free_ uint8_t *rows = malloc(4 * 800 * 600);
	struct synthvid_mode mode;

	assert_non_null(rows);
	assert_int_equal(synthvid_capture(rig.video, 0, 1, rows, 4 * 800), -ENODATA);
	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, false);
	synthvid_get_mode(rig.video, &mode);
	assert_true(mode.active);
	assert_int_equal(mode.width, 800);
	paint(800, 600);
	assert_int_equal(synthvid_capture(rig.video, 0, 600, rows, 4 * 800 * 600), 0);
	for (uint32_t y = 0; y < 600; y += 7) {
		for (uint32_t x = 0; x < 800; x++)
			assert_int_equal(load_le32(rows + 4 * (y * 800 + x)), pixel(x, y));
	}
	assert_int_equal(synthvid_capture(rig.video, 599, 1, rows, 4 * 800), 0);
	assert_int_equal(load_le32(rows), pixel(0, 599));
	assert_int_equal(synthvid_capture(rig.video, 599, 2, rows, 8 * 800), -ERANGE);
	assert_int_equal(synthvid_capture(rig.video, 601, 0, rows, 0), -ERANGE);
	assert_int_equal(synthvid_capture(rig.video, UINT32_MAX, 1, rows, 4 * 800), -ERANGE);
	assert_int_equal(synthvid_capture(rig.video, 1, UINT32_MAX, rows, 4 * 800), -ERANGE);
	assert_int_equal(synthvid_capture(rig.video, 0, 1, rows, 4 * 640), -ERANGE);
}

static void pictures_of_sixteen_bits(_unused_ void **state)
{
	const struct {
		struct synthvid_situation_update update;
		struct synthvid_output output;
	} _wire_ situation = {
		.update = {{SYNTHVID_SITUATION_UPDATE, 0}, 0, 1},
		.output = {1, 64, 16, 640, 480, 1288},
	};
	uint8_t row[4 * 640], *vram = ui_guest_vram(&rig);
	struct synthvid_ack ack;

	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, false);
	ui_guest_send(&rig, &rig.video_channel, &situation, sizeof(situation));
	ui_guest_take(&rig, &rig.video_channel, &ack, sizeof(ack));
	store_le16(vram + 64 + 3 * 1288, 0xffff);
	store_le16(vram + 64 + 3 * 1288 + 2, 0xf800);
	store_le16(vram + 64 + 3 * 1288 + 4, 0x0400);
	store_le16(vram + 64 + 3 * 1288 + 6, 0x0010);
	assert_int_equal(synthvid_capture(rig.video, 3, 1, row, sizeof(row)), 0);
	assert_int_equal(load_le32(row), 0x00ffffff);
	assert_int_equal(load_le32(row + 4), 0x00ff0000);
	assert_int_equal(load_le32(row + 8), 0x00008200);
	assert_int_equal(load_le32(row + 12), 0x00000084);
	assert_int_equal(load_le32(row + 16), 0);
}

static void a_picture_where_no_memory_is(_unused_ void **state)
{
	struct synthvid_vram_location location = {
		.header.type = SYNTHVID_VRAM_LOCATION, .is_specified = 1, .address = 0x10};
	struct synthvid_ack ack;
	uint8_t row[4 * 640];

	ui_guest_load_video(&rig, 640, 480);
	ui_guest_expect_features(&rig, false);
	assert_int_equal(synthvid_capture(rig.video, 0, 1, row, sizeof(row)), 0);
	ui_guest_send(&rig, &rig.video_channel, &location, sizeof(location));
	ui_guest_take(&rig, &rig.video_channel, &ack, sizeof(ack));
	assert_int_equal(synthvid_capture(rig.video, 0, 1, row, sizeof(row)), -EFAULT);
	location.address = UINT64_MAX - UI_VRAM_BYTES;
	ui_guest_send(&rig, &rig.video_channel, &location, sizeof(location));
	ui_guest_take(&rig, &rig.video_channel, &ack, sizeof(ack));
	assert_int_equal(synthvid_capture(rig.video, 0, 480, row, sizeof(row)), -ERANGE);
	assert_int_equal(synthvid_capture(rig.video, 479, 1, row, sizeof(row)), -EFAULT);
}

static void changes_are_asked_for_while_watched(_unused_ void **state)
{
	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, false);
	assert_int_equal(synthvid_set_watched(rig.video, true), 0);
	ui_guest_expect_features(&rig, true);
	for (unsigned i = 1; i <= 100; i++) {
		ui_guest_dirt(&rig, 0, (int32_t)i, 5000, (int32_t)i + 10);
		wait_for_damage(i);
		assert_int_equal(last_rect.y1, i);
		assert_int_equal(last_rect.x2, 800);
	}
	assert_int_equal(synthvid_set_watched(rig.video, false), 0);
	ui_guest_expect_features(&rig, false);
}

/* Asked before there was anything to ask for. */
static void watched_from_the_beginning(_unused_ void **state)
{
	assert_int_equal(synthvid_set_watched(rig.video, true), 0);
	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, true);
}

static void observers_come_and_go(_unused_ void **state)
{
	struct synthvid_info info;

	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, false);
	synthvid_set_ops(rig.video, NULL, NULL);
	ui_guest_dirt(&rig, 0, 0, 1, 1);
	ui_guest_set_mode(&rig, 640, 480);
	assert_int_equal(n_damages, 0);
	assert_int_equal(last_mode.width, 800);
	synthvid_set_ops(rig.video, &ops, NULL);
	ui_guest_dirt(&rig, 0, 0, 1, 1);
	wait_for_damage(1);
	synthvid_get_info(rig.video, &info);
	assert_int_equal(info.version, SYNTHVID_VERSION_3_5);
	assert_int_equal(info.n_protocol_errors, 0);
}

static void moves(_unused_ void **state)
{
	uint8_t row[4 * 800];

	assert_int_equal(synthvid_set_watched(rig.video, true), 0);
	ui_guest_load_video(&rig, 800, 600);
	ui_guest_expect_features(&rig, true);
	paint(800, 600);
	for (unsigned i = 1; i <= 10; i++) {
		ui_bus_rig_move(&rig);
		/* The new host does not know what the old one asked for. */
		ui_guest_expect_features(&rig, false);
		assert_int_equal(synthvid_capture(rig.video, 9, 1, row, sizeof(row)), 0);
		assert_int_equal(load_le32(row + 40), pixel(10, 9));
		assert_int_equal(synthvid_set_watched(rig.video, true), 0);
		ui_guest_expect_features(&rig, true);
		ui_guest_dirt(&rig, 0, 0, (int32_t)i, 1);
		wait_for_damage(i);
	}
}

static void closed_and_opened_again(_unused_ void **state)
{
	uint8_t row[4 * 640];

	for (unsigned i = 0; i < 10; i++) {
		ui_guest_load_video(&rig, 640, 480);
		fake_channel_close(&rig.video_channel);
		assert_false(last_mode.active);
		assert_int_equal(synthvid_capture(rig.video, 0, 1, row, sizeof(row)), -ENODATA);
		guest_ring_reset(&rig.video_channel.to_host);
		guest_ring_reset(&rig.video_channel.from_host);
		assert_int_equal(fake_channel_reopen(&rig.video_channel), 0);
	}
}

/* Nonsense is counted and survived; rings that make none end this device and no other. */
static void a_guest_without_manners(_unused_ void **state)
{
	uint8_t nonsense[100] = {0};
	struct synthvid_info info;

	ui_guest_load_video(&rig, 640, 480);
	ui_guest_expect_features(&rig, false);
	for (unsigned i = 0; i < 200; i++) {
		memset(nonsense, (int)i, sizeof(nonsense));
		fake_channel_send(&rig.video_channel, i, nonsense, i % 96);
	}
	assert_true(fake_channel_try_send(
		&rig.video_channel, VMBUS_PACKET_COMPLETION, 1, NULL, 0, nonsense, 16));
	ui_guest_set_mode(&rig, 800, 600);
	synthvid_get_info(rig.video, &info);
	assert_int_equal(info.n_protocol_errors, 201);

	ring_set(&rig.video_channel.to_host, write_index, 0xfffffff0);
	fake_channel_ring_doorbell(&rig.video_channel);
	for (const uint64_t start = clock_mono_ns(); info.n_protocol_errors == 201;) {
		assert_true(clock_mono_ns() - start < 20000000000ULL);
		synthvid_get_info(rig.video, &info);
	}
	ui_guest_load_keyboard(&rig);
	/* Broken it moves, too. */
	ui_bus_rig_move(&rig);
	synthvid_get_info(rig.video, &info);
	assert_true(info.n_protocol_errors >= 202);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pictures),
		TEST(pictures_of_sixteen_bits),
		TEST(a_picture_where_no_memory_is),
		TEST(changes_are_asked_for_while_watched),
		TEST(watched_from_the_beginning),
		TEST(observers_come_and_go),
		TEST(moves),
		TEST(closed_and_opened_again),
		TEST(a_guest_without_manners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
