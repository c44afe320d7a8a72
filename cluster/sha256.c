/* SPDX-License-Identifier: MIT */
#include "cluster/sha256.h"

#include <openssl/evp.h>

struct sha256 {
	EVP_MD_CTX *context;
	bool failed;
};

int sha256_new(struct sha256 **ret_sha)
{
	struct sha256 *sha = calloc(1, sizeof(*sha));

	if (!sha)
		return -ENOMEM;
	sha->context = EVP_MD_CTX_new();
	if (!sha->context) {
		free(sha);
		return -ENOMEM;
	}
	*ret_sha = sha;
	return 0;
}

void sha256_free(struct sha256 *sha)
{
	if (!sha)
		return;
	EVP_MD_CTX_free(sha->context);
	free(sha);
}

void sha256_begin(struct sha256 *sha)
{
	sha->failed = EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1;
}

void sha256_add(struct sha256 *sha, const void *data, size_t size_bytes)
{
	if (!sha->failed)
		sha->failed = EVP_DigestUpdate(sha->context, data, size_bytes) != 1;
}

int sha256_end(struct sha256 *sha, uint8_t ret_digest[SHA256_BYTES])
{
	if (sha->failed || EVP_DigestFinal_ex(sha->context, ret_digest, NULL) != 1)
		return -ENOMEM;
	return 0;
}
