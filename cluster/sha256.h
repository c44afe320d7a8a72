/* SPDX-License-Identifier: MIT
 *
 * sha256.h - SHA-256 (OpenSSL underneath; sha256.c is its only user in this folder).
 *
 * A failure inside, such as lack of memory, is remembered and reported by sha256_end(). One owner.
 */
#ifndef VIADUCT_CLUSTER_SHA256_H
#define VIADUCT_CLUSTER_SHA256_H

#include "base/err.h"

#define SHA256_BYTES 32

struct sha256;

int sha256_new(struct sha256 **ret_sha);
void sha256_free(struct sha256 *sha);

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size_bytes);
int sha256_end(struct sha256 *sha, uint8_t ret_digest[SHA256_BYTES]);

#endif
