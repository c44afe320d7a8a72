/* SPDX-License-Identifier: MIT */
#include "cluster/sha256.h"

#include <openssl/evp.h>

/* Its first use costs some milliseconds, which making one pays: not the first sum. */
struct sha256 {
	EVP_MD *algorithm;
	EVP_MD_CTX *context;
	bool failed;
};

int sha256_new(struct sha256 **ret_sha)
{
	struct sha256 *sha = calloc(1, sizeof(*sha));

	if (!sha)
		return -ENOMEM;
	sha->context = EVP_MD_CTX_new();
	sha->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha->context || !sha->algorithm) {
		sha256_free(sha);
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
	EVP_MD_free(sha->algorithm);
	free(sha);
}

void sha256_begin(struct sha256 *sha)
{
	sha->failed = EVP_DigestInit_ex(sha->context, sha->algorithm, NULL) != 1;
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
