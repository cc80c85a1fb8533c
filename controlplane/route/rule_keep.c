// A dense array of kept rules, an array from index to place in it, and a short list of names. It
// knows nothing of transports or of the data plane: rule_mgr does what is to be done.
#include "controlplane/route/rule_keep.h"

#include "lib/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct rule_keep {
	unsigned bits;
	uint32_t *place; // index -> place + 1; pages that were never touched cost nothing
	struct rule_kept *v;
	size_t n;
	size_t cap;
	char (*names)[DPMSG_NAME_LEN];
	size_t n_names;
};

enum { NAMES_MAX = 65535, V_FIRST = 64 };

static size_t place_len(const struct rule_keep *k)
{
	return sizeof(uint32_t) << k->bits;
}

struct rule_keep *rule_keep_new(unsigned bits)
{
	struct rule_keep *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->bits = bits;
	k->place = mmap(
		NULL, place_len(k), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->place == MAP_FAILED) {
		free(k);
		return errno_null(ENOMEM);
	}
	return k;
}

void rule_keep_free(struct rule_keep *k)
{
	if (k == NULL)
		return;
	munmap(k->place, place_len(k));
	free(k->v);
	free(k->names);
	free(k);
}

static uint32_t *place_of(const struct rule_keep *k, uint32_t id)
{
	return &k->place[id & ((1u << k->bits) - 1)];
}

struct rule_kept *rule_keep_find(struct rule_keep *k, uint32_t id)
{
	uint32_t p = *place_of(k, id);

	return p != 0 && k->v[p - 1].id == id ? &k->v[p - 1] : NULL;
}

const struct rule_kept *rule_keep_same_slot(const struct rule_keep *k, uint32_t id)
{
	uint32_t p = *place_of(k, id);

	return p != 0 ? &k->v[p - 1] : NULL;
}

struct rule_kept *rule_keep_put(struct rule_keep *k, const struct rule_kept *r)
{
	uint32_t *p = place_of(k, r->id);

	if (*p != 0 && k->v[*p - 1].id != r->id)
		return errno_null(EEXIST);
	if (*p == 0) {
		if (k->n == k->cap) {
			size_t cap = k->cap == 0 ? V_FIRST : 2 * k->cap;
			void *v = realloc(k->v, cap * sizeof(*k->v));

			if (v == NULL)
				return errno_null(ENOMEM);
			k->v = v;
			k->cap = cap;
		}
		*p = (uint32_t)++k->n;
	}
	k->v[*p - 1] = *r;
	return &k->v[*p - 1];
}

void rule_keep_drop(struct rule_keep *k, uint32_t id)
{
	uint32_t *p = place_of(k, id);
	struct rule_kept *last;

	if (*p == 0 || k->v[*p - 1].id != id)
		return;
	last = &k->v[k->n - 1];
	*place_of(k, last->id) = *p;
	k->v[*p - 1] = *last;
	*place_of(k, id) = 0;
	k->n--;
}

size_t rule_keep_count(const struct rule_keep *k)
{
	return k->n;
}

struct rule_kept *rule_keep_at(struct rule_keep *k, size_t i)
{
	return &k->v[i];
}

uint16_t rule_keep_number(const struct rule_keep *k, const char *name)
{
	for (size_t i = k->n_names; i > 0; i--)
		if (strncmp(k->names[i - 1], name, DPMSG_NAME_LEN - 1) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t rule_keep_intern(struct rule_keep *k, const char *name)
{
	uint16_t number = rule_keep_number(k, name);
	void *names;

	if (name[0] == '\0' || number != 0)
		return number;
	if (k->n_names == NAMES_MAX)
		return 0;
	names = realloc(k->names, (k->n_names + 1) * sizeof(*k->names));
	if (names == NULL)
		return 0;
	k->names = names;
	snprintf(k->names[k->n_names], DPMSG_NAME_LEN, "%s", name);
	return (uint16_t)++k->n_names;
}

const char *rule_keep_name(const struct rule_keep *k, uint16_t n)
{
	return n == 0 || n > k->n_names ? "" : k->names[n - 1];
}
