// Table of the data plane's options and the checks that span several of them. Knows no EAL: what
// becomes of the values is dp_eal.c's, io/port.c's and main.c's business.

#include "dataplane/dp_conf.h"

#include "dataplane/dp_cores.h"
#include "dataplane/rule/rule_table.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/rail.h"

#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char *const hugepage_names[] = {"auto", "yes", "no", NULL};
static const char *const backend_names[] = {"auto", "sodium", "ipsec-mb", NULL};
static const char *const exception_names[] = {"auto", "kernel", "tap", "drop", NULL};
static const char *const idle_names[] = {"poll", "adaptive", NULL};
static const char *const level_names[] = {"err", "warn", "notice", "info", "debug", NULL};

static const char *check_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= DPMSG_NAME_LEN)
		return "is no name: 1 to 31 characters";
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL)
			return "is no name: letters, digits, '-', '_' and '.' only";
	}
	return NULL;
}

static const char *check_dir(const char *text)
{
	return text[0] == '/' ? NULL : "is not an absolute path";
}

static const char *check_if(const char *text)
{
	if (strlen(text) >= IFNAMSIZ)
		return "is longer than the 15 characters of an interface";
	return strpbrk(text, "/ \t") != NULL ? "is not the name of an interface" : NULL;
}

static const char *check_device(const char *text)
{
	char name[DPMSG_TEXT_LEN];

	if (strlen(text) >= PORT_DEVICE_LEN)
		return "is longer than 191 characters";
	return port_device_name(text, name, sizeof(name)) ? NULL : "is not a device";
}

static const char *check_cores(const char *text)
{
	static char why[128]; // one thread at a time (conf.h)

	if (text[0] == '\0' || dp_cores_parse(text, dp_cores_has_cpu, why, sizeof(why)) > 0)
		return NULL;
	return why;
}

#define VALUE(field) CONF_FIELD(struct dp_values, field)
#define PORT(field) CONF_FIELD(struct dp_port_values, field)

static const struct conf_item items[] = {
	{"node", "name", CONF_STR, .def = "skyrail", VALUE(name), .check = check_name,
		.help = "name of this node: file prefix of EAL, shown by tools"},
	{"node", "run_dir", CONF_STR, .def = "/run/skyrail", VALUE(run_dir), .check = check_dir,
		.help = "directory of the socket at which the control plane attaches"},
	{"node", "udp_port", CONF_UINT, .def = "7780", .min = 1, .max = 65535, VALUE(udp_port),
		.help = "UDP port of rail transports"},
	{"node", "udp_ports", CONF_UINT, .def = "8", .min = 1, .max = RAIL_FLOWS_MAX,
		VALUE(udp_ports),
		.help = "so many ports from udp_port on: the most flows of a transport"},
	{"node", "control_user", CONF_STR, VALUE(control_user),
		.help = "user as whom the control plane runs, besides root and our own user"},
	{"eal", "cores", CONF_STR, VALUE(cores), .check = check_cores,
		.help = "lcores as EAL's --lcores, main first (0@0,1@1); empty: chosen"},
	{"eal", "workers", CONF_UINT, .def = "1", .min = 1, .max = DPMSG_MAX_WORKERS,
		VALUE(workers), .help = "worker lcores, when cores is empty"},
	{"eal", "hugepages", CONF_ENUM, .def = "auto", VALUE(hugepages), .names = hugepage_names,
		.help = "auto: use them if enough are free"},
	{"eal", "memory", CONF_UINT, .def = "0", .min = 0, .max = 1 << 20, VALUE(memory_mb),
		.help = "megabytes for EAL; 0: computed from tables and ports"},
	{"eal", "extra_args", CONF_STR, VALUE(extra_args),
		.help = "more EAL arguments, separated by blanks"},
	{"tables", "rules", CONF_UINT, .def = "65536", .min = 1 << RULE_BITS_MIN,
		.max = 1 << RULE_BITS_MAX, VALUE(rules),
		.help = "size of the rule table, rounded up to a power of two; 64 bytes each"},
	{"tables", "hops", CONF_UINT, .def = "1024", .min = 2, .max = 1 << DPMSG_HANDLE_BITS,
		VALUE(hops), .help = "most transport flows at a time"},
	{"tables", "adjs", CONF_UINT, .def = "1024", .min = 2, .max = 1 << DPMSG_HANDLE_BITS,
		VALUE(adjs), .help = "most next hops at a time"},
	{"port", "device", CONF_STR, .flags = CONF_REQUIRED, PORT(device), .check = check_device,
		.help = "vdev with its arguments (net_af_packet0,iface=eth1) or PCI address"},
	{"port", "queues", CONF_UINT, .def = "0", .min = 0, .max = DPMSG_MAX_WORKERS, PORT(queues),
		.help = "receive queues; 0: one per worker"},
	{"port", "mtu", CONF_UINT, .def = "0", .min = 0, .max = PORT_MTU_MAX, PORT(mtu),
		.help = "bytes of IP; 0: as the device has it"},
	{"port", "exception", CONF_ENUM, .def = "auto", PORT(exception), .names = exception_names,
		.help = "where frames that are not ours go; auto: kernel if it sees them, else tap"},
	{"port", "kernel_if", CONF_STR, PORT(kernel_if), .check = check_if,
		.help = "interface whose addresses and neighbours count; empty: found out"},
	{"port", "tap", CONF_STR, PORT(tap), .check = check_if,
		.help = "name of the exception TAP; empty: sk-<name of the port>"},
	{"crypto", "backend", CONF_ENUM, .def = "auto", VALUE(crypto), .names = backend_names,
		.help = "cipher library; auto: the quicker one for each cipher, measured at start"},
	{"idle", "mode", CONF_ENUM, .def = "adaptive", VALUE(idle), .flags = CONF_LIVE,
		.names = idle_names, .help = "poll: lowest latency, whole cores; adaptive: sleeps"},
	{"log", "level", CONF_ENUM, .def = "info", VALUE(log_level), .flags = CONF_LIVE,
		.names = level_names, .help = "least severe level that is printed"},
};

static const struct conf_class classes[] = {
	{"port", offsetof(struct dp_values, ports), sizeof(struct dp_port_values),
		offsetof(struct dp_port_values, name), DPMSG_MAX_PORTS},
};

static const struct conf_schema schema = {
	items, ARRAY_LEN(items), classes, ARRAY_LEN(classes), sizeof(struct dp_values), true};

int dp_conf_load(struct dp_conf *c, const char *path, char err[CONF_ERR_MAX])
{
	memset(c, 0, sizeof(*c));
	c->file = conf_load(&schema, path, err);
	if (c->file == NULL)
		return errno != 0 ? -errno : -EINVAL;
	c->v = conf_values(c->file);
	for (size_t i = 0; i < c->v->ports.n; i++) {
		const struct dp_port_values *p = (const struct dp_port_values *)c->v->ports.v + i;

		c->ports[c->n_ports++] = (struct port_ask){.name = p->name,
			.device = p->device,
			.kernel_if = p->kernel_if,
			.tap = p->tap,
			.queues = p->queues,
			.mtu = p->mtu,
			.exception = (enum port_exception)p->exception};
	}
	return conf_is_good(c->file) ? 0 : -EINVAL;
}

static struct port_ask *port_find(struct dp_conf *c, const char *name)
{
	for (unsigned i = 0; i < c->n_ports; i++) {
		if (strcmp(c->ports[i].name, name) == 0)
			return &c->ports[i];
	}
	return NULL;
}

int dp_conf_port_arg(struct dp_conf *c, const char *arg, char err[CONF_ERR_MAX])
{
	const char *eq = strchr(arg, '=');
	struct port_ask *p;
	const char *wrong;
	char *name, *device;

	if (eq == NULL || c->n_port_args == DPMSG_MAX_PORTS) {
		conf_err_add(err, "-p %.200s: %s", arg,
			eq == NULL ? "must be NAME=DEVICE" : "too many ports");
		return -EINVAL;
	}
	name = strdup(arg);
	if (name == NULL) {
		conf_err_add(err, "-p %.200s: out of memory", arg);
		return -ENOMEM;
	}
	c->port_args[c->n_port_args++] = name;
	device = name + (eq - arg);
	*device++ = '\0';
	wrong = check_name(name);
	if (wrong == NULL)
		wrong = check_device(device);
	p = port_find(c, name);
	if (wrong == NULL && p == NULL && c->n_ports == DPMSG_MAX_PORTS)
		wrong = "too many ports";
	if (wrong != NULL) {
		conf_err_add(err, "-p %.200s: %s", arg, wrong);
		return -EINVAL;
	}
	if (p == NULL) {
		p = &c->ports[c->n_ports++];
		*p = (struct port_ask){.name = name, .kernel_if = "", .tap = ""};
	}
	p->device = device;
	return 0;
}

static unsigned log2_up(uint32_t n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

// A port of the command line stands in no file.
static int port_bad(const struct dp_conf *c, const struct port_ask *p, const char *key,
	char err[CONF_ERR_MAX], const char *text)
{
	for (unsigned i = 0; i < c->n_port_args; i++) {
		if (strcmp(c->port_args[i], p->name) != 0)
			continue;
		conf_err_add(err, "-p %s=%.200s: %.250s", p->name, p->device, text);
		return -EINVAL;
	}
	return conf_mistake(c->file, err, "port", p->name, key, "%s", text);
}

// Where a device of DPDK is wanted, people write the name of the kernel's interface. text is what
// is wrong, or "".
static void device_wrong(const char *device, char *text, size_t cap)
{
	char name[IFNAMSIZ] = "";
	size_t len = strcspn(device, ",");

	text[0] = '\0';
	if (len < sizeof(name))
		memcpy(name, device, len);
	if (strncmp(device, "net_", 4) == 0)
		return;
	if (name[0] != '\0' && if_nametoindex(name) != 0)
		snprintf(text, cap,
			"%s is an interface of the kernel, not a device of DPDK: write "
			"net_af_packet0,iface=%s (any interface), net_af_xdp0,iface=%s (faster), "
			"or its PCI address once it is bound",
			name, name, name);
	else if (strcspn(device, "_:.-") >= len)
		snprintf(text, cap,
			"'%.*s' is no device of DPDK, and there is no interface of this name: a "
			"PCI address (0000:03:00.0), or a driver with its arguments "
			"(net_af_packet0,iface=eth1)",
			(int)(len < 60 ? len : 60), device);
}

static int port_check(const struct dp_conf *c, unsigned i, char err[CONF_ERR_MAX])
{
	const struct port_ask *p = &c->ports[i];
	const char *wrong = check_name(p->name);
	char text[CONF_MISTAKE_MAX];
	unsigned k = 0;
	int rc = 0;

	if (wrong != NULL)
		rc = port_bad(c, p, NULL, err, wrong);
	device_wrong(p->device, text, sizeof(text));
	if (text[0] != '\0')
		rc = port_bad(c, p, "device", err, text);
	if (p->mtu != 0 && p->mtu < 1280) // rail.md 5: the floor
		rc = port_bad(c, p, "mtu", err, "mtu is at least 1280, or 0 for the device's");
	while (k < i && strcmp(c->ports[k].device, p->device) != 0)
		k++;
	if (k == i)
		return rc;
	snprintf(text, sizeof(text), "device %.200s is port %s already", p->device,
		c->ports[k].name);
	return port_bad(c, p, "device", err, text);
}

static const char *const drivers[] = {"net_af_packet", "net_af_xdp", "net_bonding", "net_failsafe",
	"net_memif", "net_null", "net_pcap", "net_ring", "net_tap", "net_vdev_netvsc", "net_vhost",
	"net_virtio_user"};

// What follows, often a digit, tells devices of one driver apart.
static bool driver_is_known(const char *device)
{
	if (strncmp(device, "net_", 4) != 0)
		return true; // an address on a bus
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strncmp(device, drivers[i], strlen(drivers[i])) == 0)
			return true;
	return false;
}

int dp_conf_check_machine(const struct dp_conf *c, char err[CONF_ERR_MAX], char warn[CONF_ERR_MAX])
{
	char name[IFNAMSIZ], text[CONF_MISTAKE_MAX];
	int rc = 0;

	for (unsigned i = 0; i < c->n_ports; i++) {
		const struct port_ask *p = &c->ports[i];

		if (!driver_is_known(p->device)) {
			snprintf(text, sizeof(text),
				"'%.60s' is no driver that this program knows (net_af_packet0, "
				"net_af_xdp0, net_memif0, net_tap0, ...)",
				p->device);
			port_bad(c, p, "device", warn, text);
		}
		if ((strncmp(p->device, "net_af_packet", 13) != 0 &&
			    strncmp(p->device, "net_af_xdp", 10) != 0) ||
			!port_device_arg(p->device, "iface", name, sizeof(name)) ||
			if_nametoindex(name) != 0)
			continue;
		snprintf(text, sizeof(text), "this machine has no interface %s now", name);
		rc = port_bad(c, p, "device", err, text);
	}
	return rc;
}

int dp_conf_check(struct dp_conf *c, char err[CONF_ERR_MAX])
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int rc = dp_conf_socket_path(c, path, sizeof(path));

	if (rc < 0)
		rc = conf_mistake(c->file, err, "node", "", "run_dir",
			"run_dir is too long for a socket's path");
	if (c->v->udp_port + c->v->udp_ports > 65536)
		rc = conf_mistake(c->file, err, "node", "", "udp_ports",
			"udp_port and udp_ports go beyond 65535");
	for (unsigned i = 0; i < c->n_ports; i++)
		if (port_check(c, i, err) < 0)
			rc = -EINVAL;
	c->rule_bits = log2_up(c->v->rules);
	// three keys per hop may live at a time; one slot in four used keeps collisions of the
	// control plane's random choice rare
	c->rx_index_bits = log2_up(c->v->hops) + 4;
	if (c->rx_index_bits > 24)
		c->rx_index_bits = 24;
	return rc;
}

void dp_conf_free(struct dp_conf *c)
{
	for (unsigned i = 0; i < c->n_port_args; i++)
		free(c->port_args[i]);
	if (c->file != NULL)
		conf_free(c->file);
	memset(c, 0, sizeof(*c));
}

void dp_conf_print(const struct dp_conf *c, FILE *out)
{
	conf_print(c->file, out);
	for (unsigned i = 0; i < c->n_port_args; i++)
		fprintf(out, "# -p %s=%s\n", c->port_args[i],
			c->port_args[i] + strlen(c->port_args[i]) + 1);
}

int dp_conf_socket_path(const struct dp_conf *c, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s/dataplane.sock", c->v->run_dir);

	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}
