// The signal handler stores program counters; they become function names only in profile_print():
// our own by the symbol table of /proc/self/exe (static functions too), those of libraries by
// dladdr().

#include "tests/bench/profile.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 16, NAMES_MAX = 256 };

static uintptr_t samples[SAMPLES_MAX];
static _Atomic unsigned n_samples;

static void on_sigprof(int sig, siginfo_t *info, void *uc)
{
	unsigned i = atomic_fetch_add_explicit(&n_samples, 1, memory_order_relaxed);

#if defined(__x86_64__)
	if (i < SAMPLES_MAX)
		samples[i] = (uintptr_t)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	if (i < SAMPLES_MAX)
		samples[i] = (uintptr_t)((ucontext_t *)uc)->uc_mcontext.pc;
#endif
}

static void timer(long us)
{
	struct itimerval it = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

	setitimer(ITIMER_PROF, &it, NULL);
}

void profile_start(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigprof, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigaction(SIGPROF, &sa, NULL);
	atomic_store(&n_samples, 0);
	timer(1000);
}

void profile_stop(void)
{
	timer(0);
}

struct image {
	const uint8_t *map;
	size_t len;
	uintptr_t base; // load address
	const Elf64_Sym *syms;
	size_t n_syms;
	const char *names;
};

static int first_object(struct dl_phdr_info *info, size_t size, void *base)
{
	*(uintptr_t *)base = info->dlpi_addr; // the program itself comes first
	return 1;
}

static void image_open(struct image *im)
{
	struct stat st;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	*im = (struct image){0};
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0)
		im->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (im->map == NULL || im->map == MAP_FAILED)
		return;
	im->len = (size_t)st.st_size;
	dl_iterate_phdr(first_object, &im->base);

	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)im->map;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)(im->map + eh->e_shoff);
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		im->syms = (const Elf64_Sym *)(im->map + sh[i].sh_offset);
		im->n_syms = sh[i].sh_size / sizeof(Elf64_Sym);
		im->names = (const char *)(im->map + sh[sh[i].sh_link].sh_offset);
	}
}

static const char *name_of(const struct image *im, uintptr_t pc)
{
	Dl_info info;

	for (size_t i = 0; i < im->n_syms; i++) {
		uintptr_t start = im->base + im->syms[i].st_value;
		if (ELF64_ST_TYPE(im->syms[i].st_info) == STT_FUNC && pc >= start &&
			pc < start + im->syms[i].st_size)
			return im->names + im->syms[i].st_name;
	}
	if (dladdr((void *)pc, &info) != 0) {
		if (info.dli_sname != NULL)
			return info.dli_sname;
		const char *slash = info.dli_fname == NULL ? NULL : strrchr(info.dli_fname, '/');
		if (slash != NULL)
			return slash + 1;
	}
	return "other";
}

struct share {
	const char *name;
	unsigned n;
};

static int by_share(const void *a, const void *b)
{
	return (int)((const struct share *)b)->n - (int)((const struct share *)a)->n;
}

static bool is_named(const char *f, const char *pattern)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(f, pattern, len - 1) == 0;
	return strncmp(f, pattern, len) == 0 && (f[len] == 0 || f[len] == '.'); // f.part.0
}

double profile_share(const char *const *names, unsigned n)
{
	unsigned hits = 0, total = atomic_load(&n_samples);
	struct image im;

	image_open(&im);
	if (total > SAMPLES_MAX)
		total = SAMPLES_MAX;
	for (unsigned i = 0; i < total; i++) {
		const char *f = name_of(&im, samples[i]);

		for (unsigned k = 0; k < n; k++)
			if (is_named(f, names[k])) {
				hits++;
				break;
			}
	}
	if (im.map != NULL && im.map != MAP_FAILED)
		munmap((void *)(uintptr_t)im.map, im.len);
	return total == 0 ? 0 : (double)hits / total;
}

void profile_print(const char *name, double least)
{
	struct share shares[NAMES_MAX];
	unsigned n = 0, total = atomic_load(&n_samples);
	struct image im;
	const char *comma = "";

	image_open(&im);
	if (total > SAMPLES_MAX)
		total = SAMPLES_MAX;
	for (unsigned i = 0; i < total; i++) {
		const char *f = name_of(&im, samples[i]);
		unsigned k = 0;
		while (k < n && strcmp(shares[k].name, f) != 0)
			k++;
		if (k == NAMES_MAX)
			continue;
		if (k == n)
			shares[n++] = (struct share){.name = f};
		shares[k].n++;
	}
	qsort(shares, n, sizeof(shares[0]), by_share);
	printf("{\"stages\":\"%s\",\"samples\":%u,\"share\":{", name, total);
	for (unsigned k = 0; k < n && shares[k].n >= least * total; k++) {
		printf("%s\"%s\":%.3f", comma, shares[k].name, (double)shares[k].n / total);
		comma = ",";
	}
	printf("}}\n");
	fflush(stdout);
	if (im.map != NULL && im.map != MAP_FAILED)
		munmap((void *)(uintptr_t)im.map, im.len);
}
