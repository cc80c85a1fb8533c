// The instruction sets that intel-ipsec-mb has code for, one by one: a machine chooses one of them
// when a context is made, so the others are only tested when they are asked for.
#pragma once

#include "lib/crypto/aead_backend.h"

#include <stdbool.h>

// Has the context do it by the i-th set, in place of the one that was chosen. name: of the set;
// NULL when there are no more. False: this CPU lacks it, the context is of no use then. Keys have
// to be made anew.
bool aead_flavour_init(struct aead_ctx *x, unsigned i, const char **name);
