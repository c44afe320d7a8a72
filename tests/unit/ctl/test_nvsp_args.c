/* SPDX-License-Identifier: MIT */
#include "node/ctl/nvsp_args.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

typedef int (*rewrite_fn)(
	int argc, char **argv, struct nvsp_args *ret_args, char *error, size_t error_size_bytes);

/* Words in, words out, both as one text; "usage", or "refused" with a sentence. */
static const char *rewritten(rewrite_fn rewrite, const char *words)
{
	static char out[1024];
	char copy[512], error[256] = "", *argv[32], *save = NULL;
	struct nvsp_args args;
	int argc = 0, r;

	strcpy(copy, words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	r = rewrite(argc, argv, &args, error, sizeof(error));
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_true(strlen(error) > 5 && !strchr(error, '\n'));
		return "refused";
	}
	if (r > 0)
		return "usage";
	out[0] = '\0';
	for (int i = 0; i < args.argc; i++) {
		strcat(out, i ? " " : "");
		strcat(out, args.argv[i]);
	}
	assert_null(args.argv[args.argc]);
	return out;
}

static void every_switch_of_nvspbind_has_an_option(void **state _unused_)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"eth0", "--nic=eth0"},
		{"*", "--nic=*"},
		{"/n", "--nics"},
		{"-N eth0", "--nics --nic=eth0"},
		{"/u eth0", "--unbind eth0"},
		{"-u *", "--unbind *"},
		{"/b eth0 --switch A", "--bind eth0 --switch A"},
		{"--switch A /b eth0", "--switch A --bind eth0"},
		{"/d eth0 ms_tcpip", "--disable eth0,ms_tcpip"},
		{"/D eth0,ipv4", "--disable eth0,ipv4"},
		{"-e * ipv6", "--enable *,ipv6"},
		{"/r eth0", "--repair eth0"},
		{"/o ms_tcpip", "--order ms_tcpip"},
		{"/+ eth0 ipv4", "--up eth0,ipv4"},
		{"-+ eth0 ipv4", "--up eth0,ipv4"},
		{"/- eth0 ipv4", "--down eth0,ipv4"},
		{"-- eth0 ipv4", "--down eth0,ipv4"},
		{"/++ eth0 ipv4", "--top eth0,ipv4"},
		{"/-- eth0 ipv4 --dry-run", "--bottom eth0,ipv4 --dry-run"},
		{"--- eth0 ipv4", "--bottom eth0,ipv4"},
		{"/n --json", "--nics --json"},
		{"--node host2", "--node host2"},
		{"/?", "usage"},
		{"-?", "usage"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(rewritten(nvspbind_rewrite, cases[i].in), cases[i].out);
}

static void nonsense_for_nvspbind_is_refused(void **state _unused_)
{
	static const char *const cases[] = {"/", "-", "/x", "/nn", "/d", "/d eth0", "/u", "/o",
		"/+++ eth0 ipv4", "/u eth0 eth1", "eth0 eth1", "/n eth0 /u eth0",
		"/d eth0 ipv4 ipv6",
		"/u "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaa",
		"--json --json --json --json --json --json --json --json --json --json --json "
		"--json "
		"--json --json --json --json --json --json --json --json --json --json --json "
		"--json "
		"--json"};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(rewritten(nvspbind_rewrite, cases[i]), "refused");
}

static void nvspscrub_has_three_switches(void **state _unused_)
{
	assert_string_equal(rewritten(nvspscrub_rewrite, ""), "");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/v"), "--disabled");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/P --dry-run"), "--purge --dry-run");
	assert_string_equal(rewritten(nvspscrub_rewrite, "-n vs-A"), "--name vs-A");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/p --undo-file /tmp/x"),
		"--purge --undo-file /tmp/x");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/?"), "usage");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/n"), "refused");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/p /v"), "refused");
	assert_string_equal(rewritten(nvspscrub_rewrite, "vs-A"), "refused");
	assert_string_equal(rewritten(nvspscrub_rewrite, "/u eth0"), "refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_switch_of_nvspbind_has_an_option),
		cmocka_unit_test(nonsense_for_nvspbind_is_refused),
		cmocka_unit_test(nvspscrub_has_three_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
