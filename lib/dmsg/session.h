// A dmsg session from the first byte to the point where the muxer takes over, and the keys that it
// leaves (dmsg 3.1, 3.7). Sans-I/O: bytes and time in, bytes out.
//
//     dialler -> server   message 1 (XK)     raw frames, noise_rec.h
//             <-          message 2
//             ->          message 3          then, after a pause, mux frames in the clear
//
// On each mux stream go objects sealed with the session's keys: len (2) | unit. All streams share
// one counter a direction, so they are opened by window, in any order. An object that is refused
// fails its stream, never the session.
//
// Why the dialler pauses: a Go server drops the connection when bytes behind message 3 are in its
// buffer already, and nothing tells the dialler that message 3 was read.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/noise_rec.h"
#include "lib/dmsg/ss_mem.h"
#include "lib/wire/dmsg_msg.h"

enum {
	DMSG_SHAKE_TIMEOUT_MS = 5000, // of the whole handshake, either side
	DMSG_QUIET_MS = 150, // besides a round trip, from message 3 to the first mux byte
	DMSG_FRAME_HDR_LEN = NOISE_UNIT_LEN_LEN,
	DMSG_FRAME_OVERHEAD = DMSG_FRAME_HDR_LEN + NOISE_UNIT_OVERHEAD,
	DMSG_FRAME_MAX = DMSG_OBJECT_MAX + DMSG_FRAME_OVERHEAD,
};

enum dmsg_phase {
	DMSG_PHASE_NONE = 0,
	DMSG_PHASE_SHAKE,
	DMSG_PHASE_OPEN,
	DMSG_PHASE_DEAD,
};

// Open so that it can lie in its owner's struct. Owner: one thread.
struct dmsg_session {
	enum dmsg_phase phase;
	bool is_dialler;
	const struct key_sk *sk; // borrowed: outlives the session, as the next one
	struct ss_mem *ss; // NULL: none
	struct key_pk pk, peer; // ours; the other's: null until it is known
	uint64_t deadline_ns; // of the handshake
	uint64_t asked_ns; // when message 1 went out
	uint64_t mux_from_ns; // first mux byte not before
	struct noise_rec shake;
	struct noise_tx tx;
	struct noise_rx_any rx;
};

struct dmsg_session_conf {
	const struct key_sk *sk; // a server's own, or the client's
	const struct key_pk *pk; // of sk; NULL: is made of it
	const struct key_pk *server; // whom we dial; NULL: we are the server
	struct ss_mem *ss; // of sk, for streams; borrowed: outlives the session; NULL: none
	const uint8_t *test_e; // tests only: the ephemeral secret key
};

// -EINVAL: bad key.
int dmsg_session_init(
	struct dmsg_session *s, const struct dmsg_session_conf *conf, uint64_t now_ns);
void dmsg_session_fini(struct dmsg_session *s); // wipes; idempotent

// What is to be written now, at most one frame (51, 51 or 67 bytes); 0: nothing. -ENOSPC leaves the
// state as it was; -EBADMSG, -EIO: it is dead.
ssize_t dmsg_session_output(struct dmsg_session *s, uint8_t *out, size_t cap, uint64_t now_ns);
// Takes one handshake frame; bytes used. What lies behind it is the muxer's. -EAGAIN: not whole
// yet; -EBADMSG: refused, dead; -EALREADY: not awaited now (the session is open, or it's our turn:
// call output first).
ssize_t dmsg_session_input(struct dmsg_session *s, const uint8_t *in, size_t len, uint64_t now_ns);
// True when the handshake took too long; it is dead then.
bool dmsg_session_is_late(struct dmsg_session *s, uint64_t now_ns);
// The session is open and the peer had time to read message 3 by itself.
bool dmsg_session_may_mux(const struct dmsg_session *s, uint64_t now_ns);

// One object, framed and sealed for this session: len + 26 bytes. -EMSGSIZE: longer than
// DMSG_OBJECT_MAX; -ENOSPC; -EPIPE: not open; -EOVERFLOW: the session must be replaced.
ssize_t dmsg_session_seal(
	struct dmsg_session *s, const uint8_t *obj, size_t len, uint8_t *out, size_t cap);
// Opens a unit (without its length) in place; DMSG_OK and where the object is, or
// DMSG_ERR_NOT_AUTHENTIC, DMSG_ERR_REPLAYED, DMSG_ERR_SESSION_CLOSED.
enum dmsg_err dmsg_session_open(
	struct dmsg_session *s, uint8_t *unit, size_t len, const uint8_t **obj, size_t *obj_len);

// The noise of a stream between the session's client and peer (dmsg 4.3). test_e: tests only, else
// NULL. As noise_init().
int dmsg_session_kk(const struct dmsg_session *s, const struct key_pk *peer, bool initiator,
	const uint8_t *test_e, struct noise *kk);
