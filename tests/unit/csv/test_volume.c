/* SPDX-License-Identifier: MIT */
#include "csv/csv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static int make_dir(void **state)
{
	char path[] = "/tmp/viaduct-volume-XXXXXX";

	*state = mkdtemp(path) ? strdup(path) : NULL;
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	char *command = NULL;
	int r;

	assert_true(asprintf(&command, "rm -rf '%s'", (char *)*state) > 0);
	r = system(command);
	free(command);
	free(*state);
	return r;
}

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void label_makes_a_volume_once(void **state)
{
	char id[CSV_ID_TEXT_BYTES], again[CSV_ID_TEXT_BYTES];
	int dir;

	assert_int_equal(csv_volume_label(*state, id), 0);
	assert_int_equal(strlen(id), 32);
	assert_int_equal(csv_volume_label(*state, again), -EEXIST);
	assert_string_equal(id, again);
	assert_int_equal(csv_volume_open(*state, id, &dir), 0);
	close(dir);
}

static void another_volume_in_its_place_is_refused(void **state)
{
	char id[CSV_ID_TEXT_BYTES];
	int dir;

	assert_int_equal(
		csv_volume_open(*state, "00112233445566778899aabbccddeeff", &dir), -EMEDIUMTYPE);
	assert_int_equal(csv_volume_label(*state, id), 0);
	assert_int_equal(
		csv_volume_open(*state, "00112233445566778899aabbccddeeff", &dir), -EMEDIUMTYPE);
	assert_int_equal(csv_volume_open("/nonexistent", id, &dir), -ENOENT);
}

static void broken_labels_are_refused(void **state)
{
	static const char *const labels[] = {"", "\n", "0011", "00112233445566778899AABBCCDDEEFF\n",
		"00112233445566778899aabbccddeeff00112233\n",
		"../../../../../../etc/passwd00000\n"};
	int dir;

	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		put_file(*state, CSV_LABEL_FILE, labels[i]);
		if (strlen(labels[i]) > 33) /* a longer text with the id in front is not the id */
			assert_int_not_equal(
				csv_volume_open(*state, "00112233445566778899aabbccddeef", &dir),
				0);
		else
			assert_int_equal(csv_volume_open(*state, labels[i], &dir), -EMEDIUMTYPE);
	}
}

static void a_label_that_is_a_link_is_not_followed(void **state)
{
	char path[256];
	int dir;

	put_file(*state, "elsewhere", "00112233445566778899aabbccddeeff\n");
	snprintf(path, sizeof(path), "%s/%s", (char *)*state, CSV_LABEL_FILE);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(csv_volume_open(*state, "00112233445566778899aabbccddeeff", &dir), -ELOOP);
}

static void saved_states_carry_their_epoch(void **state)
{
	char id[CSV_ID_TEXT_BYTES], name[64], later[64];
	int dir, fd;

	assert_int_equal(csv_volume_label(*state, id), 0);
	assert_int_equal(csv_volume_open(*state, id, &dir), 0);
	assert_int_equal(csv_saved_name("VM1", 7, name, sizeof(name)), 0);
	assert_int_equal(csv_saved_name("VM1", 8, later, sizeof(later)), 0);
	assert_string_not_equal(name, later);
	assert_int_equal(csv_saved_create(dir, name, &fd), 0);
	assert_int_equal(write(fd, "state", 5), 5);
	close(fd);
	assert_int_equal(csv_saved_create(dir, name, &fd), -EEXIST);
	assert_int_equal(csv_saved_open(dir, later, &fd), -ENOENT);
	assert_int_equal(csv_saved_open(dir, name, &fd), 0);
	close(fd);
	assert_int_equal(csv_saved_remove(dir, name), 0);
	assert_int_equal(csv_saved_open(dir, name, &fd), -ENOENT);
	close(dir);
}

static void unsafe_names_are_refused(void **state)
{
	static const char *const names[] = {"", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden"};
	char id[CSV_ID_TEXT_BYTES], small[8], name[64];
	int dir, fd;

	assert_int_equal(csv_volume_label(*state, id), 0);
	assert_int_equal(csv_volume_open(*state, id, &dir), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(csv_saved_create(dir, names[i], &fd), -EINVAL);
		assert_int_equal(csv_saved_open(dir, names[i], &fd), -EINVAL);
		assert_int_equal(csv_saved_remove(dir, names[i]), -EINVAL);
		assert_int_equal(csv_saved_name(names[i], 1, name, sizeof(name)), -EINVAL);
	}
	assert_int_equal(csv_saved_name("VM1", 1, small, sizeof(small)), -ENAMETOOLONG);
	assert_int_equal(mkdirat(dir, "folder", 0700), 0);
	assert_int_equal(csv_saved_open(dir, "folder", &fd), -EINVAL);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(label_makes_a_volume_once, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			another_volume_in_its_place_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(broken_labels_are_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_label_that_is_a_link_is_not_followed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			saved_states_carry_their_epoch, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(unsafe_names_are_refused, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
