// Inside lib/crypto only: the rows of aead.c's table.
#pragma once

#include "lib/crypto/aead.h"

const struct aead_backend *aead_sodium(void);
