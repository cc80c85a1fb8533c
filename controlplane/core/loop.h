// The control plane's one thread: a libuv loop with timers, signals, descriptors and deferred calls
// whose memory is freed at the right time, and the two moments that the shared-memory rings need
// (about to sleep, awake again). Everything here is called from the loop's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
	LOOP_BUF_LEN = 520 * 1024, // 512 KiB and some headers
	LOOP_SHARE_PCT = 50, // of loop_share()
	LOOP_SHARE_AHEAD_MS = 2000, // as much of it may be spent at once
};

struct loop;
struct share;
struct loop_timer;
struct loop_poll;
struct loop_signal;

typedef void (*loop_fn)(void *arg);
typedef void (*loop_poll_fn)(void *arg, bool readable, bool writable);

// NULL and errno. The caller owns it.
struct loop *loop_new(void);
// Closes what is still open, runs the loop until that is done, frees it. NULL is allowed.
void loop_free(struct loop *l);
// The libuv loop, for modules that bind other handles (pipes, TUN reads).
uv_loop_t *loop_uv(struct loop *l);
// Of the thread's time, what others cause by asking: one share for all parts that can be asked. The
// loop's.
struct share *loop_share(struct loop *l);

// Runs until loop_stop().
void loop_run(struct loop *l);
// One turn that doesn't wait: for tests.
void loop_turn(struct loop *l);
void loop_stop(struct loop *l);

// A timer is made once and started as often as needed; NULL: no memory. The loop owns the memory,
// the caller ends it with loop_timer_free() (also from within its own callback).
struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg);
// First call after delay_ms, then every repeat_ms (0: once). Replaces an earlier start.
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_on(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); // NULL is allowed

// Watches a descriptor that the caller owns and closes after loop_poll_free(). NULL and errno.
struct loop_poll *loop_poll_new(struct loop *l, int fd, loop_poll_fn fn, void *arg);
// Hang-up and errors count as readable. Neither: watches nothing.
int loop_poll_set(struct loop_poll *p, bool readable, bool writable);
void loop_poll_free(struct loop_poll *p);

// Buffers for what passes through in a turn, LOOP_BUF_LEN bytes each: some are kept for the next
// turn, so that they cost no allocation and stay in the cache, and the idle need none. NULL: no
// memory.
void *loop_buf_get(struct loop *l);
void loop_buf_put(struct loop *l, void *take_buf); // NULL is allowed

// What this loop's thread seals with, made when it is first asked for. NULL: no memory.
struct aead_engine;
const struct aead_engine *loop_aead(struct loop *l);

// 0 or -errno.
int loop_on_signal(struct loop *l, int signum, loop_fn fn, void *arg);

// Calls fn soon, in the same turn or the next, never from within this call. -ENOMEM.
int loop_defer(struct loop *l, loop_fn fn, void *arg);

// `before_sleep` is called when the loop is about to wait; true: don't wait, there is work.
// `after_sleep` is called when it is awake again. One hook per loop; NULLs take it off.
typedef bool (*loop_before_fn)(void *arg);
void loop_set_hook(struct loop *l, loop_before_fn before_sleep, loop_fn after_sleep, void *arg);

// What lives on although nobody owns it any more (the last bytes of a closed connection):
// loop_free() calls fn first of all, so that it ends now. The node is the caller's, who takes it
// out when it is done earlier; fn finds it taken out.
struct loop_rest {
	loop_fn fn;
	void *arg;
	struct loop_rest *next, **prev;
};

void loop_rest_add(struct loop *l, struct loop_rest *r, loop_fn fn, void *arg);
void loop_rest_del(struct loop_rest *r); // idempotent, also on zeroed memory
