// The part of Go's gob encoding that Skywire's messages need (dmsg 4.2). Values are matched by
// field name, as gob does: a reader says by a table what it wants and where it goes, fields that it
// does not name are skipped by their declared type, absent ones stay zero. Pure, no allocation:
// spans point into the input.
//
//     message    = byte count (uint) | content
//     content    = type id (int): negative: a descriptor follows; positive: a value of that type
//     struct     = { field number delta (uint) | value }* 0
//
// Type ids differ between processes, so each stream has its own table of descriptors.
//
// Not read: interface values.
#pragma once

#include "lib/base/bytes.h"

#include <sys/types.h>

enum gob_kind {
	GOB_NONE = 0,
	GOB_BOOL, // bool
	GOB_INT, // int64_t
	GOB_UINT, // uint64_t
	GOB_FLOAT, // double
	GOB_BYTES, // struct gob_span
	GOB_STRING, // struct gob_span, not NUL-terminated
	GOB_OPAQUE, // struct gob_span: a value that encodes itself to bytes (BinaryMarshaler)
	GOB_OCTETS, // uint8_t[max]: an array of so many unsigned integers up to 255
	GOB_STRUCT, // what `sub` says
	GOB_SLICE, // struct gob_list
	// below: skipped only
	GOB_COMPLEX,
	GOB_INTERFACE,
	GOB_ARRAY,
	GOB_MAP,
	GOB_OPAQUE_GOB, // GobEncoder
	GOB_OPAQUE_TEXT, // TextMarshaler
};

enum {
	GOB_TYPES_MAX = 32, // descriptors of one stream
	GOB_FIELDS_MAX = 64, // of a struct
	GOB_DEPTH_MAX = 16, // of values within values
	GOB_FIRST_ID = 64, // lower ones are predeclared
};

struct gob_span {
	const uint8_t *p; // NULL when absent
	size_t len;
};

// Elements of a slice, where they lie.
struct gob_list {
	const uint8_t *p;
	size_t len;
	uint64_t n; // still to be read
	uint32_t elem; // their type
};

struct gob_struct;

struct gob_field {
	const char *name; // NULL for a value that is in no struct
	enum gob_kind kind;
	uint32_t ofs; // in the caller's struct
	uint64_t max; // GOB_UINT: highest value; GOB_OCTETS: how many; else unused
	const struct gob_struct *sub; // GOB_STRUCT
};

struct gob_struct {
	const struct gob_field *f;
	uint32_t n_fields;
};

struct gob_type {
	uint32_t id;
	uint8_t kind; // enum gob_kind
	uint32_t key, elem; // map; array, slice, map
	uint64_t len; // array
	const uint8_t *fields; // struct: the encoded list, without its count
	uint32_t n_fields;
	size_t fields_len;
};

// Zeroed is empty. Borrows the descriptors' bytes: they must live as long as the table.
struct gob_types {
	struct gob_type t[GOB_TYPES_MAX];
	uint32_t n;
};

// Reads messages up to and including the first value and puts it into `out`, which the caller has
// zeroed. Returns the bytes used; what lies behind the value within its message is skipped, as Go
// does. -EAGAIN: more bytes are needed; -EBADMSG: malformed, an undefined type, a named field of
// another kind, or more than the limits above (types and out are then of no use).
ssize_t gob_read(struct gob_types *types, const uint8_t *p, size_t len, const struct gob_struct *as,
	void *out);

// ---- a stream that is read a message at a time, where descriptors come once ----

// Of the whole message that p begins with, its count included. -EAGAIN; -EBADMSG: malformed, or its
// content is longer than `max`.
ssize_t gob_message_len(const uint8_t *p, size_t len, size_t max);
// The functions below take one whole message.
bool gob_is_type(const uint8_t *msg, size_t len);
// Adds a descriptor; borrows the message. -EBADMSG as above.
int gob_add_type(struct gob_types *types, const uint8_t *msg, size_t len);
// Puts a value of the kind `as` at out + as->ofs, which the caller has zeroed. -EBADMSG as above.
int gob_read_value(const struct gob_types *types, const uint8_t *msg, size_t len,
	const struct gob_field *as, void *out);
// Takes the next element; 1, or 0 at the end; -EBADMSG: elements are of another kind, or malformed.
int gob_list_next(const struct gob_types *types, struct gob_list *list, const struct gob_field *as,
	void *out);

// ---- elements, for encoders ----

void gob_put_uint(struct bytes_w *w, uint64_t v);
void gob_put_int(struct bytes_w *w, int64_t v);
void gob_put_float(struct bytes_w *w, double v);
// Bytes, string, or what a value encoded itself to.
void gob_put_bytes(struct bytes_w *w, const void *p, size_t len);
// An array of unsigned 8-bit integers.
void gob_put_octets(struct bytes_w *w, const uint8_t *p, size_t len);
// Goes before the value of a field; those that are zero are left out. Numbers are from 1; *last
// begins as 0. After the last field comes gob_put_uint(w, 0).
void gob_put_field(struct bytes_w *w, unsigned *last, unsigned number);
// The whole field, with a value as gob_put_bytes() has it; nothing when that is empty.
void gob_put_bytes_field(
	struct bytes_w *w, unsigned *last, unsigned number, const void *p, size_t len);
// The content, a type id and what follows it, as a message; what did not fit there is bad here.
void gob_put_message(struct bytes_w *w, const struct bytes_w *content);
