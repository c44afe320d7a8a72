/* SPDX-License-Identifier: MIT
 *
 * sandbox.h - what the switch process gives up before it looks at its first frame.
 */
#ifndef VIADUCT_FABRIC_SANDBOX_H
#define VIADUCT_FABRIC_SANDBOX_H

#include "base/err.h"

/* Become nobody if still root, for good, and allow no system call but those that moving frames
 * takes; others fail with EPERM. All threads started later are bound too. *ret_what names the step
 * that failed. */
int sandbox_enter(const char **ret_what);

#endif
