// Asks dmsg discoveries (dmsg 8): who has which entry, which servers there are; and puts and
// removes our own entries. Several discoveries are asked in turn; what was found is remembered for
// a while. Answers are judged here: one that is malformed, too long or of another key is none.
// Loop's thread only.
#pragma once

#include "controlplane/http/http_client.h"
#include "lib/wire/dmsg_answer.h"
#include "lib/wire/dmsg_entry.h"

enum {
	DIR_CLIENT_URLS_MAX = 4,
	DIR_CLIENT_TIMEOUT_MS = 10000, // of one request, unless configured
	DIR_CLIENT_SERVERS_MAX = 512, // of one list; upstream samples as many
	DIR_CLIENT_CACHE_MAX = 256, // entries
	DIR_CLIENT_CACHE_MS = 30000,
};

struct dir_client;
struct dir_ask;

struct dir_client_conf {
	struct loop *loop;
	struct http_client *http; // borrowed; outlives this
	const char *const *urls; // without the path /dmsg-discovery; copied
	size_t n_urls;
	uint32_t timeout_ms; // 0: DIR_CLIENT_TIMEOUT_MS
};

struct dir_client_stats {
	uint64_t asked; // requests to discoveries
	uint64_t cached; // questions that needed none
	uint64_t failed; // without an answer that can be read
	uint64_t refused; // with one that says no, but for "there is none"
	uint32_t cache_len; // now
};

struct dir_result {
	int err; // -errno: no answer, or none that can be read (-EBADMSG, -EMSGSIZE)
	enum dmsg_answer answer; // when err is 0
	const struct dmsg_entry *entries; // when the answer is OK; borrowed
	size_t n;
};

// "" when it is OK; text for people.
const char *dir_result_text(const struct dir_result *r);

// NULL and errno: EINVAL (no URL, too many, one that is none). Owner: the caller.
struct dir_client *dir_client_new(const struct dir_client_conf *conf);
// Questions are to be cancelled before. NULL is allowed.
void dir_client_free(struct dir_client *d);
size_t dir_client_n_urls(const struct dir_client *d);
const char *dir_client_url(const struct dir_client *d, size_t i);
// Adds to what is in sum; NULL adds nothing.
void dir_client_stats_add(const struct dir_client *d, struct dir_client_stats *sum);

// Called once, never from within the call that asks. These return NULL and errno (ENOMEM; EBUSY:
// too much is asked already).
typedef void (*dir_fn)(void *arg, const struct dir_result *r);
// The entry of a key: of the first discovery that has one. DMSG_ANSWER_NO_ENTRY when all say so.
struct dir_ask *dir_client_find(
	struct dir_client *d, const struct key_pk *pk, dir_fn fn, void *arg);
// What is remembered of it turned out to be wrong.
void dir_client_forget(struct dir_client *d, const struct key_pk *pk);
// Servers with room for clients, or all: of the first discovery that has any.
struct dir_ask *dir_client_servers(struct dir_client *d, dir_fn fn, void *arg);
struct dir_ask *dir_client_all_servers(struct dir_client *d, dir_fn fn, void *arg);

// At discovery i only, and nothing remembered.
struct dir_ask *dir_client_find_at(
	struct dir_client *d, size_t i, const struct key_pk *pk, dir_fn fn, void *arg);
struct dir_ask *dir_client_post(struct dir_client *d, size_t i,
	const struct dmsg_entry *signed_entry, dir_fn fn, void *arg);
struct dir_ask *dir_client_delete(struct dir_client *d, size_t i,
	const struct dmsg_entry *signed_entry, dir_fn fn, void *arg);

// No call any more. NULL is allowed; not after the call.
void dir_ask_cancel(struct dir_ask *a);
