// How a transport over somebody else's byte stream begins (skywire-routing 6.2, 6.3): who we are
// (connect handshake), secrecy (Noise KK, which is the caller's: noise_conn), and the entry that
// both sign (settlement), after which both ends send route packets. Sans-I/O: bytes and time in,
// bytes and events out; the owner holds the struct.
//
//     initiator                                      responder
//     get_nonce ------------------------------------>
//               <------------------------------------ nonce
//     call, signed --------------------------------->           CLAIM: carry_hs_prove(),
//                                                               CALLER: carry_hs_admit()
//               <------------------------------------ OK, or why not
//     NOISE                                           NOISE     each: carry_hs_inside()
//     entry, signed by us -------------------------->           ENTRY: carry_hs_settle()
//               <------------------------------------ code 1
//     UP                                              UP
//
// Go's reader throws away what came behind a message, so nothing is ever sent ahead, and bytes that
// the peer sends ahead are an error. Over dmsg only the settlement is made (carry_hs_settlement()).
#pragma once

#include "lib/wire/connect_msg.h"
#include "lib/wire/tp_entry.h"

#include <assert.h>
#include <stdint.h>

enum {
	CARRY_HS_CONNECT_S = 10, // all of the connect handshake
	CARRY_HS_NOISE_S = 5,
	CARRY_HS_SETTLE_S = 20,
	CARRY_HS_WHY_LEN = 192, // a line for people, with the final NUL
};

// What the responder answers to an entry.
enum carry_hs_code {
	CARRY_HS_CODE_FAILED = 0,
	CARRY_HS_CODE_OK = 1,
	CARRY_HS_CODE_SIGNATURE = 2,
	CARRY_HS_CODE_ENTRY = 3,
};

enum carry_hs_event {
	CARRY_HS_NONE, // more bytes are needed
	CARRY_HS_CLAIM, // responder: h->peer is said to call; carry_hs_prove() looks at its
			// signature
	CARRY_HS_CALLER, // responder: h->peer has signed; carry_hs_admit() says whether it may
	CARRY_HS_NOISE, // now Noise KK with h->peer, by the same initiator; then carry_hs_inside()
	CARRY_HS_ENTRY, // responder: h->entry is signed by both; carry_hs_settle() when it is known
	CARRY_HS_UP, // all bytes from here on are route packets
	CARRY_HS_FAILED, // h->err and h->why; what h->out has is still to be sent
};

struct carry_hs_conf { // all borrowed while the handshake lasts
	const struct key_pk *pk; // ours
	const struct key_sk *sk;
	const char *type; // "stcp", ...
};

struct carry_hs {
	struct carry_hs_conf conf;
	uint8_t state;
	bool initiator;
	bool offered; // initiator: the entry is out, and the peer may have settled
	struct key_pk peer; // responder: null before CLAIM, anybody's word before CALLER
	struct tp_entry entry; // the settled one after UP
	uint64_t deadline_ns; // monotonic; 0: nothing is waited for
	int err; // of a failure: -ETIMEDOUT, -EBADMSG, -ECONNREFUSED
	char why[CARRY_HS_WHY_LEN];

	uint16_t port; // the initiator's
	struct connect_call call; // responder: from CLAIM to CALLER
	uint8_t nonce[CONNECT_NONCE_LEN];
	char in[CONNECT_JSON_MAX]; // a message that has not come whole
	uint16_t in_len;
	char out[CONNECT_TEXT_MAX]; // to be sent after each call, in one write
	uint16_t out_len; // the caller's to zero
};

static_assert((int)CONNECT_TEXT_MAX >= (int)TP_ENTRY_TEXT_MAX, "out holds either");

// The initiator's side of a connection that stands. port: ours, CONNECT_PORT_EPHEMERAL and up.
void carry_hs_dial(struct carry_hs *h, const struct carry_hs_conf *conf, const struct key_pk *peer,
	uint16_t port, uint64_t now_ns);
// The responder's. nonce: random, new for each.
void carry_hs_accept(struct carry_hs *h, const struct carry_hs_conf *conf,
	const uint8_t nonce[CONNECT_NONCE_LEN], uint64_t now_ns);
// Settlement alone, over a stream that is sealed already.
enum carry_hs_event carry_hs_settlement(struct carry_hs *h, const struct carry_hs_conf *conf,
	const struct key_pk *peer, bool initiator, uint64_t now_ns);

// Bytes that came; *used of them belonged to the handshake. They may go on behind UP only.
enum carry_hs_event carry_hs_read(
	struct carry_hs *h, const uint8_t *p, size_t len, size_t *used, uint64_t now_ns);
// After CLAIM, as carry_hs_admit(): then CALLER, or FAILED. A signature costs curves, a refusal
// does not.
enum carry_hs_event carry_hs_prove(struct carry_hs *h, const char *refusal);
// After CALLER; refusal: a text for the peer, NULL: welcome (then NOISE). After a refusal: FAILED.
enum carry_hs_event carry_hs_admit(struct carry_hs *h, const char *refusal, uint64_t now_ns);
// The Noise handshake is done.
enum carry_hs_event carry_hs_inside(struct carry_hs *h, uint64_t now_ns);
// After ENTRY.
enum carry_hs_event carry_hs_settle(struct carry_hs *h, enum carry_hs_code code);
// FAILED when the deadline has passed, else NONE.
enum carry_hs_event carry_hs_tick(struct carry_hs *h, uint64_t now_ns);
