// Open addressing with linear probing and backward-shift deletion: no tombstones, so a table that
// lives long does not decay. Load is kept at or below 3/4. The hash is SipHash under a secret, so a
// peer that chooses keys can't choose their places.
#include "lib/base/htab.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

_Static_assert(HTAB_SECRET_LEN == crypto_shorthash_KEYBYTES, "htab secret");

enum { CAP_MIN = 16 };

struct htab {
	size_t key_len;
	size_t max_entries;
	size_t n;
	size_t cap; // power of two
	uint64_t *hash; // valid where value is not NULL
	void **value;
	uint8_t *keys;
	uint8_t secret[HTAB_SECRET_LEN];
};

uint64_t htab_hash(const uint8_t secret[HTAB_SECRET_LEN], const void *p, size_t n)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t h;

	crypto_shorthash(out, p, n, secret);
	memcpy(&h, out, sizeof(h));
	return h;
}

static int alloc_slots(struct htab *t, size_t cap)
{
	t->hash = calloc(cap, sizeof(*t->hash));
	t->value = calloc(cap, sizeof(*t->value));
	t->keys = calloc(cap, t->key_len);
	t->cap = cap;
	if (t->hash != NULL && t->value != NULL && t->keys != NULL)
		return 0;
	free(t->hash);
	free(t->value);
	free(t->keys);
	return -ENOMEM;
}

struct htab *htab_new(size_t key_len, size_t max_entries, const uint8_t secret[HTAB_SECRET_LEN])
{
	struct htab *t;

	if (key_len < 1 || key_len > HTAB_KEY_MAX || max_entries < 1 ||
		max_entries > SIZE_MAX / 1024)
		return errno_null(EINVAL);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return errno_null(ENOMEM);
	t->key_len = key_len;
	t->max_entries = max_entries;
	memcpy(t->secret, secret, sizeof(t->secret));
	if (alloc_slots(t, CAP_MIN) < 0) {
		free(t);
		return errno_null(ENOMEM);
	}
	return t;
}

void htab_free(struct htab *t)
{
	if (t == NULL)
		return;
	free(t->hash);
	free(t->value);
	free(t->keys);
	sodium_memzero(t->secret, sizeof(t->secret));
	free(t);
}

// Slot of the key, or the empty one where it belongs.
static size_t slot_of(const struct htab *t, const void *key, uint64_t hash)
{
	size_t mask = t->cap - 1;
	size_t i = hash & mask;

	while (t->value[i] != NULL &&
		(t->hash[i] != hash || memcmp(t->keys + i * t->key_len, key, t->key_len) != 0))
		i = (i + 1) & mask;
	return i;
}

static void set_slot(struct htab *t, size_t i, uint64_t hash, const void *key, void *value)
{
	t->hash[i] = hash;
	t->value[i] = value;
	memcpy(t->keys + i * t->key_len, key, t->key_len);
}

static int grow(struct htab *t)
{
	struct htab old = *t;

	if (alloc_slots(t, old.cap * 2) < 0) {
		*t = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.cap; i++) {
		const uint8_t *key = old.keys + i * old.key_len;

		if (old.value[i] != NULL)
			set_slot(t, slot_of(t, key, old.hash[i]), old.hash[i], key, old.value[i]);
	}
	free(old.hash);
	free(old.value);
	free(old.keys);
	sodium_memzero(&old, sizeof(old));
	return 0;
}

int htab_put(struct htab *t, const void *key, void *value)
{
	uint64_t hash = htab_hash(t->secret, key, t->key_len);
	size_t i = slot_of(t, key, hash);
	int rc;

	if (t->value[i] != NULL)
		return -EEXIST;
	if (t->n >= t->max_entries)
		return -ENOSPC;
	if ((t->n + 1) * 4 > t->cap * 3) {
		rc = grow(t);
		if (rc < 0)
			return rc;
		i = slot_of(t, key, hash);
	}
	set_slot(t, i, hash, key, value);
	t->n++;
	return 0;
}

void *htab_find(const struct htab *t, const void *key)
{
	return t->value[slot_of(t, key, htab_hash(t->secret, key, t->key_len))];
}

void *htab_del(struct htab *t, const void *key)
{
	size_t mask = t->cap - 1;
	size_t hole = slot_of(t, key, htab_hash(t->secret, key, t->key_len));
	void *value = t->value[hole];

	if (value == NULL)
		return NULL;
	// Close the gap: an entry moves back if its home is not between the hole and itself.
	for (size_t i = (hole + 1) & mask; t->value[i] != NULL; i = (i + 1) & mask) {
		size_t home = t->hash[i] & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		set_slot(t, hole, t->hash[i], t->keys + i * t->key_len, t->value[i]);
		hole = i;
	}
	t->value[hole] = NULL;
	t->n--;
	return value;
}

size_t htab_len(const struct htab *t)
{
	return t->n;
}

void *htab_next(const struct htab *t, size_t *pos, const void **key)
{
	while (*pos < t->cap) {
		size_t i = (*pos)++;

		if (t->value[i] == NULL)
			continue;
		if (key != NULL)
			*key = t->keys + i * t->key_len;
		return t->value[i];
	}
	return NULL;
}
