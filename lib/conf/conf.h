// Configuration files, driven by one table per program: section, key, type, range, default, where
// the value goes, whether a change needs a restart, one line of help. A file is taken whole or not
// at all: each load makes a fresh values struct, so a bad file changes nothing. Named sections
// (`[port wan0]`) become elements of an array. Errors are texts with file:line, one a line of text,
// all that are found but CONF_MISTAKES_MAX at most. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type {
	CONF_BOOL, // yes/no, true/false, on/off, 1/0 -> bool
	CONF_INT, // -> int8_t .. int64_t, by the field's size
	CONF_UINT, // decimal or 0x hex -> uint8_t .. uint64_t, ditto
	CONF_STR, // -> char *, never NULL; min and max bound its length when max > 0
	CONF_DURATION, // 250ms, 10s, 2m, 1h, 1d; us, ns too -> uint64_t in nanoseconds
	CONF_SIZE, // 65536, 64k, 1M, 2G (powers of 1024) -> uint64_t in bytes
	CONF_ENUM, // one of names -> int, the place in names
	CONF_LIST, // words separated by commas or blanks -> struct conf_list; at most max
};

enum { // flags of an item
	CONF_LIVE = 1, // a changed value is taken without a restart
	CONF_SECRET = 4, // is not shown: conf_walk() and conf_print() give CONF_HIDDEN for it
	CONF_REQUIRED = 2, // has no default: must be there (in each instance of a named section)
};

enum {
	CONF_NAME_MAX = 31,
	CONF_LINE_MAX = 190, // bytes of a line without its end and the blanks before it
	CONF_MISTAKES_MAX = 20,
	CONF_MISTAKE_MAX = 384, // bytes of one, with its NUL or newline
	CONF_ERR_MAX = 8192, // all of them and a line that says that there are more
};

#define CONF_HIDDEN "(not shown)"
#define CONF_MS(x) ((x)*1000000ll)
#define CONF_S(x) ((x)*1000000000ll)

struct conf_list {
	char **v;
	size_t n;
};

// Field of a named section: the instances in the order of the file.
struct conf_array {
	void *v; // n elements of elem_size bytes
	size_t n;
};

struct conf_item {
	const char *section; // a plain section, or the class of a named one
	const char *key;
	enum conf_type type;
	const char *def; // text as in a file; NULL = "" for str and list
	int64_t min; // in the type's unit; min = max = 0: no bound but the field's size
	int64_t max;
	size_t offset; // in the values, or in the element of a named section
	size_t size; // of the field
	unsigned flags;
	const char *help;
	const char *const *names; // CONF_ENUM, ends in NULL
	const char *(*check)(const char *text); // NULL, or what is wrong with this text
};

// Fills offset and size: CONF_FIELD(struct dp_conf, workers).
#define CONF_FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)

// A class of named sections.
struct conf_class {
	const char *section;
	size_t array_offset; // struct conf_array in the values
	size_t elem_size;
	size_t name_offset; // char * in the element: the instance's name
	size_t max; // instances
};

struct conf_schema {
	const struct conf_item *items;
	size_t n_items;
	const struct conf_class *classes; // may be NULL
	size_t n_classes;
	size_t size; // of the values struct
	bool keep_bad; // a file with mistakes gives a result too: see conf_is_good()
};

struct conf;

// Reads a file; one that does not exist gives the defaults and conf_is_missing(). NULL on failure,
// with a line of text for each mistake in err ("file:line: ..."), by line. The caller owns the
// result.
struct conf *conf_load(const struct conf_schema *schema, const char *path, char err[CONF_ERR_MAX]);

// The same from memory; name stands for the file in messages and origins.
struct conf *conf_parse(const struct conf_schema *schema, const char *name, const void *text,
	size_t len, char err[CONF_ERR_MAX]);

// Frees the values too, and every string in them.
void conf_free(struct conf *c);

// The values struct that the schema describes; valid until conf_free.
const void *conf_values(const struct conf *c);
bool conf_is_missing(const struct conf *c);
// false: there were mistakes, and the schema has keep_bad: what could not be taken has its default,
// or is empty. Only good for further checks, so that all mistakes of a file are told at once.
bool conf_is_good(const struct conf *c);
// Was something wrong with this key, or it is missing and required?
bool conf_is_told(const struct conf *c, const char *section, const char *instance, const char *key);
const char *conf_path(const struct conf *c);
// Of the key if the file has it, else of the section; 0: it has neither.
unsigned conf_line(
	const struct conf *c, const char *section, const char *instance, const char *key);

// A line more in err, which holds a string; beyond CONF_MISTAKES_MAX only that there are more.
void conf_err_add(char err[CONF_ERR_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
// For mistakes that the table can't see: "FILE:LINE: [SECTION INSTANCE]: text" is added to err,
// with the line of the key if the file has it, else of the section (instance "" for a plain one).
// Nothing is added where conf_is_told(). -EINVAL.
int conf_mistake(const struct conf *c, char err[CONF_ERR_MAX], const char *section,
	const char *instance, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

// A mistake for each instance of a named section that has the same value as one before it; case
// does not count. 0 or -EINVAL.
int conf_same_before(
	const struct conf *c, char err[CONF_ERR_MAX], const char *section, const char *key);

struct conf_entry {
	const struct conf_item *item;
	const char *instance; // name of a named section, or NULL
	const char *value; // as text
	const char *origin; // "default" or file:line
};

// Each key with its value, in the order of the table, instances in the order of the file.
void conf_walk(
	const struct conf *c, void (*fn)(void *arg, const struct conf_entry *entry), void *arg);

// The same as an ini text; default and origin of each stand behind it as a comment.
void conf_print(const struct conf *c, FILE *out);
