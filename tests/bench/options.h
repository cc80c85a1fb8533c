// What the in-process benches take on their command line: --quick and --only NAME.
#pragma once

#include <stdbool.h>

void options_take(int argc, char **argv);
unsigned options_pairs(void); // of each figure
bool wanted(const char *name); // a figure whose name begins with what --only says
