/* SPDX-License-Identifier: MIT
 *
 * The team's poll descriptor is an epoll over the members, what watches their links and a timer for
 * the end of hold times, all level-triggered.
 */
#include "fabric/io_team.h"
#include "base/bytes.h"
#include "fabric/link_watch.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/* What a member's recv() gives at most. */
#define MEMBER_BATCH_FRAMES 32

_Static_assert(LINK_WATCH_MAX_LINKS >= TEAM_MAX_MEMBERS, "a team's links are watched together");

/* Numbers of what is polled, behind those of the members. */
enum {
	POLL_LINKS = TEAM_MAX_MEMBERS,
	POLL_TIMER,
	N_POLLED,
};

struct member {
	struct io *io;
	int ifindex;
	char name[IO_TEAM_NAME_MAX_LEN + 1];
	bool gone; /* the adapter was removed or the socket failed */
	bool unflushed;
	uint64_t rx_frames, rx_dropped, n_changes;
};

struct io_team {
	struct io io;
	io_team_change_fn on_change;
	void *data;
	int epoll_fd, timer_fd;
	struct link_watch *watch;
	uint64_t now_ns; /* of this turn */
	uint64_t timer_ns;
	unsigned next; /* the member whose turn it is to receive */
	bool sending;  /* since the last flush; now_ns is fresh */
	unsigned n_members;
	struct io_counts refused; /* sent, but no member took them */
	struct member members[TEAM_MAX_MEMBERS];
	struct io_batch batch; /* a member's */
	struct team team;
};

static struct io_team *team_of(const struct io *io)
{
	return container_of(io, struct io_team, io);
}

/* ---- links ---- */

static void set_timer(struct io_team *team)
{
	uint64_t due_ns = team_due_ns(&team->team);
	const struct itimerspec time = {
		.it_value = {(time_t)(due_ns / NS_PER_SEC), (long)(due_ns % NS_PER_SEC)}};

	if (due_ns == team->timer_ns)
		return;
	team->timer_ns = due_ns;
	/* Zero stops it; a time in the past fires at once. */
	timerfd_settime(team->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

static void links_changed(struct io_team *team, bool others_carry)
{
	set_timer(team);
	io_set_reason(&team->io, team->team.carrying ? NULL : "no adapter of the team has a link");
	if (others_carry && team->on_change)
		team->on_change(&team->io, team->data);
}

static void set_link(struct io_team *team, unsigned index, bool up)
{
	if (up == team_is_up(&team->team, index))
		return;
	team->members[index].n_changes++;
	links_changed(team, team_set_link(&team->team, index, up, team->now_ns));
}

static void lose_member(struct io_team *team, unsigned index)
{
	struct member *member = &team->members[index];

	if (member->gone)
		return;
	member->gone = true;
	epoll_ctl(team->epoll_fd, EPOLL_CTL_DEL, member->io->ops->poll_fd(member->io), NULL);
	set_link(team, index, false);
}

static void read_links(struct io_team *team)
{
	struct link_states states;

	link_watch_take(team->watch, &states);
	for (unsigned i = 0; i < team->n_members; i++) {
		if (team->members[i].gone)
			continue;
		if (states.gone >> i & 1) {
			lose_member(team, i);
			continue;
		}
		/* It may be back already. */
		if (states.lost >> i & 1)
			set_link(team, i, false);
		set_link(team, i, states.up >> i & 1);
	}
}

static void tick(struct io_team *team)
{
	uint64_t n_expired;

	(void)!read(team->timer_fd, &n_expired, sizeof(n_expired));
	/* It does not fire again by itself. */
	team->timer_ns = 0;
	links_changed(team, team_tick(&team->team, team->now_ns));
}

/* ---- receiving ---- */

static enum drop check(struct io_team *team, unsigned index, const struct frame *frame)
{
	struct team_frame in = {.data = frame->data, .size_bytes = frame->size_bytes};

	/* The data path will say so. */
	if (frame->size_bytes < ETH_HEADER_BYTES)
		return DROP_NONE;
	if (frame->tagged)
		in.vid = frame->tci & FRAME_VID_MASK;
	else if (frame->size_bytes >= ETH_HEADER_BYTES + ETH_TAG_BYTES &&
		 load_be16(frame->data + 2 * ETH_ADDR_LEN) == FRAME_TPID)
		in.vid = load_be16(frame->data + 2 * ETH_ADDR_LEN + 2) & FRAME_VID_MASK;
	return team_receive(&team->team, index, &in, team->now_ns);
}

static void recv_member(struct io_team *team, unsigned index, struct io_batch *batch)
{
	struct member *member = &team->members[index];
	struct io_batch *own = &team->batch;
	int r;

	own->max_bytes = IO_NO_LIMIT;
	own->n_frames = 0;
	memset(own->dropped, 0, sizeof(own->dropped));
	r = member->io->ops->recv(member->io, own);
	for (unsigned i = 0; i < own->n_frames; i++) {
		enum drop drop = check(team, index, &own->frames[i]);

		member->rx_frames++;
		if (drop) {
			member->rx_dropped++;
			batch->dropped[drop]++;
		} else {
			batch->frames[batch->n_frames++] = own->frames[i];
		}
	}
	for (unsigned i = 0; i < N_DROPS; i++)
		batch->dropped[i] += own->dropped[i];
	if (r < 0)
		lose_member(team, index);
}

static bool all_gone(const struct io_team *team)
{
	for (unsigned i = 0; i < team->n_members; i++) {
		if (!team->members[i].gone)
			return false;
	}
	return true;
}

static int recv_members(struct io_team *team, uint32_t ready, struct io_batch *batch)
{
	/* Whose turn it is when the batch is full goes first in the next one. */
	for (unsigned i = 0; i < team->n_members; i++) {
		unsigned index = team->next;

		if (batch->n_frames > IO_BATCH_FRAMES - MEMBER_BATCH_FRAMES)
			break;
		if (ready >> index & 1 && !team->members[index].gone)
			recv_member(team, index, batch);
		team->next = (index + 1) % team->n_members;
	}
	if (!all_gone(team))
		return 0;
	io_set_reason(&team->io, "all adapters of the team were removed");
	return -ENODEV;
}

static int team_io_recv(struct io *io, struct io_batch *batch)
{
	struct io_team *team = team_of(io);
	struct epoll_event events[N_POLLED];
	int n = epoll_wait(team->epoll_fd, events, N_POLLED, 0);
	uint32_t ready = 0;

	team->now_ns = clock_mono_ns();
	for (int i = 0; i < n; i++)
		ready |= 1U << events[i].data.u32;
	if (ready >> POLL_LINKS & 1)
		read_links(team);
	if (ready >> POLL_TIMER & 1)
		tick(team);
	return recv_members(team, ready, batch);
}

/* ---- sending ---- */

/* Copies the beginning of a frame; returns how much there was. */
static size_t peek(const struct iovec *iov, unsigned n_iov, uint8_t *ret_data, size_t size_bytes)
{
	size_t at = 0;

	for (unsigned i = 0; i < n_iov && at < size_bytes; i++) {
		size_t part_bytes = MIN(iov[i].iov_len, size_bytes - at);

		memcpy(ret_data + at, iov[i].iov_base, part_bytes);
		at += part_bytes;
	}
	return at;
}

static int choose_member(struct io_team *team, const struct iovec *iov, unsigned n_iov)
{
	uint8_t head[ETH_HEADER_BYTES + ETH_TAG_BYTES] = {0};
	uint16_t vid = 0;

	if (peek(iov, n_iov, head, sizeof(head)) < ETH_HEADER_BYTES)
		return -EINVAL;
	if (load_be16(head + 2 * ETH_ADDR_LEN) == FRAME_TPID)
		vid = load_be16(head + 2 * ETH_ADDR_LEN + 2) & FRAME_VID_MASK;
	if (!team->sending)
		team->now_ns = clock_mono_ns();
	team->sending = true;
	return team_send(&team->team, head + ETH_ADDR_LEN, vid, team->now_ns);
}

static int team_io_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct io_team *team = team_of(io);
	int index = choose_member(team, iov, n_iov);
	struct member *member;

	if (index < 0) {
		team->refused.n_error++;
		return 0;
	}
	member = &team->members[index];
	member->unflushed = true;
	if (member->io->ops->send(member->io, hdr, iov, n_iov) < 0)
		lose_member(team, (unsigned)index);
	return 0;
}

static void count(struct io_team *team)
{
	team->io.tx = team->refused;
	for (unsigned i = 0; i < team->n_members; i++) {
		const struct io_counts *tx = &team->members[i].io->tx;

		team->io.tx.n_frames += tx->n_frames;
		team->io.tx.n_bytes += tx->n_bytes;
		team->io.tx.n_full += tx->n_full;
		team->io.tx.n_error += tx->n_error;
	}
}

static int team_io_flush(struct io *io)
{
	struct io_team *team = team_of(io);

	for (unsigned i = 0; i < team->n_members; i++) {
		struct member *member = &team->members[i];

		if (member->unflushed && member->io->ops->flush(member->io) < 0)
			lose_member(team, i);
		member->unflushed = false;
	}
	team->sending = false;
	count(team);
	return 0;
}

/* ---- the rest ---- */

static int team_io_poll_fd(const struct io *io)
{
	return team_of(io)->epoll_fd;
}

/* By which member a frame will leave is not known yet. */
static uint32_t team_io_caps(const struct io *io)
{
	const struct io_team *team = team_of(io);
	uint32_t caps = UINT32_MAX;

	for (unsigned i = 0; i < team->n_members; i++)
		caps &= team->members[i].io->ops->caps(team->members[i].io);
	return caps;
}

static bool team_io_arm(struct io *io _unused_)
{
	return false;
}

static void team_io_free(struct io *io)
{
	struct io_team *team = team_of(io);

	for (unsigned i = 0; i < team->n_members; i++)
		io_free(team->members[i].io);
	link_watch_free(team->watch);
	close_fd(team->timer_fd);
	close_fd(team->epoll_fd);
	free(team);
}

static const struct io_ops io_team_ops = {
	.kind = "uplink",
	.poll_events = EPOLLIN,
	.poll_fd = team_io_poll_fd,
	.caps = team_io_caps,
	.recv = team_io_recv,
	.send = team_io_send,
	.flush = team_io_flush,
	.arm = team_io_arm,
	.free = team_io_free,
};

bool io_is_team(const struct io *io)
{
	return io->ops == &io_team_ops;
}

void io_team_on_change(struct io *io, io_team_change_fn fn, void *data)
{
	team_of(io)->on_change = fn;
	team_of(io)->data = data;
}

void io_team_forget(struct io *io, const uint8_t mac[ETH_ADDR_LEN])
{
	team_forget(&team_of(io)->team, mac);
}

enum team_mode io_team_mode(const struct io *io)
{
	return team_of(io)->team.mode;
}

unsigned io_team_members(const struct io *io, struct io_team_member ret_members[TEAM_MAX_MEMBERS])
{
	const struct io_team *team = team_of(io);

	for (unsigned i = 0; i < team->n_members; i++) {
		const struct member *member = &team->members[i];

		ret_members[i] = (struct io_team_member){
			.up = team_is_up(&team->team, i),
			.active = team_is_carrying(&team->team, i),
			.rx_frames = member->rx_frames,
			.tx_frames = member->io->tx.n_frames,
			.rx_dropped = member->rx_dropped,
			.n_changes = member->n_changes,
			.reason = member->gone ? "the network adapter was removed"
					       : member->io->reason,
		};
		memcpy(ret_members[i].name, member->name, sizeof(member->name));
	}
	return team->n_members;
}

/* ---- making one ---- */

static int watch_fd(struct io_team *team, int fd, unsigned number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(team->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int add_member(struct io_team *team, const char *name, int fd)
{
	struct member *member = &team->members[team->n_members];
	struct sockaddr_ll address = {0};
	socklen_t size = sizeof(address);
	int own_fd, r;

	if (strlen(name) > IO_TEAM_NAME_MAX_LEN)
		return -EINVAL;
	memcpy(member->name, name, strlen(name));
	/* Ours to close; the caller's stays his until all is well. */
	own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own_fd < 0)
		return -errno;
	r = io_afpacket_new(own_fd, &member->io);
	if (r < 0) {
		close_fd(own_fd);
		return r;
	}
	team->n_members++;
	if (getsockname(own_fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	/* An interface that is gone leaves -1 behind. */
	if (address.sll_ifindex <= 0)
		return address.sll_ifindex < 0 ? -ENODEV : -EINVAL;
	for (unsigned i = 0; i + 1 < team->n_members; i++) {
		if (team->members[i].ifindex == address.sll_ifindex)
			return -EINVAL;
	}
	member->ifindex = address.sll_ifindex;
	return watch_fd(team, own_fd, team->n_members - 1);
}

static int start_links(struct io_team *team, enum team_mode mode, int link_fd)
{
	int ifindexes[TEAM_MAX_MEMBERS], own_fd, r;
	struct link_states states;
	uint64_t seed = 0;

	for (unsigned i = 0; i < team->n_members; i++)
		ifindexes[i] = team->members[i].ifindex;
	own_fd = fcntl(link_fd, F_DUPFD_CLOEXEC, 0);
	if (own_fd < 0)
		return -errno;
	r = link_watch_new(own_fd, ifindexes, team->n_members, &team->watch);
	if (r < 0) {
		close_fd(own_fd);
		return r;
	}
	link_watch_take(team->watch, &states);
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
	team_init(&team->team, mode, team->n_members, states.up, seed);
	links_changed(team, false);
	r = watch_fd(team, team->timer_fd, POLL_TIMER);
	return r ?: watch_fd(team, link_watch_event_fd(team->watch), POLL_LINKS);
}

int io_team_new(enum team_mode mode, const char *const *names, const int *fds, unsigned n,
	int link_fd, struct io **ret_io)
{
	struct io_team *team;
	int r = 0;

	if (n < 1 || n > TEAM_MAX_MEMBERS)
		return -EINVAL;
	team = calloc(1, sizeof(*team));
	if (!team)
		return -ENOMEM;
	team->io.ops = &io_team_ops;
	team->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	team->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (team->epoll_fd < 0 || team->timer_fd < 0)
		r = -errno;
	for (unsigned i = 0; i < n && r == 0; i++)
		r = add_member(team, names[i], fds[i]);
	if (r == 0)
		r = start_links(team, mode, link_fd);
	if (r < 0) {
		team_io_free(&team->io);
		return r;
	}
	for (unsigned i = 0; i < n; i++)
		close_fd(fds[i]);
	close_fd(link_fd);
	*ret_io = &team->io;
	return 0;
}
