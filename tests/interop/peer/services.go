package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// services is a transport discovery, an address resolver and a route finder in one (skywire-routing 6.5). It is
// stricter than those of 2024, which look at no signature of an entry, and has their oddities.
type services struct {
	mu     sync.Mutex
	nonces map[PubKey]uint64
	entry  map[uuid]signedEntry
	bound  map[PubKey]binding
}

type binding struct {
	RemoteAddr string   `json:"remote_addr"`
	IsLocal    bool     `json:"is_local,omitempty"`
	Port       string   `json:"port"`
	Addresses  []string `json:"addresses"`
}

// errQuirk is an answer of 200 after which the nonce stays as it was.
var errQuirk = errors.New("the body is of another type")

func (s *services) caller(r *http.Request, body []byte) (pk PubKey, err error) {
	no := refusal{401, "SW-Nonce does not match"}
	if pk, err = parsePK(r.Header.Get("SW-Public")); err != nil {
		return pk, refusal{401, "SW-Public is missing"}
	}
	nonce := r.Header.Get("SW-Nonce")
	if n, err := strconv.ParseUint(nonce, 10, 64); err != nil || n != s.nonces[pk] {
		return pk, no
	}
	sig, err := hex.DecodeString(r.Header.Get("SW-Sig"))
	if err != nil || len(sig) != len(Sig{}) {
		return pk, refusal{401, "SW-Sig is malformed"}
	}
	if verify(pk, *(*Sig)(sig), append(append([]byte{}, body...), nonce...)) != nil {
		return pk, refusal{401, "SW-Sig is of another text"}
	}
	return pk, nil
}

// ---- transports ----

func (s *services) register(body []byte) (interface{}, int, error) {
	var list []signedEntry
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, 0, refusal{400, err.Error()}
	}
	for _, e := range list {
		if want := newEntry(e.Entry.Edges[0], e.Entry.Edges[1], e.Entry.Type); want.ID != e.Entry.ID || want.Edges != e.Entry.Edges {
			return nil, 0, refusal{400, "id and edges do not belong together"}
		}
		signed := 0
		for i, pk := range e.Entry.Edges {
			if e.Signatures[i] == (Sig{}) {
				continue // who made the transport never sees the other's
			}
			if verify(pk, e.Signatures[i], e.Entry.text()) != nil {
				return nil, 0, refusal{400, fmt.Sprintf("signature %d is not that of its edge", i)}
			}
			signed++
		}
		if signed == 0 {
			return nil, 0, refusal{400, "nobody has signed it"}
		}
		if _, found := s.entry[e.Entry.ID]; found {
			return nil, 0, refusal{500, `ERROR: duplicate key value violates unique constraint "entries_pkey" (SQLSTATE 23505)`}
		}
		s.entry[e.Entry.ID] = e
		fmt.Println("registered", e.Entry.ID, e.Entry.Type, "signatures:", signed)
	}
	return list, http.StatusCreated, nil
}

func (s *services) byID(caller PubKey, method, id string) (interface{}, error) {
	var u uuid
	if err := u.UnmarshalText([]byte(id)); err != nil {
		return nil, refusal{400, err.Error()}
	}
	e, found := s.entry[u]
	if !found {
		return nil, refusal{404, "transport not found"}
	}
	if method == http.MethodDelete {
		if caller != e.Entry.Edges[0] && caller != e.Entry.Edges[1] {
			return nil, refusal{403, "who asks is no edge"}
		}
		delete(s.entry, u)
		fmt.Println("removed", e.Entry.ID, e.Entry.Type, "by", caller)
	}
	return e.Entry, nil
}

// Nil where there is none: null, as servers of 2024 say it.
func (s *services) of(edge string) (list []transportEntry, err error) {
	pk, err := parsePK(edge)
	if err != nil {
		return nil, refusal{400, err.Error()}
	}
	for _, e := range s.entry {
		if e.Entry.Edges[0] == pk || e.Entry.Edges[1] == pk {
			list = append(list, e.Entry)
		}
	}
	return list, nil
}

// ---- addresses ----

// Over dmsg a header says where who asks is.
func (s *services) bind(caller PubKey, r *http.Request, body []byte) error {
	var b binding
	if r.Method == http.MethodDelete {
		delete(s.bound, caller)
		return nil
	}
	if json.Unmarshal(body, &b) != nil {
		return errQuirk
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || net.ParseIP(host) == nil {
		host = r.Header.Get("SW-PublicIP")
	}
	for _, a := range b.Addresses {
		if a == host {
			b.RemoteAddr = host
			s.bound[caller] = b
			return nil
		}
	}
	return refusal{400, "the address is not among those told"}
}

func (s *services) resolve(key string) (interface{}, error) {
	pk, err := parsePK(key)
	if err != nil {
		return nil, refusal{400, err.Error()}
	}
	b, found := s.bound[pk]
	if !found {
		return nil, refusal{404, "no transport found"}
	}
	return b, nil
}

// ---- routes ----

const pathsMax = 5

// paths of so many hops, without a node twice.
func (s *services) paths(src, dst PubKey, hops int, seen map[PubKey]bool) (list [][]Hop) {
	ids := make([]uuid, 0, len(s.entry))
	for id := range s.entry {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, k int) bool { return bytes.Compare(ids[i][:], ids[k][:]) < 0 })
	for _, id := range ids {
		e := s.entry[id].Entry
		to := e.Edges[0]
		if to == src {
			to = e.Edges[1]
		} else if e.Edges[1] != src {
			continue
		}
		if hop := (Hop{TpID: id, From: src, To: to}); to == dst && hops == 1 {
			list = append(list, []Hop{hop})
		} else if to != dst && hops > 1 && !seen[to] {
			seen[to] = true
			for _, rest := range s.paths(to, dst, hops-1, seen) {
				list = append(list, append([]Hop{hop}, rest...))
			}
			delete(seen, to)
		}
	}
	return list
}

func (s *services) routes(body []byte) (interface{}, error) {
	var ask struct {
		Edges []string
		Opts  struct{ MinHops, MaxHops uint16 }
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, refusal{400, err.Error()}
	}
	answer := map[string][][]Hop{}
	for _, pair := range ask.Edges {
		a, b, _ := strings.Cut(pair, ":")
		src, err1 := parsePK(a)
		dst, err2 := parsePK(b)
		if err1 != nil || err2 != nil {
			return nil, refusal{400, "a pair that is none"}
		}
		var found [][]Hop
		for n := int(ask.Opts.MinHops); n <= int(ask.Opts.MaxHops) && n <= len(s.entry) && len(found) < pathsMax; n++ {
			found = append(found, s.paths(src, dst, n, map[PubKey]bool{src: true})...)
		}
		if len(found) == 0 {
			return nil, refusal{404, "route not found"}
		}
		if len(found) > pathsMax {
			found = found[:pathsMax]
		}
		answer[pair] = found
	}
	return answer, nil
}

// ---- HTTP ----

// What nobody need sign, and whether it was that.
func (s *services) open(r *http.Request, body []byte) (answer interface{}, err error, is bool) {
	const nonces = "/security/nonces/"
	switch {
	case r.URL.Path == "/health":
		return map[string]string{"started_at": "now"}, nil, true
	case strings.HasPrefix(r.URL.Path, nonces):
		pk, err := parsePK(r.URL.Path[len(nonces):])
		return map[string]interface{}{"edge": pk, "next_nonce": s.nonces[pk]}, err, true
	case r.URL.Path == "/routes" && r.Method == http.MethodPost:
		answer, err = s.routes(body)
		return answer, err, true
	case r.URL.Path == "/transports" && r.Method == http.MethodGet:
		list := []PubKey{}
		for pk := range s.bound {
			list = append(list, pk)
		}
		return map[string][]PubKey{"sudph": nil, "stcpr": list}, nil, true
	case r.URL.Path == "/all-transports":
		answer, list := interface{}(nil), []transportEntry(nil)
		for _, e := range s.entry {
			list = append(list, e.Entry)
			answer = list
		}
		return answer, nil, true
	}
	return nil, nil, false
}

func (s *services) signed(r *http.Request, body []byte) (answer interface{}, status int, err error) {
	caller, err := s.caller(r, body)
	if err != nil {
		return nil, 0, err
	}
	path := r.URL.Path
	status = http.StatusOK
	switch {
	case path == "/transports/" && r.Method == http.MethodPost:
		answer, status, err = s.register(body)
	case strings.HasPrefix(path, "/transports/id:"):
		answer, err = s.byID(caller, r.Method, path[len("/transports/id:"):])
	case strings.HasPrefix(path, "/transports/edge:"):
		answer, err = s.of(path[len("/transports/edge:"):])
	case path == "/bind/stcpr":
		err = s.bind(caller, r, body)
	case strings.HasPrefix(path, "/resolve/stcpr/"):
		answer, err = s.resolve(path[len("/resolve/stcpr/"):])
	default:
		err = refusal{404, "404 page not found"}
	}
	if err == nil && status == http.StatusOK {
		s.nonces[caller]++
	}
	if err == errQuirk {
		err = nil
	}
	return answer, status, err
}

func (s *services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	status := http.StatusOK
	answer, openErr, isOpen := s.open(r, body)
	if err == nil && isOpen {
		err = openErr
	} else if err == nil {
		answer, status, err = s.signed(r, body)
	}
	var no refusal
	if errors.As(err, &no) {
		status = no.status
		if status == http.StatusUnauthorized || r.URL.Path == "/routes" {
			answer = map[string]interface{}{"error": map[string]interface{}{"message": no.text, "code": status}}
		} else {
			answer = map[string]string{"error": no.text}
		}
	} else if err != nil {
		status, answer = http.StatusInternalServerError, map[string]string{"error": err.Error()}
	}
	logf("%s %s: %d %s", r.Method, r.URL.Path, status, no.text)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

// streams are those of a dmsg port, as a listener.
type streams struct {
	c    chan net.Conn
	addr net.Addr
}

func (l streams) Accept() (net.Conn, error) { return <-l.c, nil }
func (l streams) Close() error              { return nil }
func (l streams) Addr() net.Addr            { return l.addr }

func runServices(o *options) error {
	s := &services{nonces: map[PubKey]uint64{}, entry: map[uuid]signedEntry{}, bound: map[PubKey]binding{}}
	l, err := net.Listen("tcp", o.args[0])
	if err != nil {
		return err
	}
	if *o.server != "" {
		session, err := o.session(nil)
		if err != nil {
			return err
		}
		byDmsg := streams{make(chan net.Conn), l.Addr()}
		go newClient(o.sk, *o.gen, *o.pq).accept(session, 80, func(conn net.Conn, from Addr) { byDmsg.c <- conn })
		go http.Serve(byDmsg, s)
	}
	fmt.Println("ready", l.Addr())
	return http.Serve(l, s)
}

// ---- the side of who asks ----

// runRegister posts one entry of us and of whom the second key is, as the responder of a settlement does.
func runRegister(o *options) error {
	url, kind := o.args[0], o.args[2]
	other, err := loadKey(o.args[1])
	if err != nil {
		return err
	}
	e := signedEntry{Entry: newEntry(o.sk.pub(), other.pub(), kind)}
	for _, sk := range []SecKey{o.sk, other} {
		e.Signatures[e.Entry.edge(sk.pub())] = sk.sign(e.Entry.text())
	}
	body := jsonLine([]signedEntry{e})
	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url + "/security/nonces/" + o.sk.pub().String())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var next struct {
		Nonce uint64 `json:"next_nonce"`
	}
	if err = json.NewDecoder(resp.Body).Decode(&next); err != nil {
		return err
	}
	nonce := strconv.FormatUint(next.Nonce, 10)
	sig := o.sk.sign(append(append([]byte{}, body...), nonce...))
	r, err := http.NewRequest(http.MethodPost, url+"/transports/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("SW-Public", o.sk.pub().String())
	r.Header.Set("SW-Nonce", nonce)
	r.Header.Set("SW-Sig", hex.EncodeToString(sig[:]))
	if resp, err = client.Do(r); err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s %s", resp.Status, text)
	}
	_, err = fmt.Fprintln(os.Stdout, e.Entry.ID)
	return err
}
