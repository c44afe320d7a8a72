/* SPDX-License-Identifier: MIT */
#include "node/vm/png_write.h"

#include "base/log.h"

#include <png.h>

/* Screens compress well at any level, and somebody is waiting. */
#define COMPRESSION_LEVEL 3

static void on_write(png_structp png, png_bytep data, size_t size_bytes)
{
	struct buf *out = png_get_io_ptr(png);

	buf_bytes(out, data, size_bytes);
	if (out->failed)
		png_error(png, "out of memory");
}

static void on_flush(_unused_ png_structp png)
{
}

static void on_error(png_structp png, png_const_charp text)
{
	log_debug("libpng: %s", text);
	png_longjmp(png, 1);
}

static void on_warning(_unused_ png_structp png, png_const_charp text)
{
	log_debug("libpng: %s", text);
}

/* Nothing here needs cleaning up when libpng jumps back. */
static int write_all(png_structp png, png_infop info, const uint8_t *pixels, uint32_t width,
	uint32_t height, struct buf *out)
{
	if (setjmp(png_jmpbuf(png)))
		return out->failed ? -ENOMEM : -EIO;
	png_set_write_fn(png, out, on_write, on_flush);
	png_set_compression_level(png, COMPRESSION_LEVEL);
	png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	png_set_bgr(png);
	png_set_filler(png, 0, PNG_FILLER_AFTER);
	for (uint32_t y = 0; y < height; y++)
		png_write_row(png, pixels + (size_t)y * width * 4);
	png_write_end(png, info);
	return 0;
}

int png_write(const uint8_t *pixels, uint32_t width, uint32_t height, struct buf *out)
{
	png_structp png;
	png_infop info;
	int r = -ENOMEM;

	if (!width || !height)
		return -EINVAL;
	png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
	if (!png)
		return -ENOMEM;
	info = png_create_info_struct(png);
	if (info)
		r = write_all(png, info, pixels, width, height, out);
	png_destroy_write_struct(&png, &info);
	return r;
}
