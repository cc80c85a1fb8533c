// Attaches to the data plane's region, agrees with what it holds, sends
// commands and keeps their completions. Reading is bounded per turn and fair between rings;
// sleeping follows the flag protocol of lib/shm/region.h. It believes no length, type or string
// from the other side and knows nothing about what hops, rules or adjs mean.
#include "controlplane/dp/dp_lane.h"
#include "controlplane/dp/dp_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dp");

enum {
	ROOM_POLL_MS = 1, // nobody tells us that a ring has room again
	ANSWER_MS = 500, // the main lcore answers within a turn, a few ms at most
	BROKEN_RETRY_MS = 5000, // after a data plane that spoke nonsense
};
#define SLOT_NONE 0xffffffffu

static void detach(struct dp_client *c, uint64_t retry_ms);

// ---- commands ----

static void pending_init(struct dp_client *c)
{
	for (uint32_t i = 0; i < DP_CLIENT_PENDING_MAX; i++) {
		c->pending[i].cookie = 0;
		c->pending[i].next_free = i + 1 < DP_CLIENT_PENDING_MAX ? i + 1 : SLOT_NONE;
	}
	c->free_slot = 0;
	c->n_pending = 0;
}

// Somebody was refused.
static void tell_room(struct dp_client *c)
{
	c->stats.full++;
	if (!loop_timer_is_on(c->room))
		loop_timer_start(c->room, ROOM_POLL_MS, 0);
}

static int send_cmd(
	struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg, uint64_t *cookie)
{
	struct dpmsg_hdr *h = cmd;
	uint32_t slot = c->free_slot;
	struct pending *p;
	void *rec;

	if (slot == SLOT_NONE)
		goto err_full;
	h->len = len;
	h->flags = 0;
	h->cookie = ++c->serial << 16 | slot;
	rec = ring_w_reserve(&c->cmd, len);
	if (rec == NULL)
		goto err_full;
	memcpy(rec, cmd, len);
	p = &c->pending[slot];
	c->free_slot = p->next_free;
	*p = (struct pending){.cookie = h->cookie, .done = done, .arg = arg};
	c->n_pending++;
	c->cmd_dirty = true;
	c->stats.commands++;
	if (cookie != NULL)
		*cookie = h->cookie;
	return 0;

err_full:
	tell_room(c);
	return -EAGAIN;
}

bool dp_client_has_room(struct dp_client *c, unsigned n, uint32_t len)
{
	// one of them may be preceded by padding as long as itself
	uint64_t need = (n + 1ull) * (len + RING_ALIGN);

	if (!c->hello_done ||
		(c->n_pending + n <= DP_CLIENT_PENDING_MAX && ring_w_room(&c->cmd) >= need))
		return true;
	tell_room(c);
	return false;
}

int dp_client_send_cookie(
	struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg, uint64_t *cookie)
{
	return c->hello_done ? send_cmd(c, cmd, len, done, arg, cookie) : -ENOTCONN;
}

int dp_client_send(struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg)
{
	return dp_client_send_cookie(c, cmd, len, done, arg, NULL);
}

int dp_client_dump(struct dp_client *c, uint32_t what, uint32_t first_rule, uint32_t max_rules,
	dp_done_fn done, void *arg)
{
	struct cmd_dump d = {
		.h.type = CMD_DUMP, .what = what, .first_rule = first_rule, .max_rules = max_rules};

	return dp_client_send(c, &d, sizeof(d), done, arg);
}

void dp_client_complete(struct dp_client *c, const struct evt_done *e)
{
	uint32_t slot = (uint32_t)(e->h.cookie & 0xffff);
	struct pending *p = &c->pending[slot], was = *p;

	static_assert(DP_CLIENT_PENDING_MAX == 1 << 16, "slots fill the low bits of a cookie");
	if (e->h.cookie == 0 || p->cookie != e->h.cookie) {
		c->stats.stale_answers++;
		return;
	}
	p->cookie = 0;
	p->next_free = c->free_slot;
	c->free_slot = slot;
	c->n_pending--;
	c->stats.answers++;
	if (was.done != NULL)
		was.done(was.arg, e->status > 0 ? -EPROTO : e->status, e->aux);
}

void dp_client_flush(struct dp_client *c)
{
	uint64_t one = 1;

	if (!c->attached)
		return;
	for (unsigned w = 0; w < c->info.n_workers; w++) {
		if (!c->down_dirty[w])
			continue;
		c->down_dirty[w] = false;
		ring_w_publish(&c->down[w]);
		region_worker_wake(c->r.hdr, w);
	}
	if (!c->cmd_dirty)
		return;
	c->cmd_dirty = false;
	ring_w_publish(&c->cmd);
	// pairs with the main lcore's store of 1 and its second look at the ring
	if (atomic_exchange_explicit(&c->r.hdr->dp_sleeping, 0, memory_order_seq_cst) != 0 &&
		write(c->r.bell_dp, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_limited(LOG_ERR, "door bell of the data plane: %s", strerror(errno));
}

// ---- packets down ----

// A record of `fixed` bytes at hdr, then the packet. type is in hdr already.
static int send_down(struct dp_client *c, unsigned worker, struct dpmsg_hdr *hdr, size_t fixed,
	const void *packet, size_t len)
{
	struct ring_w *w;
	uint8_t *rec;

	if (!c->hello_done)
		return -ENOTCONN;
	if (len == 0 || len > DPMSG_ROUTE_MAX)
		return -EMSGSIZE;
	if (worker >= c->info.n_workers)
		worker = 0;
	w = &c->down[worker];
	hdr->len = (uint32_t)(fixed + len);
	rec = ring_w_reserve(w, hdr->len);
	if (rec == NULL) {
		tell_room(c);
		return -EAGAIN;
	}
	memcpy(rec, hdr, fixed);
	memcpy(rec + fixed, packet, len);
	c->down_dirty[worker] = true;
	c->stats.packets_down++;
	return 0;
}

int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len)
{
	struct msg_route m = {.h.type = DOWN_ROUTE, .id = id};

	return send_down(c, worker, &m.h, sizeof(m), packet, len);
}

int dp_client_send_carried(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *packet, size_t len)
{
	struct msg_route m = {.h.type = DOWN_CARRIED, .hop = hop};

	if (c->hello_done &&
		!dp_carried_has_room(&c->down[worker < c->info.n_workers ? worker : 0])) {
		tell_room(c);
		return -EAGAIN;
	}
	return send_down(c, worker, &m.h, sizeof(m), packet, len);
}

int dp_client_send_rekey(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *msg, size_t len)
{
	struct msg_rekey m = {.h.type = DOWN_REKEY, .hop = hop};

	return send_down(c, worker, &m.h, sizeof(m), msg, len);
}

int dp_client_send_datagram(struct dp_client *c, unsigned worker, uint32_t adj, uint16_t src_port,
	uint16_t dst_port, const void *msg, size_t len)
{
	struct down_datagram m = {
		.h.type = DOWN_DATAGRAM, .adj = adj, .src_port = src_port, .dst_port = dst_port};

	return send_down(c, worker, &m.h, sizeof(m), msg, len);
}

static bool rings_broken(const struct dp_client *c)
{
	bool bad = c->evt.broken;

	for (unsigned w = 0; w < c->info.n_workers; w++)
		bad = bad || c->hs[w].broken || c->up[w].broken;
	return bad;
}

static bool rings_empty(const struct dp_client *c)
{
	bool empty = ring_r_empty(&c->evt);

	for (unsigned w = 0; empty && w < c->info.n_workers; w++)
		empty = ring_r_empty(&c->hs[w]) && ring_r_empty(&c->up[w]);
	return empty;
}

// ---- agreeing with what the data plane holds ----

static void on_dumped(void *arg, int status, uint32_t aux)
{
	struct dp_client *c = arg;

	(void)aux;
	if (status == -ECONNRESET || !c->attached)
		return;
	c->syncing = false;
	if (status != 0) {
		log_err("the data plane's dump failed: %s", strerror(-status));
		detach(c, BROKEN_RETRY_MS);
		return;
	}
	c->ready = true;
	DP_EACH(c, on_synced, c->why);
}

// May detach.
static void ask_dump(struct dp_client *c)
{
	int rc;

	// whatever was lost before the dump is in it: an old flag must not ask for a second one
	atomic_store_explicit(&c->r.hdr->evt_overflow, 0, memory_order_seq_cst);
	rc = dp_client_dump(c, DUMP_ALL, 0, 0, on_dumped, c);
	c->dump_due = rc == -EAGAIN; // the ring is full of other commands: on_room_timer() asks
	if (rc != 0 && rc != -EAGAIN) {
		log_err("cannot ask the data plane for a dump: %s", strerror(-rc));
		detach(c, BROKEN_RETRY_MS);
	}
}

static void sync_begin(struct dp_client *c, enum dp_sync why)
{
	c->syncing = true;
	c->why = why;
	DP_EACH(c, on_sync_begin, why);
	if (c->attached)
		ask_dump(c);
}

static void on_hello(void *arg, int status, uint32_t aux)
{
	struct dp_client *c = arg;
	uint32_t attaches;

	(void)aux;
	if (status == -ECONNRESET || !c->attached)
		return;
	if (status != 0) {
		log_err("the data plane refused us: %s; are both programs of one version?",
			strerror(-status));
		detach(c, BROKEN_RETRY_MS);
		return;
	}
	c->hello_done = true;
	attaches = atomic_load_explicit(&c->r.hdr->attaches, memory_order_relaxed);
	log_notice("attached to the data plane epoch=%016llx pid=%u workers=%u%s",
		(unsigned long long)c->r.epoch, c->info.pid, c->info.n_workers,
		attaches > 1 ? ", taking over what lives there" : "");
	sync_begin(c, attaches > 1 ? DP_SYNC_ADOPT : DP_SYNC_FRESH);
}

static void look_at_overflow(struct dp_client *c)
{
	if (!c->ready || c->syncing ||
		atomic_load_explicit(&c->r.hdr->evt_overflow, memory_order_relaxed) == 0)
		return;
	c->stats.overflows++;
	log_limited(LOG_WARN, "events were lost: asking the data plane for everything");
	sync_begin(c, DP_SYNC_OVERFLOW);
}

// ---- the loop's two moments ----

static bool before_sleep(void *arg)
{
	struct dp_client *c = arg;

	if (!c->attached)
		return false;
	dp_client_flush(c);
	// pairs with the main lcore's exchange after it published
	atomic_store_explicit(&c->r.hdr->cp_sleeping, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (rings_empty(c) &&
		(c->syncing || !c->ready ||
			atomic_load_explicit(&c->r.hdr->evt_overflow, memory_order_relaxed) == 0))
		return false;
	atomic_store_explicit(&c->r.hdr->cp_sleeping, 0, memory_order_relaxed);
	return true;
}

static void after_sleep(void *arg)
{
	struct dp_client *c = arg;
	unsigned n = c->info.n_workers;

	if (!c->attached)
		return;
	atomic_store_explicit(&c->r.hdr->cp_sleeping, 0, memory_order_relaxed);
	dp_recv_events(c);
	for (unsigned i = 0; i < n && c->attached; i++) {
		unsigned w = (c->first_worker + i) % n;

		dp_recv_handshakes(c, w);
		if (c->attached)
			dp_recv_packets(c, w);
	}
	if (!c->attached)
		return;
	c->first_worker = (c->first_worker + 1) % n;
	if (rings_broken(c)) {
		log_err("the data plane wrote nonsense into a ring: detaching");
		detach(c, BROKEN_RETRY_MS);
		return;
	}
	look_at_overflow(c);
}

static void on_bell(void *arg, bool readable, bool writable)
{
	struct dp_client *c = arg;
	uint64_t n;

	(void)writable;
	// Only the count is taken here; after_sleep reads the rings.
	if (readable && c->attached && read(c->r.bell_cp, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_limited(LOG_ERR, "own door bell: %s", strerror(errno));
}

static void take_region(struct dp_client *c);

static void on_sock(void *arg, bool readable, bool writable)
{
	struct dp_client *c = arg;
	uint8_t b[64];
	ssize_t n;

	(void)writable;
	if (readable && c->ask_fd >= 0) {
		take_region(c);
		return;
	}
	if (!readable || !c->attached)
		return;
	n = recv(c->r.sock, b, sizeof(b), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_warn("the data plane is gone epoch=%016llx", (unsigned long long)c->r.epoch);
	detach(c, DP_CLIENT_RETRY_MS);
}

static void on_room_timer(void *arg)
{
	struct dp_client *c = arg;

	if (c->dump_due)
		ask_dump(c);
	if (c->hello_done)
		DP_EACH(c, on_room);
}

// ---- attaching ----

static int ring_open_w(const struct region *r, uint64_t off, struct ring_w *w)
{
	size_t len;
	struct ring_shm *shm = region_ring(r, off, &len);

	return shm == NULL ? -EPROTO : ring_w_attach(w, shm, len);
}

static int ring_open_r(const struct region *r, uint64_t off, struct ring_r *w)
{
	size_t len;
	struct ring_shm *shm = region_ring(r, off, &len);

	return shm == NULL ? -EPROTO : ring_r_attach(w, shm, len);
}

// Our copy of the header: the data plane may write over its own at any time.
static int info_take(struct dp_client *c)
{
	memcpy(&c->info, c->r.hdr, offsetof(struct region_hdr, cp_sleeping));
	if (c->info.dpmsg_version != DPMSG_VERSION || c->info.n_workers == 0 ||
		c->info.n_workers > DPMSG_MAX_WORKERS || c->info.rule_bits == 0 ||
		c->info.rule_bits > 30 || c->info.rx_index_bits == 0 ||
		c->info.rx_index_bits > 30 || c->info.hop_max == 0 ||
		c->info.hop_max > 1u << DPMSG_HANDLE_BITS || c->info.adj_max == 0 ||
		c->info.adj_max > 1u << DPMSG_HANDLE_BITS || c->info.udp_port == 0 ||
		c->info.udp_port > 0xffff)
		return -EPROTO;
	return 0;
}

static int rings_open(struct dp_client *c)
{
	int rc = ring_open_w(&c->r, c->info.cmd_off, &c->cmd);

	if (rc == 0)
		rc = ring_open_r(&c->r, c->info.evt_off, &c->evt);
	for (unsigned w = 0; rc == 0 && w < c->info.n_workers; w++) {
		rc = ring_open_r(&c->r, c->info.hs_off[w], &c->hs[w]);
		if (rc == 0)
			rc = ring_open_r(&c->r, c->info.up_off[w], &c->up[w]);
		if (rc == 0)
			rc = ring_open_w(&c->r, c->info.down_off[w], &c->down[w]);
		c->down_dirty[w] = false;
	}
	c->cmd_dirty = false;
	return rc;
}

static int watch_open(struct dp_client *c)
{
	c->bell = loop_poll_new(c->loop, c->r.bell_cp, on_bell, c);
	if (c->bell == NULL)
		return -errno;
	return loop_poll_set(c->bell, true, false);
}

static int hello(struct dp_client *c)
{
	struct cmd_hello m = {
		.h.type = CMD_HELLO, .version = DPMSG_VERSION, .pid = (uint32_t)getpid()};
	int rc;

	memcpy(m.mac1_key, c->mac1_key, sizeof(m.mac1_key));
	rc = send_cmd(c, &m, sizeof(m), on_hello, c, NULL);
	dp_client_flush(c);
	return rc;
}

static void watch_close(struct dp_client *c)
{
	loop_poll_free(c->sock);
	loop_poll_free(c->bell);
	c->sock = c->bell = NULL;
	DP_EACH(c, on_let_go);
	region_close(&c->r); // its end is how the data plane learns of ours
}

static void say_waiting(struct dp_client *c, int rc)
{
	if (rc == c->last_err)
		return;
	c->last_err = rc;
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		log_notice("waiting for the data plane at %s", c->path);
	else if (rc == -ETIMEDOUT || rc == -ECONNRESET) // it is starting, or ends
		log_notice("waiting for the data plane at %s: it doesn't answer", c->path);
	else if (rc == -EBUSY)
		log_err("another control plane is attached to the data plane at %s", c->path);
	else if (rc == -EACCES)
		log_err("the data plane at %s doesn't serve this user: set control_user in its "
			"configuration",
			c->path);
	else
		log_err("cannot attach to the data plane at %s: %s", c->path, strerror(-rc));
}

static void ask_end(struct dp_client *c)
{
	if (c->ask_fd < 0)
		return;
	loop_poll_free(c->sock);
	c->sock = NULL;
	close(c->ask_fd);
	c->ask_fd = -1;
}

static void ask_failed(struct dp_client *c, int rc)
{
	ask_end(c);
	say_waiting(c, rc);
	loop_timer_start(c->retry, DP_CLIENT_RETRY_MS, 0);
}

// Asks; the loop goes on, and on_sock() has the answer.
static void try_attach(void *arg)
{
	struct dp_client *c = arg;
	int fd;

	if (c->ask_fd >= 0) {
		ask_failed(c, -ETIMEDOUT);
		return;
	}
	fd = region_ask(c->path, REGION_ASK_CONTROL);
	if (fd < 0) {
		ask_failed(c, fd);
		return;
	}
	c->ask_fd = fd;
	c->sock = loop_poll_new(c->loop, fd, on_sock, c);
	if (c->sock == NULL || loop_poll_set(c->sock, true, false) < 0) {
		ask_failed(c, -ENOMEM);
		return;
	}
	loop_timer_start(c->retry, ANSWER_MS, 0);
}

static void take_region(struct dp_client *c)
{
	int rc = region_take(&c->r, c->ask_fd, REGION_ASK_CONTROL);

	if (rc == -EAGAIN)
		return;
	if (rc != 0) {
		ask_failed(c, rc);
		return;
	}
	c->ask_fd = -1; // the region's now
	loop_timer_stop(c->retry);
	c->last_err = 0;
	c->attached = true;
	rc = info_take(c);
	if (rc == 0)
		rc = rings_open(c);
	if (rc == 0)
		rc = watch_open(c);
	if (rc == 0)
		rc = hello(c);
	if (rc != 0) {
		log_err("what the data plane at %s offers is not usable: %s", c->path,
			strerror(-rc));
		detach(c, BROKEN_RETRY_MS);
		return;
	}
	c->stats.attaches++;
}

static void detach(struct dp_client *c, uint64_t retry_ms)
{
	bool had = c->hello_done;

	if (!c->attached)
		return;
	c->attached = c->hello_done = c->ready = c->syncing = c->dump_due = false;
	loop_timer_stop(c->room);
	watch_close(c);
	for (uint32_t i = 0; c->n_pending > 0 && i < DP_CLIENT_PENDING_MAX; i++) {
		struct pending was = c->pending[i];

		if (was.cookie == 0)
			continue;
		c->pending[i].cookie = 0;
		c->n_pending--;
		if (was.done != NULL)
			was.done(was.arg, -ECONNRESET, 0);
	}
	pending_init(c);
	if (c->stopping)
		return;
	if (had)
		DP_EACH(c, on_detach);
	loop_timer_start(c->retry, retry_ms, 0);
}

// ---- life ----

struct dp_client *dp_client_new(struct loop *l, const char *path, const uint8_t mac1_key[32])
{
	struct dp_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = l;
	c->ask_fd = -1;
	c->path = strdup(path);
	c->pending = calloc(DP_CLIENT_PENDING_MAX, sizeof(*c->pending));
	c->retry = loop_timer_new(l, try_attach, c);
	c->room = loop_timer_new(l, on_room_timer, c);
	if (c->path == NULL || c->pending == NULL || c->retry == NULL || c->room == NULL) {
		dp_client_free(c);
		return errno_null(ENOMEM);
	}
	memcpy(c->mac1_key, mac1_key, sizeof(c->mac1_key));
	// Unlike any cookie of an earlier life whose answers may still lie in the ring.
	if (getrandom(&c->serial, sizeof(c->serial), 0) != sizeof(c->serial))
		c->serial = clock_mono_ns() << 8;
	c->serial >>= 17;
	pending_init(c);
	loop_set_hook(l, before_sleep, after_sleep, c);
	return c;
}

void dp_client_start(struct dp_client *c)
{
	try_attach(c);
}

void dp_client_stop(struct dp_client *c)
{
	c->stopping = true;
	dp_client_flush(c);
	detach(c, 0);
	ask_end(c);
	loop_timer_stop(c->retry);
}

void dp_client_free(struct dp_client *c)
{
	if (c == NULL)
		return;
	if (c->retry != NULL)
		dp_client_stop(c);
	loop_set_hook(c->loop, NULL, NULL, NULL);
	loop_timer_free(c->retry);
	loop_timer_free(c->room);
	free(c->pending);
	free(c->path);
	free(c);
}

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	struct dp_handler **p = &c->handlers;

	while (*p != NULL)
		p = &(*p)->next;
	h->next = NULL;
	*p = h;
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	for (struct dp_handler **p = &c->handlers; *p != NULL; p = &(*p)->next) {
		if (*p == h) {
			*p = h->next;
			return;
		}
	}
}

bool dp_client_is_ready(const struct dp_client *c)
{
	return c->ready;
}

const struct region_hdr *dp_client_info(const struct dp_client *c)
{
	return c->attached ? &c->info : NULL;
}

uint64_t dp_client_epoch(const struct dp_client *c)
{
	return c->attached ? c->r.epoch : 0;
}

const struct region *dp_client_region(const struct dp_client *c)
{
	return c->attached ? &c->r : NULL;
}

void dp_client_stats_get(const struct dp_client *c, struct dp_client_stats *out)
{
	*out = c->stats;
}
