// The word `cores`: EAL's --lcores, checked before EAL sees it, so that a slip has one line of
// text.
//
//   list   = item {"," item}            0@0,1@1      lcore 0 on CPU 0, lcore 1 on CPU 1
//   item   = set ["@" set]              0@0,(1-3)@1  three workers on CPU 1
//   set    = number | range | "(" number or range {"," ...} ")"
#pragma once

#include <stdbool.h>
#include <stddef.h>

// [main] Lcores that the text names, 2 at least (the first is the main one), or -EINVAL with one
// line in why. has_cpu says which CPUs there are; NULL: any.
int dp_cores_parse(const char *text, bool (*has_cpu)(unsigned cpu), char *why, size_t why_len);

// [main] Does this machine have that CPU?
bool dp_cores_has_cpu(unsigned cpu);
