/* SPDX-License-Identifier: MIT */
#include "fake_vm.h"

#include "base/bitmap.h"
#include "base/clock.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

uint64_t fake_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint8_t *map(size_t size_bytes)
{
	void *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(at != MAP_FAILED);
	(void)madvise(at, size_bytes, MADV_HUGEPAGE);
	return at;
}

void fake_vm_init(struct fake_vm *vm, size_t low_bytes, size_t high_bytes)
{
	int r;

	*vm = (struct fake_vm){.low_bytes = low_bytes, .high_bytes = high_bytes};
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	r = gpa_space_new(&vm->memory);
	assert(r == 0);
	vm->low = map(low_bytes);
	r = gpa_space_add(vm->memory, gpa(0), low_bytes, vm->low);
	assert(r == 0);
	if (high_bytes) {
		vm->high = map(high_bytes);
		r = gpa_space_add(vm->memory, gpa(FAKE_HIGH_BASE), high_bytes, vm->high);
		assert(r == 0);
	}
}

void fake_vm_fini(struct fake_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->quit = true;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
	thread_join(&vm->thread);
	gpa_space_free(vm->memory);
	munmap(vm->low, vm->low_bytes);
	if (vm->high)
		munmap(vm->high, vm->high_bytes);
	free(vm->state);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
}

static void fill_page(uint8_t *page, enum fake_content content, uint64_t *seed)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog. ";
	uint64_t *words = (uint64_t *)page;

	switch (content) {
	case FAKE_ZEROS:
		return;
	case FAKE_TEXT:
		for (size_t i = 0; i < GPA_PAGE_SIZE; i++)
			page[i] = (uint8_t)text[i % (sizeof(text) - 1)];
		words[fake_random(seed) % 512] = *seed;
		words[fake_random(seed) % 512] = *seed;
		return;
	case FAKE_RANDOM:
		for (size_t i = 0; i < GPA_PAGE_SIZE / 8; i++)
			words[i] = fake_random(seed);
		return;
	case FAKE_MIXED:
		fill_page(page, (enum fake_content)(fake_random(seed) % 3), seed);
		return;
	}
}

void fake_vm_fill(struct fake_vm *vm, enum fake_content content, uint64_t seed)
{
	seed = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (size_t at = 0; at < vm->low_bytes; at += GPA_PAGE_SIZE)
		fill_page(vm->low + at, content, &seed);
	for (size_t at = 0; at < vm->high_bytes; at += GPA_PAGE_SIZE)
		fill_page(vm->high + at, content, &seed);
}

void fake_vm_set_state(struct fake_vm *vm, size_t state_bytes, uint64_t seed)
{
	free(vm->state);
	vm->state = malloc(state_bytes + 1);
	assert(vm->state);
	vm->state_bytes = state_bytes;
	seed = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (size_t i = 0; i < state_bytes; i++)
		vm->state[i] = (uint8_t)fake_random(&seed);
}

/* How many pages may be dirtied by now. */
static uint64_t allowance(const struct fake_vm *vm, uint64_t begun_ns)
{
	if (!vm->pages_per_s)
		return UINT64_MAX;
	return (clock_mono_ns() - begun_ns) * vm->pages_per_s / NS_PER_SEC;
}

static void dirty_one(struct fake_vm *vm, uint64_t *seed)
{
	uint64_t page = fake_random(seed) % vm->set_pages;
	gpa_t at = gpa_from_pfn(page);
	uint64_t *words = gpa_window(vm->memory, at, GPA_PAGE_SIZE);

	words[*seed >> 20 & 511] = *seed;
	gpa_mark_dirty(vm->memory, at, GPA_PAGE_SIZE);
}

static void guest_main(void *data)
{
	struct fake_vm *vm = data;
	uint64_t begun_ns = clock_mono_ns(), seed = 88172645463325252ULL, n = 0;

	pthread_mutex_lock(&vm->lock);
	while (!vm->quit) {
		struct timespec nap = {.tv_nsec = 200000};

		if (!vm->runs) {
			vm->stands = true;
			pthread_cond_broadcast(&vm->changed);
			pthread_cond_wait(&vm->changed, &vm->lock);
			begun_ns = clock_mono_ns();
			n = 0;
			continue;
		}
		vm->stands = false;
		pthread_mutex_unlock(&vm->lock);
		for (unsigned i = 0; i < 64 && n < allowance(vm, begun_ns); i++, n++)
			dirty_one(vm, &seed);
		if (vm->pages_per_s)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		pthread_mutex_lock(&vm->lock);
		vm->n_dirtied = n;
	}
	vm->stands = true;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void fake_vm_run(struct fake_vm *vm, size_t set_pages, uint64_t pages_per_s)
{
	int r;

	vm->set_pages = set_pages;
	vm->pages_per_s = pages_per_s;
	vm->runs = true;
	r = thread_start(&vm->thread, "fake-guest", guest_main, vm);
	assert(r == 0);
}

bool fake_vm_is_running(struct fake_vm *vm)
{
	bool runs;

	pthread_mutex_lock(&vm->lock);
	runs = vm->runs;
	pthread_mutex_unlock(&vm->lock);
	return runs;
}

bool fake_vm_equal(const struct fake_vm *a, const struct fake_vm *b)
{
	return memcmp(a->low, b->low, a->low_bytes) == 0 &&
	       (!a->high_bytes || memcmp(a->high, b->high, a->high_bytes) == 0) &&
	       a->state_bytes == b->state_bytes &&
	       (!a->state_bytes || memcmp(a->state, b->state, a->state_bytes) == 0);
}

static struct gpa_space *op_memory(void *data)
{
	struct fake_vm *vm = data;

	return vm->memory;
}

static int collect(struct fake_vm *vm, uint64_t *const *bitmaps)
{
	for (size_t i = 0; i < gpa_space_n_regions(vm->memory); i++) {
		const struct gpa_region *r = gpa_space_region(vm->memory, i);
		size_t n_words = BITMAP_WORDS(r->size_bytes / GPA_PAGE_SIZE);
		_cleanup_free_ uint64_t *ignored = calloc(n_words, sizeof(*ignored));

		assert(ignored);
		bitmap_drain_atomic(bitmaps ? bitmaps[i] : ignored, r->dirty, n_words);
	}
	return 0;
}

static int op_dirty_start(void *data)
{
	struct fake_vm *vm = data;

	if (vm->fail_start)
		return vm->fail_start;
	assert(!vm->tracking);
	vm->tracking = true;
	vm->n_start++;
	return collect(vm, NULL);
}

static int op_dirty_collect(void *data, uint64_t *const *bitmaps)
{
	struct fake_vm *vm = data;

	assert(vm->tracking);
	for (size_t page = 0; page < vm->hot_pages; page++)
		bitmap_set(bitmaps[0], page);
	return vm->fail_collect ? vm->fail_collect : collect(vm, bitmaps);
}

static int op_dirty_stop(void *data)
{
	struct fake_vm *vm = data;

	assert(vm->tracking);
	vm->tracking = false;
	vm->n_stop++;
	return 0;
}

static int op_pause(void *data)
{
	struct fake_vm *vm = data;

	vm->n_pause++;
	pthread_mutex_lock(&vm->lock);
	vm->runs = false;
	pthread_cond_broadcast(&vm->changed);
	while (vm->thread.running && !vm->stands)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	return vm->fail_pause;
}

static int op_resume(void *data)
{
	struct fake_vm *vm = data;

	vm->n_resume++;
	pthread_mutex_lock(&vm->lock);
	vm->runs = true;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
	return vm->fail_resume;
}

/* Touches guest memory, as saving a message page does. */
static int op_save(void *data, struct buf *out)
{
	struct fake_vm *vm = data;
	uint64_t stamp = 0x5361766564ULL + vm->n_save++;
	int r = gpa_write(vm->memory, gpa(vm->low_bytes - GPA_PAGE_SIZE), &stamp, sizeof(stamp));

	assert(r == 0);
	buf_bytes(out, vm->state, vm->state_bytes);
	return vm->fail_save;
}

static int op_restore(void *data, struct reader *in, const char **ret_culprit)
{
	struct fake_vm *vm = data;

	vm->n_restore++;
	if (vm->fail_restore) {
		*ret_culprit = "fake.0";
		return vm->fail_restore;
	}
	vm->state_bytes = in->left_bytes;
	vm->state = malloc(vm->state_bytes + 1);
	assert(vm->state);
	reader_bytes(in, vm->state, in->left_bytes);
	return 0;
}

const struct mig_vm_ops fake_vm_ops = {
	.memory = op_memory,
	.dirty_start = op_dirty_start,
	.dirty_collect = op_dirty_collect,
	.dirty_stop = op_dirty_stop,
	.pause = op_pause,
	.resume = op_resume,
	.save = op_save,
	.restore = op_restore,
};
