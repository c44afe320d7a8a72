/* SPDX-License-Identifier: MIT */
#include "node/vm/sandbox.h"

#include "base/json.h"
#include "base/log.h"
#include "node/vm/sandbox_rules.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define NOBODY      65534
#define MAX_FILES   4096 /* disks, ports, doorbells, migration streams: a few hundred */
#define MAX_THREADS 1024 /* VPs, workers, and what the kernel starts for rings */

/* ---- what is not a filter ---- */

/* Libraries that read a file once do so now, or seed themselves as well as they can. */
static int warm_up(void)
{
	struct json *object = json_object_new();

	json_unref(object);
	tzset();
	return object ? 0 : -ENOMEM;
}

static int close_descriptors(int control_fd)
{
	if (control_fd > STDERR_FILENO + 1 &&
		close_range(STDERR_FILENO + 1, (unsigned)control_fd - 1, 0) < 0)
		return -errno;
	if (close_range((unsigned)control_fd + 1, ~0U, 0) < 0 ||
		fcntl(control_fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int limit(int resource, rlim_t most)
{
	struct rlimit rlimit;

	if (getrlimit(resource, &rlimit) < 0)
		return -errno;
	rlimit.rlim_max = MIN(rlimit.rlim_max, most);
	rlimit.rlim_cur = rlimit.rlim_max;
	return setrlimit(resource, &rlimit) < 0 ? -errno : 0;
}

static int limit_resources(void)
{
	int r = limit(RLIMIT_CORE, 0);

	return r < 0 ? r : limit(RLIMIT_NOFILE, MAX_FILES);
}

/* Where it is not ours to shrink, it is out of reach anyway: no new privileges. */
static void shrink_bounding_set(void)
{
	for (unsigned long i = 0; i <= CAP_LAST_CAP; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static int become_nobody(void)
{
	if (geteuid() == 0) {
		shrink_bounding_set();
		if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			setresuid(NOBODY, NOBODY, NOBODY) < 0)
			return -errno;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	shrink_bounding_set();
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) < 0)
		return -errno;
	/* Not for other processes of the same user to look into, nor for a core. */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- namespaces ---- */

/* An empty, read-only tmpfs in place of everything that is mounted. /dev is only where it can be
 * mounted first: it exists wherever KVM does. */
static int empty_root(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/dev", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			"size=4k,nr_inodes=1,mode=0555") < 0 ||
		chdir("/dev") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static void warn_missing(const char *what, int r)
{
	if (r < 0)
		log_warning(
			"the sandbox is without %s (%s); see docs/security.md", what, strerror(-r));
}

static int unshare_one(int flag)
{
	return unshare(flag) < 0 ? -errno : 0;
}

/* The user namespace gives the right to the others; its capabilities are dropped afterwards. */
static void leave_namespaces(void)
{
	static const struct {
		int flag;
		const char *what;
	} others[] = {
		{CLONE_NEWNET, "a network of its own"},
		{CLONE_NEWIPC, "IPC objects of its own"},
		{CLONE_NEWUTS, "a host name of its own"},
		{CLONE_NEWCGROUP, "a control group namespace of its own"},
	};
	int r = unshare_one(CLONE_NEWUSER);

	if (r < 0) {
		warn_missing("namespaces and with its user's files in sight", r);
		return;
	}
	/* Counted in the new namespace: this process alone, not all of its user. */
	warn_missing("a limit of its threads", limit(RLIMIT_NPROC, MAX_THREADS));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		warn_missing(others[i].what, unshare_one(others[i].flag));
	r = unshare_one(CLONE_NEWNS);
	warn_missing("an empty root", r < 0 ? r : empty_root());
}

/* ---- filters ---- */

static int add_rule(scmp_filter_ctx filter, const struct sandbox_rule *rule)
{
	struct scmp_arg_cmp conditions[SANDBOX_MAX_CONDITIONS];
	uint32_t action = rule->error ? SCMP_ACT_ERRNO((unsigned)rule->error) : SCMP_ACT_ALLOW;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(rule->conditions); i++) {
		const struct sandbox_condition *condition = &rule->conditions[i];

		if (condition->mask)
			conditions[n++] = (struct scmp_arg_cmp){condition->argument,
				SCMP_CMP_MASKED_EQ, condition->mask, condition->value};
	}
	return seccomp_rule_add_array(filter, action, rule->call, n, conditions);
}

static int add_rules(scmp_filter_ctx filter, enum sandbox_phase phase)
{
	/* A signal to a thread of this process: a VP is called out of its guest, abort(). */
	struct sandbox_rule own_signal = {
		.call = SCMP_SYS(tgkill),
		.conditions = {{0, 0xffffffff, (uint32_t)getpid()}},
	};
	int r = add_rule(filter, &own_signal);

	for (size_t i = 0; r == 0 && i < sandbox_n_rules; i++)
		if (sandbox_rules[i].phases & phase)
			r = add_rule(filter, &sandbox_rules[i]);
	return r;
}

static int install_filter(enum sandbox_phase phase)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return -ENOMEM;
	/* Other architectures' calls would have other numbers. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* is set */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree */
	if (r == 0)
		r = add_rules(filter, phase);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int sandbox_enter(int control_fd)
{
	int r = warm_up();

	if (r == 0)
		r = close_descriptors(control_fd);
	if (r == 0)
		r = limit_resources();
	if (r == 0)
		r = become_nobody();
	if (r < 0 || !SANDBOX_IS_WHOLE)
		return r;
	leave_namespaces();
	r = drop_capabilities();
	return r < 0 ? r : install_filter(SANDBOX_SETUP);
}

int sandbox_tighten(void)
{
	return SANDBOX_IS_WHOLE ? install_filter(SANDBOX_RUN) : 0;
}
