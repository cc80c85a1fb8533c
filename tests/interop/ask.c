// Our clients of Skywire's services as a program, for tests with services that we did not write: a
// question, in the words of the clients, with a key of its own. Says what came of it in one line;
// exit 0: it was taken. Several by commas, of the same arguments, are asked one after the other;
// how often a nonce was fetched is the last line then.
//
//	ask KEY post URL KEY TYPE             an entry that both keys sign
//	ask KEY find|delete URL KEY TYPE      the entry of the transport to that key
//	ask KEY of URL                        entries of the key
//	ask KEY bind URL PORT ADDRESS...      at the resolver
//	ask KEY unbind|list URL
//	ask KEY resolve URL KEY
#include "controlplane/directory/resolver.h"
#include "controlplane/directory/tp_discovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/loop.h"
#include "lib/base/err.h"

static struct loop *loop;
static const struct identity *us;
static struct service *service;
static char *words; // what is asked still
static char **args;
static int n_args;
static bool taken = true;

static void ask_next(void);

static void on_entries(void *arg, const struct tp_discovery_result *r)
{
	char id[ENTRY_ID_TEXT_LEN];

	(void)arg;
	taken = taken && r->taken;
	printf("%u%s%s", r->status, r->text[0] != '\0' ? " " : "", r->text);
	for (size_t i = 0; i < r->n; i++) {
		entry_id_format(id, r->entries[i].id);
		printf(" %s", id);
	}
	putchar('\n');
	ask_next();
}

static void on_resolver(void *arg, const struct resolver_result *r)
{
	char text[KEY_PK_TEXT_LEN + 1];

	(void)arg;
	taken = taken && r->taken;
	printf("%u%s%s", r->status, r->text[0] != '\0' ? " " : "", r->text);
	for (unsigned i = 0; r->visor != NULL && resolver_visor_addr(r->visor, i, text); i++)
		printf(" %s", text);
	for (size_t i = 0; i < r->n_keys; i++) {
		key_pk_to_text(&r->keys[i], text);
		printf(" %s", text);
	}
	putchar('\n');
	ask_next();
}

static struct identity *key(const char *path)
{
	char err[256] = "";
	bool made;
	struct identity *id = identity_open(path, &made, err, sizeof(err));

	if (id == NULL) {
		fprintf(stderr, "ask: %s\n", err);
		exit(2);
	}
	return id;
}

static int ask_discovery(const char *what)
{
	struct identity *peer = key(args[0]);
	const struct identity *both[] = {us, peer};
	struct tp_entry e;
	bool asked;
	int rc =
		tp_entry_make(&e, identity_pk(us), identity_pk(peer), args[1], TP_ENTRY_LABEL_USER);

	for (size_t i = 0; i < 2 && rc == 0; i++)
		rc = tp_entry_sign(&e, identity_pk(both[i]), identity_sk(both[i]));
	identity_free(peer);
	if (rc < 0)
		return rc;
	if (strcmp(what, "post") == 0)
		asked = tp_discovery_post(service, &e, on_entries, NULL) != NULL;
	else if (strcmp(what, "find") == 0)
		asked = tp_discovery_find(service, e.id, on_entries, NULL) != NULL;
	else
		asked = tp_discovery_delete(service, e.id, on_entries, NULL) != NULL;
	return asked ? 0 : -errno;
}

static int ask(const char *what)
{
	static const char *const of_entries[] = {"post", "find", "delete"};
	struct key_pk pk;
	bool asked = false;

	errno = EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(of_entries); i++)
		if (strcmp(what, of_entries[i]) == 0 && n_args == 2)
			return ask_discovery(what);
	if (strcmp(what, "of") == 0)
		asked = tp_discovery_of(service, identity_pk(us), on_entries, NULL) != NULL;
	else if (strcmp(what, "bind") == 0 && n_args >= 1)
		asked = resolver_bind(service, (uint16_t)atoi(args[0]),
				(const char *const *)(args + 1), (size_t)n_args - 1, on_resolver,
				NULL) != NULL;
	else if (strcmp(what, "unbind") == 0)
		asked = resolver_unbind(service, on_resolver, NULL) != NULL;
	else if (strcmp(what, "list") == 0)
		asked = resolver_list(service, on_resolver, NULL) != NULL;
	else if (strcmp(what, "resolve") == 0 && n_args == 1 &&
		 key_pk_from_text(&pk, args[0], strlen(args[0])) == 0)
		asked = resolver_find(service, &pk, on_resolver, NULL) != NULL;
	return asked ? 0 : -errno;
}

static void ask_next(void)
{
	char *what = strsep(&words, ",");
	int rc = what != NULL ? ask(what) : 0;

	if (rc < 0) {
		fprintf(stderr, "ask: %s\n", strerror(-rc));
		taken = false;
	}
	if (what == NULL || rc < 0)
		loop_stop(loop);
}

static void on_begin(void *arg)
{
	(void)arg;
	ask_next();
}

int main(int argc, char **argv)
{
	struct service_conf c = {.timeout_ms = 5000};
	struct service_stats st;
	struct http_client *http;
	struct identity *id;
	bool several;

	if (argc < 4)
		return 2;
	us = id = key(argv[1]);
	words = argv[2];
	several = strchr(words, ',') != NULL;
	args = argv + 4;
	n_args = argc - 4;
	loop = loop_new();
	http = http_client_new(loop, "");
	c.loop = loop;
	c.http = http;
	c.id = us;
	c.url = argv[3];
	service = service_new(&c);
	if (service == NULL || loop_defer(loop, on_begin, NULL) < 0)
		return 2;
	loop_run(loop);
	service_stats_get(service, &st);
	if (several)
		printf("nonces %llu\n", (unsigned long long)st.nonces);
	service_free(service);
	http_client_free(http);
	identity_free(id);
	loop_free(loop);
	return taken ? 0 : 1;
}
