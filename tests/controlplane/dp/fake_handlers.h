// Handlers of a data plane's stand-in, kept as dp_client_register() keeps them.
#pragma once

#include "controlplane/dp/dp_client.h"

static inline void fake_handlers_add(struct dp_handler **list, struct dp_handler *h)
{
	h->next = *list;
	*list = h;
}

static inline void fake_handlers_remove(struct dp_handler **list, struct dp_handler *h)
{
	while (*list != h)
		list = &(*list)->next;
	*list = h->next;
}
