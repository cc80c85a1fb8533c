// yamux: what its frames mean for streams (docs/design/mux.md). The states of its specification are
// here as what they are made of:
//
//                    pending  fin_sent  fin_in
//    SYN_SENT           x                          opened, not yet acknowledged
//    ESTABLISHED
//    LOCAL_CLOSED                 x
//    REMOTE_CLOSED                          x
//    CLOSED                       x         x      gone
//
// What the peer is owed is read from the windows when a frame is written, never kept as a frame.
#include "lib/mux/yamux.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/mux/mux_priv.h"
#include "lib/wire/yamux_frame.h"

enum { DUE_SYN = 1, DUE_ACK = 2, DUE_CREDIT = 4, DUE_RST = 8 }; // of a stream
enum { DUE_PING = 1, DUE_GO_AWAY = 2 }; // of the session

// Less than 2^30, so that sums of windows don't overflow.
enum { WINDOW_MAX = 1 << 30 };

struct yamux_stream {
	struct stream s; // first
	uint32_t tx_window; // bytes that we may send
	uint32_t rx_window; // bytes that the peer may send
	bool pending; // we opened it and no answer came: counted in n_pending
};

struct yamux {
	struct mux m; // first
	uint32_t n_pending;
	uint32_t ping_id; // of the one that is out, or the next
	uint64_t ping_ns; // when it left, or the next is due
	uint32_t code; // of our GO_AWAY
	bool ping_out;
	bool peer_left; // GO_AWAY came
	bool we_left;
	bool want_open; // an open failed for want of answers
};

static struct yamux *yamux_of(struct mux *m)
{
	return container_of(m, struct yamux, m);
}

static struct yamux_stream *stream_of(struct stream *s)
{
	return container_of(s, struct yamux_stream, s);
}

// The answer came, or never will.
static void answered(struct yamux_stream *y)
{
	struct yamux *ym = yamux_of(y->s.m);

	if (!y->pending)
		return;
	y->pending = false;
	ym->n_pending--;
	if (ym->want_open)
		ym->m.what |= MUX_CAN_OPEN;
	ym->want_open = false;
}

static void gone(struct stream *s)
{
	answered(stream_of(s));
	mux_gone(s);
}

static void reset(struct stream *s)
{
	if (s->due & DUE_SYN) { // it never was on the wire
		gone(s);
		return;
	}
	s->due = DUE_RST;
	mux_turn(s);
}

// Bytes that came, or will with the frame under way, and that nobody read.
static uint32_t unread(const struct stream *s)
{
	return s->in.len + (s->m->body == s ? s->m->body_left : 0);
}

static uint32_t credit(const struct stream *s)
{
	const struct yamux_stream *y = container_of(s, const struct yamux_stream, s);

	return s->m->conf.window - unread(s) - y->rx_window;
}

// ---- output ----

static void put_frame(
	struct mux *m, struct bytes_w *w, uint8_t type, unsigned flags, uint32_t id, uint32_t len)
{
	const struct yamux_frame f = {.type = type, .flags = (uint16_t)flags, .id = id, .len = len};

	yamux_frame_encode(bytes_w_span(w, YAMUX_HDR_LEN), YAMUX_HDR_LEN, &f);
	m->stats.tx_frames++;
}

static void put_window(struct stream *s, struct bytes_w *w)
{
	unsigned flags = (s->due & DUE_SYN ? YAMUX_SYN : 0) | (s->due & DUE_ACK ? YAMUX_ACK : 0);
	uint32_t delta = credit(s);

	put_frame(s->m, w, YAMUX_WINDOW, flags, s->id, delta);
	stream_of(s)->rx_window += delta;
	if ((s->due & DUE_SYN) && !s->fin_out)
		mux_wait(s, &s->m->opening);
	s->due = 0;
}

static size_t allowed(const struct stream *s, size_t n)
{
	const struct yamux_stream *y = container_of(s, const struct yamux_stream, s);

	return n < y->tx_window ? n : y->tx_window;
}

static void put_data_hdr(const struct stream *s, uint8_t *p, size_t n)
{
	const struct yamux_frame f = {.type = YAMUX_DATA, .id = s->id, .len = (uint32_t)n};

	yamux_frame_encode(p, YAMUX_HDR_LEN, &f);
}

static void on_sent(struct stream *s, size_t n)
{
	stream_of(s)->tx_window -= (uint32_t)n;
}

// After each frame, and each change of a stream that the owner left. Its peer may send what fits
// into half the window to nobody; beyond that it is told, lest it waits for credit for ever.
static void settle(struct stream *s)
{
	struct mux *m = s->m;

	if (s->fin_sent && s->fin_in)
		gone(s);
	else if (s->state == MUX_LEFT && s->fin_sent &&
		 stream_of(s)->rx_window <= m->conf.window / 2)
		reset(s);
	else if (s->state == MUX_LEFT)
		mux_wait(s, &m->lingering);
}

static bool put_stream(struct stream *s, struct bytes_w *w)
{
	if (mux_room(w) < YAMUX_HDR_LEN)
		return false;
	if (s->due & DUE_RST) {
		put_frame(s->m, w, YAMUX_WINDOW, YAMUX_RST, s->id, 0);
		s->m->stats.n_reset_out++;
		gone(s);
		return true;
	}
	if (s->state == MUX_LEFT) // who does not read gives no credit
		s->due &= ~(unsigned)DUE_CREDIT;
	if (s->due != 0) {
		put_window(s, w);
	} else if (mux_sendable(s) > 0) {
		if (!mux_put_data(s, w))
			return false;
	} else if (mux_can_send_fin(s)) {
		put_frame(s->m, w, YAMUX_WINDOW, YAMUX_FIN, s->id, 0);
		s->fin_sent = true;
	}
	if (s->due != 0 || mux_sendable(s) > 0 || mux_can_send_fin(s))
		mux_turn(s);
	settle(s);
	return true;
}

static void put_session(struct mux *m, struct bytes_w *w)
{
	struct yamux *ym = yamux_of(m);

	if ((m->due & DUE_PING) && mux_room(w) >= YAMUX_HDR_LEN) {
		put_frame(m, w, YAMUX_PING, YAMUX_SYN, 0, ym->ping_id);
		ym->ping_out = true;
		ym->ping_ns = m->now_ns;
		m->due &= ~(unsigned)DUE_PING;
	}
	if ((m->due & DUE_GO_AWAY) && mux_room(w) >= YAMUX_HDR_LEN) {
		put_frame(m, w, YAMUX_GO_AWAY, 0, 0, ym->code);
		m->due &= ~(unsigned)DUE_GO_AWAY;
	}
}

// ---- input ----

// The peer broke the protocol: it is told, that is the last thing that it hears.
static int protocol_error(struct mux *m)
{
	yamux_of(m)->code = YAMUX_PROTOCOL_ERROR;
	m->due = DUE_GO_AWAY;
	return -EPROTO;
}

static void reply(struct mux *m, uint8_t type, unsigned flags, uint32_t id, uint32_t len)
{
	struct bytes_w w = mux_reply(m);

	put_frame(m, &w, type, flags, id, len);
}

static void on_ping(struct mux *m, const struct yamux_frame *f)
{
	struct yamux *ym = yamux_of(m);

	if (f->flags & YAMUX_SYN) {
		reply(m, YAMUX_PING, YAMUX_ACK, 0, f->len);
	} else if (ym->ping_out && f->len == ym->ping_id) {
		ym->ping_out = false;
		ym->ping_id++;
		m->stats.rtt_ns = m->now_ns - ym->ping_ns;
		ym->ping_ns = m->now_ns + m->conf.keepalive_ns;
		m->what |= MUX_PONG;
	}
}

static int on_go_away(struct mux *m, const struct yamux_frame *f)
{
	if (f->len != YAMUX_NORMAL)
		return -ECONNABORTED;
	yamux_of(m)->peer_left = true;
	m->what |= MUX_GO_AWAY;
	return 0;
}

static int on_syn(struct mux *m, const struct yamux_frame *f)
{
	struct stream *s;

	if (f->id == 0 || (f->id & 1) == (m->conf.is_client ? 1 : 0))
		return protocol_error(m);
	if (mux_find(m, f->id) != NULL)
		return protocol_error(m);
	s = yamux_of(m)->we_left ? NULL : mux_incoming(m, f->id);
	if (s == NULL) {
		reply(m, YAMUX_WINDOW, YAMUX_RST, f->id, 0);
		return 0;
	}
	stream_of(s)->tx_window = stream_of(s)->rx_window = YAMUX_WINDOW_INITIAL;
	return 0;
}

// What follows is for nobody.
static int pass_over(struct mux *m, const struct yamux_frame *f)
{
	if (f->type != YAMUX_DATA)
		return 0;
	if (f->len > m->conf.window)
		return protocol_error(m);
	m->body_left = f->len;
	return 0;
}

static int on_data(struct stream *s, uint32_t len)
{
	struct yamux_stream *y = stream_of(s);
	struct mux *m = s->m;

	if (len > y->rx_window)
		return protocol_error(m);
	y->rx_window -= len;
	m->body_left = len;
	if (s->state == MUX_LEFT) {
		mux_turn(s);
	} else if (len > m->conf.recv_max - m->stats.n_unread) {
		m->stats.n_no_memory++;
		mux_break(s, -ENOBUFS);
		reset(s);
	} else if (len > 0) {
		m->body = s;
	}
	return 0;
}

static int on_credit(struct stream *s, uint32_t delta)
{
	struct yamux_stream *y = stream_of(s);

	if (delta > UINT32_MAX - y->tx_window)
		return protocol_error(s->m);
	y->tx_window += delta;
	if (mux_sendable(s) > 0)
		mux_turn(s);
	mux_window_opened(s);
	return 0;
}

static int on_stream_frame(struct mux *m, struct stream *s, const struct yamux_frame *f)
{
	int rc;

	if ((f->flags & YAMUX_ACK) && stream_of(s)->pending) {
		answered(stream_of(s));
		if (s->waits_in == &m->opening)
			mux_wait(s, NULL);
		mux_tell(s, MUX_OPENED);
	}
	if ((f->flags & YAMUX_FIN) && s->fin_in)
		return protocol_error(m);
	if (f->flags & YAMUX_RST) {
		if (f->type == YAMUX_DATA && f->len > stream_of(s)->rx_window)
			return protocol_error(m);
		m->stats.n_reset_in++;
		mux_break(s, -ECONNRESET);
		gone(s);
		return pass_over(m, f);
	}
	rc = f->type == YAMUX_DATA ? on_data(s, f->len) : on_credit(s, f->len);
	if (rc == 0 && (f->flags & YAMUX_FIN)) {
		mux_fin_in(s);
		settle(s);
	}
	return rc;
}

static int on_frame(struct mux *m, const uint8_t *p, size_t len)
{
	struct yamux_frame f;
	struct stream *s;
	int rc;

	if (yamux_frame_decode(p, len, &f) < 0)
		return -EPROTO; // it may not even speak yamux
	if (f.type == YAMUX_GO_AWAY)
		return on_go_away(m, &f);
	if (f.type == YAMUX_PING) {
		on_ping(m, &f);
		return 0;
	}
	rc = f.flags & YAMUX_SYN ? on_syn(m, &f) : 0;
	if (rc < 0)
		return rc;
	s = mux_find(m, f.id);
	if (s != NULL && s->err == 0)
		return on_stream_frame(m, s, &f);
	m->stats.n_stray++; // refused, gone, or about to be reset
	return pass_over(m, &f);
}

// ---- the owner, and time ----

static int may_open(struct mux *m)
{
	struct yamux *ym = yamux_of(m);

	if (ym->peer_left)
		return -ECONNREFUSED;
	if (ym->n_pending < m->conf.backlog)
		return 0;
	ym->want_open = true;
	return -EAGAIN;
}

static void on_open(struct stream *s)
{
	struct yamux_stream *y = stream_of(s);

	y->tx_window = y->rx_window = YAMUX_WINDOW_INITIAL;
	y->pending = true;
	yamux_of(s->m)->n_pending++;
	s->due = DUE_SYN;
}

// A peer that has finished already does not wait for an ACK.
static void on_accept(struct stream *s)
{
	if (s->fin_in || s->err != 0)
		return;
	s->due |= DUE_ACK;
	mux_turn(s);
}

static void on_read(struct stream *s, size_t n)
{
	if (s->fin_in || credit(s) < s->m->conf.window / 2)
		return;
	s->due |= DUE_CREDIT;
	mux_turn(s);
}

static void on_expire(struct stream *s)
{
	mux_break(s, -ETIMEDOUT);
	reset(s);
}

static uint64_t tick(struct mux *m)
{
	struct yamux *ym = yamux_of(m);

	if (m->conf.keepalive_ns == 0)
		return UINT64_MAX;
	if (ym->ping_out) {
		if (m->now_ns - ym->ping_ns >= m->conf.keepalive_timeout_ns)
			mux_end(m, -ETIMEDOUT);
		return ym->ping_ns + m->conf.keepalive_timeout_ns;
	}
	if (m->now_ns < ym->ping_ns)
		return ym->ping_ns;
	m->due |= DUE_PING;
	return UINT64_MAX; // output says when it left
}

static int ping(struct mux *m)
{
	if (!yamux_of(m)->ping_out)
		m->due |= DUE_PING;
	return 0;
}

static void go_away(struct mux *m)
{
	yamux_of(m)->we_left = true;
	m->due |= DUE_GO_AWAY;
}

static bool can_read(const struct mux *m)
{
	return mux_can_reply(m);
}

static const struct mux_ops ops = {
	.stream_len = sizeof(struct yamux_stream),
	.hdr_len = YAMUX_HDR_LEN,
	.reply_len = YAMUX_HDR_LEN,
	.id_end = 0xfffffffe,
	.can_read = can_read,
	.on_frame = on_frame,
	.put_session = put_session,
	.put_stream = put_stream,
	.allowed = allowed,
	.put_data_hdr = put_data_hdr,
	.on_sent = on_sent,
	.may_open = may_open,
	.on_open = on_open,
	.on_accept = on_accept,
	.on_read = on_read,
	.on_reset = reset,
	.on_expire = on_expire,
	.tick = tick,
	.ping = ping,
	.go_away = go_away,
};

void yamux_conf(struct mux_conf *conf, bool is_client)
{
	*conf = (struct mux_conf){
		.is_client = is_client,
		.backlog = 256,
		.streams_max = 4096,
		.window = YAMUX_WINDOW_INITIAL,
		.send_max = 65536,
		.frame_max = 32768,
		.recv_max = 64 << 20,
		.keepalive_ns = 30 * CLOCK_NS_PER_S,
		.keepalive_timeout_ns = 10 * CLOCK_NS_PER_S,
		.write_timeout_ns = 10 * CLOCK_NS_PER_S,
		.open_timeout_ns = 75 * CLOCK_NS_PER_S,
		.close_timeout_ns = 300 * CLOCK_NS_PER_S,
	};
}

struct mux *yamux_new(const struct mux_conf *conf, uint64_t now_ns)
{
	struct yamux *ym;
	int rc;

	if (conf->window < YAMUX_WINDOW_INITIAL || conf->window > WINDOW_MAX ||
		conf->backlog == 0 || conf->streams_max == 0 || conf->send_max == 0 ||
		conf->frame_max == 0 || conf->recv_max == 0)
		return errno_null(EINVAL);
	ym = calloc(1, sizeof(*ym));
	if (ym == NULL)
		return errno_null(ENOMEM);
	rc = mux_init(&ym->m, &ops, conf, conf->is_client ? 1 : 2, now_ns);
	if (rc < 0) {
		free(ym);
		return errno_null(rc);
	}
	ym->ping_ns = now_ns + conf->keepalive_ns;
	return &ym->m;
}
