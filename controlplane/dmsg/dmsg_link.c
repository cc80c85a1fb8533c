// lib/dmsg/session on a conn, then a muxer in its place. A handshake frame that the conn's read cut
// is gathered here; bytes behind the last frame are not taken, so the muxer finds them.
#include "controlplane/dmsg/dmsg_link.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/conn_tcp.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/mux/smux.h"
#include "lib/mux/yamux.h"

enum {
	KEEPALIVE_S = 30, // of TCP, under the muxer's own
	STREAM_OPEN_MS = 20000, // as upstream since 2026: no ACK for so long ends the session
	STREAM_CLOSE_MS = 30000,
};

struct dmsg_link {
	struct loop *l;
	struct conn *below; // until the muxer has it
	struct mux_conn *mux;
	struct dmsg_session s;
	struct dmsg_link_conf conf;
	enum dmsg_link_mux prefer; // yamux unless told
	const struct dmsg_link_events *ev;
	void *arg;
	struct loop_timer *timer; // of the handshake, then of the pause
	unsigned refs;
	bool open, closing, over;
	int err;
	uint8_t in[NOISE_REC_FRAME_MAX];
	size_t in_len;
};

struct dmsg_link *dmsg_link_get(struct dmsg_link *k)
{
	k->refs++;
	return k;
}

void dmsg_link_put(struct dmsg_link *k)
{
	if (k != NULL && --k->refs == 0)
		free(k);
}

static void tell_end(void *arg)
{
	struct dmsg_link *k = arg;

	if (!k->closing)
		k->ev->end(k->arg, k->err);
	dmsg_link_put(k);
}

static void fail(struct dmsg_link *k, int err)
{
	if (k->over)
		return;
	k->over = true;
	k->err = err;
	k->refs++;
	if (loop_defer(k->l, tell_end, k) != 0)
		k->refs--;
}

// ---- the muxer ----

static void on_mux_accept(void *arg, struct conn *take_stream)
{
	struct dmsg_link *k = arg;

	k->ev->accept(k->arg, take_stream);
}

static void on_mux_pong(void *arg, uint64_t rtt_ns)
{
	struct dmsg_link *k = arg;

	if (k->ev->pong != NULL)
		k->ev->pong(k->arg, rtt_ns);
}

static void on_mux_end(void *arg, int err)
{
	fail(arg, err);
}

static const struct mux_conn_events mux_events = {
	.accept = on_mux_accept,
	.pong = on_mux_pong,
	.end = on_mux_end,
};

static struct mux *new_mux(const struct dmsg_link *k, enum dmsg_link_mux kind, uint8_t version)
{
	bool is_yamux = kind == DMSG_LINK_YAMUX;
	struct mux_conf c;

	if (is_yamux)
		yamux_conf(&c, k->s.is_dialler);
	else
		smux_conf(&c, k->s.is_dialler);
	randombytes_buf(c.secret, sizeof(c.secret));
	if (k->conf.streams_max > 0)
		c.streams_max = k->conf.streams_max;
	if (is_yamux) {
		c.open_timeout_ns = STREAM_OPEN_MS * CLOCK_NS_PER_MS;
		c.close_timeout_ns = STREAM_CLOSE_MS * CLOCK_NS_PER_MS;
	}
	return is_yamux ? yamux_new(&c, clock_mono_ns()) : smux_new(&c, version, clock_mono_ns());
}

static bool start_mux(struct dmsg_link *k, enum dmsg_link_mux kind, uint8_t version)
{
	struct mux *mux = new_mux(k, kind, version);
	struct conn *below = k->below;

	if (mux == NULL) {
		fail(k, -errno);
		return false;
	}
	k->below = NULL;
	k->mux = mux_conn_new(k->l, below, mux, NULL, 0, &mux_events, k);
	if (k->mux == NULL)
		fail(k, -errno);
	return k->mux != NULL;
}

// Yamux has version 0 in its first byte, smux 1 or 2; anything else fails in yamux.
static void choose_mux(struct dmsg_link *k, uint8_t first)
{
	bool is_smux = first == 1 || first == 2;

	start_mux(k, is_smux ? DMSG_LINK_SMUX2 : DMSG_LINK_YAMUX, first);
}

// ---- the handshake ----

static void become_open(struct dmsg_link *k)
{
	loop_timer_stop(k->timer);
	if (k->conf.mux != DMSG_LINK_BY_FIRST_BYTE && !start_mux(k, k->conf.mux, 2))
		return;
	k->open = true;
	k->ev->open(k->arg);
}

static void on_timer(void *arg)
{
	struct dmsg_link *k = arg;
	uint64_t now = clock_mono_ns();

	if (k->over || k->open)
		return;
	if (dmsg_session_may_mux(&k->s, now)) {
		k->refs++;
		become_open(k);
		dmsg_link_put(k);
	} else if (dmsg_session_is_late(&k->s, now)) {
		fail(k, -ETIMEDOUT);
	} else { // the timer's clock is a little behind
		loop_timer_start(k->timer, 1, 0);
	}
}

// Our next message; then whatever is due.
static void go_on(struct dmsg_link *k)
{
	uint8_t out[NOISE_REC_FRAME_MAX];
	uint64_t now = clock_mono_ns();
	ssize_t n = dmsg_session_output(&k->s, out, sizeof(out), now);

	if (n > 0 && conn_write(k->below, out, (size_t)n) != n)
		n = -EPIPE; // 67 bytes that a fresh connection does not take
	if (n < 0) {
		fail(k, (int)n);
		return;
	}
	if (k->s.phase != DMSG_PHASE_OPEN)
		return;
	if (dmsg_session_may_mux(&k->s, now))
		become_open(k);
	else
		loop_timer_start(k->timer, (k->s.mux_from_ns - now) / CLOCK_NS_PER_MS + 1, 0);
}

static void take_frame(struct dmsg_link *k, const uint8_t *p, size_t len)
{
	ssize_t n = dmsg_session_input(&k->s, p, len, clock_mono_ns());

	if (n < 0)
		fail(k, (int)n);
	else
		go_on(k);
}

// Takes bytes of one handshake frame, and handles it when it is whole.
static size_t take(struct dmsg_link *k, const uint8_t *p, size_t len)
{
	size_t used = 0;

	while (used < len) {
		ssize_t want = noise_rec_frame_len(k->in, k->in_len);
		size_t missing =
			want == -EAGAIN ? NOISE_REC_HDR_LEN - k->in_len : (size_t)want - k->in_len;
		size_t n = missing < len - used ? missing : len - used;

		if (want < 0 && want != -EAGAIN) {
			fail(k, (int)want);
			return used;
		}
		memcpy(k->in + k->in_len, p + used, n);
		k->in_len += n;
		used += n;
		want = noise_rec_frame_len(k->in, k->in_len);
		if (want >= 0 && k->in_len == (size_t)want)
			break;
	}
	if (noise_rec_frame_len(k->in, k->in_len) == (ssize_t)k->in_len) {
		size_t frame_len = k->in_len;

		k->in_len = 0;
		take_frame(k, k->in, frame_len);
	}
	return used;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct dmsg_link *k = arg;
	size_t used = 0;

	k->refs++;
	while (used < len && !k->closing && !k->over && k->s.phase == DMSG_PHASE_SHAKE)
		used += take(k, p + used, len - used);
	// The muxer takes it from here, when it is there.
	if (used < len && !k->closing && !k->over && k->open && k->mux == NULL)
		choose_mux(k, p[used]);
	if (k->over)
		used = len;
	dmsg_link_put(k);
	return used;
}

// Only the holder of the key can read our first message. And in our pause we have said nothing that
// could be wrong: the server does not want this session.
static void on_end(void *arg, int err)
{
	struct dmsg_link *k = arg;

	if (err == 0)
		err = -ECONNRESET;
	if (err == -ECONNRESET && k->s.is_dialler && k->s.phase == DMSG_PHASE_SHAKE)
		err = -EKEYREJECTED;
	if (err == -ECONNRESET && k->s.is_dialler && k->s.phase == DMSG_PHASE_OPEN)
		err = -EISCONN;
	fail(k, err);
}

static int shake(struct dmsg_link *k)
{
	struct dmsg_session_conf c = {
		.sk = k->conf.sk, .pk = k->conf.pk, .server = k->conf.server, .ss = k->conf.ss};
	int rc = dmsg_session_init(&k->s, &c, clock_mono_ns());

	if (rc < 0)
		return rc;
	loop_timer_start(k->timer, DMSG_SHAKE_TIMEOUT_MS, 0);
	go_on(k);
	conn_resume(k->below);
	return 0;
}

static void on_connected(void *arg)
{
	struct dmsg_link *k = arg;
	int rc = shake(k);

	if (rc < 0)
		fail(k, rc);
}

static const struct conn_events below_events = {
	.open = on_connected, .data = on_data, .end = on_end};

static struct dmsg_link *alloc_link(struct loop *l, const struct dmsg_link_conf *conf,
	const struct dmsg_link_events *ev, void *arg)
{
	struct dmsg_link *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	*k = (struct dmsg_link){.l = l, .conf = *conf, .ev = ev, .arg = arg, .refs = 1};
	k->timer = loop_timer_new(l, on_timer, k);
	if (k->timer == NULL) {
		dmsg_link_close(k);
		return errno_null(ENOMEM);
	}
	return k;
}

bool dmsg_link_server_of(const struct dmsg_entry *e, struct dmsg_server_at *at)
{
	static_assert(sizeof(e->address) <= sizeof(at->address), "an entry's address has room");

	memset(at, 0, sizeof(*at));
	if (!e->is_server || !key_pk_is_valid(&e->pk) || !conn_tcp_is_host_port(e->address))
		return false;
	at->pk = e->pk;
	memcpy(at->address, e->address, sizeof(e->address));
	return true;
}

struct dmsg_link *dmsg_link_dial(struct loop *l, const char *where,
	const struct dmsg_link_conf *conf, const struct dmsg_link_events *ev, void *arg)
{
	static const struct conn_tcp_opts opts = {.keepalive_s = KEEPALIVE_S};
	struct dmsg_link *k = alloc_link(l, conf, ev, arg);

	if (k == NULL)
		return NULL;
	k->below = conn_tcp_dial(l, where, DMSG_LINK_DIAL_MS, &opts, &below_events, k);
	if (k->below == NULL) {
		int err = errno;

		dmsg_link_close(k);
		return errno_null(err);
	}
	return k;
}

struct dmsg_link *dmsg_link_new(struct loop *l, struct conn *take_below,
	const struct dmsg_link_conf *conf, const struct dmsg_link_events *ev, void *arg)
{
	struct dmsg_link *k = alloc_link(l, conf, ev, arg);
	int rc;

	if (k == NULL) {
		conn_close(take_below);
		return errno_null(ENOMEM);
	}
	k->below = take_below;
	conn_set_events(take_below, &below_events, k);
	rc = shake(k);
	if (rc < 0) {
		dmsg_link_close(k);
		return errno_null(rc);
	}
	return k;
}

void dmsg_link_close(struct dmsg_link *k)
{
	if (k == NULL)
		return;
	k->closing = true;
	k->open = false;
	loop_timer_free(k->timer);
	mux_conn_close(k->mux);
	k->mux = NULL;
	conn_close(k->below);
	k->below = NULL;
	dmsg_session_fini(&k->s);
	dmsg_link_put(k);
}

const char *dmsg_link_error(int err)
{
	switch (err) {
	case -EKEYREJECTED:
		return "closed in the handshake: it has another key, or is full";
	case -EISCONN:
		return "closed at once: it has a session of our key, or is full";
	case -EBADMSG:
		return "what it says is no dmsg, or is of another key";
	case -ETIMEDOUT:
		return "no answer in time";
	case -ENOENT:
		return "no such host";
	default:
		return strerror(-err);
	}
}

bool dmsg_link_is_connected(const struct dmsg_link *k)
{
	return k->s.phase != DMSG_PHASE_NONE;
}

bool dmsg_link_is_open(const struct dmsg_link *k)
{
	return k->open && !k->over;
}

const struct key_pk *dmsg_link_peer(const struct dmsg_link *k)
{
	return k->s.phase == DMSG_PHASE_OPEN ? &k->s.peer : NULL;
}

struct dmsg_session *dmsg_link_session(struct dmsg_link *k)
{
	return &k->s;
}

struct loop *dmsg_link_loop(const struct dmsg_link *k)
{
	return k->l;
}

void dmsg_link_prefer(struct dmsg_link *k, enum dmsg_link_mux mux)
{
	k->prefer = mux;
}

struct conn *dmsg_link_stream(struct dmsg_link *k, const struct conn_events *ev, void *arg)
{
	if (!dmsg_link_is_open(k) || (k->mux == NULL && !start_mux(k, k->prefer, 2)))
		return errno_null(ENOTCONN);
	return mux_conn_open(k->mux, ev, arg);
}

int dmsg_link_ping(struct dmsg_link *k)
{
	return k->mux == NULL || k->over ? -ENOTCONN : mux_conn_ping(k->mux);
}

const struct mux_stats *dmsg_link_stats(const struct dmsg_link *k)
{
	return k->mux == NULL ? NULL : mux_conn_stats(k->mux);
}

struct dmsg_link_io dmsg_link_io(const struct dmsg_link *k)
{
	const struct mux_stats *st = k != NULL ? dmsg_link_stats(k) : NULL;

	if (st == NULL)
		return (struct dmsg_link_io){0};
	return (struct dmsg_link_io){.rtt_ns = st->rtt_ns,
		.rx_bytes = st->rx_bytes,
		.tx_bytes = st->tx_bytes,
		.streams = st->n_streams};
}
