/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

#define GOOD                                                                                       \
	"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vps\":2,\"cmdline\":\"a=b\",\"nics\":["     \
	"{\"mac\":\"00:15:5d:00:00:01\",\"mtu\":9000},{\"mac\":\"00:15:5D:aa:BB:02\"}]}"

static int parse(const char *text, struct vm_spec *ret_spec)
{
	struct json *message = NULL;
	char error[256] = "";
	int r;

	assert_int_equal(json_parse(text, strlen(text), &message), 0);
	r = vm_spec_parse(message, ret_spec, error, sizeof(error));
	json_unref(message);
	/* A refusal says why. */
	assert_true(r == 0 || (r == -EINVAL && strlen(error) > 10));
	return r;
}

static void good_requests_are_taken(void **state _unused_)
{
	struct vm_spec spec;

	assert_int_equal(parse(GOOD, &spec), 0);
	assert_string_equal(spec.name, "VM1");
	assert_string_equal(spec.cmdline, "a=b");
	assert_int_equal(spec.memory_bytes, 64 << 20);
	assert_int_equal(spec.n_vps, 2);
	assert_int_equal(spec.n_nics, 2);
	assert_int_equal(spec.nics[0].mtu_bytes, 9000);
	assert_int_equal(spec.nics[1].mtu_bytes, 1500);
	assert_int_equal(spec.nics[1].mac[4], 0xbb);
	assert_false(spec.incoming);
}

#define NIC(offload)                                                                               \
	"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00:01\","    \
	"\"offload\":" offload "}]}"

static void offloads_are_withheld(void **state _unused_)
{
	static const struct {
		const char *text;
		uint32_t withheld;
		bool one_queue;
	} good[] = {
		{NIC("{}"), 0, false},
		{NIC("{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true}"), 0, false},
		{NIC("{\"csum\":\"off\"}"), NETVSP_CSUM_TX | NETVSP_CSUM_RX, false},
		{NIC("{\"csum\":\"tx\",\"lso\":false}"), NETVSP_CSUM_RX | NETVSP_LSO, false},
		{NIC("{\"csum\":\"rx\",\"rsc\":false}"), NETVSP_CSUM_TX | NETVSP_RSC, false},
		{NIC("{\"rss\":false}"), 0, true},
	};
	static const char *const bad[] = {NIC("7"), NIC("[]"), NIC("null"), NIC("{\"csum\":7}"),
		NIC("{\"csum\":\"\"}"), NIC("{\"csum\":\"all\"}"), NIC("{\"lso\":\"off\"}"),
		NIC("{\"rsc\":0}"), NIC("{\"rss\":null}")};
	struct vm_spec spec;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(parse(good[i].text, &spec), 0);
		assert_int_equal(spec.nics[0].withheld, good[i].withheld);
		assert_int_equal(spec.nics[0].one_queue, good[i].one_queue);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse(bad[i], &spec), -EINVAL);
}

static void bad_requests_are_refused(void **state _unused_)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"name\":\"VM1\"}",
		"{\"name\":\"\",\"memory_bytes\":67108864}",
		"{\"name\":7,\"memory_bytes\":67108864}",
		"{\"name\":\"VM1\",\"memory_bytes\":\"67108864\"}",
		"{\"name\":\"VM1\",\"memory_bytes\":-67108864}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108865}",
		"{\"name\":\"VM1\",\"memory_bytes\":1048576}",
		"{\"name\":\"VM1\",\"memory_bytes\":9223372036854775807}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vps\":0}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vps\":-1}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vps\":65}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[7]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00\"}"
		"]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00:"
		"0g\"}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00:"
		"011\"}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"ff:ff:ff:ff:ff:"
		"ff\"}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00:"
		"01\","
		"\"mtu\":575}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{\"mac\":\"00:15:5d:00:00:"
		"01\","
		"\"mtu\":9001}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"nics\":[{},{},{},{},{}]}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"min_memory_bytes\":134217728}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"min_memory_bytes\":33554433}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"min_memory_bytes\":0}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"min_memory_bytes\":-1}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"max_memory_bytes\":33554432}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"max_memory_bytes\":134217729}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"max_memory_bytes\":"
		"9223372036854775807}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vram_bytes\":-1}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vram_bytes\":1048576}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vram_bytes\":12582912}",
		"{\"name\":\"VM1\",\"memory_bytes\":67108864,\"vram_bytes\":134217728}",
	};
	struct vm_spec spec, before;

	memset(&spec, 0x5a, sizeof(spec));
	before = spec;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (parse(bad[i], &spec) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_memory_equal(&spec, &before, sizeof(spec));
	}
}

static void oversized_texts_are_refused(void **state _unused_)
{
	struct json *message = json_object_new();
	char text[VM_CMDLINE_MAX_LEN + 2], error[256];
	struct vm_spec spec;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_set_int(message, "memory_bytes", 64 << 20);
	json_set_string(message, "name", "VM1");
	json_set_string(message, "cmdline", text);
	assert_int_equal(vm_spec_parse(message, &spec, error, sizeof(error)), -EINVAL);
	text[VM_CMDLINE_MAX_LEN] = '\0';
	json_set_string(message, "cmdline", text);
	assert_int_equal(vm_spec_parse(message, &spec, error, sizeof(error)), 0);
	text[VM_NAME_MAX_LEN + 1] = '\0';
	json_set_string(message, "name", text);
	assert_int_equal(vm_spec_parse(message, &spec, error, sizeof(error)), -EINVAL);
	text[VM_NAME_MAX_LEN] = '\0';
	json_set_string(message, "name", text);
	assert_int_equal(vm_spec_parse(message, &spec, error, sizeof(error)), 0);
	json_unref(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests_are_taken),
		cmocka_unit_test(offloads_are_withheld),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(oversized_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
