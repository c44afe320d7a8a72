/* SPDX-License-Identifier: MIT */
#include "base/unit.h"

#include "tests/unit/base/cmocka_all.h"

/* A device whose state is one number, and which writes down what is done to it. */
struct device {
	char name;
	uint32_t number;
	int start_result, stop_result, save_result;
	uint32_t version_seen;
};

static char journal[256];

static void note(const struct device *d, char what)
{
	size_t len = strlen(journal);

	assert_true(len + 3 < sizeof(journal));
	journal[len] = what;
	journal[len + 1] = d->name;
	journal[len + 2] = 0;
}

static int device_start(void *opaque)
{
	struct device *d = opaque;

	note(d, '+');
	return d->start_result;
}

static int device_stop(void *opaque)
{
	struct device *d = opaque;

	note(d, '-');
	return d->stop_result;
}

static int device_save(void *opaque, struct buf *out)
{
	struct device *d = opaque;

	note(d, 's');
	buf_le32(out, d->number);
	return d->save_result;
}

static int device_restore(void *opaque, struct reader *in, uint32_t version)
{
	struct device *d = opaque;
	uint32_t number = reader_le32(in);

	note(d, 'r');
	if (!reader_ok(in))
		return -EBADMSG;
	d->number = number;
	d->version_seen = version;
	return 0;
}

static const struct unit_ops device_ops = {
	.name = "device",
	.version = 2,
	.start = device_start,
	.stop = device_stop,
	.save = device_save,
	.restore = device_restore,
};

struct fixture {
	struct unit_registry *registry;
	struct device a, b, c;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->a = (struct device){.name = 'a', .number = 1};
	f->b = (struct device){.name = 'b', .number = 2};
	f->c = (struct device){.name = 'c', .number = 3};
	assert_int_equal(unit_registry_new(&f->registry), 0);
	assert_int_equal(unit_register(f->registry, &device_ops, NULL, &f->a), 0);
	assert_int_equal(unit_register(f->registry, &device_ops, "b", &f->b), 0);
	assert_int_equal(unit_register(f->registry, &device_ops, "c", &f->c), 0);
	journal[0] = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unit_registry_free(f->registry);
	free(f);
	return 0;
}

static void test_registration_is_checked(void **state)
{
	struct fixture *f = *state;
	struct unit_ops ops = device_ops;
	char name[UNIT_NAME_MAX_LEN + 2];

	assert_int_equal(unit_register(f->registry, &device_ops, NULL, &f->a), -EEXIST);
	assert_int_equal(unit_register(f->registry, &device_ops, "b", &f->a), -EEXIST);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = 0;
	ops.name = name;
	assert_int_equal(unit_register(f->registry, &ops, NULL, &f->a), -EINVAL);
	name[sizeof(name) - 2] = 0;
	assert_int_equal(unit_register(f->registry, &ops, "", &f->a), -EINVAL);
	assert_int_equal(unit_register(f->registry, &ops, NULL, &f->a), 0);
	ops.name = "";
	assert_int_equal(unit_register(f->registry, &ops, NULL, &f->a), -EINVAL);
	ops.name = "other";
	ops.version = 0;
	assert_int_equal(unit_register(f->registry, &ops, NULL, &f->a), -EINVAL);
	ops.version = 1;
	ops.restore = NULL;
	assert_int_equal(unit_register(f->registry, &ops, NULL, &f->a), -EINVAL);
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	struct buf out = {};
	struct reader in;

	assert_int_equal(unit_save_all(f->registry, &out), 0);
	in = reader_make(out.data, out.size_bytes);
	assert_int_equal(unit_restore_all(f->registry, &in, NULL), 0);
	assert_true(reader_done(&in));
	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_string_equal(journal, "sasbscrarbrc+a+b+c-c-b-a");
	buf_fini(&out);
}

static void test_start_and_stop_are_done_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_string_equal(journal, "+a+b+c-c-b-a");
}

static void test_failed_start_stops_the_started(void **state)
{
	struct fixture *f = *state;

	f->c.start_result = -EIO;
	assert_int_equal(unit_start_all(f->registry), -EIO);
	assert_string_equal(journal, "+a+b+c-b-a");
}

static void test_failed_stop_goes_on(void **state)
{
	struct fixture *f = *state;
	struct buf out = {};

	f->b.stop_result = -EIO;
	f->a.stop_result = -ENOMEM;
	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_stop_all(f->registry), -EIO);
	assert_string_equal(journal, "+a+b+c-c-b-a");
	assert_int_equal(unit_save_all(f->registry, &out), -EBUSY);
	/* Those that did not stop run on; stopping them can be tried again. */
	f->a.stop_result = f->b.stop_result = 0;
	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_string_equal(journal, "+a+b+c-c-b-a+c-c-b-a");
	buf_fini(&out);
}

static void test_states_when_saving_and_restoring(void **state)
{
	struct fixture *f = *state;
	struct buf out = {};
	struct reader in;

	assert_int_equal(unit_start_all(f->registry), 0);
	assert_int_equal(unit_save_all(f->registry, &out), -EBUSY);
	assert_int_equal(unit_stop_all(f->registry), 0);
	assert_int_equal(unit_save_all(f->registry, &out), 0);
	in = reader_make(out.data, out.size_bytes);
	assert_int_equal(unit_restore_all(f->registry, &in, NULL), -EBUSY);
	buf_reset(&out);
	f->b.save_result = -EIO;
	assert_int_equal(unit_save_all(f->registry, &out), -EIO);
	buf_fini(&out);
}

static void section(struct buf *b, const char *name, uint32_t version, uint32_t size_bytes)
{
	buf_u8(b, (uint8_t)strlen(name));
	buf_bytes(b, name, strlen(name));
	buf_le32(b, version);
	buf_le32(b, size_bytes);
	for (uint32_t i = 0; i < size_bytes; i++)
		buf_u8(b, 9);
}

static int restore(struct fixture *f, struct buf *b, const char **ret_culprit)
{
	struct reader in = reader_make(b->data, b->size_bytes);
	int r = unit_restore_all(f->registry, &in, ret_culprit);

	buf_fini(b);
	return r;
}

static void test_sections_are_matched_by_name(void **state)
{
	struct fixture *f = *state;
	struct buf b = {};

	buf_le32(&b, 3);
	section(&b, "device.c", 1, 4);
	section(&b, "device", 2, 4);
	section(&b, "device.b", 1, 4);
	assert_int_equal(restore(f, &b, NULL), 0);
	assert_string_equal(journal, "rarbrc");
	assert_int_equal(f->c.number, 0x09090909);
	assert_int_equal(f->c.version_seen, 1);
	assert_int_equal(f->a.version_seen, 2);
}

static void test_sections_that_do_not_match(void **state)
{
	struct fixture *f = *state;
	const char *culprit = NULL;
	struct buf b = {};

	buf_le32(&b, 2);
	section(&b, "device", 2, 4);
	section(&b, "device.c", 2, 4);
	assert_int_equal(restore(f, &b, &culprit), -ENODATA);
	assert_string_equal(culprit, "device.b");

	buf_le32(&b, 4);
	section(&b, "device", 2, 4);
	section(&b, "stranger", 2, 4);
	assert_int_equal(restore(f, &b, &culprit), -ENOENT);

	buf_le32(&b, 3);
	section(&b, "device", 2, 4);
	section(&b, "device.b", 3, 4);
	assert_int_equal(restore(f, &b, &culprit), -EPROTONOSUPPORT);
	assert_string_equal(culprit, "device.b");

	buf_le32(&b, 3);
	section(&b, "device", 0, 4);
	assert_int_equal(restore(f, &b, &culprit), -EBADMSG);

	buf_le32(&b, 3);
	section(&b, "device", 1, 4);
	section(&b, "device", 1, 4);
	assert_int_equal(restore(f, &b, &culprit), -EBADMSG);

	buf_le32(&b, 1);
	section(&b, "", 1, 4);
	assert_int_equal(restore(f, &b, &culprit), -EBADMSG);
	/* Nothing was touched by any of these. */
	assert_string_equal(journal, "");
}

static void test_states_of_the_wrong_size(void **state)
{
	struct fixture *f = *state;
	const char *culprit = NULL;

	for (uint32_t size_bytes = 3; size_bytes <= 5; size_bytes += 2) {
		struct buf b = {};

		buf_le32(&b, 3);
		section(&b, "device", 2, 4);
		section(&b, "device.b", 2, size_bytes);
		section(&b, "device.c", 2, 4);
		assert_int_equal(restore(f, &b, &culprit), -EBADMSG);
		assert_string_equal(culprit, "device.b");
	}
}

static void test_truncated_states(void **state)
{
	struct fixture *f = *state;
	struct buf out = {};

	assert_int_equal(unit_save_all(f->registry, &out), 0);
	journal[0] = 0;
	for (size_t size_bytes = 0; size_bytes < out.size_bytes; size_bytes++) {
		/* On the heap, so that the sanitizer sees a read past the end. */
		struct buf part = {};

		buf_bytes(&part, out.data, size_bytes);
		assert_int_equal(restore(f, &part, NULL), -EBADMSG);
	}
	assert_string_equal(journal, "");
	store_le32(out.data, UINT32_MAX);
	assert_int_equal(restore(f, &out, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registration_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_and_stop_are_done_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_failed_start_stops_the_started, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_stop_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_states_when_saving_and_restoring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections_are_matched_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections_that_do_not_match, setup, teardown),
		cmocka_unit_test_setup_teardown(test_states_of_the_wrong_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_states, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
