/* SPDX-License-Identifier: MIT */
#include "migrate/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

int auth_nonce(uint8_t ret_nonce[MIG_NONCE_BYTES])
{
	return RAND_bytes(ret_nonce, MIG_NONCE_BYTES) == 1 ? 0 : -EIO;
}

int auth_proof(const uint8_t *key, size_t key_bytes, enum mig_role prover,
	const struct mig_hello *source, const struct mig_hello *target, struct mig_proof *ret_proof)
{
	struct {
		char label[sizeof(MIG_PROOF_LABEL) - 1];
		uint8_t role;
		struct mig_hello source, target;
	} __attribute__((packed)) text;
	unsigned mac_bytes;

	memcpy(text.label, MIG_PROOF_LABEL, sizeof(text.label));
	text.role = (uint8_t)prover;
	text.source = *source;
	text.target = *target;
	if (!HMAC(EVP_sha256(), key, (int)key_bytes, (const uint8_t *)&text, sizeof(text),
		    ret_proof->mac, &mac_bytes))
		return -EIO;
	return mac_bytes == MIG_MAC_BYTES ? 0 : -EIO;
}

bool auth_proof_equal(const struct mig_proof *a, const struct mig_proof *b)
{
	return CRYPTO_memcmp(a->mac, b->mac, MIG_MAC_BYTES) == 0;
}

void auth_forget(void *key, size_t size_bytes)
{
	OPENSSL_cleanse(key, size_bytes);
}

/* Never defined: a digest is OpenSSL's own context under our name. */
static EVP_MD_CTX *native(struct digest *digest)
{
	return (EVP_MD_CTX *)digest;
}

int digest_new(struct digest **ret_digest)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context)
		return -ENOMEM;
	if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(context);
		return -EIO;
	}
	*ret_digest = (struct digest *)context;
	return 0;
}

void digest_free(struct digest *digest)
{
	EVP_MD_CTX_free(native(digest));
}

int digest_add(struct digest *digest, const void *data, size_t size_bytes)
{
	return EVP_DigestUpdate(native(digest), data, size_bytes) == 1 ? 0 : -EIO;
}

int digest_end(struct digest *digest, uint8_t ret_sum[MIG_DIGEST_BYTES])
{
	return EVP_DigestFinal_ex(native(digest), ret_sum, NULL) == 1 ? 0 : -EIO;
}
