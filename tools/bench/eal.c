// The data plane's builder of EAL's arguments, fed without a configuration file.

#include "tools/bench/eal.h"

#include "dataplane/dp_eal.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <errno.h>
#include <string.h>

int eal_open(const struct eal_ask *ask, bool *huge, char err[EAL_ERR_MAX])
{
	static struct dp_eal_args eal; // EAL keeps pointers into it
	static struct dp_eal_env env;
	static char no_telemetry[] = "--no-telemetry";
	char *const user[] = {no_telemetry};
	char why[CONF_ERR_MAX] = "";
	struct dp_values values = {
		.name = (char *)(uintptr_t)ask->name,
		.cores = (char *)(uintptr_t)ask->cores,
		.extra_args = (char *)(uintptr_t)ask->extra,
		.workers = ask->n_workers,
		.hugepages = ask->hugepages,
		.memory_mb = (uint32_t)(ask->need_len >> 20) + 1,
	};
	struct dp_conf conf = {.v = &values, .n_ports = ask->n_ports};
	int rc;

	for (unsigned i = 0; i < ask->n_ports; i++)
		conf.ports[i] = ask->ports[i];
	dp_eal_env_read(&env);
	env.need_len = ask->need_len;
	rc = dp_eal_build(&eal, &conf, 1, user, &env, why);
	if (rc < 0) {
		snprintf(err, EAL_ERR_MAX, "%.200s", why);
		return rc;
	}
	if (huge != NULL)
		*huge = !eal.no_huge;
	dp_eal_tidy_at_exit();
	if (rte_eal_init(eal.argc, eal.argv) < 0) {
		snprintf(err, EAL_ERR_MAX, "EAL does not start: %s", rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}
