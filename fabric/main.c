/* SPDX-License-Identifier: MIT
 *
 * viaduct-vswitchd - the virtual switches of a node. Started by the node service with the control
 * channel as descriptor 3; everything else comes through it (fabric/ctl.h).
 */
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "fabric/ctl.h"
#include "fabric/sandbox.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PROGRAM    "viaduct-vswitchd"
#define CONTROL_FD 3

struct program {
	struct loop *loop;
	int status;
};

static void on_close(int error, void *data)
{
	struct program *program = data;

	/* A node service that is gone is an end like any other. */
	if (error != -EPIPE) {
		log_error("the control channel failed: %s", strerror(-error));
		program->status = EXIT_FAILURE;
	}
	loop_stop(program->loop);
}

static void on_signal(int signal_number _unused_, void *data)
{
	struct program *program = data;

	loop_stop(program->loop);
}

static int check_control_fd(void)
{
	struct stat status;

	return fstat(CONTROL_FD, &status) == 0 && S_ISSOCK(status.st_mode) ? 0 : -EBADF;
}

/* Libraries that open a file when first used do it while there are files. */
static void warm_up(void)
{
	tzset();
	json_unref(json_object_new());
}

static int run(struct program *program)
{
	struct fabric_ctl *ctl;
	int r = loop_signal_add(program->loop, SIGTERM, on_signal, program);

	if (r == 0)
		r = loop_signal_add(program->loop, SIGINT, on_signal, program);
	if (r == 0)
		r = fabric_ctl_new(program->loop, CONTROL_FD, on_close, program, &ctl);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	log_info("ready");
	loop_run(program->loop);
	fabric_ctl_free(ctl);
	return 0;
}

int main(void)
{
	struct program program = {.status = EXIT_SUCCESS};
	const char *what;
	int r;

	log_init(PROGRAM, LOG_LEVEL_INFO, -1);
	/* A VM that ends leaves a pipe without reader behind. */
	signal(SIGPIPE, SIG_IGN);
	if (check_control_fd() < 0) {
		log_error("descriptor %d is not a control channel; the node service starts this "
			  "program",
			CONTROL_FD);
		return EXIT_FAILURE;
	}
	warm_up();
	r = sandbox_enter(&what);
	if (r < 0) {
		log_error("%s failed: %s", what, strerror(-r));
		return EXIT_FAILURE;
	}
	r = loop_new(&program.loop);
	if (r < 0) {
		log_error("cannot make the event loop: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (run(&program) < 0)
		program.status = EXIT_FAILURE;
	loop_free(program.loop);
	log_fini();
	return program.status;
}
