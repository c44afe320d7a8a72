/* SPDX-License-Identifier: MIT
 *
 * corosync_service.h - starting corosync of this node anew, by whatever runs the services of the
 * machine. To stop it, it is told itself (cluster_stop_corosync()). Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_COROSYNC_SERVICE_H
#define VIADUCT_NODE_SVC_COROSYNC_SERVICE_H

struct svc;

/* It starts, or starts anew, with the corosync.conf of now; what comes of it is logged. 0; -ENOSYS:
 * there is nobody to ask; -EBUSY: it is under way; -errno. */
int corosync_service_restart(struct svc *svc);
/* At the end of this program. */
void corosync_service_end(struct svc *svc);

#endif
