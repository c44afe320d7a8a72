/* SPDX-License-Identifier: MIT
 *
 * vcpu.c - virtual processors: one thread each, for life, because KVM makes a vCPU that changes its
 * thread pay for it. A thread is parked, or in its run loop until immediate_exit is set.
 *
 * Leaving: immediate_exit is set first, then the thread gets a signal. If the thread is in the
 * guest the signal fetches it; if it handles an exit, its next KVM_RUN completes what the exit
 * began and returns at once. Either way KVM_RUN returns EINTR with nothing half done, so a parked
 * VP can be saved as it is.
 */
#include "node/hv/internal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static int kick_signal(void)
{
	return SIGRTMIN + PARTITION_KICK_SIGNAL;
}

static void on_kick(int signal_number _unused_)
{
}

static void install_kick_handler(void)
{
	struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

	sigaction(kick_signal(), &action, NULL);
}

void vp_kick(struct vp *vp)
{
	__atomic_store_n(&vp->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vp->thread.running)
		pthread_kill(vp->thread.id, kick_signal());
}

static bool must_leave(struct vp *vp)
{
	return __atomic_load_n(&vp->run->immediate_exit, __ATOMIC_SEQ_CST);
}

static void end_with_error(struct vp *vp, const char *what, uint64_t detail)
{
	char text[128];

	snprintf(text, sizeof(text), "VP %u: %s (%#llx), RIP %#llx", vp->index, what,
		(unsigned long long)detail, (unsigned long long)vp->run->s.regs.regs.rip);
	partition_end(vp->partition, PARTITION_END_ERROR, text);
}

static void handle_io(struct vp *vp)
{
	struct kvm_run *run = vp->run;

	io_bus_accesses(&vp->partition->ports, vp, run->io.port,
		run->io.direction == KVM_EXIT_IO_OUT, run->io.size, run->io.count,
		(uint8_t *)run + run->io.data_offset);
}

/* No device has registers in memory: reads give all ones, writes are lost. */
static void handle_mmio(struct vp *vp)
{
	if (!vp->run->mmio.is_write)
		memset(vp->run->mmio.data, 0xff, sizeof(vp->run->mmio.data));
}

static void handle_rdmsr(struct vp *vp)
{
	uint64_t value = 0;
	int r = hv_msr_read(vp->partition->hv, vp->index, vp->run->msr.index, &value);

	vp->run->msr.data = value;
	vp->run->msr.error = r < 0;
}

static void report_crash(struct partition *partition)
{
	char text[HV_CRASH_TEXT_MAX_BYTES];

	hv_crash_text(partition->hv, text, sizeof(text));
	partition_end(partition, PARTITION_END_CRASH, text);
}

static void handle_wrmsr(struct vp *vp)
{
	struct partition *partition = vp->partition;
	struct hv_effects effects;
	int r = hv_msr_write(
		partition->hv, vp->index, vp->run->msr.index, vp->run->msr.data, &effects);

	vp->run->msr.error = r < 0;
	for (unsigned sint = 0; sint < HV_N_SINTS; sint++) {
		if (effects.freed_sints & 1U << sint)
			partition->ops->slot_free(partition->data, vp->index, sint);
	}
	if (effects.reset)
		partition_end(partition, PARTITION_END_RESET, "the guest asked for a reset");
	if (effects.crash)
		report_crash(partition);
}

static void handle_exit(struct vp *vp)
{
	struct kvm_run *run = vp->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(vp);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(vp);
		break;
	case KVM_EXIT_X86_RDMSR:
		handle_rdmsr(vp);
		break;
	case KVM_EXIT_X86_WRMSR:
		handle_wrmsr(vp);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN:
		partition_end(vp->partition, PARTITION_END_TRIPLE_FAULT, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		end_with_error(vp, "KVM internal error", run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		end_with_error(vp, "the CPU refused to enter the guest",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		end_with_error(vp, "unexpected exit", run->exit_reason);
		break;
	}
}

static void run_loop(struct vp *vp)
{
	for (;;) {
		int r = kvm_call(vp->fd, KVM_RUN, NULL);

		if (r >= 0) {
			handle_exit(vp);
		} else if (r != -EINTR && r != -EAGAIN) {
			end_with_error(vp, "KVM_RUN failed", (uint64_t)-r);
			return;
		} else if (must_leave(vp)) {
			return;
		}
	}
}

/* With vp->lock held, which is released while the guest runs. */
static void run_until_parked(struct vp *vp)
{
	pthread_mutex_unlock(&vp->lock);
	hv_runtime_start(vp->partition->hv, vp->index);
	run_loop(vp);
	hv_runtime_stop(vp->partition->hv, vp->index);
	pthread_mutex_lock(&vp->lock);
	/* The partition ended: there is nothing to run until the owner stops it. */
	while (vp->want == VP_WANT_RUN)
		pthread_cond_wait(&vp->changed, &vp->lock);
}

static void vp_main(void *data)
{
	struct vp *vp = data;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	pthread_mutex_lock(&vp->lock);
	while (vp->want != VP_WANT_QUIT) {
		if (vp->want == VP_WANT_RUN)
			run_until_parked(vp);
		/* Each time: a start and a stop may both have come before this thread woke up. */
		vp->is_parked = true;
		pthread_cond_broadcast(&vp->changed);
		pthread_cond_wait(&vp->changed, &vp->lock);
	}
	pthread_mutex_unlock(&vp->lock);
}

static void set_want(struct vp *vp, enum vp_want want)
{
	pthread_mutex_lock(&vp->lock);
	vp->want = want;
	pthread_cond_broadcast(&vp->changed);
	pthread_mutex_unlock(&vp->lock);
}

void vp_run(struct vp *vp)
{
	pthread_mutex_lock(&vp->lock);
	vp->is_parked = false;
	vp->want = VP_WANT_RUN;
	__atomic_store_n(&vp->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vp->changed);
	pthread_mutex_unlock(&vp->lock);
}

void vp_ask_to_park(struct vp *vp)
{
	set_want(vp, VP_WANT_PARK);
	vp_kick(vp);
}

void vp_wait_parked(struct vp *vp)
{
	pthread_mutex_lock(&vp->lock);
	while (!vp->is_parked)
		pthread_cond_wait(&vp->changed, &vp->lock);
	pthread_mutex_unlock(&vp->lock);
}

int vp_init(struct vp *vp, struct partition *partition, uint32_t index)
{
	void *run;

	vp->partition = partition;
	vp->index = index;
	vp->is_parked = true;
	pthread_mutex_init(&vp->lock, NULL);
	pthread_cond_init(&vp->changed, NULL);
	vp->fd = kvm_call_number(partition->vm_fd, KVM_CREATE_VCPU, index);
	if (vp->fd < 0)
		return vp->fd;
	run = mmap(NULL, partition->caps.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vp->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vp->run = run;
	vp->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	return 0;
}

int vp_start_thread(struct vp *vp)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char name[16];

	pthread_once(&once, install_kick_handler);
	snprintf(name, sizeof(name), "vp%u", vp->index % 1000);
	return thread_start(&vp->thread, name, vp_main, vp);
}

void vp_fini(struct vp *vp)
{
	if (!vp->partition)
		return;
	if (vp->thread.running) {
		vp_ask_to_park(vp);
		vp_wait_parked(vp);
		set_want(vp, VP_WANT_QUIT);
		thread_join(&vp->thread);
	}
	if (vp->run)
		munmap(vp->run, vp->partition->caps.run_bytes);
	close_fd(vp->fd);
	pthread_cond_destroy(&vp->changed);
	pthread_mutex_destroy(&vp->lock);
}
