// Which sections differ between two configurations, in words. Declared in reload.h. Each section's
// keys and values become one number, so that long files are compared section by section.
#include "controlplane/reload.h"

#include "lib/base/vec.h"

#include <stdio.h>
#include <string.h>

enum { NAMED_MAX = 6 };

struct digest {
	const char *section, *instance; // the configuration's
	uint64_t hash;
};

struct digests {
	VEC(struct digest) all;
	bool failed;
};

struct sentence {
	char *buf;
	size_t cap, len;
	unsigned n;
};

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

// Entries of a section follow each other.
static void on_entry(void *arg, const struct conf_entry *e)
{
	struct digests *d = arg;
	struct digest fresh = {.section = e->item->section,
		.instance = e->instance != NULL ? e->instance : "",
		.hash = 0xcbf29ce484222325};
	struct digest *last;

	if (d->all.n == 0 || !same_place(&d->all.v[d->all.n - 1], &fresh))
		d->failed = vec_push(&d->all, fresh) < 0 || d->failed;
	if (d->failed)
		return;
	last = &d->all.v[d->all.n - 1];
	last->hash = mix(mix(last->hash, e->item->key), e->value);
}

static const struct digest *find(const struct digests *d, const struct digest *like)
{
	for (size_t i = 0; i < d->all.n; i++)
		if (same_place(&d->all.v[i], like))
			return &d->all.v[i];
	return NULL;
}

static void add(struct sentence *s, const struct digest *d, const char *what)
{
	if (s->n++ >= NAMED_MAX || s->len >= s->cap)
		return;
	s->len += (size_t)snprintf(s->buf + s->len, s->cap - s->len, "%s[%s%s%s]%s",
		s->n > 1 ? ", " : "changed: ", d->section, d->instance[0] != '\0' ? " " : "",
		d->instance, what);
}

void reload_text(const struct cp_conf *now, const struct cp_conf *next, char *buf, size_t cap)
{
	bool files = next->v->allow_file[0] != '\0' || next->v->deny_file[0] != '\0';
	struct sentence s = {.buf = buf, .cap = cap};
	struct digests old = {.failed = false}, new = {.failed = false};

	buf[0] = '\0';
	conf_walk(now->file, on_entry, &old);
	conf_walk(next->file, on_entry, &new);
	if (!old.failed && !new.failed) {
		for (size_t i = 0; i < new.all.n; i++) {
			const struct digest *d = find(&old, &new.all.v[i]);

			if (d == NULL || d->hash != new.all.v[i].hash)
				add(&s, &new.all.v[i], d == NULL ? " is new" : "");
		}
		for (size_t i = 0; i < old.all.n; i++)
			if (find(&new, &old.all.v[i]) == NULL)
				add(&s, &old.all.v[i], " is gone");
		if (s.n == 0)
			snprintf(buf, cap, "%s",
				files ? "no key changed; lists of peers were read again"
				      : "nothing changed");
		else if (s.n > NAMED_MAX && s.len < cap)
			snprintf(buf + s.len, cap - s.len, " and %u more", s.n - NAMED_MAX);
	}
	vec_free(&old.all);
	vec_free(&new.all);
}
