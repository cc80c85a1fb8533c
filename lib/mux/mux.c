// Sessions and streams, whichever frames they speak: buffers, events, turns to send and times. Each
// stream with something to send has a turn after the others, of one frame. Nothing here knows a
// frame or a window; see mux_priv.h for the line between the two.
#include <assert.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"
#include "lib/mux/mux_priv.h"

enum { DATA_WORTH = 512 }; // bytes in the rest of a buffer that has frames already
#define POOL_IDLE_NS (5 * CLOCK_NS_PER_S)

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct stream *stream_of(struct mux_stream *s)
{
	return container_of(s, struct stream, pub);
}

int mux_init(struct mux *m, const struct mux_ops *ops, const struct mux_conf *conf,
	uint32_t first_id, uint64_t now_ns)
{
	m->by_id = htab_new(sizeof(uint32_t), conf->streams_max, conf->secret);
	if (m->by_id == NULL)
		return -errno;
	m->ops = ops;
	m->conf = *conf;
	m->now_ns = now_ns;
	m->next_id = first_id;
	m->hdr_need = (uint8_t)ops->hdr_len;
	TAILQ_INIT(&m->all);
	TAILQ_INIT(&m->turn);
	TAILQ_INIT(&m->news);
	TAILQ_INIT(&m->accept);
	TAILQ_INIT(&m->opening);
	TAILQ_INIT(&m->lingering);
	return 0;
}

// ---- streams ----

struct stream *mux_find(const struct mux *m, uint32_t id)
{
	return htab_find(m->by_id, &id);
}

static struct stream *stream_new(struct mux *m, uint32_t id, enum mux_stream_state state)
{
	struct stream *s = calloc(1, m->ops->stream_len);
	int rc = s == NULL ? -ENOMEM : htab_put(m->by_id, &id, s);

	if (rc < 0) {
		free(s);
		return errno_null(rc == -ENOSPC ? EMFILE : rc);
	}
	s->m = m;
	s->id = id;
	s->state = (uint8_t)state;
	TAILQ_INSERT_TAIL(&m->all, s, all);
	m->stats.n_streams++;
	return s;
}

static void drop_in(struct stream *s)
{
	s->m->stats.n_unread -= mux_buf_get(&s->in, &s->m->pool, NULL, s->in.len);
	if (s->m->body == s)
		s->m->body = NULL;
}

static void drop_out(struct stream *s)
{
	mux_buf_get(&s->out, &s->m->pool, NULL, s->out.len);
}

static void no_turn(struct stream *s)
{
	if (s->has_turn)
		TAILQ_REMOVE(&s->m->turn, s, turn);
	s->has_turn = false;
}

static void no_news(struct stream *s)
{
	if (s->what != 0)
		TAILQ_REMOVE(&s->m->news, s, news);
	s->what = 0;
}

// Takes it off the wire; it still is in `all`.
static void detach(struct stream *s)
{
	htab_del(s->m->by_id, &s->id);
	if (s->m->open_s == s)
		s->m->open_s = NULL;
	s->m->stats.n_streams--;
	s->gone = true;
	no_turn(s);
	mux_wait(s, NULL);
	drop_out(s);
}

static void stream_free(struct stream *s)
{
	drop_in(s);
	no_news(s);
	TAILQ_REMOVE(&s->m->all, s, all);
	free(s);
}

void mux_gone(struct stream *s)
{
	detach(s);
	if (s->state != MUX_HELD)
		stream_free(s);
}

struct stream *mux_incoming(struct mux *m, uint32_t id)
{
	struct stream *s = NULL;

	if (m->stats.n_waiting < m->conf.backlog)
		s = stream_new(m, id, MUX_WAITING);
	if (s == NULL) {
		m->stats.n_refused++;
		return NULL;
	}
	mux_wait(s, &m->accept);
	m->what |= MUX_ACCEPT;
	return s;
}

void mux_turn(struct stream *s)
{
	if (s->has_turn || s->gone)
		return;
	TAILQ_INSERT_TAIL(&s->m->turn, s, turn);
	s->has_turn = true;
}

void mux_tell(struct stream *s, unsigned what)
{
	if (s->state != MUX_HELD)
		return;
	if (s->what == 0)
		TAILQ_INSERT_TAIL(&s->m->news, s, news);
	s->what |= what;
}

void mux_wait(struct stream *s, struct stream_list *list)
{
	struct mux *m = s->m;

	if (s->waits_in != NULL)
		TAILQ_REMOVE(s->waits_in, s, wait);
	m->stats.n_waiting += (list == &m->accept) - (s->waits_in == &m->accept);
	s->waits_in = list;
	s->since_ns = m->now_ns;
	if (list != NULL)
		TAILQ_INSERT_TAIL(list, s, wait);
}

void mux_break_writes(struct stream *s, int err)
{
	s->tx_err = err;
	drop_out(s);
	mux_tell(s, MUX_WRITABLE);
}

void mux_break(struct stream *s, int err)
{
	s->err = err;
	drop_in(s);
	mux_break_writes(s, err);
	mux_tell(s, MUX_ENDED);
}

void mux_fin_in(struct stream *s)
{
	s->fin_in = true;
	mux_tell(s, MUX_READABLE);
}

// The peer finished, and all that it sent is here.
static bool is_whole(const struct stream *s)
{
	return s->fin_in && s->m->body != s;
}

// ---- the session ----

void mux_end(struct mux *m, int err)
{
	struct stream *s = TAILQ_FIRST(&m->all), *next;

	if (m->stats.err != 0)
		return;
	m->stats.err = err;
	m->what |= MUX_DEAD;
	m->n_replies = 0;
	for (; s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		if (!s->gone)
			detach(s);
		if (s->state != MUX_HELD) {
			stream_free(s);
			continue;
		}
		if (s->err == 0 && !is_whole(s))
			s->err = err;
		if (s->tx_err == 0)
			s->tx_err = err;
		mux_tell(s, MUX_ENDED);
	}
	m->body = NULL;
}

void mux_free(struct mux *m)
{
	struct stream *s;

	if (m == NULL)
		return;
	mux_end(m, -ECANCELED); // frees all that the owner does not hold
	while ((s = TAILQ_FIRST(&m->all)) != NULL)
		stream_free(s);
	mux_pool_fini(&m->pool);
	htab_free(m->by_id);
	free(m);
}

const struct mux_stats *mux_stats(struct mux *m)
{
	m->stats.n_chunks = m->pool.n_chunks;
	return &m->stats;
}

bool mux_event(struct mux *m, struct mux_event *out)
{
	struct stream *s = TAILQ_FIRST(&m->news);

	*out = (struct mux_event){.what = m->what};
	m->what = 0;
	if (out->what != 0)
		return true;
	if (s == NULL)
		return false;
	*out = (struct mux_event){.stream = &s->pub, .what = s->what};
	no_news(s);
	return true;
}

// ---- input ----

static size_t take_header(struct mux *m, const uint8_t *p, size_t len)
{
	size_t n = min_size(len, m->hdr_need - m->hdr_len);
	int rc;

	memcpy(m->hdr + m->hdr_len, p, n);
	m->hdr_len += (uint8_t)n;
	if (m->hdr_len < m->hdr_need)
		return n;
	rc = m->ops->on_frame(m, m->hdr, m->hdr_len);
	if (rc == -EAGAIN) {
		m->hdr_need = MUX_HDR_MAX;
		return n;
	}
	m->hdr_len = 0;
	m->hdr_need = (uint8_t)m->ops->hdr_len;
	m->stats.rx_frames++;
	if (rc < 0)
		mux_end(m, rc);
	return n;
}

static size_t take_body(struct mux *m, const uint8_t *p, size_t len)
{
	size_t n = min_size(len, m->body_left), put;
	struct stream *s = m->body;

	m->body_left -= (uint32_t)n;
	if (s == NULL)
		return n;
	put = mux_buf_put(&s->in, &m->pool, p, n);
	m->stats.n_unread += put;
	m->stats.rx_bytes += put;
	mux_tell(s, MUX_READABLE);
	if (put < n)
		mux_end(m, -ENOMEM);
	if (m->body_left == 0)
		m->body = NULL;
	return n;
}

// One step on; false: nothing is read now.
static bool take(struct mux *m, const uint8_t *p, size_t len, size_t *done)
{
	if (m->body_left > 0)
		*done += take_body(m, p + *done, len - *done);
	else if (m->hdr_len == 0 && !m->ops->can_read(m))
		return false;
	else
		*done += take_header(m, p + *done, len - *done);
	return true;
}

ptrdiff_t mux_input(struct mux *m, const void *data, size_t len, uint64_t now_ns)
{
	size_t done = 0;

	m->now_ns = now_ns;
	while (done < len && m->stats.err == 0 && take(m, data, len, &done))
		;
	return m->stats.err != 0 ? m->stats.err : (ptrdiff_t)done;
}

// Bytes come next that the owner of a stream may read at once: none wait before them.
static bool may_pass(const struct mux *m)
{
	return m->body_left > 0 && m->body != NULL && m->body->state == MUX_HELD &&
	       m->body->in.len == 0;
}

ptrdiff_t mux_input_to(struct mux *m, const void *data, size_t len, uint64_t now_ns,
	struct mux_stream **s, size_t *n)
{
	size_t done = 0;

	m->now_ns = now_ns;
	*n = 0;
	while (done < len && m->stats.err == 0 && !may_pass(m) && take(m, data, len, &done))
		;
	if (m->stats.err != 0)
		return m->stats.err;
	if (done < len && may_pass(m)) {
		*s = &m->body->pub;
		*n = min_size(m->body_left, len - done);
	}
	return (ptrdiff_t)done;
}

void mux_pass(struct mux *m, size_t n)
{
	struct stream *s = m->body;

	if (s == NULL || n == 0)
		return; // it was closed by its reader
	m->body_left -= (uint32_t)n;
	m->stats.rx_bytes += n;
	if (m->body_left == 0)
		m->body = NULL;
	if (!s->gone)
		m->ops->on_read(s, n);
}

// ---- output ----

struct bytes_w mux_reply(struct mux *m)
{
	assert(mux_can_reply(m));
	return bytes_w(m->reply[(m->reply_head + m->n_replies++) % MUX_REPLIES], m->ops->reply_len);
}

static void put_replies(struct mux *m, struct bytes_w *w)
{
	while (m->n_replies > 0 && mux_room(w) >= m->ops->reply_len) {
		bytes_w_copy(w, m->reply[m->reply_head], m->ops->reply_len);
		m->reply_head = (m->reply_head + 1) % MUX_REPLIES;
		m->n_replies--;
	}
}

// How many of n bytes of a stream to write behind a header of hdr_len; 0: wait for more room.
static size_t data_room(const struct bytes_w *w, size_t hdr_len, size_t n)
{
	size_t room = mux_room(w);

	if (room <= hdr_len || (room < hdr_len + min_size(n, DATA_WORTH) && bytes_w_len(w) > 0))
		return 0;
	return min_size(n, room - hdr_len);
}

static void tell_writable(struct stream *s)
{
	if (!s->want_write || s->out.len > s->m->conf.send_max / 2)
		return;
	s->want_write = false;
	mux_tell(s, MUX_WRITABLE);
}

// Of a data frame with so many bytes that left now.
static void put_data_hdr(struct stream *s, uint8_t *p, size_t len, size_t n_new)
{
	s->m->ops->put_data_hdr(s, p, len);
	s->m->ops->on_sent(s, n_new);
	s->m->stats.tx_bytes += n_new;
}

bool mux_put_data(struct stream *s, struct bytes_w *w)
{
	struct mux *m = s->m;
	size_t hdr_len = m->ops->hdr_len;
	size_t n = data_room(w, hdr_len, min_size(mux_sendable(s), m->conf.frame_max));

	if (n == 0)
		return false;
	put_data_hdr(s, bytes_w_span(w, hdr_len), n, n);
	m->stats.tx_frames++;
	mux_buf_get(&s->out, &m->pool, bytes_w_span(w, n), n);
	tell_writable(s);
	return true;
}

void mux_window_opened(struct stream *s)
{
	if (s->m->ops->allowed(s, 1) > 0)
		tell_writable(s);
}

size_t mux_output(struct mux *m, void *p, size_t room, uint64_t now_ns)
{
	struct bytes_w w = bytes_w(p, room);
	struct stream *s;

	m->now_ns = now_ns;
	put_replies(m, &w);
	m->ops->put_session(m, &w);
	while ((s = TAILQ_FIRST(&m->turn)) != NULL) {
		no_turn(s);
		if (!m->ops->put_stream(s, &w)) {
			TAILQ_INSERT_HEAD(&m->turn, s, turn);
			s->has_turn = true;
			break;
		}
	}
	if (bytes_w_len(&w) > 0)
		m->stalled_ns = 0;
	return bytes_w_len(&w);
}

// ---- time ----

// Output that nobody takes. It counts from the first look, so that a clock that stood still while
// nothing happened does no harm.
static uint64_t tick_stalled(struct mux *m)
{
	bool waits = m->n_replies > 0 || m->due != 0 || !TAILQ_EMPTY(&m->turn);

	if (!waits || m->conf.write_timeout_ns == 0) {
		m->stalled_ns = 0;
		return UINT64_MAX;
	}
	if (m->stalled_ns == 0)
		m->stalled_ns = m->now_ns;
	if (m->now_ns - m->stalled_ns >= m->conf.write_timeout_ns)
		mux_end(m, -ETIMEDOUT);
	return m->stalled_ns + m->conf.write_timeout_ns;
}

// The first one of a list that waited for that long, and when that is so of the next.
static struct stream *expired(
	struct mux *m, struct stream_list *list, uint64_t ns, uint64_t *next_ns)
{
	struct stream *s = ns == 0 ? NULL : TAILQ_FIRST(list);

	if (s == NULL || m->now_ns - s->since_ns >= ns)
		return s;
	*next_ns = min_ns(*next_ns, s->since_ns + ns);
	return NULL;
}

// Memory of a burst goes back when none followed. There is no hurry: the next tick does it.
static void tick_pool(struct mux *m)
{
	if (m->pool.n_spare < m->pool.n_chunks)
		m->unused_ns = 0;
	else if (m->unused_ns == 0)
		m->unused_ns = m->now_ns;
	else if (m->now_ns - m->unused_ns >= POOL_IDLE_NS)
		mux_pool_trim(&m->pool);
}

uint64_t mux_tick(struct mux *m, uint64_t now_ns)
{
	struct stream *s;
	uint64_t next_ns;

	m->now_ns = now_ns;
	if (m->stats.err != 0)
		return UINT64_MAX;
	tick_pool(m);
	next_ns = min_ns(tick_stalled(m), m->ops->tick(m));
	if (expired(m, &m->opening, m->conf.open_timeout_ns, &next_ns) != NULL)
		mux_end(m, -ETIMEDOUT);
	while ((s = expired(m, &m->lingering, m->conf.close_timeout_ns, &next_ns)) != NULL) {
		m->stats.n_expired++;
		mux_wait(s, NULL);
		m->ops->on_expire(s);
	}
	return m->stats.err != 0 ? UINT64_MAX : next_ns;
}

// ---- what the owner does ----

struct mux_stream *mux_open(struct mux *m, void *user)
{
	int rc = m->stats.err != 0 ? m->stats.err : m->ops->may_open(m);
	struct stream *s;

	if (rc < 0)
		return errno_null(rc);
	while (m->next_id < m->ops->id_end && mux_find(m, (uint32_t)m->next_id) != NULL)
		m->next_id += 2;
	if (m->next_id >= m->ops->id_end)
		return errno_null(EOVERFLOW);
	s = stream_new(m, (uint32_t)m->next_id, MUX_HELD);
	if (s == NULL)
		return NULL;
	m->next_id += 2;
	m->stats.n_opened++;
	s->pub.user = user;
	m->ops->on_open(s);
	mux_turn(s);
	return &s->pub;
}

struct mux_stream *mux_accept(struct mux *m)
{
	struct stream *s = TAILQ_FIRST(&m->accept);

	if (s == NULL)
		return NULL;
	mux_wait(s, NULL);
	s->state = MUX_HELD;
	m->stats.n_accepted++;
	m->ops->on_accept(s);
	if (s->in.len > 0 || s->fin_in)
		mux_tell(s, MUX_READABLE);
	if (s->err != 0)
		mux_tell(s, MUX_ENDED);
	return &s->pub;
}

size_t mux_peek(struct mux_stream *stream, uint8_t **p)
{
	return mux_buf_peek(&stream_of(stream)->in, p);
}

ptrdiff_t mux_read(struct mux_stream *stream, void *p, size_t room)
{
	struct stream *s = stream_of(stream);
	size_t n = mux_buf_get(&s->in, &s->m->pool, p, room);

	if (n > 0) {
		s->m->stats.n_unread -= n;
		if (!s->gone)
			s->m->ops->on_read(s, n);
		return (ptrdiff_t)n;
	}
	if (s->err != 0)
		return s->err;
	return is_whole(s) ? 0 : -EAGAIN;
}

ptrdiff_t mux_write(struct mux_stream *stream, const void *p, size_t len)
{
	struct stream *s = stream_of(stream);
	uint32_t max = s->m->conf.send_max;
	size_t n;

	if (s->tx_err != 0)
		return s->tx_err;
	if (s->fin_out)
		return -EPIPE;
	n = mux_buf_put(&s->out, &s->m->pool, p, min_size(len, max - s->out.len));
	if (n == 0 && len > 0 && s->out.len == 0)
		return -ENOMEM;
	s->want_write |= n < len;
	mux_turn(s);
	return (ptrdiff_t)n;
}

// Bytes go into the last frame as long as it may grow, or into a new one.
size_t mux_write_out(struct mux_stream *stream, const void *p, size_t len, uint8_t *out,
	size_t room, size_t *used)
{
	struct stream *s = stream_of(stream);
	struct mux *m = s->m;
	size_t hdr_len = m->ops->hdr_len, done = 0, n;

	if (s->tx_err != 0 || s->fin_out || s->due != 0 || s->out.len > 0 || !TAILQ_EMPTY(&m->turn))
		return 0;
	for (len = m->ops->allowed(s, len); done < len; done += n) {
		if (*used == 0 || m->open_s != s || m->open_len >= m->conf.frame_max) {
			m->open_s = NULL;
			if (room < *used + hdr_len + DATA_WORTH)
				break;
			m->open_s = s;
			m->open_at = *used;
			m->open_len = 0;
			*used += hdr_len;
			m->stats.tx_frames++;
		}
		n = min_size(len - done, min_size(m->conf.frame_max - m->open_len, room - *used));
		if (n == 0)
			break;
		memcpy(out + *used, (const uint8_t *)p + done, n);
		m->open_len += n;
		*used += n;
		put_data_hdr(s, out + m->open_at, m->open_len, n);
	}
	return done;
}

bool mux_is_shut(struct mux_stream *stream)
{
	struct stream *s = stream_of(stream);

	// A peer that has finished may be gone: only what is queued finds that out.
	if (s->tx_err != 0 || s->fin_out || s->fin_in || s->m->ops->allowed(s, 1) > 0)
		return false;
	s->want_write = true;
	return true;
}

int mux_finish(struct mux_stream *stream)
{
	struct stream *s = stream_of(stream);

	if (s->tx_err != 0)
		return s->tx_err;
	s->fin_out = true;
	if (s->waits_in == &s->m->opening)
		mux_wait(s, NULL);
	mux_turn(s);
	return 0;
}

void mux_close(struct mux_stream *stream, bool reset)
{
	struct stream *s = stream_of(stream);

	assert(s->state == MUX_HELD);
	no_news(s);
	s->state = MUX_LEFT;
	drop_in(s);
	if (s->gone) {
		stream_free(s);
		return;
	}
	s->fin_out = true;
	mux_wait(s, NULL);
	mux_turn(s);
	if (reset) {
		drop_out(s);
		s->m->ops->on_reset(s);
	}
}

int mux_ping(struct mux *m)
{
	return m->stats.err != 0 ? m->stats.err : m->ops->ping(m);
}

void mux_go_away(struct mux *m)
{
	if (m->stats.err == 0)
		m->ops->go_away(m);
}
