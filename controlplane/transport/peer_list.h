// Who may connect, and who never may: keys from the configuration and from files. Built once, then
// only read. One thread.
//
// A file has one key a line, as `skyrail key show` prints it, and behind it a name if one is
// wanted; what follows '#' or ';' is a comment. A key that is denied anywhere is denied.
#pragma once

#include "lib/crypto/key.h"
#include "lib/shm/dpmsg.h"

#include <stddef.h>

enum peer_access {
	PEER_UNKNOWN, // on no list
	PEER_ALLOWED,
	PEER_DENIED,
};

enum {
	PEER_LIST_MAX = 1 << 16, // keys: reading so many takes about a second
	PEER_LIST_FILE_MAX = 16 << 20, // bytes
	PEER_LIST_ERR_MAX = 512,
};

struct peer_list;

struct peer_list *peer_list_new(void); // empty; NULL: no memory
void peer_list_free(struct peer_list *l); // NULL is allowed
// name may be "". 0, -ENOSPC (PEER_LIST_MAX), -ENOMEM.
int peer_list_add(
	struct peer_list *l, const struct key_pk *pk, enum peer_access access, const char *name);
// All keys of a text, of which `file` is what messages call it. 0, or -errno and one line in err
// ("file:line: ..."): then l is good for nothing but peer_list_free().
int peer_list_parse(struct peer_list *l, const char *file, const char *text, size_t len,
	enum peer_access access, char err[PEER_LIST_ERR_MAX]);
// The same of a file.
int peer_list_read(struct peer_list *l, const char *path, enum peer_access access,
	char err[PEER_LIST_ERR_MAX]);
// Nothing is added any more; to be called before peer_list_find().
void peer_list_done(struct peer_list *l);
size_t peer_list_count(const struct peer_list *l); // different keys
// l may be NULL: nobody is listed. name, when not NULL, gets the key's name, "" if it has none.
enum peer_access peer_list_find(
	const struct peer_list *l, const struct key_pk *pk, char name[DPMSG_NAME_LEN]);
