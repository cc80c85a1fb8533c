// Makes, serves, attaches and unmaps the two shared segments. The creator keeps writable mappings
// and hands out the statistics by a descriptor that was opened read-only; the inode's mode keeps
// whoever got it from opening it again for writing. Not here: who may attach when (dataplane/ctl),
// and what flows through the rings.

#include "lib/shm/region.h"

#include "lib/base/err.h"
#include "lib/shm/stats.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	N_RING_FDS = 4 + DPMSG_MAX_CARRIERS, // rings, stats, bell_cp, bell_dp, bell_car
	N_STATS_FDS = 1,
	ATTACH_TIMEOUT_S = 2, // the main lcore answers within a turn, a few ms at most
	LISTEN_BACKLOG = 16,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
	// 26 k rules per fill; a dump is written over many turns, and answers never wait
	CMD_SIZE = 1 << 20,
	EVT_SIZE = 4 << 20,
	HS_SIZE = 256 << 10,
	UP_SIZE = 4 << 20, // a power of two well above twice DPMSG_ROUTE_MAX
	DOWN_SIZE = 1 << 20,
};

static void region_clear(struct region *r)
{
	memset(r, 0, sizeof(*r));
	r->rings_fd = r->stats_fd = r->bell_cp = r->bell_dp = r->sock = -1;
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++)
		r->bell_car[k] = -1;
}

// A sealed memfd of len bytes, mapped. Descriptor or -errno.
static int segment_create(const char *name, size_t len, mode_t mode, void **map)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0 || fchmod(fd, mode) < 0 ||
		fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		goto err_fd;
	*map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		goto err_fd;
	madvise(*map, len, MADV_DONTDUMP);
	return fd;
err_fd:
	err = -errno;
	close(fd);
	return err;
}

// ---- layout of the rings segment ----

static uint32_t size_or(uint32_t size, uint32_t fallback)
{
	return size != 0 ? size : fallback;
}

// Reserve a ring; 0 or -EINVAL. With map, also write its header.
static int ring_place(uint64_t *at, uint32_t size, uint64_t *off, uint8_t *map)
{
	*off = *at;
	if (size < 256 || size > 1u << 30 || (size & (size - 1)) != 0)
		return -EINVAL;
	if (map != NULL)
		ring_shm_init((struct ring_shm *)(void *)(map + *at), size);
	*at += (ring_shm_len(size) + 63) & ~(uint64_t)63;
	return 0;
}

// Offsets of all rings into h; total length or -EINVAL.
static int64_t rings_layout(struct region_hdr *h, const struct region_conf *c, uint8_t *map)
{
	uint64_t at = (sizeof(*h) + 63) & ~(uint64_t)63;
	int err = 0;

	err |= ring_place(&at, size_or(c->cmd_size, CMD_SIZE), &h->cmd_off, map);
	err |= ring_place(&at, size_or(c->evt_size, EVT_SIZE), &h->evt_off, map);
	for (uint32_t w = 0; w < c->n_workers; w++) {
		err |= ring_place(&at, size_or(c->hs_size, HS_SIZE), &h->hs_off[w], map);
		err |= ring_place(&at, size_or(c->up_size, UP_SIZE), &h->up_off[w], map);
		err |= ring_place(&at, size_or(c->down_size, DOWN_SIZE), &h->down_off[w], map);
	}
	// of those that no carrier uses only the first page is ever touched
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++) {
		err |= ring_place(&at, size_or(c->up_size, UP_SIZE), &h->car_up_off[k], map);
		err |= ring_place(&at, size_or(c->down_size, DOWN_SIZE), &h->car_down_off[k], map);
	}
	return err != 0 ? -EINVAL : (int64_t)at;
}

static void header_fill(
	struct region_hdr *h, const struct region_conf *c, uint64_t epoch, uint64_t len)
{
	h->version = REGION_VERSION;
	h->epoch = epoch;
	h->len = len;
	h->dpmsg_version = DPMSG_VERSION;
	h->n_workers = c->n_workers;
	h->rule_bits = c->rule_bits;
	h->hop_max = c->hop_max;
	h->rx_index_bits = c->rx_index_bits;
	h->adj_max = c->adj_max;
	h->udp_port = c->udp_port;
	h->udp_ports = c->udp_ports;
	h->pid = (uint32_t)getpid();
	memcpy(h->cipher_ns, c->cipher_ns, sizeof(h->cipher_ns));
	h->magic = REGION_MAGIC;
}

static int bells_make(struct region *r)
{
	r->bell_cp = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->bell_dp = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->bell_cp < 0 || r->bell_dp < 0)
		return -errno;
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++) {
		r->bell_car[k] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->bell_car[k] < 0)
			return -errno;
	}
	return 0;
}

int region_create(struct region *r, const struct region_conf *c, uint64_t epoch)
{
	struct region_hdr sketch;
	struct region n;
	void *map = NULL;
	int64_t len;
	int err = -ENOMEM;

	if (c->n_workers == 0 || c->n_workers > DPMSG_MAX_WORKERS || c->n_ports > DPMSG_MAX_PORTS ||
		c->hop_max > 1u << DPMSG_HANDLE_BITS || c->adj_max > 1u << DPMSG_HANDLE_BITS)
		return -EINVAL;
	len = rings_layout(&sketch, c, NULL);
	if (len < 0)
		return (int)len;
	region_clear(&n);
	n.epoch = epoch;
	n.rings_len = (size_t)len;
	n.rings_fd = err = segment_create("skyrail-rings", n.rings_len, 0600, &map);
	if (err < 0)
		goto err_close;
	n.hdr = map;
	rings_layout(n.hdr, c, map);
	header_fill(n.hdr, c, epoch, n.rings_len);
	n.stats_len = stats_len(c->n_workers, c->n_ports, c->hop_max);
	n.stats_fd = err = segment_create("skyrail-stats", n.stats_len, 0444, &map);
	if (err < 0)
		goto err_close;
	n.stats = map;
	stats_init(n.stats, c->n_workers, c->n_ports, c->hop_max, epoch);
	err = bells_make(&n);
	if (err < 0)
		goto err_close;
	*r = n;
	return 0;
err_close:
	region_close(&n);
	return err;
}

// The offsets come from the layout, not from the header: nothing there is believed.
void region_repair(struct region *r, const struct region_conf *c)
{
	struct region_hdr h = {0};
	uint8_t *map = (uint8_t *)r->hdr;

	if (rings_layout(&h, c, NULL) != (int64_t)r->rings_len)
		return;
	header_fill(&h, c, r->epoch, r->rings_len);
	memcpy(map, &h, offsetof(struct region_hdr, cp_sleeping));
#define REPAIR(off, size) ring_shm_repair((struct ring_shm *)(void *)(map + (off)), size)
	REPAIR(h.cmd_off, size_or(c->cmd_size, CMD_SIZE));
	REPAIR(h.evt_off, size_or(c->evt_size, EVT_SIZE));
	for (uint32_t w = 0; w < c->n_workers; w++) {
		REPAIR(h.hs_off[w], size_or(c->hs_size, HS_SIZE));
		REPAIR(h.up_off[w], size_or(c->up_size, UP_SIZE));
		REPAIR(h.down_off[w], size_or(c->down_size, DOWN_SIZE));
	}
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++) {
		REPAIR(h.car_up_off[k], size_or(c->up_size, UP_SIZE));
		REPAIR(h.car_down_off[k], size_or(c->down_size, DOWN_SIZE));
	}
#undef REPAIR
}

// Shared between processes; who else may write the word can cut a sleep short, and no more.
static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *limit)
{
	return syscall(SYS_futex, word, op, value, limit, NULL, 0);
}

bool region_wake(_Atomic uint32_t *sleeping, int bell_fd)
{
	uint64_t one = 1;
	ssize_t n;

	// pairs with the reader's store of 1 and its second look at the rings
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(sleeping, memory_order_relaxed) == 0 ||
		atomic_exchange_explicit(sleeping, 0, memory_order_seq_cst) == 0)
		return false;
	n = write(bell_fd, &one, sizeof(one));
	(void)n; // a counter that is full is readable as it is
	return true;
}

void region_worker_wake(struct region_hdr *hdr, unsigned worker)
{
	_Atomic uint32_t *word = &hdr->doze[worker].word;

	// pairs with the worker's store of 1 and its second look at the ring
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(word, memory_order_relaxed) != 0 &&
		atomic_exchange_explicit(word, 0, memory_order_seq_cst) != 0)
		futex(word, FUTEX_WAKE, 1, NULL);
}

int region_worker_doze(struct region_hdr *hdr, unsigned worker, uint64_t ns)
{
	const struct timespec limit = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	return futex(&hdr->doze[worker].word, FUTEX_WAIT, 1, &limit) < 0 ? -errno : 0;
}

void region_close(struct region *r)
{
	const int fds[] = {r->rings_fd, r->stats_fd, r->bell_cp, r->bell_dp, r->sock};

	if (r->hdr != NULL)
		munmap(r->hdr, r->rings_len);
	if (r->stats != NULL)
		munmap(r->stats, r->stats_len);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++)
		if (r->bell_car[k] >= 0)
			close(r->bell_car[k]);
	region_clear(r);
}

struct ring_shm *region_ring(const struct region *r, uint64_t off, size_t *max_len)
{
	if (r->hdr == NULL || off % 64 != 0 || off < sizeof(struct region_hdr) ||
		off > r->rings_len || r->rings_len - off < sizeof(struct ring_shm))
		return NULL;
	*max_len = r->rings_len - off;
	return (struct ring_shm *)((uintptr_t)r->hdr + off);
}

// ---- the socket ----

static int address_of(const char *path, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	strcpy(sa->sun_path, path);
	return 0;
}

int region_stale_remove(const char *path)
{
	struct sockaddr_un sa;
	struct stat st;
	int fd, err = address_of(path, &sa);

	if (err < 0)
		return err;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno;
	close(fd);
	if (err != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int region_listen(const char *path)
{
	struct sockaddr_un sa;
	int err = address_of(path, &sa);
	mode_t old;
	int fd;

	if (err == 0)
		err = region_stale_remove(path);
	if (err < 0)
		return err;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	// The mode comes with the file: whoever owns the directory may put another one in its
	// place.
	old = umask(0117);
	err = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (err == 0 && listen(fd, LISTEN_BACKLOG) < 0)
		err = -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

static int offer_send(int conn, const struct region_offer *offer, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(N_RING_FDS * sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)offer, .iov_len = sizeof(*offer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > 0) {
		struct cmsghdr *c;

		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	n = sendmsg(conn, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return n == sizeof(*offer) ? 0 : -EIO;
}

static int ask_check(
	int conn, const struct region_ask *ask, ssize_t len, bool control_busy, uid_t uid)
{
	struct ucred peer;
	socklen_t peer_len = sizeof(peer);

	if (len != sizeof(*ask) || ask->magic != REGION_MAGIC || ask->version != REGION_VERSION ||
		ask->counters != stats_counters_hash())
		return -EPROTO;
	if (ask->what == REGION_ASK_STATS)
		return 0;
	if (ask->what != REGION_ASK_CONTROL)
		return -EINVAL;
	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
		return -errno;
	if (peer.uid != 0 && peer.uid != geteuid() && (uid == (uid_t)-1 || peer.uid != uid))
		return -EACCES;
	return control_busy ? -EBUSY : 0;
}

int region_serve(struct region *r, int conn, bool control_busy, uid_t uid)
{
	struct region_ask ask;
	struct region_offer offer = {.version = REGION_VERSION};
	ssize_t len = recv(conn, &ask, sizeof(ask), MSG_DONTWAIT | MSG_TRUNC);
	char self[32];
	int fds[N_RING_FDS];
	int stats_ro, err;

	if (len < 0)
		return -errno;
	if (len == 0)
		return -ECONNRESET;
	offer.status = ask_check(conn, &ask, len, control_busy, uid);
	if (offer.status != 0) {
		offer_send(conn, &offer, NULL, 0);
		return offer.status;
	}
	// a fresh open file description, read-only: the one thing a memfd's descriptor can't become
	snprintf(self, sizeof(self), "/proc/self/fd/%d", r->stats_fd);
	stats_ro = open(self, O_RDONLY | O_CLOEXEC);
	if (stats_ro < 0) {
		offer.status = -errno;
		offer_send(conn, &offer, NULL, 0);
		return offer.status;
	}
	offer.epoch = r->epoch;
	offer.rings_len = r->rings_len;
	offer.stats_len = r->stats_len;
	if (ask.what == REGION_ASK_STATS) {
		err = offer_send(conn, &offer, &stats_ro, N_STATS_FDS);
	} else {
		fds[0] = r->rings_fd;
		fds[1] = stats_ro;
		fds[2] = r->bell_cp;
		fds[3] = r->bell_dp;
		memcpy(fds + 4, r->bell_car, sizeof(r->bell_car));
		err = offer_send(conn, &offer, fds, N_RING_FDS);
	}
	close(stats_ro);
	return err < 0 ? err : (int)ask.what;
}

// ---- the client's side ----

// Receive the offer; up to N_RING_FDS descriptors into fds, the rest -1. Their number or -errno.
static int offer_recv(int sock, struct region_offer *offer, int fds[N_RING_FDS])
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(N_RING_FDS * sizeof(int))];
	} ctl;
	struct iovec iov = {.iov_base = offer, .iov_len = sizeof(*offer)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf)};
	ssize_t len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	int n_fds = 0;

	if (len < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)n_fds * sizeof(int));
	}
	if (len == 0)
		return -ECONNRESET;
	if (len != sizeof(*offer) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EPROTO;
	return n_fds;
}

// Map a segment that the other side can't shrink under us. NULL with errno set.
static void *segment_map(int fd, uint64_t len, int prot)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *map;

	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &st) < 0)
		return errno_null(EPROTO);
	if (len == 0 || len > SIZE_MAX || (uint64_t)st.st_size < len)
		return errno_null(EPROTO);
	map = mmap(NULL, len, prot, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return NULL;
	madvise(map, len, MADV_DONTDUMP);
	return map;
}

static int header_check(const struct region *r)
{
	struct region_hdr copy, *h = &copy;
	uint64_t offs[2 + 3 * DPMSG_MAX_WORKERS + 2 * DPMSG_MAX_CARRIERS];
	size_t n = 0;

	if (r->rings_len < sizeof(copy))
		return -EPROTO;
	// checked and used is one copy: the other side may write meanwhile
	memcpy(&copy, r->hdr, sizeof(copy));
	if (h->magic != REGION_MAGIC || h->version != REGION_VERSION ||
		h->dpmsg_version != DPMSG_VERSION || h->epoch != r->epoch || h->len != r->rings_len)
		return -EPROTO;
	if (h->n_workers == 0 || h->n_workers > DPMSG_MAX_WORKERS ||
		h->n_workers != r->stats->n_workers || h->hop_max != r->stats->hop_max)
		return -EPROTO;
	offs[n++] = h->cmd_off;
	offs[n++] = h->evt_off;
	for (uint32_t w = 0; w < h->n_workers; w++) {
		offs[n++] = h->hs_off[w];
		offs[n++] = h->up_off[w];
		offs[n++] = h->down_off[w];
	}
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++) {
		offs[n++] = h->car_up_off[k];
		offs[n++] = h->car_down_off[k];
	}
	for (size_t i = 0; i < n; i++) {
		size_t max_len;
		struct ring_shm *shm = region_ring(r, offs[i], &max_len);
		struct ring_r probe;

		if (shm == NULL || ring_r_attach(&probe, shm, max_len) < 0)
			return -EPROTO;
	}
	return 0;
}

// Map and check what came. Takes over the descriptors it keeps (sets them to -1).
static int offer_accept(struct region *n, uint32_t what, int fds[N_RING_FDS])
{
	bool control = what == REGION_ASK_CONTROL;
	int stats_fd = fds[control ? 1 : 0];

	n->stats = segment_map(stats_fd, n->stats_len, PROT_READ);
	if (n->stats == NULL)
		return -errno;
	if (stats_view_open(&n->view, n->stats, n->stats_len, n->epoch) < 0)
		return -EPROTO;
	if (!control)
		return 0;
	n->hdr = segment_map(fds[0], n->rings_len, PROT_READ | PROT_WRITE);
	if (n->hdr == NULL)
		return -errno;
	n->rings_fd = fds[0];
	n->bell_cp = fds[2];
	n->bell_dp = fds[3];
	memcpy(n->bell_car, fds + 4, sizeof(n->bell_car));
	fds[0] = -1;
	for (unsigned i = 2; i < N_RING_FDS; i++)
		fds[i] = -1;
	return header_check(n);
}

static int client_connect(const char *path, int flags)
{
	struct timeval tv = {.tv_sec = ATTACH_TIMEOUT_S};
	struct sockaddr_un sa;
	int err = address_of(path, &sa);
	int sock;

	if (err < 0)
		return err;
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(sock, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}

static int connect_and_ask(const char *path, uint32_t what, int flags)
{
	struct region_ask ask = {REGION_MAGIC, REGION_VERSION, what, stats_counters_hash()};
	int sock = client_connect(path, flags);
	int err;

	if (sock < 0)
		return sock;
	if (send(sock, &ask, sizeof(ask), MSG_NOSIGNAL) < 0) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}

int region_ask(const char *path, uint32_t what)
{
	return connect_and_ask(path, what, SOCK_NONBLOCK);
}

int region_attach(struct region *r, const char *path, uint32_t what)
{
	int sock = connect_and_ask(path, what, 0);
	int err = sock < 0 ? sock : region_take(r, sock, what);

	if (err != 0 && sock >= 0)
		close(sock);
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

int region_take(struct region *r, int sock, uint32_t what)
{
	struct region_offer offer = {0};
	int fds[N_RING_FDS];
	int want = what == REGION_ASK_CONTROL ? N_RING_FDS : N_STATS_FDS;
	struct region n;
	int err;

	region_clear(&n);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = -1;
	err = offer_recv(sock, &offer, fds);
	if (err < 0)
		goto out;
	if (offer.status != 0 || offer.version != REGION_VERSION || err != want) {
		err = offer.status < 0 ? offer.status : -EPROTO;
		goto out;
	}
	n.epoch = offer.epoch;
	n.rings_len = what == REGION_ASK_CONTROL ? (size_t)offer.rings_len : 0;
	n.stats_len = (size_t)offer.stats_len;
	err = offer_accept(&n, what, fds);
out:
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (err != 0) {
		region_close(&n);
		return err;
	}
	if (what == REGION_ASK_STATS) // nobody waits for a tool's end
		close(sock);
	else
		n.sock = sock;
	*r = n;
	return 0;
}

int region_share(const struct region *r, unsigned k, struct region *out)
{
	struct region n;
	int err;

	region_clear(&n);
	n.epoch = r->epoch;
	n.rings_len = r->rings_len;
	n.hdr = segment_map(r->rings_fd, r->rings_len, PROT_READ | PROT_WRITE);
	if (n.hdr == NULL)
		return -errno;
	n.bell_car[k] = fcntl(r->bell_car[k], F_DUPFD_CLOEXEC, 0);
	if (n.bell_car[k] < 0) {
		err = -errno;
		region_close(&n);
		return err;
	}
	*out = n;
	return 0;
}
