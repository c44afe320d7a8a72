/* SPDX-License-Identifier: MIT */
#include "guest_run.h"
#include "guest_layout.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define WAIT_LIMIT_S 30

static uint16_t on_post_message(void *data, uint32_t connection_id, uint32_t type _unused_,
	const void *payload _unused_, size_t size_bytes)
{
	struct guest_run *run = data;

	pthread_mutex_lock(&run->lock);
	run->posted_connection = connection_id;
	run->posted_bytes = size_bytes;
	pthread_mutex_unlock(&run->lock);
	return HV_STATUS_SUCCESS;
}

static uint16_t on_signal_event(void *data, uint32_t connection_id, uint16_t flag)
{
	struct guest_run *run = data;

	pthread_mutex_lock(&run->lock);
	run->signalled_connection = connection_id;
	run->signalled_flag = flag;
	pthread_mutex_unlock(&run->lock);
	return HV_STATUS_INVALID_CONNECTION_ID;
}

static void on_slot_free(void *data, uint32_t vp_index _unused_, unsigned sint _unused_)
{
	struct guest_run *run = data;

	pthread_mutex_lock(&run->lock);
	run->n_slot_free++;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

static void on_serial_output(void *data, const void *bytes, size_t size_bytes)
{
	struct guest_run *run = data;

	pthread_mutex_lock(&run->lock);
	if (run->output_len + size_bytes < sizeof(run->output)) {
		memcpy(run->output + run->output_len, bytes, size_bytes);
		run->output_len += size_bytes;
	}
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

static void on_ended(void *data, enum partition_end end, const char *text)
{
	struct guest_run *run = data;

	pthread_mutex_lock(&run->lock);
	run->has_ended = true;
	run->end = end;
	snprintf(run->end_text, sizeof(run->end_text), "%s", text);
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

static const struct partition_ops ops = {
	.post_message = on_post_message,
	.signal_event = on_signal_event,
	.slot_free = on_slot_free,
	.serial_output = on_serial_output,
	.ended = on_ended,
};

int guest_kvm_fd(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		print_message("skipped: /dev/kvm cannot be opened: %s\n", strerror(errno));
		skip();
	}
	return fd;
}

static struct guest_run *new_run(struct partition_config config)
{
	int kvm_fd = guest_kvm_fd();
	struct guest_run *run = calloc(1, sizeof(*run));
	const char *missing = NULL;
	int r;

	assert_non_null(run);
	config.kvm_fd = kvm_fd;
	config.ops = &ops;
	config.data = run;
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->changed, NULL);
	run->is_large = config.vram_bytes;
	r = partition_new(&config, &run->partition, &missing);
	close(kvm_fd);
	if (r == -ENOTSUP) {
		print_message("skipped: this KVM lacks %s\n", missing);
		free(run);
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(unit_registry_new(&run->units), 0);
	assert_int_equal(partition_register_hv_unit(run->partition, run->units), 0);
	assert_int_equal(partition_register_vp_unit(run->partition, run->units), 0);
	return run;
}

struct guest_run *guest_new_sized(unsigned n_vps, uint64_t ram_bytes)
{
	return new_run((struct partition_config){.n_vps = n_vps, .ram_bytes = ram_bytes});
}

struct guest_run *guest_new(unsigned n_vps)
{
	return guest_new_sized(n_vps, GUEST_RAM_BYTES);
}

struct guest_run *guest_new_large(unsigned n_vps)
{
	return new_run((struct partition_config){
		.n_vps = n_vps,
		.ram_bytes = GUEST_RAM_BYTES,
		.max_ram_bytes = GUEST_MAX_RAM_BYTES,
		.vram_bytes = GUEST_VRAM_BYTES,
	});
}

static void boot_fds(struct guest_run *run, int kernel_fd, int initrd_fd, const char *program)
{
	struct partition_boot boot = {kernel_fd, initrd_fd, program};
	const char *why = "no reason";

	if (partition_boot(run->partition, &boot, &why) < 0)
		fail_msg("no boot: %s", why);
	close_fd(kernel_fd);
	close_fd(initrd_fd);
}

static int open_guest(void)
{
	int fd = open(GUEST_ELF, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

void guest_boot(struct guest_run *run, const char *program)
{
	boot_fds(run, open_guest(), -1, program);
}

static int memory_file(const void *bytes, size_t size_bytes)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size_bytes), size_bytes);
	return fd;
}

/* The guest's file without its notes. */
static int vmlinux_of_guest(void)
{
	int fd = open_guest(), copy;
	struct stat st;
	uint8_t *bytes;
	Elf64_Ehdr *header;
	Elf64_Phdr *segments;

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	close(fd);
	header = (void *)bytes;
	segments = (void *)(bytes + header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type == PT_NOTE)
			segments[i].p_type = PT_NULL;
	}
	copy = memory_file(bytes, (size_t)st.st_size);
	free(bytes);
	return copy;
}

void guest_boot_linux(struct guest_run *run, const char *program, const char *initrd)
{
	boot_fds(run, vmlinux_of_guest(), initrd ? memory_file(initrd, strlen(initrd)) : -1,
		program);
}

struct guest_run *guest_load(const char *program, unsigned n_vps)
{
	struct guest_run *run = guest_new(n_vps);

	guest_boot(run, program);
	return run;
}

void guest_free(struct guest_run *run)
{
	(void)unit_stop_all(run->units);
	unit_registry_free(run->units);
	partition_free(run->partition);
	pthread_cond_destroy(&run->changed);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

void guest_start(struct guest_run *run)
{
	assert_int_equal(unit_start_all(run->units), 0);
}

void guest_stop(struct guest_run *run)
{
	assert_int_equal(unit_stop_all(run->units), 0);
}

struct guest_run *guest_move(struct guest_run *run)
{
	unsigned n_vps = partition_n_vps(run->partition);
	struct guest_run *target = run->is_large ? guest_new_large(n_vps) : guest_new(n_vps);
	struct gpa_space *from = partition_memory(run->partition);
	struct gpa_space *to = partition_memory(target->partition);
	struct buf state = {0};
	const char *culprit = "";
	struct reader in;

	guest_stop(run);
	assert_int_equal(unit_save_all(run->units, &state), 0);
	for (size_t i = 0; i < gpa_space_n_regions(from); i++)
		memcpy(gpa_space_region(to, i)->host, gpa_space_region(from, i)->host,
			gpa_space_region(from, i)->size_bytes);
	memcpy(target->output, run->output, run->output_len);
	target->output_len = run->output_len;
	guest_free(run);
	in = reader_make(state.data, state.size_bytes);
	if (unit_restore_all(target->units, &in, &culprit) < 0)
		fail_msg("unit %s did not restore", culprit);
	buf_fini(&state);
	return target;
}

/* False: time is up. */
static bool wait_locked(struct guest_run *run, const struct timespec *deadline)
{
	return pthread_cond_timedwait(&run->changed, &run->lock, deadline) != ETIMEDOUT;
}

static struct timespec deadline_from_now(void)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += WAIT_LIMIT_S;
	return deadline;
}

static void give_up(struct guest_run *run, const char *what)
{
	fail_msg("no %s; ended %d (%s); the guest wrote:\n%s", what, run->has_ended, run->end_text,
		run->output);
}

void guest_wait_for(struct guest_run *run, const char *text)
{
	struct timespec deadline = deadline_from_now();
	bool found;

	pthread_mutex_lock(&run->lock);
	do {
		found = strstr(run->output, text);
	} while (!found && !run->has_ended && wait_locked(run, &deadline));
	found = strstr(run->output, text);
	pthread_mutex_unlock(&run->lock);
	if (!found)
		give_up(run, text);
}

enum partition_end guest_wait_end(struct guest_run *run)
{
	struct timespec deadline = deadline_from_now();
	bool has_ended;

	pthread_mutex_lock(&run->lock);
	while (!run->has_ended && wait_locked(run, &deadline))
		;
	has_ended = run->has_ended;
	pthread_mutex_unlock(&run->lock);
	if (!has_ended)
		give_up(run, "end");
	return run->end;
}

uint64_t guest_value(struct guest_run *run, const char *name)
{
	char line[64];
	const char *found = NULL;
	size_t len = (size_t)snprintf(line, sizeof(line), "%s=", name);

	pthread_mutex_lock(&run->lock);
	for (const char *at = run->output; (at = strstr(at, line)); at += len) {
		if (at == run->output || at[-1] == '\n')
			found = at;
	}
	pthread_mutex_unlock(&run->lock);
	if (!found)
		give_up(run, line);
	return strtoull(found + len, NULL, 16);
}

void guest_poke(struct guest_run *run, uint64_t at, uint64_t value)
{
	assert_int_equal(
		gpa_write(partition_memory(run->partition), gpa(at), &value, sizeof(value)), 0);
}

void guest_go(struct guest_run *run, uint64_t n)
{
	guest_poke(run, GUEST_GO_GPA, n);
}
