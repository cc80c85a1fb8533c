// Inside lib/crypto only: the process-wide secp256k1 context and the two operations that both keys
// and the DH suite need. Any thread.
#pragma once

#include <secp256k1.h>
#include <stdbool.h>
#include <stdint.h>

// Made and blinded at first use, read-only afterwards, never freed.
const secp256k1_context *secp_ctx(void);
// 1 <= sk < group order.
bool secp_sk_is_valid(const uint8_t sk[32]);
bool secp_pk_is_valid(const uint8_t pk[33]);
// Compressed public key. -EINVAL (pk zeroed): sk is not valid.
int secp_pub(uint8_t pk[33], const uint8_t sk[32]);
// A fresh key pair. -EIO: libsodium has no randomness.
int secp_generate(uint8_t sk[32], uint8_t pk[33]);
