/* SPDX-License-Identifier: MIT */
#include "migrate/manifest.h"

_Static_assert(GPA_MAX_REGIONS <= MIG_MAX_REGIONS, "every memory map must fit a manifest");

bool manifest_possible(const struct manifest *ours)
{
	size_t name_len = strnlen(ours->vm_name, MIG_MAX_NAME_LEN + 1);

	for (size_t i = 0; i < gpa_space_n_regions(ours->memory); i++) {
		const struct gpa_region *r = gpa_space_region(ours->memory, i);

		if ((r->base.v + r->size_bytes - 1) >> GPA_PAGE_SHIFT > UINT32_MAX)
			return false;
	}
	return name_len >= 1 && name_len <= MIG_MAX_NAME_LEN && gpa_space_n_regions(ours->memory) &&
	       gpa_space_size_bytes(ours->memory) >> GPA_PAGE_SHIFT <= UINT32_MAX;
}

void manifest_encode(const struct manifest *ours, struct buf *out)
{
	size_t n_regions = gpa_space_n_regions(ours->memory), name_len = strlen(ours->vm_name);
	struct mig_manifest head = {
		.cpuid_digest = htole64(ours->cpuid_digest),
		.page_bytes = htole32(MIG_PAGE_BYTES),
		.vm_name_len = htole16((uint16_t)name_len),
		.n_regions = (uint8_t)n_regions,
	};

	buf_bytes(out, &head, sizeof(head));
	for (size_t i = 0; i < n_regions; i++) {
		const struct gpa_region *r = gpa_space_region(ours->memory, i);

		buf_le64(out, r->base.v);
		buf_le64(out, r->size_bytes);
	}
	buf_bytes(out, ours->vm_name, name_len);
}

static bool regions_equal(const struct manifest *ours, struct reader *in, unsigned n_regions)
{
	bool equal = n_regions == gpa_space_n_regions(ours->memory);

	for (unsigned i = 0; i < n_regions; i++) {
		const struct gpa_region *r = gpa_space_region(ours->memory, i);
		uint64_t base = reader_le64(in), size_bytes = reader_le64(in);

		equal = equal && base == r->base.v && size_bytes == r->size_bytes;
	}
	return equal;
}

int manifest_check(
	const struct manifest *ours, const void *data, size_t size_bytes, const char **ret_why)
{
	struct reader in = reader_make(data, size_bytes);
	struct mig_manifest head;
	const char *name;
	size_t name_len;
	bool same_memory;

	reader_bytes(&in, &head, sizeof(head));
	name_len = le16toh(head.vm_name_len);
	same_memory = regions_equal(ours, &in, head.n_regions);
	name = reader_take(&in, name_len);
	*ret_why = "the description of the VM makes no sense";
	if (!reader_done(&in) || head.reserved || le32toh(head.page_bytes) != MIG_PAGE_BYTES)
		return -EBADMSG;
	*ret_why = "this is another VM";
	if (name_len != strlen(ours->vm_name) || memcmp(name, ours->vm_name, name_len) != 0)
		return -ESTALE;
	*ret_why = "the processors of the two hosts differ in what the VM can see";
	if (le64toh(head.cpuid_digest) != ours->cpuid_digest)
		return -ENOTSUP;
	*ret_why = "the VM has other memory here";
	return same_memory ? 0 : -EMSGSIZE;
}
