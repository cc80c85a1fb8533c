// Capabilities of the data plane's threads, once everything that takes them is open. [main]
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DP_CAPS_TEXT_MAX = 256 };

// Drop all but `keep` (a bit for each CAP_*), for good and in every thread of the process: the
// permitted, effective, inheritable and ambient sets, and the bounding set where that is allowed.
// No thread is made meanwhile. 0; -EBUSY: each real-time signal has a handler already; -errno: some
// thread has more than that still. Takes one such signal for good.
int dp_caps_keep(uint64_t keep);
// Names for people, "cap_net_raw,cap_bpf" or "none"; one that we have no name for is a number.
// Returns text.
const char *dp_caps_names(uint64_t caps, char text[DP_CAPS_TEXT_MAX]);
