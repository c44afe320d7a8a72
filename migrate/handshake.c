/* SPDX-License-Identifier: MIT */
#include "migrate/handshake.h"
#include "migrate/auth.h"

#include <endian.h>
#include <string.h>

struct shake {
	enum mig_role role;
	const uint8_t *key;
	size_t key_bytes;
	unsigned n_links;
	struct mig_hello ours[HANDSHAKE_MAX_LINKS], theirs[HANDSHAKE_MAX_LINKS];
};

static int send_bytes(struct link *link, void *data, size_t size_bytes)
{
	struct iovec iov = {data, size_bytes};

	return link_write(link, &iov, 1);
}

static int receive_bytes(struct link *link, void *ret_data, size_t size_bytes)
{
	struct iovec iov = {ret_data, size_bytes};

	return link_read(link, &iov, 1);
}

static int hello_send(struct shake *s, struct link *link, unsigned i, uint8_t channel)
{
	struct mig_hello *hello = &s->ours[i];
	int r;

	*hello = (struct mig_hello){
		.version = htole16(MIG_PROTO_VERSION),
		.role = (uint8_t)s->role,
		.channel = channel,
		.n_channels = (uint8_t)(s->n_links - 1),
	};
	memcpy(hello->magic, MIG_HELLO_MAGIC, sizeof(hello->magic));
	r = auth_nonce(hello->nonce);
	return r < 0 ? r : send_bytes(link, hello, sizeof(*hello));
}

static int hello_receive(struct shake *s, struct link *link, unsigned i, const char **ret_why)
{
	static const uint8_t no_reserved[sizeof(s->theirs[0].reserved)];
	struct mig_hello *hello = &s->theirs[i];
	enum mig_role peer = s->role == MIG_ROLE_SOURCE ? MIG_ROLE_TARGET : MIG_ROLE_SOURCE;
	int r = receive_bytes(link, hello, sizeof(*hello));

	if (r < 0)
		return r;
	*ret_why = "the peer does not speak the migration protocol";
	if (memcmp(hello->magic, MIG_HELLO_MAGIC, sizeof(hello->magic)) != 0)
		return -EBADMSG;
	*ret_why = "the peer speaks another version of the migration protocol";
	if (le16toh(hello->version) != MIG_PROTO_VERSION)
		return -EPROTONOSUPPORT;
	*ret_why = NULL;
	if (hello->role != peer)
		*ret_why = "the peer has the wrong role";
	else if (hello->n_channels != s->n_links - 1 || hello->channel >= s->n_links)
		*ret_why = "the peer counts the connections differently";
	else if (memcmp(hello->reserved, no_reserved, sizeof(no_reserved)) != 0)
		*ret_why = "the peer's greeting has unknown fields";
	return *ret_why ? -EBADMSG : 0;
}

static int proof_of(struct shake *s, unsigned i, enum mig_role prover, struct mig_proof *ret_proof)
{
	bool source = s->role == MIG_ROLE_SOURCE;

	return auth_proof(s->key, s->key_bytes, prover, source ? &s->ours[i] : &s->theirs[i],
		source ? &s->theirs[i] : &s->ours[i], ret_proof);
}

static int proof_send(struct shake *s, struct link *link, unsigned i)
{
	struct mig_proof proof;
	int r = proof_of(s, i, s->role, &proof);

	return r < 0 ? r : send_bytes(link, &proof, sizeof(proof));
}

static int proof_receive(struct shake *s, struct link *link, unsigned i, const char **ret_why)
{
	enum mig_role peer = s->role == MIG_ROLE_SOURCE ? MIG_ROLE_TARGET : MIG_ROLE_SOURCE;
	struct mig_proof expected, proof;
	int r = proof_of(s, i, peer, &expected);

	if (r == 0)
		r = receive_bytes(link, &proof, sizeof(proof));
	if (r < 0)
		return r;
	if (auth_proof_equal(&expected, &proof))
		return 0;
	*ret_why = "the peer does not know the key of this job";
	return -EACCES;
}

/* All greetings first: the target may look at the connections in another order. */
static int shake_as_source(struct shake *s, struct link *links, const char **ret_why)
{
	int r = 0;

	for (unsigned i = 0; i < s->n_links && r == 0; i++)
		r = hello_send(s, &links[i], i, (uint8_t)i);
	for (unsigned i = 0; i < s->n_links && r == 0; i++) {
		r = hello_receive(s, &links[i], i, ret_why);
		if (r == 0 && s->theirs[i].channel != i) {
			*ret_why = "the peer mistook a connection for another";
			r = -EBADMSG;
		}
		if (r == 0)
			r = proof_send(s, &links[i], i);
	}
	for (unsigned i = 0; i < s->n_links && r == 0; i++)
		r = proof_receive(s, &links[i], i, ret_why);
	return r;
}

/* Connections in the order that the source gave them. */
static int sort_links(const struct shake *s, struct link *links, const char **ret_why)
{
	struct link sorted[HANDSHAKE_MAX_LINKS];
	unsigned seen = 0;

	for (unsigned i = 0; i < s->n_links; i++) {
		seen |= 1U << s->theirs[i].channel;
		sorted[s->theirs[i].channel] = links[i];
	}
	if (seen != (1U << s->n_links) - 1) {
		*ret_why = "two connections claim to be the same channel";
		return -EBADMSG;
	}
	memcpy(links, sorted, s->n_links * sizeof(*links));
	return 0;
}

static int shake_as_target(struct shake *s, struct link *links, const char **ret_why)
{
	int r = 0;

	for (unsigned i = 0; i < s->n_links && r == 0; i++) {
		r = hello_receive(s, &links[i], i, ret_why);
		if (r == 0)
			r = hello_send(s, &links[i], i, s->theirs[i].channel);
		if (r == 0)
			r = proof_send(s, &links[i], i);
	}
	for (unsigned i = 0; i < s->n_links && r == 0; i++)
		r = proof_receive(s, &links[i], i, ret_why);
	return r < 0 ? r : sort_links(s, links, ret_why);
}

int handshake(enum mig_role role, const uint8_t *key, size_t key_bytes, struct link *links,
	unsigned n_links, const char **ret_why)
{
	struct shake s = {.role = role, .key = key, .key_bytes = key_bytes, .n_links = n_links};

	const char *why = NULL;
	int r;

	r = role == MIG_ROLE_SOURCE ? shake_as_source(&s, links, &why)
				    : shake_as_target(&s, links, &why);
	if (r < 0)
		*ret_why = why ? why : "the connection broke during the handshake";
	return r;
}
