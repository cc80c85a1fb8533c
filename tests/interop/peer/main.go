// peer is the other side of dmsg for the interop tests: a second implementation, from the specs, on
// the libraries that Skywire itself stands on. It shares no code and no table with what it tests.
//
//	peer key FILE                                      makes a key, prints the public one
//	peer discovery [-gen 2024|2026] ADDRESS
//	peer server -key FILE [options] ADDRESS
//	peer dial -key FILE -server PK@ADDRESS [options] PK:PORT     standard input and output are the stream
//	peer listen -key FILE -server PK@ADDRESS [options] PORT      the same, for the first stream that comes
//	peer hypervisor -key FILE -server PK@ADDRESS -lan PK@ADDRESS [options]     tells visors of a LAN server
//	peer gateway -key FILE -server PK@ADDRESS [options]          a node that set-up nodes reserve and install at
//	peer route -key FILE -server PK@ADDRESS [options] PK PK,...  asks that set-up node for a route by these nodes
//	peer node -key FILE [options]                                a router: transports, rules, groups (router.go, group.go)
//	peer rdial -key FILE [options] PK:PORT                       a node, and a group to there: standard input and output
//	peer rlisten -key FILE [options] PORT                        a node, and the first group that comes
//	peer stcp -key FILE [-fault WORD] PK@ADDRESS                 a transport; with a fault, how the other end bears it
//	peer callers -key FILE N                                     the public keys by which flip calls
//	peer flip -key FILE -from IP PK@ADDRESS N                    stcp handshakes with each bit of ours turned, by N callers: flip.go
//	peer flipgroups -key FILE [options] PK:PORT                  a node, and groups to there with each bit of the handshake turned
//	peer flipcalls -key FILE -server PK@ADDRESS [options] PK PK  a set-up node at the first, with each bit of its calls turned
//	peer blast -key FILE -stcp PK@ADDRESS [options] KEY ID       packets through a node, to ourselves: how many
//	peer setup -key FILE -server PK@ADDRESS [options]            a set-up node
//	peer tpgateway -key FILE -server PK@ADDRESS [options]        a node at which others have transports made; refuse: a key
//	peer tpask -key FILE -server PK@ADDRESS [options] PK WORDS   asks that node for them: "add PK TYPE,remove ID,list"
//	peer lay -key FILE -server PK@ADDRESS [options] PK           a set-up node at that node, by a script: lay.go
//	peer load -server PK@ADDRESS [options] PK N                  asks that set-up node for N routes, as fast as can be
//	peer services [-key FILE -server PK@ADDRESS] ADDRESS   transport discovery, address resolver, route finder; also by dmsg
//	peer register -key FILE URL FILE TYPE              posts an entry of a transport between two keys there
//	peer ip|ping -key FILE -server PK@ADDRESS [options]
//	peer xk NUMBER                                     so many XK handshakes: how many in a second of one core
//	peer diff [-n CASES] [-seed N] DECODE              the same bytes to Go's decoders and to ours
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var verbose, quiet bool

var events io.Writer = os.Stdout // of nodes; standard error where standard output is a stream

func tell(format string, args ...interface{}) {
	if !quiet {
		fmt.Fprintf(events, format+"\n", args...)
	}
}

func logf(format string, args ...interface{}) {
	if verbose {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}

type logWriter struct{}

func (logWriter) Write(p []byte) (int, error) {
	logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func hashOf(b []byte) SHA256                      { return sha256.Sum256(b) }
func readFull(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }
func splitServer(s string) (pk PubKey, a string, e error) {
	key, address, found := strings.Cut(s, "@")
	if !found {
		return pk, "", fmt.Errorf("%q is not PK@ADDRESS", s)
	}
	pk, e = parsePK(key)
	return pk, address, e
}

type options struct {
	fs     *flag.FlagSet
	key    *string
	server *string
	disc   *string
	mux    *string
	public *string
	lan    *string
	refuse *string
	keep   *time.Duration
	gen    *int
	pq     *bool
	abrupt *bool
	joins  *bool
	peers  list // of a server
	args   []string
	sk     SecKey
	done   chan struct{}

	// of nodes: node.go
	listen, setup, via, hops, edge, fault *string
	from                                  *string // of flip
	stcp, rules                           list
	ping                                  *time.Duration
	echo                                  *uint
	expect                                *uint64
	plain                                 *bool
	size                                  *uint // of blast
	span                                  *time.Duration
}

// list is an option that may be given many times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func parse(args []string, n int) (*options, error) {
	fs := flag.NewFlagSet(args[0], flag.ExitOnError)
	o := &options{
		fs:     fs,
		key:    fs.String("key", "", "file of the secret key, in hex"),
		server: fs.String("server", "", "PK@ADDRESS of the server; else of the destination's entry"),
		disc:   fs.String("discovery", "", "URL of the discovery"),
		mux:    fs.String("mux", "yamux", "yamux, smux1 or smux2; a server with a discovery asks that"),
		public: fs.String("public", "", "address in the server's entry"),
		lan:    fs.String("lan", "", "PK@ADDRESS of the server that visors are told of"),
		refuse: fs.String("refuse", "", "method of a gateway that is refused"),
		keep:   fs.Duration("keep", 10*time.Minute, "keep-alive of a route's rules"),
		gen:    fs.Int("gen", 2024, "whose fields our objects have: 2024 or 2026"),
		pq:     fs.Bool("pq", false, "offer a post-quantum key in first messages"),
		abrupt: fs.Bool("abrupt", false, "dial: close the connection right behind the last byte"),
		joins:  fs.Bool("discover", false, "a server is joined to all that its discovery lists"),
		done:   make(chan struct{}),

		listen: fs.String("listen", "", "address at which stcp is taken"),
		setup:  fs.String("setup", "", "PK of the set-up node that is asked for routes"),
		via:    fs.String("via", "", "PK,PK of the nodes between"),
		hops:   fs.String("hops", "", "type of each hop's transport, by commas; stcp where none is said"),
		edge:   fs.String("edge", "", "KEY:NEXT@PK,REMOTE of a route that nobody sets up: from port 50000"),
		fault:  fs.String("fault", "", "how stcp is bad: see stcp.go"),
		from:   fs.String("from", "", "address of the first caller, IPv4; that of each is one more"),
		ping:   fs.Duration("ping", 3*time.Second, "how often a group asks; 0 for never"),
		echo:   fs.Uint("echo", 0, "port that says all again"),
		expect: fs.Uint64("expect", 0, "bytes that have to come before a group is closed"),
		plain:  fs.Bool("plain", false, "a group without noise"),
		size:   fs.Uint("size", 512, "bytes of each packet's payload"),
		span:   fs.Duration("for", 3*time.Second, "how long packets are sent"),
	}
	fs.Var(&o.stcp, "stcp", "PK@ADDRESS of a transport that is dialled, again when it ends")
	fs.Var(&o.rules, "rule", "KEY:NEXT@PK of a rule in the middle that nobody sets up")
	v := fs.Bool("v", false, "tell what happens")
	fs.Var(&o.peers, "peer", "PK@ADDRESS of a peer server; without an address it dials us")
	if err := fs.Parse(args[1:]); err != nil {
		return nil, err
	}
	if *v {
		verbose = true
	}
	if o.args = fs.Args(); len(o.args) != n {
		return nil, fmt.Errorf("%s takes %d arguments", args[0], n)
	}
	if *o.key != "" {
		var err error
		if o.sk, err = loadKey(*o.key); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Who speaks smux tells so by a first frame, as clients of 2026 do that measure the way (dmsg 3.6).
func (o *options) dialSession(pk PubKey, address string) (*session, error) {
	s, err := dialSession(pk, address, o.sk, *o.mux, *o.pq)
	if err == nil && *o.mux != "yamux" {
		_, err = newClient(o.sk, *o.gen, *o.pq).ping(s)
	}
	return s, err
}

// A session to the server that is named, or to one that the destination's entry delegates.
func (o *options) session(to *PubKey) (*session, error) {
	if *o.server != "" {
		pk, address, err := splitServer(*o.server)
		if err != nil {
			return nil, err
		}
		return o.dialSession(pk, address)
	}
	d := discoClient{*o.disc}
	if to == nil {
		var list []entry
		if err := d.do("GET", "available_servers", nil, &list); err != nil {
			return nil, err
		}
		return o.dialSession(list[0].Static, list[0].Server.Address)
	}
	e, err := d.get(*to)
	if err != nil {
		return nil, err
	}
	if e.Client == nil {
		return nil, dmsgError(102)
	}
	err = dmsgError(103)
	for _, pk := range e.Client.DelegatedServers {
		var via entry
		if via, err = d.get(pk); err != nil || via.Server == nil {
			continue
		}
		var s *session
		if s, err = o.dialSession(pk, via.Server.Address); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (o *options) publish(e entry) {
	if *o.disc == "" {
		return
	}
	finished := make(chan struct{})
	go func() {
		discoClient{*o.disc}.publish(o.sk, e, o.done)
		close(finished)
	}()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-term
		close(o.done)
		<-finished
		os.Exit(0)
	}()
}

// Both ways; the end of what comes ends it, as does the end of the input.
func join(c net.Conn) error {
	in := make(chan error, 1)
	out := make(chan error, 1)
	go func() {
		n, err := io.Copy(c, os.Stdin)
		if n > 0 || err != nil {
			in <- err
		}
	}()
	go func() { _, err := io.Copy(os.Stdout, c); out <- err }()
	select {
	case err := <-in:
		c.Close()
		return err
	case err := <-out:
		c.Close()
		return err
	}
}

func runServer(o *options) error {
	v := newServer(o.sk, *o.gen, func(pk PubKey) string {
		if *o.disc == "" {
			return *o.mux
		}
		if e, err := (discoClient{*o.disc}).get(pk); err == nil && e.Protocol == "smux" {
			return "smux2"
		}
		return "yamux"
	})
	for _, p := range o.peers {
		pk, address, err := splitServer(p)
		if err != nil {
			return err
		}
		v.join(pk, address)
	}
	if *o.joins {
		go v.discover(discoClient{*o.disc})
	}
	l, err := net.Listen("tcp", o.args[0])
	if err != nil {
		return err
	}
	if *o.public != "" {
		o.publish(entry{Server: &entryServer{Address: *o.public, AvailableSessions: 2048}})
	}
	fmt.Println("ready", v.pk, l.Addr())
	return v.listen(l)
}

func runListen(o *options) error {
	port, err := strconv.ParseUint(o.args[0], 10, 16)
	if err != nil {
		return err
	}
	c := newClient(o.sk, *o.gen, *o.pq)
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	e := entry{Client: &entryClient{DelegatedServers: []PubKey{s.peer}}}
	if strings.HasPrefix(*o.mux, "smux") {
		e.Protocol = "smux"
	}
	o.publish(e)
	fmt.Fprintln(os.Stderr, "ready", c.pk)
	first := make(chan error, 1)
	go func() {
		first <- c.accept(s, uint16(port), func(conn net.Conn, from Addr) {
			logf("stream of %v", from)
			first <- join(conn)
		})
	}()
	err = <-first
	s.settle()
	return err
}

func runDial(o *options) error {
	to, err := parseAddr(o.args[0])
	if err != nil {
		return err
	}
	s, err := o.session(&to.PK)
	if err != nil {
		return err
	}
	conn, err := newClient(o.sk, *o.gen, *o.pq).dial(s, to)
	if err != nil {
		return err
	}
	err = join(conn)
	if *o.abrupt {
		s.close()
		return err
	}
	s.settle()
	return err
}

// Commands with options: how many arguments stand behind them.
var commands = map[string]struct {
	n   int
	run func(*options) error
}{
	"discovery":  {1, func(o *options) error { return serveDiscovery(o.args[0], *o.gen) }},
	"server":     {1, runServer},
	"dial":       {1, runDial},
	"listen":     {1, runListen},
	"hypervisor": {0, runHypervisor},
	"gateway":    {0, runGateway},
	"setup":      {0, runSetup},
	"route":      {2, runRoute},
	"tpgateway":  {0, runTransportGateway},
	"tpask":      {2, runAskTransports},
	"lay":        {1, runLay},
	"load":       {2, runLoad},
	"node":       {0, runNode},
	"rdial":      {1, runRouteDial},
	"rlisten":    {1, runRouteListen},
	"stcp":       {1, runStcp},
	"callers":    {1, runCallers},
	"flip":       {2, runFlip},
	"flipgroups": {1, runFlipGroups},
	"flipcalls":  {2, runFlipCalls},
	"services":   {1, runServices},
	"register":   {3, runRegister},
	"blast":      {2, runBlast},
	"ip":         {0, runIP},
	"ping":       {0, runPing},
}

func runIP(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	ip, err := newClient(o.sk, *o.gen, *o.pq).lookUp(s)
	fmt.Println(ip)
	return err
}

func runPing(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	rtt, err := newClient(o.sk, *o.gen, *o.pq).ping(s)
	fmt.Println(rtt)
	return err
}

func runKey(path string) error {
	sk := newKey()
	fmt.Println(sk.pub())
	return os.WriteFile(path, []byte(hex.EncodeToString(sk[:])+"\n"), 0o600)
}

func run(args []string) error {
	switch {
	case args[0] == "key" && len(args) == 2:
		return runKey(args[1])
	case args[0] == "diff":
		return runDiff(args[1:])
	case args[0] == "xk" && len(args) == 2:
		return runXK(args[1])
	}
	c, found := commands[args[0]]
	if !found {
		return fmt.Errorf("no command %q, or not with these arguments", args[0])
	}
	o, err := parse(args, c.n)
	if err != nil {
		return err
	}
	return c.run(o)
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peer COMMAND ...: see main.go")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}
