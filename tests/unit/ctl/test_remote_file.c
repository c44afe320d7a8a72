/* SPDX-License-Identifier: MIT */
#include "node/ctl/remote_file.h"

#include "tests/unit/base/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define GOOD                                                                                       \
	"{\"viaduct_remote\":1,\"name\":\"anna\",\"public\":\"" KEY "\",\"secret\":\"" KEY "\","   \
	"\"port\":5711,\"servers\":[{\"node\":\"host1\",\"key\":\"" KEY "\",\"addresses\":["       \
	"\"10.0.0.1\",\"10.1.0.1\"]},{\"node\":\"host2\",\"key\":\"" KEY                           \
	"\",\"addresses\":[\"h2.example:99\"]}]}"

static void every_kind_of_address_is_known(void **state _unused_)
{
	static const struct {
		const char *address, *endpoint; /* NULL: none */
	} cases[] = {
		{"10.0.0.1", "tcp://10.0.0.1:5711"},
		{"10.0.0.1:99", "tcp://10.0.0.1:99"},
		{"h.example", "tcp://h.example:5711"},
		{"h.example:99", "tcp://h.example:99"},
		{"fd00::1", "tcp://[fd00::1]:5711"},
		{"[fd00::1]", "tcp://[fd00::1]:5711"},
		{"[fd00::1]:99", "tcp://[fd00::1]:99"},
		{"", NULL},
		{"a b", NULL},
		{"ipc:///tmp/x", NULL},
		{"x;y", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[300];
		int r = remote_endpoint(cases[i].address, 5711, text, sizeof(text));

		assert_int_equal(r, cases[i].endpoint ? 0 : -EINVAL);
		if (r == 0)
			assert_string_equal(text, cases[i].endpoint);
	}
}

static void first_addresses_come_first(void **state _unused_)
{
	struct remote_file file;
	char error[160];

	assert_int_equal(remote_file_parse(GOOD, strlen(GOOD), &file, error, sizeof(error)), 0);
	assert_string_equal(file.name, "anna");
	assert_int_equal(file.n, 3);
	assert_string_equal(file.endpoints[0].endpoint, "tcp://10.0.0.1:5711");
	assert_string_equal(file.endpoints[1].endpoint, "tcp://h2.example:99");
	assert_string_equal(file.endpoints[2].endpoint, "tcp://10.1.0.1:5711");
	assert_string_equal(file.endpoints[2].node, "host1");
}

static void what_is_wrong_is_said(void **state _unused_)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"", "no file that"},
		{"[]", "no file that"},
		{"{}", "another version"},
		{"{\"viaduct_remote\":2}", "another version"},
		{"{\"viaduct_remote\":1}", "keys are damaged"},
		{"{\"viaduct_remote\":1,\"public\":\"" KEY "\",\"secret\":\"" KEY "\"}",
			"no server"},
		{"{\"viaduct_remote\":1,\"public\":\"" KEY "\",\"secret\":\"" KEY
		 "\",\"servers\":[{\"key\":\"x\",\"addresses\":[\"1.2.3.4\"]}]}",
			"no server"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct remote_file file;
		char error[160] = "";

		assert_int_equal(remote_file_parse(cases[i].text, strlen(cases[i].text), &file,
					 error, sizeof(error)),
			-EBADMSG);
		assert_non_null(strstr(error, cases[i].error));
	}
}

static void a_key_that_others_can_read_is_refused(void **state _unused_)
{
	char path[] = "/tmp/viaduct-remote-XXXXXX", error[400];
	struct remote_file file;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, GOOD, strlen(GOOD)), (ssize_t)strlen(GOOD));
	close(fd);
	assert_int_equal(remote_file_load(path, &file, error, sizeof(error)), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(remote_file_load(path, &file, error, sizeof(error)), -EPERM);
	assert_non_null(strstr(error, "chmod 600"));
	unlink(path);
	assert_int_equal(remote_file_load(path, &file, error, sizeof(error)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_address_is_known),
		cmocka_unit_test(first_addresses_come_first),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_key_that_others_can_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
