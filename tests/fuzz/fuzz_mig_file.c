/* SPDX-License-Identifier: MIT
 *
 * fuzz_mig_file.c - loading a hostile saved-state file. The steps of the input write it; the last
 * one may close it with the right digest and offsets, so that what stands between is all that is
 * wrong.
 */
#include "fuzz_mig.h"

#include "migrate/auth.h"
#include "migrate/migrate.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum {
	STEP_HEADER = STEP_COMMON_END, /* the right one */
	STEP_STATE_BEGINS,             /* note where */
	STEP_END,
	N_STEPS,
};

struct file {
	struct fuzz_vm vm;
	struct buf bytes;
	size_t pages_at, state_at;
	unsigned n_restored;
};

static struct gpa_space *op_memory(void *data)
{
	struct file *f = data;

	return f->vm.memory;
}

static int op_restore(void *data, struct reader *in, const char **ret_culprit)
{
	struct file *f = data;

	(void)ret_culprit;
	f->n_restored++;
	if (in->left_bytes)
		reader_take(in, in->left_bytes);
	return 0;
}

static void put_header(struct file *f)
{
	struct mig_file_header header = {.version = htole16(MIG_PROTO_VERSION)};

	memcpy(header.magic, MIG_FILE_MAGIC, sizeof(header.magic));
	buf_bytes(&f->bytes, &header, sizeof(header));
	fuzz_put_manifest(&f->bytes, &f->vm);
	f->pages_at = f->bytes.size_bytes;
}

static void put_end(struct file *f)
{
	struct mig_file_end end = {
		.pages_at = htole64(f->pages_at),
		.state_at = htole64(f->state_at),
		.end_at = htole64(f->bytes.size_bytes),
	};
	struct digest *digest;

	fuzz_check(digest_new(&digest) == 0);
	fuzz_check(digest_add(digest, f->bytes.data, f->bytes.size_bytes) == 0);
	fuzz_check(digest_end(digest, end.sha256) == 0);
	digest_free(digest);
	fuzz_put_frame(&f->bytes, MIG_FRAME_END, &end, sizeof(end));
}

static void build(struct file *f, struct reader *in)
{
	while (in->left_bytes && reader_ok(in)) {
		uint8_t step = reader_u8(in) % N_STEPS;

		if (fuzz_step(&f->bytes, in, &f->vm, step))
			continue;
		if (step == STEP_HEADER)
			put_header(f);
		if (step == STEP_STATE_BEGINS)
			f->state_at = f->bytes.size_bytes;
		if (step == STEP_END)
			put_end(f);
	}
}

static void load(struct file *f)
{
	static const struct mig_params params = {.vm_name = "vm1", .cpuid_digest = 99};
	static const struct mig_vm_ops ops = {.memory = op_memory, .restore = op_restore};
	int fd = memfd_create("saved", MFD_CLOEXEC), r;
	struct mig_file_stats stats;
	char error[200] = "";

	fuzz_check(fd >= 0);
	fuzz_check(
		pwrite(fd, f->bytes.data, f->bytes.size_bytes, 0) == (ssize_t)f->bytes.size_bytes);
	r = mig_load_file(&params, &ops, f, fd, &stats, error, sizeof(error));
	fuzz_check(r == 0 ? f->n_restored == 1 : error[0] && !f->n_restored);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct file f = {0};

	fuzz_vm_init(&f.vm);
	build(&f, &in);
	fuzz_check(!f.bytes.failed);
	if (f.bytes.size_bytes)
		load(&f);
	buf_fini(&f.bytes);
	fuzz_vm_fini(&f.vm);
	return 0;
}
