// What a bench leaves behind that was killed: names tell whose it is by a process id. A bench that
// starts removes what belongs to processes that are no more.
#pragma once

#include <stdbool.h>

#define STALE_NAME "bench-" // and the process id, in names of transports and of EAL's directory

// Is it "PREFIX<process id>", with "-..." or nothing after it, of a process that has ended?
bool stale_is(const char *name, const char *prefix);
// Removes the empty directories of such names in dir, quietly.
void stale_dirs_remove(const char *dir, const char *prefix);
