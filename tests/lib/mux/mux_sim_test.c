// Two sessions and a world that is a function of its seed: thousands of streams of both sides,
// wires cut anywhere, readers that stop, resets and early ends. Ends act on events only, so a
// wake-up that does not come is a world that stands still. Nothing may be lost, repeated or out of
// order, memory stays within its limits and is back at the end.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/mux_pair.h"

enum { STEPS_MAX = 20000000, IO_MAX = 20000, INDEX_LEN = 4, CHUNK = 4096, SPARE = 64 };

struct world_conf {
	const char *name;
	unsigned n_streams; // in all
	unsigned n_alive; // at once
	uint32_t bytes_max; // each way
	size_t cut_max; // of what a wire delivers at once
	unsigned reset_pct, close_pct; // ends that reset, or leave without reading to the end
	unsigned pause_pct; // reads after which the reader rests
};

struct end {
	struct mux_stream *s; // NULL: not yet, or closed
	struct flow *flow; // NULL: accepted, and not yet known which one
	int side;
	uint64_t to_write, written, read;
	bool is_opener, can_read, can_write, rests;
	bool finished, saw_end, leaves_early, resets;
	int err;
};

struct flow {
	unsigned index;
	bool rough; // one of its ends breaks it
	struct end end[2]; // opener, acceptor
};

struct world {
	const struct world_conf *conf;
	enum mux_kind kind;
	struct mux_pair pair;
	struct flow *flows;
	unsigned n_begun;
};

static struct world w;
static uint8_t buf[IO_MAX];

static uint64_t rnd(uint64_t n)
{
	return mux_random(&w.pair.random) % n;
}

static bool chance(unsigned pct)
{
	return rnd(100) < pct;
}

static uint8_t byte_of(const struct flow *f, bool by_opener, uint64_t i)
{
	if (by_opener && i < INDEX_LEN)
		return (uint8_t)(f->index >> (8 * i));
	return mux_pattern(i + f->index * UINT64_C(31) + by_opener);
}

// ---- ends ----

static void end_close(struct end *e)
{
	bool is_whole = e->saw_end && e->finished && e->err == 0;
	const struct end *other = &e->flow->end[e->is_opener];

	if (!e->flow->rough) {
		assert_true(is_whole);
		assert_int_equal(e->read, other->to_write);
	}
	mux_close(e->s, e->resets);
	e->s = NULL;
}

// At once onto the wire, as much as goes, in one piece or some, or into the stream's buffer.
static ptrdiff_t put(struct end *e, size_t n)
{
	struct mux_wire *wire = &w.pair.wire[e->side];
	size_t room = rnd(2 * IO_MAX), used = 0, done = 0, pieces = 1 + rnd(3);
	ptrdiff_t rc;

	if (chance(50))
		return mux_is_shut(e->s) ? 0 : mux_write(e->s, buf, n);
	assert_int_equal(vec_reserve(&wire->bytes, wire->bytes.n + room), 0);
	for (size_t i = 0; i < pieces; i++) {
		size_t len = i == pieces - 1 ? n - done : rnd(n - done + 1), before = used, got;

		got = mux_write_out(
			e->s, buf + done, len, wire->bytes.v + wire->bytes.n, room, &used);
		assert_true(got <= len && used <= room && used >= before + got);
		assert_true(got > 0 || used == before);
		done += got;
	}
	wire->bytes.n += used;
	rc = done < n ? mux_write(e->s, buf + done, n - done) : 0;
	return rc < 0 && done == 0 ? rc : (ptrdiff_t)done + (rc > 0 ? rc : 0);
}

static void end_write(struct end *e)
{
	while (e->can_write && e->written < e->to_write) {
		size_t n = 1 + rnd(IO_MAX);
		ptrdiff_t rc;

		if (n > e->to_write - e->written)
			n = e->to_write - e->written;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_of(e->flow, e->is_opener, e->written + i);
		rc = put(e, n);
		if (rc < 0) {
			e->err = (int)rc;
			return;
		}
		e->written += (uint64_t)rc;
		e->can_write = (size_t)rc == n;
	}
	if (e->written == e->to_write && !e->finished) {
		int rc = mux_finish(e->s);

		e->finished = rc == 0;
		e->err = rc;
	}
}

static void check_bytes(struct end *e, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != byte_of(e->flow, !e->is_opener, e->read + i))
			fail_msg("stream %u: wrong byte at %llu", e->flow->index,
				(unsigned long long)(e->read + i));
	e->read += n;
	e->rests = chance(w.conf->pause_pct);
}

// Reads bytes where they lie, in front of all that waits.
static size_t end_pass(struct end *e, const uint8_t *p, size_t n)
{
	if (e->s == NULL || e->flow == NULL || e->rests || e->saw_end || e->err != 0)
		return 0;
	n = rnd(n + 1);
	check_bytes(e, p, n);
	return n;
}

static void end_read(struct end *e)
{
	while (e->can_read && !e->rests && !e->saw_end) {
		ptrdiff_t n = mux_read(e->s, buf, 1 + rnd(IO_MAX));

		if (n == -EAGAIN)
			e->can_read = false;
		else if (n < 0)
			e->err = (int)n;
		else if (n == 0)
			e->saw_end = true;
		if (n < 0)
			return;
		check_bytes(e, buf, (size_t)n);
	}
}

static void end_act(struct end *e)
{
	if (e->s == NULL)
		return;
	end_write(e);
	end_read(e);
	if (e->err != 0 || (e->finished && e->saw_end) ||
		(e->leaves_early && e->read + e->written > e->to_write / 2))
		end_close(e);
}

// Which stream is it that was accepted? Its first bytes say so.
static void end_name(struct end *e)
{
	ptrdiff_t n = mux_read(e->s, buf, INDEX_LEN - e->read);
	struct end *real;

	if (n == -EAGAIN)
		return;
	if (n > 0)
		for (ptrdiff_t i = 0; i < n; i++)
			e->written |= (uint64_t)buf[i] << (8 * e->read++);
	if (n <= 0) { // its opener reset it before it said more
		mux_close(e->s, true);
		free(e);
		return;
	}
	if (e->read < INDEX_LEN)
		return;
	assert_in_range(e->written, 0, w.n_begun - 1);
	real = &w.flows[e->written].end[1];
	assert_null(real->s);
	*real = (struct end){.s = e->s,
		.flow = real->flow,
		.side = real->side,
		.to_write = real->to_write,
		.read = INDEX_LEN,
		.leaves_early = real->leaves_early,
		.resets = real->resets,
		.can_read = true,
		.can_write = true};
	e->s->user = real;
	free(e);
	end_act(real);
}

// ---- the world ----

static void flow_begin(int side)
{
	struct flow *f = &w.flows[w.n_begun];
	struct mux_stream *s = mux_open(w.pair.m[side], &f->end[0]);

	if (s == NULL) {
		assert_int_equal(errno, EAGAIN); // the other side accepts too slowly
		return;
	}
	f->index = w.n_begun++;
	for (int i = 0; i < 2; i++) {
		struct end *e = &f->end[i];

		e->flow = f;
		e->is_opener = i == 0;
		e->side = i == 0 ? side : !side;
		e->to_write =
			rnd(4) == 0 ? rnd(w.conf->bytes_max) : rnd(w.conf->bytes_max / 50 + 1);
		e->resets = chance(w.conf->reset_pct);
		e->leaves_early = e->resets || chance(w.conf->close_pct);
		f->rough |= e->leaves_early;
	}
	f->end[0].to_write += INDEX_LEN;
	f->end[0].s = s;
	f->end[0].can_read = f->end[0].can_write = true;
	end_act(&f->end[0]);
}

static void serve_events(int side)
{
	struct mux_event ev;
	struct mux_stream *s;

	while (mux_event(w.pair.m[side], &ev)) {
		struct end *e = ev.stream == NULL ? NULL : ev.stream->user;

		assert_int_equal(ev.what & MUX_DEAD, 0);
		if (ev.what & MUX_ACCEPT)
			while ((s = mux_accept(w.pair.m[side])) != NULL) {
				e = s->user = calloc(1, sizeof(*e));
				assert_non_null(e);
				e->s = s;
			}
		if (ev.stream == NULL)
			continue;
		if (e->flow == NULL) {
			end_name(e);
			continue;
		}
		e->can_read |= (ev.what & (MUX_READABLE | MUX_ENDED)) != 0;
		e->can_write |= (ev.what & (MUX_WRITABLE | MUX_ENDED)) != 0;
		end_act(e);
	}
}

// As mux_pair_carry(), but readers take what they can where it lies on the wire.
static void carry_passing(int side, size_t max)
{
	struct mux_wire *wire = &w.pair.wire[side];
	struct mux *m = w.pair.m[!side];
	size_t end = wire->bytes.n, n, passed;
	struct mux_stream *s;
	ptrdiff_t rc;

	if (end > wire->off + max)
		end = wire->off + max;
	while (wire->off < end) {
		rc = mux_input_to(
			m, wire->bytes.v + wire->off, end - wire->off, w.pair.now_ns, &s, &n);
		assert_true(rc >= 0);
		wire->off += (size_t)rc;
		if (n == 0)
			return;
		assert_true(n <= end - wire->off);
		passed = end_pass(s->user, wire->bytes.v + wire->off, n);
		mux_pass(m, passed);
		rc = mux_input(m, wire->bytes.v + wire->off + passed, n - passed, w.pair.now_ns);
		assert_int_equal(rc, n - passed);
		wire->off += n;
	}
}

static void check_limits(int side)
{
	const struct mux_stats *st = mux_stats(w.pair.m[side]);
	struct mux_conf conf = mux_kind_conf(w.kind, true);
	uint64_t streams = w.conf->n_alive * UINT64_C(2) + 2; // with those that only linger

	assert_int_equal(st->err, 0);
	assert_in_range(st->n_unread, 0, conf.recv_max + 65535);
	assert_in_range(st->n_chunks, 0,
		(st->n_unread + streams * conf.send_max) / (CHUNK - 64) + 2 * streams + SPARE);
}

static void step(void)
{
	int side = (int)rnd(2);

	w.pair.now_ns += rnd(100000);
	mux_pair_pull(&w.pair, side, 64 + rnd(60000));
	if (chance(50))
		carry_passing(!side, 1 + rnd(w.conf->cut_max));
	assert_in_range(mux_pair_carry(&w.pair, !side, 1 + rnd(w.conf->cut_max)), 0, 1 << 20);
	serve_events(side);
	mux_tick(w.pair.m[side], w.pair.now_ns);
	check_limits(side);
	if (w.n_begun < w.conf->n_streams && mux_stats(w.pair.m[side])->n_streams < w.conf->n_alive)
		flow_begin(side);
	if (w.n_begun > 0) { // a reader wakes up
		struct flow *f = &w.flows[rnd(w.n_begun)];
		struct end *e = &f->end[rnd(2)];

		e->rests = false;
		end_act(e);
	}
}

// All that is alive after the last step ended for good.
static bool is_over(void)
{
	return w.n_begun == w.conf->n_streams && mux_stats(w.pair.m[0])->n_streams == 0 &&
	       mux_stats(w.pair.m[1])->n_streams == 0;
}

// Every reader wakes up. Returns how many ends are still open.
static unsigned wake_all(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.n_begun; i++)
		for (int k = 0; k < 2; k++) {
			w.flows[i].end[k].rests = false;
			end_act(&w.flows[i].end[k]);
			n += w.flows[i].end[k].s != NULL;
		}
	return n;
}

// The wires are silent; what arrived is still to be read.
static void read_the_rest(void)
{
	unsigned rounds = 0;

	do {
		serve_events(CLIENT);
		serve_events(SERVER);
		assert_true(rounds++ < 10000);
	} while (wake_all() > 0);
}

static void run(const struct world_conf *conf, enum mux_kind kind, uint64_t seed)
{
	unsigned steps = 0;

	w = (struct world){.conf = conf, .kind = kind};
	w.flows = calloc(conf->n_streams, sizeof(*w.flows));
	assert_non_null(w.flows);
	mux_pair_init(&w.pair, kind, NULL);
	w.pair.random = seed;
	while (!is_over()) {
		step();
		if (++steps % 4096 == 0)
			wake_all();
		if (steps == STEPS_MAX)
			fail_msg("%s, %s, seed %llu: stands still", conf->name, mux_kind_name(kind),
				(unsigned long long)seed);
	}
	read_the_rest();
	for (int side = 0; side < 2; side++) {
		const struct mux_stats *st = mux_stats(w.pair.m[side]);

		assert_int_equal(st->n_unread, 0);
		assert_in_range(st->n_chunks, 0, SPARE);
		assert_int_equal(st->n_refused + st->n_no_memory + st->n_expired, 0);
	}
	for (unsigned i = 0; i < w.n_begun; i++)
		if (!w.flows[i].rough)
			assert_true(w.flows[i].end[0].saw_end && w.flows[i].end[1].saw_end);
	mux_pair_fini(&w.pair);
	free(w.flows);
}

static const struct world_conf worlds[] = {
	{.name = "byte by byte", .n_streams = 100, .n_alive = 10, .bytes_max = 2000, .cut_max = 1},
	{.name = "few and large",
		.n_streams = 40,
		.n_alive = 8,
		.bytes_max = 2000000,
		.cut_max = 100000,
		.pause_pct = 20},
	{.name = "thousands",
		.n_streams = 4000,
		.n_alive = 500,
		.bytes_max = 4000,
		.cut_max = 5000,
		.pause_pct = 10},
	{.name = "rough",
		.n_streams = 3000,
		.n_alive = 200,
		.bytes_max = 30000,
		.cut_max = 3000,
		.reset_pct = 20,
		.close_pct = 20,
		.pause_pct = 10},
};

static void run_kind(enum mux_kind kind)
{
	const char *first = getenv("MUX_SEED"); // to see a failure again
	uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;

	for (size_t i = 0; i < ARRAY_LEN(worlds); i++)
		for (uint64_t k = 0; k < 3; k++)
			run(&worlds[i], kind, seed + k);
}

static void yamux_loses_nothing(void **state)
{
	run_kind(KIND_YAMUX);
}

static void smux_1_loses_nothing(void **state)
{
	run_kind(KIND_SMUX1);
}

static void smux_2_loses_nothing(void **state)
{
	run_kind(KIND_SMUX2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yamux_loses_nothing),
		cmocka_unit_test(smux_1_loses_nothing),
		cmocka_unit_test(smux_2_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
