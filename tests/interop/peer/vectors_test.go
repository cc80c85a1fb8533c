package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/flynn/noise"
)

func load(t *testing.T, name string, v interface{}) {
	b, err := os.ReadFile("../../vectors/" + name)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func secret(t *testing.T, s string) (sk SecKey) {
	copy(sk[:], unhex(t, s))
	return sk
}

type noiseVector struct {
	Case     string
	Protocol string `json:"protocol_name"`
	InitSK   string `json:"initiator_static_sk"`
	InitEph  string `json:"initiator_ephemeral_sk"`
	RespSK   string `json:"responder_static_sk"`
	RespEph  string `json:"responder_ephemeral_sk"`
	Hash     string `json:"handshake_hash"`
	Messages []struct{ From, Message, Payload string }
	ToResp   []noiseFrame `json:"frames_initiator_to_responder"`
	ToInit   []noiseFrame `json:"frames_responder_to_initiator"`
}

type noiseFrame struct {
	Nonce     uint64
	Wire      string `json:"frame_on_wire"`
	Plaintext string
}

type cryptoVectors struct {
	Dmsg struct {
		Keys map[string]struct{ PK, SK string }
		ECDH []struct {
			SK, PK string
			Output string `json:"noise_dh_output_33"`
		}
		Signatures []struct {
			Case, PK, SK, Sig, Payload string
			Valid                      bool
		}
		Noise []noiseVector
	}
}

func TestKeysAndSignatures(t *testing.T) {
	var v cryptoVectors
	load(t, "skywire-crypto.json", &v)
	for name, k := range v.Dmsg.Keys {
		if got := secret(t, k.SK).pub().String(); got != k.PK {
			t.Errorf("public key of %s: %s", name, got)
		}
	}
	for i, e := range v.Dmsg.ECDH {
		sk := secret(t, e.SK)
		out, err := dhSecp{}.DH(sk[:], unhex(t, e.PK))
		if err != nil || hex.EncodeToString(out) != e.Output {
			t.Errorf("ecdh %d: %x %v", i, out, err)
		}
	}
	for i, s := range v.Dmsg.Signatures {
		var sig Sig
		pk, err := parsePK(s.PK)
		if err == nil {
			copy(sig[:], unhex(t, s.Sig))
			err = verify(pk, sig, unhex(t, s.Payload))
		}
		if (err == nil) != s.Valid {
			t.Errorf("signature %d %s: %v", i, s.Case, err)
		}
		if s.SK == "" {
			continue
		}
		if err = verify(pk, secret(t, s.SK).sign(unhex(t, s.Payload)), unhex(t, s.Payload)); err != nil {
			t.Errorf("signature %d of our own: %v", i, err)
		}
	}
}

func TestNoise(t *testing.T) {
	var v cryptoVectors
	load(t, "skywire-crypto.json", &v)
	for _, n := range v.Dmsg.Noise {
		n := n
		t.Run(n.Case, func(t *testing.T) { replay(t, n) })
	}
}

func replay(t *testing.T, v noiseVector) {
	pattern := noise.HandshakeKK
	if strings.Contains(v.Protocol, "_XK_") {
		pattern = noise.HandshakeXK
	}
	isk, rsk := secret(t, v.InitSK), secret(t, v.RespSK)
	ieph, reph := secret(t, v.InitEph), secret(t, v.RespEph)
	ipk, rpk := isk.pub(), rsk.pub()
	var known *PubKey
	if pattern.Name == "KK" {
		known = &ipk
	}
	hs := map[string]*noise.HandshakeState{
		"initiator": newHandshake(pattern, true, isk, &rpk, bytes.NewReader(ieph[:])),
		"responder": newHandshake(pattern, false, rsk, known, bytes.NewReader(reph[:])),
	}
	other := map[string]string{"initiator": "responder", "responder": "initiator"}
	var ends = map[string]*keys{}
	for i, m := range v.Messages {
		msg, a1, a2, err := hs[m.From].WriteMessage(nil, unhex(t, m.Payload))
		if err != nil || hex.EncodeToString(msg) != m.Message {
			t.Fatalf("message %d: %x %v", i+1, msg, err)
		}
		payload, b1, b2, err := hs[other[m.From]].ReadMessage(nil, msg)
		if err != nil || hex.EncodeToString(payload) != m.Payload {
			t.Fatalf("message %d is not read: %v", i+1, err)
		}
		if a1 != nil {
			ends[m.From] = newKeys(true, a1, a2)
			ends[other[m.From]] = newKeys(false, b1, b2)
		}
	}
	if got := hex.EncodeToString(hs["initiator"].ChannelBinding()); got != v.Hash {
		t.Fatalf("hash %s", got)
	}
	check := func(from string, frames []noiseFrame) {
		for _, f := range frames {
			ends[from].tx = f.Nonce - 1
			wire := frame(ends[from].seal(unhex(t, f.Plaintext)))
			if hex.EncodeToString(wire) != f.Wire {
				t.Errorf("%s, frame %d: %x", from, f.Nonce, wire)
			}
			plain, err := ends[other[from]].open(wire[2:])
			if err != nil || hex.EncodeToString(plain) != f.Plaintext {
				t.Errorf("%s, frame %d: %v", from, f.Nonce, err)
			}
			if _, err = ends[other[from]].open(wire[2:]); err == nil {
				t.Errorf("%s, frame %d is taken twice", from, f.Nonce)
			}
		}
	}
	check("initiator", v.ToResp)
	check("responder", v.ToInit)
}

type dmsgVectors struct {
	Keys   map[string]struct{ PK, SK string }
	Window []struct {
		Accept bool
		Nonce  string
	} `json:"nonce_window_1024"`
	Objects map[string]struct {
		Gob    string
		Object string `json:"signed_object"`
		Hash   string `json:"signed_object_sha256"`
		Fields map[string]interface{}
	} `json:"signed_objects"`
	Entries []struct {
		Name      string
		Body      string `json:"post_body_ascii"`
		Signed    string `json:"signed_bytes_ascii"`
		Signature string
	} `json:"discovery_entries"`
}

func TestWindow(t *testing.T) {
	var v dmsgVectors
	var w window
	load(t, "dmsg.json", &v)
	for i, e := range v.Window {
		n, err := strconv.ParseUint(e.Nonce, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if w.check(n) != e.Accept {
			t.Errorf("%d: counter %d", i, n)
		}
		if e.Accept {
			w.commit(n)
		}
	}
}

// Fields that are in the vector, as text.
func (r *request) matches(f map[string]interface{}) bool {
	return r.SrcAddr.String() == f["SrcAddr"] && r.DstAddr.String() == f["DstAddr"] && r.IPinfo == f["IPinfo"]
}

func TestObjects(t *testing.T) {
	var v dmsgVectors
	load(t, "dmsg.json", &v)
	for name, o := range v.Objects {
		object := unhex(t, o.Object)
		if hash := hashOf(object); o.Hash != "" && hex.EncodeToString(hash[:]) != o.Hash {
			t.Errorf("%s: hash", name)
		}
		if strings.Contains(name, "announce") {
			continue
		}
		if strings.Contains(name, "response") {
			var r response
			if err := decode(object, &r); err != nil || r.ReqHash == (SHA256{}) || r.Accepted != (o.Fields["Accepted"] == true) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var r request
		err := decode(object, &r)
		if err == nil {
			err = r.check(object)
		}
		if err != nil || r.Timestamp != 1700000000123456789 {
			t.Errorf("%s: %v", name, err)
		}
		if o.Fields["DstAddr"] != nil && !r.matches(o.Fields) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// gob's ids depend on what was encoded before, so what we write is read again, in both generations.
func TestOurObjects(t *testing.T) {
	sk := newKey()
	for _, gen := range []int{2024, 2026} {
		req := request{Timestamp: 5, SrcAddr: Addr{sk.pub(), 7}, DstAddr: Addr{sk.pub(), 9}, NoiseMsg: []byte{1}}
		object := signed(sk, req.encode(gen))
		var got request
		if err := decode(object, &got); err != nil || got.check(object) != nil || got.DstAddr != req.DstAddr {
			t.Errorf("%d: request: %v", gen, err)
		}
		resp := response{ReqHash: hashOf(object), Accepted: true, NoiseMsg: []byte{2}}
		answer := signed(sk, resp.encode(gen))
		var back response
		if err := decode(answer, &back); err != nil || back.check(answer, &req, object) != nil {
			t.Errorf("%d: response: %v", gen, err)
		}
		answer[70] ^= 1
		if back.check(answer, &req, object) == nil {
			t.Errorf("%d: a forged response is taken", gen)
		}
	}
}

func TestEntries(t *testing.T) {
	var v dmsgVectors
	load(t, "dmsg.json", &v)
	for _, e := range v.Entries {
		var got entry
		if err := json.Unmarshal([]byte(e.Body), &got); err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if !bytes.Equal(got.text(), []byte(e.Signed)) || got.Signature != e.Signature || !got.isSigned() {
			t.Errorf("%s: %s", e.Name, got.text())
		}
	}
}
