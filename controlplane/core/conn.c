// The calls of struct conn: a line each, so that no caller touches an ops table.
#include "controlplane/core/conn.h"

void conn_set_events(struct conn *c, const struct conn_events *ev, void *arg)
{
	c->ev = ev;
	c->arg = arg;
}

ssize_t conn_write(struct conn *c, const void *p, size_t len)
{
	return c->ops->write(c, p, len);
}

void conn_shutdown(struct conn *c)
{
	c->ops->shutdown(c);
}

void conn_resume(struct conn *c)
{
	c->ops->resume(c);
}

void conn_close(struct conn *c)
{
	if (c != NULL)
		c->ops->close(c);
}
