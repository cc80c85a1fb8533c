// The socket at which control planes and tools ask for the region, and the main lcore's only wait:
// one epoll set holds the listening socket, the connections and our door bell. One control plane is
// attached at a time; its connection's end is how we learn that it is gone. Nothing here blocks but
// the wait itself.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

LOG_MODULE("ctl");

enum {
	EVENTS = 16,
	CONN_PATIENCE_NS = 1000 * 1000 * 1000, // who has not asked by then makes room for others
};

static int watch(struct ctl *c, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int ctl_sock_open(struct ctl *c)
{
	int err;

	c->control_fd = -1;
	for (unsigned i = 0; i < CTL_CONNS_MAX; i++)
		c->conns[i] = -1;
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0)
		return -errno;
	err = watch(c, c->k.region->bell_dp);
	if (err == 0 && c->k.listen_fd >= 0)
		err = watch(c, c->k.listen_fd);
	if (err < 0) {
		close(c->epoll_fd);
		c->epoll_fd = -1;
	}
	return err;
}

void ctl_sock_close(struct ctl *c)
{
	for (unsigned i = 0; i < CTL_CONNS_MAX; i++) {
		if (c->conns[i] >= 0)
			close(c->conns[i]);
	}
	if (c->control_fd >= 0)
		close(c->control_fd);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	c->control_fd = c->epoll_fd = -1;
}

// ---- the control plane comes and goes ----

// What the last one left in the rings was worked off or is dropped; whatever it could have spoilt
// in shared memory is written again, so that its successor finds a sound region.
static void prepare(struct ctl *c)
{
	while (ctl_commands(c))
		ring_w_publish(&c->evt); // answers that nobody reads may fill up: then it ends too
	region_repair(c->k.region, c->k.region_conf);
	ring_r_resync(&c->cmd);
	ring_w_attach(&c->evt, c->evt.shm, ring_shm_len(c->evt.size));
}

static void attached(struct ctl *c, int fd)
{
	c->control_fd = fd;
	c->hello = false;
	c->move_cookie = 0;
	c->n_dumps = 0;
	ctl_orphan(c); // what the last one's commands have made since
	log_debug("region handed to a control plane");
}

static void detached(struct ctl *c)
{
	close(c->control_fd);
	c->control_fd = -1;
	c->n_dumps = 0;
	ctl_orphan(c);
	atomic_store_explicit(&c->k.region->hdr->cp_sleeping, 0, memory_order_seq_cst);
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS; k++)
		atomic_store_explicit(&c->k.region->hdr->car[k].sleeping, 0, memory_order_seq_cst);
	log_notice("control plane is gone; forwarding goes on");
}

static void control_readable(struct ctl *c)
{
	uint8_t junk[64];
	ssize_t n = recv(c->control_fd, junk, sizeof(junk), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		detached(c);
}

// ---- connections that have not asked yet ----

static void conn_close(struct ctl *c, unsigned i)
{
	close(c->conns[i]);
	c->conns[i] = -1;
}

static void conn_readable(struct ctl *c, unsigned i)
{
	struct region_hdr *h = c->k.region->hdr;
	int fd = c->conns[i];
	bool busy = c->control_fd >= 0;
	int rc;

	if (!busy) {
		prepare(c);
		atomic_store_explicit(&h->n_carriers, 0, memory_order_relaxed);
		atomic_store_explicit(&h->cp_sleeping, 0, memory_order_seq_cst);
		atomic_fetch_add_explicit(&h->attaches, 1, memory_order_relaxed);
	}
	rc = region_serve(c->k.region, fd, busy, c->k.control_uid);
	if (!busy && rc != REGION_ASK_CONTROL)
		atomic_fetch_sub_explicit(&h->attaches, 1, memory_order_relaxed);
	if (rc == -EAGAIN)
		return;
	if (rc == REGION_ASK_CONTROL) {
		c->conns[i] = -1;
		attached(c, fd);
		return;
	}
	if (rc == -EPROTO || rc == -EACCES)
		log_limited(LOG_WARN, "refused a client of the region: %s",
			rc == -EPROTO ? "it is of another version" : "wrong user");
	conn_close(c, i);
}

static void accept_one(struct ctl *c)
{
	int fd = accept4(c->k.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned slot = 0;

	if (fd < 0)
		return;
	for (unsigned i = 0; i < CTL_CONNS_MAX; i++) {
		if (c->conns[i] < 0) {
			slot = i;
			break;
		}
		if (c->conn_since_ns[i] < c->conn_since_ns[slot])
			slot = i;
	}
	if (c->conns[slot] >= 0) {
		if (c->now_ns - c->conn_since_ns[slot] < CONN_PATIENCE_NS) {
			close(fd);
			return;
		}
		conn_close(c, slot);
	}
	if (watch(c, fd) < 0) {
		close(fd);
		return;
	}
	c->conns[slot] = fd;
	c->conn_since_ns[slot] = c->now_ns;
}

static void dispatch(struct ctl *c, int fd)
{
	uint64_t n;

	if (fd == c->k.region->bell_dp) {
		if (read(fd, &n, sizeof(n)) < 0)
			return; // spurious
	} else if (fd == c->k.listen_fd) {
		accept_one(c);
	} else if (fd == c->control_fd) {
		control_readable(c);
	} else {
		for (unsigned i = 0; i < CTL_CONNS_MAX; i++) {
			if (c->conns[i] == fd) {
				conn_readable(c, i);
				break;
			}
		}
	}
}

bool ctl_sock_turn(struct ctl *c, uint64_t timeout_ns)
{
	struct epoll_event ev[EVENTS];
	struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000)};
	int n = epoll_pwait2(c->epoll_fd, ev, EVENTS, &ts, NULL);

	for (int i = 0; i < n; i++)
		dispatch(c, ev[i].data.fd);
	return n > 0;
}
