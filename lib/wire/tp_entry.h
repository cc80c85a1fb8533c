// Entries of transports (skywire-routing 6.3, 6.5): who is joined by what. Both ends sign one; it
// is the text of a transport's settlement, and what a transport discovery keeps.
//
//   {"entry":{"t_id":uuid,"edges":[low,high],"type":t,"label":"user"},"signatures":[sig,sig]}
//
// The signatures stand in the order of the edges and are over lib/wire/entry.h's bytes, not over
// the text; a missing one is all zeros. Pure but for jansson's own memory.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"
#include "lib/wire/entry.h"

#include <sys/types.h>

enum {
	TP_ENTRY_LABEL_LEN = 32, // with the final NUL
	TP_ENTRY_TEXT_MAX = 640, // of the longest that is written, with LF and NUL
	TP_ENTRY_JSON_MAX = 4096, // longest text of one that is read
	TP_ENTRY_LIST_MAX = 1024, // entries of one list
};

#define TP_ENTRY_LABEL_USER "user"
#define TP_ENTRY_LABEL_AUTOMATIC "automatic"
#define TP_ENTRY_LABEL_SKYCOIN "skycoin"

struct tp_entry {
	uint8_t id[ENTRY_ID_LEN];
	struct key_pk edge[2]; // ascending; equal for a transport to oneself
	char type[ENTRY_TYPE_MAX + 1];
	char label[TP_ENTRY_LABEL_LEN];
	struct sign_sig sig[2]; // of the edge with the same index; zeros: not signed
};

// Id, edges in order, no signatures. -EINVAL: no such type or label (printable ASCII without
// " \ < > & , which Go writes otherwise; the type is not empty).
int tp_entry_make(struct tp_entry *e, const struct key_pk *a, const struct key_pk *b,
	const char *type, const char *label);
// Is it the one entry of this pair and type, with the id that they make? Label and signatures don't
// count.
bool tp_entry_is_of(
	const struct tp_entry *e, const struct key_pk *a, const struct key_pk *b, const char *type);

// Adds the signature of pk, whose secret key sk is. -EINVAL: it is no edge, or a bad key.
int tp_entry_sign(struct tp_entry *e, const struct key_pk *pk, const struct key_sk *sk);
// 0 when pk is an edge and has signed; else -EBADMSG.
int tp_entry_verify(const struct tp_entry *e, const struct key_pk *pk);

// As Go writes it, NUL-terminated, without LF; its length or -ENOSPC.
ssize_t tp_entry_write(const struct tp_entry *e, char *out, size_t cap);
// A signed entry. -EBADMSG: not such JSON, longer than TP_ENTRY_JSON_MAX, another number of edges
// or signatures. Whether id and signatures are right is not looked at. No signatures are zeros.
int tp_entry_read(struct tp_entry *e, const char *json, size_t len);
// An entry without its envelope, as a transport discovery answers; the signatures are zeros.
int tp_entry_read_plain(struct tp_entry *e, const char *json, size_t len);
// A list of those; null is an empty one. Those that cannot be read are left out and counted in
// *n_bad (may be NULL). Number of entries put into `e`, at most max; -EBADMSG: no list.
ssize_t tp_entry_read_list(
	struct tp_entry *e, size_t max, const char *json, size_t len, size_t *n_bad);
