/* SPDX-License-Identifier: MIT
 *
 * options.h - what viaductd is started with.
 */
#ifndef VIADUCT_NODE_SVC_OPTIONS_H
#define VIADUCT_NODE_SVC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Texts are the command line's. */
struct svc_options {
	const char *state_dir;   /* store, keys */
	const char *log_dir;     /* logs of the children */
	const char *libexec_dir; /* viaduct-vmhost, viaduct-vswitchd */
	const char *ipc_name;
	const char *corosync_dir;    /* corosync.conf and authkey */
	const char *remote_listen;   /* for administrators; "off" */
	const char *watchdog;        /* a device, "auto", "none" */
	uint64_t vm_memory_bytes;    /* what VMs may use on this node */
	uint64_t migration_stall_ns; /* nothing moves for so long: given up */
	uint64_t lease_ns;           /* cluster_config.lease_ns */
	uid_t child_uid;             /* nobody */
	gid_t child_gid;
	const char *corosync_restart; /* a shell's command; NULL: systemd, where that runs */
	char folder[256];             /* of its programs */
};

/* -errno: a sentence is on the standard error. --help, and what makes no sense, end the process. */
int svc_options_read(int argc, char **argv, struct svc_options *ret_options, bool *ret_debug);

#endif
