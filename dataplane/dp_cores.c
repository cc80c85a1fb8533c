// Reads --lcores as EAL does, only to say what is wrong with it. What EAL makes of it is EAL's.

#include "dataplane/dp_cores.h"

#include "lib/base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LCORES_MAX = 128, CPUS_MAX = 1024 }; // RTE_MAX_LCORE of Debian's build; the kernel's usual

struct cores {
	const char *p;
	bool (*has_cpu)(unsigned cpu);
	char *why;
	size_t why_len;
	uint8_t lcore[LCORES_MAX];
	unsigned n;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct cores *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, c->why_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int number(struct cores *c, unsigned *v)
{
	char *end;

	if (!isdigit((unsigned char)*c->p))
		return wrong(c, "must be a list of LCORE@CPU, main first, as in 0@0,1@1");
	*v = (unsigned)strtoul(c->p, &end, 10);
	c->p = end;
	return 0;
}

static int take(struct cores *c, unsigned v, bool is_cpu)
{
	if (v >= (is_cpu ? CPUS_MAX : LCORES_MAX) ||
		(is_cpu && c->has_cpu != NULL && !c->has_cpu(v)))
		return is_cpu ? wrong(c, "names CPU %u, which is not there", v)
			      : wrong(c, "names lcore %u, which is too high", v);
	if (is_cpu)
		return 0;
	if (c->lcore[v])
		return wrong(c, "names lcore %u twice", v);
	c->lcore[v] = 1;
	c->n++;
	return 0;
}

// A number or a range.
static int range(struct cores *c, bool is_cpu)
{
	unsigned from = 0, to;
	int rc = number(c, &from);

	to = from;
	if (rc == 0 && *c->p == '-') {
		c->p++;
		rc = number(c, &to);
	}
	if (rc == 0 && to < from)
		return wrong(c, "has a range from %u downwards", from);
	for (unsigned v = from; rc == 0 && v <= to; v++)
		rc = take(c, v, is_cpu);
	return rc;
}

static int set(struct cores *c, bool is_cpu)
{
	int rc;

	if (*c->p != '(')
		return range(c, is_cpu);
	do {
		c->p++;
		rc = range(c, is_cpu);
	} while (rc == 0 && *c->p == ',');
	if (rc == 0 && *c->p++ != ')')
		return wrong(c, "lacks a )");
	return rc;
}

static int item(struct cores *c)
{
	const char *begin = c->p;
	unsigned n = c->n;
	int rc = set(c, false);
	const char *end = c->p;

	if (rc < 0)
		return rc;
	if (*c->p == '@') {
		c->p++;
		return set(c, true);
	}
	// without a CPU an lcore runs on the one of its own number
	for (c->p = begin, n = c->n - n; rc == 0 && n > 0 && c->p < end; n--) {
		c->p += *c->p == '(' || *c->p == ',';
		rc = range(c, true);
	}
	c->p = end;
	return rc;
}

int dp_cores_parse(const char *text, bool (*has_cpu)(unsigned cpu), char *why, size_t why_len)
{
	struct cores c = {.p = text, .has_cpu = has_cpu, .why = why, .why_len = why_len};
	int rc = item(&c);

	while (rc == 0 && *c.p == ',') {
		c.p++;
		rc = item(&c);
	}
	if (rc == 0 && *c.p != '\0')
		return wrong(&c, "must be a list of LCORE@CPU, main first, as in 0@0,1@1");
	if (rc == 0 && c.n < 2)
		return wrong(&c, "must name the main lcore and a worker (0@0,1@1)");
	return rc < 0 ? rc : (int)c.n;
}

bool dp_cores_has_cpu(unsigned cpu)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u", cpu);
	return access(path, F_OK) == 0;
}
