/* SPDX-License-Identifier: MIT */
#include "vmbus/vid_edid.h"

#include "base/bytes.h"

#define REFRESH_HZ   60
#define DOTS_PER_CM  38 /* 96 to the inch */
#define MIN_BLANK_NS 460000U

/* CVT with reduced blanking: these are the same in every mode. */
#define H_BLANK       160
#define H_FRONT_PORCH 48
#define H_SYNC        32
#define V_FRONT_PORCH 3
#define V_BACK_PORCH  6 /* at least */
#define CLOCK_STEP_HZ 250000U

enum {
	AT_MANUFACTURER = 8,
	AT_PRODUCT = 10,
	AT_WEEK = 16,
	AT_VERSION = 18,
	AT_INPUT = 20,
	AT_SIZE_CM = 21,
	AT_GAMMA = 23,
	AT_FEATURES = 24,
	AT_COLOURS = 25,
	AT_ESTABLISHED = 35,
	AT_STANDARD = 38,
	AT_DESCRIPTORS = 54,
	AT_CHECKSUM = 127,
};

#define DESCRIPTOR_BYTES   18
#define DESCRIPTOR_NAME    0xfc
#define DESCRIPTOR_NOTHING 0x10

/* Digital, 8 bits a colour; sRGB, and the first descriptor is the native mode. */
#define INPUT_DIGITAL_8_BIT 0xa0
#define FEATURES            0x06
#define GAMMA_2_2           120
#define MADE_IN             2024

struct timing {
	uint32_t v_sync, v_blank;
	uint32_t clock_hz;
};

/* CVT tells the shape of the picture by the length of the pulse. */
static uint32_t v_sync_lines(uint32_t width, uint32_t height)
{
	static const struct {
		uint32_t w, h, lines;
	} shapes[] = {{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}};

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		if (width * shapes[i].h == height * shapes[i].w)
			return shapes[i].lines;
	}
	return 10;
}

static struct timing make_timing(uint32_t width, uint32_t height)
{
	const uint32_t frame_ns = 1000000000U / REFRESH_HZ;
	struct timing timing = {.v_sync = v_sync_lines(width, height)};
	uint32_t line_ns = (frame_ns - MIN_BLANK_NS) / height;
	uint64_t clock_hz;

	timing.v_blank =
		MAX(MIN_BLANK_NS / line_ns + 1, V_FRONT_PORCH + timing.v_sync + V_BACK_PORCH);
	clock_hz = (uint64_t)REFRESH_HZ * (height + timing.v_blank) * (width + H_BLANK);
	timing.clock_hz = (uint32_t)(clock_hz - clock_hz % CLOCK_STEP_HZ);
	return timing;
}

static uint8_t high_nibbles(uint32_t a, uint32_t b)
{
	return (uint8_t)((a >> 8) << 4 | b >> 8);
}

static void fill_mode(uint8_t *d, uint32_t width, uint32_t height)
{
	const struct timing timing = make_timing(width, height);
	uint32_t width_mm = width * 10 / DOTS_PER_CM, height_mm = height * 10 / DOTS_PER_CM;

	store_le16(d, (uint16_t)(timing.clock_hz / 10000));
	d[2] = (uint8_t)width;
	d[3] = H_BLANK;
	d[4] = high_nibbles(width, H_BLANK);
	d[5] = (uint8_t)height;
	d[6] = (uint8_t)timing.v_blank;
	d[7] = high_nibbles(height, timing.v_blank);
	d[8] = H_FRONT_PORCH;
	d[9] = H_SYNC;
	d[10] = (uint8_t)(V_FRONT_PORCH << 4 | timing.v_sync);
	d[12] = (uint8_t)width_mm;
	d[13] = (uint8_t)height_mm;
	d[14] = high_nibbles(width_mm, height_mm);
	d[17] = 0x1a; /* digital separate sync, horizontal positive */
}

static void fill_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	d[3] = tag;
	memset(d + 5, ' ', DESCRIPTOR_BYTES - 5);
	memcpy(d + 5, text, n);
	d[5 + n] = '\n';
}

void vid_edid_fill(uint8_t ret_edid[SYNTHVID_EDID_BYTES], uint32_t width, uint32_t height)
{
	static const uint8_t magic[] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
	static const uint8_t srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	/* 640 x 480, 800 x 600 and 1024 x 768 at 60 Hz */
	static const uint8_t established[] = {0x21, 0x08, 0x00};
	uint8_t *e = ret_edid, *d = e + AT_DESCRIPTORS, sum = 0;

	memset(e, 0, SYNTHVID_EDID_BYTES);
	memcpy(e, magic, sizeof(magic));
	store_be16(e + AT_MANUFACTURER, ('V' - '@') << 10 | ('D' - '@') << 5 | ('T' - '@'));
	store_le16(e + AT_PRODUCT, 1);
	e[AT_WEEK + 1] = MADE_IN - 1990;
	e[AT_VERSION] = 1;
	e[AT_VERSION + 1] = 4;
	e[AT_INPUT] = INPUT_DIGITAL_8_BIT;
	e[AT_SIZE_CM] = (uint8_t)(width / DOTS_PER_CM);
	e[AT_SIZE_CM + 1] = (uint8_t)(height / DOTS_PER_CM);
	e[AT_GAMMA] = GAMMA_2_2;
	e[AT_FEATURES] = FEATURES;
	memcpy(e + AT_COLOURS, srgb, sizeof(srgb));
	memcpy(e + AT_ESTABLISHED, established, sizeof(established));
	memset(e + AT_STANDARD, 0x01, AT_DESCRIPTORS - AT_STANDARD); /* unused */
	fill_mode(d, width, height);
	fill_text(d + DESCRIPTOR_BYTES, DESCRIPTOR_NAME, "Viaduct");
	d[2 * DESCRIPTOR_BYTES + 3] = DESCRIPTOR_NOTHING;
	d[3 * DESCRIPTOR_BYTES + 3] = DESCRIPTOR_NOTHING;
	for (size_t i = 0; i < AT_CHECKSUM; i++)
		sum = (uint8_t)(sum + e[i]);
	e[AT_CHECKSUM] = (uint8_t)-sum;
}
