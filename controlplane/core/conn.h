// `struct conn`: the one byte stream of the control plane. TCP and unix sockets (conn_tcp.h), Noise
// over any conn (noise_conn.h), streams of a muxer and route groups are conns, so a layer sits on
// another without knowing which. Loop's thread only.
//
// Back-pressure is one rule. A writer that is taken short waits for `drain`. A reader that takes
// less than it is given is given no more until it calls conn_resume(); the conn keeps what was not
// taken (at most what one read brought) and stops reading below.
//
// Life: `open` comes once for a conn that was dialled (an accepted one is open already), then
// `data` and `drain`, `end` with 0 when the peer writes no more, and `end` with an error when it is
// over: each at most once, the error last. Bytes come before the end of file that followed them.
// Events are never sent from within a call of the owner's, and never after conn_close(). The owner
// closes each conn exactly once, also after an error; it may do so within an event.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;

struct conn_events {
	void (*open)(void *arg); // may be NULL
	// Bytes came: returns how many were taken. They may be changed in place, those taken only.
	size_t (*data)(void *arg, uint8_t *p, size_t len);
	void (*drain)(void *arg); // may be NULL: for owners that never fill it
	// 0: the peer writes no more (we still may); -errno: broken, or never opened.
	void (*end)(void *arg, int err);
};

// What a kind of conn does; called through the functions below only.
struct conn_ops {
	ssize_t (*write)(struct conn *c, const void *p, size_t len);
	void (*shutdown)(struct conn *c);
	void (*resume)(struct conn *c);
	void (*close)(struct conn *c); // frees c, perhaps later
};

// First member of a kind's own struct.
struct conn {
	const struct conn_ops *ops;
	const struct conn_events *ev;
	void *arg;
};

// Whom the events go to from now on: for conns that change hands (accepted, adopted, joined).
void conn_set_events(struct conn *c, const struct conn_events *ev, void *arg);

// Takes up to len bytes and returns how many: fewer means full, `drain` will come. -EPIPE: not
// open, shut down or broken (nothing was taken).
ssize_t conn_write(struct conn *c, const void *p, size_t len);
// We write no more; what was written goes out first. Reading goes on.
void conn_shutdown(struct conn *c);
// Give again what was not taken, and go on reading. To be called once whoever was full has room.
void conn_resume(struct conn *c);
// Ends the conn: no event comes any more. What was written is still tried for a second. NULL is
// allowed.
void conn_close(struct conn *c);
