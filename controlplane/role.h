// What roles beside the node have in common: a key of their own, and discoveries. Loop's thread
// only.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/cp_conf.h"
#include "controlplane/directory/dir_client.h"
#include "lib/conf/conf.h"

// The key pair of a role, of [section] key_file; made if it is not there. It must be none of the
// `n` others (NULLs among them are passed over): a key that is two things breaks discoveries for
// everybody (real-peers 3.1). NULL: a line that says why was logged. Owner: the caller.
struct identity *role_key(
	const char *section, const char *key_file, const struct identity *const *others, size_t n);
// Those of the roles that c has, NULL for others; and no section takes one of ours for another's.
// 0 or -1, and why was logged. Owner, of what was opened in any case: the caller.
int role_keys(const struct cp_conf *c, const struct identity *node, struct identity **server,
	struct identity **setup);
// For a check: the keys that are there already can be read, and no section takes one for another's;
// nothing is made. 0 or -1, and why was logged.
int role_check(const struct cp_conf *c);
// *http is made if it is not there, with ca_file as http_client_new() has it. 0, or -errno, and a
// line was logged. Owner: the caller.
int role_http(struct loop *l, const char *ca_file, struct http_client **http);
// A client of these discoveries, NULL in *dir when there are none. *http is made with the first, as
// above. 0, or -errno, and a line was logged. Owner of both: the caller.
int role_dir(struct loop *l, const struct conf_list *urls, const char *ca_file,
	struct http_client **http, struct dir_client **dir);
