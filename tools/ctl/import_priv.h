// What reading a visor's configuration is made of: import_map.c has the table of its fields,
// import.c goes through the JSON by it.
#pragma once

#include "tools/ctl/import.h"

#include "lib/base/vec.h"

#include <jansson.h>

enum import_type {
	IMPORT_TEXT,
	IMPORT_INT,
	IMPORT_BOOL,
	IMPORT_TEXTS, // a list of texts
	IMPORT_OBJECT,
	IMPORT_OBJECTS, // a list of them
	IMPORT_OBJECT_OR_LIST, // one, or a list of them
	IMPORT_PAIRS, // an object of texts under names that are data
};

// A value that is not null and not Go's zero, of the row's type. Of a list of texts, or of pairs:
// an element; of objects: one whose members have all been seen. `path` names it in mistakes.
typedef void (*import_fn)(struct import *im, const json_t *v, const char *path);

struct import_row {
	const char *name; // path without places in lists
	enum import_type type;
	import_fn take; // NULL: not taken, as kind says
	const char *section, *key; // where it goes, for the copying ones
	enum import_kind kind;
	const char *why;
};

const struct import_row *import_rows(size_t *n);

// A discovery entry of a dmsg server; texts are of the JSON document.
struct import_server {
	const char *key, *address, *type;
	char path[IMPORT_PATH_MAX];
};

// A URL or a key.
struct import_found {
	const char *text; // of the JSON document
	char path[IMPORT_PATH_MAX];
};

// Of a visor's table of addresses for stcp.
struct import_stcp {
	struct key_pk pk;
	const char *address; // of the JSON document
	char path[IMPORT_PATH_MAX];
};

// One that is kept up.
struct import_tp {
	struct key_pk pk;
	const char *type; // of the JSON document
	char path[IMPORT_PATH_MAX];
};

// A service of Skywire, and the two ways to it.
struct import_service {
	struct import_found url, dmsg;
};
enum { IMPORT_SERVICES = 3 };

struct import_set {
	char section[CONF_NAME_MAX + 1];
	const char *key;
	char *value; // owner; may be a secret
	char path[IMPORT_PATH_MAX];
};

struct import {
	char *err;
	bool failed;
	const struct import_row *row; // whose value is at hand
	const char *name; // of the pair at hand
	const char *key_file; // NULL: no secret may be in the text
	struct key_sk sk, lan_sk, setup_sk;
	struct key_pk pk, told_pk, lan_pk; // told: as the file says
	// of the dmsg deployment at hand
	struct import_found discovery, discovery_dmsg;
	unsigned n_deployments; // seen before it
	// of all
	bool direct_only;
	int64_t sessions;
	bool smux;
	bool lan_enabled;
	const char *servers_type;
	struct import_server server; // at hand
	VEC(struct import_server) servers, lan;
	VEC(struct import_found) urls, hypervisors;
	struct import_setup { // nodes that may set up, with their sections
		VEC(struct import_found) nodes;
	} route_setup, transport_setup;
	VEC(struct import_stcp) stcp;
	struct import_tp persistent; // at hand
	VEC(struct import_tp) persistents;
	json_int_t stcpr_port; // 0: not told
	char stcpr_path[IMPORT_PATH_MAX];
	unsigned n_urls; // that are in the text
	struct import_service services[IMPORT_SERVICES];
	VEC(struct import_set) sets;
	VEC(struct import_note) notes;
	unsigned more_notes;
	struct import_key keys[IMPORT_KEYS_MAX];
	size_t n_keys;
	char *text;
	size_t text_len;
};

// ---- import.c, for the table ----

// One more line: "path: text".
void import_mistake(struct import *im, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void import_note(struct import *im, enum import_kind kind, const char *path, const char *why);
// [section] key = value, from the field of this path.
void import_set(struct import *im, const char *section, const char *key, const char *value,
	const char *path);
// A file in the directory of the key; name "": that directory.
void import_beside_key(const struct import *im, const char *name, char out[IMPORT_FILE_MAX]);
void import_no_memory(struct import *im);

// ---- import_map.c ----

// When all fields have been seen: what several of them mean together.
void import_finish(struct import *im);
// Not there, null, or an empty text.
bool import_is_missing(const json_t *v);
// A public key of somebody; null and a mistake if it is none.
bool import_read_pk(struct import *im, const char *text, struct key_pk *pk, const char *path);

// ---- import_tp.c, for the table ----

void import_take_stcp_listen(struct import *im, const json_t *v, const char *path);
void import_take_stcp(struct import *im, const json_t *v, const char *path);
void import_take_stcpr_port(struct import *im, const json_t *v, const char *path);
void import_take_persistent_pk(struct import *im, const json_t *v, const char *path);
void import_take_persistent_type(struct import *im, const json_t *v, const char *path);
void import_end_persistent(struct import *im, const json_t *v, const char *path);
void import_finish_transports(struct import *im); // after the services
