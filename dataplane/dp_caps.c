// Capabilities belong to threads, and a thread can change its own only. EAL has made several by now
// (lcores, interrupts), some of which run no code of ours; so each is sent a signal, whose handler
// makes the system calls. What the kernel then shows of each thread is what counts.

#include "dataplane/dp_caps.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 200, WAIT_NS = 5 * 1000 * 1000 };

static _Atomic uint64_t kept; // for the handler, which gets no argument

static void drop_here(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct set[2];
	uint64_t keep = atomic_load_explicit(&kept, memory_order_relaxed);

	if (syscall(SYS_capget, &head, set) < 0)
		return;
	// first, as it takes CAP_SETPCAP; without it there is nothing that a program we run could
	// gain
	for (unsigned cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0UL, 0UL, 0UL);
	prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
	for (unsigned i = 0; i < 2; i++) {
		set[i].permitted &= (uint32_t)(keep >> 32 * i);
		set[i].effective = set[i].permitted;
		set[i].inheritable = 0;
	}
	syscall(SYS_capset, &head, set);
}

static void on_signal(int sig)
{
	int err = errno;

	drop_here();
	errno = err;
}

static bool has_more(const char *tid, uint64_t keep)
{
	char path[64], line[256];
	uint64_t caps, more = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "CapPrm: %" SCNx64, &caps) == 1 ||
			sscanf(line, "CapEff: %" SCNx64, &caps) == 1)
			more |= caps & ~keep;
	if (f != NULL)
		fclose(f);
	return more != 0; // a thread that has ended has none
}

// Signals those that have too many; how many they are.
static int look(uint64_t keep, int sig)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	int n = 0;

	if (dir == NULL)
		return -errno;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || !has_more(e->d_name, keep))
			continue;
		n++;
		syscall(SYS_tgkill, getpid(), (pid_t)atoi(e->d_name), sig);
	}
	closedir(dir);
	return n;
}

// A signal that nobody has, or the one that was found before; 0: there is none. Drivers look for
// theirs from SIGRTMIN on (net_tap's tells it that there are frames), so it is looked for from the
// other end. It stays ours: signals queue up for a thread that does not run, and one that is late
// must not end the process.
static int signal_take(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;

	for (int sig = SIGRTMAX; sig >= SIGRTMIN; sig--) {
		if (sigaction(sig, NULL, &old) < 0)
			continue;
		if (old.sa_handler == on_signal)
			return sig;
		if (old.sa_handler == SIG_DFL && sigaction(sig, &sa, NULL) == 0)
			return sig;
	}
	return 0;
}

int dp_caps_keep(uint64_t keep)
{
	int sig = signal_take(), n = 1;

	if (sig == 0)
		return -EBUSY;
	atomic_store_explicit(&kept, keep, memory_order_relaxed);
	drop_here();
	for (int i = 0; i < TRIES && n > 0; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
		n = look(keep, sig);
	}
	return n > 0 ? -ETIMEDOUT : n;
}

const char *dp_caps_names(uint64_t caps, char text[DP_CAPS_TEXT_MAX])
{
	static const char *const names[64] = {[CAP_DAC_OVERRIDE] = "cap_dac_override",
		[CAP_NET_ADMIN] = "cap_net_admin",
		[CAP_NET_RAW] = "cap_net_raw",
		[CAP_IPC_LOCK] = "cap_ipc_lock",
		[CAP_SYS_ADMIN] = "cap_sys_admin",
		[39] = "cap_bpf"}; // older headers lack it
	size_t at = 0;

	snprintf(text, DP_CAPS_TEXT_MAX, "none");
	for (unsigned cap = 0; cap < 64; cap++) {
		char number[8];

		if (!(caps >> cap & 1))
			continue;
		snprintf(number, sizeof(number), "cap_%u", cap);
		at += (size_t)snprintf(text + at, DP_CAPS_TEXT_MAX - at, "%s%s", at > 0 ? "," : "",
			names[cap] != NULL ? names[cap] : number);
		if (at >= DP_CAPS_TEXT_MAX)
			break;
	}
	return text;
}
