/* SPDX-License-Identifier: MIT
 *
 * list.h - intrusive doubly linked list. An initialised, unlinked node points to itself, so
 * list_remove() may be called twice.
 */
#ifndef VIADUCT_BASE_LIST_H
#define VIADUCT_BASE_LIST_H

#include "base/err.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Iterate; the body may remove `var` itself but no other node. */
#define list_for_each(var, head, member)                                                           \
	for (__typeof__(var) var##_next, _once_##var = NULL;                                       \
	     !_once_##var; _once_##var = (void *)1)                                                \
		for (var = container_of((head)->next, __typeof__(*var), member);                   \
		     &var->member != (head) &&                                                     \
		     (var##_next = container_of(var->member.next, __typeof__(*var), member), 1);   \
		     var = var##_next)

#endif
