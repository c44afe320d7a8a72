/* SPDX-License-Identifier: MIT
 *
 * Saved dynamic memory: moved at every step of the protocol, and with every byte wrong.
 */
#include "dynmem_rig.h"

static int restore(const uint8_t *bytes, size_t size_bytes, bool open)
{
	struct reader in = reader_make(bytes, size_bytes);
	int r;

	dynmem_core_fini(&dm_core);
	dynmem_core_init(&dm_core, &dm_config);
	r = dynmem_core_restore(&dm_core, &in, open);
	return r == 0 && !reader_done(&in) ? -EBADMSG : r;
}

/* Every byte wrong in turn; what is accepted all the same holds together. */
static void check_hostile(struct buf *saved)
{
	for (size_t n = 0; n < saved->size_bytes; n++)
		assert_int_equal(restore(saved->data, n, true), -EBADMSG);
	for (size_t i = 0; i < saved->size_bytes; i++) {
		saved->data[i] ^= 0x81;
		if (restore(saved->data, saved->size_bytes, true) == 0) {
			assert_true(dm_core.ballooned.n_pages <= DM_RAM_PAGES + dm_hot_pages);
			assert_true(
				dm_core.operation == DYNMEM_IDLE || dm_core.phase == DYNMEM_READY);
			(void)dynmem_core_send(&dm_core, dm_now_ns, dm_message);
		}
		saved->data[i] ^= 0x81;
	}
}

static void move(void)
{
	struct buf saved = {0}, again = {0};

	dynmem_core_save(&dm_core, &saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, false), -EBADMSG);
	check_hostile(&saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, true), 0);
	dynmem_core_save(&dm_core, &again);
	assert_int_equal(saved.size_bytes, again.size_bytes);
	assert_memory_equal(saved.data, again.data, saved.size_bytes);
	buf_fini(&saved);
	buf_fini(&again);
}

/* Moved wherever it stands. */
static void test_moved_anywhere(_unused_ void **state)
{
	const uint64_t capabilities[] = {DM_CAPABILITIES, 0, 0};
	const uint64_t ranges[] = {dynmem_range(0, 512), dynmem_range(1024, 512)};
	struct buf closed = {0};

	dynmem_core_save(&dm_core, &closed);
	assert_int_equal(restore(closed.data, closed.size_bytes, true), -EBADMSG);
	assert_int_equal(restore(closed.data, closed.size_bytes, false), 0);
	buf_fini(&closed);
	dynmem_core_open(&dm_core);
	move();
	dm_say_version(DYNMEM_VERSION_1_0, false);
	move();
	dm_expect_response(DYNMEM_VERSION_RESPONSE, 1);
	move();
	dm_say(DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	move();
	dm_expect_response(DYNMEM_CAPABILITIES_RESPONSE, 1);
	move();
	dm_expect(DYNMEM_INFO);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1020 * MIB), 0);
	assert_int_equal(dm_expect_balloon(), 1024);
	move();
	dm_say_ballooned(true, ranges, 1);
	move();
	dm_say_ballooned(false, ranges + 1, 1);
	assert_int_equal(dm_core.n_released, 1);
	move();
	assert_int_equal(dm_core.ballooned.n_runs, 2);
	assert_int_equal(dynmem_core_set_target(&dm_core, 1152 * MIB), 0);
	dm_expect(DYNMEM_UNBALLOON_REQUEST);
	move();
	dm_say(DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	move();
	assert_true(dm_fetch());
	assert_int_equal(dm_header.type, DYNMEM_HOT_ADD_REQUEST);
	move();
	dm_say(DYNMEM_HOT_ADD_RESPONSE, (uint32_t[]){128 * MIB_PAGES, 1}, 8);
	move();
	assert_int_equal(dynmem_core_assigned_bytes(&dm_core), 1152 * MIB);
	assert_int_equal(dm_core.n_protocol_errors, 0);
	dm_quiet();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moved_anywhere, dm_setup, dm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
