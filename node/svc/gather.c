/* SPDX-License-Identifier: MIT */
#include "node/svc/gather.h"

#include <stdio.h>
#include <string.h>

struct gathering {
	struct svc *svc;
	gather_fn fn;
	void *data;
	unsigned n_pending; /* and one while it is being sent */
	size_t n_nodes;
	struct asked {
		struct gathering *g;
		char node[SVC_NAME_MAX_LEN + 1];
		struct json *answer;
		const char *error; /* static */
	} nodes[];
};

static void put(struct gathering *g)
{
	_cleanup_json_ struct json *replies = NULL;

	if (--g->n_pending > 0)
		return;
	replies = json_array_new();
	for (size_t i = 0; i < g->n_nodes; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "node", g->nodes[i].node);
		if (g->nodes[i].answer)
			json_set(entry, "answer", g->nodes[i].answer);
		else
			json_set_string(entry, "error", g->nodes[i].error);
		json_append(replies, entry);
	}
	g->fn(replies, g->data);
	free(g);
}

static void on_own_answer(struct json *answer, void *data)
{
	struct asked *asked = data;

	asked->answer = answer;
	put(asked->g);
}

static void on_peer_answer(int error, const struct json *reply, void *data)
{
	struct asked *asked = data;

	if (error < 0)
		asked->error = "does not answer";
	else
		asked->answer = json_copy(reply);
	put(asked->g);
}

static const char *why_not(const struct svc *svc, const struct cluster_node *node)
{
	if (!node->is_member)
		return "is down";
	if (!node->has_service)
		return "is without a running viaductd";
	return svc->peer ? NULL : "cannot be asked: this node is still joining the cluster";
}

static void ask(struct gathering *g, struct asked *asked, const struct cluster_node *node,
	const struct json *request, uint64_t timeout_ns)
{
	struct svc *svc = g->svc;
	struct json *message;

	asked->g = g;
	snprintf(asked->node, sizeof(asked->node), "%s", node->name);
	if (node->id == cluster_local_id(svc->cluster)) {
		g->n_pending++;
		if (api_ask(svc, request, on_own_answer, asked) < 0) {
			asked->error = "is out of memory";
			g->n_pending--;
		}
		return;
	}
	asked->error = why_not(svc, node);
	if (asked->error)
		return;
	message = json_object_new();
	json_set_string(message, "op", "api");
	json_set(message, "request", json_copy(request));
	g->n_pending++;
	if (peer_call(svc->peer, node->name, message, timeout_ns, on_peer_answer, asked) < 0) {
		asked->error = "cannot be asked now";
		g->n_pending--;
	}
}

int gather(struct svc *svc, const char *node, struct json *request, uint64_t timeout_ns,
	gather_fn fn, void *data)
{
	_cleanup_json_ struct json *asking = request;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct gathering *g;

	if (node) {
		if (cluster_find_node(svc->cluster, node, &nodes[0]) < 0)
			return -ENOENT;
		n = 1;
	}
	g = calloc(1, sizeof(*g) + n * sizeof(g->nodes[0]));
	if (!g)
		return -ENOMEM;
	*g = (struct gathering){.svc = svc, .fn = fn, .data = data, .n_pending = 1, .n_nodes = n};
	for (size_t i = 0; i < n; i++)
		ask(g, &g->nodes[i], &nodes[i], asking, timeout_ns);
	put(g);
	return 0;
}
