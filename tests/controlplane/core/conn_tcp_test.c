// Conns over sockets: order under back-pressure, both ends of a close, dialling by every form of
// address, and owners that close a conn at the worst moment.
#include "tests/controlplane/core/conn_fixture.h"
#include "tests/support/loopback.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/un.h>

#include "lib/base/err.h"

enum { MIB = 1 << 20 };

static void bytes_arrive_in_order_whatever_the_reader_takes(void **state)
{
	static const size_t bites[] = {0, 1 << 15, 4096, 999};

	for (size_t i = 0; i < ARRAY_LEN(bites); i++) {
		struct end a = {.to_send = 3 * MIB, .finish = true, .bite = bites[i]};
		struct end b = {.to_send = 2 * MIB, .finish = true, .bite = bites[i]};

		pair(&a, &b);
		end_send(&a);
		end_send(&b);
		run_until(a.n_eof && b.n_eof);
		assert_int_equal(b.got, 3 * MIB);
		assert_int_equal(a.got, 2 * MIB);
		assert_false(a.wrong || b.wrong);
		assert_true(a.n_drain > 0); // 3 MiB do not fit at once
		end_close(&a);
		end_close(&b);
	}
}

static void a_deaf_reader_stops_the_writer_and_memory_stays_bounded(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.deaf = true};
	uint64_t sent = 0;

	pair(&a, &b);
	end_send(&a);
	do { // until it stands still
		sent = a.sent;
		for (unsigned i = 0; i < 20; i++)
			loop_turn(l);
	} while (a.sent != sent);
	assert_true(a.sent < 4 * MIB);
	assert_int_equal(b.got, 0);
	b.deaf = false;
	conn_resume(b.c);
	run_until(b.got == 16 * MIB);
	assert_false(b.wrong);
	end_close(&a);
	end_close(&b);
}

struct sizes {
	struct end e;
	size_t greatest, last;
};

static size_t note_size(void *arg, uint8_t *p, size_t len)
{
	struct sizes *s = arg;

	s->last = len;
	s->greatest = len > s->greatest ? len : s->greatest;
	return on_data(&s->e, p, len);
}

static void note_end(void *arg, int err)
{
	on_end(&((struct sizes *)arg)->e, err);
}

// What is kept for a reader who leaves bytes is one small read; large ones are for those who took
// whole ones.
static void reads_grow_with_a_willing_reader_only(void **state)
{
	static const struct conn_events events = {.data = note_size, .end = note_end};
	struct end a = {.to_send = 16 * MIB};
	struct sizes b = {.e = {.deaf = true}};

	pair(&a, &b.e);
	conn_set_events(b.e.c, &events, &b);
	end_send(&a);
	run_until(b.greatest > 0);
	assert_in_range(b.greatest, 1, CONN_TCP_READ_MIN);
	b.e.deaf = false;
	conn_resume(b.e.c);
	run_until(b.e.got == 16 * MIB);
	assert_false(b.e.wrong);
	assert_in_range(b.greatest, CONN_TCP_READ_MIN + 1, CONN_TCP_READ_MAX);
	end_close(&a);
	end_close(&b.e);
}

static void half_close_lets_the_other_direction_go_on(void **state)
{
	struct end a = {0}, b = {.to_send = MIB, .finish = true};

	pair(&a, &b);
	conn_shutdown(a.c);
	assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
	run_until(b.n_eof);
	end_send(&b);
	run_until(a.n_eof);
	assert_int_equal(a.got, MIB);
	end_close(&a);
	end_close(&b);
}

static void what_was_written_before_the_close_arrives(void **state)
{
	struct end a = {.to_send = MIB}, b = {0};
	uint64_t sent;

	pair(&a, &b);
	end_send(&a);
	sent = a.sent;
	assert_true(sent >= CONN_TCP_OUT_MAX);
	end_close(&a);
	run_until(b.n_eof);
	assert_int_equal(b.got, sent);
	end_close(&b);
}

// A socket that is closed with unread bytes in it resets the other end.
static void unread_bytes_do_not_cost_the_peer_the_last_ones(void **state)
{
	struct end a = {.to_send = 100000}, b = {.to_send = 1000};

	pair(&a, &b);
	end_send(&b); // a never looks at them
	end_send(&a);
	assert_int_equal(a.sent, 100000);
	end_close(&a);
	run_until(b.n_eof || b.err != 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.got, 100000);
	end_close(&b);
}

// Its last bytes have a second; the loop's end does not wait for it.
static void the_loop_may_end_while_a_closed_conn_has_bytes(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.to_send = 16 * MIB};

	pair(&a, &b);
	end_send(&a);
	end_send(&b);
	end_close(&a);
	end_close(&b);
	loop_free(l);
	l = loop_new();
	assert_non_null(l);
}

static void a_broken_conn_says_so_once(void **state)
{
	struct end a = {.to_send = 16 * MIB}, b = {.deaf = true};

	pair(&a, &b);
	end_send(&a);
	loop_turn(l);
	end_close(&b); // with unread bytes: a reset
	run_until(a.err != 0);
	assert_true(a.err == -ECONNRESET || a.err == -EPIPE);
	assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
	conn_resume(a.c);
	conn_shutdown(a.c);
	for (unsigned i = 0; i < 10; i++)
		loop_turn(l);
	end_close(&a);
}

static void owners_may_close_within_any_event(void **state)
{
	for (unsigned when = 0; when < 3; when++) {
		struct end a = {.to_send = MIB, .finish = true};
		struct end b = {.close_at_data = when == 0, .close_at_end = when == 1, .bite = 100};

		if (when == 2)
			a.close_at_end = true;
		pair(&a, &b);
		end_send(&a);
		if (when == 2)
			end_close(&b);
		run_until(when == 2 ? a.c == NULL : b.c == NULL);
		if (a.c != NULL)
			end_close(&a);
	}
}

static void closed_at_once_nothing_is_heard(void **state)
{
	struct end a = {0}, b = {.to_send = 10};

	pair(&a, &b);
	end_send(&b);
	conn_resume(a.c);
	end_close(&a);
	for (unsigned i = 0; i < 10; i++)
		loop_turn(l);
	assert_int_equal(a.got, 0);
	end_close(&b);
}

// ---- listening and dialling ----

struct server {
	struct conn_listener *cl;
	struct end e[4];
	unsigned n;
	int family;
	bool refuse;
};

static void on_accept(void *arg, struct conn *take_conn, const struct sockaddr_storage *from)
{
	struct server *s = arg;

	s->family = from->ss_family;
	if (s->refuse) {
		conn_close(take_conn);
		s->n++;
		return;
	}
	s->e[s->n].c = take_conn;
	conn_set_events(take_conn, &end_events, &s->e[s->n++]);
}

static void listen_on_loopback(struct server *s)
{
	struct sockaddr_in in = loopback(0);

	s->cl = conn_listen(l, (struct sockaddr *)&in, NULL, on_accept, s);
	assert_non_null(s->cl);
	assert_int_not_equal(conn_listener_port(s->cl), 0);
}

static void dials_by_address_and_by_name(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	struct conn_tcp_opts opts = {.keepalive_s = 15, .user_timeout_ms = 20000};
	struct server s = {0};
	char where[64];

	listen_on_loopback(&s);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct end a = {.to_send = 100000, .finish = true};
		struct sockaddr_storage to;

		snprintf(where, sizeof(where), "%s:%u", hosts[i], conn_listener_port(s.cl));
		a.c = conn_tcp_dial(l, where, 10000, &opts, &end_events, &a);
		assert_non_null(a.c);
		assert_int_equal(a.n_open, 0); // never from within the call
		assert_int_equal(conn_tcp_remote(a.c, &to), -ENOTCONN);
		assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
		run_until(s.n == i + 1 && s.e[i].n_eof);
		assert_int_equal(s.e[i].got, 100000);
		assert_false(s.e[i].wrong);
		assert_int_equal(a.n_open, 1);
		assert_int_equal(s.family, AF_INET);
		assert_int_equal(conn_tcp_remote(a.c, &to), 0);
		assert_int_equal(
			((struct sockaddr_in *)&to)->sin_port, htons(conn_listener_port(s.cl)));
		end_close(&a);
		end_close(&s.e[i]);
	}
	conn_listener_close(s.cl);
}

static unsigned no_sockets; // so many times

// libuv's, but for its failures.
int uv_tcp_init(uv_loop_t *uv, uv_tcp_t *tcp)
{
	if (no_sockets > 0) {
		no_sockets--;
		return UV_ENOMEM;
	}
	return uv_tcp_init_ex(uv, tcp, AF_UNSPEC);
}

static void who_comes_while_there_is_no_memory_waits(void **state)
{
	struct server s = {0};
	struct sockaddr_in to = loopback(0);
	int fd[2];

	(void)state;
	listen_on_loopback(&s);
	to.sin_port = htons(conn_listener_port(s.cl));
	no_sockets = 2;
	for (unsigned i = 0; i < 2; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&to, sizeof(to)), 0);
	}
	run_until(s.n == 2);
	assert_int_equal(no_sockets, 0);
	for (unsigned i = 0; i < 2; i++) {
		close(fd[i]);
		end_close(&s.e[i]);
	}
	conn_listener_close(s.cl);
}

static void dials_from_a_port_of_ours(void **state)
{
	struct sockaddr_in to = loopback(0), from = loopback(0);
	struct end a = {.to_send = 1000, .finish = true}, b = {0};
	struct sockaddr_storage is;
	struct server s = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(from);

	(void)state;
	listen_on_loopback(&s);
	to.sin_port = htons(conn_listener_port(s.cl));
	// one that nobody has
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &len), 0);
	close(fd);
	a.c = conn_tcp_dial_from(
		l, (struct sockaddr *)&from, (struct sockaddr *)&to, 10000, NULL, &end_events, &a);
	assert_non_null(a.c);
	assert_int_equal(conn_tcp_local(a.c, &is), -ENOTCONN);
	run_until(s.n == 1 && s.e[0].n_eof);
	assert_int_equal(s.e[0].got, 1000);
	assert_int_equal(conn_tcp_local(a.c, &is), 0);
	assert_int_equal(((struct sockaddr_in *)&is)->sin_port, from.sin_port);
	// and one that somebody has
	b.c = conn_tcp_dial_from(
		l, (struct sockaddr *)&to, (struct sockaddr *)&to, 10000, NULL, &end_events, &b);
	assert_non_null(b.c);
	run_until(b.err != 0);
	assert_int_equal(b.err, -EADDRINUSE);
	end_close(&a);
	end_close(&b);
	end_close(&s.e[0]);
	conn_listener_close(s.cl);
}

static void unix_sockets_are_conns_too(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct end a = {.to_send = 1000, .finish = true};
	char dir[] = "/tmp/conn-test-XXXXXX", where[128];
	struct server s = {0};

	assert_non_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", dir);
	s.cl = conn_listen(l, (struct sockaddr *)&un, NULL, on_accept, &s);
	assert_non_null(s.cl);
	assert_int_equal(conn_listener_port(s.cl), 0);
	assert_null(conn_listen(l, (struct sockaddr *)&un, NULL, on_accept, &s));
	snprintf(where, sizeof(where), "unix:%s", un.sun_path);
	a.c = conn_tcp_dial(l, where, 10000, NULL, &end_events, &a);
	run_until(s.n == 1 && s.e[0].n_eof);
	assert_int_equal(s.e[0].got, 1000);
	assert_int_equal(s.family, AF_UNIX);
	end_close(&a);
	end_close(&s.e[0]);
	conn_listener_close(s.cl);
	unlink(un.sun_path);
	rmdir(dir);
}

static void a_refused_dial_ends_with_the_reason(void **state)
{
	struct server s = {0};
	struct end a = {.close_at_end = true}, b = {0};
	char where[64];

	listen_on_loopback(&s);
	snprintf(where, sizeof(where), "127.0.0.1:%u", conn_listener_port(s.cl));
	conn_listener_close(s.cl);
	loop_turn(l);
	a.c = conn_tcp_dial(l, where, 10000, NULL, &end_events, &a);
	b.c = conn_tcp_dial(l, "unix:/nonexistent/socket", 10000, NULL, &end_events, &b);
	assert_true(a.err == 0 && b.err == 0);
	run_until(a.err != 0 && b.err != 0);
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_int_equal(b.err, -ENOENT);
	assert_int_equal(a.n_open + b.n_open, 0);
	end_close(&b);
}

static void malformed_addresses_are_refused(void **state)
{
	static const char *const bad[] = {"", "host", ":80", "host:", "host:0", "host:65536",
		"host:x", "host:+8", "::1:80", "[::1]", "[::1]80", "[::1:80", "unix:", "host:8 "};
	struct end a = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		errno = 0;
		if (conn_tcp_dial(l, bad[i], 1000, NULL, &end_events, &a) != NULL)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(errno, EINVAL);
	}
}

static void a_dial_closed_on_the_way_is_not_heard_of(void **state)
{
	struct server s = {.refuse = true};
	struct end a = {0};
	char where[64];

	listen_on_loopback(&s);
	snprintf(where, sizeof(where), "127.0.0.1:%u", conn_listener_port(s.cl));
	for (unsigned turns = 0; turns < 6; turns++) { // in each stage of a dial
		a.c = conn_tcp_dial(l, where, 10000, NULL, &end_events, &a);
		for (unsigned i = 0; i < turns && a.n_open == 0; i++)
			loop_turn(l);
		end_close(&a);
		a = (struct end){0};
	}
	a.close_at_open = true;
	a.c = conn_tcp_dial(l, where, 10000, NULL, &end_events, &a);
	run_until(a.n_open == 1);
	conn_listener_close(s.cl);
}

static sem_t block;
static bool work_done;

static void on_work_done(uv_work_t *w, int status)
{
	(void)w, (void)status;
	work_done = true;
}

static void wait_for_block(uv_work_t *w)
{
	(void)w;
	sem_wait(&block);
}

// The one thread that looks names up is busy.
static void a_dial_that_takes_too_long_ends(void **state)
{
	struct end a = {0};
	uv_work_t work;

	sem_init(&block, 0, 0);
	assert_int_equal(uv_queue_work(loop_uv(l), &work, wait_for_block, on_work_done), 0);
	a.c = conn_tcp_dial(l, "127.0.0.1:9", 1, NULL, &end_events, &a);
	run_until(a.err != 0);
	assert_int_equal(a.err, -ETIMEDOUT);
	end_close(&a);
	sem_post(&block);
	run_until(work_done);
	sem_destroy(&block);
}

static void no_socket_is_no_conn(void **state)
{
	struct end a = {0};
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	close(fd[1]);
	assert_null(conn_tcp_adopt(l, fd[0], NULL, &end_events, &a));
	assert_int_equal(errno, ENOTSOCK);
	assert_int_equal(close(fd[0]), -1); // it was taken
}

// Who writes no more may still read; who has closed does neither.
static void a_whole_end_is_told_from_a_half_one(void **state)
{
	static const struct conn_tcp_opts opts = {.whole_end = true};
	struct end half = {0}, whole = {0};
	int fd[2][2];

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd[i]), 0);
	half.c = conn_tcp_adopt(l, fd[0][0], &opts, &end_events, &half);
	whole.c = conn_tcp_adopt(l, fd[1][0], &opts, &end_events, &whole);
	assert_int_equal(shutdown(fd[0][1], SHUT_WR), 0);
	assert_int_equal(close(fd[1][1]), 0);
	run_until(half.n_eof == 1 && whole.err != 0);
	assert_int_equal(whole.err, -EPIPE);
	assert_int_equal(whole.n_eof, 0);
	assert_int_equal(half.err, 0);
	close(fd[0][1]);
	end_close(&half);
	end_close(&whole);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup_loop, teardown_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(bytes_arrive_in_order_whatever_the_reader_takes),
		test(a_deaf_reader_stops_the_writer_and_memory_stays_bounded),
		test(reads_grow_with_a_willing_reader_only),
		test(half_close_lets_the_other_direction_go_on),
		test(what_was_written_before_the_close_arrives),
		test(unread_bytes_do_not_cost_the_peer_the_last_ones),
		test(the_loop_may_end_while_a_closed_conn_has_bytes),
		test(a_broken_conn_says_so_once),
		test(owners_may_close_within_any_event),
		test(closed_at_once_nothing_is_heard),
		test(dials_by_address_and_by_name),
		test(who_comes_while_there_is_no_memory_waits),
		test(dials_from_a_port_of_ours),
		test(unix_sockets_are_conns_too),
		test(a_refused_dial_ends_with_the_reason),
		test(malformed_addresses_are_refused),
		test(a_dial_closed_on_the_way_is_not_heard_of),
		test(a_dial_that_takes_too_long_ends),
		test(a_whole_end_is_told_from_a_half_one),
		test(no_socket_is_no_conn),
	};

	setenv("UV_THREADPOOL_SIZE", "1", 1);
	signal(SIGPIPE, SIG_IGN); // as the programs do
	return cmocka_run_group_tests(tests, NULL, NULL);
}
