/* SPDX-License-Identifier: MIT
 *
 * migrate.h - moving a partition: live (pre-copy over TCP) and through a file (quick migration).
 * Both use the same sections and the same parsers; both ends treat the other as hostile.
 *
 * A live migration, seen from here: the owner (viaduct-vmhost) gives the source connected sockets
 * (0 is the control connection, the others carry pages) and the same job key to both ends. Rounds
 * of dirty pages go out as chunks of page runs {raw, zero, LZ4}; a barrier ends each round; when
 * what is left fits the blackout budget the source pauses the VM, saves its units, sweeps the dirty
 * pages once more, sends all of it, and waits for the target to say that it is ready to run. Then,
 * and only then, the source's `ready` callback asks the owner for the commit (one compare-and-set
 * of the owner record, which is not this module's business), and the owner answers with
 * mig_source_finish().
 *
 * Until finish(committed = true) the source can always go on: cancel, a broken connection, a target
 * that dies or refuses lead to `done` with an error and a VM that runs again - unless `ready` was
 * already called: from then on only the owner decides, and the VM stays paused until finish(). A
 * target never runs anything by itself: it calls `ready`, and its owner starts the VM when the
 * commit is known.
 *
 * Threads: each job has its own threads; callbacks come on them. start/cancel/finish/free are
 * called by the owner's thread; free() joins the threads. VM ops are called on the job's thread
 * (pause, save, resume, restore, dirty_*): the owner makes them safe, usually by handing them to
 * its loop and waiting. An owner whose ops or callbacks wait for the thread that calls free() must
 * not call it while they may still come: cancel first, free after `done` or `failed`. Callbacks
 * must not free the job themselves.
 *
 * Memory: RAM is anonymous memory or a memfd, so a page that was never touched reads as zeros; such
 * pages are not even looked at. The target's VM has never run; what its set-up wrote to RAM is
 * found and replaced. Nobody drains the dirty marks of the target's gpa_space before `ready`.
 *
 * See also: mig_proto.h for what travels, converge.h for when the source switches over.
 */
#ifndef VIADUCT_MIGRATE_MIGRATE_H
#define VIADUCT_MIGRATE_MIGRATE_H

#include "base/bytes.h"
#include "base/gpa.h"
#include "base/json.h"

#define MIG_MAX_CHANNELS  8
#define MIG_JOB_KEY_BYTES 32
#define MIG_MAX_ROUNDS    30

struct mig_vm_ops {
	struct gpa_space *(*memory)(void *vm);
	/* Source only. */
	int (*dirty_start)(void *vm);
	int (*dirty_collect)(
		void *vm, uint64_t *const *bitmaps); /* adds, see partition_dirty_collect() */
	int (*dirty_stop)(void *vm);
	int (*pause)(void *vm);  /* stop all units */
	int (*resume)(void *vm); /* start all units again */
	int (*save)(void *vm, struct buf *out);
	/* Target only; the VM stays stopped. *ret_culprit: static or long-lived text. */
	int (*restore)(void *vm, struct reader *in, const char **ret_culprit);
};

enum mig_compress {
	MIG_COMPRESS_OFF = 0,
	MIG_COMPRESS_ADAPTIVE = 1, /* LZ4 while the processor is quicker than the network */
	MIG_COMPRESS_ALWAYS = 2,   /* fewest bytes, whatever it costs */
};

/* Copied; vm_name and job_key need not outlive the call. */
struct mig_params {
	uint8_t job_key[MIG_JOB_KEY_BYTES]; /* both ends prove that they know it */
	const char *vm_name;                /* must be the same on both ends */
	uint64_t cpuid_digest;              /* must be the same on both ends */
	unsigned max_rounds;                /* 0 = MIG_MAX_ROUNDS */
	uint64_t blackout_budget_ns;        /* wanted; 0 = 10 ms */
	uint64_t blackout_limit_ns;         /* borne when more rounds do not help; 0 = 3 s */
	uint64_t bandwidth_bytes_per_s; /* 0: no limit; else >= 256 KiB/s, not in the blackout */
	uint64_t stall_timeout_ns;      /* nothing moves for so long: give up; 0 = 10 s */
	enum mig_compress compress;
};

enum mig_phase {
	MIG_PHASE_BEGIN,      /* connecting, handshake, manifest check */
	MIG_PHASE_PERFORM,    /* pre-copy */
	MIG_PHASE_SWITCHOVER, /* VM paused */
	MIG_PHASE_READY,      /* target ready, waiting for the commit */
	MIG_PHASE_DONE,
};

struct mig_round {
	uint32_t n_pages; /* dirty pages sent in this round */
	uint32_t n_zero, n_lz4, n_raw;
	uint64_t raw_bytes;  /* n_pages * 4096 */
	uint64_t sent_bytes; /* on the sockets, headers included */
	uint64_t duration_ns;
};

/* Everything is measured; a snapshot may be taken at any time. All durations monotonic. */
struct mig_report {
	enum mig_phase phase;
	int error; /* 0 or -errno once done */
	char error_text[160];
	unsigned n_channels;
	unsigned n_rounds; /* the last is the switchover's */
	struct mig_round rounds[MIG_MAX_ROUNDS + 2];
	uint64_t ram_bytes; /* size of the guest */
	uint64_t raw_bytes, sent_bytes;
	uint64_t state_bytes; /* saved units */
	uint64_t total_ns;    /* begin to ready */
	/* The blackout split by step; the owner adds commit and start. */
	uint64_t pause_ns, save_ns, sweep_ns, send_ns, target_ready_ns;
	uint64_t restore_ns;           /* of target_ready_ns, the units' part */
	uint64_t paused_at_ns;         /* CLOCK_MONOTONIC, 0 while running */
	uint64_t forecast_blackout_ns; /* expected when it was decided to switch over */
	uint32_t remaining_pages;      /* last estimate, for progress */
	uint8_t percent;               /* for progress bars: 0..100, never goes back */
};
/* The report as the JSON that viaductd and the command line show; NULL on a failed allocation.
 * "path" is null and "blackout" lacks "commit_ns" and "start_ns": the owner sets them. */
struct json *mig_report_json(const struct mig_report *report);

struct mig_source;
struct mig_target;

struct mig_source_callbacks {
	/* Something worth showing changed (at most about ten times a second). */
	void (*progress)(void *data);
	/* The target holds everything; commit, then mig_source_finish(). */
	void (*ready)(void *data);
	/* The job is over without a commit: `error` says why; the VM runs again (error != 0), or,
	 * after finish(true), it is stopped for good (error == 0). Called exactly once. */
	void (*done)(int error, const char *text, void *data);
};

/* Takes over the sockets (connected; 2 to 1 + MIG_MAX_CHANNELS), also on failure. */
int mig_source_start(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm,
	const int *fds, unsigned n_fds, const struct mig_source_callbacks *callbacks, void *data,
	struct mig_source **ret_source);
/* Stop as soon as possible, if `ready` was not called yet: -EBUSY afterwards. */
int mig_source_cancel(struct mig_source *source);
/* The verdict after `ready`. committed: `done` follows with 0. Not: the VM is resumed and `done`
 * follows with -ECANCELED. */
int mig_source_finish(struct mig_source *source, bool committed);
void mig_source_report(struct mig_source *source, struct mig_report *ret_report);
/* NULL is fine. Before `ready` this is a cancel and waits for `done`. After `ready` and without a
 * verdict nothing more happens to the VM, which stays paused, and `done` does not come: the owner
 * knows why. */
void mig_source_free(struct mig_source *source);

struct mig_target_callbacks {
	/* All is in place and restored; the owner may start the VM once the commit is known. */
	void (*ready)(void *data);
	/* The job failed before `ready`, or the source broke off: throw the VM away. At most once,
	 * and not after `ready` unless the source said that it aborts. */
	void (*failed)(int error, const char *text, void *data);
};

/* Takes over the sockets, also on failure; they may come in any order, the handshake sorts them. */
int mig_target_start(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm,
	const int *fds, unsigned n_fds, const struct mig_target_callbacks *callbacks, void *data,
	struct mig_target **ret_target);
/* Stop as soon as possible: `failed` follows with -ECANCELED. -EBUSY after `ready`. */
int mig_target_cancel(struct mig_target *target);
void mig_target_report(struct mig_target *target, struct mig_report *ret_report);
/* NULL is fine. Before `ready` this is a cancel and waits for `failed`. */
void mig_target_free(struct mig_target *target);

/* Quick migration: the paused VM's memory and units as one LZ4-compressed file with a checksum. The
 * file is written sequentially and synced; `params` gives name and cpuid digest; of the ops only
 * memory, save and restore are called, on the caller's thread. Progress through `progress` (may be
 * NULL).
 *
 * Loading verifies everything, to the last byte, before it restores the units. Errors, always with
 * a text: -EBADMSG (damaged, truncated, or never a saved VM), -EPROTONOSUPPORT (another version),
 * -ESTALE (another VM), -ENOTSUP (another CPU), -EMSGSIZE (other memory), and what reading and
 * restoring may return. After an error the VM's memory is waste. */
struct mig_file_stats {
	uint64_t raw_bytes, file_bytes, duration_ns;
};
int mig_save_file(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm, int fd,
	void (*progress)(unsigned percent, void *data), void *data,
	struct mig_file_stats *ret_stats, char *ret_error, size_t error_size_bytes);
int mig_load_file(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm, int fd,
	struct mig_file_stats *ret_stats, char *ret_error, size_t error_size_bytes);

#endif
