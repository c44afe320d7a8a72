/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/work.h"

#define LINE_BYTES     64
#define WORDS_PER_LINE (LINE_BYTES / sizeof(uint64_t))
#define N_RANDOM_LINES 32
#define FIRST_REPEATED (1 + N_RANDOM_LINES)
#define N_LINES        (WORK_PAGE_BYTES / LINE_BYTES)

/* The finaliser of a 64-bit hash: every bit of the input changes half of the output. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

static uint64_t header_word(uint32_t index, uint32_t pass)
{
	return (uint64_t)pass << 32 | index;
}

static uint64_t random_word(uint64_t seed, size_t i)
{
	return mix(seed + i * 0x9e3779b97f4a7c15ULL);
}

static uint64_t line_seed(uint32_t index, uint32_t pass, unsigned line)
{
	return mix(header_word(index, pass) * N_LINES + line);
}

static uint64_t repeated_word(uint32_t index)
{
	return (uint64_t)index * 0x0101010101010101ULL;
}

static unsigned line_of_pass(uint32_t pass)
{
	return 1 + pass % N_RANDOM_LINES;
}

/* The last touch, of the first `pass` ones, that rewrote this line; 0 when none did. */
static uint32_t pass_of_line(uint32_t pass, unsigned line)
{
	uint32_t back = (pass - (line - 1)) % N_RANDOM_LINES;

	return back < pass ? pass - back : 0;
}

static void line_write(uint64_t *line, uint64_t seed)
{
	for (size_t i = 0; i < WORDS_PER_LINE; i++)
		line[i] = random_word(seed, i);
}

static bool line_verify(const uint64_t *line, uint64_t seed)
{
	uint64_t difference = 0;

	for (size_t i = 0; i < WORDS_PER_LINE; i++)
		difference |= line[i] ^ random_word(seed, i);
	return difference == 0;
}

void work_page_fill(uint8_t *page, uint32_t index)
{
	uint64_t *words = (uint64_t *)page;

	words[0] = header_word(index, 0);
	words[1] = mix(words[0]);
	for (size_t i = 2; i < WORDS_PER_LINE; i++)
		words[i] = repeated_word(index);
	for (unsigned line = 1; line < FIRST_REPEATED; line++)
		line_write(words + line * WORDS_PER_LINE, line_seed(index, 0, line));
	for (size_t i = FIRST_REPEATED * WORDS_PER_LINE; i < N_LINES * WORDS_PER_LINE; i++)
		words[i] = repeated_word(index);
}

bool work_page_touch(uint8_t *page, uint32_t index, uint32_t pass)
{
	uint64_t *words = (uint64_t *)page;
	uint64_t header = header_word(index, pass);
	unsigned line = line_of_pass(pass + 1);
	uint64_t *at = words + line * WORDS_PER_LINE;
	bool good = words[0] == header && words[1] == mix(header) &&
		    line_verify(at, line_seed(index, pass_of_line(pass, line), line));

	words[0] = header_word(index, pass + 1);
	words[1] = mix(words[0]);
	line_write(at, line_seed(index, pass + 1, line));
	return good;
}

bool work_page_verify(const uint8_t *page, uint32_t index, uint32_t pass)
{
	const uint64_t *words = (const uint64_t *)page;
	uint64_t header = header_word(index, pass);
	uint64_t difference = (words[0] ^ header) | (words[1] ^ mix(header));

	for (size_t i = 2; i < WORDS_PER_LINE; i++)
		difference |= words[i] ^ repeated_word(index);
	for (size_t i = FIRST_REPEATED * WORDS_PER_LINE; i < N_LINES * WORDS_PER_LINE; i++)
		difference |= words[i] ^ repeated_word(index);
	if (difference)
		return false;
	for (unsigned line = 1; line < FIRST_REPEATED; line++) {
		if (!line_verify(words + line * WORDS_PER_LINE,
			    line_seed(index, pass_of_line(pass, line), line)))
			return false;
	}
	return true;
}
