/* SPDX-License-Identifier: MIT
 *
 * sandbox.h - what viaduct-vmhost gives up before it looks at a byte of its guest or of a peer.
 * docs/security.md says what that leaves to somebody who has taken the process over.
 *
 * Two steps, because setting a VM up takes more than running it: each installs a filter of system
 * calls, and what either refuses is refused. A call that nobody needs ends the process; where
 * libraries only try whether something is there - files, clone3() - they are told that it is not.
 */
#ifndef VIADUCT_NODE_VM_SANDBOX_H
#define VIADUCT_NODE_VM_SANDBOX_H

#include "base/err.h"

/* A sanitizer opens files, looks into its own process and makes system calls of its own: such
 * builds give up descriptors and credentials only. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_IS_WHOLE 0
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_IS_WHOLE 0
#endif
#ifndef SANDBOX_IS_WHOLE
#define SANDBOX_IS_WHOLE 1
#endif

/* First of all, while there is one thread, but with the log in place: which of the namespaces the
 * kernel does not give is said there, and no error; everything else is. Of the descriptors only the
 * standard three and `control_fd` stay open. */
int sandbox_enter(int control_fd);

/* Once the VM is complete, for all threads there are and will be. */
int sandbox_tighten(void);

#endif
