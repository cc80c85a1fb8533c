// Whether the name and the peer of a transport are free, or whose they are already.
#include "controlplane/transport/transport_priv.h"

#include <errno.h>
#include <stdio.h>

bool tp_in_the_way(struct transport_mgr *m, const struct transport_conf *conf, struct transport **t)
{
	struct transport *named = transport_mgr_find(m, conf->name);

	*t = transport_mgr_find_peer(m, &conf->peer, conf->type);
	if (named != NULL && named != *t)
		return true;
	if (*t == NULL || (*t)->conf.origin == TRANSPORT_ACCEPTED ||
		(*t)->conf.origin == TRANSPORT_ADOPTED || (*t)->conf.origin == TRANSPORT_ASKED)
		return false;
	if ((*t)->conf.origin == TRANSPORT_ADDED && conf->origin == TRANSPORT_CONFIGURED &&
		*t == named)
		return false; // people wrote down what they had tried out
	return true;
}

int tp_way_text(struct transport_mgr *m, const struct transport_conf *conf,
	const struct transport *t, char *err, size_t err_len)
{
	const struct transport *named = transport_mgr_find(m, conf->name);
	const char *peers = t != NULL ? t->conf.name : "";

	if (err == NULL)
		return -EEXIST;
	if (named == NULL || named == t)
		snprintf(err, err_len, "this peer has a %s transport already: %s",
			transport_type_name(conf->type), peers);
	else
		snprintf(err, err_len, "the name %s is taken by the transport of another peer%s%s",
			conf->name, t != NULL ? "; this one has a transport already: " : "", peers);
	return -EEXIST;
}
