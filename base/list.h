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

#define LIST_INIT(name)                                                                            \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

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

#define list_entry(node, type, member) container_of(node, type, member)

/* Iterate with `var`, a pointer to the structs that hold `member`. The body removes nothing. */
#define list_for_each(var, head, member)                                                           \
	for (var = list_entry((head)->next, __typeof__(*var), member); &var->member != (head);     \
		var = list_entry(var->member.next, __typeof__(*var), member))

/* The same, from the last to the first. */
#define list_for_each_reverse(var, head, member)                                                   \
	for (var = list_entry((head)->prev, __typeof__(*var), member); &var->member != (head);     \
		var = list_entry(var->member.prev, __typeof__(*var), member))

/* Iterate with a second variable, `after`, of the type of `var`: the body may remove or free `var`,
 * but no other node. */
#define list_for_each_safe(var, after, head, member)                                               \
	for (var = list_entry((head)->next, __typeof__(*var), member),                             \
	    after = list_entry(var->member.next, __typeof__(*var), member);                        \
		&var->member != (head);                                                            \
		var = after, after = list_entry(after->member.next, __typeof__(*var), member))

/* The first entry, which is taken off the list, or NULL. */
#define list_pop(head, type, member)                                                               \
	({                                                                                         \
		struct list *_head = (head);                                                       \
		struct list *_node = _head->next;                                                  \
		if (_node != _head)                                                                \
			list_remove(_node);                                                        \
		_node != _head ? list_entry(_node, type, member) : NULL;                           \
	})

#endif
