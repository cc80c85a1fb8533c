// Writes learnt values into a configuration file that people keep, too. The file is the old one or
// the new one at any instant, whoever is killed when. Nobody is told to read it again. One thread.
#pragma once

#include "lib/conf/conf_edit.h"

// Sets the keys in the file (conf_edit.h). It keeps its owner, gets mode 0600, since keys may be in
// it, and is not touched when it says all that already. -EROFS: nobody may write it, by its mode or
// its file system; -EACCES or -EPERM: we may not; else that of a system call or of conf_edit(). A
// file that is not there is made.
int conf_file_set(const char *path, const struct conf_set *sets, size_t n_sets);
