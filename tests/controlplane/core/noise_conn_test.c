// Noise over conns: data in both directions under back-pressure, what came with an adopted
// handshake, and how each fault ends.
#include "controlplane/core/noise_conn.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <signal.h>

#include "lib/base/err.h"

enum { MIB = 1 << 20 };

struct keys {
	uint8_t sk[2][32], pk[2][33]; // initiator, responder
};

static void make_keys(struct keys *k)
{
	for (unsigned i = 0; i < 2; i++) {
		memset(k->sk[i], 0x41 + (int)i, 32);
		assert_int_equal(dh_secp256k1()->pub(k->pk[i], k->sk[i]), 0);
	}
}

static struct noise_conf conf_of(const struct keys *k, enum noise_pattern p, bool initiator)
{
	return (struct noise_conf){
		.pattern = p,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = initiator,
		.s = k->sk[!initiator],
		.rs = initiator || p == NOISE_KK ? k->pk[initiator] : NULL,
	};
}

static struct conn *wrap(struct conn *below, const struct keys *k, enum noise_pattern p,
	bool initiator, struct end *e)
{
	struct noise_conf conf = conf_of(k, p, initiator);
	struct conn *c = noise_conn_new(l, below, &conf, NOISE_CONN_TIMEOUT_MS, &end_events, e);

	assert_non_null(c);
	return c;
}

static void noise_pair(struct end *a, struct end *b, enum noise_pattern p)
{
	struct keys k;

	make_keys(&k);
	pair(a, b);
	a->c = wrap(a->c, &k, p, true, a);
	b->c = wrap(b->c, &k, p, false, b);
	assert_null(noise_conn_peer(b->c));
	assert_int_equal(conn_write(a->c, "x", 1), -EPIPE); // not open yet
	run_until(a->n_open == 1 && b->n_open == 1);
	assert_memory_equal(noise_conn_peer(a->c), k.pk[1], 33);
	assert_memory_equal(noise_conn_peer(b->c), k.pk[0], 33);
}

static void bytes_arrive_in_order_whatever_the_reader_takes(void **state)
{
	static const size_t bites[] = {0, 5000, 4070, 999};

	for (size_t i = 0; i < 2 * ARRAY_LEN(bites); i++) {
		struct end a = {.to_send = 2 * MIB, .finish = true, .bite = bites[i / 2]};
		struct end b = {.to_send = MIB + 1, .finish = true, .bite = bites[i / 2]};

		noise_pair(&a, &b, i % 2 == 0 ? NOISE_XK : NOISE_KK);
		run_until(a.n_eof && b.n_eof);
		assert_int_equal(b.got, 2 * MIB);
		assert_int_equal(a.got, MIB + 1);
		assert_false(a.wrong || b.wrong);
		assert_true(a.n_drain > 0);
		end_close(&a);
		end_close(&b);
	}
}

static void a_deaf_reader_stops_the_writer(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.deaf = true};
	uint64_t sent = 0;

	noise_pair(&a, &b, NOISE_KK);
	do {
		sent = a.sent;
		for (unsigned i = 0; i < 20; i++)
			loop_turn(l);
	} while (a.sent != sent);
	assert_true(a.sent < 4 * MIB);
	b.deaf = false;
	conn_resume(b.c);
	run_until(b.got == 16 * MIB);
	assert_false(b.wrong);
	end_close(&a);
	end_close(&b);
}

static void what_was_written_before_the_close_arrives(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.deaf = true};
	uint64_t sent;

	noise_pair(&a, &b, NOISE_XK);
	run_until(a.n_short > 0);
	sent = a.sent;
	end_close(&a); // a record is half way through
	b.deaf = false;
	conn_resume(b.c);
	run_until(b.n_eof || b.err != 0);
	assert_int_equal(b.err, 0);
	assert_true(b.got >= sent && !b.wrong);
	end_close(&b);
}

static void the_loop_may_end_while_a_record_is_half_way(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.deaf = true};

	noise_pair(&a, &b, NOISE_XK);
	run_until(a.n_short > 0);
	end_close(&a);
	end_close(&b);
	loop_free(l);
	l = loop_new();
	assert_non_null(l);
}

static void a_wrong_key_ends_both_sides(void **state)
{
	struct end a = {0}, b = {.close_at_end = true};
	struct keys k, other;

	make_keys(&k);
	other = k;
	memset(other.sk[1], 0x55, 32); // not the one that the initiator was told
	pair(&a, &b);
	a.c = wrap(a.c, &k, NOISE_XK, true, &a);
	b.c = wrap(b.c, &other, NOISE_XK, false, &b);
	run_until(a.err != 0 && b.err != 0);
	assert_int_equal(b.err, -EBADMSG);
	assert_int_equal(a.err, -ECONNRESET);
	assert_int_equal(a.n_open + b.n_open, 0);
	assert_null(noise_conn_peer(a.c));
	assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
	end_close(&a);
}

static void a_silent_peer_is_given_up(void **state)
{
	struct end a = {0}, b = {.deaf = true};
	struct noise_conf conf;
	struct keys k;

	make_keys(&k);
	pair(&a, &b);
	conf = conf_of(&k, NOISE_XK, true);
	a.c = noise_conn_new(l, a.c, &conf, 1, &end_events, &a);
	run_until(a.err != 0);
	assert_int_equal(a.err, -ETIMEDOUT);
	end_close(&a);
	end_close(&b);
}

// A peer that does the handshake by hand, to do wrong afterwards.
struct raw {
	struct conn *c;
	struct noise_rec rec;
};

static size_t on_raw_data(void *arg, uint8_t *p, size_t len)
{
	struct raw *r = arg;
	uint8_t out[NOISE_REC_FRAME_MAX];
	ssize_t n;

	if (!noise_rec_is_shaking(&r->rec))
		return len;
	assert_int_equal(noise_rec_take_shake(&r->rec, p, len), len);
	n = noise_rec_shake(&r->rec, out, sizeof(out));
	if (n > 0)
		assert_int_equal(conn_write(r->c, out, (size_t)n), n);
	return len;
}

static void on_raw_end(void *arg, int err)
{
	(void)arg, (void)err;
}

static const struct conn_events raw_events = {.data = on_raw_data, .end = on_raw_end};

static void raw_pair(struct raw *r, struct end *b)
{
	struct noise_conf conf;
	uint8_t out[NOISE_REC_FRAME_MAX];
	struct end a = {0};
	struct keys k;
	ssize_t n;

	make_keys(&k);
	pair(&a, b);
	b->c = wrap(b->c, &k, NOISE_KK, false, b);
	r->c = a.c;
	conn_set_events(r->c, &raw_events, r);
	conf = conf_of(&k, NOISE_KK, true);
	assert_int_equal(noise_rec_init(&r->rec, &conf), 0);
	n = noise_rec_shake(&r->rec, out, sizeof(out));
	assert_int_equal(conn_write(r->c, out, (size_t)n), n);
	run_until(b->n_open == 1 && noise_rec_is_open(&r->rec));
}

static void faults_after_the_handshake_are_errors(void **state)
{
	enum { FORGED, TOO_LONG, REPLAYED, CUT, EMPTY_ONES, N_FAULTS };

	for (unsigned fault = 0; fault < N_FAULTS; fault++) {
		uint8_t out[NOISE_REC_FRAME_MAX], one = pattern(0);
		struct end b = {0};
		struct raw r;
		ssize_t n;

		raw_pair(&r, &b);
		n = noise_rec_seal(&r.rec, &one, 1, out, sizeof(out));
		if (fault == FORGED)
			out[n - 1] ^= 1;
		if (fault == TOO_LONG)
			out[0] = 0xff;
		conn_write(r.c, out, fault == CUT ? (size_t)n - 1 : (size_t)n);
		if (fault == REPLAYED)
			conn_write(r.c, out, (size_t)n);
		for (unsigned i = 0; fault == EMPTY_ONES && i < 100; i++) {
			n = noise_rec_seal(&r.rec, NULL, 0, out, sizeof(out));
			conn_write(r.c, out, (size_t)n);
		}
		conn_shutdown(r.c);
		run_until(b.err != 0 || b.n_eof);
		assert_int_equal(b.err, fault == EMPTY_ONES ? 0 : -EBADMSG);
		assert_int_equal(b.got, fault == REPLAYED || fault == EMPTY_ONES);
		end_close(&b);
		conn_close(r.c);
	}
}

// Both ends of a handshake that was made elsewhere.
static void rec_pair(const struct keys *k, struct noise_rec rec[2])
{
	uint8_t msg[NOISE_REC_FRAME_MAX];

	for (unsigned i = 0; i < 2; i++) {
		struct noise_conf conf = conf_of(k, NOISE_KK, i == 0);

		assert_int_equal(noise_rec_init(&rec[i], &conf), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		ssize_t n = noise_rec_shake(&rec[i], msg, sizeof(msg));

		assert_int_equal(noise_rec_take_shake(&rec[!i], msg, (size_t)n), n);
	}
}

// A handshake that was made elsewhere, as in a dmsg stream: keys, and records that came with it.
static void adopts_keys_and_first_records(void **state)
{
	struct end a = {.to_send = MIB, .finish = true};
	struct end b = {.to_send = 5000, .finish = true, .bite = 100};
	uint8_t first[2 * NOISE_REC_FRAME_MAX], data[3000];
	struct noise_rec rec[2];
	struct keys k;
	ssize_t n;

	make_keys(&k);
	rec_pair(&k, rec);
	// one record and a half of the next come with the answer
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern(i);
	n = noise_rec_seal(&rec[0], data, 2000, first, sizeof(first));
	n += noise_rec_seal(&rec[0], data + 2000, 1000, first + n, sizeof(first) - (size_t)n);
	pair(&a, &b);
	assert_int_equal(conn_write(a.c, first + n - 500, 500), 500);
	a.sent = 3000;
	a.c = noise_conn_adopt(l, a.c, &rec[0], NULL, 0, &end_events, &a);
	b.c = noise_conn_adopt(l, b.c, &rec[1], first, (size_t)n - 500, &end_events, &b);
	assert_false(noise_rec_is_open(&rec[0])); // wiped
	assert_memory_equal(noise_conn_peer(b.c), k.pk[0], 33);
	end_send(&a);
	end_send(&b);
	run_until(a.n_eof && b.n_eof);
	assert_int_equal(b.got, MIB);
	assert_int_equal(a.got, 5000);
	assert_false(a.wrong || b.wrong);
	end_close(&a);
	end_close(&b);
}

// A conn below that is broken: it takes nothing, and then says why.
static struct conn broken;

static void tell(void *arg)
{
	(void)arg;
	broken.ev->end(broken.arg, -ETIMEDOUT);
}

static ssize_t take_nothing(struct conn *c, const void *p, size_t len)
{
	(void)c, (void)p, (void)len;
	assert_int_equal(loop_defer(l, tell, NULL), 0);
	return -EPIPE;
}

static void do_nothing(struct conn *c)
{
	(void)c;
}

static void the_reason_is_that_of_the_conn_below(void **state)
{
	static const struct conn_ops ops = {.write = take_nothing,
		.shutdown = do_nothing,
		.resume = do_nothing,
		.close = do_nothing};
	struct noise_rec rec[2];
	struct end a = {0};
	struct keys k;

	(void)state;
	make_keys(&k);
	rec_pair(&k, rec);
	broken = (struct conn){.ops = &ops};
	a.c = noise_conn_adopt(l, &broken, &rec[0], NULL, 0, &end_events, &a);
	assert_non_null(a.c);
	conn_write(a.c, "x", 1);
	run_until(a.err != 0);
	assert_int_equal(a.err, -ETIMEDOUT);
	end_close(&a);
}

// One that takes nothing, and has bytes in front of its end, if it is to have one.
struct mute {
	struct conn base;
	bool has_end;
	unsigned n_resumed;
	size_t taken;
};

static ssize_t mute_write(struct conn *c, const void *p, size_t len)
{
	(void)c, (void)p, (void)len;
	return -EPIPE;
}

static void mute_tell(void *arg)
{
	struct mute *m = arg;
	uint8_t rest[100] = {0}; // no record

	m->taken = m->base.ev->data(m->base.arg, rest, sizeof(rest));
	if (m->has_end)
		m->base.ev->end(m->base.arg, -ECONNRESET);
}

static void mute_resume(struct conn *c)
{
	struct mute *m = (struct mute *)c;

	if (m->n_resumed++ == 0)
		assert_int_equal(loop_defer(l, mute_tell, m), 0);
}

static void a_writer_hears_of_the_end_also_while_its_reader_waits(void **state)
{
	static const struct conn_ops ops = {.write = mute_write,
		.shutdown = do_nothing,
		.resume = mute_resume,
		.close = do_nothing};
	uint8_t first[NOISE_REC_FRAME_MAX];
	struct keys k;

	(void)state;
	make_keys(&k);
	for (unsigned i = 0; i < 2; i++) {
		struct mute m = {.base = {.ops = &ops}, .has_end = i == 0};
		struct noise_rec rec[2];
		struct end a = {.deaf = true};
		ssize_t n;

		rec_pair(&k, rec);
		n = noise_rec_seal(&rec[1], "unread", 6, first, sizeof(first));
		a.c = noise_conn_adopt(l, &m.base, &rec[0], first, (size_t)n, &end_events, &a);
		assert_non_null(a.c);
		for (unsigned t = 0; t < 20; t++)
			loop_turn(l);
		assert_int_equal(m.n_resumed, 0); // the reader has its record to take first
		conn_write(a.c, "x", 1);
		assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
		run_until(a.err != 0);
		assert_int_equal(a.err, m.has_end ? -ECONNRESET : -EPIPE);
		assert_int_equal(m.taken, 100);
		end_close(&a);
		noise_rec_fini(&rec[1]);
	}
}

static void an_unfinished_handshake_is_not_adopted(void **state)
{
	struct end a = {0}, b = {0};
	struct noise_conf conf;
	struct noise_rec rec;
	struct keys k;

	make_keys(&k);
	conf = conf_of(&k, NOISE_KK, true);
	assert_int_equal(noise_rec_init(&rec, &conf), 0);
	pair(&a, &b);
	assert_null(noise_conn_adopt(l, a.c, &rec, NULL, 0, &end_events, &a));
	assert_int_equal(errno, EINVAL);
	run_until(b.n_eof); // the conn below was closed
	end_close(&b);
}

// To another loop, at any moment of a stream: nothing is lost, doubled or out of order.
static void moves_with_all_that_nobody_took(void **state)
{
	static const size_t bites[] = {1, 100, 4070, 20000};

	for (size_t i = 0; i < ARRAY_LEN(bites); i++) {
		struct end a = {.to_send = MIB, .finish = true};
		struct end b = {.to_send = 5000, .bite = bites[i]};
		struct noise_conn_moved *m;

		noise_pair(&a, &b, NOISE_KK);
		run_until(b.got >= 1000 && a.got == 5000);
		b.deaf = true;
		for (unsigned k = 0; k < 50; k++)
			uv_run(loop_uv(l), UV_RUN_NOWAIT);
		m = noise_conn_move(b.c);
		assert_non_null(m);
		assert_int_equal(conn_write(b.c, "x", 1), -EPIPE);
		end_close(&b);
		b.c = noise_conn_arrive(l, m, NULL, &end_events, &b);
		assert_non_null(b.c);
		b.deaf = false;
		b.bite = 0;
		b.to_send = MIB;
		b.finish = true;
		conn_resume(b.c);
		end_send(&b);
		run_until(a.n_eof && b.n_eof);
		assert_int_equal(b.got, MIB);
		assert_int_equal(a.got, MIB);
		assert_false(a.wrong || b.wrong);
		end_close(&a);
		end_close(&b);
	}
}

static void one_that_owes_bytes_or_is_over_stays(void **state)
{
	struct end a = {.deaf = true}, b = {.to_send = 8 * MIB};
	struct keys k;

	noise_pair(&a, &b, NOISE_KK);
	run_until(b.n_short > 0);
	assert_null(noise_conn_move(b.c));
	assert_int_equal(errno, EBUSY);
	a.deaf = false;
	conn_resume(a.c); // it is as it was
	run_until(a.got == 8 * MIB);
	end_close(&a);
	run_until(b.n_eof == 1 || b.err != 0);
	assert_null(noise_conn_move(b.c));
	end_close(&b);

	make_keys(&k);
	a = (struct end){0};
	b = (struct end){0};
	pair(&a, &b);
	b.c = wrap(b.c, &k, NOISE_KK, false, &b);
	assert_null(noise_conn_move(b.c)); // not open yet
	end_close(&a);
	end_close(&b);
}

static void one_under_way_may_be_given_up(void **state)
{
	struct end a = {0}, b = {0};
	struct noise_conn_moved *m;

	noise_pair(&a, &b, NOISE_KK);
	m = noise_conn_move(b.c);
	assert_non_null(m);
	end_close(&b);
	noise_conn_moved_free(m);
	run_until(a.n_eof == 1);
	end_close(&a);
}

static void owners_may_close_within_any_event(void **state)
{
	for (unsigned when = 0; when < 3; when++) {
		struct end a = {.to_send = MIB, .finish = true};
		struct end b = {.close_at_open = when == 0,
			.close_at_data = when == 1,
			.close_at_end = when == 2,
			.bite = 100};
		struct keys k;

		make_keys(&k);
		pair(&a, &b);
		a.c = wrap(a.c, &k, NOISE_XK, true, &a);
		b.c = wrap(b.c, &k, NOISE_XK, false, &b);
		run_until(b.c == NULL);
		end_close(&a);
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup_loop, teardown_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(bytes_arrive_in_order_whatever_the_reader_takes),
		test(a_deaf_reader_stops_the_writer),
		test(what_was_written_before_the_close_arrives),
		test(the_loop_may_end_while_a_record_is_half_way),
		test(a_wrong_key_ends_both_sides),
		test(a_silent_peer_is_given_up),
		test(faults_after_the_handshake_are_errors),
		test(adopts_keys_and_first_records),
		test(the_reason_is_that_of_the_conn_below),
		test(a_writer_hears_of_the_end_also_while_its_reader_waits),
		test(an_unfinished_handshake_is_not_adopted),
		test(moves_with_all_that_nobody_took),
		test(one_that_owes_bytes_or_is_over_stays),
		test(one_under_way_may_be_given_up),
		test(owners_may_close_within_any_event),
	};

	signal(SIGPIPE, SIG_IGN); // as the programs do
	return cmocka_run_group_tests(tests, NULL, NULL);
}
