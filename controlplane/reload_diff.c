// What differs between two configurations, section by section, and what waits for a restart.
// Declared in reload.h. Each section's keys and values become two numbers, so that long files are
// compared section by section.
#include "controlplane/reload.h"

#include <errno.h>
#include <string.h>

#include "lib/base/vec.h"

struct digest {
	const char *section, *instance; // the configuration's
	uint64_t all, live; // of all keys, and of those that a reload takes
	bool waits; // a key of it, or it as a whole, does
};

struct digests {
	const struct cp_values *v;
	const struct in_force *f; // NULL: nobody asks what waits
	VEC(struct digest) all;
	bool failed;
	size_t next; // where the one that is looked for is likely
};

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

static uint64_t mix(uint64_t h, const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3; // FNV-1a
	return h * 0x100000001b3;
}

static bool same_place(const struct digest *a, const struct digest *b)
{
	return strcmp(a->section, b->section) == 0 && strcmp(a->instance, b->instance) == 0;
}

// A secret, which a walk does not show, is in a plain section.
static const char *value_of(const struct cp_values *v, const struct conf_entry *e)
{
	if ((e->item->flags & CONF_SECRET) == 0)
		return e->value;
	return *(char *const *)((const char *)v + e->item->offset);
}

// Entries of a section follow each other.
static void on_entry(void *arg, const struct conf_entry *e)
{
	struct digests *d = arg;
	struct digest fresh = {.section = e->item->section,
		.instance = e->instance != NULL ? e->instance : "",
		.all = FNV_BASIS,
		.live = FNV_BASIS};
	struct in_force_key k;
	struct digest *last;

	if (d->all.n == 0 || !same_place(&d->all.v[d->all.n - 1], &fresh))
		d->failed = vec_push(&d->all, fresh) < 0 || d->failed;
	if (d->failed)
		return;
	last = &d->all.v[d->all.n - 1];
	last->all = mix(mix(last->all, e->item->key), value_of(d->v, e));
	if (e->item->flags & CONF_LIVE)
		last->live = mix(mix(last->live, e->item->key), value_of(d->v, e));
	last->waits = last->waits || (d->f != NULL && in_force_waits(d->f, e, &k));
}

// Both files mostly have the same order.
static struct digest *find(struct digests *d, const struct digest *like)
{
	for (size_t n = 0; n < d->all.n; n++) {
		struct digest *at = &d->all.v[d->next];

		d->next = d->next + 1 < d->all.n ? d->next + 1 : 0;
		if (same_place(at, like))
			return at;
	}
	return NULL;
}

struct teller {
	const struct reload *r;
	const struct cp_conf *next;
	struct in_force *f;
	reload_change_fn fn;
	void *arg;
	// a section that waits as a whole is told once
	const struct conf_item *item;
	const char *instance;
};

static void tell(const struct teller *t, const char *section, const char *instance, const char *key,
	enum api_change_kind change, bool waits)
{
	struct api_change c = {.change = (uint8_t)change, .waits = waits};

	cp_conf_section(section, instance, c.section, sizeof(c.section));
	snprintf(c.key, sizeof(c.key), "%s", key);
	t->fn(t->arg, &c);
}

static void tell_waiting(struct teller *t, const struct in_force_key *k)
{
	bool whole = k->change != API_CHANGED;
	bool told = whole && t->item != NULL && strcmp(t->item->section, k->item->section) == 0 &&
		    strcmp(t->instance, k->instance) == 0;

	if (!told)
		tell(t, k->item->section, k->instance, whole ? "" : k->item->key, k->change, true);
	t->item = whole ? k->item : NULL;
	t->instance = k->instance;
}

static void on_waiting_entry(void *arg, const struct conf_entry *e)
{
	struct teller *t = arg;
	struct in_force_key k;

	if (in_force_waits(t->f, e, &k))
		tell_waiting(t, &k);
}

static void on_gone(void *arg, const struct in_force_key *k)
{
	tell_waiting(arg, k);
}

static void mark_gone(void *arg, const struct in_force_key *k)
{
	const struct digest like = {
		.section = k->item->section, .instance = k->instance != NULL ? k->instance : ""};
	struct digest *d = find(arg, &like);

	if (d != NULL)
		d->waits = true;
}

// Of what waits, another line tells.
static void tell_sections(const struct teller *t, struct digests *old, struct digests *new)
{
	size_t hint = 0;

	for (size_t i = 0; i < new->all.n; i++) {
		const struct digest *n = &new->all.v[i], *o = find(old, n);

		if (o != NULL && o->all == n->all && t->r != NULL &&
			reload_is_missing(t->r, t->next, n->section, n->instance, &hint))
			tell(t, n->section, n->instance, "", API_CHANGE_AGAIN, false);
		if ((o == NULL || o->all != n->all) &&
			(!n->waits || (o != NULL && o->live != n->live)))
			tell(t, n->section, n->instance, "",
				o == NULL ? API_CHANGE_NEW : API_CHANGED, false);
	}
	new->next = 0;
	for (size_t i = 0; i < old->all.n; i++)
		if (find(new, &old->all.v[i]) == NULL && !old->all.v[i].waits)
			tell(t, old->all.v[i].section, old->all.v[i].instance, "", API_CHANGE_GONE,
				false);
}

int reload_diff(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next,
	struct in_force *f, reload_change_fn fn, void *arg)
{
	struct digests old = {.v = now->v}, new = {.v = next->v, .f = f};
	struct teller t = {.r = r, .next = next, .f = f, .fn = fn, .arg = arg};
	bool failed;

	conf_walk(now->file, on_entry, &old);
	conf_walk(next->file, on_entry, &new);
	failed = old.failed || new.failed;
	if (!failed)
		in_force_each_gone(f, next->file, mark_gone, &old);
	old.next = 0;
	if (!failed)
		tell_sections(&t, &old, &new);
	vec_free(&old.all);
	vec_free(&new.all);
	if (failed)
		return -ENOMEM;
	if (next->v->allow_file[0] != '\0')
		tell(&t, "peers", NULL, "allow_file", API_CHANGE_READ, false);
	if (next->v->deny_file[0] != '\0')
		tell(&t, "peers", NULL, "deny_file", API_CHANGE_READ, false);
	conf_walk(next->file, on_waiting_entry, &t);
	in_force_each_gone(f, next->file, on_gone, &t);
	return 0;
}
