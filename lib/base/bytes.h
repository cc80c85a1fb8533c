// Bounds-checked cursors over a byte span. The error is sticky: parse or write straight through and
// test once at the end. All integers are big-endian on the wire, in host order in memory.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes_r {
	const uint8_t *p;
	const uint8_t *end;
	bool bad; // ran past the end; every later read returns zeros
};

struct bytes_w {
	uint8_t *p;
	uint8_t *end;
	uint8_t *start;
	bool bad; // did not fit; nothing was written past the end
};

static inline struct bytes_r bytes_r(const void *data, size_t len)
{
	const uint8_t *p = data;
	return (struct bytes_r){.p = p, .end = p + len};
}

static inline size_t bytes_r_left(const struct bytes_r *r)
{
	return (size_t)(r->end - r->p);
}

// Borrow the next n bytes, or NULL (and bad) when there are fewer.
static inline const uint8_t *bytes_r_span(struct bytes_r *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || bytes_r_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static inline void bytes_r_copy(struct bytes_r *r, void *dst, size_t n)
{
	const uint8_t *p = bytes_r_span(r, n);

	if (p != NULL)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
}

// n <= 8 bytes as a big-endian integer; 0 when bad.
static inline uint64_t bytes_r_be(struct bytes_r *r, size_t n)
{
	const uint8_t *p = bytes_r_span(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t bytes_r_u8(struct bytes_r *r)
{
	return (uint8_t)bytes_r_be(r, 1);
}

static inline uint16_t bytes_r_u16(struct bytes_r *r)
{
	return (uint16_t)bytes_r_be(r, 2);
}

static inline uint32_t bytes_r_u32(struct bytes_r *r)
{
	return (uint32_t)bytes_r_be(r, 4);
}

static inline uint64_t bytes_r_u64(struct bytes_r *r)
{
	return bytes_r_be(r, 8);
}

static inline struct bytes_w bytes_w(void *buf, size_t len)
{
	uint8_t *p = buf;
	return (struct bytes_w){.p = p, .end = p + len, .start = p};
}

static inline size_t bytes_w_len(const struct bytes_w *w)
{
	return (size_t)(w->p - w->start);
}

// Reserve n bytes to be filled by the caller, or NULL (and bad) when they do not fit.
static inline uint8_t *bytes_w_span(struct bytes_w *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || (size_t)(w->end - w->p) < n) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

static inline void bytes_w_copy(struct bytes_w *w, const void *src, size_t n)
{
	uint8_t *p = bytes_w_span(w, n);

	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

static inline void bytes_w_zero(struct bytes_w *w, size_t n)
{
	uint8_t *p = bytes_w_span(w, n);

	if (p != NULL)
		memset(p, 0, n);
}

static inline void bytes_w_be(struct bytes_w *w, uint64_t v, size_t n)
{
	uint8_t *p = bytes_w_span(w, n);

	for (size_t i = 0; p != NULL && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static inline void bytes_w_u8(struct bytes_w *w, uint8_t v)
{
	bytes_w_be(w, v, 1);
}

static inline void bytes_w_u16(struct bytes_w *w, uint16_t v)
{
	bytes_w_be(w, v, 2);
}

static inline void bytes_w_u32(struct bytes_w *w, uint32_t v)
{
	bytes_w_be(w, v, 4);
}

static inline void bytes_w_u64(struct bytes_w *w, uint64_t v)
{
	bytes_w_be(w, v, 8);
}

// Bytes written, or -ENOSPC when something did not fit.
static inline ptrdiff_t bytes_w_done(const struct bytes_w *w)
{
	return w->bad ? -ENOSPC : w->p - w->start;
}

// Fixed-offset access for code that has checked the length already (the packet path).
static inline uint32_t be32_get(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint16_t be16_get(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint64_t be64_get(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void be16_put(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v); // two byte stores would stay two
	memcpy(p, &v, sizeof(v));
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}
