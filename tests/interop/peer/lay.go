package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// layer is a set-up node at one node of a route, as a script has it: for what a real one would not do, too.
type layer struct {
	o    *options
	c    *client
	s    *session
	node PubKey
	conn net.Conn
	call *rpc.Client
	ids  []RouteID // reserved last
}

func (l *layer) reach() error {
	conn, err := l.c.dial(l.s, Addr{l.node, gatewayPort})
	if err == nil {
		l.conn, l.call = conn, rpc.NewClient(conn)
	}
	return err
}

// $0, $1 ... are the ids that were reserved last.
func (l *layer) id(text string) (RouteID, error) {
	if text[0] == '$' {
		i, err := strconv.Atoi(text[1:])
		if err != nil || i >= len(l.ids) {
			return 0, fmt.Errorf("no id %s", text)
		}
		return l.ids[i], nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return RouteID(n), err
}

// KEY NEXT PK,...: rules in the middle, by the transport to PK, whose type is -hops.
func (l *layer) rules(text string) (rules []Rule, err error) {
	for _, part := range strings.Split(text, ",") {
		words := strings.Fields(part)
		if len(words) != 3 {
			return nil, fmt.Errorf("%q is no rule", part)
		}
		key, err := l.id(words[0])
		if err != nil {
			return nil, err
		}
		next, err := l.id(words[1])
		if err != nil {
			return nil, err
		}
		to, err := parsePK(words[2])
		if err != nil {
			return nil, err
		}
		rules = append(rules, newRule(intermediary, *l.o.keep, key, RouteDescriptor{}, next,
			newEntry(l.node, to, *l.o.hops).ID))
	}
	return rules, nil
}

func (l *layer) reserve(text string) error {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return err
	}
	var ids []RouteID
	if err = l.call.Call("RPCGateway.ReserveIDs", uint8(n), &ids); err != nil {
		return err
	}
	if l.ids = ids; len(ids) != int(n) {
		return fmt.Errorf("%d ids, not %d", len(ids), n)
	}
	return nil
}

func (l *layer) lay(text string) error {
	rules, err := l.rules(text)
	if err != nil {
		return err
	}
	var ok bool
	if err = l.call.Call("RPCGateway.AddIntermediaryRules", rules, &ok); err == nil && !ok {
		err = errors.New("false")
	}
	return err
}

func (l *layer) takeBack(text string) error {
	var ids []RouteID
	for _, word := range strings.Fields(text) {
		id, err := l.id(word)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	var ok bool
	return l.call.Call("RPCGateway.DelRules", ids, &ok)
}

// as many ids as there are to have.
func (l *layer) exhaust() error {
	for total := 0; ; total += len(l.ids) {
		if err := l.reserve("100"); err != nil {
			return fmt.Errorf("after %d ids: %w", total, err)
		}
	}
}

// slowly writes what a client would at once, a byte at a time.
type slowly struct{ net.Conn }

func (s slowly) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return len(b), nil
}

// storm N RULES: so many set-ups at once, each with a stream of its own; no id may come twice.
func (l *layer) storm(text string) error {
	count, rules, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	seen := map[RouteID]bool{}
	done := make(chan error, n)
	for i := 0; i < n; i++ {
		go func() {
			one := &layer{o: l.o, c: l.c, s: l.s, node: l.node}
			err := one.reach()
			if err == nil {
				defer one.call.Close()
				err = one.reserve("2")
			}
			mu.Lock()
			for _, id := range one.ids {
				if seen[id] {
					err = fmt.Errorf("id %d twice", id)
				}
				seen[id] = true
			}
			mu.Unlock()
			if err == nil {
				err = one.lay(rules)
			}
			done <- err
		}()
	}
	for i := 0; i < n; i++ {
		err = errors.Join(err, <-done)
	}
	l.ids = nil
	for id := range seen {
		l.ids = append(l.ids, id)
	}
	return err
}

func (l *layer) say(line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "reserve":
		return l.reserve(rest)
	case "rules":
		return l.lay(rest)
	case "del":
		return l.takeBack(rest)
	case "exhaust":
		return l.exhaust()
	case "storm":
		return l.storm(rest)
	case "again": // the stream ends, and there is another one
		l.call.Close()
		return l.reach()
	case "slowly": // what comes next, on another stream
		l.call.Close()
		conn, err := l.c.dial(l.s, Addr{l.node, gatewayPort})
		if err == nil {
			l.conn, l.call = conn, rpc.NewClient(slowly{conn})
		}
		return err
	case "cut": // within the next call
		_, err := l.conn.Write([]byte{0x2f, 0xff, 0x81, 3, 1, 1, 7, 'R'})
		return errors.Join(err, l.call.Close(), l.reach())
	}
	return fmt.Errorf("%q is no word of a set-up node", word)
}

// As a set-up node at the node (the argument): calls are read from standard input, a line each, and what came of it is
// said: "ok" with the ids that are known, or "error" and why.
func runLay(o *options) error {
	node, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	if *o.hops == "" {
		*o.hops = "rail"
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	l := &layer{o: o, c: newClient(o.sk, *o.gen, *o.pq), s: s, node: node}
	if err = l.reach(); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err = l.say(in.Text()); err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("ok", strings.Trim(fmt.Sprint(l.ids), "[]"))
		}
	}
	return nil
}
