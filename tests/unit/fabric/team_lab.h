/* SPDX-License-Identifier: MIT
 *
 * team_lab.h - a network for tests of teams, in a network namespace of their own: a bridge of the
 * kernel's as the physical switch, which learns, floods and knows nothing of the team, with a
 * remote host behind it.
 *
 *   m0 = veth = p0 -+
 *                   br0 - r0 = veth = r1   the remote host, a raw socket
 *   m1 = veth = p1 -+
 */
#ifndef VIADUCT_TESTS_FABRIC_TEAM_LAB_H
#define VIADUCT_TESTS_FABRIC_TEAM_LAB_H

#include "fabric/io_team.h"
#include "fabric/open.h"
#include "tests/unit/fabric/support.h"

#include <linux/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LAB_WAIT_MS 10000

static const char *const lab_members[] = {"m0", "m1"};

static inline bool lab_run(const char *command)
{
	return system(command) == 0;
}

/* A namespace with nothing in it that speaks by itself. NULL, or why that cannot be. */
static inline const char *lab_enter(void)
{
	if (geteuid() != 0)
		return "raw sockets and namespaces need root";
	if (!lab_run("ip -V >/dev/null 2>&1"))
		return "ip is missing";
	if (unshare(CLONE_NEWNET) < 0 ||
		!lab_run("f=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $f ] || echo 1 "
			 ">$f") ||
		!lab_run("ip link set lo up"))
		return "no network namespace can be made";
	if (!lab_run("ip link add br0 type bridge 2>/dev/null && ip link del br0"))
		return "the kernel has no bridge";
	return NULL;
}

static inline bool lab_link_is_up(const char *link)
{
	char check[128];

	/* The command waits for whoever is about to change the link. */
	snprintf(check, sizeof(check), "ip -o link show dev %s | grep -q 'state UP'", link);
	return lab_run(check);
}

static inline void lab_wait_for_link(const char *link, bool up)
{
	for (unsigned i = 0; lab_link_is_up(link) != up; i++) {
		if (i == LAB_WAIT_MS / 10)
			fail_msg("%s does not come %s", link, up ? "up" : "down");
		poll(NULL, 0, 10);
	}
}

/* As fast as it can be done. */
static inline void lab_set_link(const char *link, bool up)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static inline void lab_build(void)
{
	assert_true(lab_run("set -e; ip link add br0 type bridge\n"
			    "for l in 'm0 p0' 'm1 p1' 'r1 r0'; do set -- $l\n"
			    "  ip link add name $1 type veth peer name $2\n"
			    "  ip link set $2 master br0; ip link set $1 up; ip link set $2 up\n"
			    "done; ip link set br0 up"));
	for (unsigned i = 0; i < 2; i++)
		lab_wait_for_link(lab_members[i], true);
	lab_wait_for_link("r1", true);
	lab_wait_for_link("r0", true);
}

static inline void lab_remove(void)
{
	lab_run("for l in m0 m1 r1 br0; do ip link del $l; done 2>/dev/null");
}

/* Descriptors for io_team_new(): two members', and the routing socket's. */
static inline void lab_open(int ret_fds[2], int *ret_link_fd)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fabric_open_uplink(lab_members[i], &ret_fds[i]), 0);
	assert_int_equal(fabric_open_link_watch(ret_link_fd), 0);
}

static inline struct io *lab_new_team(enum team_mode mode)
{
	int fds[2], link_fd;
	struct io *io;

	lab_open(fds, &link_fd);
	assert_int_equal(io_team_new(mode, lab_members, fds, 2, link_fd, &io), 0);
	return io;
}

#endif
