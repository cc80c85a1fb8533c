// What was meant by a word that a schema does not have: the nearest one that it has, else all of
// them. Pure.
#pragma once

#include "lib/conf/conf.h"

enum { CONF_HINT_MAX = 300 };

// ": did you mean device?" or ": its keys are device, mtu", for behind a message.
void conf_hint_key(
	const struct conf_schema *s, const char *section, const char *key, char buf[CONF_HINT_MAX]);
void conf_hint_section(const struct conf_schema *s, const char *name, char buf[CONF_HINT_MAX]);
