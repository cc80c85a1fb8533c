// What is asked of a route finder, and what it answers (skywire-routing 6.5). The names of members
// matter: hop limits under others are 0, and then there is no route. Pure but for jansson's own
// memory.
//
//   {"Edges":["SRC:DST","DST:SRC"],"Opts":{"MinHops":1,"MaxHops":50}}
//   {"SRC:DST":[[{"TpID":UUID,"From":PK,"To":PK},...],...],"DST:SRC":...}
#pragma once

#include "lib/wire/setup_msg.h"

#include <sys/types.h>

enum {
	FINDER_PATHS_MAX = 5, // of one direction: as many as finders give
	FINDER_REQUEST_MAX = 384, // with the final NUL
	FINDER_JSON_MAX = 256 * 1024, // longest answer: 10 paths of 50 hops are 110 KB
	FINDER_HOPS_DEFAULT = SETUP_HOPS_MAX,
};

struct finder_ask {
	struct key_pk src, dst;
	uint16_t min_hops, max_hops; // both directions; max_hops is not 0
};

struct finder_paths {
	uint32_t n;
	struct setup_path path[FINDER_PATHS_MAX]; // as they came: shortest first
};

struct finder_answer {
	struct finder_paths forward, reverse;
	uint32_t n_bad; // paths left out: hops that don't follow each other from end to end, too
			// many
};

// Its length or -ENOSPC.
ssize_t finder_request_write(const struct finder_ask *ask, char *out, size_t cap);
// null, and a pair that is not there, are no paths. -EBADMSG: not such JSON.
int finder_answer_read(
	struct finder_answer *a, const struct finder_ask *ask, const char *json, size_t len);
