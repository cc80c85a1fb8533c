// What a muxer is built on: sessions and streams without a word about frames. lib/mux/mux.c keeps
// streams, buffers, events, turns and times; a struct mux_ops reads and writes frames, and decides
// on windows and ends.
//
// Control frames of a stream are bits in `due`, turned into bytes when there is room for them; only
// answers to frames of no stream are queued, and while that queue is full nothing is read. So a
// peer can't make us hold what we can't send.
#pragma once

#include <sys/queue.h>

#include "lib/base/bytes.h"
#include "lib/mux/mux.h"
#include "lib/mux/mux_buf.h"

enum {
	MUX_HDR_MAX = 16, // of any frame
	MUX_REPLY_MAX = 12,
	MUX_REPLIES = 64, // a power of two
};

enum mux_stream_state {
	MUX_WAITING, // for mux_accept
	MUX_HELD, // by the owner
	MUX_LEFT, // by the owner; kept until the peer need not know it any more
};

TAILQ_HEAD(stream_list, stream);

struct stream {
	struct mux_stream pub; // first
	struct mux *m;
	TAILQ_ENTRY(stream) all, turn, news, wait;
	struct stream_list *waits_in; // accept, opening, lingering of the session, or NULL
	uint64_t since_ns; // that it waits
	struct mux_buf in, out;
	uint32_t id;
	unsigned due; // control frames to send; bits of the muxer
	unsigned what; // events to tell
	int err, tx_err; // of reads and writes, 0: none
	uint8_t state; // enum mux_stream_state
	bool has_turn;
	bool gone; // from the wire: only the owner still has it
	bool fin_in; // the peer finished
	bool fin_out; // we did ...
	bool fin_sent; // ... and said so
	bool want_write; // a write was short
};

struct mux_ops {
	size_t stream_len; // of a struct that begins with a struct stream
	size_t hdr_len; // of a frame, or of its first part
	size_t reply_len; // <= MUX_REPLY_MAX
	uint64_t id_end; // ids that we give are below

	// May the next frame be read? There is room for one reply then.
	bool (*can_read)(const struct mux *m);
	// One header. -EAGAIN: MUX_HDR_MAX bytes are needed; other errors end the session. Sets
	// m->body and m->body_left for what follows it.
	int (*on_frame)(struct mux *m, const uint8_t *p, size_t len);
	// Writes what is due for the session, as far as there is room.
	void (*put_session)(struct mux *m, struct bytes_w *w);
	// Writes one frame of the stream, if there is something that may go, and gives it another
	// turn if there is more. False: there is no room. The stream may be gone after that.
	bool (*put_stream)(struct stream *s, struct bytes_w *w);
	// How many of n bytes the peer's window lets leave now.
	size_t (*allowed)(const struct stream *s, size_t n);
	// The header, of hdr_len bytes, of a frame with n bytes of the stream.
	void (*put_data_hdr)(const struct stream *s, uint8_t *p, size_t n);
	// So many more left.
	void (*on_sent)(struct stream *s, size_t n);
	// 0 or -errno.
	int (*may_open)(struct mux *m);
	void (*on_open)(struct stream *s);
	void (*on_accept)(struct stream *s);
	void (*on_read)(struct stream *s, size_t n);
	// Its buffers are empty. The stream may be gone after that.
	void (*on_reset)(struct stream *s);
	// It lingered for close_timeout_ns.
	void (*on_expire)(struct stream *s);
	// Returns when it wants to be called again.
	uint64_t (*tick)(struct mux *m);
	int (*ping)(struct mux *m);
	void (*go_away)(struct mux *m);
};

struct mux {
	const struct mux_ops *ops;
	struct mux_conf conf;
	struct mux_stats stats;
	struct mux_pool pool;
	// the last frame of mux_write_out: whose, where it is, with how many bytes; more may join
	// it
	struct stream *open_s;
	size_t open_at, open_len;
	uint64_t unused_ns; // since when no chunk of it is in use; 0: one is
	struct htab *by_id;
	struct stream_list all, turn, news; // turn: streams that may have something to send
	struct stream_list accept, opening, lingering; // each in the order of since_ns
	uint64_t now_ns;
	uint64_t next_id;
	uint64_t stalled_ns; // output waits since, 0: it does not
	unsigned due; // control frames of the session; bits of the muxer
	unsigned what; // events to tell
	struct stream *body; // that what follows the header is for, NULL: nobody
	uint32_t body_left;
	uint8_t hdr[MUX_HDR_MAX];
	uint8_t hdr_len, hdr_need;
	uint8_t reply[MUX_REPLIES][MUX_REPLY_MAX];
	uint8_t reply_head, n_replies;
};

// m is zeroed; on failure (-errno) there is nothing to undo. first_id: the first one that we give.
int mux_init(struct mux *m, const struct mux_ops *ops, const struct mux_conf *conf,
	uint32_t first_id, uint64_t now_ns);

struct stream *mux_find(const struct mux *m, uint32_t id);
// A stream of the peer: NULL when it is to be refused.
struct stream *mux_incoming(struct mux *m, uint32_t id);
// Nothing of it will be on the wire any more. Freed unless the owner holds it.
void mux_gone(struct stream *s);
// Gives it a turn to send.
void mux_turn(struct stream *s);
void mux_tell(struct stream *s, unsigned what);
// Lets it wait in that list from now on, NULL: in none.
void mux_wait(struct stream *s, struct stream_list *list);
// Its buffers are emptied, reads and writes fail.
void mux_break(struct stream *s, int err);
// The peer finished.
void mux_fin_in(struct stream *s);
// What was written and may not leave is thrown away, writes fail.
void mux_break_writes(struct stream *s, int err);
// Room of reply_len bytes, to be filled now.
struct bytes_w mux_reply(struct mux *m);
// The peer takes more: for those who waited for that.
void mux_window_opened(struct stream *s);
// Writes one frame of what is sendable; false: wait for more room.
bool mux_put_data(struct stream *s, struct bytes_w *w);

// How many bytes of it may leave now.
static inline size_t mux_sendable(const struct stream *s)
{
	return s->m->ops->allowed(s, s->out.len);
}

static inline bool mux_can_send_fin(const struct stream *s)
{
	return s->fin_out && !s->fin_sent && s->out.len == 0;
}

static inline size_t mux_room(const struct bytes_w *w)
{
	return (size_t)(w->end - w->p);
}

static inline bool mux_can_reply(const struct mux *m)
{
	return m->n_replies < MUX_REPLIES;
}
