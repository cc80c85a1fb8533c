// Leveled log lines of a program. Each .c that logs says LOG_MODULE("route") once; the level of a
// module, or of all, can be changed while the program runs. Text is lower case, without newline,
// data as key=value; no keys, tokens or payload. lib/ (but for this file) never logs, workers never
// log. Any thread; a line reaches the sink in one call.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERR = 0, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

enum {
	LOG_LEVEL_DEFAULT = LOG_INFO,
	LOG_TEXT_MAX = 1024, // longer texts are cut
	LOG_LIMIT_BURST = 5, // lines that one call site may print at once ...
	LOG_LIMIT_PER_S = 1, // ... and then per second
};

struct log_module {
	const char *name;
	_Atomic int level; // relaxed: a late change costs a line, no more
	struct log_module *next;
};

struct log_bucket {
	_Atomic uint64_t state; // time of the last refill and tokens left, see log.c
	_Atomic uint32_t suppressed;
};

// Receives finished texts: no newline, control characters replaced.
typedef void (*log_sink_fn)(void *arg, enum log_level level, const char *module, const char *text);

// NULL puts the stderr sink back: `level module: text`, with the ISO time before it on a terminal.
void log_sink_set(log_sink_fn fn, void *arg);

// Level of the modules of that name, "all" for all, also those that register later.
// -ENOENT: no such module; -EINVAL: no such level.
int log_level_set(const char *module, int level);

// Level of the first module of that name, or -ENOENT.
int log_level_get(const char *module);

// Next registered module after m, or the first one for NULL; NULL at the end.
const struct log_module *log_module_next(const struct log_module *m);

// "err", "warn", "notice", "info", "debug" and back; -EINVAL / "?" for anything else.
int log_level_parse(const char *text);
const char *log_level_name(int level);

// What the macros call.
void log_register(struct log_module *m);
void log_write(const struct log_module *m, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
// Each line of text as a line of its own.
void log_write_lines(const struct log_module *m, enum log_level level, const char *text);
// Take a token. *suppressed: lines swallowed since the last one let through.
bool log_bucket_take(struct log_bucket *b, uint32_t *suppressed);

#define LOG_MODULE(text)                                                                           \
	static struct log_module log_module_here = {.name = (text), .level = LOG_LEVEL_DEFAULT};   \
	__attribute__((constructor)) static void log_module_here_register(void)                    \
	{                                                                                          \
		log_register(&log_module_here);                                                    \
	}                                                                                          \
	struct log_module

#define log_is_on(lvl)                                                                             \
	((int)(lvl) <= atomic_load_explicit(&log_module_here.level, memory_order_relaxed))
#define log_at(lvl, ...)                                                                           \
	do {                                                                                       \
		if (log_is_on(lvl))                                                                \
			log_write(&log_module_here, (lvl), __VA_ARGS__);                           \
	} while (0)

#define log_lines(lvl, text)                                                                       \
	do {                                                                                       \
		if (log_is_on(lvl))                                                                \
			log_write_lines(&log_module_here, (lvl), (text));                          \
	} while (0)

#define log_err(...) log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_at(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

// For whatever a remote peer can trigger: a bucket per call site, and a count of what it swallowed.
#define log_limited(lvl, ...)                                                                      \
	do {                                                                                       \
		static struct log_bucket log_bucket_here;                                          \
		uint32_t log_suppressed_here = 0;                                                  \
		if (log_is_on(lvl) && log_bucket_take(&log_bucket_here, &log_suppressed_here)) {   \
			if (log_suppressed_here > 0)                                               \
				log_write(&log_module_here, (lvl),                                 \
					"%u lines like the next were not printed",                 \
					log_suppressed_here);                                      \
			log_write(&log_module_here, (lvl), __VA_ARGS__);                           \
		}                                                                                  \
	} while (0)
