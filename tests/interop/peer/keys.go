package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// PubKey is a compressed point of secp256k1. Its name and its methods are what gob writes.
type PubKey [33]byte

func (pk PubKey) MarshalBinary() ([]byte, error) { return pk[:], nil }

func (pk *PubKey) UnmarshalBinary(b []byte) error {
	if len(b) != len(pk) {
		return fmt.Errorf("a key of %d bytes", len(b))
	}
	copy(pk[:], b)
	return nil
}

func (pk PubKey) String() string { return hex.EncodeToString(pk[:]) }
func (pk PubKey) isNull() bool   { return pk == PubKey{} }

// Of JSON.
func (pk PubKey) MarshalText() ([]byte, error) { return []byte(pk.String()), nil }

func (pk *PubKey) UnmarshalText(b []byte) error {
	p, err := parsePK(string(b))
	*pk = p
	return err
}

func parsePK(s string) (pk PubKey, err error) {
	if s != "" && strings.Trim(s, "0") == "" {
		return pk, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(pk) {
		return pk, fmt.Errorf("not a public key: %q", s)
	}
	if _, err = secp256k1.ParsePubKey(b); err != nil {
		return pk, err
	}
	copy(pk[:], b)
	return pk, nil
}

// SecKey is a scalar, big-endian.
type SecKey [32]byte

func (sk SecKey) pub() (pk PubKey) {
	copy(pk[:], secp256k1.PrivKeyFromBytes(sk[:]).PubKey().SerializeCompressed())
	return pk
}

func newKey() (sk SecKey) {
	k, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		panic(err)
	}
	copy(sk[:], k.Serialize())
	return sk
}

func loadKey(path string) (sk SecKey, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return sk, err
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) != len(sk) {
		return sk, fmt.Errorf("%s: not a secret key", path)
	}
	copy(sk[:], b)
	return sk, nil
}

// The hash of the compressed point, dmsg 1.
func ecdh(sk SecKey, pk []byte) ([]byte, error) {
	p, err := secp256k1.ParsePubKey(pk)
	if err != nil {
		return nil, err
	}
	var point, product secp256k1.JacobianPoint
	p.AsJacobian(&point)
	secp256k1.ScalarMultNonConst(&secp256k1.PrivKeyFromBytes(sk[:]).Key, &point, &product)
	product.ToAffine()
	sum := sha256.Sum256(secp256k1.NewPublicKey(&product.X, &product.Y).SerializeCompressed())
	return sum[:], nil
}

// Sig is R, S and the recovery id.
type Sig [65]byte

func (sk SecKey) sign(payload []byte) (s Sig) {
	hash := sha256.Sum256(payload)
	compact := ecdsa.SignCompact(secp256k1.PrivKeyFromBytes(sk[:]), hash[:], true)
	copy(s[:], compact[1:])
	s[64] = compact[0] - 27 - 4
	return s
}

func verify(pk PubKey, s Sig, payload []byte) error {
	if s[32]&0x80 != 0 || s[64] > 3 {
		return errors.New("signature is malformed")
	}
	hash := sha256.Sum256(payload)
	key, _, err := ecdsa.RecoverCompact(append([]byte{s[64] + 27 + 4}, s[:64]...), hash[:])
	if err != nil {
		return err
	}
	if !bytes.Equal(key.SerializeCompressed(), pk[:]) {
		return errors.New("signature of another key")
	}
	return nil
}

// Addr is an end of a stream.
type Addr struct {
	PK   PubKey
	Port uint16
}

func (a Addr) String() string { return fmt.Sprintf("%v:%d", a.PK, a.Port) }

func parseAddr(s string) (a Addr, err error) {
	key, port, found := strings.Cut(s, ":")
	if a.PK, err = parsePK(key); err != nil {
		return a, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || !found {
		return a, fmt.Errorf("%s: no port", s)
	}
	a.Port = uint16(n)
	return a, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return b
}

func (s Sig) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

func (s *Sig) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || copy(s[:], b) != len(s) || len(b) != len(s) {
		return errors.New("not a signature")
	}
	return nil
}
