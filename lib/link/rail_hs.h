// Handshake of rail (rail 1, 2): Noise_IK_Secp256k1_ChaChaPoly_SHA256 with what both ends settle in
// its payloads. Sans-I/O: bytes, time and offers in; bytes, terms and session keys out. The same
// messages serve for first contact (datagrams with macs) and, `inside`, for re-keys in the sealed
// link (no macs, time or signature).
//
//   initiator                                   responder
//   rail_hs_init_make    -- init -->            rail_hs_init_take, decide
//   rail_hs_response_take <-- response --       rail_hs_response_make | rail_hs_refusal_make
//
// A side is plain memory of the caller, one thread at a time, wiped by rail_hs_fini(). It holds the
// ephemeral secret; rail_hs_keys hold session keys and are wiped by rail_hs_keys_wipe().
#pragma once

#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"
#include "lib/crypto/noise.h"
#include "lib/wire/rail_payload.h"

// Our own long-term keys; borrowed for the call.
struct rail_hs_self {
	const struct key_pk *pk;
	const struct key_sk *sk;
};

// What our side wants, or accepts.
struct rail_hs_offer {
	uint64_t instance;
	uint32_t rx_index[RAIL_FLOWS_MAX]; // chosen for the new keys of flows 1..n
	uint16_t port[RAIL_FLOWS_MAX - 1]; // own UDP ports of flows 2..n
	uint16_t payload_max; // greatest UDP payload that we take, >= RAIL_PAYLOAD_FLOOR
	uint8_t mode; // enum rail_mode
	uint8_t ciphers; // mask of RAIL_CIPHER_*: what we can and may use
	uint8_t avoid; // of these: not offered, and taken only when nothing else is left
	uint8_t window_log2;
	uint8_t n_flows; // 1..RAIL_FLOWS_MAX, the most we want
};

// What the peer said, authenticated.
struct rail_hs_terms {
	struct key_pk peer;
	uint64_t time_ns; // init outside the link: wall clock of the peer, ns since 1970
	uint64_t instance;
	uint32_t tx_index[RAIL_FLOWS_MAX]; // of flows 1..n_flows
	uint16_t port[RAIL_FLOWS_MAX - 1]; // its UDP ports of flows 2..n_flows
	uint16_t payload_max;
	uint8_t mode;
	uint8_t ciphers; // init: offered; response: the one chosen
	uint8_t window_log2;
	uint8_t n_flows; // as it offered or granted; the smaller number counts
	uint8_t refusal; // response: enum rail_refusal, 0 = granted
	char refusal_text[64]; // printable, cut
};

// What was agreed to: of the flows that each end wanted the smaller number. rail_hs_flow_make()
// makes the session keys of each.
struct rail_hs_keys {
	uint8_t rx[NOISE_KEY_LEN], tx[NOISE_KEY_LEN]; // what they are made of
	enum aead_cipher cipher;
	uint8_t cipher_bit; // of TLV 4
	uint8_t n_flows;
	bool initiator;
	uint32_t rx_index[RAIL_FLOWS_MAX], tx_index[RAIL_FLOWS_MAX];
	uint16_t port[RAIL_FLOWS_MAX - 1]; // the peer's, of flows 2..n
};

// Session keys of one flow.
struct rail_hs_flow {
	uint8_t rx_key[AEAD_KEY_LEN];
	uint8_t tx_key[AEAD_KEY_LEN];
	uint32_t rx_index, tx_index;
	uint16_t port; // the peer's; 0: flow 1, which is where the handshake came from
};

struct rail_hs_side {
	struct noise noise;
	struct key_pk peer;
	struct rail_hs_offer offer;
	uint8_t mac1[RAIL_MAC_LEN]; // of our init: a cookie names it
	bool inside;
};

// mac1 key of the node that a message is for; also what CMD_HELLO hands to the data plane.
void rail_hs_mac1_key(uint8_t out[32], const struct key_pk *recipient);

// Make an init for peer. time_ns is put in outside the link only and must grow from init to init.
// cookie: the peer's cookie value, or NULL. Length, or -EINVAL (bad or own key), -ENOSPC, -EIO.
ssize_t rail_hs_init_make(struct rail_hs_side *s, const struct rail_hs_self *self,
	const struct key_pk *peer, const struct rail_hs_offer *offer, uint64_t time_ns, bool inside,
	const uint8_t *cookie, uint8_t *out, size_t cap);
// Take a response to the init made with s. 0: terms, and keys when terms->refusal is 0. -EBADMSG:
// not authentic, not well-formed, or s made no init; -EPROTO: authentic but not what was agreed to
// (other mode, a cipher not offered, wrong signature, no flow): in both cases s may still take
// another response.
int rail_hs_response_take(struct rail_hs_side *s, const struct rail_hs_self *self, const void *msg,
	size_t len, struct rail_hs_terms *terms, struct rail_hs_keys *keys);

// Take an init. 0: the peer of `terms` made it (the signature of the settlement entry is right
// too); nothing is promised to it. -EBADMSG otherwise, and s is wiped.
int rail_hs_init_take(struct rail_hs_side *s, const struct rail_hs_self *self, const void *msg,
	size_t len, bool inside, struct rail_hs_terms *terms);
// Why our offer and the init's terms don't meet: a RAIL_REFUSAL_*, or 0 and the cipher to use.
uint8_t rail_hs_settle(
	const struct rail_hs_offer *offer, const struct rail_hs_terms *terms, uint8_t *cipher_bit);
// Answer an init taken with s. Length, and the keys. -EINVAL: they don't meet; -ENOSPC, -EIO.
ssize_t rail_hs_response_make(struct rail_hs_side *s, const struct rail_hs_self *self,
	const struct rail_hs_offer *offer, const struct rail_hs_terms *terms, uint8_t *out,
	size_t cap, struct rail_hs_keys *keys);
// Refuse it; text may be "".
ssize_t rail_hs_refusal_make(struct rail_hs_side *s, const struct rail_hs_terms *terms,
	uint8_t code, const char *text, uint8_t *out, size_t cap);

// Keys of flow 1..k->n_flows; wiped by rail_hs_flow_wipe(). 0, -EINVAL (no such flow), -EIO.
int rail_hs_flow_make(const struct rail_hs_keys *k, unsigned flow, struct rail_hs_flow *out);

void rail_hs_fini(struct rail_hs_side *s);
void rail_hs_keys_wipe(struct rail_hs_keys *k);
void rail_hs_flow_wipe(struct rail_hs_flow *f);

// The cookie in a datagram that answers the last init of s. -EBADMSG otherwise.
int rail_hs_cookie_take(const struct rail_hs_side *s, const void *msg, size_t len,
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN]);
