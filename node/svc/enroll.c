/* SPDX-License-Identifier: MIT */
#include "node/svc/enroll.h"
#include "node/svc/conf.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define JOIN_TIMEOUT_NS  (40 * NS_PER_SEC)
#define HELLO_TIMEOUT_NS (2 * NS_PER_SEC)

/* ---- invitations, at the member ---- */

struct invitation {
	struct list link;
	struct svc *svc;
	struct corosync_node node;
	char guest[SVC_NAME_MAX_LEN + 2]; /* how the peer calls it */
	uint64_t timer;
	bool is_joining;
};

static struct invitation *find_invitation(struct svc *svc, const char *name)
{
	struct invitation *i, *next;

	list_for_each_safe(i, next, &svc->invitations, link) {
		if (strcmp(i->node.name, name) == 0)
			return i;
	}
	return NULL;
}

static void invitation_end(struct invitation *i)
{
	loop_timer_remove(i->svc->loop, i->timer);
	peer_admit(i->svc->peer, i->guest, NULL);
	list_remove(&i->link);
	free(i);
}

static void on_invitation_over(void *data)
{
	struct invitation *i = data;

	i->timer = 0;
	/* Whoever is being taken in right now is; the next answer ends it. */
	if (i->is_joining)
		loop_timer_add(i->svc->loop, NS_PER_SEC, on_invitation_over, i, &i->timer);
	else
		invitation_end(i);
}

static int find_max_id(
	const char *key _unused_, const struct json *record, uint64_t version _unused_, void *data)
{
	int64_t *max = data;

	*max = MAX(*max, json_get_int(record, "id", 0));
	return 0;
}

/* An id that no node has, nor had before it was evicted: owner records name nodes by it. */
static uint32_t free_id(struct svc *svc, const struct corosync_conf *conf, const char *name)
{
	struct invitation *i;
	int64_t max = 0;

	cluster_for_each(svc->cluster, "evicted/", find_max_id, &max);
	for (size_t k = 0; k < corosync_conf_n_nodes(conf); k++)
		max = MAX(max, (int64_t)corosync_conf_node(conf, k)->id);
	list_for_each(i, &svc->invitations, link) {
		if (strcmp(i->node.name, name) != 0)
			max = MAX(max, (int64_t)i->node.id);
	}
	return max < INT32_MAX ? (uint32_t)max + 1 : 0;
}

static bool is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* The node that the request wants. False: the call has been failed. */
static bool read_node(struct api_call *call, struct corosync_conf *conf, struct corosync_node *node)
{
	const struct json *addresses = json_get(call->message, "addresses");
	const char *name = json_get_string(call->message, "name", "");
	int64_t id = json_get_int(call->message, "id", 0);
	size_t n_links = corosync_conf_n_links(conf);
	int r;

	if (!svc_name_is_valid(name) || id < 0 || id > INT32_MAX) {
		api_fail(call, API_USAGE,
			"a node needs a name of at most %d letters, digits, - _ . and an id from 1 "
			"on",
			SVC_NAME_MAX_LEN);
		return false;
	}
	if (json_length(addresses) != n_links) {
		api_fail(call, API_USAGE,
			"this cluster has %zu link%s, so a node needs %zu address%s; give them in "
			"the order of the links: --address A,B",
			n_links, n_links == 1 ? "" : "s", n_links, n_links == 1 ? "" : "es");
		return false;
	}
	memset(node, 0, sizeof(*node));
	node->id = id ? (uint32_t)id : free_id(call->svc, conf, name);
	snprintf(node->name, sizeof(node->name), "%s", name);
	for (size_t i = 0; i < n_links && i < COROSYNC_CONF_MAX_LINKS; i++) {
		const char *address = json_string(json_at(addresses, i), "");

		if (!is_address(address)) {
			api_fail(call, API_USAGE, "'%.60s' is no IP address", address);
			return false;
		}
		snprintf(node->address[i], sizeof(node->address[i]), "%s", address);
	}
	r = corosync_conf_add(conf, node);
	if (r < 0)
		api_fail(call, r == -EEXIST ? API_CONFLICT : API_FAILED, "%s cannot be invited: %s",
			name,
			r == -EEXIST ? "its name, id or an address belongs to another node; see "
				       "'viaduct cluster status'"
				     : strerror(-r));
	return r == 0;
}

/* With one more vote expected there must still be quorum until the node is up. False: the call has
 * been failed. */
static bool keeps_quorum(struct api_call *call, size_t n_after)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(call->svc->cluster, nodes, ARRAY_LEN(nodes)), n_up = 0;

	for (size_t i = 0; i < n; i++)
		n_up += nodes[i].is_member;
	/* One alone becomes two: there is no other way, and the second one comes at once. */
	if (n_up >= n_after / 2 + 1 || n == 1)
		return true;
	api_fail(call, API_REFUSED,
		"%zu of %zu nodes are up, and of %zu that would be no quorum until the new one "
		"runs; bring up those that are down, or evict them, first",
		n_up, n, n_after);
	return false;
}

static struct invitation *invite(
	struct svc *svc, const struct corosync_node *node, const char *public_key)
{
	struct invitation *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->svc = svc;
	i->node = *node;
	snprintf(i->guest, sizeof(i->guest), "%c%s", ENROLL_GUEST, node->name);
	if (peer_admit(svc->peer, i->guest, public_key) < 0 ||
		loop_timer_add(svc->loop, ENROLL_VALID_NS, on_invitation_over, i, &i->timer) < 0) {
		peer_admit(svc->peer, i->guest, NULL);
		free(i);
		return NULL;
	}
	list_append(&svc->invitations, &i->link);
	return i;
}

static size_t count_invitations(struct svc *svc)
{
	struct invitation *i;
	size_t n = 0;

	list_for_each(i, &svc->invitations, link)
		n++;
	return n;
}

static void answer_token(struct api_call *call, const struct corosync_node *node)
{
	struct svc *svc = call->svc;
	struct enroll_token token = {0};
	_cleanup_free_ char *text = NULL;
	struct cluster_node self;
	struct json *result;

	if (cluster_find_node(svc->cluster, cluster_local_name(svc->cluster), &self) < 0 ||
		peer_keypair(token.public_key, token.secret_key) < 0 ||
		!invite(svc, node, token.public_key)) {
		api_fail(call, API_FAILED, "the invitation was not made: out of memory");
		return;
	}
	snprintf(token.address, sizeof(token.address), "%s", self.ring_addr[0]);
	snprintf(token.server_key, sizeof(token.server_key), "%s", peer_public_key(svc->peer));
	snprintf(token.name, sizeof(token.name), "%s", node->name);
	text = enroll_token_print(&token);
	explicit_bzero(&token, sizeof(token));
	result = json_object_new();
	json_set_string(result, "token", text);
	json_set_string(result, "name", node->name);
	json_set_int(result, "id", node->id);
	json_set_int(result, "valid_s", (int64_t)(ENROLL_VALID_NS / NS_PER_SEC));
	if (text)
		explicit_bzero(text, strlen(text));
	api_reply(call, result);
}

/* {name, addresses: [IP by link], [id]} -> {token, name, id, valid_s} */
void api_node_invite(struct api_call *call)
{
	struct svc *svc = call->svc;
	const char *name = json_get_string(call->message, "name", "");
	struct corosync_conf *conf = NULL;
	struct corosync_node node;
	struct invitation *old;
	char error[300];
	size_t n_after;
	bool fine;

	if (!api_needs_quorum(call))
		return;
	if (conf_load(svc, &conf, error, sizeof(error)) < 0) {
		api_fail(call, API_FAILED, "%s", error);
		return;
	}
	fine = read_node(call, conf, &node);
	n_after = corosync_conf_n_nodes(conf);
	corosync_conf_free(conf);
	if (!fine || !keeps_quorum(call, n_after))
		return;
	old = find_invitation(svc, name);
	if (old && old->is_joining) {
		api_fail(call, API_CONFLICT, "%s is joining right now", name);
		return;
	}
	if (old)
		invitation_end(old);
	if (count_invitations(svc) >= ENROLL_MAX)
		api_fail(call, API_CONFLICT,
			"there are %d invitations already; each ends 15 minutes after it was made",
			ENROLL_MAX);
	else
		answer_token(call, &node);
}

/* ---- whoever comes with an invitation ---- */

struct joining {
	struct svc *svc;
	struct peer_request *request;
	char name[SVC_NAME_MAX_LEN + 1];
};

static void refuse_guest(struct peer_request *request, const char *why)
{
	struct json *reply = json_object_new();

	json_set_string(reply, "error", why);
	peer_reply(request, reply);
}

static void hand_over(struct svc *svc, struct peer_request *request, const char *name)
{
	_cleanup_free_ char *text = NULL, *key = NULL;
	struct corosync_conf *conf = NULL;
	struct buf bytes = {0};
	struct json *reply;
	char error[300];

	if (conf_load(svc, &conf, error, sizeof(error)) < 0 ||
		conf_read_key(svc, &bytes, error, sizeof(error)) < 0) {
		refuse_guest(request, error);
	} else {
		text = corosync_conf_print(conf);
		key = base64_encode(bytes.data, bytes.size_bytes);
		reply = json_object_new();
		json_set_string(reply, "conf", text);
		json_set_string(reply, "key", key);
		json_set_string(reply, "cluster", corosync_conf_name(conf));
		json_set_string(reply, "name", name);
		peer_reply(request, reply);
	}
	if (bytes.data)
		explicit_bzero(bytes.data, bytes.size_bytes);
	if (key)
		explicit_bzero(key, strlen(key));
	buf_fini(&bytes);
	corosync_conf_free(conf);
}

static void on_forgotten(int error _unused_, uint64_t version _unused_, void *data _unused_)
{
}

static void on_added(const char *error, void *data)
{
	_cleanup_free_ struct joining *joining = data;
	struct svc *svc = joining->svc;
	struct invitation *i = find_invitation(svc, joining->name);
	char key[SVC_NAME_MAX_LEN + 16];

	if (i)
		i->is_joining = false;
	if (error) {
		refuse_guest(joining->request, error);
		return;
	}
	/* It was evicted before, and is welcome again. */
	snprintf(key, sizeof(key), "evicted/%s", joining->name);
	if (cluster_get(svc->cluster, key, NULL, NULL) == 0)
		cluster_cas(svc->cluster, key, CLUSTER_ANY_VERSION, NULL, on_forgotten, NULL);
	events_add(svc, EVENT_INFO, "node.joined", joining->name,
		"was added to the cluster and starts now");
	hand_over(svc, joining->request, joining->name);
}

static void take_in(struct svc *svc, struct peer_request *request, struct invitation *i)
{
	struct joining *joining = calloc(1, sizeof(*joining));
	char error[300] = "out of memory";

	if (joining) {
		joining->svc = svc;
		joining->request = request;
		snprintf(joining->name, sizeof(joining->name), "%s", i->node.name);
		i->is_joining = true;
		if (conf_change(svc, &i->node, NULL, on_added, joining, error, sizeof(error)) == 0)
			return;
		i->is_joining = false;
		free(joining);
	}
	refuse_guest(request, error);
}

void enroll_on_guest(
	struct svc *svc, struct peer_request *request, const char *from, const struct json *message)
{
	const char *op = json_get_string(message, "op", "");
	struct invitation *i = from[0] == ENROLL_GUEST ? find_invitation(svc, from + 1) : NULL;
	struct cluster_node node;
	struct json *reply;

	if (from[0] == ENROLL_EVICTED) {
		reply = json_object_new();
		json_set_bool(reply, "evicted", true);
		peer_reply(request, reply);
	} else if (i && strcmp(op, "hello") == 0) {
		peer_reply(request, NULL);
	} else if (!i || strcmp(op, "join") != 0) {
		refuse_guest(request, "an invitation is for joining, once");
	} else if (i->is_joining) {
		refuse_guest(request, "it is being taken in already; ask again in a moment");
	} else if (!cluster_is_quorate(svc->cluster) || !cluster_is_synced(svc->cluster)) {
		refuse_guest(request, "the node that made the invitation has no quorum now");
	} else if (cluster_find_node(svc->cluster, i->node.name, &node) < 0) {
		take_in(svc, request, i);
	} else if (node.is_member) {
		refuse_guest(request, "a node of that name is up already");
	} else {
		/* Its answer was lost. */
		hand_over(svc, request, i->node.name);
	}
}

/* ---- evicted nodes ---- */

static int admit_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct svc *svc = data;
	char guest[SVC_NAME_MAX_LEN + 2];

	snprintf(guest, sizeof(guest), "%c%s", ENROLL_EVICTED, strchr(key, '/') + 1);
	peer_admit(svc->peer, guest, json_get_string(record, "key", NULL));
	return 0;
}

void enroll_admit_evicted(struct svc *svc)
{
	struct invitation *i, *next;
	struct cluster_node node;

	cluster_for_each(svc->cluster, "evicted/", admit_one, svc);
	/* Who is up needs no invitation any more. */
	list_for_each_safe(i, next, &svc->invitations, link) {
		if (cluster_find_node(svc->cluster, i->node.name, &node) == 0 && node.is_member)
			invitation_end(i);
	}
}

static void on_hello(int error, const struct json *reply, void *data)
{
	struct svc *svc = data;

	if (error == 0 && json_get_bool(reply, "evicted", false))
		conf_evicted(svc, "a node of it");
	else if (error == 0)
		conf_on_hello_reply(svc, reply);
}

void enroll_ask_peers(struct svc *svc)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));

	if (svc->evicted || !svc->peer || cluster_is_quorate(svc->cluster))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!nodes[i].is_member)
			peer_call(svc->peer, nodes[i].name, conf_hello(svc), HELLO_TIMEOUT_NS,
				on_hello, svc);
	}
}
