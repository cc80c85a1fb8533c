// Many streams over one connection: what the owner of a session sees, whichever muxer it speaks
// (lib/mux/yamux.h and lib/mux/smux.h make one). Sans-I/O: bytes and time in, bytes and events out.
//
//      peer's bytes --> mux_input    -+-> mux_event --> mux_accept, mux_read, mux_write ...
//      our bytes   <--  mux_output  <-+
//
// A turn of the owner: give what came in, serve the events, take what is to go out, and call
// mux_tick, which says when it wants to be called again. Nothing calls back, so anything may be
// called at any moment. Time is monotonic; input, output and tick move it on.
//
// A stream is the owner's from mux_open or mux_accept until mux_close, and remains readable for
// that long whatever happens to it. Closing the session frees all. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mux;

struct mux_stream {
	void *user; // the owner's, never looked at; the rest of a stream is private
};

enum {
	MUX_OUTPUT_MIN = 64, // room that lets mux_output go on
	MUX_SECRET_LEN = 16,
};

// yamux_conf() and smux_conf() fill in defaults. A time of 0 is off.
struct mux_conf {
	bool is_client; // the side that dialled
	uint8_t secret[MUX_SECRET_LEN]; // random: peers choose stream ids
	uint32_t backlog; // streams of the peer that wait for mux_accept
	uint32_t streams_max; // of both sides
	uint32_t window; // bytes of a stream that the peer may send before we read them
	uint32_t send_max; // bytes of a stream that mux_write takes before they leave
	uint32_t frame_max; // bytes of a stream sent in one piece; then others have their turn
	uint64_t recv_max; // bytes of all streams that are not read
	uint64_t keepalive_ns; // between two signs of life of ours
	uint64_t keepalive_timeout_ns; // without one of the peer's: -ETIMEDOUT
	uint64_t write_timeout_ns; // that output may wait to be taken: -ETIMEDOUT
	uint64_t open_timeout_ns; // until the peer accepts: -ETIMEDOUT
	uint64_t close_timeout_ns; // that a closed stream waits for its peer
};

// Counters since the session began, and what there is at the moment.
struct mux_stats {
	uint64_t n_opened, n_accepted;
	uint64_t n_refused; // streams of the peer: backlog or streams_max
	uint64_t n_reset_in, n_reset_out;
	uint64_t n_no_memory; // streams reset because of recv_max
	uint64_t n_expired; // streams that waited for close_timeout_ns
	uint64_t n_stray; // frames of no stream
	uint64_t rx_frames, rx_bytes; // bytes of streams, without headers
	uint64_t tx_frames, tx_bytes;
	uint64_t n_unread; // bytes
	uint64_t rtt_ns; // of the last ping, 0: none was answered
	uint32_t n_streams; // alive on the wire
	uint32_t n_waiting; // for mux_accept
	uint32_t n_chunks; // of memory, 4 KiB each, spare ones too
	int err; // what ended the session, 0: it lives
};

enum mux_event_bit {
	// of a stream
	MUX_READABLE = 1, // bytes or the end came
	MUX_WRITABLE = 2, // a short write may go on, or fails
	MUX_OPENED = 4, // the peer accepted it (yamux only)
	MUX_ENDED = 8, // reset, expired, or the session died
	// of the session
	MUX_ACCEPT = 16, // streams wait for mux_accept
	MUX_CAN_OPEN = 32, // after a mux_open that failed with EAGAIN
	MUX_PONG = 64, // the ping was answered: mux_stats.rtt_ns
	MUX_GO_AWAY = 128, // the peer takes no new streams; those that are live on
	MUX_DEAD = 256, // mux_stats.err; take the output once more, then close the connection
};

struct mux_event {
	struct mux_stream *stream; // NULL: of the session
	unsigned what; // enum mux_event_bit
};

// Streams that are not closed are freed, too.
void mux_free(struct mux *m);

// Bytes of the peer. Returns how many were taken; fewer than len: too much waits for us (unread
// bytes, or answers that mux_output still holds). Give the rest, and only then read on, when either
// changed. -errno once the session is dead.
ptrdiff_t mux_input(struct mux *m, const void *p, size_t len, uint64_t now_ns);

// The same in two steps, for owners whose readers take bytes where they lie. This one also stops
// where bytes come next that may be passed: *s is their stream, *n how many of those given belong
// to it (0: it stopped for another reason). They are passed, or else given to mux_input.
ptrdiff_t mux_input_to(struct mux *m, const void *p, size_t len, uint64_t now_ns,
	struct mux_stream **s, size_t *n);
// That many of them, at most *n, were read by the stream's owner.
void mux_pass(struct mux *m, size_t n);

// Writes what is to be sent, at most room >= MUX_OUTPUT_MIN bytes; returns how many. 0: nothing.
size_t mux_output(struct mux *m, void *p, size_t room, uint64_t now_ns);

// Does what is due; returns when to call it again, UINT64_MAX: never. To be called after a turn,
// too: what happened in it may be due earlier.
uint64_t mux_tick(struct mux *m, uint64_t now_ns);

// The next thing that happened; false: none. Bits are those since the last time: after MUX_READABLE
// read until -EAGAIN, or remember that there is more.
bool mux_event(struct mux *m, struct mux_event *out);

// NULL and errno: EAGAIN (the peer has to accept others first), ECONNREFUSED (it takes no more),
// EMFILE (streams_max), EOVERFLOW (ids are used up: begin a new session), ENOMEM, or what ended the
// session. Bytes may be written at once.
struct mux_stream *mux_open(struct mux *m, void *user);

// The next stream that the peer opened, NULL: none.
struct mux_stream *mux_accept(struct mux *m);

// How many bytes lie together at *p, to be looked at, changed, and then taken by mux_read with p
// NULL; 0: none, mux_read says why. Valid until the next call for the session.
size_t mux_peek(struct mux_stream *s, uint8_t **p);

// Bytes read; 0: the peer finished. -EAGAIN: nothing yet; -ECONNRESET and others: what ended it.
ptrdiff_t mux_read(struct mux_stream *s, void *p, size_t room);

// Bytes taken, fewer than len when the stream has enough queued: MUX_WRITABLE tells when to go on.
// -EPIPE: after mux_finish, or the peer does not read; others: what ended it.
ptrdiff_t mux_write(struct mux_stream *s, const void *p, size_t len);

// Writes bytes of p as frames at once, to out, where *used bytes are of such calls already; they
// leave before anything of a later mux_output. Returns how many went, perhaps none (when something
// else waits to leave, for one): the rest is for mux_write.
size_t mux_write_out(
	struct mux_stream *s, const void *p, size_t len, uint8_t *out, size_t room, size_t *used);

// Nothing more may leave now, by the peer's window: MUX_WRITABLE tells when that changes. For
// owners who rather keep their bytes than have them queued here.
bool mux_is_shut(struct mux_stream *s);

// No more writes; what was written still leaves, reading goes on.
int mux_finish(struct mux_stream *s);

// The owner is done with the stream. Unread bytes are thrown away, those written still leave; with
// reset they don't, and the peer is told (smux: sees the end).
void mux_close(struct mux_stream *s, bool reset);

// MUX_PONG tells the answer. -EOPNOTSUPP with smux, which has none.
int mux_ping(struct mux *m);

// From now on streams of the peer are refused; yamux tells it.
void mux_go_away(struct mux *m);

// The connection is gone, err < 0 says why: streams end with it, after what can be read.
void mux_end(struct mux *m, int err);

const struct mux_stats *mux_stats(struct mux *m);
