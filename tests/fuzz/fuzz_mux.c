// A hostile peer of a session, and an owner that does everything at odd moments. The first byte
// says which muxer, which side and how narrow the limits are; the others are steps. Limits hold,
// what we say is well formed, and all memory comes back.
#include <errno.h>
#include <string.h>

#include "lib/mux/smux.h"
#include "lib/mux/yamux.h"
#include "lib/wire/smux_frame.h"
#include "lib/wire/yamux_frame.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS = 2000, STREAMS = 16, WIRE_MAX = 4096, RECV_MAX = 70000 };

struct world {
	struct mux *m;
	struct mux_conf conf;
	uint8_t version; // of smux, 0: yamux
	const uint8_t *p, *end; // input
	uint64_t now_ns;
	struct mux_stream *stream[STREAMS]; // those that we hold
	uint64_t body_left; // of our own output, behind a header
	uint8_t hdr[16];
	size_t hdr_len;
};

static struct world w;
static uint8_t big[300000];

static uint8_t take(void)
{
	return w.p < w.end ? *w.p++ : 0;
}

static void world_make(void)
{
	uint8_t what = take();

	memset(&w.conf, 0, sizeof(w.conf));
	w.version = what % 3;
	(w.version == 0 ? yamux_conf : smux_conf)(&w.conf, what & 0x10);
	if (what & 0x20) {
		w.conf.backlog = 2;
		w.conf.streams_max = 5;
		w.conf.send_max = 1000;
		w.conf.frame_max = 100;
		w.conf.recv_max = RECV_MAX;
	}
	w.now_ns = 1000;
	w.m = w.version == 0 ? yamux_new(&w.conf, w.now_ns)
			     : smux_new(&w.conf, w.version, w.now_ns);
	fuzz_check(w.m != NULL);
}

// ---- the peer ----

// A frame of small numbers, so that it meets what is there.
static size_t make_frame(uint8_t *out)
{
	uint8_t type = take(), flags = take(), id = take() % 16, len = take();
	struct yamux_frame y = {.type = type % 4, .flags = flags % 16, .id = id, .len = len};
	struct smux_frame s = {.version = w.version, .cmd = type % 5, .len = len, .id = id};

	if (flags & 0x80) // as large as can be
		y.len = s.len = 65535;
	if (flags & 0x40)
		y.len = take() * 0x1000000u;
	s.consumed = len * 100u;
	s.window = take() * 0x1000000u + flags;
	if (w.version == 0)
		return (size_t)yamux_frame_encode(out, WIRE_MAX, &y);
	return (size_t)smux_frame_encode(out, WIRE_MAX, &s);
}

// As an owner does whose readers take a part of what they are offered where it lies.
static ptrdiff_t give_passing(const uint8_t *p, size_t len)
{
	size_t done = 0, n, passed;
	struct mux_stream *s;
	ptrdiff_t rc;

	do {
		rc = mux_input_to(w.m, p + done, len - done, w.now_ns, &s, &n);
		if (rc < 0)
			return rc;
		done += (size_t)rc;
		fuzz_check(n <= len - done);
		passed = n / 2;
		mux_pass(w.m, passed);
		rc = n > 0 ? mux_input(w.m, p + done + passed, n - passed, w.now_ns) : 0;
		fuzz_check(rc < 0 || rc == (ptrdiff_t)(n - passed));
		done += n;
	} while (rc >= 0 && n > 0 && done < len);
	return rc < 0 ? rc : (ptrdiff_t)done;
}

static void give(const uint8_t *p, size_t len)
{
	ptrdiff_t n = len % 2 ? mux_input(w.m, p, len, w.now_ns) : give_passing(p, len);

	fuzz_check(n <= (ptrdiff_t)len);
	fuzz_check((n < 0) == (mux_stats(w.m)->err != 0));
}

static void peer_sends(void)
{
	uint8_t bytes[WIRE_MAX], kind = take();
	size_t len = 0;

	if (kind % 4 == 0)
		for (size_t n = take() % 32; n > 0; n--)
			bytes[len++] = take();
	else if (kind % 4 == 1)
		give(big, (size_t)take() * 1000);
	else
		len = make_frame(bytes);
	if (kind & 0x80)
		for (size_t i = 0; i < len; i++)
			give(bytes + i, 1);
	else
		give(bytes, len);
}

// ---- what we say ----

static void check_header(void)
{
	struct yamux_frame y;
	struct smux_frame s;
	int n = w.version == 0 ? yamux_frame_decode(w.hdr, w.hdr_len, &y)
			       : smux_frame_decode(w.hdr, w.hdr_len, w.version, &s);

	if (n == -EAGAIN)
		return;
	fuzz_check(n == (int)w.hdr_len);
	w.hdr_len = 0;
	if (w.version == 0)
		w.body_left = y.type == YAMUX_DATA ? y.len : 0;
	else
		w.body_left = s.cmd == SMUX_PSH ? s.len : 0;
	fuzz_check(w.body_left <= w.conf.frame_max);
}

static void check_frames(const uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (w.body_left > 0) {
			w.body_left--;
		} else {
			w.hdr[w.hdr_len++] = out[i];
			check_header();
		}
	fuzz_check(w.body_left == 0 && w.hdr_len == 0); // whole frames only
}

static void we_send(void)
{
	uint8_t out[WIRE_MAX];

	check_frames(out, mux_output(w.m, out, MUX_OUTPUT_MIN + take() * 8u, w.now_ns));
}

// Two pieces by one stream, at once.
static void owner_writes_out(struct mux_stream *s)
{
	uint8_t out[WIRE_MAX];
	size_t room = take() * 8u, used = 0;

	for (unsigned i = 0; i < 2; i++) {
		size_t len = take() * 8u, before = used;
		size_t n = mux_write_out(s, big, len, out, room, &used);

		fuzz_check(n <= len && used <= room && used >= before + n);
	}
	check_frames(out, used);
	(void)mux_is_shut(s);
}

// ---- the owner ----

static void owner_takes(unsigned i)
{
	if (w.stream[i] != NULL)
		return;
	w.stream[i] = take() % 2 ? mux_open(w.m, &w) : mux_accept(w.m);
}

static void owner_acts(unsigned i)
{
	struct mux_stream *s = w.stream[i];
	uint8_t what = take();
	ptrdiff_t n;

	if (s == NULL)
		return;
	switch (what % 6) {
	case 0:
		n = mux_read(s, big, 1 + take() * 300u);
		fuzz_check(n != -EAGAIN || mux_stats(w.m)->err == 0);
		break;
	case 1:
		n = mux_write(s, big, take() * 300u);
		fuzz_check(n <= (ptrdiff_t)w.conf.send_max);
		break;
	case 2:
		mux_finish(s);
		break;
	case 3:
		owner_writes_out(s);
		break;
	default:
		mux_close(s, what & 0x80);
		w.stream[i] = NULL;
		break;
	}
	memset(big, 0, 300); // frames of type 0 for the peer
}

static void owner_acts_on_session(void)
{
	switch (take() % 8) {
	case 0:
		mux_ping(w.m);
		break;
	case 1:
		mux_go_away(w.m);
		break;
	case 2:
		mux_end(w.m, -EPIPE);
		break;
	default:
		w.now_ns += (uint64_t)take() * take() * 10000000;
		mux_tick(w.m, w.now_ns);
		break;
	}
}

static void look(void)
{
	const struct mux_stats *st = mux_stats(w.m);
	struct mux_event ev;

	while (mux_event(w.m, &ev))
		fuzz_check(ev.what != 0);
	fuzz_check(st->n_unread <= w.conf.recv_max + SMUX_DATA_MAX);
	fuzz_check(st->n_waiting <= w.conf.backlog);
	fuzz_check(st->n_streams <= w.conf.streams_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&w, 0, sizeof(w));
	w.p = data;
	w.end = data + size;
	world_make();
	for (unsigned i = 0; w.p < w.end && i < STEPS; i++) {
		uint8_t what = take();

		switch (what % 8) {
		case 0:
		case 1:
		case 2:
			peer_sends();
			break;
		case 3:
			owner_takes(what / 16);
			break;
		case 4:
		case 5:
			owner_acts(what / 16);
			break;
		case 6:
			we_send();
			break;
		default:
			owner_acts_on_session();
			break;
		}
		look();
	}
	mux_free(w.m); // what it held besides is the leak checker's to find
	return 0;
}
