// What the commands of `skyrail` share: the parsed global options, the connection, arguments of the
// form key=value, and output. Exit codes: 0 done, 1 failed, 2 wrong usage,
// 3 a file could not be checked.
#pragma once

#include "lib/api/api_client.h"
#include "lib/api/api_field.h"
#include "lib/crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_OK = 0, CLI_FAIL = 1, CLI_USAGE = 2, CLI_NOT_CHECKED = 3 };

struct command;

struct cli {
	const char *socket;
	bool json;
	bool all; // -a
	double watch_s; // -w; 0 = once
	bool want_help, want_version;
	struct api_client *client; // NULL before the first call
	char error[API_TEXT_MAX]; // why there is no client
	int status; // of the last request: 0 or -errno
	const struct command *command; // NULL in tests
	int argc; // what follows the command's words
	char **argv;
};

struct command {
	const char *words[2]; // the second may be NULL
	const char *args; // for the help
	const char *help;
	int (*fn)(struct cli *c);
	const char *example; // arguments, for its own help; may be empty
};

const struct command *cli_commands(size_t *n);
bool cli_has_json(const struct command *c); // -j means something to it
// The command that begins with these words, each an unambiguous prefix. Returns how many words it
// took, or -ENOENT, or -EEXIST when several fit; err has a text then.
int cli_find(int argc, char **argv, const struct command **out, char *err, size_t err_len);

// Takes the options of `skyrail` itself out of the line, wherever they stand; the rest is in argv
// and argc of c afterwards. CLI_OK or CLI_USAGE, which is told.
int cli_options(struct cli *c, int argc, char **argv);
// Help on all commands (argc 0), or on those that begin with these words. CLI_OK or CLI_USAGE.
int cli_help(int argc, char **argv);
// The same on all commands, on standard error. CLI_USAGE.
int cli_help_missing(void);

// One line on standard error: "skyrail: ...". Returns code.
int cli_error(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum { CLI_SEE_MAX = 64 };
// " (see `skyrail show rules --help`)": where the usage of the command at work stands.
const char *cli_see(const struct cli *c, char buf[CLI_SEE_MAX]);
// The text of the client's last failure.
const char *cli_why(const struct cli *c);
// The same as such a line; CLI_FAIL.
int cli_failed(const struct cli *c);

struct api_node;
// As api_client_call(), api_client_get() and api_client_node(); the first one connects, so wrong
// usage is told without a node.
int cli_call(
	struct cli *c, uint16_t type, const void *payload, size_t len, api_client_cb cb, void *ctx);
int cli_get(struct cli *c, uint16_t type, const void *payload, size_t len, void *out, size_t cap);
int cli_node(struct cli *c, struct api_node *out);

// ---- what commands share ----

// `config check` of a control plane's file (cmd_config.c): what the program says goes to said.
// CLI_OK; CLI_FAIL, which is not told; CLI_NOT_CHECKED, which is.
int cli_check_controlplane(const char *file, FILE *said);
// `config show` of a file instead of the node (cmd_config.c). An exit code.
int cli_config_of_file(struct cli *c);
// Of a key file (cmd_key.c), which others should not read: CLI_OK or CLI_FAIL, told. The caller
// wipes.
int cli_read_key(const char *path, struct key_sk *sk);
// By root, for a node that is not (cmd_key.c): the file belongs to whom its directory does.
void cli_give_to_owner_of_dir(int fd, const char *path);

// The records that answer a request, as a table or JSON (cmd_show.c). An exit code.
int cli_list(struct cli *c, uint16_t type, const void *ask, size_t ask_len);

// ---- arguments (args.c) ----

enum arg_kind {
	ARG_U32, // decimal or 0x hex, 1..2^32-1; "auto" = 0 -> uint32_t
	ARG_U16, // -> uint16_t
	ARG_COUNT, // 1..cap -> uint32_t
	ARG_MTU, // 1280..65535; "auto" = API_PATH_MTU_AUTO -> uint16_t
	ARG_NAME, // -> char[cap]
	ARG_PK, // -> uint8_t[33]
	ARG_ADDR, // IP:PORT -> struct api_addr
	ARG_MS, // 30s, 250ms, 2m -> uint32_t
	ARG_WORD, // one of words -> uint8_t, the place
	ARG_NETS, // IP/PREFIX,... -> struct api_edge_add, its addresses
	ARG_TEXT, // not empty -> const char *
	ARG_UUID, // -> uint8_t[16]
	ARG_FLAG, // --name -> bool
};

struct arg {
	const char *name;
	enum arg_kind kind;
	void *out;
	size_t cap; // ARG_NAME, ARG_COUNT
	const char *const *words; // ARG_WORD, ends in NULL
	bool required;
	bool seen; // set by args_parse()
};

// Parse argv: first n_pos positional words into pos[], then key=value and --flags in any order. 0,
// or -EINVAL and a text.
int args_parse(int argc, char **argv, const char **pos, int n_pos, struct arg *args, size_t n,
	char *err, size_t err_len);
int args_duration(const char *text, uint32_t *ms);
int args_u32(const char *text, uint32_t *out);
// The same and the error printed: CLI_OK or CLI_USAGE.
int cli_args(struct cli *c, const char **pos, int n_pos, struct arg *args, size_t n);

// ---- output (print.c) ----

struct print;

// One record group by group, no line longer than 79: for kinds whose fields have groups (block.c).
// A text from column col on, broken at blanks where 80 columns end, and indented then. Returns the
// column it ends at.
int block_sentence(FILE *out, const char *text, int col, int indent);
bool block_fits(const struct api_record *kind);
void block_print(FILE *out, const struct api_record *kind, const void *rec);

// A table, or JSON, of one record kind on standard output. all: also the wide columns, as a block
// for each record where the kind has groups. A table without them is as wide as the terminal at
// most, as far as leaving out spare columns and the middle of long texts helps; where standard
// output is no terminal, nothing is left out.
struct print *print_new(const struct api_record *kind, bool json, bool all);
int print_add(struct print *p, const void *rec); // 0 or -ENOMEM
// Writes what is left and frees. CLI_OK or CLI_FAIL (standard output can't be written).
int print_end(struct print *p);
size_t print_count(const struct print *p);
void print_drop(struct print *p); // frees, writes nothing

// ---- commands ----

int cmd_show_node(struct cli *c);
int cmd_show_ports(struct cli *c);
int cmd_show_workers(struct cli *c);
int cmd_show_transports(struct cli *c);
int cmd_show_flows(struct cli *c);
int cmd_show_rules(struct cli *c);
int cmd_show_drops(struct cli *c);
int cmd_show_rings(struct cli *c);
int cmd_show_memory(struct cli *c);
int cmd_show_edges(struct cli *c);
int cmd_show_neighbours(struct cli *c);
int cmd_show_counters(struct cli *c);
int cmd_show_dmsg(struct cli *c);
int cmd_show_servers(struct cli *c);
int cmd_show_sessions(struct cli *c);
int cmd_show_streams(struct cli *c);
int cmd_show_discoveries(struct cli *c);
int cmd_show_hypervisors(struct cli *c);
int cmd_show_routes(struct cli *c);
int cmd_show_groups(struct cli *c);
int cmd_show_setups(struct cli *c);
int cmd_show_services(struct cli *c);
int cmd_route_find(struct cli *c);
int cmd_route_dial(struct cli *c);
int cmd_route_listen(struct cli *c);
int cmd_bench_route(struct cli *c);
int cmd_route_trace(struct cli *c);
int cmd_route_close(struct cli *c);
int cmd_dmsg_dial(struct cli *c);
int cmd_dmsg_listen(struct cli *c);
int cmd_dmsg_ping(struct cli *c);
int cmd_dmsg_ip(struct cli *c);
int cmd_transport_add(struct cli *c);
int cmd_transport_del(struct cli *c);
int cmd_transport_list(struct cli *c);
int cmd_transport_move(struct cli *c);
int cmd_rebalance(struct cli *c);
int cmd_ping(struct cli *c);
int cmd_rule_add(struct cli *c);
int cmd_rule_del(struct cli *c);
int cmd_edge_add(struct cli *c);
int cmd_edge_attach(struct cli *c);
int cmd_edge_detach(struct cli *c);
int cmd_edge_del(struct cli *c);
int cmd_config_show(struct cli *c);
int cmd_config_check(struct cli *c);
int cmd_config_reload(struct cli *c);
int cmd_import_config(struct cli *c);
int cmd_key_gen(struct cli *c);
int cmd_key_show(struct cli *c);
int cmd_log_level(struct cli *c);
