/* SPDX-License-Identifier: MIT
 *
 * differ.h - what must be done so that a running cluster is as its file says: a list of steps, in
 * the order in which they can be done. A pure function of the file's values (cluster_file.h) and of
 * what cluster.describe answers. Threads: any.
 *
 * A step: {
 *   action      "create" | "change" | "remove" | "wait"
 *   object      "switch A on host1"
 *   details     ["vlan: access 2 -> access 3", ...]
 *   disruptive  why somebody will notice; absent: nobody does
 *   why         of "wait": why it cannot be done by a request now, and what to do
 *   request     what does it; not of "wait"
 * }
 *
 * What the file names is made so. An object that it describes has the defaults where the file says
 * nothing, except that cluster networks keep what is not named, and addresses that were leased
 * stay. What the file does not describe at all is left alone, or removed with `prune`.
 */
#ifndef VIADUCT_NODE_DEPLOY_DIFFER_H
#define VIADUCT_NODE_DEPLOY_DIFFER_H

#include "base/json.h"

/* Always a list; empty: the cluster is as the file says. */
struct json *differ_plan(const struct json *file, const struct json *cluster, bool prune);

/* How many steps have that action. */
size_t differ_count(const struct json *steps, const char *action);

#endif
