// How a record reads: one table of fields a record kind (api_rec.c), from which the CLI's tables
// and the JSON of CLI and HTTP API are made. Pure functions; nothing here does I/O.
#pragma once

#include "lib/api/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum api_kind {
	API_K_STR,
	API_K_UINT,
	API_K_INT,
	API_K_BOOL,
	API_K_WORD, // index into words[]
	API_K_PK, // hex; people see the first 8 characters
	API_K_UUID,
	API_K_ADDR, // struct api_addr
	API_K_MAC,
	API_K_MS, // duration
	API_K_US, // duration
	API_K_BYTES,
	API_K_SIZE, // bytes; people see the unit
	API_K_RATE, // bytes/s; people see bit/s
	API_K_PPM, // people see per cent
	API_K_TIME, // wall clock in ns
};

enum api_field_flags {
	API_F_WIDE = 1, // only with -a, and in JSON
	API_F_DASH = 2, // 0 means "none": people see "-"
	API_F_NULL = 4, // 0 means that it is not known, or that there is none: null in JSON
	API_F_ONES = 8, // all ones mean that it is not known: "-", null in JSON
	API_F_SPARE = 16, // left out of a table that would be too wide
	API_F_UNDER = 32, // a sentence: stands under the table, not in it
	API_F_CUT = 64, // loses its middle in a table that would be too wide
	API_F_WRAP = 128, // goes on in the next line of a table that would be too wide
	API_F_QUIET = 256, // 0, or not known: shown upright with -a only
	API_F_NAME = 512, // with others of them it is what a sentence under the table begins with
};

// What a field is about. Records whose fields have groups are shown as a block each when all
// fields are asked for.
enum api_group {
	API_G_NONE,
	API_G_LINK,
	API_G_PATH,
	API_G_LOSSES,
	API_G_QUEUE,
	API_G_HANDSHAKE,
	API_G_TRAFFIC,
	API_G_PLACE,
	API_G_LOAD,
	API_G_ROUTE,
	API_G_TIME,
	API_N_GROUPS
};

struct api_field {
	const char *name; // JSON key; carries the unit
	const char *label; // column head
	const char *const *words; // API_K_WORD
	uint16_t offset;
	uint16_t size;
	uint16_t flags;
	uint8_t kind; // enum api_kind
	uint8_t n_words;
	uint8_t group; // enum api_group
};

struct api_record {
	const char *name; // of the list, as the CLI's `show` says it
	const char *help;
	const struct api_field *fields;
	uint16_t n_fields;
	uint16_t size;
	uint16_t type; // enum api_type
	bool single; // there is only one: shown upright, JSON object instead of array
};

// All record kinds, and the one of a request type or NULL.
const struct api_record *api_records(size_t *n);
const struct api_record *api_record_find(uint16_t type);
// For an api_client_cb: copies a record of at least `size` bytes. 1; else what is to be returned:
// 0, it is the end, or -EPROTO, it is shorter.
int api_record_take(void *rec, size_t size, int more, const void *payload, size_t len);

// The field of a record as people read it. Always NUL-terminated; control characters from elsewhere
// become '?'. Returns buf.
char *api_field_text(const struct api_field *f, const void *rec, char *buf, size_t cap);
// "link", "path", ...; "" for none.
const char *api_group_name(unsigned group);
// Numbers are shown to the right.
bool api_field_right(const struct api_field *f);

// The record as one JSON object: length without the NUL, or -ENOSPC.
int api_record_json(const struct api_record *r, const void *rec, char *buf, size_t cap);
// A string with its quotes, escaped; bytes that are not UTF-8 become U+FFFD. Length or -ENOSPC.
int api_json_string(const char *s, size_t max_len, char *buf, size_t cap);

// Durations as people read them: "350ms", "12.5s", "3m20s", "2h05m", "4d03h".
char *api_duration_text(uint64_t ms, char *buf, size_t cap);
// "1.2.3.4:7780", "[fe80::1]:7780"; without a port when it is 0; "" for all zeros.
char *api_addr_text(const struct api_addr *a, char *buf, size_t cap);
int api_addr_parse(const char *text, struct api_addr *out); // IP:PORT; 0 or -EINVAL
// "10.9.0.1/24,fd00::1/64", to the addresses that it has; 0 or -EINVAL, also without any.
int api_nets_parse(const char *text, struct api_edge_add *e);

// A frame header read from a peer: 0, -EBADMSG when its length is impossible.
int api_frame_check(const struct api_frame *f);
// Is a fixed string field of a peer terminated and printable ASCII without spaces? -EINVAL if not,
// or if it is empty.
int api_name_check(const char *name, size_t cap);
