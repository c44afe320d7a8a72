/* SPDX-License-Identifier: MIT
 *
 * test_partition_state.c - a guest moved into another partition goes on; states that no partition
 * can have are refused; dirty pages are seen whoever wrote them. Needs /dev/kvm.
 */
#include "base/bitmap.h"
#include "guest_layout.h"
#include "guest_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void counting_guest_survives_moves(void **state _unused_)
{
	struct guest_run *run = guest_load("count", 2);

	guest_start(run);
	guest_wait_for(run, "ready\n");
	for (unsigned i = 0; i < 8; i++) {
		run = guest_move(run);
		guest_start(run);
	}
	guest_poke(run, GUEST_STOP_GPA, 1);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "lost"), 0);
	assert_int_equal(guest_value(run, "xmm"), 0x0123456789abcdef);
	assert_int_equal(guest_value(run, "counted"), 1);
	guest_free(run);
}

static int post(struct guest_run *run, uint64_t payload)
{
	return partition_post_message(run->partition, 0, GUEST_SINT, 1, &payload, sizeof(payload));
}

static void wait_slot_free(struct guest_run *run)
{
	pthread_mutex_lock(&run->lock);
	while (run->n_slot_free == 0)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

/* Posted while stopped: the interrupt waits in the saved local APIC, and whoever found the slot
 * taken is told in the new partition that it is free. */
static void synic_survives_moves(void **state _unused_)
{
	struct guest_run *run = guest_load("message", 1);

	guest_start(run);
	guest_wait_for(run, "ready\n");
	for (uint64_t payload = 5; payload > 0; payload--) {
		char line[32];

		guest_stop(run);
		assert_int_equal(post(run, payload), 0);
		assert_int_equal(post(run, payload), -EAGAIN);
		run = guest_move(run);
		assert_int_equal(post(run, payload), -EAGAIN);
		guest_start(run);
		snprintf(line, sizeof(line), "payload=%llx\n", (unsigned long long)payload);
		guest_wait_for(run, line);
		wait_slot_free(run);
	}
	assert_int_equal(post(run, 0), 0);
	guest_wait_for(run, "flags please\n");
	run = guest_move(run);
	guest_start(run);
	assert_int_equal(partition_signal_flag(run->partition, 0, GUEST_SINT, 70), 0);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "below_simp"), 0x1111);
	assert_int_equal(guest_value(run, "below_siefp"), 0x2222);
	guest_free(run);
}

static void serial_input_survives_a_move(void **state _unused_)
{
	struct guest_run *run = guest_load("echo", 1);

	guest_start(run);
	guest_wait_for(run, "ready\n");
	guest_stop(run);
	assert_int_equal(partition_serial_input(run->partition, "moved q", 7), 0);
	run = guest_move(run);
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	guest_wait_for(run, "moved q\n");
	guest_free(run);
}

static void chipset_and_video_survive_a_move(void **state _unused_)
{
	struct guest_run *run = guest_new_large(1);
	char line[32];

	guest_boot(run, "chipset");
	guest_start(run);
	guest_wait_for(run, "set\n");
	assert_true(guest_value(run, "base") == PARTITION_VRAM_GPA);
	run = guest_move(run);
	guest_go(run, 1);
	guest_start(run);
	snprintf(line, sizeof(line), "size=%x\n", (uint32_t)-GUEST_VRAM_BYTES);
	guest_wait_for(run, line);
	guest_stop(run);
	assert_int_equal(guest_value(run, "nvram"), 0x77);
	assert_int_equal(guest_value(run, "pm1"), 0x00200000);
	run = guest_move(run);
	guest_go(run, 2);
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_RESET);
	assert_int_equal(guest_value(run, "video"), 0x5678);
	guest_free(run);
}

/* An interrupt that was raised and not yet settled comes with the guest, and the next one comes. */
static void clock_ticks_on_after_a_move(void **state _unused_)
{
	struct guest_run *run = guest_load("clock", 1);

	guest_start(run);
	guest_wait_for(run, "tick\n");
	run = guest_move(run);
	guest_go(run, 2);
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "cause"), 0x90);
	guest_free(run);
}

static void added_memory_survives_a_move(void **state _unused_)
{
	struct guest_run *run = guest_new_large(1);
	gpa_t first;

	guest_boot(run, "memory");
	guest_start(run);
	guest_wait_for(run, "ready\n");
	assert_int_equal(partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), 0);
	guest_go(run, 1);
	guest_wait_for(run, "written\n");
	run = guest_move(run);
	guest_go(run, 2);
	guest_start(run);
	guest_wait_for(run, "kept it\n");
	assert_int_equal(guest_value(run, "kept"), 0x1234);
	assert_int_equal(partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), 0);
	assert_true(first.v == GUEST_ADDED_GPA + PARTITION_ADD_UNIT_BYTES);
	guest_go(run, 3);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	guest_free(run);
}

static void time_goes_on_after_a_move(void **state _unused_)
{
	struct guest_run *run = guest_load("time", 1);
	uint64_t stopped_at;

	guest_start(run);
	guest_wait_for(run, "ordered=");
	guest_stop(run);
	stopped_at = partition_reference_time(run->partition);
	run = guest_move(run);
	assert_int_equal(partition_reference_time(run->partition), stopped_at);
	guest_go(run, 1);
	guest_start(run);
	guest_wait_for(run, "sequence=2");
	guest_go(run, 2);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_true(guest_value(run, "time") >= stopped_at);
	assert_int_equal(guest_value(run, "ordered"), 1);
	guest_free(run);
}

static void save_one(struct guest_run *run, struct buf *out)
{
	assert_int_equal(unit_save_all(run->units, out), 0);
}

static int restore_bytes(struct guest_run *run, const uint8_t *bytes, size_t size_bytes)
{
	struct reader in = reader_make(bytes, size_bytes);

	return unit_restore_all(run->units, &in, NULL);
}

/* Where the bytes of a unit start, and how many there are. */
static uint8_t *find_unit(struct buf *state, const char *name, uint32_t *ret_size_bytes)
{
	struct reader in = reader_make(state->data, state->size_bytes);
	uint32_t n = reader_le32(&in);

	while (n-- > 0) {
		uint8_t len = reader_u8(&in);
		const char *at = reader_take(&in, len);
		uint32_t size_bytes, version = reader_le32(&in);
		const uint8_t *bytes;

		assert_in_range(version, 1, 2);
		size_bytes = reader_le32(&in);
		bytes = reader_take(&in, size_bytes);
		if (len == strlen(name) && memcmp(at, name, len) == 0) {
			*ret_size_bytes = size_bytes;
			return state->data + (bytes - state->data);
		}
	}
	fail();
	return NULL;
}

static struct guest_run *stopped_guest(struct buf *ret_state)
{
	struct guest_run *run = guest_load("message", 2);

	guest_start(run);
	guest_wait_for(run, "ready\n");
	guest_stop(run);
	save_one(run, ret_state);
	return run;
}

/* Cut a unit short at every length and say so in its header: never more than a clean refusal. */
static void truncated_units_are_refused(void **state _unused_)
{
	static const char *const names[] = {"hv", "vp"};
	struct buf saved = {0};
	struct guest_run *source = stopped_guest(&saved);
	struct guest_run *target = guest_new(2);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint32_t size_bytes;
		uint8_t *bytes = find_unit(&saved, names[i], &size_bytes);
		size_t step = MAX(size_bytes / 200, 1U);

		for (size_t kept = 0; kept < size_bytes; kept += step) {
			struct buf cut = {0};

			buf_bytes(&cut, saved.data, (size_t)(bytes - saved.data));
			store_le32(cut.data + cut.size_bytes - 4, (uint32_t)kept);
			buf_bytes(&cut, bytes, kept);
			buf_bytes(&cut, bytes + size_bytes,
				saved.size_bytes - (size_t)(bytes - saved.data) - size_bytes);
			assert_int_equal(restore_bytes(target, cut.data, cut.size_bytes), -EBADMSG);
			buf_fini(&cut);
		}
	}
	buf_fini(&saved);
	guest_free(target);
	guest_free(source);
}

static void other_cpu_or_number_of_vps_is_refused(void **state _unused_)
{
	struct buf saved = {0};
	struct guest_run *source = stopped_guest(&saved);
	struct guest_run *target = guest_new(2);
	struct guest_run *smaller = guest_new(1);
	uint32_t size_bytes;
	uint8_t *vp = find_unit(&saved, "vp", &size_bytes);

	assert_int_equal(restore_bytes(smaller, saved.data, saved.size_bytes), -EBADMSG);
	vp[0] ^= 1;
	assert_int_equal(restore_bytes(target, saved.data, saved.size_bytes), -EBADMSG);
	vp[0] ^= 1;
	assert_int_equal(restore_bytes(target, saved.data, saved.size_bytes), 0);
	buf_fini(&saved);
	guest_free(smaller);
	guest_free(target);
	guest_free(source);
}

/* The end of "hv": how much memory was added. */
static void added_memory_is_checked(void **state _unused_)
{
	static const uint64_t bad[] = {1, PARTITION_ADD_UNIT_BYTES + 4096,
		3 * PARTITION_ADD_UNIT_BYTES, UINT64_MAX & ~(PARTITION_ADD_UNIT_BYTES - 1)};
	struct guest_run *source = guest_new_large(1);
	struct guest_run *target = guest_new_large(1);
	struct guest_run *fixed = guest_new(1);
	struct buf saved = {0}, plain = {0};
	uint32_t size_bytes;
	uint8_t *added;

	save_one(source, &saved);
	added = find_unit(&saved, "hv", &size_bytes) + size_bytes - sizeof(uint64_t);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		store_le64(added, bad[i]);
		assert_int_equal(restore_bytes(target, saved.data, saved.size_bytes), -EBADMSG);
	}
	store_le64(added, 2 * PARTITION_ADD_UNIT_BYTES);
	assert_int_equal(restore_bytes(target, saved.data, saved.size_bytes), 0);
	save_one(fixed, &plain);
	added = find_unit(&plain, "hv", &size_bytes) + size_bytes - sizeof(uint64_t);
	store_le64(added, PARTITION_ADD_UNIT_BYTES);
	assert_int_equal(restore_bytes(fixed, plain.data, plain.size_bytes), -EBADMSG);
	buf_fini(&plain);
	buf_fini(&saved);
	guest_free(fixed);
	guest_free(target);
	guest_free(source);
}

/* What hosts without a chipset wrote ends before it. */
static void states_of_version_1_are_taken(void **state _unused_)
{
	struct buf saved = {0}, old = {0};
	struct guest_run *source = stopped_guest(&saved);
	struct guest_run *target = guest_new(2);
	const size_t chipset_bytes = 4 + 12 + 128 + 8;
	uint32_t size_bytes;
	uint8_t *bytes = find_unit(&saved, "hv", &size_bytes);
	size_t before = (size_t)(bytes - saved.data);

	buf_bytes(&old, saved.data, before);
	store_le32(old.data + before - 8, 1);
	store_le32(old.data + before - 4, size_bytes - (uint32_t)chipset_bytes);
	buf_bytes(&old, bytes, size_bytes - chipset_bytes);
	buf_bytes(&old, bytes + size_bytes, saved.size_bytes - before - size_bytes);
	assert_int_equal(restore_bytes(target, old.data, old.size_bytes), 0);
	buf_fini(&old);
	buf_fini(&saved);
	guest_free(target);
	guest_free(source);
}

/* Damage of every kind at many places: refused or taken, but never a crash, and the host lives on.
 */
static void damaged_states_do_no_harm(void **state _unused_)
{
	struct buf saved = {0};
	struct guest_run *source = stopped_guest(&saved);
	struct guest_run *target = guest_new(2);
	size_t n_refused = 0;

	for (size_t at = 4; at < saved.size_bytes; at += 37) {
		uint8_t before = saved.data[at];
		int r;

		saved.data[at] = (uint8_t)~before;
		r = restore_bytes(target, saved.data, saved.size_bytes);
		saved.data[at] = before;
		if (r < 0)
			n_refused++;
	}
	assert_true(n_refused > 0);
	buf_fini(&saved);
	guest_free(target);
	guest_free(source);
}

static void dirty_log_sees_guest_and_host(void **state _unused_)
{
	struct guest_run *run = guest_load("dirty", 1);
	const size_t n_words = BITMAP_WORDS(GUEST_RAM_BYTES / GPA_PAGE_SIZE);
	uint64_t *map = calloc(n_words, sizeof(*map));
	uint64_t *const maps[] = {map};
	const size_t host_page = (20 << 20) >> GPA_PAGE_SHIFT;

	assert_int_equal(partition_dirty_collect(run->partition, maps), -EINVAL);
	guest_start(run);
	guest_wait_for(run, "ready\n");
	assert_int_equal(partition_dirty_start(run->partition), 0);
	assert_int_equal(partition_dirty_start(run->partition), -EBUSY);
	assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
	for (unsigned i = 0; i < GUEST_N_DIRTY; i++)
		assert_false(bitmap_test(map, (GUEST_DIRTY_GPA >> 12) + i * GUEST_DIRTY_STRIDE));

	for (uint64_t round = 1; round <= 2; round++) {
		memset(map, 0, n_words * sizeof(*map));
		guest_poke(run, host_page << GPA_PAGE_SHIFT, round);
		guest_go(run, round);
		guest_wait_for(run, round == 1 ? "written\n" : "written\nwritten\n");
		guest_stop(run);
		assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
		assert_true(bitmap_test(map, host_page));
		assert_true(bitmap_test(map, GUEST_GO_GPA >> GPA_PAGE_SHIFT));
		for (unsigned i = 0; i < GUEST_N_DIRTY; i++) {
			size_t page = (GUEST_DIRTY_GPA >> 12) + i * GUEST_DIRTY_STRIDE;

			assert_true(bitmap_test(map, page));
			assert_false(bitmap_test(map, page + 1));
		}
		/* Few, not all. */
		assert_true(bitmap_count(map, n_words) < 100);
		memset(map, 0, n_words * sizeof(*map));
		assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
		assert_int_equal(bitmap_count(map, n_words), 0);
		guest_start(run);
	}
	assert_int_equal(partition_dirty_stop(run->partition), 0);
	assert_int_equal(partition_dirty_stop(run->partition), -EINVAL);
	free(map);
	guest_free(run);
}

static uint64_t *map_of(struct guest_run *run, size_t region)
{
	const struct gpa_region *r = gpa_space_region(partition_memory(run->partition), region);
	uint64_t *map = calloc(BITMAP_WORDS(r->size_bytes >> GPA_PAGE_SHIFT), sizeof(*map));

	assert_non_null(map);
	return map;
}

static size_t count_dirty(struct guest_run *run, const uint64_t *map, size_t region)
{
	const struct gpa_region *r = gpa_space_region(partition_memory(run->partition), region);

	return bitmap_count(map, BITMAP_WORDS(r->size_bytes >> GPA_PAGE_SHIFT));
}

/* Memory that is added while the others are logged is logged, too; what was released counts as
 * written. */
static void dirty_log_follows_the_memory(void **state _unused_)
{
	enum { RAM, VIDEO, ADDED, N_REGIONS };
	struct guest_run *run = guest_new_large(1);
	uint64_t *maps[N_REGIONS];
	gpa_t first;

	assert_int_equal(gpa_space_n_regions(partition_memory(run->partition)), N_REGIONS);
	for (size_t i = 0; i < N_REGIONS; i++)
		maps[i] = map_of(run, i);
	guest_boot(run, "memory");
	assert_int_equal(partition_dirty_start(run->partition), 0);
	guest_start(run);
	guest_wait_for(run, "ready\n");
	assert_int_equal(partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), 0);
	assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
	assert_int_equal(count_dirty(run, maps[ADDED], ADDED), 0);
	guest_go(run, 1);
	guest_wait_for(run, "written\n");
	assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
	assert_int_equal(count_dirty(run, maps[ADDED], ADDED), 1);
	assert_true(bitmap_test(maps[ADDED], 0));
	assert_int_equal(partition_memory_release(run->partition, gpa_add(first, 8192), 8192), 0);
	assert_int_equal(partition_dirty_collect(run->partition, maps), 0);
	assert_int_equal(count_dirty(run, maps[ADDED], ADDED), 3);
	assert_true(bitmap_test(maps[ADDED], 2) && bitmap_test(maps[ADDED], 3));
	assert_int_equal(count_dirty(run, maps[VIDEO], VIDEO), 0);
	assert_int_equal(partition_dirty_stop(run->partition), 0);
	for (size_t i = 0; i < N_REGIONS; i++)
		free(maps[i]);
	guest_free(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_guest_survives_moves),
		cmocka_unit_test(synic_survives_moves),
		cmocka_unit_test(serial_input_survives_a_move),
		cmocka_unit_test(chipset_and_video_survive_a_move),
		cmocka_unit_test(clock_ticks_on_after_a_move),
		cmocka_unit_test(added_memory_survives_a_move),
		cmocka_unit_test(time_goes_on_after_a_move),
		cmocka_unit_test(truncated_units_are_refused),
		cmocka_unit_test(other_cpu_or_number_of_vps_is_refused),
		cmocka_unit_test(added_memory_is_checked),
		cmocka_unit_test(states_of_version_1_are_taken),
		cmocka_unit_test(damaged_states_do_no_harm),
		cmocka_unit_test(dirty_log_sees_guest_and_host),
		cmocka_unit_test(dirty_log_follows_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
