/* SPDX-License-Identifier: MIT
 *
 * test_partition.c - a partition with a guest in it: boot, CPUID, MSRs, hypercalls, SynIC, serial
 * port and the ways to end. Needs /dev/kvm.
 */
#include "guest_layout.h"
#include "guest_run.h"
#include "vmbus/proto/viaduct_cpuid.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

static struct guest_run *run_to_end(const char *program, unsigned n_vps, enum partition_end end)
{
	struct guest_run *run = guest_load(program, n_vps);

	guest_start(run);
	assert_int_equal(guest_wait_end(run), end);
	guest_stop(run);
	return run;
}

static void boots_with_memory_map_and_empty_buses(void **state _unused_)
{
	struct guest_run *run = run_to_end("boot", 1, PARTITION_END_POWEROFF);

	assert_int_equal(guest_value(run, "magic"), 0x336ec578);
	assert_int_equal(guest_value(run, "version"), 1);
	assert_int_equal(guest_value(run, "n_map"), 3);
	assert_int_equal(guest_value(run, "base"), 0x100000);
	assert_int_equal(guest_value(run, "size"), GUEST_RAM_BYTES - 0x100000);
	assert_int_equal(guest_value(run, "pio"), 0xffffffff);
	assert_int_equal(guest_value(run, "mmio"), 0xffffffff);
	guest_free(run);
}

static void boots_by_the_linux_protocol(void **state _unused_)
{
	struct guest_run *run = guest_new(1);

	guest_boot_linux(run, "linux", "ramdisk!");
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "magic"), 0x53726448);
	assert_int_equal(guest_value(run, "cs"), 0x10);
	assert_true(guest_value(run, "rsdp") == 0x2052545020445352); /* "RSD PTR " */
	assert_int_equal(guest_value(run, "n_e820"), 3);
	assert_int_equal(guest_value(run, "initrd_bytes"), 8);
	assert_true(guest_value(run, "initrd") == 0x216b7369646d6172); /* "ramdisk!" */
	guest_free(run);
}

static void says_why_it_does_not_boot(void **state _unused_)
{
	struct guest_run *run = guest_new(1);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int elf_fd = open(GUEST_ELF, O_RDONLY | O_CLOEXEC);
	struct partition_boot boot = {.kernel_fd = null_fd, .initrd_fd = -1, .cmdline = ""};
	char cmdline[5000];
	const char *why = NULL;

	assert_int_equal(partition_boot(run->partition, &boot, &why), -ENOEXEC);
	assert_string_equal(why, "the file is truncated");
	boot.kernel_fd = elf_fd;
	boot.initrd_fd = null_fd;
	assert_int_equal(partition_boot(run->partition, &boot, &why), -ENOEXEC);
	assert_string_equal(why, "not a regular file");
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[sizeof(cmdline) - 1] = '\0';
	boot.initrd_fd = -1;
	boot.cmdline = cmdline;
	assert_int_equal(partition_boot(run->partition, &boot, &why), -ENOEXEC);
	assert_string_equal(why, "the command line is too long");
	close(elf_fd);
	close(null_fd);
	guest_free(run);
}

static void shows_the_hypervisor_leaves(void **state _unused_)
{
	struct guest_run *run = run_to_end("cpuid", 2, PARTITION_END_POWEROFF);

	assert_true(guest_value(run, "1.ecx") & 1U << 31);
	assert_int_equal(guest_value(run, "1.ebx") >> 16 & 0xff, 2);
	assert_int_equal(guest_value(run, "40000000.ebx"), HV_CPUID_VENDOR_EBX);
	assert_int_equal(guest_value(run, "40000003.ebx"), 0x30);
	assert_int_equal(guest_value(run, "40000100.eax"), VIADUCT_CPUID_MAX_LEAF);
	assert_int_equal(guest_value(run, "40000100.ebx"), VIADUCT_CPUID_SIGNATURE_EBX);
	assert_int_equal(guest_value(run, "40000100.ecx"), VIADUCT_CPUID_SIGNATURE_ECX);
	assert_int_equal(guest_value(run, "40000100.edx"), VIADUCT_CPUID_SIGNATURE_EDX);
	assert_int_equal(guest_value(run, "40000101.eax"), VIADUCT_DOORBELL_PORT);
	guest_free(run);
}

static void serves_the_msrs(void **state _unused_)
{
	struct guest_run *run = run_to_end("msr", 1, PARTITION_END_POWEROFF);

	assert_int_equal(guest_value(run, "faults"), 3);
	assert_int_equal(guest_value(run, "vp_index"), 0);
	assert_int_equal(guest_value(run, "tsc_hz"), partition_tsc_khz(run->partition) * 1000);
	assert_int_equal(guest_value(run, "page"), 0xfa1e0ff3); /* endbr64 */
	assert_int_equal(guest_value(run, "hypercall"), 0);
	assert_int_equal(guest_value(run, "below"), 0);
	assert_int_equal(guest_value(run, "runtime"), 1);
	guest_free(run);
}

static void signals_reach_doorbells_and_nobody_else(void **state _unused_)
{
	struct guest_run *run = guest_load("signal", 1);
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t rung = 0;

	assert_true(bell >= 0);
	assert_int_equal(partition_doorbell_add(run->partition, 7, bell), 0);
	assert_int_equal(partition_doorbell_add(run->partition, 7, bell), -EEXIST);
	assert_int_equal(partition_doorbell_add(run->partition, 1U << 24, bell), -EINVAL);
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	guest_stop(run);
	assert_int_equal(read(bell, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(rung, 3); /* fast, slow and OUT */
	assert_int_equal(guest_value(run, "fast_known"), HV_STATUS_SUCCESS);
	assert_int_equal(guest_value(run, "fast_unknown"), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(guest_value(run, "fast_flag"), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(guest_value(run, "slow_known"), HV_STATUS_SUCCESS);
	assert_int_equal(guest_value(run, "out_known"), HV_STATUS_SUCCESS);
	assert_int_equal(guest_value(run, "out_unknown"), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(guest_value(run, "post"), HV_STATUS_SUCCESS);
	assert_int_equal(guest_value(run, "bad_code"), HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(guest_value(run, "bad_align"), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(run->posted_connection, 4);
	assert_int_equal(run->posted_bytes, 4);
	assert_int_equal(run->signalled_connection, 8);
	partition_doorbell_remove(run->partition, 7, bell);
	assert_int_equal(partition_doorbell_add(run->partition, 7, bell), 0);
	close(bell);
	guest_free(run);
}

/* Whatever finds the slot taken comes again when the slot is free. */
static void post_retrying(struct guest_run *run, uint64_t payload)
{
	int r;

	do {
		unsigned n_before;

		pthread_mutex_lock(&run->lock);
		n_before = run->n_slot_free;
		pthread_mutex_unlock(&run->lock);
		r = partition_post_message(
			run->partition, 0, GUEST_SINT, 1, &payload, sizeof(payload));
		if (r == -EAGAIN) {
			pthread_mutex_lock(&run->lock);
			while (run->n_slot_free == n_before)
				pthread_cond_wait(&run->changed, &run->lock);
			pthread_mutex_unlock(&run->lock);
		}
	} while (r == -EAGAIN);
	assert_int_equal(r, 0);
}

static void messages_and_flags_arrive(void **state _unused_)
{
	struct guest_run *run = guest_load("message", 1);
	uint64_t payload = 1;

	assert_int_equal(
		partition_post_message(run->partition, 0, GUEST_SINT, 1, &payload, 8), -ENXIO);
	assert_int_equal(partition_signal_flag(run->partition, 0, GUEST_SINT, 70), -ENXIO);
	guest_start(run);
	guest_wait_for(run, "ready\n");
	for (uint64_t i = 20; i-- > 0;)
		post_retrying(run, i);
	guest_wait_for(run, "flags please\n");
	assert_int_equal(guest_value(run, "payload"), 0);
	assert_int_equal(partition_signal_flag(run->partition, 0, GUEST_SINT, 70), 0);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	guest_stop(run);
	assert_int_equal(guest_value(run, "flag70"), 1 << 6);
	assert_int_equal(guest_value(run, "below_simp"), 0x1111);
	assert_int_equal(guest_value(run, "below_siefp"), 0x2222);
	guest_free(run);
}

static void serial_input_interrupts(void **state _unused_)
{
	struct guest_run *run = guest_load("echo", 1);

	guest_start(run);
	guest_wait_for(run, "ready\n");
	assert_int_equal(partition_serial_input(run->partition, "hello", 5), 0);
	guest_wait_for(run, "hello");
	assert_int_equal(partition_serial_input(run->partition, " world q", 8), 0);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	guest_wait_for(run, "hello world q\n");
	guest_free(run);
}

static void second_vp_starts(void **state _unused_)
{
	struct guest_run *run = run_to_end("smp", 2, PARTITION_END_POWEROFF);

	assert_int_equal(guest_value(run, "mark"), 0x5a5a);
	guest_free(run);
}

static void there_may_be_64_vps(void **state _unused_)
{
	struct guest_run *run = run_to_end("cpuid", PARTITION_MAX_VPS, PARTITION_END_POWEROFF);

	assert_int_equal(guest_value(run, "1.ebx") >> 16 & 0xff, PARTITION_MAX_VPS);
	guest_free(run);
}

static void ends_say_how(void **state _unused_)
{
	struct guest_run *run = run_to_end("reset", 1, PARTITION_END_RESET);

	guest_free(run);
	run = run_to_end("triple", 2, PARTITION_END_TRIPLE_FAULT);
	guest_free(run);
	run = run_to_end("crash", 1, PARTITION_END_CRASH);
	assert_non_null(strstr(run->end_text, "P0 0xdead"));
	assert_non_null(strstr(run->end_text, "\nit broke."));
	guest_free(run);
}

static void reference_time_stands_still_while_stopped(void **state _unused_)
{
	struct guest_run *run = guest_load("time", 1);
	uint64_t stopped_at;

	assert_int_equal(partition_reference_time(run->partition), 0);
	guest_start(run);
	guest_wait_for(run, "ordered=");
	guest_stop(run);
	stopped_at = partition_reference_time(run->partition);
	assert_true(stopped_at >= guest_value(run, "time"));
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

static void starts_and_stops_many_times(void **state _unused_)
{
	struct guest_run *run = guest_load("count", 2);

	for (unsigned i = 0; i < 50; i++) {
		guest_start(run);
		if (i == 0)
			guest_wait_for(run, "ready\n");
		guest_stop(run);
	}
	guest_poke(run, GUEST_STOP_GPA, 1);
	guest_start(run);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "lost"), 0);
	assert_int_equal(guest_value(run, "xmm"), 0x0123456789abcdef);
	guest_free(run);
}

static void refuses_what_cannot_be(void **state _unused_)
{
	static const struct partition_ops none;
	struct partition_config config = {.n_vps = 1, .ram_bytes = 32 << 20, .ops = &none};
	struct partition *partition;
	const char *missing = NULL;

	config.kvm_fd = guest_kvm_fd();
	config.n_vps = 0;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.n_vps = PARTITION_MAX_VPS + 1;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.n_vps = 1;
	config.ram_bytes = PARTITION_MIN_RAM_BYTES + 4096;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.ram_bytes = 32 << 20;
	config.max_ram_bytes = 16 << 20;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.max_ram_bytes = PARTITION_MAX_RAM_BYTES + 1;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.max_ram_bytes = 0;
	config.vram_bytes = 4096;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.vram_bytes = 3 << 20;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.vram_bytes = PARTITION_VRAM_MAX_BYTES * 2;
	assert_int_equal(partition_new(&config, &partition, &missing), -EINVAL);
	config.vram_bytes = 0;
	close(config.kvm_fd);

	config.ram_bytes = 32 << 20;
	config.kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(partition_new(&config, &partition, &missing), -ENOTSUP);
	assert_non_null(missing);
	close(config.kvm_fd);
}

static void memory_comes_and_goes(void **state _unused_)
{
	struct guest_run *run = guest_new_large(1);
	gpa_t first = gpa(0);

	assert_int_equal(partition_memory_add(run->partition, 1 << 20, &first), -EINVAL);
	assert_int_equal(partition_memory_add(run->partition, 0, &first), -EINVAL);
	assert_int_equal(partition_memory_add(run->partition, 3 * PARTITION_ADD_UNIT_BYTES, &first),
		-ENOSPC);
	guest_boot(run, "memory");
	guest_start(run);
	guest_wait_for(run, "ready\n");
	assert_true(guest_value(run, "before") == UINT64_MAX);
	assert_int_equal(
		partition_memory_release(run->partition, gpa(GUEST_ADDED_GPA), 4096), -EINVAL);
	assert_int_equal(partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), 0);
	assert_true(first.v == GUEST_ADDED_GPA);
	guest_go(run, 1);
	guest_wait_for(run, "written\n");
	assert_int_equal(guest_value(run, "fresh"), 0);
	guest_go(run, 2);
	guest_wait_for(run, "kept it\n");
	assert_int_equal(guest_value(run, "kept"), 0x1234);
	assert_int_equal(partition_memory_release(run->partition, first, 4096), 0);
	guest_go(run, 3);
	assert_int_equal(guest_wait_end(run), PARTITION_END_POWEROFF);
	assert_int_equal(guest_value(run, "released"), 0);
	assert_int_equal(partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), 0);
	assert_true(first.v == GUEST_ADDED_GPA + PARTITION_ADD_UNIT_BYTES);
	assert_int_equal(
		partition_memory_add(run->partition, PARTITION_ADD_UNIT_BYTES, &first), -ENOSPC);
	guest_free(run);
}

static void only_ram_can_be_released(void **state _unused_)
{
	static const struct {
		uint64_t first, size_bytes;
	} bad[] = {
		{0x1000, 0},
		{0x1001, 0x1000},
		{0x1000, 0x1001},
		{GUEST_RAM_BYTES, 0x1000},
		{GUEST_RAM_BYTES - 0x1000, 0x2000},
		{0x1000, UINT64_MAX & ~0xfffULL},
		{PARTITION_VRAM_GPA, 0x1000},
		{GUEST_ADDED_GPA, 0x1000},
		{UINT64_MAX & ~0xfffULL, 0x1000},
	};
	struct guest_run *run = guest_new_large(1);
	uint64_t word = 0x55;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(partition_memory_release(
					 run->partition, gpa(bad[i].first), bad[i].size_bytes),
			-EINVAL);
	guest_poke(run, 0x100000, word);
	guest_poke(run, GUEST_RAM_BYTES - 8, word);
	assert_int_equal(partition_memory_release(run->partition, gpa(0), GUEST_RAM_BYTES), 0);
	assert_int_equal(
		gpa_read(partition_memory(run->partition), gpa(0x100000), &word, sizeof(word)), 0);
	assert_int_equal(word, 0);
	assert_int_equal(gpa_read(partition_memory(run->partition), gpa(GUEST_RAM_BYTES - 8), &word,
				 sizeof(word)),
		0);
	assert_int_equal(word, 0);
	guest_free(run);
}

static void large_ram_leaves_the_hole_below_4_gib(void **state _unused_)
{
	struct guest_run *run = guest_new_sized(1, 5ULL << 30);
	struct gpa_space *memory = partition_memory(run->partition);

	assert_int_equal(gpa_space_n_regions(memory), 2);
	assert_int_equal(gpa_space_region(memory, 0)->size_bytes, 3ULL << 30);
	assert_int_equal(gpa_space_region(memory, 1)->base.v, 4ULL << 30);
	assert_int_equal(gpa_space_size_bytes(memory), 5ULL << 30);
	assert_null(gpa_window(memory, gpa(0xfee00000), 4096));
	guest_free(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots_with_memory_map_and_empty_buses),
		cmocka_unit_test(boots_by_the_linux_protocol),
		cmocka_unit_test(says_why_it_does_not_boot),
		cmocka_unit_test(shows_the_hypervisor_leaves),
		cmocka_unit_test(serves_the_msrs),
		cmocka_unit_test(signals_reach_doorbells_and_nobody_else),
		cmocka_unit_test(messages_and_flags_arrive),
		cmocka_unit_test(serial_input_interrupts),
		cmocka_unit_test(second_vp_starts),
		cmocka_unit_test(there_may_be_64_vps),
		cmocka_unit_test(ends_say_how),
		cmocka_unit_test(reference_time_stands_still_while_stopped),
		cmocka_unit_test(starts_and_stops_many_times),
		cmocka_unit_test(refuses_what_cannot_be),
		cmocka_unit_test(memory_comes_and_goes),
		cmocka_unit_test(only_ram_can_be_released),
		cmocka_unit_test(large_ram_leaves_the_hole_below_4_gib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
