// The node's key pair: read from its file, or made on the first start. The secret key is held here,
// not dumped in cores, wiped at the end, and lent only to the handshake code. The file holds 64 hex
// digits and a newline, mode 0600.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"

struct identity;

// Reads path, or makes it (with its directory) when it is not there. NULL and errno; err gets a
// sentence that says what to do (EACCES: others can read the file; EINVAL: no key in it).
// *made: a new key was written.
struct identity *identity_open(const char *path, bool *made, char *err, size_t err_len);
// From a secret key that the caller wipes: for tests and tools. NULL and errno.
struct identity *identity_from_sk(const struct key_sk *sk);
void identity_free(struct identity *id); // wipes; NULL is allowed

const struct key_pk *identity_pk(const struct identity *id);
// Borrowed, for lib/link/rail_hs only.
const struct key_sk *identity_sk(const struct identity *id);
