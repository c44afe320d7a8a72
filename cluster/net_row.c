/* SPDX-License-Identifier: MIT */
#include "cluster/net_row.h"

#include <string.h>

bool net_row_equal(const struct net_row *a, const struct net_row *b)
{
	if (a->n_peers != b->n_peers || a->n_probed != b->n_probed ||
		memcmp(a->address, b->address, sizeof(a->address)) != 0)
		return false;
	for (size_t i = 0; i < a->n_peers; i++) {
		if (a->peers[i].id != b->peers[i].id || a->peers[i].links != b->peers[i].links)
			return false;
	}
	for (size_t i = 0; i < a->n_probed; i++) {
		if (a->probed[i].id != b->probed[i].id ||
			a->probed[i].is_lost != b->probed[i].is_lost ||
			net_subnet_compare(&a->probed[i].subnet, &b->probed[i].subnet) != 0)
			return false;
	}
	return true;
}

static uint8_t links_to(const struct net_row *row, uint32_t id)
{
	for (size_t i = 0; i < row->n_peers; i++) {
		if (row->peers[i].id == id)
			return row->peers[i].links;
	}
	return 0;
}

static bool was_reached(const struct net_row *row, const struct net_subnet *subnet, uint32_t id)
{
	for (size_t i = 0; i < row->n_probed; i++) {
		if (row->probed[i].id == id &&
			net_subnet_compare(&row->probed[i].subnet, subnet) == 0)
			return !row->probed[i].is_lost;
	}
	return true;
}

/* No probe of it is answered any more. */
static bool is_unanswered(const struct net_row *row, uint32_t id)
{
	bool is_probed = false;

	for (size_t i = 0; i < row->n_probed; i++) {
		if (row->probed[i].id != id)
			continue;
		if (!row->probed[i].is_lost)
			return false;
		is_probed = true;
	}
	return is_probed;
}

static void leave_out(struct net_row *row, uint32_t id)
{
	size_t n = 0;

	for (size_t i = 0; i < row->n_probed; i++) {
		if (row->probed[i].id != id)
			row->probed[n++] = row->probed[i];
	}
	row->n_probed = n;
	n = 0;
	for (size_t i = 0; i < row->n_peers; i++) {
		if (row->peers[i].id != id)
			row->peers[n++] = row->peers[i];
	}
	row->n_peers = n;
}

void net_row_leave_silent_out(struct net_row *row, bool is_latest)
{
	for (size_t i = row->n_peers; i > 0; i--) {
		uint32_t id = row->peers[i - 1].id;

		if (!row->peers[i - 1].links || (!is_latest && is_unanswered(row, id)))
			leave_out(row, id);
	}
}

bool net_row_is_worse(const struct net_row *row, const struct net_row *before)
{
	for (size_t i = 0; i < row->n_peers; i++) {
		if (links_to(before, row->peers[i].id) & ~row->peers[i].links)
			return true;
	}
	for (size_t i = 0; i < row->n_probed; i++) {
		if (row->probed[i].is_lost &&
			was_reached(before, &row->probed[i].subnet, row->probed[i].id))
			return true;
	}
	return false;
}
