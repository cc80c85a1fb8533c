// Keeps an entry of ours, a client's or a server's, at each discovery (dmsg 8.3): again every
// minute and soon after a change, removed at the end. A discovery that fails is tried again for as
// long as it takes, and disturbs no other. Loop's thread only.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/directory/dir_client.h"

enum {
	DMSG_PUBLISH_EVERY_MS = 60000, // entries of servers live two minutes
	DMSG_PUBLISH_SOON_MS = 1000, // after a change: several of them are one
	DMSG_PUBLISH_RETRY_MIN_MS = 1000, // grows up to the other
	DMSG_PUBLISH_RETRY_MAX_MS = 20000,
	DMSG_PUBLISH_LEAVE_MS = 5000,
	DMSG_PUBLISH_ERR_LEN = 96,
};

struct dmsg_publish;

struct dmsg_publish_conf {
	struct loop *loop;
	struct dir_client *dir; // borrowed
	const struct identity *id; // whose entry it is; borrowed
	const char *of; // as in dmsg_client_conf
	uint32_t every_ms, soon_ms, retry_min_ms; // 0: as above
	// What stands in the entry now: the parts of client or server, client_type, protocol. The
	// rest, which is zero, is filled in here.
	void (*fill)(void *arg, struct dmsg_entry *e);
	// Each discovery has answered or failed once. May be NULL.
	void (*tried)(void *arg);
	void *arg;
};

struct dmsg_publish_site {
	const char *url;
	bool listed; // our entry is there, as far as we know
	uint64_t sequence; // of it
	uint64_t since_ns; // monotonic: when it was put there last; 0: never
	uint64_t next_ns; // when it is put there again; 0: now
	uint64_t published, failed;
	const char *err; // of the last try; "": none
};

// NULL and errno. Owner: the caller. Begins at once.
struct dmsg_publish *dmsg_publish_new(const struct dmsg_publish_conf *conf);
// Leaves the entries where they are. NULL is allowed.
void dmsg_publish_free(struct dmsg_publish *p);
// What `fill` says may have changed.
void dmsg_publish_changed(struct dmsg_publish *p);
// Removes the entries and publishes no more; `done` comes once, within DMSG_PUBLISH_LEAVE_MS, never
// from within the call.
void dmsg_publish_leave(struct dmsg_publish *p, loop_fn done, void *arg);
void dmsg_publish_each(const struct dmsg_publish *p,
	void (*fn)(void *arg, const struct dmsg_publish_site *s), void *arg);
