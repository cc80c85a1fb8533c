// One route group (skywire-routing 4, real-peers 2): a sealed byte stream over a pair of rules.
// Sans-I/O: route packets, bytes and time in; route packets, bytes and the next time out. No clock,
// no allocation; one owner.
//
//   initiator  SHAKES --peer's Handshake--> KEYS --noise message 2--> OPEN
//              Handshake at once, and    noise message 1
//              each 300 ms
//   responder  SHAKES --peer's Handshake--> KEYS --noise message 1--> OPEN
//                            Handshake         noise message 2
//   OPEN --group_close(), or a failure--> CLOSING --peer's Close, or 2 s--> OVER
//   any  --peer's Close, which is echoed--> OVER
//
// A visor whose noise handshake fails accepts no route any more until it is started again
// (real-peers 2.1). So no DATA leaves before the peer's Handshake was here, and once a Handshake of
// ours is out, closing waits for the keys or for the end of their time. A peer that is not heard
// for 3 s may yet have heard us, and its time runs: noise message 1 goes then, and once more when
// the peer's Handshake comes with no noise message behind it, for then the first one was too early.
//
// Our Handshake offers no capabilities: 2026 peers then speak as those of 2024 do. It is of one
// byte, which both take. Sealing is never left out unless allow_plain says that old peers may.
#pragma once

#include "lib/crypto/noise_rec.h"
#include "lib/wire/route_hdr.h"

enum {
	GROUP_PAYLOAD_MAX = 4096, // of a DATA packet: what Go's reader of records takes
	GROUP_PAYLOAD_MIN = 256, // however short the path says it is
	GROUP_PACKET_MAX = ROUTE_HDR_LEN + GROUP_PAYLOAD_MAX, // that we make
	GROUP_REPEAT_MS = 300, // between Handshakes
	GROUP_DIAL_MS = 6000, // for the peer's Handshake, as initiators of 2026
	GROUP_ACCEPT_MS = 10000, // the initiator first hears of our rules
	GROUP_KEYS_MS = 5000,
	GROUP_UNHEARD_MS = 3000, // until noise message 1 goes all the same; visors wait 5 s for it
	GROUP_KEYS_AGAIN_MS = 1000,
	GROUP_CLOSE_MS = 2000, // for the peer's Close
	GROUP_PING_MS = 3000,
	GROUP_TEXT_LEN = 128, // with the final NUL
	GROUP_ERROR_MAX = 1024, // longer Error texts are none
	GROUP_KEYS_LEN = NOISE_REC_HDR_LEN + DH_MAX_PK_LEN + NOISE_TAG_LEN,
};

enum group_state { GROUP_SHAKES, GROUP_KEYS, GROUP_OPEN, GROUP_CLOSING, GROUP_OVER };

struct group_conf {
	bool initiator;
	bool allow_plain; // a peer that does not seal is taken
	uint16_t payload_max; // of DATA: what suits the path; 0: GROUP_PAYLOAD_MAX
	uint32_t forward_id; // in packets that we make
	uint32_t keep_alive_ms; // of the rules; 0: they last
	int64_t wall_ms; // unix time at now_ns: only the peer's eyes see it, in Pings
	const uint8_t *s, *s_pk, *rs; // as in struct noise_conf
	const struct aead_engine *by; // as noise_rec_engine() has it
	const uint8_t *test_e; // tests only
};

// DATA payload only.
struct group_stats {
	uint64_t rx_bytes, tx_bytes; // of the reader and the writer, without seals
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bad; // packets that made no sense, or of types that we did not agree to
	uint64_t rx_again; // Handshakes that came again
	uint32_t rtt_us; // of the last Ping that was answered; 0: none was
	uint64_t peer_Bps; // what the peer says that it receives
};

// Open so that it can lie in its owner's struct.
struct group_end {
	struct noise_rec rec;
	struct group_conf conf; // without keys
	uint8_t state; // enum group_state
	uint8_t due; // packets to be sent, group.c
	uint8_t close_code;
	bool sent_shake; // a Handshake of ours is out
	bool sent_keys; // noise message 1 is, though the peer's Handshake had not come
	bool plain; // agreed: nothing is sealed
	bool leaving; // to be closed as soon as it is open
	bool peer_closed, peer_error;
	int err; // -errno: why it failed
	uint64_t limit_ns; // of the state
	uint64_t shake_ns; // when to send the Handshake again
	uint64_t keys_ns; // when noise message 1 goes though it is not its turn; UINT64_MAX: never
	uint64_t ping_ns; // when to send the next Ping
	uint64_t sent_ns; // the last packet
	uint64_t asked_ns; // Ping that was sent last; 0: it was answered
	uint64_t start_ns;
	int64_t asked_ms, pong_ms; // times in Pings: ours, theirs
	uint64_t rx_asked; // rx_bytes then
	uint8_t *in; // payload that is not read yet; borrowed until the next packet
	size_t in_len;
	uint8_t frame[NOISE_REC_FRAME_MAX]; // one that is not whole yet
	size_t frame_len;
	uint8_t keys[GROUP_KEYS_LEN]; // our noise message in its frame
	uint8_t keys_len;
	char why[GROUP_TEXT_LEN];
	struct group_stats stats;
};

// -EINVAL as noise_init(), or a payload_max out of range.
int group_init(struct group_end *g, const struct group_conf *conf, uint64_t now_ns);
void group_fini(struct group_end *g); // wipes; idempotent
// From the next DATA on, its payload is so long at most; else as in struct group_conf. -EINVAL: out
// of range, and nothing has changed.
int group_set_payload(struct group_end *g, uint16_t payload_max);

enum group_state group_state(const struct group_end *g);
// 0, or -errno: why there is no group, or will be none; group_why() in words ("" when it was just
// closed). -ETIMEDOUT, -ECONNREFUSED (Close before it was open), -ECONNRESET (Error text),
// -EBADMSG, -EPROTONOSUPPORT (plaintext), or what group_fail() said.
int group_err(const struct group_end *g);
const char *group_why(const struct group_end *g);
// The peer writes no more: what was read is all.
bool group_is_closed(const struct group_end *g);
const struct group_stats *group_stats_of(const struct group_end *g);

// One whole route packet that came by the consume rule; its payload may be changed in place, and
// stays the caller's. All that is to be read of the packet before has been read.
void group_take(struct group_end *g, uint64_t now_ns, uint8_t *packet, size_t len);
// The next bytes of the stream that the packet brought: how many, 0: no more. To be called until
// then. They are within the packet or in g, until the next call.
size_t group_read(struct group_end *g, uint64_t now_ns, uint8_t **data);

// The next packet that is due, sealed text aside: its length, 0: none now. Moves the states on when
// their time is over, so it is to be called at group_next_ns(), too. cap >= GROUP_PACKET_MAX.
size_t group_pull(struct group_end *g, uint64_t now_ns, uint8_t *out, size_t cap);
// When to call group_pull() next, at the latest.
uint64_t group_next_ns(const struct group_end *g);
// One DATA packet with as much of p as suits: bytes taken; *packet_len: the packet's length in out
// (cap as above). 0: not now, group_pull() goes first; -EAGAIN: not open yet; -EPIPE: closed.
ssize_t group_write(struct group_end *g, uint64_t now_ns, const void *p, size_t len, uint8_t *out,
	size_t cap, size_t *packet_len);

// Ends it in order; text, unless NULL or "", goes first as Error. Handshakes that are out are
// followed by keys, so it may take a while. Idempotent.
void group_close(struct group_end *g, uint64_t now_ns, const char *text);
// What carries it failed, or its owner: err, and why in words, which the peer is told.
void group_fail(struct group_end *g, uint64_t now_ns, int err, const char *why);
