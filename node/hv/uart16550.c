/* SPDX-License-Identifier: MIT */
#include "node/hv/uart16550.h"

enum {
	REG_DATA = 0, /* divisor, low byte, with DLAB */
	REG_IER = 1,  /* divisor, high byte, with DLAB */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_RECEIVED    0x01
#define IER_TRANSMITTED 0x02
#define IER_BITS        0x0f
#define IIR_NONE        0x01
#define IIR_TRANSMITTED 0x02
#define IIR_RECEIVED    0x04
#define IIR_FIFO        0xc0
#define FCR_ENABLE      0x01
#define FCR_KEPT        0xc9 /* the resets clear themselves */
#define LCR_DLAB        0x80
#define MCR_DTR         0x01
#define MCR_RTS         0x02
#define MCR_OUT1        0x04
#define MCR_OUT2        0x08
#define MCR_LOOP        0x10
#define MCR_BITS        0x1f
#define LSR_DATA_READY  0x01
#define LSR_TX_EMPTY    0x60 /* holding register and transmitter */
#define MSR_CTS         0x10
#define MSR_DSR         0x20
#define MSR_RI          0x40
#define MSR_DCD         0x80

#define DIVISOR_9600 12

void uart16550_init(struct uart16550 *uart)
{
	memset(uart, 0, sizeof(*uart));
	uart->divisor = DIVISOR_9600;
}

static bool has_divisor_access(const struct uart16550 *uart)
{
	return uart->lcr & LCR_DLAB;
}

static uint8_t take_input(struct uart16550 *uart)
{
	uint8_t byte;

	if (!uart->n_input)
		return 0;
	byte = uart->input[uart->input_at];
	uart->input_at = (uart->input_at + 1) % UART_INPUT_MAX_BYTES;
	uart->n_input--;
	return byte;
}

/* The most urgent interrupt there is; reading it settles a transmit interrupt. */
static uint8_t interrupt_id(const struct uart16550 *uart)
{
	if (uart->ier & IER_RECEIVED && uart->n_input)
		return IIR_RECEIVED;
	if (uart->ier & IER_TRANSMITTED && uart->transmit_pending)
		return IIR_TRANSMITTED;
	return IIR_NONE;
}

static uint8_t read_interrupt_id(struct uart16550 *uart)
{
	uint8_t id = interrupt_id(uart);

	if (id == IIR_TRANSMITTED)
		uart->transmit_pending = false;
	return id | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

/* In loopback the modem outputs are wired to the modem inputs: drivers look for that. */
static uint8_t modem_status(const struct uart16550 *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (uart->mcr & MCR_OUT1 ? MSR_RI : 0) |
			 (uart->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

uint8_t uart16550_read(struct uart16550 *uart, unsigned reg)
{
	switch (reg) {
	case REG_DATA:
		return has_divisor_access(uart) ? (uint8_t)uart->divisor : take_input(uart);
	case REG_IER:
		return has_divisor_access(uart) ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case REG_IIR:
		return read_interrupt_id(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return LSR_TX_EMPTY | (uart->n_input ? LSR_DATA_READY : 0);
	case REG_MSR:
		return modem_status(uart);
	case REG_SCR:
		return uart->scr;
	default:
		return 0xff;
	}
}

static bool write_data(struct uart16550 *uart, uint8_t value)
{
	if (has_divisor_access(uart)) {
		uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
		return false;
	}
	uart->transmit_pending = true;
	if (!(uart->mcr & MCR_LOOP))
		return true;
	(void)uart16550_receive(uart, &value, 1); /* a full FIFO overruns */
	return false;
}

static void write_ier(struct uart16550 *uart, uint8_t value)
{
	if (has_divisor_access(uart)) {
		uart->divisor = (uint16_t)(value << 8 | (uart->divisor & 0xff));
		return;
	}
	/* The transmitter is empty already: enabling its interrupt raises it. */
	if (value & IER_TRANSMITTED && !(uart->ier & IER_TRANSMITTED))
		uart->transmit_pending = true;
	uart->ier = value & IER_BITS;
}

bool uart16550_write(struct uart16550 *uart, unsigned reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA:
		return write_data(uart, value);
	case REG_IER:
		write_ier(uart, value);
		break;
	case REG_IIR: /* a receiver reset leaves what is still on the line, and that is all there is
		       */
		uart->fcr = value & FCR_KEPT;
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart->mcr = value & MCR_BITS;
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
	return false;
}

bool uart16550_irq(const struct uart16550 *uart)
{
	return interrupt_id(uart) != IIR_NONE;
}

int uart16550_receive(struct uart16550 *uart, const void *bytes, size_t size_bytes)
{
	const uint8_t *from = bytes;

	if (size_bytes > UART_INPUT_MAX_BYTES - uart->n_input)
		return -EAGAIN;
	for (size_t i = 0; i < size_bytes; i++)
		uart->input[(uart->input_at + uart->n_input++) % UART_INPUT_MAX_BYTES] = from[i];
	return 0;
}

void uart16550_save(const struct uart16550 *uart, struct buf *out)
{
	buf_u8(out, uart->ier);
	buf_u8(out, uart->fcr);
	buf_u8(out, uart->lcr);
	buf_u8(out, uart->mcr);
	buf_u8(out, uart->scr);
	buf_le16(out, uart->divisor);
	buf_u8(out, uart->transmit_pending);
	buf_le32(out, uart->n_input);
	for (uint32_t i = 0; i < uart->n_input; i++)
		buf_u8(out, uart->input[(uart->input_at + i) % UART_INPUT_MAX_BYTES]);
}

int uart16550_restore(struct uart16550 *uart, struct reader *in)
{
	uint8_t pending;

	uart16550_init(uart);
	uart->ier = reader_u8(in);
	uart->fcr = reader_u8(in);
	uart->lcr = reader_u8(in);
	uart->mcr = reader_u8(in);
	uart->scr = reader_u8(in);
	uart->divisor = reader_le16(in);
	pending = reader_u8(in);
	uart->n_input = reader_le32(in);
	if (!reader_ok(in) || uart->ier & ~IER_BITS || uart->fcr & ~FCR_KEPT ||
		uart->mcr & ~MCR_BITS || pending > 1 || uart->n_input > UART_INPUT_MAX_BYTES) {
		uart16550_init(uart);
		return -EBADMSG;
	}
	uart->transmit_pending = pending;
	reader_bytes(in, uart->input, uart->n_input);
	return reader_ok(in) ? 0 : -EBADMSG;
}
