// The fixed keys and their values, copied: the configuration that they are from is replaced by each
// reload. It compares and remembers; who is told of it is main.c's and the API's matter.
#include "controlplane/in_force.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/vec.h"

struct key {
	const struct conf_item *item;
	char *instance; // "": a plain section
	char *value;
	bool seen; // in the walk that is made
};

struct in_force {
	VEC(struct key) all;
	VEC(struct key) fresh; // of in_force_ready()
};

static const char *instance_of(const struct conf_entry *e)
{
	return e->instance != NULL ? e->instance : "";
}

static bool is_fixed(const struct conf_item *item)
{
	return (item->flags & CONF_LIVE) == 0;
}

// Named sections with a live key come and go by a reload; the others wait as a whole.
static bool is_made_live(const char *section)
{
	const struct conf_schema *s = cp_conf_schema();

	for (size_t i = 0; i < s->n_items; i++)
		if (strcmp(s->items[i].section, section) == 0 && !is_fixed(&s->items[i]))
			return true;
	return false;
}

static struct key *find(const struct in_force *f, const struct conf_entry *e)
{
	for (size_t i = 0; i < f->all.n; i++) {
		struct key *k = &f->all.v[i];

		if (k->item == e->item && strcmp(k->instance, instance_of(e)) == 0)
			return k;
	}
	return NULL;
}

static void key_fini(struct key *k)
{
	free(k->instance);
	free(k->value);
}

static void fresh_drop(struct in_force *f)
{
	for (size_t i = 0; i < f->fresh.n; i++)
		key_fini(&f->fresh.v[i]);
	f->fresh.n = 0;
}

struct walk {
	struct in_force *f;
	bool before; // what is in force stays so, and only sections of the live kind are added
	bool failed;
};

static void copy_entry(void *arg, const struct conf_entry *e)
{
	struct walk *w = arg;
	struct key k = {.item = e->item};

	if (w->failed || !is_fixed(e->item))
		return;
	// a section that waits as a whole is not in force by a reload
	if (w->before && (!is_made_live(e->item->section) || find(w->f, e) != NULL))
		return;
	k.instance = strdup(instance_of(e));
	k.value = strdup(e->value);
	if (k.instance == NULL || k.value == NULL ||
		(w->before ? vec_push(&w->f->fresh, k) : vec_push(&w->f->all, k)) < 0) {
		key_fini(&k);
		w->failed = true;
	}
}

struct in_force *in_force_new(const struct cp_conf *start)
{
	struct in_force *f = calloc(1, sizeof(*f));
	struct walk w = {.f = f};

	if (f == NULL)
		return NULL;
	conf_walk(start->file, copy_entry, &w);
	if (w.failed) {
		in_force_free(f);
		return errno_null(ENOMEM);
	}
	return f;
}

void in_force_free(struct in_force *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->all.n; i++)
		key_fini(&f->all.v[i]);
	vec_free(&f->all);
	fresh_drop(f);
	vec_free(&f->fresh);
	free(f);
}

static void see(void *arg, const struct conf_entry *e)
{
	struct key *k = is_fixed(e->item) ? find(arg, e) : NULL;

	if (k != NULL)
		k->seen = true;
}

// Marks the keys that conf has.
static void look(struct in_force *f, const struct conf *conf)
{
	for (size_t i = 0; i < f->all.n; i++)
		f->all.v[i].seen = false;
	conf_walk(conf, see, f);
}

// Sections of the live kind that are not seen.
static void forget_gone(struct in_force *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->all.n; i++) {
		struct key *k = &f->all.v[i];

		if (!k->seen && is_made_live(k->item->section))
			key_fini(k);
		else
			f->all.v[n++] = *k;
	}
	f->all.n = n;
}

int in_force_ready(struct in_force *f, const struct cp_conf *conf)
{
	struct walk w = {.f = f, .before = true};

	fresh_drop(f);
	conf_walk(conf->file, copy_entry, &w);
	if (!w.failed && vec_reserve(&f->all, f->all.n + f->fresh.n) == 0)
		return 0;
	fresh_drop(f);
	return -ENOMEM;
}

void in_force_take(struct in_force *f, const struct cp_conf *conf)
{
	look(f, conf->file);
	forget_gone(f);
	for (size_t i = 0; i < f->fresh.n; i++)
		f->all.v[f->all.n++] = f->fresh.v[i];
	f->fresh.n = 0;
}

bool in_force_waits(const struct in_force *f, const struct conf_entry *e, struct in_force_key *out)
{
	const struct key *k = is_fixed(e->item) ? find(f, e) : NULL;

	if (!is_fixed(e->item) || (k != NULL && strcmp(k->value, e->value) == 0))
		return false;
	*out = (struct in_force_key){e->item, e->instance, k != NULL ? k->value : NULL,
		k != NULL ? API_CHANGED : API_CHANGE_NEW};
	return true;
}

void in_force_each_gone(struct in_force *f, const struct conf *conf,
	void (*fn)(void *arg, const struct in_force_key *key), void *arg)
{
	look(f, conf);
	for (size_t i = 0; i < f->all.n; i++) {
		const struct key *k = &f->all.v[i];
		struct in_force_key gone = {k->item, k->instance, k->value, API_CHANGE_GONE};

		if (!k->seen)
			fn(arg, &gone);
	}
}
