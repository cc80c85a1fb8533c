// From a Skywire visor's configuration (JSON, of 2024 or 2026) to ours: the text of
// controlplane.ini, the key, and what of the visor's fields has no use here. Text in, text out:
// files are cmd_import.c's. While one is read, jansson's memory is wiped when it is freed, for the
// whole process: one thread.
#pragma once

#include "lib/conf/conf.h"
#include "lib/crypto/key.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	IMPORT_JSON_MAX = 1 << 20, // bytes; what skywire-cli writes has 4 to 10 thousand
	IMPORT_PATH_MAX = 96, // of a field's path, as it is shown
	IMPORT_NOTES_MAX = 200,
	// What the control plane takes; tests/fuzz/fuzz_import.c compares.
	IMPORT_SERVERS_MAX = 16,
	IMPORT_LAN_MAX = 4,
	IMPORT_HYPERVISORS_MAX = 16,
	IMPORT_SETUP_MAX = 64, // nodes that lay routes, and that have transports made
	IMPORT_STCP_MAX = 256, // transports
	IMPORT_URLS_MAX = 4,
	IMPORT_KEYS_MAX = 2,
	IMPORT_FILE_MAX = 256, // with the NUL; longer ones don't fit into a line
};

enum import_kind {
	IMPORT_LATER, // skyrail has no such thing yet
	IMPORT_NONE, // nor will it: no counterpart
	IMPORT_UNKNOWN, // no field of a visor
	IMPORT_LEFT, // it has, but this one was not taken
	IMPORT_KINDS,
};

struct import_note {
	enum import_kind kind;
	char path[IMPORT_PATH_MAX]; // "dmsg.servers[2].server.address_v6"; printable ASCII
	const char *why; // static; "" for IMPORT_UNKNOWN
	unsigned more; // of the same field, in other elements of its list
};

struct import_key {
	char file[IMPORT_FILE_MAX]; // as the text names it; "": it does not
	struct key_sk sk;
};

struct import;

// key_file: where the node will find its key, an absolute path that fits IMPORT_FILE_MAX; its
// directory is the state_dir, where keys of other roles lie, too. NULL: the text is to be shown, so
// it names no files and holds no secret. Returns NULL, and a line for each mistake in err, with the
// field's path, or line and column where it is no JSON; no secret is in it. Owner: the caller.
struct import *import_read(
	const char *json, size_t len, const char *key_file, char err[CONF_ERR_MAX]);
void import_free(struct import *im); // wipes; NULL is allowed

// controlplane.ini, with a NUL behind it.
const char *import_text(const struct import *im, size_t *len);
bool import_has_secret(const struct import *im); // the text holds one
const struct key_pk *import_pk(const struct import *im);
// Of all roles that have a key file; the first is the node's.
const struct import_key *import_keys(const struct import *im, size_t *n);
// Fields that were not taken, in the order of the file. *more: so many beyond IMPORT_NOTES_MAX.
const struct import_note *import_notes(const struct import *im, size_t *n, unsigned *more);
// "dmsg.servers[2].static": where a line of the text (from 1) has its value from; NULL: from none.
const char *import_field_of(const struct import *im, unsigned line);
// Sections of that class in the text; of "discovery": URLs.
unsigned import_count(const struct import *im, const char *what);
bool import_has(const struct import *im, const char *section, const char *key); // in the text
