/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/console.h"
#include "vmbus/guest/cpu.h"

#define SERIAL_DATA        0x3f8
#define SERIAL_LINE_STATUS 0x3fd
#define SERIAL_DATA_READY  0x01
#define SERIAL_ABSENT      0xff

static struct gap *sampled;
static char line[CONSOLE_LINE_BYTES];
static size_t line_length;

void console_init(struct gap *gap)
{
	sampled = gap;
}

static void put(char c)
{
	cpu_out8(SERIAL_DATA, (uint8_t)c);
	gap_sample(sampled, cpu_tsc());
}

void console_print(const char *s)
{
	while (*s)
		put(*s++);
	put('\n');
}

static bool get(char *ret_c)
{
	uint8_t status = cpu_in8(SERIAL_LINE_STATUS);

	gap_sample(sampled, cpu_tsc());
	if (status == SERIAL_ABSENT || !(status & SERIAL_DATA_READY))
		return false;
	*ret_c = (char)cpu_in8(SERIAL_DATA);
	gap_sample(sampled, cpu_tsc());
	return true;
}

bool console_read(const char **ret_line, bool *ret_active)
{
	char c;

	*ret_active = false;
	while (get(&c)) {
		*ret_active = true;
		if (c == '\n') {
			line[line_length] = '\0';
			line_length = 0;
			*ret_line = line;
			return true;
		}
		if (c != '\r' && line_length < sizeof(line) - 1)
			line[line_length++] = c;
	}
	return false;
}
