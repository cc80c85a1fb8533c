// A question to the discoveries at a time, and a timer. What becomes of the list is the mesh's.
#include "controlplane/dmsg/dmsg_mesh_find.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dmsg");

struct dmsg_mesh_find {
	struct dmsg_mesh_find_conf conf;
	struct dir_ask *ask;
	struct loop_timer *timer;
};

static void on_servers(void *arg, const struct dir_result *r)
{
	struct dmsg_mesh_find *f = arg;

	f->ask = NULL;
	if (r->err == 0 && r->answer == DMSG_ANSWER_OK)
		f->conf.list(f->conf.arg, r->entries, r->n);
	else
		log_limited(LOG_WARN, "no peer servers found: %s", dir_result_text(r));
}

static void on_look(void *arg)
{
	struct dmsg_mesh_find *f = arg;

	if (f->ask == NULL)
		f->ask = dir_client_all_servers(f->conf.dir, on_servers, f);
}

struct dmsg_mesh_find *dmsg_mesh_find_new(const struct dmsg_mesh_find_conf *conf)
{
	struct dmsg_mesh_find *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->conf = *conf;
	f->timer = loop_timer_new(conf->loop, on_look, f);
	if (f->timer == NULL) {
		free(f);
		return errno_null(ENOMEM);
	}
	loop_timer_start(f->timer, conf->first_ms != 0 ? conf->first_ms : DMSG_MESH_FIND_FIRST_MS,
		conf->every_ms != 0 ? conf->every_ms : DMSG_MESH_FIND_EVERY_MS);
	return f;
}

void dmsg_mesh_find_free(struct dmsg_mesh_find *f)
{
	if (f == NULL)
		return;
	dir_ask_cancel(f->ask);
	loop_timer_free(f->timer);
	free(f);
}
