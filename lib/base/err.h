// Small helpers that every file may use. Errors are negative errno values from end to end; codecs
// add a meaning to three of them: -EAGAIN more bytes needed, -EBADMSG malformed, -ENOSPC output
// too small.
#pragma once

#include <errno.h>
#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

// Set errno and return NULL in one expression, for functions that return a pointer.
static inline void *errno_null(int err)
{
	errno = err < 0 ? -err : err;
	return NULL;
}
