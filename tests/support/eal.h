// EAL for unit tests: no hugepages, no devices, no files left behind, all lcores as threads of this
// process. Call once, first in main().
#pragma once

// lcores: as EAL's --lcores ("0@0", "0@0,1@1,2@1"); NULL = "0@0". vdevs: NULL-terminated list or
// NULL. Exits the program with a message when EAL does not start.
void test_eal_init(const char *lcores, const char *const *vdevs);
