// One place a key, found by a keyed hash and by nothing else, as in peer_mem.c.

#include "lib/dmsg/ss_mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/htab.h"
#include "lib/crypto/dh.h"

struct place {
	struct key_pk pk; // null: empty
	uint8_t ss[SS_MEM_LEN];
};

struct ss_mem {
	const struct key_sk *sk;
	uint8_t secret[SS_MEM_SECRET_LEN];
	uint32_t mask;
	struct place place[];
};

static_assert((int)SS_MEM_SECRET_LEN == (int)HTAB_SECRET_LEN, "of htab_hash()");
static_assert((int)SS_MEM_LEN == (int)DH_MAX_DH_LEN, "of Skywire's DH");

struct ss_mem *ss_mem_new(
	const struct key_sk *sk, uint32_t n_keys, const uint8_t secret[SS_MEM_SECRET_LEN])
{
	struct ss_mem *m;

	if (n_keys == 0 || (n_keys & (n_keys - 1)) != 0)
		return errno_null(EINVAL);
	m = calloc(1, sizeof(*m) + n_keys * sizeof(m->place[0]));
	if (m == NULL)
		return NULL;
	m->sk = sk;
	m->mask = n_keys - 1;
	memcpy(m->secret, secret, sizeof(m->secret));
	return m;
}

void ss_mem_free(struct ss_mem *m)
{
	if (m == NULL)
		return;
	key_wipe(m->place, ((size_t)m->mask + 1) * sizeof(m->place[0]));
	free(m);
}

const uint8_t *ss_mem_get(struct ss_mem *m, const struct key_pk *pk)
{
	struct place *p = &m->place[htab_hash(m->secret, pk->b, sizeof(pk->b)) & m->mask];
	uint8_t ss[SS_MEM_LEN];

	if (!key_pk_is_null(&p->pk) && key_pk_cmp(&p->pk, pk) == 0)
		return p->ss;
	if (dh_secp256k1()->dh(ss, m->sk->b, pk->b) < 0)
		return NULL;
	p->pk = *pk;
	memcpy(p->ss, ss, sizeof(p->ss));
	key_wipe(ss, sizeof(ss));
	return p->ss;
}
