// Hash table for keys that a peer may choose: SipHash under a secret key, open addressing, a limit
// on the number of entries. Keys have one fixed length per table and are copied in; values are
// borrowed pointers. One thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { HTAB_SECRET_LEN = 16, HTAB_KEY_MAX = 64 };

struct htab;

// key_len 1..HTAB_KEY_MAX, at most max_entries entries; NULL and errno (EINVAL, ENOMEM) on failure.
// The secret must be random where a peer chooses keys. The caller owns the table.
struct htab *htab_new(size_t key_len, size_t max_entries, const uint8_t secret[HTAB_SECRET_LEN]);
void htab_free(struct htab *t);

// value must not be NULL. -EEXIST: key is there already (nothing changes), -ENOSPC: limit reached,
// -ENOMEM.
int htab_put(struct htab *t, const void *key, void *value);

// NULL when there is none.
void *htab_find(const struct htab *t, const void *key);

// Removes and returns the value, or NULL.
void *htab_del(struct htab *t, const void *key);

size_t htab_len(const struct htab *t);

// Walk: *pos starts at 0; returns the next value, its key in *key when wanted, NULL at the end.
// The table must not change during the walk.
void *htab_next(const struct htab *t, size_t *pos, const void **key);

// The keyed hash itself (SipHash-2-4).
uint64_t htab_hash(const uint8_t secret[HTAB_SECRET_LEN], const void *p, size_t n);
