// The table of claims, a list of them in the order in which they became what they are, and the
// counts of each key. All reservations live equally long, so the first RESERVED of the list is the
// next to go.
#include "lib/route/claim.h"

#include "lib/base/err.h"
#include "lib/base/htab.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

struct owner {
	struct key_pk pk;
	uint32_t n_reserved, n_rules;
	LIST_ENTRY(owner) entry;
};

struct held {
	struct claim claim;
	struct owner *owner;
	TAILQ_ENTRY(held) entry;
};

TAILQ_HEAD(held_list, held);

struct claims {
	struct claims_limits max;
	struct htab *by_id;
	struct held_list reserved, rules;
	LIST_HEAD(, owner) owners; // that hold something: as many as there are set-up nodes
	uint32_t n_reserved, n_rules;
};

struct claims *claims_new(const struct claims_limits *limits)
{
	static const uint8_t no_secret[HTAB_SECRET_LEN]; // no peer chooses ids
	struct claims *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->max = *limits;
	TAILQ_INIT(&c->reserved);
	TAILQ_INIT(&c->rules);
	LIST_INIT(&c->owners);
	c->by_id = htab_new(sizeof(uint32_t), UINT32_MAX, no_secret);
	if (c->by_id != NULL)
		return c;
	free(c);
	return errno_null(ENOMEM);
}

static void drop_first(struct claims *c, struct held_list *list)
{
	while (!TAILQ_EMPTY(list))
		claims_drop(c, TAILQ_FIRST(list)->claim.id);
}

void claims_free(struct claims *c)
{
	if (c == NULL)
		return;
	drop_first(c, &c->reserved);
	drop_first(c, &c->rules);
	htab_free(c->by_id);
	free(c);
}

void claims_set_rules(struct claims *c, uint32_t rules, uint32_t rules_of_key)
{
	c->max.rules = rules;
	c->max.rules_of_key = rules_of_key;
}

static struct owner *find_owner(const struct claims *c, const struct key_pk *pk)
{
	struct owner *o;

	LIST_FOREACH (o, &c->owners, entry)
		if (key_pk_cmp(&o->pk, pk) == 0)
			return o;
	return NULL;
}

static struct owner *need_owner(struct claims *c, const struct key_pk *pk)
{
	struct owner *o = find_owner(c, pk);

	if (o != NULL)
		return o;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	o->pk = *pk;
	LIST_INSERT_HEAD(&c->owners, o, entry);
	return o;
}

static void put_owner(struct owner *o)
{
	if (o->n_reserved != 0 || o->n_rules != 0)
		return;
	LIST_REMOVE(o, entry);
	free(o);
}

static bool fits(uint32_t have, uint64_t more, uint32_t max)
{
	return have + more <= max;
}

bool claims_has_room(const struct claims *c, const struct key_pk *by, uint32_t n)
{
	const struct owner *o = find_owner(c, by);

	return fits(c->n_reserved, n, c->max.reserved) &&
	       fits(c->n_rules, (uint64_t)c->n_reserved + n, c->max.rules) &&
	       fits(o != NULL ? o->n_reserved : 0, n, c->max.reserved_of_key);
}

static struct held *find(const struct claims *c, uint32_t id)
{
	return htab_find(c->by_id, &id);
}

struct claim *claims_find(struct claims *c, uint32_t id)
{
	struct held *h = find(c, id);

	return h != NULL ? &h->claim : NULL;
}

int claims_reserve(struct claims *c, const struct key_pk *by, uint32_t id, uint64_t now_ns)
{
	struct owner *o = need_owner(c, by);
	struct held *h = o != NULL ? calloc(1, sizeof(*h)) : NULL;

	if (h != NULL && htab_put(c->by_id, &id, h) == 0) {
		h->claim = (struct claim){
			.id = id, .state = CLAIM_RESERVED, .by = *by, .since_ns = now_ns};
		h->owner = o;
		TAILQ_INSERT_TAIL(&c->reserved, h, entry);
		c->n_reserved++;
		o->n_reserved++;
		return 0;
	}
	free(h);
	if (o != NULL)
		put_owner(o);
	return -ENOMEM;
}

static bool is_due(const struct claims *c, const struct held *h, uint64_t now_ns)
{
	return now_ns - h->claim.since_ns >= c->max.hold_ns;
}

static int check(const struct claims *c, const struct key_pk *by, uint32_t id, uint64_t now_ns)
{
	const struct held *h = find(c, id);

	if (h == NULL || key_pk_cmp(&h->claim.by, by) != 0)
		return -ENOENT;
	if (h->claim.state != CLAIM_RESERVED)
		return -EEXIST;
	return is_due(c, h, now_ns) ? -ENOENT : 0;
}

static void begin(struct claims *c, struct held *h, uint64_t now_ns)
{
	h->claim.state = CLAIM_BUSY;
	h->claim.since_ns = now_ns;
	TAILQ_REMOVE(&c->reserved, h, entry);
	TAILQ_INSERT_TAIL(&c->rules, h, entry);
	c->n_reserved--;
	c->n_rules++;
	h->owner->n_reserved--;
	h->owner->n_rules++;
}

int claims_begin(struct claims *c, const struct key_pk *by, const uint32_t *ids, size_t n,
	uint64_t now_ns, size_t *which)
{
	const struct owner *o = find_owner(c, by);

	for (size_t i = 0; i < n; i++) {
		int rc = check(c, by, ids[i], now_ns);

		for (size_t k = 0; rc == 0 && k < i; k++)
			rc = ids[k] == ids[i] ? -EEXIST : 0;
		*which = i;
		if (rc < 0)
			return rc;
	}
	if (o != NULL && !fits(o->n_rules, n, c->max.rules_of_key))
		return -EDQUOT;
	for (size_t i = 0; i < n; i++)
		begin(c, find(c, ids[i]), now_ns);
	return 0;
}

void claims_laid(struct claims *c, uint32_t id, uint64_t now_ns)
{
	struct held *h = find(c, id);

	h->claim.state = CLAIM_LAID;
	h->claim.since_ns = now_ns;
}

void claims_drop(struct claims *c, uint32_t id)
{
	struct held *h = htab_del(c->by_id, &id);

	if (h == NULL)
		return;
	if (h->claim.state == CLAIM_RESERVED) {
		TAILQ_REMOVE(&c->reserved, h, entry);
		c->n_reserved--;
		h->owner->n_reserved--;
	} else {
		TAILQ_REMOVE(&c->rules, h, entry);
		c->n_rules--;
		h->owner->n_rules--;
	}
	put_owner(h->owner);
	free(h);
}

uint64_t claims_expire(
	struct claims *c, uint64_t now_ns, void (*fn)(void *arg, uint32_t id), void *arg)
{
	struct held *h;

	while ((h = TAILQ_FIRST(&c->reserved)) != NULL) {
		uint32_t id = h->claim.id;

		if (!is_due(c, h, now_ns))
			return h->claim.since_ns + c->max.hold_ns;
		claims_drop(c, id);
		fn(arg, id);
	}
	return 0;
}

static void each(struct held_list *list, void (*fn)(void *arg, struct claim *claim), void *arg)
{
	struct held *h = TAILQ_FIRST(list), *next;

	for (; h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		fn(arg, &h->claim);
	}
}

void claims_each(struct claims *c, void (*fn)(void *arg, struct claim *claim), void *arg)
{
	each(&c->rules, fn, arg);
	each(&c->reserved, fn, arg);
}

uint32_t claims_n_reserved(const struct claims *c)
{
	return c->n_reserved;
}

uint32_t claims_n_rules(const struct claims *c)
{
	return c->n_rules;
}
