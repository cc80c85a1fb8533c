// The round trip of a session that we dialled, so that servers can be compared: measured when this
// is made and each hour from then on, by the muxer's ping, or by a marker stream where the muxer
// has none. A server that knows no marker is not measured, and is well. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_link.h"

enum { DMSG_RTT_EVERY_MS = 3600 * 1000 };

struct dmsg_rtt;

// Of an open link. NULL and errno: ENOMEM. Owner: the caller, who frees it before the link.
struct dmsg_rtt *dmsg_rtt_new(struct dmsg_link *k);
void dmsg_rtt_free(struct dmsg_rtt *r); // NULL is allowed
uint64_t dmsg_rtt_ns(const struct dmsg_rtt *r); // 0: not measured, or r is NULL
