// A sorted array: lists are read whole when the configuration is, and asked once a handshake. What
// follows from a verdict is the manager's business.
#include "controlplane/transport/peer_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/api_field.h"
#include "lib/base/vec.h"

struct entry {
	struct key_pk pk;
	uint8_t access;
	char name[DPMSG_NAME_LEN];
};

struct peer_list {
	VEC(struct entry) keys;
};

struct peer_list *peer_list_new(void)
{
	return calloc(1, sizeof(struct peer_list));
}

void peer_list_free(struct peer_list *l)
{
	if (l != NULL)
		vec_free(&l->keys);
	free(l);
}

int peer_list_add(
	struct peer_list *l, const struct key_pk *pk, enum peer_access access, const char *name)
{
	struct entry e = {.pk = *pk, .access = (uint8_t)access};

	if (l->keys.n >= PEER_LIST_MAX)
		return -ENOSPC;
	snprintf(e.name, sizeof(e.name), "%s", name);
	return vec_push(&l->keys, e);
}

// ---- text ----

struct at {
	const char *file;
	unsigned line;
	char *err;
};

static int bad(const struct at *at, int rc, const char *what)
{
	snprintf(at->err, PEER_LIST_ERR_MAX, "%.200s:%u: %s", at->file, at->line, what);
	return rc;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && *p != ' ' && *p != '\t' && *p != '\r')
		p++;
	return p;
}

// One line, without its end and its comment.
static int on_line(struct peer_list *l, const char *p, const char *end, enum peer_access access,
	const struct at *at)
{
	const char *key = skip_blanks(p, end), *key_end = word_end(key, end);
	const char *name = skip_blanks(key_end, end), *name_end = word_end(name, end);
	char text[DPMSG_NAME_LEN] = "";
	const char *wrong;
	struct key_pk pk;
	int rc;

	if (key == end)
		return 0;
	wrong = key_pk_wrong(key, (size_t)(key_end - key));
	if (wrong != NULL)
		return bad(at, -EINVAL, wrong);
	key_pk_from_text(&pk, key, (size_t)(key_end - key));
	if (skip_blanks(name_end, end) != end)
		return bad(at, -EINVAL, "a line is a key and, if you like, one word as its name");
	if (name_end - name >= (ptrdiff_t)sizeof(text))
		return bad(at, -EINVAL, "a name has at most 31 characters");
	memcpy(text, name, (size_t)(name_end - name));
	if (name != name_end && (memchr(name, '\0', (size_t)(name_end - name)) != NULL ||
					api_name_check(text, sizeof(text)) < 0))
		return bad(at, -EINVAL, "a name has no blanks, no '/' and nothing unprintable");
	rc = peer_list_add(l, &pk, access, text);
	if (rc == -ENOSPC)
		return bad(at, rc, "too many keys");
	return rc < 0 ? bad(at, rc, "out of memory") : 0;
}

int peer_list_parse(struct peer_list *l, const char *file, const char *text, size_t len,
	enum peer_access access, char err[PEER_LIST_ERR_MAX])
{
	struct at at = {.file = file, .err = err};
	const char *p = text, *end = text + len;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		const char *stop;
		int rc;

		eol = eol != NULL ? eol : end;
		for (stop = p; stop < eol && *stop != '#' && *stop != ';'; stop++)
			;
		at.line++;
		rc = on_line(l, p, stop, access, &at);
		if (rc < 0)
			return rc;
		p = eol < end ? eol + 1 : end;
	}
	return 0;
}

// The whole file: *text is the caller's.
static int slurp(const char *path, char **text, size_t *len)
{
	size_t cap = 1 << 16;
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (f == NULL)
		return -errno;
	*text = malloc(cap);
	*len = 0;
	while (rc == 0 && *text != NULL) {
		size_t n = fread(*text + *len, 1, cap - *len, f);
		char *more;

		*len += n;
		if (ferror(f))
			rc = -EIO;
		else if (*len < cap)
			break;
		else if (cap >= PEER_LIST_FILE_MAX)
			rc = -EFBIG;
		if (rc != 0)
			break;
		more = realloc(*text, cap *= 2);
		if (more == NULL)
			rc = -ENOMEM;
		else
			*text = more;
	}
	fclose(f);
	return *text == NULL ? -ENOMEM : rc;
}

int peer_list_read(
	struct peer_list *l, const char *path, enum peer_access access, char err[PEER_LIST_ERR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int rc = slurp(path, &text, &len);

	if (rc == 0)
		rc = peer_list_parse(l, path, text, len, access, err);
	else
		snprintf(err, PEER_LIST_ERR_MAX, "%.200s: %s", path, strerror(-rc));
	free(text);
	return rc;
}

// ---- look-up ----

// Of one key, the verdict that counts first, and named ones before the others.
static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int cmp = key_pk_cmp(&x->pk, &y->pk);

	if (cmp == 0)
		cmp = (int)y->access - (int)x->access;
	return cmp != 0 ? cmp : (y->name[0] != '\0') - (x->name[0] != '\0');
}

void peer_list_done(struct peer_list *l)
{
	size_t n = 0;

	if (l->keys.n == 0)
		return;
	qsort(l->keys.v, l->keys.n, sizeof(l->keys.v[0]), by_key);
	for (size_t i = 0; i < l->keys.n; i++) {
		if (n == 0 || key_pk_cmp(&l->keys.v[n - 1].pk, &l->keys.v[i].pk) != 0)
			l->keys.v[n++] = l->keys.v[i];
	}
	l->keys.n = n;
}

size_t peer_list_count(const struct peer_list *l)
{
	return l->keys.n;
}

static int find_key(const void *key, const void *elem)
{
	return key_pk_cmp(key, &((const struct entry *)elem)->pk);
}

enum peer_access peer_list_find(
	const struct peer_list *l, const struct key_pk *pk, char name[DPMSG_NAME_LEN])
{
	const struct entry *e = NULL;

	if (l != NULL && l->keys.n > 0)
		e = bsearch(pk, l->keys.v, l->keys.n, sizeof(l->keys.v[0]), find_key);
	if (name != NULL)
		snprintf(name, DPMSG_NAME_LEN, "%s", e != NULL ? e->name : "");
	return e != NULL ? (enum peer_access)e->access : PEER_UNKNOWN;
}
