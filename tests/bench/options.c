// The command line that the in-process benches share.

#include "tests/bench/options.h"

#include <stddef.h>
#include <string.h>

static unsigned pairs = 31;
static const char *only;

void options_take(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			pairs = 7;
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
	}
}

unsigned options_pairs(void)
{
	return pairs;
}

bool wanted(const char *name)
{
	return only == NULL || strncmp(only, name, strlen(only)) == 0;
}
