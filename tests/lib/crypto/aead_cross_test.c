// Back ends against each other and against themselves, and intel-ipsec-mb's code for each
// instruction set that this CPU has, beside the one it chose: all lengths up to a jumbo frame, any
// alignment, in place and not, bursts of mixed sizes, and what a flipped bit must do. Buffers end
// at a page that may not be touched, so a read or write past them ends the program.

#include "tests/support/aead.h"
#include "tests/support/aead_flavour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_LEN = 9216, MAX_AAD = 64, MAX_BURST = 32, MAX_UNITS = 12 };

static const enum aead_cipher ciphers[] = {AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM};
static const uint8_t key[32] = {0x6b, 1, 2, 3, 4, 5, 6, 7, 0xff, [31] = 0x80};

static uint64_t rng = 0x9e3779b97f4a7c15;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rnd(256);
}

// ---- memory that ends at a forbidden page ----

struct fenced {
	uint8_t *map, *end;
	size_t len;
};

static void fenced_init(struct fenced *f, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	f->len = (len + page - 1) / page * page + page;
	f->map = mmap(NULL, f->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->map, MAP_FAILED);
	f->end = f->map + f->len - page;
	assert_int_equal(mprotect(f->end, page, PROT_NONE), 0);
}

static void fenced_fini(struct fenced *f)
{
	munmap(f->map, f->len);
}

// ---- all units of a cipher ----

struct units {
	struct aead_unit *u[MAX_UNITS];
	unsigned n;
};

static void unit_add(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	struct units *s = arg;

	assert_true(s->n < MAX_UNITS);
	s->u[s->n++] = aead_unit_new(be, cipher, key);
}

// Those of its instruction sets that this CPU has; say says which.
static void add_flavours(struct units *s, enum aead_cipher cipher, bool say)
{
	const struct aead_backend *be = aead_backend_at(0);
	const char *name = "";

	if (strcmp(be->name, "ipsec-mb") != 0 || !be->has(cipher))
		return;
	for (unsigned i = 0; name != NULL; i++) {
		struct aead_unit *u = aead_unit_new(be, cipher, key);
		bool there = aead_flavour_init(u->x, i, &name);

		if (name != NULL && say)
			print_message("%s by %s: %s\n", aead_cipher_name(cipher), name,
				there ? "compared" : "not on this CPU");
		if (!there) {
			aead_unit_free(u);
			continue;
		}
		assert_true(s->n < MAX_UNITS);
		aead_unit_rekey(u, cipher, key);
		s->u[s->n++] = u;
	}
}

static void units_init(struct units *s, enum aead_cipher cipher, bool say)
{
	memset(s, 0, sizeof(*s));
	aead_each(cipher, unit_add, s);
	add_flavours(s, cipher, say);
}

static void units_fini(struct units *s)
{
	for (unsigned i = 0; i < s->n; i++)
		aead_unit_free(s->u[i]);
}

// ---- all lengths ----

struct cross {
	struct fenced src, dst, aad, tag;
	uint8_t plain[MAX_LEN], sealed[MAX_LEN], want_tag[16];
	uint8_t nonce[12];
};

static void cross_init(struct cross *c)
{
	fenced_init(&c->src, MAX_LEN + 15);
	c->src.end -= 15; // the bytes that may be read
	fenced_init(&c->dst, MAX_LEN);
	fenced_init(&c->aad, MAX_AAD);
	fenced_init(&c->tag, 16);
}

static void cross_fini(struct cross *c)
{
	fenced_fini(&c->src);
	fenced_fini(&c->dst);
	fenced_fini(&c->aad);
	fenced_fini(&c->tag);
}

static struct aead_op cross_op(struct cross *c, const uint8_t *in, uint32_t len, uint32_t aad_len)
{
	bool in_place = rnd(2) != 0;
	uint8_t *src = c->src.end - len;
	struct aead_op op = {.aad = c->aad.end - aad_len,
		.aad_len = aad_len,
		.src = src,
		.dst = in_place ? src : c->dst.end - len,
		.len = len,
		.tag = c->tag.end - 16};

	memcpy(src, in, len);
	memcpy(op.nonce, c->nonce, sizeof(op.nonce));
	return op;
}

// The first one says what is right; the others must say the same, and open it.
static void one_length(struct cross *c, const struct units *s, uint32_t len)
{
	uint32_t aad_len = rnd(4) == 0 ? rnd(MAX_AAD + 1) : 16;
	struct aead_op op;

	fill(c->nonce, sizeof(c->nonce));
	c->plain[len == 0 ? 0 : rnd(len)] ^= 0x41;
	for (unsigned i = 0; i < s->n; i++) {
		op = cross_op(c, c->plain, len, aad_len);
		aead_unit_seal(s->u[i], &op, 1);
		if (i == 0) {
			memcpy(c->sealed, op.dst, len);
			memcpy(c->want_tag, op.tag, 16);
		}
		assert_memory_equal(op.dst, c->sealed, len);
		assert_memory_equal(op.tag, c->want_tag, 16);
	}
	for (unsigned i = 0; i < s->n; i++) {
		op = cross_op(c, c->sealed, len, aad_len);
		assert_int_equal(aead_unit_open(s->u[i], &op, 1), 1);
		assert_int_equal(op.ok, 1);
		assert_memory_equal(op.dst, c->plain, len);
	}
}

static void all_lengths_are_sealed_alike(void **state)
{
	struct cross *c = calloc(1, sizeof(*c));

	cross_init(c);
	fill(c->plain, sizeof(c->plain));
	fill(c->aad.end - MAX_AAD, MAX_AAD);
	for (unsigned k = 0; k < 2; k++) {
		struct units s;

		units_init(&s, ciphers[k], true);
		for (uint32_t len = 0; len <= MAX_LEN && s.n > 0; len++)
			one_length(c, &s, len);
		units_fini(&s);
	}
	cross_fini(c);
	free(c);
}

// ---- bursts ----

struct burst {
	struct aead_op ops[MAX_BURST];
	uint8_t aad[MAX_BURST][16];
	uint8_t plain[MAX_BURST][MAX_LEN];
	uint8_t buf[MAX_BURST][MAX_LEN + 64 + 16];
	uint8_t out[MAX_BURST][MAX_LEN + 64];
	bool harmed[MAX_BURST];
};

static uint32_t some_length(void)
{
	switch (rnd(4)) {
	case 0:
		return rnd(70);
	case 1:
		return 1400;
	case 2:
		return rnd(MAX_LEN + 1);
	default:
		return rnd(1500);
	}
}

// As packets lie: header, plaintext, room for the tag, at any alignment.
static void burst_make(struct burst *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = some_length();
		uint8_t *p = b->buf[i] + rnd(64);

		fill(b->aad[i], 16);
		memset(b->plain[i], (int)rnd(256), len);
		memcpy(p, b->plain[i], len);
		b->ops[i] = (struct aead_op){.aad = b->aad[i],
			.aad_len = 16,
			.src = p,
			.dst = p,
			.len = len,
			.tag = p + len};
		aead_nonce_be(b->ops[i].nonce, 77777 + i);
		b->harmed[i] = false;
	}
}

static void burst_out_of_place(struct burst *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		b->ops[i].dst = b->out[i] + rnd(64);
}

static void burst_harm(struct burst *b, unsigned i)
{
	struct aead_op *op = &b->ops[i];

	b->harmed[i] = true;
	if (op->len == 0 || rnd(2) != 0)
		op->tag[rnd(16)] ^= (uint8_t)(1u << rnd(8));
	else
		((uint8_t *)(uintptr_t)op->src)[rnd(op->len)] ^= (uint8_t)(1u << rnd(8));
}

static void burst_check(struct burst *b, unsigned n)
{
	static const uint8_t zeros[MAX_LEN];

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(b->ops[i].ok, !b->harmed[i]);
		assert_memory_equal(
			b->ops[i].dst, b->harmed[i] ? zeros : b->plain[i], b->ops[i].len);
	}
}

static void bursts_of(struct burst *b, struct aead_unit *from, struct aead_unit *to, unsigned n)
{
	unsigned harmed = 0;

	burst_make(b, n);
	aead_unit_seal(from, b->ops, n);
	for (unsigned i = 0; i < n; i++) {
		if (rnd(5) != 0)
			continue;
		burst_harm(b, i);
		harmed++;
	}
	if (rnd(2) != 0)
		burst_out_of_place(b, n);
	assert_int_equal(aead_unit_open(to, b->ops, n), n - harmed);
	burst_check(b, n);
}

static void bursts_of_any_size_cross_between_back_ends(void **state)
{
	struct burst *b = calloc(1, sizeof(*b));

	for (unsigned k = 0; k < 2; k++) {
		struct units s;

		units_init(&s, ciphers[k], false);
		for (unsigned n = 1; n <= MAX_BURST; n++)
			for (unsigned i = 0; i < s.n * s.n; i++)
				bursts_of(b, s.u[i / s.n], s.u[i % s.n], n);
		units_fini(&s);
	}
	free(b);
}

// ---- one bit ----

static uint8_t *bit_of(struct aead_op *op, uint8_t *aad, uint32_t bit)
{
	uint32_t byte = bit / 8;

	if (byte < op->len)
		return (uint8_t *)(uintptr_t)op->src + byte;
	byte -= op->len;
	if (byte < 16)
		return op->tag + byte;
	byte -= 16;
	return byte < 12 ? op->nonce + byte : aad + (byte - 12);
}

static void flip_all(struct aead_unit *u, uint32_t len)
{
	static const uint8_t zeros[2048];
	uint8_t aad[16] = {9}, plain[2048] = {0}, sealed[2048], out[2048], tag[16];
	struct aead_op op = {.aad = aad,
		.aad_len = 16,
		.src = plain,
		.dst = sealed,
		.len = len,
		.tag = tag,
		.nonce = {1, 2, 3}};

	fill(plain, len);
	plain[0] |= 1; // not zeros
	aead_unit_seal(u, &op, 1);
	op.src = sealed;
	op.dst = out;
	for (uint32_t bit = 0; bit < (len + 16 + 12 + 16) * 8; bit++) {
		uint8_t *p = bit_of(&op, aad, bit);

		memset(out, 0x5a, len);
		*p ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(aead_unit_open(u, &op, 1), 0);
		assert_int_equal(op.ok, 0);
		assert_memory_equal(out, zeros, len);
		*p ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(aead_unit_open(u, &op, 1), 1); // all is as it was
	assert_memory_equal(out, plain, len);
}

static void a_flipped_bit_anywhere_is_refused_and_leaves_nothing(void **state)
{
	static const uint32_t lens[] = {
		0, 1, 15, 16, 17, 63, 64, 65, 127, 255, 256, 257, 1024, 1401};

	for (unsigned k = 0; k < 2; k++) {
		struct units s;

		units_init(&s, ciphers[k], false);
		for (unsigned i = 0; i < s.n; i++)
			for (unsigned l = 0; l < sizeof(lens) / sizeof(lens[0]); l++)
				flip_all(s.u[i], lens[l]);
		units_fini(&s);
	}
}

static void a_shorter_message_is_refused(void **state)
{
	for (unsigned k = 0; k < 2; k++) {
		struct units s;

		units_init(&s, ciphers[k], false);
		for (unsigned i = 0; i < s.n; i++) {
			uint8_t buf[300] = {5}, aad[16] = {0}, tag[16];
			struct aead_op op = {.aad = aad,
				.aad_len = 16,
				.src = buf,
				.dst = buf,
				.len = 300,
				.tag = tag};

			aead_unit_seal(s.u[i], &op, 1);
			op.len = 299;
			assert_int_equal(aead_unit_open(s.u[i], &op, 1), 0);
			assert_int_equal(buf[0], 0);
			assert_int_equal(buf[298], 0);
		}
		units_fini(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lengths_are_sealed_alike),
		cmocka_unit_test(bursts_of_any_size_cross_between_back_ends),
		cmocka_unit_test(a_flipped_bit_anywhere_is_refused_and_leaves_nothing),
		cmocka_unit_test(a_shorter_message_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
