// Inside lib/crypto only: the rows of aead_table.c's table and what their contexts are.
#pragma once

#include "lib/crypto/aead.h"

// The Makefile says whether there is a library for this machine.
#ifndef AEAD_IPSEC_MB
#define AEAD_IPSEC_MB 0
#endif

struct aead_ctx {
	void *ipsec_mb; // its manager; NULL: not built in, or it failed its own test
};

const struct aead_backend *aead_sodium(void);
const struct aead_backend *aead_ipsec_mb(void);

size_t aead_ipsec_mb_size(void);
// A manager in that memory (64-byte aligned), or NULL.
void *aead_ipsec_mb_init(void *mem);

// A failed open: what was there is no plaintext to anybody.
static inline void aead_refuse(const struct aead_op *op)
{
	if (op->len > 0)
		memset(op->dst, 0, op->len);
}
