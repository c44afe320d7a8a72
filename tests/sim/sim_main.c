/* SPDX-License-Identifier: MIT
 *
 * viaduct-sim - the cluster's replicated store in simulated clusters; see tests/sim/README.md.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/scale.h"
#include "tests/sim/schedule.h"
#include "tests/sim/script.h"

#define N_SCHEDULES 10000
#define N_VMS       10000

struct options {
	struct schedule_config schedule;
	uint64_t first_seed, n_schedules;
	bool one_seed;
	bool must_find;     /* --mutation: a violation is what is wanted */
	const char *folder; /* --case */
	bool update;
	bool scale;
	unsigned n_vms;
};

static void print_log(const struct sim *sim)
{
	fwrite(sim->log.data, 1, sim->log.size_bytes, stdout);
}

static void add(struct sim_stats *sum, const struct sim_stats *one)
{
	const uint64_t *from = (const uint64_t *)one;
	uint64_t *to = (uint64_t *)sum;
	uint64_t longest_ns = MAX(sum->longest_recovery_ns, one->longest_recovery_ns);

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
	sum->longest_recovery_ns = longest_ns;
}

static void print_stats(const struct sim_stats *stats, uint64_t n_schedules)
{
	const struct {
		const char *text;
		uint64_t n;
	} rows[] = {
		{"schedules", n_schedules},
		{"steps", stats->n_steps},
		{"messages sent", stats->n_messages},
		{"memberships delivered", stats->n_memberships},
		{"syncs seen by members", stats->n_epochs},
		{"stores handed over", stats->n_handovers},
		{"splits", stats->n_splits},
		{"crashes", stats->n_crashes},
		{"starts", stats->n_starts},
		{"connections lost", stats->n_disconnects},
		{"disks failing", stats->n_disk_errors},
		{"disks that do not answer", stats->n_stalls},
		{"hangs", stats->n_hangs},
		{"members said not to answer", stats->n_suspicions},
		{"members counted as silent", stats->n_silent},
		{"writes asked for", stats->n_writes},
		{"  done", stats->n_done},
		{"  reported without a member that was behind", stats->n_ahead},
		{"  another version was there", stats->n_stale},
		{"  perhaps done", stats->n_unknown},
		{"  refused or not done", stats->n_refused},
		{"  sent again in another epoch", stats->n_resent},
		{"VMs and volumes started", stats->n_started},
		{"  moved", stats->n_moved},
		{"  taken over", stats->n_taken_over},
		{"  by leases", stats->n_leased_takeovers},
		{"leases renewed", stats->n_renewals},
		{"lowest protocol version raised", stats->n_raised},
		{"comparisons of stores, seen by members", stats->n_checks},
		{"  that had to find another one", stats->n_corrupted},
		{"longest recovery, simulated ms", stats->longest_recovery_ns / 1000000},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		printf("%-40s %12" PRIu64 "\n", rows[i].text, rows[i].n);
}

/* A schedule that failed, once more and with its log. */
static void explain(struct options *options, uint64_t seed)
{
	struct schedule_config config = options->schedule;
	struct sim *sim;

	config.seed = seed;
	config.is_logged = true;
	sim = schedule_run(&config);
	print_log(sim);
	printf("seed %" PRIu64 ": %s, at %.6f s\n", seed,
		sim->violation[0] ? sim->violation : "all as it should be",
		(double)sim->violated_ns / 1e9);
	sim_free(sim);
}

static int run_schedules(struct options *options)
{
	struct sim_stats sum = {};
	bool found = false;
	uint64_t i;

	for (i = 0; i < options->n_schedules && !found; i++) {
		struct schedule_config config = options->schedule;
		struct sim *sim;

		config.seed = options->first_seed + i;
		sim = schedule_run(&config);
		add(&sum, &sim->stats);
		found = sim->violation[0];
		if (found && options->must_find)
			printf("found at seed %" PRIu64 ": %s\n", config.seed, sim->violation);
		sim_free(sim);
		if (found && !options->must_find)
			explain(options, config.seed);
	}
	if (!options->must_find)
		print_stats(&sum, i);
	else if (!found)
		printf("not found in %" PRIu64 " schedules\n", i);
	return found == options->must_find ? 0 : 1;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--schedules N] [--first N]   random schedules\n"
		"       %s --seed N                      one of them, with its log\n"
		"       %s --mutation NAME               with something wrong, which must be "
		"found\n"
		"       %s --case FOLDER [--update]      a scripted one, against its log\n"
		"       %s --scale [--vms N]             what large clusters cost\n",
		program, program, program, program, program);
	return 2;
}

static bool parse_mutation(struct options *options, const char *name)
{
	options->must_find = true;
	for (enum bus_mutation i = BUS_AS_IT_IS + 1; i < BUS_N_MUTATIONS; i++) {
		if (strcmp(name, bus_mutation_name(i)) == 0) {
			options->schedule.mutation = i;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"schedules", required_argument, NULL, 'n'},
		{"first", required_argument, NULL, 'f'},
		{"seed", required_argument, NULL, 's'},
		{"mutation", required_argument, NULL, 'm'},
		{"case", required_argument, NULL, 'c'},
		{"update", no_argument, NULL, 'u'},
		{"scale", no_argument, NULL, 'S'},
		{"vms", required_argument, NULL, 'v'},
		{},
	};
	struct options options = {.first_seed = 1, .n_schedules = N_SCHEDULES, .n_vms = N_VMS};
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (c == 'n')
			options.n_schedules = strtoull(optarg, NULL, 10);
		else if (c == 'f' || c == 's')
			options.first_seed = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			options.folder = optarg;
		else if (c == 'S')
			options.scale = true;
		else if (c == 'v')
			options.n_vms = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'u')
			options.update = true;
		else if (c != 'm' || !parse_mutation(&options, optarg))
			return usage(argv[0]);
		options.one_seed = options.one_seed || c == 's';
	}
	if (optind < argc)
		return usage(argv[0]);
	if (options.scale)
		return (scale_print(options.n_vms) && scale_print_failover(options.n_vms)) ? 0 : 1;
	if (options.folder)
		return script_run_case(options.folder, options.update) ? 0 : 1;
	if (options.one_seed) {
		explain(&options, options.first_seed);
		return 0;
	}
	return run_schedules(&options);
}
