/* SPDX-License-Identifier: MIT
 *
 * cluster_impl.h - the cluster object as its own files see it: cluster.c puts the links to
 * corosync, the replicated store and its database together; cluster_connect.c opens these links;
 * cluster_query.c answers; cluster_net.c measures links and publishes what this node is to say
 * about itself.
 */
#ifndef VIADUCT_CLUSTER_CLUSTER_IMPL_H
#define VIADUCT_CLUSTER_CLUSTER_IMPL_H

#include "cluster/cfg_link.h"
#include "cluster/cluster.h"
#include "cluster/cmap_link.h"
#include "cluster/cpg_link.h"
#include "cluster/member.h"
#include "cluster/netprobe_udp.h"
#include "cluster/publish.h"
#include "cluster/quorum_link.h"
#include "cluster/rs.h"
#include "cluster/store_writer.h"

struct cluster {
	struct loop *loop;
	struct cluster_callbacks callbacks;
	void *data;

	struct rs *rs;
	struct store_writer *writer;
	bool is_saving_all;
	int db_error; /* the disk and the store differ until everything could be saved again */

	/* cluster_connect.c */
	struct worker *worker;           /* asks corosync what may block */
	struct cluster_attempt *attempt; /* to open the links; NULL: none is under way */
	struct cluster_reread *reread;
	struct list demands; /* cluster_demand.c */
	/* From when all are open to when one of them is lost. */
	struct cmap_link *cmap;
	struct quorum_link *quorum;
	struct cfg_link *cfg;
	struct cpg_link *cpg;
	unsigned protocol_newest;
	bool connected;    /* to all of them */
	int connect_error; /* of the last attempt that did not last */
	uint64_t connect_timer;
	uint64_t connect_after_ns;

	uint32_t local_id;
	struct member_table members;
	uint64_t work_timer;
	uint64_t check_timer, check_ns;
	bool is_news;    /* `changed` is due at the end of the turn */
	bool is_founded; /* the store has been looked at once */

	uint64_t tick_timer;
	uint64_t tick_at_ns;

	/* cluster_net.c */
	uint64_t poll_timer;
	bool links_are_due;    /* to be asked of corosync */
	bool probes_have_news; /* since the row was made */
	struct net_row links;  /* corosync's last answer */
	struct net_row row;    /* with probes */
	struct netprobe_udp *netprobe;
	struct net_input *net_input; /* scratch, both: large */
	struct netprobe_path *net_paths;
	bool paths_are_old; /* what is probed is to be found anew */
	uint8_t link_priority[NET_MAX_LINKS];
	struct publisher links_publisher;
	struct publisher netif_publisher;

	struct cluster_lease *lease; /* cluster_lease.c */
};

/* Something the callbacks' owner wants to know: call at any time within a turn. */
void cluster_note_news(struct cluster *cluster);
/* Whatever came in through the loop ends with this; it may disconnect. */
void cluster_turn_end(struct cluster *cluster);
extern const struct cpg_link_ops cluster_cpg_ops;

/* cluster_connect.c */
int cluster_connect_new(struct cluster *cluster); /* begins */
void cluster_connect_free(struct cluster *cluster);
bool cluster_is_connecting(const struct cluster *cluster); /* or is connected */
void cluster_disconnect(struct cluster *cluster);
/* One of the links is gone, and with it all: a turn of its own. `data` is the cluster. */
void cluster_on_lost(int error, void *data);

/* cluster_demand.c: nobody hears of any more than that. */
void cluster_demands_end(struct cluster *cluster);

/* cluster_lease.c */
#define CLUSTER_LEASE_GROUP "viaduct-lease"
int cluster_lease_new(struct cluster *cluster, uint64_t duration_ns);
void cluster_lease_free(struct cluster *cluster);
int cluster_lease_connect(struct cluster *cluster, struct cpg_link *cpg); /* takes it over */
void cluster_lease_disconnect(struct cluster *cluster);
void cluster_lease_votes(struct cluster *cluster, const struct rs_votes *votes);
/* Nodes, their records or whether we are synced may have changed. */
void cluster_lease_look(struct cluster *cluster);

/* cluster_net.c: while connected. */
int cluster_net_new(struct cluster *cluster);
void cluster_net_free(struct cluster *cluster);
extern const struct cfg_link_ops cluster_cfg_ops;
void cluster_poll_start(struct cluster *cluster);
void cluster_poll_stop(struct cluster *cluster);
/* Corosync has just delivered a message: its services agree, so it answers (cfg_link.h). */
void cluster_net_heard(struct cluster *cluster);
/* A key of the store changed, or (NULL) the members did. */
void cluster_net_note(struct cluster *cluster, const char *key);

#endif
