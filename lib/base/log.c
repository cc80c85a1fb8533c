// Formats log lines and gives them to one sink. The list of modules is built by constructors before
// main() and only read afterwards. No buffering, no files, no rotation: the service manager does
// that.
#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

static const char *const level_names[] = {"err", "warn", "notice", "info", "debug"};

static void sink_stderr(void *arg, enum log_level level, const char *module, const char *text);

static struct log_module *modules;
static int level_all = LOG_LEVEL_DEFAULT;
static log_sink_fn sink = sink_stderr;
static void *sink_arg;

static void sink_stderr(void *arg, enum log_level level, const char *module, const char *text)
{
	char line[LOG_TEXT_MAX + 128];
	uint64_t now_ns;
	struct tm tm;
	time_t now;
	size_t n = 0;

	if (isatty(STDERR_FILENO)) {
		now_ns = clock_wall_ns();
		now = (time_t)(now_ns / CLOCK_NS_PER_S);
		gmtime_r(&now, &tm);
		n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
		n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03uZ ",
			(unsigned)(now_ns / CLOCK_NS_PER_MS % 1000));
	}
	snprintf(line + n, sizeof(line) - n, "%s %.32s: %s\n", log_level_name(level), module, text);
	// One write, so that lines of several threads and processes don't mix.
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return; // nobody is left to tell
}

void log_sink_set(log_sink_fn fn, void *arg)
{
	sink = fn != NULL ? fn : sink_stderr;
	sink_arg = fn != NULL ? arg : NULL;
}

void log_register(struct log_module *m)
{
	atomic_store_explicit(&m->level, level_all, memory_order_relaxed);
	m->next = modules;
	modules = m;
}

int log_level_set(const char *module, int level)
{
	bool all = strcmp(module, "all") == 0;
	bool found = all;

	if (level < LOG_ERR || level > LOG_DEBUG)
		return -EINVAL;
	if (all)
		level_all = level;
	for (struct log_module *m = modules; m != NULL; m = m->next) {
		if (!all && strcmp(m->name, module) != 0)
			continue;
		atomic_store_explicit(&m->level, level, memory_order_relaxed);
		found = true;
	}
	return found ? 0 : -ENOENT;
}

int log_level_get(const char *module)
{
	if (strcmp(module, "all") == 0)
		return level_all;
	for (struct log_module *m = modules; m != NULL; m = m->next) {
		if (strcmp(m->name, module) == 0)
			return atomic_load_explicit(&m->level, memory_order_relaxed);
	}
	return -ENOENT;
}

const struct log_module *log_module_next(const struct log_module *m)
{
	return m != NULL ? m->next : modules;
}

int log_level_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(text, level_names[i]) == 0)
			return (int)i;
	}
	return -EINVAL;
}

const char *log_level_name(int level)
{
	return level >= LOG_ERR && level <= LOG_DEBUG ? level_names[level] : "?";
}

void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	// A text may quote a peer: it must not move the cursor or forge a second line.
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	sink(sink_arg, level, m->name, text);
}

void log_write_lines(const struct log_module *m, enum log_level level, const char *text)
{
	for (size_t n; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		if (n > 0)
			log_write(m, level, "%.*s", (int)n, text);
	}
}

// state: seconds of the last refill + 1 (0 = never used) in the high bits, tokens in the low 8.
bool log_bucket_take(struct log_bucket *b, uint32_t *suppressed)
{
	uint64_t now_s = clock_mono_ns() / CLOCK_NS_PER_S + 1;
	uint64_t old = atomic_load_explicit(&b->state, memory_order_relaxed);
	uint64_t last_s, tokens;

	do {
		last_s = old >> 8;
		tokens = old & 0xff;
		if (last_s == 0 || now_s - last_s > LOG_LIMIT_BURST)
			tokens = LOG_LIMIT_BURST;
		else if (now_s > last_s)
			tokens += (now_s - last_s) * LOG_LIMIT_PER_S;
		if (tokens > LOG_LIMIT_BURST)
			tokens = LOG_LIMIT_BURST;
		if (tokens == 0) {
			atomic_fetch_add_explicit(&b->suppressed, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(&b->state, &old, now_s << 8 | (tokens - 1),
		memory_order_relaxed, memory_order_relaxed));
	*suppressed = atomic_exchange_explicit(&b->suppressed, 0, memory_order_relaxed);
	return true;
}
