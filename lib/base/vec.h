// Growable typed array: VEC(struct thing) name; zero-initialised is empty. The elements are its
// own, what they point to is not. One thread at a time.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n;                                                                          \
		size_t cap;                                                                        \
	}

// Room for n elements of that size; 0 or -ENOMEM (then nothing has changed).
static inline int vec_reserve_(void **v, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap > 0 ? *cap : 8;
	void *p;

	if (n <= *cap)
		return 0;
	if (n > PTRDIFF_MAX / 2 / size)
		return -ENOMEM;
	while (want < n)
		want *= 2;
	p = realloc(*v, want * size);
	if (p == NULL)
		return -ENOMEM;
	*v = p;
	*cap = want;
	return 0;
}

#define vec_reserve(vec, count)                                                                    \
	({                                                                                         \
		void *vec_p_ = (vec)->v;                                                           \
		int vec_rc_ = vec_reserve_(&vec_p_, &(vec)->cap, (count), sizeof(*(vec)->v));      \
		(vec)->v = vec_p_;                                                                 \
		vec_rc_;                                                                           \
	})

// Appends a copy of the value; 0 or -ENOMEM.
#define vec_push(vec, ...)                                                                         \
	({                                                                                         \
		int vec_push_rc_ = vec_reserve((vec), (vec)->n + 1);                               \
		if (vec_push_rc_ == 0)                                                             \
			(vec)->v[(vec)->n++] = (__VA_ARGS__);                                      \
		vec_push_rc_;                                                                      \
	})

// Removes element i in O(1): the last one takes its place.
#define vec_remove_swap(vec, i)                                                                    \
	do {                                                                                       \
		size_t vec_i_ = (i);                                                               \
		(vec)->v[vec_i_] = (vec)->v[--(vec)->n];                                           \
	} while (0)

#define vec_free(vec)                                                                              \
	do {                                                                                       \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	} while (0)
