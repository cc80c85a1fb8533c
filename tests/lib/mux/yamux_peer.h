// One yamux session and a peer that the test plays, frame by frame: hear() gives it a frame,
// expect() takes the next one that it says.
#pragma once

#include "lib/mux/yamux.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/mux/mux_priv.h"
#include "lib/wire/yamux_frame.h"
#include "tests/support/mux_pair.h"

#define S_NS UINT64_C(1000000000)

enum { WINDOW = YAMUX_WINDOW_INITIAL, HALF = WINDOW / 2 };

static struct mux_conf conf;
static struct mux *m; // a server, unless a test says otherwise
static uint64_t now_ns;
static uint8_t buf[2 * WINDOW];
static uint8_t said[4 * WINDOW]; // what it put out
static size_t said_len, said_off;

static inline void begin(bool is_client)
{
	now_ns = S_NS;
	said_len = said_off = 0;
	conf.is_client = is_client;
	m = yamux_new(&conf, now_ns);
	assert_non_null(m);
}

static inline int setup(void **state)
{
	yamux_conf(&conf, false);
	conf.keepalive_ns = 0;
	begin(false);
	return 0;
}

static inline int teardown(void **state)
{
	mux_free(m);
	return 0;
}

static inline void again(bool is_client)
{
	mux_free(m);
	begin(is_client);
}

// ---- the peer ----

static inline ptrdiff_t hear_bytes(const void *p, size_t len)
{
	return mux_input(m, p, len, now_ns);
}

static inline void hear(uint8_t type, uint16_t flags, uint32_t id, uint32_t len)
{
	const struct yamux_frame f = {.type = type, .flags = flags, .id = id, .len = len};
	uint8_t hdr[YAMUX_HDR_LEN];

	yamux_frame_encode(hdr, sizeof(hdr), &f);
	hear_bytes(hdr, sizeof(hdr));
}

static inline void hear_payload(size_t len, uint64_t from)
{
	mux_pattern_fill(buf, len, from);
	assert_int_equal(hear_bytes(buf, len), len);
}

static inline void hear_data(uint32_t id, size_t len)
{
	hear(YAMUX_DATA, 0, id, (uint32_t)len);
	hear_payload(len, 0);
}

static inline void listen_all(void)
{
	size_t n;

	do {
		n = mux_output(m, said + said_len, sizeof(said) - said_len, now_ns);
		said_len += n;
	} while (n > 0);
}

// The next frame that was said; its payload is passed over.
static inline struct yamux_frame said_next(void)
{
	struct yamux_frame f;

	listen_all();
	assert_int_equal(
		yamux_frame_decode(said + said_off, said_len - said_off, &f), YAMUX_HDR_LEN);
	said_off += YAMUX_HDR_LEN + (f.type == YAMUX_DATA ? f.len : 0);
	assert_in_range(said_off, 0, said_len);
	return f;
}

static inline void expect(uint8_t type, uint16_t flags, uint32_t id, uint32_t len)
{
	struct yamux_frame f = said_next();

	assert_int_equal(f.type, type);
	assert_int_equal(f.flags, flags);
	assert_int_equal(f.id, id);
	assert_int_equal(f.len, len);
}

static inline void expect_silence(void)
{
	listen_all();
	assert_int_equal(said_off, said_len);
}

static inline void expect_dead(int err)
{
	struct mux_event ev;

	assert_int_equal(mux_stats(m)->err, err);
	assert_true(mux_event(m, &ev));
	assert_null(ev.stream);
	assert_true(ev.what & MUX_DEAD);
	if (err == -EPROTO)
		expect(YAMUX_GO_AWAY, 0, 0, YAMUX_PROTOCOL_ERROR);
	expect_silence();
	assert_int_equal(hear_bytes("x", 1), err);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, -err);
}

// Bits told of one stream or, for NULL, of the session.
static inline unsigned told(const struct mux_stream *s)
{
	struct mux_event ev;
	unsigned what = 0;

	while (mux_event(m, &ev))
		if (ev.stream == s)
			what |= ev.what;
	return what;
}

// A stream that the peer opened and we accepted.
static inline struct mux_stream *accepted(uint32_t id)
{
	struct mux_stream *s;

	hear(YAMUX_WINDOW, YAMUX_SYN, id, 0);
	s = mux_accept(m);
	assert_non_null(s);
	expect(YAMUX_WINDOW, YAMUX_ACK, id, conf.window - WINDOW);
	return s;
}

// A stream that we opened and the peer accepted.
static inline struct mux_stream *opened(uint32_t id)
{
	struct mux_stream *s = mux_open(m, NULL);

	assert_non_null(s);
	expect(YAMUX_WINDOW, YAMUX_SYN, id, conf.window - WINDOW);
	hear(YAMUX_WINDOW, YAMUX_ACK, id, 0);
	return s;
}

static inline void pass(uint64_t ns)
{
	now_ns += ns;
	mux_tick(m, now_ns);
}
