// One site is one discovery. Each time: our own entry there is asked for, and the new one has its
// sequence and one; "not found" begins at 0, and only that does. When another program wrote in
// between, the sequence is refused: ask again, and give in to an entry that is newer than ours.
//
//     waiting -> GET own -> POST -> waiting        (a minute; after a failure sooner)
//                   ^--------'  sequence refused
#include "controlplane/dmsg/dmsg_publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dmsg");

enum { ROUNDS_MAX = 3 };

struct site {
	struct dmsg_publish *p;
	size_t i;
	struct dir_ask *ask;
	struct loop_timer *timer;
	struct dmsg_entry entry; // the last one that was put there or tried to
	unsigned rounds; // of refused sequences
	bool tried, listed, posting, leaving;
	uint64_t sequence; // of what is there
	uint64_t since_ns, next_ns, published, failed;
	uint32_t retry_ms;
	char err[DMSG_PUBLISH_ERR_LEN];
};

struct dmsg_publish {
	struct dmsg_publish_conf conf;
	struct site site[DIR_CLIENT_URLS_MAX];
	size_t n_sites;
	bool told; // `tried`
	bool left;
	struct loop_timer *leave_timer;
	loop_fn done;
	void *done_arg;
};

static void again(struct site *s, uint64_t ms)
{
	s->next_ns = clock_mono_ns() + ms * CLOCK_NS_PER_MS;
	loop_timer_start(s->timer, ms, 0);
}

static void tell_tried(struct dmsg_publish *p)
{
	for (size_t i = 0; i < p->n_sites; i++)
		if (!p->site[i].tried)
			return;
	if (p->told)
		return;
	p->told = true;
	if (p->conf.tried != NULL)
		p->conf.tried(p->conf.arg);
}

// This try is over.
static void over(struct site *s, const char *err, uint64_t next_ms)
{
	s->rounds = 0;
	s->tried = true;
	if (err[0] != '\0') {
		s->failed++;
		if (strcmp(s->err, err) != 0)
			log_warn("not published: discovery=%s%s: %s",
				dir_client_url(s->p->conf.dir, s->i), s->p->conf.of, err);
	} else if (s->published++ == 0 || s->err[0] != '\0') {
		log_notice("published: discovery=%s%s", dir_client_url(s->p->conf.dir, s->i),
			s->p->conf.of);
	}
	snprintf(s->err, sizeof(s->err), "%s", err);
	again(s, next_ms);
	tell_tried(s->p);
}

static void fail(struct site *s, const char *err)
{
	uint32_t ms = s->retry_ms;

	s->retry_ms = backoff_slowly(ms, DMSG_PUBLISH_RETRY_MAX_MS);
	over(s, err, ms);
}

static void make_entry(struct site *s, uint64_t sequence)
{
	struct dmsg_publish *p = s->p;
	struct dmsg_entry *e = &s->entry;

	memset(e, 0, sizeof(*e));
	p->conf.fill(p->conf.arg, e);
	snprintf(e->version, sizeof(e->version), "%s", DMSG_ENTRY_VERSION);
	e->pk = *identity_pk(p->conf.id);
	e->sequence = sequence;
	e->timestamp_ns = (int64_t)clock_wall_ns();
}

// ---- leaving ----

static void tell_left(struct dmsg_publish *p)
{
	for (size_t i = 0; i < p->n_sites; i++)
		if (p->site[i].leaving)
			return;
	loop_timer_start(p->leave_timer, 0, 0);
}

static void on_deleted(void *arg, const struct dir_result *r)
{
	struct site *s = arg;

	s->ask = NULL;
	s->leaving = false;
	if (r->err < 0 || r->answer != DMSG_ANSWER_OK)
		log_notice("entry not removed: discovery=%s%s: %s",
			dir_client_url(s->p->conf.dir, s->i), s->p->conf.of, dir_result_text(r));
	tell_left(s->p);
}

static void leave_now(struct site *s)
{
	struct dmsg_publish *p = s->p;

	make_entry(s, s->sequence + 1);
	if (dmsg_entry_sign(&s->entry, identity_sk(p->conf.id)) == 0)
		s->ask = dir_client_delete(p->conf.dir, s->i, &s->entry, on_deleted, s);
	s->leaving = s->ask != NULL;
}

// ---- publishing ----

static void begin(void *arg);

static void on_posted(void *arg, const struct dir_result *r)
{
	struct site *s = arg;
	struct dmsg_publish *p = s->p;

	s->ask = NULL;
	s->posting = false;
	if (p->left) {
		s->sequence = s->entry.sequence;
		leave_now(s);
		tell_left(p);
	} else if (r->err == 0 && r->answer == DMSG_ANSWER_SEQUENCE && ++s->rounds < ROUNDS_MAX) {
		begin(s);
	} else if (r->err == 0 && r->answer == DMSG_ANSWER_OK) {
		s->listed = true;
		s->sequence = s->entry.sequence;
		s->since_ns = clock_mono_ns();
		s->retry_ms = p->conf.retry_min_ms;
		over(s, "", p->conf.every_ms);
		dmsg_publish_changed(p); // while it ran
	} else {
		fail(s, dir_result_text(r));
	}
}

static void post(struct site *s, uint64_t sequence)
{
	struct dmsg_publish *p = s->p;
	int rc;

	make_entry(s, sequence);
	rc = dmsg_entry_sign(&s->entry, identity_sk(p->conf.id));
	if (rc == 0) {
		s->ask = dir_client_post(p->conf.dir, s->i, &s->entry, on_posted, s);
		rc = s->ask != NULL ? 0 : -errno;
	}
	s->posting = rc == 0;
	if (rc < 0)
		fail(s, strerror(-rc));
}

static void on_own(void *arg, const struct dir_result *r)
{
	struct site *s = arg;

	s->ask = NULL;
	if (r->err == 0 && r->answer == DMSG_ANSWER_NO_ENTRY) {
		s->listed = false;
		post(s, 0);
	} else if (r->err < 0 || r->answer != DMSG_ANSWER_OK) {
		fail(s, dir_result_text(r));
	} else if (s->rounds > 0 && r->entries[0].timestamp_ns > s->entry.timestamp_ns) {
		over(s, "a newer entry of our key is there: who else has it?", s->p->conf.every_ms);
	} else if (r->entries[0].sequence == INT64_MAX) {
		fail(s, "the sequence of our entry there is at its end");
	} else {
		post(s, r->entries[0].sequence + 1);
	}
}

static void begin(void *arg)
{
	struct site *s = arg;
	struct dmsg_publish *p = s->p;

	s->next_ns = 0;
	s->ask = dir_client_find_at(p->conf.dir, s->i, identity_pk(p->conf.id), on_own, s);
	if (s->ask == NULL)
		fail(s, strerror(errno));
}

static bool is_same(const struct dmsg_entry *a, const struct dmsg_entry *b)
{
	return a->n_servers == b->n_servers &&
	       memcmp(a->servers, b->servers, a->n_servers * sizeof(a->servers[0])) == 0 &&
	       a->available_sessions == b->available_sessions &&
	       strcmp(a->address, b->address) == 0;
}

void dmsg_publish_changed(struct dmsg_publish *p)
{
	struct dmsg_entry now = {.version = ""};

	if (p->left)
		return;
	p->conf.fill(p->conf.arg, &now);
	for (size_t i = 0; i < p->n_sites; i++) {
		struct site *s = &p->site[i];
		uint64_t soon_ns = clock_mono_ns() + p->conf.soon_ms * CLOCK_NS_PER_MS;

		if (s->ask == NULL && s->err[0] == '\0' && s->next_ns > soon_ns &&
			!is_same(&now, &s->entry))
			again(s, p->conf.soon_ms);
	}
}

// ---- the end ----

static void on_left(void *arg)
{
	struct dmsg_publish *p = arg;

	for (size_t i = 0; i < p->n_sites; i++) {
		dir_ask_cancel(p->site[i].ask);
		p->site[i].ask = NULL;
	}
	p->done(p->done_arg);
}

// An entry that is on its way is waited for: the removal might get there before it.
static void leave(struct site *s)
{
	loop_timer_stop(s->timer);
	s->leaving = s->posting;
	if (s->posting)
		return;
	dir_ask_cancel(s->ask);
	s->ask = NULL;
	if (s->listed)
		leave_now(s);
}

void dmsg_publish_leave(struct dmsg_publish *p, loop_fn done, void *arg)
{
	p->left = true;
	p->done = done;
	p->done_arg = arg;
	loop_timer_start(p->leave_timer, DMSG_PUBLISH_LEAVE_MS, 0);
	for (size_t i = 0; i < p->n_sites; i++)
		leave(&p->site[i]);
	tell_left(p);
}

// ---- the whole ----

struct dmsg_publish *dmsg_publish_new(const struct dmsg_publish_conf *conf)
{
	struct dmsg_publish *p = calloc(1, sizeof(*p));
	bool ok;

	if (p == NULL)
		return NULL;
	p->conf = *conf;
	if (p->conf.of == NULL)
		p->conf.of = "";
	if (p->conf.every_ms == 0)
		p->conf.every_ms = DMSG_PUBLISH_EVERY_MS;
	if (p->conf.soon_ms == 0)
		p->conf.soon_ms = DMSG_PUBLISH_SOON_MS;
	if (p->conf.retry_min_ms == 0)
		p->conf.retry_min_ms = DMSG_PUBLISH_RETRY_MIN_MS;
	p->leave_timer = loop_timer_new(conf->loop, on_left, p);
	ok = p->leave_timer != NULL;
	for (; p->n_sites < dir_client_n_urls(conf->dir); p->n_sites++) {
		struct site *s = &p->site[p->n_sites];

		*s = (struct site){.p = p, .i = p->n_sites, .retry_ms = p->conf.retry_min_ms};
		s->timer = loop_timer_new(conf->loop, begin, s);
		ok = ok && s->timer != NULL;
	}
	if (!ok) {
		dmsg_publish_free(p);
		return errno_null(ENOMEM);
	}
	for (size_t i = 0; i < p->n_sites; i++)
		again(&p->site[i], 0);
	return p;
}

void dmsg_publish_free(struct dmsg_publish *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n_sites; i++) {
		dir_ask_cancel(p->site[i].ask);
		loop_timer_free(p->site[i].timer);
	}
	loop_timer_free(p->leave_timer);
	free(p);
}

void dmsg_publish_each(const struct dmsg_publish *p,
	void (*fn)(void *arg, const struct dmsg_publish_site *s), void *arg)
{
	for (size_t i = 0; i < p->n_sites; i++) {
		const struct site *s = &p->site[i];
		struct dmsg_publish_site out = {.url = dir_client_url(p->conf.dir, i),
			.listed = s->listed,
			.sequence = s->sequence,
			.since_ns = s->since_ns,
			.next_ns = s->next_ns,
			.published = s->published,
			.failed = s->failed,
			.err = s->err};

		fn(arg, &out);
	}
}
