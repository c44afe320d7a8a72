/* SPDX-License-Identifier: MIT */
#include "node/svc/options.h"

#include "base/clock.h"
#include "cluster/cluster.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define RESERVED_BYTES     (1ULL << 30) /* of the host's memory, not for VMs */
#define MIGRATION_STALL_NS (10 * NS_PER_SEC)

static const char usage[] =
	"usage: viaductd [options]\n"
	"\n"
	"Runs this node's part of a Viaduct cluster; corosync must run already, or come soon.\n"
	"\n"
	"  --state-dir DIR    the replicated store and this node's keys (/var/lib/viaduct)\n"
	"  --log-dir DIR      logs of the VMs and the switch (/var/log/viaduct)\n"
	"  --libexec-dir DIR  where viaduct-vmhost and viaduct-vswitchd are (this program's "
	"folder,\n"
	"                     or ../libexec/viaduct from there)\n"
	"  --vm-memory MIB    memory that VMs may use on this node (all but 1 GiB)\n"
	"  --migration-stall SECONDS\n"
	"                     a migration in which nothing moves for so long is given up (10)\n"
	"  --remote-listen ADDRESS:PORT\n"
	"                     where administrators with enrolled keys are heard, or off (*:5711)\n"
	"  --lease MS         VMs end when this node was cut off from the cluster for so long, "
	"and\n"
	"                     are started elsewhere a little later (3000)\n"
	"  --watchdog DEVICE  resets this machine when it, or a VM's process, cannot be stopped\n"
	"                     otherwise; armed while VMs run here. Or auto (/dev/watchdog if it\n"
	"                     is there), or none (auto)\n"
	"  --user NAME        the user that VMs and the switch run as (nobody)\n"
	"  --corosync-dir DIR where corosync.conf and authkey are (/etc/corosync)\n"
	"  --corosync-restart COMMAND\n"
	"                     starts corosync of this node anew; without it systemd is asked,\n"
	"                     where that runs\n"
	"  --ipc-name NAME    the control socket (viaduct)\n"
	"  --debug            log more\n";

static int find_user(const char *name, struct svc_options *options)
{
	const struct passwd *user = getpwnam(name);

	if (!user) {
		fprintf(stderr, "viaductd: there is no user '%s'\n", name);
		return -ENOENT;
	}
	options->child_uid = user->pw_uid;
	options->child_gid = user->pw_gid;
	return 0;
}

/* In a tree that was built all programs are side by side; installed, the others are in libexec. */
static int find_programs(struct svc_options *options)
{
	static const char beside[] = "viaduct-vmhost", away[] = "../libexec/viaduct";
	char path[sizeof(options->folder) + sizeof(beside) + sizeof(away)];
	ssize_t n = readlink(
		"/proc/self/exe", options->folder, sizeof(options->folder) - sizeof(away) - 1);

	if (n <= 0 || (size_t)n == sizeof(options->folder) - sizeof(away) - 1)
		return -ENAMETOOLONG;
	options->folder[n] = '\0';
	*strrchr(options->folder, '/') = '\0';
	options->libexec_dir = options->folder;
	snprintf(path, sizeof(path), "%s/%s", options->folder, beside);
	if (access(path, F_OK) == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", options->folder, away);
	if (access(path, F_OK) == 0)
		strcpy(options->folder, path);
	return 0;
}

static bool lease_is_possible(uint64_t lease_ns)
{
	if (lease_ns >= CLUSTER_LEASE_MIN_NS && lease_ns <= CLUSTER_LEASE_MAX_NS)
		return true;
	fprintf(stderr, "viaductd: --lease is %llu to %llu milliseconds\n",
		CLUSTER_LEASE_MIN_NS / NS_PER_MS, CLUSTER_LEASE_MAX_NS / NS_PER_MS);
	return false;
}

static int parse_options(int argc, char **argv, struct svc_options *options, bool *ret_debug)
{
	static const struct option long_options[] = {
		{"state-dir", required_argument, NULL, 's'},
		{"log-dir", required_argument, NULL, 'l'},
		{"libexec-dir", required_argument, NULL, 'x'},
		{"vm-memory", required_argument, NULL, 'm'},
		{"migration-stall", required_argument, NULL, 'S'},
		{"remote-listen", required_argument, NULL, 'r'},
		{"lease", required_argument, NULL, 'L'},
		{"watchdog", required_argument, NULL, 'W'},
		{"user", required_argument, NULL, 'u'},
		{"ipc-name", required_argument, NULL, 'i'},
		{"corosync-dir", required_argument, NULL, 'c'},
		{"corosync-restart", required_argument, NULL, 'R'},
		{"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *user = "nobody";
	int c;

	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (c) {
		case 's':
			options->state_dir = optarg;
			break;
		case 'l':
			options->log_dir = optarg;
			break;
		case 'x':
			options->libexec_dir = optarg;
			break;
		case 'm':
			options->vm_memory_bytes = strtoull(optarg, NULL, 10) << 20;
			break;
		case 'S':
			options->migration_stall_ns = strtoull(optarg, NULL, 10) * NS_PER_SEC;
			break;
		case 'r':
			options->remote_listen = optarg;
			break;
		case 'L':
			options->lease_ns = strtoull(optarg, NULL, 10) * NS_PER_MS;
			if (!lease_is_possible(options->lease_ns))
				exit(2);
			break;
		case 'W':
			options->watchdog = optarg;
			break;
		case 'u':
			user = optarg;
			break;
		case 'i':
			options->ipc_name = optarg;
			break;
		case 'c':
			options->corosync_dir = optarg;
			break;
		case 'R':
			options->corosync_restart = optarg;
			break;
		case 'd':
			*ret_debug = true;
			break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (optind < argc || !options->vm_memory_bytes || !options->migration_stall_ns) {
		fputs(usage, stderr);
		exit(2);
	}
	return find_user(user, options);
}

static uint64_t default_vm_memory_bytes(void)
{
	struct sysinfo host;
	uint64_t bytes;

	sysinfo(&host);
	bytes = host.totalram * host.mem_unit;
	return bytes > 2 * RESERVED_BYTES ? bytes - RESERVED_BYTES : bytes;
}

int svc_options_read(int argc, char **argv, struct svc_options *ret_options, bool *ret_debug)
{
	*ret_options = (struct svc_options){
		.state_dir = "/var/lib/viaduct",
		.log_dir = "/var/log/viaduct",
		.ipc_name = "viaduct",
		.corosync_dir = "/etc/corosync",
		.remote_listen = "*:5711",
		.watchdog = "auto",
		.migration_stall_ns = MIGRATION_STALL_NS,
		.vm_memory_bytes = default_vm_memory_bytes(),
	};
	*ret_debug = false;
	if (find_programs(ret_options) < 0)
		return -ENAMETOOLONG;
	return parse_options(argc, argv, ret_options, ret_debug);
}
