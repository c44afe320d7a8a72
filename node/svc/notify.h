/* SPDX-License-Identifier: MIT
 *
 * notify.h - what systemd is told: that the service is ready, what it does, that it ends.
 *
 * One datagram to the socket that $NOTIFY_SOCKET names, as sd_notify(3) describes it for programs
 * that do without libsystemd; this one would take four compression and crypto libraries into a
 * daemon of root. Without systemd nothing is sent. Nothing here fails: whoever waits for the word
 * says so. Threads: the loop's thread.
 */
#ifndef VIADUCT_NODE_SVC_NOTIFY_H
#define VIADUCT_NODE_SVC_NOTIFY_H

struct svc;

/* The command line is answered from now on, with or without corosync. */
void notify_ready(void);
/* One line for `systemctl status`; sent when it has changed. */
void notify_status(struct svc *svc);
void notify_stopping(void);

#endif
