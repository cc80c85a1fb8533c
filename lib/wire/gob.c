// Reading gob streams by a table of wanted fields (dmsg 4.2). A descriptor is kept as a kind and a
// few numbers; the field list of a struct stays where it lies in the input and is walked when it is
// needed. Every element of a value takes at least a byte, so a count is never larger than what is
// left, and values within values are bounded by GOB_DEPTH_MAX.

#include "lib/wire/gob.h"

#include "lib/base/err.h"

#include <string.h>

enum { // field numbers of a wireType
	WT_ARRAY = 0,
	WT_SLICE,
	WT_STRUCT,
	WT_MAP,
	WT_GOB,
	WT_BINARY,
	WT_TEXT,
};

enum { MESSAGE_MAX = 1 << 30 }; // Go's

// A first byte that announces more than eight.
static bool is_no_uint(uint8_t b)
{
	return b >= 128 && 256 - b > 8;
}

static uint64_t get_uint(struct bytes_r *r)
{
	uint8_t b = bytes_r_u8(r);

	if (b < 128)
		return b;
	if (is_no_uint(b)) {
		r->bad = true;
		return 0;
	}
	return bytes_r_be(r, 256u - b);
}

static int64_t get_int(struct bytes_r *r)
{
	uint64_t u = get_uint(r);

	return u & 1 ? (int64_t) ~(u >> 1) : (int64_t)(u >> 1);
}

static struct gob_span get_bytes(struct bytes_r *r)
{
	uint64_t len = get_uint(r);
	struct gob_span s = {NULL, 0};

	if (r->bad || len > bytes_r_left(r)) {
		r->bad = true;
		return s;
	}
	s.p = bytes_r_span(r, (size_t)len);
	s.len = (size_t)len;
	return s;
}

// Number of elements that follow.
static uint64_t get_count(struct bytes_r *r)
{
	uint64_t n = get_uint(r);

	if (n > bytes_r_left(r))
		r->bad = true;
	return r->bad ? 0 : n;
}

static double get_float(struct bytes_r *r)
{
	uint64_t bits = __builtin_bswap64(get_uint(r));
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

// The next field number of a struct; false at its end, or when it is bad. *num starts at -1.
static bool next_field(struct bytes_r *r, int64_t *num)
{
	uint64_t delta = get_uint(r);

	if (r->bad || delta == 0)
		return false;
	if (delta > GOB_FIELDS_MAX || *num + (int64_t)delta >= GOB_FIELDS_MAX) {
		r->bad = true;
		return false;
	}
	*num += (int64_t)delta;
	return true;
}

// ---- types ----

static const struct gob_type *find_type(const struct gob_types *types, uint32_t id)
{
	static const struct gob_type predeclared[] = {
		{.id = 1, .kind = GOB_BOOL},
		{.id = 2, .kind = GOB_INT},
		{.id = 3, .kind = GOB_UINT},
		{.id = 4, .kind = GOB_FLOAT},
		{.id = 5, .kind = GOB_BYTES},
		{.id = 6, .kind = GOB_STRING},
		{.id = 7, .kind = GOB_COMPLEX},
		{.id = 8, .kind = GOB_INTERFACE},
	};

	if (id >= 1 && id <= ARRAY_LEN(predeclared))
		return &predeclared[id - 1];
	for (uint32_t i = 0; i < types->n; i++)
		if (types->t[i].id == id)
			return &types->t[i];
	return NULL;
}

static uint32_t get_type_id(struct bytes_r *r)
{
	int64_t id = get_int(r);

	if (id <= 0 || id > INT32_MAX)
		r->bad = true;
	return r->bad ? 0 : (uint32_t)id;
}

// CommonType {0 Name, 1 Id} or a field {0 Name, 1 Id}: the same bytes.
static void get_named_id(struct bytes_r *r, struct gob_span *name, int64_t *id)
{
	int64_t num = -1;

	*name = (struct gob_span){NULL, 0};
	*id = 0;
	while (next_field(r, &num)) {
		if (num == 0)
			*name = get_bytes(r);
		else if (num == 1)
			*id = get_int(r);
		else
			r->bad = true;
	}
}

static void get_fields(struct bytes_r *r, struct gob_type *t)
{
	uint64_t n = get_count(r);

	if (n > GOB_FIELDS_MAX)
		r->bad = true;
	t->n_fields = (uint32_t)n;
	t->fields = r->p;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct gob_span name;
		int64_t id;

		get_named_id(r, &name, &id);
		if (name.len == 0 || id <= 0 || id > INT32_MAX)
			r->bad = true;
	}
	t->fields_len = (size_t)(r->p - t->fields);
}

static const uint8_t kind_of_wire_type[] = {
	[WT_ARRAY] = GOB_ARRAY,
	[WT_SLICE] = GOB_SLICE,
	[WT_STRUCT] = GOB_STRUCT,
	[WT_MAP] = GOB_MAP,
	[WT_GOB] = GOB_OPAQUE_GOB,
	[WT_BINARY] = GOB_OPAQUE,
	[WT_TEXT] = GOB_OPAQUE_TEXT,
};

// One of ArrayT and its kin: field 0 is the CommonType, the others depend on the kind.
static void get_wire_type_body(struct bytes_r *r, struct gob_type *t)
{
	int64_t num = -1;

	while (next_field(r, &num)) {
		struct gob_span name;
		int64_t id;

		if (num == 0)
			get_named_id(r, &name, &id);
		else if (num == 1 && (t->kind == GOB_ARRAY || t->kind == GOB_SLICE))
			t->elem = get_type_id(r);
		else if (num == 2 && t->kind == GOB_ARRAY)
			t->len = (uint64_t)get_int(r);
		else if (num == 1 && t->kind == GOB_STRUCT)
			get_fields(r, t);
		else if (num == 1 && t->kind == GOB_MAP)
			t->key = get_type_id(r);
		else if (num == 2 && t->kind == GOB_MAP)
			t->elem = get_type_id(r);
		else
			r->bad = true;
	}
}

static void get_descriptor(struct bytes_r *r, struct gob_types *types, int64_t neg_id)
{
	struct gob_type t = {.fields = r->p}; // a struct may have none
	int64_t num = -1;

	if (neg_id < -INT32_MAX || neg_id > -GOB_FIRST_ID || types->n == GOB_TYPES_MAX) {
		r->bad = true;
		return;
	}
	t.id = (uint32_t)-neg_id;
	if (find_type(types, t.id) != NULL) {
		r->bad = true; // defined twice
		return;
	}
	if (!next_field(r, &num) || num >= (int64_t)ARRAY_LEN(kind_of_wire_type)) {
		r->bad = true;
		return;
	}
	t.kind = kind_of_wire_type[num];
	get_wire_type_body(r, &t);
	// exactly one of them, and nothing behind it
	if (get_uint(r) != 0 || bytes_r_left(r) != 0)
		r->bad = true;
	if (!r->bad)
		types->t[types->n++] = t;
}

// ---- values ----

// as: what is wanted of it, NULL: nothing. depth: of its fields.
static void read_struct(struct bytes_r *r, const struct gob_types *types, const struct gob_type *t,
	const struct gob_struct *as, void *out, unsigned depth);
static void skip_value(
	struct bytes_r *r, const struct gob_types *types, uint32_t id, unsigned depth);

static void skip_elements(
	struct bytes_r *r, const struct gob_types *types, const struct gob_type *t, unsigned depth)
{
	uint64_t n = get_count(r);

	if (t->kind == GOB_ARRAY && n != t->len)
		r->bad = true;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		if (t->kind == GOB_MAP)
			skip_value(r, types, t->key, depth);
		skip_value(r, types, t->elem, depth);
	}
}

static void skip_value(
	struct bytes_r *r, const struct gob_types *types, uint32_t id, unsigned depth)
{
	const struct gob_type *t = find_type(types, id);

	if (t == NULL || depth > GOB_DEPTH_MAX || r->bad) {
		r->bad = true;
		return;
	}
	switch ((enum gob_kind)t->kind) {
	case GOB_COMPLEX:
		get_uint(r);
		__attribute__((fallthrough));
	case GOB_BOOL:
	case GOB_INT:
	case GOB_UINT:
	case GOB_FLOAT:
		get_uint(r);
		return;
	case GOB_BYTES:
	case GOB_STRING:
	case GOB_OPAQUE:
	case GOB_OPAQUE_GOB:
	case GOB_OPAQUE_TEXT:
		get_bytes(r);
		return;
	case GOB_STRUCT:
		read_struct(r, types, t, NULL, NULL, depth + 1);
		return;
	case GOB_ARRAY:
	case GOB_SLICE:
	case GOB_MAP:
		skip_elements(r, types, t, depth + 1);
		return;
	default:
		r->bad = true; // interface values are not read
	}
}

static const struct gob_field *find_field(const struct gob_struct *as, struct gob_span name)
{
	for (uint32_t i = 0; i < as->n_fields; i++)
		if (strlen(as->f[i].name) == name.len &&
			memcmp(as->f[i].name, name.p, name.len) == 0)
			return &as->f[i];
	return NULL;
}

static bool is_compatible(
	const struct gob_types *types, uint32_t id, const struct gob_field *f, unsigned depth);

// Every field that has a wanted name must have the wanted kind, sent or not; any other one must be
// of a type that is known.
static bool fields_fit(const struct gob_types *types, const struct gob_type *t,
	const struct gob_struct *as, unsigned depth)
{
	struct bytes_r list = bytes_r(t->fields, t->fields_len);

	for (uint32_t i = 0; i < t->n_fields; i++) {
		const struct gob_field *f;
		struct gob_span name;
		int64_t id;

		get_named_id(&list, &name, &id);
		f = find_field(as, name);
		if (f != NULL ? !is_compatible(types, (uint32_t)id, f, depth)
			      : find_type(types, (uint32_t)id) == NULL)
			return false;
	}
	return true;
}

static bool is_compatible(
	const struct gob_types *types, uint32_t id, const struct gob_field *f, unsigned depth)
{
	const struct gob_type *t = find_type(types, id);
	const struct gob_type *elem;

	if (t == NULL || depth > GOB_DEPTH_MAX)
		return false;
	if (f->kind == GOB_OCTETS) {
		elem = find_type(types, t->elem);
		return t->kind == GOB_ARRAY && t->len == f->max && elem != NULL &&
		       elem->kind == GOB_UINT;
	}
	if (t->kind != f->kind)
		return false;
	return t->kind != GOB_STRUCT || fields_fit(types, t, f->sub, depth + 1);
}

static struct gob_list get_list(
	struct bytes_r *r, const struct gob_types *types, const struct gob_type *t)
{
	struct gob_list l = {.n = get_count(r), .elem = t->elem};

	l.p = r->p;
	for (uint64_t i = 0; i < l.n && !r->bad; i++)
		skip_value(r, types, t->elem, 2);
	l.len = (size_t)(r->p - l.p);
	return l;
}

static void read_octets(struct bytes_r *r, uint8_t *dst, uint64_t n)
{
	if (get_count(r) != n)
		r->bad = true;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t v = get_uint(r);

		if (v > 255)
			r->bad = true;
		dst[i] = (uint8_t)v;
	}
}

// The kinds have been compared already.
static void read_field(struct bytes_r *r, const struct gob_types *types, uint32_t id,
	const struct gob_field *f, void *out)
{
	uint8_t *dst = (uint8_t *)out + f->ofs;

	switch (f->kind) {
	case GOB_BOOL:
		*(bool *)(void *)dst = get_uint(r) != 0;
		return;
	case GOB_INT:
		*(int64_t *)(void *)dst = get_int(r);
		return;
	case GOB_UINT:
		*(uint64_t *)(void *)dst = get_uint(r);
		if (*(uint64_t *)(void *)dst > f->max)
			r->bad = true;
		return;
	case GOB_FLOAT:
		*(double *)(void *)dst = get_float(r);
		return;
	case GOB_OCTETS:
		read_octets(r, dst, f->max);
		return;
	case GOB_STRUCT:
		read_struct(r, types, find_type(types, id), f->sub, dst, 1);
		return;
	case GOB_SLICE:
		*(struct gob_list *)(void *)dst = get_list(r, types, find_type(types, id));
		return;
	default: // bytes, string, opaque
		*(struct gob_span *)(void *)dst = get_bytes(r);
	}
}

static void read_struct(struct bytes_r *r, const struct gob_types *types, const struct gob_type *t,
	const struct gob_struct *as, void *out, unsigned depth)
{
	struct bytes_r list = bytes_r(t->fields, t->fields_len);
	int64_t num = -1, at = -1, id = 0;
	struct gob_span name = {NULL, 0};

	while (next_field(r, &num)) {
		const struct gob_field *f;

		if (num >= (int64_t)t->n_fields) {
			r->bad = true;
			return;
		}
		for (; at < num; at++)
			get_named_id(&list, &name, &id);
		f = as == NULL ? NULL : find_field(as, name);
		if (f != NULL)
			read_field(r, types, (uint32_t)id, f, out);
		else
			skip_value(r, types, (uint32_t)id, depth);
	}
}

// ---- messages ----

ssize_t gob_message_len(const uint8_t *p, size_t len, size_t max)
{
	struct bytes_r r = bytes_r(p, len);
	uint64_t n = get_uint(&r);

	// a cut count may become whole, one of more than eight bytes may not
	if (r.bad)
		return len > 0 && is_no_uint(*p) ? -EBADMSG : -EAGAIN;
	if (n > max)
		return -EBADMSG;
	return n > bytes_r_left(&r) ? -EAGAIN : r.p - p + (ssize_t)n;
}

// What a message holds: its type's id, negative for a descriptor; *r is left behind it.
static int64_t begin_message(struct bytes_r *r, const uint8_t *msg, size_t len)
{
	*r = bytes_r(msg, len);
	(void)get_uint(r);
	return get_int(r);
}

bool gob_is_type(const uint8_t *msg, size_t len)
{
	struct bytes_r r;

	return begin_message(&r, msg, len) < 0 && !r.bad;
}

int gob_add_type(struct gob_types *types, const uint8_t *msg, size_t len)
{
	struct bytes_r r;
	int64_t id = begin_message(&r, msg, len);

	if (!r.bad)
		get_descriptor(&r, types, id);
	return r.bad ? -EBADMSG : 0;
}

int gob_read_value(const struct gob_types *types, const uint8_t *msg, size_t len,
	const struct gob_field *as, void *out)
{
	struct bytes_r r;
	int64_t id = begin_message(&r, msg, len);

	if (r.bad || id <= 0 || id > INT32_MAX || !is_compatible(types, (uint32_t)id, as, 0))
		return -EBADMSG;
	// a value that is no struct comes as if it were the only field of one, without a number
	if (as->kind != GOB_STRUCT && bytes_r_u8(&r) != 0)
		return -EBADMSG;
	if (!r.bad)
		read_field(&r, types, (uint32_t)id, as, out);
	return r.bad ? -EBADMSG : 0;
}

int gob_list_next(
	const struct gob_types *types, struct gob_list *list, const struct gob_field *as, void *out)
{
	struct bytes_r r;

	if (list->n == 0) // also one that was not there
		return 0;
	if (!is_compatible(types, list->elem, as, 0))
		return -EBADMSG;
	r = bytes_r(list->p, list->len);
	read_field(&r, types, list->elem, as, out);
	if (r.bad)
		return -EBADMSG;
	list->n--;
	list->p = r.p;
	list->len = bytes_r_left(&r);
	return 1;
}

ssize_t gob_read(struct gob_types *types, const uint8_t *p, size_t len, const struct gob_struct *as,
	void *out)
{
	const struct gob_field top = {NULL, GOB_STRUCT, 0, 0, as};
	size_t used = 0;

	for (;;) {
		ssize_t n = gob_message_len(p + used, len - used, MESSAGE_MAX);
		const uint8_t *msg = p + used;

		if (n < 0)
			return n;
		used += (size_t)n;
		if (!gob_is_type(msg, (size_t)n))
			return gob_read_value(types, msg, (size_t)n, &top, out) < 0 ? -EBADMSG
										    : (ssize_t)used;
		if (gob_add_type(types, msg, (size_t)n) < 0)
			return -EBADMSG;
	}
}

// ---- writing ----

void gob_put_uint(struct bytes_w *w, uint64_t v)
{
	unsigned n;

	if (v < 128) {
		bytes_w_u8(w, (uint8_t)v);
		return;
	}
	n = 8 - (unsigned)__builtin_clzll(v) / 8;
	bytes_w_u8(w, (uint8_t)(256 - n));
	bytes_w_be(w, v, n);
}

void gob_put_int(struct bytes_w *w, int64_t v)
{
	gob_put_uint(w, v < 0 ? (~(uint64_t)v << 1) | 1 : (uint64_t)v << 1);
}

void gob_put_float(struct bytes_w *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	gob_put_uint(w, __builtin_bswap64(bits));
}

void gob_put_bytes(struct bytes_w *w, const void *p, size_t len)
{
	gob_put_uint(w, len);
	bytes_w_copy(w, p, len);
}

void gob_put_octets(struct bytes_w *w, const uint8_t *p, size_t len)
{
	gob_put_uint(w, len);
	for (size_t i = 0; i < len; i++)
		gob_put_uint(w, p[i]);
}

void gob_put_field(struct bytes_w *w, unsigned *last, unsigned number)
{
	gob_put_uint(w, number - *last);
	*last = number;
}

void gob_put_bytes_field(
	struct bytes_w *w, unsigned *last, unsigned number, const void *p, size_t len)
{
	if (len == 0)
		return;
	gob_put_field(w, last, number);
	gob_put_bytes(w, p, len);
}

void gob_put_message(struct bytes_w *w, const struct bytes_w *content)
{
	gob_put_bytes(w, content->start, bytes_w_len(content));
	w->bad |= content->bad;
}
