// smux: what its frames mean for streams (docs/design/mux.md). An opened stream is not
// acknowledged, a closed one is forgotten once FIN has left, and frames of streams that are not
// known are passed over: so either side may forget a stream at any time. All arithmetic of windows
// is modulo 2^32.
#include "lib/mux/smux.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/mux/mux_priv.h"
#include "lib/wire/smux_frame.h"

enum { DUE_SYN = 1, DUE_UPD = 2 }; // of a stream
enum { DUE_NOP = 1 }; // of the session
enum { VERSION_WINDOWS = 2 }; // from this version on

struct smux_stream {
	struct stream s; // first
	uint32_t sent; // bytes since the stream began
	uint32_t peer_read; // of those, as the last UPD said
	uint32_t peer_window; // bytes that may be under way
	uint32_t read; // bytes since the stream began
	uint32_t since_upd; // of those, since we told the peer
};

struct smux {
	struct mux m; // first
	uint8_t version;
	uint64_t nop_ns; // the next is due
	uint64_t heard_ns; // the last frame came
};

static struct smux *smux_of(struct mux *m)
{
	return container_of(m, struct smux, m);
}

static bool has_windows(const struct mux *m)
{
	return container_of(m, const struct smux, m)->version >= VERSION_WINDOWS;
}

static struct smux_stream *stream_of(struct stream *s)
{
	return container_of(s, struct smux_stream, s);
}

// How many of n bytes may leave now.
static size_t allowed(const struct stream *s, size_t n)
{
	const struct smux_stream *x = container_of(s, const struct smux_stream, s);
	int64_t room = (int64_t)(int32_t)x->peer_window - (int32_t)(x->sent - x->peer_read);

	if (!has_windows(s->m) || room >= (int64_t)n)
		return n;
	return room > 0 ? (size_t)room : 0;
}

// ---- output ----

static void put_frame(struct mux *m, struct bytes_w *w, uint8_t cmd, uint32_t id)
{
	const struct smux_frame f = {.version = smux_of(m)->version, .cmd = cmd, .id = id};

	smux_frame_encode(bytes_w_span(w, SMUX_HDR_LEN), SMUX_HDR_LEN, &f);
	m->stats.tx_frames++;
}

static void put_upd(struct stream *s, struct bytes_w *w)
{
	const struct smux_frame f = {.version = smux_of(s->m)->version,
		.cmd = SMUX_UPD,
		.id = s->id,
		.consumed = stream_of(s)->read,
		.window = s->m->conf.window};

	smux_frame_encode(bytes_w_span(w, MUX_HDR_MAX), MUX_HDR_MAX, &f);
	s->m->stats.tx_frames++;
}

static void put_data_hdr(const struct stream *s, uint8_t *p, size_t n)
{
	const struct smux_frame f = {.version = container_of(s->m, const struct smux, m)->version,
		.cmd = SMUX_PSH,
		.len = (uint16_t)n,
		.id = s->id};

	smux_frame_encode(p, SMUX_HDR_LEN, &f);
}

static void on_sent(struct stream *s, size_t n)
{
	stream_of(s)->sent += (uint32_t)n;
}

// After each frame, and when the peer finished: it may have forgotten the stream, and then no
// window ever comes. Nor is it waited for without end when the owner left.
static void settle(struct stream *s)
{
	struct stream_list *lingering = &s->m->lingering;
	bool is_stuck = s->fin_in && s->out.len > 0 && mux_sendable(s) == 0;

	if (s->fin_sent && (s->fin_in || s->state == MUX_LEFT))
		mux_gone(s);
	else if (s->state == MUX_LEFT || (is_stuck && s->waits_in == NULL))
		mux_wait(s, lingering);
	else if (!is_stuck && s->waits_in == lingering)
		mux_wait(s, NULL);
}

static bool put_stream(struct stream *s, struct bytes_w *w)
{
	if (mux_room(w) < MUX_HDR_MAX)
		return false;
	if (s->state == MUX_LEFT) // nobody reads
		s->due &= ~(unsigned)DUE_UPD;
	if (s->due & DUE_SYN) {
		put_frame(s->m, w, SMUX_SYN, s->id);
		s->due &= ~(unsigned)DUE_SYN;
	} else if (s->due & DUE_UPD) {
		put_upd(s, w);
		s->due &= ~(unsigned)DUE_UPD;
	} else if (mux_sendable(s) > 0) {
		if (!mux_put_data(s, w))
			return false;
	} else if (mux_can_send_fin(s)) {
		put_frame(s->m, w, SMUX_FIN, s->id);
		s->fin_sent = true;
	}
	if (s->due != 0 || mux_sendable(s) > 0 || mux_can_send_fin(s))
		mux_turn(s);
	settle(s);
	return true;
}

static void put_session(struct mux *m, struct bytes_w *w)
{
	if (m->due == 0 || mux_room(w) < SMUX_HDR_LEN)
		return;
	put_frame(m, w, SMUX_NOP, 0);
	m->due = 0;
}

// ---- input ----

static void on_syn(struct mux *m, uint32_t id)
{
	struct stream *s;
	struct bytes_w w;

	if (mux_find(m, id) != NULL)
		return;
	s = mux_incoming(m, id);
	if (s != NULL) {
		stream_of(s)->peer_window = SMUX_WINDOW_INITIAL;
		return;
	}
	w = mux_reply(m);
	put_frame(m, &w, SMUX_FIN, id);
}

static void on_fin(struct stream *s)
{
	if (s->fin_in)
		return;
	mux_fin_in(s);
	settle(s);
}

// The sender's window may be larger than ours until it knows ours, and by what was under way then.
static int on_psh(struct stream *s, uint16_t len)
{
	struct mux *m = s->m;
	uint32_t max = SMUX_WINDOW_INITIAL;

	if (m->conf.window > max)
		max = m->conf.window;
	if (has_windows(m) && s->in.len + len > max + SMUX_DATA_MAX)
		return -EPROTO;
	if (len > 0 && s->state != MUX_LEFT)
		m->body = s;
	return 0;
}

static void on_upd(struct stream *s, const struct smux_frame *f)
{
	struct smux_stream *x = stream_of(s);

	x->peer_read = f->consumed;
	x->peer_window = f->window;
	if ((int32_t)(x->sent - x->peer_read) < 0)
		mux_break_writes(s, -EPROTO);
	else if (s->waits_in == &s->m->lingering)
		mux_wait(s, s->waits_in); // there is a peer
	mux_turn(s);
	mux_window_opened(s);
}

static int on_stream_frame(struct mux *m, const struct smux_frame *f)
{
	struct stream *s = mux_find(m, f->id);

	if (f->cmd == SMUX_PSH)
		m->body_left = f->len;
	if (s == NULL) {
		m->stats.n_stray++;
		return 0;
	}
	if (f->cmd == SMUX_PSH)
		return on_psh(s, f->len);
	if (f->cmd == SMUX_FIN)
		on_fin(s);
	else
		on_upd(s, f);
	return 0;
}

static int on_frame(struct mux *m, const uint8_t *p, size_t len)
{
	struct smux *sm = smux_of(m);
	struct smux_frame f;
	int rc = smux_frame_decode(p, len, sm->version, &f);

	if (rc < 0)
		return rc == -EAGAIN ? rc : -EPROTO;
	sm->heard_ns = m->now_ns;
	if (f.cmd == SMUX_NOP)
		return 0;
	if (f.cmd != SMUX_SYN)
		return on_stream_frame(m, &f);
	on_syn(m, f.id);
	return 0;
}

// The budget of the session: with it used up nothing is read, whatever it is.
static bool can_read(const struct mux *m)
{
	return m->stats.n_unread < m->conf.recv_max && mux_can_reply(m);
}

// ---- the owner, and time ----

static int may_open(struct mux *m)
{
	return 0;
}

static void on_open(struct stream *s)
{
	stream_of(s)->peer_window = SMUX_WINDOW_INITIAL;
	s->due = DUE_SYN;
}

static void on_accept(struct stream *s)
{
}

static void on_read(struct stream *s, size_t n)
{
	struct smux_stream *x = stream_of(s);
	bool is_first = x->read == 0;

	x->read += (uint32_t)n;
	x->since_upd += (uint32_t)n;
	if (!has_windows(s->m) || (!is_first && x->since_upd < s->m->conf.window / 2))
		return;
	x->since_upd = 0;
	s->due |= DUE_UPD;
	mux_turn(s);
}

// There is no reset: the peer sees an end.
static void on_reset(struct stream *s)
{
	if (s->due & DUE_SYN) // it never was on the wire
		mux_gone(s);
}

static void on_expire(struct stream *s)
{
	mux_break_writes(s, -EPIPE);
	mux_turn(s);
}

static uint64_t tick(struct mux *m)
{
	struct smux *sm = smux_of(m);
	uint64_t dead_ns;

	if (m->conf.keepalive_ns == 0)
		return UINT64_MAX;
	if (m->now_ns >= sm->nop_ns) {
		m->due |= DUE_NOP;
		sm->nop_ns = m->now_ns + m->conf.keepalive_ns;
	}
	if (!can_read(m)) // the silence is our own doing
		sm->heard_ns = m->now_ns;
	dead_ns = sm->heard_ns + m->conf.keepalive_timeout_ns;
	if (m->now_ns >= dead_ns)
		mux_end(m, -ETIMEDOUT);
	return sm->nop_ns < dead_ns ? sm->nop_ns : dead_ns;
}

static int ping(struct mux *m)
{
	return -EOPNOTSUPP;
}

static void go_away(struct mux *m)
{
	m->conf.backlog = 0;
}

static const struct mux_ops ops = {
	.stream_len = sizeof(struct smux_stream),
	.hdr_len = SMUX_HDR_LEN,
	.reply_len = SMUX_HDR_LEN,
	.id_end = UINT64_C(1) << 32,
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
	.on_reset = on_reset,
	.on_expire = on_expire,
	.tick = tick,
	.ping = ping,
	.go_away = go_away,
};

void smux_conf(struct mux_conf *conf, bool is_client)
{
	*conf = (struct mux_conf){
		.is_client = is_client,
		.backlog = 1024,
		.streams_max = 4096,
		.window = 65536,
		.send_max = 65536,
		.frame_max = 32768,
		.recv_max = 4 << 20,
		.keepalive_ns = 10 * CLOCK_NS_PER_S,
		.keepalive_timeout_ns = 30 * CLOCK_NS_PER_S,
		.write_timeout_ns = 30 * CLOCK_NS_PER_S,
		.close_timeout_ns = 30 * CLOCK_NS_PER_S,
	};
}

struct mux *smux_new(const struct mux_conf *conf, uint8_t version, uint64_t now_ns)
{
	struct smux *sm;
	int rc;

	if (version < 1 || version > 2 || conf->recv_max > INT32_MAX || conf->window == 0 ||
		conf->window > conf->recv_max || conf->frame_max == 0 ||
		conf->frame_max > SMUX_DATA_MAX || conf->backlog == 0 || conf->streams_max == 0 ||
		conf->send_max == 0 || conf->keepalive_timeout_ns < conf->keepalive_ns)
		return errno_null(EINVAL);
	sm = calloc(1, sizeof(*sm));
	if (sm == NULL)
		return errno_null(ENOMEM);
	rc = mux_init(&sm->m, &ops, conf, conf->is_client ? 3 : 2, now_ns);
	if (rc < 0) {
		free(sm);
		return errno_null(rc);
	}
	sm->version = version;
	sm->nop_ns = now_ns + conf->keepalive_ns;
	sm->heard_ns = now_ns;
	return &sm->m;
}
