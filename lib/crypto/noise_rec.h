// Skywire's record layer (dmsg 2.4, skywire-routing 9.4): one Noise connection over a byte stream.
// Handshake messages and records alike are framed as
//
//     length (2, big-endian, at most 4094) | handshake message, or unit (noise_unit.h)
//
// Used by dmsg sessions (XK, handshake only: then come mux frames in clear), dmsg streams (KK,
// whose two messages travel elsewhere), stcp and stcpr transports and route groups (KK). No I/O, no
// clock, no allocation: frames come from the caller's buffer and go to it. One owner at a time.
//
// A handshake payload of the peer is authenticated and ignored, however long: post-quantum offers
// (dmsg 2.3) are so answered classically. An error is final: the state is wiped and every later
// call says -EPIPE.
#pragma once

#include "lib/crypto/noise_unit.h"

enum {
	NOISE_REC_HDR_LEN = NOISE_UNIT_LEN_LEN,
	NOISE_REC_BODY_MAX = 4094,
	NOISE_REC_FRAME_MAX = NOISE_REC_HDR_LEN + NOISE_REC_BODY_MAX,
	NOISE_REC_OVERHEAD = NOISE_REC_HDR_LEN + NOISE_UNIT_OVERHEAD,
	NOISE_REC_DATA_MAX = NOISE_REC_FRAME_MAX - NOISE_REC_OVERHEAD, // 4070
};

struct noise_rec {
	const struct aead_engine *by;
	struct noise hs;
	struct noise_tx tx;
	struct noise_rx rx;
	uint8_t phase;
};

// As noise_init().
int noise_rec_init(struct noise_rec *r, const struct noise_conf *conf);
// A connection whose handshake was made elsewhere and is done: its keys. -EAGAIN, -EPIPE as
// noise_split().
int noise_rec_adopt(struct noise_rec *r, const struct noise *done);
void noise_rec_fini(struct noise_rec *r); // wipes; idempotent
// Who seals and opens records from now on: of the thread that calls. NULL, as after init and adopt:
// libsodium.
void noise_rec_engine(struct noise_rec *r, const struct aead_engine *by);

// True until both sides have sent their messages.
bool noise_rec_is_shaking(const struct noise_rec *r);
bool noise_rec_is_open(const struct noise_rec *r);
// Known when noise_remote_static() says so, and kept after the handshake.
const uint8_t *noise_rec_remote_static(const struct noise_rec *r);

// Length of the whole frame that begins at p. -EAGAIN: fewer than two bytes; -EBADMSG: too long.
ssize_t noise_rec_frame_len(const uint8_t *p, size_t len);

// Our next handshake message, framed; its length. 0: it's the peer's turn, or the handshake is
// done. -ENOSPC leaves the state as it was; -EBADMSG: the peer's key is no point; -EIO: no
// randomness.
ssize_t noise_rec_shake(struct noise_rec *r, uint8_t *out, size_t cap);
// Takes one handshake frame; bytes used. -EAGAIN: not whole yet; -EALREADY: not the peer's turn;
// -EBADMSG: too long, malformed or not authentic.
ssize_t noise_rec_take_shake(struct noise_rec *r, const uint8_t *in, size_t len);

// One record with 0..4070 bytes; its length. in may be out + 10 (in place). -EMSGSIZE: longer;
// -EAGAIN: handshake not done; -ENOSPC, -EOVERFLOW as noise_unit_seal().
ssize_t noise_rec_seal(struct noise_rec *r, const void *in, size_t len, uint8_t *out, size_t cap);
// Opens the record that begins at `in`, in place; bytes used. *data, *data_len: what was in it,
// within `in`; may be empty, which receivers skip. -EAGAIN: not whole yet, or handshake not done;
// -EBADMSG: too long, too short or not authentic; -EALREADY: a counter that does not rise.
ssize_t noise_rec_open(
	struct noise_rec *r, uint8_t *in, size_t len, const uint8_t **data, size_t *data_len);
