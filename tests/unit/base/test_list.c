/* SPDX-License-Identifier: MIT */
#include "base/list.h"

#include "tests/unit/base/cmocka_all.h"

struct item {
	int value;
	struct list siblings;
};

static void items_append(struct list *head, struct item *items, int n)
{
	list_init(head);
	for (int i = 0; i < n; i++) {
		items[i].value = i;
		list_append(head, &items[i].siblings);
	}
}

static void test_iterates_in_both_directions(void **state)
{
	struct item items[3], *item;
	struct list head;
	int expected = 0;

	(void)state;
	items_append(&head, items, 3);
	list_for_each(item, &head, siblings)
		assert_int_equal(item->value, expected++);
	assert_int_equal(expected, 3);
	list_for_each_reverse(item, &head, siblings)
		assert_int_equal(item->value, --expected);
	assert_int_equal(expected, 0);
}

static void test_break_leaves_the_loop(void **state)
{
	struct item items[3], *item;
	struct list head;

	(void)state;
	items_append(&head, items, 3);
	list_for_each(item, &head, siblings) {
		if (item->value == 1)
			break;
	}
	assert_ptr_equal(item, &items[1]);
}

static void test_entries_may_go_while_iterating(void **state)
{
	struct item *item, *next;
	struct list head;
	int n = 0;

	(void)state;
	list_init(&head);
	list_for_each_safe(item, next, &head, siblings)
		fail();
	for (int i = 0; i < 4; i++) {
		item = calloc(1, sizeof(*item));
		assert_non_null(item);
		item->value = i;
		list_append(&head, &item->siblings);
	}
	list_for_each_safe(item, next, &head, siblings) {
		if (item->value % 2 == 0) {
			list_remove(&item->siblings);
			free(item);
		}
		n++;
	}
	assert_int_equal(n, 4);
	item = list_pop(&head, struct item, siblings);
	assert_int_equal(item->value, 1);
	free(item);
	item = list_pop(&head, struct item, siblings);
	assert_int_equal(item->value, 3);
	free(item);
	assert_null(list_pop(&head, struct item, siblings));
	assert_true(list_empty(&head));
}

static void test_remove_twice_is_harmless(void **state)
{
	struct item items[2];
	struct list head = LIST_INIT(head);

	(void)state;
	assert_true(list_empty(&head));
	items_append(&head, items, 2);
	list_remove(&items[0].siblings);
	list_remove(&items[0].siblings);
	assert_ptr_equal(head.next, &items[1].siblings);
	assert_ptr_equal(head.prev, &items[1].siblings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iterates_in_both_directions),
		cmocka_unit_test(test_break_leaves_the_loop),
		cmocka_unit_test(test_entries_may_go_while_iterating),
		cmocka_unit_test(test_remove_twice_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
