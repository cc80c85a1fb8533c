// What a flood of first contacts may cost (rail 1, 2): a rate per source prefix (IPv4 /32, IPv6
// /64), a share of this thread's time for all, and the cookies by which workers tell real addresses
// from forged ones when that share runs low; and what re-keys inside links may cost, which have a
// share of their own, so that strangers can't use it up. Fixed memory, nothing is kept for a
// stranger but his bucket. Time is given by the caller. One thread.
//
// Half of the share is for inits with a right cookie alone. Cookies are demanded of all from the
// first init that finds the other half spent, until HS_LIMIT_CALM_S after the last one. Half of the
// other share is for re-keys that are due alone: peers who do it all the time don't hold up those
// who do it when it is time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HS_LIMIT_SOURCE_PER_S = 10,
	HS_LIMIT_SOURCE_BURST = 20,
	HS_LIMIT_SHARE_PCT = 10, // of the thread's time
	HS_LIMIT_BURST_US = 200000, // of it, saved up
	HS_LIMIT_INIT_US = 500, // taken for an init; what it costs beyond is taken afterwards
	HS_LIMIT_ALL_PER_S = 200, // inits, if they cost no more
	HS_LIMIT_ALL_BURST = 400,
	HS_LIMIT_REKEY_PCT = 10, // of the thread's time, for re-keys
	HS_LIMIT_REKEY_US = 1000, // taken for one and the answer to it, as for an init
	HS_LIMIT_REKEY_PER_S = 100, // so 12,000 links may do it every two minutes
	HS_LIMIT_REKEY_BURST = 200,
	HS_LIMIT_CALM_S = 10,
	HS_LIMIT_COOKIE_LEN = 16,
	HS_LIMIT_SECRET_LEN = 32,
};

enum hs_verdict {
	HS_LIMIT_PASS,
	HS_LIMIT_SOURCE, // too many from this prefix: drop it
	HS_LIMIT_LOAD, // no time left: drop it
};

struct hs_limit;

// What workers are told.
struct hs_limit_regime {
	uint8_t secret[2][HS_LIMIT_SECRET_LEN]; // the present one, and the one before
	unsigned n_secrets;
	bool demand;
};

// NULL: no memory or no randomness.
struct hs_limit *hs_limit_new(uint64_t now_ns);
void hs_limit_free(struct hs_limit *h);

// How many bytes of an address stand for one source: an IPv4 address, or an IPv6 /64.
size_t hs_limit_prefix_len(const uint8_t ip[16]);
// One init from ip (16 bytes, IPv4 mapped). has_cookie: its mac2 is right, or the
// address was shown otherwise.
enum hs_verdict hs_limit_take(
	struct hs_limit *h, const uint8_t ip[16], bool has_cookie, uint64_t now_ns);
// One re-key that a peer begins inside its link. is_due: the keys have been in use for long. False:
// no time left, drop it.
bool hs_limit_take_rekey(struct hs_limit *h, bool is_due, uint64_t now_ns);
// How long the one that passed last took, init or re-key.
void hs_limit_spent(struct hs_limit *h, uint64_t ns);
// Changes secrets and regime when it is time. True if either changed since the last call, by it or
// by hs_limit_take(): workers are to be told.
bool hs_limit_turn(struct hs_limit *h, uint64_t now_ns);
void hs_limit_regime_get(
	const struct hs_limit *h, struct hs_limit_regime *out); // wiped by the caller
// The accepted cookies of an address, the present one first: how many.
unsigned hs_limit_cookies(struct hs_limit *h, const uint8_t ip[16], uint16_t port, uint64_t now_ns,
	uint8_t out[2][HS_LIMIT_COOKIE_LEN]);
