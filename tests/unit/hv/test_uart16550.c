/* SPDX-License-Identifier: MIT */
#include "node/hv/uart16550.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct uart16550 uart;

static int setup(void **state _unused_)
{
	uart16550_init(&uart);
	return 0;
}

static void polled_output_is_never_busy(void **state _unused_)
{
	assert_int_equal(uart16550_read(&uart, LSR), 0x60);
	assert_true(uart16550_write(&uart, DATA, 'x'));
	assert_int_equal(uart16550_read(&uart, LSR), 0x60);
	assert_false(uart16550_irq(&uart));
}

static void received_bytes_interrupt_until_read(void **state _unused_)
{
	uart16550_write(&uart, IER, 1);
	assert_false(uart16550_irq(&uart));
	assert_int_equal(uart16550_receive(&uart, "ab", 2), 0);
	assert_true(uart16550_irq(&uart));
	assert_int_equal(uart16550_read(&uart, IIR), 4);
	assert_int_equal(uart16550_read(&uart, LSR) & 1, 1);
	assert_int_equal(uart16550_read(&uart, DATA), 'a');
	assert_true(uart16550_irq(&uart));
	assert_int_equal(uart16550_read(&uart, DATA), 'b');
	assert_false(uart16550_irq(&uart));
	assert_int_equal(uart16550_read(&uart, IIR), 1);
	assert_int_equal(uart16550_read(&uart, DATA), 0);
}

static void transmit_interrupt_is_settled_by_reading_it(void **state _unused_)
{
	uart16550_write(&uart, IER, 2);
	assert_true(uart16550_irq(&uart));
	assert_int_equal(uart16550_read(&uart, IIR), 2);
	assert_false(uart16550_irq(&uart));
	assert_true(uart16550_write(&uart, DATA, 'x'));
	assert_true(uart16550_irq(&uart));
	uart16550_write(&uart, IER, 0);
	assert_false(uart16550_irq(&uart));
}

static void divisor_hides_data_and_ier(void **state _unused_)
{
	uart16550_write(&uart, LCR, 0x83);
	assert_false(uart16550_write(&uart, DATA, 1));
	uart16550_write(&uart, IER, 2);
	assert_int_equal(uart16550_read(&uart, DATA), 1);
	assert_int_equal(uart16550_read(&uart, IER), 2);
	uart16550_write(&uart, LCR, 3);
	assert_int_equal(uart16550_read(&uart, IER), 0);
	assert_int_equal(uart16550_read(&uart, LCR), 3);
	assert_int_equal(uart.divisor, 0x201);
}

static void looks_like_a_16550a_with_a_cable(void **state _unused_)
{
	uart16550_write(&uart, IIR, 0x07);
	assert_int_equal(uart16550_read(&uart, IIR) & 0xc0, 0xc0);
	assert_int_equal(uart16550_read(&uart, MSR), 0xb0);
	uart16550_write(&uart, SCR, 0x5a);
	assert_int_equal(uart16550_read(&uart, SCR), 0x5a);
	uart16550_write(&uart, IER, 0xff);
	assert_int_equal(uart16550_read(&uart, IER), 0x0f);
	assert_int_equal(uart16550_read(&uart, 8), 0xff);
}

static void loopback_stays_inside(void **state _unused_)
{
	uart16550_write(&uart, MCR, 0x10 | 0x0a);
	assert_int_equal(uart16550_read(&uart, MSR), 0x90);
	assert_false(uart16550_write(&uart, DATA, 'l'));
	assert_int_equal(uart16550_read(&uart, DATA), 'l');
}

static void input_is_bounded(void **state _unused_)
{
	static uint8_t much[UART_INPUT_MAX_BYTES];

	assert_int_equal(uart16550_receive(&uart, much, sizeof(much)), 0);
	assert_int_equal(uart16550_receive(&uart, much, 1), -EAGAIN);
	(void)uart16550_read(&uart, DATA);
	assert_int_equal(uart16550_receive(&uart, "xy", 2), -EAGAIN);
	assert_int_equal(uart16550_receive(&uart, "x", 1), 0);
	/* Full in loopback: lost, not overwritten. */
	uart16550_write(&uart, MCR, 0x10);
	assert_false(uart16550_write(&uart, DATA, 'l'));
	assert_int_equal(uart.n_input, UART_INPUT_MAX_BYTES);
}

static void state_comes_back(void **state _unused_)
{
	static struct uart16550 second;
	struct buf saved = {0};
	struct reader in;

	uart16550_write(&uart, IER, 3);
	uart16550_write(&uart, LCR, 3);
	/* Wrap around. */
	for (unsigned i = 0; i < UART_INPUT_MAX_BYTES - 1; i++) {
		assert_int_equal(uart16550_receive(&uart, "-", 1), 0);
		(void)uart16550_read(&uart, DATA);
	}
	assert_int_equal(uart16550_receive(&uart, "abc", 3), 0);
	uart16550_save(&uart, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(uart16550_restore(&second, &in), 0);
	assert_true(reader_done(&in));
	assert_true(uart16550_irq(&second));
	assert_int_equal(uart16550_read(&second, DATA), 'a');
	assert_int_equal(uart16550_read(&second, DATA), 'b');
	assert_int_equal(uart16550_read(&second, DATA), 'c');
	assert_int_equal(uart16550_read(&second, IIR), 2);
	for (size_t n = 0; n < saved.size_bytes; n++) {
		in = reader_make(saved.data, n);
		assert_int_equal(uart16550_restore(&second, &in), -EBADMSG);
	}
	buf_fini(&saved);
}

static void bad_states_are_refused(void **state _unused_)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{0, 0x10}, {1, 0x02}, {3, 0x20}, {7, 2}, {10, 1 /* 65536 + 1 bytes */}};
	static struct uart16550 second;
	struct buf saved = {0};

	uart16550_save(&uart, &saved);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf copy = {0};
		struct reader in;

		buf_bytes(&copy, saved.data, saved.size_bytes);
		copy.data[bad[i].at] = bad[i].value;
		if (bad[i].at == 10)
			copy.data[8] = 1;
		in = reader_make(copy.data, copy.size_bytes);
		assert_int_equal(uart16550_restore(&second, &in), -EBADMSG);
		assert_int_equal(second.n_input, 0);
		buf_fini(&copy);
	}
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(polled_output_is_never_busy, setup),
		cmocka_unit_test_setup(received_bytes_interrupt_until_read, setup),
		cmocka_unit_test_setup(transmit_interrupt_is_settled_by_reading_it, setup),
		cmocka_unit_test_setup(divisor_hides_data_and_ier, setup),
		cmocka_unit_test_setup(looks_like_a_16550a_with_a_cable, setup),
		cmocka_unit_test_setup(loopback_stays_inside, setup),
		cmocka_unit_test_setup(input_is_bounded, setup),
		cmocka_unit_test_setup(state_comes_back, setup),
		cmocka_unit_test_setup(bad_states_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
