// One turn does it all (`run`): what the session tells goes to its streams, what they said goes to
// the conn below, the timer is set anew. Turns come from below (bytes, drain), from the timer, and
// soon after a call of an owner, never within it. Readers get bytes where the conn below has them,
// as long as they take all; what they don't take is copied to the session and stays there, so that
// the peer's window closes.
#include "controlplane/mux/mux_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

enum { STAGE_WORTH = 2048 };

struct stream_conn {
	struct conn base; // first
	struct mux_conn *mc;
	struct mux_stream *s;
	TAILQ_ENTRY(stream_conn) work;
	unsigned what; // of enum mux_event_bit, not served yet
	bool has_work;
	bool opening; // `open` is due
	bool rests; // the reader took less than there was
	bool blocked; // a write was short
	bool eof, over; // told
	bool closing;
};

TAILQ_HEAD(work_list, stream_conn);

struct mux_conn {
	struct loop *l;
	struct conn *below; // NULL: closed
	struct mux *m;
	const struct mux_conn_events *ev;
	void *arg;
	struct loop_timer *timer;
	struct work_list work; // streams with something to do
	unsigned refs; // the owner, each stream, a deferred turn, a turn
	bool running, deferred, closing, dead, told;
	bool blocked; // the conn below is full
	bool stuck; // the session did not take all that came
	bool moved; // it may take more now
	uint8_t *staged; // frames written in this turn, a buffer of the loop; NULL: none
	size_t staged_len;
	uint8_t *left; // of the output, what the conn below did not take; else NULL
	size_t left_ofs, left_len;
};

static void run_soon(struct mux_conn *mc);

static struct stream_conn *sc_of(struct conn *c)
{
	return container_of(c, struct stream_conn, base);
}

static void unref(struct mux_conn *mc)
{
	if (--mc->refs > 0)
		return;
	mux_free(mc->m);
	free(mc->left);
	loop_buf_put(mc->l, mc->staged);
	free(mc);
}

static void add_work(struct stream_conn *sc)
{
	if (!sc->has_work)
		TAILQ_INSERT_TAIL(&sc->mc->work, sc, work);
	sc->has_work = true;
}

static void no_work(struct stream_conn *sc)
{
	if (sc->has_work)
		TAILQ_REMOVE(&sc->mc->work, sc, work);
	sc->has_work = false;
}

// ---- a stream ----

static void sc_free(struct stream_conn *sc)
{
	struct mux_conn *mc = sc->mc;

	no_work(sc);
	mux_close(sc->s, false);
	free(sc);
	mc->moved = true; // unread bytes are gone
	unref(mc);
}

// What may leave at once becomes frames in the buffer that the end of this turn writes: so bulk is
// copied once on its way through. Less is not worth the buffer.
static size_t stage(struct stream_conn *sc, const void *p, size_t len)
{
	struct mux_conn *mc = sc->mc;

	if (len < STAGE_WORTH || mc->blocked || mc->left != NULL || mc->below == NULL)
		return 0;
	if (mc->staged == NULL)
		mc->staged = loop_buf_get(mc->l);
	if (mc->staged == NULL)
		return 0;
	return mux_write_out(sc->s, p, len, mc->staged, LOOP_BUF_LEN, &mc->staged_len);
}

static ssize_t sc_write(struct conn *c, const void *p, size_t len)
{
	struct stream_conn *sc = sc_of(c);
	size_t done;
	ptrdiff_t n;

	if (sc->opening || sc->closing)
		return -EPIPE;
	run_soon(sc->mc);
	done = stage(sc, p, len);
	if (done == len && len > 0)
		return (ssize_t)done;
	if (len - done >= STAGE_WORTH && mux_is_shut(sc->s)) { // bulk waits where it is
		sc->blocked = true;
		return (ssize_t)done;
	}
	n = mux_write(sc->s, (const uint8_t *)p + done, len - done);
	if (n < 0)
		return done > 0 ? (ssize_t)done : -EPIPE;
	done += (size_t)n;
	sc->blocked |= done < len;
	return (ssize_t)done;
}

static void sc_shutdown(struct conn *c)
{
	mux_finish(sc_of(c)->s);
	run_soon(sc_of(c)->mc);
}

static void sc_resume(struct conn *c)
{
	sc_of(c)->rests = false;
	add_work(sc_of(c));
	run_soon(sc_of(c)->mc);
}

static void sc_close(struct conn *c)
{
	struct stream_conn *sc = sc_of(c);

	sc->closing = true;
	run_soon(sc->mc);
	if (sc->mc->running)
		add_work(sc); // it may be in an event of its own
	else
		sc_free(sc);
}

static const struct conn_ops stream_ops = {
	.write = sc_write,
	.shutdown = sc_shutdown,
	.resume = sc_resume,
	.close = sc_close,
};

static void tell_end(struct stream_conn *sc, int err)
{
	if (sc->closing || (err == 0 ? sc->eof : sc->over))
		return;
	*(err == 0 ? &sc->eof : &sc->over) = true;
	sc->base.ev->end(sc->base.arg, err);
}

// Gives the reader what there is. False: it does not want all of it now.
static bool give(struct stream_conn *sc)
{
	uint8_t *p;
	size_t n, taken;

	while (!sc->rests && !sc->closing && (n = mux_peek(sc->s, &p)) > 0) {
		sc->rests = true; // unless it resumes, from within or later
		taken = sc->base.ev->data(sc->base.arg, p, n);
		mux_read(sc->s, NULL, taken);
		sc->mc->moved = true;
		if (taken < n)
			return false;
		sc->rests = false;
	}
	return !sc->rests && !sc->closing;
}

// Then the end of it, and whether something may still leave.
static void read_on(struct stream_conn *sc)
{
	ptrdiff_t rc = give(sc) ? mux_read(sc->s, NULL, 1) : -EAGAIN;

	if (rc < 0 && rc != -EAGAIN)
		tell_end(sc, (int)rc);
	if (rc != 0)
		return;
	tell_end(sc, 0);
	rc = mux_write(sc->s, NULL, 0);
	if (rc < 0 && rc != -EPIPE)
		tell_end(sc, (int)rc);
}

static void serve_stream(struct stream_conn *sc)
{
	if (sc->opening && !sc->closing) {
		sc->opening = false;
		if (sc->base.ev->open != NULL)
			sc->base.ev->open(sc->base.arg);
	}
	if ((sc->what & MUX_WRITABLE) && sc->blocked && !sc->closing) {
		sc->blocked = false;
		if (sc->base.ev->drain != NULL)
			sc->base.ev->drain(sc->base.arg);
	}
	sc->what = 0;
	read_on(sc);
	if (sc->closing)
		sc_free(sc);
}

static struct stream_conn *sc_new(struct mux_conn *mc, const struct conn_events *ev, void *arg)
{
	struct stream_conn *sc = calloc(1, sizeof(*sc));

	if (sc == NULL)
		return NULL;
	sc->base = (struct conn){.ops = &stream_ops, .ev = ev, .arg = arg};
	sc->mc = mc;
	mc->refs++;
	return sc;
}

// ---- the session ----

static void accept_all(struct mux_conn *mc)
{
	struct mux_stream *s;

	while (!mc->closing && (s = mux_accept(mc->m)) != NULL) {
		struct stream_conn *sc = sc_new(mc, NULL, NULL);

		if (sc == NULL) {
			mux_close(s, true);
			continue;
		}
		sc->s = s;
		s->user = sc;
		mc->ev->accept(mc->arg, &sc->base);
	}
}

// News of the session; those of streams become work.
static void take_news(struct mux_conn *mc)
{
	struct mux_event ev;

	while (mux_event(mc->m, &ev)) {
		if (ev.stream != NULL) {
			struct stream_conn *sc = ev.stream->user;

			sc->what |= ev.what;
			add_work(sc);
			continue;
		}
		if (ev.what & MUX_ACCEPT)
			accept_all(mc);
		if ((ev.what & MUX_PONG) && !mc->closing && mc->ev->pong != NULL)
			mc->ev->pong(mc->arg, mux_stats(mc->m)->rtt_ns);
		mc->dead |= (ev.what & MUX_DEAD) != 0;
	}
}

// False: no memory for what the conn below left.
static bool keep_left(struct mux_conn *mc, const uint8_t *p, size_t len)
{
	mc->left = malloc(len);
	if (mc->left == NULL)
		return false;
	memcpy(mc->left, p, len);
	mc->left_ofs = 0;
	mc->left_len = len;
	return true;
}

// True: all of it is out.
static bool flush_left(struct mux_conn *mc)
{
	ssize_t n = conn_write(mc->below, mc->left + mc->left_ofs, mc->left_len);

	if (n < 0) {
		mux_end(mc->m, -ECONNRESET);
		return false;
	}
	mc->left_ofs += (size_t)n;
	mc->left_len -= (size_t)n;
	mc->blocked = mc->left_len > 0;
	if (mc->blocked)
		return false;
	free(mc->left);
	mc->left = NULL;
	return true;
}

// Puts out what is at p; what the conn below does not take is kept. False: no more now.
static bool put_out(struct mux_conn *mc, const uint8_t *p, size_t len)
{
	ssize_t n = conn_write(mc->below, p, len);

	mc->moved = true;
	if (n >= 0 && (size_t)n < len && !keep_left(mc, p + n, len - (size_t)n))
		n = -ENOMEM;
	if (n < 0)
		mux_end(mc->m, n == -ENOMEM ? -ENOMEM : -ECONNRESET);
	mc->blocked = mc->left != NULL;
	return n >= 0 && !mc->blocked;
}

// False: the conn below takes no more now.
static bool flush_staged(struct mux_conn *mc)
{
	bool more = true;

	if (mc->staged == NULL)
		return true;
	if (mc->staged_len > 0)
		more = put_out(mc, mc->staged, mc->staged_len);
	loop_buf_put(mc->l, mc->staged);
	mc->staged = NULL;
	mc->staged_len = 0;
	return more;
}

// Output is made here and goes out at once; only what the conn below refuses is kept, so that an
// idle session has no buffer.
static void flush(struct mux_conn *mc)
{
	uint8_t *out;
	size_t len;

	if (mc->blocked || mc->below == NULL || (mc->left != NULL && !flush_left(mc)) ||
		!flush_staged(mc))
		return;
	out = loop_buf_get(mc->l);
	while (out != NULL && (len = mux_output(mc->m, out, LOOP_BUF_LEN, clock_mono_ns())) > 0)
		if (!put_out(mc, out, len))
			break;
	loop_buf_put(mc->l, out);
}

static void set_timer(struct mux_conn *mc)
{
	uint64_t now_ns = clock_mono_ns(), next_ns = mux_tick(mc->m, now_ns);

	if (next_ns == UINT64_MAX)
		loop_timer_stop(mc->timer);
	else
		loop_timer_start(mc->timer,
			next_ns <= now_ns ? 0 : (next_ns - now_ns) / CLOCK_NS_PER_MS + 1, 0);
}

static void close_below(struct mux_conn *mc)
{
	conn_close(mc->below);
	mc->below = NULL;
	loop_timer_free(mc->timer);
	mc->timer = NULL;
}

// The last words leave, the conn below tries them for a while; then the owner hears of it.
static void bury(struct mux_conn *mc)
{
	if (mc->below != NULL)
		close_below(mc);
	if (mc->told || mc->closing)
		return;
	mc->told = true;
	mc->ev->end(mc->arg, mux_stats(mc->m)->err);
}

static void run(struct mux_conn *mc)
{
	struct stream_conn *sc, *last;

	if (mc->running)
		return;
	mc->running = true;
	mc->refs++;
	take_news(mc);
	// those that are there now: what they cause has its turn soon
	last = TAILQ_LAST(&mc->work, work_list);
	while ((sc = TAILQ_FIRST(&mc->work)) != NULL) {
		bool is_last = sc == last;

		no_work(sc);
		serve_stream(sc);
		if (is_last)
			break;
	}
	flush(mc);
	if (mc->below != NULL)
		set_timer(mc);
	take_news(mc);
	if (mc->dead)
		bury(mc);
	mc->running = false;
	if (mc->stuck && mc->moved && mc->below != NULL) {
		mc->stuck = false;
		conn_resume(mc->below);
	}
	mc->moved = false;
	if (!TAILQ_EMPTY(&mc->work))
		run_soon(mc);
	unref(mc);
}

static void on_soon(void *arg)
{
	struct mux_conn *mc = arg;

	mc->deferred = false;
	run(mc);
	unref(mc);
}

static void run_soon(struct mux_conn *mc)
{
	if (mc->deferred)
		return;
	mc->deferred = true;
	mc->refs++;
	if (loop_defer(mc->l, on_soon, mc) != 0) {
		mc->deferred = false;
		mc->refs--;
	}
}

static void on_timer(void *arg)
{
	run(arg);
}

// ---- the conn below ----

// Offers bytes where they lie to the stream that they are for; returns how many it took.
static size_t offer(struct stream_conn *sc, uint8_t *p, size_t len)
{
	size_t taken;

	if (sc->opening || sc->rests || sc->closing)
		return 0;
	sc->rests = true; // unless it resumes, from within or later
	taken = sc->base.ev->data(sc->base.arg, p, len);
	if (taken == len)
		sc->rests = false;
	return taken;
}

static size_t take_in(struct mux_conn *mc, uint8_t *p, size_t len)
{
	uint64_t now_ns = clock_mono_ns();
	struct mux_stream *s;
	size_t done = 0, n, taken;

	do {
		ptrdiff_t rc = mux_input_to(mc->m, p + done, len - done, now_ns, &s, &n);

		if (rc < 0)
			return len;
		done += (size_t)rc;
		if (n == 0)
			break;
		taken = offer(s->user, p + done, n);
		mux_pass(mc->m, taken);
		rc = taken < n ? mux_input(mc->m, p + done + taken, n - taken, now_ns) : 0;
		if (rc < 0)
			return len;
		done += taken + (size_t)rc;
	} while (done < len);
	return done;
}

static size_t on_below_data(void *arg, uint8_t *p, size_t len)
{
	struct mux_conn *mc = arg;
	size_t used;

	mc->refs++;
	mc->running = true; // what streams say meanwhile has its turn below
	used = take_in(mc, p, len);
	mc->running = false;
	mc->stuck = used < len;
	run(mc);
	unref(mc);
	return used;
}

static void on_below_drain(void *arg)
{
	struct mux_conn *mc = arg;

	mc->blocked = false;
	run(mc);
}

static void on_below_end(void *arg, int err)
{
	struct mux_conn *mc = arg;

	mux_end(mc->m, err == 0 ? -ECONNRESET : err);
	run(mc);
}

static const struct conn_events below_events = {
	.data = on_below_data,
	.drain = on_below_drain,
	.end = on_below_end,
};

// ---- what the owner calls ----

struct mux_conn *mux_conn_new(struct loop *l, struct conn *take_below, struct mux *take_mux,
	const void *first, size_t first_len, const struct mux_conn_events *ev, void *arg)
{
	struct mux_conn *mc = calloc(1, sizeof(*mc));

	if (mc != NULL)
		mc->timer = loop_timer_new(l, on_timer, mc);
	if (mc == NULL || mc->timer == NULL) {
		free(mc);
		mux_free(take_mux);
		conn_close(take_below);
		return errno_null(ENOMEM);
	}
	mc->l = l;
	mc->below = take_below;
	mc->m = take_mux;
	mc->ev = ev;
	mc->arg = arg;
	mc->refs = 1;
	TAILQ_INIT(&mc->work);
	if (first_len > 0 &&
		mux_input(mc->m, first, first_len, clock_mono_ns()) != (ptrdiff_t)first_len)
		mux_end(mc->m, -EPROTO); // more than a peer says before it heard a word
	conn_set_events(take_below, &below_events, mc);
	conn_resume(take_below);
	run_soon(mc);
	return mc;
}

void mux_conn_close(struct mux_conn *mc)
{
	if (mc == NULL)
		return;
	mc->closing = true;
	flush(mc);
	mux_end(mc->m, -ECANCELED);
	if (mc->below != NULL)
		close_below(mc);
	run_soon(mc); // streams hear of it
	unref(mc);
}

struct conn *mux_conn_open(struct mux_conn *mc, const struct conn_events *ev, void *arg)
{
	struct stream_conn *sc = sc_new(mc, ev, arg);

	if (sc == NULL)
		return errno_null(ENOMEM);
	sc->s = mux_open(mc->m, sc);
	if (sc->s == NULL) {
		int err = errno;

		free(sc);
		mc->refs--;
		return errno_null(err);
	}
	sc->opening = true;
	add_work(sc);
	run_soon(mc);
	return &sc->base;
}

int mux_conn_ping(struct mux_conn *mc)
{
	run_soon(mc);
	return mux_ping(mc->m);
}

const struct mux_stats *mux_conn_stats(struct mux_conn *mc)
{
	return mux_stats(mc->m);
}
