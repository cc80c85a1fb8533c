// What the files of the configuration share: cp_conf.c has the table and most sections.
#pragma once

#include "controlplane/cp_conf.h"

#define BAD(c, err, section, name, key, ...)                                                       \
	conf_mistake((c)->file, err, section, name, key, __VA_ARGS__)

// The first failure is what is returned, the others are told too.
static inline int cp_conf_worse(int before, int now)
{
	return before < 0 ? before : now;
}

// NULL, or what is wrong with a section's name.
const char *cp_conf_check_name(const char *text);
// ... with IP:PORT; an empty one is right.
const char *cp_conf_check_addr(const char *text);

// ---- cp_conf_dmsg.c ----

// 0 or -errno, and a line for each mistake.
int cp_conf_load_dmsg(struct cp_conf *c, char *err);
bool cp_conf_has_way_to_dmsg(const struct cp_values *v);
// Of sections whose keys the table checked. How many.
uint32_t cp_conf_load_keys(const struct conf_array *from, struct key_pk *to);

// ---- cp_conf_transport.c ----

int cp_conf_load_transports(struct cp_conf *c, char *err);
int cp_conf_load_listen(struct cp_conf *c, char *err);
int cp_conf_load_setup(struct cp_conf *c, char *err);

// ---- cp_conf_route.c ----

int cp_conf_load_routing(struct cp_conf *c, char *err);
