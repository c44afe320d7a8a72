/* SPDX-License-Identifier: MIT
 *
 * uart16550.h - a 16550A serial port as a pure state machine: eight registers, transmission that
 * takes no time, and a queue of received bytes that stands for the device's FIFO and the line
 * behind it.
 *
 * Modelled: DLAB, FIFO identification, loopback, scratch, receive and transmit interrupts, modem
 * status of a cable that is plugged in. Not modelled: line errors, timing, DMA.
 *
 * Threads: one caller at a time. Saved form: ier, fcr, lcr, mcr, scr u8, divisor u16,
 * transmit_pending u8, n u32 and n received bytes.
 */
#ifndef VIADUCT_NODE_HV_UART16550_H
#define VIADUCT_NODE_HV_UART16550_H

#include "base/bytes.h"

#define UART_INPUT_MAX_BYTES 65536

struct uart16550 {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint16_t divisor;
	bool transmit_pending;      /* "transmitter is empty" was not yet reported */
	uint32_t input_at, n_input; /* a ring */
	uint8_t input[UART_INPUT_MAX_BYTES];
};

void uart16550_init(struct uart16550 *uart);

uint8_t uart16550_read(struct uart16550 *uart, unsigned reg);
/* True: `value` went out on the line. */
bool uart16550_write(struct uart16550 *uart, unsigned reg, uint8_t value);
/* The state of the interrupt line; to be looked at after every call. */
bool uart16550_irq(const struct uart16550 *uart);

/* All of it or nothing: -EAGAIN. */
int uart16550_receive(struct uart16550 *uart, const void *bytes, size_t size_bytes);

void uart16550_save(const struct uart16550 *uart, struct buf *out);
int uart16550_restore(struct uart16550 *uart, struct reader *in);

#endif
