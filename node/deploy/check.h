/* SPDX-License-Identifier: MIT
 *
 * check.h - what a cluster's file says in one place must agree with what it says in another: names
 * that are referred to exist, nothing is there twice, addresses are in their subnets. Looks at the
 * document, so that each problem has its line, and takes what the schema has complained about as
 * not said. Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_DEPLOY_CHECK_H
#define VIADUCT_NODE_DEPLOY_CHECK_H

#include "node/deploy/doc.h"

/* check.c: networks, nodes, volumes. */
void check_cluster(const struct doc *file, struct problems *problems);
/* check_switch.c: switches, and what refers to them. */
void check_switches(const struct doc *file, struct problems *problems);
/* check_vm.c */
void check_vms(const struct doc *file, struct problems *problems);

/* The entry of the list whose `key` is `value`; NULL: none. */
const struct doc *check_find(const struct doc *list, const char *key, const char *value);
/* `name` must be the name of an entry of the file's list; if not, a problem with what was probably
 * meant. `what`: "node". */
void check_refers(const struct doc *file, const char *list, const struct doc *name,
	const char *what, struct problems *problems);
/* No two entries have the same text there. */
void check_unique(
	const struct doc *list, const char *key, const char *what, struct problems *problems);
/* Of a list of names: each refers to something, and is there once. */
void check_names(const struct doc *file, const char *list, const struct doc *names,
	const char *what, struct problems *problems);
/* Is the switch on that node? NULL node: on any. */
bool check_switch_is_on(const struct doc *a_switch, const char *node);
/* The switch of that name or logical name on that node (NULL: on any), or NULL. */
const struct doc *check_find_switch(
	const struct doc *file, const char *reference, const char *node);

#endif
