// Handshake datagrams on their way to the control plane: only with a right mac1 (rail 1), under
// load only with a cookie, and only within a share of this worker's cycles, so that strangers can't
// slow down the links.
//
// When cookies are asked for: while the control plane says so, and while this worker got more than
// FIRST_PER_S inits without a right cookie in a second, until FIRST_CALM_NS after the last one too
// many. Then an init without one is answered by a cookie, in the same buffer.
#pragma once

#include "dataplane/io/parse.h"
#include "dataplane/worker/wctx.h"

enum {
	FIRST_PER_S = 100, // half of what the control plane takes
	FIRST_BURST = 64,
};
#define FIRST_CALM_NS (10ull * 1000 * 1000 * 1000)

// What workers need for first contacts. Immutable once main published it.
struct hs_keys {
	uint8_t mac1[32];
	uint8_t cookie[32]; // seals cookies
	uint8_t secret[2][32];
	uint8_t salt[16]; // beginning of nonces, new with each of these
	uint8_t n_secrets; // 0: none yet, no cookies
	bool demand;
};

// [worker] An init, response or cookie that parse_frame() found in this frame. Takes the mbuf;
// counts rx_handshake, hs_cookies or the reason of the drop.
void first_contact(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m);
