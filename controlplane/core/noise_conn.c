// A filter between two conns. Reading: whole records are opened where they lie in the buffer of the
// conn below; a record that is cut by the end of that buffer is gathered in `in`; what the reader
// above does not take waits, decrypted, in `plain`, and then nothing more is taken from below.
// Writing: as many records as are given, up to a batch, go to the conn below in one piece; what it
// does not take of them waits in `out`, and then nothing more is taken from above. So a conn holds
// at most a record each in `in` and `plain`, and a batch in `out`.
#include "controlplane/core/noise_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/crypto/key.h"

enum { FIRST_MAX = 4 * NOISE_REC_FRAME_MAX, BATCH_MAX = 16 * NOISE_REC_FRAME_MAX };
static_assert((int)BATCH_MAX <= (int)LOOP_BUF_LEN, "is made in one");

struct noise_conn {
	struct conn base;
	struct loop *l;
	struct conn *below;
	struct noise_rec rec;
	struct loop_timer *timer; // of the handshake, of `unsaid`, then of the last record
	struct loop_rest rest; // while that is out and the owner is gone
	unsigned refs;
	bool open, opened, below_eof, eof, shut, blocked, resumed, closing, deferred, told;
	bool unsaid; // err, until the conn below says why it takes no more
	int err;
	uint8_t peer[DH_MAX_PK_LEN];
	uint8_t in[NOISE_REC_FRAME_MAX]; // a record that is not whole yet
	size_t in_len;
	uint8_t *first; // adopted bytes, to be read before those from below
	size_t first_ofs, first_len;
	uint8_t plain[NOISE_REC_DATA_MAX];
	size_t plain_ofs, plain_len;
	uint8_t *out; // NULL: none waits
	size_t out_ofs, out_len;
};

static void defer(struct noise_conn *n);

static struct noise_conn *nc_of(struct conn *c)
{
	return (struct noise_conn *)c;
}

static void unref(struct noise_conn *n)
{
	if (--n->refs > 0)
		return;
	free(n->first);
	free(n->out);
	key_wipe(n, sizeof(*n));
	free(n);
}

// It is over: nothing is read or written any more, the owner hears of it soon.
static void fail(struct noise_conn *n, int err)
{
	if (n->err == 0 || n->unsaid)
		n->err = err;
	n->unsaid = false;
	defer(n);
}

static void on_unsaid(void *arg)
{
	fail(arg, -EPIPE);
}

// The conn below may have the reason behind bytes that wait for our reader, who may never want
// them: they are thrown away. Or it has none, as a stream without memory for a write.
static void takes_no_more(struct noise_conn *n)
{
	if (n->err != 0)
		return;
	if (n->closing) {
		n->err = -EPIPE;
		return;
	}
	loop_timer_free(n->timer);
	n->timer = loop_timer_new(n->l, on_unsaid, n);
	if (n->timer == NULL) {
		fail(n, -EPIPE);
		return;
	}
	n->err = -EPIPE;
	n->unsaid = true;
	loop_timer_start(n->timer, NOISE_CONN_REASON_MS, 0);
	conn_resume(n->below);
}

// ---- writing ----

// Gives the conn below the rest of the record that waits. True: there is none left.
static bool flush(struct noise_conn *n)
{
	ssize_t rc;

	if (n->out_len == 0)
		return true;
	rc = conn_write(n->below, n->out + n->out_ofs, n->out_len);
	if (rc < 0) {
		takes_no_more(n);
		return false;
	}
	n->out_ofs += (size_t)rc;
	n->out_len -= (size_t)rc;
	if (n->out_len > 0)
		return false;
	free(n->out);
	n->out = NULL;
	if (n->shut)
		conn_shutdown(n->below);
	return true;
}

// Sealed bytes, when none wait: what the conn below does not take of them does.
static void pass_on(struct noise_conn *n, const uint8_t *p, size_t len)
{
	ssize_t rc = conn_write(n->below, p, len);

	if (rc < 0) {
		takes_no_more(n);
		return;
	}
	if ((size_t)rc == len)
		return;
	n->out = malloc(len - (size_t)rc);
	if (n->out == NULL) {
		fail(n, -ENOMEM);
		return;
	}
	n->out_ofs = 0;
	n->out_len = len - (size_t)rc;
	memcpy(n->out, p + rc, n->out_len);
}

// Seals what goes into a batch; how much of p that was.
static size_t seal(struct noise_conn *n, const uint8_t *p, size_t len, uint8_t *out, size_t *sealed)
{
	size_t done = 0;

	*sealed = 0;
	while (done < len && *sealed + NOISE_REC_FRAME_MAX <= BATCH_MAX) {
		size_t part = len - done < NOISE_REC_DATA_MAX ? len - done : NOISE_REC_DATA_MAX;
		ssize_t rc =
			noise_rec_seal(&n->rec, p + done, part, out + *sealed, NOISE_REC_FRAME_MAX);

		if (rc < 0) {
			fail(n, (int)rc);
			break;
		}
		*sealed += (size_t)rc;
		done += part;
	}
	return done;
}

static ssize_t nc_write(struct conn *c, const void *p, size_t len)
{
	struct noise_conn *n = nc_of(c);
	size_t done = 0, sealed;
	uint8_t *buf;

	if (!n->open || n->shut || n->closing || n->err != 0)
		return -EPIPE;
	buf = loop_buf_get(n->l);
	if (buf == NULL)
		fail(n, -ENOMEM);
	while (done < len && n->err == 0 && flush(n)) {
		done += seal(n, (const uint8_t *)p + done, len - done, buf, &sealed);
		if (sealed > 0)
			pass_on(n, buf, sealed);
	}
	loop_buf_put(n->l, buf);
	if (done == 0 && n->err != 0)
		return -EPIPE;
	n->blocked = n->blocked || done < len;
	return (ssize_t)done;
}

static void nc_shutdown(struct conn *c)
{
	struct noise_conn *n = nc_of(c);

	if (!n->open || n->shut || n->err != 0)
		return;
	n->shut = true;
	if (n->out_len == 0)
		conn_shutdown(n->below);
}

static void finish_close(struct noise_conn *n)
{
	loop_rest_del(&n->rest);
	loop_timer_free(n->timer);
	n->timer = NULL;
	conn_close(n->below);
	n->below = NULL;
	unref(n);
}

static void on_below_drain(void *arg)
{
	struct noise_conn *n = arg;

	n->refs++;
	if (n->closing) {
		if (flush(n) || n->err != 0)
			finish_close(n);
	} else if (n->err == 0 && flush(n) && n->blocked && n->open) {
		n->blocked = false;
		if (n->base.ev->drain != NULL)
			n->base.ev->drain(n->base.arg);
	}
	unref(n);
}

// ---- handshake ----

// Our message, if it is our turn; then, when both are through, `open`. False: it is over.
static bool shake(struct noise_conn *n)
{
	uint8_t frame[NOISE_REC_FRAME_MAX];
	ssize_t rc = noise_rec_shake(&n->rec, frame, sizeof(frame));

	if (rc < 0) {
		fail(n, (int)rc);
		return false;
	}
	if (rc > 0)
		pass_on(n, frame, (size_t)rc);
	return n->err == 0;
}

static void become_open(struct noise_conn *n)
{
	const uint8_t *peer = noise_rec_remote_static(&n->rec);

	if (n->opened || !noise_rec_is_open(&n->rec))
		return;
	n->open = n->opened = true;
	if (peer != NULL)
		memcpy(n->peer, peer, sizeof(n->peer));
	loop_timer_free(n->timer);
	n->timer = NULL;
	if (n->base.ev->open != NULL)
		n->base.ev->open(n->base.arg);
}

static void on_late(void *arg)
{
	fail(arg, -ETIMEDOUT);
}

// ---- reading ----

static bool is_over(const struct noise_conn *n)
{
	return n->closing || n->err != 0;
}

// Gives the owner a record's bytes; keeps what is not taken. False: wait, or it is over.
static bool deliver(struct noise_conn *n, const uint8_t *data, size_t len)
{
	size_t taken;

	if (len == 0)
		return true;
	taken = n->base.ev->data(n->base.arg, (uint8_t *)(uintptr_t)data, len);
	if (n->closing)
		return false;
	if (taken < len) {
		memmove(n->plain, data + taken, len - taken);
		n->plain_ofs = 0;
		n->plain_len = len - taken;
		return false;
	}
	return true;
}

// Takes one frame that begins at p. Bytes used; 0: not whole, wait, or it is over.
static size_t take_frame(struct noise_conn *n, uint8_t *p, size_t len)
{
	const uint8_t *data;
	size_t data_len;
	ssize_t rc;

	if (noise_rec_is_shaking(&n->rec)) {
		rc = noise_rec_take_shake(&n->rec, p, len);
		if (rc > 0 && shake(n))
			become_open(n);
	} else {
		rc = noise_rec_open(&n->rec, p, len, &data, &data_len);
		if (rc > 0)
			deliver(n, data, data_len);
	}
	if (rc < 0 && rc != -EAGAIN) {
		fail(n, rc == -EALREADY ? -EBADMSG : (int)rc);
		return 0;
	}
	return rc > 0 ? (size_t)rc : 0;
}

// Completes the record in `in` from p. Bytes taken.
static size_t gather(struct noise_conn *n, const uint8_t *p, size_t len)
{
	size_t used = 0;

	for (;;) {
		ssize_t want = noise_rec_frame_len(n->in, n->in_len);
		size_t missing, part;

		if (want == -EAGAIN)
			want = NOISE_REC_HDR_LEN;
		if (want < 0) {
			fail(n, (int)want);
			return used;
		}
		missing = (size_t)want - n->in_len;
		if (missing == 0)
			break;
		part = missing < len - used ? missing : len - used;
		if (part == 0)
			return used;
		memcpy(n->in + n->in_len, p + used, part);
		n->in_len += part;
		used += part;
	}
	n->in_len = 0;
	(void)take_frame(n, n->in, sizeof(n->in));
	return used;
}

// As many of the bytes as the owner wants; returns how many.
static size_t take(struct noise_conn *n, uint8_t *p, size_t len)
{
	size_t done = 0;

	while (done < len && n->plain_len == 0 && !is_over(n)) {
		size_t used = n->in_len == 0 ? take_frame(n, p + done, len - done) : 0;

		if (used == 0 && !is_over(n))
			used = gather(n, p + done, len - done);
		done += used;
	}
	return done;
}

static size_t on_below_data(void *arg, uint8_t *p, size_t len)
{
	struct noise_conn *n = arg;
	size_t done;

	if (n->closing || n->unsaid)
		return len; // only what we wrote matters now, or why it can't be
	if (n->first_len > 0 || n->plain_len > 0)
		return 0; // resumed when they are gone
	n->refs++;
	done = take(n, p, len);
	unref(n);
	return done;
}

// The end of file from below has its turn when all before it was taken.
static void maybe_eof(struct noise_conn *n)
{
	if (!n->below_eof || n->eof || n->plain_len > 0 || n->first_len > 0 || is_over(n))
		return;
	if (!n->open) {
		fail(n, -ECONNRESET);
	} else if (n->in_len > 0) {
		fail(n, -EBADMSG);
	} else {
		n->eof = true;
		n->base.ev->end(n->base.arg, 0);
	}
}

static void on_below_end(void *arg, int err)
{
	struct noise_conn *n = arg;

	if (n->closing) {
		if (err != 0)
			finish_close(n);
		return;
	}
	if (err != 0) {
		fail(n, err);
		return;
	}
	n->refs++;
	n->below_eof = true;
	maybe_eof(n);
	unref(n);
}

static void nc_resume(struct conn *c)
{
	struct noise_conn *n = nc_of(c);

	n->resumed = true;
	defer(n);
}

// What waits decrypted, what came with the handshake, then the conn below.
static void read_on(struct noise_conn *n)
{
	size_t len = n->plain_len;

	n->resumed = false;
	if (len > 0) {
		n->plain_len = 0;
		if (!deliver(n, n->plain + n->plain_ofs, len))
			return;
	}
	if (n->first_len > 0) {
		size_t used = take(n, n->first + n->first_ofs, n->first_len);

		if (n->closing)
			return;
		n->first_ofs += used;
		n->first_len -= used;
		if (n->first_len > 0)
			return;
		free(n->first);
		n->first = NULL;
	}
	if (n->plain_len > 0 || is_over(n))
		return;
	maybe_eof(n);
	if (!is_over(n))
		conn_resume(n->below);
}

static void on_deferred(void *arg)
{
	struct noise_conn *n = arg;

	n->deferred = false;
	if (!n->closing && n->err != 0 && !n->unsaid && !n->told) {
		n->told = true;
		n->open = false;
		loop_timer_free(n->timer);
		n->timer = NULL;
		n->base.ev->end(n->base.arg, n->err);
	} else if (!n->closing && n->err == 0 && n->resumed) {
		read_on(n);
	}
	unref(n);
}

static void defer(struct noise_conn *n)
{
	if (n->deferred)
		return;
	n->refs++;
	n->deferred = true;
	if (loop_defer(n->l, on_deferred, n) != 0) {
		n->deferred = false;
		n->refs--;
	}
}

// ---- making and closing ----

static void on_linger_over(void *arg)
{
	finish_close(arg);
}

static void nc_close(struct conn *c)
{
	struct noise_conn *n = nc_of(c);

	n->closing = true;
	if (n->err == 0 && n->out_len > 0) {
		loop_timer_free(n->timer);
		n->timer = loop_timer_new(n->l, on_linger_over, n);
		if (n->timer != NULL) {
			loop_timer_start(n->timer, NOISE_CONN_LINGER_MS, 0);
			loop_rest_add(n->l, &n->rest, on_linger_over, n);
			conn_resume(n->below); // so that it tells when it breaks
			return;
		}
	}
	finish_close(n);
}

static const struct conn_ops ops = {
	.write = nc_write,
	.shutdown = nc_shutdown,
	.resume = nc_resume,
	.close = nc_close,
};

static const struct conn_events below_events = {
	.data = on_below_data,
	.drain = on_below_drain,
	.end = on_below_end,
};

static struct noise_conn *nc_new(
	struct loop *l, struct conn *below, const struct conn_events *ev, void *arg)
{
	struct noise_conn *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->base = (struct conn){.ops = &ops, .ev = ev, .arg = arg};
	n->l = l;
	n->below = below;
	n->refs = 1; // the owner's
	return n;
}

static struct conn *give_up(struct noise_conn *n, struct conn *below, int err)
{
	conn_close(below);
	if (n != NULL) {
		loop_timer_free(n->timer);
		free(n->first);
		key_wipe(n, sizeof(*n));
		free(n);
	}
	return errno_null(err);
}

struct conn *noise_conn_new(struct loop *l, struct conn *take_below, const struct noise_conf *conf,
	uint32_t timeout_ms, const struct conn_events *ev, void *arg)
{
	struct noise_conn *n = nc_new(l, take_below, ev, arg);
	ssize_t rc;

	if (n == NULL)
		return give_up(n, take_below, ENOMEM);
	rc = noise_rec_init(&n->rec, conf);
	if (rc < 0)
		return give_up(n, take_below, (int)rc);
	noise_rec_engine(&n->rec, loop_aead(l));
	n->timer = loop_timer_new(l, on_late, n);
	if (n->timer == NULL)
		return give_up(n, take_below, ENOMEM);
	conn_set_events(take_below, &below_events, n);
	loop_timer_start(n->timer, timeout_ms, 0);
	shake(n);
	conn_resume(take_below);
	return &n->base;
}

struct conn *noise_conn_adopt(struct loop *l, struct conn *take_below, struct noise_rec *take_rec,
	const uint8_t *first, size_t first_len, const struct conn_events *ev, void *arg)
{
	struct noise_conn *n = nc_new(l, take_below, ev, arg);
	const uint8_t *peer = noise_rec_remote_static(take_rec);

	if (n == NULL)
		return give_up(n, take_below, ENOMEM);
	if (!noise_rec_is_open(take_rec) || first_len > FIRST_MAX)
		return give_up(n, take_below, EINVAL);
	if (first_len > 0) {
		n->first = malloc(first_len);
		if (n->first == NULL)
			return give_up(n, take_below, ENOMEM);
		memcpy(n->first, first, first_len);
		n->first_len = first_len;
	}
	n->rec = *take_rec;
	noise_rec_engine(&n->rec, loop_aead(l));
	n->open = n->opened = true;
	if (peer != NULL)
		memcpy(n->peer, peer, sizeof(n->peer));
	noise_rec_fini(take_rec);
	conn_set_events(take_below, &below_events, n);
	nc_resume(&n->base);
	return &n->base;
}

// ---- moving ----

// One that belongs to no loop, and the socket that is to be below it.
struct noise_conn_moved {
	struct noise_conn *n;
	int fd;
};

void noise_conn_moved_free(struct noise_conn_moved *m)
{
	if (m == NULL)
		return;
	if (m->fd >= 0)
		close(m->fd);
	if (m->n != NULL)
		unref(m->n);
	free(m);
}

// All that is not one loop's.
static struct noise_conn *state_copy(const struct noise_conn *n)
{
	struct noise_conn *to = nc_new(NULL, NULL, NULL, NULL);

	if (to == NULL)
		return NULL;
	to->rec = n->rec;
	to->open = to->opened = true;
	memcpy(to->peer, n->peer, sizeof(to->peer));
	memcpy(to->in, n->in, n->in_len);
	to->in_len = n->in_len;
	memcpy(to->plain, n->plain + n->plain_ofs, n->plain_len);
	to->plain_len = n->plain_len;
	return to;
}

struct noise_conn_moved *noise_conn_move(struct conn *c)
{
	struct noise_conn *n = nc_of(c);
	struct noise_conn_moved *m;

	// An adopted one has nothing to be read first any more once somebody reads it.
	if (!n->open || n->shut || n->closing || n->below_eof || n->err != 0 || n->out_len > 0 ||
		n->first_len > 0)
		return errno_null(EBUSY);
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->n = state_copy(n);
	m->fd = m->n != NULL ? conn_tcp_release(n->below, &m->n->first, &m->n->first_len) : -ENOMEM;
	if (m->fd < 0) {
		int rc = m->fd;

		noise_conn_moved_free(m);
		return errno_null(rc);
	}
	n->open = false;
	key_wipe(&n->rec, sizeof(n->rec));
	return m;
}

struct conn *noise_conn_arrive(struct loop *l, struct noise_conn_moved *take_m,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct noise_conn *n = take_m->n;

	n->l = l;
	n->base.ev = ev;
	n->base.arg = arg;
	noise_rec_engine(&n->rec, loop_aead(l)); // of this thread
	n->below = conn_tcp_adopt(l, take_m->fd, opts, &below_events, n);
	take_m->fd = -1;
	if (n->below != NULL)
		take_m->n = NULL;
	noise_conn_moved_free(take_m);
	return n->below != NULL ? &n->base : NULL;
}

const uint8_t *noise_conn_peer(const struct conn *c)
{
	const struct noise_conn *n = (const struct noise_conn *)c;

	return n->opened ? n->peer : NULL;
}
