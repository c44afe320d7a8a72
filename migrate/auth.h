/* SPDX-License-Identifier: MIT
 *
 * auth.h - the cryptography of migrations (OpenSSL underneath; auth.c is its only user): fresh
 * nonces, the proof that an end knows the job's key, and the digest of a saved-state file.
 */
#ifndef VIADUCT_MIGRATE_AUTH_H
#define VIADUCT_MIGRATE_AUTH_H

#include "base/err.h"
#include "migrate/mig_proto.h"

/* 0 or -EIO when the system has no randomness to give. */
int auth_nonce(uint8_t ret_nonce[MIG_NONCE_BYTES]);

/* The proof that `prover` (enum mig_role) owes for these two hellos, as they stood on the wire. */
int auth_proof(const uint8_t *key, size_t key_bytes, enum mig_role prover,
	const struct mig_hello *source, const struct mig_hello *target,
	struct mig_proof *ret_proof);
/* In constant time. */
bool auth_proof_equal(const struct mig_proof *a, const struct mig_proof *b);
/* Erase a key so that no optimisation keeps it. */
void auth_forget(void *key, size_t size_bytes);

/* SHA-256. */
struct digest;

int digest_new(struct digest **ret_digest);
void digest_free(struct digest *digest);
int digest_add(struct digest *digest, const void *data, size_t size_bytes);
/* Ends the digest; only digest_free() may follow. */
int digest_end(struct digest *digest, uint8_t ret_sum[MIG_DIGEST_BYTES]);

#endif
