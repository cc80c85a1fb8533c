// For worlds of one loop that is not libuv (transport/world.h, soak): there are no carrier threads.
#pragma once

#include <errno.h>

#include "controlplane/transport/carrier.h"

struct carriers *carriers_new(struct loop *l, unsigned n)
{
	(void)l, (void)n;
	errno = ENOMEM;
	return NULL;
}

void carriers_free(struct carriers *cs)
{
	(void)cs;
}

void carriers_attach(struct carriers *cs, const struct region *r, uint32_t hop_max)
{
	(void)cs, (void)r, (void)hop_max;
}

void carriers_detach(struct carriers *cs)
{
	(void)cs;
}

struct carrier *carriers_pick(const struct carriers *cs)
{
	(void)cs;
	return NULL;
}

uint64_t carriers_late(const struct carriers *cs)
{
	(void)cs;
	return 0;
}

uint64_t carriers_flood(const struct carriers *cs)
{
	(void)cs;
	return 0;
}

uint8_t carrier_nr(const struct carrier *c)
{
	(void)c;
	return 0;
}

struct carrier_link *carrier_take(struct carrier *c, uint32_t hop, struct noise_conn_moved *take_m,
	const struct carried_link_events *ev, void *arg)
{
	(void)c, (void)hop, (void)ev, (void)arg;
	noise_conn_moved_free(take_m);
	return NULL;
}

void carrier_link_read(struct carrier_link *k, bool on)
{
	(void)k, (void)on;
}

void carrier_link_say(struct carrier_link *k, const uint8_t *p, size_t len)
{
	(void)k, (void)p, (void)len;
}

void carrier_link_held(struct carrier_link *k)
{
	(void)k;
}

void carrier_link_close(struct carrier_link *k)
{
	(void)k;
}
