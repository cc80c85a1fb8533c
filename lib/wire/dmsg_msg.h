// The signed objects of dmsg (dmsg 4, 5): what a client asks for when it opens a stream, what it is
// answered, and how a server makes itself known as a peer. Pure; spans point into the object.
//
//     SignedObject = signature (65) | gob stream of one StreamRequest, StreamResponse or
//     PeerAnnounce
//
// The signature is over the gob bytes; the object's hash is over all of it. Whoever passes an
// object on passes these very bytes.
//
// What is written has the fields of 2024, which both generations read; read are those of 2026, too.
#pragma once

#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"
#include "lib/wire/gob.h"

enum {
	DMSG_OBJECT_WIRE_MAX = 65511, // that a session frame could carry
	DMSG_NOISE_MIN_LEN = 49, // a KK message without payload
	DMSG_NOISE_MAX_LEN = 4094,
	// A request with a post-quantum offer has about 1500 bytes. The longest that we read or
	// write: room for any message that a raw frame could carry.
	DMSG_OBJECT_MAX = 5120,
	DMSG_IP_MAX_LEN = 16,
	DMSG_HASH_LEN = HASH_SHA256_LEN,
};

// dmsg 7: 16-bit numbers, sent as ErrCode and shown to people; and from 1000 what only we say.
enum dmsg_err {
	DMSG_OK = 0,
	DMSG_ERR_NO_ENTRY = 100,
	DMSG_ERR_NOT_SERVER = 101,
	DMSG_ERR_NOT_CLIENT = 102,
	DMSG_ERR_NO_DELEGATED = 103,
	DMSG_ERR_CLOSED = 200,
	DMSG_ERR_SESSION_CLOSED = 201,
	DMSG_ERR_NO_SERVER_REACHED = 202,
	DMSG_ERR_SURPLUS = 203,
	DMSG_ERR_REQ_SIGNATURE = 300,
	DMSG_ERR_REQ_TIMESTAMP = 301,
	DMSG_ERR_REQ_SRC_PK = 302,
	DMSG_ERR_REQ_DST_PK = 303,
	DMSG_ERR_REQ_SRC_PORT = 304,
	DMSG_ERR_REQ_DST_PORT = 305,
	DMSG_ERR_NO_LISTENER = 306,
	DMSG_ERR_NO_NEXT_SESSION = 307,
	DMSG_ERR_NO_CAPACITY = 308,
	DMSG_ERR_RESP_SIGNATURE = 350,
	DMSG_ERR_RESP_HASH = 351,
	DMSG_ERR_RESP_REFUSED = 352,
	DMSG_ERR_OBJECT_SHORT = 370,
	DMSG_ERR_PORT_IN_USE = 400,
	DMSG_ERR_ACCEPT_FULL = 401,
	// ours, never sent
	DMSG_ERR_LOCAL = 1000,
	DMSG_ERR_MALFORMED = DMSG_ERR_LOCAL, // no object, or no gob in it
	DMSG_ERR_TOO_LONG,
	DMSG_ERR_NOT_AUTHENTIC, // not sealed with the session's key
	DMSG_ERR_REPLAYED, // the session has seen that counter
	DMSG_ERR_UNSAFE_NOISE, // would crash a Go peer (real-peers 3.2)
	DMSG_ERR_NOISE, // the stream's handshake failed
};

// Lower-case text of a code, without the number; "unknown error" for another one.
const char *dmsg_err_text(unsigned code);

struct dmsg_addr {
	struct key_pk pk;
	uint16_t port;
};

struct dmsg_request {
	int64_t timestamp_ns; // since 1970
	struct dmsg_addr src, dst;
	bool ip_info; // the server shall tell the dialler's address (5.4)
	bool geo_info; // 2026; not written
	struct gob_span noise; // KK message 1; absent in an IP request
};

struct dmsg_response {
	uint8_t req_hash[DMSG_HASH_LEN];
	bool accepted;
	uint16_t err; // enum dmsg_err, when not accepted
	uint8_t ip_len; // 0, 4 or 16
	uint8_t ip[DMSG_IP_MAX_LEN];
	struct gob_span noise; // KK message 2
	struct gob_span geo_country, geo_region; // 2026; not written
	double geo_lat, geo_lon;
};

struct dmsg_announce { // 2026 (6.4)
	int64_t timestamp_ns;
	struct key_pk src_pk;
};

// Make a signed object; its length. -ENOSPC: cap or a part is too small; -EINVAL: bad key.
ssize_t dmsg_request_make(
	const struct dmsg_request *req, const struct key_sk *sk, uint8_t *out, size_t cap);
ssize_t dmsg_response_make(
	const struct dmsg_response *resp, const struct key_sk *sk, uint8_t *out, size_t cap);
ssize_t dmsg_announce_make(
	const struct dmsg_announce *a, const struct key_sk *sk, uint8_t *out, size_t cap);

// Decode without any check of meaning. 0, or -EBADMSG: too short, no gob, a key or an address of a
// wrong length.
int dmsg_request_read(struct dmsg_request *req, const uint8_t *obj, size_t len);
int dmsg_response_read(struct dmsg_response *resp, const uint8_t *obj, size_t len);
int dmsg_announce_read(struct dmsg_announce *a, const uint8_t *obj, size_t len);

// What 4.3 asks of each receiver, in its order: DMSG_OK or the code. `obj` is what `req` was read
// from. What a destination or server asks beyond that is lib/dmsg's.
enum dmsg_err dmsg_request_check(const struct dmsg_request *req, const uint8_t *obj, size_t len);
// An answer to the request with this hash, signed by `signer` = that request's destination. A
// refusal gives the code in it, or DMSG_ERR_RESP_REFUSED when it is unknown.
enum dmsg_err dmsg_response_check(const struct dmsg_response *resp, const uint8_t *obj, size_t len,
	const uint8_t req_hash[DMSG_HASH_LEN], const struct key_pk *signer);
// True when it names this key, has a time and was signed by it.
bool dmsg_announce_is_from(
	const struct dmsg_announce *a, const uint8_t *obj, size_t len, const struct key_pk *pk);

void dmsg_object_hash(uint8_t hash[DMSG_HASH_LEN], const uint8_t *obj, size_t len);

// A KK message that no receiver crashes on (real-peers 3.2): long enough, and its ephemeral key is
// a point.
bool dmsg_noise_is_safe(struct gob_span noise);
