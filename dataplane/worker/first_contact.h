// Handshake datagrams on their way to the control plane: only with a right mac1 (rail 1), and only
// within a share of this worker's cycles, so that strangers can't slow down the links.
#pragma once

#include "dataplane/io/parse.h"
#include "dataplane/worker/wctx.h"

// [worker] An init, response or cookie that parse_frame() found in this frame. Takes the mbuf;
// counts rx_handshake or the reason of the drop.
void first_contact(struct wctx *w, uint16_t port, const struct parsed *o, struct rte_mbuf *m);
