package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// What signed objects hold, with the fields of 2026: gob goes by names, and leaves what is zero out.
type request struct {
	Timestamp int64
	SrcAddr   Addr
	DstAddr   Addr
	IPinfo    bool
	GeoInfo   bool
	NoiseMsg  []byte
}

// SHA256 is the name of the type on the wire.
type SHA256 [32]byte

type response struct {
	ReqHash    SHA256
	Accepted   bool
	IP         []byte
	GeoCountry string
	GeoRegion  string
	GeoLat     float64
	GeoLon     float64
	ErrCode    uint16
	NoiseMsg   []byte
}

var errPing = errors.New("ping")

func encode(v interface{}) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// In the words of a generation: types of that name, with the fields that it knows.
func (r *request) encode(gen int) []byte {
	if gen >= 2026 {
		type StreamRequest request
		return encode(StreamRequest(*r))
	}
	type StreamRequest struct {
		Timestamp int64
		SrcAddr   Addr
		DstAddr   Addr
		IPinfo    bool
		NoiseMsg  []byte
	}
	return encode(StreamRequest{r.Timestamp, r.SrcAddr, r.DstAddr, r.IPinfo, r.NoiseMsg})
}

func (r *response) encode(gen int) []byte {
	if gen >= 2026 {
		type StreamResponse response
		return encode(StreamResponse(*r))
	}
	type StreamResponse struct {
		ReqHash  SHA256
		Accepted bool
		IP       []byte
		ErrCode  uint16
		NoiseMsg []byte
	}
	return encode(StreamResponse{r.ReqHash, r.Accepted, r.IP, r.ErrCode, r.NoiseMsg})
}

// A request or response out of an object; the signature is not looked at.
func decode(object []byte, v interface{}) error {
	if len(object) <= len(Sig{}) {
		return errors.New("object is too short")
	}
	return gob.NewDecoder(bytes.NewReader(object[len(Sig{}):])).Decode(v)
}

func signed(sk SecKey, text []byte) []byte {
	s := sk.sign(text)
	return append(s[:], text...)
}

func verifyObject(pk PubKey, object []byte) error {
	var s Sig
	copy(s[:], object)
	return verify(pk, s, object[len(s):])
}

func (r *request) check(object []byte) error {
	switch {
	case r.SrcAddr.PK.isNull():
		return dmsgError(302)
	case r.SrcAddr.Port == 0:
		return dmsgError(304)
	case r.DstAddr.PK.isNull():
		return dmsgError(303)
	case r.DstAddr.Port == 0:
		return dmsgError(305)
	case r.Timestamp <= 0:
		return dmsgError(301)
	case verifyObject(r.SrcAddr.PK, object) != nil:
		return dmsgError(300)
	}
	return nil
}

// As the dialler does, and each server on the way.
func (r *response) check(object []byte, req *request, asked []byte) error {
	switch {
	case r.ReqHash != SHA256(sha256.Sum256(asked)):
		return dmsgError(351)
	case verifyObject(req.DstAddr.PK, object) != nil:
		return dmsgError(350)
	case !r.Accepted && r.ErrCode != 0:
		return dmsgError(r.ErrCode)
	case !r.Accepted:
		return dmsgError(352)
	}
	return nil
}

type dmsgError uint16

func (e dmsgError) Error() string { return fmt.Sprintf("dmsg error %d", uint16(e)) }

// One object of a session (dmsg 3.7), errPing for the marker.
func readObject(c net.Conn, k *keys) ([]byte, error) {
	var head [2]byte
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	defer c.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	if head == [2]byte{} {
		return nil, errPing
	}
	unit := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(c, unit); err != nil {
		return nil, err
	}
	return k.open(unit)
}

func writeObject(c net.Conn, k *keys, object []byte) error {
	_, err := c.Write(frame(k.seal(object)))
	return err
}
