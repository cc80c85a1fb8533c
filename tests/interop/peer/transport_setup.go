package main

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"strings"
	"sync"
)

const transportSetupPort = 47

// How a node has transports made at another one (skywire-routing 5.2).
type TransportRequest struct {
	RemotePK PubKey
	Type     string
}

type UUIDRequest struct{ ID uuid }

type TransportResponse struct {
	ID            uuid
	Local, Remote PubKey
	Type          string
}

type BoolResponse struct{ Result bool }

// A visor's end: transports that are only told of. Of these types it has some.
type transportGateway struct {
	pk    PubKey
	mu    sync.Mutex
	there []TransportResponse
}

func (g *transportGateway) AddTransport(r TransportRequest, t *TransportResponse) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Type != "stcpr" && r.Type != "dmsg" {
		return errors.New("save transport: unknown network type")
	}
	*t = TransportResponse{newEntry(g.pk, r.RemotePK, r.Type).ID, g.pk, r.RemotePK, r.Type}
	for _, other := range g.there {
		if other == *t {
			return nil
		}
	}
	g.there = append(g.there, *t)
	tell("made %v %v %s", t.ID, t.Remote, t.Type)
	return nil
}

func (g *transportGateway) RemoveTransport(r UUIDRequest, b *BoolResponse) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.there {
		if t.ID == r.ID {
			g.there = append(g.there[:i], g.there[i+1:]...)
			b.Result = true
			tell("removed %v", r.ID)
			return nil
		}
	}
	return errors.New("transport not found")
}

func (g *transportGateway) GetTransports(_ struct{}, list *[]TransportResponse) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	*list = append(*list, g.there...)
	return nil
}

// What a later version may tell beside it.
type LaterTransport struct {
	Label         string
	ID            uuid
	Type          string
	Local, Remote PubKey
	Hops          []int
}

type laterTransportGateway struct{ g *transportGateway }

func (l laterTransportGateway) later(t TransportResponse) LaterTransport {
	return LaterTransport{"skycoin", t.ID, t.Type, t.Local, t.Remote, []int{1, 2}}
}

func (l laterTransportGateway) AddTransport(r TransportRequest, t *LaterTransport) error {
	var plain TransportResponse
	err := l.g.AddTransport(r, &plain)
	*t = l.later(plain)
	return err
}

func (l laterTransportGateway) RemoveTransport(r UUIDRequest, b *BoolResponse) error {
	return l.g.RemoveTransport(r, b)
}

func (l laterTransportGateway) GetTransports(_ struct{}, list *[]LaterTransport) error {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	for _, t := range l.g.there {
		*list = append(*list, l.later(t))
	}
	return nil
}

// Serves whoever asks, but for the key that is refused: who is not on a visor's list is hung up on.
func runTransportGateway(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	g := &transportGateway{pk: o.sk.pub()}
	if *o.gen >= 2026 {
		err = server.RegisterName("TransportGateway", laterTransportGateway{g})
	} else {
		err = server.RegisterName("TransportGateway", g)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return newClient(o.sk, *o.gen, *o.pq).accept(s, transportSetupPort, func(conn net.Conn, from Addr) {
		if from.PK.String() == *o.refuse {
			conn.Close()
			return
		}
		server.ServeConn(conn)
	})
}

// Asks a node (the first argument) over one connection: "add PK TYPE", "remove ID" and "list", by commas. A line for each
// transport that is told, or for the error.
func runAskTransports(o *options) error {
	to, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	conn, err := newClient(o.sk, *o.gen, *o.pq).dial(s, Addr{to, transportSetupPort})
	if err != nil {
		return err
	}
	node := rpc.NewClient(conn)
	defer node.Close()
	for _, text := range strings.Split(o.args[1], ",") {
		if err = askTransports(node, strings.Fields(text)); errors.As(err, new(rpc.ServerError)) {
			fmt.Println(err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func askTransports(node *rpc.Client, words []string) error {
	switch {
	case len(words) == 3 && words[0] == "add":
		pk, err := parsePK(words[1])
		if err != nil {
			return err
		}
		var t TransportResponse
		if err = node.Call("TransportGateway.AddTransport", TransportRequest{pk, words[2]}, &t); err == nil {
			fmt.Println(t.words())
		}
		return err
	case len(words) == 2 && words[0] == "remove":
		var id uuid
		var b BoolResponse
		if err := id.UnmarshalText([]byte(words[1])); err != nil {
			return err
		}
		err := node.Call("TransportGateway.RemoveTransport", UUIDRequest{id}, &b)
		if err == nil {
			fmt.Println("removed", b.Result)
		}
		return err
	case len(words) == 1 && words[0] == "list":
		var list []TransportResponse
		err := node.Call("TransportGateway.GetTransports", struct{}{}, &list)
		for _, t := range list {
			fmt.Println(t.words())
		}
		if err == nil {
			fmt.Println(len(list), "told")
		}
		return err
	}
	return fmt.Errorf("%q is nothing to ask", words)
}

func (t TransportResponse) words() string {
	return fmt.Sprintf("%v %v %v %s", t.ID, t.Local, t.Remote, t.Type)
}
