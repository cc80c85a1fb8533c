// Servers in our LAN: dialled before all others at the start, with two addresses each, and nearer
// than any other to a dial.
#include "controlplane/dmsg/dmsg_client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_good(const struct dmsg_client_lan *lan)
{
	return key_pk_is_valid(&lan->pk) &&
	       (lan->address[0] != '\0' || lan->public_address[0] != '\0');
}

static void put(struct server *se, const struct dmsg_client_lan *lan, uint32_t try_ms)
{
	se->kind = DMSG_CLIENT_LAN;
	se->lan = true;
	se->by = lan->by;
	snprintf(se->conf.address, sizeof(se->conf.address), "%s", lan->address);
	snprintf(se->public_address, sizeof(se->public_address), "%s", lan->public_address);
	se->at_public = false;
	se->try_ms = try_ms;
}

static int add(struct dmsg_client *c, const struct dmsg_client_lan *lan, uint32_t try_ms)
{
	struct dmsg_server_at conf = {.pk = lan->pk};
	struct server *se = dmsg_client_server_new(c, &conf, DMSG_CLIENT_LAN);

	if (se == NULL)
		return -ENOMEM;
	put(se, lan, try_ms);
	return 0;
}

int dmsg_client_lan_open(struct dmsg_client *c, const struct dmsg_client_lan *lan, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int rc = is_good(&lan[i]) ? add(c, &lan[i], DMSG_CLIENT_LAN_START_MS) : -EINVAL;

		if (rc < 0)
			return rc;
	}
	if (n > 0)
		c->held |= HOLD_LAN;
	return 0;
}

// Each server in the LAN was tried, or one is there.
static bool is_over(const struct dmsg_client *c)
{
	bool all_tried = true;

	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct server *se = &c->server[i];

		if (!se->used || se->kind != DMSG_CLIENT_LAN)
			continue;
		if (se->state == DMSG_LINK_OPEN)
			return true;
		all_tried = all_tried && se->all_tried;
	}
	return all_tried;
}

void dmsg_client_lan_tried(struct dmsg_client *c)
{
	if (is_over(c))
		dmsg_client_let_go(c, HOLD_LAN);
}

static bool is_worse(const struct server *a, const struct server *b)
{
	bool there = dmsg_client_server_is_connected(a);

	return there == dmsg_client_server_is_connected(b) ? a->since_ns < b->since_ns : !there;
}

// When there are so many already: one without a session gives way, else the oldest.
static void make_room(struct dmsg_client *c)
{
	struct server *worst = NULL;
	unsigned n = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct server *se = &c->server[i];

		if (!se->used || se->kind != DMSG_CLIENT_LAN)
			continue;
		n++;
		if (worst == NULL || is_worse(se, worst))
			worst = se;
	}
	if (n < DMSG_CLIENT_LAN_MAX)
		return;
	dmsg_client_server_free(worst);
	dmsg_client_dials_go_on(c, worst, false);
	dmsg_find_changed(c->find);
}

int dmsg_client_set_lan(struct dmsg_client *c, const struct dmsg_client_lan *lan)
{
	struct server *se;

	if (!is_good(lan))
		return -EINVAL;
	se = dmsg_client_server_of(c, &lan->pk);
	if (se != NULL && se->kind == DMSG_CLIENT_STATIC) {
		se->lan = true; // its address stays that of the configuration
		se->by = lan->by;
		return 0;
	}
	if (se == NULL || se->kind != DMSG_CLIENT_LAN)
		make_room(c);
	if (se == NULL)
		return add(c, lan, DMSG_CLIENT_LAN_PUSH_MS);
	put(se, lan, DMSG_CLIENT_LAN_PUSH_MS);
	se->fails = 0;
	dmsg_client_server_again(se);
	dmsg_find_changed(c->find); // our entry may list it now, and another be missed
	return 0;
}
