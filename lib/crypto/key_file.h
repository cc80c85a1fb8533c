// Secret keys in files: 64 hex digits and a newline. Whoever opens a file decides where it is, who
// may read it, and who owns it. For control plane and tools, not for workers.
#pragma once

#include "lib/crypto/key.h"

// What is left in fd, which must be one key; blanks and newlines behind it don't matter. 0;
// -EINVAL: it is anything else (a public key); -errno. On error *sk is zeroed. The caller wipes it.
int key_file_get(int fd, struct key_sk *sk);
// All of it, and on the disk. 0 or -errno.
int key_file_put(int fd, const struct key_sk *sk);
