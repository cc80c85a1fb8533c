// The processors that a bench has.
#pragma once

unsigned cores_count(void); // this process may use
// A line that says which hyperthreads core 0 has.
void cores_print_siblings(void);
