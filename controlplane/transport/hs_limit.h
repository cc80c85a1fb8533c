// What a flood of first contacts may cost: token buckets per source prefix (IPv4 /32, IPv6 /64) and
// one for all, and the cookies that tell real addresses from forged ones when the latter runs low
// (rail 1, 2). Fixed memory, nothing is kept for a stranger but his bucket. Time is given by the
// caller. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	HS_LIMIT_SOURCE_PER_S = 10,
	HS_LIMIT_SOURCE_BURST = 20,
	// An init costs a responder about half a millisecond: at most a tenth of the thread.
	HS_LIMIT_ALL_PER_S = 200,
	HS_LIMIT_ALL_BURST = 400,
	HS_LIMIT_COOKIE_LEN = 16,
};

enum hs_verdict {
	HS_LIMIT_PASS,
	HS_LIMIT_COOKIE, // answer with a cookie, unless mac2 is right
	HS_LIMIT_DROP,
};

struct hs_limit;

// NULL: no memory or no randomness.
struct hs_limit *hs_limit_new(uint64_t now_ns);
void hs_limit_free(struct hs_limit *h);

// One init from ip (16 bytes, IPv4 mapped). has_cookie: its mac2 is right.
enum hs_verdict hs_limit_take(
	struct hs_limit *h, const uint8_t ip[16], bool has_cookie, uint64_t now_ns);
// The two accepted cookies of an address, the present first; the older may be zeros.
void hs_limit_cookies(struct hs_limit *h, const uint8_t ip[16], uint16_t port, uint64_t now_ns,
	uint8_t out[2][HS_LIMIT_COOKIE_LEN]);
