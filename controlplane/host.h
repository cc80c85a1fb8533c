// What the machine has to give before anything starts. Errors are logged here, with what to do.
#pragma once

#include "controlplane/cp_conf.h"

#include <sys/types.h>

int host_make_dirs(const struct cp_values *v); // run_dir and state_dir; 0 or -1
// One line that names what won't work, instead of many later.
void host_check_caps(void);
// Of the API's socket; (gid_t)-1: root and this user only. 0 or -1.
int host_group(const struct cp_values *v, gid_t *gid);
