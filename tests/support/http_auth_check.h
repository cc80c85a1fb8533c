// The other side of lib/wire/http_auth.h, as services have it: who signed that?
#pragma once

#include "lib/crypto/sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Over the body, and the nonce as decimal text. 0 or -EBADMSG.
static inline int http_auth_check(const struct sign_sig *sig, const struct key_pk *pk,
	const char *body, size_t len, uint64_t nonce)
{
	size_t cap = len + 24;
	char *all = malloc(cap);
	int n, rc;

	if (all == NULL)
		abort();
	if (len > 0)
		memcpy(all, body, len);
	n = snprintf(all + len, cap - len, "%" PRIu64, nonce);
	rc = sign_verify(sig, pk, all, len + (size_t)n);
	free(all);
	return rc;
}
