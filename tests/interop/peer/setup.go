package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strings"
	"time"
)

const (
	setupPort   = 36
	gatewayPort = 136
)

// What routes are set up with (skywire-routing 2 and 5).
type uuid [16]byte

func (u uuid) MarshalBinary() ([]byte, error) { return u[:], nil }
func (u *uuid) UnmarshalBinary(b []byte) error {
	if copy(u[:], b) != len(u) || len(b) != len(u) {
		return errors.New("no UUID")
	}
	return nil
}

type RouteDescriptor [70]byte
type RouteID uint32
type Rule []byte

type Hop struct {
	TpID     uuid
	From, To PubKey
}

type BidirectionalRoute struct {
	Desc      RouteDescriptor
	KeepAlive time.Duration
	Forward   []Hop
	Reverse   []Hop
}

type EdgeRules struct {
	Desc    RouteDescriptor
	Forward Rule
	Reverse Rule
}

func describe(src, dst PubKey, srcPort, dstPort uint16) (d RouteDescriptor) {
	copy(d[:33], src[:])
	copy(d[33:66], dst[:])
	binary.BigEndian.PutUint16(d[66:], srcPort)
	binary.BigEndian.PutUint16(d[68:], dstPort)
	return d
}

func (r Rule) isValid() bool {
	lengths := map[byte]int{0: 83, 1: 120, 2: 50}
	return len(r) >= 13 && lengths[r[8]] == len(r)
}

func (e *EdgeRules) isValid() bool {
	return e.Forward.isValid() && e.Forward.kind() == forward && e.Forward.desc() == e.Desc.invert() &&
		e.Reverse.isValid() && e.Reverse.kind() == consume && e.Reverse.desc() == e.Desc
}

// A rule in words; an error for one that a visor would not take.
func (r Rule) String() string {
	kinds := map[byte]string{0: "consume", 1: "forward", 2: "intermediary"}
	if !r.isValid() {
		return fmt.Sprintf("bad %x", []byte(r))
	}
	s := fmt.Sprintf("%s keep=%v key=%d", kinds[r[8]], time.Duration(binary.BigEndian.Uint64(r)),
		binary.BigEndian.Uint32(r[9:]))
	if r[8] == 0 {
		return s
	}
	return fmt.Sprintf("%s next=%d tp=%v", s, r.next(), r.tp())
}

// A visor's end of route set-up: rules are kept, and printed. open is called with those of an end.
type gateway struct {
	rules  *table
	refuse string
	open   func(EdgeRules) error
}

func (g *gateway) tell(method, format string, args ...interface{}) error {
	if g.refuse == method {
		return fmt.Errorf("failure code 1 (%s is refused)", method)
	}
	tell(format, args...)
	return nil
}

func (g *gateway) ReserveIDs(n uint8, ids *[]RouteID) error {
	if g.refuse == "ReserveIDs" {
		return errors.New("failure code 4 (no ids)")
	}
	*ids = g.rules.reserve(n)
	return nil
}

func (g *gateway) AddIntermediaryRules(rules []Rule, ok *bool) error {
	for _, r := range rules {
		if err := g.tell("AddIntermediaryRules", "%v", r); err != nil {
			return err
		}
		if !r.isValid() || r.kind() != intermediary {
			return errors.New("failure code 1 (not a rule of the middle)")
		}
	}
	g.rules.save(rules...)
	*ok = true
	return nil
}

func (g *gateway) AddEdgeRules(e EdgeRules, ok *bool) error {
	if err := g.tell("AddEdgeRules", "edge\n%v\n%v", e.Forward, e.Reverse); err != nil {
		return err
	}
	if !e.isValid() {
		return errors.New("failure code 1 (not the rules of an edge)")
	}
	g.rules.save(e.Forward, e.Reverse)
	*ok = true
	return g.open(e)
}

// Later versions can take rules back.
type laterGateway struct{ *gateway }

func (g laterGateway) DelRules(ids []RouteID, ok *bool) error {
	*ok = true
	g.rules.drop(ids...)
	return g.tell("DelRules", "deleted %v", ids)
}

// Serves set-up nodes on a session until it ends.
func (o *options) serveGateway(c *client, s *session, rules *table, open func(EdgeRules) error) error {
	server := rpc.NewServer()
	g := &gateway{rules, *o.refuse, open}
	var err error
	if *o.gen >= 2026 {
		err = server.RegisterName("RPCGateway", laterGateway{g})
	} else {
		err = server.RegisterName("RPCGateway", g)
	}
	if err != nil {
		return err
	}
	return c.accept(s, gatewayPort, func(conn net.Conn, from Addr) { server.ServeConn(conn) })
}

func runGateway(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return o.serveGateway(newClient(o.sk, *o.gen, *o.pq), s, newTable(), noEdge)
}

// For who only has rules, and no groups.
func noEdge(EdgeRules) error { return nil }

// By transports of these types, or stcp.
func hops(path []PubKey, types []string) (list []Hop) {
	for i := 0; i+1 < len(path); i++ {
		kind := "stcp"
		if i < len(types) && types[i] != "" {
			kind = types[i]
		}
		list = append(list, Hop{newEntry(path[i], path[i+1], kind).ID, path[i], path[i+1]})
	}
	return list
}

func reversed[T any](of []T) (list []T) {
	for i := len(of) - 1; i >= 0; i-- {
		list = append(list, of[i])
	}
	return list
}

func parsePath(text string) (path []PubKey, err error) {
	for _, key := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' }) {
		pk, err := parsePK(key)
		if err != nil {
			return nil, err
		}
		path = append(path, pk)
	}
	return path, nil
}

// ask has a set-up node lay a route from us by these nodes to the last one.
func (o *options) ask(c *client, s *session, setup PubKey, path []PubKey, from, to uint16) (e EdgeRules, err error) {
	conn, err := c.dial(s, Addr{setup, setupPort})
	if err != nil {
		return e, err
	}
	node := rpc.NewClient(conn)
	defer node.Close()
	types, dst := strings.Split(*o.hops, ","), path[len(path)-1]
	for len(types) < len(path)-1 {
		types = append(types, "")
	}
	route := BidirectionalRoute{describe(c.pk, dst, from, to), *o.keep, hops(path, types),
		hops(reversed(path), reversed(types))}
	if err = node.Call("SetupRPCGateway.DialRouteGroup", route, &e); err != nil {
		return e, err
	}
	if e.Desc != describe(dst, c.pk, to, from) || !e.isValid() {
		return e, fmt.Errorf("edge %x %v %v", e.Desc, e.Forward, e.Reverse)
	}
	return e, nil
}

// Asks a set-up node (the first argument) for a route by the keys of the second one, ours first.
func runRoute(o *options) error {
	setup, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	c := newClient(o.sk, *o.gen, *o.pq)
	path, err := parsePath(o.args[1])
	if err != nil {
		return err
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	go func() { fmt.Fprintln(os.Stderr, o.serveGateway(c, s, newTable(), noEdge)) }()
	e, err := o.ask(c, s, setup, append([]PubKey{c.pk}, path...), 50000, 3)
	if err != nil {
		return err
	}
	fmt.Printf("edge\n%v\n%v\n", e.Forward, e.Reverse)
	return nil
}
