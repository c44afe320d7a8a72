/* SPDX-License-Identifier: MIT */
#include "node/host/tcp.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>
#include <sys/socket.h>

#define REST " 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000"

static void lines_become_connections(void **state _unused_)
{
	struct host_tcp c;

	assert_int_equal(
		host_tcp_parse("   0: 0100007F:1F90 00000000:0000 0A" REST, AF_INET, &c), 0);
	assert_string_equal(c.local, "127.0.0.1:8080");
	assert_string_equal(c.remote, "0.0.0.0:0");
	assert_string_equal(c.state, "LISTENING");
	assert_int_equal(host_tcp_parse(" 17: 00000000000000000000000001000000:0016 "
					"0000000000000000FFFF00000100000A:FFFF 01" REST,
				 AF_INET6, &c),
		0);
	assert_string_equal(c.local, "[::1]:22");
	assert_string_equal(c.remote, "[::ffff:10.0.0.1]:65535");
	assert_string_equal(c.state, "ESTABLISHED");
}

static void other_lines_are_refused(void **state _unused_)
{
	static const char *const lines[] = {"", "  sl  local_address rem_address   st tx_queue",
		"   0: 0100007F:1F90", "   0: 0100007F:1F90 00000000:0000",
		"   0: 0100007F:1F90 00000000:0000 00", "   0: 0100007F:1F90 00000000:0000 0D",
		"   0: 0100007F:1F90 00000000:0000 zz", "   0: 0100007:1F90 00000000:0000 0A",
		"   0: 0100007F: 00000000:0000 0A", "   0: 0100007F:10000 00000000:0000 0A",
		"   0: 0100007F1F90 00000000:0000 0A",
		"   0: 0100007F:1F90 00000000000000000000000000000000:0000 0A",
		"   0: "
		"0000000000000000000000000000000000000000000000000000000000000000000000000000:1 "
		"00000000:0000 0A"};
	struct host_tcp c;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(host_tcp_parse(lines[i], AF_INET, &c), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_connections),
		cmocka_unit_test(other_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
