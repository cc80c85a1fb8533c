// Sealed units of Skywire's connections (dmsg 2.2, 3.7). The replay rules are here and nowhere
// else; how units are cut out of a byte stream is noise_rec.c's matter.

#include "lib/crypto/noise_unit.h"

#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"

int noise_unit_keys(const struct noise *n, struct noise_tx *tx, struct noise_rx *rx)
{
	memset(tx, 0, sizeof(*tx));
	memset(rx, 0, sizeof(*rx));
	return noise_split_by_writer(n, tx->key, rx->key);
}

void noise_rx_any_init(struct noise_rx_any *any, const struct noise_rx *rx)
{
	memset(any, 0, sizeof(*any));
	any->by = rx->by;
	memcpy(any->key, rx->key, sizeof(any->key));
}

// In place: an engine may read beyond the end of what it seals, and there the tag's room is.
static void engine_seal(const struct noise_tx *tx, const void *src, size_t len, uint8_t *dst,
	const uint8_t nonce[AEAD_NONCE_LEN])
{
	struct aead_op op = {.src = dst, .dst = dst, .len = (uint32_t)len, .tag = dst + len};
	struct aead_room room;
	struct aead_key key;

	if (src != dst && len > 0)
		memcpy(dst, src, len);
	memcpy(op.nonce, nonce, sizeof(op.nonce));
	op.aad = dst; // none of it
	tx->by->be->key_init(tx->by->x, &key, &room, AEAD_CHACHA20_POLY1305, tx->key);
	tx->by->be->seal(tx->by->x, &key, &op, 1);
	aead_key_wipe(&key, NULL);
}

static bool engine_open(const struct aead_engine *by, const uint8_t key[NOISE_KEY_LEN],
	const uint8_t *src, size_t len, uint8_t *dst, const uint8_t nonce[AEAD_NONCE_LEN])
{
	struct aead_op op = {.src = src, .dst = dst, .len = (uint32_t)len, .aad = src};
	struct aead_room room;
	struct aead_key k;

	op.tag = (uint8_t *)(uintptr_t)src + len; // read only
	memcpy(op.nonce, nonce, sizeof(op.nonce));
	by->be->key_init(by->x, &k, &room, AEAD_CHACHA20_POLY1305, key);
	by->be->open(by->x, &k, &op, 1);
	aead_key_wipe(&k, NULL);
	return op.ok != 0;
}

ssize_t noise_unit_seal(struct noise_tx *tx, const void *src, size_t len, uint8_t *out, size_t cap)
{
	uint8_t nonce[AEAD_NONCE_LEN];

	if (cap < NOISE_UNIT_OVERHEAD || cap - NOISE_UNIT_OVERHEAD < len)
		return -ENOSPC;
	// Noise keeps the highest nonce for itself.
	if (tx->counter >= UINT64_MAX - 1)
		return -EOVERFLOW;
	tx->counter++;
	aead_nonce_le(nonce, tx->counter);
	if (tx->by != NULL)
		engine_seal(tx, src, len, out + NOISE_UNIT_COUNTER_LEN, nonce);
	else
		aead_seal(out + NOISE_UNIT_COUNTER_LEN, src, len, NULL, 0, nonce, tx->key);
	be64_put(out, tx->counter);
	return (ssize_t)(len + NOISE_UNIT_OVERHEAD);
}

ssize_t noise_unit_seal_frame(
	struct noise_tx *tx, const void *src, size_t len, uint8_t *out, size_t cap)
{
	ssize_t n;

	if (cap < NOISE_UNIT_LEN_LEN)
		return -ENOSPC;
	n = noise_unit_seal(tx, src, len, out + NOISE_UNIT_LEN_LEN, cap - NOISE_UNIT_LEN_LEN);
	if (n < 0)
		return n;
	be16_put(out, (uint16_t)n);
	return n + NOISE_UNIT_LEN_LEN;
}

static ssize_t open_unit(const struct aead_engine *by, const uint8_t key[NOISE_KEY_LEN],
	const uint8_t *unit, size_t len, uint8_t *dst)
{
	const uint8_t *sealed = unit + NOISE_UNIT_COUNTER_LEN;
	uint8_t nonce[AEAD_NONCE_LEN];
	bool good;

	aead_nonce_le(nonce, be64_get(unit));
	if (by != NULL)
		good = engine_open(by, key, sealed, len - NOISE_UNIT_OVERHEAD, dst, nonce);
	else
		good = aead_open(dst, sealed, len - NOISE_UNIT_COUNTER_LEN, NULL, 0, nonce, key) ==
		       0;
	return good ? (ssize_t)(len - NOISE_UNIT_OVERHEAD) : -EBADMSG;
}

ssize_t noise_unit_open(struct noise_rx *rx, const uint8_t *unit, size_t len, uint8_t *dst)
{
	uint64_t counter;
	ssize_t rc;

	if (len < NOISE_UNIT_OVERHEAD)
		return -EBADMSG;
	counter = be64_get(unit);
	if (counter <= rx->last)
		return -EALREADY;
	rc = open_unit(rx->by, rx->key, unit, len, dst);
	if (rc >= 0)
		rx->last = counter;
	return rc;
}

ssize_t noise_unit_open_any(struct noise_rx_any *rx, const uint8_t *unit, size_t len, uint8_t *dst)
{
	uint64_t counter;
	ssize_t rc;

	if (len < NOISE_UNIT_OVERHEAD)
		return -EBADMSG;
	counter = be64_get(unit);
	if (!nonce_window_check(&rx->seen, counter))
		return -EALREADY;
	rc = open_unit(rx->by, rx->key, unit, len, dst);
	if (rc >= 0)
		nonce_window_commit(&rx->seen, counter);
	return rc;
}
