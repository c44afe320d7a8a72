/* SPDX-License-Identifier: MIT
 *
 * nvsp_args.h - the switches of the original's nvspbind and nvspscrub, rewritten into options of
 * 'nic bindings' and 'network scrub'. Pure.
 *
 * A switch begins with / or -, and letters count alike in both cases. What begins with -- is passed
 * on as it is, so --node, --json, --switch, --force and --dry-run work too.
 */
#ifndef VIADUCT_NODE_CTL_NVSP_ARGS_H
#define VIADUCT_NODE_CTL_NVSP_ARGS_H

#include "base/err.h"

#define NVSP_MAX_ARGS   24
#define NVSP_TEXT_BYTES 160

struct nvsp_args {
	char text[NVSP_MAX_ARGS][NVSP_TEXT_BYTES];
	char *argv[NVSP_MAX_ARGS + 1];
	int argc;
};

/* 1: the usage was asked for; 0: rewritten; -EINVAL with a sentence in `error`. `ret_args` may not
 * be copied afterwards. */
int nvspbind_rewrite(
	int argc, char **argv, struct nvsp_args *ret_args, char *error, size_t error_size_bytes);
int nvspscrub_rewrite(
	int argc, char **argv, struct nvsp_args *ret_args, char *error, size_t error_size_bytes);

extern const char nvspbind_usage[];
extern const char nvspscrub_usage[];

#endif
