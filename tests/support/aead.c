// Contexts, keys and the walk over back ends for the tests of ciphers.

#include "tests/support/aead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct aead_ctx *aead_test_ctx_new(void)
{
	void *mem = NULL;

	assert_int_equal(posix_memalign(&mem, 64, aead_ctx_size()), 0);
	memset(mem, 0xa5, aead_ctx_size());
	return aead_ctx_init(mem);
}

void aead_unit_rekey(struct aead_unit *u, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	memset(&u->key, 0xa5, sizeof(u->key));
	memset(&u->room, 0xa5, sizeof(u->room));
	assert_int_equal(u->be->key_init(u->x, &u->key, &u->room, cipher, key), 0);
}

struct aead_unit *aead_unit_new(
	const struct aead_backend *be, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	void *mem = NULL;
	struct aead_unit *u;

	// struct aead_key wants its 64 bytes
	assert_int_equal(posix_memalign(&mem, 64, sizeof(*u)), 0);
	u = mem;
	assert_non_null(be);
	u->be = be;
	u->x = aead_test_ctx_new();
	assert_true(be->ready(u->x));
	aead_unit_rekey(u, cipher, key);
	return u;
}

void aead_unit_seal(struct aead_unit *u, struct aead_op *ops, unsigned n)
{
	u->be->seal(u->x, &u->key, ops, n);
}

unsigned aead_unit_open(struct aead_unit *u, struct aead_op *ops, unsigned n)
{
	return u->be->open(u->x, &u->key, ops, n);
}

void aead_unit_free(struct aead_unit *u)
{
	free(u->x);
	free(u);
}

unsigned aead_each(enum aead_cipher cipher,
	void (*fn)(const struct aead_backend *be, enum aead_cipher cipher, void *arg), void *arg)
{
	const struct aead_backend *be;
	unsigned n = 0;

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++) {
		if (!be->has(cipher))
			continue;
		fn(be, cipher, arg);
		n++;
	}
	return n;
}
