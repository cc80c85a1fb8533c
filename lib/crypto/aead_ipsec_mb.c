// The AEAD back end on intel-ipsec-mb, which picks its instructions (SSE to AVX-512 with VAES) when
// a context is made. AES-256-GCM goes by the direct calls, which want a key, a context on the stack
// and nothing else; ChaCha20-Poly1305 by jobs, one at a time: the direct calls for it take twice as
// long at 64 bytes, and bursts of jobs gain 3 % at most (docs/design/crypto.md has the figures).
//
// The library computes tags and compares none. Opening compares here.

#include "lib/crypto/aead_backend.h"

#include <assert.h>
#include <errno.h>
#include <intel-ipsec-mb.h>

struct __attribute__((may_alias)) mb_key {
	uint8_t key[AEAD_KEY_LEN]; // ChaCha20-Poly1305
	const struct gcm_key_data *gcm; // in the room
	uint32_t cipher;
};

static_assert(sizeof(struct mb_key) <= AEAD_KEY_STORE_LEN, "key store is too small");
static_assert(sizeof(struct gcm_key_data) <= AEAD_ROOM_LEN, "room is too small");

size_t aead_ipsec_mb_size(void)
{
	return imb_get_mb_mgr_size();
}

void *aead_ipsec_mb_init(void *mem)
{
	IMB_MGR *mb = imb_set_pointers_mb_mgr(mem, 0, 1);
	IMB_ARCH arch;

	if (mb == NULL)
		return NULL;
	init_mb_mgr_auto(mb, &arch);
	if (imb_get_errno(mb) != 0 || (mb->features & IMB_FEATURE_SELF_TEST_PASS) == 0)
		return NULL;
	return mb;
}

// Without AES-NI the library emulates it, some hundred times slower.
static bool mb_has(enum aead_cipher cipher)
{
	__builtin_cpu_init();
	if (cipher == AEAD_AES_256_GCM)
		return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
	return cipher == AEAD_CHACHA20_POLY1305;
}

static bool mb_ready(const struct aead_ctx *x)
{
	return x->ipsec_mb != NULL;
}

static int mb_key_init(struct aead_ctx *x, struct aead_key *k, struct aead_room *room,
	enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	struct mb_key *mk = (struct mb_key *)k->opaque;
	struct gcm_key_data *gcm = (struct gcm_key_data *)room->opaque;
	IMB_MGR *mb = x->ipsec_mb;

	if (!mb_has(cipher) || mb == NULL)
		return -ENOTSUP;
	memset(k, 0, sizeof(*k));
	mk->cipher = cipher;
	if (cipher == AEAD_CHACHA20_POLY1305) {
		memcpy(mk->key, key, AEAD_KEY_LEN);
	} else {
		IMB_AES256_GCM_PRE(mb, key, gcm);
		mk->gcm = gcm;
	}
	return 0;
}

static inline void job_run(IMB_MGR *mb, const struct mb_key *mk, const struct aead_op *op,
	IMB_CIPHER_DIRECTION direction, uint8_t tag[AEAD_TAG_LEN])
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(mb);

	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = direction;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = mk->key;
	job->dec_keys = mk->key;
	job->key_len_in_bytes = AEAD_KEY_LEN;
	job->src = op->src;
	job->dst = op->dst;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = op->len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = op->len;
	job->iv = op->nonce;
	job->iv_len_in_bytes = AEAD_NONCE_LEN;
	job->u.CHACHA20_POLY1305.aad = op->aad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = op->aad_len;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = AEAD_TAG_LEN;
	job = IMB_SUBMIT_JOB_NOCHECK(mb);
	if (job == NULL) // a library that gathers jobs: ours is the only one
		job = IMB_FLUSH_JOB(mb);
	assert(job != NULL && job->status == IMB_STATUS_COMPLETED);
}

static inline void gcm_run(IMB_MGR *mb, const struct mb_key *mk, const struct aead_op *op,
	IMB_CIPHER_DIRECTION direction, uint8_t tag[AEAD_TAG_LEN])
{
	struct gcm_context_data scratch;

	if (direction == IMB_DIR_ENCRYPT)
		IMB_AES256_GCM_ENC(mb, mk->gcm, &scratch, op->dst, op->src, op->len, op->nonce,
			op->aad, op->aad_len, tag, AEAD_TAG_LEN);
	else
		IMB_AES256_GCM_DEC(mb, mk->gcm, &scratch, op->dst, op->src, op->len, op->nonce,
			op->aad, op->aad_len, tag, AEAD_TAG_LEN);
}

static void mb_seal(struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct mb_key *mk = (const struct mb_key *)k->opaque;
	IMB_MGR *mb = x->ipsec_mb;

	if (mk->cipher == AEAD_AES_256_GCM) {
		for (unsigned i = 0; i < n; i++)
			gcm_run(mb, mk, &ops[i], IMB_DIR_ENCRYPT, ops[i].tag);
	} else {
		for (unsigned i = 0; i < n; i++)
			job_run(mb, mk, &ops[i], IMB_DIR_ENCRYPT, ops[i].tag);
	}
}

// 1 or 0 without a branch on the bytes: how many of them are right is not to be seen in time.
static inline uint32_t is_tag(const uint8_t got[AEAD_TAG_LEN], const uint8_t want[AEAD_TAG_LEN])
{
	uint64_t g[2], v[2], diff;

	memcpy(g, got, sizeof(g));
	memcpy(v, want, sizeof(v));
	diff = (g[0] ^ v[0]) | (g[1] ^ v[1]);
	return (uint32_t)(1 ^ ((diff | (0 - diff)) >> 63));
}

static unsigned mb_open(
	struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct mb_key *mk = (const struct mb_key *)k->opaque;
	IMB_MGR *mb = x->ipsec_mb;
	uint8_t tag[AEAD_TAG_LEN];
	unsigned n_ok = 0;

	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		if (mk->cipher == AEAD_AES_256_GCM)
			gcm_run(mb, mk, op, IMB_DIR_DECRYPT, tag);
		else
			job_run(mb, mk, op, IMB_DIR_DECRYPT, tag);
		op->ok = is_tag(tag, op->tag);
		n_ok += op->ok;
		if (__builtin_expect(!op->ok, 0))
			aead_refuse(op);
	}
	// the tag that would have been right is a secret to who guesses
	memset(tag, 0, sizeof(tag));
	__asm__ volatile("" : : "r"(tag) : "memory");
	return n_ok;
}

const struct aead_backend *aead_ipsec_mb(void)
{
	static const struct aead_backend backend = {
		.name = "ipsec-mb",
		.has = mb_has,
		.ready = mb_ready,
		.key_init = mb_key_init,
		.seal = mb_seal,
		.open = mb_open,
	};

	return &backend;
}
