// A dmsg discovery on the test's loop, which follows the rules of dmsg 8.2 that our side can meet:
// signatures, sequences, times. It can be told to answer as a hostile one does.
#pragma once

#include "lib/base/clock.h"
#include "lib/wire/dmsg_entry.h"
#include "tests/controlplane/http/http_fixture.h"

enum { FAKE_DISC_ENTRIES = 32 };

struct fake_disc {
	struct fake_http http;
	char url[64];
	struct dmsg_entry e[FAKE_DISC_ENTRIES];
	unsigned n;
	unsigned n_get, n_post, n_delete, n_list;
	unsigned status; // not 0: answers everything with it, and
	const char *body; // ... this
	bool silent; // never answers
	bool holds; // takes its time with the next entry:
	struct fake_conn *held; // until fake_disc_go_on()
	struct dmsg_entry held_entry;
};

static inline struct dmsg_entry *fake_disc_find(struct fake_disc *d, const struct key_pk *pk)
{
	for (unsigned i = 0; i < d->n; i++)
		if (key_pk_cmp(&d->e[i].pk, pk) == 0)
			return &d->e[i];
	return NULL;
}

static inline void fake_disc_put(struct fake_disc *d, const struct dmsg_entry *e)
{
	struct dmsg_entry *old = fake_disc_find(d, &e->pk);

	assert_true(old != NULL || d->n < FAKE_DISC_ENTRIES);
	*(old != NULL ? old : &d->e[d->n++]) = *e;
}

static inline void fake_disc_del(struct fake_disc *d, const struct key_pk *pk)
{
	struct dmsg_entry *old = fake_disc_find(d, pk);

	if (old != NULL)
		*old = d->e[--d->n];
}

static inline void fake_disc_say(struct fake_conn *fc, unsigned status, const char *message)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"message\":\"%s\",\"code\":%u}\n", message, status);
	fake_http_answer(fc, status, body);
}

static inline const char *fake_disc_wrong(struct fake_disc *d, const struct dmsg_entry *e)
{
	const struct dmsg_entry *old = fake_disc_find(d, &e->pk);

	if (strcmp(e->version, "0.0.1") != 0)
		return "entry validation error: entry has no version";
	if (!e->is_client && !e->is_server)
		return "entry validation error: entry has neither client or server field";
	if (old != NULL && e->sequence <= old->sequence)
		return "entry validation error: sequence field of new entry is not sequence of old "
		       "entry + 1";
	if (old != NULL && e->timestamp_ns < old->timestamp_ns)
		return "entry validation error: advertised entry timestamp is not greater than "
		       "previous";
	return NULL;
}

static inline void fake_disc_write(
	struct fake_disc *d, struct fake_conn *fc, const struct fake_request *r)
{
	struct dmsg_entry e;
	int64_t now = (int64_t)clock_wall_ns();

	if (dmsg_entry_read(&e, r->body, strlen(r->body)) < 0) {
		fake_disc_say(fc, 500, "something unexpected happened");
	} else if (!e.is_client &&
		   (e.timestamp_ns < now - 60000000000 || e.timestamp_ns > now + 5000000000)) {
		fake_disc_say(
			fc, 422, "entry validation error: advertised entry has outdated timestamp");
	} else if (dmsg_entry_verify(&e) < 0) {
		fake_disc_say(fc, 401, "invalid signature");
	} else if (strcmp(r->method, "DELETE") == 0) {
		d->n_delete++;
		fake_disc_del(d, &e.pk);
		fake_disc_say(fc, 200, "deleted entry");
	} else if (fake_disc_wrong(d, &e) != NULL) {
		fake_disc_say(fc, 422, fake_disc_wrong(d, &e));
	} else if (d->holds) {
		d->holds = false;
		d->held = fc;
		d->held_entry = e;
	} else {
		d->n_post++;
		fake_disc_put(d, &e);
		fake_disc_say(fc, 200, "wrote a new entry");
	}
}

static inline void fake_disc_go_on(struct fake_disc *d)
{
	d->n_post++;
	fake_disc_put(d, &d->held_entry);
	fake_disc_say(d->held, 200, "wrote a new entry");
}

static inline void fake_disc_list(struct fake_disc *d, struct fake_conn *fc)
{
	static char text[FAKE_DISC_ENTRIES * 1024];
	size_t len = 0;

	d->n_list++;
	for (unsigned i = 0; i < d->n; i++) {
		if (!d->e[i].is_server)
			continue;
		text[len] = len == 0 ? '[' : ',';
		len++;
		len += (size_t)dmsg_entry_write(&d->e[i], true, text + len, sizeof(text) - len - 2);
	}
	if (len == 0) {
		fake_disc_say(fc, 404, "no delegated dmsg servers available for remote");
		return;
	}
	memcpy(text + len, "]", 2);
	fake_http_answer(fc, 200, text);
}

static inline void fake_disc_get(struct fake_disc *d, struct fake_conn *fc, const char *hex)
{
	char text[DMSG_ENTRY_TEXT_MAX];
	struct key_pk pk;
	const struct dmsg_entry *e;

	d->n_get++;
	if (key_pk_from_text(&pk, hex, strlen(hex)) < 0) {
		fake_disc_say(fc, 400, "error bad input");
		return;
	}
	e = fake_disc_find(d, &pk);
	if (e == NULL) {
		fake_disc_say(fc, 404, "entry of public key is not found");
		return;
	}
	assert_true(dmsg_entry_write(e, true, text, sizeof(text)) > 0);
	fake_http_answer(fc, 200, text);
}

static inline void fake_disc_serve(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	struct fake_disc *d = arg;
	const char *p = r->path + strlen("/dmsg-discovery/");

	if (d->silent)
		return;
	if (d->status != 0)
		fake_http_answer(fc, d->status, d->body);
	else if (strcmp(p, "available_servers") == 0 || strcmp(p, "all_servers") == 0)
		fake_disc_list(d, fc);
	else if (strcmp(r->method, "GET") == 0 && strncmp(p, "entry/", 6) == 0)
		fake_disc_get(d, fc, p + 6);
	else if (strcmp(p, strcmp(r->method, "POST") == 0 ? "entry/" : "entry") == 0)
		fake_disc_write(d, fc, r);
	else
		fake_http_answer(fc, 405, "");
}

static inline void fake_disc_start(struct fake_disc *d)
{
	memset(d, 0, sizeof(*d));
	fake_http_start(&d->http, fake_disc_serve, d);
	fake_http_url(&d->http, d->url, sizeof(d->url));
}

static inline void fake_disc_stop(struct fake_disc *d)
{
	if (d->http.li != NULL)
		fake_http_stop(&d->http);
}
