// gob streams against hand-made bytes: elements, skipping of every kind, and everything that is
// refused. Descriptors are written with the few helpers below, as Go would order them.

#include "lib/wire/gob.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct inner {
	uint64_t port;
};

struct value {
	bool b;
	int64_t i;
	uint64_t u;
	double f;
	struct gob_span bytes, str, opaque;
	uint8_t octets[4];
	struct inner in;
};

static const struct gob_field inner_fields[] = {
	{"Port", GOB_UINT, offsetof(struct inner, port), 65535, NULL},
};
static const struct gob_struct inner_struct = {inner_fields, 1};
static const struct gob_field fields[] = {
	{"B", GOB_BOOL, offsetof(struct value, b), 0, NULL},
	{"I", GOB_INT, offsetof(struct value, i), 0, NULL},
	{"U", GOB_UINT, offsetof(struct value, u), 1000, NULL},
	{"F", GOB_FLOAT, offsetof(struct value, f), 0, NULL},
	{"Bytes", GOB_BYTES, offsetof(struct value, bytes), 0, NULL},
	{"Str", GOB_STRING, offsetof(struct value, str), 0, NULL},
	{"Opaque", GOB_OPAQUE, offsetof(struct value, opaque), 0, NULL},
	{"Octets", GOB_OCTETS, offsetof(struct value, octets), 4, NULL},
	{"In", GOB_STRUCT, offsetof(struct value, in), 0, &inner_struct},
};
static const struct gob_struct value_struct = {fields, ARRAY_LEN(fields)};

enum { // predeclared, and ours
	T_BOOL = 1,
	T_INT = 2,
	T_UINT = 3,
	T_FLOAT = 4,
	T_BYTES = 5,
	T_STRING = 6,
	T_COMPLEX = 7,
	T_INTERFACE = 8,
	T_TOP = 64,
	T_OTHER = 65,
	T_DEEP = 66,
};

struct stream {
	uint8_t buf[8192], msg[4096];
	struct bytes_w all, w;
};

static void begin(struct stream *s)
{
	s->w = bytes_w(s->msg, sizeof(s->msg));
}

static void end(struct stream *s)
{
	gob_put_message(&s->all, &s->w);
	assert_false(s->all.bad);
}

static void start(struct stream *s)
{
	s->all = bytes_w(s->buf, sizeof(s->buf));
	begin(s);
}

static void put_named(struct bytes_w *w, const char *name, int64_t id)
{
	gob_put_uint(w, 1);
	gob_put_bytes(w, name, strlen(name));
	gob_put_uint(w, 1);
	gob_put_int(w, id);
	gob_put_uint(w, 0);
}

struct member {
	const char *name;
	int64_t id;
};

static void put_struct_type(struct stream *s, int64_t id, const struct member *m, size_t n)
{
	begin(s);
	gob_put_int(&s->w, -id);
	gob_put_uint(&s->w, 3); // StructT
	gob_put_uint(&s->w, 1);
	put_named(&s->w, "T", id);
	gob_put_uint(&s->w, 1);
	gob_put_uint(&s->w, n);
	for (size_t i = 0; i < n; i++)
		put_named(&s->w, m[i].name, m[i].id);
	gob_put_uint(&s->w, 0);
	gob_put_uint(&s->w, 0);
	end(s);
}

// what: 1 array, 2 slice, 4 map, 5..7 self-encoding
static void put_other_type(struct stream *s, int64_t id, unsigned what, int64_t a, int64_t b)
{
	begin(s);
	gob_put_int(&s->w, -id);
	gob_put_uint(&s->w, what);
	gob_put_uint(&s->w, 1);
	put_named(&s->w, "O", id);
	if (what <= 4) {
		gob_put_uint(&s->w, 1);
		gob_put_int(&s->w, a);
	}
	if (what == 1 || what == 4) {
		gob_put_uint(&s->w, 1);
		gob_put_int(&s->w, b);
	}
	gob_put_uint(&s->w, 0);
	gob_put_uint(&s->w, 0);
	end(s);
}

static ssize_t read_all(const struct stream *s, struct value *v)
{
	struct gob_types types = {.n = 0};

	memset(v, 0, sizeof(*v));
	return gob_read(&types, s->buf, bytes_w_len(&s->all), &value_struct, v);
}

static void integers_are_encoded_as_go_does(void **state)
{
	static const struct {
		uint64_t v;
		const char *bytes;
		size_t len;
	} cases[] = {
		{0, "\x00", 1},
		{127, "\x7f", 1},
		{128, "\xff\x80", 2},
		{49153, "\xfe\xc0\x01", 3},
		{0x10000, "\xfd\x01\x00\x00", 4},
		{UINT64_MAX, "\xf8\xff\xff\xff\xff\xff\xff\xff\xff", 9},
	};
	uint8_t buf[16];
	struct bytes_w w;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		w = bytes_w(buf, sizeof(buf));
		gob_put_uint(&w, cases[i].v);
		assert_int_equal(bytes_w_done(&w), cases[i].len);
		assert_memory_equal(buf, cases[i].bytes, cases[i].len);
	}
	w = bytes_w(buf, sizeof(buf));
	gob_put_int(&w, -1);
	gob_put_int(&w, -65);
	gob_put_int(&w, INT64_MIN);
	assert_memory_equal(buf, "\x01\xff\x81\xf8\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	w = bytes_w(buf, sizeof(buf));
	gob_put_float(&w, 17.0);
	assert_memory_equal(buf, "\xfe\x31\x40", 3);
}

static const struct member all_kinds[] = {{"B", T_BOOL}, {"I", T_INT}, {"U", T_UINT},
	{"F", T_FLOAT}, {"Bytes", T_BYTES}, {"Str", T_STRING}, {"Opaque", 70}, {"Octets", 71},
	{"In", 72}};

static void put_all_kinds(struct stream *s)
{
	static const struct member port = {"Port", T_UINT};

	start(s);
	put_struct_type(s, T_TOP, all_kinds, ARRAY_LEN(all_kinds));
	put_other_type(s, 70, 6, 0, 0);
	put_other_type(s, 71, 1, T_UINT, 4);
	put_struct_type(s, 72, &port, 1);
	begin(s);
	gob_put_int(&s->w, T_TOP);
	gob_put_uint(&s->w, 1), gob_put_uint(&s->w, 1);
	gob_put_uint(&s->w, 1), gob_put_int(&s->w, INT64_MIN);
	gob_put_uint(&s->w, 1), gob_put_uint(&s->w, 1000);
	gob_put_uint(&s->w, 1), gob_put_float(&s->w, -0.5);
	gob_put_uint(&s->w, 1), gob_put_bytes(&s->w, "\x01\x02", 2);
	gob_put_uint(&s->w, 1), gob_put_bytes(&s->w, "text", 4);
	gob_put_uint(&s->w, 1), gob_put_bytes(&s->w, "own", 3);
	gob_put_uint(&s->w, 1), gob_put_octets(&s->w, (const uint8_t *)"\x00\x7f\x80\xff", 4);
	gob_put_uint(&s->w, 1), gob_put_uint(&s->w, 1), gob_put_uint(&s->w, 65535);
	gob_put_uint(&s->w, 0);
	gob_put_uint(&s->w, 0);
	end(s);
}

static void reads_every_kind(void **state)
{
	static struct stream s;
	struct value v;

	put_all_kinds(&s);
	assert_int_equal(read_all(&s, &v), bytes_w_len(&s.all));
	assert_true(v.b && v.i == INT64_MIN && v.u == 1000 && v.f == -0.5);
	assert_true(v.bytes.len == 2 && v.str.len == 4 && v.opaque.len == 3);
	assert_memory_equal(v.bytes.p, "\x01\x02", 2);
	assert_memory_equal(v.str.p, "text", 4);
	assert_memory_equal(v.opaque.p, "own", 3);
	assert_memory_equal(v.octets, "\x00\x7f\x80\xff", 4);
	assert_int_equal(v.in.port, 65535);
}

static void every_truncation_asks_for_more(void **state)
{
	static struct stream s;
	struct value v;

	put_all_kinds(&s);
	for (size_t cut = 0; cut < bytes_w_len(&s.all); cut++) {
		struct gob_types types = {.n = 0};
		uint8_t *exact = malloc(cut + 1);

		assert_non_null(exact);
		memcpy(exact, s.buf, cut);
		assert_int_equal(gob_read(&types, exact, cut, &value_struct, &v), -EAGAIN);
		free(exact);
	}
}

// One unknown member of type T_OTHER, then I = 5.
static void put_with_unknown(struct stream *s)
{
	static const struct member m[] = {{"X", T_OTHER}, {"I", T_INT}};

	put_struct_type(s, T_TOP, m, 2);
}

static void begin_value(struct stream *s)
{
	begin(s);
	gob_put_int(&s->w, T_TOP);
	gob_put_uint(&s->w, 1);
}

static void end_value(struct stream *s)
{
	struct value v;

	gob_put_uint(&s->w, 1), gob_put_int(&s->w, 5);
	gob_put_uint(&s->w, 0);
	end(s);
	assert_int_equal(read_all(s, &v), bytes_w_len(&s->all));
	assert_int_equal(v.i, 5);
}

static void skips_unknown_arrays_slices_maps_and_blobs(void **state)
{
	static struct stream s;

	for (unsigned what = 1; what <= 7; what++) {
		if (what == 3)
			continue; // a struct: the next test
		start(&s);
		put_with_unknown(&s);
		put_other_type(&s, T_OTHER, what, what == 1 ? T_STRING : T_BYTES,
			what == 1 ? 2 : T_COMPLEX);
		begin_value(&s);
		if (what > 4) {
			gob_put_bytes(&s.w, "blob", 4);
		} else {
			gob_put_uint(&s.w, 2);
			for (unsigned i = 0; i < 2; i++) {
				gob_put_bytes(&s.w, "element", 7);
				if (what == 4)
					gob_put_float(&s.w, 1), gob_put_float(&s.w, 2);
			}
		}
		end_value(&s);
	}
}

static void skips_unknown_structs_with_structs(void **state)
{
	static const struct member other[] = {{"A", T_BOOL}, {"D", T_DEEP}, {"Z", T_STRING}};
	static const struct member deep[] = {{"F", T_FLOAT}, {"G", T_INT}};
	static struct stream s;

	start(&s);
	put_with_unknown(&s);
	put_struct_type(&s, T_OTHER, other, 3);
	put_struct_type(&s, T_DEEP, deep, 2);
	begin_value(&s);
	gob_put_uint(&s.w, 2); // A is absent
	gob_put_uint(&s.w, 2), gob_put_int(&s.w, -9), gob_put_uint(&s.w, 0);
	gob_put_uint(&s.w, 1), gob_put_bytes(&s.w, "zz", 2);
	gob_put_uint(&s.w, 0);
	end_value(&s);
}

static void named_fields_of_another_kind_are_refused(void **state)
{
	static struct stream s;
	struct value v;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		for (int64_t id = T_BOOL; id <= T_INTERFACE; id++) {
			struct member m = {fields[i].name, id};
			static const uint8_t own[] = {[GOB_BOOL] = T_BOOL,
				[GOB_INT] = T_INT,
				[GOB_UINT] = T_UINT,
				[GOB_FLOAT] = T_FLOAT,
				[GOB_BYTES] = T_BYTES,
				[GOB_STRING] = T_STRING,
				[GOB_STRUCT] = 0};

			start(&s);
			put_struct_type(&s, T_TOP, &m, 1);
			begin(&s);
			gob_put_int(&s.w, T_TOP);
			gob_put_uint(&s.w, 0); // refused although it is not sent
			end(&s);
			if (own[fields[i].kind] == id)
				assert_true(read_all(&s, &v) > 0);
			else
				assert_int_equal(read_all(&s, &v), -EBADMSG);
		}
	}
}

static void arrays_of_another_length_or_with_large_numbers_are_refused(void **state)
{
	static const struct member m = {"Octets", T_OTHER};
	static struct stream s;
	struct value v;

	for (unsigned n = 3; n <= 5; n++) {
		for (unsigned sent = 3; sent <= 5; sent++) {
			start(&s);
			put_struct_type(&s, T_TOP, &m, 1);
			put_other_type(&s, T_OTHER, 1, T_UINT, n);
			begin_value(&s);
			gob_put_octets(&s.w, (const uint8_t *)"\1\2\3\4\5", sent);
			gob_put_uint(&s.w, 0);
			end(&s);
			if (n == 4 && sent == 4)
				assert_true(read_all(&s, &v) > 0);
			else
				assert_int_equal(read_all(&s, &v), -EBADMSG);
		}
	}
	start(&s);
	put_struct_type(&s, T_TOP, &m, 1);
	put_other_type(&s, T_OTHER, 1, T_UINT, 4);
	begin_value(&s);
	gob_put_uint(&s.w, 4);
	for (unsigned i = 0; i < 4; i++)
		gob_put_uint(&s.w, 253 + i);
	gob_put_uint(&s.w, 0);
	end(&s);
	assert_int_equal(read_all(&s, &v), -EBADMSG);
}

static void numbers_above_their_limit_are_refused(void **state)
{
	static const struct member m = {"U", T_UINT};
	static struct stream s;
	struct value v;

	for (uint64_t u = 999; u <= 1001; u++) {
		start(&s);
		put_struct_type(&s, T_TOP, &m, 1);
		begin_value(&s);
		gob_put_uint(&s.w, u);
		gob_put_uint(&s.w, 0);
		end(&s);
		assert_true(u <= 1000 ? read_all(&s, &v) > 0 : read_all(&s, &v) == -EBADMSG);
	}
}

static void malformed_streams_are_refused(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
		{"count of nine bytes", "\xf7\x01", 2},
		{"count beyond Go's limit", "\xfc\x7f\xff\xff\xff", 5},
		{"empty message", "\x00", 1},
		{"undefined type", "\x02\xff\x80", 3},
		{"type 0", "\x02\x00\x00", 3},
		{"top-level integer", "\x03\x04\x00\x02", 4},
		{"descriptor of a predeclared type", "\x02\x03\x00", 3},
		{"descriptor of no kind", "\x03\xff\x81\x00", 4},
		{"descriptor of an eighth kind", "\x05\xff\x81\x08\x00\x00", 6},
		{"descriptor with bytes behind it", "\x06\xff\x81\x06\x00\x00\x00", 7},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gob_types types = {.n = 0};
		struct value v = {0};
		ssize_t rc = gob_read(
			&types, (const uint8_t *)cases[i].bytes, cases[i].len, &value_struct, &v);

		if (rc != -EBADMSG)
			fail_msg("%s: %zd", cases[i].what, rc);
	}
}

static void types_defined_twice_or_too_often_are_refused(void **state)
{
	static const struct member m = {"I", T_INT};
	static struct stream s;
	struct value v;

	start(&s);
	put_struct_type(&s, T_TOP, &m, 1);
	put_struct_type(&s, T_TOP, &m, 1);
	assert_int_equal(read_all(&s, &v), -EBADMSG);
	for (unsigned n = GOB_TYPES_MAX; n <= GOB_TYPES_MAX + 1; n++) {
		start(&s);
		for (unsigned i = 0; i < n; i++)
			put_struct_type(&s, T_TOP + i, &m, 1);
		assert_int_equal(read_all(&s, &v), n == GOB_TYPES_MAX ? -EAGAIN : -EBADMSG);
	}
}

static void a_type_within_itself_ends_at_the_depth_limit(void **state)
{
	for (unsigned depth = GOB_DEPTH_MAX - 2; depth <= GOB_DEPTH_MAX + 2; depth++) {
		static struct stream s;
		struct value v;

		start(&s);
		put_with_unknown(&s);
		put_other_type(&s, T_OTHER, 2, T_OTHER, 0); // a slice of itself
		begin_value(&s);
		for (unsigned i = 0; i < depth; i++)
			gob_put_uint(&s.w, 1);
		gob_put_uint(&s.w, 0);
		gob_put_uint(&s.w, 0);
		end(&s);
		if (depth < GOB_DEPTH_MAX)
			assert_true(read_all(&s, &v) > 0);
		else
			assert_int_equal(read_all(&s, &v), -EBADMSG);
	}
}

static void every_touched_byte_is_read_safely(void **state)
{
	static struct stream s;

	put_all_kinds(&s);
	for (size_t i = 0; i < bytes_w_len(&s.all); i++) {
		uint8_t was = s.buf[i];

		for (unsigned b = 0; b < 256; b++) {
			struct value v;
			ssize_t rc;

			s.buf[i] = (uint8_t)b;
			rc = read_all(&s, &v);
			assert_true(rc == -EAGAIN || rc == -EBADMSG ||
				    (rc > 0 && rc <= bytes_w_done(&s.all)));
		}
		s.buf[i] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_encoded_as_go_does),
		cmocka_unit_test(reads_every_kind),
		cmocka_unit_test(every_truncation_asks_for_more),
		cmocka_unit_test(skips_unknown_arrays_slices_maps_and_blobs),
		cmocka_unit_test(skips_unknown_structs_with_structs),
		cmocka_unit_test(named_fields_of_another_kind_are_refused),
		cmocka_unit_test(arrays_of_another_length_or_with_large_numbers_are_refused),
		cmocka_unit_test(numbers_above_their_limit_are_refused),
		cmocka_unit_test(malformed_streams_are_refused),
		cmocka_unit_test(types_defined_twice_or_too_often_are_refused),
		cmocka_unit_test(a_type_within_itself_ends_at_the_depth_limit),
		cmocka_unit_test(every_touched_byte_is_read_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
