/* SPDX-License-Identifier: MIT
 *
 * The switch's end of a shared-memory port. The VM kicks us through an eventfd that is polled
 * edge-triggered and never read: its file status flags are shared with the VM, which could make a
 * read block. We kick the VM through a pipe, whose write end nobody else holds, for the same
 * reason.
 */
#include "fabric/io.h"
#include "fabric/offload.h"
#include "fabric/shm_ring.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* Smaller ones are copied whole. The head has all headers that a super-frame may have
 * (offload.h), with a tag in front. */
#define SUPER_MIN_BYTES  8192U
#define SUPER_HEAD_BYTES 1024U

_Static_assert(SUPER_HEAD_BYTES > GSO_MAX_HEADER_BYTES + ETH_TAG_BYTES, "headers are in the head");

struct io_shm {
	struct io io;
	struct shm_port *port;
	uint32_t ring_bytes;
	struct shm_consumer from_vm;
	struct shm_producer to_vm;
	int kick_switch_fd; /* polled */
	int kick_vm_fd;     /* written */
};

static void kick_vm(struct io_shm *shm)
{
	static const uint64_t one = 1;
	ssize_t written = write(shm->kick_vm_fd, &one, sizeof(one));

	/* A full pipe has kicks enough in it, and a VM that is gone needs none. */
	(void)written;
}

static int shm_poll_fd(const struct io *io)
{
	return container_of(io, struct io_shm, io)->kick_switch_fd;
}

static uint32_t shm_caps(const struct io *io)
{
	const struct io_shm *shm = container_of(io, struct io_shm, io);

	return __atomic_load_n(&shm->port->vm_caps, __ATOMIC_RELAXED);
}

static int shm_broken(struct io_shm *shm, const char *why)
{
	io_set_reason(&shm->io, why);
	__atomic_store_n(&shm->port->switch_state, SHM_PORT_SHUT, __ATOMIC_RELAXED);
	kick_vm(shm);
	return -EBADMSG;
}

/* The payload of a super-frame is copied once, from ring to ring, when it is known where to. */
static void take(struct io_shm *shm, uint32_t size_bytes, uint8_t *data, struct frame *frame)
{
	bool is_super = size_bytes >= SUPER_MIN_BYTES && shm_consumer_is_super(&shm->from_vm);
	uint32_t head_bytes = is_super ? SUPER_HEAD_BYTES : size_bytes;

	*frame = (struct frame){
		.data = data,
		.size_bytes = head_bytes,
		.tail_bytes = size_bytes - head_bytes,
	};
	frame->n_tail = shm_consumer_take_head(
		&shm->from_vm, &frame->hdr, frame->data, head_bytes, frame->tail);
	/* A VM cannot vouch for its checksums. */
	frame->hdr.flags &= (uint8_t)~ETH_HDR_DATA_VALID;
}

static int shm_recv(struct io *io, struct io_batch *batch)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);
	const uint32_t limit_bytes = MIN(batch->max_bytes, IO_ARENA_BYTES);
	uint32_t arena_used_bytes = 0, taken_bytes = 0, size_bytes;
	int r = 0;

	/* Records that are dropped count too: a VM may write them as fast as we skip them. */
	for (unsigned n_records = 0; n_records < IO_BATCH_FRAMES; n_records++) {
		struct frame *frame = &batch->frames[batch->n_frames];

		r = shm_consumer_peek(&shm->from_vm, &size_bytes);
		if (r < 0)
			break;
		if (size_bytes > ETH_FRAME_MAX_BYTES) {
			shm_consumer_take(&shm->from_vm, NULL, NULL);
			batch->dropped[DROP_GIANT]++;
			continue;
		}
		if (batch->n_frames > 0 && size_bytes + taken_bytes > limit_bytes)
			break;
		if (size_bytes > IO_ARENA_BYTES - arena_used_bytes)
			break;
		take(shm, size_bytes, batch->arena + arena_used_bytes, frame);
		arena_used_bytes =
			MIN(ALIGN_UP(arena_used_bytes + frame->size_bytes, 16U), IO_ARENA_BYTES);
		taken_bytes += size_bytes;
		batch->n_frames++;
	}
	return r == -EBADMSG ? shm_broken(shm, shm->from_vm.why) : 0;
}

static void shm_release(struct io *io)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);

	if (shm_consumer_publish(&shm->from_vm))
		kick_vm(shm);
}

static int shm_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);
	int r = shm_producer_put(&shm->to_vm, hdr, iov, n_iov);

	if (r == 0) {
		io->tx.n_frames++;
		for (unsigned i = 0; i < n_iov; i++)
			io->tx.n_bytes += iov[i].iov_len;
	} else if (r == -EAGAIN) {
		io->tx.n_full++;
	} else if (r == -EMSGSIZE) {
		io->tx.n_error++;
	} else {
		return shm_broken(shm, shm->to_vm.why);
	}
	return 0;
}

static int shm_flush(struct io *io)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);

	shm_producer_publish(&shm->to_vm);
	return 0;
}

static void shm_kick(struct io *io)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);

	if (shm_producer_must_kick(&shm->to_vm))
		kick_vm(shm);
}

static bool shm_arm(struct io *io)
{
	return shm_consumer_arm(&container_of(io, struct io_shm, io)->from_vm);
}

static void shm_free(struct io *io)
{
	struct io_shm *shm = container_of(io, struct io_shm, io);

	if (shm->port) {
		__atomic_store_n(&shm->port->switch_state, SHM_PORT_SHUT, __ATOMIC_RELAXED);
		kick_vm(shm);
		munmap(shm->port, shm_port_size_bytes(shm->ring_bytes));
	}
	close_fd(shm->kick_switch_fd);
	close_fd(shm->kick_vm_fd);
	free(shm);
}

static const struct io_ops io_shm_ops = {
	.kind = "vm",
	.duplex = true,
	.poll_events = EPOLLIN | EPOLLET,
	.poll_fd = shm_poll_fd,
	.caps = shm_caps,
	.recv = shm_recv,
	.release = shm_release,
	.send = shm_send,
	.flush = shm_flush,
	.kick = shm_kick,
	.arm = shm_arm,
	.free = shm_free,
};

/* A sealed memfd: neither side can make the other's accesses fault. */
static int make_memory(uint32_t ring_bytes, int *ret_fd, struct shm_port **ret_port)
{
	_cleanup_close_ int fd = memfd_create("viaduct-port", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t size_bytes = shm_port_size_bytes(ring_bytes);
	struct shm_port *port;

	if (fd < 0 || ftruncate(fd, (off_t)size_bytes) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	port = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (port == MAP_FAILED)
		return -errno;
	port->magic = SHM_PORT_MAGIC;
	port->version = SHM_PORT_VERSION;
	port->ring_bytes = ring_bytes;
	port->switch_state = SHM_PORT_LIVE;
	*ret_fd = take_fd(&fd);
	*ret_port = port;
	return 0;
}

int io_shm_new(uint32_t ring_bytes, struct io **ret_io, int ret_fds[3])
{
	_cleanup_close_ int memory_fd = -1, vm_kick_switch_fd = -1;
	struct io_shm *shm;
	int pipe_fds[2];
	int r;

	if (!shm_ring_size_is_valid(ring_bytes))
		return -EINVAL;
	shm = calloc(1, sizeof(*shm));
	if (!shm)
		return -ENOMEM;
	shm->io.ops = &io_shm_ops;
	shm->ring_bytes = ring_bytes;
	shm->kick_vm_fd = -1;
	shm->kick_switch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = shm->kick_switch_fd < 0 ? -errno : make_memory(ring_bytes, &memory_fd, &shm->port);
	if (r < 0)
		goto fail;
	vm_kick_switch_fd = fcntl(shm->kick_switch_fd, F_DUPFD_CLOEXEC, 0);
	if (vm_kick_switch_fd < 0 || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		goto fail;
	}
	shm->kick_vm_fd = pipe_fds[1];
	shm_consumer_init(&shm->from_vm, &shm->port->to_switch,
		shm_port_ring(shm->port, ring_bytes, 0), ring_bytes);
	shm_producer_init(&shm->to_vm, &shm->port->to_vm, shm_port_ring(shm->port, ring_bytes, 1),
		ring_bytes);
	ret_fds[0] = take_fd(&memory_fd);
	ret_fds[1] = take_fd(&vm_kick_switch_fd);
	ret_fds[2] = pipe_fds[0];
	*ret_io = &shm->io;
	return 0;
fail:
	shm_free(&shm->io);
	return r;
}
