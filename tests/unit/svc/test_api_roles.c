/* SPDX-License-Identifier: MIT
 *
 * Who may ask for what, what of it is written down, and the keys of administrators.
 */
#include "tests/unit/svc/fake_svc.h"

#include "node/svc/admins.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define KEY_A "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define KEY_B "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

static int set_up(void **state _unused_)
{
	fake_set_up();
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static void every_request_has_a_role(void **state _unused_)
{
	enum api_role role;
	const char *name;
	size_t n = 0;

	for (; (name = api_op_at(n, &role)); n++) {
		if (role == ROLE_NONE)
			fail_msg("%s has no role in the table of api.c", name);
	}
	assert_true(n > 60);
}

/* As far as the role goes: what then becomes of the request does not matter. */
static bool may(enum api_role role, const char *name)
{
	_cleanup_json_ struct json *op = json_string_new(name);
	bool refused;

	fake.role = role;
	refused = strcmp(fake_ask_with("{\"vm\":\"none\",\"name\":\"none\"}", "op", json_ref(op)),
			  "refused") == 0 &&
		  strstr(json_get_string(fake.answer, "error", ""), "it needs the role") != NULL;
	fake.role = ROLE_ADMINISTER;
	return !refused;
}

static void a_role_may_what_lesser_ones_may(void **state _unused_)
{
	static const struct {
		const char *op;
		enum api_role needed;
	} cases[] = {
		{"cluster.status", ROLE_READ},
		{"vm.list", ROLE_READ},
		{"admin.list", ROLE_READ},
		{"vm.start", ROLE_OPERATE},
		{"vm.stop", ROLE_OPERATE},
		{"vm.migrate", ROLE_OPERATE},
		{"job.cancel", ROLE_OPERATE},
		{"vm.delete", ROLE_ADMINISTER},
		{"disk.medium", ROLE_ADMINISTER}, /* it names a file that root opens */
		{"switch.delete", ROLE_ADMINISTER},
		{"admin.revoke", ROLE_ADMINISTER},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int role = ROLE_NONE; role <= ROLE_ADMINISTER; role++)
			assert_int_equal(may((enum api_role)role, cases[i].op),
				(enum api_role)role >= cases[i].needed);
	}
}

static void a_refusal_says_which_role_and_who_has_it(void **state _unused_)
{
	const char *error;

	fake.role = ROLE_READ;
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "refused");
	error = json_get_string(fake.answer, "error", "");
	assert_non_null(strstr(error, "'operate'"));
	assert_non_null(strstr(error, "'read'"));
	assert_non_null(strstr(error, "viaduct-operate"));
	assert_non_null(strstr(fake.audit, "refused: "));
}

static void changes_are_written_down_and_reading_is_not(void **state _unused_)
{
	fake_ask("{\"op\":\"vm.list\"}");
	fake_ask("{\"op\":\"nic.order\",\"protocol\":\"ipv4\"}");
	assert_int_equal(fake.n_audits, 0);
	fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}");
	assert_int_equal(fake.n_audits, 1);
	assert_string_equal(fake.audit,
		"root|host1|vm/VM1|vm.start vm=VM1|not-found: there is no VM "
		"'VM1'; see 'viaduct vm list'");
	fake_ask("{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"metric\":100}");
	assert_int_equal(fake.n_audits, 2);
	assert_non_null(strstr(fake.audit, "|done"));
	/* A console is one sitting. */
	fake_ask("{\"op\":\"vm.serial\",\"vm\":\"VM1\",\"send\":\"x\"}");
	fake_ask("{\"op\":\"vm.serial\",\"vm\":\"VM1\",\"send\":\"y\"}");
	assert_int_equal(fake.n_audits, 3);
}

static const char *enroll(const char *name, const char *key, int64_t expires_s)
{
	char text[200];

	snprintf(text, sizeof(text),
		"{\"op\":\"admin.enroll\",\"name\":\"%s\",\"key\":\"%s\",\"role\":\"operate\","
		"\"expires_s\":%lld}",
		name, key, (long long)expires_s);
	return fake_ask(text);
}

static void a_key_is_enrolled_and_found(void **state _unused_)
{
	struct admin admin;

	assert_string_equal(enroll("anna", KEY_A, 3600), "ok");
	assert_true(json_is_array(json_get(fake.answer, "servers")));
	assert_int_equal(admin_of_key(NULL, KEY_A, &admin), 0);
	assert_string_equal(admin.name, "anna");
	assert_string_equal(admin.enrolled_by, "root");
	assert_int_equal(admin.role, ROLE_OPERATE);
	assert_int_equal(admin.expires_s, admin.since_s + 3600);
	assert_int_equal(admin_of_key(NULL, KEY_B, &admin), -ENOENT);
	assert_int_equal(admin_of_key(NULL, "", &admin), -ENOENT);
	/* Neither the name nor the key twice. */
	assert_string_equal(enroll("anna", KEY_B, 0), "conflict");
	assert_string_equal(enroll("bert", KEY_A, 0), "conflict");
	assert_string_equal(enroll("bert", "short", 0), "usage");
	assert_string_equal(enroll("../x", KEY_B, 0), "usage");
	assert_string_equal(enroll("bert", KEY_B, -1), "usage");
	assert_string_equal(fake_ask("{\"op\":\"admin.enroll\",\"name\":\"bert\",\"key\":\"" KEY_B
				     "\",\"role\":\"god\"}"),
		"usage");
}

static void a_key_ends_by_time_or_by_somebody(void **state _unused_)
{
	struct admin admin;
	char text[320];

	enroll("anna", KEY_A, 3600);
	admin_of_key(NULL, KEY_A, &admin);
	assert_false(admin_refusal(&admin, admin.expires_s - 1, text, sizeof(text)));
	assert_true(admin_refusal(&admin, admin.expires_s, text, sizeof(text)));
	assert_non_null(strstr(text, "expired at"));
	assert_string_equal(fake_ask("{\"op\":\"admin.revoke\",\"name\":\"anna\"}"), "ok");
	admin_of_key(NULL, KEY_A, &admin);
	assert_true(admin_refusal(&admin, admin.since_s, text, sizeof(text)));
	assert_non_null(strstr(text, "revoked at"));
	assert_non_null(strstr(text, "by root"));
	assert_string_equal(
		fake_ask("{\"op\":\"admin.set\",\"name\":\"anna\",\"role\":\"read\"}"), "conflict");
	/* The name may have another key then, and the old one is nobody's. */
	assert_string_equal(enroll("anna", KEY_B, 0), "ok");
	assert_int_equal(admin_of_key(NULL, KEY_A, &admin), -ENOENT);
	assert_string_equal(fake_ask("{\"op\":\"admin.revoke\",\"name\":\"nobody\"}"), "not-found");
	fake.quorate = false;
	assert_string_equal(fake_ask("{\"op\":\"admin.revoke\",\"name\":\"anna\"}"), "no-quorum");
}

static void a_record_that_makes_no_sense_lets_nobody_in(void **state _unused_)
{
	struct json *record = json_object_new();
	struct admin admin;
	char text[320];

	json_set_string(record, "key", KEY_A);
	json_set_string(record, "role", "emperor");
	fake_store("admin/anna", record);
	assert_int_equal(admin_of_key(NULL, KEY_A, &admin), 0);
	assert_int_equal(admin.role, ROLE_NONE);
	assert_true(admin_refusal(&admin, 0, text, sizeof(text)));
}

static void an_identity_travels_between_nodes(void **state _unused_)
{
	const struct identity anna = {
		.role = ROLE_OPERATE, .who = "key anna", .from = "10.1.2.3 at host1"};
	_cleanup_json_ struct json *json = identity_to_json(&anna);
	struct identity identity;

	identity_from_json(json, "host1", &identity);
	assert_int_equal(identity.role, ROLE_OPERATE);
	assert_string_equal(identity.who, "key anna");
	assert_string_equal(identity.from, "10.1.2.3 at host1");
	identity_from_json(NULL, "host1", &identity);
	assert_int_equal(identity.role, ROLE_ADMINISTER);
	assert_string_equal(identity.who, "node host1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_request_has_a_role, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_role_may_what_lesser_ones_may, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_refusal_says_which_role_and_who_has_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			changes_are_written_down_and_reading_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_is_enrolled_and_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_key_ends_by_time_or_by_somebody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_record_that_makes_no_sense_lets_nobody_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_identity_travels_between_nodes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
