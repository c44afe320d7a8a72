/* SPDX-License-Identifier: MIT
 *
 * Pictures written as PNG, read back with libpng's own reader.
 */
#include "node/vm/png_write.h"

#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint32_t colour(uint32_t x, uint32_t y)
{
	return (x * 7919 + y * 104729) * 2654435761U;
}

static void check(uint32_t width, uint32_t height)
{
	_cleanup_free_ uint8_t *pixels = malloc(4UL * width * height);
	_cleanup_free_ uint8_t *read_back = malloc(3UL * width * height);
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct buf png = {0};

	assert_non_null(pixels);
	assert_non_null(read_back);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++)
			store_le32(pixels + 4UL * (y * width + x), colour(x, y));
	}
	buf_u8(&png, 0x55); /* what is there stays there */
	assert_int_equal(png_write(pixels, width, height, &png), 0);
	assert_int_equal(png.data[0], 0x55);
	assert_true(png_image_begin_read_from_memory(&image, png.data + 1, png.size_bytes - 1));
	assert_int_equal(image.width, width);
	assert_int_equal(image.height, height);
	assert_int_equal(image.format & PNG_FORMAT_FLAG_ALPHA, 0);
	image.format = PNG_FORMAT_RGB;
	assert_true(png_image_finish_read(&image, NULL, read_back, (int)(3 * width), NULL));
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			const uint8_t *rgb = read_back + 3UL * (y * width + x);

			assert_int_equal(
				rgb[0] << 16 | rgb[1] << 8 | rgb[2], colour(x, y) & 0xffffff);
		}
	}
	buf_fini(&png);
}

static void pictures_of_all_sizes(_unused_ void **state)
{
	static const struct {
		uint32_t width, height;
	} sizes[] = {{1, 1}, {1, 300}, {300, 1}, {3, 5}, {640, 480}, {1367, 71}};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		check(sizes[i].width, sizes[i].height);
}

static void a_black_screen_is_small(_unused_ void **state)
{
	_cleanup_free_ uint8_t *pixels = calloc(1024 * 768, 4);
	struct buf png = {0};

	assert_non_null(pixels);
	assert_int_equal(png_write(pixels, 1024, 768, &png), 0);
	assert_true(png.size_bytes < 20000);
	buf_fini(&png);
}

static void no_picture(_unused_ void **state)
{
	struct buf png = {0};

	assert_int_equal(png_write(NULL, 0, 5, &png), -EINVAL);
	assert_int_equal(png_write(NULL, 5, 0, &png), -EINVAL);
	assert_int_equal(png.size_bytes, 0);
	buf_fini(&png);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_of_all_sizes),
		cmocka_unit_test(a_black_screen_is_small),
		cmocka_unit_test(no_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
