/* SPDX-License-Identifier: MIT
 *
 * stor_state.h - the saved controller: its units, then each channel. Saved and restored while
 * nothing is under way; restoring treats the bytes as hostile and needs the same units attached.
 * Internal to vmbus/.
 */
#ifndef VIADUCT_VMBUS_STOR_STATE_H
#define VIADUCT_VMBUS_STOR_STATE_H

#include "base/bytes.h"
#include "vmbus/stor_channel.h"

#define STOR_STATE_VERSION 1

void stor_luns_save(struct stor_luns *luns, struct buf *out);
/* -EBADMSG; then nothing has changed. */
int stor_luns_restore(struct stor_luns *luns, struct reader *in);

void stor_channel_save(struct stor_channel *channel, struct buf *out);
/* `open`: as the bus has restored it. -EBADMSG: closed, and useless until the guest opens it. */
int stor_channel_restore(struct stor_channel *channel, struct reader *in, bool open);

#endif
