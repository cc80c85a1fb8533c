// Handlers of a struct dp_client that the including test defines, with `handlers` in it: put in
// place of dp_client at link time.
#pragma once

#include "controlplane/dp/dp_client.h"

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	h->next = c->handlers;
	c->handlers = h;
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	struct dp_handler **at = &c->handlers;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
}
