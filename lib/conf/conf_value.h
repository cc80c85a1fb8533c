// One value of a configuration: text to field and back. For conf.c only.
#pragma once

#include "lib/conf/conf.h"

enum { CONF_WHY_MAX = 160 };

// Reads text into the item's field at base. Strings are allocated; conf_value_clear frees them.
// 0, -EINVAL with the reason in why, or -ENOMEM. The field must be zero before.
int conf_value_set(
	const struct conf_item *item, void *base, const char *text, char why[CONF_WHY_MAX]);

// Instead of a text that was refused: the default, or the type's nothing. 0 or -ENOMEM.
int conf_value_default(const struct conf_item *item, void *base);

void conf_value_clear(const struct conf_item *item, void *base);
