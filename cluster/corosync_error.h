/* SPDX-License-Identifier: MIT
 *
 * corosync_error.h - corosync's errors as ours, for the four links.
 */
#ifndef VIADUCT_CLUSTER_COROSYNC_ERROR_H
#define VIADUCT_CLUSTER_COROSYNC_ERROR_H

#include "base/err.h"

#include <corosync/corotypes.h>

static inline int corosync_errno(cs_error_t error)
{
	switch (error) {
	case CS_OK:
		return 0;
	case CS_ERR_TRY_AGAIN:
	case CS_ERR_QUEUE_FULL:
		return -EAGAIN;
	case CS_ERR_NOT_EXIST:
	case CS_ERR_NAME_NOT_FOUND:
	case CS_ERR_NO_SECTIONS:
		return -ENOENT;
	case CS_ERR_ACCESS:
	case CS_ERR_SECURITY:
		return -EACCES;
	case CS_ERR_NO_MEMORY:
	case CS_ERR_NO_RESOURCES:
		return -ENOMEM;
	case CS_ERR_TOO_BIG:
		return -EMSGSIZE;
	default:
		return -ECONNREFUSED;
	}
}

#endif
