// What is in force of the keys that a reload does not take: those that are not marked live, as the
// control plane started with them. A section that a reload makes (an edge) is in force as it was
// made. Loop's thread only.
#pragma once

#include "controlplane/cp_conf.h"
#include "lib/api/api_rec.h"

struct in_force;

// NULL and errno. Owner: the caller.
struct in_force *in_force_new(const struct cp_conf *start);
void in_force_free(struct in_force *f); // NULL is allowed
// Makes ready to take it: 0 or -ENOMEM. Nothing changes yet.
int in_force_ready(struct in_force *f, const struct cp_conf *conf);
// A reload has taken this one, for which it was made ready last: sections that it makes or ends are
// so from now on.
void in_force_take(struct in_force *f, const struct cp_conf *conf);

struct in_force_key {
	const struct conf_item *item;
	const char *instance; // NULL: a plain section
	const char *value; // that is in force; NULL: the whole section is not
	enum api_change_kind change; // of the configuration since
};

// What a key of the configuration is: false: in force as it stands there.
bool in_force_waits(const struct in_force *f, const struct conf_entry *e, struct in_force_key *out);
// Keys that are in force and the configuration has not: of sections that are gone.
void in_force_each_gone(struct in_force *f, const struct conf *conf,
	void (*fn)(void *arg, const struct in_force_key *key), void *arg);
