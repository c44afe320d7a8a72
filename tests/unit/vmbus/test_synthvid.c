/* SPDX-License-Identifier: MIT
 *
 * The video protocol, message by message: what a driver is answered, what becomes a picture, and
 * what does not.
 */
#include "vmbus/vid_vsp.h"

#include "ui_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define VRAM_BYTES (8U << 20)
#define LOCATION   0xf8000000ULL

static struct vid_vsp vsp;
static struct synthvid_mode mode;
static unsigned n_mode_changes, n_damages, n_rects;
static struct synthvid_rect rects[SYNTHVID_MAX_RECTS];

static void on_mode(void *data, const struct synthvid_mode *new_mode)
{
	assert_ptr_equal(data, &vsp);
	mode = *new_mode;
	n_mode_changes++;
}

static void on_damage(void *data, const struct synthvid_rect *new_rects, unsigned n)
{
	assert_ptr_equal(data, &vsp);
	n_damages++;
	n_rects = n;
	memcpy(rects, new_rects, n * sizeof(rects[0]));
}

static const struct synthvid_ops ops = {.mode_changed = on_mode, .damaged = on_damage};

static const struct synthvid_config usual = {.vram_bytes = VRAM_BYTES, .ops = &ops, .data = &vsp};

static bool receive(void *core, const void *payload, size_t size_bytes)
{
	return vid_vsp_receive(core, payload, size_bytes);
}

static int restore(void *core, struct reader *in, bool is_open)
{
	return vid_vsp_restore(core, in, is_open);
}

#define SEND(message) ui_send(receive, &vsp, &(message), sizeof(message))
#define TAKE(message) ui_take(&vsp.out, &(message), sizeof(message))

static int setup_closed(_unused_ void **state)
{
	memset(&vsp, 0, sizeof(vsp));
	memset(&mode, 0, sizeof(mode));
	n_mode_changes = n_damages = n_rects = 0;
	return vid_vsp_init(&vsp, &usual);
}

static int setup(void **state)
{
	int r = setup_closed(state);

	vid_vsp_open(&vsp);
	return r;
}

static uint8_t ask_version(uint32_t version)
{
	struct synthvid_version_request request = {.header.type = SYNTHVID_VERSION_REQUEST};
	struct synthvid_version_response response;

	request.version = version;
	assert_true(SEND(request));
	TAKE(response);
	assert_int_equal(response.header.type, SYNTHVID_VERSION_RESPONSE);
	assert_int_equal(response.max_outputs, 1);
	if (response.accepted)
		assert_int_equal(response.version, version);
	return response.accepted;
}

static void locate(uint64_t address, bool is_specified)
{
	struct synthvid_vram_location location = {
		.header.type = SYNTHVID_VRAM_LOCATION,
		.context = 0x1122334455667788,
		.is_specified = is_specified,
		.address = address,
	};
	struct synthvid_ack ack;

	assert_true(SEND(location));
	TAKE(ack);
	assert_int_equal(ack.header.type, SYNTHVID_VRAM_LOCATION_ACK);
	assert_int_equal(ack.context, location.context);
}

struct one_output {
	struct synthvid_situation_update update;
	struct synthvid_output output;
} _wire_;

static struct one_output situation_of(uint32_t width, uint32_t height, uint32_t pitch_bytes)
{
	return (struct one_output){
		.update =
			{
				.header.type = SYNTHVID_SITUATION_UPDATE,
				.context = 77,
				.n_outputs = 1,
			},
		.output =
			{
				.active = 1,
				.depth_bits = 32,
				.width = width,
				.height = height,
				.pitch_bytes = pitch_bytes,
			},
	};
}

static bool situate(struct one_output situation)
{
	bool ok = SEND(situation);
	struct synthvid_ack ack;

	TAKE(ack);
	assert_int_equal(ack.header.type, SYNTHVID_SITUATION_UPDATE_ACK);
	assert_int_equal(ack.context, 77);
	return ok;
}

static void expect_features(bool dirt)
{
	struct synthvid_feature_change change;

	assert_true(vid_vsp_produce(&vsp));
	TAKE(change);
	assert_int_equal(change.header.type, SYNTHVID_FEATURE_CHANGE);
	assert_int_equal(change.dirt, dirt);
	assert_int_equal(change.situation, 1);
	assert_false(vid_vsp_produce(&vsp));
}

static void bring_up(void)
{
	assert_int_equal(ask_version(SYNTHVID_VERSION_3_5), SYNTHVID_ACCEPTED);
	locate(LOCATION, true);
	assert_true(situate(situation_of(1024, 768, 4096)));
	expect_features(false);
}

static void versions(_unused_ void **state)
{
	static const struct {
		uint32_t version;
		bool known;
	} cases[] = {
		{SYNTHVID_VERSION_3_5, true},
		{SYNTHVID_VERSION_3_2, true},
		{SYNTHVID_VERSION_3_0, true},
		{SYNTHVID_VERSION_3_3, true},
		{SYNTHVID_VERSION_3_4, true},
		{SYNTHVID_VERSION(3, 1), false},
		{SYNTHVID_VERSION(3, 6), false},
		{SYNTHVID_VERSION(4, 0), false},
		{SYNTHVID_VERSION(2, 5), false},
		{0, false},
		{0xffffffff, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ask_version(cases[i].version) != 0, cases[i].known);
		assert_int_equal(vsp.version, cases[i].known ? cases[i].version : 0);
	}
}

/* What Linux does. */
static void a_driver_comes_up(_unused_ void **state)
{
	bring_up();
	assert_int_equal(n_mode_changes, 1);
	assert_true(mode.active);
	assert_int_equal(mode.width, 1024);
	assert_int_equal(mode.height, 768);
	assert_int_equal(mode.pitch_bytes, 4096);
	assert_int_equal(mode.depth_bits, 32);
	assert_int_equal(mode.first_pixel.v, LOCATION);
}

static void nothing_before_the_version(_unused_ void **state)
{
	const struct one_output situation = situation_of(1024, 768, 4096);
	const struct synthvid_vram_location location = {.header.type = SYNTHVID_VRAM_LOCATION};
	const struct synthvid_resolution_request resolutions = {
		.header.type = SYNTHVID_RESOLUTION_REQUEST, .max_count = 64};

	assert_false(SEND(situation));
	assert_false(SEND(location));
	assert_false(SEND(resolutions));
	assert_null(pipe_queue_head(&vsp.out));
	assert_false(vid_vsp_produce(&vsp));
}

/* The guest answers a feature change with its situation; that must not go on for ever. */
static void features_are_told_once_a_change(_unused_ void **state)
{
	bring_up();
	for (unsigned i = 0; i < 3; i++) {
		assert_true(situate(situation_of(1024, 768, 4096)));
		assert_false(vid_vsp_produce(&vsp));
	}
	vsp.watched = true;
	expect_features(true);
	assert_true(situate(situation_of(1024, 768, 4096)));
	assert_false(vid_vsp_produce(&vsp));
	vsp.watched = false;
	expect_features(false);
	assert_int_equal(n_mode_changes, 1);
}

static void modes_that_cannot_be(_unused_ void **state)
{
	struct one_output bad[] = {
		situation_of(0, 768, 4096),
		situation_of(1024, 0, 4096),
		situation_of(1024, 768, 4095),
		situation_of(1024, 768, 0),
		situation_of(SYNTHVID_MAX_WIDTH + 1, 480, 4 * (SYNTHVID_MAX_WIDTH + 1)),
		situation_of(640, SYNTHVID_MAX_HEIGHT + 1, 2560),
		situation_of(0xffffffff, 0xffffffff, 0xffffffff),
		situation_of(0x40000001, 768, 4096), /* four times that is 4 */
		situation_of(1024, 768, VRAM_BYTES + 1),
		situation_of(1024, 768, VRAM_BYTES / 2),
		situation_of(1920, 1200, 7680), /* more than there is */
		situation_of(1024, 768, 4096),
		situation_of(1024, 768, 4096),
		situation_of(1024, 768, 4096),
	};

	bad[11].output.depth_bits = 24;
	bad[12].output.vram_offset = VRAM_BYTES;
	bad[13].output.vram_offset = 0xffffffff;
	bring_up();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(situate(bad[i]));
		assert_false(vsp.mode.active);
		assert_true(situate(situation_of(1024, 768, 4096)));
		assert_true(vsp.mode.active);
	}
}

static void a_picture_in_the_last_bytes(_unused_ void **state)
{
	struct one_output situation = situation_of(640, 480, 4096);

	bring_up();
	situation.output.vram_offset = VRAM_BYTES - 4096 * 479 - 4 * 640;
	assert_true(situate(situation));
	assert_int_equal(mode.first_pixel.v, LOCATION + situation.output.vram_offset);
	situation.output.vram_offset++;
	assert_false(situate(situation));
}

static void a_location_at_the_end_of_the_world(_unused_ void **state)
{
	bring_up();
	locate(UINT64_MAX - 4096, true);
	assert_false(vsp.mode.active);
	locate(LOCATION, true);
	assert_true(vsp.mode.active);
	/* A new place at any time. */
	locate(0x100000, true);
	assert_int_equal(mode.first_pixel.v, 0x100000);
	locate(0x100000, false);
	assert_false(mode.active);
	assert_int_equal(n_mode_changes, 5);
}

static void an_output_that_is_off(_unused_ void **state)
{
	struct one_output situation = situation_of(1024, 768, 4096);

	bring_up();
	situation.output.active = 0;
	assert_true(situate(situation));
	assert_false(mode.active);
	situation = situation_of(1024, 768, 4096);
	assert_true(situate(situation));
	situation.update.n_outputs = 0;
	assert_true(situate(situation));
	assert_false(mode.active);
	/* More outputs promised than there are. */
	situation.update.n_outputs = 2;
	situation.output.active = 1;
	assert_false(situate(situation));
	assert_false(mode.active);
}

static void closing_ends_the_picture(_unused_ void **state)
{
	bring_up();
	vid_vsp_close(&vsp);
	assert_false(mode.active);
	assert_false(vid_vsp_produce(&vsp));
	vid_vsp_open(&vsp);
	bring_up();
	assert_true(mode.active);
	/* So does a driver that starts over. */
	ask_version(SYNTHVID_VERSION_3_2);
	assert_false(mode.active);
	assert_false(vid_vsp_produce(&vsp));
}

static bool send_dirt(uint8_t n_said, const struct synthvid_dirt_rect *list, unsigned n)
{
	uint8_t bytes[sizeof(struct synthvid_dirt) + 255 * sizeof(*list)] = {0};
	struct synthvid_dirt *dirt = (void *)bytes;

	dirt->header.type = SYNTHVID_DIRT;
	dirt->n_rects = n_said;
	memcpy(bytes + sizeof(*dirt), list, n * sizeof(*list));
	return ui_send(receive, &vsp, bytes, sizeof(*dirt) + n * sizeof(*list));
}

static void dirt_is_clipped(_unused_ void **state)
{
	static const struct synthvid_dirt_rect list[] = {
		{0, 0, 1024, 768}, {-5, -6, 10, 20}, {1000, 700, 5000, 0x7fffffff},
		{10, 10, 10, 20},                                 /* empty */
		{20, 20, 10, 30},                                 /* the wrong way round */
		{2000, 0, 3000, 10},                              /* outside */
		{INT32_MIN, INT32_MIN, INT32_MIN + 1, INT32_MAX}, /* too */
	};

	bring_up();
	assert_true(send_dirt(ARRAY_LEN(list), list, ARRAY_LEN(list)));
	assert_int_equal(n_damages, 1);
	assert_int_equal(n_rects, 3);
	assert_memory_equal(&rects[0], (&(struct synthvid_rect){0, 0, 1024, 768}), 16);
	assert_memory_equal(&rects[1], (&(struct synthvid_rect){0, 0, 10, 20}), 16);
	assert_memory_equal(&rects[2], (&(struct synthvid_rect){1000, 700, 1024, 768}), 16);
}

static void dirt_that_lies(_unused_ void **state)
{
	static const struct synthvid_dirt_rect list[255] = {{0, 0, 1, 1}};

	bring_up();
	assert_false(send_dirt(2, list, 1));
	assert_false(send_dirt(255, list, 254));
	assert_false(send_dirt(1, list, 0));
	assert_int_equal(n_damages, 0);
	assert_true(send_dirt(255, list, 255));
	assert_int_equal(n_damages, 1);
	assert_int_equal(n_rects, 1);
	/* Without a picture there is nothing to damage. */
	locate(0, false);
	assert_true(send_dirt(1, list, 1));
	assert_int_equal(n_damages, 1);
}

static void short_messages(_unused_ void **state)
{
	static const struct {
		uint32_t type;
		size_t min_bytes;
	} messages[] = {
		{SYNTHVID_VERSION_REQUEST, sizeof(struct synthvid_version_request)},
		{SYNTHVID_VRAM_LOCATION, sizeof(struct synthvid_vram_location)},
		{SYNTHVID_SITUATION_UPDATE, sizeof(struct synthvid_situation_update)},
		{SYNTHVID_POINTER_POSITION, sizeof(struct synthvid_pointer_position)},
		{SYNTHVID_POINTER_SHAPE, sizeof(struct synthvid_pointer_shape)},
		{SYNTHVID_DIRT, sizeof(struct synthvid_dirt)},
		{SYNTHVID_BIOS_INFO_REQUEST, sizeof(struct synthvid_header)},
		{SYNTHVID_RESOLUTION_REQUEST, sizeof(struct synthvid_resolution_request)},
		{SYNTHVID_CAPABILITY_REQUEST, sizeof(struct synthvid_header)},
	};
	uint8_t bytes[64] = {0};

	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		setup(NULL);
		bring_up();
		store_le32(bytes, messages[i].type);
		for (size_t n = 0; n < messages[i].min_bytes; n++) {
			assert_false(ui_send(receive, &vsp, bytes, n));
			/* There, but not said to be. */
			assert_false(ui_send_saying(receive, &vsp, bytes, 40, (uint32_t)n));
		}
		assert_null(pipe_queue_head(&vsp.out));
		assert_true(vsp.mode.active);
		assert_true(ui_send(receive, &vsp, bytes, messages[i].min_bytes));
	}
}

static void messages_that_make_no_sense(_unused_ void **state)
{
	const struct synthvid_version_request request = {
		{SYNTHVID_VERSION_REQUEST, 12}, SYNTHVID_VERSION_3_5};
	uint8_t bytes[64] = {0};

	/* Said to be longer than the packet. */
	assert_false(ui_send_saying(receive, &vsp, &request, sizeof(request), 17));
	assert_false(ui_send_saying(receive, &vsp, &request, sizeof(request), 0xffffffff));
	assert_true(ui_send_saying(receive, &vsp, &request, sizeof(request), 16));
	pipe_queue_clear(&vsp.out);
	for (size_t n = 0; n < 16; n++)
		assert_false(ui_send_raw(receive, &vsp, bytes, n));
	/* Not data. */
	store_le32(bytes, 2);
	store_le32(bytes + 4, 12);
	memcpy(bytes + 8, &request, sizeof(request));
	assert_false(ui_send_raw(receive, &vsp, bytes, 24));
	/* The host's own, and unknown ones. */
	for (uint32_t type = 0; type < 300; type++) {
		bool known = type == 1 || type == 3 || type == 5 || type == 7 || type == 8 ||
			     type == 10 || type == 11 || type == 13 || type == 15;

		ask_version(SYNTHVID_VERSION_3_5);
		memset(bytes, 0, sizeof(bytes));
		store_le32(bytes, type);
		assert_int_equal(ui_send(receive, &vsp, bytes, 48), known);
		pipe_queue_clear(&vsp.out);
	}
}

static void older_versions_know_less(_unused_ void **state)
{
	const struct synthvid_header bios = {SYNTHVID_BIOS_INFO_REQUEST, 8};
	const struct synthvid_header capability = {SYNTHVID_CAPABILITY_REQUEST, 8};
	const struct synthvid_resolution_request resolutions = {
		.header.type = SYNTHVID_RESOLUTION_REQUEST, .max_count = 64};

	ask_version(SYNTHVID_VERSION_3_2);
	assert_false(SEND(bios));
	assert_false(SEND(capability));
	assert_false(SEND(resolutions));
	ask_version(SYNTHVID_VERSION_3_3);
	assert_true(SEND(bios));
	assert_false(SEND(resolutions));
	pipe_queue_clear(&vsp.out);
	ask_version(SYNTHVID_VERSION_3_4);
	assert_true(SEND(resolutions));
	assert_false(SEND(capability));
	pipe_queue_clear(&vsp.out);
	ask_version(SYNTHVID_VERSION_3_5);
	assert_true(SEND(capability));
}

static void pointers(_unused_ void **state)
{
	/* What Linux sends to have none drawn. */
	const struct synthvid_pointer_position position = {
		.header.type = SYNTHVID_POINTER_POSITION, .is_visible = 1};
	struct {
		struct synthvid_pointer_shape shape;
		uint8_t data[4];
	} _wire_ shape = {
		.shape = {{SYNTHVID_POINTER_SHAPE, 30}, 0xff, 1, 1, 1, 0, 0},
		.data = {0, 1, 1, 1},
	};

	bring_up();
	assert_true(SEND(position));
	assert_true(SEND(shape));
	shape.shape.width = SYNTHVID_POINTER_MAX + 1;
	assert_false(SEND(shape));
	shape.shape.width = 1;
	shape.shape.height = 0xffffffff;
	assert_false(SEND(shape));
}

struct resolutions {
	struct synthvid_resolution_response fixed;
	struct synthvid_resolution list[SYNTHVID_MAX_RESOLUTIONS];
};

static void ask_resolutions(uint8_t max_count, struct resolutions *ret)
{
	const struct synthvid_resolution_request request = {
		.header.type = SYNTHVID_RESOLUTION_REQUEST, .max_count = max_count};
	const struct pipe_entry *entry;

	assert_true(SEND(request));
	entry = pipe_queue_head(&vsp.out);
	assert_non_null(entry);
	assert_true(entry->size_bytes > 8 + sizeof(ret->fixed));
	memset(ret, 0, sizeof(*ret));
	ui_take(&vsp.out, ret, entry->size_bytes - 8);
	assert_int_equal(ret->fixed.header.type, SYNTHVID_RESOLUTION_RESPONSE);
	assert_true(ret->fixed.count > 0);
	assert_true(ret->fixed.default_index < ret->fixed.count);
}

static void resolutions_fit(_unused_ void **state)
{
	struct resolutions got;

	ask_version(SYNTHVID_VERSION_3_5);
	ask_resolutions(64, &got);
	assert_true(got.fixed.count > 8);
	assert_int_equal(got.list[got.fixed.default_index].width, 1024);
	assert_int_equal(got.list[got.fixed.default_index].height, 768);
	for (unsigned i = 0; i < got.fixed.count; i++) {
		assert_true(got.list[i].width * 4U * got.list[i].height <= VRAM_BYTES);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(&got.list[i], &got.list[k], sizeof(got.list[i]));
	}
	for (unsigned max = 1; max < 8; max++) {
		ask_resolutions((uint8_t)max, &got);
		assert_int_equal(got.fixed.count, max);
		assert_int_equal(got.list[got.fixed.default_index].width, 1024);
	}
	ask_resolutions(0, &got);
	assert_int_equal(got.fixed.count, 1);
}

/* By the book: header, checksum, and the first descriptor is the default mode at about 60 Hz. */
static void the_edid_is_one(_unused_ void **state)
{
	static const struct {
		uint32_t width, height;
	} modes[] = {
		{1024, 768}, {1920, 1080}, {2560, 1600}, {640, 480}, {1367, 769}, {1280, 1024}};
	static const uint8_t magic[] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct synthvid_config config = usual;
		struct resolutions got;
		const uint8_t *edid = got.fixed.edid, *mode18 = edid + 54;
		uint32_t h_total, v_total, clock_hz;
		uint8_t sum = 0;

		config.vram_bytes = 32U << 20;
		config.width = modes[i].width;
		config.height = modes[i].height;
		memset(&vsp, 0, sizeof(vsp));
		assert_int_equal(vid_vsp_init(&vsp, &config), 0);
		vid_vsp_open(&vsp);
		ask_version(SYNTHVID_VERSION_3_5);
		ask_resolutions(64, &got);
		assert_int_equal(got.list[0].width, modes[i].width);
		assert_memory_equal(edid, magic, sizeof(magic));
		for (unsigned k = 0; k < 128; k++)
			sum = (uint8_t)(sum + edid[k]);
		assert_int_equal(sum, 0);
		assert_int_equal(edid[18], 1);
		assert_int_equal(mode18[2] | (mode18[4] & 0xf0) << 4, modes[i].width);
		assert_int_equal(mode18[5] | (mode18[7] & 0xf0) << 4, modes[i].height);
		h_total = modes[i].width + (mode18[3] | (uint32_t)(mode18[4] & 0xf) << 8);
		v_total = modes[i].height + (mode18[6] | (uint32_t)(mode18[7] & 0xf) << 8);
		clock_hz = load_le16(mode18) * 10000U;
		assert_in_range((uint64_t)clock_hz * 100 / h_total / v_total, 5900, 6010);
	}
}

static void wrong_configurations(_unused_ void **state)
{
	const struct synthvid_config bad[] = {
		{.vram_bytes = 0},
		{.vram_bytes = 3U << 20},
		{.vram_bytes = (8U << 20) + 4096},
		{.vram_bytes = 2U << 30},
		{.vram_bytes = 8U << 20, .width = 1920, .height = 1200},
		{.vram_bytes = 64U << 20, .width = SYNTHVID_MAX_WIDTH + 4, .height = 768},
		{.vram_bytes = 64U << 20, .width = 1024, .height = SYNTHVID_MAX_HEIGHT + 1},
		{.vram_bytes = 64U << 20, .width = 320, .height = 200},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(vid_vsp_init(&vsp, &bad[i]), -EINVAL);
}

static void save(struct buf *state)
{
	buf_reset(state);
	vid_vsp_save(&vsp, state);
	assert_false(state->failed);
}

static int restore_state(const struct buf *state, bool is_open)
{
	struct reader in = reader_make(state->data, state->size_bytes);
	int r;

	setup_closed(NULL);
	r = vid_vsp_restore(&vsp, &in, is_open);
	if (r == 0)
		assert_true(reader_done(&in));
	return r;
}

static void goes_on_elsewhere(_unused_ void **state)
{
	struct synthvid_ack ack;
	struct buf saved = {0}, again = {0};
	const struct one_output situation = situation_of(800, 600, 3200);

	bring_up();
	vsp.watched = true;
	expect_features(true);
	assert_true(SEND(situation)); /* not yet answered */
	save(&saved);
	assert_int_equal(restore_state(&saved, true), 0);
	assert_true(mode.active);
	assert_int_equal(mode.width, 800);
	assert_int_equal(n_mode_changes, 1);
	save(&again);
	assert_int_equal(again.size_bytes, saved.size_bytes);
	assert_memory_equal(again.data, saved.data, saved.size_bytes);
	TAKE(ack);
	assert_int_equal(ack.header.type, SYNTHVID_SITUATION_UPDATE_ACK);
	/* The new host wants its own way. */
	expect_features(false);
	vsp.watched = true;
	expect_features(true);
	buf_fini(&saved);
	buf_fini(&again);
}

static void states_of_every_phase(_unused_ void **state)
{
	struct buf saved = {0};

	save(&saved);
	assert_int_equal(restore_state(&saved, true), 0);
	assert_int_equal(vsp.phase, VID_OPEN);
	assert_int_equal(restore_state(&saved, false), -EBADMSG);
	vid_vsp_close(&vsp);
	save(&saved);
	assert_int_equal(restore_state(&saved, false), 0);
	assert_int_equal(restore_state(&saved, true), -EBADMSG);
	buf_fini(&saved);
}

static void spoiled_states(_unused_ void **state)
{
	static struct vid_vsp fresh;
	const struct one_output situation = situation_of(800, 600, 3200);
	struct buf saved = {0};

	assert_int_equal(vid_vsp_init(&fresh, &usual), 0);
	fresh.ops = NULL;
	bring_up();
	assert_true(SEND(situation));
	save(&saved);
	ui_spoil_state(restore, sizeof(fresh), &fresh, &saved);
	buf_fini(&saved);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions),
		TEST(a_driver_comes_up),
		TEST(nothing_before_the_version),
		TEST(features_are_told_once_a_change),
		TEST(modes_that_cannot_be),
		TEST(a_picture_in_the_last_bytes),
		TEST(a_location_at_the_end_of_the_world),
		TEST(an_output_that_is_off),
		TEST(closing_ends_the_picture),
		TEST(dirt_is_clipped),
		TEST(dirt_that_lies),
		TEST(short_messages),
		TEST(messages_that_make_no_sense),
		TEST(older_versions_know_less),
		TEST(pointers),
		TEST(resolutions_fit),
		TEST(the_edid_is_one),
		TEST(wrong_configurations),
		TEST(goes_on_elsewhere),
		TEST(states_of_every_phase),
		TEST(spoiled_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
