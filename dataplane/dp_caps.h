// Capabilities of the data plane's threads, once everything that takes them is open. [main]
#pragma once

#include <stdint.h>

// Drop all but `keep` (a bit for each CAP_*), for good and in every thread of the process: the
// permitted, effective, inheritable and ambient sets, and the bounding set where that is allowed.
// No thread is made meanwhile. 0; -errno: some thread has more than that still.
int dp_caps_keep(uint64_t keep);
