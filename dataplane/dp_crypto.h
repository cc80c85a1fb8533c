// Which library seals with which cipher in this process, chosen at start, and how that reads.
// Everything is [main].
#pragma once

#include "lib/crypto/aead.h"
#include "lib/shm/region.h"

#include <stdio.h>

enum dp_backend { DP_BACKEND_AUTO = 0, DP_BACKEND_SODIUM, DP_BACKEND_IPSEC_MB };

struct worker_set;

// By the configuration, the CPU and a measurement of less than a millisecond. 0, -ENOMEM, or
// -ENOENT: the one that is wanted is not in this build or doesn't work on this machine.
int dp_crypto_choose(struct aead_choice *c, enum dp_backend backend);
// What region_conf tells the control plane.
void dp_crypto_tell(const struct aead_choice *c, struct region_conf *conf);
// 0, or -EIO: the library that was chosen does not work in a worker.
int dp_crypto_check(const struct aead_choice *c, struct worker_set *workers);

// Ciphers with a key, the quickest first: "aes-256-gcm chacha20-poly1305".
void dp_crypto_ciphers(const struct aead_choice *c, char *out, size_t cap);
// The libraries that they are from: "ipsec-mb".
void dp_crypto_backends(const struct aead_choice *c, char *out, size_t cap);
// Both with figures, for people; those not available too.
void dp_crypto_text(const struct aead_choice *c, char *out, size_t cap);
