// Secret keys of the bench's transports: a node has one transport with each public key, so each
// link needs one of its own. That of link 0 is the key file's; the others follow from it.
#pragma once

#include "lib/crypto/key.h"

// The key of a file (64 hex digits); a missing file is made, mode 0600. path NULL: a fresh one.
// 0 or -errno (-EINVAL: the file holds no key).
int wire_key_load(const char *path, struct key_sk *sk);
// The key of link nr.
void wire_key_of(const struct key_sk *base, unsigned nr, struct key_sk *sk, struct key_pk *pk);
