// Ends of conns for tests: each sends a pattern and checks the one that it gets. The loop runs
// until a condition holds; a watchdog fails the test instead of hanging it.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/conn_tcp.h"
#include "controlplane/core/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WATCHDOG_MS = 60000, TICK_MS = 50 };

struct end {
	struct conn *c;
	uint64_t to_send, sent, got; // bytes; the pattern is a function of their place
	size_t bite; // most that `data` takes at once; 0: anything
	bool deaf; // takes nothing
	bool finish; // shuts down when all is sent
	bool close_at_open, close_at_data, close_at_end;
	bool wrong; // not the pattern
	unsigned n_open, n_eof, n_short, n_drain;
	int err; // of end; 0: none yet
};

static struct loop *l;
static bool late;
static unsigned ticks;

static inline void watchdog(void *arg)
{
	(void)arg;
	late = ++ticks > WATCHDOG_MS / TICK_MS;
	if (late)
		loop_stop(l);
}

// Turns until cond holds; it is said when it never does. The ticks also end a turn in which the
// timers have made it true, and nothing else is to come.
#define run_until(cond)                                                                            \
	do {                                                                                       \
		struct loop_timer *dog_ = loop_timer_new(l, watchdog, NULL);                       \
                                                                                                   \
		ticks = 0;                                                                         \
		loop_timer_start(dog_, TICK_MS, TICK_MS);                                          \
		while (!(cond) && !late)                                                           \
			uv_run(loop_uv(l), UV_RUN_ONCE);                                           \
		loop_timer_free(dog_);                                                             \
		if (late)                                                                          \
			fail_msg("never: %s", #cond);                                              \
	} while (0)

static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

static inline void end_close(struct end *e)
{
	conn_close(e->c);
	e->c = NULL;
}

static inline void end_send(struct end *e)
{
	while (e->sent < e->to_send) {
		uint8_t buf[10007];
		size_t len = sizeof(buf);
		ssize_t n;

		if (len > e->to_send - e->sent)
			len = (size_t)(e->to_send - e->sent);
		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(e->sent + i);
		n = conn_write(e->c, buf, len);
		if (n < 0)
			return;
		e->sent += (uint64_t)n;
		if ((size_t)n < len) {
			e->n_short++;
			return;
		}
	}
	if (e->finish) {
		e->finish = false;
		conn_shutdown(e->c);
	}
}

static inline void on_open(void *arg)
{
	struct end *e = arg;

	e->n_open++;
	if (e->close_at_open)
		end_close(e);
	else
		end_send(e);
}

static inline size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct end *e = arg;
	size_t n = e->bite > 0 && e->bite < len ? e->bite : len;

	assert_true(len > 0);
	if (e->deaf)
		return 0;
	for (size_t i = 0; i < n; i++)
		e->wrong |= p[i] != pattern(e->got + i);
	e->got += n;
	memset(p, 0xdd, n); // what is taken is ours
	if (e->close_at_data)
		end_close(e);
	else if (n < len)
		conn_resume(e->c);
	return n;
}

static inline void on_drain(void *arg)
{
	struct end *e = arg;

	e->n_drain++;
	end_send(e);
}

static inline void on_end(void *arg, int err)
{
	struct end *e = arg;

	assert_int_equal(e->err, 0); // nothing comes after an error
	if (err == 0)
		e->n_eof++;
	assert_true(e->n_eof <= 1);
	e->err = err;
	if (e->close_at_end)
		end_close(e);
}

static const struct conn_events end_events = {
	.open = on_open,
	.data = on_data,
	.drain = on_drain,
	.end = on_end,
};

static inline int setup_loop(void **state)
{
	(void)state;
	late = false;
	l = loop_new();
	return l == NULL;
}

static inline int teardown_loop(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

// Two conns on a pair of connected sockets.
static inline void pair(struct end *a, struct end *b)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	a->c = conn_tcp_adopt(l, fd[0], NULL, &end_events, a);
	b->c = conn_tcp_adopt(l, fd[1], NULL, &end_events, b);
	assert_non_null(a->c);
	assert_non_null(b->c);
}
