// Our clients of Skywire's services as a program, for tests with services that we did not write:
// one question a run, in the words of the clients, with a key of its own. Says what came of it in
// one line; exit 0: it was taken.
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
static bool taken;

static void on_entries(void *arg, const struct tp_discovery_result *r)
{
	char id[ENTRY_ID_TEXT_LEN];

	(void)arg;
	taken = r->taken;
	printf("%u%s%s", r->status, r->text[0] != '\0' ? " " : "", r->text);
	for (size_t i = 0; i < r->n; i++) {
		entry_id_format(id, r->entries[i].id);
		printf(" %s", id);
	}
	putchar('\n');
	loop_stop(loop);
}

static void on_resolver(void *arg, const struct resolver_result *r)
{
	char text[KEY_PK_TEXT_LEN + 1];

	(void)arg;
	taken = r->taken;
	printf("%u%s%s", r->status, r->text[0] != '\0' ? " " : "", r->text);
	for (unsigned i = 0; r->visor != NULL && resolver_visor_addr(r->visor, i, text); i++)
		printf(" %s", text);
	for (size_t i = 0; i < r->n_keys; i++) {
		key_pk_to_text(&r->keys[i], text);
		printf(" %s", text);
	}
	putchar('\n');
	loop_stop(loop);
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

static int ask_discovery(
	struct service *s, const struct identity *us, const char *what, char **argv)
{
	struct identity *peer = key(argv[0]);
	const struct identity *both[] = {us, peer};
	const struct key_pk *a = identity_pk(us), *b = identity_pk(peer);
	struct tp_entry e;
	bool asked;
	int rc = tp_entry_make(&e, a, b, argv[1], TP_ENTRY_LABEL_USER);

	for (size_t i = 0; i < 2 && rc == 0; i++)
		rc = tp_entry_sign(&e, identity_pk(both[i]), identity_sk(both[i]));
	identity_free(peer);
	if (rc < 0)
		return rc;
	if (strcmp(what, "post") == 0)
		asked = tp_discovery_post(s, &e, on_entries, NULL) != NULL;
	else if (strcmp(what, "find") == 0)
		asked = tp_discovery_find(s, e.id, on_entries, NULL) != NULL;
	else
		asked = tp_discovery_delete(s, e.id, on_entries, NULL) != NULL;
	return asked ? 0 : -errno;
}

static int ask(
	struct service *s, const struct identity *us, const char *what, int argc, char **argv)
{
	static const char *const of_entries[] = {"post", "find", "delete"};
	struct key_pk pk;
	bool asked = false;

	errno = EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(of_entries); i++)
		if (strcmp(what, of_entries[i]) == 0 && argc == 2)
			return ask_discovery(s, us, what, argv);
	if (strcmp(what, "of") == 0)
		asked = tp_discovery_of(s, identity_pk(us), on_entries, NULL) != NULL;
	else if (strcmp(what, "bind") == 0 && argc >= 1)
		asked = resolver_bind(s, (uint16_t)atoi(argv[0]), (const char *const *)(argv + 1),
				(size_t)argc - 1, on_resolver, NULL) != NULL;
	else if (strcmp(what, "unbind") == 0)
		asked = resolver_unbind(s, on_resolver, NULL) != NULL;
	else if (strcmp(what, "list") == 0)
		asked = resolver_list(s, on_resolver, NULL) != NULL;
	else if (strcmp(what, "resolve") == 0 && argc == 1 &&
		 key_pk_from_text(&pk, argv[0], strlen(argv[0])) == 0)
		asked = resolver_find(s, &pk, on_resolver, NULL) != NULL;
	return asked ? 0 : -errno;
}

int main(int argc, char **argv)
{
	struct service_conf c = {.timeout_ms = 5000};
	struct http_client *http;
	struct identity *us;
	struct service *s;
	int rc;

	if (argc < 4)
		return 2;
	us = key(argv[1]);
	loop = loop_new();
	http = http_client_new(loop, "");
	c.loop = loop;
	c.http = http;
	c.id = us;
	c.url = argv[3];
	s = service_new(&c);
	rc = s == NULL ? -errno : ask(s, us, argv[2], argc - 4, argv + 4);
	if (rc == 0)
		loop_run(loop);
	else
		fprintf(stderr, "ask: %s\n", strerror(-rc));
	service_free(s);
	http_client_free(http);
	identity_free(us);
	loop_free(loop);
	return taken ? 0 : 1;
}
